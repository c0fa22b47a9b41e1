"""A payload of pieces of images, each on a stack of its own: of kinds that borrow nothing from image to image.

Pieces are coded in parallel, and a small one costs little more than its content. How images are cut is a kind's own
affair. A payload is: a byte, 0; for every stack but the last the number of words in its tail, a varint each; then the
stacks, in the order of the pieces: their heads and their words.

Images that are sorted, whose order says nothing, lie on one stack instead, which gets back what their order is worth: a
byte, 1, and a chain (:mod:`bitsback.kinds.chain`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.codecs.base import Codec
from bitsback.errors import FormatError, TruncatedError
from bitsback.kinds import chain
from bitsback.kinds.order import Reordered
from bitsback.kinds.varint import read_varint, varint

Images = NDArray[np.uint8]

Piece = tuple[slice, slice, slice]
"""Images, rows and columns."""

Whole = tuple[int, int, int, int]
"""Shape of images: (n, height, width, channels)."""

Coding = Callable[[Whole], Codec[Images]]
"""The codec of a piece by its shape."""

APART, CHAINED = 0, 1


def encode(
    images: Images, cut: Sequence[Piece], lanes: int, coding: Coding, colour: tuple[int, ...], threads: int
) -> bytes:
    """Code uint8 (n, height, width, channels), the channels in the order ``colour``, on stacks of so many lanes.

    The bytes do not depend on ``threads``.
    """
    if chain.is_sorted(images) and _are_whole(cut, images.shape):
        with suppress(FormatError):  # images may be too plain to lend anything
            return bytes([CHAINED]) + chain.encode(_chained(images.shape, cut, coding, colour), images, usual=True)

    def one(piece: Piece) -> bytes:
        part, stack = images[piece], Stack(lanes)
        Reordered(coding(part.shape), colour).push(stack, part)
        return stack.pack()

    with ThreadPoolExecutor(threads) as pool:
        stacks = list(pool.map(one, cut) if threads > 1 else map(one, cut))
    return b"".join([bytes([APART]), *(varint((len(stack) - 8 * lanes) // 4) for stack in stacks[:-1]), *stacks])


def decode(
    payload: bytes,
    shape: Whole,
    cut: Sequence[Piece],
    lanes: int,
    coding: Coding,
    colour: tuple[int, ...],
    threads: int,
) -> Images:
    """Take images of ``shape`` (n, height, width, channels) back out of a payload.

    Raises:
        TruncatedError, FormatError, EmptyStackError: the payload is damaged, or belongs to another model.
    """
    if not payload:
        raise TruncatedError("a payload is empty")
    if payload[0] not in (APART, CHAINED):
        raise FormatError("a payload says neither that its images are apart nor that they are chained")
    rest = memoryview(payload)[1:]
    if payload[0] == CHAINED:
        if not _are_whole(cut, shape):
            raise FormatError("a payload says that tiles are chained")
        if len(rest) > 1 and rest[1] not in chain.UNSAID:  # many small steps would take long for what they give
            raise FormatError("a payload's chain has a schedule of its own")
        return chain.decode(_chained(shape, cut, coding, colour), bytes(rest), shape[0])
    sizes = []
    for _ in cut[1:]:
        words, rest = read_varint(rest)
        sizes.append(8 * lanes + 4 * words)
    sizes.append(len(rest) - sum(sizes))
    if sizes[-1] < 8 * lanes:
        raise TruncatedError("a payload ends inside a stack")
    images = np.empty(shape, np.uint8)

    def one(job: tuple[Piece, memoryview]) -> None:
        piece, data = job
        stack = Stack.unpack(data, lanes)
        images[piece] = Reordered(coding(images[piece].shape), colour).pop(stack)
        if not stack.is_initial():
            raise FormatError("a payload holds more than its images")

    jobs = []
    for piece, size in zip(cut, sizes, strict=True):
        jobs.append((piece, rest[:size]))
        rest = rest[size:]
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, jobs) if threads > 1 else map(one, jobs):
            pass
    return images


def held(shape: Whole, largest: Whole) -> int:
    """Bytes of images of ``shape``, of which no piece exceeds ``largest``, and of the shelf that they may be on before:
    tiles are on none."""
    count, samples = shape[0], math.prod(shape[1:])
    return count * samples + (chain.shelf(count, samples) if largest[1:] == shape[1:] else 0)


def _are_whole(cut: Sequence[Piece], shape: Whole) -> bool:
    """Whether pieces are images, and not tiles of them."""
    _, rows, columns = cut[0]
    return bool(rows.stop - rows.start == shape[1] and columns.stop - columns.start == shape[2])


def _chained(shape: Whole, cut: Sequence[Piece], coding: Coding, colour: tuple[int, ...]) -> chain.Whole:
    """Images of a shape as a chain takes them, at most as many side by side as in a piece."""
    images, *_ = cut[0]
    return chain.Whole(shape[1:], images.stop - images.start, lambda n: Reordered(coding((n, *shape[1:])), colour))
