"""Plain TIFF: one page, uncompressed, chunky, unsigned samples of 1, 2, 4, 8 or 16 bits, strips one after the other.

Every tag is kept as it is. Any other TIFF is left to be stored as its file's bytes.
"""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content
from bitsback.files.raster import Layout, Place, read_place

_SIZES = {3: ("H", 2), 4: ("I", 4)}  # SHORT and LONG, the types of every tag that matters here
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL, _OFFSETS = 256, 257, 258, 259, 266, 273
_SAMPLES, _COUNTS, _PLANAR, _TILES, _SUB_PAGES, _SIGN = 277, 279, 284, 322, 330, 339


def read(data: Buffer) -> Content:
    """Take a TIFF file apart. Raises ImageError if it is damaged or not plain."""
    order = "<" if bytes(data[:2]) == b"II" else ">"
    if data[2:4] in (b"+\x00", b"\x00+"):
        raise ImageError("a BigTIFF")
    tags = _tags(data, order)
    for tag, plain, reason in (
        (_COMPRESSION, 1, "a compressed TIFF"),
        (_PLANAR, 1, "a TIFF with separate colour planes"),
        (_FILL, 1, "a TIFF with reversed bits"),
        (_SIGN, 1, "a TIFF with signed or floating-point samples"),
    ):
        if any(value != plain for value in tags.get(tag, ())):
            raise ImageError(reason)
    if _TILES in tags or _SUB_PAGES in tags:
        raise ImageError("a TIFF with tiles or sub-pages")
    try:
        (width,), (height,), offsets, counts = tags[_WIDTH], tags[_HEIGHT], tags[_OFFSETS], tags[_COUNTS]
    except (KeyError, ValueError):
        raise ImageError("a TIFF without size or strips") from None
    bits, channels = set(tags.get(_BITS, (1,))), tags.get(_SAMPLES, (1,))[0]
    if len(bits) != 1 or not bits <= {1, 2, 4, 8, 16} or not 1 <= channels <= 4:
        raise ImageError("a TIFF with unusual samples")
    layout = Layout(bits=bits.pop(), big=order == ">")
    shape = (1, height, width, channels)
    ends = [offset + count for offset, count in zip(offsets, counts, strict=False)]
    if len(offsets) != len(counts) or list(offsets[1:]) != ends[:-1] or sum(counts) != layout.size(shape):
        raise ImageError("a TIFF whose strips do not follow each other")
    return read_place("tiff", data, Place(offsets[0], shape, layout))


def _tags(data: Buffer, order: str) -> dict[int, tuple[int, ...]]:
    """The integer tags of the only page."""
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        (following,) = struct.unpack_from(order + "I", data, start + 2 + 12 * count)
        tags = {}
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", data, at)
            if kind not in _SIZES:
                continue
            letter, size = _SIZES[kind]
            where = at + 8 if number * size <= 4 else struct.unpack_from(order + "I", data, at + 8)[0]
            if where + number * size > len(data):
                raise ImageError("the file ends within a TIFF tag")
            tags[tag] = struct.unpack_from(f"{order}{number}{letter}", data, where)
    except struct.error:
        raise ImageError("the file ends within the TIFF tags") from None
    if following:
        raise ImageError("a TIFF of several pages")
    return tags
