"""Least squares for the LANES rows of a strip at once, in windows of several lengths, for :mod:`.blended`.

The regressors, weights and factors are those of :mod:`.squares`. But sums forget at a rate 2^-r of the window,

    row      H    = H - (H + 2^(r - 1)) // 2^r + w f f^T
    column   V(x) = V(x) - (V(x) + 2^(r - 2)) // 2^(r - 1) + H

in longer windows weights are so much smaller that the sums hold in 32 bits; and where a window is long enough, moments
are factorised anew in every :data:`SKEW`-th column only, which takes most of the time otherwise.

Row k of a strip is in lane k, and in column t - SKEW k at step t. What a row needs of the columns is what the row above
it has left there within the last SKEW steps: so only sums between those steps are at hand, entry by entry as they are
gone through, and those of the last row of a strip go to memory, where the first row of the next strip finds them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import helper
from bitsback.kernels.vectors import DOUBLES, INTS, LANES, Value, vectorised
from bitsback.kinds.adaptive.squares import measure, solve
from bitsback.kinds.context.network import SKEW
from bitsback.kinds.context.regression import AHEAD, factorise

_WEIGHT = 41
"""Bits of the largest q in a window of rate 0; one of rate r has 2 r fewer, as so many more pixels count."""


class Window(NamedTuple):
    """What is regressed with; made by :func:`window`."""

    columns: NDArray[np.int32]
    """(C, width, sums): as the strip before left them."""
    flight: NDArray[np.int32]
    """(SKEW, sums, 1 + LANES): of the columns, by the remainder of the step at which they were left: by the strip
    before, and by each of the rows of this one."""
    rows: NDArray[np.int32]
    """(sums, LANES)"""
    f: NDArray[np.int32]
    """(regressors, LANES), and so on: of the pixels of a step."""
    shifts: NDArray[np.int32]
    scales: NDArray[np.float64]
    parts: NDArray[np.int32]
    weights: NDArray[np.int32]
    moments: NDArray[np.float64]
    lower: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    innovations: NDArray[np.float64]
    predictions: NDArray[np.float64]


def window(channels: int, size: int, width: int) -> Window:
    """Nothing known, for up to ``size`` regressors."""
    sums = sums_of(size)
    by_size = (size, LANES)
    return Window(
        np.zeros((channels, width, sums), np.int32),
        np.zeros((SKEW, sums, 1 + LANES), np.int32),
        np.zeros((sums, LANES), np.int32),
        np.zeros(by_size, np.int32),
        np.zeros(LANES, np.int32),
        np.zeros(LANES),
        np.zeros(by_size, np.int32),
        np.zeros(LANES, np.int32),
        np.zeros((sums, LANES)),
        np.zeros((sums, LANES)),
        np.ones(by_size),
        np.zeros(by_size),
        np.zeros(LANES),
    )


@helper
def sums_of(size):  # type: ignore[no-untyped-def]
    """How many sums there are of so many regressors: of each pair, and that of the weights."""
    return size * (size + 1) // 2 + 1


@helper
def begin_strip(known, c, size):  # type: ignore[no-untyped-def]
    """Forget the rows of the strip before, but for what they left in the columns."""
    known.rows[:] = 0
    known.flight[:] = 0
    for x in range(AHEAD):
        _arrive(known, c, size, x)


@helper
def regress(known, c, size, t, rate, anew):  # type: ignore[no-untyped-def]
    """Predict channel c of the pixels of step t by all regressors in ``f`` but the last of ``size``, with their moments
    or, unless ``anew``, with those of the last step that had them: ``predictions``, in 64ths, are the deviations from
    the base; the diagonal's last row over the last of the ``moments`` is the variance left."""
    _arrive(known, c, size, t + AHEAD)
    if anew:
        _recall(known.moments, known.rows, known.flight[(t + AHEAD) % SKEW], sums_of(size))
        for i in range(size):
            ridge = known.moments[i * (i + 3) // 2]
            for lane in range(LANES):
                ridge[lane] += 1 << (_WEIGHT - 20 - 2 * rate)
        factorise(known.moments, known.lower, known.diagonal, size)
    solve(known.f, known.lower, known.innovations, known.predictions, size)


@helper
def _arrive(known, c, size, x):  # type: ignore[no-untyped-def]
    """Put in flight what the strip before left in a column, or in the last one."""
    left, flight = known.columns[c, min(x, known.columns.shape[1] - 1)], known.flight[x % SKEW]
    for entry in range(sums_of(size)):
        flight[entry, 0] = left[entry]


@helper
def remember(known, c, size, t, rows, rate, coded):  # type: ignore[no-untyped-def]
    """Add the pixels, whose samples are the last regressors now, to the sums of a window of some rate.

    ``coded``: of each lane all bits set, if it has a pixel, else 0.
    """
    measure(known, size, _WEIGHT - 2 * rate)
    here, before = known.flight[t % SKEW], known.flight[(t + AHEAD) % SKEW]
    _update(
        known.f, known.shifts, known.parts, known.weights, size, coded, known.rows, here, before,
        rate, (1 << rate) >> 1, (1 << rate) >> 2,
    )  # fmt: skip
    x = t - SKEW * (rows - 1)
    if x >= 0 and x < known.columns.shape[1]:
        left = known.columns[c, x]
        for entry in range(sums_of(size)):
            left[entry] = here[entry, rows]


@vectorised
def _recall(v, moments, rows, flight, entries):  # type: ignore[no-untyped-def]
    with v.loop(entries) as entry:
        total = rows.load(entry * LANES, INTS) + flight.load(entry * (LANES + 1), INTS)
        moments.store(entry * LANES, total.to(DOUBLES))


@vectorised
def _update(v, f, shifts, parts, weights, size, coded, rows, here, before, rate, half, quarter):  # type: ignore[no-untyped-def]
    mask, shift = coded.load(size * 0, INTS), shifts.load(size * 0, INTS)

    def add(entry: Value, product: Value) -> None:
        h, place = rows.load(entry * LANES, INTS), entry * (LANES + 1)
        old, last = here.load(place, INTS), before.load(place + 1, INTS)
        h += (product - ((h + half) >> rate)) & mask
        rows.store(entry * LANES, h)
        # Where a row has no pixel any more, what it left in the last column remains
        here.store(place + 1, last + ((old - last + h - ((old + quarter) >> (rate - 1))) & mask))

    with v.loop(size) as i:
        part = parts.load(i * LANES, INTS)
        with v.loop(i + 1) as j:
            add(i * (i + 1) // 2 + j, part * (f.load(j * LANES, INTS) >> shift))
    add(size * (size + 1) // 2, weights.load(size * 0, INTS))
