"""The pixels of a PNG where nothing else is asked for: how they were filtered and deflated is not kept."""

from __future__ import annotations

import zlib

from bitsback.errors import ImageError
from bitsback.files.picture import Images, can_inflate
from bitsback.files.png_rows import Header, choices, filtered, gather, plain_rows


def read_image(bodies: list[memoryview], header: Header) -> Images:
    """The bodies of IDAT chunks -> samples (1, height, width, channels). Raises ImageError."""
    frame, _ = gather(_inflate(b"".join(bodies), header.size), header)
    return frame


def write_image(frame: Images, header: Header) -> bytes:
    """(height, width, channels) -> the body of one IDAT chunk."""
    return _deflate(frame, header)


def _inflate(deflated: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes, and nothing allocated for a file that promises more than deflate can hold."""
    if not can_inflate(size, len(deflated)):
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
