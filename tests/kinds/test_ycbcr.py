import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from bitsback.kinds.ycbcr import MATRICES, SHARED, found, from_rgb, to_rgb

matrices = st.integers(0, len(MATRICES) - 1)


def rgb(images: np.ndarray, matrix: int) -> np.ndarray:
    return to_rgb(images.reshape(-1, images.shape[3]), matrix).reshape(images.shape)


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """A drawn picture with much that will be held within bounds, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / rng.uniform(3, 40) + y / rng.uniform(3, 40) + c) for c in range(3)]
    noisy = 128 + 170 * np.stack(waves, axis=2) + rng.normal(0, 9, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def decoded(height: int, width: int, quality: int, subsampling: int) -> np.ndarray:
    """What Pillow makes of a JPEG file, (1, H, W, 3)."""
    file = io.BytesIO()
    Image.fromarray(picture(height, width, quality)).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file))[None]


@given(matrices, arrays(np.uint8, st.tuples(st.just(1), st.integers(1, 6), st.integers(1, 6), st.integers(3, 5))))
@settings(deadline=None)
def test_whatever_was_ycbcr_is_computed_back(matrix: int, images: np.ndarray) -> None:
    colours = rgb(images, matrix)
    back = from_rgb(colours, matrix)
    assert back is not None and (rgb(back, matrix) == colours).all()
    assert (back[..., 3:] == images[..., 3:]).all()


@given(matrices, arrays(np.uint8, (1, 2, 3, 3)), st.sampled_from(SHARED))
@settings(deadline=None)
def test_nothing_is_found_that_is_not_so(matrix: int, colours: np.ndarray, shared: tuple[int, int]) -> None:
    back = from_rgb(colours, matrix, shared)
    assert back is None or (rgb(back, matrix) == colours).all()


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("matrix", range(len(MATRICES)))
def test_matrix_and_shared_chroma_are_found(matrix: int, shared: tuple[int, int]) -> None:
    """Also in pictures with pixels held within bounds, of sizes that no part divides; the chroma is shared then."""
    images = picture(61, 73, 10 * matrix + shared[0])[None]
    images[..., 0] = images[..., 0].clip(30, 220)
    chroma = images[:, :: shared[0], :: shared[1], 1:].repeat(shared[0], axis=1).repeat(shared[1], axis=2)
    images[..., 1:] = 128 + (chroma[:, :61, :73].astype(np.int64) - 128) // 2
    colours = rgb(images, matrix)
    assert ((colours == 0) | (colours == 255)).any()
    assert found(colours) == (matrix, *shared)
    back = from_rgb(colours, matrix, shared)
    assert back is not None
    parts = back[:, :: shared[0], :: shared[1], 1:].repeat(shared[0], axis=1).repeat(shared[1], axis=2)
    assert (parts[:, :61, :73] == back[..., 1:]).all()


@pytest.mark.parametrize(("quality", "subsampling"), [(30, 2), (75, 1), (95, 0), (100, 2)])
def test_jpeg_decoders_are_followed(quality: int, subsampling: int) -> None:
    """All that Pillow's decoder makes, by the formulas that it uses, is found; so are parts of it, and turned ones."""
    images = decoded(90, 110, quality, subsampling)
    for view in (images, images[:, 5:, 3:], images.transpose(0, 2, 1, 3)[:, ::-1]):
        assert found(view) == (0, 1, 1)
    assert found(np.concatenate([images, images[..., :1]], axis=3)) == (0, 1, 1)


def test_what_was_not_ycbcr_is_not_taken_for_it() -> None:
    images = decoded(90, 110, 90, 0)
    painted = images.copy()
    painted[0, 40, 50] = (200, 31, 17)
    assert from_rgb(painted[:, 40:41, 50:51], 0) is None
    blurred = ((images[:, 1:].astype(np.uint16) + images[:, :-1]) // 2).astype(np.uint8)
    grey = images[..., :1].repeat(3, axis=3)
    few = np.array([[200, 100, 90], [10, 20, 31]], np.uint8)[np.arange(9000) % 2].reshape(1, 90, 100, 3)
    for other in (painted, blurred, grey, few, images[..., :1], images.astype(np.uint16)):
        assert found(other) is None


def test_bounds_are_not_searched_for_ever() -> None:
    """Colours within bounds that nothing comes from: the search gives up."""
    colours = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), np.uint8)
    colours[..., 0] = 255
    assert from_rgb(colours, 0) is None
