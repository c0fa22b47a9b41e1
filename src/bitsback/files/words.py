"""Arrays of numbers that are no samples of images: floats, signed and wide integers, complex numbers, dates.

A *word* is an item of such an array, 8 to 64 bits. Words are first mapped to unsigned integers in the order of the
numbers (signed integers move up by half; of negative floats all bits are flipped, of others the sign), so that close
numbers are close integers, and the file is put together again bit by bit, NaNs and negative zeros included. Then

- if there are few different words, they become a *table* (in the blob) and the parts hold one array of indices;
- else the smallest, the *base*, is subtracted; the upper 16 bits of the largest difference's bits make one array, that
  looks like an image if the numbers do, and what is below makes an array for every 8 bits.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.axes import as_images
from bitsback.files.picture import MAX_SAMPLES, Buffer, Content, Images, Recipe
from bitsback.files.raster import Shape

MAX_TABLE = 1 << 16
MIN_BYTES = 512
"""Smaller arrays are better off as bytes: an array of images of its own costs about a hundred in an archive."""
_SAMPLE = 1 << 16
_AT_ONCE = 1 << 20
"""Words that are put together at a time."""

Words = NDArray[np.unsignedinteger]


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the words lie in the file: ``bits`` each, ``kind`` u(nsigned), i (signed) or f(loat), ``big``-endian or not.

    ``axes`` of the array of images, slowest first in the file; ``span``: bits that the largest difference to the base
    takes; or ``table``: the number of words in it.
    """

    bits: int
    kind: str
    big: bool = False
    axes: str = "nhwc"
    span: int = 0
    table: int = 0

    def __post_init__(self) -> None:
        possible = self.bits in (8, 16, 32, 64) and self.kind in ("u", "i", "f") and sorted(self.axes) == sorted("nhwc")
        if not possible or not 0 <= self.span <= self.bits or not 0 <= self.table <= MAX_TABLE:
            raise ValueError("impossible layout")

    @property
    def order(self) -> list[int]:
        """The axes as numbers."""
        return ["nhwc".index(axis) for axis in self.axes]

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """A word in the file."""
        return np.dtype(f"{'>' if self.big else '<'}u{self.bits // 8}")

    @property
    def extra(self) -> int:
        """Bytes at the end of the blob: the table, or the base."""
        return max(self.table, 1) * self.bits // 8

    @property
    def low_planes(self) -> int:
        """Arrays of bytes after the first array."""
        return 0 if self.table else max(0, -(-(self.span - 16) // 8))


def place(axes: list[int], parts: int) -> tuple[Shape, str]:
    """The images (n, H, W, C) in an array whose items are ``parts`` words (2 for complex numbers), and their order.

    A series of numbers, or of up to four at a time, is a column; other arrays are understood as those of samples are.

    >>> place([1000], 1), place([1000, 3], 1)
    (((1, 1000, 1, 1), 'nhwc'), ((1, 1000, 1, 3), 'nhwc'))
    """
    if len(axes) == 1 or (len(axes) == 2 and parts == 1 and axes[1] <= 4):
        return (1, axes[0], 1, math.prod(axes[1:]) * parts), "nhwc"
    if parts == 1:
        return as_images(axes)
    return (math.prod(axes[:-2]), axes[-2], axes[-1], parts), "nhwc"


def read(data: Buffer, start: int, shape: Shape, layout: Layout) -> Content:
    """The content of an ``.npy`` file whose words begin at ``start``. Raises ImageError."""
    view = memoryview(data)
    stop = start + math.prod(shape) * layout.bits // 8
    if start == stop:
        raise ImageError("no numbers")
    if stop > len(view):
        raise ImageError(f"the file ends {stop - len(view)} bytes before its numbers do")
    if stop - start > MAX_SAMPLES:
        raise ImageError("an array of more than 256 MiB of such numbers")
    if len(view) - stop > 1 << 16:
        raise ImageError("most of the file is not this array")
    stored = np.frombuffer(view[start:stop], layout.dtype).reshape([shape[axis] for axis in layout.order])
    native = stored.transpose(np.argsort(layout.order)).astype(layout.dtype.newbyteorder("="), order="C")
    words = _ordered(native, layout.kind)
    table = _few(words)
    if table is not None:
        layout = msgspec.structs.replace(layout, table=len(table))
        parts, extra = [np.searchsorted(table, words).astype(np.uint8 if len(table) <= 256 else np.uint16)], table
    else:
        extra = words.min(keepdims=True).reshape(1)
        words -= extra[0]
        layout = msgspec.structs.replace(layout, span=int(words.max()).bit_length())
        parts = _split(words, layout)
    blob = bytes(view[:start]) + bytes(view[stop:]) + extra.astype(layout.dtype.newbyteorder("<")).tobytes()
    return Content(parts, {"format": "words", "head": start, "layout": msgspec.to_builtins(layout)}, blob)


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    layout = msgspec.convert(recipe["layout"], Layout)
    extra, head, rest = _extra(layout, blob, parts), recipe["head"], len(blob) - layout.extra
    if not 0 <= head <= rest:
        raise ValueError("the arrays do not fit the layout")
    stored = [np.ascontiguousarray(part.reshape(parts[0].shape).transpose(layout.order)).reshape(-1) for part in parts]
    file = io.BytesIO()
    file.write(blob[:head])
    for first in range(0, stored[0].size, _AT_ONCE):  # so that it takes little more than the file
        some = [part[first : first + _AT_ONCE] for part in stored]
        file.write(np.ascontiguousarray(_unordered(_words(some, layout, extra), layout.kind), layout.dtype).data)
    file.write(blob[head:rest])
    return file.getvalue()


def numbers(layout: Layout, blob: bytes, parts: Sequence[Images]) -> NDArray[Any]:
    """The array of numbers itself, in the shape of its first part. Raises ValueError if that does not fit together."""
    words = _words(list(parts), layout, _extra(layout, blob, parts))
    kind = layout.kind if layout.kind != "f" or layout.bits > 8 else "u"
    return _unordered(words, layout.kind).view(f"{kind}{layout.bits // 8}")


def _extra(layout: Layout, blob: bytes, parts: Sequence[Images]) -> Words:
    """The table of all numbers, or the least of them, from the end of the blob."""
    rest = len(blob) - layout.extra
    if len(parts) != 1 + layout.low_planes or rest < 0:
        raise ValueError("the arrays do not fit the layout")
    if layout.table and int(parts[0].max()) >= layout.table:
        raise ValueError("an index beyond the table")
    return np.frombuffer(blob[rest:], layout.dtype.newbyteorder("<")).astype(layout.dtype.newbyteorder("="))


def _words(parts: list[Images], layout: Layout, extra: Words) -> Words:
    """Unsigned integers in the order of the numbers."""
    return extra[parts[0]] if layout.table else _joined(parts, layout) + extra[0]


def part_count(recipe: Recipe) -> int:
    """How many arrays a file of this recipe has."""
    return 1 + msgspec.convert(recipe["layout"], Layout).low_planes


def _ordered(words: Words, kind: str) -> Words:
    """Words as in the file -> unsigned integers in the order of the numbers."""
    if kind == "u":
        return words
    top = words.dtype.type(1 << (8 * words.itemsize - 1))
    if kind == "i":
        return words ^ top
    return np.where(words & top, ~words, words | top)


def _unordered(words: Words, kind: str) -> Words:
    """The inverse."""
    if kind == "u":
        return words
    top = words.dtype.type(1 << (8 * words.itemsize - 1))
    if kind == "i":
        return words ^ top
    return np.where(words & top, words ^ top, ~words)


def _few(words: Words) -> Words | None:
    """The different words in order, if they are few enough for a table and some of what lies between is missing."""
    flat = words.reshape(-1)
    most = min(MAX_TABLE, flat.size // 8 + 1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    if len(np.unique(sample)) > min(most, len(sample) // 4 + 1):
        return None
    table = np.unique(flat)
    if len(table) > most or int(table[-1]) - int(table[0]) < min(2 * len(table), MAX_TABLE):
        return None
    return table


def _split(words: Words, layout: Layout) -> list[Images]:
    """Differences to the base -> the upper 16 bits, and what is below in bytes, each as one tall image."""
    if layout.span <= 8:
        return [words.astype(np.uint8)]
    if layout.span <= 16:
        return [words.astype(np.uint16)]
    one = words.dtype.type
    parts: list[Images] = [(words >> one(layout.span - 16)).astype(np.uint16)]
    count, height, width, channels = words.shape
    for plane in range(1, layout.low_planes + 1):
        below = layout.span - 16 - 8 * plane
        byte = (words >> one(below) if below >= 0 else words << one(-below)).astype(np.uint8)
        parts.append(byte.reshape(1, count * height, width, channels))
    return parts


def _joined(parts: list[Images], layout: Layout) -> Words:
    """The inverse of :func:`_split`."""
    one = layout.dtype.newbyteorder("=").type
    words: Words = parts[0].astype(one)
    if not layout.low_planes:
        return words
    words <<= one(layout.span - 16)
    for plane, part in enumerate(parts[1:], 1):
        below = layout.span - 16 - 8 * plane
        byte = part.reshape(words.shape).astype(one)
        words |= byte << one(below) if below >= 0 else byte >> one(-below)
    return words
