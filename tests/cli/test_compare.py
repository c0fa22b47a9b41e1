"""``bitsback compare``: every difference, and nothing else."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((8, 9), 40 * number + 1, np.uint8)).save(folder / f"{number}.png")
    (folder / "text").write_text("text")
    (folder / "link").symlink_to("text")
    return folder


def test_what_is_the_same(run: Run, tree: Path) -> None:
    assert run("compress", "in").code == 0
    for sides in (("in.bba", "in"), ("in", "in.bba"), ("in.bba", "in.bba"), ("in", "in")):
        done = run("compare", *sides)
        assert (done.code, done.out, done.err) == (0, b"", ["0 differences"])


def test_each_difference(run: Run, tree: Path) -> None:
    assert run("compress", "in").code == 0
    before = (tree / "0.png").stat()
    other = Image.fromarray(np.full((8, 9), 2, np.uint8))
    other.save(tree / "0.png")
    assert (tree / "0.png").stat().st_size == before.st_size  # only the content tells
    os.utime(tree / "0.png", ns=(before.st_mtime_ns, before.st_mtime_ns))
    (tree / "1.png").chmod(0o600)
    (tree / "2.png").unlink()
    (tree / "new").write_text("")
    (tree / "link").unlink()
    (tree / "link").symlink_to("new")
    (tree / "text").unlink()
    (tree / "text").mkdir()
    lines = ["! in  time", "! in/0.png  content", "! in/1.png  mode", "- in/2.png", "! in/link  target, time"]
    lines += ["+ in/new", "! in/text  type"]
    done = run("compare", "in.bba", "in")
    assert (done.code, done.out.decode().splitlines()) == (3, lines)
    found = [json.loads(line) for line in run("compare", "in", "in.bba", "--json").out.splitlines()]
    assert {one["name"]: one["differs"] for one in found}["in/2.png"] == ["second"]


def test_pixels_count_where_no_more_was_kept(run: Run, tree: Path) -> None:
    assert run("compress", "in", "--pixels").code == run("compress", "in", "-o", "exact.bba").code == 0
    assert run("compare", "in.bba", "exact.bba").code == 0
    with Image.open(tree / "1.png") as image:
        image.load()
    image.save(tree / "1.png", compress_level=0)
    assert [line.split()[1:] for line in run("compare", "exact.bba", "in").out.decode().splitlines()] == [
        ["in/1.png", "content,", "time"]
    ]
    assert b"content" not in run("compare", "in.bba", "in").out
    image.putpixel((3, 3), 7)
    image.save(tree / "1.png")
    assert b"! in/1.png  content" in run("compare", "in.bba", "in").out


def test_what_cannot_be_compared(run: Run, tree: Path, tmp_path: Path) -> None:
    assert run("compress", "in").code == 0
    done = run("compare", "in.bba", "nowhere")
    assert done.code == 1 and done.err == ["bitsback: nowhere: no such file or directory"]
    done = run("compare", "in.bba", "in/text")
    assert done.code == 1 and done.err[0].startswith("bitsback: in/text: not a bitsback archive")
    data = bytearray((tmp_path / "in.bba").read_bytes())
    data[data.index(b"text") if b"text" in data else len(data) // 3] ^= 1
    (tmp_path / "bad.bba").write_bytes(data)
    done = run("compare", "in", "bad.bba")
    assert done.code == 1 and done.err[0].startswith("bitsback: bad.bba: ")
