"""The `.bba` file as a row of checked chunks: header, chunks, index, footer; after an append, more of the last three.

This module knows lengths and checksums and nothing about images; ``docs/format.md`` is the normative text. Every byte
of a file is covered: header and footer by their own checks, a chunk's frame and head by one, its payload by another,
and chunks must follow each other without a gap. All integers are little-endian; every check is XXH3-64, seed 0. The
checks find accidents, not attackers.

A chunk says whose it is and where: the id of the *run* that wrote it (the first, or one that appended), its number in
the archive, and the byte at which it stands. The id is a hash of all that is going to be written, as far as it is known
when the run begins, and of the runs before it. So a chunk of an archive that is stored *inside* another, be it an older
copy of the same, is never taken for one of the outer archive's; and two chunks of one run and number are the same.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import BinaryIO, NamedTuple

import msgspec
import xxhash

from bitsback.archive.fields import Cursor, ascending, varints
from bitsback.archive.limits import CHUNK, DEFAULT_LIMITS, Allowance, Limits
from bitsback.errors import (
    BitsBackError,
    ChecksumError,
    FormatError,
    LimitError,
    TruncatedError,
    UnsupportedVersionError,
)

MAGIC = b"\x8fBBA\r\n\x1a\n"
END_MAGIC = b"\x8fBBAend\n"
SYNC = b"\xb5BK\xf2"
MAJOR, MINOR = 2, 0

DRAFT = 1
"""Required feature: format 2 before its first release, which no later version promises to read."""
ENCRYPTED = 2
"""Required feature, reserved."""

OPTIONAL = 1
"""Chunk flag: a reader that does not know the chunk's kind may step over it."""
COPY = 2
"""Chunk flag: the second copy of a chunk that others need."""

EARLIER = 32
"""Of so many runs before its own an index keeps the ids."""

_HEADER = struct.Struct("<8sBBHHBBQ")  # magic, major, minor, required and optional features, system, reserved, id
_FRAME = struct.Struct("<4sBBHQIIQQQ")  # sync, kind, flags, 0, id, number, head size, offset, payload size, its check
_CHECK = struct.Struct("<Q")
_FOOTER = struct.Struct("<QQ")  # offset of the index, id
_WHOLE_FOOTER = struct.Struct("<QQQ8s")  # the same, check, magic

HEADER_SIZE = _HEADER.size + _CHECK.size
FRAME_SIZE = _FRAME.size + _CHECK.size
FOOTER_SIZE = _FOOTER.size + _CHECK.size + len(END_MAGIC)

_START = re.compile(re.escape(SYNC) + rb"(?=.[\0-\x03]\0\0.{22}\0\0.{6}\0\0)", re.DOTALL)
"""What a frame looks like: known flags, the reserved field, and a place and a payload below 2^48."""
_END = re.compile(re.escape(END_MAGIC) + rb"(?<=\0\0.{24})", re.DOTALL)
"""The end of a footer, if the place of its index is below 2^48."""
_WINDOW = 1 << 20
"""Bytes that are looked at, at a time."""
_HEADS = 1 << 12
"""Bytes that are read for a frame and its head, which mostly are fewer."""
_WRONG = 1 << 10
"""So many bytes more count as looked at where what looks like a frame is none."""


class System(IntEnum):
    """Whose rules the names in an archive follow."""

    POSIX = 0
    WINDOWS = 1


HERE = System.WINDOWS if sys.platform == "win32" else System.POSIX


class Kind(IntEnum):
    """What a chunk holds."""

    DATA = 1
    """Coded blocks of images, and bytes (:mod:`bitsback.archive.head`)."""
    DIRECTORY = 2
    """Members and contents (:mod:`bitsback.archive.directory`)."""
    MODEL = 3
    """A model file. Its head is the model's SHA-256, its payload the file."""
    INDEX = 4
    """The chunks since the last index, and the members that do not count any more. No flags, no head."""
    PARITY = 5
    """What repairs damage (:mod:`bitsback.archive.parity`)."""


_KINDS = frozenset(Kind)
_SINGLE = _KINDS - {Kind.DIRECTORY, Kind.MODEL}
"""Of these there are no copies."""
_INDEX = int(Kind.INDEX)


