"""What a sequence of blocks of coefficients says of itself at its beginning: the first of them are no coefficients.

Block 0 holds the number of components, and then for each of them four numbers: the blocks in a row, the rows of blocks,
the sampling factors across and down. After it there is, for each component, a block with its quantisation table, rows
first. Then come the coefficients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import CodecError

MAX_SIDE = 1 << 14
"""Blocks in a row, or rows of them."""


class Component(NamedTuple):
    """Of an image."""

    width: int
    height: int
    """In blocks."""
    across: int
    down: int
    """Sampling factors, 1 to 4."""
    table: tuple[int, ...]
    """The quantisation table: 64 numbers below 2^16."""


class Layout(NamedTuple):
    """Of an image's coefficients."""

    components: tuple[Component, ...]

    @property
    def size(self) -> int:
        """Blocks of coefficients."""
        return sum(one.width * one.height for one in self.components)

    def blocks(self) -> NDArray[np.uint16]:
        """(1 + components, 64): the first blocks."""
        out = np.zeros((1 + len(self.components), 64), np.uint16)
        out[0, 0] = len(self.components)
        for number, one in enumerate(self.components):
            out[0, 1 + 4 * number : 5 + 4 * number] = one[:4]
            out[1 + number] = one.table
        return out

    @classmethod
    def of(cls, blocks: NDArray[np.uint16]) -> Layout:
        """The layout of (n, 64) blocks. Raises CodecError if they do not begin with one, or are too few for it."""
        count = int(blocks[0, 0]) if len(blocks) else 0
        if not 1 <= count <= 4 or len(blocks) < 1 + count or blocks[0, 1 + 4 * count :].any():
            raise CodecError("these are no coefficients of a JPEG file")
        components = []
        for number in range(count):
            width, height, across, down = blocks[0, 1 + 4 * number : 5 + 4 * number].tolist()
            fits = 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and 1 <= across <= 4 and 1 <= down <= 4
            if not fits:
                raise CodecError("these are no coefficients of a JPEG file")
            components.append(Component(width, height, across, down, tuple(blocks[1 + number].tolist())))
        layout = cls(tuple(components))
        if len(blocks) < 1 + count + layout.size:
            raise CodecError("there are not as many coefficients as there should be")
        return layout
