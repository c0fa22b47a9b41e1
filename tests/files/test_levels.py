import numpy as np
import pytest

from bitsback.files import levels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_two_values(dtype):
    images = np.random.default_rng(0).choice(np.array([3, 200], dtype), (5, 40, 40, 1))
    assert levels(images) == (3, 200)
    images[-1, -1, -1] = 4  # beyond the part that is looked at first
    assert levels(images) is None


def test_borders():
    assert levels(np.full((2, 3, 3, 1), 9, np.uint8)) == (9, 9)
    assert levels(np.zeros((0, 3, 3, 1), np.uint8)) is None
    assert levels(np.arange(3, dtype=np.uint8)) is None
    assert all(type(value) is int for value in levels(np.array([0, 1], np.uint16)))
