"""Integers under any distribution function, given in floats: for models whose family is not here.

To the bit, for the integers v of low .. high, with n = high - low + 1 and rounding down::

    interval     start(v) = F(v - 1/2) * (2**precision - n) + v - low;  start(low) = 0;  start(high + 1) = 2**precision
                 symbol v has [start(v), start(v + 1))

so that every symbol has a frequency of 1 or more. F is taken as it never falls: where rounding makes it fall, the
largest of its values so far stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bitsback.ans import MAX_PRECISION, Stack
from bitsback.codecs.base import Family, Shape, reals
from bitsback.codecs.categorical import pop_once
from bitsback.errors import CodecError

Cdf = Callable[..., npt.ArrayLike]

SLAB = 1 << 18
"""Edges that are computed at a time."""


class Quantised(Family):
    """Integers ``low .. high`` under a distribution cut at the half integers; what is beyond goes to the ends.

    Pushing and popping evaluate the same function on the same arrays, so inside one environment they agree to the
    bit; between machines or versions of libraries they may not (as with ``from_floats`` of the other families). It
    takes one evaluation for each integer and symbol: for a few thousand integers; :class:`Logistic` and
    :class:`Gaussian` compute only what they need, and in integers.

    Args:
        cdf: the distribution function, ``cdf(v, *parameters)``. ``v`` are float64 edges of shape (n,), parameters have
            shape (symbols, 1), and what comes back broadcasts to (symbols, n): ``scipy.stats.cauchy.cdf`` is one.
        parameters: numbers or arrays, broadcast to one shape, that of the arrays of symbols.
        low: the least integer, maybe a negative one.
        high: the largest; 65,536 integers at most.
        shape: of the arrays of symbols; default: that of the parameters.
        precision: 1 to 24.

    Raises:
        CodecError: too many integers for the precision, or parameters that are no numbers or do not broadcast; on
            push and pop, also a value of ``cdf`` outside of 0 .. 1.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> def laplace(v, mean, scale):
    ...     z = (v - mean) / scale
    ...     return np.where(z < 0, np.exp(np.minimum(z, 0)) / 2, 1 - np.exp(-np.maximum(z, 0)) / 2)
    >>> stack, codec = Stack(), Quantised(laplace, [-3.0, 8.5], 2.0, low=-100, high=100)
    >>> codec.push(stack, np.array([-4, 9]))
    >>> round(stack.bits(), 2)
    5.05
    >>> codec.pop(stack)
    array([-4,  9], dtype=int32)
    """

    def __init__(
        self, cdf: Cdf, *parameters: npt.ArrayLike, low: int, high: int, shape: Shape | int | None = None,
        precision: int = MAX_PRECISION,
    ) -> None:  # fmt: skip
        if not 1 <= precision <= MAX_PRECISION:
            raise CodecError(f"precision must be 1 to {MAX_PRECISION} bits, not {precision}")
        if not 1 <= high - low + 1 <= min(1 << 16, 1 << precision) or not -(1 << 31) <= low <= high < 1 << 31:
            raise CodecError(f"{low} to {high} are not 1 to {min(1 << 16, 1 << precision)} integers of 32 bits")
        arrays = [reals(values, "a parameter") for values in parameters]
        try:
            found = np.broadcast_shapes(*(array.shape for array in arrays))
            self.shape = found if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
            self.parameters = [np.broadcast_to(array, self.shape).reshape(-1) for array in arrays]
        except ValueError as error:
            raise CodecError(f"parameters of shapes {[array.shape for array in arrays]}: {error}") from None
        self.cdf, self.low, self.high, self.precision = cdf, int(low), int(high), int(precision)
        self.size, self.dtype = self.high - self.low + 1, np.int32

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        for part, cdfs in self._slabs():
            rows, columns = np.arange(len(cdfs)), x[part].astype(np.int64)
            starts[part] = cdfs[rows, columns]
            freqs[part] = cdfs[rows, columns + 1] - starts[part]
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        def pop(heads: npt.NDArray[np.uint64], tail: npt.NDArray[np.uint32], length: int) -> int:
            for part, cdfs in self._slabs():
                found = np.empty(len(cdfs), np.uint16)
                length = pop_once(heads, tail, length, cdfs, part.start, self.precision, found)
                if length < 0:
                    break
                out[part] = found
            return length

        stack.pull(pop)

    def _slabs(self) -> Iterator[tuple[slice, npt.NDArray[np.uint32]]]:
        """Cumulative frequencies, uint32 (rows, size + 1), of so many symbols at a time; pushing and popping alike."""
        step = max(1, SLAB // self.size)
        edges = np.arange(self.low, self.high, dtype=np.float64) + 0.5
        symbols = math.prod(self.shape)
        for first in range(0, symbols, step):
            part = slice(first, min(first + step, symbols))
            rows = part.stop - part.start
            below = np.asarray(self.cdf(edges, *(values[part, None] for values in self.parameters)), np.float64)
            if not (below.size == 0 or (below.min() >= 0 and below.max() <= 1)):
                raise CodecError("a distribution function must give values in 0 .. 1")
            cdfs = np.empty((rows, self.size + 1), np.uint32)
            cdfs[:, 0], cdfs[:, -1] = 0, 1 << self.precision
            rising = np.maximum.accumulate(np.broadcast_to(below, (rows, self.size - 1)), axis=1)
            cdfs[:, 1:-1] = (rising * ((1 << self.precision) - self.size)).astype(np.int64)
            cdfs[:, 1:-1] += np.arange(1, self.size, dtype=np.uint32)
            yield part, cdfs
