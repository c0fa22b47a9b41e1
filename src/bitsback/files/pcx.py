"""PCX: planes of rows with runs. (ZSoft, "Technical Reference Manual", 1991.) Columns that pad rows are pixels here."""

from __future__ import annotations

import struct
from itertools import groupby

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content
from bitsback.files.places import Samples, Span, read_places
from bitsback.files.raster import Layout

_HEADER = 128
_MOST = 63


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
    if size > _MOST * len(data):
        raise ImageError("a PCX file that promises more than it can hold")
    span = Span(_HEADER, len(data) - _HEADER)
    if bits == 8:
        shape, layout = (1, height, row, planes), Layout(axes="nhcw")
    else:
        shape, layout = (1, height * planes, row * 8 // bits, 1), Layout(bits)
    return read_places("pcx", data, [Samples([span], shape, layout, f"pcx {row}", size, size)])


def decode(data: Buffer, limit: int, row: int) -> tuple[bytes, int, int]:
    """``limit`` plain bytes, how many at the end of each row stand apart, and the size of what was decoded. Raises
    ImageError if that is damaged, or unusual."""
    plain, at = bytearray(), 0
    while len(plain) < limit and at < len(data):
        byte = data[at]
        if byte < 0xC0:
            plain.append(byte)
            at += 1
            continue
        if at + 1 >= len(data) or byte == 0xC0:
            break
        plain += bytes(data[at + 1 : at + 2]) * (byte & 63)
        at += 2
    if len(plain) != limit or limit % row:
        raise ImageError("damaged PCX data")
    for apart in (0, 1):  # a byte that makes rows even
        if encode(bytes(plain), row, apart) == bytes(data[:at]):
            return bytes(plain), apart, at
    raise ImageError("PCX data by an unknown encoder")


def encode(plain: bytes, row: int, apart: int) -> bytes:
    """The inverse: runs as long as can be, but within rows."""
    if row < 1 or len(plain) % row or not 0 <= apart < row:
        raise ValueError("rows of another size")
    out = bytearray()
    for start in range(0, len(plain), row):
        for at, stop in ((start, start + row - apart), (start + row - apart, start + row)):
            for byte, equal in groupby(plain[at:stop]):
                same = len(list(equal))
                for run in [_MOST] * (same // _MOST) + [same % _MOST] * (same % _MOST > 0):
                    out += bytes([0xC0 | run, byte] if run > 1 or byte >= 0xC0 else [byte])
    return bytes(out)


__all__ = ["decode", "encode", "read"]
