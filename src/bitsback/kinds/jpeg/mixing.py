"""Yes-or-no questions: the chance of a yes from what several contexts say, coded, and learned from.

Each context has a *slot* with the chance that its own past suggests. Their logits, and a constant, are summed with
weights that depend on the question and on one thing more; the sum is looked up once again among what came of such sums
in one more context. All that is learned from the answer: slots, weights and that. (Mixing in the logistic domain, and
the refinement of its result, are those of PAQ: Mahoney, "Adaptive weighing of context models for lossless data
compression", 2005.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder, peek, take
from bitsback.kernels import helper, vectorised
from bitsback.kernels.vectors import INTS
from bitsback.kinds.jpeg.tables import BUCKETS, LANES, STEP, TOP

PRECISION = 16
LEAST = 24
"""No answer has a smaller chance, in 65536ths."""

LIMIT = 255
"""Answers that a slot counts to."""

WEIGHT_SHIFT, MOST_WEIGHT = 15, 1 << 17
FINE_SHIFT = 6


class Counter(NamedTuple):
    """In the place of an encoder: only counts bits, for measurement. By category: (32,), bits, and then questions."""

    bits: NDArray[np.float64]
    costs: NDArray[np.float64]
    """(65537,): of a chance in 65536ths."""


class Asking(NamedTuple):
    """What belongs to the present question."""

    at: NDArray[np.int64]
    """(LANES,): the first slots of the contexts."""
    logits: NDArray[np.int32]
    """(LANES,)"""
    sums: NDArray[np.int32]
    """(2 LANES,): results of vector arithmetic."""


@vectorised
def _dot(v, x, weights, first, second, out):  # type: ignore[no-untyped-def]
    """out[0] = the sum of x (w + w') / 256, product by product, of the weights from ``first`` and ``second`` on."""
    start = first - first
    products = (x.load(start, INTS) * (weights.load(first, INTS) + weights.load(second, INTS))) >> 8
    out.store(start, across(products))


def across(total):  # type: ignore[no-untyped-def]
    """The sum of a vector's lanes, in all of them."""
    for distance in (4, 2, 1):
        total = total + total.lanes([lane ^ distance for lane in range(LANES)])
    return total


@vectorised
def _train(v, x, weights, first, second, error):  # type: ignore[no-untyped-def]
    """Move weights towards what would have made the error smaller."""
    step = (((x.load(first - first, INTS) * error.to(INTS)) >> WEIGHT_SHIFT) + 1) >> 1
    for begin in (first, second):
        weights.store(begin, (weights.load(begin, INTS) + step).held(-MOST_WEIGHT, MOST_WEIGHT))


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
def learned(tables, slot, bit):  # type: ignore[no-untyped-def]
    """A slot after an answer."""
    chance, seen = slot >> 9, slot & 511
    chance += ((bit * 4194303 - chance) * tables.rates[seen]) >> 16
    return (chance << 9) | min(seen + 1, LIMIT)


@helper
def ask(job, count, node, sets, fine, bit, coder, length, category):  # type: ignore[no-untyped-def]
    """Code an answer in ``count`` contexts, at most seven; returns as :func:`code_bit`.

    ``node``: which of a context's questions it is; ``sets``: two sets of weights; ``fine``: a set of refined chances.
    """
    model, tables, asking = job.model, job.tables, job.asking
    for i in range(count):
        asking.logits[i] = tables.stretch[model.slots[asking.at[i] + node] >> 19]
    for i in range(count, LANES):
        asking.logits[i] = 256 if i == count else 0
    first, second = sets[0] * LANES, sets[1] * LANES
    _dot(asking.logits, model.weights, first, second, asking.sums)
    place = min(max(asking.sums[0] >> 8, 1 - TOP), TOP - 1) + TOP
    p = tables.squash[place]
    bucket, within = fine * BUCKETS + (place >> 8), place & 255
    low, high = model.refined[bucket], model.refined[bucket + 1]
    refined = (low * (256 - within) + high * within) >> 12
    final = min(max((p + 3 * refined + 2) >> 2, LEAST), (1 << PRECISION) - LEAST)
    bit, length = code_bit(bit, final, coder, length, category)
    near = low if within < 128 else high
    model.refined[bucket + (within >> 7)] = near + ((bit * (STEP - 1) - near) >> FINE_SHIFT)
    _train(asking.logits, model.weights, first, second, (bit << 16) - p)
    for i in range(count):
        slot = asking.at[i] + node
        model.slots[slot] = learned(tables, model.slots[slot], bit)
    return bit, length


@helper
def ask_alone(job, slot, bit, coder, length, category):  # type: ignore[no-untyped-def]
    """Code an answer by a slot of its own; returns as :func:`code_bit`."""
    known = job.model.single[slot]
    p = min(max(known >> 15, LEAST), (1 << PRECISION) - LEAST)
    bit, length = code_bit(bit, p, coder, length, category)
    job.model.single[slot] = learned(job.tables, known, bit)
    return bit, length
