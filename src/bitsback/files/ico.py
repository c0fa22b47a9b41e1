"""Windows icons and cursors: each image as the PNG file, or the bitmap without its first header, that it is."""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files import formats
from bitsback.files.picture import Budget, Buffer, Content
from bitsback.files.places import Files, Span, read_places
from bitsback.files.raster import Layout, Place, read_place


def read(data: Buffer, budget: Budget) -> Content:
    """Take an icon apart. Raises ImageError if it is damaged."""
    count = int.from_bytes(data[4:6], "little")
    if len(data) < 6 + 16 * count:
        raise ImageError("the file ends within the list of icons")
    spans = [Span(*reversed(struct.unpack_from("<II", data, 14 + 16 * k))) for k in range(count)]
    return read_places("ico", data, [Files(spans, read=_image)], budget, sparse=True)


def _image(data: Buffer, budget: Budget) -> Content:
    if formats.recognise(data) == "png":
        return formats.read("png", data)
    if len(data) < 40:
        raise ImageError("the file ends within the header of an icon")
    header, width, height, _, depth, coding, _, _, _, colours = struct.unpack_from("<IiiHHIIiiI", data)
    if header != 40 or coding or depth not in (1, 4, 8, 24, 32) or min(width, height) < 1:
        raise ImageError("an unusual icon")
    start = header + (4 * (colours or 1 << depth) if depth <= 8 else 0)
    channels = max(1, depth // 8)
    layout = Layout(min(depth, 8), align=4, flip=True, swap=channels >= 3)
    return read_place("bmp", data, Place(start, (1, height // 2, width, channels), layout))


__all__ = ["read"]
