import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from bitsback.kinds.ycbcr import from_rgb, to_rgb, were_ycbcr


def decoded(height: int, width: int, quality: int, subsampling: int, seed: int) -> np.ndarray:
    """What Pillow makes of a JPEG file of a drawn picture, (1, H, W, 3), with much that is held within bounds."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / rng.uniform(3, 40) + y / rng.uniform(3, 40) + c) for c in range(3)]
    picture = (128 + 170 * np.stack(waves, axis=2) + rng.normal(0, 9, (height, width, 3))).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file))[None]


@given(arrays(np.uint8, st.tuples(st.integers(0, 40), st.integers(3, 5))))
def test_whatever_was_ycbcr_is_found(pixels: np.ndarray) -> None:
    colours = to_rgb(pixels)
    found = from_rgb(colours)
    assert found is not None and (to_rgb(found) == colours).all()
    assert (found[:, 3:] == pixels[:, 3:]).all()


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.just(3))))
def test_nothing_is_found_that_is_not_so(colours: np.ndarray) -> None:
    found = from_rgb(colours)
    assert found is None or (to_rgb(found) == colours).all()


@pytest.mark.parametrize(("quality", "subsampling"), [(30, 2), (75, 1), (95, 0), (100, 2)])
def test_jpeg_decoders_are_followed(quality: int, subsampling: int) -> None:
    """All that Pillow's decoder makes, by the formulas that it uses, comes back; so do parts of it, and turned ones."""
    images = decoded(90, 110, quality, subsampling, quality)
    assert were_ycbcr(images) and were_ycbcr(images[:, 5:, 3:]) and were_ycbcr(images.transpose(0, 2, 1, 3)[:, ::-1])
    assert were_ycbcr(np.concatenate([images, images[..., :1]], axis=3))


def test_what_was_not_ycbcr_is_not_taken_for_it() -> None:
    images = decoded(90, 110, 90, 0, 0)
    painted = images.copy()
    painted[0, 40, 50] = (200, 31, 17)
    assert from_rgb(painted[0, 40, 50:51]) is None
    blurred = ((images[:, 1:].astype(np.uint16) + images[:, :-1]) // 2).astype(np.uint8)
    grey = images[..., :1].repeat(3, axis=3)
    few = np.array([[200, 100, 90], [10, 20, 31]], np.uint8)[np.arange(9000) % 2].reshape(1, 90, 100, 3)
    for other in (painted, blurred, grey, few, images[..., :1], images.astype(np.uint16)):
        assert not were_ycbcr(other)


def test_bounds_are_not_searched_for_ever() -> None:
    """Colours within bounds that nothing comes from: the search gives up."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (1 << 16, 3), np.uint8)
    colours[:, 0] = 255
    assert from_rgb(colours) is None
