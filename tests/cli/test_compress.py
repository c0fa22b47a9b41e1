import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitsback

Run = Callable[..., Any]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_becomes_an_archive_beside_it(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run("compress", "in")
    assert (done.code, done.out) == (0, b"")
    assert names(tmp_path) == ["in", "in.bba"]
    assert len(done.err) == 1
    start, size, ratio, rate, seconds = done.err[0].split(", ")
    assert start == "5 images and 1 other file"
    assert size.startswith("5.39 kB -> ")
    assert ratio.startswith("ratio ") and rate.endswith(" bits/dim") and seconds.endswith(" s")
    assert stat.S_IMODE((tmp_path / "in.bba").stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_verbose_says_what_was_stored_how(run: Run, folder: Path) -> None:
    lines = run("compress", "in", "-v").err
    assert [line.split(":")[0] for line in lines[:6]] == [*(f"in/{n}.npy" for n in range(5)), "in/text.txt"]
    assert "predictor" in lines[0] and "packed" in lines[5]


def test_json_on_standard_output(run: Run, folder: Path) -> None:
    (folder / "link").symlink_to("0.npy")
    done = run("compress", "in", "--json", "-q")
    assert (done.code, done.err) == (3, [])
    facts = json.loads(done.out)
    assert facts["output"] == "in.bba" and facts["images"] == 5 and facts["files"] == 6
    assert facts["bytes_out"] == Path("in.bba").stat().st_size
    assert facts["members"][5] == {
        "name": "in/text.txt", "size": 250, "images": 0, "route": "packed",
        "reason": "kept byte by byte", "exact": True,
    }  # fmt: skip
    assert facts["skipped"] == [{"name": "in/link", "reason": "symbolic link"}]


def test_what_is_skipped_is_named_and_gives_3(run: Run, folder: Path) -> None:
    (folder / "link").symlink_to("0.npy")
    done = run("compress", "in")
    assert done.code == 3
    assert "skipped in/link: symbolic link" in done.err


def test_an_existing_output_is_left_alone(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.bba").write_bytes(b"mine")
    done = run("compress", "in")
    assert (done.code, done.err) == (1, ["bitsback: in.bba: is already there (--force overwrites)"])
    assert (tmp_path / "in.bba").read_bytes() == b"mine"
    assert run("compress", "in", "--force").code == 0
    assert bitsback.open((tmp_path / "in.bba").read_bytes()).names[0] == "in/0.npy"
    assert names(tmp_path) == ["in", "in.bba"]


def test_an_input_is_never_the_output(run: Run, folder: Path) -> None:
    before = (folder / "0.npy").read_bytes()
    done = run("compress", "in/0.npy", "-o", "in/0.npy", "--force")
    assert (done.code, done.err) == (1, ["bitsback: in/0.npy: is both an input and the output"])
    assert (folder / "0.npy").read_bytes() == before


def test_missing_and_empty_inputs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert run("compress", "nowhere").err == ["bitsback: nowhere: no such file or directory"]
    done = run("compress", "none")
    assert (done.code, done.err) == (1, ["bitsback: nothing to store; none: empty folder"])
    assert names(tmp_path) == ["none"]


def test_a_missing_target_folder(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run("compress", "in", "-o", "no/where.bba")
    assert done.code == 1 and len(done.err) == 1 and "no such file" in done.err[0]


def test_an_unknown_model(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run("compress", "in", "-m", "marvel")
    assert done.code == 1 and len(done.err) == 1 and "'marvel'" in done.err[0]
    assert names(tmp_path) == ["in"]


def test_standard_input_and_output(run: Run, folder: Path) -> None:
    data = (folder / "2.npy").read_bytes()
    done = run("compress", "-", "--stdin-name", "two.npy", stdin=data)
    assert done.code == 0
    archive = bitsback.open(done.out)
    assert archive.names == ["two.npy"] and archive.read("two.npy") == data
    assert run("decompress", "-", "-o", "-", stdin=done.out).out == data
    assert run("compress", "-", "--stdin-name", "../x", stdin=data).code == 1


def test_names_from_a_file(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"in/1.npy\0in/text.txt\0")
    assert run("compress", "--files0-from", "list", "-o", "a.bba").code == 0
    assert bitsback.open((tmp_path / "a.bba").read_bytes()).names == ["1.npy", "text.txt"]


def test_bytes_do_not_depend_on_threads(run: Run, folder: Path, tmp_path: Path) -> None:
    for threads in ("1", "2", "0"):
        assert run("compress", "in", "-o", f"{threads}.bba", "-T", threads).code == 0
    assert len({(tmp_path / f"{threads}.bba").read_bytes() for threads in (1, 2, 0)}) == 1


def test_rm_deletes_what_was_stored_and_only_that(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to("0.npy")
    assert run("compress", "in", "--rm").code == 3
    assert names(folder) == ["link"]
    assert len(bitsback.decompress(tmp_path / "in.bba", tmp_path / "out")) == 6


def test_rm_deletes_nothing_when_it_fails(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.bba").write_bytes(b"mine")
    assert run("compress", "in", "--rm").code == 1
    assert len(names(folder)) == 6


def test_a_damaged_image_is_kept_and_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    done = run("compress", "bad.png")
    assert done.code == 0 and "bad.png" in done.err[0] and len(done.err) == 2
    assert bitsback.open((tmp_path / "bad.png.bba").read_bytes()).read("bad.png") == b"\x89PNG\r\n\x1a\nnot really"


def test_limits(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run("compress", "in", "-M", "500", "-o", "a.bba").code == 3
    assert bitsback.open((tmp_path / "a.bba").read_bytes()).names == ["in/text.txt"]
    assert run("compress", "in", "--max-pixels", "899", "-o", "b.bba").code == 0
    assert len(bitsback.open((tmp_path / "b.bba").read_bytes())) == 0


def test_no_escape_sequence_reaches_the_terminal(run: Run, folder: Path) -> None:
    (folder / "a\x1b[2Jb").write_bytes(b"")
    done = run("compress", "in")
    assert done.code == 3
    assert not any("\x1b" in line for line in done.err)


@pytest.mark.parametrize("text", ["1", "500M", "2GiB", "3 kB", "1kib"])
def test_sizes(text: str) -> None:
    from bitsback.cli.options import Size

    sizes = {"1": 1, "500M": 500_000_000, "2GiB": 1 << 31, "3 kB": 3000, "1kib": 1024}
    assert Size().convert(text, None, None) == sizes[text]


def test_no_verify_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros((3, 9, 9), np.uint8))
    assert (
        run("compress", "-", stdin=stream.getvalue()).out
        == run("compress", "-", "--no-verify", stdin=stream.getvalue()).out
    )