def check_sum(data: bytes | memoryview, *more: bytes | memoryview) -> int:
    """XXH3-64 of ``data``, and what follows it, with seed 0, as an unsigned integer.

    >>> hex(check_sum(b""))
    '0x2d06800538d394c2'
    """
    if not more:
        return xxhash.xxh3_64_intdigest(data)
    running = xxhash.xxh3_64(data)
    for one in more:
        running.update(one)
    return running.intdigest()


_NOTHING = check_sum(b"")


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """One chunk's frame and head, already checked; the payload is still in the file."""

    kind: int
    flags: int
    run: int
    """Id of the run that wrote it."""
    number: int
    offset: int
    """Where it stands in the file ..."""
    place: int
    """... and where it stood when it was written."""
    head: bytes
    payload_size: int
    payload_check: int

    @property
    def payload_offset(self) -> int:
        return self.offset + FRAME_SIZE + len(self.head)

    @property
    def end(self) -> int:
        """Offset of the first byte after the chunk."""
        return self.offset + FRAME_SIZE + len(self.head) + self.payload_size

    @property
    def is_known(self) -> bool:
        """Whether its kind is one of :class:`Kind`."""
        return self.kind in _KINDS

    @property
    def is_copy(self) -> bool:
        return bool(self.flags & COPY)


class Header(NamedTuple):
    """What a file begins with. ``id``: of the first run."""

    id: int
    system: System = HERE
    required: int = DRAFT
    version: tuple[int, int] = (MAJOR, MINOR)

    def encode(self) -> bytes:
        data = _HEADER.pack(MAGIC, *self.version, self.required, 0, self.system, 0, self.id)
        return data + _CHECK.pack(check_sum(data))


@dataclass(slots=True)
class Index:
    """What an index says: the chunks since the one before it, and which members are removed or superseded."""

    previous: int = 0
    """Offset of the index before it; 0 if there is none."""
    first: int = 0
    """Number of the first chunk that it lists."""
    sizes: list[int] = field(default_factory=list)
    """Bytes of the chunks that it lists, which end where it begins."""
    removed: list[int] = field(default_factory=list)
    """Numbers of members that do not count any more, in order."""
    runs: list[int] = field(default_factory=list)
    """Ids of the runs before this one, the last :data:`EARLIER` of them, so that recovery knows them by it."""
    required: int = DRAFT
    """Features that reading this run takes, as in the header."""

    def encode(self) -> bytes:
        numbers = (self.required, self.previous, self.first, len(self.sizes), *self.sizes, len(self.removed))
        return varints(numbers) + ascending(self.removed) + _packed_ids(self.runs)

    @classmethod
    def decode(cls, data: bytes, room: int, limits: Limits = DEFAULT_LIMITS) -> Index:
        """``room``: the bytes of the file in which its chunks must be.

        Raises FormatError; LimitError; UnsupportedVersionError for features that are not known.
        """
        cursor = Cursor(data)
        required = cursor.varint()
        _check_features(required)
        previous, first = cursor.varint(), cursor.varint()
        if (count := cursor.count()) > room // FRAME_SIZE:
            raise FormatError(f"the index lists {count} chunks, for which there is no room")
        sizes = cursor.varints(count)
        if (count := cursor.count()) > limits.members:
            raise LimitError(f"{count} members are removed, over the limit of {limits.members}")
        removed = cursor.ascending(count)
        if cursor.left % 8 or cursor.left > 8 * EARLIER:
            raise FormatError("the index has bytes left over")
        runs = list(struct.unpack(f"<{cursor.left // 8}Q", cursor.take(cursor.left)))
        return cls(previous, first, sizes, removed, runs, required)


def _packed_ids(runs: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(runs)}Q", *runs)


def _check_features(required: int) -> None:
    if unknown := required & ~DRAFT:
        raise UnsupportedVersionError(f"needs features that this version does not know (bits {unknown:#06x})")


@dataclass(frozen=True, slots=True)
class End:
    """Where an archive ends, so that it can go on."""

    size: int
    number: int
    """Of the next chunk."""
    index: int
    """Offset of the last index."""
    runs: tuple[int, ...]
    """Ids of the last :data:`EARLIER` runs so far."""


