"""Finding the sources of images in files: looks at names and headers, and reads no pixels.

Only what is compressed as a whole (``.npz``, ``.gz``) is inflated, once, into a temporary file.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, cast

import numpy as np

from bitsback.data.sources import LOSSY, TYPES, Array, Shard, Single, Source, Spool
from bitsback.errors import ImageError
from bitsback.files import Skipped, formats
from bitsback.files.arrays import HEAD, Header, idx_header, npy_header

_ONE_IMAGE = frozenset(
    ".png .apng .pbm .pgm .ppm .pnm .bmp .dib .tif .tiff .jpg .jpeg .jpe .jfif .webp .gif".split()  # noqa: SIM905
)
"""Suffixes of files that hold an image each: these are not opened before they are read."""

_HEADERS = {"npy": npy_header, "idx": idx_header}


def open_source(path: str, label: str, spool: Callable[[], Spool]) -> tuple[list[Source], list[Skipped]]:
    """The sources in a file, and what was left out of it. Raises ImageError if there are none.

    Args:
        label: what the file is called. spool: gives the spool, if one is needed.
    """
    if PurePosixPath(label).suffix.lower() in _ONE_IMAGE:
        return [Single(path, label)], []
    try:
        with Path(path).open("rb") as file:
            head = file.read(512)
            file.seek(0)
            if _is_tar(head) or label.lower().endswith(".tar"):
                return _open_tar(file, path, label)
            match formats.recognise(head):
                case "npy" | "idx" as kind:
                    return [_array(path, label, _HEADERS[kind](file.read(HEAD)), Path(path).stat().st_size)], []
                case "npz" | "zip":
                    return _open_npz(file, path, label, spool), []
                case "gzip":
                    return [_open_gzip(file, path, label, spool)], []
                case None if not LOSSY.match(head):
                    raise ImageError("not an image")
                case _:
                    return [Single(path, label)], []
    except OSError as error:
        raise ImageError((error.strerror or str(error) or type(error).__name__).lower()) from None


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _size(header: Header) -> int:
    """Bytes of the numbers."""
    return math.prod(header.axes) * np.dtype(header.type).itemsize


def _array(file: str | Spool, label: str, header: Header, end: int) -> Array:
    """The source that a header announces, if the numbers end before byte ``end``."""
    if header.type not in TYPES:
        raise ImageError(f"an array of {_words(header)}: no network models these yet; compress codes them without one")
    array = Array(file, label, header.start, np.dtype(header.type), tuple(header.axes), header.fortran)
    if _size(header) * len(array) == 0:
        raise ImageError("no pixels")
    if header.start + _size(header) > end:
        raise ImageError("the file ends before its pixels do")
    return array


def _words(header: Header) -> str:
    """The type of its numbers.

    >>> _words(Header(0, "<f4", []))
    'float32'
    """
    try:
        return str(np.dtype(header.type))
    except TypeError:
        return header.type


def _open_npz(file: IO[bytes], path: str, label: str, spool: Callable[[], Spool]) -> list[Source]:
    """The arrays of images. Those of fewer than three axes beside others are labels; they are left out."""
    found: list[Source] = []
    others: list[str] = []
    try:
        with zipfile.ZipFile(file) as archive:
            headers: list[tuple[zipfile.ZipInfo, Header]] = []
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if info.filename.endswith(".npy"):
                    name = info.filename.removesuffix(".npy")
                    with archive.open(info) as member:
                        try:
                            headers.append((info, npy_header(member.read(HEAD))))
                            others.append(f"{name}: {_words(headers[-1][1])}")
                        except ImageError as error:
                            others.append(f"{name}: {error}")
            images = [entry for entry in headers if entry[1].type in TYPES and len(entry[1].axes) >= 2]
            if any(len(header.axes) >= 3 for _, header in images):
                images = [entry for entry in images if len(entry[1].axes) >= 3]
            for info, header in images:
                name = f"{label}/{info.filename.removesuffix('.npy')}"
                if info.compress_type == zipfile.ZIP_STORED:
                    begin = _stored_at(file, info)
                    header = header._replace(start=begin + header.start)
                    found.append(_array(path, name, header, begin + info.file_size))
                else:
                    with archive.open(info) as member:
                        found.append(_spooled(member, name, header, spool()))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ImageError(f"damaged, or compressed in an unusual way ({error})") from None
    if not found:
        raise ImageError(f"no arrays of 8-bit images ({', '.join(others[:4]) or 'no arrays at all'})")
    return found


def _stored_at(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where a member of a zip file begins."""
    file.seek(info.header_offset)
    name, extra = struct.unpack("<26xHH", file.read(30))
    return int(info.header_offset + 30 + name + extra)


def _spooled(stream: IO[bytes], label: str, header: Header, spool: Spool) -> Array:
    """The array of a compressed stream that begins with ``header``, inflated."""
    stream.read(header.start)
    begin = spool.append(stream, _size(header))
    stream.read(1)  # compares the checksum
    return _array(spool, label, header._replace(start=begin), begin + _size(header))


def _open_gzip(file: IO[bytes], path: str, label: str, spool: Callable[[], Spool]) -> Source:
    try:
        with cast(IO[bytes], gzip.GzipFile(fileobj=file)) as inner:
            head = inner.read(HEAD)
            kind = formats.recognise(head)
            if kind in _HEADERS:
                header = _HEADERS[kind](head)
                _array(path, label, header, header.start + _size(header))  # is it one, before it is inflated?
                inner.seek(0)
                return _spooled(inner, label, header, spool())
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ImageError(f"damaged gzip content ({error})") from None
    if _is_tar(head):
        raise ImageError("images in a compressed tar file cannot be read one by one: gunzip it first")
    if kind is None:
        raise ImageError("not an image")
    return Single(path, label)


def _open_tar(file: IO[bytes], path: str, label: str) -> tuple[list[Source], list[Skipped]]:
    found: dict[str, tuple[int, int]] = {}
    skipped: list[Skipped] = []
    end = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would remember them all
                if PurePosixPath(member.name).suffix.lower() not in _ONE_IMAGE or not member.isfile():
                    continue
                if member.issparse() or member.name in found:
                    reason = "a sparse member" if member.issparse() else "another member has the same name"
                    skipped.append(Skipped(f"{label}/{member.name}", reason))
                    continue
                found[member.name] = member.offset_data, member.size
            end = tar.offset
    except tarfile.TarError as error:
        if not found:
            raise ImageError(f"damaged tar file ({error})") from None
        skipped.append(Skipped(label, f"damaged ({error}): what follows is left out"))
    file.seek(end)
    if end and any(file.read(512)):  # tarfile takes a damaged header for the end
        skipped.append(Skipped(label, f"damaged at byte {end}: what follows is left out"))
    if not found:
        raise ImageError("a tar file without images")
    names = sorted(found, key=natural)
    places = np.array([found[name] for name in names], np.int64)
    return [Shard(path, label, names, places[:, 0], places[:, 1])], skipped


def natural(name: str) -> tuple[list[str | int], str]:
    """A key that sorts numbers within names by their value: frames of a film come in their order.

    >>> sorted(["f10.png", "f9.png", "a.png"], key=natural)
    ['a.png', 'f9.png', 'f10.png']
    """
    return [int(part) if k % 2 else part for k, part in enumerate(re.split("([0-9]+)", name))], name
