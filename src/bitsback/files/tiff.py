"""TIFF and BigTIFF: all pages and sub-pages of unsigned and signed samples of 1 to 16 bits, in strips or tiles, chunky
or in planes; as they are, or by LZW, deflate or PackBits, with or without differences.

Every tag, and all that is not samples of such a page, is kept as it is. Tiles are images of an array; so are pages of
one form that follow each other, planes, and the channels of pages that have more than four.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import structs

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content
from bitsback.files.places import MAX_SPANS, Samples, Span, read_places
from bitsback.files.raster import Layout, Shape

_SIZES = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 13: ("I", 4), 16: ("Q", 8), 18: ("Q", 8)}
"""The types of every tag that matters here: BYTE, SHORT, LONG, IFD, and those of eight bytes."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL, _OFFSETS = 256, 257, 258, 259, 266, 273
_SAMPLES, _ROWS, _COUNTS, _PLANAR, _PREDICTOR = 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SUB_PAGES, _SIGN = 322, 323, 324, 325, 330, 339

_CODECS = {1: "", 5: "lzw", 8: "zlib", 32946: "zlib", 32773: "packbits"}

MAX_PAGES = 1 << 16

Tags = dict[int, tuple[int, ...]]


def read(data: Buffer) -> Content:
    """Take a TIFF file apart. Raises ImageError if it is damaged, or none of its pages can be."""
    found: list[Samples] = []
    reason = "a TIFF without pages"
    for tags in _pages(data):
        try:
            page = _page(tags, bytes(data[:2]) == b"MM")
        except ImageError as error:
            reason = str(error)
            continue
        if found and _alike(found[-1], page):
            count, height, width, channels = found[-1].shape
            whole = (count + page.shape[0], height, width, channels)
            found[-1] = found[-1]._replace(spans=[*found[-1].spans, *page.spans], shape=whole)
        else:
            found.append(page)
    if not found:
        raise ImageError(reason)
    return read_places("tiff", data, found)


def _alike(one: Samples, other: Samples) -> bool:
    """Whether they can be one array."""
    return one.shape[1:] == other.shape[1:] and one[2:] == other[2:]


# Tags -----------------------------------------------------------------------------------------------------------------


class _Form(NamedTuple):
    """How numbers stand in the file: byte order, the letter of an offset, bytes before entries and of one, and how many
    bytes a value may have to stand in its entry."""

    order: str
    offset: str
    number: str
    head: int
    entry: int
    inside: int


def _pages(data: Buffer) -> Iterator[Tags]:
    """The integer tags of each page, and of the pages below it."""
    order = "<" if bytes(data[:2]) == b"II" else ">"
    try:
        if struct.unpack_from(order + "H", data, 2)[0] == 43:
            form = _Form(order, "Q", "Q", 8, 20, 8)
            if struct.unpack_from(order + "HH", data, 4) != (8, 0):
                raise ImageError("an unknown kind of BigTIFF")
            first = struct.unpack_from(order + "Q", data, 8)[0]
        else:
            form = _Form(order, "I", "H", 2, 12, 4)
            first = struct.unpack_from(order + "I", data, 4)[0]
        waiting: list[int] = [first]
        seen: set[int] = set()
        while waiting:
            at = waiting.pop()
            if at in seen or len(seen) == MAX_PAGES:
                raise ImageError("TIFF pages in a circle, or too many")
            seen.add(at)
            tags, following = _tags(data, at, form)
            waiting += [following] if following else []
            waiting += reversed([below for below in tags.get(_SUB_PAGES, ()) if below])
            yield tags
    except struct.error:
        raise ImageError("the file ends within the TIFF tags") from None


def _tags(data: Buffer, start: int, form: _Form) -> tuple[Tags, int]:
    """The integer tags of a page, and where the next page is."""
    order = form.order
    (count,) = struct.unpack_from(order + form.number, data, start)
    first = start + form.head
    if count > (len(data) - first) // form.entry:
        raise ImageError("the file ends within the TIFF tags")
    (following,) = struct.unpack_from(order + form.offset, data, first + form.entry * count)
    tags: Tags = {}
    for at in range(first, first + form.entry * count, form.entry):
        tag, kind, number = struct.unpack_from(f"{order}HH{form.offset}", data, at)
        if kind not in _SIZES:
            continue
        letter, size = _SIZES[kind]
        where = at + form.entry - form.inside
        if number * size > form.inside:
            (where,) = struct.unpack_from(order + form.offset, data, where)
        if where + number * size > len(data):
            raise ImageError("the file ends within a TIFF tag")
        if number <= MAX_SPANS:
            tags[tag] = struct.unpack_from(f"{order}{number}{letter}", data, where)
    return tags, following


