"""An array of numbers somewhere in a file: samples if they have up to 16 bits, else words."""

from __future__ import annotations

import math

from bitsback.errors import ImageError
from bitsback.files import words as from_words
from bitsback.files.axes import as_images
from bitsback.files.picture import Buffer, Content
from bitsback.files.places import Samples, Span, read_places
from bitsback.files.raster import Layout

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
"""Unsigned, signed, and floating-point numbers, by their bytes."""


def samples(start: int, axes: list[int], of_type: str, big: bool = False) -> Samples:
    """An array (``axes``: slowest first) of numbers of up to 16 bits at byte ``start``. Raises ImageError."""
    while len(axes) > 2 and axes[0] == 1:
        axes = axes[1:]
    shape, order = as_images(axes)
    bits = 8 * int(of_type[1:])
    layout = Layout(bits, big and bits == 16, axes=order, signed=of_type[0] == "i")
    return Samples([Span(start, layout.size(shape))], shape, layout)


def slices(axes: list[int]) -> list[int]:
    """The axes of a volume over time and the like, of which none is of colours: images, however few stand together."""
    return axes if len(axes) < 4 else [math.prod(axes[:-2]), *axes[-2:]]


def read_numbers(name: str, data: Buffer, start: int, axes: list[int], of_type: str, big: bool = False) -> Content:
    """The content of a file of the format ``name`` that holds one array. Raises ImageError."""
    if of_type not in TYPES:
        raise ImageError(f"numbers of type {of_type}")
    if min(axes, default=0) < 1 or math.prod(axes) * int(of_type[1:]) > len(data) - start:
        raise ImageError("the file ends before its numbers do")
    if int(of_type[1:]) <= 2:
        return read_places(name, data, [samples(start, axes, of_type, big)])
    if math.prod(axes) * int(of_type[1:]) < from_words.MIN_BYTES:
        raise ImageError("an array of few numbers")
    while len(axes) > 2 and axes[0] == 1:
        axes = axes[1:]
    place, order = from_words.place(axes, 1)
    layout = from_words.Layout(8 * int(of_type[1:]), of_type[0], big, order)
    return from_words.read(data, start, place, layout)


__all__ = ["TYPES", "read_numbers", "samples", "slices"]
