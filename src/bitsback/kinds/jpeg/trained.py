"""A start of one's own for JPEG files, ready to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bitsback.ans import Stack
from bitsback.errors import CodecError
from bitsback.kinds.base import Bits, Images, ImageSpec, Shape, Tensors, Trained
from bitsback.kinds.jpeg import coding, known, payload
from bitsback.kinds.jpeg.layout import Component, Layout
from bitsback.kinds.jpeg.start import differing

if TYPE_CHECKING:
    from bitsback.kinds.jpeg.config import JpegConfig


class Jpegs(Trained):
    """Arguments as of :meth:`bitsback.kinds.base.ModelConfig.build`. Images are blocks: see :mod:`.layout`."""

    def __init__(self, config: JpegConfig, tensors: Tensors) -> None:
        config.check_tensors(tensors)
        self.config: JpegConfig = config
        self.start = differing(tensors["slots"], tensors["weights"], tensors["single"])

    def encode(self, images: Images, threads: int) -> bytes:
        return payload.encode(images, threads, self.start)

    def decode(self, data: bytes, count: int, shape: Shape, threads: int) -> Images:
        return payload.decode(data, count, threads, self.start)

    def bits(self, images: Images, seed: int) -> Bits:
        """Coefficients are not told apart: each block has its share of what all take."""
        share = 8 * len(self.encode(images, 1)) / images.size
        return Bits(np.full(images.shape, share), np.zeros(len(images)))

    def draw(self, count: int, shape: Shape, random: Callable[[int], Stack]) -> Images:
        """A grey picture of one row: two blocks that say so, and ``count - 2`` of coefficients."""
        if count < 3:
            raise CodecError("a picture of coefficients takes three blocks or more")
        layout = Layout((Component(count - 2, 1, 1, 1, tuple(1 + k // 8 + k % 8 for k in range(64))),))
        blocks = np.zeros((count, 64), np.int16)
        blocks[: layout.head] = layout.blocks().view(np.int16)
        (part,) = next(payload.stretches([layout]))
        stack, model, room = random((count - 2) * 4096), self.start.fresh(), payload.new_work()
        for band in payload.bands(blocks, [part], self.start):
            for rows in band:
                stack.pull(coding.decode, rows.first, rows.last, payload.job_of(rows.plane, model, self.start, room))
        return blocks.view(np.uint16).reshape(count, 8, 8, 1)

    def known_images(self, image: ImageSpec) -> Images:
        return known.blocks()
