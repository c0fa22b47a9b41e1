"""How much a recipe makes, before it is made: an archive may say what it likes, and a few of its bytes much.

Nothing is allocated here, and no part needs to be there yet; only its shape must be known. What is refused here is
refused when a file is taken apart, too, and kept as its bytes, so that nothing is written that is not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from bitsback.errors import FormatError
from bitsback.files import formats
from bitsback.files.picture import MAX_PCX, MAX_PLAIN, MAX_SAMPLES, Recipe
from bitsback.files.raster import Layout, Shape

SLACK = 1 << 16
"""Bytes that are no matter."""

PIECES, PIECE = 1 << 12, 256
"""So many streams, spans or members a file may have; more only where there are so many bytes for each."""

MOST_CODED = MAX_SAMPLES + MAX_SAMPLES // 16
"""Bytes that are coded in a file: samples, and what stands between rows."""

CODED = 5
"""Bytes that coding takes at most for each that is coded."""


class Bulk(NamedTuple):
    """What a recipe makes: bytes of samples, and what pads them, before they are coded in the file again; in how many
    pieces; and the bytes that are coded, in all and at a time."""

    size: int = 0
    pieces: int = 1
    coded: int = 0
    at_once: int = 0

    @property
    def memory(self) -> int:
        """Bytes that making it takes, besides parts, blob and the file."""
        return self.size + CODED * self.at_once


def bulk(recipe: Recipe, parts: Sequence[Shape]) -> Bulk:
    """What a recipe makes of parts of such shapes. FormatError if they do not fit together.

    >>> bulk({"format": "bmp", "head": 54, "layout": {"align": 4}}, [(1, 10, 3, 1)])
    Bulk(size=40, pieces=1, coded=0, at_once=0)
    """
    try:
        return _bulk(recipe, parts)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, StopIteration) as error:
        reason = str(error).replace("\n", " ")
        raise FormatError(f"the recipe of a file cannot be followed ({type(error).__name__}: {reason})") from None


def check_bulk(recipe: Recipe, parts: Sequence[Shape], size: int, exact: bool = True) -> Bulk:
    """:func:`bulk`, if a file of ``size`` bytes can come of it; FormatError else.

    ``exact``: that is the size to the byte; else it may come back smaller, or a little larger.
    """
    found = bulk(recipe, parts)
    if found.size > (size if exact else 2 * size) * formats.FORMATS[recipe["format"]].ratio + SLACK:
        raise FormatError(f"what makes {found.size:,} bytes is no file of {size:,}")
    if found.coded > MOST_CODED:
        raise FormatError(f"{found.coded:,} bytes are more than is coded in a file")
    if found.pieces > PIECES + max(found.size, size) // PIECE:
        raise FormatError(f"{found.pieces:,} pieces are too many for {found.size:,} bytes")
    return found


def _bulk(recipe: Recipe, parts: Sequence[Shape]) -> Bulk:
    name = recipe["format"]
    if name not in formats.FORMATS:
        raise ValueError(f"unknown image format {name!r}")
    if name == "words":
        return _of_words(recipe, parts)
    if name == "gzip":
        inner = _bulk(recipe["inner"], parts)
        return _coded(inner.size, inner.pieces + len(recipe.get("members", ())))
    if name == "npz":
        return _of_members(recipe, parts)
    if name == "png":
        return _of_png(recipe, parts)
    if name == "pnm" and "plain" in recipe:
        if (samples := math.prod(parts[0])) > MAX_PLAIN or recipe.get("gaps", 0) > 256:
            raise ValueError("an image of too many samples in plain text")
        return Bulk(2 * samples, 1, 10 * samples, 10 * samples)  # numbers and words, one by one
    if name == "jpeg":
        return Bulk()  # no more than the part, and how many scans there are is bounded where they are read
    left = iter(parts)
    found = [_of_places(one, left) for one in recipe.get("arrays", [recipe])]
    if next(left, None) is not None:
        raise ValueError("arrays are left over")
    return _sum(found)


def _sum(several: Sequence[Bulk]) -> Bulk:
    """All, one after the other."""
    if len(several) < 2:
        return several[0] if several else Bulk()
    size, pieces, coded, at_once = zip(*several, strict=True)
    return Bulk(sum(size), sum(pieces), sum(coded), max(at_once))


def _coded(size: int, pieces: int) -> Bulk:
    return Bulk(size, pieces, size, size)


def _of_places(one: Recipe, left: Iterator[Shape]) -> Bulk:
    """Of an array, or files, at places."""
    if "files" in one:
        return _of_files(one, left)
    if "words" not in one:
        return _of_array(one, next(left))
    found = _of_words({"layout": one["words"]}, list(islice(left, one.get("parts", 1))))
    pieces = 1 + len(one["at"]) // 2
    return _coded(found.size, pieces) if one.get("codec") else Bulk(found.size, pieces)


def _of_array(one: Recipe, shape: Shape) -> Bulk:
    size = msgspec.convert(one.get("layout", {}), Layout).size(shape)
    pieces = 1 + len(one.get("at", ())) // 2
    codec = one.get("codec", "")
    if codec.startswith("pcx ") and size > MAX_PCX:
        raise ValueError("a PCX file of many pixels")
    return _coded(size, pieces) if codec else Bulk(size, pieces)


def _of_files(one: Recipe, left: Iterator[Shape]) -> Bulk:
    """Of files within a file."""
    each = one.get("parts", 1)
    found: list[Bulk] = []
    known: dict[tuple[Shape, ...], Bulk] = {}
    for _ in range(formats.pieces(one)):
        shapes = tuple(islice(left, each))
        if len(shapes) != each:
            raise ValueError("a file in a file lacks arrays")
        inner = known.get(shapes)
        if inner is None:
            inner = _bulk(one["files"], shapes) if one["files"] else Bulk()
            if one.get("codec"):
                inner = inner._replace(coded=inner.coded + inner.size, at_once=max(inner.at_once, inner.size))
            known[shapes] = inner
        found.append(inner)
    return _sum(found)


def _of_words(recipe: Recipe, parts: Sequence[Shape]) -> Bulk:
    size = math.prod(parts[0]) * int(recipe["layout"]["bits"]) // 8
    if size > MAX_SAMPLES:
        raise ValueError("an array of more than 256 MiB of such numbers")
    return Bulk(size)


def _of_png(recipe: Recipe, parts: Sequence[Shape]) -> Bulk:
    frames = sum(count for count, *_ in parts)
    if recipe.get("palette"):  # what is in colours has indices in the file
        from bitsback.files.png_palette import MOST_PIXELS

        if sum(count * height * width for count, height, width, _ in parts) > MOST_PIXELS:
            raise ValueError("too many pixels in colours")
        parts = [(count, height, width, 1) for count, height, width, _ in parts]
    size = sum(
        count * height * (1 + -(-width * channels * recipe["depth"] // 8)) for count, height, width, channels in parts
    )
    return _coded(size, frames + recipe.get("chunks", "").count(" ") // 8)


def _of_members(recipe: Recipe, parts: Sequence[Shape]) -> Bulk:
    from bitsback.files.words import part_count

    found, arrays = [Bulk()], iter(parts)
    for entry in recipe["members"] if "members" in recipe else recipe["entries"]:
        if (kept := entry.get("blob", 0)) < 0:
            raise ValueError("a member of less than no bytes")
        inner = Bulk(kept)
        if array := entry.get("array"):
            inner = _bulk(array, list(islice(arrays, part_count(array) if array["format"] == "words" else 1)))
        coded = inner.size if "deflate" in entry else 0
        found.append(inner._replace(coded=coded, at_once=coded))
    return _sum(found)


__all__ = ["Bulk", "bulk", "check_bulk"]
