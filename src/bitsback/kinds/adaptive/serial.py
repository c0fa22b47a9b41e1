"""The variants of the format's first version: samples or residuals in a row, and a general compressor on them.

Still the best for images that repeat themselves at a distance, and for the tiniest. A variant's tag says

    bits 0-1   colour transform: 0 none, 1 subtract green, 2 YCoCg-R (channels 0 to 2; others stay as they are)
    bit  2     1: the samples are residuals of the median predictor, plane by plane, zigzagged, high bytes first
    bit  3     1: two values only, one bit a sample
    bits 4-5   compressor: 0 none, 1 LZMA2, 2 deflate, 3 counts: :mod:`.counted`

All arithmetic is modulo 2^8 or 2^16, so that every transform is reversible on every input.

Sources: the median predictor is that of LOCO-I (Weinberger, Seroussi & Sapiro, "The LOCO-I lossless image compression
algorithm", 2000), YCoCg-R that of Malvar & Sullivan (JVT-I014r3, 2003).
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import FormatError, TruncatedError
from bitsback.kernels import kernel
from bitsback.kinds.adaptive import counted
from bitsback.kinds.adaptive.cost import SLAB

Images = NDArray[Any]
"""(n, height, width, channels), uint8 or uint16."""

SUBTRACT_GREEN, YCOCG = 1, 2
MEDIAN, TWO_VALUES = 1 << 2, 1 << 3
LZMA, DEFLATE, COUNTED = 1 << 4, 2 << 4, 3 << 4

_LZMA_DICTIONARY = 1 << 22
"""Fixed in the format: a decoder never needs more memory than this beyond the images."""


def encode(images: Images, tag: int) -> bytes:
    """The body of the variant ``tag``."""
    return _compress(_serialise(images, tag), tag, images.shape[3] * images.itemsize)


def decode(data: memoryview, whole: tuple[int, int, int, int], dtype: np.dtype[Any], tag: int) -> Images:
    """The inverse: images of the shape ``whole``. FormatError if the variant is not one, or the body not its own."""
    return _restore(unpacked(data, whole, dtype, tag), whole, dtype, tag)


def unpacked(data: memoryview, whole: tuple[int, int, int, int], dtype: np.dtype[Any], tag: int) -> bytes:
    """What the compressor was given. FormatError as :func:`decode`."""
    transform = tag & 3
    known = tag < 0x40 and transform < 3 and not (tag & TWO_VALUES and tag & (MEDIAN | 3))
    if tag & 0x30 == COUNTED and tag & 0xF:
        known = False
    if not known or (transform and (whole[3] < 3 or not tag & MEDIAN)):
        raise FormatError(f"the payload is of an unknown variant {tag}")
    return _decompress(data, tag & 0x30, _serial_size(whole, dtype, tag), whole[3] * dtype.itemsize)


# Serialising: images <-> bytes ----------------------------------------------------------------------------------------


def _serialise(images: Images, tag: int) -> bytes:
    little = images.dtype.newbyteorder("<")
    if tag & TWO_VALUES:
        values = np.array([images.min(), images.max()])
        bits = np.packbits(images.reshape(-1, images.shape[2] * images.shape[3]) == values[1], axis=1)
        return values.astype(little).tobytes() + bits.tobytes()
    if not tag & MEDIAN:
        return images.astype(little).tobytes()
    planes = _transformed(images.transpose(3, 0, 1, 2), tag & 3)
    return _bytes_by_weight(_zigzag(np.stack([_median_residuals(plane) for plane in planes])))


def _serial_size(whole: tuple[int, int, int, int], dtype: np.dtype[Any], tag: int) -> int:
    count, height, width, channels = whole
    if tag & TWO_VALUES:
        return 2 * dtype.itemsize + count * height * ((width * channels + 7) // 8)
    return count * height * width * channels * dtype.itemsize


def _restore(data: bytes, whole: tuple[int, int, int, int], dtype: np.dtype[Any], tag: int) -> Images:
    """The inverse of :func:`_serialise`."""
    count, height, width, channels = whole
    little = dtype.newbyteorder("<")
    if tag & TWO_VALUES:
        low, high = np.frombuffer(data, little, 2).astype(dtype)
        packed = np.frombuffer(data, np.uint8, offset=2 * dtype.itemsize).reshape(count * height, -1)
        bits = np.unpackbits(packed, axis=1, count=width * channels).view(np.bool)
        images: Images = np.where(bits, high, low).reshape(whole)
        return images
    if not tag & MEDIAN:
        return np.frombuffer(data, little).astype(dtype).reshape(whole)
    planes = _values_by_weight(data, dtype)
    for part in _slabs(planes.size, 1):
        planes[part] = _unzigzag(planes[part])
    _undo_median(planes.reshape(channels * count, height, width))
    planes = planes.reshape(channels, -1)
    images = np.empty((planes.shape[1], channels), dtype)
    for part in _slabs(planes.shape[1], channels):
        images[part] = _untransformed(planes[:, part], tag & 3).T
    return images.reshape(whole)


def _slabs(count: int, size: int) -> Iterator[slice]:
    """Some of so many things of ``size`` samples at a time, so that intermediate results take little memory."""
    step = max(1, SLAB // size)
    return (slice(first, first + step) for first in range(0, count, step))


def _bytes_by_weight(values: Images) -> bytes:
    """All high bytes, then all low bytes: the high ones are nearly all zero."""
    if values.dtype == np.uint8:
        return values.tobytes()
    return (values >> 8).astype(np.uint8).tobytes() + values.astype(np.uint8).tobytes()


def _values_by_weight(data: bytes, dtype: np.dtype[Any]) -> Images:
    if dtype == np.uint8:
        return np.frombuffer(data, np.uint8).copy()
    high, low = np.frombuffer(data, np.uint8).reshape(2, -1)
    values: Images = high.astype(np.uint16)
    values <<= 8
    values |= low
    return values


def _zigzag(residuals: Images) -> Images:
    """0, -1, 1, -2 ... -> 0, 1, 2, 3 ..., modulo the type's size."""
    sign = _half(residuals, residuals.itemsize * 8 - 1)
    mapped: Images = (residuals << 1) ^ sign
    return mapped


