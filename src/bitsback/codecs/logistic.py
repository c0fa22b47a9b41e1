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

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bitsback.ans import Stack, advance, helper, kernel, peek, refill
from bitsback.codecs.base import Family, Shape, whole
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
def _prepare(codes, i, j, step, zero, inverses, exponentials, mass, bases, slopes, masses):  # type: ignore[no-untyped-def]
    """Turn the parameters ``codes[i, :, j]`` of a symbol (K means, K scales, K weights) into those of :func:`_cdf`.

    ``bases + v * slopes`` is the position in the table of the lower edge of v, a half level below v; ``masses`` are
    the weights in integers of sum ``mass``, the first taking what the rounding down of the others leaves.
    """
    components = bases.size
    total = _ZERO
    for k in range(components):
        inverse = inverses[codes[i, components + k, j]]
        bases[k] = _ORIGIN - (np.int64(codes[i, k, j]) * step + zero + _HALF_LEVEL) * inverse
        slopes[k] = _LEVEL * inverse
        masses[k] = exponentials[codes[i, 2 * components + k, j]]
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
def _intervals(codes, order, step, zero, inverses, table, exponentials, size, x, starts, freqs):  # type: ignore[no-untyped-def]
    components = codes.shape[1] // 3
    bases, slopes = np.empty(components, np.int64), np.empty(components, np.int64)
    masses = np.empty(components, np.int64)
    n = 0
    for i in range(codes.shape[0]):
        for j in order:
            _prepare(codes, i, j, step, zero, inverses, exponentials, _TOTAL - size, bases, slopes, masses)
            v = np.int64(x[n])
            start = _cdf(v, table, bases, slopes, masses) if v > _ZERO else _ZERO
            v += _ONE
            stop = _cdf(v, table, bases, slopes, masses) if v < size else _TOTAL
            starts[n] = np.uint32(start)
            freqs[n] = np.uint32(stop - start)
            n += 1


@helper
def _guess(slot, codes, i, j, step, zero, masses, quantiles, spreads):  # type: ignore[no-untyped-def]
    """Return about the symbol whose interval holds ``slot``: the components' quantiles, averaged by their masses."""
    quantile = np.int64(quantiles[slot >> _QUANTILE_SHIFT])
    total = _ZERO
    for k in range(masses.size):
        spread = (quantile * spreads[codes[i, masses.size + k, j]]) >> _SPREAD_SHIFT
        total += masses[k] * (np.int64(codes[i, k, j]) * step + zero + spread)
    return ((total >> _RATIO) + _HALF_LEVEL) >> _FOUR


