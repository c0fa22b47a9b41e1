"""Netpbm: PBM, PGM and PPM, binary and plain.

The header (magic, comments, sizes) is kept as it is, and so is what follows the pixels. The plain formats (P1 to P3)
are read if there are no comments among the pixels, and are written one row a line.
"""

from __future__ import annotations

import re

import numpy as np

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content, Images, Recipe
from bitsback.files.raster import Layout, Place, read_place, write_place

_GAP = rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])+"
_HEADER = {
    1: re.compile(rb"P[14]" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})[ \t\r\n\v\f]"),
    0: re.compile(rb"P[2356]" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})[ \t\r\n\v\f]"),
}
_MAX_HEADER = 1 << 16
MAX_PLAIN = 1 << 22
"""Samples of an image in plain text, which is slow to write: larger ones are kept as their file's bytes."""


def read(data: Buffer) -> Content:
    """Take a PBM, PGM or PPM file apart. Raises ImageError if it is damaged."""
    kind = data[1] - ord("0")
    header = bytes(data[:_MAX_HEADER])
    match = _HEADER[int(kind in (1, 4))].match(header)
    if match is None:
        raise ImageError("damaged Netpbm header")
    width, height, *rest = map(int, match.groups())
    maximum = rest[0] if rest else 1
    if not 1 <= maximum <= 65535:
        raise ImageError(f"the maximum value is {maximum}")
    shape = (1, height, width, 3 if kind in (3, 6) else 1)
    if kind <= 3:
        return _read_plain(data, match.end(), kind, shape, maximum)
    bits = 1 if kind == 4 else 8 if maximum < 256 else 16
    return read_place("pnm", data, Place(match.end(), shape, Layout(bits=bits, big=bits == 16)))


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    if "plain" not in recipe:
        return write_place(recipe, blob, parts)
    (part,) = parts
    lines = (b" ".join(b"%d" % sample for sample in row) for row in part.reshape(part.shape[1], -1).tolist())
    return blob + b"\n".join(lines) + b"\n"


def _read_plain(data: Buffer, start: int, kind: int, shape: tuple[int, int, int, int], maximum: int) -> Content:
    size = shape[1] * shape[2] * shape[3]
    if size > MAX_PLAIN:
        raise ImageError("too many pixels in plain text")
    text = bytes(data[start:])
    if size == 0 or len(text) < size:
        raise ImageError("the file ends before its pixels do")
    if kind == 1:
        text = b" ".join(re.findall(rb"\S", text))
    if re.search(rb"[^0-9 \t\r\n\v\f]|\d{6}", text):
        raise ImageError("something other than numbers among the pixels")
    samples = np.fromiter(map(int, text.split()), np.int32)
    if samples.size != size or int(samples.max()) > maximum:
        raise ImageError("wrong number of pixels, or a value above the maximum")
    part = samples.astype(np.uint8 if maximum < 256 else np.uint16).reshape(shape)
    return Content([part], {"format": "pnm", "plain": kind}, bytes(data[:start]))
