"""The stack: range asymmetric numeral systems (rANS) over interleaved lanes.

A :class:`Stack` is one long message on which symbols are pushed and popped. Each of its ``lanes`` has a *head*, a
64-bit state kept in ``[2**32, 2**64)``; all lanes share one *tail* of 32-bit words, to which a full head gives its
low half, and from which a drained head takes it back::

    heads   [ h0 ][ h1 ] ... [ h7 ]         symbol j of a call uses head j % lanes
               |  ^
       push:   v  |  :pop
    tail    [ w0 w1 w2 ............ w(n-1) ]   last in, first out

A symbol owns an interval ``[start, start + freq)`` of ``[0, 2**precision)``. Pushing it takes the head ``h`` to
``(h // freq) * 2**precision + start + h % freq``, which makes the message about ``precision - log2(freq)`` bits
longer; popping reads the low ``precision`` bits of the head, finds the interval that they are in, and undoes that.
Symbols are pushed last to first, so that they are popped first to last. Either operation is the exact inverse of the
other, from any state. (Jarek Duda, "Asymmetric numeral systems", arXiv 1311.2540, section 2.2 on range variants.)

Kernels elsewhere are built from the helpers of this module (:func:`peek` and :func:`take`, if not :func:`advance` and
:func:`refill`) and run with :meth:`Stack.pull`. Heads are words, ``np.uint64``; slots, lengths and indices are integers
(:mod:`bitsback.kernels.values`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bitsback.errors import CodecError, EmptyStackError, FormatError, TruncatedError
from bitsback.kernels import helper, kernel
from bitsback.kernels.vectors import INTS, LANES, LONGS, vectorised

MAX_PRECISION = 24
"""Most bits that one symbol's interval may be resolved in."""

MAX_LANES = 1 << 16

_LOWEST = np.uint64(1 << 32)
_ONE = np.uint64(1)

_QUICK = 14
"""Bits of precision from which on the quotients of pushes are below 2^50."""


class Encoder(NamedTuple):
    """The intervals of all symbols, uint32, which a kernel fills in the order of popping; then they are pushed."""

    starts: npt.NDArray[np.uint32]
    freqs: npt.NDArray[np.uint32]


class Position(NamedTuple):
    """A place in a message, to go back to: what :meth:`Stack.pos` returns and :meth:`Stack.seek` takes."""

    words: int
    heads: tuple[int, ...]


class Decoder(NamedTuple):
    """The stack that a kernel pops from. One text can serve both: it is compiled for the one that it is given."""

    heads: npt.NDArray[np.uint64]
    tail: npt.NDArray[np.uint32]


@helper
def peek(head, precision):  # type: ignore[no-untyped-def]
    """Return the low ``precision`` bits of a head, an integer: the popped symbol's interval contains it."""
    return np.int64(head & ((_ONE << precision) - 1))


@helper
def peek_all(heads, first, precision):  # type: ignore[no-untyped-def]
    """Return the same of all heads, of which there are LANES, from number ``first`` on: a vector."""
    return _peek_all(heads, first, (1 << precision) - 1)


@vectorised
def _peek_all(v, heads, first, mask):  # type: ignore[no-untyped-def]
    numbers = (v.vector(list(range(LANES)), INTS) + first) & (LANES - 1)
    return (heads.gather(numbers, LONGS) & mask).to(INTS)


@helper
def advance(head, start, freq, precision):  # type: ignore[no-untyped-def]
    """Return the head without the symbol whose interval is ``[start, start + freq)``; refill it next."""
    return freq * (head >> precision) + (head & ((_ONE << precision) - 1)) - start


@helper
def refill(head, tail, length):  # type: ignore[no-untyped-def]
    """Return ``(head, length)`` after taking a word from the tail if the head needs one; length -1: there was none.

    Written without a branch, as whether a word is needed cannot be predicted. The tail always has a spare slot at its
    end, so that the read is inside the array even when its value is not used.
    """
    drained = head < _LOWEST
    length -= drained
    filled = (head << 32) | np.uint64(tail[max(length, 0)])
    return (filled if drained else head), length


