"""An image as grids, from coarse to fine, and what is known when a grid is coded. All of it is part of the format.

*Level* l of an image has every 2^l-th of its rows and columns, beginning with the first. Four *grids* make it up::

    a c a c     a   even rows and columns: level l + 1      known before the others
    d b d b     b   odd rows, odd columns                   coded given a
    a c a c     c   even rows, odd columns                  given a and b
    d b d b     d   odd rows, even columns                  given a, b and c

So an image is one sample, that of the level that has no more, and then *steps* of three phases a level, the coarsest
level first. All samples of a step are independent of each other, given those of the steps before; an image of 32 x 32
pixels takes 16 steps. (Scott Reed et al., "Parallel multiscale autoregressive density estimation", ICML 2017.)

A *tap* of a phase is a known sample at a fixed distance from the one to be coded. Where a grid ends, its outermost
samples stand for those beyond; where it has none, as in an image of one row, a is read instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ORIGINS = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Row and column of the first sample of the grids a, b, c and d in their level."""

PHASES = ORIGINS[1:]

NEAR = 4
"""Taps that are nearest, and come first."""


class Tap(NamedTuple):
    """The sample (i + dy, j + dx) of a grid, 0 to 3, where (i, j) is the one to be coded in its own."""

    grid: int
    dy: int
    dx: int


class Step(NamedTuple):
    """A phase of a level: ``phase`` 0 to 2 for the grids b to d. ``height`` and ``width``: of that grid."""

    level: int
    phase: int
    height: int
    width: int


@cache
def taps(phase: int, reach: int) -> tuple[Tap, ...]:
    """All samples known to a phase that are less than reach times the square root of 3 away in their level. By
    distance, grid, row and column: those of a smaller reach come first, and of all, the four that are nearest.

    >>> [len(taps(phase, 2)) for phase in range(3)]
    [12, 16, 28]
    """
    y, x = PHASES[phase]
    near = range(-reach, reach + 1)
    found = []
    for grid in range(phase + 1):
        top, left = ORIGINS[grid][0] - y, ORIGINS[grid][1] - x
        found += [((2 * dy + top) ** 2 + (2 * dx + left) ** 2, Tap(grid, dy, dx)) for dy in near for dx in near]
    return tuple(tap for distance, tap in sorted(found) if distance < 3 * reach**2)


def depth(height: int, width: int) -> int:
    """How many levels of three phases an image has."""
    return (max(height, width) - 1).bit_length()


def steps(height: int, width: int) -> Iterator[Step]:
    """Those of an image in coding order, without such as have no samples."""
    for level in reversed(range(depth(height, width))):
        rows, columns = _halved(height, level), _halved(width, level)
        for phase, (y, x) in enumerate(PHASES):
            if rows > y and columns > x:
                yield Step(level, phase, (rows - y + 1) // 2, (columns - x + 1) // 2)


def lent(step: Step | None) -> bool:
    """Whether a step is one of the last two, c and d of level 0: see :mod:`bitsback.kinds.phases.latents`."""
    return step is not None and step.level == 0 and step.phase > 0


def spread(count: int, length: int) -> NDArray[np.int64]:
    """Which of ``length`` rows, or columns, of a map of a whole image belongs to each of ``count`` of a grid: the one
    that its middle is in."""
    return (2 * np.arange(count) + 1) * length // (2 * count)


def known(step: Step, height: int, width: int, channels: int) -> NDArray[np.int64]:
    """The grids that a step sees in an image of (height, width, channels), flattened.

    Returns:
        (grids, 5): where each begins, what is added for each row and column, and how many rows and columns it has.
        Where a grid has no samples, it is a.
    """
    rows, columns = _halved(height, step.level), _halved(width, step.level)
    row, column = (width * channels) << step.level, channels << step.level
    found = []
    for y, x in ORIGINS[: step.phase + 1]:
        if rows <= y or columns <= x:
            y, x = ORIGINS[0]
        found.append((y * row + x * column, 2 * row, 2 * column, (rows - y + 1) // 2, (columns - x + 1) // 2))
    return np.array(found, np.int64)


def offsets(
    step: Step, reach: int, height: int, width: int, channels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the taps of a step are in an image of (height, width, channels), flattened.

    Returns:
        (step.height, taps) and (step.width, taps): tap t of the sample (i, j) is at ``rows[i, t] + columns[j, t]``.
    """
    grids, dy, dx = np.array(taps(step.phase, reach)).T
    start, row, column, rows, columns = known(step, height, width, channels)[grids].T
    down = np.clip(np.arange(step.height)[:, None] + dy, 0, rows - 1)
    right = np.clip(np.arange(step.width)[:, None] + dx, 0, columns - 1)
    return start + down * row, right * column


def place(step: Step, width: int, channels: int) -> tuple[int, int, int]:
    """Where the samples of a step are in an image: the first one's, and what is added for each row and column."""
    y, x = PHASES[step.phase]
    row, column = (width * channels) << step.level, channels << step.level
    return y * row + x * column, 2 * row, 2 * column


def _halved(length: int, level: int) -> int:
    """Rows or columns of a level."""
    return (length - 1 >> level) + 1
