"""The head of a data chunk: its blocks of images, its bytes, and which contents they are pieces of.

A *block* is what is coded, and decoded, together: images of one type and number of channels, on their own, so that one
image costs the decoding of its block alone. The payload of a chunk is its packed bytes, then its blocks one after the
other: so where the end of a file is missing, metadata is not, and the blocks before it are worth something. A *piece*
is a run of images, or of bytes, of one content. Layout: ``docs/format.md``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from bitsback.archive import front
from bitsback.archive.fields import (
    Cursor,
    ascending,
    column,
    fields,
    read_ascending,
    read_column,
    read_fields,
    read_steps,
    steps,
    varint,
    varints,
)
from bitsback.archive.front import Form, Front, forms
from bitsback.archive.limits import BLOCK, DEFAULT_LIMITS, HEAD_BYTES, PIECE, Allowance, Limits
from bitsback.archive.packing import PACKINGS, Packing, pack, unpack
from bitsback.errors import FormatError, LimitError, UnsupportedVersionError
from bitsback.kinds.base import Lot

MAX_PIECES = 1 << 17
"""Pieces of images in one chunk, and of bytes; and lots of all its blocks."""
MAX_BLOCKS = 1 << 16
"""Blocks in one chunk."""

DTYPES = {1: "uint8", 2: "uint16"}
"""Bytes of a sample to its NumPy type. In payloads and checks, samples are little-endian."""


class _Tag(IntEnum):
    """Fields of a head, in the order in which they are stored."""

    MODELS = 1
    BLOCKS = 2
    IMAGE_PIECES = 3
    BYTES = 4
    BYTE_PIECES = 5
    VOID = 6
    FRONTS = 7


_TAGS = frozenset(_Tag)


class Piece(NamedTuple):
    """A run of one content's images or bytes inside a chunk."""

    content: int
    """The content's number."""
    part: int
    """0: bytes of the blob; k >= 1: images of the k-th array."""
    start: int
    length: int


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces that follow one another, of one part of one content, as one.

    >>> joined([Piece(7, 1, 0, 2), Piece(7, 1, 2, 3), Piece(8, 1, 0, 1)])
    [Piece(content=7, part=1, start=0, length=5), Piece(content=8, part=1, start=0, length=1)]
    """
    out: list[Piece] = []
    for piece in pieces:
        if out and out[-1][:2] == piece[:2] and out[-1].start + out[-1].length == piece.start:
            out[-1] = out[-1]._replace(length=out[-1].length + piece.length)
        else:
            out.append(piece)
    return out


@dataclass(frozen=True, slots=True)
class Block:
    """Images of one type and number of channels, coded by one coder."""

    tag: int
    """The kind of the coder."""
    sample_bytes: int
    lots: tuple[Lot, ...]
    """What images: so many of a shape, then so many of another ..."""
    size: int
    """Bytes in the payload."""
    check: int
    """XXH3-64 of the decoded samples, C order, little-endian."""
    front: Front = ()
    """What stands in front of the coder."""
    model: bytes = b""
    """SHA-256 of the coder's weights; empty if it has none."""

    @property
    def dtype(self) -> str:
        return DTYPES[self.sample_bytes]

    @property
    def form(self) -> Form:
        """What its images are like."""
        return Form(self.lots[0].shape[2], self.sample_bytes)

    @property
    def coded(self) -> Form:
        """What the images that the coder sees are like."""
        return forms(self.front, self.form)[-1]

    @property
    def count(self) -> int:
        """How many images."""
        return sum(lot.n for lot in self.lots)

    @property
    def samples(self) -> int:
        """Samples of all its images."""
        return sum(count * shape[0] * shape[1] * shape[2] for count, shape in self.lots)

    @property
    def nbytes(self) -> int:
        """Bytes of all its images."""
        return self.samples * self.sample_bytes


@dataclass(frozen=True, slots=True)
class Bytes:
    """The packed bytes before the blocks."""

    packing: Packing
    size: int
    """Once unpacked."""
    check: int
    """XXH3-64 of the unpacked bytes."""
    packed: int
    """Bytes in the payload."""


