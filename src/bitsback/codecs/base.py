"""What a codec is, and the frame that the families of distributions share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from bitsback.ans import Stack
from bitsback.errors import CodecError

T = TypeVar("T")
Shape = tuple[int, ...]


class Codec(Protocol[T]):
    """A pair of operations on a stack, each the inverse of the other.

    ``pop`` after ``push`` returns the data and restores the stack; ``push`` after ``pop`` restores the stack. The
    type of the data is the codec's own business: an array for a family, a tuple for :class:`Serial`.
    """

    def push(self, stack: Stack, x: T, /) -> None:
        """Put ``x`` on the stack."""

    def pop(self, stack: Stack, /) -> T:
        """Take an ``x`` from the stack."""


class Family(ABC):
    """Independent symbols of one kind of distribution, with integer parameters given as arrays.

    Attributes:
        shape: shape of the arrays of symbols.
        size: number of values that a symbol can take, ``0 .. size - 1``.
        precision: bits in which the intervals are resolved.
        dtype: of the arrays that :meth:`pop` returns; :meth:`push` takes any integer type.
    """

    shape: Shape
    size: int
    precision: int
    dtype: npt.DTypeLike

    def push(self, stack: Stack, x: npt.NDArray[Any]) -> None:
        """Push an array of symbols.

        Raises:
            CodecError: wrong shape or type, or a symbol out of range. The stack is unchanged.
        """
        starts, freqs = self.intervals(x)
        stack.push(starts, freqs, self.precision)

    def pop(self, stack: Stack) -> npt.NDArray[Any]:
        """Pop an array of symbols.

        Raises:
            EmptyStackError: the stack holds too few bits. It is unchanged.
        """
        out = np.empty(self.shape, self.dtype)
        self._pop(stack, out.reshape(-1))
        return out

    def intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Return the flat ``starts`` and ``freqs`` of the symbols ``x``: what :meth:`Stack.push` takes."""
        x = np.asarray(x)
        if x.shape != self.shape:
            raise CodecError(f"symbols have shape {x.shape}, their parameters {self.shape}")
        return self._intervals(whole(x, self.dtype, self.size, "a symbol").reshape(-1))

    def bits(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the ideal code length of each symbol in bits, float64 of ``x``'s shape. For reports only."""
        freqs = self.intervals(x)[1]
        return (self.precision - np.log2(freqs.astype(np.float64))).reshape(self.shape)

    @abstractmethod
    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Return starts and freqs of flat, checked symbols of :attr:`dtype`."""

    @abstractmethod
    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        """Pop into the flat array ``out``."""


def whole(values: npt.ArrayLike, dtype: npt.DTypeLike, stop: int | None, what: str, start: int = 0) -> npt.NDArray[Any]:
    """Return ``values`` as a C-contiguous, writable array of an integer ``dtype``: the one form that kernels see.

    (One form, so that each kernel is compiled once.) Values must be integers or booleans in
    ``[start, stop)``; ``stop`` None stands for all that ``dtype`` holds.

    Raises:
        CodecError: another kind of values, or one out of range; the message begins with ``what``.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "uib":
        raise CodecError(f"{what} must be an integer, not {array.dtype}")
    limits = np.iinfo(dtype)
    stop = limits.max + 1 if stop is None else stop
    held = np.iinfo(np.uint8 if array.dtype.kind == "b" else array.dtype)
    if array.size and (held.min < start or held.max >= stop):
        low, high = int(array.min()), int(array.max())
        if low < start or high >= stop:
            raise CodecError(f"{what} must be in {start}..{stop - 1}, not {low if low < start else high}")
    return np.require(array, dtype, ["C", "A", "W"])


def reals(values: npt.ArrayLike, what: str, positive: bool = False) -> npt.NDArray[np.float64]:
    """Return ``values`` as float64, for the ``from_floats`` of the families.

    Raises:
        CodecError: one is not a number, or not above 0 where ``positive``; the message begins with ``what``.
    """
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise CodecError(f"{what} must be a number") from None
    if np.isnan(array).any():
        raise CodecError(f"{what} must be a number, not nan")
    if positive and not np.all(array > 0):
        raise CodecError(f"{what} must be above 0, not {array.min()}")
    return array


def nearest(values: npt.NDArray[np.float64], low: int, high: int) -> npt.NDArray[np.int64]:
    """Return the nearest integers (of two, the even one), held within ``low .. high``."""
    return np.rint(np.clip(values, low, high)).astype(np.int64)
