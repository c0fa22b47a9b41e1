"""Symbols that are all equally likely."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bitsback.ans import MAX_PRECISION, Stack, peek, take
from bitsback.codecs.base import Family, Shape, whole
from bitsback.errors import CodecError, EmptyStackError
from bitsback.kernels import kernel

MAX_BITS = 64
"""Of a symbol; a stack takes them 24 at a time."""


@kernel
def _pop(heads, tail, length, size, precision, out):  # type: ignore[no-untyped-def]
    plain = size == 1 << precision
    lanes = heads.size
    lane = 0
    for i in range(out.size):
        x = (peek(heads[lane], precision) * size) >> precision
        # The interval's edges are quotients rounded up
        start = x if plain else ((x << precision) + size - 1) // size
        stop = x + 1 if plain else (((x + 1) << precision) + size - 1) // size
        length = take(heads, tail, length, lane, start, stop, precision)
        if length < 0:
            return -1
        out[i] = x
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


@kernel
def _pop_widths(heads, tail, length, widths, out):  # type: ignore[no-untyped-def]
    lanes = heads.size
    lane = 0
    for i in range(out.size):
        room = MAX_PRECISION - widths[i]
        x = peek(heads[lane], MAX_PRECISION) >> room
        length = take(heads, tail, length, lane, x << room, (x + 1) << room, MAX_PRECISION)
        if length < 0:
            return -1
        out[i] = x
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


class Uniform(Family):
    """Symbols ``0 .. 2**bits - 1``, ``bits`` bits each; :meth:`of_size` makes one of any size.

    Symbols come out as uint16, or as uint32 or uint64 where they need it. A power of two costs exactly
    its bits. Another size n gives symbol x the interval ``[ceil(x * 2**24 / n), ceil((x + 1) * 2**24 / n))``: the
    excess over log2(n) is about ``(n / 2**24)**2`` bits a symbol at most, far under 1e-4 up to 65536 symbols.

    Args:
        bits: 1 to 64; or an array, 0 to 64 for each symbol.
        shape: of the arrays of symbols; default: that of ``bits``.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> stack, die = Stack(), Uniform.of_size(6, (4,))
    >>> die.push(stack, np.array([5, 0, 3, 3]))
    >>> die.pop(stack)
    array([5, 0, 3, 3], dtype=uint16)
    >>> Uniform([1, 60]).push(stack, np.array([1, 1 << 59]))
    >>> round(stack.bits())
    61
    """

    _widths: npt.NDArray[np.uint8] | None = None
    """The bits of each symbol, where they are not the same for all, or more than a stack takes at once."""

    def __init__(self, bits: int | npt.ArrayLike, shape: Shape | int | None = None) -> None:
        if isinstance(bits, int | np.integer):
            if not 1 <= bits <= MAX_BITS:
                more = f"; Uniform.of_size takes a number of symbols, as {bits}" if bits > MAX_BITS else ""
                raise CodecError(f"uniform symbols have 1 to {MAX_BITS} bits, not {bits}{more}")
            if bits <= MAX_PRECISION:
                self._set(1 << int(bits), int(bits), () if shape is None else shape)
                return
        widths = whole(bits, np.uint8, MAX_BITS + 1, "a number of bits")
        self._set(1 << int(widths.max(initial=0)), MAX_PRECISION, widths.shape if shape is None else shape)
        try:
            self._widths = np.require(np.broadcast_to(widths, self.shape), None, ["C", "A", "W"]).reshape(-1)
        except ValueError:
            raise CodecError(f"bits of shape {widths.shape} do not go with symbols of shape {self.shape}") from None

    @classmethod
    def of_size(cls, size: int, shape: Shape | int = ()) -> Uniform:
        """Return the uniform distribution over ``0 .. size - 1``, size from 1 to ``2**24``."""
        if not 1 <= size <= 1 << MAX_PRECISION:
            raise CodecError(f"a uniform distribution has 1 to 2**{MAX_PRECISION} symbols, not {size}")
        bits = max(1, size.bit_length() - 1)
        self = cls.__new__(cls)
        self._set(size, bits if size == 1 << bits else MAX_PRECISION, shape)
        return self

    def _set(self, size: int, precision: int, shape: Shape | int) -> None:
        self.size, self.precision = int(size), int(precision)
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = np.uint16 if size <= 1 << 16 else np.uint32 if size <= 1 << 32 else np.uint64

    def form(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """See :meth:`Family.form`."""
        array = super().form(x)
        if self._widths is not None and np.any(array.reshape(-1).astype(np.uint64) > _largest(self._widths)):
            raise CodecError("a symbol has more bits than it may")
        return array

    def push(self, stack: Stack, x: npt.NDArray[Any]) -> None:
        """See :meth:`Family.push`. Symbols of many bits go in parts, the lowest first."""
        if self._widths is None:
            super().push(stack, x)
            return
        symbols = self.form(x).reshape(-1).astype(np.uint64)
        for first in range(0, max(1, self.size.bit_length() - 1), MAX_PRECISION):
            stack.push(*_part(symbols, self._widths, first), MAX_PRECISION)

    def bits(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """See :meth:`Family.bits`."""
        if self._widths is None:
            return super().bits(x)
        self.form(x)
        return self._widths.astype(np.float64).reshape(self.shape)

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        if self._widths is not None:
            if self.size > 1 << MAX_PRECISION:
                raise CodecError(f"symbols of more than {MAX_PRECISION} bits have no interval")
            return _part(x.astype(np.uint64), self._widths, 0)
        if self.size == 1 << self.precision:
            return x.astype(np.uint32), np.ones(x.size, np.uint32)
        edges = np.stack([x, x]).astype(np.uint64)
        edges[1] += np.uint64(1)
        edges = ((edges << np.uint64(self.precision)) + np.uint64(self.size - 1)) // np.uint64(self.size)
        return edges[0].astype(np.uint32), (edges[1] - edges[0]).astype(np.uint32)

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        if self._widths is None:
            stack.pull(_pop, self.size, self.precision, out)
            return
        before = stack.copy() if self.size > 1 << MAX_PRECISION else stack
        out[:] = 0
        part = np.empty(out.size, np.uint32)
        for first in reversed(range(0, max(1, self.size.bit_length() - 1), MAX_PRECISION)):
            try:
                stack.pull(_pop_widths, np.clip(self._widths.astype(np.int64) - first, 0, MAX_PRECISION), part)
            except EmptyStackError:
                stack.become(before)
                raise
            out |= part.astype(out.dtype) << out.dtype.type(first)


def _part(
    x: npt.NDArray[np.uint64], widths: npt.NDArray[np.uint8], first: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The intervals of so many bits of each symbol as a stack takes at once, from bit ``first`` on."""
    room = (MAX_PRECISION - np.clip(widths.astype(np.int64) - first, 0, MAX_PRECISION)).astype(np.uint32)
    bits = (x >> np.uint64(first)) & np.uint64((1 << MAX_PRECISION) - 1)
    return bits.astype(np.uint32) << room, np.uint32(1) << room


def _largest(widths: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The largest number of so many bits."""
    one = np.uint64(1)
    return np.where(widths, (one << np.maximum(widths.astype(np.uint64), one) - one) * np.uint64(2) - one, np.uint64(0))
