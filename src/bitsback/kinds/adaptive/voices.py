"""Answers to questions about a sample, mixed from sixteen *voices* side by side, for :mod:`.blended`.

Four distributions each say how probable a yes is; eleven contexts say how probable it was among the answers before; and
one voice says the same always. The logits of all are summed with weights that learn, as in :mod:`.regressed`. (Mixing
in the logistic domain is that of PAQ: Mahoney, "Adaptive weighing of context models for lossless data compression",
2005.) Of the numbers none exceeds 2^53, and so all is exact in floating point, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.codecs.tables import ORIGIN, sigmoid
from bitsback.kernels import helper
from bitsback.kernels.values import DOUBLE, INT, LONG
from bitsback.kernels.vectors import DOUBLES, INTS, LANES, vectorised
from bitsback.kinds.adaptive.mixing import tables
from bitsback.kinds.adaptive.regressed import DEPTH, PRECISION

SHAPES, CONTEXTS = 4, 11
VALUES = 1 << 10
"""Of a context, at most."""

NODES, SETS = 1 << DEPTH, 8
_BIAS, _MOST_SEEN = 20, 255
_TOTAL = 1 << PRECISION
_LIMIT = 1 << 20
_ZEROS = [0] * LANES


class Voices(NamedTuple):
    """What has been learned, first axis: channel; and what a question is asked with."""

    slots: NDArray[np.uint32]
    """(C, contexts * values * nodes): a probability of yes in the high 22 bits, the answers seen in the low 10."""
    weights: NDArray[np.int32]
    """(C, sets, nodes, voices), in 2**-16."""
    places: NDArray[np.int64]
    """(contexts,): where the slots of a sample's contexts begin."""
    logits: NDArray[np.int32]
    """(voices,): what they say."""
    logistic: NDArray[Any]
    logit: NDArray[np.int64]
    rates: NDArray[np.float64]
    """How much a slot moves that so many answers were seen in, in 2**-16."""


def new_voices(channels: int) -> Voices:
    """Nothing known."""
    weights = np.zeros((channels, SETS, NODES, 2 * LANES), np.int32)
    weights[..., :SHAPES] = (1 << 16) // SHAPES
    logits = np.zeros(2 * LANES, np.int32)
    logits[-1] = _BIAS
    rates = np.array([131072 // (2 * seen + 3) for seen in range(_MOST_SEEN + 1)], np.float64)
    slots = np.zeros((channels, CONTEXTS * VALUES * NODES), np.uint32)
    return Voices(slots, weights, np.zeros(CONTEXTS, np.int64), logits, *tables(), rates)


@helper
def settle(voices, contexts):  # type: ignore[no-untyped-def]
    """Take a sample's contexts."""
    for k in range(CONTEXTS):
        voices.places[k] = (VALUES * k + contexts[k]) * NODES


@helper
def settle_last(voices, context):  # type: ignore[no-untyped-def]
    """Take the last context, of a question."""
    voices.places[CONTEXTS - 1] = (VALUES * (CONTEXTS - 1) + context) * NODES


@helper
def mixed(voices, c, chosen, node, chance):  # type: ignore[no-untyped-def]
    """Return the probability of yes in 2^-24, when the shapes have said theirs. ``chance``: for slots without any."""
    slots, logits = voices.slots[c], voices.logits
    for k in range(CONTEXTS):
        place = voices.places[k] + node
        slot = slots[place]
        if slot == 0:
            slot = chance << 16
            slots[place] = slot
        logits[SHAPES + k] = voices.logit[slot >> 20]
    total = _weighed(logits, voices.weights[c, chosen, node])
    return min(max(sigmoid(voices.logistic, ORIGIN + (total << 4)) >> 8, 16), _TOTAL - 16)


@helper
def taught(voices, c, chosen, node, answer, p):  # type: ignore[no-untyped-def]
    """Move weights and slots towards an answer, whose probability was p in 2^-16."""
    _move_weights(voices.logits, voices.weights[c, chosen, node], (answer << 16) - p)
    _move_slots(voices.slots[c], voices.places, node, voices.rates, answer * 4194303)


@vectorised
def _weighed(v, logits, weights):  # type: ignore[no-untyped-def]
    first, second = (v.number(half * LANES) for half in range(2))
    total = logits.load(first, INTS).to(DOUBLES) * weights.load(first, INTS).to(DOUBLES)
    total = total.plus_product(logits.load(second, INTS).to(DOUBLES), weights.load(second, INTS).to(DOUBLES))
    for distance in (4, 2, 1):
        total = total + total.lanes([lane ^ distance for lane in range(LANES)])
    return total.lane(0).to(LONG)


@vectorised
def _move_weights(v, logits, weights, error):  # type: ignore[no-untyped-def]
    for half in range(2):
        at = v.number(half * LANES)
        step = (logits.load(at, INTS) * error.to(INTS) + (1 << 13)) >> 14
        weights.store(at, (weights.load(at, INTS) + step).held(-_LIMIT, _LIMIT))


@vectorised
def _move_slots(v, slots, places, node, rates, target):  # type: ignore[no-untyped-def]
    here = slots + node
    for begin in range(0, CONTEXTS, LANES):
        lanes = range(min(LANES, CONTEXTS - begin))
        at = [places.load(v.number(begin + lane), LONG) for lane in lanes]
        known, rate = v.vector(_ZEROS, INTS), v.vector([0.0] * LANES, DOUBLES)
        for lane in lanes:
            slot = here.load(at[lane], INT)
            known = known.with_lane(lane, slot)
            rate = rate.with_lane(lane, rates.load((slot & 1023).to(LONG), DOUBLE))
        chance = known.shifted(10)
        chance += ((target.to(INTS) - chance).to(DOUBLES) * rate * 2.0**-16).floor().to(INTS)
        known = chance * 1024 + ((known & 1023) + 1).at_most(_MOST_SEEN)
        for lane in lanes:
            here.store(at[lane], known.lane(lane))