@helper
def take(heads, tail, length, lane, start, stop, precision):  # type: ignore[no-untyped-def]
    """Pop the symbol of the interval ``[start, stop)`` from a head; return the tail's length, -1 if it had no word."""
    head = advance(heads[lane], np.uint64(start), np.uint64(stop) - np.uint64(start), precision)
    heads[lane], length = refill(head, tail, length)
    return length


@helper
def _quotient(head, freq):  # type: ignore[no-untyped-def]
    """Return ``head // freq``, which is below 2^50: by float64, which is off by 1 at most however it rounds, and put
    right by integers.

    Processors divide integers of 64 bits several times more slowly; but not where each quotient has to wait for the
    last one, so this is for several lanes.
    """
    real = np.float64(np.int64(head >> 32)) * 4294967296.0 + np.float64(np.int64(head & 0xFFFFFFFF))
    quotient = np.int64(real / np.float64(np.int64(freq)))
    rest = np.int64(head) - quotient * np.int64(freq)
    return np.uint64(quotient - (rest < 0) + (rest >= np.int64(freq)))


@kernel
def _push(heads, tail, length, starts, freqs, precision):  # type: ignore[no-untyped-def]
    """Push all symbols, last first; return the new length, or -1 if an interval is empty or out of range."""
    total = _ONE << precision
    lanes = heads.size
    quick = precision >= _QUICK and lanes > 2
    lane = (starts.size - 1) % lanes
    for i in range(starts.size - 1, -1, -1):
        start, freq = np.uint64(starts[i]), np.uint64(freqs[i])
        if freq == 0 or start + freq > total:
            return -1
        head = heads[lane]
        tail[length] = head
        full = (head >> (64 - precision)) >= freq
        length += full
        head = head >> 32 if full else head
        quotient = _quotient(head, freq) if quick else head // freq
        heads[lane] = (quotient << precision) + (head - quotient * freq) + start
        lane = lanes - 1 if lane == 0 else lane - 1
    return length


@kernel
def _drop(heads, tail, length, starts, freqs, precision, fits):  # type: ignore[no-untyped-def]
    """Take off all symbols, first to last; ``fits[0]`` is 0 if one is not there."""
    lanes = heads.size
    lane = 0
    for i in range(starts.size):
        start, stop = np.int64(starts[i]), np.int64(starts[i]) + np.int64(freqs[i])
        slot = peek(heads[lane], precision)
        if slot < start or slot >= stop:
            fits[0] = 0
            return length
        length = take(heads, tail, length, lane, start, stop, precision)
        if length < 0:
            return -1
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


def _pieces(value: int, bits: int) -> list[tuple[int, int]]:
    """A number in pieces of at most 16 bits, lowest first: (value, bits) of each."""
    return [(value >> first & 0xFFFF, min(16, bits - first)) for first in range(0, bits, 16)]


