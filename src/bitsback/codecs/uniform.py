"""Symbols that are all equally likely."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bitsback.ans import MAX_PRECISION, Stack, peek, take
from bitsback.codecs.base import Family, Shape
from bitsback.errors import CodecError
from bitsback.kernels import kernel


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


class Uniform(Family):
    """Symbols ``0 .. 2**bits - 1``, ``bits`` bits each; :meth:`of_size` makes one of any size.

    Symbols come out as uint16, or as uint32 where there are more than ``2**16`` of them. A power of two costs exactly
    its bits. Another size n gives symbol x the interval ``[ceil(x * 2**24 / n), ceil((x + 1) * 2**24 / n))``: the
    excess over log2(n) is about ``(n / 2**24)**2`` bits a symbol at most, far under 1e-4 up to 65536 symbols.

    Args:
        bits: 1 to 24.
        shape: of the arrays of symbols.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> stack, die = Stack(), Uniform.of_size(6, (4,))
    >>> die.push(stack, np.array([5, 0, 3, 3]))
    >>> die.pop(stack)
    array([5, 0, 3, 3], dtype=uint16)
    """

    def __init__(self, bits: int, shape: Shape | int = ()) -> None:
        if not isinstance(bits, int | np.integer):
            raise CodecError(f"bits is one integer for all symbols, not {type(bits).__name__}; Serial takes several")
        if not 1 <= bits <= MAX_PRECISION:
            more = f"; Uniform.of_size takes a number of symbols, as {bits}" if bits > MAX_PRECISION else ""
            raise CodecError(f"uniform symbols have 1 to {MAX_PRECISION} bits, not {bits}{more}")
        self._set(1 << bits, bits, shape)

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
        self.dtype = np.uint16 if size <= 1 << 16 else np.uint32

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        if self.size == 1 << self.precision:
            return x.astype(np.uint32), np.ones(x.size, np.uint32)
        edges = np.stack([x, x]).astype(np.uint64)
        edges[1] += np.uint64(1)
        edges = ((edges << np.uint64(self.precision)) + np.uint64(self.size - 1)) // np.uint64(self.size)
        return edges[0].astype(np.uint32), (edges[1] - edges[0]).astype(np.uint32)

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        stack.pull(_pop, self.size, self.precision, out)
