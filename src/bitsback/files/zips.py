"""zip, and cbz, its members modelled like files where they are stored or deflated; all else as it is.

(PKWARE, APPNOTE.TXT 6.3.10.) What the directory at the end lists is believed as far as the members' own headers agree.
Where members may have images, a small deflated one is taken apart whatever it holds, as its bytes are packed better
together with all others.
"""

from __future__ import annotations

import io
import zipfile
import zlib

from bitsback.errors import ImageError
from bitsback.files import formats
from bitsback.files.picture import Budget, Buffer, Content, NoImageError, can_inflate
from bitsback.files.places import MAX_SPANS, Files, Span, read_places

MAX_OTHER = 1 << 20
"""Bytes of a deflated member that is taken apart without being an image: following its encoder takes a second a MB."""

_CODECS = {zipfile.ZIP_STORED: "", zipfile.ZIP_DEFLATED: "deflate"}


def read(data: Buffer, budget: Budget) -> Content:
    """Take a zip file apart. Raises ImageError if it is damaged, or none of its members can be."""
    view = memoryview(data)
    found: list[tuple[str, list[Span], list[int]]] = []
    for info in members(data):
        span = Span(content(view, info), info.compress_size)
        codec = _CODECS.get(info.compress_type)
        if codec is None or info.flag_bits & 1 or not span.size:
            continue
        if not can_inflate(info.file_size, info.compress_size) or (not codec and info.file_size != span.size):
            continue
        if codec and info.file_size > MAX_OTHER and _announced(view[span.start : span.end]) is None:
            continue
        if not found or found[-1][0] != codec:
            found.append((codec, [], []))
        found[-1][1].append(span)
        found[-1][2].append(info.file_size)
    if not any(_announced(view[span.start : span.end], codec) for codec, spans, _ in found for span in spans):
        raise NoImageError
    return read_places("zip", data, [Files(spans, codec, sizes) for codec, spans, sizes in found], budget, sparse=True)


def _announced(stored: memoryview, codec: str = "deflate") -> str | None:
    """The format that a member's first bytes announce."""
    if not codec:
        return formats.recognise(stored)
    try:
        return formats.recognise(zlib.decompressobj(-15).decompress(stored, formats.MAGIC_BYTES))
    except zlib.error:
        return None


def members(data: Buffer) -> list[zipfile.ZipInfo]:
    """What the directory of a zip file lists, in the order of the file. Raises ImageError."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise ImageError(f"a damaged zip file ({error})") from None
    if len(infos) > MAX_SPANS:
        raise ImageError(f"a zip file of {len(infos):,} members")
    return sorted(infos, key=lambda info: info.header_offset)


def content(view: memoryview, info: zipfile.ZipInfo) -> int:
    """Where a member's content begins, by its own header."""
    at = info.header_offset
    if bytes(view[at : at + 4]) != b"PK\x03\x04":
        raise ImageError("an archive with a damaged member")
    name, extra = (int.from_bytes(view[at + n : at + n + 2], "little") for n in (26, 28))
    return at + 30 + name + extra


__all__ = ["members", "read"]
