"""Netpbm: PBM, PGM, PPM, PAM and PFM, binary and plain.

The header (magic, comments, sizes) is kept as it is, and so is what follows the pixels. The plain formats (P1 to P3)
are read if there are no comments among the pixels; what stands between the numbers is kept if that is not one row a
line. Floats (PFM) are words, from the last row to the first as in the file.
"""

from __future__ import annotations

import re

import numpy as np

from bitsback.errors import ImageError
from bitsback.files.numbers import read_numbers
from bitsback.files.packed import Sections, section
from bitsback.files.picture import MAX_PLAIN, Buffer, Content, Images, Recipe
from bitsback.files.raster import Layout, Place, read_place, write_place

_GAP = rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])+"
_HEADER = {
    1: re.compile(rb"P[14]" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})[ \t\r\n\v\f]"),
    0: re.compile(rb"P[2356]" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})[ \t\r\n\v\f]"),
}
_FLOATS = re.compile(rb"P[Ff]\s(\d{1,9})\s(\d{1,9})\s(-?[\d.eE+]{1,20})\s")
_DIGIT, _NUMBER = re.compile(rb"(\s*)([01])"), re.compile(rb"(\s*)(\d+)")
_MAX_HEADER = 1 << 16
MAX_GAPS = 1 << 20
"""Numbers in plain text of which it is kept what stands between them."""


def read(data: Buffer) -> Content:
    """Take a PBM, PGM or PPM file apart. Raises ImageError if it is damaged."""
    header = bytes(data[:_MAX_HEADER])
    if data[1:2] == b"7":
        return _read_pam(data, header)
    if data[1:2] in (b"F", b"f"):
        return _read_floats(data, header)
    kind = data[1] - ord("0")
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
    if "head" not in recipe:
        lines = (b" ".join(b"%d" % sample for sample in row) for row in part.reshape(part.shape[1], -1).tolist())
        return blob + b"\n".join(lines) + b"\n"
    head, count = recipe["head"], recipe["gaps"]
    sections = Sections(blob[head:])
    gaps = [sections.section() for _ in range(count)]
    numbers = part.reshape(-1).tolist()
    if not 0 <= head <= len(blob) or sum(map(len, gaps)) > len(blob):
        raise ValueError("the head is longer than the blob")
    places = sections.take(len(numbers))
    pieces = [gaps[place] + b"%d" % number for place, number in zip(places, numbers, strict=True)]
    return b"".join([blob[:head], *pieces, sections.rest()])


def _read_pam(data: Buffer, header: bytes) -> Content:
    """The header is words and numbers, a line each."""
    end = header.find(b"\nENDHDR\n")
    found = dict(
        re.findall(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)[ \t]+(\d{1,9})[ \t]*$", header[: max(end, 0)], re.MULTILINE)
    )
    if end < 0 or len(found) < 4:
        raise ImageError("damaged PAM header")
    width, height, depth, maximum = (int(found[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    if not 1 <= maximum <= 65535 or not 1 <= depth <= 4:
        raise ImageError(f"a PAM of {depth} channels")
    bits = 8 if maximum < 256 else 16
    return read_place("pnm", data, Place(end + 8, (1, height, width, depth), Layout(bits=bits, big=bits == 16)))


def _read_floats(data: Buffer, header: bytes) -> Content:
    match = _FLOATS.match(header)
    if match is None:
        raise ImageError("damaged PFM header")
    axes = [int(match[2]), int(match[1]), *([3] if data[1:2] == b"F" else [])]
    return read_numbers("pnm", data, match.end(), axes, "f4", big=not match[3].startswith(b"-"))


def _read_plain(data: Buffer, start: int, kind: int, shape: tuple[int, int, int, int], maximum: int) -> Content:
    size = shape[1] * shape[2] * shape[3]
    if size > MAX_PLAIN:
        raise ImageError("too many pixels in plain text")
    text = bytes(data[start:])
    if size == 0 or len(text) < size:
        raise ImageError("the file ends before its pixels do")
    if re.search(rb"[^0-9 \t\r\n\v\f]|\d{6}", text):
        raise ImageError("something other than numbers among the pixels")
    words = re.findall(rb"\d", text) if kind == 1 else text.split()
    samples = np.fromiter(map(int, words), np.int32, len(words))
    if samples.size < size or int(samples[:size].max()) > maximum:
        raise ImageError("wrong number of pixels, or a value above the maximum")
    part = samples[:size].astype(np.uint8 if maximum < 256 else np.uint16).reshape(shape)
    head = bytes(data[:start])
    plain = Content([part], {"format": "pnm", "plain": kind}, head)
    if write(plain.recipe, head, [part]) == data:
        return plain._replace(sure=True)
    if len(words) > MAX_GAPS:
        raise ImageError("many pixels in plain text, in unusual lines")
    found = (_DIGIT if kind == 1 else _NUMBER).findall(text)
    between = [gap for gap, _ in found[:size]]
    gaps = {gap: place for place, gap in enumerate(dict.fromkeys(between))}
    if len(gaps) > 256:
        raise ImageError("numbers that stand in too many ways")
    used = sum(len(gap) + len(number) for gap, number in found[:size])
    blob = [head, *map(section, gaps), bytes(gaps[gap] for gap in between), text[used:]]
    return Content([part], {"format": "pnm", "plain": kind, "head": start, "gaps": len(gaps)}, b"".join(blob))
