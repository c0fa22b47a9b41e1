import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bitsback.kinds.shift import moving, shift, shifts


@given(st.integers(-12, 12), st.integers(-20, 20), st.integers(0, 3))
def test_how_far_content_moved_is_found(down: int, right: int, noise: int) -> None:
    rng = np.random.default_rng(abs(down) + 99)
    wide = np.cumsum(rng.normal(0, 9, (70, 110, 3)), axis=1).clip(-99, 99) + 120
    views = np.stack([wide[15:55, 25:85], wide[15 + down : 55 + down, 25 + right : 85 + right]])
    views = (views + rng.integers(0, noise + 1, views.shape)).astype(np.uint8)
    assert shift(*views) == (down, right) and shifts(views) == [(down, right)]
    assert moving(views) == ((down, right) != (0, 0))


def test_what_does_not_move() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, 40, 60, 1)).astype(np.uint8)
    assert not moving(noise) and not moving(noise[:1]) and not moving(noise[:, :5])
    assert not moving(np.full((2, 30, 30, 1), 7, np.uint8))
