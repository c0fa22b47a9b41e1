"""Rows in bands: each band of a long image is a stack of its own, so that coding it needs little memory.

An adaptive coder meets its symbols first to last, but a stack must be pushed last to first; so the intervals of a band
are all computed, and then pushed. What has been learned goes on from band to band. A band is, in the payload, the
number of 32-bit words in its tail (a varint), and the stack: its head and its words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bitsback.ans import Stack
from bitsback.errors import FormatError, TruncatedError
from bitsback.kinds.varint import read_varint, varint

Kernel = Callable[..., int]
"""Codes rows ``first`` to ``last - 1`` of a *job*, which is all that has been learned, too:

``encode(starts, freqs, first, last, job)`` puts the intervals of all symbols into the two arrays, uint32, in coding
order, and returns how many there were; ``decode(heads, tail, length, first, last, job)`` pops them, as
:meth:`Stack.pull` wants it.
"""

BAND = 1 << 19
"""Samples in a band, if a row has no more: part of the format."""


def encode(code: Kernel, job: Any, rows: int, row_symbols: int, symbols: int, precision: int) -> bytes:
    """All rows. A row has ``row_symbols`` samples, each of at most ``symbols / row_symbols`` symbols."""
    out = []
    for first, last in _bands(rows, row_symbols):
        starts, freqs = (np.empty((last - first) * symbols, np.uint32) for _ in range(2))  # pages not used cost nothing
        count = code(starts, freqs, first, last, job)
        stack = Stack()
        stack.push(starts[:count], freqs[:count], precision)
        out += [varint(len(stack)), stack.pack()]
    return b"".join(out)


def decode(code: Kernel, job: Any, rows: int, row_symbols: int, data: memoryview) -> None:
    """Run ``code`` over all rows; FormatError or EmptyStackError unless ``data`` holds them and nothing else.

    Whether all bands are there is asked first: what announces much and holds little shall cost nothing.
    """
    for first, last, packed in list(_split(rows, row_symbols, data)):
        stack = Stack.unpack(packed, 1)
        stack.pull(code, first, last, job)
        if not stack.is_initial():
            raise FormatError("a band of rows holds more than its samples")


def _split(rows: int, row_symbols: int, data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """The bands of a payload: their rows, and their stacks as they are packed."""
    for first, last in _bands(rows, row_symbols):
        words, data = read_varint(data)
        size = 8 + 4 * words
        if size > len(data):
            raise TruncatedError("the payload ends within a band of rows")
        yield first, last, data[:size]
        data = data[size:]
    if data:
        raise FormatError("the payload holds more than the images")


def _bands(rows: int, row_symbols: int) -> Iterator[tuple[int, int]]:
    height = max(1, BAND // row_symbols)
    for first in range(0, rows, height):
        yield first, min(first + height, rows)
