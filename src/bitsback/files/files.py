"""Take a file apart, put it together again, and believe neither until they agree."""

from __future__ import annotations

import io
import mmap
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import FormatError, ImageError
from bitsback.files import formats
from bitsback.files.picture import Buffer, Images, Picture, Recipe, Source

_MAPPED = 1 << 26
"""Files from this size on are mapped instead of read, so that their arrays need no memory of their own."""

_SUFFIXES = {
    ".png": "png",
    ".apng": "png",
    ".pbm": "pnm",
    ".pgm": "pnm",
    ".ppm": "pnm",
    ".pnm": "pnm",
    ".bmp": "bmp",
    ".dib": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".npy": "npy",
    ".npz": "npz",
    ".gz": "gzip",
}


def read(source: Source) -> Picture:
    """Take the file apart. Whatever is wrong with it, the answer is a Picture: at worst its bytes and a note.

    The parts of a file of 64 MiB or more may be views of the mapped file, so it should not change until they are done
    with. Parts are read-only where they are views.

    Raises ImageError if the file cannot be opened or read (any more).
    """
    try:
        with source.path.open("rb") as file:
            if source.size >= _MAPPED and formats.recognise(file.read(8)):
                return parse(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), source.name)
            file.seek(0)
            return parse(file.read(), source.name)
    except OSError as error:
        raise ImageError(f"{source.name}: {(error.strerror or type(error).__name__).lower()}") from None


def parse(data: Buffer, name: str = "") -> Picture:
    """Take a file's bytes apart, as :func:`read` does; ``name`` tells what the file claims to be.

    >>> picture = parse(b"P5 3 2 255 abcdef")
    >>> picture.parts[0].shape, picture.recipe, picture.blob
    ((1, 2, 3, 1), {'format': 'pnm', 'head': 11, 'layout': {}}, b'P5 3 2 255 ')
    >>> write(picture.recipe, picture.blob, picture.parts)
    b'P5 3 2 255 abcdef'
    >>> parse(b"hello").raw
    b'hello'
    """
    claimed = _SUFFIXES.get(PurePosixPath(name).suffix.lower())
    found = formats.recognise(data)
    note = ""
    if found is None:
        note = f"not a {claimed} file" if claimed else ""
    else:
        try:
            content = formats.read(found, data)
            if content.sure:
                return Picture(content.parts, content.recipe, content.blob, exact=found != "gzip")
            again = formats.write(content.recipe, content.blob, content.parts)
            if (exact := again == data) or formats.read(found, again).same(content):
                return Picture(content.parts, content.recipe, content.blob, exact=exact)
            note = "it would not come back unchanged"
        except ImageError as error:
            note = str(error)
        except Exception as error:  # whatever a damaged file does to a parser, the folder goes on
            note = f"damaged ({type(error).__name__}: {error})".replace("\n", " ")
        if found != claimed and found not in ("png", "npy", "tiff", "idx"):
            note = ""  # the magic is too short to tell: a text may begin with "BM" or "P5 "
    return Picture(raw=bytes(data), note=f"{name or 'the file'} is kept as it is: {note}" if note else "")


def from_array(array: NDArray[Any]) -> Picture:
    """The Picture of the ``.npy`` file that ``numpy.save`` would make of ``array`` (no object arrays: ImageError).

    >>> import numpy as np
    >>> from_array(np.zeros((5, 28, 28), np.uint8)).parts[0].shape
    (5, 28, 28, 1)
    """
    file = io.BytesIO()
    try:
        np.lib.format.write_array(file, array, allow_pickle=False)
    except ValueError as error:
        raise ImageError(f"the array cannot be stored: {error}") from None
    return parse(file.getvalue())


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file's bytes again. Raises FormatError if recipe, blob and parts do not fit together."""
    try:
        for part in parts:
            if part.ndim != 4 or part.size == 0 or part.dtype not in (np.uint8, np.uint16):
                raise ValueError("a part is not an array of images")
        return formats.write(recipe, blob, parts)
    except Exception as error:  # recipe and blob come from an archive that nobody vouches for
        reason = str(error).replace("\n", " ")
        raise FormatError(f"the recipe of a file cannot be followed ({type(error).__name__}: {reason})") from None


def npy_bytes(array: NDArray[Any]) -> bytes:
    """The ``.npy`` file that ``numpy.save`` would make of ``array``. ImageError for arrays of objects."""
    file = io.BytesIO()
    try:
        np.lib.format.write_array(file, array, allow_pickle=False)
    except ValueError as error:
        raise ImageError(f"the array cannot be stored: {error}") from None
    return file.getvalue()
