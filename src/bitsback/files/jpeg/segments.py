"""What stands between the entropy-coded data of a JPEG file: markers and their segments (ITU-T T.81, annex B)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.jpeg.bits import FAST, PLACES, Codes
from bitsback.files.picture import Buffer

_SOF = {0xC0: False, 0xC1: False, 0xC2: True}
"""Frames that are taken apart, and whether they are progressive."""

_REFUSED = {
    0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "hierarchical", 0xC9: "arithmetic coding",
    0xCA: "arithmetic coding", 0xCB: "lossless", 0xCD: "hierarchical", 0xCE: "hierarchical", 0xCF: "hierarchical",
    0xDE: "hierarchical",
}  # fmt: skip


@dataclass(slots=True)
class Component:
    """A component of the frame."""

    name: int
    across: int
    down: int
    """Sampling factors."""
    table: int
    """Of quantisation."""
    first: int = 0
    """Its first block among those of the file."""
    width: int = 0
    height: int = 0
    """In blocks, as kept: filled up to whole MCUs if there are other components."""
    own: tuple[int, int] = (0, 0)
    """The same, as a scan of this component alone has them."""


@dataclass(slots=True)
class Frame:
    """What a file says of its image before the first scan."""

    progressive: bool
    components: list[Component]
    across: int
    """MCUs in a row."""
    down: int
    blocks: int


@dataclass(slots=True)
class ScanHeader:
    """What a scan says of itself, and where its data begin."""

    components: list[tuple[Component, int, int]]
    """With their tables for DC and AC."""
    first: int
    last: int
    high: int
    low: int
    at: int


@dataclass(slots=True)
class Tables:
    """What is in force at a place in a file."""

    interval: int = 0
    quantisation: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    """(64,), rows first."""
    huffman: list[bytes] = field(default_factory=lambda: [b""] * 8)
    """How many codes there are of 1 to 16 bits, and their symbols; four for DC, then four for AC. Empty: not known."""

    def codes(self, used: set[int]) -> Codes:
        """The tables with these numbers, in the form that kernels want."""
        none = _code(bytes(16))
        tables = [_code(table) if number in used else none for number, table in enumerate(self.huffman)]
        return Codes(*(np.stack(arrays) for arrays in zip(*tables, strict=True)))


@lru_cache(64)
def _code(table: bytes) -> tuple[NDArray[np.int64], ...]:
    """A table as a row of each array of :class:`Codes`."""
    fast, limits, offsets = (np.zeros(size, np.int64) for size in (1 << FAST, 18, 18))
    symbols, codes, lengths = (np.zeros(256, np.int64) for _ in range(3))
    limits[17] = 1 << 17
    symbols[: len(table) - 16] = list(table[16:])
    code = place = 0
    for length in range(1, 17):
        offsets[length] = place - code
        for symbol in table[16 + place : 16 + place + table[length - 1]]:
            if not lengths[symbol]:
                codes[symbol], lengths[symbol] = code, length
            if length <= FAST:
                begin = code << (FAST - length)
                fast[begin : begin + (1 << (FAST - length))] = (length << 8) + symbol
            code += 1
        place += table[length - 1]
        limits[length] = code << (16 - length)
        code <<= 1
    return fast, limits, offsets, symbols, codes, lengths


MAX_SCANS = 256
"""Where there are more, the rest is not taken apart: each may go through all blocks, however short it is."""

OnScan = Callable[[Frame, ScanHeader, Tables], int]
"""Told of each scan; says where to go on."""


def walk(data: Buffer, on_scan: OnScan) -> None:
    """Go through the segments of a file, or of what is left of it without its entropy-coded data: either way, the same
    happens. What cannot be understood behind the first scan ends the walk.

    Raises ImageError if there is no image that can be taken apart.
    """
    tables, frame, at, scans = Tables(), None, 2, 0
    while (found := next_marker(data, at)) is not None:
        marker, at = found
        if marker == 0xD9:
            break
        if marker == 0xD8 or marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        try:
            body = segment_at(data, at)
            if marker in _REFUSED:
                raise ImageError(f"a JPEG file of a sort that is not taken apart ({_REFUSED[marker]})")
            if marker in _SOF:
                if frame is not None:
                    raise ImageError("a JPEG file of several frames")
                frame = _frame(body, _SOF[marker], data, at + 2 + len(body))
            elif marker == 0xC4:
                read_huffman(body, tables)
            elif marker == 0xDB:
                _read_quantisation(body, tables)
            elif marker == 0xDD:
                tables.interval = int.from_bytes(body[:2], "big")
            at += 2 + len(body)
            if marker == 0xDA:
                if frame is None:
                    raise ImageError("a JPEG file whose data begin before its size is known")
                if scans == MAX_SCANS:
                    raise ImageError("a JPEG file of too many scans")
                at = on_scan(frame, _scan(body, frame, tables, at), tables)
                scans += 1
        except (ImageError, IndexError):
            if not scans:
                raise
            break
    if not scans:
        raise ImageError("a JPEG file without an image")


def next_marker(data: Buffer, at: int) -> tuple[int, int] | None:
    """The next marker that no entropy-coded data can have, and where what follows it begins."""
    while (at := bytes_find(data, at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            return marker, at + 2
    return None


def bytes_find(data: Buffer, at: int) -> int:
    """Where the next FF is, -1 if there is none."""
    if isinstance(data, bytes):
        return data.find(b"\xff", at)
    for start in range(at, len(data), 1 << 12):
        place = bytes(data[start : start + (1 << 12)]).find(b"\xff")
        if place >= 0:
            return start + place
    return -1


def segment_at(data: Buffer, at: int) -> bytes:
    size = int.from_bytes(data[at : at + 2], "big")
    if size < 2 or at + size > len(data):
        raise ImageError("a JPEG file that ends within a segment")
    return bytes(data[at + 2 : at + size])


def _frame(body: bytes, progressive: bool, data: Buffer, at: int) -> Frame:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise ImageError("a JPEG file with a damaged header")
    if body[0] != 8:
        raise ImageError(f"a JPEG file of {body[0]} bits a sample")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    height = height or _number_of_lines(data, at)
    components = []
    for i in range(body[5]):
        name, sampling, table = body[6 + 3 * i : 9 + 3 * i]
        components.append(Component(name, sampling >> 4, sampling & 15, table))
    fits = 1 <= len(components) <= 4 and all(1 <= one.across <= 4 and 1 <= one.down <= 4 for one in components)
    if not fits or not width or not height or len({one.name for one in components}) < len(components):
        raise ImageError("a JPEG file with an impossible header")
    most_across, most_down = max(one.across for one in components), max(one.down for one in components)
    across, down = math.ceil(width / (8 * most_across)), math.ceil(height / (8 * most_down))
    blocks = 0
    for one in components:
        columns = math.ceil(math.ceil(width * one.across / most_across) / 8)
        rows = math.ceil(math.ceil(height * one.down / most_down) / 8)
        one.own = (columns, rows)
        one.width, one.height = (columns, rows) if len(components) == 1 else (across * one.across, down * one.down)
        one.first = blocks
        blocks += one.width * one.height
    return Frame(progressive, components, across, down, blocks)


def _number_of_lines(data: Buffer, at: int) -> int:
    """The height of an image that is told behind its first scan."""
    while (found := next_marker(data, at)) is not None:
        marker, at = found
        if marker == 0xDC:
            return int.from_bytes(segment_at(data, at)[:2], "big")
        if marker == 0xD9:
            break
        if marker != 0x01:
            at += 2 + len(segment_at(data, at))
    raise ImageError("a JPEG file that does not say how high it is")


def read_huffman(body: bytes, tables: Tables) -> None:
    at = 0
    while at + 17 <= len(body):
        kind, number = body[at] >> 4, body[at] & 15
        counts = body[at + 1 : at + 17]
        total, room = sum(counts), sum(count << (16 - length) for length, count in enumerate(counts, 1))
        if kind > 1 or number > 3 or total > 256 or room > 1 << 16 or at + 17 + total > len(body):
            raise ImageError("a JPEG file with a damaged Huffman table")
        tables.huffman[4 * kind + number] = body[at + 1 : at + 17 + total]
        at += 17 + total


def _read_quantisation(body: bytes, tables: Tables) -> None:
    at = 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        size = 128 if wide else 64
        if wide > 1 or number > 3 or at + 1 + size > len(body):
            raise ImageError("a JPEG file with a damaged quantisation table")
        table = np.zeros(64, np.int64)
        table[PLACES] = np.frombuffer(body, ">u2" if wide else np.uint8, 64, at + 1)
        tables.quantisation[number] = table
        at += 1 + size


def _scan(body: bytes, frame: Frame, tables: Tables, at: int) -> ScanHeader:
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count or not 1 <= count <= 4:
        raise ImageError("a JPEG file with a damaged scan")
    known = {one.name: one for one in frame.components}
    components = []
    for i in range(count):
        name, numbers = body[1 + 2 * i], body[2 + 2 * i]
        if name not in known or numbers >> 4 > 3 or numbers & 15 > 3:
            raise ImageError("a JPEG file with a damaged scan")
        components.append((known.pop(name), numbers >> 4, 4 + (numbers & 15)))
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    header = ScanHeader(components, first, last, bits >> 4, bits & 15, at)
    if not frame.progressive:
        header.first, header.last, header.high, header.low = 0, 63, 0, 0
    elif (
        last > 63 or first > last or header.low > 13 or (header.high and header.high != header.low + 1)
        or (first == 0) != (last == 0) or (first and count > 1)
    ):  # fmt: skip
        raise ImageError("a JPEG file with an impossible scan")
    needed = {dc for _, dc, _ in components} if first == 0 and not header.high else set()
    needed |= {ac for _, _, ac in components} if last else set()
    if any(not tables.huffman[number] for number in needed):
        raise ImageError("a JPEG file without the Huffman tables that it needs")
    if len({one.table for one, _, _ in components} - set(tables.quantisation)) and not tables.quantisation:
        raise ImageError("a JPEG file without quantisation tables")
    return header
