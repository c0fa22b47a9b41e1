"""The beta-binomial distribution of 8-bit samples, in floating point: as a codec, and as a gradient to train by.

A sample is a number of heads in 255 throws of a coin whose bias is itself drawn, from Beta(a, b)::

    p(x | a, b) = C(255, x) B(x + a, 255 - x + b) / B(a, b)

The shipped :class:`bitsback.codecs.BetaBinomial` has a grid of parameters, the same on every machine. Here they are
what a network says, and the codec holds in one environment only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import MAX_PRECISION, Stack, peek, take
from bitsback.codecs import Family
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel

TRIALS = 255

LOG_LIMIT = 6.0
"""a and b lie between exp(-LOG_LIMIT) and exp(LOG_LIMIT): no number in :func:`_rows` then under- or overflows."""

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_CHOOSE: NDArray[np.float64] = np.array(
    [math.lgamma(TRIALS + 1) - math.lgamma(k + 1) - math.lgamma(TRIALS - k + 1) for k in range(TRIALS + 1)]
)


class Rows(Family):
    """Levels 0..255 (uint8), each beta-binomial with parameters of its own, for models in floating point.

    One row of frequencies is made for each symbol, ``1 + floor((2**precision - 256) p(v))``, the likeliest level taking
    what these leave: as :func:`bitsback.codecs.quantise_pmf` does it, but with no function slower than a division.

    Args:
        a, b: floats, arrays of one shape.
        precision: 9 to 24.

    >>> Rows(np.ones(1), np.ones(1), 16).bits(np.array([77]))  # a = b = 1: uniform
    array([8.])
    """

    size = TRIALS + 1
    dtype = np.uint8

    def __init__(self, a: NDArray[Any], b: NDArray[Any], precision: int) -> None:
        if not 9 <= precision <= MAX_PRECISION:
            raise CodecError(f"precision must be 9 to {MAX_PRECISION} bits, not {precision}")
        most = math.exp(LOG_LIMIT) * (1 + 1e-5)
        if a.shape != b.shape or not all(np.all((one >= 1 / most) & (one <= most)) for one in (a, b)):
            raise CodecError("a and b must have one shape, and lie within their bounds")
        self.shape, self.precision = a.shape, precision
        self._cdfs = np.empty((a.size, TRIALS + 2), np.uint32)
        _rows(*(np.ascontiguousarray(one, np.float64).reshape(-1) for one in (a, b)), 1 << precision, self._cdfs)

    def _intervals(self, x: NDArray[Any]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        row, symbol = np.arange(len(x)), x.astype(np.intp)
        starts = self._cdfs[row, symbol]
        return starts, self._cdfs[row, symbol + 1] - starts

    def _pop(self, stack: Stack, out: NDArray[Any]) -> None:
        stack.pull(_pop_rows, self._cdfs, self.precision, out)


@kernel
def _rows(a, b, total, cdfs):  # type: ignore[no-untyped-def]
    """Write the cumulative frequencies of each symbol.

    Without log-gamma functions: ``p(k + 1) / p(k) = (255 - k)(k + a) / ((k + 1)(254 - k + b))``.
    """
    p = np.empty(256)
    for i in range(a.size):
        p[0] = 1.0
        every = 1.0
        best = 0
        for k in range(255):
            p[k + 1] = p[k] * ((255.0 - k) * (k + a[i])) / ((k + 1.0) * (254.0 - k + b[i]))
            every += p[k + 1]
            if p[k + 1] > p[best]:
                best = k + 1
        scale = (total - 256) / every
        left = total
        for k in range(256):
            left -= 1 + int(p[k] * scale)
        start = 0
        for k in range(256):
            cdfs[i, k] = start
            start += 1 + int(p[k] * scale)
            if k == best:
                start += left
        cdfs[i, 256] = total


@kernel
def _pop_rows(heads, tail, length, cdfs, precision, out):  # type: ignore[no-untyped-def]
    lane = 0
    for i in range(out.size):
        slot = peek(heads[lane], precision)
        low, high = 0, 255
        while low < high:
            middle = (low + high + 1) >> 1
            if cdfs[i, middle] <= slot:
                low = middle
            else:
                high = middle - 1
        length = take(heads, tail, length, lane, cdfs[i, low], cdfs[i, low + 1], precision)
        if length < 0:
            return -1
        out[i] = low
        lane = 0 if lane + 1 == heads.size else lane + 1
    return length


@helper
def _shift(z):  # type: ignore[no-untyped-def]
    """``gamma(z + 6) / gamma(z)``, and the logarithmic derivative of that."""
    p = z * (z + 1.0) * (z + 2.0) * (z + 3.0) * (z + 4.0) * (z + 5.0)
    d = 1.0 / z + 1.0 / (z + 1.0) + 1.0 / (z + 2.0) + 1.0 / (z + 3.0) + 1.0 / (z + 4.0) + 1.0 / (z + 5.0)
    return p, d


@helper
def _stirling(w):  # type: ignore[no-untyped-def]
    """log gamma and digamma of ``w >= 6`` by Stirling's series, right to about 1e-9."""
    log, r = math.log(w), 1.0 / w
    r2 = r * r
    value = (w - 0.5) * log - w + _HALF_LOG_TAU + r * (1.0 / 12 - r2 * (1.0 / 360 - r2 * (1.0 / 1260 - r2 / 1680)))
    slope = log - 0.5 * r - r2 * (1.0 / 12 - r2 * (1.0 / 120 - r2 * (1.0 / 252 - r2 / 240)))
    return value, slope


