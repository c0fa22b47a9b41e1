"""Where images to learn from lie: in files of their own, in arrays, in tar shards; each is read when it is asked for.

A *source* holds some images by number (:mod:`bitsback.data.opening` finds them). Pixels are read image by image, from
any thread, so that memory stays small however large the files are.
"""

from __future__ import annotations

import io
import math
import os
import re
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files import formats
from bitsback.files.axes import as_images
from bitsback.files.files import NO_FAULT_OF_A_FILE

LOSSY = re.compile(rb"\xff\xd8\xff|GIF8[79]a|RIFF....WEBP", re.DOTALL)
"""First bytes of JPEG, GIF and WebP."""

TYPES = ("|b1", "|u1", "<u2", ">u2")
"""Types of samples, as NumPy writes them."""


class Item(NamedTuple):
    """An image as its file has it: ``pixels`` uint8 or uint16 (height, width, channels).

    ``palette``: the file has one. ``alone``: it has a file of its own.
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
        if image.dtype.str not in TYPES:
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


def ready() -> None:
    """Import all that decoding takes, now: in one of many threads an import may meet another."""
    from PIL import Image

    from bitsback.files import arrays, bmp, filters, gz, npz, png, pnm, tiff, words  # noqa: F401

    Image.init()


# Decoding -------------------------------------------------------------------------------------------------------------


def decode(data: bytes) -> Item:
    """The only image in a file's bytes. Raises ImageError with the reason."""
    if not data:
        raise ImageError("an empty file")
    found = formats.recognise(data)
    if found in (None, "jpeg", "gif") and LOSSY.match(data):  # pixels, not coefficients or indices
        return Item(_decode_lossy(data))
    if found in (None, "npy", "npz", "idx", "tar", "zip"):
        raise ImageError("not an image" if found is None else f"a file of kind {found} where an image was expected")
    try:
        content = formats.read(found, data, pixels=True)
    except ImageError as error:
        if found == "tiff":  # a compressed one, probably
            return Item(_decode_lossy(data))
        raise ImageError(str(error) or "not an image") from None
    except NO_FAULT_OF_A_FILE:
        raise
    except Exception as error:  # whatever a damaged file does to a parser
        raise ImageError(f"damaged ({type(error).__name__}: {error})".replace("\n", " ")) from None
    if "files" in (first := content.recipe.get("arrays", [{}])[0]) or "words" in first:
        if found == "tiff":
            return Item(_decode_lossy(data))
        raise ImageError(f"a file of kind {found} whose numbers are no samples")
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
