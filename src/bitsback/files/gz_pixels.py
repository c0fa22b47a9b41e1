"""A simple image or array file within gzip (``.gz``) where only pixels and metadata are asked for.

The gzip header (time, name, comment) is kept as it is; the content is deflated anew, always in the same way, so the
result may differ from the original in its bytes, but not in what it holds.
"""

from __future__ import annotations

import zlib

from bitsback.errors import ImageError
from bitsback.files import formats
from bitsback.files.picture import MAX_SAMPLES, Buffer, Content, Images, NoImageError, Recipe

INNER = ("idx", "npy", "pnm", "bmp", "tiff", "nifti", "nifti2", "fits", "mrc", "nrrd")


def read(data: Buffer) -> Content | None:
    """Take a gzip file apart; None if there are files within its content, which are taken apart with their deflate
    streams. Raises ImageError if it is damaged, or holds nothing that can be taken apart."""
    view = memoryview(data)
    start = header(bytes(view[: 1 << 16]))
    inner = _inflate(view[start:])
    kind = formats.recognise(inner)
    if kind not in INNER:
        raise NoImageError
    content = formats.read(kind, inner)
    if formats.nests(content.recipe):
        return None
    if not content.sure and not formats.holds(kind, inner, content):
        raise ImageError("the file in the gzip file would not come back unchanged")
    recipe: Recipe = {"format": "gzip", "header": start, "inner": content.recipe}
    return Content(content.parts, recipe, bytes(view[:start]) + content.blob, sure=True, exact=False)


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """A gzip file with the same header and content."""
    start = recipe["header"]
    if not 10 <= start <= len(blob) or recipe["inner"]["format"] not in (*INNER, "words"):
        raise ValueError("the gzip header is missing")
    inner = formats.write(recipe["inner"], blob[start:], parts)
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    ending = zlib.crc32(inner).to_bytes(4, "little") + (len(inner) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"".join((blob[:start], deflater.compress(inner), deflater.flush(), ending))


def header(data: bytes) -> int:
    """Where the deflated content begins (RFC 1952)."""
    flags, at = data[3], 10
    if flags & 0xE0:
        raise ImageError("unknown gzip flags")
    if flags & 4:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for flag in (8, 16):  # name, comment
        if flags & flag:
            at = data.index(b"\x00", at) + 1
    return at + (2 if flags & 2 else 0)


def _inflate(body: memoryview) -> bytes:
    """The content of the only member, bounded, checked, and only if it looks like something of ours."""
    stream = zlib.decompressobj(-15)
    try:
        head = stream.decompress(body, formats.MAGIC_BYTES)
        if formats.recognise(head) not in INNER:
            raise NoImageError
        inner = head + stream.decompress(stream.unconsumed_tail, MAX_SAMPLES)
    except zlib.error as error:
        raise ImageError(f"damaged gzip content ({error})") from None
    ending = zlib.crc32(inner).to_bytes(4, "little") + (len(inner) & 0xFFFFFFFF).to_bytes(4, "little")
    if not stream.eof:
        raise ImageError("the gzip content is cut off, or too large to take apart")
    if stream.unused_data != ending:
        raise ImageError("wrong checksum in the gzip file, or something after its end")
    return inner