@kernel
def _log_likelihood(x, a, b, choose, value, to_a, to_b):  # type: ignore[no-untyped-def]
    n = 255.0
    for i in range(x.size):
        heads, alpha, beta = np.float64(x[i]), np.float64(a[i]), np.float64(b[i])
        # log gamma(z) = log gamma(z + 6) - log(the shift); one logarithm serves all shifts
        p1, s1 = _shift(heads + alpha)
        p2, s2 = _shift(n - heads + beta)
        p3, s3 = _shift(alpha + beta)
        p4, s4 = _shift(alpha)
        p5, s5 = _shift(beta)
        v1, d1 = _stirling(heads + alpha + 6.0)
        v2, d2 = _stirling(n - heads + beta + 6.0)
        v3, d3 = _stirling(alpha + beta + 6.0)
        v4, d4 = _stirling(alpha + 6.0)
        v5, d5 = _stirling(beta + 6.0)
        v6, d6 = _stirling(n + alpha + beta)
        shifts = math.log((p4 / p1) * (p5 / p2) / p3)
        value[i] = choose[x[i]] + (v1 + v2 + v3) - (v4 + v5 + v6) + shifts
        common = d3 - s3 - d6
        to_a[i] = (d1 - s1) - (d4 - s4) + common
        to_b[i] = (d2 - s2) - (d5 - s5) + common


def log_likelihood(
    x: NDArray[np.uint8], a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """log p(x | a, b) in nats, and its derivatives by a and by b: float32 arrays of the one shape of all arguments.

    It takes six log-gamma and, for the derivatives, six digamma functions a sample; one kernel for all of them is about
    ten times as fast as those of PyTorch, in which a step of training would spend most of its time.

    >>> value, to_a, to_b = log_likelihood(np.uint8([7]), np.float32([1.0]), np.float32([1.0]))  # uniform
    >>> bool(np.isclose(value[0], -np.log(256)))
    True
    """
    shape = x.shape
    arrays: list[NDArray[Any]] = [np.ascontiguousarray(x, np.uint8)]
    arrays += [np.ascontiguousarray(one, np.float32) for one in (a, b)]
    out = [np.empty(x.size, np.float32) for _ in range(3)]
    _log_likelihood(*(one.reshape(-1) for one in arrays), _CHOOSE, *out)
    value, to_a, to_b = (one.reshape(shape) for one in out)
    return value, to_a, to_b
