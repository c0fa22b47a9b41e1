"""Parity: what repairs damage in up to a share of an archive's sectors, wherever it is.

The file is cut into *sectors* of 4 KiB, counted from its first byte. Those that hold protected bytes are the data rows
of the code of :mod:`bitsback.archive.erasure`; *units*, one to a sector, hold the rows of parity. A unit says all
about the set that it belongs to and has a check, so that it is found and judged alone, without index or frames. Which
of the protected sectors are damaged, their checks tell; the table of these must live as long as the parity does, so it
is coded too, and each unit carries a part of it. Room for head and part is made by leaving out, in each unit, a few of
the 64 *cells* of its parity row, other ones in each, so that every column misses equally few rows.

So whichever sectors are damaged, protected ones and units together, up to the number that the set was made for: if
``b`` units are lost, the other ``rows - b`` give the table, and enough parity for as many protected sectors as may be
damaged besides. Nothing of it is left to chance; ``docs/format.md`` has the bytes and the proof.

An archive of more than about 240 MiB has more sectors than the field has elements: its sectors go in turn to several
*strands*, each coded alone. A burst meets all of them alike and is repaired as before; damage that is strewn at random
is met with a margin of four standard deviations in each strand.
"""

from __future__ import annotations

import math
import re
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from bitsback.archive.container import check_sum
from bitsback.archive.erasure import FIELD, Erasures, Integers, Words, parity, span
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.errors import LimitError

SECTOR = 4096
CELL = 64
CELLS = SECTOR // CELL

MAGIC = b"\x8fBBApar\n"
MAX_SHARE = 0.5

_MILLION = 10**6
_HEAD = struct.Struct("<8sQQQQQQIHHHHBBH")
_CHECKED = 16
"""The check of a unit covers what follows it."""
_MARK = re.compile(re.escape(MAGIC) + rb"(?=.{%d}\0\0)" % (_HEAD.size - len(MAGIC) - 2), re.DOTALL)
"""The magic and, at the other end of a head, the reserved field: nothing else is worth a look."""
_PAYLOAD = 1 << 12
"""Units in one payload, at most."""
_WINDOW = 1 << 20
"""Bytes of a file that are looked at, or handed on, at a time."""
_MOVES = 4
"""Places that a sector is looked for at, besides its own."""
_VAIN = 16
"""Sets that may come to nothing before the search is given up: each costs time, and a sound file has none."""

