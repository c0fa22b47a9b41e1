from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitsback.data.collection import Collection
from bitsback.data.look import look
from bitsback.data.types import ImageType
from bitsback.errors import ImageError
from data.pictures import noise, save


def test_the_majority_and_the_others(tmp_path: Path) -> None:
    save(tmp_path, **{f"x{k}": noise(8 + k, 9, 3) for k in range(7)})
    save(tmp_path, grey=noise(8, 8), alpha=noise(8, 8, 4), deep=noise(8, 8).astype(np.uint16) * 257)
    Image.fromarray(noise(8, 8, 3)).quantize(9).save(tmp_path / "palette.png")
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    s = look(Collection.open([tmp_path]))
    assert s.type == ImageType(3)
    assert s.others == {"8-bit grey": 1, "8-bit RGBA": 1, "16-bit grey": 1, "palette": 1}
    assert (s.images, s.looked) == (12, 12)
    assert [one.name.rpartition("/")[2] for one in s.skipped] == ["damaged.png"]
    assert s.shape is None and s.heights == (8, 11, 14) and s.widths == (9, 9, 9) and s.edge == 11
    assert s.mean_samples == 11 * 9 * 3
    assert s.words.startswith("12 images, 8-bit RGB, 9 x 8 to 14 pixels; of 12 looked at are left out: ")
    assert "1 16-bit grey" in s.words and "1 unreadable" in s.words


def test_drawings_are_told_from_photos() -> None:
    photo = look(Collection.of_array(noise(30, 20, 30)))
    assert photo.flat < 0.02 and photo.flat_above < 0.02 and photo.distinct > 200
    drawing = look(Collection.of_array(noise(30, 20, 1, 3).repeat(30, 2)))
    assert drawing.flat == 1 and drawing.flat_above < 0.02
    assert drawing.shape == (20, 30, 3)
    assert "left out" not in drawing.words


def test_arrays_of_two_values_and_blank_images() -> None:
    two = (noise(30, 8, 8) > 100) * np.uint8(255)
    two[3] = 0
    assert look(Collection.of_array(two)).type == ImageType(1, 2)
    two[5, 0, 0] = 7  # one image of three values: so is the array
    assert look(Collection.of_array(two)).type == ImageType(1)
    grey = noise(5, 8, 8)
    grey[2:] = 255
    s = look(Collection.of_array(grey))
    assert s.type == ImageType(1) and not s.others


def test_two_valued_files(tmp_path: Path) -> None:
    save(tmp_path, **{f"x{k}": noise(8, 8) > 100 for k in range(3)}, blank=np.zeros((8, 8), bool), grey=noise(8, 8))
    s = look(Collection.open([tmp_path]))
    assert s.type == ImageType(1, 2)
    assert s.others == {"8-bit grey": 1}


@pytest.mark.parametrize("image", [noise(8, 8).astype(np.uint16) * 256, np.dstack([noise(8, 8) & 128] * 3)])
def test_what_no_model_can_be_for(image: np.ndarray) -> None:
    c = Collection.of_array([image] * 5)
    with pytest.raises(ImageError, match=r"images \(all\): no network models these yet; compress"):
        look(c)


def test_sixteen_bits_that_need_eight() -> None:
    """They count as 8 bits, unless one of them needs more: compress takes all of them together."""
    narrow = noise(5, 8, 8).astype(np.uint16)
    assert look(Collection.of_array(narrow)).type == ImageType(1)
    narrow[3, 0, 0] = 256
    with pytest.raises(ImageError, match=r"16-bit grey images \(all\)"):
        look(Collection.of_array(narrow))


def test_nothing_readable(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"none of 3 images can be read \(.*0\.png: an empty file, and 2 more\)"):
        look(Collection.open([tmp_path]), threads=1)
