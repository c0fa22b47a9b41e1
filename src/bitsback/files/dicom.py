"""DICOM: pixels as they are (native), explicit and implicit, little and big-endian; RLE; JPEG, lossless too; deflated;
all frames.

(DICOM PS3.5, sections 7 and 8, and annexes A and G; PS3.10, section 7.) Frames by JPEG are files within the file. Other
encapsulated ones (JPEG-LS, JPEG 2000) are kept as their bytes.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from msgspec import structs

from bitsback.errors import ImageError
from bitsback.files.picture import Budget, Buffer, Content, NoImageError
from bitsback.files.places import Files, Numbers, Samples, Span, read_places
from bitsback.files.raster import Layout, Shape
from bitsback.files.tiff import ADOBE

_IMPLICIT, _EXPLICIT, _BIG = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.2"
_DEFLATED, _RLE = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.5"
_DEFLATED_FRAMES = b"1.2.840.10008.1.2.8.1"
_JPEG = (b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.51")
_LOSSLESS = (b"1.2.840.10008.1.2.4.57", b"1.2.840.10008.1.2.4.70")
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
"""Value representations whose length has four bytes, after two that are reserved."""

_SYNTAX, _CHANNELS, _COLOURS, _PLANES, _FRAMES = 0x00020010, 0x00280002, 0x00280004, 0x00280006, 0x00280008
_ROWS, _COLUMNS, _ALLOCATED, _SIGNED = 0x00280010, 0x00280011, 0x00280100, 0x00280103
_STORED, _HIGH = 0x00280101, 0x00280102
_PIXELS = {0x7FE00008: "f4", 0x7FE00009: "f8", 0x7FE00010: ""}
"""Elements that hold them, and the type of their numbers where that is not said elsewhere."""

_OFFSETS, _OFFSETS_SIZE = 0x7FE00001, 1
"""The extended table of offsets: where it begins, and, in place of a tag, its size."""

_BYTES = 0
"""In place of a tag: whether pixels are said to be single bytes."""

_NUMBERS = (_CHANNELS, _PLANES, _ROWS, _COLUMNS, _ALLOCATED, _SIGNED, _STORED, _HIGH)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF

_Element = tuple[int, int, int]
"""Tag, where its value begins, its length."""


def read(data: Buffer, budget: Budget) -> Content:
    """Take a DICOM file apart. Raises ImageError if it is damaged, has no pixels, or they are coded otherwise."""
    try:
        at = 132 if bytes(data[128:132]) == b"DICM" else 0
        syntax = b"" if at else _EXPLICIT if bytes(data[4:6]).isalpha() else _IMPLICIT
        for tag, start, size in _elements(data, at, "<", explicit=True, group=2):
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
    if syntax not in (_IMPLICIT, _EXPLICIT, _BIG, _RLE, _DEFLATED_FRAMES, *_JPEG, *_LOSSLESS):
        raise ImageError(f"DICOM of transfer syntax {syntax.decode('latin-1')}")
    order = ">" if syntax == _BIG else "<"
    known: dict[int, int] = {}
    for tag, start, size in _elements(data, at, order, explicit=syntax != _IMPLICIT):
        if tag in _PIXELS:
            known[_BYTES] = int(syntax == _BIG and bytes(data[start - 8 : start - 6]) == b"OB")
            found = _pixels(data, known, Span(start, size), syntax, _PIXELS[tag])
            return read_places("dicom", data, [found], budget)
        if tag == _COLOURS:
            known[tag] = int(bytes(data[start : start + min(size, 16)]).strip() == b"RGB")
        elif tag in _NUMBERS and size >= 2:
            (known[tag],) = struct.unpack_from(order + "H", data, start)
        elif tag == _FRAMES and size < 16:
            known[tag] = int(bytes(data[start : start + size]).strip(b"\0 ") or b"1")
        elif tag == _OFFSETS:
            known[tag], known[_OFFSETS_SIZE] = start, size
    raise NoImageError("DICOM without pixels")


class _Form(NamedTuple):
    """What is said of pixels."""

    bits: int
    shape: Shape
    signed: bool
    planes: bool
    of_type: str
    """Of numbers that are no samples."""
    stored: int
    """Of how many bits they are, if these are not all, and the low ones."""

    @property
    def axes(self) -> list[int]:
        """Of these numbers."""
        frames, rows, columns, channels = self.shape
        colours = [channels] if channels > 1 else []
        return [frames, *colours, rows, columns] if self.planes else [frames, rows, columns, *colours]

    @property
    def frame(self) -> int:
        """Bytes of one."""
        return -(-math.prod(self.shape[1:]) * self.bits // 8)


def _pixels(data: Buffer, known: dict[int, int], value: Span, syntax: bytes, of_type: str) -> Samples | Files | Numbers:
    """Where they are."""
    if syntax in _JPEG:
        spans, together = _frames(data, value.start, known)
        return _jpeg(data, spans, bool(known.get(_COLOURS)))._replace(together=together)
    bits, channels = known.get(_ALLOCATED, 0), known.get(_CHANNELS, 1)
    shape = known.get(_FRAMES, 1), known.get(_ROWS, 0), known.get(_COLUMNS, 0), channels
    if (not of_type and bits not in (1, 8, 16, 32)) or channels not in (1, 3, 4) or min(shape) < 1:
        raise ImageError(f"DICOM pixels of {bits} bits")
    signed = known.get(_SIGNED) == 1
    if bits == 32 and not of_type:
        of_type = "i4" if signed else "u4"
    bits = 8 * int(of_type[1:]) if of_type else bits
    stored = known.get(_STORED, bits)
    stored = stored if 0 < stored < bits <= 16 and known.get(_HIGH, stored - 1) == stored - 1 else 0
    form = _Form(bits, shape, signed and bits > 1, known.get(_PLANES) == 1 or syntax == _RLE, of_type, stored)
    if syntax in (_IMPLICIT, _EXPLICIT, _BIG):
        return _native(form, value, syntax == _BIG, known.get(_BYTES) == 1)
    spans, together = _frames(data, value.start, known)
    return _encapsulated(form, spans, syntax)._replace(together=together)


def _jpeg(data: Buffer, spans: list[Span], colours: bool) -> Files:
    """Frames that are JPEG files; ``colours``: they are red, green and blue, which a marker says if none does else."""
    told = not spans or bytes(data[spans[0].start + 2 : spans[0].start + 4]) in (b"\xff\xe0", b"\xff\xee")
    return Files(spans, front=ADOBE if colours and not told else b"")


def _encapsulated(form: _Form, spans: list[Span], syntax: bytes) -> Samples | Numbers:
    bits, frame = form.bits, form.frame
    if (bits == 1 and (form.shape[2] % 8 or syntax in _LOSSLESS)) or form.of_type[:1] == "f":
        raise ImageError(f"DICOM pixels of {bits} bits that are coded")
    if syntax == _RLE:
        codec = f"rle{bits}" if bits > 8 else "rle"
    elif syntax == _DEFLATED_FRAMES:
        codec = "deflate"
    else:
        codec, form = f"ljpeg {bits // 8}", form._replace(planes=False)
    if form.of_type:
        return Numbers(spans, form.axes, form.of_type, False, codec, frame, frame)
    return Samples(spans, form.shape, _layout(form), codec, frame, frame, form.stored)


def _native(form: _Form, value: Span, big: bool, single: bool) -> Samples | Numbers:
    """As they are; big-endian ones in words of 16 bits, unless they are said to be ``single`` bytes."""
    bits, size = form.bits, -(-math.prod(form.shape) * form.bits // 8)
    if value.size == _UNDEFINED or value.size < size:
        raise ImageError("DICOM pixels of another size than announced")
    span, pairs = Span(value.start, size), big and not single
    if form.of_type:
        return Numbers([span], form.axes, form.of_type, big)
    layout = structs.replace(_layout(form), big=big and bits == 16)
    whole = layout.size(form.shape)
    if bits == 1 and form.shape[2] % 8:
        if pairs:
            raise ImageError("DICOM pixels in an unusual order")
        return Samples([span], form.shape, layout, f"bits {form.shape[2]}", whole, whole)
    if pairs and bits < 16:
        return Samples([Span(value.start, size + size % 2)], form.shape, layout, "pairs", whole, whole)
    return Samples([span], form.shape, layout, stored=form.stored)


def _layout(form: _Form) -> Layout:
    axes = "nchw" if form.planes and form.shape[3] > 1 else "nhwc"
    return Layout(form.bits, axes=axes, signed=form.signed, reverse=form.bits == 1)


def _frames(data: Buffer, at: int, known: dict[int, int]) -> tuple[list[Span], list[int]]:
    """The fragments of frames; and how many make up each, if not each is one: by a table of where frames begin, or by
    how JPEG files do. (DICOM PS3.5, annex A.4.)"""
    table, *spans = _fragments(data, at)
    frames = known.get(_FRAMES, 1)
    if len(spans) <= frames:
        return spans, []
    if frames == 1:
        return spans, [len(spans)]
    if table.size == 4 * frames:
        offsets: Sequence[int] = struct.unpack_from(f"<{frames}I", data, table.start)
    elif known.get(_OFFSETS_SIZE, 0) == 8 * frames:
        offsets = struct.unpack_from(f"<{frames}Q", data, known[_OFFSETS])
    else:
        starts = (span.start for span in spans if bytes(data[span.start : span.start + 2]) == b"\xff\xd8")
        offsets = [start - spans[0].start for start in starts]
    numbers = {span.start - spans[0].start: number for number, span in enumerate(spans)}
    begins = [numbers.get(offset, -1) for offset in offsets]
    together = [after - before for before, after in pairwise([*begins, len(spans)])]
    if len(begins) != frames or begins[0] or min(together) < 1:
        raise ImageError("DICOM frames in fragments that nothing tells apart")
    return spans, together


def _fragments(data: Buffer, at: int) -> list[Span]:
    """What encapsulated pixels consist of; the first is the table of offsets."""
    found: list[Span] = []
    while True:
        high, low, size = struct.unpack_from("<HHI", data, at)
        if high << 16 | low != _ITEM or at + 8 + size > len(data):
            break
        found.append(Span(at + 8, size))
        at += 8 + size
    if high << 16 | low != _SEQUENCE_END or not found:
        raise ImageError("damaged DICOM fragments")
    return found


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
