"""Where images to learn from lie: in files of their own, in arrays, in tar shards; each is read when it is asked for.

A *source* holds some images by number. Opening one looks at names and headers; pixels are read image by image, from any
thread, so that memory stays small however large the files are. What is compressed as a whole (``.npz``, ``.gz``) is
inflated once, into a temporary file.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import re
import struct
import tarfile
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files import Skipped, formats
from bitsback.files.arrays import as_images
from bitsback.files.picture import MAX_SAMPLES

_ONE_IMAGE = frozenset(
    ".png .apng .pbm .pgm .ppm .pnm .bmp .dib .tif .tiff .jpg .jpeg .jpe .jfif .webp .gif".split()  # noqa: SIM905
)
"""Suffixes of files that hold an image each: these are not opened before they are read."""

_LOSSY = re.compile(rb"\xff\xd8\xff|GIF8[79]a|RIFF....WEBP", re.DOTALL)
"""First bytes of JPEG, GIF and WebP."""

_TYPES = ("|b1", "|u1", "<u2", ">u2")


class Item(NamedTuple):
    """An image as its file has it: ``pixels`` uint8 or uint16 (height, width, channels).

    ``palette``: the pixels are indices of colours. ``alone``: it has a file of its own.
    """

    pixels: NDArray[Any]
    palette: bool = False
    alone: bool = True


class Source(Protocol):
    """Images by number. ``read`` raises ImageError with the reason alone; who asked knows the name."""

    def __len__(self) -> int: ...
    def name(self, index: int) -> str: ...
    def read(self, index: int) -> Item: ...


@dataclass(frozen=True, slots=True)
class Single:
    """A file with one image."""

    path: str
    label: str

    def __len__(self) -> int:
        return 1

    def name(self, index: int) -> str:
        return self.label

    def read(self, index: int) -> Item:
        return decode(_slice(self.path))


@dataclass(frozen=True, slots=True)
class Shard:
    """A tar file whose members are images, found by their offsets (int64) and sizes (int64)."""

    path: str
    label: str
    names: Sequence[str]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return f"{self.label}/{self.names[index]}"

    def read(self, index: int) -> Item:
        return decode(_slice(self.path, int(self.offsets[index]), int(self.sizes[index])))


@dataclass(frozen=True)
class Array:
    """An array in a file (or in the spool): ``axes`` items of ``dtype`` from byte ``start`` on."""

    file: str | Spool
    label: str
    start: int
    dtype: np.dtype[Any]
    axes: tuple[int, ...]
    fortran: bool = False

    @cached_property
    def _layout(self) -> tuple[tuple[int, int, int, int], str]:
        return as_images(list(self.axes))

    def __len__(self) -> int:
        return self._layout[0][0]

    def name(self, index: int) -> str:
        return f"{self.label}[{index}]" if len(self) > 1 else self.label

    def read(self, index: int) -> Item:
        (count, height, width, channels), order = self._layout
        first = order == "nchw"
        shape = (channels, height, width) if first else (height, width, channels)
        if self.fortran and count > 1:  # an image's samples are all over the file
            image = np.array(self._mapped((count, *shape))[index])
        else:
            size = math.prod(shape) * self.dtype.itemsize
            image = np.frombuffer(_slice(self.file, self.start + index * size, size), self.dtype)
            image = image.reshape(shape, order="F" if self.fortran else "C")
        image = image.transpose(1, 2, 0) if first else image
        native = np.uint16 if self.dtype.itemsize == 2 else np.uint8
        return Item(np.ascontiguousarray(image, native), alone=count == 1)

    def _mapped(self, axes: tuple[int, ...]) -> NDArray[Any]:
        file: Any = self.file.file if isinstance(self.file, Spool) else self.file
        try:
            return np.memmap(file, self.dtype, "r", self.start, axes, "F")
        except (OSError, ValueError) as error:
            raise ImageError(f"cannot be mapped ({error})") from None


@dataclass(frozen=True)
class Memory:
    """Images that the caller has: (height, width) or (height, width, channels) each."""

    images: Sequence[Any] | NDArray[Any]
    label: str

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return f"{self.label}[{index}]"

    def read(self, index: int) -> Item:
        image = np.asarray(self.images[index])
        if image.dtype.str not in _TYPES:
            raise ImageError(f"its samples are {image.dtype}")
        if image.ndim == 2:
            image = image[..., None]
        if image.ndim != 3 or not 1 <= image.shape[2] <= 4 or image.size == 0:
            raise ImageError(f"an image of shape {image.shape}")
        return Item(np.ascontiguousarray(image, np.uint16 if image.dtype.itemsize == 2 else np.uint8), alone=False)


class Spool:
    """A temporary file for what was inflated; it goes when the object does."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the finalizer)
        self._lock = threading.Lock()
        self._end = 0
        weakref.finalize(self, self.file.close)

    def append(self, stream: IO[bytes], size: int) -> int:
        """Copy ``size`` bytes to the end; where they begin."""
        start = self._end
        self.file.seek(start)
        while size:
            data = stream.read(min(size, 1 << 20))
            if not data:
                raise ImageError("the file ends before its pixels do")
            self.file.write(data)
            size -= len(data)
        self.file.flush()
        self._end = self.file.tell()
        return start

    def read(self, start: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self.file.fileno(), size, start)
        with self._lock:
            self.file.seek(start)
            return self.file.read(size)


