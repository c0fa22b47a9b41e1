"""A model without latents, ready to run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bitsback.ans import Stack
from bitsback.errors import CodecError
from bitsback.kinds.base import Bits, Images, Shape, Trained
from bitsback.kinds.context import payload
from bitsback.kinds.context.codec import PRECISION, ContextCodec
from bitsback.kinds.context.network import ContextNetwork
from bitsback.kinds.context.tiles import EDGE, Whole, pieces
from bitsback.kinds.order import InOrder


class Context(Trained):
    """``network``: with its weights. ``levels``: of a sample. ``colour``: the channels in coding order."""

    def __init__(self, network: ContextNetwork, levels: int, colour: tuple[int, ...]) -> None:
        self.network, self.levels, self.colour = network, levels, colour

    def encode(self, images: Images, threads: int) -> bytes:
        return payload.encode(self.network, images, self.levels, self.colour, threads)

    def decode(self, payload_: bytes, count: int, shape: Shape, threads: int) -> Images:
        return payload.decode(self.network, payload_, (count, *shape), self.levels, self.colour, threads)

    def bits(self, images: Images, seed: int) -> Bits:
        found = np.empty(images.shape, np.float64)
        for piece in pieces(images.shape):
            found[piece] = self._codec(images[piece].shape).bits(images[piece])
        return Bits(found, np.zeros(len(images)))

    def draw(self, count: int, shape: Shape, random: Callable[[int], Stack]) -> Images:
        if max(shape[:2]) > EDGE:
            raise CodecError(f"images of more than {EDGE} pixels an edge cannot be drawn: {tuple(shape)}")
        images = np.zeros((count, *shape), np.uint8)
        for piece in pieces(images.shape):
            part = images[piece]
            part[...] = self._codec(part.shape).pop(random(part.size * PRECISION))
        return images

    def _codec(self, shape: Whole) -> InOrder:
        """Of a piece."""
        return InOrder(ContextCodec(self.network, shape, self.levels), self.colour)
