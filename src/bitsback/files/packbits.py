"""PackBits, both ways, and the rules of encoders: what leads its runs. (TIFF 6.0, section 9; DICOM PS3.5, annex G.)

A run is led by a byte, its *head*: up to 127 it says how many bytes less one follow as they are; from 129 on, that the
next byte stands for 257 less the head; 128 stands for nothing. A rule is a list of the row's bytes and a number: what a
writer does with two equal bytes that stand between others (:data:`RULES`).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice

import numpy as np

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer
from bitsback.kernels import kernel

IDLE = 64
"""Heads that may stand for nothing, besides one for each byte."""

RULES = 3
"""0: two equal bytes are a run. 1: they are among others, if others stand before them in one piece. 2: as 0, but when
one other byte follows, all three are joined to those before, as libtiff does."""

_LOOK = 1 << 16
"""Bytes of the first rows that are compared before all."""

DAMAGED = -1


@kernel
def _decode(data, unit, turned, plain, heads, ends):  # type: ignore[no-untyped-def]
    """Decode until ``plain`` is full; return how many heads there were, or a negative number if that fails."""
    at, size, count = np.int64(0), np.int64(0), 0
    while size < plain.size:
        if at >= data.size or count >= heads.size:
            return DAMAGED
        head = np.int64(data[at])
        if turned > 0 and head >= 128:
            if head == 128:
                return DAMAGED
            head = 384 - head
        heads[count] = head
        count += 1
        at += 1
        times = head + 1 if head < 128 else (257 - head) * (head > 128)
        kept = times if head < 128 else np.int64(head > 128)
        if at + kept * unit > data.size or size + times * unit > plain.size:
            return DAMAGED
        for k in range(kept * unit):
            plain[size + k] = data[at + k]
        for k in range(kept * unit, times * unit):
            plain[size + k] = plain[size + k - unit]
        at += kept * unit
        size += times * unit
    ends[0] = at
    return count


@kernel
def _encode(plain, unit, turned, heads, data):  # type: ignore[no-untyped-def]
    """The inverse; return the bytes written, or -1 if the heads do not fit."""
    at, size = np.int64(0), np.int64(0)
    for i in range(heads.size):
        head = np.int64(heads[i])
        count = head + 1 if head < 128 else (257 - head) * (head > 128)
        kept = count if head < 128 else np.int64(head > 128)
        if size + count * unit > plain.size or at + 1 + kept * unit > data.size:
            return DAMAGED
        data[at] = 384 - head if turned > 0 and head > 128 else head
        for k in range(kept * unit):
            data[at + 1 + k] = plain[size + k]
        at += 1 + kept * unit
        size += count * unit
    return at if size == plain.size else DAMAGED


@kernel
def _heads(plain, unit, row, rule, heads):  # type: ignore[no-untyped-def]
    """What would lead the runs of rows by a rule; return how many there are."""
    count, start = 0, 0
    while start < plain.size:
        stop = min(start + row, plain.size)
        at = start
        loose = np.int64(0)  # bytes of the last piece as they are, while it can take more
        paired = 0  # whether what came last is a run of two after such a piece
        while at < stop:
            same = 1
            like = 1
            while at + same * unit < stop and same < 128 and like == 1:
                for k in range(unit):
                    like *= plain[at + same * unit + k] == plain[at + k]
                same += like
            if same == 1 or (same == 2 and rule == 1 and loose > 0 and loose < 127):
                if paired == 1 and rule == 2 and same == 1 and np.int64(heads[count - 2]) < 126:
                    count -= 1
                    heads[count - 1] = np.int64(heads[count - 1]) + 2
                    loose = np.int64(heads[count - 1]) + 1
                    loose *= loose != 128
                paired = 0
                if loose == 0:
                    heads[count] = same - 1
                    count += 1
                    loose += same
                else:
                    heads[count - 1] = np.int64(heads[count - 1]) + same
                    loose += same
                loose *= loose != 128
            else:
                paired = 1 if same == 2 and loose > 0 else 0
                heads[count] = 257 - same
                count += 1
                loose *= 0
            at += same * unit
        start = stop
    return count


def decode(data: Buffer, limit: int, unit: int = 1, turned: bool = False) -> tuple[memoryview, bytes, int]:
    """``limit`` plain bytes, in units of so many, the heads, and the size of what was decoded.

    ``turned``: heads above 128 go up with the length of runs, as in TGA, which has runs of one, too; these are unusual.
    Raises ImageError if the data are damaged, or unusual.
    """
    plain, room = np.empty(limit, np.uint8), np.empty(min(2 * limit + IDLE, len(data)), np.uint8)
    ends = np.zeros(1, np.int64)
    count = _decode(np.frombuffer(data, np.uint8), unit, int(turned), plain, room, ends)
    if count < 0:
        raise ImageError("damaged runs of bytes")
    return plain.data.toreadonly(), room[:count].tobytes(), int(ends[0])


def encode(plain: Buffer, heads: bytes, unit: int = 1, turned: bool = False) -> bytes:
    """The inverse. Raises ValueError if the heads do not fit."""
    if len(heads) > 2 * len(plain) + IDLE:  # cannot be, as in reading
        raise ValueError("runs of nothing")
    data = np.empty(len(plain) + len(heads), np.uint8)
    size = _encode(np.frombuffer(plain, np.uint8), unit, int(turned), np.frombuffer(heads, np.uint8), data)
    if size < 0:
        raise ValueError("runs that do not fit their data")
    return data[:size].tobytes()


def heads(plain: Buffer, rule: list[int], unit: int = 1) -> bytes:
    """What leads the runs by a rule. Raises ValueError if it is none."""
    row, kind = rule
    if row < 1 or row % unit or not 0 <= kind < RULES:
        raise ValueError("an unknown rule of runs")
    room = np.empty(len(plain) + 1, np.uint8)
    return room[: _heads(np.frombuffer(plain, np.uint8), unit, row, kind, room)].tobytes()


def explain(plain: Buffer, found: bytes, unit: int = 1) -> list[int]:
    """The rule that such heads follow; nothing if none does."""
    if len(plain) % unit:
        return []
    count = len(plain) // unit
    rows = sorted({row * unit for row in (count, *_rows(found, count)) if row and count % row == 0})
    for row in rows:
        some = plain[: max(row, _LOOK - _LOOK % row)]
        for kind in range(RULES):
            if found.startswith(heads(some, [row, kind], unit)) and heads(plain, [row, kind], unit) == found:
                return [row, kind]
    return []


def _rows(found: bytes, size: int) -> list[int]:
    """Sizes that rows may have: all runs end where rows do, so each divisor of the size where they always do."""
    numbers = np.frombuffer(found, np.uint8).astype(np.int64)
    ends = np.cumsum(np.where(numbers < 128, numbers + 1, np.where(numbers > 128, 257 - numbers, 0)))

    def fits(row: int) -> bool:
        """Whether each row ends where a run does."""
        if size // row > ends.size or ends[-1] < size:
            return False
        multiples = np.arange(row, size + 1, row)
        return bool((ends[np.searchsorted(ends, multiples)] == multiples).all())

    return list(islice(filter(fits, _divisors(size)), 4))


@lru_cache(64)
def _divisors(size: int) -> list[int]:
    return [row for row in range(2, min(size, 1 << 16)) if size % row == 0]


__all__ = ["decode", "encode", "explain", "heads"]
