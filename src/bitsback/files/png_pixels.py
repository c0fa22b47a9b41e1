"""PNG where only pixels and metadata are asked for: every bit depth, palettes, transparency, interlace.

Pixels are the samples as they are stored: indices of a palette, 1, 2 and 4 bits unscaled, 16 bits in full. All chunks
but IHDR, IDAT and IEND are kept byte for byte and in their place before or after the pixels, so that nothing has to be
understood to be kept; but for their checksums, which are right. What changes when the file is written again is how the
pixels were filtered and deflated.
"""

from __future__ import annotations

import struct
import zlib

from bitsback.errors import ImageError
from bitsback.files.picture import MAX_SAMPLES, Buffer, Content, Images, Recipe
from bitsback.files.png_rows import Header, choices, filtered, gather, plain_rows

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def read(data: Buffer) -> Content:
    """Take a PNG file apart. Raises ImageError if it is damaged or holds something unknown that is critical."""
    view = memoryview(data)
    header, deflated, before, after, trailing = _chunks(view)
    image = Header.read(header)
    if image.bytes > MAX_SAMPLES:
        raise ImageError(f"a PNG of {image.width} x {image.height} pixels is too large to take apart")
    part, _ = gather(_inflate(deflated, image.size), image)
    recipe: Recipe = {"format": "png", "depth": image.depth, "colour": image.colour}
    if image.interlace:
        recipe["interlace"] = 1
    if before:
        recipe["before"] = len(before)
    if trailing:
        recipe["trailing"] = len(trailing)
    return Content([part], recipe, before + after + trailing, exact=False)


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """A PNG file with the same header, chunks and pixels."""
    (part,) = parts
    _, height, width, channels = part.shape
    header = Header(width, height, recipe["depth"], recipe["colour"], recipe.get("interlace", 0))
    if channels != header.channels or len(part) != 1:
        raise ValueError("the pixels do not fit the PNG header")
    first, last = recipe.get("before", 0), len(blob) - recipe.get("trailing", 0)
    if not 0 <= first <= last <= len(blob):
        raise ValueError("the blob is too short")
    pixels = _deflate(part[0], header)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header.write()),
            _with_sums(blob[:first]),
            _chunk(b"IDAT", pixels),
            _with_sums(blob[first:last]),
            _END,
            blob[last:],
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _with_sums(chunks: bytes) -> bytes:
    """Chunks that lack their checksums with these."""
    out, at = [], 0
    while at < len(chunks):
        size = int.from_bytes(chunks[at : at + 4], "big")
        if at + 8 + size > len(chunks):
            raise ValueError("a chunk is cut short")
        out.append(_chunk(chunks[at + 4 : at + 8], chunks[at + 8 : at + 8 + size]))
        at += 8 + size
    return b"".join(out)


def _chunks(view: memoryview) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """(IHDR body, deflated pixels, chunks before them and chunks after them without checksums, bytes after the end)."""
    header = b""
    pixels: list[memoryview] = []
    before: list[memoryview] = []
    after: list[memoryview] = []
    at, gap = len(SIGNATURE), False
    while True:
        if at + 12 > len(view):
            raise ImageError("the PNG ends before its IEND chunk")
        length, kind = struct.unpack_from(">I4s", view, at)
        stop = at + 12 + length
        if stop > len(view):
            raise ImageError(f"the PNG ends within its chunk {ascii(kind)[2:-1]}")
        if zlib.crc32(view[at + 4 : stop - 4]) != int.from_bytes(view[stop - 4 : stop], "big"):
            raise ImageError(f"wrong checksum in the PNG chunk {ascii(kind)[2:-1]} at byte {at}")
        whole, body = view[at : stop - 4], view[at + 8 : stop - 4]
        at = stop
        if not header:
            if kind != b"IHDR" or length != 13:
                raise ImageError("the PNG does not begin with its header")
            header = bytes(body)
        elif kind == b"IDAT":
            if gap:
                raise ImageError("the PNG has chunks among its pixels")
            pixels.append(body)
        elif kind == b"IEND":
            if length or not pixels:
                raise ImageError("the PNG has no pixels")
            return header, b"".join(pixels), b"".join(before), b"".join(after), bytes(view[at:])
        elif kind[0] & 0x20 or kind == b"PLTE":
            gap = bool(pixels)
            (after if gap else before).append(whole)
        else:
            raise ImageError(f"the PNG chunk {ascii(kind)[2:-1]} is unknown and critical")


def _inflate(deflated: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes, and nothing allocated for a file that promises more than deflate can hold."""
    if size > 1032 * len(deflated) + 64:
        raise ImageError("the PNG promises more pixels than it can hold")
    stream = zlib.decompressobj()
    try:
        lines = stream.decompress(deflated, size + 1)
    except zlib.error as error:
        raise ImageError(f"damaged PNG pixels ({error})") from None
    if len(lines) != size or not stream.eof or stream.unused_data:
        raise ImageError("the PNG holds more or fewer pixels than its header says")
    return lines


def _deflate(image: Images, header: Header) -> bytes:
    """(height, width, channels) -> the body of IDAT. Palettes and few bits are best left unfiltered."""
    with_filters = header.depth >= 8 and header.colour != 3
    rows = plain_rows(image, header)
    lines = filtered(rows, header, choices("01234" if with_filters else 0, b"", rows, header))
    deflater = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED if with_filters else zlib.Z_DEFAULT_STRATEGY)
    return deflater.compress(lines) + deflater.flush()
