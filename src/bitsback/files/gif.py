"""GIF: every frame as indices into its palette, and LZW as its encoder made it. (GIF89a specification.)

Frames whose LZW is unusual stay as they are.
"""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content
from bitsback.files.places import Samples, Span, read_places
from bitsback.files.raster import Layout

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B


def read(data: Buffer) -> Content:
    """Take a GIF file apart. Raises ImageError if it is damaged, or its LZW is unusual."""
    try:
        found = _frames(data)
    except (IndexError, struct.error):
        raise ImageError("the file ends within a GIF block") from None
    if not found:
        raise ImageError("a GIF without images")
    return read_places("gif", data, found)


def _frames(data: Buffer) -> list[Samples]:
    found: list[Samples] = []
    at = 13 + _palette(data[10])
    while at < len(data) and data[at] != _TRAILER:
        if data[at] == _EXTENSION:
            at = _blocks_end(data, at + 2)
            continue
        if data[at] != _IMAGE:
            break  # what follows is not of the format
        width, height, flags = struct.unpack_from("<HHB", data, at + 5)
        start = at + 10 + _palette(flags)
        at = _blocks_end(data, start + 1)
        if width * height == 0:
            raise ImageError("a GIF frame without pixels")
        size, span, layout = width * height, Span(start, at - start), Layout(passes=bool(flags & 64))
        if found and found[-1].shape[1:3] == (height, width) and found[-1].layout == layout:
            found[-1].spans.append(span)
            found[-1] = found[-1]._replace(shape=(len(found[-1].spans), height, width, 1))
        else:
            found.append(Samples([span], (1, height, width, 1), layout, "gif", size, size))
    return found


def _palette(flags: int) -> int:
    """The bytes of the palette that follows."""
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def _blocks_end(data: Buffer, at: int) -> int:
    """Where the blocks from byte ``at`` on end: each leads with its size, and an empty one is the last."""
    while data[at]:
        at += 1 + data[at]
    if at >= len(data):
        raise IndexError
    return at + 1