class ContainerWriter:
    """Write chunks to ``stream``, which needs only ``write``; offsets are counted, so a pipe will do.

    Args:
        header: written first, unless the stream continues an archive; then its id is that of the new run.
        end: where an archive goes on.

    >>> import io
    >>> stream = io.BytesIO()
    >>> writer = ContainerWriter(stream, Header(7))
    >>> writer.add(Kind.DATA, b"head", b"payload")
    32
    >>> writer.finish() == len(stream.getvalue())
    True
    >>> reader = ContainerReader(stream.getvalue())
    >>> [reader.payload(chunk) for chunk in reader.chunks]
    [b'payload']
    """

    def __init__(self, stream: BinaryIO, header: Header, end: End | None = None) -> None:
        self._stream = stream
        self.header = header
        self.size, self._number = (end.size, end.number) if end else (0, 0)
        self._index = Index(
            end.index if end else 0, self._number, runs=list(end.runs) if end else [], required=header.required
        )
        if end is None:
            self._write(header.encode())

    def _write(self, data: bytes | memoryview) -> None:
        self._stream.write(data)
        self.size += len(data)

    def add(self, kind: Kind, head: bytes, payload: bytes | memoryview, flags: int = 0) -> int:
        """Append one chunk and return its offset."""
        offset = self.size
        frame = _FRAME.pack(
            SYNC, kind, flags, 0, self.header.id, self._number, len(head), offset, len(payload), check_sum(payload)
        )
        self._write(frame + _CHECK.pack(check_sum(frame + head)) + head)
        self._write(payload)
        self._index.sizes.append(self.size - offset)
        self._number += 1
        return offset

    def finish(self, removed: Sequence[int] = (), *, durable: bool = False) -> int:
        """Write the index and the footer; return the size of the whole file.

        ``durable``: see to it that all else is on disk before the footer is, which makes it count.
        """
        offset = self.size
        self._index.removed = sorted(removed)
        self.add(Kind.INDEX, b"", self._index.encode())
        if durable:
            self._stream.flush()
            with suppress(io.UnsupportedOperation):  # not on any disk
                os.fsync(self._stream.fileno())
        footer = _FOOTER.pack(offset, self.header.id)
        self._write(footer + _CHECK.pack(check_sum(footer)) + END_MAGIC)
        return self.size


class File:
    """Positional reads on a binary file: from several threads, and after a fork, without a shared offset.

    Args:
        file: a file's bytes, or a seekable binary file, which stays the caller's.
    """

    def __init__(self, file: BinaryIO | bytes | memoryview) -> None:
        self._data = memoryview(file) if isinstance(file, bytes | memoryview) else None
        self._file = None if isinstance(file, bytes | memoryview) else file
        self._descriptor = _descriptor(self._file)
        self._locks: dict[int, threading.Lock] = {}
        self.size = self._size()

    def _size(self) -> int:
        if self._data is not None:
            return len(self._data)
        assert self._file is not None
        return os.fstat(self._descriptor).st_size if self._descriptor is not None else self._file.seek(0, os.SEEK_END)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at ``offset``, or TruncatedError."""
        if size > self.size - offset:
            raise TruncatedError(f"the file ends at byte {self.size}, before byte {offset + size} that it announces")
        if self._data is not None:
            return bytes(self._data[offset : offset + size])
        parts, at = [], offset
        while at < offset + size:
            part = self._some(at, offset + size - at)
            if not part:
                raise TruncatedError(f"the file ended at byte {at} while being read")
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def _some(self, offset: int, size: int) -> bytes:
        assert self._file is not None
        try:
            if self._descriptor is not None:
                return os.pread(self._descriptor, min(size, 1 << 30), offset)
            with self._locks.setdefault(os.getpid(), threading.Lock()):  # a fork may have copied a lock that is held
                self._file.seek(offset)
                return self._file.read(size)
        except OSError as error:
            name = getattr(self._file, "name", None)
            if error.filename is None and isinstance(name, str | os.PathLike):
                error.filename = os.fspath(name)
            raise

    def check_sum(self, offset: int, size: int) -> int:
        """The check of ``size`` bytes at ``offset``, read a little at a time."""
        if not size:
            return _NOTHING
        if size <= _WINDOW:
            return check_sum(self.read(offset, size))
        running = xxhash.xxh3_64()
        for start in range(offset, offset + size, _WINDOW):
            running.update(self.read(start, min(_WINDOW, offset + size - start)))
        return running.intdigest()


class Ahead:
    """Reads that mostly go on where the last one ended, or end before it: a little more is read. For one thread."""

    def __init__(self, file: File) -> None:
        self.file, self.size = file, file.size
        self._start, self._data = 0, b""

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at ``offset``, or TruncatedError."""
        at = offset - self._start
        if not 0 <= at <= len(self._data) - size:
            # from indexes, which are read from the last one back, a little of what stands before is read, too
            self._start = max(0, offset - _HEADS) if -_HEADS <= at < 0 else offset
            at = offset - self._start
            self._data = self.file.read(self._start, at + max(size, min(_HEADS, self.size - offset)))
        return self._data[at : at + size]

    def check_sum(self, offset: int, size: int) -> int:
        """As of the file."""
        return check_sum(self.read(offset, size)) if size <= _HEADS else self.file.check_sum(offset, size)