Read = Callable[[int, int], bytes]
"""``read(offset, size)`` gives that many bytes of a file; never asked for bytes outside of it."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What all units of a set say alike: whose they are, what they protect, and how."""

    run: int
    """Id of the run that wrote the protected bytes."""
    start: int
    end: int
    """The protected bytes of the file."""
    share: int
    """The share of sectors that may be damaged, in millionths, as it was asked for."""
    strands: int
    rows: int
    """Rows of parity in each strand, a unit each."""
    room: int
    """Cells that a unit leaves out for its head and its part of the table."""
    last: int
    """Cells of parity in the last row's unit, which may be short."""

    @property
    def first(self) -> int:
        """Number of the first protected sector."""
        return self.start // SECTOR

    @property
    def sectors(self) -> int:
        """Protected sectors, the ends counted whole."""
        return -(-self.end // SECTOR) - self.first

    def length(self, strand: int) -> int:
        """Protected sectors of a strand: ``strand``, ``strand + strands``, ... of them all."""
        return len(range(strand, self.sectors, self.strands))

    def parts(self, strand: int) -> int:
        """Units that it takes to have the table of a strand."""
        return -(-8 * self.length(strand) // self.part_size)

    @property
    def part_size(self) -> int:
        """Bytes of table in a unit."""
        return self.room * CELL - _HEAD.size

    def unit_size(self, row: int) -> int:
        return SECTOR if row < self.rows - 1 else (self.room + self.last) * CELL

    def cells(self, row: int) -> Integers:
        """The cells of a parity row that its unit holds, ascending."""
        if row == self.rows - 1:
            return np.arange(self.last)
        left_out = (np.arange(self.room) + row * self.room) % CELLS
        return np.setdiff1d(np.arange(CELLS), left_out)

    def extent(self, sector: int) -> tuple[int, int]:
        """Offset and size of what is protected of the sector ``first + sector``."""
        begin = max(self.start, (self.first + sector) * SECTOR)
        return begin, min(self.end, (self.first + sector + 1) * SECTOR) - begin

    def is_sound(self) -> bool:
        """Whether a set can be like this at all; what is not, is nobody's unit, and nothing is allocated for it."""
        return (
            0 <= self.start < self.end < 1 << 60
            and 1 <= self.strands <= self.sectors
            and 2 <= self.room <= CELLS // 2
            and self.last <= CELLS - self.room
            and 2 <= self.rows <= 2 * self.length(0) + 8
            and self.length(0) + span(self.rows) <= FIELD
            and self.parts(0) <= self.rows
        )


def _fewest_words(rows: int, room: int, last: int) -> int:
    """The least number of parity words in any column: cells are left out in turn, row by row, the last row aside."""
    turns, rest = divmod((rows - 1) * room, CELLS)
    return rows - 1 - turns - (1 if rest > last else 0)


def _fit(candidate: Geometry, frame: int, tail: int) -> Geometry | None:
    """``candidate`` with the fewest rows that will do with its room for the table; None if no number does."""
    room, parts = candidate.room, candidate.parts(0)
    rows = 2
    while candidate.length(0) + span(rows) <= FIELD:
        whole = replace(candidate, rows=rows, last=CELLS - room)
        most = _damages(whole, frame, tail)
        words = _fewest_words(rows, room, whole.last)
        if rows - (most - 1) < parts:
            rows = most - 1 + parts
        elif words < most:
            rows += most - words
        else:
            last = 0 if _fewest_words(rows, room, 0) >= most else (rows - 1) * room % CELLS
            return replace(whole, last=last)
    return None


def _damages(geometry: Geometry, frame: int, tail: int) -> int:
    """How many damaged sectors a strand must bear."""
    sectors = -(-(_end(geometry, frame) + tail) // SECTOR) - geometry.first
    longest = -(-sectors // geometry.strands)
    most = -(-longest * geometry.share // _MILLION)
    # what falls on one of several strands at random has at most this standard deviation: sqrt(most)
    return most if geometry.strands == 1 else most + 4 * math.isqrt(most) + 5


def plan(start: int, end: int, share: float, *, run: int, frame: int, tail: int = SECTOR) -> Geometry:
    """The smallest set that protects bytes ``start`` to ``end`` of a file against damage of ``share`` of its sectors.

    ``share`` is above 0 and at most 0.5. ``frame`` bytes of the file stand before each payload, ``tail`` bytes after
    the last; they count as sectors of the file, and so does the parity. ValueError for numbers that make no sense.

    >>> plan(0, 20_000, 0.05, run=1, frame=64).rows
    2
    """
    millionths = round(share * _MILLION)
    if not 0 < millionths <= MAX_SHARE * _MILLION:
        raise ValueError(f"a share of {share:g} cannot be protected: more than 0 and at most {MAX_SHARE:g}")
    if not 0 <= start < end:
        raise ValueError(f"no bytes to protect: {start} to {end}")
    base = Geometry(run, start, end, millionths, 1, 2, 2, 0)
    strands = -(-base.sectors // FIELD)
    while True:
        candidates = (replace(base, strands=strands, room=room) for room in range(2, CELLS // 2 + 1))
        fits = [fit for candidate in candidates if (fit := _fit(candidate, frame, tail))]
        if fits:
            return min(fits, key=lambda fit: _end(fit, frame))
        strands += 1


def cost(geometry: Geometry, frame: int) -> int:
    """Bytes that the payloads of a set add to a file, a frame before each included."""
    return _end(geometry, frame) - geometry.end


def _end(geometry: Geometry, frame: int) -> int:
    """Where the last payload of a set ends: what :func:`_layout` comes to."""
    count = geometry.rows * geometry.strands
    begin = -(-(geometry.end + frame) // SECTOR) + (-(-count // _PAYLOAD) - 1) * -(-frame // SECTOR)
    return (begin + count - 1) * SECTOR + geometry.unit_size(geometry.rows - 1)


class _Payload(NamedTuple):
    """Where a payload stands in the file, and which units, counted row by row and strand by strand, it holds."""

    begin: int
    pad: int
    units: range
    end: int


def _layout(geometry: Geometry, frame: int) -> list[_Payload]:
    """The payloads: zeros up to the next sector, then a unit to a sector; the last ends with its unit."""
    count = geometry.rows * geometry.strands
    payloads, end = [], geometry.end
    for first in range(0, count, _PAYLOAD):
        units = range(first, min(first + _PAYLOAD, count))
        begin = end + frame
        pad = -begin % SECTOR
        end = begin + pad + len(units) * SECTOR
        payloads.append(_Payload(begin, pad, units, end))
    payloads[-1] = payloads[-1]._replace(end=_end(geometry, frame))
    return payloads


def make(read: Read, geometry: Geometry, frame: int) -> Iterator[bytes]:
    """The payloads for a set, in order, each to be written ``frame`` bytes after what stands before it.

    ``read`` gives the protected bytes. Holds two to four times the parity of a strand, and a payload of 16 MiB; what is
    made and waits, in a temporary file where it is more than 64 MiB.
    """
    layout = _layout(geometry, frame)
    places = [at for part in layout for at in range(part.begin + part.pad, part.end, SECTOR)]
    with tempfile.SpooledTemporaryFile(max_size=4 * _PAYLOAD * SECTOR) as spool:
        for strand in range(geometry.strands):
            for unit in _units(read, geometry, strand, places[strand :: geometry.strands]):
                spool.write(unit.ljust(SECTOR, b"\0"))
        for payload in layout:
            parts = [bytes(payload.pad)]
            for number in payload.units:
                row, strand = divmod(number, geometry.strands)
                spool.seek((strand * geometry.rows + row) * SECTOR)
                parts.append(spool.read(SECTOR))
            yield b"".join(parts)[: payload.end - payload.begin]


def _units(read: Read, geometry: Geometry, strand: int, places: Iterable[int]) -> Iterator[bytes]:
    """The units of one strand; ``places`` says where each will stand."""
    checks: list[int] = []

    def sector(number: int) -> bytes:
        data = read(*geometry.extent(number))
        checks.append(check_sum(data))
        return data

    rows = _sector_parity(geometry, strand, sector).view(np.uint8).reshape(-1, CELLS, CELL)
    table = np.array(checks, "<u8").tobytes()
    parts = _table_parity(geometry, strand, table)
    for row, place in enumerate(places):
        body = _head(geometry, place, check_sum(table), strand, row)[_CHECKED:]
        body += parts[row].tobytes() + rows[row, geometry.cells(row)].tobytes()
        yield MAGIC + struct.pack("<Q", check_sum(body)) + body


def _head(geometry: Geometry, place: int, table: int, strand: int, row: int) -> bytes:
    g = geometry
    where = (g.run, g.start, g.end, place, table)
    return _HEAD.pack(MAGIC, 0, *where, g.share, g.strands, strand, g.rows, row, g.room, g.last, 0)


def _sector_parity(geometry: Geometry, strand: int, sector: Callable[[int], bytes]) -> Words:
    """Parity rows of the sectors that ``sector`` gives by number; shorter ones stand at their place, among zeros."""
    size = span(geometry.rows)

    def pieces() -> Iterator[Words]:
        numbers = range(strand, geometry.sectors, geometry.strands)
        for at in range(0, len(numbers), size):
            some = numbers[at : at + size]
            piece = np.zeros((len(some), SECTOR), np.uint8)
            for row, number in zip(piece, some, strict=True):
                begin = geometry.extent(number)[0] % SECTOR
                data = np.frombuffer(sector(number), np.uint8)
                row[begin : begin + len(data)] = data
            yield piece.view("<u2")

    return _little(parity(pieces(), geometry.rows, SECTOR // 2))


def _little(words: Words) -> Words:
    """The same words, low byte first in memory."""
    return words.astype("<u2", copy=False)


def _table_parity(geometry: Geometry, strand: int, table: bytes) -> Words:
    """Parity rows of a strand's table, of which the units carry one each."""
    padded = table.ljust(geometry.parts(strand) * geometry.part_size, b"\0")
    rows = np.frombuffer(padded, "<u2").reshape(-1, geometry.part_size // 2)
    size = span(geometry.rows)
    pieces = (rows[at : at + size] for at in range(0, len(rows), size))
    return _little(parity(pieces, geometry.rows, rows.shape[1]))


class _Unit(NamedTuple):
    geometry: Geometry
    place: int
    """Where it stood when it was written."""
    table: int
    """Check of the strand's table."""
    strand: int
    row: int
    size: int


def _parse(data: bytes, at: int = 0) -> _Unit | None:
    """The unit whose mark is at ``data[at]``; None unless it is one, and whole."""
    head = _HEAD.unpack_from(data, at)
    _magic, check, run, start, end, place, table, share, strands, strand, rows, row, room, last, _reserved = head
    if strand >= strands or row >= rows:
        return None
    geometry = Geometry(run, start, end, share, strands, rows, room, last)
    if not geometry.is_sound():
        return None
    size = geometry.unit_size(row)
    if len(data) - at < size or check_sum(memoryview(data)[at + _CHECKED : at + size]) != check:
        return None
    return _Unit(geometry, place, table, strand, row, size)


@dataclass(slots=True)
class Strand:
    """What was found of a strand: the units, by row, and where they stand in the file."""

    table: int
    """Check of the table."""
    units: dict[int, int] = field(default_factory=dict)
    in_place: set[int] = field(default_factory=set)
    """Rows whose units stand where they were written."""


@dataclass(slots=True)
class Found:
    """What was found of a set."""

    geometry: Geometry
    strands: dict[int, dict[int, Strand]] = field(default_factory=dict)
    """By number, and by the check of the table, should units of several archives look alike."""
    moves: Counter[int] = field(default_factory=Counter)
    """By how many bytes units stand further on than they were written, and how many of them."""

    def add(self, unit: _Unit, offset: int) -> None:
        tables = self.strands.setdefault(unit.strand, {})
        strand = tables.setdefault(unit.table, Strand(unit.table))
        if offset == unit.place:
            strand.in_place.add(unit.row)
            strand.units[unit.row] = offset
        else:
            strand.units.setdefault(unit.row, offset)
        self.moves[offset - unit.place] += 1

    def best(self, strand: int) -> Strand:
        """What is believed of a strand: of what was found, the most that is in place, or the most."""
        tables = self.strands.get(strand, {}).values()
        return max(tables, key=lambda found: (len(found.in_place), len(found.units)), default=Strand(0))

    def is_hopeless(self, size: int) -> bool:
        """Whether a file of ``size`` bytes is too short for the set, or too little of it is there to tell.

        So what a set takes to look at is bounded by the size of the file, whatever its units say.
        """
        geometry = self.geometry
        told = [len(self.best(n).units) >= geometry.parts(n) for n in self.strands]
        return 2 * sum(told) < geometry.strands or geometry.end - size > self.moves.total() * SECTOR


def find(read: Read, size: int) -> list[Found]:
    """Look for units anywhere in a file of ``size`` bytes, damaged or not, and gather them into sets.

    Those in place come first, then those of which most was found.
    """
    sets: dict[Geometry, Found] = {}
    at = 0
    while at < size:
        window = read(at, min(_WINDOW + SECTOR, size - at))
        begin = 0
        while (mark := _MARK.search(window, begin)) and mark.start() < _WINDOW:
            begin = mark.end()
            if unit := _parse(window, mark.start()):
                sets.setdefault(unit.geometry, Found(unit.geometry)).add(unit, at + mark.start())
                begin = mark.start() + unit.size
        at += max(begin, _WINDOW)
    return sorted(sets.values(), key=lambda found: (found.moves[0], found.moves.total()), reverse=True)


@dataclass(frozen=True, slots=True)
class Report:
    """What :func:`repair` found. Sectors are named by the offset of their first protected byte, as it was written."""

    sets: tuple[Geometry, ...] = ()
    """What parity was found for and could be judged, in the order of the file."""
    damaged: tuple[int, ...] = ()
    """Sectors that are not there as they were written, or not at their place."""
    lost: tuple[int, ...] = ()
    """Those of them that could not be brought back."""
    unknown: tuple[Geometry, ...] = ()
    """Sets with sectors that nothing is known about: too much of their parity is damaged."""
    units: int = 0
    """Units of parity, all told ..."""
    units_damaged: int = 0
    """... and those that are not there as they were written, or not at their place."""

    @property
    def is_whole(self) -> bool:
        """All protected bytes are as they were written, or brought back."""
        return not (self.lost or self.unknown)

    @property
    def is_sound(self) -> bool:
        """Nothing is damaged, parity included."""
        return not (self.damaged or self.unknown or self.units_damaged)


@dataclass(slots=True)
class _Mended:
    """A set and where its sectors are: at an offset of the file, brought back as bytes, or nowhere."""

    geometry: Geometry
    sources: list[int | bytes | None]
    move: int
    """By how many bytes what follows the protected ones stands further on than it was written."""
    known: bool = False
    """Whether there is a strand whose sectors can be judged ..."""
    unknown: bool = False
    """... and whether there is one whose cannot."""

    @property
    def damaged(self) -> Iterator[int]:
        for number, source in enumerate(self.sources):
            if source != (offset := self.geometry.extent(number)[0]):
                yield offset

    @property
    def lost(self) -> Iterator[int]:
        return (self.geometry.extent(number)[0] for number, source in enumerate(self.sources) if source is None)


class Repair:
    """A file as parity says that it was: ``report`` tells what was found, :meth:`pieces` gives the bytes."""

    def __init__(self, read: Read, size: int, mended: list[_Mended], report: Report) -> None:
        self._read, self._size, self._mended = read, size, mended
        self.report = report

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the file, in order: with what was brought back, and everything else as it is.

        What is lost stays as it is, or is zeros where the file ends before it. What follows the last protected byte is
        the rest of the file, damaged or not; nothing, where the file was cut before.
        """
        begin = end = 0
        for source, size in self._sources():
            if isinstance(source, int) and source == end and end - begin < _WINDOW:
                end += size
                continue
            yield from self._copy(begin, end)
            begin = end = 0
            if isinstance(source, bytes):
                yield source
            else:
                begin, end = source, source + size
        yield from self._copy(begin, end)

    def _copy(self, begin: int, end: int) -> Iterator[bytes]:
        while begin < end:
            size = min(_WINDOW, end - begin)
            there = max(0, min(size, self._size - begin))
            yield (self._read(begin, there) if there else b"").ljust(size, b"\0")
            begin += size

    def _sources(self) -> Iterator[tuple[int | bytes, int]]:
        """Offsets in the file, or bytes, and their size, in the order of the file as it was."""
        at = move = 0
        for mended in self._mended:
            if mended.geometry.start > at:
                yield at + move, mended.geometry.start - at
            for number, source in enumerate(mended.sources):
                offset, size = mended.geometry.extent(number)
                if isinstance(source, int):
                    move = source - offset
                yield (max(0, offset + move) if source is None else source), size
            at, move = mended.geometry.end, mended.move
        if self._size > at + move:
            yield at + move, self._size - at - move


def repair(read: Read, size: int, limits: Limits = DEFAULT_LIMITS) -> Repair:
    """Find what is damaged in a file of ``size`` bytes, and bring it back with the parity that the file holds.

    Also for a file that was cut short, and for one that has grown or shrunk at one place (units then stand further on,
    or further back, than they say). A set that stands elsewhere altogether is taken for that of an archive stored
    inside, and left alone: it counts only if one of its units is in place, or its first sector. Raises LimitError if a
    set takes more memory than ``limits`` allow. Holds about four times the parity of a strand, and what was brought
    back.
    """
    mended: list[_Mended] = []
    unknown: list[Geometry] = []
    units = in_place = vain = 0
    for found in find(read, size):
        geometry = found.geometry
        if vain >= _VAIN:
            break
        if any(geometry.start < other.geometry.end and other.geometry.start < geometry.end for other in mended):
            continue
        if not found.moves[0] and not _begins_here(read, size, found):
            vain += 1
            continue
        units += geometry.rows * geometry.strands
        in_place += sum(len(found.best(number).in_place) for number in found.strands)
        result = None if found.is_hopeless(size) else _mend(read, size, found, limits)
        if result is None or result.unknown:
            unknown.append(geometry)
        if result and result.known:
            mended.append(result)
        else:
            vain += 1
    mended.sort(key=lambda one: one.geometry.start)
    report = Report(
        tuple(one.geometry for one in mended),
        tuple(offset for one in mended for offset in one.damaged),
        tuple(offset for one in mended for offset in one.lost),
        tuple(unknown),
        units,
        units - in_place,
    )
    return Repair(read, size, mended, report)


def _begins_here(read: Read, size: int, found: Found) -> bool:
    """Whether the first sector of a set is where it was when the set was written."""
    checks = _table(read, found.geometry, 0, found.best(0))
    offset, length = found.geometry.extent(0)
    return checks is not None and offset + length <= size and check_sum(read(offset, length)) == checks[0]


def _mend(read: Read, size: int, found: Found, limits: Limits) -> _Mended:
    """Find the sectors of a set, and bring back those that are nowhere."""
    geometry = found.geometry
    # where units are in place, so are sectors; what else is found is in a copy that is stored inside
    moves = [0] if found.moves[0] else [move for move, _ in found.moves.most_common(_MOVES)]
    mended = _Mended(geometry, [None] * geometry.sectors, moves[0])
    for number in range(geometry.strands):
        strand = found.best(number)
        sectors = range(number, geometry.sectors, geometry.strands)
        checks = _table(read, geometry, number, strand)
        if checks is None:
            mended.unknown = True
            for sector in sectors:
                offset, length = geometry.extent(sector)
                mended.sources[sector] = offset if offset + length <= size else None
            continue
        mended.known = True
        expected = dict(zip(sectors, checks, strict=True))
        mended.sources[number :: geometry.strands] = _locate(read, size, geometry, expected, moves)
        lost = [sector for sector in sectors if mended.sources[sector] is None]
        for sector, data in _restore(read, geometry, number, strand, mended.sources, lost, limits):
            if check_sum(data) == expected[sector]:
                mended.sources[sector] = data
    return mended


def _table(read: Read, geometry: Geometry, number: int, strand: Strand) -> list[int] | None:
    """The checks of a strand's sectors; None if too many of its units are lost."""
    count = geometry.parts(number)
    used = sorted(strand.units)[:count]
    if len(used) < count:
        return None
    stored = [read(strand.units[row] + _HEAD.size, geometry.part_size) for row in used]
    parts = np.frombuffer(b"".join(stored), "<u2").reshape(count, -1)
    known = np.zeros((span(geometry.rows), 1), np.bool_)
    known[used] = True
    erasures = Erasures(known, np.arange(count))
    table = np.empty(parts.shape, "<u2")
    # a few columns at a time: a head that lies about its rows costs no memory
    for at in range(0, parts.shape[1], CELL):
        difference = np.zeros((len(known), len(parts[0, at : at + CELL])), np.uint16)
        difference[used] = parts[:, at : at + CELL]
        table[:, at : at + CELL] = erasures.solve(difference)
    data = table.tobytes()[: 8 * geometry.length(number)]
    return np.frombuffer(data, "<u8").tolist() if check_sum(data) == strand.table else None


def _locate(
    read: Read, size: int, geometry: Geometry, checks: dict[int, int], moves: list[int]
) -> Iterator[int | None]:
    """Where each of a strand's sectors is: in place, or moved as units are."""
    last = 0  # and that a set begins in place, is known
    for sector, check in checks.items():
        offset, length = geometry.extent(sector)
        for move in (last, *(move for move in moves if move != last)):
            begin = offset + move
            if 0 <= begin <= size - length and check_sum(read(begin, length)) == check:
                last = move
                yield begin
                break
        else:
            yield None


def _restore(
    read: Read,
    geometry: Geometry,
    number: int,
    strand: Strand,
    sources: list[int | bytes | None],
    lost: list[int],
    limits: Limits,
) -> Iterator[tuple[int, bytes]]:
    """The lost sectors of a strand with what parity says of them; nothing if there is too little parity."""
    known = np.zeros((span(geometry.rows), CELLS), np.bool_)
    for row in strand.units:
        known[row, geometry.cells(row)] = True
    if not lost or len(lost) > known.sum(0).min():
        return
    if 4 * len(known) * SECTOR > limits.memory:
        raise LimitError(f"repair with {geometry.rows} rows of parity takes more than {limits.memory} bytes")

    def sector(index: int) -> bytes:
        source = sources[index]
        return read(source, geometry.extent(index)[1]) if isinstance(source, int) else b""

    difference = _sector_parity(geometry, number, sector)
    cells = difference.view(np.uint8).reshape(-1, CELLS, CELL)
    cells[~known] = 0
    for row, offset in strand.units.items():
        held = geometry.cells(row)
        stored = read(offset + geometry.room * CELL, len(held) * CELL)
        cells[row, held] ^= np.frombuffer(stored, np.uint8).reshape(-1, CELL)
    rows = (np.array(lost) - number) // geometry.strands
    for index, words in zip(lost, _little(Erasures(known, rows).solve(difference)), strict=True):
        offset, length = geometry.extent(index)
        begin = offset % SECTOR
        yield index, words.tobytes()[begin : begin + length]
