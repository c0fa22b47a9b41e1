"""Archives as images of imageio: what is written is read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import bitsback

iio = pytest.importorskip("imageio.v3")

IMAGES = np.random.default_rng(0).integers(0, 9, (3, 8, 6, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    from imageio import config

    from bitsback.integrations import imageio

    imageio.register()
    imageio.register()
    assert sum(one.extension == ".bba" for one in config.extension_list) == 1
    yield
    del config.known_plugins["bitsback"], config.known_extensions[".bba"]
    config.extension_list.pop()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.bba"
    iio.imwrite(path, IMAGES, model="none")
    assert np.array_equal(iio.imread(path, index=1), IMAGES[1])
    assert np.array_equal(iio.imread(path, index=...), IMAGES)
    assert all(map(np.array_equal, iio.imiter(path), IMAGES))
    assert iio.improps(path).shape == (8, 6, 3) and iio.improps(path, index=...).n_images == 3
    assert iio.immeta(path, index=2)["name"] == "array.npy"
    with pytest.raises(IndexError):
        iio.imread(path, index=3)


@pytest.mark.parametrize("image", [IMAGES[0], IMAGES[0, ..., 0], IMAGES[..., 0].astype(np.uint16) * 999])
def test_in_memory(image: np.ndarray) -> None:
    batch = image.dtype == np.uint16
    data = iio.imwrite("<bytes>", image, extension=".bba", model="none", is_batch=batch)
    assert np.array_equal(iio.imread(data, extension=".bba", index=... if batch else 0), image)


def test_files_of_several_shapes(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.png", IMAGES[0])
    iio.imwrite(tmp_path / "b.jpg", IMAGES[1][:, :5])
    archive = tmp_path / "a.bba"
    bitsback.compress([tmp_path / "a.png", tmp_path / "b.jpg"], archive)
    assert iio.improps(archive, index=1).shape == (8, 5, 3)
    assert np.array_equal(iio.imread(archive), IMAGES[0])
    with pytest.raises(ValueError, match="several shapes"):
        iio.imread(archive, index=...)
    archive.write_bytes(archive.read_bytes()[:-9])
    with pytest.raises(OSError):
        iio.imread(archive, plugin="bitsback")