class Finder:
    """Chunks anywhere in a file, asked for from the front to the back; reads a little at a time.

    Takes time in proportion to the size of the file, whatever is in it: LimitError for one made to be slow.
    """

    def __init__(self, file: File, limits: Limits) -> None:
        self._file, self._limits = file, limits
        self._start, self._window = 0, b""
        self._budget = 8 * file.size + (64 << 20)  # bytes of heads that are looked at: hostile ones may overlap

    def find(self, offset: int) -> Chunk | None:
        """The first chunk at or after ``offset`` of which frame and head are whole."""
        while offset + FRAME_SIZE <= self._file.size:
            if not self._start <= offset <= self._start + len(self._window) - FRAME_SIZE:
                self._start = offset
                self._window = self._file.read(offset, min(_WINDOW, self._file.size - offset))
            if self._window.startswith(SYNC, offset - self._start) and (chunk := self._chunk(offset)):
                return chunk  # the usual case: behind another one
            for match in _START.finditer(self._window, offset - self._start):
                offset = self._start + match.start()
                if match.start() + FRAME_SIZE > len(self._window):
                    break
                if chunk := self._chunk(offset):
                    return chunk
            else:
                offset = self._start + len(self._window) - FRAME_SIZE + 1
        return None

    def _chunk(self, offset: int) -> Chunk | None:
        """The chunk there, if frame and head are what their check says."""
        at = offset - self._start
        size = FRAME_SIZE + int.from_bytes(self._window[at + _HEAD_SIZE_AT : at + _HEAD_SIZE_AT + 4], "little")
        if size > min(FRAME_SIZE + self._limits.head, self._file.size - offset):
            return None
        inside = at + size <= len(self._window)
        data = self._window[at : at + size] if inside else self._file.read(offset, size)
        is_whole = _is_whole(data)
        self._budget -= size if is_whole else size + _WRONG
        if self._budget < 0:
            raise LimitError("too much of the file looks like chunks and is none")
        if is_whole:
            try:
                return _parse_chunk(data, offset, None, self._file.size)
            except FormatError:
                return None
        return None


_HEAD_SIZE_AT = 20
"""Where in a frame the size of the head is."""


def _descriptor(file: BinaryIO | None) -> int | None:
    """The descriptor of a real file that can be read by position; None for everything else."""
    if file is None or not hasattr(os, "pread"):
        return None
    try:
        descriptor = file.fileno()
        os.pread(descriptor, 1, 0)
    except (OSError, ValueError, AttributeError):
        return None
    return descriptor


def read_header(file: File) -> Header:
    """Check and read the header."""
    if file.size < HEADER_SIZE:
        start = file.read(0, min(file.size, len(MAGIC)))
        if start and MAGIC.startswith(start):
            raise TruncatedError(f"only {file.size} bytes: the archive was cut off")
        raise FormatError("not a bitsback archive" if file.size else "not a bitsback archive: the file is empty")
    data = file.read(0, HEADER_SIZE)
    magic, major, minor, required, _optional, system, reserved, identity = _HEADER.unpack_from(data)
    if magic != MAGIC:
        if magic[:4] == MAGIC[:4]:
            raise FormatError("the first bytes are damaged, as by a transfer in text mode")
        raise FormatError("not a bitsback archive")
    if major == 1:
        raise UnsupportedVersionError("written by bitsback 0.x, which no later version reads")
    if _CHECK.unpack_from(data, _HEADER.size)[0] != check_sum(data[: _HEADER.size]):
        raise ChecksumError("the header is damaged")
    if major != MAJOR:
        raise UnsupportedVersionError(f"written in format {major}.{minor}; this version reads {MAJOR}.x")
    _check_features(required)
    if reserved or system not in frozenset(System):
        raise FormatError("a reserved field of the header is set")
    return Header(identity, System(system), required, (major, minor))


