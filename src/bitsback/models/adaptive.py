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

All of this is computed in float64 that holds integers: no sum exceeds 2^53, products and sums are therefore exact in
any order, with or without fused operations, and the floor of a correctly rounded quotient of integers below 2^52 is
the floor of the quotient itself.
"""

from __future__ import annotations

import numpy as np

from bitsback.ans import helper
from bitsback.vectors import LANES, eliminate, product

_L = 14
_PER_L = np.float64(1.0 / (1 << _L))
_U_LIMIT = np.float64((1 << 30) - 1)
_L_LIMIT = np.float64(1 << 18)
_P_LIMIT = np.float64(1 << 20)
_NO_LIMIT = np.float64(1 << 53)
_ONE = np.float64(1)


@helper
def factorise(u, lower, diagonal, sums):  # type: ignore[no-untyped-def]
    """Factorise the moments in ``u`` in place; give ``lower`` and ``diagonal``.

    All are float64 (rows, LANES): ``u`` and ``lower`` hold lower triangles row by row, entry (i, j) in row
    i (i + 1) / 2 + j; ``diagonal`` has N rows; ``sums``: scratch, one row.
    """
    flat_u, flat_lower, flat_diagonal, flat_sums = (
        u.reshape(-1),
        lower.reshape(-1),
        diagonal.reshape(-1),
        sums.reshape(-1),
    )
    row = 0
    for i in range(diagonal.shape[0]):
        row_j = 0
        for j in range(i):
            eliminate(flat_u, row, flat_lower, row_j, j, flat_diagonal, _PER_L, _U_LIMIT, _L_LIMIT)
            row_j += j + 1
        product(flat_u, row, flat_lower, row, i, flat_sums, 0, _PER_L, _NO_LIMIT)
        a, d, s = u[row + i], diagonal[i], sums[0]
        for lane in range(LANES):
            d[lane] = max(a[lane] - s[lane], _ONE)
        row += i + 1


@helper
def predict(lower, innovations, i, predictions):  # type: ignore[no-untyped-def]
    """Set ``predictions`` (1, LANES) to p_i, from the rows of ``innovations`` (N, LANES) before i."""
    flat_lower, flat_innovations, flat = lower.reshape(-1), innovations.reshape(-1), predictions.reshape(-1)
    product(flat_lower, i * (i + 1) // 2, flat_innovations, 0, i, flat, 0, _PER_L, _P_LIMIT)


@helper
def innovate(f, i, predictions, innovations):  # type: ignore[no-untyped-def]
    """Set row i of ``innovations`` to g_i; ``f``: int32 (N, LANES)."""
    g, x, p = innovations[i], f[i], predictions[0]
    for lane in range(LANES):
        g[lane] = min(max(np.float64(x[lane] * np.int32(64)) - p[lane], -_P_LIMIT), _P_LIMIT)


@helper
def remember(f, lane, weight, row, column, regressors, products):  # type: ignore[no-untyped-def]
    """Add a pixel's moments to its row's and column's sums, int32 (N (N + 1) / 2,), the lower triangle row by row."""
    size = f.shape[0]
    for i in range(size):
        regressors[i] = f[i, lane]
    n = 0
    for i in range(size):
        scaled = weight * regressors[i]
        to = products[n:]
        for j in range(i + 1):
            to[j] = scaled * regressors[j]
        n += i + 1
    for k in range(n):
        h = row[k]
        h += products[k] - ((h + np.int32(8)) >> np.int32(4)) - ((h + np.int32(16)) >> np.int32(5))
        row[k] = h
        v = column[k]
        column[k] = v + h - ((v + np.int32(4)) >> np.int32(3)) - ((v + np.int32(8)) >> np.int32(4))
