"""What a page shows of an archive."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import bitsback
from bitsback.errors import ImageError
from bitsback.view import export
from bitsback.view.gallery import Gallery, visible


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, a JPEG file, a stack of 16 bits, a text."""
    folder = tmp_path_factory.mktemp("in")
    for number in range(20):
        image = np.zeros((28, 28), np.uint8)
        image[4:24, 4 + number % 10 : 8 + number % 10] = 255
        Image.fromarray(image).save(folder / f"digit-{number:02}.png")
    noise = np.random.default_rng(0).integers(0, 60, (40, 50))
    photo = np.add.outer(np.arange(40), np.arange(50)) + noise
    Image.fromarray(photo.astype(np.uint8)).save(folder / "photo.jpg", quality=98)
    np.save(folder / "stack.npy", np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9) * 99)
    (folder / "text").write_text("text")
    bitsback.compress(folder, out := folder.parent / "a.bba", model="digits-binary")
    return out


def pixels(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_lists(archive: Path) -> None:
    with bitsback.open(archive) as opened:
        gallery = Gallery(opened)
        total, images = gallery.list()
        assert total == len(gallery) == len(images) == 24
        assert [one.number for one in images] == list(range(24))
        assert {one.name.rpartition("/")[2] for one in images[20:]} == {"photo.jpg", "stack.npy"}
        total, images = gallery.list(2, 3, "DIGIT-1")
        assert (total, [one.number for one in images], images[0][2:]) == (10, [12, 13, 14], (28, 28))
        assert gallery.list(99, 5) == (24, []) and gallery.list(0, 5, "nowhere") == (0, [])


def test_pictures_and_facts(archive: Path) -> None:
    with bitsback.open(archive) as opened:
        gallery = Gallery(opened)
        np.testing.assert_array_equal(pixels(gallery.picture(3)), opened[3])
        assert pixels(gallery.picture(20)).shape == (40, 50) and pixels(gallery.picture(20, 16)).shape == (13, 16)
        assert pixels(gallery.picture(23)).max() == 255
        facts = gallery.facts(22)
        assert (facts["place"], facts["of"], facts["shape"], facts["dtype"]) == (1, 3, (8, 9, 1), "uint16")
        assert gallery.facts(3)["bits"] and not gallery.facts(20)["bits"] and not gallery.facts(22)["bits"]
        assert pixels(gallery.bits(3)).shape == (28, 28)
        with pytest.raises(ImageError):
            gallery.bits(22)
        assert gallery.sizes(3)["raw"] == 784 and gallery.sizes(3)["PNG"] < 784
        for ask in (gallery.picture, gallery.facts, gallery.bits, gallery.sizes):
            with pytest.raises(IndexError):
                ask(24)


@given(st.sampled_from([np.uint8, np.uint16]), st.integers(1, 6), st.booleans())
def test_all_can_be_shown(dtype: type, channels: int, blank: bool) -> None:
    rng = np.random.default_rng(channels)
    image = rng.integers(0, 1 if blank else np.iinfo(dtype).max, (3, 4, channels)).astype(dtype)
    shown = visible(image[..., 0] if channels == 1 else image)
    assert shown.dtype == np.uint8 and shown.shape == ((3, 4, channels) if 2 <= channels <= 4 else (3, 4))
    Image.fromarray(shown)


def test_a_page_by_itself(archive: Path) -> None:
    with bitsback.open(archive) as opened:
        page = export.page(Gallery(opened), "<a>.bba")
    assert page.count("data:image/png") == 24 and "&lt;a&gt;.bba" in page and "<script" not in page