@dataclass(frozen=True, slots=True)
class DataHead:
    """Everything about a data chunk but its payload."""

    blocks: Sequence[Block] = ()
    image_pieces: Sequence[Piece] = ()
    """What the blocks hold, in order."""
    data: Bytes | None = None
    byte_pieces: Sequence[Piece] = ()
    digest: bytes = b""
    """SHA-256 over the SHA-256 of each content that ends in here, by number; empty if none does."""
    void: Sequence[int] = ()
    """Of the contents that end in here, those that are not what the file was, since it changed meanwhile; ascending.
    Members that name them do not count."""

    def encode(self) -> bytes:
        """The head's bytes: the digest, a packing byte, the unpacked size if packed, and the fields."""
        models = list(dict.fromkeys(block.model for block in self.blocks if block.model))
        fronts = list(dict.fromkeys(block.front for block in self.blocks if block.front))
        body = fields(
            {
                _Tag.MODELS: b"".join(models) or None,
                _Tag.BLOCKS: b"".join(_block(block, models, fronts) for block in self.blocks) or None,
                _Tag.IMAGE_PIECES: _pieces(self.image_pieces) if self.image_pieces else None,
                _Tag.BYTES: _bytes(self.data) if self.data else None,
                _Tag.BYTE_PIECES: _pieces(self.byte_pieces) if self.byte_pieces else None,
                _Tag.VOID: ascending(self.void) or None,
                _Tag.FRONTS: b"".join(map(front.encode, fronts)) or None,
            }
        )
        how, packed = pack(body)
        start = bytes([len(self.digest)]) + self.digest + bytes([how])
        return start + (b"" if how == Packing.STORED else varint(len(body))) + packed


def _block(block: Block, models: list[bytes], fronts: list[Front]) -> bytes:
    which = models.index(block.model) + 1 if block.model else 0
    behind = fronts.index(block.front) + 1 if block.front else 0
    lots = (number for count, (height, width, _) in block.lots for number in (height, width, count))
    return (
        bytes([block.tag, block.sample_bytes])
        + varints((which, behind, block.form.channels, block.size, len(block.lots), *lots))
        + struct.pack("<Q", block.check)
    )


def _bytes(data: Bytes) -> bytes:
    return bytes([data.packing]) + varints((data.size, data.packed)) + struct.pack("<Q", data.check)


def _pieces(pieces: Sequence[Piece]) -> bytes:
    columns = (
        steps(piece.content for piece in pieces),
        column([piece.part for piece in pieces]),
        column([piece.start for piece in pieces]),
        column([piece.length for piece in pieces]),
    )
    return varint(len(pieces)) + b"".join(varint(len(data)) + data for data in columns)


