"""How images are cut into pieces that are coded on one stack each. All of it is part of the format.

Images of up to :data:`EDGE` pixels an edge are coded whole, as many of them side by side as :data:`GROUP` pixels hold,
at least one. Larger ones are cut into tiles, as equal in size as can be, whose corners are at multiples of
:data:`CORNER`: places modulo that are those in the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from bitsback.kinds.pieces import Piece, Whole

EDGE = 1 << 8
GROUP = 1 << 16
CORNER = 16

LANES = 8
MANY_SAMPLES = 1 << 16
"""A stack has eight lanes, which cost 4 bytes each and are faster, if the largest piece has so many samples."""


def pieces(shape: Whole) -> Iterator[Piece]:
    """What is coded on one stack each, in order."""
    count, height, width, _ = shape
    group, rows, columns = side_by_side(height, width), _cuts(height), _cuts(width)
    for first in range(0, count, group):
        for row in rows:
            for column in columns:
                yield slice(first, min(first + group, count)), row, column


def side_by_side(height: int, width: int) -> int:
    """How many images are in a piece.

    >>> side_by_side(28, 28), side_by_side(256, 256), side_by_side(1, 1000)
    (83, 1, 1)
    """
    return max(1, GROUP // (height * width)) if max(height, width) <= EDGE else 1


def piece_count(shape: Whole) -> int:
    """How many :func:`pieces` there are."""
    count, height, width, _ = shape
    return -(-count // side_by_side(height, width)) * len(_cuts(height)) * len(_cuts(width))


def largest(shape: Whole) -> Whole:
    """A shape that no piece exceeds in any axis."""
    count, height, width, channels = shape
    tallest, widest = (max(one.stop - one.start for one in _cuts(side)) for side in (height, width))
    return min(count, side_by_side(height, width)), tallest, widest, channels


def lanes(shape: Whole) -> int:
    """Of each stack."""
    n, height, width, channels = largest(shape)
    return LANES if n * height * width * channels >= MANY_SAMPLES else 1


def _cuts(length: int) -> list[slice]:
    """Rows or columns of the tiles of an image.

    >>> _cuts(257), _cuts(600)
    ([slice(0, 128, None), slice(128, 257, None)], [slice(0, 192, None), slice(192, 400, None), slice(400, 600, None)])
    """
    parts, corners = -(-length // EDGE), -(-length // CORNER)
    edges = [CORNER * (corners * i // parts) for i in range(parts)]
    return [slice(a, b) for a, b in pairwise([*edges, length])]
