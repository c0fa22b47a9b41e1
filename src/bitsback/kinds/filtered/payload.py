"""A payload of the filtered kind: a byte that says how, and LZMA2.

    bits 0-2   filter: 0 none, 1 left, 2 above, 3 Paeth, 4 the image before, of the same lot
    bit  3     1: an image is its channels one after the other, of 16 bits the high bytes and then the low ones;
               0: it is its samples in order, little-endian

Differences are modulo 2^8 or 2^16; what is outside of the image is 0. Sources: the filters are those of PNG (third
edition, section 9), of samples here and not of bytes.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import CodecError, FormatError, TruncatedError
from bitsback.kinds import proof
from bitsback.kinds.base import Images, Lot
from bitsback.kinds.distinct import distinct

NONE, LEFT, ABOVE, PAETH, BEFORE = range(5)
PLANES = 8

DICTIONARY = 1 << 24
"""The most bytes that LZMA looks back: part of the format, and what bounds the memory of a decoder."""

_TRIED = 1 << 22
"""Bytes that ways are tried on; where these are all, up to three ways compress them at length, ..."""

_CLOSE = 1.05
"""... if they are within this factor of the best by a quick look."""

_BEST = 9 | lzma.PRESET_EXTREME

SLAB = 1 << 18
"""Samples that are filtered at a time."""


def encode(lots: Sequence[Images]) -> bytes:
    """Code lots of uint8 or uint16 images (n, H, W, C), of one type and number of channels.

    >>> tiles = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    >>> payload = encode([tiles, tiles[:, :4], tiles])
    >>> len(payload) < 1.1 * tiles.nbytes
    True
    >>> found = decode(payload, [Lot(50, (8, 8, 3)), Lot(50, (4, 8, 3)), Lot(50, (8, 8, 3))], tiles.dtype)
    >>> bool((found[2] == tiles).all())
    True

    Raises CodecError for another type or number of axes.
    """
    if any(images.ndim != 4 or images.dtype not in (np.uint8, np.uint16) for images in lots):
        raise CodecError("the filtered kind takes uint8 or uint16 (n, H, W, C)")
    lots = [np.ascontiguousarray(images) for images in lots]
    ways = _ways(_first(lots, _TRIED))
    if sum(images.nbytes for images in lots) > _TRIED:
        ways = ways[:1]
    return min((_encoded(lots, how, shape) for _, how, shape in ways), key=len)


def _encoded(lots: Sequence[Images], how: int, shape: _Shape) -> bytes:
    if how & 7 == PAETH:
        prove()
    return bytes([how]) + _compressed(_serialised(lots, how), _BEST, shape)


def estimate(lots: Sequence[Images], closely: bool = False) -> int:
    """About how many bytes a payload has, by a quick look, which is 5 to 25 % too many, rarely more; or by the filter
    that is best by a quick look, compressed in less haste.

    Where nothing repeats, parts from many places say it; and that a filter leaves much less, a few small ones.
    """
    total, repeating = sum(images.nbytes for images in lots), _repeats(lots)
    size = _quickly(lots, repeating)
    if _is_pattern(size, lots):
        if closely:
            return _longer(lots, _ranked(_first(lots, _LONGER), 6)[0].how, _BEST)
        return min(size, *(_longer(lots, how, 6) for how in (NONE, ABOVE, PAETH)))
    if not closely:
        return size
    _, how, shape = _ways(_first(lots, _TRIED) if repeating else _spread(lots, _PART // 2))[0]
    data = _serialised(lots if repeating else _spread(lots, _PART), how)
    return len(_compressed(data, 5, shape)) * total // len(data)


def _quickly(lots: Sequence[Images], repeating: bool) -> int:
    """What LZMA makes of the first images, or of parts, in haste; less, if a filter leaves much less of small parts."""
    shape = _shapes(lots[0], NONE)[0]
    data = _serialised(_first(lots, DICTIONARY) if repeating else _spread(lots, _PART), NONE)
    plain, *filtered = (
        len(_compressed(_serialised(_spread(lots, _PART // 8), kind), 0, shape)) for kind in (NONE, ABOVE, PAETH)
    )
    share = min(filtered) / plain if _FAR * min(filtered) < plain else 1.0
    return int(len(_compressed(data, 0, shape)) * sum(images.nbytes for images in lots) / len(data) * share)


def _longer(lots: Sequence[Images], how: int, preset: int) -> int:
    """About what a filter makes of a pattern."""
    shown = _first(lots, 4 * _LONGER)
    size = len(_compressed(_serialised(shown, how), preset, _shapes(shown[0], how)[0]))
    return size * sum(images.nbytes for images in lots) // sum(images.nbytes for images in shown)


def decode(payload: bytes, lots: Sequence[Lot], dtype: np.dtype[Any]) -> list[Images]:
    """The images of a payload; FormatError (TruncatedError) if it does not hold just these."""
    if not payload:
        raise TruncatedError("the payload is empty")
    how = payload[0]
    if dtype not in (np.uint8, np.uint16) or how & 7 > BEFORE or how >= 2 * PLANES:
        raise FormatError(f"the filtered kind has no images of type {dtype} in a way {how}")
    sizes = [n * height * width * channels * dtype.itemsize for n, (height, width, channels) in lots]
    data = np.frombuffer(_decompressed(memoryview(payload)[1:], sum(sizes)), np.uint8)
    out, at = [], 0
    for (n, shape), size in zip(lots, sizes, strict=True):
        images = _ordered(data[at : at + size], (n, *shape), dtype, how)
        _undo(images, how & 7)
        out.append(images)
        at += size
    return out


def prove() -> None:
    """Make sure that what is compiled computes what it should; InexactEngineError if not."""
    known = (np.arange(2 * 5 * 7 * 3).reshape(2, 5, 7, 3) ** 3 * 77) % 65521

    def holds() -> bool:
        for dtype in (np.uint8, np.uint16):
            images = known.astype(dtype)
            differences = _filtered(images, PAETH)
            _undone_by_kernel(differences)
            if not np.array_equal(differences, images):
                return False
        return True

    proof.once("the filtered kind", "filtered paeth", holds)


# Filters --------------------------------------------------------------------------------------------------------------


def _filtered(images: Images, kind: int) -> Images:
    """Samples less what a filter says of them."""
    out = images.copy()
    if kind == LEFT:
        out[:, :, 1:] -= images[:, :, :-1]
    elif kind == ABOVE:
        out[:, 1:] -= images[:, :-1]
    elif kind == BEFORE:
        out[1:] -= images[:-1]
    elif kind == PAETH:
        step = max(1, SLAB // images[0].size)
        for start in range(0, len(images), step):
            out[start : start + step] -= _paeth(images[start : start + step])
    return out


def _paeth(images: Images) -> Images:
    """What Paeth's filter says of samples."""
    padded = np.pad(images.astype(np.int32), ((0, 0), (1, 0), (1, 0), (0, 0)))
    left, above, corner = padded[:, 1:, :-1], padded[:, :-1, 1:], padded[:, :-1, :-1]
    to_left, to_above, to_corner = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    nearest = np.where(to_above <= to_corner, above, corner)
    found: Images = np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest).astype(images.dtype)
    return found


