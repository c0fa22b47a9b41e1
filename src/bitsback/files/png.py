"""PNG, at the level of its chunks: every bit depth, palettes, transparency, interlace.

Pixels are the samples as they are stored: indices of a palette, 1, 2 and 4 bits unscaled, 16 bits in full. All chunks
but IHDR, IDAT and IEND are kept byte for byte and in their place before or after the pixels, so that nothing has to be
understood to be kept. What changes when the file is written again is how the pixels were filtered and deflated.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.picture import MAX_SAMPLES, Buffer, Content, Images, Recipe
from bitsback.files.raster import pack_bits, unpack_bits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_HEADER = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PLAIN = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""(x, y, dx, dy) of every pass: first column and row, and steps."""


def read(data: Buffer) -> Content:
    """Take a PNG file apart. Raises ImageError if it is damaged or holds something unknown that is critical."""
    view = memoryview(data)
    header, deflated, before, after, trailing = _chunks(view)
    width, height, depth, colour, compression, filtering, interlace = _HEADER.unpack(header)
    if depth not in _DEPTHS.get(colour, ()) or not width or not height or compression or filtering or interlace > 1:
        raise ImageError("impossible PNG header")
    channels = _CHANNELS[colour]
    if width * height * channels * max(1, depth // 8) > MAX_SAMPLES:
        raise ImageError(f"a PNG of {width} x {height} pixels is too large to take apart")
    lines = _inflate(deflated, _size(width, height, channels * depth, interlace))
    part = _gather(lines, width, height, channels, depth, interlace)
    recipe: Recipe = {"format": "png", "depth": depth, "colour": colour}
    if interlace:
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
    depth, colour, interlace = recipe["depth"], recipe["colour"], recipe.get("interlace", 0)
    if depth not in _DEPTHS.get(colour, ()) or channels != _CHANNELS[colour] or len(part) != 1:
        raise ValueError("the pixels do not fit the PNG header")
    first, last = recipe.get("before", 0), len(blob) - recipe.get("trailing", 0)
    if not 0 <= first <= last <= len(blob):
        raise ValueError("the blob is too short")
    header = _HEADER.pack(width, height, depth, colour, 0, 0, interlace)
    pixels = _deflate(part[0], depth, filtered=depth >= 8 and colour != 3, passes=_ADAM7 if interlace else _PLAIN)
    return b"".join(
        (SIGNATURE, _chunk(b"IHDR", header), blob[:first], _chunk(b"IDAT", pixels), blob[first:last], _END, blob[last:])
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _chunks(view: memoryview) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """(IHDR body, deflated pixels, chunks before them, chunks after them, bytes after the end)."""
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
        whole, body = view[at:stop], view[at + 8 : stop - 4]
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


def _passes(
    width: int, height: int, passes: tuple[tuple[int, int, int, int], ...]
) -> list[tuple[slice, slice, int, int]]:
    """The pixels of every pass that has any: rows, columns, and how many of each."""
    found = []
    for x, y, dx, dy in passes:
        across, down = -(-(width - x) // dx), -(-(height - y) // dy)
        if across > 0 and down > 0:
            found.append((slice(y, None, dy), slice(x, None, dx), down, across))
    return found


def _size(width: int, height: int, pixel_bits: int, interlace: int) -> int:
    """Bytes of all filtered rows."""
    passes = _passes(width, height, _ADAM7 if interlace else _PLAIN)
    return sum(down * (1 + -(-across * pixel_bits // 8)) for _, _, down, across in passes)


def _gather(lines: bytes, width: int, height: int, channels: int, depth: int, interlace: int) -> Images:
    """Filtered rows -> (1, height, width, channels)."""
    from bitsback.files.filters import unfilter  # here, so that files without pixels never wait for the compiler

    dtype = np.uint16 if depth == 16 else np.uint8
    image = np.empty((1, height, width, channels), dtype)
    data, at = np.frombuffer(lines, np.uint8), 0
    for rows, columns, down, across in _passes(width, height, _ADAM7 if interlace else _PLAIN):
        stride = -(-across * channels * depth // 8)
        filtered = data[at : at + down * (1 + stride)].reshape(down, 1 + stride)
        at += filtered.size
        plain = np.empty((down, stride), np.uint8)
        if not unfilter(filtered, max(1, channels * depth // 8), plain):
            raise ImageError("damaged PNG pixels (unknown filter)")
        if depth < 8:
            plain = unpack_bits(plain, across, depth)
        image[0, rows, columns] = plain.view(">u2" if depth == 16 else np.uint8).reshape(down, across, channels)
    return image


def _deflate(
    image: NDArray[np.uint8] | NDArray[np.uint16],
    depth: int,
    *,
    filtered: bool,
    passes: tuple[tuple[int, int, int, int], ...],
) -> bytes:
    """(height, width, channels) -> the body of IDAT. Palettes and few bits are best left unfiltered."""
    height, width, channels = image.shape
    lines = [
        _filtered(np.ascontiguousarray(image[rows, columns]).reshape(down, -1), depth, channels, filtered)
        for rows, columns, down, _ in _passes(width, height, passes)
    ]
    strategy = zlib.Z_FILTERED if filtered else zlib.Z_DEFAULT_STRATEGY
    deflater = zlib.compressobj(6, zlib.DEFLATED, 15, 9, strategy)
    return b"".join([*map(deflater.compress, lines), deflater.flush()])


def _filtered(samples: Images, depth: int, channels: int, filtered: bool) -> bytes:
    from bitsback.files.filters import choose_filters

    if samples.dtype != (np.uint16 if depth == 16 else np.uint8):
        raise ValueError("the samples do not fit the PNG header")
    if depth < 8:
        plain = pack_bits(samples, depth)
    else:
        plain = samples.astype(">u2" if depth == 16 else np.uint8).view(np.uint8)
    lines = np.zeros((len(plain), 1 + plain.shape[1]), np.uint8)
    if filtered:
        choose_filters(plain, max(1, channels * depth // 8), lines)
    else:
        lines[:, 1:] = plain
    return lines.tobytes()
