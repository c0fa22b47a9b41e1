"""Lists of corrections: what a prediction got wrong, as small numbers by kind.

A walk that predicts what an encoder chose either compares (``known``) or repeats, by the same code: it asks
:func:`agreed` wherever the encoder had a choice, and where prediction and choice differ, :func:`number` takes or gives
what there is to know. Agreements are counted: a list holds how many there were before each disagreement, or that all
that follows is as predicted. Numbers are coded (:mod:`.coder`) in the order in which a walk that repeats asks for them;
so nothing has to say how many there are. What is predicted entirely needs no corrections at all.
"""

from __future__ import annotations

import numpy as np

from bitsback.files.deflate.coder import CODER, FAULT, code_number
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

RUNNING, OPEN, EVENTS = CODER, CODER + LISTS, CODER + 2 * LISTS
NUMBERS, WORK, STATE = EVENTS + 1, EVENTS + 2, EVENTS + 3
"""Places in a state, which begins with that of the coder. From ``RUNNING``, how many agreements there were since the
last disagreement, or are left before the next one (-1: nobody asked yet); from ``OPEN``, which event will tell how
many; how many events there are, and how many of these are corrections; steps that searches may take."""

ENOUGH = 1 << 40


@helper
def begin(name, state, events):  # type: ignore[no-untyped-def]
    """Where the choices are known: from here on a walk that repeats them has to know when the next one differs."""
    if state[RUNNING + name] < 0:
        state[RUNNING + name] = 0
        state[OPEN + name] = state[EVENTS]
        events[state[EVENTS]] = np.int64(name) << 32
        state[EVENTS] += 1


@routine
def agreed(name, truth, state, events, known):  # type: ignore[no-untyped-def]
    """Whether prediction and choice agree: ``truth``, where that is known, or else what the list says."""
    if known:
        begin(name, state, events)
        left = state[RUNNING + name]
        if truth:
            state[RUNNING + name] = left + 1
            return True
        if count_one(state, events):
            events[state[OPEN + name]] = np.int64(name) << 32 | (left + 1)
            state[RUNNING + name] = -1
        return False
    left = state[RUNNING + name]
    if left < 0:
        left = code_number(name, left, state, events, 0) - 1
        if left < 0:
            left = np.int64(ENOUGH)
    state[RUNNING + name] = left - 1
    return left > 0


agreed_at_once = helper(agreed.function)
"""The same, for where it is asked all the time."""


@routine
def number(name, value, state, events, known):  # type: ignore[no-untyped-def]
    """``value``, appended to the list, where it is known; or else the next one."""
    if known:
        if count_one(state, events):
            events[state[EVENTS]] = np.int64(name) << 32 | value
            state[EVENTS] += 1
        return value
    return code_number(name, value * 0, state, events, 0)


@helper
def count_one(state, events):  # type: ignore[no-untyped-def]
    """Whether there is room for another correction; there always is for the beginnings of all lists."""
    if state[NUMBERS] >= events.size - RUNS:
        state[FAULT] = 1
        return False
    state[NUMBERS] += 1
    return True


@helper
def signed(value):  # type: ignore[no-untyped-def]
    """0, -1, 1, -2, 2 ... -> 0, 1, 2, 3, 4 ..."""
    return 2 * value if value >= 0 else -2 * value - 1


@helper
def unsigned(value):  # type: ignore[no-untyped-def]
    """The inverse of :func:`signed`."""
    return value >> 1 if value & 1 == 0 else -((value + 1) >> 1)
