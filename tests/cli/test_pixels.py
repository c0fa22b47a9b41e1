"""Byte for byte, or pixels and metadata only: what comes back, and what is said of it."""

import gzip
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.conftest import Run
from cli.files import archive_of, tree
from strange import strange_png


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Two images by Pillow, one with few corrections, one that nobody can follow; an array in gzip, and a JPEG."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    drawn = np.repeat(np.repeat(rng.integers(0, 6, (40, 30), np.uint8) * 40, 3, 0), 4, 1)
    Image.fromarray(drawn).save(folder / "a.png", dpi=(300, 300))
    Image.fromarray(drawn[::-1]).save(folder / "b.png", compress_level=1)
    (folder / "few.png").write_bytes(strange_png(drawn, 0.01))
    (folder / "many.png").write_bytes(strange_png(drawn, 1.0))
    Image.fromarray(drawn).save(folder / "photo.jpg")
    array = io.BytesIO()
    np.save(array, drawn[None])
    (folder / "x.npy.gz").write_bytes(gzip.compress(array.getvalue(), 4, mtime=9))
    return folder


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).copy()


def test_every_file_comes_back_and_what_that_takes_is_said(run: Run, shots: Path, tmp_path: Path) -> None:
    done = run("compress", "in", "--model", "none")
    assert done.code == 0 and len(done.err) == 2
    assert done.err[-1].startswith("byte for byte takes ") and done.err[-1].endswith(": --pixels would not")
    assert "1 file (in/few.png)" in done.err[-1] and "leaves 1 file (in/many.png) as they are" in done.err[-1]
    assert run("decompress", "in.bba", "-C", "out").code == 0
    assert tree(tmp_path / "out" / "in") == tree(shots)
    listed = run("list", "in.bba", "-v")
    assert ["corrected" in line for line in listed.out.decode().splitlines()] == [False] * 3 + [True] + [False] * 3
    assert listed.err[-1] == "1 file with corrections, so as to come back byte for byte; 1 image file kept whole"
    told = {
        one["name"]: one for one in json.loads(run("compress", "in", "--json", "-f", "--model", "none").out)["members"]
    }
    assert told["in/few.png"]["corrections"] > 0 and not told["in/few.png"]["unexplained"]
    assert told["in/many.png"]["unexplained"] and told["in/many.png"]["exact"]


def test_pixels_and_metadata_only(run: Run, shots: Path, tmp_path: Path) -> None:
    done = run("compress", "in", "--pixels", "--model", "none")
    assert done.code == 0 and len(done.err) == 1
    members = {member.name: member for member in archive_of(tmp_path / "in.bba").members}
    assert [name for name, member in members.items() if member.pixels_only] == [
        f"in/{name}" for name in ("a.png", "b.png", "few.png", "many.png", "x.npy.gz")
    ]
    listed = [line.split()[0] for line in run("list", "in.bba").out.decode().splitlines()]
    assert listed == ["-"] * 5 + [f"{(shots / 'photo.jpg').stat().st_size:,}", "-"]
    sums = run("list", "in.bba", "--sha256").out.decode().splitlines()
    assert sums == [f"{hashlib.sha256((shots / 'photo.jpg').read_bytes()).hexdigest()}  in/photo.jpg"]
    assert run("decompress", "in.bba", "-C", "out").code == 0
    back, was = tree(tmp_path / "out" / "in"), tree(shots)
    assert back["photo.jpg"] == was["photo.jpg"] and back["many.png"] != was["many.png"]
    assert all(np.array_equal(pixels(back[name]), pixels(was[name])) for name in was if name.endswith(".png"))
    assert gzip.decompress(back["x.npy.gz"]) == gzip.decompress(was["x.npy.gz"])
    with Image.open(io.BytesIO(back["a.png"])) as image:
        assert round(image.info["dpi"][0]) == 300


def test_pixels_are_asked_for_of_each_member(run: Run, shots: Path, tmp_path: Path) -> None:
    """A flag of each: an archive may hold both."""
    assert run("compress", "in/a.png", "-o", "a.bba", "--model", "none").code == 0
    assert run("add", "a.bba", "in/b.png", "--pixels", "--model", "none").code == 0
    assert [member.pixels_only for member in archive_of(tmp_path / "a.bba").members] == [False, True]
    assert run("test", "a.bba").code == 0
