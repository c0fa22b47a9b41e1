"""Least squares for LANES pixels at once: a regression of each on what is around it, in a window of what is known.

As in :mod:`bitsback.kinds.context.regression`, whose sums and factors these are, but for samples of any depth. The
regressors f of a pixel, the pixel's own sample the last of them, are added to the sums with the weight

    w = 2^12 / (1 + (12 e + sum f^2) / 2^12)

where e is the error of the pixel's prediction in 64ths of a level. So no pixel adds more than 2^24 to any sum, and the
sums hold in 32 bits whatever the samples are; and the weights even out what is bright or dark, flat or busy. In
integers, with s the least number for which all |f| >> s are below 2^11, and all divisions rounding down,

    q   = 2^(34 + 2 s) // (2^12 + 12 e + sum f^2)
    u_i = ((f_i >> s) q) // 2^10                       u_i (f_j >> s) is what a pixel adds to the sum (i, j), i >= j

One sum more is that of the weights alone, 2^36 // (2^12 + 12 e + sum f^2), in 2^-24: with it the variance that is left,
which is the last number of the diagonal, is one of levels.

Solving is as there, but that the predictions p and the innovations g are held within +-2^24.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import helper
from bitsback.kernels.vectors import DOUBLES, INTS, LANES, Value, vectorised
from bitsback.kinds.context.network import SKEW
from bitsback.kinds.context.regression import AHEAD, factorise, memory, recall

RIDGE = 1 << 12
"""Added to the diagonal: a pixel of weight 1 and an error of one level."""

_TOP = 1 << 11
_LIMIT = 2.0**24
_PER_L = 2.0**-14
_ZEROS = [0.0] * LANES


class Squares(NamedTuple):
    """What is regressed with; made by :func:`squares`."""

    rows: NDArray[np.int32]
    """(C, sums, numbers): of the rows under way."""
    columns: NDArray[np.int32]
    """(C, SKEW, sums, columns of a remainder): see :mod:`bitsback.kinds.context.regression`."""
    f: NDArray[np.int32]
    """(regressors, LANES), and so on: of the pixels of a block."""
    shifts: NDArray[np.int32]
    scales: NDArray[np.float64]
    parts: NDArray[np.int32]
    weights: NDArray[np.int32]
    moments: NDArray[np.float64]
    lower: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    innovations: NDArray[np.float64]
    predictions: NDArray[np.float64]


def squares(channels: int, size: int, rows: int, width: int) -> Squares:
    """Nothing known, for up to ``size`` regressors and ``rows`` rows under way at once."""
    sums = size * (size + 1) // 2 + 1
    of_rows, of_columns = memory(sums, 1, rows, width)
    by_size = (size, LANES)
    return Squares(
        np.repeat(of_rows[None], channels, axis=0),
        np.repeat(of_columns[None], channels, axis=0),
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
def regress(known, c, size, t, begin, lanes, width):  # type: ignore[no-untyped-def]
    """Predict channel c of pixels, from number ``begin`` of step t on, by all regressors in ``f`` but the last of
    ``size``: ``predictions``, in 64ths, are the deviations from the base; the diagonal's last row over the last of the
    ``moments`` is the variance left."""
    sums = size * (size + 1) // 2 + 1
    recall(known.moments[:sums], size, known.rows[c], known.columns[c], t, begin, lanes, 1, width, RIDGE)
    factorise(known.moments, known.lower, known.diagonal, size)
    solve(known.f, known.lower, known.innovations, known.predictions, size)


@helper
def remember(known, c, size, t, begin, lanes, width):  # type: ignore[no-untyped-def]
    """Add the pixels, whose samples are the last regressors now, to the sums."""
    measure(known, size, 34)
    columns = known.columns[c, t % SKEW]
    _update(
        known.f, known.shifts, known.parts, known.weights, size, lanes, known.rows[c], begin, known.rows.shape[2],
        columns, (width - 1 + AHEAD) // SKEW - t // SKEW + begin, columns.shape[1],
    )  # fmt: skip


@helper
def measure(known, size, bits):  # type: ignore[no-untyped-def]
    """Find the ``shifts`` that make regressors small enough to be multiplied, and ``parts`` and ``weights`` with them;
    ``bits``: of the largest q."""
    for lane in range(LANES):
        top = 0
        for i in range(size):
            top |= abs(known.f[i, lane])
        shift = 0
        while top >> shift >= _TOP:
            shift += 1
        known.shifts[lane] = shift
        known.scales[lane] = 1 << (bits + 2 * shift)
    _weigh(known.f, known.predictions, known.shifts, known.scales, known.parts, known.weights, size, 1 << (bits + 2))


@vectorised
def solve(v, f, lower, innovations, predictions, size):  # type: ignore[no-untyped-def]
    """Set ``predictions`` to p of the last regressor, and all ``innovations`` but its own."""
    with v.loop(size) as i:
        row = i * (i + 1) // 2
        total = v.variable(v.vector(_ZEROS, DOUBLES))
        with v.loop(i) as k:
            left, right = (a.load(at * LANES, DOUBLES) for a, at in ((lower, row + k), (innovations, k)))
            total.value = total.value.plus_product(left, right)
        p = (total.value * _PER_L).floor().held(-_LIMIT, _LIMIT)
        predictions.store(i * 0, p)
        innovations.store(i * LANES, (f.load(i * LANES, INTS).to(DOUBLES) * 64.0 - p).held(-_LIMIT, _LIMIT))


@vectorised
def _weigh(v, f, predictions, shifts, scales, parts, weights, size, most):  # type: ignore[no-untyped-def]
    """Set ``parts`` to u_i and ``weights`` to what the sum of weights gets, which is ``most`` over the same divisor."""
    power = v.variable(v.vector(_ZEROS, DOUBLES))
    with v.loop(size) as i:
        level = f.load(i * LANES, INTS).to(DOUBLES)
        power.value = power.value.plus_product(level, level)
    error = f.load((size - 1) * LANES, INTS).to(DOUBLES) * 64.0 - predictions.load(size * 0, DOUBLES)
    divisor = power.value + error.at_least(0.0 - error) * 12.0 + 2.0**12
    weights.store(size * 0, (most.to(DOUBLES) / divisor).floor().to(INTS))
    shift = shifts.load(size * 0, INTS)
    q = (scales.load(size * 0, DOUBLES) / divisor).floor()
    with v.loop(size) as i:
        shifted = (f.load(i * LANES, INTS) >> shift).to(DOUBLES)
        parts.store(i * LANES, (shifted * q * 2.0**-10).floor().to(INTS))


@vectorised
def _update(  # type: ignore[no-untyped-def]
    v, f, shifts, parts, weights, size, lanes, rows, row, row_stride, columns, column, column_stride
):
    # What all other lanes add is 0. (To store some lanes only is slow on some processors.)
    taking_part = (v.vector(list(range(LANES)), INTS) < lanes).to(INTS)  # all bits set, or none
    shift = shifts.load(size * 0, INTS)

    def add(entry: Value, product: Value) -> None:
        row_at, column_at = entry * row_stride + row, entry * column_stride + column
        h, old = rows.load(row_at, INTS), columns.load(column_at, INTS)
        h += (product - ((h + 8) >> 4) - ((h + 16) >> 5)) & taking_part
        rows.store(row_at, h)
        columns.store(column_at, old + ((h - ((old + 4) >> 3) - ((old + 8) >> 4)) & taking_part))

    with v.loop(size) as i:
        part = parts.load(i * LANES, INTS)
        with v.loop(i + 1) as j:
            add(i * (i + 1) // 2 + j, part * (f.load(j * LANES, INTS) >> shift))
    add(size * (size + 1) // 2, weights.load(size * 0, INTS))