def _slice(file: str | Spool, start: int = 0, size: int = -1) -> bytes:
    """Bytes of a file, all of it by default. Raises ImageError if they are not there."""
    try:
        if isinstance(file, Spool):
            data = file.read(start, size)
        else:
            with open(file, "rb") as opened:  # noqa: PTH123  (a Path would take a sixth of the time)
                opened.seek(start)
                data = opened.read(size)
    except OSError as error:
        raise ImageError((error.strerror or type(error).__name__).lower()) from None
    if len(data) < size:
        raise ImageError("the file ends before its pixels do")
    return data


# Opening --------------------------------------------------------------------------------------------------------------


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
            if head[257:262] == b"ustar" or label.lower().endswith(".tar"):
                return _open_tar(file, path, label)
            match formats.recognise(head):
                case "npy":
                    return [_array(path, label, *_npy_header(file), Path(path).stat().st_size)], []
                case "idx":
                    return [_array(path, label, *_idx_header(file), Path(path).stat().st_size)], []
                case "npz":
                    return _open_npz(file, path, label, spool), []
                case "gzip":
                    return [_open_gzip(file, path, label, spool)], []
                case None if not _LOSSY.match(head):
                    raise ImageError("not an image")
                case _:
                    return [Single(path, label)], []
    except OSError as error:
        raise ImageError((error.strerror or str(error) or type(error).__name__).lower()) from None


Header = tuple[int, "np.dtype[Any]", tuple[int, ...], bool]
"""Where the items of an array begin, their type, the array's axes, and whether these are in Fortran's order."""


def _npy_header(file: IO[bytes]) -> Header:
    """Read the head of a ``.npy`` file from where ``file`` stands; ``start`` is counted from there."""
    start = file.tell()
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        axes, fortran, dtype = reader(file)
    except (ValueError, KeyError, SyntaxError):
        raise ImageError("an unusual or damaged NumPy header") from None
    return file.tell() - start, dtype, axes, fortran


def _idx_header(file: IO[bytes]) -> Header:
    count = file.read(4)[3]
    axes = file.read(4 * count)
    if len(axes) < 4 * count:
        raise ImageError("the file ends within the IDX header")
    return 4 + 4 * count, np.dtype(np.uint8), struct.unpack(f">{count}I", axes), False


def _array(
    file: str | Spool, label: str, start: int, dtype: Any, axes: tuple[int, ...], fortran: bool, end: int
) -> Array:
    """The source, if there is one in ``end`` bytes."""
    if dtype.str not in _TYPES:
        raise ImageError(f"an array of {dtype}: no network models these yet; compress codes them with its predictor")
    array = Array(file, label, start, dtype, axes, fortran)
    if math.prod(axes) * len(array) == 0:
        raise ImageError("no pixels")
    if start + math.prod(axes) * dtype.itemsize > end:
        raise ImageError("the file ends before its pixels do")
    return array


