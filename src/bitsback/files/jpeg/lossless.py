"""Lossless JPEG (ITU-T T.81, annex H: process 14), as DICOM and DNG have it: samples, and their Huffman codes again.

An encoder is free in its tables, its predictor and how bytes are filled up; the first two stand in what goes before the
data, which is kept as it is. Here are files of one scan of all components, none of them subsampled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.jpeg.bits import (
    SPARE,
    STATE,
    TO,
    WRONG,
    Codes,
    bit_length,
    bits_at,
    put_bits,
    put_symbol,
    signed,
    stuffed_size,
    symbol_at,
    unstuff,
)
from bitsback.files.jpeg.segments import Tables, next_marker, read_huffman, segment_at
from bitsback.files.picture import Buffer
from bitsback.kernels import helper, kernel

_SLAB = 1 << 16
"""Samples that are coded between two looks at the room that is left."""

ZEROS, ONES, CUT = range(3)
"""How bytes are filled up; or the last one is left out, as it is filled up otherwise."""

_MOST = 8
"""Bytes that a sample takes at most: a code and a number of 32 bits, and a zero behind each byte."""


class Header(NamedTuple):
    """What goes before the data."""

    bits: int
    shape: tuple[int, int, int]
    """Rows, columns, components."""
    predictor: int
    rows: int
    """Of an interval."""
    numbers: list[int]
    """The table of each component."""
    codes: Codes
    at: int
    """Where the data begin."""


class _Writing(NamedTuple):
    """As :class:`bitsback.files.jpeg.bits.Writing`."""

    out: NDArray[np.uint8]
    state: NDArray[np.int64]


def header(data: Buffer) -> Header:
    """The header of a file. Raises ImageError if it is none, or of another sort."""
    tables, frame, at = Tables(), b"", 2
    if bytes(data[:2]) != b"\xff\xd8":
        raise ImageError("no JPEG file")
    while (found := next_marker(data, at)) is not None:
        marker, at = found
        if marker in (0x01, 0xD8):
            continue
        body = segment_at(data, at)
        at += 2 + len(body)
        if marker == 0xC4:
            read_huffman(body, tables)
        elif marker == 0xDD:
            tables.interval = int.from_bytes(body[:2], "big")
        elif marker == 0xC3 and not frame:
            frame = body
        elif marker == 0xDA:
            return _header(frame, body, tables, at)
        elif 0xC0 <= marker <= 0xCF or marker == 0xD9:
            break
    raise ImageError("a JPEG file of another sort than lossless")


def _header(frame: bytes, scan: bytes, tables: Tables, at: int) -> Header:
    count = frame[5] if len(frame) > 5 else 0
    if len(frame) != 6 + 3 * count or len(scan) != 4 + 2 * count or not 1 <= count <= 4 or scan[0] != count:
        raise ImageError("lossless JPEG in several scans, or with a damaged header")
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    numbers = [number >> 4 for number in scan[2 : 2 + 2 * count : 2]]
    predictor, _, shift = scan[1 + 2 * count :]
    rows = tables.interval // max(width, 1) or height
    if frame[6::3] != scan[1 : 1 + 2 * count : 2] or (count > 1 and frame[7::3] != b"\x11" * count) or shift:
        raise ImageError("lossless JPEG of an unusual sort")
    if not 2 <= frame[0] <= 16 or not height * width or not 1 <= predictor <= 7 or max(numbers) > 3:
        raise ImageError("lossless JPEG with an impossible header")
    if any(not tables.huffman[number] for number in numbers) or tables.interval % width:
        raise ImageError("lossless JPEG without its tables, or with intervals that are no rows")
    return Header(frame[0], (height, width, count), predictor, rows, numbers, tables.codes(set(numbers)), at)


# Both ways ------------------------------------------------------------------------------------------------------------


@helper
def _predicted(samples, y, x, c, kind, top, first):  # type: ignore[no-untyped-def]
    """What a sample is predicted to be; ``top``: the first row of its interval."""
    if y == top:
        return np.int64(samples[y, x - 1, c]) if x > 0 else first
    above = np.int64(samples[y - 1, x, c])
    if x == 0 or kind == 2:
        return above
    left, corner = np.int64(samples[y, x - 1, c]), np.int64(samples[y - 1, x - 1, c])
    if kind == 1:
        return left
    if kind == 3:
        return corner
    if kind == 4:
        return left + above - corner
    if kind == 5:
        return left + ((above - corner) >> 1)
    if kind == 6:
        return above + ((left - corner) >> 1)
    return (left + above) >> 1


@kernel
def _decode(data, ends, codes, numbers, kind, first, rows, samples, found):  # type: ignore[no-untyped-def]
    """``found``: 1 if all went well; how many bits; whether all that fills up bytes are ones, and zeros."""
    height, width, count = samples.shape
    for number in range(ends.size):
        at = np.int64(ends[number - 1] << 3 if number > 0 else 0)
        limit = ends[number] << 3
        top = number * rows
        for y in range(top, min(top + rows, height)):
            for x in range(width):
                for c in range(count):
                    size, at = symbol_at(data, at, codes, numbers[c])
                    if size < 0 or size > 16 or at > limit:
                        return
                    difference = np.int64(32768)
                    if size < 16:
                        difference = signed(bits_at(data, at, size), size)
                        at += size
                    samples[y, x, c] = (_predicted(samples, y, x, c, kind, top, first) + difference) & 0xFFFF
        fill = -at & 7
        rest = bits_at(data, at, fill)
        if at > limit or ((at + fill) >> 3 != ends[number] and number + 1 < ends.size):
            return
        found[2] &= np.int64(rest == (1 << fill) - 1)
        found[3] &= np.int64(rest == 0)
        found[1] = at
    found[0] = 1


@kernel
def _encode(samples, codes, numbers, kind, first, rows, begin, end, pad, writing):  # type: ignore[no-untyped-def]
    """Rows ``begin`` to ``end - 1``."""
    height, width, count = samples.shape
    state = writing.state
    for y in range(begin, end):
        top = y - y % rows
        if y == top and y > 0:
            fill = -state[1] & 7
            put_bits(writing, ((1 << fill) - 1) * pad, fill)
            to = state[TO]
            writing.out[to] = 0xFF
            writing.out[to + 1] = 0xD0 + (y // rows - 1) % 8
            state[TO] = to + 2
        for x in range(width):
            for c in range(count):
                difference = (samples[y, x, c] - _predicted(samples, y, x, c, kind, top, first)) & 0xFFFF
                if difference > 32768:
                    difference -= 65536
                size = bit_length(abs(difference))
                put_symbol(writing, codes, numbers[c], size)
                if size < 16:
                    put_bits(writing, (difference if difference > 0 else difference - 1) & ((1 << size) - 1), size)
    if end == height and pad < CUT:
        fill = -state[1] & 7
        put_bits(writing, ((1 << fill) - 1) * pad, fill)


def decode(data: Buffer, limit: int, size: int) -> tuple[bytes, int, bytes, int]:
    """Samples of so many bytes, little-endian; how bytes are filled up; what goes before the data; and the bytes up to
    the end of these. Raises ImageError if it is damaged, or has more than ``limit`` bytes."""
    head = header(data)
    height, width, count = head.shape
    if height * width * count > min(limit // size, 8 * len(data)) or head.bits > 8 * size:
        raise ImageError("lossless JPEG of another size")
    samples = np.empty(head.shape, np.uint16)
    array = np.frombuffer(data, np.uint8)
    clean = np.zeros(len(array) - head.at + SPARE, np.uint8)
    ends, place = np.zeros(-(-height // head.rows), np.int64), np.zeros(2, np.int64)
    unstuff(array, head.at, clean, ends, place)
    found = np.array([0, 0, 1, 1], np.int64)
    rules = np.array(head.numbers, np.int64), head.predictor, 1 << head.bits - 1, head.rows
    if place[0] == len(ends):
        _decode(clean, ends, head.codes, *rules, samples, found)
    if not found[0] or (len(ends) > 1 and not found[2] | found[3]) or int(samples.max()) >> 8 * size:
        raise ImageError("damaged lossless JPEG")
    fill = ONES if found[2] else ZEROS if found[3] else CUT
    used = head.at + int(stuffed_size(array, head.at, int(found[1]) + 7 * (fill != CUT) >> 3, len(ends) - 1))
    return samples.astype(f"<u{size}").tobytes(), fill, bytes(data[: head.at]), used


def encode(plain: Buffer, fill: int, before: bytes, size: int) -> bytes:
    """The inverse: what goes before the data, and these. Raises ValueError and ImageError."""
    head = header(before)
    samples = np.frombuffer(plain, f"<u{size}").astype(np.uint16).reshape(head.shape)
    if head.at != len(before) or fill not in (ZEROS, ONES, CUT) or (fill == CUT and head.rows < head.shape[0]):
        raise ValueError("no header of lossless JPEG")
    height, width, count = head.shape
    step = max(1, _SLAB // (width * count))
    room = step * (width * count * _MOST + 4) + 8
    writing = _Writing(np.empty(room, np.uint8), np.zeros(STATE, np.int64))
    rules = np.array(head.numbers, np.int64), head.predictor, 1 << head.bits - 1, head.rows
    out = [before]
    for begin in range(0, height, step):
        _encode(samples, head.codes, *rules, begin, min(begin + step, height), fill, writing)
        out.append(writing.out[: writing.state[TO]].tobytes())
        writing.state[TO] = 0
        if writing.state[WRONG]:
            raise ValueError("there is no code for what is to be coded")
    return b"".join(out)


__all__ = ["Header", "decode", "encode", "header"]