def _undo(images: Images, kind: int) -> None:
    """Turn differences into samples, in place."""
    axis = {LEFT: 2, ABOVE: 1, BEFORE: 0}.get(kind)
    if axis is not None:
        np.add.accumulate(images, axis, images.dtype, images)
    elif kind == PAETH:
        prove()
        _undone_by_kernel(images)


def _undone_by_kernel(images: Images) -> None:
    from bitsback.kinds.filtered.paeth import undo  # it loads the compiler

    undo(images)


# Images <-> bytes -----------------------------------------------------------------------------------------------------


def _serialised(lots: Sequence[Images], how: int) -> bytes:
    return b"".join(_bytes(_filtered(images, how & 7), how) for images in lots)


def _bytes(images: Images, how: int) -> bytes:
    if not how & PLANES:
        return images.astype(images.dtype.newbyteorder("<")).tobytes()
    planes = images.transpose(0, 3, 1, 2)
    if images.itemsize == 1:
        return planes.tobytes()
    return np.stack([planes >> 8, planes & 255], axis=2).astype(np.uint8).tobytes()


def _ordered(data: NDArray[np.uint8], whole: tuple[int, int, int, int], dtype: np.dtype[Any], how: int) -> Images:
    """The inverse of :func:`_bytes`: images of the shape ``whole``, writeable."""
    count, height, width, channels = whole
    images = np.empty(whole, dtype)
    if not how & PLANES:
        images[:] = data.view(dtype.newbyteorder("<")).reshape(whole)
    elif dtype.itemsize == 1:
        images[:] = data.reshape(count, channels, height, width).transpose(0, 2, 3, 1)
    else:
        planes = data.reshape(count, channels, 2, height, width).transpose(2, 0, 3, 4, 1)
        images[:] = planes[0]
        images <<= 8
        images |= planes[1]
    return images


# Bytes <-> payload ----------------------------------------------------------------------------------------------------

_Shape = tuple[int, int, int]
"""Of what LZMA learns: bits of the byte before and of the place that literals depend on, and of the place that all
else does."""


def _compressed(data: bytes, preset: int, shape: _Shape = (3, 0, 0)) -> bytes:
    context, literal, place = shape
    chain = {
        "id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": _dictionary(len(data)),
        "lc": context, "lp": literal, "pb": place,
    }  # fmt: skip
    return lzma.compress(data, lzma.FORMAT_RAW, filters=[chain])


def _dictionary(size: int) -> int:
    return min(max(size, 1 << 12), DICTIONARY)


def _decompressed(data: memoryview, size: int) -> bytes:
    """Exactly ``size`` bytes, or FormatError."""
    chain = {"id": lzma.FILTER_LZMA2, "dict_size": _dictionary(size)}
    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])
        found = unpacker.decompress(data, size + 1)
        ended, rest = unpacker.eof, unpacker.unused_data
    except lzma.LZMAError as error:
        raise FormatError(f"the payload is damaged ({error})") from None
    if len(found) != size or not ended or rest:
        kind = TruncatedError if len(found) < size else FormatError
        raise kind(f"the payload does not hold the {size} bytes of its images")
    return found


