"""The five row filters of PNG, compiled (PNG specification, third edition, section 9)."""

from __future__ import annotations

import numpy as np

from bitsback.kernels import helper, kernel


@helper
def _neighbours(rows, y, x, step):  # type: ignore[no-untyped-def]
    """The bytes to the left, above, and above to the left; zero outside of the image."""
    left = rows[y, x - step] if x >= step else 0
    above = rows[y - 1, x] if y > 0 else 0
    corner = rows[y - 1, x - step] if y > 0 and x >= step else 0
    return left, above, corner


@helper
def _predict(kind, left, above, corner):  # type: ignore[no-untyped-def]
    """What filter type ``kind`` subtracts: nothing, left, above, their mean, or Paeth's choice."""
    if kind == 0:
        return 0
    if kind == 1:
        return left
    if kind == 2:
        return above
    if kind == 3:
        return (left + above) >> 1
    to_left, to_above, to_corner = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    return above if to_above <= to_corner else corner


@kernel
def unfilter(lines, step, rows):  # type: ignore[no-untyped-def]
    """Undo the filters: uint8 ``lines`` (height, 1 + stride), each led by its type, into ``rows`` (height, stride).

    ``step`` is the distance in bytes to the left neighbour. Returns False if a filter type is unknown.
    """
    height, stride = rows.shape
    for y in range(height):
        kind = lines[y, 0]
        if kind > 4:
            return False
        for x in range(stride):
            left, above, corner = _neighbours(rows, y, x, step)
            rows[y, x] = (lines[y, x + 1] + _predict(kind, left, above, corner)) & 255
    return True


@kernel
def apply_filters(rows, step, kinds, lines):  # type: ignore[no-untyped-def]
    """Filter each row by its type in ``kinds`` (uint8, 0 to 4): the inverse of :func:`unfilter`."""
    height, stride = rows.shape
    for y in range(height):
        kind = kinds[y]
        lines[y, 0] = kind
        for x in range(stride):
            left, above, corner = _neighbours(rows, y, x, step)
            lines[y, x + 1] = (rows[y, x] - _predict(kind, left, above, corner)) & 255


@helper
def _magnitude(difference):  # type: ignore[no-untyped-def]
    """Of a difference that is taken modulo 256, as of -128 to 127."""
    byte = difference & 255
    return min(byte, 256 - byte)


@kernel
def filter_sums(rows, step, sums):  # type: ignore[no-untyped-def]
    """The sum of the differences' magnitudes under each filter into int64 ``sums`` (height, 5)."""
    height, stride = rows.shape
    for y in range(height):
        plain = 0
        by_left = 0
        by_above = 0
        by_mean = 0
        by_paeth = 0
        for x in range(stride):
            left, above, corner = _neighbours(rows, y, x, step)
            value = np.int64(rows[y, x])
            plain += _magnitude(value)
            by_left += _magnitude(value - left)
            by_above += _magnitude(value - above)
            by_mean += _magnitude(value - ((left + above) >> 1))
            by_paeth += _magnitude(value - _predict(4, left, above, corner))
        sums[y, 0] = plain
        sums[y, 1] = by_left
        sums[y, 2] = by_above
        sums[y, 3] = by_mean
        sums[y, 4] = by_paeth