def read_chunk(file: File | Ahead, offset: int, run: int | None, limits: Limits) -> Chunk:
    """Read and check the frame and head at ``offset``; only a plausible head size is ever allocated.

    ``run``: the id that it must have, and then it must stand in its own place, whole, and be of a kind that is known or
    may be stepped over; None takes any chunk, anywhere, if only frame and head are whole.
    """
    data = file.read(offset, FRAME_SIZE)
    if not data.startswith(SYNC):
        raise FormatError(f"no chunk at byte {offset}")
    if size := int.from_bytes(data[_HEAD_SIZE_AT : _HEAD_SIZE_AT + 4], "little"):
        if size > file.size - offset - FRAME_SIZE:
            raise TruncatedError(f"chunk at byte {offset}: its head was cut off, or its length is damaged")
        if size > limits.head:
            raise LimitError(f"chunk at byte {offset}: a head of {size} bytes is over the limit of {limits.head}")
        data += file.read(offset + FRAME_SIZE, size)
    if not _is_whole(data):
        raise ChecksumError(f"chunk at byte {offset}: the head is damaged")
    return _parse_chunk(data, offset, run, file.size)


def _is_whole(data: bytes) -> bool:
    """Whether a frame and its head are what their check says."""
    check = int.from_bytes(data[_FRAME.size : FRAME_SIZE], "little")
    return check == check_sum(data[: _FRAME.size] + data[FRAME_SIZE:])


def _parse_chunk(data: bytes, offset: int, run: int | None, file_size: int) -> Chunk:
    """A chunk by its frame and head, which are whole; as for :func:`read_chunk`."""
    _sync, kind, flags, reserved, its_id, number, _size, place, payload_size, payload_check = _FRAME.unpack_from(data)
    head = data[FRAME_SIZE:]
    if run is not None and (its_id != run or place != offset):
        raise FormatError(f"chunk at byte {offset}: belongs to another archive, or to another place")
    if run is not None and offset + len(data) + payload_size > file_size:
        raise TruncatedError(f"chunk at byte {offset}: its payload was cut off")
    if reserved or flags & ~(OPTIONAL | COPY):
        raise UnsupportedVersionError(f"chunk at byte {offset}: needs features that this version does not know")
    if run is not None and kind not in _KINDS and not flags & OPTIONAL:
        raise UnsupportedVersionError(f"chunk at byte {offset}: kind {kind} is unknown to this version")
    if (flags & COPY and kind in _SINGLE) or (kind == _INDEX and (flags or head)):
        raise FormatError(f"chunk at byte {offset}: has flags, or a head, that its kind does not have")
    return Chunk(kind, flags, its_id, number, offset, place, head, payload_size, payload_check)


def read_payload(file: File | Ahead, chunk: Chunk) -> bytes:
    """The payload of ``chunk``, checked against its checksum; ChecksumError otherwise."""
    data = file.read(chunk.payload_offset, chunk.payload_size)
    if check_sum(data) != chunk.payload_check:
        raise ChecksumError(f"chunk at byte {chunk.offset}: the payload is damaged")
    return data


def read_footer(file: File | Ahead, stop: int) -> tuple[int, int] | None:
    """Offset of the index and id of the run, by the footer that ends at byte ``stop``; None if none does."""
    if stop < HEADER_SIZE + FOOTER_SIZE:
        return None
    return _parse_footer(file.read(stop - FOOTER_SIZE, FOOTER_SIZE))


def _parse_footer(footer: bytes) -> tuple[int, int] | None:
    if len(footer) < FOOTER_SIZE:
        return None
    index, identity, check, magic = _WHOLE_FOOTER.unpack(footer)
    if magic != END_MAGIC or check != check_sum(footer[: _FOOTER.size]):
        return None
    return index, identity


def parity_run(runs: Sequence[int], end: int) -> int:
    """The id of the run that writes parity behind what some runs have written, which ends there."""
    return int.from_bytes(hashlib.sha256(b"parity" + _packed_ids((*runs, end))).digest()[:8], "little")


