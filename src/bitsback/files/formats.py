"""The table of formats: which one a file's first bytes announce, and how it is read and written.

A new format is a module with a ``read`` (and, unless its pixels lie in the file as they are, a ``write``), and a row
here. Modules are imported when they are needed, so that a folder of text never waits for the compiler;
:func:`prepare` does so before threads are started, in which nothing should be imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.picture import INFLATED, MAX_SAMPLES, Budget, Buffer, Content, Images, Recipe


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table.

    ``reader`` and ``writer`` are functions, as module and name; formats without a reader only occur in recipes.
    ``certain``: the magic is long enough to say that the file was meant to be one; a text may begin with ``BM`` or
    ``P5``, too. ``at``: where in the file it stands. ``also``: modules that reading and writing import later.
    ``deflated``: the reader takes a second argument, whether pixels and metadata are all that is asked for.
    ``coefficients``: what is read is not images, but what :mod:`bitsback.kinds.jpeg` codes. ``ratio``: how many times
    as large as the file its samples may be, since they are coded in there. ``nests``: the reader takes a last argument,
    the budget of files within the file.
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
    nests: bool = False


_NETPBM = tuple(b"P%d%c" % (kind, space) for kind in range(1, 7) for space in b" \t\r\n#")
_NETPBM += (b"P7\nWIDTH", b"P7\nHEIGHT", b"P7\nDEPTH", b"P7\nMAXVAL", b"P7\nTUPLTYPE", b"P7\n#", b"PF\n", b"Pf\n")

_PCX = tuple(b"\n%c\1" % version for version in (0, 2, 3, 4, 5))

_DEFLATE = ("deflate",)
_ACR = (  # DICOM without its preamble: begins with the length of a group, a syntax, or a set of characters
    *(b"%c\0\0\0%s" % (group, length) for group in (2, 8) for length in (b"UL\4\0", b"\4\0\0\0")),
    b"\2\0\x10\0UI",
    b"\x08\0\5\0CS",
    b"\x08\0\5\0\x0a\0\0\0ISO_IR",
)
_DICOM = ("packbits", "jpeg", *_DEFLATE)
_PLACES = ("places", "write_places")
TAR_HEADER = 512
_CODED = 4096
"""The most that any codec of places can make of a byte."""

FORMATS = {
    row.name: row
    for row in (  # a DICOM file may begin like a TIFF file, and be one, too
        Format(
            "png",
            (b"\x89PNG\r\n\x1a\n",),
            (".png", ".apng"),
            ("png", "read"),
            ("png", "write"),
            also=("filters", "png_rows", *_DEFLATE),
            deflated=True,
            ratio=INFLATED,
        ),
        Format("npy", (b"\x93NUMPY",), (".npy",), ("arrays", "read_npy")),
        Format("idx", (b"\x00\x00\x08\x03", b"\x00\x00\x08\x04"), (), ("arrays", "read_idx")),
        Format(
            "dicom",
            (b"DICM",),
            (".dcm", ".dicom"),
            ("dicom", "read"),
            _PLACES,
            also=_DICOM,
            ratio=_CODED,
            at=128,
            nests=True,
        ),
        Format("acr", _ACR, (), ("dicom", "read"), _PLACES, False, _DICOM, ratio=_CODED, nests=True),
        Format(
            "tiff",
            (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
            (".tif", ".tiff"),
            ("tiff", "read"),
            ("tiff", "write"),
            also=("lzw", "fax", "packbits", "jpeg", *_DEFLATE),
            ratio=_CODED,
            nests=True,
        ),
        Format("bmp", (b"BM",), (".bmp", ".dib"), ("bmp", "read"), certain=False, also=("places", "bmp_runs")),
        Format("bmprle", writer=_PLACES, ratio=_CODED),
        Format(
            "pnm",
            _NETPBM,
            (".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".pfm"),
            ("pnm", "read"),
            ("pnm", "write"),
            certain=False,
        ),
        Format(
            "npz",
            (b"PK\x03\x04",),
            (".npz",),
            ("npz", "read"),
            ("npz", "write"),
            False,
            _DEFLATE,
            True,
            ratio=INFLATED,
        ),
        Format(
            "gzip",
            (b"\x1f\x8b\x08",),
            (".gz", ".tgz"),
            ("gz", "read"),
            ("gz", "write"),
            False,
            _DEFLATE,
            True,
            ratio=INFLATED,
            nests=True,
        ),
        Format("gif", (b"GIF87a", b"GIF89a"), (".gif",), ("gif", "read"), _PLACES, also=("lzw",), ratio=_CODED),
        Format(
            "tga",
            suffixes=(".tga", ".icb", ".vda", ".vst"),
            reader=("tga", "read"),
            writer=_PLACES,
            certain=False,
            also=("packbits",),
            ratio=_CODED,
        ),
        Format("qoi", (b"qoif",), (".qoi",), ("qoi", "read"), _PLACES, False, ("qoi_pixels",), ratio=_CODED),
        Format("pcx", _PCX, (".pcx",), ("pcx", "read"), _PLACES, certain=False, ratio=_CODED),
        Format(
            "ico",
            (b"\0\0\1\0", b"\0\0\2\0"),
            (".ico", ".cur"),
            ("ico", "read"),
            _PLACES,
            False,
            ("png", "filters", "png_rows", *_DEFLATE),
            ratio=_CODED,
            nests=True,
        ),
        Format("nifti", (b"n+1\0",), (".nii",), ("nifti", "read"), _PLACES, ratio=_CODED, at=344),
        Format("nifti2", (b"n+2\0\r\n\x1a\n",), (), ("nifti", "read"), _PLACES, ratio=_CODED, at=4),
        Format("fits", (b"SIMPLE  =",), (".fits", ".fit", ".fts"), ("fits", "read"), _PLACES, ratio=_CODED),
        Format("nrrd", (b"NRRD000",), (".nrrd",), ("nrrd", "read"), _PLACES, ratio=_CODED),
        Format("mrc", (b"MAP ",), (".mrc", ".mrcs", ".map"), ("mrc", "read"), _PLACES, False, ratio=_CODED, at=208),
        Format(
            "jpeg",
            (b"\xff\xd8\xff",),
            (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
            ("mpo", "read"),
            ("jpeg", "write"),
            coefficients=True,
            nests=True,
        ),
        Format("mpo", writer=_PLACES),
        Format("tar", suffixes=(".tar",), reader=("tar", "read"), writer=("tar", "write"), ratio=_CODED, nests=True),
        Format("zip", suffixes=(".zip", ".cbz"), reader=("zips", "read"), writer=_PLACES, ratio=_CODED, nests=True),
        Format("words", writer=("words", "write")),
    )
}

HOLDERS = ("tar", "zip", "gzip")
"""Formats of files that hold any others."""

MAGIC_BYTES = max(TAR_HEADER, *(row.at + len(magic) for row in FORMATS.values() for magic in row.magic))
"""First bytes of a file that :func:`recognise` looks at."""

_BY_MAGIC = re.compile(
    b"|".join(
        b"(?P<%s>(?s:.{%d})(?:%s))" % (row.name.encode(), row.at, b"|".join(map(re.escape, row.magic)))
        for row in FORMATS.values()
        if row.magic
    )
)
"""One look for all, of which the first in the table is taken."""

_BY_SUFFIX = {suffix: row.name for row in FORMATS.values() for suffix in row.suffixes}


def recognise(data: Buffer) -> str | None:
    """The format that the first bytes announce."""
    head = bytes(data[:MAGIC_BYTES])
    if is_tar_header(head):
        return "tar"
    match = _BY_MAGIC.match(head)
    found = match.lastgroup if match else None
    if (found is None or (found == "ico" and not any(head[4:5]))) and is_tga_header(head):
        return "tga"
    if found == "npz" and not head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b".npy"):
        return "zip"
    return found


def is_tga_header(head: bytes) -> bool:
    """Whether 18 bytes can be the header of a TGA file at all: map or none, and what there is then.

    >>> is_tga_header(b"some text that is long")
    False
    """
    if (
        len(head) < 18
        or head[2] not in (1, 2, 3, 9, 10, 11)
        or head[17] & 0xD0
        or 0 in (any(head[12:14]), any(head[14:16]))
    ):
        return False
    if head[2] & 7 == 1:
        return head[1] == 1 and head[16] == 8 and head[7] in (15, 16, 24, 32) and any(head[5:7])
    return head[1] == 0 and not any(head[3:8]) and head[16] in ((8,) if head[2] & 7 == 3 else (15, 16, 24, 32))


_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")


def is_tar_header(head: bytes) -> bool:
    """Whether 512 bytes describe a member of a tar file: of any dialect, as they all have the sum of its bytes.

    >>> is_tar_header(b"some text".ljust(512))
    False
    """
    match = _OCTAL.fullmatch(head, 148, 156)
    if match is None or len(head) < TAR_HEADER:
        return False
    return int(match[1], 8) == sum(head[:148]) + 8 * 32 + sum(head[156:TAR_HEADER])


def claimed(suffix: str) -> str | None:
    """The format that a name with this suffix claims, upper or lower case."""
    return _BY_SUFFIX.get(suffix.lower())


def coefficients(recipe: Recipe, count: int) -> frozenset[int]:
    """Which of ``count`` parts are no images, but coefficients of one; none of a recipe that has not so many."""
    runs = coefficient_runs(recipe, count)
    if sum(size for size, _ in runs) != count:
        return frozenset()
    ends = accumulate(size for size, _ in runs)
    return frozenset(k for end, (size, of) in zip(ends, runs, strict=True) if of for k in range(end - size, end))


def coefficient_runs(recipe: Recipe, count: int) -> list[tuple[int, bool]]:
    """How many parts in a row are of coefficients, and how many are not; ``count``, of a recipe that does not say how
    many it has. Nothing if it cannot be followed."""
    try:
        return list(_coefficient_runs(recipe, count))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _coefficient_runs(recipe: Recipe, count: int) -> Iterator[tuple[int, bool]]:
    row = FORMATS.get(recipe.get("format", ""))
    if "inner" in recipe:
        yield from _coefficient_runs(recipe["inner"], count)
        return
    if not nests(recipe):
        yield count, row is not None and row.coefficients
        return
    for one in recipe["arrays"]:
        if "files" not in one:
            yield _parts(one), False
            continue
        inner, each = one["files"], _parts(one)
        times = pieces(one)
        if inner and each:
            runs = coefficient_runs(inner, each)
            if len({of for _, of in runs}) == 1:
                yield times * each, runs[0][1]
            elif len(runs) * times <= MOST_PARTS:
                yield from runs * times
            else:
                raise ValueError("more parts than a file has")


def pieces(one: Recipe) -> int:
    """How many pieces, or files, stand at the places of an array. Raises ValueError."""
    spans = len(one["at"]) // 2
    found = sum(count for count, _ in one["together"]) if "together" in one else spans
    if not 0 <= found <= spans:
        raise ValueError("more pieces than places")
    return int(found)


def _parts(one: Recipe) -> int:
    """Of a file within a file, or of an array of numbers."""
    count = one.get("parts", 1)
    if not isinstance(count, int) or not 0 <= count <= MOST_PARTS:
        raise ValueError("an impossible number of parts")
    return count


MOST_PARTS = 1 << 16
"""Of a file."""


def nests(recipe: Recipe) -> bool:
    """Whether such a file has parts that are files'."""
    if "inner" in recipe:
        return nests(recipe["inner"])
    return "arrays" in recipe and any("files" in one for one in recipe["arrays"])


