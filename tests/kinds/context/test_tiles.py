import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.kinds.context import tiles
from bitsback.kinds.context.tiles import EDGE, GROUP, LANES, MANY_SAMPLES, largest, padded, piece_count, pieces

shapes = st.tuples(st.integers(1, 3000), st.integers(1, 60), st.integers(1, 60), st.integers(1, 4))
large = st.tuples(st.integers(1, 3), st.integers(1, 3 * EDGE), st.integers(1, 3 * EDGE), st.just(1))


@given(shapes | large)
@settings(deadline=None)
def test_every_pixel_is_in_one_piece(shape: tuple[int, int, int, int]) -> None:
    cut = list(pieces(shape))
    assert len(cut) == piece_count(shape)
    seen = np.zeros((shape[0], 2, 2), np.int64)  # counted at the corners of all images, and in all
    total = 0
    for piece in cut:
        sizes = [part.stop - part.start for part in piece]
        assert all(size >= 1 for size in sizes)
        assert all(size <= most for size, most in zip(sizes, largest(shape), strict=False))
        total += int(np.prod(sizes))
        rows = [piece[1].start == 0, piece[1].stop == shape[1]]
        columns = [piece[2].start == 0, piece[2].stop == shape[2]]
        seen[piece[0]] += np.outer(rows, columns)
    assert total == np.prod(shape[:3]) and (seen == 1).all()


@given(shapes)
def test_pieces_take_little_memory(shape: tuple[int, int, int, int]) -> None:
    n, height, width, _ = largest(shape)
    assert n == 1 or n * padded(height, width) <= GROUP


def test_images_go_side_by_side_as_their_margins_leave_room() -> None:
    assert largest((10_000, 28, 28, 1)) == (82, 28, 28, 1)
    assert largest((10_000, 1, 1, 4)) == (856, 1, 1, 4)
    assert largest((3, 500, 300, 3)) == (1, 500, 300, 3)
    assert largest((3, EDGE, EDGE + 1, 3)) == (1, EDGE, EDGE // 2 + 1, 3)


@pytest.mark.parametrize(
    ("shape", "lanes"),
    [
        ((1, 1, 1, 1), 1),
        ((1, 210, 209, 3), LANES),
        ((1, 209, 208, 3), 1),
        ((9999, 28, 28, 1), 1),
        ((9, 512, 256, 1), LANES),
    ],
)
def test_lanes_follow_the_largest_piece(shape: tuple[int, int, int, int], lanes: int) -> None:
    assert MANY_SAMPLES == 1 << 17
    assert tiles.lanes(shape) == lanes
