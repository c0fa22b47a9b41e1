"""Samples of this shape and type lie at these places of a file, through this codec: what most formats come to.

A format module reads headers until it can say that, as :class:`Samples`; what is not samples stays as it is, byte for
byte. A *span* is a run of bytes of the file. The bytes of the spans of an array, decoded by its codec and one after the
other, are a raster (:mod:`bitsback.files.raster`).

The blob holds, array by array, what stands where rows are padded and what the codec was free to choose; then all bytes
that belong to no span, in the order of the file.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from bitsback.errors import ImageError
from bitsback.files.packed import Sections, section, varint, varints
from bitsback.files.picture import MAX_SAMPLES, Buffer, Content, Images, Recipe
from bitsback.files.raster import Layout, Shape, kept_beside, pack_beside, unpack, without_defaults

MAX_SPANS = 1 << 16
"""In a file."""


class Span(NamedTuple):
    """Bytes of a file."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


class Samples(NamedTuple):
    """An array of images in a file.

    ``codec``: what each span is coded by (a key of :data:`CODECS`), or nothing. With one, ``page``: after so many bytes
    of the raster a new span begins; and ``step``: so many hold all spans but the last of a page.
    """

    spans: Sequence[Span]
    shape: Shape
    layout: Layout = Layout()
    codec: str = ""
    step: int = 0
    page: int = 0


def read_places(kind: str, data: Buffer, arrays: Sequence[Samples]) -> Content:
    """The content of a file whose samples were found. Raises ImageError where they are not what was said."""
    view = memoryview(data)
    arrays = [one._replace(spans=_joined(one.spans)) if not one.codec else one for one in arrays]
    order = sorted(span for one in arrays for span in one.spans)
    if not order or len(order) > MAX_SPANS:
        raise ImageError("no pixels" if not order else f"pixels in {len(order)} pieces")
    if order[0].start < 0 or any(one.end > other.start for one, other in pairwise(order)):
        raise ImageError("pixels that share bytes")
    if order[-1].end > len(view):
        raise ImageError(f"the file ends {order[-1].end - len(view)} bytes before its pixels do")
    rest = len(view) - sum(span.size for span in order)
    if rest > (1 << 16) + sum(one.layout.size(one.shape) for one in arrays):
        raise ImageError("most of the file is not images")
    parts: list[Images] = []
    recipes: list[Recipe] = []
    blob: list[bytes] = []
    left = MAX_SAMPLES
    raster: Buffer
    for one in arrays:
        size = one.layout.size(one.shape)
        if not size:
            raise ImageError("no pixels")
        recipe = _without_codec(one)
        if one.codec:
            left -= size
            if left < 0:
                raise ImageError("more pixels than are unpacked here")
            raster, choices = _decoded(view, one, size, recipe)
        else:
            raster, choices = _gathered(view, one.spans), b""
        if len(raster) != size:
            raise ImageError(f"{len(raster)} bytes of pixels where {size} are due")
        part = unpack(raster, one.shape, one.layout)
        beside = kept_beside(raster, part, one.layout)
        if beside:
            recipe["beside"] = 1
            blob.append(beside)
        blob.append(choices)
        parts.append(part)
        recipes.append(recipe)
    at = 0
    for span in order:
        blob.append(bytes(view[at : span.start]))
        at = span.end
    blob.append(bytes(view[at:]))
    return Content(parts, {"format": kind, "arrays": recipes}, b"".join(blob))


