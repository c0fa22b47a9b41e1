"""QOI, "the quite OK image format". (qoiformat.org, 1.0)"""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content
from bitsback.files.places import Samples, Span, read_places

_HEADER, _END = 14, bytes(7) + b"\1"


def read(data: Buffer) -> Content:
    """Take a QOI file apart. Raises ImageError if it is damaged."""
    if len(data) < _HEADER + len(_END):
        raise ImageError("the file ends within the QOI header")
    width, height, channels = struct.unpack_from(">IIB", data, 4)
    if min(width, height) < 1 or channels not in (3, 4):
        raise ImageError("a damaged QOI header")
    size = width * height * channels
    if size > 62 * 4 * len(data):
        raise ImageError("a QOI file that promises more than it can hold")
    span = Span(_HEADER, len(data) - _HEADER)
    return read_places(
        "qoi", data, [Samples([span], (1, height, width, channels), codec=f"qoi {channels}", step=size, page=size)]
    )


__all__ = ["read"]
