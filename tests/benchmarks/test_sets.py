from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from helpers import DATA, needs_kodak


def test_a_large_photo_has_the_size_asked_for() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape, np.uint8) for shape in ((24, 20, 3), (24, 20, 3), (20, 24, 3))]
    large = import_module("sets").large_photo(images, 70, 90)
    assert large.shape == (70, 90, 3)
    assert np.array_equal(large[:20, :24], images[0].swapaxes(0, 1))


def test_missing_photos_are_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="kodak"):
        import_module("sets").kodak(tmp_path)


@needs_kodak
@pytest.mark.data
def test_sets_are_what_they_are_said_to_be() -> None:
    sets = import_module("sets")
    assert len(sets.kodak(DATA)) == 24 and sets.pixels(sets.kodak(DATA, 1)[0]).shape == (512, 768, 3)
    assert {image.shape for image in sets.thumbnails(DATA, 3)} == {(32, 32, 3)}
    for name, shape in (("mri16", (384, 274)), ("depth16", (480, 640))):
        assert {(image.shape, image.dtype.name) for image in sets.collection(name, DATA)} == {(shape, "uint16")}
