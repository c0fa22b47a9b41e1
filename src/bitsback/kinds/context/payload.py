"""The payload of a model without latents: pieces of images, each on a stack of its own.

Nothing is borrowed where there are no latents, so every piece of work can have its own stack: pieces are coded in
parallel, and a small one costs little more than its content.

A payload is: for every stack but the last the number of words in its tail, a varint each; then the stacks, in the order
of :mod:`bitsback.kinds.context.tiles`: their heads, as many as :func:`~bitsback.kinds.context.tiles.lanes` says, and
their words.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.errors import FormatError, TruncatedError
from bitsback.kinds.context.codec import ContextCodec
from bitsback.kinds.context.network import ContextNetwork
from bitsback.kinds.context.tiles import Piece, Whole, lanes, pieces
from bitsback.kinds.varint import read_varint, varint

Images = NDArray[np.uint8]


def encode(
    network: ContextNetwork, images: Images, levels: int, colour: tuple[int, ...] = (0,), threads: int = 1
) -> bytes:
    """Code uint8 (n, height, width, channels), the channels in the order ``colour``.

    The bytes do not depend on ``threads``.
    """
    heads, there = lanes(images.shape), list(colour)

    def one(piece: Piece) -> bytes:
        part = np.ascontiguousarray(images[piece][..., there])
        stack = Stack(heads)
        ContextCodec(network, part.shape, levels).push(stack, part)
        return stack.to_bytes()

    with ThreadPoolExecutor(threads) as pool:
        cut = pieces(images.shape)
        stacks = list(pool.map(one, cut) if threads > 1 else map(one, cut))
    return b"".join([*(varint((len(stack) - 8 * heads) // 4) for stack in stacks[:-1]), *stacks])


def decode(
    network: ContextNetwork,
    payload: bytes,
    shape: Whole,
    levels: int,
    colour: tuple[int, ...] = (0,),
    threads: int = 1,
) -> Images:
    """Take images of ``shape`` (n, height, width, channels) back out of a payload.

    Raises:
        TruncatedError, FormatError, EmptyStackError: the payload is damaged, or belongs to another model.
    """
    heads, cut = lanes(shape), list(pieces(shape))
    back = [colour.index(c) for c in range(len(colour))]
    rest = memoryview(payload)
    sizes = []
    for _ in cut[1:]:
        words, rest = read_varint(rest)
        sizes.append(8 * heads + 4 * words)
    sizes.append(len(rest) - sum(sizes))
    if sizes[-1] < 8 * heads:
        raise TruncatedError("a payload ends inside a stack")
    images = np.empty(shape, np.uint8)

    def one(job: tuple[Piece, memoryview]) -> None:
        piece, data = job
        stack = Stack.from_bytes(data, heads)
        part = ContextCodec(network, images[piece].shape, levels).pop(stack)
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