def _footers(file: File, end: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Where footers end that are whole, the last one first; and of each the offset of its index, and its run.

    The one at the end (by default of the file) is looked at alone: mostly no other is asked for, and the file may be
    far away."""
    size = file.size if end is None else end
    if last := read_footer(file, size):
        yield size, *last
    for start in range((size - 1) // _WINDOW * _WINDOW, -1, -_WINDOW):
        begin = max(0, start - FOOTER_SIZE)
        window = file.read(begin, min(start + _WINDOW, size) - begin)
        for stop in reversed([match.end() for match in _END.finditer(window)]):
            if start < begin + stop < size and (parsed := _parse_footer(window[max(0, stop - FOOTER_SIZE) : stop])):
                yield begin + stop, *parsed


class _Listed(NamedTuple):
    """An index, where the first chunk that it lists begins, and the id of its run."""

    start: int
    run: int
    content: Index
    skipped: bool = False
    """Whether there is parity before it of which the index is lost."""


class ContainerReader:
    """Header, indexes and every chunk's head of a whole archive; payloads are read when asked for.

    ``chunks`` lists all chunks but the indexes, in file order; ``removed`` the members that do not count any more. If
    the beginning of a run stands after the last footer, as when an append was cut off, ``tail`` is how many bytes, and
    the archive is what it was before. ``problems``: what is damaged of its parity, without which it is read.

    Raises :class:`TruncatedError`, :class:`ChecksumError`, :class:`UnsupportedVersionError`, :class:`LimitError` or
    plain :class:`FormatError`.
    """

    def __init__(self, file: BinaryIO | bytes | File, limits: Limits = DEFAULT_LIMITS) -> None:
        self.file = file if isinstance(file, File) else File(file)
        self.limits = limits
        self.problems: list[str] = []
        self._ahead = Ahead(self.file)
        self.header = read_header(self.file)
        size, index, run, last = self._find_end()
        self.tail = 0 if self.problems else self.file.size - size
        self.chunks: list[Chunk] = []
        self.removed: set[int] = set()
        number, allowance = 0, Allowance(limits, self.file.size)
        listed = list(self._indexes(index, run, last))
        for one in reversed(listed):
            if one.content.first != number and not (one.skipped and one.content.first > number):
                raise FormatError("the indexes do not follow one another")
            allowance.take(1 + len(one.content.sizes), CHUNK)
            self._read_listed(one)
            number = one.content.first + len(one.content.sizes) + 1
        self.end = End(size, number, index, (*last.runs, run)[-EARLIER:])

    def _find_end(self) -> tuple[int, int, int, Index]:
        """Where the last whole footer ends, the index that it names, its run, and what it says."""
        budget = self.file.size + (64 << 20)  # bytes of indexes that are looked at: hostile ones may overlap
        wrong: BitsBackError | None = None
        ends: dict[int, int] = {}  # where the index ends that a footer named, for the next one that names it
        for stop, index, run in _footers(self.file):
            if ends.get(index, stop - FOOTER_SIZE) != stop - FOOTER_SIZE:
                continue
            if stop < self.file.size and not self._may_end(index, stop):  # there may be many
                continue
            ends[index] = -1
            try:
                chunk = self._index_chunk(index, run)
                ends[index] = chunk.end
                if chunk.end != stop - FOOTER_SIZE:
                    raise FormatError("the footer does not follow its index")
                budget -= chunk.payload_size
                if budget < 0:
                    break
                content = self._index(chunk)
            except (FormatError, LimitError) as error:
                wrong = error if stop == self.file.size else wrong
            else:
                self._check_tail(stop, wrong, parity_run((*content.runs, run)[-EARLIER:], stop))
                return stop, index, run, content
        raise wrong or TruncatedError("the end is missing: the archive was cut off")

    def _may_end(self, index: int, stop: int) -> bool:
        """At a quick look, whether an index begins there, and ends before a footer that ends at byte ``stop``."""
        start = SYNC + bytes([Kind.INDEX])
        return index + FRAME_SIZE + FOOTER_SIZE < stop and self.file.read(index, len(start)) == start

    def _check_tail(self, end: int, wrong: BitsBackError | None, parity: int) -> None:
        """Refuse what follows an end if it is more than the beginning of a run: then it is the real end, damaged.

        ``wrong``: what is wrong with the footer at the end of the file, if there is one that does not fit. It may be
        that of an archive that was being stored, when storing was cut short: then its index stands out of place. Or it
        belongs to the archive's ``parity``, which nothing but repair needs.
        """
        last = read_footer(self.file, self.file.size)
        is_parity = last is not None and last[1] == parity
        finder, at = Finder(self.file, self.limits), end
        while (chunk := finder.find(at)) is not None:
            if chunk.kind == Kind.INDEX and chunk.end + FOOTER_SIZE <= self.file.size:
                if chunk.place == chunk.offset and chunk.run != parity:
                    raise wrong or ChecksumError("the end is damaged, and what was added last with it")
                is_parity |= chunk.place == chunk.offset
                if chunk.end + FOOTER_SIZE == self.file.size:
                    wrong = None
            at = chunk.offset + 1
        if is_parity:
            self.problems.append(f"the end of the parity behind byte {end} is damaged")
        elif wrong:
            raise wrong

    def _index_chunk(self, offset: int, run: int) -> Chunk:
        chunk = read_chunk(self._ahead, offset, run, self.limits)
        if chunk.kind != Kind.INDEX:
            raise FormatError("the footer does not point at an index")
        if chunk.payload_size > self.limits.table:
            raise LimitError(f"an index of {chunk.payload_size} bytes is over the limit of {self.limits.table}")
        return chunk

    def _index(self, chunk: Chunk) -> Index:
        index = Index.decode(read_payload(self._ahead, chunk), chunk.offset, self.limits)
        if chunk.number != index.first + len(index.sizes):
            raise FormatError("the index does not count what stands before it")
        return index

    def _indexes(self, offset: int, run: int, index: Index) -> Iterator[_Listed]:
        """What the indexes list, from the last one back."""
        while True:
            start, before, previous = HEADER_SIZE, 0, None
            if index.previous:
                if index.previous >= offset or not index.runs:
                    raise FormatError("the indexes run in circles")
                before = index.runs[-1]
                start = offset - sum(index.sizes)
                where = index.previous
                try:
                    previous = self._ended(where, before, start)
                except FormatError as error:
                    if (found := self._before_parity(index.runs, start)) is None:
                        raise
                    self.problems.append(f"the end of the parity before byte {start} is damaged: {error}")
                    yield _Listed(start, run, index, skipped=True)
                    where, before, previous = found
                    offset, run, index = where, before, previous
                    continue
            if start + sum(index.sizes) != offset:
                raise FormatError("the index does not cover what stands before it")
            if index.runs != ([*previous.runs, before][-EARLIER:] if previous else []):
                raise FormatError("the indexes do not agree on the runs before them")
            yield _Listed(start, run, index)
            if previous is None:
                break
            offset, run, index = index.previous, before, previous
        if run != self.header.id:
            raise FormatError("the indexes are not those of the archive that the header begins")

    def _ended(self, offset: int, run: int, end: int) -> Index:
        """The index there, if it and its footer are those of a run that ends at a place."""
        chunk = self._index_chunk(offset, run)
        index = self._index(chunk)
        if chunk.end + FOOTER_SIZE != end:
            raise FormatError("the index does not cover what stands before it")
        if read_footer(self._ahead, end) != (offset, run):
            raise ChecksumError("the footer of an earlier run is damaged")
        return index

    def _before_parity(self, runs: Sequence[int], end: int) -> tuple[int, int, Index] | None:
        """What the parity protects that ends at a place, if the last of some runs is one: the place of the index before
        it, the run of that, and what it says."""
        if len(runs) < 2:
            return None
        for stop, offset, run in _footers(self.file, end):
            if run == runs[-2] and parity_run(runs[:-1], stop) == runs[-1]:
                with suppress(FormatError):
                    return offset, run, self._ended(offset, run, stop)
        return None

    def _read_listed(self, listed: _Listed) -> None:
        offset, run, index, _ = listed
        self.removed.update(index.removed)
        if not index.sizes:
            return
        is_parity = run == parity_run(index.runs, listed.start)
        for row, size in enumerate(index.sizes):
            try:
                chunk = read_chunk(self._ahead, offset, run, self.limits)
                if chunk.kind == Kind.INDEX or chunk.number != index.first + row or chunk.end - offset != size:
                    raise FormatError(f"chunk at byte {offset}: not the one that the index lists")
                self.chunks.append(chunk)
            except FormatError as error:
                if not is_parity:
                    raise
                self.problems.append(f"the parity is damaged: {error}")
            offset += size

    def payload(self, chunk: Chunk) -> bytes:
        """The payload of ``chunk``, checked against its checksum; ChecksumError otherwise."""
        return read_payload(self.file, chunk)


__all__ = ["Chunk", "ContainerReader", "ContainerWriter", "End", "File", "Header", "Index", "Kind", "System"]