def decode_head(data: bytes, limits: Limits = DEFAULT_LIMITS, allowance: Allowance | None = None) -> DataHead:
    """Read a chunk's head and check everything that can be checked without payload and directory.

    ``allowance`` is what the archive may still describe.

    Raises FormatError, UnsupportedVersionError or LimitError.

    >>> head = DataHead(data=Bytes(Packing.STORED, 3, 99, 3), byte_pieces=(Piece(0, 0, 0, 3),), digest=bytes(32))
    >>> decode_head(head.encode()) == head
    True
    """
    allowance = allowance or Allowance(limits, limits.head)
    cursor = Cursor(data)
    digest = cursor.take(cursor.take(1)[0])
    if len(digest) not in (0, 32):
        raise FormatError("the digest of a chunk is no SHA-256")
    (how,) = cursor.take(1)
    if how == Packing.STORED:
        body = cursor.take(cursor.left)
    else:
        size = cursor.varint()
        if size > limits.head:
            raise LimitError(f"a chunk's head unpacks to {size} bytes, over the limit of {limits.head}")
        allowance.take(size // HEAD_BYTES)
        body = unpack(how, cursor.take(cursor.left), size)
    known = read_fields(body, _TAGS)
    models = known.get(_Tag.MODELS, b"")
    if len(models) % 32:
        raise FormatError("a list of models is cut short")
    identities = [models[at : at + 32] for at in range(0, len(models), 32)]
    fronts = _read_fronts(known.get(_Tag.FRONTS, b""), allowance)
    blocks = _read_blocks(known.get(_Tag.BLOCKS, b""), identities, fronts, limits, allowance)
    image_pieces = _read_pieces(known.get(_Tag.IMAGE_PIECES), allowance)
    section = _read_bytes(known[_Tag.BYTES], limits) if _Tag.BYTES in known else None
    byte_pieces = _read_pieces(known.get(_Tag.BYTE_PIECES), allowance)
    void = read_ascending(known.get(_Tag.VOID, b""), 2 * MAX_PIECES)
    head = DataHead(tuple(blocks), tuple(image_pieces), section, tuple(byte_pieces), digest, tuple(void))
    if sum(piece.length for piece in image_pieces) != sum(block.count for block in blocks) or any(
        not piece.part for piece in image_pieces
    ):
        raise FormatError("a chunk's pieces do not add up to its images")
    if sum(piece.length for piece in byte_pieces) != (section.size if section else 0) or any(
        piece.part for piece in byte_pieces
    ):
        raise FormatError("a chunk's pieces do not add up to its bytes")
    return head


def _read_fronts(data: bytes, allowance: Allowance) -> list[Front]:
    cursor = Cursor(data)
    fronts: list[Front] = []
    while cursor.left:
        if len(fronts) == MAX_BLOCKS:
            raise LimitError(f"more than {MAX_BLOCKS} fronts in one chunk")
        allowance.take(1, BLOCK)
        fronts.append(front.read(cursor))
    return fronts


def _read_blocks(
    data: bytes, models: list[bytes], fronts: list[Front], limits: Limits, allowance: Allowance
) -> list[Block]:
    cursor = Cursor(data)
    blocks: list[Block] = []
    lot_count = 0
    while cursor.left:
        if len(blocks) == MAX_BLOCKS:
            raise LimitError(f"more than {MAX_BLOCKS} blocks in one chunk")
        allowance.take(1, BLOCK)
        tag, sample_bytes = cursor.take(2)
        which, behind, channels, size = cursor.varints(4)
        if sample_bytes not in DTYPES:
            raise UnsupportedVersionError("images are coded in a way that is unknown to this version")
        if which > len(models) or behind > len(fronts):
            raise FormatError("a block names a model or a front that is not there")
        lots = _read_lots(cursor, channels, MAX_PIECES - lot_count, allowance)
        lot_count += len(lots)
        (check,) = struct.unpack("<Q", cursor.take(8))
        model = models[which - 1] if which else b""
        before: Front = ()
        if behind:
            before = fronts[behind - 1]
            forms(before, Form(channels, sample_bytes))  # whether it fits
        _check_sizes(lots, sample_bytes, limits)
        blocks.append(Block(tag, sample_bytes, lots, size, check, before, model))
    return blocks


def _check_sizes(lots: Sequence[Lot], sample_bytes: int, limits: Limits) -> None:
    size = 0
    for n, (height, width, channels) in lots:
        if height * width > limits.pixels:
            raise LimitError(f"an image of {height} x {width} pixels is over the limit of {limits.pixels}")
        size += n * height * width * channels * sample_bytes
    if size > limits.chunk:
        raise LimitError(f"a block decodes to more than the limit of {limits.chunk} bytes")


def _read_lots(cursor: Cursor, channels: int, most: int, allowance: Allowance) -> tuple[Lot, ...]:
    rows = cursor.count()
    if rows > most:
        raise LimitError(f"more than {MAX_PIECES} lots of images in one chunk")
    allowance.take(rows, PIECE)
    numbers = cursor.varints(3 * rows)
    if not channels or not rows or 0 in numbers:
        raise FormatError("a block announces images without samples")
    return tuple(Lot(numbers[at + 2], (numbers[at], numbers[at + 1], channels)) for at in range(0, len(numbers), 3))


def _read_bytes(data: bytes, limits: Limits) -> Bytes:
    cursor = Cursor(data)
    (packing,) = cursor.take(1)
    size, packed = cursor.varint(), cursor.varint()
    (check,) = struct.unpack("<Q", cursor.take(8))
    if cursor.left:
        raise FormatError("a section of bytes has bytes left over")
    if packing not in PACKINGS:
        raise UnsupportedVersionError(f"packing {packing} is unknown to this version")
    if not size:
        raise FormatError("a section of no bytes")
    if size > limits.section:
        raise LimitError(f"a chunk unpacks to more than the limit of {limits.section} bytes")
    return Bytes(Packing(packing), size, check, packed)


def _read_pieces(data: bytes | None, allowance: Allowance) -> list[Piece]:
    if data is None:
        return []
    cursor = Cursor(data)
    rows = cursor.varint()
    if rows > MAX_PIECES:
        raise LimitError(f"{rows} pieces in one chunk are over the limit of {MAX_PIECES}")
    allowance.take(rows, PIECE)
    contents, parts, starts, lengths = (cursor.take(cursor.varint()) for _ in range(4))
    if cursor.left:
        raise FormatError("a list of pieces has bytes left over")
    pieces = list(
        map(
            Piece,
            read_steps(contents, rows),
            read_column(parts, rows),
            read_column(starts, rows),
            read_column(lengths, rows),
        )
    )
    if any(piece.content < 0 or not piece.length for piece in pieces):
        raise FormatError("a piece of nothing")
    return pieces


__all__ = ["Block", "Bytes", "DataHead", "Piece", "decode_head", "joined"]
