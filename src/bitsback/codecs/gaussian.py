"""Levels under Gaussians cut at the half levels: pixels or residuals with light tails.

To the bit, for N levels and with the tables of :mod:`bitsback.codecs.tables`, all divisions rounding down::

    position     t(v) = 2**30 + (16 v - 8 - mean) * inverse_scales[scale], held within 0 .. 2**31 - 1
    interval     start(v) = (F(t(v)) * (2**24 - N)) // 2**32 + v for 0 < v < N;  start(0) = 0;  start(N) = 2**24
                 symbol v has [start(v), start(v + 1))

where F reads the table ``normal`` between its entries, as ``logistic`` is read in :mod:`bitsback.codecs.logistic`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bitsback.ans import Stack, peek, take
from bitsback.codecs.base import Family, together, type_of, whole
from bitsback.codecs.logistic import SCALES, checked_low, from_low, on_grid
from bitsback.codecs.search import search
from bitsback.codecs.tables import ORIGIN, load, sigmoid
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel

PRECISION = 24

_TOTAL = 1 << PRECISION
_QUANTILE_SHIFT = 11  # from 24 bits to the 8192 quantiles
_GUESS_SHIFT = 40


@helper
def _cdf(v, mean, inverse, normal, size):  # type: ignore[no-untyped-def]
    """Return where the interval of v begins; ``2**24`` for v = size."""
    if v <= 0:
        return 0
    if v >= size:
        return _TOTAL
    below = sigmoid(normal, ORIGIN + (16 * v - 8 - mean) * inverse)
    return ((below * (_TOTAL - size)) >> 32) + v


@helper
def _interval(v, mean, inverse, normal, size):  # type: ignore[no-untyped-def]
    return _cdf(v, mean, inverse, normal, size), _cdf(v + 1, mean, inverse, normal, size)


@kernel
def _intervals(mean, scale, inverses, normal, size, x, starts, freqs):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        start, stop = _interval(x[i], mean[i], inverses[scale[i]], normal, size)
        starts[i], freqs[i] = start, stop - start


@kernel
def _pop(heads, tail, length, mean, scale, inverses, normal, size, quantiles, widths, out):  # type: ignore[no-untyped-def]
    lanes = heads.size
    lane = 0
    for i in range(out.size):
        slot = peek(heads[lane], PRECISION)
        # Begin with the level that the slot's quantile falls in
        quantile = quantiles[max(slot >> _QUANTILE_SHIFT, 1)]
        guess = (mean[i] + ((quantile * widths[scale[i]]) >> _GUESS_SHIFT) + 8) >> 4
        v, start, stop = search(slot, guess, size, _interval, mean[i], inverses[scale[i]], normal, size)
        length = take(heads, tail, length, lane, start, stop, PRECISION)
        if length < 0:
            return -1
        out[i] = v
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


@cache
def _widths() -> npt.NDArray[np.int64]:
    """Return standard deviations in sixteenths, in ``2**-20``, int64[112]: they guide the search, decide nothing."""
    return (1 << 46) // load("inverse_scales").astype(np.int64)


class Gaussian(Family):
    """Levels ``0 .. symbols - 1`` under a Gaussian each, cut at the half levels.

    The interval of v begins at ``floor((2**24 - symbols) * Phi((v - 1/2 - mean) / scale)) + v``; the first level takes
    all below it and the last all above. Every level can be coded, however unlikely: none costs more than 24 bits.

    Next to a :class:`Logistic` of the same spread it is rounder and its tails are far lighter. For latents, whose prior
    is a Gaussian too, use :class:`PosteriorBuckets`.

    Args:
        mean: int32, any shape, in sixteenths of a level.
        scale: uint8 in 0..111, same shape: a standard deviation of ``2**((scale - 16) / 6)`` levels, 0.16 to 58,000.
        symbols: 2 to 65536. They come out as uint8, or as uint16 if 8 bits do not hold them, and signed if ``low`` is
            below 0.
        low: the least level, maybe a negative one: levels are ``low .. low + symbols - 1``.

    Raises:
        CodecError: a parameter is out of range, or their shapes do not go together.

    >>> import numpy as np
    >>> levels = Gaussian([16 * 100, 16 * 100], [16, 16])  # mean 100 and standard deviation 1
    >>> levels.bits(np.array([100, 104])).round(2)
    array([ 1.38, 12.09])
    """

    precision = PRECISION
    expandable = ("mean", "scale")

    def __init__(self, mean: npt.ArrayLike, scale: npt.ArrayLike, symbols: int = 256, low: int = 0) -> None:
        if not 2 <= symbols <= 1 << 16:
            raise CodecError(f"a Gaussian has 2 to 65536 levels, not {symbols}")
        self.mean, self.scale = together(
            mean=whole(mean, np.int32, None, "a mean", start=-(1 << 31)),
            scale=whole(scale, np.uint8, SCALES, "a scale"),
        )
        self.shape, self.size, self.low = self.mean.shape, symbols, checked_low(low)
        self.dtype = type_of(low, symbols)

    @classmethod
    def from_floats(cls, mean: npt.ArrayLike, scale: npt.ArrayLike, symbols: int = 256, low: int = 0) -> Self:
        """Return the codec for float means and standard deviations in levels, moved to the grids above.

        The rounding is done in floating point: encoder and decoder must see the very same floats. Inside one
        environment they do, between machines they may not.

        Raises:
            CodecError: a scale is not above 0, something is not a number, or the shapes do not go together.

        >>> Gaussian.from_floats([99.7], [2.0]).mean
        array([1595], dtype=int32)
        """
        return cls(*on_grid(mean, scale), symbols, low)

    def _parameters(self) -> tuple[Any, ...]:
        flat = from_low(self.mean, self.low).reshape(-1), self.scale.reshape(-1)
        return *flat, load("inverse_scales"), load("normal"), self.size

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _intervals(*self._parameters(), x, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        stack.pull(_pop, *self._parameters(), load("quantiles"), _widths(), out)
