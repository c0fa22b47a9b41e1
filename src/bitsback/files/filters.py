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
def choose_filters(rows, step, lines):  # type: ignore[no-untyped-def]
    """Filter each row so that the sum of the differences' magnitudes is smallest: the inverse of :func:`unfilter`."""
    height, stride = rows.shape
    totals = np.zeros(5, np.int64)
    for y in range(height):
        totals[:] = 0
        for x in range(stride):
            left, above, corner = _neighbours(rows, y, x, step)
            for kind in range(5):
                difference = (rows[y, x] - _predict(kind, left, above, corner)) & 255
                totals[kind] += min(difference, 256 - difference)
        best = 0
        for kind in range(1, 5):
            best = kind if totals[kind] < totals[best] else best
        lines[y, 0] = best
        for x in range(stride):
            left, above, corner = _neighbours(rows, y, x, step)
            lines[y, x + 1] = (rows[y, x] - _predict(best, left, above, corner)) & 255


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


@kernel
def filter_sums(rows, step, sums):  # type: ignore[no-untyped-def]
    """The sum of the differences' magnitudes under each filter, int64 ``sums`` (height, 5), which are zeros."""
    height, stride = rows.shape
    for y in range(height):
        for x in range(stride):
            left, above, corner = _neighbours(rows, y, x, step)
            for kind in range(5):
                difference = (rows[y, x] - _predict(kind, left, above, corner)) & 255
                sums[y, kind] += min(difference, 256 - difference)
