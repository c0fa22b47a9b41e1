"""The payload of a model without latents: pieces of images, each on a stack of its own (:mod:`bitsback.kinds.pieces`).

The pieces, and the lanes of the stacks, are those of :mod:`bitsback.kinds.context.tiles`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitsback.kinds import pieces
from bitsback.kinds.context import tiles
from bitsback.kinds.context.codec import ContextCodec
from bitsback.kinds.context.network import ContextNetwork
from bitsback.kinds.context.tiles import Whole

Images = NDArray[np.uint8]


def encode(
    network: ContextNetwork, images: Images, levels: int, colour: tuple[int, ...] = (0,), threads: int = 1
) -> bytes:
    """Code uint8 (n, height, width, channels), the channels in the order ``colour``.

    The bytes do not depend on ``threads``.
    """
    cut, lanes = list(tiles.pieces(images.shape)), tiles.lanes(images.shape)
    return pieces.encode(images, cut, lanes, lambda shape: ContextCodec(network, shape, levels), colour, threads)


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
    cut, lanes = list(tiles.pieces(shape)), tiles.lanes(shape)
    return pieces.decode(payload, shape, cut, lanes, lambda part: ContextCodec(network, part, levels), colour, threads)
