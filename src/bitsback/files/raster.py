"""Uncompressed pixels in a file: where they are, and how samples lie in the bytes.

Most simple formats are ``head | raster | tail``: the raster is the pixels, all the rest is metadata and is kept byte
for byte in the blob. A format module then only has to *locate* the raster, and one reader and one writer serve all of
them; such files come back byte for byte.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from itertools import permutations
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content, Images, Recipe

Shape = tuple[int, int, int, int]
"""(n, height, width, channels)."""


_AXES = frozenset(map("".join, permutations("nhwc")))


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How samples lie in a raster.

    ``bits`` of a sample in the file (1 to 16; packed, the first in the high bits), ``big``-endian 16 bits, rows padded
    to a multiple of ``align`` bytes, rows bottom-up (``flip``), colours as BGR(A) (``swap``), the order of the ``axes``
    in the file, slowest first ("nhwc": the images as they are), ``signed`` samples of 8 or 16 bits (the lowest is
    sample 0), and each as its difference to that of its channel to the left (``differences``); the bits of each byte of
    the file in ``reverse``; the rows of each image in the order of GIF's four ``passes``.
    """

    bits: int = 8
    big: bool = False
    align: int = 1
    flip: bool = False
    swap: bool = False
    axes: str = "nhwc"
    signed: bool = False
    differences: bool = False
    reverse: bool = False
    passes: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 16 or self.align not in (1, 4) or self.axes not in _AXES:
            raise ValueError("impossible layout")
        if self.is_packed and (self.axes != "nhwc" or self.signed):
            raise ValueError("impossible layout")
        if self.axes != "nhwc" and self.align > 1:
            raise ValueError("impossible layout")

    @property
    def order(self) -> list[int]:
        """The axes as numbers: the raster is ``images.transpose(order)`` in C order."""
        return ["nhwc".index(axis) for axis in self.axes]

    @property
    def is_packed(self) -> bool:
        """Whether samples are no whole bytes."""
        return self.bits not in (8, 16)

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """The type of a sample, in the raster byte order included."""
        return np.dtype((">u2" if self.big else "<u2") if self.bits > 8 else "u1")

    def row_bytes(self, width: int, channels: int) -> int:
        """Bytes of one row, padding included."""
        used = (width * channels * self.bits + 7) // 8
        return used + -used % self.align

    def beside(self, shape: Shape) -> int:
        """Bytes in which rows end that are not, or not wholly, of samples; of all rows."""
        count, height, width, channels = shape
        return count * height * (self.row_bytes(width, channels) - width * channels * self.bits // 8)

    def size(self, shape: Shape) -> int:
        """Bytes of a raster."""
        count, height, width, channels = shape
        return count * height * self.row_bytes(width, channels)


class Place(msgspec.Struct, frozen=True):
    """The raster of a file: it begins at byte ``start`` and holds ``shape`` images in ``layout``."""

    start: int
    shape: Shape
    layout: Layout


def unpack(raster: Buffer, shape: Shape, layout: Layout) -> Images:
    """The images of a raster of exactly ``layout.size(shape)`` bytes; a read-only view of it where that is possible."""
    count, height, width, channels = shape
    images: Images
    if layout.reverse:
        raster = bytes(raster).translate(_REVERSED)
    if layout.is_packed:
        rows = np.frombuffer(raster, np.uint8).reshape(count * height, -1)
        images = unpack_bits(rows, width * channels, layout.bits).reshape(shape)
    elif layout.align > 1:
        rows = np.frombuffer(raster, np.uint8).reshape(count * height, -1)
        used = np.ascontiguousarray(rows[:, : width * channels * layout.dtype.itemsize])
        images = used.view(layout.dtype).reshape(shape)
    elif layout.axes == "nhwc":
        images = np.frombuffer(raster, layout.dtype).reshape(shape)
    else:
        stored = np.frombuffer(raster, layout.dtype).reshape([shape[axis] for axis in layout.order])
        images = stored.transpose(np.argsort(layout.order))
    if layout.flip:
        images = images[:, ::-1]
    if layout.passes:
        images = images[:, np.argsort(_in_passes(height))]
    if layout.swap:
        images = images[..., _swapped(channels)]
    if not (images.flags.c_contiguous and images.flags.aligned and images.dtype.isnative):
        images = np.require(images, images.dtype.newbyteorder("="), ["C", "A"])
    if layout.differences:
        images = np.cumsum(images, axis=2, dtype=images.dtype) & images.dtype.type((1 << layout.bits) - 1)
    if layout.signed:
        images = np.bitwise_xor(images, images.dtype.type(1 << layout.bits - 1))
    return images


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def pack(images: Images, layout: Layout) -> Buffer:
    """The raster of ``images``: the inverse of :func:`unpack`."""
    if layout.reverse:
        return bytes(pack(images, msgspec.structs.replace(layout, reverse=False))).translate(_REVERSED)
    count, height, width, channels = images.shape
    if images.dtype != layout.dtype.newbyteorder("="):
        raise ValueError("the samples do not fit the layout")
    if layout.signed:
        images = np.bitwise_xor(images, images.dtype.type(1 << layout.bits - 1))
    if layout.differences:
        images = np.concatenate([images[:, :, :1], np.diff(images, axis=2)], axis=2)
        images &= images.dtype.type((1 << layout.bits) - 1)
    if layout.swap:
        images = images[..., _swapped(channels)]
    if layout.passes:
        images = images[:, _in_passes(height)]
    if layout.flip:
        images = images[:, ::-1]
    if layout.is_packed:
        return _pad(pack_bits(images.reshape(count * height, width * channels), layout.bits), layout)
    stored = np.ascontiguousarray(images.transpose(layout.order), layout.dtype)
    if layout.align > 1:
        return _pad(stored.reshape(count * height, -1).view(np.uint8), layout)
    return stored.reshape(-1).view(np.uint8).data


class Beside(IntEnum):
    """What stands at the end of rows in place of samples."""

    ZEROS = 0
    LISTED = 1
    ONES = 2

    def size(self, layout: Layout, shape: Shape) -> int:
        """Bytes that are listed."""
        return layout.beside(shape) if self is Beside.LISTED else 0


def kept_beside(raster: Buffer, images: Images, layout: Layout) -> tuple[Beside, bytes]:
    """What the rows of a raster end in; and the bytes there, if they are no rule's."""
    if not layout.beside(images.shape):
        return Beside.ZEROS, b""
    ends = _ends(raster, images.shape, layout)
    packed = _ends(pack(images, layout), images.shape, layout)
    if np.array_equal(ends, packed):
        return Beside.ZEROS, b""
    if np.array_equal(ends, packed | _unused(images.shape, layout)):
        return Beside.ONES, b""
    return Beside.LISTED, ends.tobytes()


def pack_beside(images: Images, layout: Layout, how: Beside, listed: bytes) -> Buffer:
    """The raster again, with what :func:`kept_beside` gave."""
    raster = pack(images, layout)
    if how is Beside.ZEROS or not layout.beside(images.shape):
        return raster
    whole = memoryview(bytearray(raster))
    ends = _ends(whole, images.shape, layout)
    if how is Beside.ONES:
        ends |= _unused(images.shape, layout)
    else:
        ends[:] = np.frombuffer(listed, np.uint8).reshape(ends.shape)
    return whole


def _ends(raster: Buffer, shape: Shape, layout: Layout) -> NDArray[np.uint8]:
    """What the rows end in, (rows, bytes), as a view; there is something."""
    rows = shape[0] * shape[1]
    return np.frombuffer(raster, np.uint8).reshape(rows, -1)[:, -(layout.beside(shape) // rows) :]


def _unused(shape: Shape, layout: Layout) -> NDArray[np.uint8]:
    """The end of a row, with ones in the place of all bits that are no sample's."""
    width, channels = shape[2:]
    bits = np.arange(8 * layout.row_bytes(width, channels)) >= width * channels * layout.bits
    row = np.packbits(bits, bitorder="little" if layout.reverse else "big")
    return _ends(row.data, (1, 1, width, channels), layout).ravel()


def narrowed(images: Images, bits: int, signed: bool) -> Images:
    """Samples by their lowest so many bits alone: others are zeros or, of ``signed`` ones, repeat the highest of these.

    >>> narrowed(np.array([0x80FF, 0x8F80], np.uint16), 8, True).tolist()
    [32767, 32640]
    """
    one = images.dtype.type
    low: Images = images & one((1 << bits) - 1)
    if signed:  # the lowest is 0
        top = one(1 << bits - 1)
        low = (low ^ top) + (one(1 << 8 * images.itemsize - 1) - top)
    return low


def unpack_bits(rows: NDArray[np.uint8], width: int, bits: int) -> NDArray[Any]:
    """Rows of packed samples of up to 16 bits -> (rows, width) uint8 or uint16."""
    if bits == 1:
        return np.unpackbits(rows, axis=1, count=width)
    if 8 % bits:
        out = np.zeros((len(rows), width), np.uint8 if bits < 8 else np.uint16)
        singles = np.unpackbits(rows, axis=1, count=width * bits).reshape(len(rows), width, bits)
        for bit in range(bits):
            out |= singles[:, :, bit].astype(out.dtype) << out.dtype.type(bits - 1 - bit)
        return out
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    samples = (rows[:, :, None] >> shifts) & np.uint8((1 << bits) - 1)
    return samples.reshape(rows.shape[0], -1)[:, :width]


def pack_bits(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """(rows, width) -> rows of packed samples of up to 16 bits, unused bits zero; the inverse of unpack_bits."""
    if samples.size and int(samples.max()) >> bits:
        raise ValueError(f"a sample does not fit into {bits} bits")
    if bits == 1:
        return np.packbits(samples, axis=1)
    if 8 % bits:
        singles = np.unpackbits(samples.astype(">u2").view(np.uint8), axis=1).reshape(*samples.shape, 16)
        return np.packbits(singles[:, :, 16 - bits :].reshape(len(samples), -1), axis=1)
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    padded = np.pad(samples, ((0, 0), (0, -samples.shape[1] % len(shifts))))
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(padded.reshape(len(samples), -1, len(shifts)) << shifts, axis=2)
    return packed


def read_place(kind: str, data: Buffer, place: Place) -> Content:
    """The content of a file whose raster was located."""
    size, start = place.layout.size(place.shape), place.start
    if size == 0:
        raise ImageError("no pixels")
    if start + size > len(data):
        raise ImageError(f"the file ends {start + size - len(data)} bytes before its pixels do")
    view = memoryview(data)
    blob = bytes(view[:start]) + bytes(view[start + size :])
    if len(blob) > size + (1 << 16):
        raise ImageError("most of the file is not this image")
    return read_raster(kind, view[start : start + size], place, blob)


def read_raster(kind: str, raster: Buffer, place: Place, blob: bytes) -> Content:
    """The content of a file with this raster and, around it, this blob."""
    part = unpack(raster, place.shape, place.layout)
    recipe: Recipe = {"format": kind, "head": place.start, "layout": without_defaults(place.layout)}
    how, beside = kept_beside(raster, part, place.layout)
    if how:
        recipe["beside"] = int(how)
    return Content([part], recipe, blob + beside, sure=not part.flags.writeable)  # a view: it has kept everything


def write_place(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    (part,) = parts
    head, layout = recipe["head"], msgspec.convert(recipe["layout"], Layout)
    how = Beside(recipe.get("beside", 0))
    end = len(blob) - how.size(layout, part.shape)
    if not 0 <= head <= end:
        raise ValueError("the head is longer than the blob")
    return b"".join((blob[:head], pack_beside(part, layout, how, blob[end:]), blob[head:end]))


def without_defaults(layout: Layout) -> Recipe:
    """A layout for a recipe."""
    return dict(_without_defaults(layout))


@lru_cache(256)
def _without_defaults(layout: Layout) -> Recipe:
    plain = Layout()
    return {name: value for name, value in msgspec.to_builtins(layout).items() if value != getattr(plain, name)}


def _in_passes(height: int) -> list[int]:
    """Rows in the order of interlaced GIF files.

    >>> _in_passes(9)
    [0, 8, 4, 2, 6, 1, 3, 5, 7]
    """
    return [row for first, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for row in range(first, height, step)]


def _swapped(channels: int) -> list[int]:
    if channels not in (3, 4):
        raise ValueError("only colours can be swapped")
    return [2, 1, 0, 3][:channels]


def _pad(rows: NDArray[np.uint8], layout: Layout) -> bytes:
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % layout.align))).tobytes()
