"""LZW as TIFF and GIF have it, both ways; all that an encoder is free to choose is where it begins anew.

(Terry Welch, "A technique for high-performance data compression", 1984; TIFF 6.0, section 13; GIF89a, appendix F.)
Codes grow from 9 bits (GIF: one more than its symbols have) to 12. In TIFF the first bits of a code are the high ones,
and codes grow one entry early; in GIF, the low ones, and in time. A *run* is what stands between two clear codes; its
length in codes is what :func:`take_apart` returns. Everything else follows from the longest match.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer
from bitsback.kernels import helper, kernel

MOST_BITS = 12
TABLE = 1 << MOST_BITS
SLOTS = 1 << 14
"""Of the encoder's table of strings, four times as many as there are codes."""

DAMAGED = -1
TOO_LONG = -2


class Dialect(NamedTuple):
    """Bits of a symbol; whether the high bits of a code come first; how many entries early codes grow."""

    bits: int
    high_first: bool
    early: int


TIFF, OLD = Dialect(8, True, 1), Dialect(8, False, 0)


@helper
def _get(data, at, bits, high_first):  # type: ignore[no-untyped-def]
    """The code of so many bits that begins at bit ``at``; -1 if the data end before it does."""
    if at + bits > 8 * data.size:
        return -1
    first = at >> 3
    value = np.int64(0)
    for k in range(3):
        byte = np.int64(data[first + k]) if first + k < data.size else np.int64(0)
        value |= byte << (16 - 8 * k if high_first else 8 * k)
    shift = 24 - bits - (at & 7) if high_first else at & 7
    return (value >> shift) & ((1 << bits) - 1)


@helper
def _put(data, at, code, bits, high_first):  # type: ignore[no-untyped-def]
    """Put a code of so many bits at bit ``at`` of data that are zero from there on."""
    first = at >> 3
    shift = 24 - bits - (at & 7) if high_first else at & 7
    value = code << shift
    for k in range(3):
        if first + k < data.size:
            data[first + k] = data[first + k] | ((value >> (16 - 8 * k if high_first else 8 * k)) & 255)


@kernel
def _decode(data, bits, high_first, early, plain, runs, ends):  # type: ignore[no-untyped-def]
    """Decode up to the end code; return the plain bytes, or a negative number if that fails.

    ``runs`` takes the number of codes of each run; ``ends``, how many runs there are, and the bits read.
    """
    clear = 1 << bits
    prefix, last, length = np.zeros(TABLE, np.int32), np.zeros(TABLE, np.uint8), np.zeros(TABLE, np.int32)
    for k in range(clear):
        last[k], length[k] = k, 1
    size, at, count, codes = 0, 0, 0, 0
    width, following, previous = bits + 1, clear + 2, -1
    while True:
        code = _get(data, at, width, high_first)
        if code < 0:
            return DAMAGED
        at += width
        if code == clear or code == clear + 1:
            if count >= runs.size:
                return TOO_LONG
            runs[count] = codes
            count += 1
            if code == clear + 1:
                ends[0], ends[1] = count, at
                return size
            codes, width, following, previous = 0, bits + 1, clear + 2, -1
            continue
        codes += 1
        if code > following or (code == following and previous < 0) or (code > clear + 1 and code >= TABLE):
            return DAMAGED
        known = code if code < following else previous
        long = length[known] + (0 if code < following else 1)
        if known >= clear + 2 and length[known] == 0:
            return DAMAGED
        if size + long > plain.size:
            return TOO_LONG
        where = size + length[known] - 1
        walk = known
        for _ in range(length[known]):
            plain[where] = last[walk]
            where -= 1
            walk = prefix[walk]
        if code == following:
            plain[size + long - 1] = plain[size]
        if previous >= 0 and following < TABLE:
            prefix[following], last[following], length[following] = previous, plain[size], length[previous] + 1
            following += 1
        size += long
        previous = code
        if following + early >= 1 << width and width < MOST_BITS:
            width += 1


@helper
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Where a string is in the table, or would be."""
    slot = ((key * 40503) >> 4) & (SLOTS - 1)
    while keys[slot] != key and keys[slot] >= 0:
        slot = (slot + 1) & (SLOTS - 1)
    return slot


@kernel
def _encode(plain, bits, high_first, early, runs, keys, codes, data):  # type: ignore[no-untyped-def]
    """The inverse: a clear code after every run but the last, then the end code; return the bits written.

    -1 if the runs do not fit the plain bytes or the data have no room. ``keys`` and ``codes`` are room for strings.
    """
    clear = 1 << bits
    size, at, count = 0, 0, 0
    taken = np.zeros(TABLE, np.int32)
    keys[:] = -1
    for run in range(runs.size):
        for k in range(count):  # most runs that are short are shorter than the table
            keys[taken[k]] = -1
        count = 0
        width, following, learnt = bits + 1, clear + 2, clear + 2
        for i in range(runs[run]):
            if size >= plain.size or plain[size] >= clear:
                return -1
            code = np.int64(plain[size])
            size += 1
            slot = 0
            while size < plain.size:
                slot = _slot(keys, code << 8 | plain[size])
                if keys[slot] < 0:
                    break
                code = np.int64(codes[slot])
                size += 1
            if at + width > 8 * data.size:
                return -1
            _put(data, at, code, width, high_first)
            at += width
            if size < plain.size and following < TABLE:
                keys[slot], codes[slot] = code << 8 | plain[size], following
                taken[count] = slot
                count += 1
                following += 1
            learnt += i > 0 and learnt < TABLE  # by the decoder, which is one code behind
            width += learnt + early >= 1 << width and width < MOST_BITS
        if at + width > 8 * data.size:
            return -1
        _put(data, at, clear + (run == runs.size - 1), width, high_first)
        at += width
    return at if size == plain.size else -1


def take_apart(data: Buffer, limit: int, dialect: Dialect = TIFF) -> tuple[bytes, list[int], int]:
    """The plain bytes of a stream at the beginning of ``data``, its runs, and its size in bytes.

    Raises ImageError if it is damaged, has no end code, holds more than ``limit`` bytes, or was not made by the longest
    match everywhere.
    """
    coded = np.frombuffer(data, np.uint8)
    plain = np.empty(limit, np.uint8)
    runs = np.empty(coded.size + 2, np.int32)
    ends = np.zeros(2, np.int64)
    size = _decode(coded, *dialect, plain, runs, ends)
    if size < 0:
        raise ImageError("damaged LZW data" if size == DAMAGED else "more LZW data than there is room for")
    stop = -(-int(ends[1]) // 8)
    found = runs[: ends[0]].tolist()
    try:
        same = put_together(plain[:size].data, found, stop, dialect) == bytes(coded[:stop].data)
    except ValueError:
        same = False
    if not same:
        raise ImageError("LZW data by an unknown encoder")
    return plain[:size].tobytes(), found, stop


def put_together(plain: Buffer, runs: list[int], size: int, dialect: Dialect = TIFF) -> bytes:
    """A stream of so many bytes again. Raises ValueError if there is none of these runs."""
    if not runs or min(runs) < 0 or not 0 <= size <= 2 * len(plain) + 8 * len(runs) + 16:
        raise ValueError("impossible LZW runs")
    data = np.zeros(size, np.uint8)
    room = np.empty(SLOTS, np.int32), np.empty(SLOTS, np.int32)
    bits = _encode(np.frombuffer(plain, np.uint8), *dialect, np.array(runs, np.int32), *room, data)
    if bits < 0 or -(-bits // 8) != size:
        raise ValueError("LZW runs that do not fit their data")
    return data.tobytes()
