"""What a codec is, and the frame that the families of distributions share."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self, TypeVar

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
        size: number of values that a symbol can take, ``low .. low + size - 1``.
        low: the least of them.
        precision: bits in which the intervals are resolved.
        dtype: of the arrays that :meth:`pop` returns; :meth:`push` takes any integer type.
    """

    shape: Shape
    size: int
    low: int = 0
    precision: int
    dtype: npt.DTypeLike

    expandable: ClassVar[tuple[str, ...] | None] = None
    """The arrays of parameters that :meth:`expand` repeats; None: this family cannot be expanded."""

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
        out = np.empty(self.shape, np.uint16 if self.low else self.dtype)
        self._pop(stack, out.reshape(-1))
        return (out.astype(np.int64) + self.low).astype(self.dtype) if self.low else out

    def expand(self, shape: Shape | int) -> Self:
        """Return the same distributions for arrays of another shape, to which this one is broadcast.

        >>> import numpy as np
        >>> from bitsback.codecs import Categorical
        >>> three = Categorical.from_floats([0.25, 0.5, 0.25])  # one distribution, for a single symbol
        >>> three.expand(5).bits(np.array([0, 1, 1, 2, 1])).round(2)
        array([2., 1., 1., 2., 1.])

        Raises:
            CodecError: the shape is none to broadcast to, or the family has no parameters to repeat.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if self.expandable is None:
            raise CodecError(f"{type(self).__name__} cannot be expanded: make one of shape {shape}")
        twin = copy.copy(self)
        for name in self.expandable:
            array = getattr(self, name)
            try:
                wide = np.broadcast_to(array, shape + array.shape[len(self.shape) :])
            except ValueError:
                raise CodecError(f"parameters of shape {self.shape} cannot be expanded to {shape}") from None
            setattr(twin, name, np.require(wide, None, ["C", "A", "W"]))
        twin.shape = shape
        twin._ready()
        return twin

    def _ready(self) -> None:  # noqa: B027
        """Set what follows from the parameters; called when these are there, or have been expanded."""

    def form(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return ``x`` as :meth:`pop` would: an array of :attr:`dtype`, of the same numbers.

        Raises:
            CodecError: wrong shape or type, or a symbol out of range.
        """
        array = np.asarray(here(x))
        if array.shape != self.shape:
            more = "; expand() repeats these" if self.expandable is not None and array.ndim > len(self.shape) else ""
            raise CodecError(f"symbols have shape {array.shape}, their parameters {self.shape}{more}")
        return whole(array, self.dtype, self.low + self.size, "a symbol", start=self.low)

    def intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Return the flat ``starts`` and ``freqs`` of the symbols ``x``: what :meth:`Stack.push` takes."""
        symbols = self.form(x).reshape(-1)
        return self._intervals((symbols.astype(np.int64) - self.low).astype(np.uint16) if self.low else symbols)

    def bits(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the ideal code length of each symbol in bits, float64 of ``x``'s shape. For reports only."""
        freqs = self.intervals(x)[1]
        return (self.precision - np.log2(freqs.astype(np.float64))).reshape(self.shape)

    @abstractmethod
    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Return starts and freqs of flat, checked symbols, counted from :attr:`low`."""

    @abstractmethod
    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        """Pop into the flat array ``out``, counting from :attr:`low`."""


def formed(codec: Codec[T], x: T) -> T:
    """Return ``x`` as the codec will pop it; as it is, if the codec has no ``form`` to say so.

    Whoever computes with data on both sides, as posteriors do, must see the same on both: a user may push int64 where
    uint8 is popped, and ``2 * x`` is not the same of these. Codecs of your own may have a method ``form``, too.
    """
    form: Callable[[T], T] | None = getattr(codec, "form", None)
    return x if form is None else form(x)


def same_form(x: Any, y: Any) -> bool:
    """Tell whether data are the same in type and value, nested tuples and lists included."""
    if isinstance(x, tuple | list):
        return type(x) is type(y) and len(x) == len(y) and all(map(same_form, x, y))
    if isinstance(x, np.ndarray):
        return isinstance(y, np.ndarray | np.generic) and x.dtype == y.dtype and np.array_equal(x, y)
    return type(x) is type(y) and bool(np.all(x == y))


def whole(values: npt.ArrayLike, dtype: npt.DTypeLike, stop: int | None, what: str, start: int = 0) -> npt.NDArray[Any]:
    """Return ``values`` as a C-contiguous, writable array of an integer ``dtype``: the one form that kernels see.

    (One form, so that each kernel is compiled once.) Values must be integers or booleans in
    ``[start, stop)``; ``stop`` None stands for all that ``dtype`` holds.

    Raises:
        CodecError: another kind of values, or one out of range; the message begins with ``what``.
    """
    array = np.asarray(here(values))
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
    array = floats(values, what)
    if np.isnan(array).any():
        raise CodecError(f"{what} must be a number, not nan")
    if positive and not np.all(array > 0):
        raise CodecError(f"{what} must be above 0, not {array.min()}")
    return array


def floats(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    """Return ``values`` as float64. Raises CodecError: they are no numbers; the message begins with ``what``."""
    try:
        return np.asarray(here(values), np.float64)
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise CodecError(f"{what} must be a number: {error}") from None


def here(values: Any) -> Any:
    """Tensors as NumPy can read them: without their gradients, on the CPU, in a type that it knows.

    What has ``__array__`` (JAX) or takes part in DLPack only is read as it is.
    """
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):
            values = values.float()
    elif hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
        values = np.from_dlpack(values)
    return values


def together(**arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return parameters broadcast to one shape, in the form of :func:`whole`.

    Raises:
        CodecError: they have shapes that do not go together; the message names them.
    """
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) == 1:
        return list(arrays.values())
    try:
        shape = np.broadcast_shapes(*shapes)
        return [np.require(np.broadcast_to(array, shape), None, ["C", "A", "W"]) for array in arrays.values()]
    except ValueError:
        told = ", ".join(f"{name} has shape {array.shape}" for name, array in arrays.items())
        raise CodecError(f"{told}: they do not go together") from None


def type_of(low: int, size: int) -> npt.DTypeLike:
    """Return the dtype of symbols ``low .. low + size - 1``: unsigned where none is negative, and 16 bits where one is.

    (Not 8, which overflow as soon as one computes with them.)
    """
    if low >= 0:
        return np.uint8 if low + size <= 1 << 8 else np.uint16 if low + size <= 1 << 16 else np.int32
    return np.int16 if low >= -(1 << 15) and low + size <= 1 << 15 else np.int32


def nearest(values: npt.NDArray[np.float64], low: int, high: int) -> npt.NDArray[np.int64]:
    """Return the nearest integers (of two, the even one), held within ``low .. high``."""
    return np.rint(np.clip(values, low, high)).astype(np.int64)
