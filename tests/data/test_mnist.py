import gzip
from pathlib import Path

import numpy as np
import pytest

from bitsback.data import mnist
from bitsback.errors import ImageError
from helpers import idx

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_images_with_and_without_gzip(tmp_path: Path, suffix: str) -> None:
    idx(tmp_path / f"{mnist.TEST}{suffix}", IMAGES)
    found = mnist.load(tmp_path, mnist.TEST)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[..., 0], IMAGES)


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00\x08\x03 and nothing", b"\x1f\x8b\x08", gzip.compress(b"a text", mtime=0)]
)
def test_damaged_data(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{mnist.TEST}.gz").write_bytes(content)
    with pytest.raises(ImageError, match=f"{mnist.TEST}.gz: not an IDX file of 28x28 images"):
        mnist.load(tmp_path, mnist.TEST)


def test_images_of_another_size(tmp_path: Path) -> None:
    idx(tmp_path / mnist.TEST, IMAGES[:, :20])
    with pytest.raises(ImageError, match="not an IDX file of 28x28 images"):
        mnist.load(tmp_path, mnist.TEST)


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="holds no train-images"):
        mnist.load(tmp_path, mnist.TRAIN)


def test_binarised_once() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8), 100).reshape(-1, 256)
    drawn = mnist.binarised(grey)
    assert drawn.dtype == np.uint8 and set(np.unique(drawn)) == {0, 1}
    assert not drawn[grey == 0].any() and drawn[grey == 255].all()
    assert drawn.mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_array_equal(mnist.binarised(grey), drawn)
