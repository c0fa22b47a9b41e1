"""Mixtures of discretised logistic distributions: pixels.

(Tim Salimans, Andrej Karpathy, Xi Chen & Diederik Kingma, "PixelCNN++", ICLR 2017, section 2.1; here in integers.)

To the bit, for N levels and with the tables of :mod:`bitsback.codecs.tables`, all divisions rounding down::

    masses       e_k = exponentials[weight_k];  r = ((2**24 - N) * 2**24) // sum_k e_k
                 m_k = (e_k * r) // 2**24 for k > 0;  m_0 = 2**24 - N - sum_{k>0} m_k
    positions    t_k(v) = 2**30 + (16 v - 8 - mean_k) * inverse_scales[scale_k], held within 0 .. 2**31 - 1
    logistic     i = t // 2**20;  f = t % 2**20;  F(t) = S[i] + ((S[i + 1] - S[i]) * f) // 2**20
    interval     start(v) = (sum_k m_k F(t_k(v))) // 2**32 + v for 0 < v < N;  start(0) = 0;  start(N) = 2**24
                 symbol v has [start(v), start(v + 1))
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bitsback.ans import Stack, advance, helper, kernel, peek, refill
from bitsback.codecs.base import Family, whole
from bitsback.codecs.tables import FRACTION, ORIGIN, load, sigmoid
from bitsback.errors import CodecError

MAX_COMPONENTS = 64

_PRECISION = np.uint64(24)
_TOTAL = np.int64(1 << 24)
_WORD = np.int64(32)
_RATIO = np.int64(24)
_ORIGIN = np.int64(ORIGIN)
_ZERO = np.int64(0)
_ONE = np.int64(1)
_HALF_LEVEL = np.int64(8)
_LEVEL = np.int64(16)
_FOUR = np.int64(4)
_STEEP = np.int64(2048)  # a frequency at which a Newton step is worth its division
_QUANTILE_SHIFT = np.int64(14)  # from 24 bits to the 1024 quantiles
_SPREAD_SHIFT = np.int64(12)  # 64 steps x 1024ths of a level, in sixteenths


@helper
def _prepare(mean, scale, weight, inverses, exponentials, mass, i, bases, slopes, masses):  # type: ignore[no-untyped-def]
    """Turn the parameters of symbol i into those of :func:`_cdf`.

    ``bases + v * slopes`` is the position in the table of the lower edge of v, a half level below v; ``masses`` are
    the weights in integers of sum ``mass``, the first taking what the rounding down of the others leaves.
    """
    components = mean.shape[1]
    total = _ZERO
    for k in range(components):
        inverse = inverses[scale[i, k]]
        bases[k] = _ORIGIN - (np.int64(mean[i, k]) + _HALF_LEVEL) * inverse
        slopes[k] = _LEVEL * inverse
        masses[k] = exponentials[weight[i, k]]
        total += masses[k]
    ratio = (mass << _RATIO) // total
    left = mass
    for k in range(1, components):
        masses[k] = (masses[k] * ratio) >> _RATIO
        left -= masses[k]
    masses[0] = left


@helper
def _cdf(v, table, bases, slopes, masses):  # type: ignore[no-untyped-def]
    """Return where the interval of symbol v begins, for v from 1 to the number of symbols - 1."""
    below = _ZERO
    for k in range(bases.size):
        below += masses[k] * sigmoid(table, bases[k] + v * slopes[k])
    return (below >> _WORD) + v


@kernel
def _intervals(mean, scale, weight, table, inverses, exponentials, size, x, starts, freqs):  # type: ignore[no-untyped-def]
    components = mean.shape[1]
    bases, slopes = np.empty(components, np.int64), np.empty(components, np.int64)
    masses = np.empty(components, np.int64)
    for i in range(x.size):
        _prepare(mean, scale, weight, inverses, exponentials, _TOTAL - size, i, bases, slopes, masses)
        v = np.int64(x[i])
        start = _cdf(v, table, bases, slopes, masses) if v > _ZERO else _ZERO
        v += _ONE
        stop = _cdf(v, table, bases, slopes, masses) if v < size else _TOTAL
        starts[i] = np.uint32(start)
        freqs[i] = np.uint32(stop - start)


@helper
def _guess(slot, i, mean, scale, masses, quantiles, spreads):  # type: ignore[no-untyped-def]
    """Return about the symbol whose interval holds ``slot``: the components' quantiles, averaged by their masses."""
    quantile = np.int64(quantiles[slot >> _QUANTILE_SHIFT])
    total = _ZERO
    for k in range(masses.size):
        total += masses[k] * (np.int64(mean[i, k]) + ((quantile * spreads[scale[i, k]]) >> _SPREAD_SHIFT))
    return ((total >> _RATIO) + _HALF_LEVEL) >> _FOUR


