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

COARSE = 2
"""Chances are told for every fourth of them."""

CONSTANT, WEIGHT_SHIFT = 512, 14
"""The logit that is always among those that are summed; and the binary digits of weights behind the point."""

LEAST = 24
"""No answer has a smaller chance, in 65536ths."""

LANES = 8
"""What a chance is mixed from: up to seven contexts, and a constant."""

LINE = 8
"""Slots of a context of sizes or of digits: one for each question that it may be asked."""

CLASSES = 3
"""Components are modelled as the first of a file, the second, or the third; a fourth one as the first."""

COUNT_SIZES = tuple(64 * size for size in (26, 100, 50, 50, 400, 100, 32))
"""How many slots the contexts of each sort have, for a class: of how many coefficients are not 0 (64 slots each)."""

SIZE_SIZES = tuple(
    LINE * size
    for size in (40 * 16 * 3, 6 * 6 * 4 * 12, 20 * 32 * 3, 64 * 50, 64 * 10 * 6, 64 * 14 * 4, 10 * 10 * 10 * 3)
)
"""Of how large a coefficient is ..."""

SIGN_SIZES = (20 * 16 * 2 * 2, 64 * 9, 64 * 9, 64 * 27, 3 * 3 * 3 * 3 * 12, 64 * 20 * 2, 27 * 27 * 2)
"""... of its sign (one question each) ..."""

REST_SIZES = tuple(LINE * size for size in (19 * 17, 64 * 17, 20 * 17))
"""... and of the bits behind its first."""