def write_places(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    sections = Sections(blob)
    pieces: list[tuple[Span, bytes]] = []
    for one, part in zip(recipe["arrays"], parts, strict=True):
        layout = msgspec.convert(one.get("layout", {}), Layout)
        beside = sections.take(layout.beside(part.shape)) if one.get("beside") else b""
        raster = pack_beside(part, layout, beside)
        spans = _spans(one["at"])
        coded = _coded(raster, one, spans, sections) if one.get("codec") else _scattered(raster, spans)
        for span, some in zip(spans, coded, strict=True):
            if len(some) != span.size:
                raise ValueError("a piece of another size than its place")
            pieces.append((span, some))
    pieces.sort(key=lambda piece: piece[0])
    out: list[bytes] = []
    at = 0
    for span, some in pieces:
        out += [sections.take(span.start - at), some]
        at = span.end
    return b"".join([*out, sections.rest()])


# Places ---------------------------------------------------------------------------------------------------------------


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Spans that follow each other, as one."""
    out: list[Span] = []
    for span in spans:
        if out and out[-1].end == span.start:
            out[-1] = Span(out[-1].start, out[-1].size + span.size)
        elif span.size:
            out.append(span)
    return out


def _without_codec(one: Samples) -> Recipe:
    """Where, and in which layout: each span as the distance from the one before, and its size."""
    numbers, at = [], 0
    for span in one.spans:
        numbers += [span.start - at, span.size]
        at = span.end
    recipe: Recipe = {"at": numbers}
    if layout := without_defaults(one.layout):
        recipe["layout"] = layout
    return recipe


def _spans(numbers: list[int]) -> list[Span]:
    if len(numbers) % 2 or not all(isinstance(number, int) for number in numbers):
        raise ValueError("places come in pairs of numbers")
    spans, at = [], 0
    for gap, size in zip(numbers[::2], numbers[1::2], strict=True):
        if at + gap < 0 or size < 0:
            raise ValueError("a place before the file")
        spans.append(Span(at + gap, size))
        at = spans[-1].end
    return spans


def _gathered(view: memoryview, spans: Sequence[Span]) -> Buffer:
    if len(spans) == 1:
        return view[spans[0].start : spans[0].end]
    return b"".join(view[span.start : span.end] for span in spans)


def _scattered(raster: bytes, spans: Sequence[Span]) -> list[bytes]:
    at, out = 0, []
    for span in spans:
        out.append(raster[at : at + span.size])
        at += span.size
    if at != len(raster):
        raise ValueError("places that do not hold all samples")
    return out


# Codecs ---------------------------------------------------------------------------------------------------------------


class _Codec(NamedTuple):
    """``decode(data, limit)`` gives plain bytes, what says how they were coded (for JSON, mostly the same for all
    spans), choices that it does not say, and the size of what was decoded; ``encode(plain, how, choices, size)`` gives
    that again, ``size`` being the largest that it may be."""

    decode: Callable[[memoryview, int], tuple[bytes, Any, bytes, int]]
    encode: Callable[[bytes, Any, bytes, int], bytes]


def _decoded(view: memoryview, one: Samples, size: int, recipe: Recipe) -> tuple[bytes, bytes]:
    """The raster, and the choices of all spans; ``recipe`` learns how they were coded."""
    codec = CODECS[one.codec]
    hows: list[list[Any]] = []
    plains: list[bytes] = []
    choices: list[bytes] = []
    for number, span in enumerate(one.spans):
        due = _due(number, one.step, one.page)
        plain, how, chosen, used = codec.decode(view[span.start : span.end], due)
        if len(plain) != due:
            raise ImageError(f"a piece of {len(plain)} bytes where {due} are due")
        if hows and hows[-1][1] == how:
            hows[-1][0] += 1
        else:
            hows.append([1, how])
        plains.append(plain)
        choices += [section(chosen), section(bytes(view[span.start + used : span.end]))]
    if len(one.spans) * one.page != size * -(-one.page // one.step):
        raise ImageError("pieces that do not fit their samples")
    recipe |= {"codec": one.codec, "step": one.step, "page": one.page, "coded": hows}
    return b"".join(plains), b"".join(choices)


def _coded(raster: bytes, one: Recipe, spans: Sequence[Span], sections: Sections) -> list[bytes]:
    codec, step, page = CODECS[one["codec"]], one["step"], one["page"]
    if not 1 <= step <= page or sum(count for count, _ in one["coded"]) != len(spans):
        raise ValueError("pieces that do not fit their samples")
    hows = (how for count, how in one["coded"] for _ in range(count))
    out, at = [], 0
    for number, (span, how) in enumerate(zip(spans, hows, strict=True)):
        chosen, trailing = sections.section(), sections.section()
        plain = raster[at : at + _due(number, step, page)]
        at += len(plain)
        out.append(codec.encode(plain, how, chosen, span.size - len(trailing)) + trailing)
    if at != len(raster):
        raise ValueError("pieces that do not hold all samples")
    return out


def _due(number: int, step: int, page: int) -> int:
    """The plain bytes of a span."""
    return min(step, page - number % -(-page // step) * step)


def _inflate(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """A stream as RFC 1950 has it: its two first bytes are the same in most; a right checksum goes without saying."""
    from bitsback.files.deflate import take_apart  # here, so that other files never wait for the compiler

    if len(data) < 6 or data[0] & 15 != 8 or data[1] & 32:
        raise ImageError("no zlib stream")
    plain, rules, corrections, size = take_apart(data[2:], limit)
    right = bytes(data[2 + size : 6 + size]) == zlib.adler32(plain).to_bytes(4, "big")
    how = [data[0], data[1], int(right), *rules]
    return plain, how, corrections, size + (6 if right else 2)


def _deflate(plain: bytes, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files.deflate import put_together

    first, second, right, *rules = how
    ending = zlib.adler32(plain).to_bytes(4, "big") if right else b""
    return bytes([first, second]) + put_together(plain, rules, chosen) + ending


def _unlzw(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    from bitsback.files import lzw

    plain, runs, size = lzw.take_apart(data, limit)
    how, choices = _told(runs)
    return plain, how, choices, size


def _lzw(plain: bytes, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files import lzw

    return lzw.put_together(plain, _runs(how, chosen, len(plain)), size)


def _ungif(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """The bits of a symbol, then LZW in blocks of one size, the last shorter perhaps, and an empty one."""
    from bitsback.files import lzw

    bits, blocks, at = data[0], [], 1
    while data[at]:
        blocks.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    coded = b"".join(blocks)
    size = len(blocks[0]) if blocks else 0
    if not 1 <= bits <= 8 or any(len(block) != size for block in blocks[:-1]) or (blocks and len(blocks[-1]) > size):
        raise ImageError("GIF data in unusual blocks")
    plain, runs, used = lzw.take_apart(coded, limit, lzw.Dialect(bits, False, 0))
    if used != len(coded):
        raise ImageError("GIF data that go on after their end")
    how, choices = _told(runs)
    return plain, [bits, 255 if len(blocks) == 1 else size, *how], varint(used) + choices, at + 1


def _gif(plain: bytes, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files import lzw

    bits, block, *rest = how
    if not 1 <= bits <= 8 or not 1 <= block <= 255:
        raise ValueError("impossible GIF symbols or blocks")
    sections = Sections(chosen)
    used = sections.varint()
    data = lzw.put_together(plain, _runs(rest, sections.rest(), len(plain)), used, lzw.Dialect(bits, False, 0))
    blocks = [data[at : at + block] for at in range(0, len(data), block)]
    return b"".join([bytes([bits]), *(bytes([len(block)]) + block for block in blocks), b"\0"])


def _told(runs: list[int]) -> tuple[list[int], bytes]:
    """LZW's runs in short: those between clear codes are mostly of one length, but for the last."""
    usual = max(runs[1:-1], default=0)
    if len(runs) > 1 and runs == [0, *[usual] * (len(runs) - 2), runs[-1]]:
        return [len(runs) - 2, usual], varint(runs[-1])
    return [], varints(runs)


def _runs(how: list[int], chosen: bytes, most: int) -> list[int]:
    """The inverse of :func:`_told`."""
    if not how:
        return Sections(chosen).varints(most + 2)
    count, usual = how
    if not 0 <= count <= most:
        raise ValueError("impossible LZW runs")
    return [0, *[usual] * count, Sections(chosen).varint()]


def _unpackbits(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """The bytes between the runs are what an encoder chose: kept, and packed with all others of a chunk."""
    plain, heads = bytearray(), bytearray()
    at = 0
    while len(plain) < limit:
        if at >= len(data):
            raise ImageError("damaged PackBits data")
        head = data[at]
        heads.append(head)
        if head < 128:
            plain += data[at + 1 : at + 2 + head]
            at += 2 + head
        else:
            if head > 128:
                plain += bytes(data[at + 1 : at + 2]) * (257 - head)
            at += 2 if head > 128 else 1
        if at > len(data) or len(plain) > limit or len(heads) > 2 * len(plain) + _IDLE:
            raise ImageError("damaged PackBits data")
    return bytes(plain), 0, bytes(heads), at


def _packbits(plain: bytes, how: Any, chosen: bytes, size: int) -> bytes:
    out, at = bytearray(), 0
    if len(chosen) > 2 * len(plain) + _IDLE:  # cannot be, as in reading
        raise ValueError("PackBits data of nothing")
    for head in chosen:
        out.append(head)
        if head < 128:
            out += plain[at : at + 1 + head]
            at += 1 + head
        elif head > 128:
            out += plain[at : at + 1]
            at += 257 - head
    return bytes(out)


_IDLE = 64
"""Heads of PackBits that may stand for nothing, besides one for each byte."""

CODECS = {
    "zlib": _Codec(_inflate, _deflate),
    "lzw": _Codec(_unlzw, _lzw),
    "gif": _Codec(_ungif, _gif),
    "packbits": _Codec(_unpackbits, _packbits),
}

__all__ = ["CODECS", "Samples", "Span", "read_places", "write_places"]
