import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bitsback

Run = Callable[..., Any]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_comes_back(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    done = run("decompress", archive, "-C", "out")
    assert (done.code, done.out, len(done.err)) == (0, b"", 1)
    assert tree(tmp_path / "out" / "in") == tree(folder)
    for path in folder.iterdir():
        assert (tmp_path / "out" / "in" / path.name).stat().st_mtime_ns == path.stat().st_mtime_ns


def test_a_second_run_changes_nothing(run: Run, archive: Path, tmp_path: Path) -> None:
    run("decompress", archive, "-C", "out")
    (tmp_path / "out" / "in" / "text.txt").write_bytes(b"changed")
    (tmp_path / "out" / "in" / "3.npy").unlink()
    before = tree(tmp_path / "out")
    done = run("decompress", archive, "-C", "out")
    assert done.code == 1 and len(done.err) == 1 and "out/in/0.npy: is already there" in done.err[0]
    assert tree(tmp_path / "out") == before
    done = run("decompress", archive, "-C", "out", "--skip-existing", "--json")
    assert done.code == 3
    assert len(json.loads(done.out)["kept"]) == 5 and len(json.loads(done.out)["written"]) == 1
    assert (tmp_path / "out" / "in" / "text.txt").read_bytes() == b"changed"
    assert run("decompress", archive, "-C", "out", "--force").code == 0
    assert (tmp_path / "out" / "in" / "text.txt").read_bytes() == b"text " * 50


def test_chosen_files_and_stripped_names(run: Run, archive: Path, tmp_path: Path) -> None:
    assert run("decompress", archive, "in/[01].npy", "in/text.txt", "-C", "out", "--strip-components", "1").code == 0
    assert sorted(tree(tmp_path / "out")) == ["0.npy", "1.npy", "text.txt"]
    done = run("decompress", archive, "nobody", "-C", "other")
    assert (done.code, done.err) == (1, [f"bitsback: {archive}: 'nobody': no file of that name in the archive"])


def test_one_file_under_a_name_or_to_standard_output(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    assert run("decompress", archive, "in/1.npy", "-o", "one.npy").code == 0
    assert (tmp_path / "one.npy").read_bytes() == (folder / "1.npy").read_bytes()
    assert run("decompress", archive, "in/1.npy", "-o", "one.npy").code == 1
    assert run("decompress", archive, "in/text.txt", "-o", "-").out == b"text " * 50
    assert run("decompress", archive, "-o", "-").code == 1


def test_standard_input(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    assert run("decompress", "-", "-C", "out", stdin=archive.read_bytes()).code == 0
    assert tree(tmp_path / "out" / "in") == tree(folder)


def test_damage_is_an_error_and_what_is_whole_can_be_had(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    data = bytearray(archive.read_bytes())
    with bitsback.open(archive) as opened:
        data[opened.chunks[0].block.payload_offset] ^= 1
    archive.write_bytes(data)
    done = run("decompress", archive, "-C", "out")
    assert done.code == 1 and len(done.err) == 1
    assert done.err[0].startswith(f"bitsback: {archive}: block at byte 24, 'in/0.npy' to 'in/4.npy' (5 files): ")
    assert tree(tmp_path / "out") == {} if (tmp_path / "out").exists() else True
    done = run("decompress", archive, "-C", "saved", "--allow-damaged")
    assert done.code == 1
    assert tree(tmp_path / "saved") == {"in/text.txt": b"text " * 50}
    assert len([line for line in done.err if line.startswith("bitsback: lost in/")]) == 5


@pytest.mark.parametrize("keep", [10, 100, 400])
def test_cut_archives(run: Run, archive: Path, tmp_path: Path, keep: int) -> None:
    archive.write_bytes(archive.read_bytes()[:keep])
    done = run("decompress", archive, "-C", "out")
    assert done.code == 1 and len(done.err) == 1
    assert run("decompress", archive, "-C", "out", "--allow-damaged").code == 1


def test_rm_deletes_the_archive_after_success_only(run: Run, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"in the way")
    assert run("decompress", archive, "-C", "out", "--rm").code == 1
    assert archive.exists()
    assert run("decompress", archive, "-C", "other", "--rm").code == 0
    assert not archive.exists()
    assert len(tree(tmp_path / "other")) == 6


def test_limits(run: Run, archive: Path) -> None:
    done = run("decompress", archive, "-C", "out", "-M", "300")
    assert done.code == 1 and len(done.err) == 1 and "memory limit of 300" in done.err[0]
    done = run("decompress", archive, "-C", "out", "--max-pixels", "100")
    assert done.code == 1 and len(done.err) == 1 and "over the limit of 100" in done.err[0]


def test_an_archive_that_is_none(run: Run, folder: Path) -> None:
    done = run("decompress", folder / "0.npy")
    assert (done.code, done.err) == (1, [f"bitsback: {folder / '0.npy'}: not a bitsback archive"])
    assert run("decompress", folder).code == 1
