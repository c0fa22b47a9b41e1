"""DICOM: pixels as they are (native), explicit and implicit, little and big-endian; RLE; JPEG; deflated; all frames.

(DICOM PS3.5, sections 7 and 8, and annexes A and G; PS3.10, section 7.) Frames by JPEG are files within the file. Other
encapsulated ones (lossless JPEG, JPEG-LS, JPEG 2000) are kept as their bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from bitsback.errors import ImageError
from bitsback.files.picture import Budget, Buffer, Content, NoImageError
from bitsback.files.places import Files, Numbers, Samples, Span, read_places
from bitsback.files.raster import Layout

_IMPLICIT, _EXPLICIT, _BIG = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.2"
_DEFLATED, _RLE = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.5"
_JPEG = (b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.51")
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
"""Value representations whose length has four bytes, after two that are reserved."""

_SYNTAX, _CHANNELS, _PLANES, _FRAMES = 0x00020010, 0x00280002, 0x00280006, 0x00280008
_ROWS, _COLUMNS, _ALLOCATED, _SIGNED = 0x00280010, 0x00280011, 0x00280100, 0x00280103
_PIXELS = {0x7FE00008: "f4", 0x7FE00009: "f8", 0x7FE00010: ""}
"""Elements that hold them, and the type of their numbers where that is not said elsewhere."""

_NUMBERS = (_CHANNELS, _PLANES, _ROWS, _COLUMNS, _ALLOCATED, _SIGNED)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF

_Element = tuple[int, int, int]
"""Tag, where its value begins, its length."""


def read(data: Buffer, budget: Budget) -> Content:
    """Take a DICOM file apart. Raises ImageError if it is damaged, has no pixels, or they are coded otherwise."""
    try:
        at, syntax = 132, b""
        for tag, start, size in _elements(data, 132, "<", explicit=True, group=2):
            at = start + size
            if tag == _SYNTAX:
                syntax = bytes(data[start : start + size]).rstrip(b"\0 ")
        if syntax == _DEFLATED:
            return _read_deflated(data, at, budget)
        return _read(data, at, syntax, budget)
    except struct.error:
        raise ImageError("the file ends within a DICOM element") from None


def _read_deflated(data: Buffer, at: int, budget: Budget) -> Content:
    """What follows the first group is a stream (RFC 1951)."""
    try:
        size = len(zlib.decompressobj(-15).decompress(memoryview(data)[at:], budget.left))
    except zlib.error:
        raise ImageError("damaged deflated DICOM") from None
    files = Files([Span(at, len(data) - at)], "deflate", [size], lambda inner, left: _read(inner, 0, _EXPLICIT, left))
    return read_places("dicom", data, [files], budget, sparse=True)


def _read(data: Buffer, at: int, syntax: bytes, budget: Budget) -> Content:
    if syntax not in (_IMPLICIT, _EXPLICIT, _BIG, _RLE, *_JPEG):
        raise ImageError(f"DICOM of transfer syntax {syntax.decode('latin-1')}")
    order = ">" if syntax == _BIG else "<"
    known: dict[int, int] = {}
    for tag, start, size in _elements(data, at, order, explicit=syntax != _IMPLICIT):
        if tag in _PIXELS:
            found = _pixels(data, known, Span(start, size), syntax, _PIXELS[tag])
            return read_places("dicom", data, [found], budget)
        if tag in _NUMBERS and size >= 2:
            (known[tag],) = struct.unpack_from(order + "H", data, start)
        elif tag == _FRAMES and size < 16:
            known[tag] = int(bytes(data[start : start + size]).strip(b"\0 ") or b"1")
    raise NoImageError("DICOM without pixels")


def _pixels(data: Buffer, known: dict[int, int], value: Span, syntax: bytes, of_type: str) -> Samples | Files | Numbers:
    """Where they are."""
    bits, channels = known.get(_ALLOCATED, 0), known.get(_CHANNELS, 1)
    rows, columns, frames = known.get(_ROWS, 0), known.get(_COLUMNS, 0), known.get(_FRAMES, 1)
    if syntax in _JPEG:
        return Files(_fragments(data, value.start))
    if (not of_type and bits not in (1, 8, 16, 32)) or channels not in (1, 3, 4) or min(rows, columns, frames) < 1:
        raise ImageError(f"DICOM pixels of {bits} bits")
    big, signed = syntax == _BIG, known.get(_SIGNED) == 1
    shape = (frames, rows, columns, channels)
    if bits == 32 and not of_type:
        of_type = "i4" if signed else "u4"
    if syntax == _RLE:
        if bits == 1 or of_type[:1] == "f":
            raise ImageError(f"DICOM pixels of {bits} bits by RLE")
        layout = Layout(bits, axes="nchw" if channels > 1 else "nhwc", signed=signed) if bits < 32 else Layout()
        frame, spans = rows * columns * channels * bits // 8, _fragments(data, value.start)
        if bits == 32:
            return Numbers(spans, [frames * channels, rows, columns], of_type, False, "rle32", frame, frame)
        return Samples(spans, shape, layout, "rle" if bits == 8 else "rle16", frame, frame)
    if (bits == 1 and columns % 8) or (bits == 8 and big):  # rows share bytes; big-endian bytes go in pairs
        raise ImageError("DICOM pixels in an unusual order")
    bits = 8 * int(of_type[1:]) if of_type else bits
    if value.size == _UNDEFINED or value.size < frames * rows * columns * channels * bits // 8:
        raise ImageError("DICOM pixels of another size than announced")
    if of_type:
        span = Span(value.start, frames * rows * columns * channels * bits // 8)
        return Numbers([span], [frames, rows, columns, *[channels] * (channels > 1)], of_type, big)
    axes = "nchw" if known.get(_PLANES) == 1 and channels > 1 else "nhwc"
    layout = Layout(bits, big and bits == 16, axes=axes, signed=signed and bits > 1, reverse=bits == 1)
    return Samples([Span(value.start, layout.size(shape))], shape, layout)


def _fragments(data: Buffer, at: int) -> list[Span]:
    """What encapsulated pixels consist of, without the table of offsets in front."""
    found: list[Span] = []
    while True:
        high, low, size = struct.unpack_from("<HHI", data, at)
        if high << 16 | low != _ITEM or at + 8 + size > len(data):
            break
        found.append(Span(at + 8, size))
        at += 8 + size
    if high << 16 | low != _SEQUENCE_END:
        raise ImageError("damaged DICOM fragments")
    return found[1:]


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
