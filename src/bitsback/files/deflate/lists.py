"""Lists of corrections: what a prediction got wrong, as small numbers by kind.

A walk that predicts what an encoder chose either compares (``known``) or repeats, by the same code: it asks
:func:`agreed` wherever the encoder had a choice, and where prediction and choice differ, :func:`number` takes or gives
what there is to know. Agreements are counted: a list holds how many there were before each disagreement, and when it
is used up, all that follows is as predicted. So what is predicted entirely needs no corrections at all.
"""

from __future__ import annotations

import numpy as np

from bitsback.kernels import helper, routine

KINDS = 20
"""Kinds of predictions of tokens, one list each."""
(
    BLOCK_END,
    LAST,
    BLOCK_TYPE,
    CODE_COUNTS,
    CODE_LENGTH,
    CODE_ITEM,
    CODE_CODE,
    ALIAS,
) = range(KINDS, KINDS + 8)
"""Lists of agreements: where blocks end, which is the last, of what type they are; how many codes a header describes,
their lengths, the items that describe them, the lengths of the items' own codes; matches of 258 as code 284."""
RUNS = KINDS + 8
(
    ENDS,
    TYPES,
    COUNTS,
    CODE_DELTAS,
    ITEMS,
    ITEM_DELTAS,
    LITERAL_LENGTH,
    LAZY_LENGTH,
    HOPS,
    FAR,
    FLUSHES,
    ODD_BITS,
) = range(RUNS, RUNS + 12)
"""Lists of numbers: how blocks end that end otherwise, and so on for the others; the lengths of matches where a literal
was predicted (because nothing was found, or something better behind it); how many matches of that length are nearer;
distances that lie outside of the search; plain bytes between flushes; bits that mean nothing, each as how many blocks
lie between and its value."""
OTHER_LENGTH = RUNS + 12
"""The first of the lists of lengths where another match was predicted, by how long that is: by kinds of predictions."""
LISTS = OTHER_LENGTH + 8

RUNNING, EVENTS, FAULT, WORK = 2 * LISTS, 3 * LISTS, 3 * LISTS + 1, 3 * LISTS + 2
"""Places in a state, which begins with where each list goes on in ``events`` and, from ``LISTS``, where it ends (both
for reading): from ``RUNNING``, how many agreements there were since the last disagreement, or are left before the
next one (-1: not known yet); how many events there are; whether something went wrong; steps that searches may take."""
STATE = 3 * LISTS + 3

ENOUGH = 1 << 40


@routine
def agreed(name, truth, state, events, known):  # type: ignore[no-untyped-def]
    """Whether prediction and choice agree: ``truth``, where that is known, or else what the list says."""
    left = state[RUNNING + name]
    if known:
        if truth:
            state[RUNNING + name] = left + 1
            return True
        put(name, left, state, events)
        state[RUNNING + name] = 0
        return False
    if left < 0:
        left = ENOUGH
        if state[name] < state[LISTS + name]:
            left = events[state[name]]
            state[name] += 1
    state[RUNNING + name] = left - 1
    return left > 0


agreed_at_once = helper(agreed.function)
"""The same, for where it is asked all the time."""


@routine
def number(name, value, state, events, known):  # type: ignore[no-untyped-def]
    """``value``, appended to the list, where it is known; or else the next one (0, and a fault, if there is none)."""
    if known:
        put(name, value, state, events)
        return value
    at = state[name]
    if at >= state[LISTS + name]:
        state[FAULT] = 1
        return value * 0
    state[name] = at + 1
    return events[at]


@helper
def put(name, value, state, events):  # type: ignore[no-untyped-def]
    """Append a number to a list."""
    if state[EVENTS] >= events.size:
        state[FAULT] = 1
    else:
        events[state[EVENTS]] = np.int64(name) << 32 | value
        state[EVENTS] += 1


@helper
def signed(value):  # type: ignore[no-untyped-def]
    """0, -1, 1, -2, 2 ... -> 0, 1, 2, 3, 4 ..."""
    return 2 * value if value >= 0 else -2 * value - 1


@helper
def unsigned(value):  # type: ignore[no-untyped-def]
    """The inverse of :func:`signed`."""
    return value >> 1 if value & 1 == 0 else -((value + 1) >> 1)
