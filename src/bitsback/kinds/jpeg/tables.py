"""What is fixed: orders, functions in whole numbers, where contexts lie. Part of the format."""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.codecs.tables import ORIGIN, load, sigmoid
from bitsback.kinds.jpeg.layout import ZIGZAG

INNER = tuple(place for place in ZIGZAG if place % 8 and place // 8)
"""Where the 49 coefficients stand in a block, rows first, that vary both across and down: in zigzag order."""

EDGES = (7, 56, 6, 48, 5, 40, 4, 32, 3, 24, 2, 16, 1, 8)
"""Those that vary in one direction only, the finest first: they are told by the blocks around once the others are
known, and the large ones best if they come last."""

ORDER = (*INNER, *EDGES, 0)
"""In what order coefficients are coded."""

TOP = 3072
"""Logits are from -TOP + 1 to TOP - 1, in 256ths."""

LANES = 8
"""What a chance is mixed from: up to seven contexts, and a constant."""

LINE = 16
"""Slots of a context: one for each question that it may be asked."""

CLASSES = 3
"""Components are modelled as the first of a file, the second, or the third; a fourth one as the first."""

COUNT_SIZES = tuple(4 * size for size in (26, 100, 50, 50, 400, 100, 32))
"""How many contexts of each sort there are for a class: of how many coefficients are not 0 (64 questions in each)."""

SIZE_SIZES = (40 * 16 * 3, 6 * 6 * 4 * 12, 20 * 32 * 3, 64 * 50, 64 * 10 * 6, 64 * 14 * 4, 10 * 10 * 10 * 3)
"""Of how large a coefficient is ..."""

SIGN_SIZES = (20 * 16 * 2 * 2, 64 * 9, 64 * 9, 64 * 27, 3 * 3 * 3 * 3 * 12, 64 * 20, 27 * 27)
"""... of its sign ..."""

REST_SIZES = (19 * 17, 64 * 17, 20 * 17)
"""... and of the bits behind its first."""


def _places(start: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Where the contexts of each sort begin, and where they end, in lines."""
    return tuple(accumulate((CLASSES * size for size in sizes), initial=start))


COUNTS = _places(0, COUNT_SIZES)
SIZES = _places(COUNTS[-1], SIZE_SIZES)
SIGNS = _places(SIZES[-1], SIGN_SIZES)
RESTS = _places(SIGNS[-1], REST_SIZES)
SLOTS = RESTS[-1] * LINE
SINGLE = 4096
"""Slots that are asked alone."""

COUNT_SET, SIZE_SET, SIGN_SET, REST_SET = 0, 192, 336, 528
COUNT_SET_2, SIZE_SET_2, SIGN_SET_2, REST_SET_2 = 576, 726, 1038, 1098
SETS = 1149
"""Sets of weights: two are added up for each question."""


class Tables(NamedTuple):
    """Functions in whole numbers."""

    squash: NDArray[np.uint16]
    """(2 TOP,): the chance, in 65536ths, that a logit less TOP stands for."""
    stretch: NDArray[np.int16]
    """(4096,): the logit of a chance in 4096ths."""
    magnitudes: NDArray[np.uint8]
    """(256,): 0 to 19, two for each doubling."""
    logarithms: NDArray[np.uint8]
    """(4096,): 0 to 39, four for each doubling."""
    order: NDArray[np.uint8]
    """(64,): :data:`ORDER`."""
    halves: NDArray[np.int16]
    """(8, 8), in 4096ths: coefficients of a row -> of the first half of a row that is twice as long and as coarse."""


HALVES = (
    2048, 0, 0, 0, 0, 0, 0, 0,
    1856, 835, -141, 39, 0, -26, 59, -166,
    0, 2009, 0, 0, 0, 0, 0, -400,
    -652, 1589, 971, -166, 0, 111, -402, -316,
    0, 0, 1892, 0, 0, 0, -784, 0,
    435, -708, 1453, 835, 0, -558, -602, 141,
    0, 0, 0, 1703, 0, -1138, 0, 0,
    -369, 558, -710, 1474, 0, -985, 294, -111,
)  # fmt: skip
"""Rounded once: the DCT of the means of pairs of samples, of the first eight of sixteen samples."""


@cache
def tables() -> Tables:
    """All of them."""
    logistic = load("logistic")
    fine = np.array([sigmoid.function(logistic.astype(np.int64), ORIGIN + ((u - TOP) << 18)) for u in range(2 * TOP)])
    numbers = np.arange(4096, dtype=np.int64)
    stretch = np.searchsorted(fine, (2 * numbers + 1) << 19) - TOP
    return Tables(
        np.clip(fine >> 16, 1, 65535).astype(np.uint16),
        np.clip(stretch, 1 - TOP, TOP - 1).astype(np.int16),
        np.array([_magnitude(number) for number in range(256)], np.uint8),
        np.array([_logarithm(number) for number in range(4096)], np.uint8),
        np.array(ORDER, np.uint8),
        np.array(HALVES, np.int16).reshape(8, 8),
    )


def _magnitude(number: int) -> int:
    if number < 5:
        return number
    length = (number - 1).bit_length()
    return min(5 + 2 * (length - 3) + ((number - 1) >> (length - 2) & 1), 19)


def _logarithm(number: int) -> int:
    length = (number + 2).bit_length()
    return min(4 * (length - 2) + (((number + 2) << 2) >> (length - 1) & 3), 39)


class Model(NamedTuple):
    """All that is learned."""

    slots: NDArray[np.int16]
    """(SLOTS,): chances of yes in 65536ths, less 32768."""
    weights: NDArray[np.int32]
    """(SETS * LANES,), in 65536ths."""
    single: NDArray[np.int16]
    """(SINGLE,), like ``slots``."""


class Trained(NamedTuple):
    """What was learned from other files, and stays."""

    predict: NDArray[np.int16]
    """(CLASSES * 64 * 40,), in 4096ths: how a coefficient follows from others."""
    expect: NDArray[np.int16]
    """(CLASSES * 64 * 40,), in 4096ths: how its magnitude follows from theirs."""
    least: NDArray[np.int32]
    """(CLASSES, 64), in 4096ths of a step: what is added to that."""


def new_model() -> Model:
    """Before anything was learned."""
    return Model(np.zeros(SLOTS, np.int16), np.full(SETS * LANES, 9000, np.int32), np.zeros(SINGLE, np.int16))
