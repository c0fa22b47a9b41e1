"""Drawn images: each pixel guessed from the pattern around it, by counting what followed the same pattern before.

For screenshots, plots, scans, dithered pictures, pixel art, label maps: one channel of few values (a palette's indices,
usually) that no average of neighbours predicts. A pixel is coded as answers to yes-or-no questions: is it the colour to
the left? the one above? above to the left? above to the right? (each colour is asked about once); and if it is none of
these, the bits of its value, the highest first. For each answer

1. six *contexts* are looked up, from the pattern of equalities around the pixel to the exact values of fourteen
   neighbours. Each has a slot in a hash table, with a probability that has learned from all answers given there;
2. their logits are summed with weights, which learn too, to the probability that the answer is coded with.

Everything is integers, to the bit in ``docs/format.md``. Sources: mixing in the logistic domain is that of PAQ
(Mahoney, "Adaptive weighing of context models for lossless data compression", 2005); contexts of neighbouring pixels
are those of JBIG (ITU-T T.82).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder, peek, take
from bitsback.codecs.tables import ORIGIN, STEPS, load, sigmoid
from bitsback.errors import FormatError
from bitsback.kernels import helper, kernel
from bitsback.kinds.adaptive import bands
from bitsback.kinds.adaptive.cost import SLOTS_LOG2, learnable

QUESTIONS = 4
"""Colours to ask about before the bits are spelled out."""

_CONTEXTS, _CONFIDENCES, _KINDS = 6, 16, 16
PRECISION = 16
_WORD = 0xFFFFFFFF
_MARGIN = 4


class State(NamedTuple):
    """What has been learned, and the last rows."""

    lines: NDArray[np.int64]
    """(3, W + 8): the values of the current row y and the two above, at y % 3, with four more on either side."""
    slots: NDArray[np.uint32]
    """(a power of two,): a probability of yes in the high 22 bits, the number of answers seen in the low 10."""
    weights: NDArray[np.int64]
    """(kinds x confidences, contexts), in 2**-16."""


def new_state(width: int, pixels: int) -> State:
    """The state before the first of so many pixels."""
    size = min(max(pixels.bit_length() + 3, 12), SLOTS_LOG2)
    return State(
        np.zeros((3, width + 2 * _MARGIN), np.int64),
        np.full(1 << size, 1 << 31, np.uint32),
        np.full((_KINDS * _CONFIDENCES, _CONTEXTS), 20000, np.int64),
    )


@cache
def tables() -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The logistic function; and its inverse at ``(i + 1/2) / 4096``, in steps of the former from its middle."""
    logistic = load("logistic")
    return logistic, np.searchsorted(logistic, (2 * np.arange(4096, dtype=np.int64) + 1) << 19) - 16 * STEPS


class Job(NamedTuple):
    """Images of ``height`` rows, one below the other, and what is learned from them."""

    values: NDArray[np.int32]
    """(rows, W), below ``2**bits``."""
    height: int
    bits: int
    state: State
    logistic: NDArray[Any]
    logits: NDArray[np.int64]


class _Asking(NamedTuple):
    """What belongs to the present pixel and question."""

    contexts: NDArray[np.int64]
    """(contexts,): hashes of what is around the pixel."""
    places: NDArray[np.int64]
    """(contexts,): the slots of the question in these contexts."""
    inputs: NDArray[np.int64]
    """(contexts,): what they say, as logits."""
    asked: NDArray[np.int64]
    """(QUESTIONS,): colours that it was not."""


@kernel
def _encode(starts, freqs, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Encoder(starts, freqs), 0)


@kernel
def _decode(heads, tail, length, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Decoder(heads, tail), length)


@helper
def _code(job, first, last, coder, length):  # type: ignore[no-untyped-def]
    """Code rows ``first .. last - 1``. Returns the length of the stack, or how many answers there were in all."""
    values, lines, width = job.values, job.state.lines, job.values.shape[1]
    asking = _Asking(
        np.zeros(_CONTEXTS, np.int64), np.zeros(_CONTEXTS, np.int64), np.zeros(_CONTEXTS, np.int64),
        np.zeros(QUESTIONS, np.int64),
    )  # fmt: skip
    for row in range(first, last):
        y = row % job.height
        if y == 0:
            lines[:] = 0
        here, above, top = lines[y % 3], lines[(y + 2) % 3], lines[(y + 1) % 3]
        here[:_MARGIN] = above[_MARGIN]
        for x in range(_MARGIN, width + _MARGIN):
            _look(asking.contexts, here, above, top, x)
            v = values[row, x - _MARGIN] if isinstance(coder, Encoder) else 0
            v, length = _ask(job, asking, (here[x - 1], above[x], above[x - 1], above[x + 1]), v, coder, length)
            if length < 0:
                return -1
            here[x] = v
            if isinstance(coder, Decoder):
                values[row, x - _MARGIN] = v
        here[width + _MARGIN :] = here[width + _MARGIN - 1]
    return length


@helper
def _mix(a, b):  # type: ignore[no-untyped-def]
    """Hash two numbers, the second below 2**31, into 32 bits."""
    h = (a + b * 0x9E3779B1) & _WORD
    h = ((h ^ (h >> 15)) * 0x85EBCA6B) & _WORD
    return h ^ (h >> 13)