def shown(data: bytes) -> NDArray[Any]:
    """The image of a JPEG file, as Pillow decodes it: uint8 (height, width) or (height, width,
    channels). Raises ImageError if Pillow cannot."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data)) as image:
            return np.array(image)  # its own: what Pillow shares cannot be written to
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"Pillow cannot decode it ({error})") from None


def read(name: str, data: Buffer, pixels: bool = False, budget: Budget | None = None) -> Content:
    """Take apart a file of the format ``name``; ``pixels``: only pixels and metadata are asked for; ``budget``: what
    files within it may still unpack.

    Raises ImageError; on damaged files also the errors of parsing (ValueError, IndexError, struct.error ...).
    """
    row = FORMATS[name]
    if row.reader is None:
        raise ValueError(f"no files are of the format {name!r}")
    if budget is None:  # no more than can be of such a file (samples of a bit take eight), so that a bomb ends early
        most = _CODED * len(data) * (1 if name in HOLDERS else 8)
        budget = Budget(min(MAX_SAMPLES, most + (1 << 16)))
    extra = ([pixels] if row.deflated else []) + ([budget] if row.nests else [])
    content: Content = _function(*row.reader)(data, *extra)
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
    if "inner" in recipe and is_corrected(recipe["inner"]):
        return True
    if "arrays" in recipe and nests(recipe):
        return any(is_corrected(one["files"]) for one in recipe["arrays"] if one.get("files"))
    streams = recipe.get("images", recipe.get("members"))
    return isinstance(streams, list) and any(isinstance(one, dict) and "corrected" in one for one in streams)


def prepare(names: Iterable[str]) -> None:
    """Import now what reading and writing these formats will need; names that are unknown need nothing."""
    names = set(names)
    if names & set(HOLDERS):
        names = set(FORMATS)
    for name in sorted(names):
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
