"""The table of formats: which one a file's first bytes announce, and how it is read and written.

A new format is a module with a ``read`` (and, unless its pixels lie in the file as they are, a ``write``), and a row
here. Modules are imported when they are needed, so that a folder of text never waits for the compiler;
:func:`prepare` does so before threads are started, in which nothing should be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content, Images, Recipe


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table.

    ``reader`` and ``writer`` are functions, as module and name; formats without a reader only occur in recipes.
    ``certain``: the magic is long enough to say that the file was meant to be one; a text may begin with ``BM`` or
    ``P5``, too. ``at``: where in the file it stands. ``also``: modules that reading and writing import later.
    ``deflated``: the reader takes a second argument, whether pixels and metadata are all that is asked for.
    ``coefficients``: what is read is not images, but what :mod:`bitsback.kinds.jpeg` codes. ``ratio``: how many times
    as large as the file its samples may be, since they are coded in there.
    """

    name: str
    magic: tuple[bytes, ...] = ()
    suffixes: tuple[str, ...] = ()
    reader: tuple[str, str] | None = None
    writer: tuple[str, str] = ("raster", "write_place")
    certain: bool = True
    also: tuple[str, ...] = ()
    deflated: bool = False
    at: int = 0
    coefficients: bool = False
    ratio: int = 1


_NETPBM = tuple(b"P%d%c" % (kind, space) for kind in range(1, 7) for space in b" \t\r\n#")

_DEFLATE = ("deflate",)
_PLACES = ("places", "write_places")
_DEFLATED, _CODED = 1032, 4096
"""The most that deflate, and any codec of places, can make of a byte."""

FORMATS = {
    row.name: row
    for row in (
        Format(
            "png",
            (b"\x89PNG\r\n\x1a\n",),
            (".png", ".apng"),
            ("png", "read"),
            ("png", "write"),
            also=("filters", "png_rows", *_DEFLATE),
            deflated=True,
            ratio=_DEFLATED,
        ),
        Format("npy", (b"\x93NUMPY",), (".npy",), ("arrays", "read_npy")),
        Format("idx", (b"\x00\x00\x08\x03", b"\x00\x00\x08\x04"), (), ("arrays", "read_idx")),
        Format(
            "tiff",
            (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
            (".tif", ".tiff"),
            ("tiff", "read"),
            _PLACES,
            also=("lzw", *_DEFLATE),
            ratio=_CODED,
        ),
        Format("bmp", (b"BM",), (".bmp", ".dib"), ("bmp", "read"), certain=False),
        Format("pnm", _NETPBM, (".pbm", ".pgm", ".ppm", ".pnm"), ("pnm", "read"), ("pnm", "write"), certain=False),
        Format(
            "npz",
            (b"PK\x03\x04",),
            (".npz",),
            ("npz", "read"),
            ("npz", "write"),
            False,
            _DEFLATE,
            True,
            ratio=_DEFLATED,
        ),
        Format(
            "gzip",
            (b"\x1f\x8b\x08",),
            (".gz",),
            ("gz", "read"),
            ("gz", "write"),
            False,
            _DEFLATE,
            True,
            ratio=_DEFLATED,
        ),
        Format("gif", (b"GIF87a", b"GIF89a"), (".gif",), ("gif", "read"), _PLACES, also=("lzw",), ratio=_CODED),
        Format("dicom", (b"DICM",), (".dcm", ".dicom"), ("dicom", "read"), _PLACES, ratio=_CODED, at=128),
        Format("nifti", (b"n+1\0",), (".nii",), ("nifti", "read"), _PLACES, ratio=_CODED, at=344),
        Format("nifti2", (b"n+2\0\r\n\x1a\n",), (), ("nifti", "read"), _PLACES, ratio=_CODED, at=4),
        Format("fits", (b"SIMPLE  =",), (".fits", ".fit", ".fts"), ("fits", "read"), _PLACES, ratio=_CODED),
        Format("nrrd", (b"NRRD000",), (".nrrd",), ("nrrd", "read"), _PLACES, ratio=_CODED),
        Format("mrc", (b"MAP ",), (".mrc", ".mrcs", ".map"), ("mrc", "read"), _PLACES, False, ratio=_CODED, at=208),
        Format(
            "jpeg",
            (b"\xff\xd8\xff",),
            (".jpg", ".jpeg", ".jpe", ".jfif"),
            ("jpeg", "read"),
            ("jpeg", "write"),
            coefficients=True,
        ),
        Format("words", writer=("words", "write")),
    )
}

MAGIC_BYTES = max(row.at + len(magic) for row in FORMATS.values() for magic in row.magic)
"""First bytes of a file that :func:`recognise` looks at."""

_BY_MAGIC = [(magic, row.at, row.name) for row in FORMATS.values() for magic in row.magic]
_BY_SUFFIX = {suffix: row.name for row in FORMATS.values() for suffix in row.suffixes}


def recognise(data: Buffer) -> str | None:
    """The format that the first bytes announce."""
    head = bytes(data[:MAGIC_BYTES])
    return next((name for magic, at, name in _BY_MAGIC if head.startswith(magic, at)), None)


def claimed(suffix: str) -> str | None:
    """The format that a name with this suffix claims, upper or lower case."""
    return _BY_SUFFIX.get(suffix.lower())


def holds_coefficients(recipe: Recipe | None) -> bool:
    """Whether the parts of such a file are no images, but coefficients of one."""
    row = FORMATS.get(recipe.get("format", "")) if recipe else None
    return row is not None and row.coefficients


def shown(data: bytes) -> NDArray[Any]:
    """The image of a file that holds coefficients, as Pillow decodes it: uint8 (height, width) or (height, width,
    channels). Raises ImageError if Pillow cannot."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data)) as image:
            return np.asarray(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"Pillow cannot decode it ({error})") from None


def read(name: str, data: Buffer, pixels: bool = False) -> Content:
    """Take apart a file of the format ``name``; ``pixels``: only pixels and metadata are asked for.

    Raises ImageError; on damaged files also the errors of parsing (ValueError, IndexError, struct.error ...).
    """
    row = FORMATS[name]
    if row.reader is None:
        raise ValueError(f"no files are of the format {name!r}")
    content: Content = _function(*row.reader)(data, *([pixels] if row.deflated else []))
    return content


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again. Raises ValueError, KeyError, TypeError ... if recipe, blob and parts do not fit together."""
    name = recipe["format"]
    if name not in FORMATS:
        raise ValueError(f"unknown image format {name!r}")
    data: bytes = _function(*FORMATS[name].writer)(recipe, blob, parts)
    return data


def is_corrected(recipe: Recipe) -> bool:
    """Whether a file takes corrections to the rules of its deflate encoder, so that it comes back byte for byte."""
    streams = recipe.get("images", recipe.get("members"))
    return isinstance(streams, list) and any(isinstance(one, dict) and "corrected" in one for one in streams)


def prepare(names: Iterable[str]) -> None:
    """Import now what reading and writing these formats will need; names that are unknown need nothing."""
    for name in names:
        if (row := FORMATS.get(name)) is not None:
            for module in (*(row.reader or ())[:1], row.writer[0], *row.also):
                import_module(f"bitsback.files.{module}")


def holds(name: str, data: Buffer, content: Content) -> bool:
    """Whether ``content``, written and read again, is the same as before."""
    again = write(content.recipe, content.blob, content.parts)
    return again == data or read(name, again).same(content)


def _function(module: str, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(import_module(f"bitsback.files.{module}"), name)
    return function
