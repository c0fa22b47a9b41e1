"""PackBits, both ways, and the rules of encoders: what leads its runs. (TIFF 6.0, section 9; DICOM PS3.5, annex G.)

A run is led by a byte, its *head*: up to 127 it says how many bytes less one follow as they are; from 129 on, that the
next byte stands for 257 less the head; 128 stands for nothing. A rule is a list of the row's bytes and a number: what a
writer does with two equal bytes that stand between others (:data:`RULES`).
"""

from __future__ import annotations

import numpy as np

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer
from bitsback.kernels import kernel

IDLE = 64
"""Heads that may stand for nothing, besides one for each byte."""

RULES = 3
"""0: two equal bytes are a run. 1: they are among others, if others stand before them in one piece. 2: as 0, but when
one other byte follows, all three are joined to those before, as libtiff does."""

DAMAGED = -1


@kernel
def _decode(data, plain, heads, ends):  # type: ignore[no-untyped-def]
    """Decode until ``plain`` is full; return how many heads there were, or a negative number if that fails."""
    at, size, count = np.int64(0), np.int64(0), 0
    while size < plain.size:
        if at >= data.size or count >= heads.size:
            return DAMAGED
        head = np.int64(data[at])
        heads[count] = head
        count += 1
        at += 1
        if head < 128:
            if at + head + 1 > data.size or size + head + 1 > plain.size:
                return DAMAGED
            for k in range(head + 1):
                plain[size + k] = data[at + k]
            at += head + 1
            size += head + 1
        elif head > 128:
            if at >= data.size or size + 257 - head > plain.size:
                return DAMAGED
            for k in range(257 - head):
                plain[size + k] = data[at]
            at += 1
            size += 257 - head
    ends[0] = at
    return count


@kernel
def _encode(plain, heads, data):  # type: ignore[no-untyped-def]
    """The inverse; return the bytes written, or -1 if the heads do not fit."""
    at, size = np.int64(0), np.int64(0)
    for i in range(heads.size):
        head = np.int64(heads[i])
        count = head + 1 if head < 128 else (257 - head) * (head > 128)
        kept = count if head < 128 else np.int64(head > 128)
        if size + count > plain.size or at + 1 + kept > data.size:
            return DAMAGED
        data[at] = head
        for k in range(kept):
            data[at + 1 + k] = plain[size + k]
        at += 1 + kept
        size += count
    return at if size == plain.size else DAMAGED


@kernel
def _heads(plain, row, rule, heads):  # type: ignore[no-untyped-def]
    """What would lead the runs of rows by a rule; return how many there are."""
    count, start = 0, 0
    while start < plain.size:
        stop = min(start + row, plain.size)
        at = start
        loose = np.int64(0)  # bytes of the last piece as they are, while it can take more
        paired = 0  # whether what came last is a run of two after such a piece
        while at < stop:
            same = 1
            while at + same < stop and same < 128 and plain[at + same] == plain[at]:
                same += 1
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
            at += same
        start = stop
    return count


def decode(data: Buffer, limit: int) -> tuple[bytes, bytes, int]:
    """``limit`` plain bytes, the heads, and the size of what was decoded. Raises ImageError if it is damaged."""
    plain, room = np.empty(limit, np.uint8), np.empty(2 * limit + IDLE, np.uint8)
    ends = np.zeros(1, np.int64)
    count = _decode(np.frombuffer(data, np.uint8), plain, room, ends)
    if count < 0:
        raise ImageError("damaged PackBits data")
    return plain.tobytes(), room[:count].tobytes(), int(ends[0])


def encode(plain: Buffer, heads: bytes) -> bytes:
    """The inverse. Raises ValueError if the heads do not fit."""
    if len(heads) > 2 * len(plain) + IDLE:  # cannot be, as in reading
        raise ValueError("PackBits data of nothing")
    data = np.empty(len(plain) + len(heads), np.uint8)
    size = _encode(np.frombuffer(plain, np.uint8), np.frombuffer(heads, np.uint8), data)
    if size < 0:
        raise ValueError("PackBits runs that do not fit their data")
    return data[:size].tobytes()


def heads(plain: Buffer, rule: list[int]) -> bytes:
    """What leads the runs by a rule. Raises ValueError if it is none."""
    row, kind = rule
    if row < 1 or not 0 <= kind < RULES:
        raise ValueError("an unknown rule of PackBits")
    room = np.empty(len(plain) + 1, np.uint8)
    return room[: _heads(np.frombuffer(plain, np.uint8), row, kind, room)].tobytes()


def explain(plain: bytes, found: bytes) -> list[int]:
    """The rule that such heads follow; nothing if none does."""
    rows = sorted({row for row in (len(plain), *_rows(found, len(plain))) if row and len(plain) % row == 0})
    for row in rows:
        for kind in range(RULES):
            if heads(plain, [row, kind]) == found:
                return [row, kind]
    return []


def _rows(found: bytes, size: int) -> list[int]:
    """Sizes that rows may have: all runs end where rows do, so each divisor of the size where they always do."""
    numbers = np.frombuffer(found, np.uint8).astype(np.int64)
    ends = np.cumsum(np.where(numbers < 128, numbers + 1, np.where(numbers > 128, 257 - numbers, 0)))
    at = np.zeros(size + 1, bool)
    at[ends] = True
    return [row for row in range(2, min(size, 1 << 16)) if size % row == 0 and at[row::row].all()][:4]


__all__ = ["decode", "encode", "explain", "heads"]
