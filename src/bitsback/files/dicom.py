"""DICOM with its pixels as they are (native): explicit and implicit, little and big-endian; all frames.

(DICOM PS3.5, sections 7 and 8, and annex A; PS3.10, section 7.) Compressed and deflated ones are kept as their bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content
from bitsback.files.places import Samples, Span, read_places
from bitsback.files.raster import Layout

_IMPLICIT, _EXPLICIT, _BIG = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.2"
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
"""Value representations whose length has four bytes, after two that are reserved."""

_SYNTAX, _CHANNELS, _PLANES, _FRAMES = 0x00020010, 0x00280002, 0x00280006, 0x00280008
_ROWS, _COLUMNS, _ALLOCATED, _SIGNED, _PIXELS = 0x00280010, 0x00280011, 0x00280100, 0x00280103, 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF

_Element = tuple[int, int, int]
"""Tag, where its value begins, its length."""


def read(data: Buffer) -> Content:
    """Take a DICOM file apart. Raises ImageError if it is damaged, has no pixels, or they are coded."""
    try:
        return _read(data)
    except struct.error:
        raise ImageError("the file ends within a DICOM element") from None


def _read(data: Buffer) -> Content:
    at, syntax = 132, b""
    for tag, start, size in _elements(data, 132, "<", explicit=True, group=2):
        at = start + size
        if tag == _SYNTAX:
            syntax = bytes(data[start : start + size]).rstrip(b"\0 ")
    if syntax not in (_IMPLICIT, _EXPLICIT, _BIG):
        raise ImageError(f"DICOM of transfer syntax {syntax.decode('latin-1')}")
    order = ">" if syntax == _BIG else "<"
    known: dict[int, int] = {}
    for tag, start, size in _elements(data, at, order, explicit=syntax != _IMPLICIT):
        if tag == _PIXELS:
            return read_places("dicom", data, [_samples(known, start, size, order == ">")])
        if tag in (_CHANNELS, _PLANES, _ROWS, _COLUMNS, _ALLOCATED, _SIGNED) and size >= 2:
            (known[tag],) = struct.unpack_from(order + "H", data, start)
        elif tag == _FRAMES and size < 16:
            known[tag] = int(bytes(data[start : start + size]).strip(b"\0 ") or b"1")
    raise ImageError("DICOM without pixels")


def _samples(known: dict[int, int], start: int, size: int, big: bool) -> Samples:
    bits, channels = known.get(_ALLOCATED, 0), known.get(_CHANNELS, 1)
    rows, columns, frames = known.get(_ROWS, 0), known.get(_COLUMNS, 0), known.get(_FRAMES, 1)
    if bits not in (1, 8, 16) or channels not in (1, 3, 4) or min(rows, columns, frames) < 1:
        raise ImageError(f"DICOM pixels of {bits} bits")
    if bits == 1 or (bits == 8 and big):  # of single bits the first is the low one; big-endian bytes go in pairs
        raise ImageError("DICOM pixels in an unusual order")
    axes = "nchw" if known.get(_PLANES) == 1 and channels > 1 else "nhwc"
    layout = Layout(bits, big, axes=axes, signed=known.get(_SIGNED) == 1)
    shape = (frames, rows, columns, channels)
    if size == _UNDEFINED or size < layout.size(shape):
        raise ImageError("DICOM pixels of another size than announced")
    return Samples([Span(start, layout.size(shape))], shape, layout)


def _elements(data: Buffer, at: int, order: str, *, explicit: bool, group: int = 0) -> Iterator[_Element]:
    """The elements from byte ``at`` on (of one group, if it is given), what sequences hold left out."""
    depth = 0
    while at + 8 <= len(data):
        high, low = struct.unpack_from(order + "HH", data, at)
        tag = high << 16 | low
        if group and high != group:
            return
        if tag in (_ITEM, _ITEM_END, _SEQUENCE_END):
            (size,) = struct.unpack_from(order + "I", data, at + 4)
            depth += 1 if tag == _ITEM and size == _UNDEFINED else -1 if tag != _ITEM else 0
            at += 8 + (size if tag == _ITEM and size != _UNDEFINED else 0)
            if depth < 0:
                raise ImageError("damaged DICOM sequences")
            continue
        start = at + 8
        if not explicit:
            (size,) = struct.unpack_from(order + "I", data, at + 4)
        elif bytes(data[at + 4 : at + 6]) in _LONG:
            (size,) = struct.unpack_from(order + "I", data, at + 8)
            start = at + 12
        else:
            (size,) = struct.unpack_from(order + "H", data, at + 6)
        if not depth:
            yield tag, start, size
        if size == _UNDEFINED:
            depth += 1  # a sequence that its own end closes
            size = 0
        elif start + size > len(data):
            raise ImageError("the file ends within a DICOM element")
        at = start + size
