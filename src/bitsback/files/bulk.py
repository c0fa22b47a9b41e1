"""How large what a recipe makes is, before it is made: an archive may say what it likes, and a few of its bytes much.

Nothing is allocated here, and no part needs to be there yet; only its shape must be known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

import msgspec

from bitsback.errors import FormatError
from bitsback.files import formats
from bitsback.files.picture import Recipe
from bitsback.files.raster import Layout, Shape

SLACK = 1 << 16
"""Bytes that are no matter."""


def bulk(recipe: Recipe, parts: Sequence[Shape]) -> int:
    """How many bytes, of samples and what pads them, a recipe makes of parts of such shapes: of what is coded in the
    file again, before that.

    Raises FormatError if recipe and parts do not fit together.
    """
    try:
        return _bulk(recipe, parts)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, StopIteration) as error:
        reason = str(error).replace("\n", " ")
        raise FormatError(f"the recipe of a file cannot be followed ({type(error).__name__}: {reason})") from None


def check_bulk(recipe: Recipe, parts: Sequence[Shape], size: int, exact: bool) -> int:
    """:func:`bulk`, if a file of ``size`` bytes can come of it; FormatError else.

    ``exact``: that is the size to the byte; else it may come back smaller, or a little larger.
    """
    found = bulk(recipe, parts)
    ratio = formats.FORMATS[recipe["format"]].ratio
    if found > (size if exact else 2 * size) * ratio + SLACK:
        raise FormatError(f"what makes {found:,} bytes is no file of {size:,}")
    return found


def _bulk(recipe: Recipe, parts: Sequence[Shape]) -> int:
    kind = recipe["format"]
    if kind == "words":
        return math.prod(parts[0]) * int(recipe["layout"]["bits"]) // 8
    if kind == "gzip":
        return _bulk(recipe["inner"], parts)
    if kind == "npz":
        return _bulk_of_members(recipe, parts)
    if kind == "pnm" and "plain" in recipe:
        from bitsback.files.pnm import MAX_PLAIN

        samples = math.prod(parts[0])
        if samples > MAX_PLAIN:
            raise ValueError("an image of too many samples in plain text")
        return 2 * samples
    if kind not in formats.FORMATS:
        raise ValueError(f"unknown image format {kind!r}")
    if kind in ("png", "jpeg"):
        return 0  # no more than the parts
    layouts = [one.get("layout", {}) for one in recipe["arrays"]] if "arrays" in recipe else [recipe["layout"]]
    pairs = zip(layouts, parts, strict=True)
    return sum(msgspec.convert(layout, Layout).size(shape) for layout, shape in pairs)


def _bulk_of_members(recipe: Recipe, parts: Sequence[Shape]) -> int:
    from bitsback.files.words import part_count

    total, arrays = 0, iter(parts)
    for entry in recipe["members"] if "members" in recipe else recipe["entries"]:
        if (kept := entry.get("blob", 0)) < 0:
            raise ValueError("a member of less than no bytes")
        total += kept
        if array := entry.get("array"):
            total += _bulk(array, list(islice(arrays, part_count(array) if array["format"] == "words" else 1)))
    return total


__all__ = ["bulk", "check_bulk"]
