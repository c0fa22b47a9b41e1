"""Yes-or-no questions: the chance of a yes from what several contexts say, coded, and learned from.

Each context has a *slot* with the chance that its own past suggests. Their logits, and a constant, are summed with
weights that depend on the question and on one thing more. From the answer both learn, slots and weights. (Mixing in the
logistic domain is that of PAQ: Mahoney, "Adaptive weighing of context models for lossless data compression", 2005.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder, peek, take
from bitsback.kernels import helper, vectorised
from bitsback.kernels.values import LONG
from bitsback.kernels.vectors import INTS, SHORT
from bitsback.kinds.jpeg.tables import LANES, TOP

PRECISION = 16
LEAST = 24
"""No answer has a smaller chance, in 65536ths."""

SLOT_SHIFT = 6
"""A slot goes a 64th of the way towards each answer."""

WEIGHT_SHIFT, MOST_WEIGHT = 15, 1 << 17


class Counter(NamedTuple):
    """In the place of an encoder: only counts, to measure and to train."""

    bits: NDArray[np.float64]
    """(32,): bits by category, and then questions."""
    costs: NDArray[np.float64]
    """(65537,): bits of a chance in 65536ths."""
    answers: NDArray[np.uint32]
    """(slots, 2): what was answered in each slot: no, or yes."""
    alone: NDArray[np.uint32]
    """The same of slots that are asked alone."""


class Asking(NamedTuple):
    """What belongs to the present question."""

    at: NDArray[np.int64]
    """(LANES,): the first slots of the contexts."""
    logits: NDArray[np.int32]
    """(LANES,)"""
    sums: NDArray[np.int32]
    """(2 LANES,): results of vector arithmetic."""
    chances: NDArray[np.int32]
    """(LANES,): what is in the slots."""


def _summing(count: int) -> tuple[Any, Any, int]:
    """For questions in ``count`` contexts: a sum of what they say, and how they learn."""

    @vectorised
    def add(v, slots, node, asking, stretch, weights, first, second):  # type: ignore[no-untyped-def]
        """``logits`` = what the slots say, and a constant; ``sums[0]`` = the sum of logits times weights, of those from
        ``first`` and those from ``second`` on, each product in 256ths."""
        at, logits, sums, chances = asking
        start = v.number(0)
        said = v.vector([256 if lane == count else 0 for lane in range(LANES)], INTS)
        known = v.vector([0] * LANES, INTS)
        for lane in range(count):
            slot = slots.load(at.load(v.number(lane), LONG) + node, SHORT)
            known = known.with_lane(lane, slot)
            said = said.with_lane(lane, stretch.load((slot >> 4).to(LONG) + 2048, SHORT))
        logits.store(start, said)
        chances.store(start, known)
        sums.store(start, across((said * (weights.load(first, INTS) + weights.load(second, INTS))) >> 8))

    @vectorised
    def learn(v, slots, node, asking, weights, first, second, bit, error):  # type: ignore[no-untyped-def]
        """Move slots towards the answer, and weights towards what would have made the error smaller."""
        at, logits, _, chances = asking
        start = v.number(0)
        step = (((logits.load(start, INTS) * error.to(INTS)) >> WEIGHT_SHIFT) + 1) >> 1
        for begin in (first, second):
            weights.store(begin, (weights.load(begin, INTS) + step).held(-MOST_WEIGHT, MOST_WEIGHT))
        known = chances.load(start, INTS)
        known = known + ((bit.to(INTS) * 65535 - 32768 - known + (1 << SLOT_SHIFT - 1)) >> SLOT_SHIFT)
        for lane in range(count):
            slots.store(at.load(v.number(lane), LONG) + node, known.lane(lane).to(SHORT))

    return add, learn, count


OF_THREE, OF_SEVEN = _summing(3), _summing(7)
"""For :func:`ask`: questions in so many contexts."""


def across(total: Any) -> Any:
    """The sum of a vector's lanes, in all of them."""
    for distance in (4, 2, 1):
        total = total + total.lanes([lane ^ distance for lane in range(LANES)])
    return total


@helper
def code_bit(bit, p, coder, length, category):  # type: ignore[no-untyped-def]
    """Code an answer whose chance of being yes is ``p``; return it, and the length of the stack, -1 if it is empty, or
    the number of answers."""
    if isinstance(coder, Decoder):
        bit = np.int64(peek(coder.heads[0], PRECISION) < p)
        start, stop = (0, p) if bit else (p, 1 << PRECISION)
        length = take(coder.heads, coder.tail, length, 0, start, stop, PRECISION)
    elif isinstance(coder, Encoder):
        start, stop = (0, p) if bit else (p, 1 << PRECISION)
        coder.starts[length], coder.freqs[length] = start, stop - start
        length += 1
    else:
        cost, asked = coder.bits[category], coder.bits[16 + category]
        coder.bits[category] = cost + coder.costs[p if bit else (1 << PRECISION) - p]
        coder.bits[16 + category] = asked + 1
        length += 1
    return bit, length


@helper
def ask(job, form, node, sets, bit, coder, length, category):  # type: ignore[no-untyped-def]
    """Code an answer; returns as :func:`code_bit`.

    ``form``: how many contexts it has; ``node``: which of a context's questions it is; ``sets``: two sets of weights.
    """
    model, tables, asking = job.model, job.tables, job.asking
    add, learn, count = form
    first, second = sets[0] * LANES, sets[1] * LANES
    add(model.slots, node, asking, tables.stretch, model.weights, first, second)
    p = tables.squash[min(max(asking.sums[0] >> 8, 1 - TOP), TOP - 1) + TOP]
    bit, length = code_bit(bit, min(max(p, LEAST), (1 << PRECISION) - LEAST), coder, length, category)
    learn(model.slots, node, asking, model.weights, first, second, bit, (bit << 16) - p)
    if isinstance(coder, Counter):
        for i in range(count):
            count_answer(coder.answers, asking.at[i] + node, bit)
    return bit, length


@helper
def count_answer(answers, slot, bit):  # type: ignore[no-untyped-def]
    answers[slot, bit] = answers[slot, bit] + 1


@helper
def ask_alone(job, slot, bit, coder, length, category):  # type: ignore[no-untyped-def]
    """Code an answer by a slot of its own; returns as :func:`code_bit`."""
    known = job.model.single[slot]
    p = min(max(known + 32768, LEAST), (1 << PRECISION) - LEAST)
    bit, length = code_bit(bit, p, coder, length, category)
    job.model.single[slot] = known + ((bit * 65535 - 32768 - known + (1 << SLOT_SHIFT - 1)) >> SLOT_SHIFT)
    if isinstance(coder, Counter):
        count_answer(coder.alone, slot, bit)
    return bit, length
