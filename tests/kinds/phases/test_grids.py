import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.kinds.phases.grids import NEAR, ORIGINS, PHASES, depth, offsets, place, steps, taps
from bitsback.kinds.phases.network import MAX_REACH

sides = st.integers(1, 25)


def where(step, height: int, width: int) -> np.ndarray:
    """The places of a step's samples in an image of one channel, flattened."""
    start, row, column = place(step, width, 1)
    found: np.ndarray = start + np.arange(step.height)[:, None] * row + np.arange(step.width) * column
    return found.ravel()


@given(height=sides, width=sides)
def test_every_sample_has_its_turn_once(height: int, width: int) -> None:
    found = [np.array([0]), *(where(step, height, width) for step in steps(height, width))]
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(height * width))
    assert len(found) <= 1 + 3 * depth(height, width)


@settings(deadline=None, max_examples=30)
@given(height=sides, width=sides, reach=st.integers(1, 4), channels=st.integers(1, 4))
def test_taps_are_known_and_where_they_should_be(height: int, width: int, reach: int, channels: int) -> None:
    known, inside = {0}, 0
    for step in steps(height, width):
        rows, columns = offsets(step, reach, height, width, channels)
        assert rows.shape == (step.height, len(taps(step.phase, reach)))
        there = (rows[:, None] + columns).reshape(-1, rows.shape[1])
        assert not (there % channels).any() and set((there // channels).ravel()) <= known
        known |= set(where(step, height, width))
        # Of samples whose surroundings are inside, taps are at the distance that they say
        y0, x0 = PHASES[step.phase]
        rows_there, columns_there = (-(-side >> step.level) for side in (height, width))
        for i in range(step.height):
            for j in range(step.width):
                for t, tap in enumerate(taps(step.phase, reach)):
                    y, x = (2 * (at + d) + o for at, d, o in zip((i, j), tap[1:], ORIGINS[tap.grid], strict=True))
                    if 0 <= y < rows_there and 0 <= x < columns_there:
                        inside += 1
                        place_ = (y << step.level) * width + (x << step.level)
                        assert there[i * step.width + j, t] == place_ * channels
                        assert (y - 2 * i - y0) ** 2 + (x - 2 * j - x0) ** 2 < 3 * reach**2
    assert inside or height * width == 1


def test_the_nearest_come_first() -> None:
    for phase, (y0, x0) in enumerate(PHASES):
        found = taps(phase, 3)
        distances = [abs(2 * dy + ORIGINS[g][0] - y0) + abs(2 * dx + ORIGINS[g][1] - x0) for g, dy, dx in found]
        assert max(distances[:NEAR]) < min(distances[NEAR:])
        assert len(set(found)) == len(found)


def test_taps_come_in_fours() -> None:
    """What a kernel relies on."""
    for phase in range(3):
        assert all(len(taps(phase, reach)) % 4 == 0 for reach in range(1, MAX_REACH + 1))


def test_the_steps_of_a_small_image() -> None:
    assert [tuple(step) for step in steps(3, 2)] == [(1, 2, 1, 1), (0, 0, 1, 1), (0, 1, 2, 1), (0, 2, 1, 1)]
    assert list(steps(1, 1)) == []
