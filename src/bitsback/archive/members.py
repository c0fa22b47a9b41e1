"""The head of a chunk: which files begin here, which pieces of them are inside, and how they are coded.

A chunk stands alone. Its head has a record for every file that *begins* in it (its home), and its payload has two
sections: coded pixels, then packed bytes. Bytes are a file's metadata blob, or all of a file that is not kept as
images. In the common case, a run of whole files, nothing but the records is stored; a file that is spread over several
chunks adds a list of :class:`Piece`. Files are numbered by their *ordinal*, their place in the listing.

Records are stored by column, a column that repeats one value takes one value, and the whole is packed, so that ten
thousand similar records cost a few bytes each. Layout: ``docs/format.md``.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate, pairwise
from typing import NamedTuple

from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.packing import PACKINGS, Packing, pack, unpack
from bitsback.errors import FormatError, LimitError, UnsupportedVersionError

Shape = tuple[int, int, int]
"""Height, width, channels."""

DTYPES = {1: "uint8", 2: "uint16"}
"""Bytes of a sample to its NumPy type. In pixel sections and checks, samples are little-endian."""


class RouteCode(IntEnum):
    """How the pixel section is coded."""

    PLAIN = 0
    MODEL = 1
    PREDICTOR = 2


class Tag(IntEnum):
    """Fields of a chunk's head, in the order in which they are stored."""

    IMAGES = 1
    BYTES = 2
    ORDINALS = 16
    NAMES = 17
    MTIMES = 18
    MODES = 19
    SIZES = 20
    RECIPES = 21
    RECIPE_INDEX = 22
    PARTS = 23
    COUNTS = 24
    BLOBS = 25
    PIECES = 32


_ROUTES, _TAGS = frozenset(RouteCode), frozenset(Tag)

MAY_IGNORE = 128
"""An unknown field with this bit in its tag is stepped over; any other unknown field is refused."""


@dataclass(frozen=True, slots=True)
class Record:
    """One file, as kept in its home chunk."""

    ordinal: int
    name: str
    size: int
    """Bytes of the file as it was read."""
    mtime_ns: int | None = None
    mode: int | None = None
    """Permission bits."""
    recipe: str | None = None
    """JSON text for :func:`bitsback.files.write`; None: the blob is the file itself."""
    counts: tuple[int, ...] = ()
    """How many images each of its arrays holds."""
    blob: int = 0
    """Bytes of its blob."""


class Piece(NamedTuple):
    """A run of one file's images or bytes inside a chunk."""

    member: int
    """The file's ordinal."""
    part: int
    """0: bytes of the blob; k >= 1: images of the k-th array."""
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class ImageSection:
    """The pixel section of a chunk: ``count`` images of one shape and type."""

    route: RouteCode
    sample_bytes: int
    shape: Shape
    count: int
    check: int
    """XXH3-64 of the decoded samples, C order, little-endian."""
    size: int
    """Bytes of the section in the payload."""
    levels: tuple[int, int] | None = None
    """The two values that coded samples 0 and 1 stand for, or None."""
    model: bytes | None = None
    """SHA-256 of the model file when the route is MODEL."""

    @property
    def dtype(self) -> str:
        return DTYPES[self.sample_bytes]

    @property
    def samples(self) -> int:
        """Samples in the section."""
        height, width, channels = self.shape
        return self.count * height * width * channels


@dataclass(frozen=True, slots=True)
class ByteSection:
    """The byte section of a chunk, which follows the pixel section."""

    packing: Packing
    size: int
    """Bytes once unpacked."""
    check: int
    """XXH3-64 of the unpacked bytes."""


@dataclass(frozen=True, slots=True)
class ChunkHead:
    """Everything about a chunk but its payload."""

    images: ImageSection | None = None
    data: ByteSection | None = None
    records: Sequence[Record] = ()
    pieces: Sequence[Piece] = field(default=())
    """What is inside, in order. Empty: every record's blob and arrays, whole, in order."""

    def layout(self) -> Sequence[Piece]:
        """The pieces, spelt out."""
        return self.pieces or default_pieces(self.records)

    def encode(self) -> bytes:
        """The head's bytes: a packing byte, the unpacked size if packed, and the fields."""
        body = b"".join(
            bytes([tag]) + _varint(len(data)) + data for tag, data in sorted(_fields(self).items()) if data is not None
        )
        how, packed = pack(body)
        return bytes([how]) + (b"" if how == Packing.STORED else _varint(len(body))) + packed


