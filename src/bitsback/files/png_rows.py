"""The rows of a PNG: from filtered bytes to samples and back, and which filter an encoder took for each."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.deflate.coder import pack_chain, unpack_chain
from bitsback.files.filters import apply_filters, filter_sums, unfilter
from bitsback.files.picture import Images
from bitsback.files.raster import pack_bits, unpack_bits

_FIELDS = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PLAIN = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""(x, y, dx, dy) of every pass: first column and row, and steps."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Header:
    """What IHDR says of an image."""

    width: int
    height: int
    depth: int
    colour: int
    interlace: int = 0

    def __post_init__(self) -> None:
        if self.depth not in _DEPTHS.get(self.colour, ()) or self.interlace not in (0, 1):
            raise ImageError("impossible PNG header")
        if not (0 < self.width < 1 << 31 and 0 < self.height < 1 << 31):
            raise ImageError("impossible PNG header")

    @staticmethod
    def read(body: bytes) -> Header:
        """From the body of IHDR. Raises ImageError."""
        width, height, depth, colour, compression, filtering, interlace = _FIELDS.unpack(body)
        if compression or filtering:
            raise ImageError("impossible PNG header")
        return Header(width, height, depth, colour, interlace)

    def write(self) -> bytes:
        return _FIELDS.pack(self.width, self.height, self.depth, self.colour, 0, 0, self.interlace)

    @property
    def channels(self) -> int:
        return _CHANNELS[self.colour]

    @property
    def bytes(self) -> int:
        """Bytes of the samples as an array."""
        return self.width * self.height * self.channels * max(1, self.depth // 8)

    @property
    def step(self) -> int:
        """Bytes from a byte of a row to the one that filters take for its left neighbour."""
        return max(1, self.channels * self.depth // 8)

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Of the samples."""
        return np.uint16 if self.depth == 16 else np.uint8

    @cached_property
    def passes(self) -> list[tuple[slice, slice, int, int]]:
        """The pixels of every pass that has any: rows, columns, and how many of each."""
        found = []
        for x, y, dx, dy in _ADAM7 if self.interlace else _PLAIN:
            across, down = -(-(self.width - x) // dx), -(-(self.height - y) // dy)
            if across > 0 and down > 0:
                found.append((slice(y, None, dy), slice(x, None, dx), down, across))
        return found

    def stride(self, across: int) -> int:
        """Bytes of a row of so many pixels."""
        return -(-across * self.channels * self.depth // 8)

    @property
    def size(self) -> int:
        """Bytes of all filtered rows."""
        return sum(down * (1 + self.stride(across)) for _, _, down, across in self.passes)


def gather(lines: bytes, header: Header) -> tuple[Images, Bytes]:
    """Filtered rows -> samples (1, height, width, channels), and the filter of every row. Raises ImageError."""
    image = np.empty((1, header.height, header.width, header.channels), header.dtype)
    data, at = np.frombuffer(lines, np.uint8), 0
    kinds = []
    for rows, columns, down, across in header.passes:
        stride = header.stride(across)
        filtered = data[at : at + down * (1 + stride)].reshape(down, 1 + stride)
        at += filtered.size
        plain = np.empty((down, stride), np.uint8)
        if not unfilter(filtered, header.step, plain):
            raise ImageError("damaged PNG pixels (unknown filter)")
        kinds.append(filtered[:, 0])
        if header.depth < 8:
            plain = unpack_bits(plain, across, header.depth)
        samples = plain.view(">u2" if header.depth == 16 else np.uint8)
        image[0, rows, columns] = samples.reshape(down, across, header.channels)
    return image, np.concatenate(kinds)


def plain_rows(image: Images, header: Header) -> list[Bytes]:
    """Samples (height, width, channels) -> the rows of each pass, without filters. Raises ValueError."""
    if image.shape != (header.height, header.width, header.channels) or image.dtype != header.dtype:
        raise ValueError("the samples do not fit the PNG header")
    passes = []
    for rows, columns, down, _ in header.passes:
        samples = np.ascontiguousarray(image[rows, columns]).reshape(down, -1)
        if header.depth < 8:
            passes.append(pack_bits(samples, header.depth))
        else:
            passes.append(samples.astype(">u2" if header.depth == 16 else np.uint8).view(np.uint8))
    return passes


def filtered(passes: list[Bytes], header: Header, kinds: Bytes) -> bytes:
    """Rows -> filtered rows, each led by its filter."""
    out, at = [], 0
    if kinds.size and int(kinds.max()) > 4:
        raise ValueError("an unknown filter")
    for rows in passes:
        lines = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
        apply_filters(rows, header.step, kinds[at : at + len(rows)], lines)
        at += len(rows)
        out.append(lines.tobytes())
    return b"".join(out)


# Which filter an encoder took ---------------------------------------------------------------------------------------

Choice = int | str | list[str]
"""In a recipe: the filter of all rows; the filters among which the one of the smallest sum of magnitudes was taken for
each row, the earlier of equals, as digits; such digits in a list, if the blob says by how much it was another's turn;
or an empty list, if the blob says which it was."""

_ORDERS = ("01234", "0214", "02134", "24013", "01", "02", "1234", "43210", "012", "0124")
"""libpng, Pillow, Pillow when it optimises, Go; libpng where there is one row or one column; and others."""


def explain_choices(kinds: Bytes, passes: list[Bytes], header: Header) -> tuple[Choice, bytes]:
    """How the filters of all rows were chosen, and what the blob has to say about it."""
    if (kinds == kinds[0]).all():
        return int(kinds[0]), b""
    sums = _sums(passes, header)
    wrong: dict[str, int] = {}
    for order in _ORDERS:
        wrong[order] = int((_best(sums, order) != kinds).sum())
        if not wrong[order]:
            return order, b""
    best = min(wrong, key=wrong.__getitem__)
    plainly = pack_chain(kinds, 5)
    if len(best) == 5 or set(kinds.tolist()) <= set(map(int, best)):
        ranks = np.argmax(_ranked(sums, best) == kinds[:, None], axis=1).astype(np.uint8)
        if len(packed := pack_chain(ranks, 5)) < len(plainly):
            return [best], packed
    return [], plainly


def choices(choice: Choice, packed: bytes, passes: list[Bytes], header: Header) -> Bytes:
    """The filters of all rows again. Raises ValueError."""
    height = sum(map(len, passes))
    if isinstance(choice, int):
        return np.full(height, choice, np.uint8)
    if isinstance(choice, str):
        return _best(_sums(passes, header), choice)
    symbols = unpack_chain(packed, 5, height)
    if not choice:
        return symbols
    kinds: Bytes = np.take_along_axis(_ranked(_sums(passes, header), choice[0]), symbols[:, None].astype(np.intp), 1)
    return kinds[:, 0].copy()


def _sums(passes: list[Bytes], header: Header) -> NDArray[np.int64]:
    """The sums of magnitudes, (rows of all passes, 5)."""
    out = []
    for rows in passes:
        sums = np.empty((len(rows), 5), np.int64)
        filter_sums(rows, header.step, sums)
        out.append(sums)
    return np.concatenate(out)


def _best(sums: NDArray[np.int64], order: str) -> Bytes:
    """For each row the filter with the smallest sum, the earlier in ``order`` of equals."""
    kinds = _filters(order)
    best: Bytes = kinds[np.argmin(sums[:, kinds], axis=1)]
    return best


def _ranked(sums: NDArray[np.int64], order: str) -> Bytes:
    """The filters in ``order``, for each row the one with the smallest sum first, the earlier of equals before."""
    kinds = _filters(order)
    return kinds[np.argsort(sums[:, kinds], axis=1, kind="stable")]


@lru_cache(64)
def _filters(order: str) -> Bytes:
    kinds = np.array([int(digit) for digit in order], np.uint8)
    if not len(kinds) or int(kinds.max()) > 4:
        raise ValueError("unknown filters")
    kinds.flags.writeable = False
    return kinds
