"""Samples less what a simple filter says of them, and LZMA: no weights, and nothing learned but what repeats.

What repeats far apart in a large block (frames of a screen, tiles, sprites, labels) it finds better than kinds that
predict from what is near. It is the floor: what any other kind codes larger than this is coded by this.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import numpy as np
from numpy.typing import DTypeLike

from bitsback.kinds.base import Images, Lot, Shape


class Filtered:
    """The coder. Takes any images."""

    tag, id, name, learns, starts, pace = 6, "", "filtered", False, False, 1 << 24

    def accepts(self, shape: Shape, dtype: DTypeLike, levels: int | None = None) -> bool:
        return np.dtype(dtype) in (np.uint8, np.uint16)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        return self.encode_lots([images])

    def encode_lots(self, lots: Sequence[Images], threads: int = 1) -> bytes:
        from bitsback.kinds.filtered import payload

        return payload.encode(lots)

    def estimate(self, lots: Sequence[Images], closely: bool = False) -> int:
        from bitsback.kinds.filtered import payload

        return payload.estimate(lots, closely)

    def decode(self, payload: bytes, count: int, shape: Shape, dtype: DTypeLike = np.uint8, threads: int = 1) -> Images:
        (images,) = self.decode_lots(payload, [Lot(count, shape)], dtype)
        return images

    def decode_lots(
        self, payload: bytes, lots: Sequence[Lot], dtype: DTypeLike = np.uint8, threads: int = 1
    ) -> list[Images]:
        from bitsback.kinds.filtered import payload as coding

        return coding.decode(payload, lots, np.dtype(dtype))

    def memory(self, count: int, shape: Shape, dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        return self.memory_lots([Lot(count, shape)], dtype, payload)

    def memory_lots(self, lots: Sequence[Lot], dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        size = sum(n * height * width * channels for n, (height, width, channels) in lots) * np.dtype(dtype).itemsize
        # the images, what LZMA hands out (in pieces, and then in one), its dictionary, and a lot being put in order
        return 6 * size + 2 * payload + (10 << 20)

    def prepare(self) -> None:
        import_module("bitsback.kinds.filtered.payload")
        import_module("bitsback.kinds.filtered.paeth")

    def prove(self) -> None:
        from bitsback.kinds.filtered import payload

        payload.prove()


CODER = Filtered()