def default_pieces(records: Iterable[Record]) -> list[Piece]:
    """Every record's blob (if any) and arrays, whole and in order.

    >>> default_pieces([Record(7, "a.png", 90, recipe="{}", counts=(1,), blob=20)])
    [Piece(member=7, part=0, start=0, length=20), Piece(member=7, part=1, start=0, length=1)]
    """
    pieces = []
    for record in records:
        if record.blob:
            pieces.append(Piece(record.ordinal, 0, 0, record.blob))
        pieces.extend(Piece(record.ordinal, part, 0, count) for part, count in enumerate(record.counts, 1))
    return pieces


# Integers: unsigned LEB128, at most ten bytes; signed ones are zigzag-mapped first.


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varints(values: Iterable[int]) -> bytes:
    return b"".join(map(_varint, values))


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _unzigzag(value: int) -> int:
    return value >> 1 if not value & 1 else -((value + 1) >> 1)


class _Bytes:
    """A cursor over bytes that refuses to run past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise FormatError("a chunk's head ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            if byte < 128:
                if value >= 1 << 64:
                    break
                return value
        raise FormatError("an integer in a chunk's head is too long")

    def rest(self) -> list[int]:
        values = []
        while self.left:
            values.append(self.varint())
        return values


def _column(values: Sequence[int]) -> bytes:
    """One varint if all are equal, else one each."""
    return _varints(values[:1] if len(set(values)) == 1 else values)


def _read_column(data: bytes | None, rows: int, default: int) -> list[int]:
    if data is None:
        return [default] * rows
    values = _Bytes(data).rest()
    if len(values) == 1:
        return values * rows
    if len(values) != rows:
        raise FormatError(f"a column of {rows} rows has {len(values)} values")
    return values


def _steps(values: Iterable[int]) -> bytes:
    """Varints without the zeros at the end, which reading puts back."""
    steps = list(values)
    while steps and not steps[-1]:
        steps.pop()
    return _varints(steps)


def _read_steps(data: bytes, rows: int) -> list[int]:
    steps = _Bytes(data).rest()
    if len(steps) > rows:
        raise FormatError(f"a column of {rows} rows has {len(steps)} values")
    return steps + [0] * (rows - len(steps))


def _fields(head: ChunkHead) -> dict[Tag, bytes | None]:
    """The fields of a head; None where the default says it all."""
    out: dict[Tag, bytes | None] = {}
    if head.images:
        section = head.images
        levels = section.levels or ()
        out[Tag.IMAGES] = (
            bytes([section.route, section.sample_bytes])
            + _varints((*section.shape, section.count, section.size))
            + struct.pack("<QB", section.check, len(levels))
            + _varints(levels)
            + (section.model or b"")
        )
    if head.data:
        out[Tag.BYTES] = bytes([head.data.packing]) + _varint(head.data.size) + struct.pack("<Q", head.data.check)
    if head.records:
        out |= _record_fields(head.records)
    if head.pieces and list(head.pieces) != default_pieces(head.records):
        out[Tag.PIECES] = _varints(value for piece in head.pieces for value in piece)
    return out


def _record_fields(records: Sequence[Record]) -> dict[Tag, bytes | None]:
    ordinals = [record.ordinal for record in records]
    gaps = _steps(b - a - 1 for a, b in pairwise((-1, *ordinals)))
    mtimes = [record.mtime_ns for record in records if record.mtime_ns is not None]
    modes = [record.mode for record in records if record.mode is not None]
    if len(mtimes) not in (0, len(records)) or len(modes) not in (0, len(records)):
        raise ValueError("either all files of a chunk have times and modes, or none has")
    recipes = list(dict.fromkeys(record.recipe for record in records if record.recipe is not None))
    number = {None: 0} | {recipe: index for index, recipe in enumerate(recipes, 1)}
    index = [number[record.recipe] for record in records]
    parts = [len(record.counts) for record in records]
    counts = [count for record in records for count in record.counts]
    blobs = [record.blob for record in records]
    times = _steps(_zigzag(b - a) for a, b in pairwise((0, *mtimes)))
    return {
        Tag.ORDINALS: gaps or None,
        Tag.NAMES: "\0".join(record.name for record in records).encode(),
        Tag.MTIMES: times if mtimes else None,
        Tag.MODES: _column(modes) if modes else None,
        Tag.SIZES: _column([record.size for record in records]),
        Tag.RECIPES: "\0".join(recipes).encode() if recipes else None,
        Tag.RECIPE_INDEX: _column(index) if set(index) != {1} and recipes else None,
        Tag.PARTS: _column(parts) if parts != [int(bool(i)) for i in index] else None,
        Tag.COUNTS: _column(counts) if set(counts) - {1} else None,
        Tag.BLOBS: _column(blobs) if any(blobs) else None,
    }


def decode_head(data: bytes, limits: Limits = DEFAULT_LIMITS) -> ChunkHead:
    """Read a chunk's head and check everything that can be checked without the payload.

    Raises FormatError, UnsupportedVersionError or LimitError.

    >>> head = ChunkHead(data=ByteSection(Packing.STORED, 3, 99), records=[Record(0, "a.txt", 3, blob=3)])
    >>> decode_head(head.encode()).records[0].name
    'a.txt'
    """
    cursor = _Bytes(data)
    (how,) = cursor.take(1)
    if how == Packing.STORED:
        body = cursor.take(cursor.left)
    else:
        size = cursor.varint()
        if size > limits.table:
            raise LimitError(f"a chunk's head unpacks to {size} bytes, over the limit of {limits.table}")
        body = unpack(how, cursor.take(cursor.left), size)
    fields = _read_fields(body)
    images = _read_images(fields[Tag.IMAGES], limits) if Tag.IMAGES in fields else None
    section = _read_bytes(fields[Tag.BYTES], limits) if Tag.BYTES in fields else None
    records = _read_records(fields, limits) if Tag.NAMES in fields else []
    pieces = _read_pieces(fields[Tag.PIECES]) if Tag.PIECES in fields else default_pieces(records)
    if sum(piece.length for piece in pieces if piece.part) != (images.count if images else 0):
        raise FormatError("a chunk's pieces do not add up to its images")
    if sum(piece.length for piece in pieces if not piece.part) != (section.size if section else 0):
        raise FormatError("a chunk's pieces do not add up to its bytes")
    return ChunkHead(images, section, records, pieces)


def _read_fields(body: bytes) -> dict[int, bytes]:
    cursor = _Bytes(body)
    fields: dict[int, bytes] = {}
    last = 0
    while cursor.left:
        (tag,) = cursor.take(1)
        if tag <= last:
            raise FormatError("the fields of a chunk's head are out of order")
        last = tag
        data = cursor.take(cursor.varint())
        if tag in _TAGS:
            fields[tag] = data
        elif not tag & MAY_IGNORE:
            raise UnsupportedVersionError(f"field {tag} of a chunk's head is unknown to this version")
    return fields


def _read_images(data: bytes, limits: Limits) -> ImageSection:
    cursor = _Bytes(data)
    route, sample_bytes = cursor.take(2)
    if route not in _ROUTES or sample_bytes not in DTYPES:
        raise UnsupportedVersionError("images are coded in a way that is unknown to this version")
    height, width, channels, count, size = (cursor.varint() for _ in range(5))
    if not (height and width and channels and count):
        raise FormatError("a chunk announces images without samples")
    if height * width > limits.pixels:
        raise LimitError(f"an image of {height} x {width} pixels is over the limit of {limits.pixels}")
    if count * height * width * channels * sample_bytes > limits.chunk:
        raise LimitError(f"a chunk decodes to more than the limit of {limits.chunk} bytes")
    check, level_count = struct.unpack("<QB", cursor.take(9))
    if level_count not in (0, 2):
        raise FormatError("an image section has neither no levels nor two")
    levels = (cursor.varint(), cursor.varint()) if level_count else None
    if levels and max(levels) >= 1 << 8 * sample_bytes:
        raise FormatError("a level does not fit its sample type")
    model = cursor.take(32) if route == RouteCode.MODEL else None
    if cursor.left:
        raise FormatError("an image section has bytes left over")
    shape = (height, width, channels)
    return ImageSection(RouteCode(route), sample_bytes, shape, count, check, size, levels, model)


def _read_bytes(data: bytes, limits: Limits) -> ByteSection:
    cursor = _Bytes(data)
    (packing,) = cursor.take(1)
    size = cursor.varint()
    (check,) = struct.unpack("<Q", cursor.take(8))
    if cursor.left:
        raise FormatError("a byte section has bytes left over")
    if packing not in PACKINGS:
        raise UnsupportedVersionError(f"packing {packing} is unknown to this version")
    if size > limits.chunk:
        raise LimitError(f"a chunk unpacks to more than the limit of {limits.chunk} bytes")
    return ByteSection(Packing(packing), size, check)


def _text(data: bytes) -> list[str]:
    try:
        return data.decode().split("\0")
    except UnicodeDecodeError:
        raise FormatError("text in a chunk's head is not UTF-8") from None


def _read_records(fields: dict[int, bytes], limits: Limits) -> list[Record]:
    rows = fields[Tag.NAMES].count(0) + 1
    if rows > limits.members:
        raise LimitError(f"{rows} files in one chunk are over the limit of {limits.members}")
    names = _text(fields[Tag.NAMES])
    gaps = _read_steps(fields.get(Tag.ORDINALS, b""), rows)
    ordinals = list(accumulate(gaps, lambda ordinal, gap: ordinal + 1 + gap))
    if ordinals[-1] >= limits.members:
        raise LimitError(f"file number {ordinals[-1]} is over the limit of {limits.members} files")
    mtimes: Sequence[int | None] = [None] * rows
    if Tag.MTIMES in fields:
        mtimes = list(accumulate(map(_unzigzag, _read_steps(fields[Tag.MTIMES], rows))))
    modes: Sequence[int | None] = [None] * rows
    if Tag.MODES in fields:
        modes = _read_column(fields[Tag.MODES], rows, 0)
    sizes = _read_column(fields.get(Tag.SIZES), rows, 0)
    recipes = _text(fields[Tag.RECIPES]) if Tag.RECIPES in fields else []
    index = _read_column(fields.get(Tag.RECIPE_INDEX), rows, 1 if recipes else 0)
    parts = _read_column(fields.get(Tag.PARTS), rows, 0) if Tag.PARTS in fields else [int(bool(i)) for i in index]
    if max(index) > len(recipes) or sum(parts) > limits.members:
        raise FormatError("a file record points outside of its chunk's tables")
    counts = iter(_read_column(fields.get(Tag.COUNTS), sum(parts), 1))
    blobs = _read_column(fields.get(Tag.BLOBS), rows, 0)
    records = []
    for row in range(rows):
        recipe = recipes[index[row] - 1] if index[row] else None
        own = tuple(next(counts) for _ in range(parts[row]))
        if recipe is None and (own or blobs[row] != sizes[row]):
            raise FormatError(f"{names[row]!r}: a file kept as bytes must be exactly its blob")
        if 0 in own:
            raise FormatError(f"{names[row]!r}: announces an array without images")
        record = Record(ordinals[row], names[row], sizes[row], mtimes[row], modes[row], recipe, own, blobs[row])
        records.append(record)
    return records


def _read_pieces(data: bytes) -> list[Piece]:
    values = _Bytes(data).rest()
    if len(values) % 4:
        raise FormatError("a list of pieces is cut short")
    return [Piece(*values[at : at + 4]) for at in range(0, len(values), 4)]
