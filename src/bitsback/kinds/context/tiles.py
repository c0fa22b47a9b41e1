"""How images are cut into pieces that are coded on one stack each. All of it is part of the format.

Images of up to :data:`EDGE` pixels an edge are coded whole, as many of them side by side as :data:`GROUP` pixels hold,
at least one; their margins count, since they take memory as well. Larger ones are cut into tiles, as equal in size as
can be: of ``k = ceil(height / EDGE)`` rows of tiles, row i begins at ``height * i // k``, and so for columns.
"""

from __future__ import annotations

from collections.abc import Iterator

from bitsback.kinds.context.network import MARGIN

Piece = tuple[slice, slice, slice]
"""Images, rows and columns."""

Whole = tuple[int, int, int, int]
"""Shape of images: (n, height, width, channels)."""

EDGE = 1 << 10
GROUP = 1 << 17

LANES = 8
MANY_SAMPLES = 1 << 17
"""A stack has eight lanes, which cost 4 bytes each and are faster, if the largest piece has so many samples."""


def side_by_side(height: int, width: int) -> int:
    """How many images of this size, which need no tiles, are coded side by side.

    >>> side_by_side(28, 28), side_by_side(1, 1), side_by_side(1024, 1024)
    (82, 856, 1)
    """
    return max(1, GROUP // padded(height, width))


def padded(height: int, width: int) -> int:
    """Pixels of an image with its margins."""
    return (height + MARGIN) * (width + 2 * MARGIN)


def pieces(shape: Whole) -> Iterator[Piece]:
    """What is coded on one stack each, in order."""
    count, height, width, _ = shape
    rows, columns = _grid(shape)
    group = side_by_side(height, width) if rows == columns == 1 else 1
    for first in range(0, count, group):
        for i in range(rows):
            for j in range(columns):
                yield (
                    slice(first, min(first + group, count)),
                    slice(height * i // rows, height * (i + 1) // rows),
                    slice(width * j // columns, width * (j + 1) // columns),
                )


def piece_count(shape: Whole) -> int:
    """How many :func:`pieces` there are."""
    rows, columns = _grid(shape)
    group = side_by_side(*shape[1:3]) if rows == columns == 1 else 1
    return -(-shape[0] // group) * rows * columns


def largest(shape: Whole) -> Whole:
    """A shape that no piece exceeds in any axis, and one comes up to."""
    count, height, width, channels = shape
    rows, columns = _grid(shape)
    group = side_by_side(height, width) if rows == columns == 1 else 1
    return min(count, group), -(-height // rows), -(-width // columns), channels


def lanes(shape: Whole) -> int:
    """Of each stack."""
    n, height, width, channels = largest(shape)
    return LANES if n * height * width * channels >= MANY_SAMPLES else 1


def _grid(shape: Whole) -> tuple[int, int]:
    """Rows and columns of tiles in an image."""
    return -(-shape[1] // EDGE), -(-shape[2] // EDGE)
