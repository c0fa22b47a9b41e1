"""The arrays of a file as the numbers that it holds: signed, wide and floating-point, where parts are unsigned.

Shapes are those of images, (n, height, width, channels), however the file orders its axes, with any number of channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from numpy.typing import NDArray

from bitsback.files import formats, gz, words
from bitsback.files.packed import Sections
from bitsback.files.picture import Images, Recipe
from bitsback.files.places import inner_blob, pass_spans, pieces_of_one
from bitsback.files.raster import Beside, Layout, narrowed

Values = NDArray[Any]
"""(n, height, width, channels), of the type that the file has, in native byte order."""


def values(recipe: Recipe, blob: bytes, parts: Sequence[Images]) -> Iterator[Values]:
    """What :func:`bitsback.files.values` says.

    Raises ValueError, KeyError, TypeError ... if recipe, blob and parts do not fit together.
    """
    while "inner" in recipe:
        recipe, blob = gz.within(recipe, blob)
    if recipe["format"] == "jpeg":
        image = formats.shown(formats.write(recipe, blob, list(parts)))
        yield image.reshape(1, *image.shape[:2], -1)
    elif recipe["format"] == "words":
        yield words.numbers(msgspec.convert(recipe["layout"], words.Layout), blob, parts)
    elif recipe["format"] == "npz":
        yield from _of_members(recipe, blob, iter(parts))
    elif "arrays" in recipe:
        yield from _of_places(recipe, blob, iter(parts))
    else:
        yield from parts


def _of_places(recipe: Recipe, blob: bytes, parts: Iterator[Images]) -> Iterator[Values]:
    sections = Sections(blob)
    for one in recipe["arrays"]:
        each = one.get("parts", 1)
        if "files" in one:
            for _ in pieces_of_one(one):
                inner = inner_blob(one, sections)
                if one["files"]:
                    for found in values(one["files"], inner, list(islice(parts, each))):
                        yield ~found if _is_turned(recipe, one["files"], found) else found
            continue
        if "words" in one:
            yield words.numbers(
                msgspec.convert(one["words"], words.Layout), sections.section(), list(islice(parts, each))
            )
        else:
            part, layout = next(parts), msgspec.convert(one.get("layout", {}), Layout)
            sections.take(Beside(one.get("beside", 0)).size(layout, part.shape))
            if "stored" in one:
                part = narrowed(part, int(one["stored"]), layout.signed)
            if layout.axes == "hwnc" and part.shape[3] == 1:  # of more channels than images have here
                part = part.transpose(3, 1, 2, 0)
            yield _signed(part) if layout.signed else part
        pass_spans(one, sections)


def _is_turned(recipe: Recipe, inner: Recipe, image: Values) -> bool:
    """Whether inks are what JPEG decoders give the other way round: as Adobe has them, but TIFF has not."""
    return (recipe["format"], inner["format"], image.shape[3]) == ("tiff", "jpeg", 4)


def _of_members(recipe: Recipe, blob: bytes, parts: Iterator[Images]) -> Iterator[Values]:
    """Of an npz file."""
    sections = Sections(blob)
    for entry in recipe["members"] if "members" in recipe else recipe["entries"]:
        if "members" in recipe:
            *_, own = (sections.section() for _ in range(3 if entry.get("corrected") else 2))
        else:
            own = sections.take(entry["blob"])
        if array := entry.get("array"):
            count = words.part_count(array) if array["format"] == "words" else 1
            yield from values(array, own, list(islice(parts, count)))


def _signed(part: Images) -> Values:
    """Samples whose lowest number is 0."""
    moved: Values = part ^ part.dtype.type(1 << (8 * part.itemsize - 1))
    return moved.view(f"i{part.itemsize}")


__all__ = ["values"]