# Choosing -------------------------------------------------------------------------------------------------------------


class _Way(NamedTuple):
    """How images may be coded, and what it takes by a quick look."""

    size: int
    how: int
    shape: _Shape


def _ways(lots: Sequence[Images]) -> list[_Way]:
    """Filters, orders if there are two, and shapes; up to three, the best first.

    Of ramps, halftones and the like a quick look misses most of what repeats, and of one filter more than of another:
    so they have a longer one, at less.
    """
    found = _ranked(lots, 0)
    if _is_pattern(found[0].size, lots):
        return _ranked(_first(lots, _LONGER), 6)[:3]
    return [way for way in found[:3] if way.size <= _CLOSE * found[0].size]


def _ranked(lots: Sequence[Images], preset: int) -> list[_Way]:
    """All filters and orders, the best with all shapes, by what LZMA makes of them."""
    orders = (0, PLANES) if lots[0].itemsize * lots[0].shape[3] > 1 else (0,)
    found = []
    for how in (kind | order for kind in (NONE, LEFT, ABOVE, PAETH, BEFORE) for order in orders):
        data = _serialised(lots, how)
        found += [_Way(len(_compressed(data, preset, shape)), how, shape) for shape in _shapes(lots[0], how)[:1]]
    best = min(found, key=lambda way: way.size)
    data = _serialised(lots, best.how)
    found += [_Way(len(_compressed(data, preset, shape)), best.how, shape) for shape in _shapes(lots[0], best.how)[1:]]
    return sorted(found, key=lambda way: way.size)


def _is_pattern(size: int, lots: Sequence[Images]) -> bool:
    return _PATTERN * size < sum(images.nbytes for images in lots)


def _shapes(images: Images, how: int) -> list[_Shape]:
    step = 1 if how & PLANES else images.itemsize * images.shape[3]
    if step % 4 == 0:
        return [(2, 2, 2), (3, 0, 2), (0, 2, 2)]
    return [(3, 1, 1), (3, 0, 0)] if step % 2 == 0 else [(3, 0, 0), (0, 0, 0)]


def _first(lots: Sequence[Images], size: int) -> list[Images]:
    """The first images, and rows of the next, up to so many bytes."""
    out: list[Images] = []
    for images in lots:
        count = size // images[0].nbytes
        if count == 0:
            rows = max(1, size // images[0, 0].nbytes) if not out else 0
            return out if rows == 0 else [*out, np.ascontiguousarray(images[:1, :rows])]
        out.append(images[:count])
        size -= images.nbytes
        if size <= 0:
            return out
    return out


def _spread(lots: Sequence[Images], size: int) -> list[Images]:
    """About so many bytes from up to :data:`_PLACES` places all over the lots: images, or rows of large ones."""
    if sum(images.nbytes for images in lots) <= size:
        return list(lots)
    ends = np.cumsum([len(images) for images in lots])
    out = []
    for place in range(_PLACES):
        number = int(ends[-1]) * (2 * place + 1) // (2 * _PLACES)
        lot = int(np.searchsorted(ends, number, "right"))
        images, first = lots[lot], number - int(ends[lot]) + len(lots[lot])
        height, row = images.shape[1], images[0, 0].nbytes
        count = max(1, size // _PLACES // images[0].nbytes)
        rows = min(height, max(1, size // _PLACES // row))
        top = (height - rows) * place // (_PLACES - 1)
        out.append(np.ascontiguousarray(images[first : first + count, top : top + rows]))
    return out


_PART, _PLACES = 1 << 18, 8
"""Bytes that are looked at where nothing repeats, and from how many places."""

_PATTERN, _LONGER = 32, 1 << 18
"""What a quick look takes to less than a part of this is a pattern; so many bytes of it have a longer look."""

_FAR = 3
"""A filter that leaves so many times less is looked at from the beginning: as of ramps and planes."""

_PIECE, _REPEATED = 32, 0.03
"""So many bytes of a row are looked for elsewhere; of so many of them that are not blank, much seems to repeat."""


def _repeats(lots: Sequence[Images]) -> bool:
    """Whether pieces of rows occur again, at the same place in another row, as in frames, tiles and texts."""
    found = []
    for images in lots:
        rows = images.reshape(-1, images.shape[2] * images.shape[3]).view(np.uint8)
        pieces = rows[:, : rows.shape[1] // _PIECE * _PIECE]
        words = np.ascontiguousarray(pieces).view("<u8").reshape(-1, _PIECE // 8)
        words = words[(words != words[:, :1]).any(axis=1)]
        mixed = np.zeros(len(words), np.uint64)
        for column in words.T:
            mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        found.append(mixed)
    hashes = np.concatenate(found)
    if len(hashes) < 64:  # rows are short
        return True
    return len(hashes) - len(distinct(hashes)) > _REPEATED * len(hashes)


__all__ = ["decode", "encode", "estimate", "prove"]
