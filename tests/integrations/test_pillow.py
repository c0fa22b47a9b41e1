"""Archives as images of Pillow: what is saved is what is opened, frame by frame."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence, UnidentifiedImageError

import bitsback
from bitsback.integrations import pillow

MODES = {"L": (1, np.uint8), "LA": (2, np.uint8), "RGB": (3, np.uint8), "RGBA": (4, np.uint8), "I;16": (1, np.uint16)}


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    before = (dict(Image.OPEN), list(Image.ID), dict(Image.SAVE), dict(Image.SAVE_ALL), dict(Image.EXTENSION))
    pillow.register()
    yield
    for kept, now in zip(before, (Image.OPEN, Image.ID, Image.SAVE, Image.SAVE_ALL, Image.EXTENSION), strict=True):
        now.clear()
        now.extend(kept) if isinstance(now, list) else now.update(kept)  # type: ignore[func-returns-value]


def picture(mode: str, seed: int, height: int = 5, width: int = 7) -> Image.Image:
    channels, dtype = MODES[mode]
    shape = (height, width) if channels == 1 else (height, width, channels)
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 250, shape).astype(dtype))
    assert image.mode == mode
    return image


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.size == other.size and np.array_equal(np.asarray(one), np.asarray(other))


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(sorted(MODES)), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
def test_what_is_saved_is_opened(mode: str, count: int, height: int, width: int) -> None:
    images = [picture(mode, seed, height, width) for seed in range(count)]
    stream = io.BytesIO()
    images[0].save(stream, "BITSBACK", save_all=count > 1, append_images=images[1:], model="none")
    with Image.open(stream) as opened:
        assert opened.format == "BITSBACK" and opened.n_frames == count  # type: ignore[attr-defined]
        found = [frame.copy() for frame in ImageSequence.Iterator(opened)]
        assert all(map(same, found, images))
        opened.seek(0)
        assert same(opened, images[0])
        with pytest.raises(EOFError):
            opened.seek(count)


def test_files_of_several_kinds(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, mode in (("a.jpg", "RGB"), ("b.png", "L"), ("c.png", "RGBA")):
        picture(mode, 3, 9, 8).save(folder / name)
    np.save(folder / "d.npy", np.zeros((2, 3, 4, 3), np.uint16))
    bitsback.compress(folder, tmp_path / "a.bba")
    with Image.open(tmp_path / "a.bba") as opened:
        names = []
        for frame, name in enumerate(("a.jpg", "b.png", "c.png")):
            opened.seek(frame)
            names.append(opened.info["name"].rsplit("/", 1)[-1])
            with Image.open(folder / name) as file:
                assert same(opened, file)
        assert names == ["a.jpg", "b.png", "c.png"]
        with pytest.raises(OSError, match="image 3 has 3 channels of uint16"):
            opened.seek(3)


def test_what_cannot_be(tmp_path: Path) -> None:
    for image in (picture("L", 0).convert("P"), picture("L", 0).convert("F")):
        with pytest.raises(OSError, match=f"cannot write mode {image.mode}"):
            image.save(tmp_path / "a.bba")
    with pytest.raises(OSError, match="one size"):
        picture("L", 0).save(tmp_path / "a.bba", save_all=True, append_images=[picture("L", 0, 6)])
    (tmp_path / "text").write_text("text")
    bitsback.compress(tmp_path / "text", tmp_path / "none.bba")
    with pytest.raises(OSError, match="no images"):
        Image.open(tmp_path / "none.bba")
    (tmp_path / "cut.bba").write_bytes((tmp_path / "none.bba").read_bytes()[:-9])
    with pytest.raises(UnidentifiedImageError):
        Image.open(tmp_path / "cut.bba")
