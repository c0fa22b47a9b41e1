"""A model in phases, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.errors import CodecError
from bitsback.kinds import pieces
from bitsback.kinds.base import Bits, Images, Shape, Tensors, Trained
from bitsback.kinds.context.codec import PRECISION
from bitsback.kinds.phases import tiles
from bitsback.kinds.phases.codec import PhasesCodec, Ready
from bitsback.kinds.phases.cost import BATCH_VALUES
from bitsback.kinds.pieces import Whole
from bitsback.nets.engine import Runner, choose

if TYPE_CHECKING:
    from bitsback.kinds.phases.config import PhasesConfig


class Phases(Trained):
    """Arguments as of :meth:`bitsback.kinds.base.ModelConfig.build`."""

    def __init__(
        self, config: PhasesConfig, tensors: Tensors, engines: Sequence[str], threads: int, batch: int
    ) -> None:
        networks = config.networks(tensors)
        given = list(zip(networks.trunks, config.self_test, strict=True))
        runs = choose(given, engines, threads, free=True)
        widest = [max(shape[0] for shape in trunk.shapes()) for trunk in config.phases.trunks]
        self.ready = Ready(networks, [_in_batches(*one, batch) for one in zip(runs, widest, strict=True)])
        self.config: PhasesConfig = config
        self.colour = config.colour
        self._there, self._back = list(self.colour), [self.colour.index(c) for c in range(len(self.colour))]

    def encode(self, images: Images, threads: int) -> bytes:
        shape: Whole = images.shape
        return pieces.encode(images, *_cut(shape), self._codec, self.colour, threads)

    def decode(self, payload: bytes, count: int, shape: Shape, threads: int) -> Images:
        whole = (count, *shape)
        return pieces.decode(payload, whole, *_cut(whole), self._codec, self.colour, threads)

    def bits(self, images: Images, seed: int) -> Bits:
        found = np.empty(images.shape, np.float64)
        for piece in tiles.pieces(images.shape):
            part = np.ascontiguousarray(images[piece][..., self._there])
            found[piece] = self._codec(part.shape).bits(part)[..., self._back]
        return Bits(found, np.zeros(len(images)))

    def draw(self, count: int, shape: Shape, random: Callable[[int], Stack]) -> Images:
        if max(shape[:2]) > tiles.EDGE:
            raise CodecError(f"images of more than {tiles.EDGE} pixels an edge cannot be drawn: {tuple(shape)}")
        images = np.zeros((count, *shape), np.uint8)
        for piece in tiles.pieces(images.shape):
            part = images[piece]
            part[...] = self._codec(part.shape).pop(random(part.size * PRECISION))[..., self._back]
        return images

    def _codec(self, shape: Whole) -> PhasesCodec:
        return PhasesCodec(self.ready, shape)


def _cut(shape: Whole) -> tuple[list[pieces.Piece], int]:
    return list(tiles.pieces(shape)), tiles.lanes(shape)


def _in_batches(run: Runner, widest: int, batch: int) -> Runner:
    """``run``, called with as many images of a size at a time as memory is meant for, but no more than ``batch``."""

    def split(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        at_once = min(batch, max(1, BATCH_VALUES // (x.shape[1] * x.shape[2] * widest)))
        if len(x) <= at_once:
            return run(x)
        return np.concatenate([run(x[i : i + at_once]) for i in range(0, len(x), at_once)])

    return split
