"""NumPy archives (``.npz``), byte for byte: a zip file of arrays.

Arrays of images become parts; everything else (labels, other types, object arrays) goes into the blob as it is. So do
the zip file's own structures: what lies before, between and after the members' contents.
"""

from __future__ import annotations

import io
import zipfile
from itertools import islice

from bitsback.errors import ImageError
from bitsback.files import formats, npz_pixels, words, zips
from bitsback.files.packed import Sections, section
from bitsback.files.picture import MAX_SAMPLES, Buffer, Content, Images, NoImageError, Recipe, can_inflate


def read(data: Buffer, pixels: bool = False) -> Content:
    """Take a ``.npz`` file apart; ``pixels``: only what it holds, its names and times, not how it was deflated.

    Raises ImageError if it is damaged, or has no arrays of images.
    """
    if pixels:
        return npz_pixels.read(data)
    view = memoryview(data)
    parts: list[Images] = []
    blob: list[bytes] = []
    entries: list[Recipe] = []
    at = only_exact = 0
    for info in _members(data):
        start = zips.content(view, info)
        stop = start + info.compress_size
        if start < at or stop > len(view):
            raise ImageError("an archive whose members overlap")
        entry, inner, extra = _entry(view[start:stop], info)
        if entry is None:
            continue
        entries.append(entry)
        parts += inner.parts
        only_exact += len(extra)
        blob += [section(bytes(view[at:start])), extra, section(inner.blob)]
        at = stop
    if not parts:
        raise ImageError("no arrays of images")
    blob.append(bytes(view[at:]))
    return Content(parts, {"format": "npz", "members": entries}, b"".join(blob), corrections=only_exact)


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    if "members" not in recipe:
        return npz_pixels.write(recipe, blob, parts)
    from bitsback.files.deflate import put_together

    sections, arrays, out = Sections(blob), iter(parts), []
    for entry in recipe["members"]:
        out.append(sections.section())
        corrections = sections.section() if entry.get("corrected") else b""
        inner = sections.section()
        if array := entry.get("array"):
            if array["format"] not in ("npy", "words"):
                raise ValueError("not an array")
            count = words.part_count(array) if array["format"] == "words" else 1
            inner = formats.write(array, inner, list(islice(arrays, count)))
        out.append(put_together(inner, entry["deflate"], corrections) if "deflate" in entry else inner)
    if next(arrays, None) is not None:
        raise ValueError("arrays are left over")
    return b"".join([*out, sections.rest()])


def _members(data: Buffer) -> list[zipfile.ZipInfo]:
    """What the directory of the zip file lists, in the order of the file. Raises ImageError."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
    if not infos or not all(info.filename.endswith(".npy") for info in infos):
        raise NoImageError
    if sum(info.file_size for info in infos) > MAX_SAMPLES:
        raise ImageError("an archive of more than 256 MiB is too large to take apart")
    for info in infos:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise ImageError("an archive with unusual compression or encryption")
        if not can_inflate(info.file_size, info.compress_size):
            raise ImageError("an archive that promises more than it can hold")
    return sorted(infos, key=lambda info: info.header_offset)


def _entry(stored: memoryview, info: zipfile.ZipInfo) -> tuple[Recipe | None, Content, bytes]:
    """A member's part of the recipe, its content, and corrections; None if it is best left as it is."""
    nothing = Content([], {})
    entry: Recipe = {}
    extra = b""
    inner = bytes(stored)
    if info.compress_type == zipfile.ZIP_DEFLATED:
        from bitsback.files.deflate import take_apart  # here, so that other files never wait for the compiler

        try:
            inner, entry["deflate"], corrections, size = take_apart(stored, info.file_size)
        except ImageError:
            return None, nothing, b""
        if size != len(stored) or len(inner) != info.file_size:
            return None, nothing, b""
        if corrections:
            entry["corrected"] = 1
            extra = section(corrections)
    content = npz_pixels.taken_apart(inner)
    if content.recipe:
        entry["array"] = content.recipe
    return entry, content, extra
