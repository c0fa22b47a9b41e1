"""The payload of a model without latents: tiles of images, each a stack of its own.

Nothing is borrowed where there are no latents, so every piece of work can have its own stack: pieces are coded in
parallel, and a small one costs little more than its content. Images of up to ``2^tile_log2`` pixels an edge are coded
whole, as many of them side by side as ``2^group_log2`` pixels hold (at least one); larger ones are cut into tiles, as
equal in size as can be: of ``k = ceil(height / 2^tile_log2)`` rows of tiles, row i begins at ``height * i // k``, and
so for columns.

A payload is: log2 of the number of lanes, tile_log2 and group_log2 (one byte each); the size in bytes of every stack
but the last, 4 bytes each, little-endian; then the stacks, in the order of the images and, within one, of its tiles,
row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.errors import FormatError, TruncatedError
from bitsback.kinds.context.codec import ContextCodec
from bitsback.kinds.context.network import ContextNetwork

Images = NDArray[np.uint8]
Piece = tuple[slice, slice, slice]
"""Images, rows and columns."""

TILE_LOG2, MIN_TILE_LOG2, MAX_TILE_LOG2 = 10, 4, 12
GROUP_LOG2, MAX_GROUP_LOG2 = 16, 18
LANES_LOG2, MAX_LANES_LOG2 = 3, 8
MANY_SAMPLES = 1 << 17
"""From so many samples on, a stack has eight lanes: 4 bytes of overhead each, and a faster coder."""


def _grid(shape: tuple[int, ...], tile_log2: int, group_log2: int) -> tuple[int, int, int]:
    """Rows and columns of tiles in an image, and how many images are coded side by side."""
    _, height, width, _ = shape
    rows, columns = -(-height // (1 << tile_log2)), -(-width // (1 << tile_log2))
    return rows, columns, max(1, (1 << group_log2) // (height * width)) if rows == columns == 1 else 1


def piece_count(shape: tuple[int, ...], tile_log2: int, group_log2: int) -> int:
    """How many :func:`pieces` there are."""
    rows, columns, group = _grid(shape, tile_log2, group_log2)
    return -(-shape[0] // group) * rows * columns


def pieces(shape: tuple[int, ...], tile_log2: int, group_log2: int) -> Iterator[Piece]:
    """What is coded on one stack each, in order, of images of ``shape`` (n, height, width, channels)."""
    count, height, width, _ = shape
    rows, columns, group = _grid(shape, tile_log2, group_log2)
    if rows == columns == 1:
        for start in range(0, count, group):
            yield slice(start, min(start + group, count)), slice(0, height), slice(0, width)
        return
    for image in range(count):
        for i in range(rows):
            for j in range(columns):
                yield (
                    slice(image, image + 1),
                    slice(height * i // rows, height * (i + 1) // rows),
                    slice(width * j // columns, width * (j + 1) // columns),
                )


def encode(network: ContextNetwork, images: Images, levels: int, threads: int = 1) -> bytes:
    """Code uint8 (n, height, width, channels), channels in coding order; the bytes do not depend on ``threads``."""
    cut = list(pieces(images.shape, TILE_LOG2, GROUP_LOG2))
    largest = max(images[piece].size for piece in cut)
    lanes_log2 = LANES_LOG2 if largest >= MANY_SAMPLES else 0

    def one(piece: Piece) -> bytes:
        part = np.ascontiguousarray(images[piece])
        stack = Stack(1 << lanes_log2)
        ContextCodec(network, part.shape, levels).push(stack, part)
        return stack.to_bytes()

    with ThreadPoolExecutor(threads) as pool:
        stacks = list(pool.map(one, cut) if threads > 1 else map(one, cut))
    sizes = np.array([len(stack) for stack in stacks[:-1]], "<u4").tobytes()
    return bytes([lanes_log2, TILE_LOG2, GROUP_LOG2]) + sizes + b"".join(stacks)


def decode(
    network: ContextNetwork, payload: bytes, shape: tuple[int, int, int, int], levels: int, threads: int = 1
) -> Images:
    """Take images of ``shape`` (n, height, width, channels) back out of a payload.

    Raises:
        TruncatedError, FormatError, EmptyStackError: the payload is damaged, or belongs to another model.
    """
    if len(payload) < 3:
        raise TruncatedError("a payload ends inside its header")
    lanes_log2, tile_log2, group_log2 = payload[:3]
    if lanes_log2 > MAX_LANES_LOG2 or not MIN_TILE_LOG2 <= tile_log2 <= MAX_TILE_LOG2 or group_log2 > MAX_GROUP_LOG2:
        raise FormatError("a payload has a header beyond the limits")
    begin = 3 + 4 * (piece_count(shape, tile_log2, group_log2) - 1)
    if len(payload) < begin:
        raise TruncatedError("a payload ends inside its table of sizes")
    cut = list(pieces(shape, tile_log2, group_log2))
    sizes = np.frombuffer(payload, "<u4", len(cut) - 1, 3).tolist()
    ends = [begin + end for end in np.cumsum(sizes, dtype=np.int64).tolist()] + [len(payload)]
    starts = [begin, *ends[:-1]]
    if any(end > len(payload) for end in ends):
        raise TruncatedError("a payload ends inside a stack")
    images = np.empty(shape, np.uint8)

    def one(job: tuple[Piece, int, int]) -> None:
        piece, start, end = job
        stack = Stack.from_bytes(payload[start:end], 1 << lanes_log2)
        part = ContextCodec(network, images[piece].shape, levels).pop(stack)
        if not stack.is_initial():
            raise FormatError("a payload holds more than its images")
        images[piece] = part

    jobs = list(zip(cut, starts, ends, strict=True))
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, jobs) if threads > 1 else map(one, jobs):
            pass
    return images


def bits(network: ContextNetwork, images: Images, levels: int) -> NDArray[np.float64]:
    """The ideal code length of each image, (n,). A report, never coded with."""
    costs = []
    for image in images:
        total = 0.0
        for piece in pieces((1, *image.shape), TILE_LOG2, GROUP_LOG2):
            part = np.ascontiguousarray(image[None][piece])
            total += float(ContextCodec(network, part.shape, levels).bits(part).sum())
        costs.append(total)
    return np.array(costs)


__all__ = ["bits", "decode", "encode", "pieces"]
