"""Truevision TGA: grey, indexed and coloured images, as they are and with runs. (Truevision TGA, version 2.0.)

The format has no magic, so that a file is taken for one by what its header can say at all.
"""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content
from bitsback.files.places import Samples, Span, read_places
from bitsback.files.raster import Layout

_BYTES = {8: (8, 1), 15: (16, 1), 16: (16, 1), 24: (8, 3), 32: (8, 4)}
"""Bits of a pixel: bits of a sample and channels. Of 15 and 16 bits a pixel is one sample."""


def read(data: Buffer) -> Content:
    """Take a TGA file apart. Raises ImageError if it is damaged."""
    if len(data) < 18:
        raise ImageError("the file ends within the TGA header")
    skipped, mapped, kind, _, entries, entry, _, _, width, height, depth, flags = struct.unpack_from(
        "<BBBHHBHHHHBB", data
    )
    bits, channels = _BYTES.get(depth, (0, 0))
    if not bits or flags & 0x10 or min(width, height) < 1:
        raise ImageError("a damaged TGA header")
    start = 18 + skipped + (entries * -(-entry // 8) if mapped else 0)
    layout = Layout(bits, flip=not flags & 0x20, swap=channels >= 3)
    shape = (1, height, width, channels)
    if kind < 8:
        return read_places("tga", data, [Samples([Span(start, layout.size(shape))], shape, layout)])
    if start > len(data) or layout.size(shape) > 128 * len(data):
        raise ImageError("a TGA file that promises more than it can hold")
    size, unit = layout.size(shape), channels * bits // 8
    return read_places(
        "tga", data, [Samples([Span(start, len(data) - start)], shape, layout, f"tga {unit}", size, size)]
    )


__all__ = ["read"]
