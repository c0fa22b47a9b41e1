"""The `.bba` file as a row of checked blocks: header, blocks, index, footer.

This module knows lengths and checksums and nothing about images; ``docs/format.md`` is the normative text. Every byte
of a file is covered: the header and the footer by their own checks, a block's frame and head by one, its payload by
another, and blocks must follow each other without a gap. All integers are little-endian; every check is XXH3-64,
seed 0. The checks find accidents, not attackers.
"""

import io
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

import xxhash

from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.errors import ChecksumError, FormatError, LimitError, TruncatedError, UnsupportedVersionError

MAGIC = b"\x8fBBA\r\n\x1a\n"
END_MAGIC = b"\x8fBBAend\n"
SYNC = b"\xb5BK\xf1"
MAJOR, MINOR = 1, 1

CODERS_1_1 = 1
"""Required feature: chunks may use the coders that came with version 1.1, which a reader of 1.0 lacks."""

OPTIONAL = 1
"""Block flag: a reader that does not know the block's kind may step over it. All other bits are reserved."""

_HEADER = struct.Struct("<8sBBHHH")  # magic, major, minor, required features, optional features, reserved
_FRAME = struct.Struct("<4sBBHIIQ")  # sync, kind, flags, reserved, head size, payload size, payload check
_CHECK = struct.Struct("<Q")
_FOOTER = struct.Struct("<Q")  # offset of the index

HEADER_SIZE = _HEADER.size + _CHECK.size
FRAME_SIZE = _FRAME.size + _CHECK.size
FOOTER_SIZE = _FOOTER.size + _CHECK.size + len(END_MAGIC)


class Kind(IntEnum):
    """What a block holds."""

    CHUNK = 1
    """File records, coded pixels and file bytes (:mod:`bitsback.archive.members`)."""
    MODEL = 2
    """A model file, embedded. Its head is the model's SHA-256, its payload the file."""
    INDEX = 3
    """The offsets of all blocks before it; always the last block."""


_KINDS = frozenset(Kind)


def check_sum(data: bytes | memoryview) -> int:
    """XXH3-64 of ``data`` with seed 0, as an unsigned integer.

    >>> hex(check_sum(b""))
    '0x2d06800538d394c2'
    """
    return xxhash.xxh3_64_intdigest(data)


@dataclass(frozen=True, slots=True)
class Block:
    """One block's frame and head, already checked; the payload is still in the file."""

    kind: int
    flags: int
    offset: int
    head: bytes
    payload_size: int
    payload_check: int

    @property
    def payload_offset(self) -> int:
        return self.offset + FRAME_SIZE + len(self.head)

    @property
    def end(self) -> int:
        """Offset of the first byte after the block."""
        return self.payload_offset + self.payload_size


class ContainerWriter:
    """Write blocks to ``stream``, which needs only ``write``; offsets are counted, so a pipe will do.

    >>> stream = io.BytesIO()
    >>> writer = ContainerWriter(stream)
    >>> writer.add(Kind.CHUNK, b"head", b"payload")
    24
    >>> writer.finish() == len(stream.getvalue())
    True
    >>> reader = ContainerReader(io.BytesIO(stream.getvalue()))
    >>> [reader.payload(block) for block in reader.blocks]
    [b'payload']
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._offset = 0
        self._offsets: list[int] = []
        header = _HEADER.pack(MAGIC, MAJOR, MINOR, CODERS_1_1, 0, 0)
        self._write(header + _CHECK.pack(check_sum(header)))

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._offset += len(data)

    def add(self, kind: Kind, head: bytes, payload: bytes, flags: int = 0) -> int:
        """Append one block and return its offset."""
        offset = self._offset
        frame = _FRAME.pack(SYNC, kind, flags, 0, len(head), len(payload), check_sum(payload))
        self._write(frame + _CHECK.pack(check_sum(frame + head)) + head)
        self._write(payload)
        self._offsets.append(offset)
        return offset

    def finish(self) -> int:
        """Write the index and the footer; return the size of the whole file."""
        index = _FOOTER.pack(self._offset)
        self.add(Kind.INDEX, b"", b"".join(struct.pack("<Q", offset) for offset in self._offsets))
        self._write(index + _CHECK.pack(check_sum(index)) + END_MAGIC)
        return self._offset


class _File:
    """Positioned reads on a shared binary file, safe from several threads."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.size = file.seek(0, io.SEEK_END)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at ``offset``, or TruncatedError."""
        if size > self.size - offset:
            raise TruncatedError(f"the file ends at byte {self.size}, before byte {offset + size} that it announces")
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) != size:
            raise TruncatedError(f"the file ended at byte {offset + len(data)} while being read")
        return data

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


def _read_header(file: _File) -> tuple[int, int]:
    """Check the header; return the version."""
    if file.size < HEADER_SIZE:
        start = file.read(0, min(file.size, len(MAGIC)))
        if start and MAGIC.startswith(start):
            raise TruncatedError(f"only {file.size} bytes: the archive was cut off")
        raise FormatError("not a bitsback archive" if file.size else "not a bitsback archive: the file is empty")
    data = file.read(0, HEADER_SIZE)
    magic, major, minor, required, _optional, reserved = _HEADER.unpack_from(data)
    if magic != MAGIC:
        if magic[:4] == MAGIC[:4]:
            raise FormatError("the first bytes are damaged, as by a transfer in text mode")
        raise FormatError("not a bitsback archive")
    if _CHECK.unpack_from(data, _HEADER.size)[0] != check_sum(data[: _HEADER.size]):
        raise ChecksumError("the header is damaged")
    if major != MAJOR:
        raise UnsupportedVersionError(f"written in format {major}.{minor}; this version reads {MAJOR}.x")
    if unknown := required & ~CODERS_1_1:
        raise UnsupportedVersionError(f"needs features that this version does not know (bits {unknown:#06x})")
    if reserved:
        raise FormatError("a reserved field of the header is not zero")
    return major, minor