@kernel
def _pop(  # type: ignore[no-untyped-def]
    heads, tail, length, mean, scale, weight, table, inverses, exponentials, size, quantiles, spreads, out
):
    components = mean.shape[1]
    bases, slopes = np.empty(components, np.int64), np.empty(components, np.int64)
    masses = np.empty(components, np.int64)
    lanes = heads.size
    lane = 0
    for i in range(out.size):
        _prepare(mean, scale, weight, inverses, exponentials, _TOTAL - size, i, bases, slopes, masses)
        head = heads[lane]
        slot = np.int64(peek(head, _PRECISION))
        v, start, stop = _ZERO, _ZERO, _cdf(_ONE, table, bases, slopes, masses)
        if slot >= stop:  # not 0, which is tried first: on a plain background it is nearly always the one
            low, high = _ONE, size - _ONE  # the symbol is in low..high, and its interval in low_edge..high_edge
            low_edge, high_edge = stop, _TOTAL
            v = _guess(slot, i, mean, scale, masses, quantiles, spreads)
            steps = 0
            while True:
                v = min(max(v, low), high)
                start = _cdf(v, table, bases, slopes, masses)
                stop = _cdf(v + _ONE, table, bases, slopes, masses) if v < size - _ONE else _TOTAL
                if slot < start:
                    high, high_edge = v - _ONE, start
                elif slot >= stop:
                    low, low_edge = v + _ONE, stop
                else:
                    break
                if steps < 2 and stop - start > _STEEP:
                    v += (slot - start) // (stop - start)  # a Newton step
                    steps += 1
                    continue
                while low < high:  # between the modes a slope says little: halve
                    v = (low + high + _ONE) >> _ONE
                    edge = _cdf(v, table, bases, slopes, masses)
                    if slot < edge:
                        high, high_edge = v - _ONE, edge
                    else:
                        low, low_edge = v, edge
                v, start, stop = low, low_edge, high_edge
                break
        head = advance(head, np.uint64(start), np.uint64(stop - start), _PRECISION)
        heads[lane], length = refill(head, tail, length)
        if length < 0:
            return np.int64(-1)
        out[i] = v
        lane = 0 if lane + 1 == lanes else lane + 1
    return np.int64(length)


@cache
def _guessing_tables() -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """Return what the search for a symbol starts from: it decides speed only, never a symbol.

    They are quantiles of the logistic function at ``(i + 1/2) / 1024`` in steps of the table, int16[1024], and the
    scales in 1024ths of a level, int64[64].
    """
    middles = (2 * np.arange(1024) + 1) << 21
    quantiles = np.searchsorted(load("logistic"), middles) - (ORIGIN >> FRACTION)
    return quantiles.astype(np.int16), (1 << 32) // load("inverse_scales").astype(np.int64)


class LogisticMixture(Family):
    """Levels ``0 .. symbols - 1`` under mixtures of K logistic distributions, cut at the half levels.

    The interval of v begins at ``floor(sum_k m_k * F((v - 1/2 - mean_k) / scale_k)) + v``, F being the logistic
    function from a table and m_k integers of sum ``2**24 - symbols`` (the rounded-down share of each component, the
    first taking the remainder); the first level takes all below it and the last all above. Every level can be coded.

    Args:
        mean: int32, shape (..., K), in sixteenths of a level.
        scale: uint8 in 0..63, same shape: scale ``2**((scale - 16) / 6)`` levels, 0.16 to 228.
        weight: uint8, same shape: a weight in proportion to ``2**((weight - 128) / 16)``.
        symbols: 2 to 65536. Symbols come out as uint8, or as uint16 if there are more than 256.

    >>> import numpy as np
    >>> pixels = LogisticMixture([[16 * 100]], [[16]], [[128]])  # one component of mean 100 and scale 1
    >>> pixels.bits(np.array([100])).round(2), pixels.bits(np.array([110])).round(2)
    (array([2.03]), array([14.37]))
    """

    precision = 24

    def __init__(self, mean: npt.ArrayLike, scale: npt.ArrayLike, weight: npt.ArrayLike, symbols: int = 256) -> None:
        if not 2 <= symbols <= 1 << 16:
            raise CodecError(f"a logistic mixture has 2 to 65536 levels, not {symbols}")
        self.mean = whole(mean, np.int32, None, "a mean", start=-(1 << 31))
        self.scale = whole(scale, np.uint8, 64, "a scale")
        self.weight = whole(weight, np.uint8, None, "a weight")
        if not self.mean.shape == self.scale.shape == self.weight.shape:
            shapes = self.mean.shape, self.scale.shape, self.weight.shape
            raise CodecError(f"mean, scale and weight differ in shape: {shapes}")
        if not self.mean.ndim or not 1 <= self.mean.shape[-1] <= MAX_COMPONENTS:
            raise CodecError(f"the last axis must hold 1 to {MAX_COMPONENTS} components")
        self.shape, self.size = self.mean.shape[:-1], symbols
        self.dtype = np.uint8 if symbols <= 256 else np.uint16

    def _parameters(self) -> tuple[Any, ...]:
        components = self.mean.shape[-1]
        arrays = (array.reshape(-1, components) for array in (self.mean, self.scale, self.weight))
        return *arrays, load("logistic"), load("inverse_scales"), load("exponentials"), np.int64(self.size)

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _intervals(*self._parameters(), x, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        stack.pull(_pop, *self._parameters(), *_guessing_tables(), out)


class Logistic(LogisticMixture):
    """Levels under one discretised logistic distribution each: a mixture of one, without the last axis."""

    def __init__(self, mean: npt.ArrayLike, scale: npt.ArrayLike, symbols: int = 256) -> None:
        mean, scale = np.asarray(mean)[..., None], np.asarray(scale)[..., None]
        super().__init__(mean, scale, np.zeros(mean.shape, np.uint8), symbols)
