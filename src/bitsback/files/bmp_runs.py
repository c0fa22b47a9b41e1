"""Runs of pixels as Windows bitmaps have them, both ways. (Microsoft, "Bitmap Compression".)

What says how many pixels follow, in a run or as they are, where rows end and where pixels are left out, are the
*heads*: a byte, 1 to 255: so many pixels are a run; a zero and 3 to 255: so many follow as they are; 0, 0: the row
ends; 0, 1: all ends; 0, 2 and two more bytes: so many pixels to the right, and rows on. Pixels that are left out are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer
from bitsback.kernels import helper, kernel

DAMAGED = -1

TOLD, LONGEST = 0, 1
"""Rules of heads: they are told; always the longest run, and each row, and then all, ends."""

SPARE = 3
"""What is in the low half of the byte of a run of one pixel of 4 bits: zeros, the pixel again, the next one."""


@helper
def _step(heads, at, plain, x, y, stride, where):  # type: ignore[no-untyped-def]
    """Take the next head: how many pixels follow at (x, y), and whether as a run; where the next ones are is left in
    ``where``, and 1, if all ends. Less than no pixels, if it does not fit."""
    count, run = np.int64(heads[at]), 1
    rows = plain.size // stride
    size = 1
    if count == 0:
        run = 0
        size = 2
        code = np.int64(heads[at + 1]) if at + 1 < heads.size else np.int64(1)
        if code == 0:
            x *= 0
            y += 1
        elif code == 1:
            where[3] = 1
        elif code == 2:
            size = 4
            x += np.int64(heads[at + 2]) if at + 3 < heads.size else stride
            y += np.int64(heads[at + 3]) if at + 3 < heads.size else 0
        else:
            count = code
    where[0] = x + count
    where[1] = y
    where[2] = at + size
    if y > rows or x + count > stride or (count > 0 and y == rows):
        count = np.int64(DAMAGED)
    return count, run


@kernel
def _decode(data, stride, bits, plain, heads, ends):  # type: ignore[no-untyped-def]
    """Decode until all ends, or the data do; return how many bytes of heads there are, or a negative number."""
    at, count, done = np.int64(0), np.int64(0), np.int64(0)
    where = np.zeros(4, np.int64)
    half = 1 if bits == 4 else 0
    while done == 0 and at + 1 < data.size:
        first = count
        heads[count] = data[at]
        count += 1
        if data[at] == 0:
            heads[count] = data[at + 1]
            count += 1
            if data[at + 1] == 2:
                if at + 3 >= data.size:
                    return DAMAGED
                heads[count], heads[count + 1] = data[at + 2], data[at + 3]
                count += 2
        x, y = where[0], where[1]
        pixels, run = _step(heads, first, plain, x, y, stride, where)
        if pixels < 0:
            return DAMAGED
        size = 2
        if run == 0:
            size = count - first + ((pixels * bits + 15) >> 4) * 2
            if at + size > data.size:
                return DAMAGED
        for k in range(pixels):
            byte = np.int64(data[at + 1 if run == 1 else at + 2 + (k >> half)])
            plain[y * stride + x + k] = byte if bits == 8 else (byte >> (0 if k & 1 else 4)) & 15
        done = np.int64(where[3])
        at += size
    ends[0] = at
    return count


@kernel
def _encode(plain, stride, bits, spare, heads, data):  # type: ignore[no-untyped-def]
    """The inverse; return the bytes written, or a negative number if the heads do not fit."""
    at, taken = np.int64(0), np.int64(0)
    where = np.zeros(4, np.int64)
    half = 1 if bits == 4 else 0
    while taken < heads.size:
        first = taken
        x, y = where[0], where[1]
        pixels, run = _step(heads, first, plain, x, y, stride, where)
        taken = np.int64(where[2])
        if pixels < 0 or taken > heads.size or at + 4 + pixels + 1 > data.size:
            return DAMAGED
        from_ = y * stride + x
        for k in range(first, taken):
            data[at] = heads[k]
            at += 1
        if run == 1:
            byte = np.int64(plain[from_])
            if bits == 4:
                low = np.int64(0)
                if pixels > 1 or (spare == 2 and x + 1 < stride):
                    low = np.int64(plain[from_ + 1])
                elif spare == 1:
                    low = byte
                byte = (byte & 15) << 4 | (low & 15)
            data[at] = byte
            at += 1
        else:
            size = ((pixels * bits + 15) >> 4) * 2
            for k in range(size):
                data[at + k] = 0
            for k in range(pixels):
                value = np.int64(plain[from_ + k])
                if bits == 4:
                    value = np.int64(data[at + (k >> 1)]) | (value & 15) << (0 if k & 1 else 4)
                data[at + (k >> half)] = value
            at += size
    return at


@kernel
def _longest(plain, stride, apart, heads):  # type: ignore[no-untyped-def]
    """The heads where always the longest run is taken; return how many bytes they are. A run is of pixels equal to
    those ``apart`` before them."""
    count, x = np.int64(0), np.int64(0)
    at = np.int64(0)
    while at < plain.size:
        x *= 0
        while x < stride:
            size = min(apart, stride - x)
            while x + size < stride and size < 255 and plain[at + x + size] == plain[at + x + size - apart]:
                size += 1
            heads[count] = size
            count += 1
            x += size
        heads[count], heads[count + 1] = 0, 0
        count += 2
        at += stride
    heads[count], heads[count + 1] = 0, 1
    return count + 2


def _heads_by_rule(plain: NDArray[np.uint8], stride: int, depth: int) -> bytes:
    room = np.empty(plain.size + 2 * (plain.size // stride) + 2, np.uint8)
    return room[: _longest(plain, stride, 1 if depth == 8 else 2, room)].tobytes()


def _stride(width: int) -> int:
    return width + -width % 4


def decode(data: Buffer, limit: int, depth: int, width: int) -> tuple[bytes, Any, bytes, int]:
    """Rows of bytes, ``limit`` together; rule and what is spare; the heads, if no rule says them; the size of what was
    decoded. Raises ImageError if that is damaged, or unusual."""
    stride = _stride(width)
    plain, heads, ends = np.zeros(limit, np.uint8), np.empty(len(data) + 2, np.uint8), np.zeros(1, np.int64)
    if not limit or limit % stride:
        raise ImageError("rows that do not fit their pixels")
    count = _decode(np.frombuffer(data, np.uint8), stride, depth, plain, heads, ends)
    if count < 0:
        raise ImageError("damaged runs of pixels")
    size, told = int(ends[0]), heads[:count].tobytes()
    rule = LONGEST if _heads_by_rule(plain, stride, depth) == told else TOLD
    chosen = b"" if rule else told
    for spare in range(SPARE if depth == 4 else 1):
        if encode(plain.data, [rule, spare], chosen, depth, width, size) == data[:size]:
            return plain.tobytes(), [rule, spare], chosen, size
    raise ImageError("unusual runs of pixels")


def encode(plain: Buffer, how: Any, chosen: bytes, depth: int, width: int, size: int) -> bytes:
    """The inverse. Raises ValueError if the heads do not fit."""
    rule, spare = how
    stride, pixels = _stride(width), np.frombuffer(plain, np.uint8)
    if rule not in (TOLD, LONGEST) or not 0 <= spare < SPARE or not pixels.size or pixels.size % stride:
        raise ValueError("an unknown rule of runs")
    if len(chosen) > size:
        raise ValueError("more heads than runs")
    heads = np.frombuffer(_heads_by_rule(pixels, stride, depth) if rule else chosen, np.uint8)
    data = np.empty(size + 512, np.uint8)
    made = _encode(pixels, stride, depth, spare, heads, data)
    if made < 0 or made > size:
        raise ValueError("runs of pixels that do not fit")
    return data[:made].tobytes()


__all__ = ["decode", "encode"]
