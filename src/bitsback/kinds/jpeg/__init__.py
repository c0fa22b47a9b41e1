"""JPEG files: their quantised DCT coefficients, from what many such files have in common and what each has of its own.

Images of this kind are blocks of 8 x 8 coefficients; :mod:`.layout` says how they stand for files.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
from numpy.typing import DTypeLike

from bitsback.kinds.base import Images, Shape
from bitsback.kinds.jpeg.cost import PACE
from bitsback.kinds.jpeg.layout import ZIGZAG as ZIGZAG
from bitsback.kinds.jpeg.layout import Component as Component
from bitsback.kinds.jpeg.layout import Layout as Layout


class Jpeg:
    """The coder. Takes blocks of coefficients, if they begin with what says whose they are."""

    tag, id, name, learns, starts, pace = 5, "", "jpeg", False, False, PACE

    def accepts(self, shape: Shape, dtype: DTypeLike, levels: int | None = None) -> bool:
        return tuple(shape) == (8, 8, 1) and np.dtype(dtype) == np.uint16 and levels is None

    def encode(self, images: Images, threads: int = 1) -> bytes:
        from bitsback.kinds.jpeg import known, payload  # they load the compiler

        known.prove_encoding()
        return payload.encode(images, threads)

    def decode(self, payload: bytes, count: int, shape: Shape, dtype: DTypeLike = np.uint8, threads: int = 1) -> Images:
        from bitsback.errors import FormatError
        from bitsback.kinds.jpeg import known
        from bitsback.kinds.jpeg import payload as coding

        if not self.accepts(shape, dtype):
            raise FormatError("coefficients of another shape than 8 x 8, or of another type")
        known.prove_decoding()
        return coding.decode(payload, count, threads)

    def memory(self, count: int, shape: Shape, dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        from bitsback.kinds.jpeg.cost import decoding

        return decoding(count * int(np.prod(shape)), payload, threads)

    def prepare(self) -> None:
        import_module("bitsback.kinds.jpeg.payload")
        import_module("bitsback.kinds.jpeg.known")

    def prove(self) -> None:
        from bitsback.kinds.jpeg import known

        known.prove_encoding()
        known.prove_decoding()


CODER = Jpeg()
