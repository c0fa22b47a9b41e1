"""Decoded blocks in a folder: the same images, or decoded anew."""

from pathlib import Path

import numpy as np
import pytest

import bitsback
from bitsback.archive import Archive
from bitsback.archive.pixels import Pixels

RNG = np.random.default_rng(3)
DEEP = RNG.integers(0, 1 << 16, (3, 4, 5, 3), np.uint16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Blocks of 8 and 16 bits, one of two shapes."""
    (tmp_path / "in").mkdir()
    for name, array in {
        "a": RNG.integers(0, 9, (5, 6), np.uint8),
        "b": np.ones((7, 6), np.uint8),
        "deep": DEEP,
    }.items():
        np.save(tmp_path / "in" / f"{name}.npy", array)
    bitsback.compress(tmp_path / "in", tmp_path / "a.bba", model="none")
    return tmp_path / "a.bba"


def images(path: Path, keep: Path | None = None) -> list[tuple[str, list[int]]]:
    with Archive(path, keep=keep) as archive:
        return [(str(image.dtype), image.tolist()) for image in archive]


def test_the_same_images_whatever_happens_to_the_folder(path: Path, tmp_path: Path) -> None:
    kept, wanted = tmp_path / "kept", images(path)
    assert images(path, kept) == images(path, kept) == wanted
    files = sorted(kept.iterdir())
    assert len(files) >= 2 and sum(file.stat().st_size for file in files) == 30 + 42 + DEEP.nbytes
    for damage in (lambda data: data[:-1], lambda data: b"", lambda data: data + b"x", lambda data: bytes(len(data))):
        for file in files:
            file.write_bytes(damage(file.read_bytes()))
        assert images(path, kept) == wanted
    assert sorted(kept.iterdir()) == files


def test_what_cannot_be_kept_is_an_error_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        images(path, tmp_path / "file")


def test_none_for_what_is_not_there(path: Path, tmp_path: Path) -> None:
    with Archive(path) as archive:
        data, which = archive.block_of(0)
        assert Pixels(tmp_path / "nowhere").load(data.head.blocks[which]) is None
