"""A linear predictor that learns from the image it codes: windowed least squares, in integers.

Every pixel's samples are regressed on the neighbours (the *taps*) and on the pixel's own earlier channels, over the
pixels around it that are already known (the idea of Xin Li & Michael Orchard, "Edge-directed prediction for lossless
compression of natural images", IEEE Trans. Image Processing 10(6), 2001). No two cameras, scanners or resamplers leave
the same traces in an image, and this finds them without having been trained on them.

Let f be the vector of the N = taps + channels regressors of a pixel: for a tap of channel c the level there, and for
the pixel's own channel c its level, both less the base b_c = floor((west + north) / 2) of that channel. The moments
sum(w f f^T) of the window are kept as two exponentially decaying sums, along the row and down the columns:

    row      H    = H - (H + 8) // 16 - (H + 16) // 32 + w f f^T    after each pixel, from 0 in each row
    column   V(x) = V(x) - (V(x) + 4) // 8 - (V(x) + 8) // 16 + H   after each pixel, from 0 in each image
    moments  A    = ridge I + H + V(min(x + 3, width - 1))          before each pixel

with the weight ``w = 2^18 // (2^10 + 3 e)``, e being the sum of the pixel's absolute prediction errors in 64ths of a
level, so that edges do not drown the rest (about five levels of error in all halve the weight). The matrix A is taken
apart as L D L^T (L unit lower triangular, D diagonal), which gives all channels' predictors at once: with the
*innovations* ``g_i = f_i - sum_{k<i} L_ik g_k`` the best prediction of f_i from those before it is
``sum_{k<i} L_ik g_k``.

In integers, all divisions rounding down, with u_ij = L_ij D_j:

    u_ij = A_ij - (sum_{k<j} u_ik L_jk) // 2^14                        held within +-(2^30 - 1)
    L_ij = (2^14 u_ij) // D_j                                     held within +-2^18
    D_i  = max(1, A_ii - (sum_{k<i} u_ik L_ik) // 2^14)
    p_i  = (sum_{k<i} L_ik g_k) // 2^14,  g_i = 64 f_i - p_i      both held within +-2^20; in 64ths of a level

The *reference* of channel c is ``16 b_c + p_c // 4`` held within -256 .. 4336, in sixteenths of a level, and the
*spread* is ``8 (l - 256)`` where l is about the logarithm of D_c in 16ths: ``16 k + floor(16 (D_c / 2^k - 1))`` with
``k = floor(log2 D_c)``.

All of this but the sums is computed in float64 that holds integers: no sum exceeds 2^53, products and sums are
therefore exact in any order, with or without fused operations. The floor of x / D, for integers |x| <= 2^44, is that of
(x + 1/2) r with r = 1 / D rounded: (x + 1/2) / D is at least 1 / (2 D) away from any integer, and the two roundings
move the product by less than |x + 1/2| 2^-51 / D.

The kernels' parts here work on LANES pixels at once, a block of one step (see :mod:`bitsback.kinds.context.codec`). A
step's pixels are numbered by row, then by image, so pixel ``number`` is in row number // n_images, and from one row to
the next the column is SKEW less. The sums are laid out so that what a block needs lies side by side:

    rows      int32 (entries, number)
    columns   int32 (SKEW, entries, number): by the remainder of the column, then from the rightmost to the leftmost,
              and by image
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import helper
from bitsback.kernels.vectors import DOUBLES, INTS, LANES, Value, vectorised
from bitsback.kinds.context.network import SKEW

AHEAD = 3
"""The column sum that a pixel reads is that of the column so far to the right, or of the last one."""

_PER_L, _ONE_L = 2.0**-14, 2.0**14
_U_LIMIT = 2.0**30 - 1
_L_LIMIT = 2.0**18
_P_LIMIT = 2.0**20
_ZEROS = [0.0] * LANES


class Regression(NamedTuple):
    """The predictor of the images that are coded side by side; made by :func:`regression`. N = taps + channels."""

    taps: NDArray[np.int64]
    """(taps, 2): the channel, and how far from a pixel in a plane."""
    ridge: int
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    """The sums, laid out as said above."""
    f: NDArray[np.int32]
    """(N, LANES), and so on: of the pixels of a block."""
    bases: NDArray[np.int32]
    moments: NDArray[np.float64]
    lower: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    innovations: NDArray[np.float64]
    predictions: NDArray[np.float64]
    weights: NDArray[np.int32]


def regression(
    taps: NDArray[np.int64], ridge: int, n_images: int, height: int, width: int, channels: int
) -> Regression:
    """The predictor before the first pixel."""
    size = len(taps) + channels
    entries = size * (size + 1) // 2
    by_size, by_entry = (size, LANES), (entries, LANES)
    return Regression(
        taps,
        ridge,
        *memory(entries, n_images, height, width),
        np.zeros(by_size, np.int32),
        np.zeros((channels, LANES), np.int32),
        np.zeros(by_entry),
        np.zeros(by_entry),
        np.ones(by_size),
        np.zeros(by_size),
        np.zeros(LANES),
        np.zeros(LANES, np.int32),
    )


def memory(entries: int, n_images: int, height: int, width: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the sums of rows and of columns before the first pixel.

    There is room for a block beyond the end, which is read and written back as it was. And entries are an odd number of
    cache lines apart, since a power of two would crowd them in a few places of the cache.
    """
    numbers = height * n_images + LANES
    rows = np.zeros((entries, ((numbers + 15) // 16 | 1) * 16), np.int32)
    numbers = (_column(0, width) + 1) * n_images + LANES
    return rows, np.zeros((SKEW, entries, ((numbers + 15) // 16 | 1) * 16), np.int32)


@helper
def _column(x, width):  # type: ignore[no-untyped-def]
    """Return which column x is, up to AHEAD beyond the edge, among those of its remainder, from the rightmost on."""
    return (width - 1 + AHEAD) // SKEW - x // SKEW


@helper
def recall(moments, size, rows, columns, t, begin, lanes, n_images, width, ridge):  # type: ignore[no-untyped-def]
    """Set ``moments``, float64 (entries, LANES), to A of the pixels from number ``begin`` of step t on."""
    x = t + AHEAD
    _gather(
        moments, moments.shape[0], rows, begin, rows.shape[1],
        columns[x % SKEW], _column(x, width) * n_images + begin, columns.shape[2],
    )  # fmt: skip
    for lane in range(lanes):
        number = begin + lane
        if x - SKEW * (number // n_images) >= width:  # right of the edge, where the last column stands in
            last = columns[(width - 1) % SKEW]
            of_image = _column(width - 1, width) * n_images + number % n_images
            for entry in range(moments.shape[0]):
                moments[entry, lane] = rows[entry, number] + last[entry, of_image]
        else:
            break  # further rows are further left
    for i in range(size):
        diagonal = moments[i * (i + 3) // 2]
        for lane in range(LANES):
            diagonal[lane] += ridge


@helper
def remember(f, weights, lanes, rows, columns, t, begin, n_images, width):  # type: ignore[no-untyped-def]
    """Add the moments of ``lanes`` pixels, from number ``begin`` of step t on, to the sums of their rows and columns.

    ``f``: int32 (N, LANES). ``weights``: int32 (LANES,).
    """
    _update(
        f, weights, f.shape[0], lanes, rows, begin, rows.shape[1],
        columns[t % SKEW], _column(t, width) * n_images + begin, columns.shape[2],
    )  # fmt: skip


@vectorised
def _gather(v, moments, entries, rows, row, row_stride, columns, column, column_stride):  # type: ignore[no-untyped-def]
    with v.loop(entries) as entry:
        total = rows.load(entry * row_stride + row, INTS) + columns.load(entry * column_stride + column, INTS)
        moments.store(entry * LANES, total.to(DOUBLES))


@vectorised
def _update(  # type: ignore[no-untyped-def]
    v, f, weights, size, lanes, rows, row, row_stride, columns, column, column_stride
):
    # What all other lanes add is 0. (To store some lanes only is slow on some processors.)
    taking_part = (v.vector(list(range(LANES)), INTS) < lanes).to(INTS)  # all bits set, or none
    with v.loop(size) as i:
        weighted = f.load(i * LANES, INTS) * weights.load(i * 0, INTS)
        with v.loop(i + 1) as j:
            entry = i * (i + 1) // 2 + j
            row_at, column_at = entry * row_stride + row, entry * column_stride + column
            h, old = rows.load(row_at, INTS), columns.load(column_at, INTS)
            h += (weighted * f.load(j * LANES, INTS) - ((h + 8) >> 4) - ((h + 16) >> 5)) & taking_part
            rows.store(row_at, h)
            columns.store(column_at, old + ((h - ((old + 4) >> 3) - ((old + 8) >> 4)) & taking_part))


@vectorised
def factorise(v, u, lower, diagonal, size):  # type: ignore[no-untyped-def]
    """Factorise the moments in ``u`` in place; give ``lower`` and ``diagonal``.

    All are float64 (rows, LANES): ``u`` and ``lower`` hold lower triangles row by row, entry (i, j) in row
    i (i + 1) / 2 + j; ``diagonal`` has ``size`` rows.

    Column by column, since the entries of a column do not wait for each other; two rows at a time, to load the row of
    the column's pivot once for both.
    """

    def beginning(i: Value) -> Value:
        return i * (i + 1) // 2

    def products(j: Value, rows: list[Value], row_j: Value) -> list[Value]:
        """The sums of u_ik L_jk for k < j, of each of the rows of u and one of L."""
        totals = [v.variable(v.vector(_ZEROS, DOUBLES)) for _ in rows]
        with v.loop(j) as k:
            right = lower.load((row_j + k) * LANES, DOUBLES)
            for row, total in zip(rows, totals, strict=True):
                total.value = total.value.plus_product(u.load((row + k) * LANES, DOUBLES), right)
        return [(total.value * _PER_L).floor() for total in totals]

    def eliminate(j: Value, row_j: Value, reciprocal: Value, rows: list[Value]) -> None:
        for row, found in zip(rows, products(j, rows, row_j), strict=True):
            here = (row + j) * LANES
            value = (u.load(here, DOUBLES) - found).held(-_U_LIMIT, _U_LIMIT)
            u.store(here, value)
            lower.store(here, ((value * _ONE_L + 0.5) * reciprocal).floor().held(-_L_LIMIT, _L_LIMIT))

    with v.loop(size) as j:
        row_j = beginning(j)
        (found,) = products(j, [row_j], row_j)
        pivot = (u.load((row_j + j) * LANES, DOUBLES) - found).at_least(1.0)
        diagonal.store(j * LANES, pivot)
        reciprocal = 1.0 / pivot
        below = size - 1 - j
        with v.loop(below // 2) as pair:
            i = j + 1 + pair * 2
            eliminate(j, row_j, reciprocal, [beginning(i), beginning(i + 1)])
        with v.loop(below % 2):
            eliminate(j, row_j, reciprocal, [beginning(size - 1)])


@vectorised
def predict(v, lower, innovations, i, predictions):  # type: ignore[no-untyped-def]
    """Set ``predictions``, float64 (LANES,), to p_i, from the rows of ``innovations`` (N, LANES) before i."""
    row = i * (i + 1) // 2
    total = v.variable(v.vector(_ZEROS, DOUBLES))
    with v.loop(i) as k:
        left, right = (a.load(at * LANES, DOUBLES) for a, at in ((lower, row + k), (innovations, k)))
        total.value = total.value.plus_product(left, right)
    predictions.store(i * 0, (total.value * _PER_L).floor().held(-_P_LIMIT, _P_LIMIT))


@vectorised
def innovate(v, f, i, predictions, innovations):  # type: ignore[no-untyped-def]
    """Set row i of ``innovations`` to g_i; ``f``: int32 (N, LANES)."""
    level = f.load(i * LANES, INTS).to(DOUBLES)
    g = (level * 64.0 - predictions.load(i * 0, DOUBLES)).held(-_P_LIMIT, _P_LIMIT)
    innovations.store(i * LANES, g)


@vectorised
def weigh(v, innovations, first, size, weights):  # type: ignore[no-untyped-def]
    """Set ``weights``, int32 (LANES,), by the pixels' errors: the rows of ``innovations`` (size, LANES) from ``first``
    on."""
    error = v.variable(v.vector(_ZEROS, DOUBLES))
    with v.loop(size - first) as i:
        g = innovations.load((first + i) * LANES, DOUBLES)
        error.value += g.at_least(0.0 - g)
    weights.store(first * 0, (2.0**18 / (error.value * 3.0 + 2.0**10)).floor().to(INTS))
