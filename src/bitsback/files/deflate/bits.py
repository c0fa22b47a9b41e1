"""Bits of a deflate stream (RFC 1951, section 3), read and written; its Huffman codes, and what describes these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bitsback.files.deflate.symbols import ITEM_BITS
from bitsback.kernels import helper, routine

FAST = 10
"""Bits of a code that one look into a table decodes."""
SLOTS = 1 << FAST
TABLE = SLOTS + 16 + 320
"""Numbers in a table to decode with."""


class Bits(NamedTuple):
    """Where a reader or a writer is, int64: the byte behind those that it holds, the bits that it holds (the first is
    the lowest), and how many."""

    at: int
    hold: int
    have: int


@helper
def fill(data, bits):  # type: ignore[no-untyped-def]
    """Hold at least 49 bits: zeros behind the end of the data."""
    at, hold, have = bits
    while have <= 48:
        hold |= np.int64(data[at]) << have if at < data.size else np.int64(0)
        at += 1
        have += 8
    return Bits(at, hold, have)


@helper
def low(bits, count):  # type: ignore[no-untyped-def]
    """The number that the next bits are."""
    return bits.hold & ((np.int64(1) << count) - 1)


@helper
def skip(bits, count):  # type: ignore[no-untyped-def]
    """What is behind the next bits."""
    return Bits(bits.at, bits.hold >> count, bits.have - count)


@helper
def flush(out, bits):  # type: ignore[no-untyped-def]
    """Hold less than 8 bits: write the others."""
    at, hold, have = bits
    while have >= 8:
        out[at] = hold & 255
        at += 1
        hold >>= 8
        have -= 8
    return Bits(at, hold, have)


@helper
def put(bits, value, count):  # type: ignore[no-untyped-def]
    """Hold the bits of a number, too; no more than 63 fit."""
    return Bits(bits.at, bits.hold | np.int64(value) << bits.have, bits.have + np.int64(count))


@helper
def put_code(bits, code):  # type: ignore[no-untyped-def]
    """The same for a code of :func:`make_codes`."""
    return put(bits, np.int64(code) >> 4, np.int64(code) & 15)


@routine
def make_table(lengths, first, count, table):  # type: ignore[no-untyped-def]
    """A table to decode with: by the next bits, then counts of codes by length, then symbols in the order of codes.

    Returns False if there are more codes than bits to tell them apart.
    """
    for i in range(SLOTS + 16):
        table[i] = 0
    for s in range(count):
        table[SLOTS + lengths[first + s]] += 1
    table[SLOTS] = 0
    starts = np.zeros(17, np.int64)
    nexts = np.zeros(17, np.int64)
    left = 1
    code = 0
    for n in range(1, 16):
        left = 2 * left - table[SLOTS + n]
        code = (code + table[SLOTS + n - 1]) << 1
        nexts[n] = code
        starts[n + 1] = starts[n] + table[SLOTS + n]
        if left < 0:
            return False
    for s in range(count):
        n = np.int64(lengths[first + s])
        if n > 0:
            table[SLOTS + 16 + starts[n]] = s
            starts[n] += 1
            if n <= FAST:
                turned = 0
                for i in range(n):
                    turned |= ((nexts[n] >> i) & 1) << (n - 1 - i)
                while turned < SLOTS:
                    table[turned] = s << 4 | n
                    turned += 1 << n
            nexts[n] += 1
    return True


@helper
def decode_symbol(hold, table):  # type: ignore[no-untyped-def]
    """The symbol that the next bits begin with, as ``symbol << 4 | bits``; 0 if there is none."""
    entry = np.int64(table[hold & (SLOTS - 1)])
    if entry > 0:
        return entry
    code = 0
    first = 0
    index = 0
    for n in range(1, 16):
        code |= (hold >> (n - 1)) & 1
        count = np.int64(table[SLOTS + n])
        if code - count < first:
            return np.int64(table[SLOTS + 16 + index + code - first]) << 4 | n
        index += count
        first = (first + count) << 1
        code <<= 1
    return np.int64(0)


@helper
def told_apart(lengths, first, count):  # type: ignore[no-untyped-def]
    """Whether codes of these lengths can be told apart (Kraft's inequality)."""
    left = 1 << 15
    for s in range(count):
        n = np.int64(lengths[first + s])
        if n > 0:
            left -= 1 << (15 - n)
    return left >= 0


@helper
def make_codes(lengths, first, count, codes):  # type: ignore[no-untyped-def]
    """The codes of symbols with these lengths, turned so that their first bit is the lowest: ``code << 4 | bits``; 0
    for symbols that have none, or come after these."""
    nexts = np.zeros(17, np.int64)
    for s in range(count):
        nexts[lengths[first + s] + 1] += 1
    nexts[1] = 0
    code = 0
    for n in range(1, 17):
        number = nexts[n]
        code = (code + number) << 1
        nexts[n] = code
    for s in range(count):
        n = np.int64(lengths[first + s])
        turned = 0
        for i in range(n):
            turned |= ((nexts[n] >> i) & 1) << (n - 1 - i)
        if n > 0:
            nexts[n] += 1
        codes[s] = turned << 4 | n
    for s in range(count, codes.size):
        codes[s] = 0


@helper
def extra_bits(symbol):  # type: ignore[no-untyped-def]
    """Bits behind the code of an item."""
    if symbol < 16:
        return 0
    return 2 if symbol == 16 else 3 if symbol == 17 else 7


@helper
def repeats(item):  # type: ignore[no-untyped-def]
    """How many lengths an item describes."""
    symbol = item & ((1 << ITEM_BITS) - 1)
    if symbol < 16:
        return np.int64(1)
    return (item >> ITEM_BITS) + (11 if symbol == 18 else 3)
