"""Images of several shapes, coded by any coder.

A coder that :class:`~bitsback.kinds.base.TakesLots` codes them together. For the others a payload is, for each shape in
the order in which shapes first come up, a varint, the size of a payload, and that payload, of all images of the shape.
A single lot is coded as if there were no lots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, groupby, pairwise

import numpy as np
from numpy.typing import DTypeLike

from bitsback.errors import FormatError
from bitsback.kinds.base import Coder, Images, Lot, Shape, TakesLots
from bitsback.kinds.varint import read_varint, varint


def lots_of(arrays: Sequence[Images]) -> tuple[Lot, ...]:
    """What the arrays (n, H, W, C) are lots of.

    >>> lots_of([np.zeros((3, 4, 5, 1)), np.zeros((1, 2, 2, 1))])
    (Lot(n=3, shape=(4, 5, 1)), Lot(n=1, shape=(2, 2, 1)))
    """
    return tuple(Lot(len(array), (array.shape[1], array.shape[2], array.shape[3])) for array in arrays)


def by_shape(arrays: Iterable[Images]) -> list[Images]:
    """Lots of images: arrays (n, H, W, C) of one shape that follow one another as one.

    >>> [lot.shape for lot in by_shape([np.zeros((1, 2, 2, 1)), np.zeros((2, 2, 2, 1)), np.zeros((1, 3, 2, 1))])]
    [(3, 2, 2, 1), (1, 3, 2, 1)]
    """
    out = []
    for _, alike in groupby(arrays, key=lambda images: images.shape[1:]):
        found = list(alike)
        out.append(np.ascontiguousarray(found[0] if len(found) == 1 else np.concatenate(found)))
    return out


def accepts(coder: Coder, shapes: Sequence[Shape], dtype: DTypeLike, levels: int | None = None) -> bool:
    """Whether a coder takes images of all these shapes."""
    return all(coder.accepts(shape, dtype, levels) for shape in dict.fromkeys(shapes))


def encode(coder: Coder, arrays: Sequence[Images], threads: int = 1) -> bytes:
    """Code at least one lot of images; errors as of :meth:`~bitsback.kinds.base.Coder.encode`."""
    if len(arrays) == 1:
        return coder.encode(arrays[0], threads)
    if isinstance(coder, TakesLots):
        return coder.encode_lots(arrays, threads)
    return encode_shapes(lambda images: coder.encode(images, threads), arrays)


def encode_shapes(code: Callable[[Images], bytes], arrays: Sequence[Images]) -> bytes:
    """Code lots of images shape by shape."""
    payloads = []
    for numbers in lots_by_shape(lots_of(arrays)).values():
        payload = code(np.concatenate([arrays[number] for number in numbers]))
        payloads.append(varint(len(payload)) + payload)
    return b"".join(payloads)


def decode(
    coder: Coder, payload: bytes, lots: Sequence[Lot], dtype: DTypeLike = np.uint8, threads: int = 1
) -> list[Images]:
    """The inverse: an array for each lot; errors as of :meth:`~bitsback.kinds.base.Coder.decode`, and FormatError."""
    if len(lots) == 1:
        return [coder.decode(payload, *lots[0], dtype, threads)]
    if isinstance(coder, TakesLots):
        return coder.decode_lots(payload, lots, dtype, threads)
    return decode_shapes(lambda part, lot: coder.decode(part, *lot, dtype, threads), payload, lots)


def decode_shapes(code: Callable[[bytes, Lot], Images], payload: bytes, lots: Sequence[Lot]) -> list[Images]:
    """The inverse of :func:`encode_shapes`; FormatError, and what ``code`` raises."""
    out: list[Images] = [np.empty(0)] * len(lots)
    rest = memoryview(payload)
    for shape, numbers in lots_by_shape(lots).items():
        size, rest = read_varint(rest)
        if size > len(rest):
            raise FormatError("the payload ends within the images of a shape")
        counts = [lots[number].n for number in numbers]
        images = code(bytes(rest[:size]), Lot(sum(counts), shape))
        for number, (start, stop) in zip(numbers, pairwise(accumulate(counts, initial=0)), strict=True):
            out[number] = images[start:stop]
        rest = rest[size:]
    if rest:
        raise FormatError("the payload holds more than the images")
    return out


def memory(coder: Coder, lots: Sequence[Lot], dtype: DTypeLike, payload: int, threads: int = 1) -> int:
    """Bytes that decoding takes at most, the images included: see :meth:`~bitsback.kinds.base.Coder.memory`."""
    if len(lots) == 1:
        return coder.memory(*lots[0], dtype, payload, threads)
    if isinstance(coder, TakesLots):
        return coder.memory_lots(lots, dtype, payload, threads)
    return memory_shapes(lambda lot: coder.memory(*lot, dtype, payload, threads), lots, dtype, payload)


def memory_shapes(needs: Callable[[Lot], int], lots: Sequence[Lot], dtype: DTypeLike, payload: int) -> int:
    """Bytes that :func:`decode_shapes` takes, where the images of a shape take what ``needs`` says."""
    alike = {shape: sum(lots[number].n for number in numbers) for shape, numbers in lots_by_shape(lots).items()}
    held = sum(count * shape[0] * shape[1] * shape[2] for count, shape in lots) * np.dtype(dtype).itemsize
    return held + max(needs(Lot(count, shape)) for shape, count in alike.items()) + payload


def lots_by_shape(lots: Sequence[Lot]) -> dict[Shape, list[int]]:
    """Numbers of lots by their shape, in the order in which shapes first come up."""
    found: dict[Shape, list[int]] = {}
    for number, lot in enumerate(lots):
        found.setdefault(lot.shape, []).append(number)
    return found


__all__ = [
    "accepts",
    "by_shape",
    "decode",
    "decode_shapes",
    "encode",
    "encode_shapes",
    "lots_by_shape",
    "lots_of",
    "memory",
    "memory_shapes",
]