def _read_block(file: _File, offset: int, limits: Limits) -> Block:
    """Read and check the frame and head at ``offset``; only a plausible head size is ever allocated."""
    frame = file.read(offset, FRAME_SIZE)
    sync, kind, flags, reserved, head_size, payload_size, payload_check = _FRAME.unpack_from(frame)
    if sync != SYNC:
        raise FormatError(f"no block at byte {offset}")
    if head_size > file.size - offset - FRAME_SIZE:
        raise TruncatedError(f"block at byte {offset}: its head was cut off, or its length is damaged")
    if head_size > limits.head:
        raise LimitError(f"block at byte {offset}: a head of {head_size} bytes is over the limit of {limits.head}")
    head = file.read(offset + FRAME_SIZE, head_size)
    if _CHECK.unpack_from(frame, _FRAME.size)[0] != check_sum(frame[: _FRAME.size] + head):
        raise ChecksumError(f"block at byte {offset}: the head is damaged")
    if reserved or flags & ~OPTIONAL:
        raise UnsupportedVersionError(f"block at byte {offset}: needs features that this version does not know")
    if kind not in _KINDS and not flags & OPTIONAL:
        raise UnsupportedVersionError(f"block at byte {offset}: kind {kind} is unknown to this version")
    block = Block(kind, flags, offset, head, payload_size, payload_check)
    if block.end > file.size:
        raise TruncatedError(f"block at byte {offset}: its payload was cut off")
    return block


class ContainerReader:
    """Check header, footer, index and every block's head of a seekable ``file``; payloads are read when asked for.

    ``blocks`` lists all blocks but the index, in file order. Raises :class:`TruncatedError`, :class:`ChecksumError`,
    :class:`UnsupportedVersionError`, :class:`LimitError` or plain :class:`FormatError`.

    With ``damaged=True`` the header, the index and the footer are not needed: the file is searched for blocks whose
    frame and head are whole, and ``problems`` says in words what was stepped over.
    """

    def __init__(self, file: BinaryIO, limits: Limits = DEFAULT_LIMITS, *, damaged: bool = False) -> None:
        self._file = _File(file)
        self._limits = limits
        self.size = self._file.size
        self.problems: list[str] = []
        self.version = (MAJOR, MINOR)
        self.blocks: list[Block]
        if damaged:
            self.blocks = list(self._salvage())
        else:
            self.version = _read_header(self._file)
            self.blocks = self._read_index()

    def _read_index(self) -> list[Block]:
        start = self.size - FOOTER_SIZE
        footer = self._file.read(start, FOOTER_SIZE) if start >= HEADER_SIZE else b""
        if not footer.endswith(END_MAGIC):
            raise TruncatedError("the end is missing: the archive was cut off, or something was appended to it")
        (index_offset,) = _FOOTER.unpack_from(footer)
        if _CHECK.unpack_from(footer, _FOOTER.size)[0] != check_sum(footer[: _FOOTER.size]):
            raise ChecksumError("the footer is damaged")
        if not HEADER_SIZE <= index_offset <= start - FRAME_SIZE:
            raise FormatError("the footer points outside of the file")
        index = _read_block(self._file, index_offset, self._limits)
        if index.kind != Kind.INDEX or index.head or index.end != start or index.payload_size % 8:
            raise FormatError("the footer does not point at an index")
        blocks = []
        offset = HEADER_SIZE
        for (announced,) in struct.iter_unpack("<Q", self.payload(index)):
            if announced != offset:
                raise FormatError(f"the index places a block at byte {announced} instead of {offset}")
            block = _read_block(self._file, offset, self._limits)
            if block.kind == Kind.INDEX or block.end > index_offset:
                raise FormatError(f"block at byte {offset}: not where a block can be")
            blocks.append(block)
            offset = block.end
        if offset != index_offset:
            raise FormatError(f"bytes {offset} to {index_offset} belong to no block")
        return blocks

    def _salvage(self) -> Iterator[Block]:
        try:
            self.version = _read_header(self._file)
        except UnsupportedVersionError:
            raise
        except FormatError as error:
            self.problems.append(f"header: {error}")
        offset, lost_from, complete = HEADER_SIZE, None, False
        while (found := self._file.find(SYNC, offset)) >= 0:
            try:
                block = _read_block(self._file, found, self._limits)
            except (FormatError, LimitError) as error:
                self.problems.append(str(error))
                lost_from = found if lost_from is None else lost_from
                offset = found + 1
                continue
            if found > offset and lost_from is None:
                self.problems.append(f"bytes {offset} to {found} belong to no block")
            offset, lost_from = block.end, None
            if block.kind == Kind.INDEX:
                complete = True
            else:
                yield block
        if not complete or self.size != offset + FOOTER_SIZE:
            self.problems.append("the end is missing or damaged")

    def payload(self, block: Block) -> bytes:
        """The payload of ``block``, checked against its checksum; ChecksumError otherwise."""
        data = self._file.read(block.payload_offset, block.payload_size)
        if check_sum(data) != block.payload_check:
            raise ChecksumError(f"block at byte {block.offset}: the payload is damaged")
        return data
