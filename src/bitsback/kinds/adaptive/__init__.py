"""Images that no model takes, in exact integers and without any weights: what predicts them is learned as they come."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import numpy as np
from numpy.typing import DTypeLike

from bitsback.kinds.adaptive.cost import decoding, decoding_lots
from bitsback.kinds.base import EFFORTS, Effort, Images, Lot, Shape


class Adaptive:
    """The coder. Takes any images."""

    tag, id, name, learns, starts, pace = 1, "", "adaptive", True, False, 1 << 19

    def __init__(self, effort: Effort = "normal") -> None:
        """``effort``: "fast", and images are coded by what takes little time, unless the rest gains much; "max", and
        they are coded by what takes most. Decoding is the same."""
        self.effort = effort

    def accepts(self, shape: Shape, dtype: DTypeLike, levels: int | None = None) -> bool:
        return np.dtype(dtype) in (np.uint8, np.uint16)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        from bitsback.kinds.adaptive import payload as coding  # it loads the compiler

        return coding.encode(images, self.effort)

    def decode(self, payload: bytes, count: int, shape: Shape, dtype: DTypeLike = np.uint8, threads: int = 1) -> Images:
        from bitsback.kinds.adaptive import payload as coding

        return coding.decode(payload, count, shape, dtype)

    def encode_lots(self, lots: Sequence[Images], threads: int = 1) -> bytes:
        from bitsback.kinds.adaptive import payload as coding

        return coding.encode_lots(lots, self.effort)

    def decode_lots(
        self, payload: bytes, lots: Sequence[Lot], dtype: DTypeLike = np.uint8, threads: int = 1
    ) -> list[Images]:
        from bitsback.kinds.adaptive import payload as coding

        return coding.decode_lots(payload, lots, dtype)

    def memory(self, count: int, shape: Shape, dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        return decoding((count, *shape), dtype, payload)

    def memory_lots(self, lots: Sequence[Lot], dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        return decoding_lots(lots, dtype, payload)

    def prepare(self) -> None:
        import_module("bitsback.kinds.adaptive.payload")

    def prove(self) -> None:
        from bitsback.kinds.adaptive import payload as coding

        coding.prove()


BY_EFFORT = {effort: Adaptive(effort) for effort in EFFORTS}
"""Coders that encode with more or less time, and decode alike."""

CODER = BY_EFFORT["normal"]
