"""Yes-or-no questions: the chance of a yes from what several contexts say, coded, and learned from.

Each context has a *slot* with the chance that its own past suggests. Their logits, and a constant, are summed with
weights that depend on the question and on one thing more. From the answer both learn, slots and weights. (Mixing in the
logistic domain is that of PAQ: Mahoney, "Adaptive weighing of context models for lossless data compression", 2005.)

Everything about a question fits eight lanes of 16 bits, which processors multiply and add in one go.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder, advance, peek, refill
from bitsback.kernels import helper, vectorised
from bitsback.kernels.values import LONG
from bitsback.kernels.vectors import SHORT, SHORTS
from bitsback.kinds.jpeg.tables import COARSE, CONSTANT, LANES, LEAST, TOP, WEIGHT_SHIFT

PRECISION = 16
SLOT_SHIFT, GAIN, ROUND = 6, (1 << 10) - 1, (1 << 5) - 1
"""A slot loses a 64th of itself, rounded; and by a yes, it gains that much."""


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


class Message(NamedTuple):
    """How far coding has come."""

    head: np.uint64
    """Of the stack, if it is popped from."""
    length: np.int64
    """Words that the stack has left, below 0 if it was empty; or answers that were given."""


def _summing(count: int) -> tuple[Any, Any, int]:
    """For questions in ``count`` contexts: a sum of what they say, and how they learn."""

    @vectorised
    def add(v, slots, node, at, stretch, weights, first, second):  # type: ignore[no-untyped-def]
        """What the slots say, and a constant; what is in the slots; and the sum of the former times the weights, those
        from ``first`` and those from ``second`` on."""
        said = v.vector([CONSTANT if lane == count else 0 for lane in range(LANES)], SHORTS)
        known = v.vector([0] * LANES, SHORTS)
        for lane in range(count):
            slot = (slots + node).load(at.load(v.number(lane), LONG), SHORT)
            known = known.with_lane(lane, slot)
            said = said.with_lane(lane, stretch.load((slot.to(LONG) & 0xFFFF) >> 4, SHORT))
        total = v.sums_of_pairs(said, weights.load(first, SHORTS).plus_held(weights.load(second, SHORTS)))
        for distance in (2, 1):
            total = total + total.lanes([lane ^ distance for lane in range(LANES // 2)])
        return said, known, total.lane(0).to(LONG)

    @vectorised
    def learn(v, slots, node, at, weights, first, second, said, known, bit, error):  # type: ignore[no-untyped-def]
        """Move slots towards the answer, and weights towards what would have made the error smaller."""
        step = ((said + said).high_product(error.to(SHORT).to(SHORTS)) + 1) >> 1
        for begin in (first, second):
            weights.store(begin, weights.load(begin, SHORTS).plus_held(step))
        known = known - (known + ROUND).shifted(SLOT_SHIFT) + (bit * GAIN).to(SHORT).to(SHORTS)
        for lane in range(count):
            (slots + node).store(at.load(v.number(lane), LONG), known.lane(lane))

    return add, learn, count


OF_THREE, OF_SEVEN = _summing(3), _summing(7)
"""For :func:`ask`: questions in so many contexts."""


@helper
def code_bit(bit, p, coder, message, category):  # type: ignore[no-untyped-def]
    """Code an answer whose chance of being yes is ``p``; return it, and the message with it."""
    if isinstance(coder, Decoder):
        slot = peek(message.head, PRECISION)
        bit = np.int64(slot < p)
        start, freq = (0, p) if bit else (p, (1 << PRECISION) - p)
        head = advance(message.head, np.uint64(start), np.uint64(freq), PRECISION)
        message = Message(*refill(head, coder.tail, message.length))
    elif isinstance(coder, Encoder):
        start, freq = (0, p) if bit else (p, (1 << PRECISION) - p)
        coder.starts[message.length], coder.freqs[message.length] = start, freq
        message = Message(message.head, message.length + 1)
    else:
        cost, asked = coder.bits[category], coder.bits[16 + category]
        coder.bits[category] = cost + coder.costs[p if bit else (1 << PRECISION) - p]
        coder.bits[16 + category] = asked + 1
        message = Message(message.head, message.length + 1)
    return bit, message


@helper
def ask(job, form, node, sets, bit, coder, message, category):  # type: ignore[no-untyped-def]
    """Code an answer; returns as :func:`code_bit`.

    ``form``: how many contexts it has; ``node``: which of a context's questions it is; ``sets``: two sets of weights.
    """
    model, tables, at = job.model, job.tables, job.work.at
    add, learn, count = form
    first, second = sets[0] * LANES, sets[1] * LANES
    said, known, total = add(model.slots, node, at, tables.stretch, model.weights, first, second)
    place = min(max((total >> WEIGHT_SHIFT) + TOP, 0), 2 * TOP - 1) >> COARSE
    p = tables.squash[place]
    bit, message = code_bit(bit, p, coder, message, category)
    learn(model.slots, node, at, model.weights, first, second, said, known, bit, ((bit << 16) - p) >> 3)
    if isinstance(coder, Counter):
        for i in range(count):
            count_answer(coder.answers, at[i] + node, bit)
    return bit, message


@helper
def count_answer(answers, slot, bit):  # type: ignore[no-untyped-def]
    answers[slot, bit] = answers[slot, bit] + 1


@helper
def ask_alone(job, slot, bit, coder, message, category):  # type: ignore[no-untyped-def]
    """Code an answer by a slot of its own; returns as :func:`code_bit`."""
    known = job.model.single[slot]
    p = min(max(known, LEAST), (1 << PRECISION) - LEAST)
    bit, message = code_bit(bit, p, coder, message, category)
    job.model.single[slot] = known - ((known + ROUND) >> SLOT_SHIFT) + bit * GAIN
    if isinstance(coder, Counter):
        count_answer(coder.alone, slot, bit)
    return bit, message