@helper
def _find(slot, low, codes, i, j, step, zero, table, bases, slopes, masses, size, quantiles, spreads):  # type: ignore[no-untyped-def]
    """Return ``(v, start, stop)`` of the symbol, ``low`` or above, whose interval holds ``slot``."""
    high = size - _ONE
    v = min(max(_guess(slot, codes, i, j, step, zero, masses, quantiles, spreads), low), high)
    start = _cdf(v, table, bases, slopes, masses) if v > _ZERO else _ZERO
    stop = _cdf(v + _ONE, table, bases, slopes, masses) if v < size - _ONE else _TOTAL
    steps = 0
    while slot < start or slot >= stop:
        if slot < start:
            high = v - _ONE
        else:
            low = v + _ONE
        # Newton steps; from a poor guess a few of them lead nowhere, so then halve
        newton = min(max(v + (slot - start) // (stop - start), low), high)
        w = newton if steps < 3 else (low + high) >> _ONE
        steps += 1
        # Most steps lead next door, where one end of the interval is known
        before, beyond = start, stop
        start = beyond if w == v + _ONE else _ZERO
        if w != v + _ONE and w > _ZERO:
            start = _cdf(w, table, bases, slopes, masses)
        stop = before if w == v - _ONE else _TOTAL
        if w != v - _ONE and w < size - _ONE:
            stop = _cdf(w + _ONE, table, bases, slopes, masses)
        v = w
    return v, start, stop


@kernel
def _pop(  # type: ignore[no-untyped-def]
    heads, tail, length, codes, order, step, zero, inverses, table, exponentials, size, quantiles, spreads, out
):
    components = codes.shape[1] // 3
    bases, slopes = np.empty(components, np.int64), np.empty(components, np.int64)
    masses = np.empty(components, np.int64)
    lanes = heads.size
    lane = 0
    n = 0
    for i in range(codes.shape[0]):
        for j in order:
            _prepare(codes, i, j, step, zero, inverses, exponentials, _TOTAL - size, bases, slopes, masses)
            head = heads[lane]
            slot = np.int64(peek(head, _PRECISION))
            v, start, stop = _ZERO, _ZERO, _cdf(_ONE, table, bases, slopes, masses)
            if slot >= stop:  # not 0, which is tried first: on a plain background it is nearly always the one
                v, start, stop = _find(
                    slot, _ONE, codes, i, j, step, zero, table, bases, slopes, masses, size, quantiles, spreads
                )
            head = advance(head, np.uint64(start), np.uint64(stop - start), _PRECISION)
            heads[lane], length = refill(head, tail, length)
            if length < 0:
                return np.int64(-1)
            out[n] = v
            n += 1
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


class _Mixture(Family):
    """What the two ways of giving the parameters share: one array of all of them, and how to read it.

    Symbol (i, j) has the parameters ``codes[i, :, order[j]]``: K means in units of ``step`` sixteenths of a level from
    ``zero``, K indices into the tables of scales, and K weights.
    """

    precision = 24
    codes: npt.NDArray[Any]
    order: npt.NDArray[np.int64]
    step: int
    zero: int

    def _arguments(self) -> tuple[Any, ...]:
        inverses, _ = self._scales()
        reading = (self.codes, self.order, np.int64(self.step), np.int64(self.zero), inverses)
        return *reading, load("logistic"), load("exponentials"), np.int64(self.size)

    @staticmethod
    def _scales() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the inverse scales and the spreads by index."""
        return load("inverse_scales").astype(np.int64, copy=False), _guessing_tables()[1]

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _intervals(*self._arguments(), x, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        stack.pull(_pop, *self._arguments(), _guessing_tables()[0], self._scales()[1], out)


class LogisticMixture(_Mixture):
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

    step, zero = 1, 0

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
        components = self.mean.shape[-1]
        parts = [part.reshape(-1, components).astype(np.int32) for part in (self.mean, self.scale, self.weight)]
        self.codes, self.order = np.concatenate(parts, 1)[:, :, None], np.zeros(1, np.int64)


class NetworkMixture(_Mixture):
    """Bytes under the mixtures whose parameters are a network's output, as it is: planar, one byte a parameter.

    A mean is ``(18 u - 256) / 16`` levels for the byte u, so that means reach 16 levels beyond either end and black
    and white can be certain; a scale has the index ``quarter(u)`` in :class:`LogisticMixture`; a weight is its own.

    Args:
        codes: uint8 (n, 3 K, ...): K means, K scales, K weights for each symbol.
        shape: of the arrays of symbols; its first axis is n.
        order: where in the flattened last axes of ``codes`` the symbols of one example are, int64; None: in order.

    >>> import numpy as np
    >>> codes = np.full((1, 3, 2, 2), 128, np.uint8)  # one component: mean 128 and scale 2^(16/6) = 6.3 levels
    >>> NetworkMixture(codes, (1, 2, 2)).bits(np.array([[[128, 127], [120, 0]]])).round(1)
    array([[[ 4.7,  4.7],
            [ 5.2, 23. ]]])
    """

    step, zero = 18, -256
    size = 256
    dtype = np.uint8

    def __init__(self, codes: npt.NDArray[np.uint8], shape: Shape, order: npt.NDArray[np.int64] | None = None) -> None:
        if codes.ndim < 2 or codes.dtype != np.uint8 or codes.shape[1] % 3 or not codes.shape[1]:
            raise CodecError(f"a mixture's codes must be uint8 (n, 3 K, ...), not {codes.dtype} {codes.shape}")
        self.codes = np.ascontiguousarray(codes).reshape(*codes.shape[:2], -1)
        self.order = np.arange(self.codes.shape[2]) if order is None else order
        self.shape = shape
        if len(codes) * self.order.size != math.prod(shape) or self.order.size != self.codes.shape[2]:
            raise CodecError(f"codes of shape {codes.shape} do not fit symbols of shape {shape}")

    @staticmethod
    def _scales() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        return _network_scales()


@cache
def _network_scales() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    index = quarter(np.arange(256, dtype=np.uint8))
    inverses, spreads = _Mixture._scales()
    return inverses[index], spreads[index]


def quarter(u: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return u / 4, halves rounded up, at most 63: from a network's output to an index of a table of 64 scales.

    >>> quarter(np.array([0, 1, 2, 5, 6, 128, 252, 255], np.uint8))
    array([ 0,  0,  1,  1,  2, 32, 63, 63], dtype=uint8)
    """
    quarters: npt.NDArray[np.uint8] = np.minimum((u.astype(np.uint16) + 2) >> 2, 63).astype(np.uint8)
    return quarters


class Logistic(LogisticMixture):
    """Levels under one discretised logistic distribution each: a mixture of one, without the last axis."""

    def __init__(self, mean: npt.ArrayLike, scale: npt.ArrayLike, symbols: int = 256) -> None:
        mean, scale = np.asarray(mean)[..., None], np.asarray(scale)[..., None]
        super().__init__(mean, scale, np.zeros(mean.shape, np.uint8), symbols)
