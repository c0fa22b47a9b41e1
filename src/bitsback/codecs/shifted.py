"""Bits that look random to whoever takes them next."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bitsback.ans import MAX_PRECISION, Stack
from bitsback.codecs.base import Shape
from bitsback.codecs.uniform import Uniform
from bitsback.errors import CodecError

_STEP, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class Shifted(Uniform):
    """Equally likely symbols, each of which is moved by a number that both sides know before it goes on the stack.

    Bits back chooses latents with bits that it takes for random. In a chain these are what the last datum's latents
    left there, and latents are not as their prior says: the average posterior is narrower, or has its mass elsewhere.
    Such *dirty* bits choose dear latents, and models of several layers pay most. Moved by pseudo-random numbers,
    symbols lie on the stack as if they were uniform; what they cost is the same. (That bits must be random is said by
    Brendan Frey & Geoffrey Hinton, "Efficient stochastic source coding and an application to a Bayesian network source
    model", The Computer Journal 40, 1997.)

    The prior of the latents in a chain, with buckets of equal mass, is such a distribution: ``Shifted(bits, shape, n)``
    for datum n in place of ``Uniform(bits, shape)``.

    Args:
        bits: as of :class:`Uniform`.
        shape: as of :class:`Uniform`.
        number: of the datum, 0 to 2^64 - 1: whatever encoder and decoder both know, another one for each.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> stack, prior = Stack(), Shifted(8, (4,), number=7)
    >>> prior.push(stack, np.array([5, 5, 5, 5]))
    >>> Uniform(8, (4,)).pop(stack.copy())  # what others see
    array([189, 171, 145, 159], dtype=uint16)
    >>> prior.pop(stack)
    array([5, 5, 5, 5], dtype=uint16)
    """

    def __init__(self, bits: int, shape: Shape | int = (), number: int = 0) -> None:
        if not 1 <= bits <= MAX_PRECISION:
            raise CodecError(f"shifted symbols have 1 to {MAX_PRECISION} bits, not {bits}")
        super().__init__(bits, shape)
        if not 0 <= number < 1 << 64:
            raise CodecError(f"the number of a datum is 0 to 2**64 - 1, not {number}")
        count = int(np.prod(self.shape, dtype=np.int64))
        self._shifts = _noise(number, count) >> np.uint64(64 - bits)

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        return super()._intervals((x + self._shifts) % np.uint64(self.size))

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        super()._pop(stack, out)
        out[:] = (out + (np.uint64(self.size) - self._shifts)) % np.uint64(self.size)


def _noise(number: int, count: int) -> npt.NDArray[np.uint64]:
    """``count`` numbers of 64 bits: those of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), seeded by its own first
    number for ``number``, so that data do not share parts of one sequence."""
    (seed,) = _mixed(np.array([number], np.uint64) + _STEP)
    return _mixed(seed + _STEP * np.arange(1, count + 1, dtype=np.uint64))


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))
