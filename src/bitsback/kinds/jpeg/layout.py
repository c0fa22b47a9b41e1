"""What a sequence of blocks of coefficients says of itself at its beginning: the first of them are no coefficients.

Block 0 holds the number of components, and then for each of them four numbers: the blocks in a row, the rows of blocks,
the sampling factors across and down. After it there is, for each component, a block with its quantisation table, rows
first. Then come the coefficients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import CodecError, FormatError, TruncatedError
from bitsback.kinds.varint import read_varint, varint

MAX_SIDE = 1 << 14
"""Blocks in a row, or rows of them."""


ZIGZAG = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61,
    54, 47, 55, 62, 63,
)  # fmt: skip
"""Where the coefficients of a block stand in it, in the order of JPEG files."""


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
    def head(self) -> int:
        """Blocks before the coefficients."""
        return 1 + len(self.components)

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


def ratios(luma: Component, own: Component) -> tuple[int, int]:
    """How many blocks of the first component there are for one of another, across and down: 1 or 2."""
    return (
        2 if luma.across == 2 * own.across else 1,
        2 if luma.down == 2 * own.down else 1,
    )


# Layouts in payloads -------------------------------------------------------------------------------------------------


def write(layouts: list[Layout]) -> bytes:
    """Layouts in few bytes: 0 for one like that before; else twice the number of components, plus 1 if sizes are told
    one by one; and so on, see ``docs/format.md``."""
    out = bytearray()
    known: dict[tuple[int, ...], int] = {}
    last = None
    for one in layouts:
        if one == last:
            out += varint(0)
            continue
        first = one.components[0]
        told = any(part[:2] != _derived(first, part.across, part.down) for part in one.components)
        out += varint(2 * len(one.components) + told) + varint(first.width) + varint(first.height)
        for part in one.components:
            out += bytes([part.across << 4 | part.down])
            if told and part is not first:
                out += varint(part.width) + varint(part.height)
            out += varint(known.get(part.table, 0))
            if part.table not in known:
                out += b"".join(varint(part.table[place]) for place in ZIGZAG)
                known[part.table] = len(known) + 1
        last = one
    return bytes(out)


def _derived(first: Component, across: int, down: int) -> tuple[int, int]:
    return first.width // first.across * across, first.height // first.down * down


def read(data: memoryview, count: int) -> list[Layout]:
    """The layouts of ``count`` blocks, theirs included. Raises FormatError, TruncatedError if there are others."""
    layouts: list[Layout] = []
    known: list[tuple[int, ...]] = []
    left = count
    while data:
        kind, data = read_varint(data)
        if kind == 0 and layouts:
            layouts.append(layouts[-1])
        else:
            one, data = _read_one(kind, data, known)
            layouts.append(one)
        left -= layouts[-1].head + layouts[-1].size
        if left < 0:
            break
    if left != 0:
        raise FormatError("the payload holds other images than announced")
    return layouts


def _read_one(kind: int, data: memoryview, known: list[tuple[int, ...]]) -> tuple[Layout, memoryview]:
    width, data = read_varint(data)
    height, data = read_varint(data)
    components: list[Component] = []
    if not 1 <= kind >> 1 <= 4:
        raise FormatError("an image of so many components is unknown to this version")
    for _ in range(kind >> 1):
        if not data:
            raise TruncatedError("the payload ends within its layouts")
        across, down, data = data[0] >> 4, data[0] & 15, data[1:]
        if not (1 <= across <= 4 and 1 <= down <= 4):
            raise FormatError("a component is sampled in an impossible way")
        size = (width, height)
        if components and kind & 1:
            own_width, data = read_varint(data)
            own_height, data = read_varint(data)
            size = (own_width, own_height)
        elif components:
            size = _derived(components[0], across, down)
        number, data = read_varint(data)
        if number > len(known):
            raise FormatError("a quantisation table is named that is not there")
        if number == 0:
            table = np.zeros(64, np.int64)
            for place in ZIGZAG:
                value, data = read_varint(data)
                table[place] = min(value, 1 << 16)
            known.append(tuple(table.tolist()))
        table_of = known[number - 1]
        if not (1 <= size[0] <= MAX_SIDE and 1 <= size[1] <= MAX_SIDE) or max(table_of) >= 1 << 16:
            raise FormatError("a component is of an impossible size, or its quantisation table is")
        components.append(Component(*size, across, down, table_of))
    return Layout(tuple(components)), data