def _unzigzag(mapped: Images) -> Images:
    sign = np.zeros_like(mapped) - (mapped & 1)
    residuals: Images = (mapped >> 1) ^ sign
    return residuals


# Colour: planes (C, ...), reversible modulo the type's size -------------------------------------------------------


def _transformed(planes: Images, transform: int) -> Images:
    if not transform:
        return planes
    red, green, blue = planes[:3]
    middle = planes.dtype.type(1 << (planes.itemsize * 8 - 1))  # differences are centred, for the prediction's sake
    if transform == SUBTRACT_GREEN:
        first, second, third = green, red - green + middle, blue - green + middle
    else:
        orange = red - blue
        average = blue + _half(orange)
        violet = green - average
        first, second, third = average + _half(violet), orange + middle, violet + middle
    return np.concatenate([np.stack([first, second, third]), planes[3:]])


def _untransformed(planes: Images, transform: int) -> Images:
    if not transform:
        return planes
    middle = planes.dtype.type(1 << (planes.itemsize * 8 - 1))
    first, second, third = planes[0], planes[1] - middle, planes[2] - middle
    if transform == SUBTRACT_GREEN:
        red, green, blue = second + first, first, third + first
    else:
        average = first - _half(third)
        green = third + average
        blue = average - _half(second)
        red = second + blue
    return np.concatenate([np.stack([red, green, blue]), planes[3:]])


def _half(values: Images, shift: int = 1) -> Images:
    """Shift right with the sign, on unsigned arrays that stand for signed numbers."""
    signed = values.view(np.int8 if values.dtype == np.uint8 else np.int16)
    halves: Images = np.right_shift(signed, shift).view(values.dtype)
    return halves


# Prediction -----------------------------------------------------------------------------------------------------------


def _median_residuals(plane: Images) -> Images:
    """Samples minus their predictions, for a plane (n, H, W).

    The prediction is the median of left, above and left + above - corner. Outside of the image the samples are zero
    above, and left of a row as the first sample of the row above.
    """
    count, height, width = plane.shape
    padded = np.zeros((count, height + 1, width + 1), np.int32)
    padded[:, 1:, 1:] = plane
    padded[:, 1:, 0] = padded[:, :-1, 1]
    left, above, corner = padded[:, 1:, :-1], padded[:, :-1, 1:], padded[:, :-1, :-1]
    low, high = np.minimum(left, above), np.maximum(left, above)
    residuals: Images = (plane - np.clip(left + above - corner, low, high)).astype(plane.dtype)
    return residuals


@kernel
def _undo_median(planes):  # type: ignore[no-untyped-def]
    """Turn residuals (n, H, W) into samples, in place; storing them is the modulo."""
    count, height, width = planes.shape
    for i in range(count):
        for y in range(height):
            for x in range(width):
                above = planes[i, y - 1, x] if y > 0 else 0
                left = planes[i, y, x - 1] if x > 0 else above
                corner = above if x == 0 else planes[i, y - 1, x - 1] if y > 0 else 0
                low, high = min(left, above), max(left, above)
                planes[i, y, x] += min(max(left + above - corner, low), high)


# Compressors ----------------------------------------------------------------------------------------------------------


def _compress(data: bytes, tag: int, period: int) -> bytes:
    """``period``: bytes of a pixel."""
    method = tag & 0x30
    if method == COUNTED:
        return counted.encode(data, period)
    if method == LZMA:
        literal_context = 4 if tag & MEDIAN else 3
        reach = min(max(len(data), 1 << 12), _LZMA_DICTIONARY)  # more would only be cleared, for milliseconds
        chain = {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": reach, "lc": literal_context, "pb": 0}
        return lzma.compress(data, lzma.FORMAT_RAW, filters=[chain])
    if method == DEFLATE:  # residuals of photos do not repeat: Huffman codes alone are smaller, and fifty times faster
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
        return deflater.compress(data) + deflater.flush()
    return data


def _decompress(body: memoryview, method: int, size: int, period: int) -> bytes:
    """Exactly ``size`` bytes, or FormatError."""
    if method == COUNTED:
        return counted.decode(body, size, period)
    if method == 0:
        if len(body) != size:
            raise FormatError(f"the payload holds {len(body)} bytes instead of {size}")
        return bytes(body)
    try:
        if method == LZMA:
            chain = [{"id": lzma.FILTER_LZMA2, "dict_size": _LZMA_DICTIONARY}]
            unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain)
            data, ended, rest = unpacker.decompress(body, size + 1), unpacker.eof, unpacker.unused_data
        else:
            inflater = zlib.decompressobj(-15)
            data, ended, rest = inflater.decompress(body, size + 1), inflater.eof, inflater.unused_data
    except (lzma.LZMAError, zlib.error) as error:
        raise FormatError(f"the payload is damaged ({error})") from None
    if len(data) != size or not ended or rest:
        kind = TruncatedError if len(data) < size else FormatError
        raise kind(f"the payload does not hold the {size} bytes of its images")
    return data
