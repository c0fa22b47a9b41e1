"""The `.bba` file as a row of checked chunks: header, chunks, index, footer; after an append, more of the last three.

This module knows lengths and checksums and nothing about images; ``docs/format.md`` is the normative text. Every byte
of a file is covered: header and footer by their own checks, a chunk's frame and head by one, its payload by another,
and chunks must follow each other without a gap. All integers are little-endian; every check is XXH3-64, seed 0. The
checks find accidents, not attackers.

A chunk says whose it is and where: the id of the *run* that wrote it (the first, or one that appended), its number in
the archive, and the byte at which it stands. So a chunk of an archive that is stored *inside* another, be it an older
copy of the same, is never taken for one of the outer archive's.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import BinaryIO, NamedTuple

import xxhash

from bitsback.archive.fields import Cursor, varints
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.errors import ChecksumError, FormatError, LimitError, TruncatedError, UnsupportedVersionError

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

_HEADER = struct.Struct("<8sBBHHBBQ")  # magic, major, minor, required and optional features, system, reserved, id
_FRAME = struct.Struct("<4sBBHQIIQQQ")  # sync, kind, flags, 0, id, number, head size, offset, payload size, its check
_CHECK = struct.Struct("<Q")
_FOOTER = struct.Struct("<QQ")  # offset of the index, id

HEADER_SIZE = _HEADER.size + _CHECK.size
FRAME_SIZE = _FRAME.size + _CHECK.size
FOOTER_SIZE = _FOOTER.size + _CHECK.size + len(END_MAGIC)


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
    """The chunks since the last index, and the members that do not count any more."""
    PARITY = 5
    """What repairs damage (:mod:`bitsback.archive.parity`)."""


_KINDS = frozenset(Kind)


def check_sum(data: bytes | memoryview) -> int:
    """XXH3-64 of ``data`` with seed 0, as an unsigned integer.

    >>> hex(check_sum(b""))
    '0x2d06800538d394c2'
    """
    return xxhash.xxh3_64_intdigest(data)


@dataclass(frozen=True, slots=True)
class Chunk:
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
        return self.payload_offset + self.payload_size

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
    """Ids of the runs before this one, so that recovery knows them all by the last index."""

    def encode(self) -> bytes:
        gaps = [b - a - 1 for a, b in zip([-1, *self.removed], self.removed, strict=False)]
        numbers = (self.previous, self.first, len(self.sizes), *self.sizes, len(gaps), *gaps)
        return varints(numbers) + b"".join(struct.pack("<Q", run) for run in self.runs)

    @classmethod
    def decode(cls, data: bytes) -> Index:
        cursor = Cursor(data)
        previous, first = cursor.varint(), cursor.varint()
        sizes = [cursor.varint() for _ in range(_plausible(cursor))]
        removed, last = [], -1
        for _ in range(_plausible(cursor)):
            last += 1 + cursor.varint()
            removed.append(last)
        if cursor.left % 8:
            raise FormatError("the index has bytes left over")
        runs = [struct.unpack("<Q", cursor.take(8))[0] for _ in range(cursor.left // 8)]
        return cls(previous, first, sizes, removed, runs)


def _plausible(cursor: Cursor) -> int:
    count = cursor.varint()
    if count > cursor.left:
        raise FormatError("the index announces more than it holds")
    return count


@dataclass(frozen=True, slots=True)
class End:
    """Where an archive ends, so that it can go on."""

    size: int
    number: int
    """Of the next chunk."""
    index: int
    """Offset of the last index."""
    runs: tuple[int, ...]
    """Ids of all runs so far."""


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
        self._index = Index(end.index if end else 0, self._number, runs=list(end.runs) if end else [])
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

    def finish(self, removed: Sequence[int] = ()) -> int:
        """Write the index and the footer; return the size of the whole file."""
        offset = self.size
        self._index.removed = sorted(removed)
        index, self._index = self._index, Index()
        self.add(Kind.INDEX, b"", index.encode())
        self._index = Index(offset, self._number, runs=[*index.runs, self.header.id])
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
        if self._descriptor is not None:
            return os.pread(self._descriptor, min(size, 1 << 30), offset)
        assert self._file is not None
        with self._locks.setdefault(os.getpid(), threading.Lock()):  # a fork may have copied a lock that is held
            self._file.seek(offset)
            return self._file.read(size)

    def find(self, pattern: bytes, offset: int) -> int:
        """Offset of the next ``pattern`` at or after ``offset``, or -1; reads a little at a time."""
        step = 1 << 20
        while offset < self.size:
            window = self.read(offset, min(step + len(pattern) - 1, self.size - offset))
            found = window.find(pattern)
            if found >= 0:
                return offset + found
            offset += step
        return -1

    def find_last(self, pattern: bytes, end: int) -> int:
        """Offset of the last ``pattern`` that ends at or before ``end``, or -1."""
        step = 1 << 20
        while end > 0:
            start = max(0, end - step)
            window = self.read(start, end - start)
            found = window.rfind(pattern)
            if found >= 0:
                return start + found
            end = start + len(pattern) - 1 if start else 0
        return -1


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
    if unknown := required & ~DRAFT:
        raise UnsupportedVersionError(f"needs features that this version does not know (bits {unknown:#06x})")
    if reserved or system not in frozenset(System):
        raise FormatError("a reserved field of the header is set")
    return Header(identity, System(system), required, (major, minor))


def read_chunk(file: File, offset: int, run: int | None, limits: Limits) -> Chunk:
    """Read and check the frame and head at ``offset``; only a plausible head size is ever allocated.

    ``run``: the id that it must have, and then it must stand in its own place; None takes any, anywhere.
    """
    frame = file.read(offset, FRAME_SIZE)
    sync, kind, flags, reserved, its_id, number, head_size, place, payload_size, payload_check = _FRAME.unpack_from(
        frame
    )
    where = f"chunk at byte {offset}"
    if sync != SYNC:
        raise FormatError(f"no chunk at byte {offset}")
    if head_size > file.size - offset - FRAME_SIZE:
        raise TruncatedError(f"{where}: its head was cut off, or its length is damaged")
    if head_size > limits.head:
        raise LimitError(f"{where}: a head of {head_size} bytes is over the limit of {limits.head}")
    head = file.read(offset + FRAME_SIZE, head_size)
    if _CHECK.unpack_from(frame, _FRAME.size)[0] != check_sum(frame[: _FRAME.size] + head):
        raise ChecksumError(f"{where}: the head is damaged")
    if run is not None and (its_id != run or place != offset):
        raise FormatError(f"{where}: belongs to another archive, or to another place")
    if reserved or flags & ~(OPTIONAL | COPY):
        raise UnsupportedVersionError(f"{where}: needs features that this version does not know")
    if kind not in _KINDS and not flags & OPTIONAL:
        raise UnsupportedVersionError(f"{where}: kind {kind} is unknown to this version")
    chunk = Chunk(kind, flags, its_id, number, offset, place, head, payload_size, payload_check)
    if chunk.end > file.size:
        raise TruncatedError(f"{where}: its payload was cut off")
    return chunk


def read_payload(file: File, chunk: Chunk) -> bytes:
    """The payload of ``chunk``, checked against its checksum; ChecksumError otherwise."""
    data = file.read(chunk.payload_offset, chunk.payload_size)
    if check_sum(data) != chunk.payload_check:
        raise ChecksumError(f"chunk at byte {chunk.offset}: the payload is damaged")
    return data


def read_footer(file: File, stop: int) -> tuple[int, int] | None:
    """Offset of the index and id of the run, by the footer that ends at byte ``stop``; None if none does."""
    if stop < HEADER_SIZE + FOOTER_SIZE:
        return None
    footer = file.read(stop - FOOTER_SIZE, FOOTER_SIZE)
    index, identity = _FOOTER.unpack_from(footer)
    if not footer.endswith(END_MAGIC) or _CHECK.unpack_from(footer, _FOOTER.size)[0] != check_sum(footer[:16]):
        return None
    return index, identity


class ContainerReader:
    """Header, indexes and every chunk's head of a whole archive; payloads are read when asked for.

    ``chunks`` lists all chunks but the indexes, in file order; ``removed`` the members that do not count any more. If
    something stands after the last footer, as when an append was cut off, ``tail`` is how many bytes, and the archive
    is what it was before.

    Raises :class:`TruncatedError`, :class:`ChecksumError`, :class:`UnsupportedVersionError`, :class:`LimitError` or
    plain :class:`FormatError`.
    """

    def __init__(self, file: BinaryIO | bytes | File, limits: Limits = DEFAULT_LIMITS) -> None:
        self.file = file if isinstance(file, File) else File(file)
        self.limits = limits
        self.header = read_header(self.file)
        size, index, last = self._find_end()
        self.tail = self.file.size - size
        self.chunks: list[Chunk] = []
        self.removed: set[int] = set()
        number = 0
        runs = [*last.runs, read_footer(self.file, size)[1]]  # type: ignore[index]
        if runs[0] != self.header.id:
            raise FormatError("the indexes are not those of the archive that the header begins")
        listed = list(self._indexes(index, runs))
        for start, run, one in reversed(listed):
            if one.first != number:
                raise FormatError("the indexes do not follow one another")
            self._read_listed(start, run, one)
            number = one.first + len(one.sizes) + 1
        self.end = End(size, number, index, tuple(runs))

    def _find_end(self) -> tuple[int, int, Index]:
        """Where the last whole footer ends, and the index that it names."""
        end = self.file.size
        while (at := self.file.find_last(END_MAGIC, end)) >= 0:
            stop = at + len(END_MAGIC)
            footer = read_footer(self.file, stop)
            if footer is not None:
                index, run = footer
                try:
                    chunk, content = self._index(index, run)
                except (FormatError, LimitError):
                    if stop == self.file.size:
                        raise  # it is the archive's own end, and the index is damaged
                else:
                    if chunk.end == stop - FOOTER_SIZE:
                        return stop, index, content
            end = stop - 1
        raise TruncatedError("the end is missing: the archive was cut off")

    def _index(self, offset: int, run: int) -> tuple[Chunk, Index]:
        chunk = read_chunk(self.file, offset, run, self.limits)
        if chunk.kind != Kind.INDEX or chunk.head:
            raise FormatError("the footer does not point at an index")
        if chunk.payload_size > self.limits.table:
            raise LimitError(f"an index of {chunk.payload_size} bytes is over the limit of {self.limits.table}")
        index = Index.decode(read_payload(self.file, chunk))
        if chunk.number != index.first + len(index.sizes):
            raise FormatError("the index does not count what stands before it")
        return chunk, index

    def _indexes(self, offset: int, runs: Sequence[int]) -> Iterator[tuple[int, int, Index]]:
        """Where what it lists begins, the run, and the index; from the last one back."""
        for position in range(len(runs) - 1, -1, -1):
            _, index = self._index(offset, runs[position])
            start = HEADER_SIZE
            if index.previous:
                if not position or index.previous >= offset:
                    raise FormatError("the indexes run in circles")
                before, _ = self._index(index.previous, runs[position - 1])
                start = before.end + FOOTER_SIZE
            elif position:
                raise FormatError("an index is missing")
            if start + sum(index.sizes) != offset or index.runs != list(runs[:position]):
                raise FormatError("the index does not cover what stands before it")
            yield start, runs[position], index
            offset = index.previous

    def _read_listed(self, offset: int, run: int, index: Index) -> None:
        for row, size in enumerate(index.sizes):
            chunk = read_chunk(self.file, offset, run, self.limits)
            if chunk.kind == Kind.INDEX or chunk.number != index.first + row or chunk.end - offset != size:
                raise FormatError(f"chunk at byte {offset}: not the one that the index lists")
            self.chunks.append(chunk)
            offset = chunk.end
        self.removed |= set(index.removed)

    def payload(self, chunk: Chunk) -> bytes:
        """The payload of ``chunk``, checked against its checksum; ChecksumError otherwise."""
        return read_payload(self.file, chunk)


__all__ = ["Chunk", "ContainerReader", "ContainerWriter", "End", "File", "Header", "Index", "Kind", "System"]
