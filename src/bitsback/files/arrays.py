"""NumPy arrays (``.npy``) and IDX files: bytes that are many images.

Arrays of bool, uint8 and uint16 are samples as they are; other numbers are for :mod:`bitsback.files.words`. How the
axes are understood only matters for compression:

    (H, W)                       one image
    (H, W, C), C = 3 or 4        one image
    (n, H, W)                    n grey images
    (n, H, W, C), C = 1 to 4     n images
    (n, C, H, W), C = 1 to 4     n images (as PyTorch has them)
    (..., H, W)                  grey images
"""

from __future__ import annotations

import io
import math
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files import words as from_words
from bitsback.files.axes import MAX_AXES, as_images
from bitsback.files.picture import Buffer, Content
from bitsback.files.raster import Layout, Place, read_place, read_raster

_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([^']*)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d, ]*)\),?\s*\}\s*"
)
_TYPES = {
    "|b1": Layout(),
    "|u1": Layout(),
    "<u2": Layout(bits=16),
    ">u2": Layout(bits=16, big=True),
}
_NUMBERS = {"i1", "i2", "i4", "i8", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "m8", "M8"}
"""Integers, floats, complex numbers, spans of time and dates."""


def check_array(array: NDArray[Any]) -> None:
    """Raise ImageError, with the reason, for an array that would not come back from an ``.npy`` file as it is.

    That is one with a mask, with Python objects, or of a type that NumPy's format does not know, such as bfloat16.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise ImageError("a masked array cannot be stored as one: store array.data and array.mask, or array.filled()")
    if array.dtype.hasobject:
        raise ImageError("an array of Python objects cannot be stored")
    try:
        known = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(array.dtype))
    except (ValueError, TypeError) as error:
        raise ImageError(f"an array of {array.dtype} cannot be stored ({error})") from None
    if known != array.dtype:
        size = array.dtype.itemsize
        hint = f": array.view(np.uint{8 * size}) can be" if array.dtype.names is None and size in (1, 2, 4, 8) else ""
        raise ImageError(f"an array of {array.dtype} cannot be stored, as NumPy's format has no such type{hint}")


def npy_bytes(array: NDArray[Any]) -> bytes:
    """The ``.npy`` file that ``numpy.save`` makes of an array. Raises ImageError as :func:`check_array` does."""
    check_array(array)
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def read_array(array: NDArray[Any]) -> Content | None:
    """What :func:`read_npy` makes of :func:`npy_bytes`, but with a view of the array instead of a copy; None if it is
    not of samples, or does not lie in memory in the order of a file."""
    check_array(array)
    flat = array if array.flags.c_contiguous else array.T
    if array.dtype.str not in _TYPES or not flat.flags.c_contiguous or array.ndim < 2 or array.size == 0:
        return None
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    head = file.getvalue()
    place = _place(len(head), list(array.shape), _TYPES[array.dtype.str], flat is not array)
    raster = np.asarray(flat).reshape(-1).view(np.uint8).data.toreadonly()
    return read_raster("npy", raster, place, head)


HEAD = 1 << 17
"""Bytes that hold the header of any ``.npy`` or IDX file that is read here."""


class Header(NamedTuple):
    """What a header says: where the numbers begin, their type as NumPy writes it, the axes, whether the first axis is
    the fastest (``fortran``)."""

    start: int
    type: str
    axes: list[int]
    fortran: bool = False


def npy_header(data: Buffer) -> Header:
    """The header of a ``.npy`` file, from its first :data:`HEAD` bytes or more; never unpickles.

    Raises:
        ImageError: it is damaged, or of a kind that NumPy does not write for plain arrays.
    """
    version = bytes(data[6:8])
    size = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}.get(version)
    if size is None:
        raise ImageError("unknown version of the NumPy format")
    length = int.from_bytes(data[8 : 8 + size], "little")
    start = 8 + size + length
    match = _HEADER.fullmatch(bytes(data[8 + size : start])) if length <= 1 << 16 else None
    if match is None:
        raise ImageError("an unusual or damaged NumPy header")
    kind, order, shape = (group.decode("latin-1") for group in match.groups())
    return Header(start, kind, [int(axis) for axis in shape.replace(",", " ").split()], order == "True")


def idx_header(data: Buffer) -> Header:
    """The header of an IDX file of bytes. Raises ImageError."""
    count = data[3] if len(data) > 3 else 0
    start = 4 + 4 * count
    if len(data) < start:
        raise ImageError("the file ends within the IDX header")
    return Header(start, "|u1", [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)])


def read_npy(data: Buffer) -> Content:
    """Take a ``.npy`` file apart. Raises ImageError if it is damaged or of another type; never unpickles."""
    start, kind, axes, fortran = npy_header(data)
    if kind in _TYPES:
        return read_place("npy", data, _place(start, axes, _TYPES[kind], fortran))
    item = kind[1:].partition("[")[0]
    if item not in _NUMBERS:
        raise ImageError(f"an array of type {kind}")
    if not 1 <= len(axes) <= MAX_AXES:
        raise ImageError(f"an array of {len(axes)} axes")
    letter, size = item[0], int(item[1:])
    if math.prod(axes) * size < from_words.MIN_BYTES:
        raise ImageError("an array of few numbers")
    words = 2 if letter == "c" else 1
    place, axes_order = from_words.place(axes, words)
    if fortran:
        axes_order = axes_order[-2::-1] + "c" if words == 2 else axes_order[::-1]
    of_kind = {"u": "u", "f": "f", "c": "f"}.get(letter, "i")
    layout = from_words.Layout(8 * size // words, of_kind, big=kind[0] == ">", axes=axes_order)
    return from_words.read(data, start, place, layout)


def read_idx(data: Buffer) -> Content:
    """Take an IDX file of bytes with three or four axes apart (the format of MNIST). Raises ImageError."""
    start, _, axes, _ = idx_header(data)
    if start + math.prod(axes) != len(data):
        raise ImageError(f"an IDX header that promises {math.prod(axes)} bytes before {len(data) - start}")
    return read_place("idx", data, _place(start, axes, Layout(), False))


def _place(start: int, axes: list[int], layout: Layout, fortran: bool) -> Place:
    shape, order = as_images(axes)
    if fortran:
        order = order[::-1]
    return Place(start, shape, Layout(bits=layout.bits, big=layout.big, axes=order))
