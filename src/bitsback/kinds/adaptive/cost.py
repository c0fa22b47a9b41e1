"""What decoding takes, whatever the payload says: known from the images' shape alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from bitsback.kinds.base import Lot
from bitsback.kinds.lots import memory_shapes

Whole = tuple[int, int, int, int]
"""Shape of images: (n, height, width, channels)."""

SLOTS_LOG2 = 22
"""Contexts that :mod:`.mixing` counts in, at most."""

LEARNED = 118_800
"""Bytes of what :mod:`.smooth` learns for each channel."""

MANY_CHANNELS, FEW_PIXELS = 128, 1 << 13
"""With more channels, :mod:`.smooth` takes only images of so many pixels in all."""

LONG_ROW, FEW_ROWS = 1 << 19, 4
"""Of longer rows, in samples, :mod:`.smooth` and :mod:`.mixing` take only so many or more."""

SLAB = 1 << 18
"""Samples whose colours are transformed, painted and so on at a time."""


def kept_as(dtype: DTypeLike) -> np.dtype[Any]:
    """The type of samples whose colours are transformed, and of their errors, while images of this type are coded:
    64ths of differences of 8 bits fit into 16."""
    return np.dtype(np.int16 if np.dtype(dtype) == np.uint8 else np.int32)


def learnable(whole: Whole) -> bool:
    """Whether what is learned, and the last rows, take a small share of the memory that the images take, if much at
    all: other images are coded without learning. Part of the format."""
    count, height, width, channels = whole
    pixels, rows = count * height * width, count * height
    return (channels <= MANY_CHANNELS or pixels >= FEW_PIXELS) and (width * channels <= LONG_ROW or rows >= FEW_ROWS)


def drawable(lots: Sequence[Lot]) -> bool:
    """Whether :mod:`.mixing` takes lots of one channel, or of the indices of their colours: with margins they take up
    to six times as much, and rows are not a few long ones. Part of the format."""
    rows, widest = sum(n * shape[0] for n, shape in lots), max(shape[1] for _, shape in lots)
    pixels = sum(n * shape[0] * shape[1] for n, shape in lots)
    margins = sum(n * (shape[0] + 2) for n, shape in lots) * (widest + 8) <= 6 * pixels
    return margins and (widest <= LONG_ROW or rows >= FEW_ROWS)


MARGIN, STRIP = 2, 64
"""Of images, to the left, the right and above, in :mod:`.regressed`; and the rows that it has under way at once."""

MOST_CHANNELS, MANY_COLUMNS, MANY_ROWS = 16, 1 << 13, 1 << 9
"""It takes no more channels; and of wider rows, in samples, so many or more."""

_LEARNED_BESIDE, _SUMS, _LANES, _SEEN = 310_000, 352, 8, 17 << 20


def regressable(whole: Whole) -> bool:
    """Whether margins are small beside the images, and what is learned takes little memory, if much at all: part of the
    format."""
    count, height, width, channels = whole
    margins = (height + MARGIN) * (width + 2 * MARGIN) <= 3 * height * width
    sums = channels <= MOST_CHANNELS and (width * channels <= MANY_COLUMNS or count * height >= MANY_ROWS)
    return margins and sums and learnable(whole)


REACH = 3
"""The margin of images in :mod:`.blended`."""

FEW_CHANNELS, SOME_COLUMNS = 4, 1 << 11
"""It takes no more channels; and of wider rows, in samples, so many as :data:`MANY_ROWS` or more."""

_BOTH_SUMS, _VOICES, _FLYING = 57 * 58 // 2 + 37 * 38 // 2 + 2, 3_200_000, 1 << 20


def blendable(whole: Whole) -> bool:
    """Whether what :mod:`.blended` learns takes little memory beside the images, if much at all: part of the format."""
    count, height, width, channels = whole
    margins = (height + REACH) * (width + 2 * REACH) <= 3 * height * width
    sums = channels <= FEW_CHANNELS and (width * channels <= SOME_COLUMNS or count * height >= MANY_ROWS)
    return margins and sums and regressable(whole)


def seen_log2(pixels: int) -> int:
    """Pixels that :mod:`.repeats` remembers by what is around them: the power of two. Part of the format."""
    return min(max(pixels.bit_length() + 1, 9), SLOTS_LOG2 - 3)


def decoding(whole: Whole, dtype: DTypeLike, payload: int) -> int:
    """Bytes for images of the shape ``whole`` from a payload of so many bytes, the images included."""
    count, height, width, channels = whole
    pixels = count * height * width
    samples = pixels * channels
    # int32 samples and what is made of them; more than the indices of a palette, a level or a deflated stream take
    images = 6 * samples
    # Of the images, of their indices in a palette, or of the palette
    colours = min(pixels, 1 << 16, max(1, LONG_ROW // channels))
    learned = max(map(_learned, (whole, (count, height, width, 1), (1, 1, colours, channels))))
    slots = 4 << min(max(pixels.bit_length() + 4, 12), SLOTS_LOG2)
    slabs = 32 * max(min(samples, SLAB), channels)
    indices, deep = (count, height, width, 1), np.dtype(np.uint16)  # of more than 256 colours
    regressed = max(_regressing(whole, kept_as(dtype)), _regressing(indices, kept_as(deep)))
    regressed = max(regressed, _blending(whole, kept_as(dtype)), _blending(indices, kept_as(deep)))
    drawn = _drawing([Lot(count, (height, width, 1))])
    return images + max(learned, regressed, drawn) + slots + slabs + 2 * payload + (10 << 20)


def decoding_lots(lots: Sequence[Lot], dtype: DTypeLike, payload: int) -> int:
    """The same for lots of images of several shapes: shape by shape, or together."""
    samples = sum(n * shape[0] * shape[1] * shape[2] for n, shape in lots)
    apart = memory_shapes(lambda lot: decoding((lot.n, *lot.shape), dtype, payload), lots, dtype, payload)
    # all of them in a row, as when they are painted, and how they are drawn
    pixels = samples // lots[0].shape[2]
    row = (1, 1, pixels, lots[0].shape[2])
    return max(apart, decoding(row, dtype, payload) + _drawing(lots) + 4 * samples)


def _drawing(lots: Sequence[Lot]) -> int:
    """Bytes of the values of :mod:`.mixing` within their margins, and of where such were seen before."""
    if not drawable(lots):
        return 0
    widest, count = max(shape[1] for _, shape in lots), sum(n for n, _ in lots)
    values = sum(n * (shape[0] + 2) for n, shape in lots) * (widest + 8)
    pixels = sum(n * shape[0] * shape[1] for n, shape in lots)
    return 4 * values + 200 * count + 8 * widest + min(pixels, 1 << (SLOTS_LOG2 - 1)) * 2 + (1 << 16)


def _learned(whole: Whole) -> int:
    """Bytes of the state of :mod:`.smooth`, which is larger than that of :mod:`.mixing` but for its slots."""
    _, _, width, channels = whole
    return channels * (LEARNED + 40 * (width + 4)) if learnable(whole) else 0


def _regressing(whole: Whole, kept: np.dtype[Any]) -> int:
    """Bytes of the planes of :mod:`.regressed`, and of what it learns."""
    count, height, width, channels = whole
    if not regressable(whole):
        return 0
    places = count * (height + MARGIN) * (width + 2 * MARGIN)
    planes = 2 * kept.itemsize * places
    repeats = 4 * places + (12 << seen_log2(count * height * width)) + 8 * width + (1 << 14)
    columns = 4 * (width // 4 + 4 * _LANES) + min(STRIP, height) + 4 * _LANES
    return channels * (planes + _LEARNED_BESIDE + 4 * _SUMS * columns) + repeats + _SEEN * (channels >= 3)


def _blending(whole: Whole, kept: np.dtype[Any]) -> int:
    """Bytes of the planes of :mod:`.blended`, and of what it learns."""
    count, height, width, channels = whole
    if not blendable(whole):
        return 0
    planes = 2 * kept.itemsize * count * (height + REACH) * (width + 2 * REACH)
    return (
        channels * (planes + _VOICES + (4 * _BOTH_SUMS + 256) * (width + 2 * REACH)) + _FLYING + _SEEN * (channels >= 3)
    )
