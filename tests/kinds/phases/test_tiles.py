import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.kinds.phases import tiles


@settings(deadline=None)
@given(count=st.integers(1, 200), height=st.integers(1, 700), width=st.integers(1, 700))
def test_pieces_cover_all_images_once(count: int, height: int, width: int) -> None:
    shape = (count if max(height, width) < 30 else 1, height, width, 3)
    seen = np.zeros(shape[:3], np.int64)
    cut = list(tiles.pieces(shape))
    for piece in cut:
        seen[piece] += 1
        n, h, w = seen[piece].shape
        assert max(h, w) <= tiles.EDGE and (n == 1 or n * h * w <= tiles.GROUP)
        assert all(a <= b for a, b in zip((n, h, w), tiles.largest(shape)[:3], strict=True))
        assert not any(one.start % tiles.CORNER for one in piece[1:])
    assert (seen == 1).all()
    assert len(cut) == tiles.piece_count(shape)
