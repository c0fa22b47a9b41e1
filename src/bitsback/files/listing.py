"""What is in a tar or zip file, by its recipe and blob: names, sizes and shapes, without putting anything together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bitsback.files import formats, gz, tar, zips
from bitsback.files.packed import Sections
from bitsback.files.picture import Recipe
from bitsback.files.places import Inner, inner_files, padding_of, spans_of
from bitsback.files.raster import Shape

DEEPEST = 8
"""Files within files are listed down to here, whatever a recipe says."""


MOST = 1 << 30
"""Bytes of a file that may have others within, whatever its recipe says."""


class Inside(NamedTuple):
    """A file in a file: its name with those of the files around it, its bytes there, what was made of it (nothing, if
    it is bytes), and the shapes of its arrays."""

    name: str
    size: int
    format: str
    shapes: tuple[Shape, ...]


def inside(recipe: Recipe, blob: bytes, shapes: Sequence[Shape], name: str = "", depth: int = 0) -> Iterator[Inside]:
    """The files in a tar or zip file, and in those within, in order; none in others.

    Raises ValueError, KeyError, TypeError ... if recipe, blob and shapes do not fit together.
    """
    if recipe.get("format") == "gzip":
        recipe, blob = gz.within(recipe, blob)
    if recipe.get("format") not in ("tar", "zip") or depth == DEEPEST:
        return
    known = {one.span.start: one for one in inner_files(recipe, blob, shapes)}
    hollow = _hollow(recipe, blob, list(known.values()))
    for called, start, size in _members(recipe["format"], hollow):
        one, path = known.get(start), f"{name}{called}"
        if one is None:
            yield Inside(path, size, "", ())
            continue
        images = () if formats.coefficients(one.recipe, len(one.shapes)) else tuple(one.shapes)
        yield Inside(path, size, one.recipe.get("format", ""), images)
        yield from inside(one.recipe, one.blob, one.shapes, f"{path}/", depth + 1)


def _hollow(recipe: Recipe, blob: bytes, known: Sequence[Inner]) -> memoryview:
    """The file with zeros where files within it are."""
    order = sorted(spans_of(recipe))
    rest = Sections(blob)
    rest.at = max((one.end for one in known), default=0)
    gaps, at, padded = [], 0, padding_of(recipe)
    for span in order:
        gaps.append((at, rest.take(span.start - at)))
        at = span.end + -span.size % padded
    gaps.append((at, rest.rest()))
    if at > MOST:
        raise ValueError(f"a file in a file of {at:,} bytes")
    out = bytearray(at + len(gaps[-1][1]))
    for start, some in gaps:
        out[start : start + len(some)] = some
    if recipe["format"] == "tar":
        tar.fill(out, recipe)
    return memoryview(out)


def _members(kind: str, data: memoryview) -> Iterator[tuple[str, int, int]]:
    """Name, first byte and size of each."""
    if kind == "tar":
        for member in tar.members(data):
            yield member.name.decode("utf-8", "backslashreplace"), *member.span
        return
    for info in zips.members(data):
        if not info.is_dir():
            yield info.filename, zips.content(data, info), info.file_size


__all__ = ["Inside", "inside"]