def _places(start: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Where the contexts of each sort begin, and where they end."""
    return tuple(accumulate((CLASSES * size for size in sizes), initial=start))


COUNTS = _places(0, COUNT_SIZES)
SIZES = _places(COUNTS[-1], SIZE_SIZES)
SIGNS = _places(SIZES[-1], SIGN_SIZES)
RESTS = _places(SIGNS[-1], REST_SIZES)
SLOTS = RESTS[-1]
SINGLE = 4096
"""Slots that are asked alone."""

COUNT_SET, SIZE_SET, SIGN_SET, REST_SET = 0, 192, 336, 528
COUNT_SET_2, SIZE_SET_2, SIGN_SET_2, REST_SET_2 = 576, 726, 1038, 1098
SETS = 1149
"""Sets of weights: two are added up for each question."""


class Tables(NamedTuple):
    """Functions in whole numbers."""

    squash: NDArray[np.uint16]
    """(2 TOP >> COARSE,): the chance, in 65536ths, that a logit less TOP stands for, held to what can be coded."""
    stretch: NDArray[np.int16]
    """(4096,): the logit of a chance in 4096ths."""
    magnitudes: NDArray[np.uint8]
    """(256,): 0 to 19, two for each doubling."""
    logarithms: NDArray[np.uint8]
    """(4096,): 0 to 39, four for each doubling."""
    order: NDArray[np.uint8]
    """(64,): :data:`ORDER`."""
    near: NDArray[np.uint8]
    """(64, 3): three coefficients of the same block that are near to one in frequency, and known; 0 for none, which is
    as good, as that one comes last."""
    counts: NDArray[np.uint8]
    """(50,): 0 to 9."""
    edges: NDArray[np.uint8]
    """(15,): 0 to 3."""
    across: NDArray[np.int16]
    """(2, 4, 8, 2), in 4096ths: what pairs of coefficients of a row, and of the next one, give for those of a row that
    is twice as long and as coarse (:data:`HALVES`)."""
    down: NDArray[np.int16]
    """(8, 2, 4, 2): the same for columns, by what they are given for."""


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
"""(8, 8), in 4096ths: coefficients of a row -> of the first half of a row that is twice as long and as coarse. Rounded
once: the DCT of the means of pairs of samples, of the first eight of sixteen samples."""


@cache
def tables() -> Tables:
    """All of them."""
    logistic = load("logistic")
    fine = np.array([sigmoid.function(logistic.astype(np.int64), ORIGIN + ((u - TOP) << 18)) for u in range(2 * TOP)])
    numbers = np.arange(4096, dtype=np.int64)
    stretch = np.searchsorted(fine, (2 * numbers + 1) << 19) - TOP
    half, signs = np.array(HALVES).reshape(8, 8), 1 - 2 * (np.indices((8, 8)).sum(0) % 2)
    halves = np.stack([half, half * signs]).astype(np.int16).reshape(2, 8, 4, 2)
    return Tables(
        np.clip(fine[1 << COARSE - 1 :: 1 << COARSE] >> 16, LEAST, 65536 - LEAST).astype(np.uint16),
        np.clip(stretch, 1 - TOP, TOP - 1).astype(np.int16),
        np.array([_magnitude(number) for number in range(256)], np.uint8),
        np.array([_logarithm(number) for number in range(4096)], np.uint8),
        np.array(ORDER, np.uint8),
        np.array([_near(k) for k in range(64)], np.uint8),
        np.array([_count(number) for number in range(50)], np.uint8),
        np.array([(number > 2) + (number > 5) + (number > 8) for number in range(15)], np.uint8),
        np.ascontiguousarray(halves.transpose(0, 2, 1, 3)),
        np.ascontiguousarray(halves.transpose(1, 0, 2, 3)),
    )


def _magnitude(number: int) -> int:
    if number < 5:
        return number
    length = (number - 1).bit_length()
    return min(5 + 2 * (length - 3) + ((number - 1) >> (length - 2) & 1), 19)


def _logarithm(number: int) -> int:
    length = (number + 2).bit_length()
    return min(4 * (length - 2) + (((number + 2) << 2) >> (length - 1) & 3), 39)


def _near(k: int) -> tuple[int, int, int]:
    if k % 8 and k // 8:
        return k - 1, k - 8, k - 9
    if 0 < k < 8:
        return k + 8, k + 1 if k < 7 else 0, k + 16
    return k + 1, k + 8 if 0 < k < 56 else 0, k + 2


def _count(number: int) -> int:
    return number if number < 3 else 3 + (number - 3) // 3 if number < 9 else min(5 + (number - 9) // 8, 9)


def begins(steps: NDArray[np.int32], cls: int) -> NDArray[np.int64]:
    """(64, 14): by rank, the first slots of contexts that depend on no more: seven of sizes, seven of signs."""
    ranks = np.arange(64)
    kinds = (ranks >= 49) + np.int64(ranks == 63)
    sizes = np.minimum([_magnitude(min(int(steps[k]), 255)) for k in ORDER], 9)
    nothing = 0 * ranks
    of_size = kinds, nothing, kinds, 50 * ranks, 6 * (10 * ranks + sizes), 56 * ranks, kinds
    of_sign = np.minimum(kinds, 1), 9 * ranks, 9 * ranks, 27 * ranks, ranks >> 3, 40 * ranks, nothing
    columns = [SIZES[sort] + cls * SIZE_SIZES[sort] + LINE * number for sort, number in enumerate(of_size)]
    columns += [SIGNS[sort] + cls * SIGN_SIZES[sort] + number for sort, number in enumerate(of_sign)]
    return np.ascontiguousarray(np.stack(columns, 1))


class Model(NamedTuple):
    """All that is learned."""

    slots: NDArray[np.uint16]
    """(SLOTS,): chances of yes in 65536ths."""
    weights: NDArray[np.int16]
    """(SETS * LANES,), in 16384ths."""
    single: NDArray[np.uint16]
    """(SINGLE,), like ``slots``."""


class Trained(NamedTuple):
    """What was learned from other files, and stays."""

    predict: NDArray[np.int16]
    """(CLASSES, 64, 40), in 4096ths: how a coefficient follows from others: from eight of the row in the block to the
    left, eight of the column above, of its own row, and of its own column; from :data:`AROUND`; from the one before it
    in its block's diagonal; the last weight is 0."""
    expect: NDArray[np.int16]
    """The same shape, in 4096ths: how its magnitude follows from theirs."""
    least: NDArray[np.int32]
    """(CLASSES, 64), in 4096ths of a step: what is added to that."""


class Weights(NamedTuple):
    """The same for a class, as kernels take it: predictions, and then expectations."""

    left: NDArray[np.int16]
    """(2, 8, 4, 8, 2): for a row, pairs of coefficients of the row to the left, and each coefficient."""
    above: NDArray[np.int16]
    """The same with columns for rows."""
    around: NDArray[np.int16]
    """(2, 8, 3, 8, 2): for a row, pairs of the blocks around, and each coefficient."""
    row: NDArray[np.int16]
    """(2, 64, 8): from a coefficient to those of its row ..."""
    column: NDArray[np.int16]
    """... and to those of its column."""
    diagonal: NDArray[np.int16]
    """(2, 64): to each coefficient from the one before it in the diagonal."""


def laid(trained: Trained, cls: int) -> Weights:
    """The weights of a class."""
    both = np.stack([trained.predict[cls], trained.expect[cls]]).reshape(2, 8, 8, 40)
    turned = both.transpose(0, 2, 1, 3)

    def pairs(weights: NDArray[np.int16], first: int, count: int) -> NDArray[np.int16]:
        """(2, 8, 8, 40) -> (2, 8, count, 8, 2)"""
        some = weights[..., first : first + 2 * count].reshape(2, 8, 8, count, 2)
        return np.ascontiguousarray(some.transpose(0, 1, 3, 2, 4))

    def to_others(weights: NDArray[np.int16], first: int) -> NDArray[np.int16]:
        """(2, 8, 8, 40) -> (2, 8, 8, 8): by line, by the place in it, by the place of what follows from that."""
        return np.ascontiguousarray(weights[..., first : first + 8].transpose(0, 1, 3, 2))

    return Weights(
        pairs(both, 0, 4), pairs(turned, 8, 4), pairs(both, 32, 3),
        to_others(both, 16).reshape(2, 64, 8),
        np.ascontiguousarray(to_others(turned, 24).transpose(0, 2, 1, 3)).reshape(2, 64, 8),
        np.ascontiguousarray(both[..., 38]).reshape(2, 64),
    )  # fmt: skip


def new_model() -> Model:
    """Before anything was learned."""
    half = 1 << 15
    return Model(
        np.full(SLOTS, half, np.uint16), np.full(SETS * LANES, 2250, np.int16), np.full(SINGLE, half, np.uint16)
    )  # fmt: skip
