"""A payload of pieces of images, each on a stack of its own: of kinds that borrow nothing from image to image.

Pieces are coded in parallel, and a small one costs little more than its content. How images are cut is a kind's own
affair. A payload is: for every stack but the last the number of words in its tail, a varint each; then the stacks, in
the order of the pieces: their heads and their words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.codecs.base import Codec
from bitsback.errors import FormatError, TruncatedError
from bitsback.kinds.varint import read_varint, varint

Images = NDArray[np.uint8]

Piece = tuple[slice, slice, slice]
"""Images, rows and columns."""

Whole = tuple[int, int, int, int]
"""Shape of images: (n, height, width, channels)."""

Coding = Callable[[Whole], Codec[Images]]
"""The codec of a piece by its shape."""


def encode(
    images: Images, cut: Sequence[Piece], lanes: int, coding: Coding, colour: tuple[int, ...], threads: int
) -> bytes:
    """Code uint8 (n, height, width, channels), the channels in the order ``colour``, on stacks of so many lanes.

    The bytes do not depend on ``threads``.
    """
    there = list(colour)

    def one(piece: Piece) -> bytes:
        part = np.ascontiguousarray(images[piece][..., there])
        stack = Stack(lanes)
        coding(part.shape).push(stack, part)
        return stack.pack()

    with ThreadPoolExecutor(threads) as pool:
        stacks = list(pool.map(one, cut) if threads > 1 else map(one, cut))
    return b"".join([*(varint((len(stack) - 8 * lanes) // 4) for stack in stacks[:-1]), *stacks])


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
    back = [colour.index(c) for c in range(len(colour))]
    rest = memoryview(payload)
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
        part = coding(images[piece].shape).pop(stack)
        if not stack.is_initial():
            raise FormatError("a payload holds more than its images")
        images[piece] = part[..., back]

    jobs = []
    for piece, size in zip(cut, sizes, strict=True):
        jobs.append((piece, rest[:size]))
        rest = rest[size:]
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, jobs) if threads > 1 else map(one, jobs):
            pass
    return images