@helper
def _look(contexts, here, above, top, x):  # type: ignore[no-untyped-def]
    """Set the contexts of a pixel."""
    w, ww, n, nn, nw, ne = here[x - 1], here[x - 2], above[x], top[x], above[x - 1], above[x + 1]
    pattern = (w == n) | ((w == nw) << 1) | ((n == nw) << 2) | ((n == ne) << 3) | ((w == ww) << 4) | ((n == nn) << 5)
    pattern |= ((ne == above[x + 2]) << 6) | ((ne == top[x + 1]) << 7) | ((nw == above[x - 2]) << 8)
    contexts[0] = pattern | ((nw == top[x - 1]) << 9) | ((w == ne) << 10)
    contexts[1] = _mix(w, n)
    contexts[2] = _mix(_mix(contexts[1], nw), ne)
    contexts[3] = _mix(_mix(contexts[2], ww), nn)
    h = _mix(_mix(contexts[3], above[x + 2]), top[x + 1])
    contexts[4] = _mix(_mix(h, top[x - 1]), above[x - 2])
    h = _mix(_mix(contexts[4], here[x - 3]), above[x + 3])
    contexts[5] = _mix(_mix(h, top[x - 2]), top[x + 2])


@helper
def _ask(job, asking, colours, v, coder, length):  # type: ignore[no-untyped-def]
    """Ask until the pixel's value is known; return it, and the length of the stack (or of the answers given)."""
    w, n, nw, ne = colours
    questions, step, node = 0, 0, 1
    while step < QUESTIONS + job.bits:
        colour = w if step == 0 else n if step == 1 else nw if step == 2 else ne
        spelling = step >= QUESTIONS
        if not spelling:  # is it this colour?
            step += 1
            known = False
            for k in range(questions):
                known |= asking.asked[k] == colour
            if known:
                continue
            asking.asked[questions] = colour
            kind, seed = questions, questions
            questions += 1
            answer = np.int64(v == colour)
        else:  # the next bit
            if step == QUESTIONS:
                asking.contexts[0] = 0
            kind, seed = min(step, _KINDS - 1), QUESTIONS + node
            answer = (v >> (job.bits - 1 - (step - QUESTIONS))) & 1
            step += 1

        row, p = _predict(job, asking, kind, seed)
        answer, length = _answer(answer, p, coder, length)
        if length < 0:
            return v, -1
        _learn(job.state, asking, row, answer, (answer << 16) - p)

        if not spelling and answer:
            v = colour
            break
        if spelling:
            node = 2 * node + answer
            if step == QUESTIONS + job.bits:
                v = node - (1 << job.bits)
    return v, length


@helper
def _predict(job, asking, kind, seed):  # type: ignore[no-untyped-def]
    """Return the row of weights for a question, and the probability of yes in 2**-16."""
    slots, places = job.state.slots, asking.places
    for k in range(_CONTEXTS):
        places[k] = _mix(asking.contexts[k], seed * _CONTEXTS + k) & (slots.size - 1)
        asking.inputs[k] = job.logits[slots[places[k]] >> 20]
    confidence = 4 * min(slots[places[3]] & 1023, 3) + min(slots[places[5]] & 1023, 3)
    row = kind * _CONFIDENCES + confidence
    total = 0
    for k in range(_CONTEXTS):
        total += asking.inputs[k] * job.state.weights[row, k]
    return row, min(max(sigmoid(job.logistic, ORIGIN + (total << 4)) >> 16, 1), 65535)


@helper
def _answer(answer, p, coder, length):  # type: ignore[no-untyped-def]
    """Code an answer: return it, and the length of the stack (or of the answers given)."""
    if isinstance(coder, Decoder):
        answer = np.int64(peek(coder.heads[0], PRECISION) < p)
        start, stop = (0, p) if answer else (p, 1 << PRECISION)
        length = take(coder.heads, coder.tail, length, 0, start, stop, PRECISION)
    else:
        start, stop = (0, p) if answer else (p, 1 << PRECISION)
        coder.starts[length], coder.freqs[length] = start, stop - start
        length += 1
    return answer, length


@helper
def _learn(state, asking, row, answer, error):  # type: ignore[no-untyped-def]
    """Move the weights and the slots of a question towards its answer."""
    for k in range(_CONTEXTS):
        weight = state.weights[row, k] + ((asking.inputs[k] * error * 14 + 131072) >> 18)
        state.weights[row, k] = min(max(weight, -(1 << 20)), 1 << 20)
        slot = state.slots[asking.places[k]]
        chance, seen = slot >> 10, slot & 1023
        chance += ((answer * 4194303 - chance) * (131072 // (2 * seen + 3))) >> 16
        state.slots[asking.places[k]] = (chance << 10) | min(seen + 1, 60)


# Images <-> bytes -----------------------------------------------------------------------------------------------------


def takes(whole: tuple[int, int, int, int]) -> bool:
    """Whether images of this shape may be coded so: of one channel, and not of a few long rows."""
    return whole[3] == 1 and learnable(whole)


def encode(images: NDArray[Any]) -> bytes:
    """Code uint8 or uint16 images of one channel (n, H, W, 1): the bits of a value (u8), then bands of rows."""
    count, height, width, _ = images.shape
    bits = max(1, int(images.max()).bit_length())
    job = _job(images.reshape(count * height, width).astype(np.int32), height, bits)
    return bytes([bits]) + bands.encode(_encode, job, count * height, width, width * (QUESTIONS + bits), PRECISION)


def decode(data: memoryview, whole: tuple[int, int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The inverse: images of the shape ``whole``."""
    count, height, width, _ = whole
    if not data or not 1 <= data[0] <= 8 * dtype.itemsize:
        raise FormatError("the payload does not say how many bits its values have")
    values = np.zeros((count * height, width), np.int32)
    job = _job(values, height, data[0])
    bands.decode(_decode, job, count * height, width, data[1:])
    return values.astype(dtype).reshape(whole)


def _job(values: NDArray[np.int32], height: int, bits: int) -> Job:
    return Job(values, height, bits, new_state(values.shape[1], values.size), *tables())