class Stack:
    """A message on which symbols are pushed and popped, last in, first out.

    Args:
        lanes: number of interleaved heads. More lanes let the processor work on several symbols at once; each
            costs 8 bytes in :meth:`to_bytes` less the up to 32 bits that its head holds beyond the initial state;
            :meth:`reshape` makes them few in the end.

    >>> import numpy as np
    >>> stack = Stack()
    >>> starts, freqs = np.array([0, 5, 2], np.uint32), np.array([2, 3, 3], np.uint32)  # three symbols of eighths
    >>> stack.push(starts, freqs, precision=3)
    >>> round(stack.bits(), 2)
    4.83
    """

    __slots__ = ("_heads", "_length", "_tail")

    def __init__(self, lanes: int = 1) -> None:
        if not 1 <= lanes <= MAX_LANES:
            raise CodecError(f"a stack has 1 to {MAX_LANES} lanes, not {lanes}")
        self._heads: npt.NDArray[np.uint64] = np.full(lanes, _LOWEST, np.uint64)
        self._tail: npt.NDArray[np.uint32] = np.zeros(16, np.uint32)
        self._length = 0

    @property
    def lanes(self) -> int:
        """The number of heads."""
        return self._heads.size

    @property
    def heads(self) -> npt.NDArray[np.uint64]:
        """A copy of the heads, uint64[lanes]."""
        return self._heads.copy()

    @property
    def words(self) -> npt.NDArray[np.uint32]:
        """A copy of the tail, uint32[len(stack)], bottom first."""
        return self._tail[: self._length].copy()

    def push(self, starts: npt.NDArray[np.uint32], freqs: npt.NDArray[np.uint32], precision: int) -> None:
        """Push symbols by their intervals ``[start, start + freq)`` of ``[0, 2**precision)``, the last one first.

        Args:
            starts: uint32, any shape, read in C order.
            freqs: uint32, of the same size.
            precision: 1 to 24.

        Raises:
            CodecError: an interval is empty or leaves the range, or the arguments disagree. The stack is unchanged.
        """
        self._check(starts, freqs, precision)
        if not starts.size:
            return
        self._reserve(starts.size)
        heads = self._heads.copy()
        starts, freqs = (np.require(a, None, ["C", "A", "W"]).reshape(-1) for a in (starts, freqs))
        length = _push(heads, self._tail, self._length, starts, freqs, precision)
        if length < 0:
            raise CodecError(f"an interval is empty or beyond 2**{precision}")
        self._heads, self._length = heads, length

    def pull(self, pop: Callable[..., int], *arguments: Any) -> None:
        """Run a pop kernel, ``pop(heads, tail, length, *arguments) -> length``, all or nothing.

        The kernel changes ``heads`` in place, must not write to ``tail``, and returns the words left or -1 when the
        tail could not supply one; results go into arrays among ``arguments``.

        Raises:
            EmptyStackError: the kernel returned -1. The stack is as it was before the call.
        """
        heads = self._heads.copy()
        length = pop(heads, self._tail, self._length, *arguments)
        if length < 0:
            raise EmptyStackError("a pop needs more bits than the stack holds")
        self._heads, self._length = heads, length

    def peek(self, precision: int, count: int | None = None) -> npt.NDArray[np.uint32]:
        """Return the slots of the next symbols, one of each lane: pop in two steps, without a kernel.

        A slot lies in the interval of the symbol that is there. Find it, then :meth:`drop` it.

        Args:
            precision: 1 to 24.
            count: of the first lanes only.

        Returns:
            uint32 (count,), or (lanes,), below ``2**precision``.

        >>> stack = Stack()
        >>> stack.push(np.array([5], np.uint32), np.array([2], np.uint32), precision=3)
        >>> stack.peek(3)  # in [5, 7)
        array([5], dtype=uint32)
        >>> stack.drop(np.array([5], np.uint32), np.array([2], np.uint32), precision=3)
        >>> stack.is_initial()
        True
        """
        self._check_precision(precision)
        count = self.lanes if count is None else count
        if not 0 <= count <= self.lanes:
            raise CodecError(f"a stack of {self.lanes} lanes shows no {count} symbols at once")
        return (self._heads[:count] & np.uint64((1 << precision) - 1)).astype(np.uint32)

    def drop(self, starts: npt.NDArray[np.uint32], freqs: npt.NDArray[np.uint32], precision: int) -> None:
        """Take off the symbols of these intervals, first to last: what :meth:`push` with the same arguments put there.

        Raises:
            CodecError: the arguments disagree, or are not those of the symbols that are there. The stack is unchanged.
            EmptyStackError: the stack holds too few bits. It is unchanged.
        """
        self._check(starts, freqs, precision)
        starts, freqs = (np.require(a, None, ["C", "A", "W"]).reshape(-1) for a in (starts, freqs))
        if not np.all((freqs > 0) & (starts.astype(np.int64) + freqs <= 1 << precision)):
            raise CodecError(f"an interval is empty or beyond 2**{precision}")
        fits = np.ones(1, np.uint8)
        before = self.pos()
        self.pull(_drop, starts, freqs, precision, fits)
        if not fits[0]:
            self._heads, self._length = np.array(before.heads, np.uint64), before.words
            raise CodecError("the symbols on the stack are others")

    def reshape(self, lanes: int) -> None:
        """Go on with another number of lanes, in mid-stream; with the old number again, everything is as it was.

        With fewer, those that go are pushed on the others: the 32 to 63 bits of each below its highest, and five that
        say how many. With more, they are popped from what is there, so that they cost next to nothing: code the first
        symbols on one lane, many on many, and fold these into one in the end. (A new stack has nothing to make more
        lanes of.)

        Raises:
            EmptyStackError: there are not the bits to make more lanes of. The stack is unchanged.

        >>> stack = Stack(lanes=64)
        >>> stack.reshape(1)
        >>> len(stack.to_bytes())  # not 520
        296
        >>> stack.reshape(64)
        >>> stack.is_initial()
        True
        """
        if not 1 <= lanes <= MAX_LANES:
            raise CodecError(f"a stack has 1 to {MAX_LANES} lanes, not {lanes}")
        before = self.copy()
        try:
            while self.lanes > lanes:
                self._fold()
            while self.lanes < lanes:
                self._unfold()
        except EmptyStackError:
            self.become(before)
            raise

    def _fold(self) -> None:
        """Push the last head on the others: its low word, the bits of its high word below the highest, their number."""
        head = int(self._heads[-1])
        self._heads = self._heads[:-1].copy()
        high = head >> 32
        size = high.bit_length() - 1
        for value, bits in _pieces(head & 0xFFFFFFFF, 32) + _pieces(high - (1 << size), size) + [(size, 5)]:
            self.push(np.array([value], np.uint32), np.ones(1, np.uint32), bits)

    def _unfold(self) -> None:
        def pop(bits: int) -> int:
            value = 0
            for part in [min(16, bits - first) for first in range(0, bits, 16)][::-1]:
                (slot,) = self.peek(part, 1)
                self.drop(np.array([slot], np.uint32), np.ones(1, np.uint32), part)
                value = value << part | int(slot)
            return value

        size = pop(5)
        high = (1 << size) + pop(size)
        low = pop(32)
        self._heads = np.append(self._heads, np.uint64(high << 32 | low))

    def copy(self) -> Stack:
        """Return an independent copy; keep one to go back to a state."""
        twin = Stack.__new__(Stack)
        twin._heads = self._heads.copy()
        twin._tail = np.zeros(self._length + 16, np.uint32)
        twin._tail[: self._length] = self._tail[: self._length]
        twin._length = self._length
        return twin

    def become(self, other: Stack) -> None:
        """Be as the other stack is, which must not be used any more: back to a :meth:`copy` made before."""
        self._heads, self._tail, self._length = other._heads, other._tail, other._length

    def pos(self) -> Position:
        """Return the place that the message has reached: what is pushed from here on lies above it."""
        return Position(self._length, tuple(int(head) for head in self._heads))

    def seek(self, position: Position) -> None:
        """Go back to a place that :meth:`pos` told, without popping what lies above it.

        Whoever kept the places between the parts of a long message reads any part without decoding those above. The
        words below a place must be as they were then, so not after more was popped than was pushed since; what is
        read then is noise, as with any stack that is not the one that was written.

        Raises:
            CodecError: the place is above the end of the message, or of a stack with other lanes. The stack is
                unchanged.

        >>> stack = Stack()
        >>> place = stack.pos()
        >>> stack.push(np.array([1], np.uint32), np.array([1], np.uint32), precision=8)
        >>> stack.seek(place)
        >>> stack.is_initial()
        True
        """
        words, heads = position
        if len(heads) != self.lanes:
            raise CodecError(f"a place of a stack of {len(heads)} lanes is none of one of {self.lanes}")
        if not 0 <= words <= self._length or not all(1 << 32 <= head < 1 << 64 for head in heads):
            raise CodecError(f"a stack of {self._length} words has no place at {words}")
        self._heads, self._length = np.array(heads, np.uint64), words

    @contextmanager
    def select(self, lanes: slice) -> Iterator[Stack]:
        """Lend some of the heads, with the whole tail, as a stack for the length of a ``with`` block.

        Leave this stack alone inside the block. Afterwards, also after an error, it has what the block left in the
        other: the heads in their places, and the tail.

        Raises:
            CodecError: the slice holds no head.

        >>> stack = Stack(lanes=4)
        >>> with stack.select(slice(0, 4, 2)) as part:
        ...     part.push(np.array([1], np.uint32), np.array([1], np.uint32), precision=8)
        >>> [int(head) >> 32 for head in stack.heads]
        [256, 1, 1, 1]
        """
        part = Stack.__new__(Stack)
        part._heads, part._tail, part._length = self._heads[lanes].copy(), self._tail, self._length
        if not part._heads.size:
            raise CodecError(f"{lanes} selects none of {self.lanes} lanes")
        try:
            yield part
        finally:
            self._heads[lanes], self._tail, self._length = part._heads, part._tail, part._length

    def bits(self) -> float:
        """Return the information content in bits: 0 for a new stack. For reports only."""
        return 32.0 * self._length + float(np.sum(np.log2(self._heads.astype(np.float64)) - 32.0))

    def is_initial(self) -> bool:
        """Tell whether the stack is as new: no words, and every head at its lowest."""
        return self._length == 0 and bool(np.all(self._heads == _LOWEST))

    def to_bytes(self) -> bytes:
        """Return the message: the number of lanes in 8 bytes, if it is not 1, and what :meth:`pack` gives.

        All is little-endian. No head is below 2^32, so the first 8 bytes tell whether they are a number of lanes.
        """
        return (b"" if self.lanes == 1 else self.lanes.to_bytes(8, "little")) + self.pack()

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, lanes: int | None = None) -> Stack:
        """Return the stack that :meth:`to_bytes` wrote.

        Args:
            data: all its bytes.
            lanes: how many lanes it must have; None: as many as it had.

        Raises:
            TruncatedError: fewer bytes than the heads take.
            FormatError: a part of a word is left over, a head is below ``2**32``, or the stack had other lanes.
        """
        view = memoryview(data).cast("B")
        first = int.from_bytes(view[:8], "little")
        found, skip = (first, 8) if len(view) >= 8 and 1 < first <= MAX_LANES else (1, 0)
        if lanes is not None and lanes != found:
            raise FormatError(f"these are the bytes of a stack of {found} lanes, not {lanes}")
        return cls.unpack(view[skip:], found)

    def pack(self) -> bytes:
        """Return the heads (8 bytes each), then the words (4 each, bottom first), all little-endian.

        For formats that know the number of lanes: :meth:`unpack` must be told.
        """
        return self._heads.astype("<u8").tobytes() + self._tail[: self._length].astype("<u4").tobytes()

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview, lanes: int) -> Stack:
        """Return the stack that :meth:`pack` wrote; of other lanes than it had, it is another one.

        Raises:
            TruncatedError: fewer bytes than the heads take.
            FormatError: a part of a word is left over, or a head is below ``2**32``.
        """
        stack = cls(lanes)
        size = len(memoryview(data).cast("B"))
        if size < 8 * lanes:
            raise TruncatedError(f"{size} bytes cannot hold a stack of {lanes} lanes")
        if size % 4:
            raise FormatError(f"a stack of {size} bytes ends inside a word")
        heads = np.frombuffer(data, "<u8", lanes).astype(np.uint64)
        if np.any(heads < _LOWEST):
            raise FormatError("a head of the stack is below its lowest value")
        words = np.frombuffer(data, "<u4", offset=8 * lanes)
        stack._reserve(words.size)
        stack._heads, stack._length = heads, words.size
        stack._tail[: words.size] = words
        return stack

    def __len__(self) -> int:
        """Return the number of 32-bit words in the tail."""
        return self._length

    def __bool__(self) -> bool:
        """A stack is true even without words."""
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stack):
            return NotImplemented
        mine, theirs = self._tail[: self._length], other._tail[: other._length]
        return np.array_equal(self._heads, other._heads) and np.array_equal(mine, theirs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Stack: {self.lanes} lanes, {len(self)} words, {self.bits():.1f} bits>"

    @staticmethod
    def _check_precision(precision: int) -> None:
        if not 1 <= precision <= MAX_PRECISION:
            raise CodecError(f"precision must be 1 to {MAX_PRECISION} bits, not {precision}")

    def _check(self, starts: npt.NDArray[np.uint32], freqs: npt.NDArray[np.uint32], precision: int) -> None:
        self._check_precision(precision)
        if starts.size != freqs.size or starts.dtype != np.uint32 or freqs.dtype != np.uint32:
            raise CodecError("starts and freqs must be uint32 arrays of one size")

    def _reserve(self, words: int) -> None:
        """Make room for so many more words and the spare slot that :func:`refill` relies on."""
        need = self._length + words + 1
        if need > self._tail.size:
            grown = np.zeros(max(need, self._tail.size * 3 // 2), np.uint32)
            grown[: self._length] = self._tail[: self._length]
            self._tail = grown
