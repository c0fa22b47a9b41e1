"""Uncompressed pixels in a file: where they are, and how samples lie in the bytes.

Most simple formats are ``head | raster | tail``: the raster is the pixels, all the rest is metadata and is kept byte
for byte in the blob. A format module then only has to *locate* the raster, and one reader and one writer serve all of
them; such files come back byte for byte.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer, Content, Images, Recipe

Shape = tuple[int, int, int, int]
"""(n, height, width, channels)."""

MAX_AXES = 8
"""Of an array whose numbers are taken for samples."""


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How samples lie in a raster.

    ``bits`` of a sample in the file (1, 2, 4: packed, first sample in the high bits; 8; 16), ``big``-endian 16 bits,
    rows padded with zeros to a multiple of ``align`` bytes, rows bottom-up (``flip``), colours as BGR(A) (``swap``),
    and the order of the ``axes`` in the file, slowest first ("nhwc": the images as they are).
    """

    bits: int = 8
    big: bool = False
    align: int = 1
    flip: bool = False
    swap: bool = False
    axes: str = "nhwc"

    def __post_init__(self) -> None:
        if self.bits not in (1, 2, 4, 8, 16) or self.align not in (1, 4) or sorted(self.axes) != sorted("nhwc"):
            raise ValueError("impossible layout")
        if self.axes != "nhwc" and (self.bits < 8 or self.align > 1):
            raise ValueError("impossible layout")

    @property
    def order(self) -> list[int]:
        """The axes as numbers: the raster is ``images.transpose(order)`` in C order."""
        return ["nhwc".index(axis) for axis in self.axes]

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """The type of a sample in the raster, byte order included."""
        return np.dtype((">u2" if self.big else "<u2") if self.bits == 16 else "u1")

    def row_bytes(self, width: int, channels: int) -> int:
        """Bytes of one row, padding included."""
        used = (width * channels * self.bits + 7) // 8
        return used + -used % self.align

    def size(self, shape: Shape) -> int:
        """Bytes of a raster."""
        count, height, width, channels = shape
        return count * height * self.row_bytes(width, channels)


def as_images(axes: list[int]) -> tuple[Shape, str]:
    """The images (n, H, W, C) in an array, and the order in which the array has these axes.

    >>> as_images([10000, 28, 28])
    ((10000, 28, 28, 1), 'nhwc')
    >>> as_images([64, 3, 32, 32])
    ((64, 32, 32, 3), 'nchw')
    """
    if not 2 <= len(axes) <= MAX_AXES:
        raise ImageError(f"an array of {len(axes)} axes")
    if len(axes) == 3 and axes[2] in (3, 4):
        return (1, axes[0], axes[1], axes[2]), "nhwc"
    if len(axes) >= 4 and 1 <= axes[-1] <= 4:
        return (math.prod(axes[:-3]), axes[-3], axes[-2], axes[-1]), "nhwc"
    if len(axes) == 4 and 1 <= axes[1] <= 4:
        return (axes[0], axes[2], axes[3], axes[1]), "nchw"
    return (math.prod(axes[:-2]), axes[-2], axes[-1], 1), "nhwc"


class Place(msgspec.Struct, frozen=True):
    """The raster of a file: it begins at byte ``start`` and holds ``shape`` images in ``layout``."""

    start: int
    shape: Shape
    layout: Layout


def unpack(raster: Buffer, shape: Shape, layout: Layout) -> Images:
    """The images of a raster of exactly ``layout.size(shape)`` bytes; a read-only view of it where that is possible."""
    count, height, width, channels = shape
    images: Images
    if layout.bits < 8:
        rows = np.frombuffer(raster, np.uint8).reshape(count * height, -1)
        images = unpack_bits(rows, width * channels, layout.bits).reshape(shape)
    elif layout.align > 1:
        rows = np.frombuffer(raster, np.uint8).reshape(count * height, -1)
        used = np.ascontiguousarray(rows[:, : width * channels * layout.dtype.itemsize])
        images = used.view(layout.dtype).reshape(shape)
    else:
        stored = np.frombuffer(raster, layout.dtype).reshape([shape[axis] for axis in layout.order])
        images = stored.transpose(np.argsort(layout.order))
    if layout.flip:
        images = images[:, ::-1]
    if layout.swap:
        images = images[..., _swapped(channels)]
    return np.require(images, images.dtype.newbyteorder("="), ["C", "A"])


def pack(images: Images, layout: Layout) -> bytes:
    """The raster of ``images``: the inverse of :func:`unpack`."""
    count, height, width, channels = images.shape
    if images.dtype != layout.dtype.newbyteorder("="):
        raise ValueError("the samples do not fit the layout")
    if layout.swap:
        images = images[..., _swapped(channels)]
    if layout.flip:
        images = images[:, ::-1]
    if layout.bits < 8:
        return _pad(pack_bits(images.reshape(count * height, width * channels), layout.bits), layout)
    stored = np.ascontiguousarray(images.transpose(layout.order), layout.dtype)
    if layout.align > 1:
        return _pad(stored.reshape(count * height, -1).view(np.uint8), layout)
    return stored.tobytes()


def unpack_bits(rows: NDArray[np.uint8], width: int, bits: int) -> NDArray[np.uint8]:
    """Rows of packed samples of 1, 2 or 4 bits -> (rows, width) uint8."""
    if bits == 1:
        return np.unpackbits(rows, axis=1, count=width)
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    samples = (rows[:, :, None] >> shifts) & np.uint8((1 << bits) - 1)
    return samples.reshape(rows.shape[0], -1)[:, :width]


def pack_bits(samples: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """(rows, width) uint8 -> rows of packed samples of 1, 2 or 4 bits, unused bits zero; the inverse of unpack_bits."""
    if samples.size and int(samples.max()) >> bits:
        raise ValueError(f"a sample does not fit into {bits} bits")
    if bits == 1:
        return np.packbits(samples, axis=1)
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
    if part.flags.writeable and pack(part, place.layout) != bytes(raster):  # a copy: has it kept everything?
        raise ImageError("its rows are padded with something other than zeros")
    recipe: Recipe = {"format": kind, "head": place.start, "layout": _without_defaults(place.layout)}
    return Content([part], recipe, blob, sure=True)


def write_place(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    (part,) = parts
    head = recipe["head"]
    if not 0 <= head <= len(blob):
        raise ValueError("the head is longer than the blob")
    raster = pack(part, msgspec.convert(recipe["layout"], Layout))
    return b"".join((blob[:head], raster, blob[head:]))


def _without_defaults(layout: Layout) -> Recipe:
    plain = Layout()
    return {name: value for name, value in msgspec.to_builtins(layout).items() if value != getattr(plain, name)}


def _swapped(channels: int) -> list[int]:
    if channels not in (3, 4):
        raise ValueError("only colours can be swapped")
    return [2, 1, 0, 3][:channels]


def _pad(rows: NDArray[np.uint8], layout: Layout) -> bytes:
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % layout.align))).tobytes()
