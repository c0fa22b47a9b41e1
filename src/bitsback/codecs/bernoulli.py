"""Zeros and ones."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bitsback.ans import MAX_PRECISION, Stack, peek, take
from bitsback.codecs.base import Family, nearest, reals, whole
from bitsback.errors import CodecError
from bitsback.kernels import kernel


@kernel(vectorise=True)
def _intervals(ones, precision, x, starts, freqs):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        zeros = (1 << precision) - ones[i]
        starts[i] = zeros if x[i] else 0
        freqs[i] = ones[i] if x[i] else zeros


@kernel
def _pop(heads, tail, length, ones, precision, out):  # type: ignore[no-untyped-def]
    lanes = heads.size
    lane = 0
    for i in range(out.size):
        zeros = (1 << precision) - ones[i]
        one = peek(heads[lane], precision) >= zeros
        start, freq = (zeros, ones[i]) if one else (0, zeros)
        length = take(heads, tail, length, lane, start, start + freq, precision)
        if length < 0:
            return -1
        out[i] = one
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


class Bernoulli(Family):
    """Symbols 0 and 1 (uint8), where 1 has probability ``p / 2**precision``.

    The interval of 0 comes first: ``[0, 2**precision - p)``, then that of 1.

    Args:
        p: integers in ``1 .. 2**precision - 1``, any shape; kept as uint32.
        precision: 1 to 24.

    >>> import numpy as np
    >>> Bernoulli(np.array([1, 128, 255]), precision=8).bits(np.array([0, 1, 1])).round(3)
    array([0.006, 1.   , 0.006])
    """

    size = 2
    dtype = np.uint8
    expandable = ("p",)

    def __init__(self, p: npt.ArrayLike, precision: int = 16) -> None:
        if not 1 <= precision <= MAX_PRECISION:
            raise CodecError(f"precision must be 1 to {MAX_PRECISION} bits, not {precision}")
        self.precision = precision
        self.p = whole(p, np.uint32, 1 << precision, "a probability", start=1)
        self.shape = self.p.shape

    @classmethod
    def from_floats(cls, p: npt.ArrayLike, precision: int = 16) -> Self:
        """Return the codec of symbols that are 1 with probability ``p``, for models in floating point.

        The rounding is done in floating point: encoder and decoder must see the very same ``p``, to the last bit. That
        holds inside one environment, not between machines.

        Args:
            p: numbers in 0..1, any shape; rounded to ``1 .. 2**precision - 1`` parts of ``2**precision``.
            precision: 1 to 24.

        Raises:
            CodecError: a number is outside 0..1.

        >>> Bernoulli.from_floats([0.25, 0.0, 1.0], precision=8).p
        array([ 64,   1, 255], dtype=uint32)
        """
        p = reals(p, "a probability")
        if not np.all((p >= 0) & (p <= 1)):
            raise CodecError(f"a probability must be in 0..1, not {p.min() if p.min() < 0 else p.max()}")
        total = 1 << min(max(precision, 1), MAX_PRECISION)  # another precision is refused below
        return cls(nearest(p * total, 1, total - 1), precision)

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _intervals(self.p.reshape(-1), self.precision, x, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        stack.pull(_pop, self.p.reshape(-1), self.precision, out)
