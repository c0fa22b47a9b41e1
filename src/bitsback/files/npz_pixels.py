"""NumPy archives (``.npz``) where only pixels and metadata are asked for: a zip file of arrays.

Arrays of images become parts; everything else in the archive (labels, other types, object arrays) goes into the blob
as it is. The zip file is built anew with the same members, times and attributes.
"""

from __future__ import annotations

import io
import zipfile
from itertools import islice
from typing import Any

from bitsback.errors import ImageError
from bitsback.files import formats, words
from bitsback.files.picture import MAX_SAMPLES, Buffer, Content, Images, NoImageError, Recipe, can_inflate

_FIELDS = ("compress_type", "create_system", "create_version", "extract_version", "internal_attr", "external_attr")


def read(data: Buffer) -> Content:
    """Take a ``.npz`` file apart. Raises ImageError if it is damaged, or has no arrays of images."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if not infos or not all(info.filename.endswith(".npy") for info in infos):
            raise NoImageError
        if len({info.filename for info in infos}) < len(infos):
            raise ImageError("an archive with two members of one name")
        if sum(info.file_size for info in infos) > MAX_SAMPLES:
            raise ImageError("an archive of more than 256 MiB is too large to take apart")
        parts: list[Images] = []
        blobs, entries = [], []
        for info in infos:
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
                raise ImageError("an archive with unusual compression or encryption")
            if not can_inflate(info.file_size, info.compress_size):
                raise ImageError("an archive that promises more than it can hold")
            inner = taken_apart(archive.read(info))
            parts += inner.parts
            blobs.append(inner.blob)
            entries.append(_entry(info, _is_zip64(data, info)) | {"blob": len(inner.blob), "array": inner.recipe})
        if not parts:
            raise ImageError("no arrays of images")
        packed = sum(info.compress_size for info in infos)
        recipe: Recipe = {"format": "npz", "entries": entries, "comment": archive.comment.hex()}
    # The zip structure's size is part of the content: if it differs when the file is built anew, the file holds
    # something (bytes before, between or after the members) that this module did not see.
    recipe["structure"] = len(data) - packed
    stored = all(info.compress_type == zipfile.ZIP_STORED for info in infos)
    return Content(parts, recipe, b"".join(blobs), exact=stored)


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """A zip file with the same members."""
    out, arrays, at = io.BytesIO(), iter(parts), 0
    if len({entry["name"] for entry in recipe["entries"]}) < len(recipe["entries"]):
        raise ValueError("two members of one name")
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = bytes.fromhex(recipe["comment"])
        for entry in recipe["entries"]:
            inner, at = blob[at : at + entry["blob"]], at + entry["blob"]
            if entry["array"]:
                kind = entry["array"]["format"]
                if kind not in ("npy", "words"):
                    raise ValueError("not an array")
                count = words.part_count(entry["array"]) if kind == "words" else 1
                inner = formats.write(entry["array"], inner, list(islice(arrays, count)))
            info = zipfile.ZipInfo(entry["name"], tuple(entry["time"]))
            info.extra, info.comment = bytes.fromhex(entry["extra"]), bytes.fromhex(entry["comment"])
            for name, value in zip(_FIELDS, entry["fields"], strict=True):
                setattr(info, name, value)
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("unknown compression")
            info.file_size = len(inner)
            with archive.open(info, "w", force_zip64=entry["zip64"]) as member:
                member.write(inner)
    if next(arrays, None) is not None or at != len(blob):
        raise ValueError("arrays or bytes are left over")
    return out.getvalue()


def taken_apart(inner: bytes) -> Content:
    """An array's content, or the member's bytes as a blob."""
    try:
        if formats.recognise(inner) == "npy":
            content = formats.read("npy", inner)
            if content.sure or formats.holds("npy", inner, content):
                return content
    except (ImageError, ValueError, IndexError):
        pass
    return Content([], {}, inner)


def _entry(info: zipfile.ZipInfo, zip64: bool) -> dict[str, Any]:
    return {
        "name": info.filename,
        "time": list(info.date_time),
        "fields": [getattr(info, name) for name in _FIELDS],
        "extra": info.extra.hex(),
        "comment": info.comment.hex(),
        "zip64": zip64,
    }


def _is_zip64(data: Buffer, info: zipfile.ZipInfo) -> bool:
    """Whether the member's own header (not the directory) begins its extra field with 64-bit sizes, as NumPy's do."""
    at = info.header_offset
    name, extra = (int.from_bytes(data[at + n : at + n + 2], "little") for n in (26, 28))
    return extra >= 4 and bytes(data[at + 30 + name : at + 32 + name]) == b"\x01\x00"
