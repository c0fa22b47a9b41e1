import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitsback.archive import names as rules
from bitsback.archive.metadata import Metadata
from cli.files import chunks, flip, names, tree

Run = Callable[..., Any]

posix = pytest.mark.skipif(os.name != "posix", reason="what POSIX has")


def test_everything_comes_back(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    before = tree(folder)
    os.utime(folder / "0.npy", ns=(1, 2_000_000_001))
    assert run("compress", "in", "--model", "none", "--force", "-q").code == 0
    done = run("decompress", "in.bba", "-C", "out")
    assert (done.code, done.out) == (0, b"")
    assert len(done.err) == 1 and done.err[0].startswith("6 files of 6, 5.39 kB, ")
    assert tree(tmp_path / "out" / "in") == before
    assert (tmp_path / "out" / "in" / "0.npy").stat().st_mtime_ns == 2_000_000_001
    told = run("extract", "in.bba", "-C", "again", "-v").err
    assert [Path(line) for line in told[:2]] == [Path("again/in"), Path("again/in/0.npy")]


def test_a_second_run_changes_nothing(run: Run, archive: Path, tmp_path: Path) -> None:
    assert run("decompress", archive, "-C", "out").code == 0
    (tmp_path / "out" / "in" / "0.npy").write_bytes(b"mine")
    (tmp_path / "out" / "in" / "1.npy").unlink()
    done = run("decompress", archive, "-C", "out")
    assert done.code == 1 and len(done.err) == 1 and "is already there" in done.err[0]
    assert not (tmp_path / "out" / "in" / "1.npy").exists()
    done = run("decompress", archive, "-C", "out", "-k", "--json")
    assert done.code == 3 and sum(line.startswith("skipped in/") for line in done.err) == 5
    assert [Path(path).name for path in json.loads(done.out)["written"]] == ["1.npy"]
    assert (tmp_path / "out" / "in" / "0.npy").read_bytes() == b"mine"
    assert run("decompress", archive, "-C", "out", "--force").code == 0
    assert (tmp_path / "out" / "in" / "0.npy").read_bytes() != b"mine"


def test_chosen_files_and_stripped_names(run: Run, archive: Path, tmp_path: Path) -> None:
    assert run("decompress", archive, "in/[12].npy", "in/text.txt", "-C", "a").code == 0
    assert names(tmp_path / "a" / "in") == ["1.npy", "2.npy", "text.txt"]
    assert run("decompress", archive, "in", "--exclude", "*.npy", "-C", "b").code == 0
    assert names(tmp_path / "b" / "in") == ["text.txt"]
    assert run("decompress", archive, "--strip-components", "1", "-C", "c").code == 0
    assert len(names(tmp_path / "c")) == 6
    done = run("decompress", archive, "in/9.npy", "-C", "d")
    assert (done.code, done.err) == (1, [f"bitsback: {archive}: 'in/9.npy': no file of that name in the archive"])


def test_one_file_under_a_name_or_to_standard_output(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    data = (folder / "3.npy").read_bytes()
    assert run("decompress", archive, "in/3.npy", "-o", "-").out == data
    assert run("decompress", archive, "in/3.npy", "-o", "three.npy").code == 0
    assert (tmp_path / "three.npy").read_bytes() == data
    assert (tmp_path / "three.npy").stat().st_mtime_ns == (folder / "3.npy").stat().st_mtime_ns
    done = run("decompress", archive, "in/3.npy", "-o", "three.npy")
    assert (done.code, done.err) == (1, ["bitsback: three.npy: is already there (--force overwrites)"])
    done = run("decompress", archive, "-o", "-")
    assert (done.code, done.out) == (1, b"") and "6 are chosen" in done.err[0]
    assert run("decompress", archive, "in", "--exclude", "*.npy", "-o", "-").out == b"text " * 50


def test_standard_input(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    assert run("decompress", "-", "-C", "out", stdin=archive.read_bytes()).code == 0
    assert tree(tmp_path / "out" / "in") == tree(folder)
    done = run("decompress", "-", "-C", "out", stdin=b"something else")
    assert (done.code, done.err) == (1, ["bitsback: standard input: not a bitsback archive"])


@posix
def test_a_pipe_with_a_name(archive: Path, folder: Path, tmp_path: Path, spawn: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    process = spawn("decompress", "pipe", "-C", "out")
    (tmp_path / "pipe").write_bytes(archive.read_bytes())
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert tree(tmp_path / "out" / "in") == tree(folder)


@posix
def test_preserve_is_for_modes_and_links(run: Run, folder: Path, tmp_path: Path) -> None:
    """What was private stays private, and with -p all of it is as it was, whatever the umask."""
    (folder / "private").mkdir(mode=0o700)
    (folder / "private" / "x").write_text("x")
    (folder / "0.npy").chmod(0o666)
    (folder / "1.npy").chmod(0o4755)
    (folder / "out").symlink_to("/etc/hostname")
    (folder / "near").symlink_to("0.npy")
    assert run("compress", "in", "--model", "none").code == 0
    before = os.umask(0o077)
    try:
        done = run("decompress", "in.bba", "-C", "a")
        assert done.code == 3 and sum(line.startswith("skipped in/out: ") for line in done.err) == 1
        assert run("decompress", "in.bba", "-C", "b", "-p").code == 0
    finally:
        os.umask(before)

    def mode(path: str) -> int:
        return stat.S_IMODE((tmp_path / path).lstat().st_mode)

    assert [mode(f"a/in/{name}") for name in ("private", "0.npy", "1.npy")] == [0o700, 0o600, 0o700]
    assert [mode(f"b/in/{name}") for name in ("private", "0.npy", "1.npy")] == [0o700, 0o666, 0o4755]
    assert (tmp_path / "a" / "in" / "near").is_symlink() and not (tmp_path / "a" / "in" / "out").is_symlink()
    assert (tmp_path / "b" / "in" / "out").readlink() == Path("/etc/hostname")


def test_refused_metadata_is_a_warning(
    run: Run, archive: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FAT or a network file system may: the files are there, one line says what they lack, and 3."""

    def refuse(self: Metadata, handle: object, mode: int | None, name: str) -> None:
        self.refuse("permissions", name, "operation not permitted")

    monkeypatch.setattr(Metadata, "set_mode", refuse)
    done = run("decompress", archive, "-C", "out")
    assert done.code == 3
    assert sum(line.startswith("warning: permissions of ") and "not permitted" in line for line in done.err) == 1
    assert tree(tmp_path / "out" / "in") == tree(folder)
    assert run("decompress", archive, "in/0.npy", "-o", "one.npy").code == 3
    assert (tmp_path / "one.npy").read_bytes() == (folder / "0.npy").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="names that other systems cannot have")
def test_names_that_this_system_cannot_have_are_changed_and_told(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitsback.archive import extract

    (folder / "a:b").write_text("colon")
    (folder / "TEXT.txt").write_text("twin")
    assert run("compress", "in", "--model", "none").code == 0
    monkeypatch.setattr("bitsback.archive.extract.rules_of", lambda *arguments: rules.WINDOWS)
    done = run("decompress", "in.bba", "-C", "out", "--json")
    assert done.code == 3 and extract is not None
    renamed = {one["name"]: Path(one["path"]).name for one in json.loads(done.out)["renamed"]}
    assert renamed == {"in/a:b": "a_b", "in/text.txt": "text~2.txt"}
    assert sum(line.startswith("renamed in/") for line in done.err) == 2
    assert (tmp_path / "out" / "in" / "a_b").read_text() == "colon"
    assert (tmp_path / "out" / "in" / "text~2.txt").read_bytes() == b"text " * 50


@pytest.fixture
def several(run: Run, tmp_path: Path) -> Path:
    """An archive of several chunks: two kinds of images, a text, and noise that does not pack."""
    rng = np.random.default_rng(0)
    source = tmp_path / "mix"
    source.mkdir()
    for number in range(4):
        np.save(source / f"{number}.npy", np.full((40, 30 + number % 2), number, np.uint8))
    (source / "text.txt").write_text("text " * 50)
    (source / "noise").write_bytes(rng.bytes(3000))
    assert run("compress", "mix", "-q", "--model", "none").code == 0
    return tmp_path / "mix.bba"


def test_damage_in_one_file_does_not_stop_the_others(run: Run, several: Path, tmp_path: Path) -> None:
    start, _ = chunks(several, "DATA")[-1]
    flip(several, start + 5)
    done = run("decompress", several, "-C", "out", "--json")
    assert done.code == 1
    assert [line.split(":")[1] for line in done.err if "lost" in line] == [" lost mix/noise"]
    (lost,) = json.loads(done.out)["failed"]
    assert lost["name"] == "mix/noise" and "other" in lost["reason"]
    before = tree(tmp_path / "mix")
    del before["noise"]
    assert tree(tmp_path / "out" / "mix") == before


def test_damage_where_nothing_opens_is_one_line(run: Run, several: Path, tmp_path: Path) -> None:
    flip(several, several.stat().st_size - 20)
    done = run("decompress", several, "-C", "out")
    assert done.code == 1 and len(done.err) == 1 and not (tmp_path / "out").exists()


def test_a_tail_is_a_warning(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    """Something was being added and did not get to its end: this is the archive as it was before."""
    whole = archive.read_bytes()
    (folder / "new.txt").write_text("new")
    assert run("add", archive, "in/new.txt", "--model", "none").code == 0
    grown = archive.read_bytes()
    (folder / "new.txt").unlink()
    for size in (len(whole) + 1, (len(whole) + len(grown)) // 2, len(grown) - 1):
        archive.write_bytes(grown[:size])
        done = run("decompress", archive, "-C", f"out{size}")
        assert done.code == 3
        assert done.err[0].startswith(f"warning: {archive}: {size - len(whole):,} bytes behind its end do not count")
        assert tree(tmp_path / f"out{size}" / "in") == tree(folder)
        for command in ("list", "info"):
            done = run(command, archive)
            assert done.code == 3 and sum(line.startswith("warning: ") for line in done.err) == 1
        done = run("test", archive)
        assert done.code == 1 and len(done.err) == 1 and f"{size - len(whole)} bytes follow the end" in done.err[0]


@pytest.mark.parametrize("keep", [10, 100, 400])
def test_cut_archives(run: Run, archive: Path, tmp_path: Path, keep: int) -> None:
    archive.write_bytes(archive.read_bytes()[:keep])
    done = run("decompress", archive, "-C", "out")
    assert done.code == 1 and len(done.err) == 1
    assert not (tmp_path / "out").exists()


def test_rm_deletes_the_archive_after_success_only(run: Run, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"in the way")
    assert run("decompress", archive, "-C", "out", "--rm").code == 1
    assert archive.exists()
    assert run("decompress", archive, "-C", "other", "--rm").code == 0
    assert not archive.exists()
    assert len(tree(tmp_path / "other")) == 6


def test_rm_keeps_an_archive_of_which_something_is_missing(run: Run, several: Path, tmp_path: Path) -> None:
    start, _ = chunks(several, "DATA")[-1]
    flip(several, start + 5)
    done = run("decompress", several, "-C", "out", "--rm")
    assert done.code == 1 and several.exists()
    assert any("not deleted" in line for line in done.err)


def test_limits(run: Run, archive: Path, tmp_path: Path) -> None:
    """A limit is not a damage, and what is within it comes."""
    done = run("decompress", archive, "-C", "out", "--max-pixels", "100")
    assert done.code == 1
    assert len(done.err) == 1 and "over the limit of 100" in done.err[0]


def test_an_archive_that_is_none(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run("decompress", "in/0.npy")
    assert (done.code, done.err) == (1, ["bitsback: in/0.npy: not a bitsback archive"])
    assert run("decompress", "in").err == ["bitsback: in: is a directory"]
    (tmp_path / "empty").touch()
    assert run("decompress", "empty").err == ["bitsback: empty: not a bitsback archive: the file is empty"]