# Pages ----------------------------------------------------------------------------------------------------------------


def _page(tags: Tags, big: bool) -> Samples:
    """Where the samples of a page are. ImageError with the reason if that cannot be said."""

    def one(tag: int, default: int) -> int:
        values = tags.get(tag, (default,))
        if not values or any(value != values[0] for value in values):
            raise ImageError("a TIFF with unusual samples")
        return values[0]

    width, height, channels = one(_WIDTH, 0), one(_HEIGHT, 0), one(_SAMPLES, 1)
    bits, sign, codec = one(_BITS, 1), one(_SIGN, 1), _CODECS.get(one(_COMPRESSION, 1))
    predictor, planes = one(_PREDICTOR, 1), one(_PLANAR, 1) == 2
    if codec is None:
        raise ImageError(f"a TIFF with compression {one(_COMPRESSION, 1)}")
    if sign not in (1, 2) or bits not in (1, 2, 4, 8, 16) or (sign == 2 and bits < 8):
        raise ImageError("a TIFF with floating-point samples" if sign == 3 else f"a TIFF with samples of {bits} bits")
    if predictor not in (1, 2) or (predictor == 2 and bits < 8):
        raise ImageError("a TIFF with an unusual predictor")
    if one(_FILL, 1) != 1 and (bits < 8 or codec):
        raise ImageError("a TIFF with reversed bits")
    if min(width, height, channels) < 1:
        raise ImageError("a TIFF without size")
    spread = channels > 4 and not planes
    if spread and bits < 8:
        raise ImageError(f"a TIFF of {channels} channels")
    layout = Layout(bits=bits, big=big and bits == 16, signed=sign == 2, differences=predictor == 2 and bool(codec))
    if _TILE_OFFSETS in tags:
        rows, columns = one(_TILE_HEIGHT, 0), one(_TILE_WIDTH, 0)
        if min(rows, columns) < 1:
            raise ImageError("TIFF tiles without size")
        tiles = -(-height // rows) * -(-width // columns)
        step = layout.row_bytes(columns, 1 if planes else channels) * rows
        shape = (tiles * channels, rows, columns, 1) if planes else (tiles, rows, columns, channels)
        if spread:
            raise ImageError(f"a TIFF of tiles of {channels} channels")
        return _samples(tags, (_TILE_OFFSETS, _TILE_COUNTS), shape, layout, codec, step, step)
    rows = min(one(_ROWS, height), height)
    if rows < 1:
        raise ImageError("TIFF strips without rows")
    row = layout.row_bytes(width, 1 if planes else channels)
    shape = (1, height, width, channels)
    if planes:
        shape = (channels, height, width, 1)
    elif spread:
        shape, layout = (channels, height, width, 1), structs.replace(layout, axes="hwnc")
    return _samples(tags, (_OFFSETS, _COUNTS), shape, layout, codec, row * rows, row * height)


def _samples(
    tags: Tags, names: tuple[int, int], shape: Shape, layout: Layout, codec: str, step: int, page: int
) -> Samples:
    """Strips or tiles of ``step`` bytes, all but the last of ``page`` bytes, which are a plane or so."""
    offsets, counts = tags.get(names[0], ()), tags.get(names[1], ())
    pieces = -(-page // step)
    if len(offsets) != len(counts) or len(offsets) * page != layout.size(shape) * pieces:
        raise ImageError("a TIFF whose strips or tiles do not fit its size")
    spans = []
    for number, (offset, count) in enumerate(zip(offsets, counts, strict=True)):
        due = min(step, page - number % pieces * step)
        if not codec and count < due:
            raise ImageError("TIFF strips that are too short")
        spans.append(Span(offset, count if codec else due))
    return Samples(spans, shape, layout, codec, step if codec else 0, page if codec else 0)