def _open_npz(file: IO[bytes], path: str, label: str, spool: Callable[[], Spool]) -> list[Source]:
    """The arrays of images. Those of fewer than three axes beside others are labels; they are left out."""
    found: list[Source] = []
    others: list[str] = []
    try:
        with zipfile.ZipFile(file) as archive:
            headers: list[tuple[zipfile.ZipInfo, Header]] = []
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if info.filename.endswith(".npy"):
                    with archive.open(info) as member:
                        headers.append((info, _npy_header(member)))
            images = [entry for entry in headers if entry[1][1].str in _TYPES and len(entry[1][2]) >= 2]
            if any(len(axes) >= 3 for _, (_, _, axes, _) in images):
                images = [entry for entry in images if len(entry[1][2]) >= 3]
            for info, (start, dtype, axes, fortran) in images:
                name = f"{label}/{info.filename.removesuffix('.npy')}"
                where: str | Spool = path
                if info.compress_type == zipfile.ZIP_STORED:
                    begin, end = _stored_at(file, info) + start, Path(path).stat().st_size
                else:
                    where = spool()
                    with archive.open(info) as member:
                        member.read(start)
                        size = math.prod(axes) * dtype.itemsize
                        begin = where.append(member, size)
                        member.read(1)  # compares the checksum
                        end = begin + size
                found.append(_array(where, name, begin, dtype, axes, fortran, end))
            others = [f"{info.filename.removesuffix('.npy')}: {dtype}" for info, (_, dtype, _, _) in headers]
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


def _open_gzip(file: IO[bytes], path: str, label: str, spool: Callable[[], Spool]) -> Source:
    try:
        with cast(IO[bytes], gzip.GzipFile(fileobj=file)) as inner:
            head = inner.read(512)
            inner.seek(0)
            kind = formats.recognise(head)
            if kind in ("npy", "idx"):
                _, dtype, axes, fortran = _npy_header(inner) if kind == "npy" else _idx_header(inner)
                size = math.prod(axes) * dtype.itemsize
                _array(path, label, 0, dtype, axes, fortran, size)  # is it one, before it is inflated?
                where = spool()
                begin = where.append(inner, size)
                inner.read(1)  # compares the checksum
                return _array(where, label, begin, dtype, axes, fortran, begin + size)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ImageError(f"damaged gzip content ({error})") from None
    if head[257:262] == b"ustar":
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


# Decoding -------------------------------------------------------------------------------------------------------------


def decode(data: bytes) -> Item:
    """The only image in a file's bytes. Raises ImageError with the reason."""
    if not data:
        raise ImageError("an empty file")
    found = formats.recognise(data)
    if found == "gzip":
        inflater = zlib.decompressobj(31)
        try:
            data = inflater.decompress(data, MAX_SAMPLES)
        except zlib.error as error:
            raise ImageError(f"damaged gzip content ({error})") from None
        found = formats.recognise(data)
    if found in (None, "npy", "npz", "idx", "gzip"):
        if _LOSSY.match(data):
            return Item(_decode_lossy(data))
        raise ImageError("not an image" if found is None else f"a file of kind {found} where an image was expected")
    try:
        content = formats.read(found, data)
    except ImageError:
        if found == "tiff":  # a compressed one, probably
            return Item(_decode_lossy(data))
        raise
    except Exception as error:  # whatever a damaged file does to a parser
        raise ImageError(f"damaged ({type(error).__name__}: {error})".replace("\n", " ")) from None
    image = content.parts[0][0]
    palette = content.recipe.get("colour") == 3
    if found in ("bmp", "tiff") and image.shape[2] == 1:
        from PIL import Image

        try:
            with Image.open(io.BytesIO(data), formats=("BMP", "TIFF")) as picture:
                palette = picture.mode == "P"
        except Exception:  # Pillow does not know this variety, which is then a plain one
            palette = False
    return Item(image, palette)


def _decode_lossy(data: bytes) -> NDArray[np.uint8]:
    """What Pillow makes of JPEG, WebP, GIF (their first frame) and compressed TIFF: 8-bit grey or RGB, with alpha."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP", "GIF", "TIFF")) as picture:
            if picture.format == "TIFF" and max(picture.tag_v2.get(258, (1,))) > 8:  # type: ignore[attr-defined]
                raise ImageError("a compressed TIFF of more than 8 bits a sample")  # Pillow narrows some of these
            plain = picture if picture.mode in ("1", "L", "LA", "RGB", "RGBA") else picture.convert("RGB")
            image = np.array(plain, np.uint8)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("damaged, or of an unusual kind") from None
    except Exception as error:  # whatever a damaged file does to a decoder
        raise ImageError(f"damaged ({type(error).__name__}: {error})".replace("\n", " ")) from None
    return image if image.ndim == 3 else image[..., None]
