"""PCX: planes of rows with runs. (ZSoft, "Technical Reference Manual", 1991.) Columns that pad rows are pixels here."""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files.pcx_runs import MOST
from bitsback.files.picture import MAX_PCX, Buffer, Content
from bitsback.files.places import Samples, Span, read_places
from bitsback.files.raster import Layout

_HEADER = 128


def read(data: Buffer) -> Content:
    """Take a PCX file apart. Raises ImageError if it is damaged, or its runs are unusual."""
    if len(data) < _HEADER or data[2] != 1:
        raise ImageError("a damaged PCX header")
    bits, left, top, right, bottom = struct.unpack_from("<3xBHHHH", data)
    planes, row = struct.unpack_from("<65xBH", data)
    height = bottom - top + 1
    if bits not in (1, 2, 4, 8) or not 1 <= planes <= 4 or row < 1 or height < 1 or right < left:
        raise ImageError("a damaged PCX header")
    size = height * planes * row
    if size > MAX_PCX:
        raise ImageError("a PCX file of many pixels")
    if size > MOST * len(data):
        raise ImageError("a PCX file that promises more than it can hold")
    span = Span(_HEADER, len(data) - _HEADER)
    if bits == 8:
        shape, layout = (1, height, row, planes), Layout(axes="nhcw")
    else:
        shape, layout = (1, height * planes, row * 8 // bits, 1), Layout(bits)
    return read_places("pcx", data, [Samples([span], shape, layout, f"pcx {row}", size, size)])


__all__ = ["read"]
