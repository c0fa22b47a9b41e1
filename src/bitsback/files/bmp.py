"""Windows bitmaps: 1, 2, 4, 8 (indices into a palette), 16, 24 and 32 bits a pixel; of 4 and 8, by runs, too.

Headers, palette and colour profile are kept as they are.
"""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content
from bitsback.files.places import Samples, Span, read_places
from bitsback.files.raster import Layout, Place, read_place

_RUNS = {(1, 8): "bmp8", (2, 4): "bmp4"}
"""Codecs by compression and bits."""

_HEADERS = (16, 40, 52, 56, 64, 108, 124)
MOST_OF_A_BYTE = 1 << 12
"""Pixels; jumps may leave out many."""

_MASKS = (0xFF0000, 0xFF00, 0xFF)


def read(data: Buffer) -> Content:
    """Take a BMP file apart. Raises ImageError if it is damaged or compressed."""
    if len(data) < 26:
        raise ImageError("the file ends within the BMP header")
    start, header = struct.unpack_from("<II", data, 10)
    compression = 0
    if header == 12:  # OS/2
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
    elif header in _HEADERS and len(data) >= 54:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
        compression *= header > 16
    else:
        raise ImageError(f"unknown BMP header of {header} bytes")
    if runs := _RUNS.get((compression, depth)):
        return _read_runs(data, start, width, height, runs)
    if compression not in (0, 3, 6) or depth not in (1, 2, 4, 8, 16, 24, 32) or (compression and depth not in (16, 32)):
        raise ImageError(f"a BMP of {depth} bits with compression {compression}")
    usual = not compression or struct.unpack_from("<III", data, 54) == _MASKS
    if width <= 0 or height == 0 or start < 14 + header:
        raise ImageError("damaged BMP header")
    channels = depth // 8 if depth in (24, 32) else 1
    bits = depth if channels == 1 else 8  # of 16 bits a pixel is one sample
    layout = Layout(bits, align=4, flip=height > 0, swap=channels >= 3 and usual)
    return read_place("bmp", data, Place(start, (1, abs(height), width, channels), layout))


def _read_runs(data: Buffer, start: int, width: int, height: int, codec: str) -> Content:
    """Of pixels of a byte each."""
    if width <= 0 or height == 0 or start < 14:
        raise ImageError("damaged BMP header")
    shape, layout = (1, abs(height), width, 1), Layout(align=4, flip=height > 0)
    size = layout.size(shape)
    if start > len(data) or size > MOST_OF_A_BYTE * len(data):
        raise ImageError("a BMP file that promises more than it can hold")
    return read_places(
        "bmprle", data, [Samples([Span(start, len(data) - start)], shape, layout, f"{codec} {width}", size, size)]
    )
