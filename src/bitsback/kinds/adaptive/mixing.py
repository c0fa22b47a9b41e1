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

from bitsback.ans import advance, peek, refill
from bitsback.codecs.tables import ORIGIN, STEPS, load, sigmoid
from bitsback.errors import FormatError
from bitsback.kernels import helper, kernel
from bitsback.kinds.adaptive import bands
from bitsback.kinds.adaptive.cost import SLOTS_LOG2, learnable

QUESTIONS = 4
"""Colours to ask about before the bits are spelled out."""

_CONTEXTS, _CONFIDENCES, _KINDS = 6, 16, 16
_I = np.int64
_PRECISION = np.uint64(16)
_WORD = _I(0xFFFFFFFF)
_ORIGIN = _I(ORIGIN)
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


@helper
def _mix(a, b):  # type: ignore[no-untyped-def]
    """Hash two numbers, the second below 2**31, into 32 bits."""
    h = (a + b * _I(0x9E3779B1)) & _WORD
    h = ((h ^ (h >> 15)) * _I(0x85EBCA6B)) & _WORD
    return h ^ (h >> 13)


@kernel
def code(heads, tail, length, decoding, values, height, first, last, bits, state, logistic, logits, starts, freqs):  # type: ignore[no-untyped-def]
    """Code rows ``first .. last - 1`` of ``values`` (rows, W), int32 below ``2**bits``.

    Encoding fills ``starts`` and ``freqs``, an entry an answer, and returns how many there were. Decoding pops from the
    stack (as :meth:`Stack.pull` wants it) and fills ``values``. An image has ``height`` rows; the next follows below.
    """
    lines, slots, all_weights = state
    mask = _I(slots.size - 1)
    contexts = np.zeros(_CONTEXTS, np.int64)
    places = np.zeros(_CONTEXTS, np.int64)
    inputs = np.zeros(_CONTEXTS, np.int64)
    asked = np.zeros(QUESTIONS, np.int64)
    width = values.shape[1]
    answers = 0
    for row in range(first, last):
        y = row % height
        if y == 0:
            lines[:] = 0
        here, above, top = lines[y % 3], lines[(y + 2) % 3], lines[(y + 1) % 3]
        here[:_MARGIN] = above[_MARGIN]
        for x in range(_MARGIN, width + _MARGIN):
            w, ww, n, nn, nw, ne = here[x - 1], here[x - 2], above[x], top[x], above[x - 1], above[x + 1]
            pattern = _I(w == n) | (_I(w == nw) << 1) | (_I(n == nw) << 2) | (_I(n == ne) << 3) | (_I(w == ww) << 4)
            pattern |= (_I(n == nn) << 5) | (_I(ne == above[x + 2]) << 6) | (_I(ne == top[x + 1]) << 7)
            pattern |= (_I(nw == above[x - 2]) << 8) | (_I(nw == top[x - 1]) << 9) | (_I(w == ne) << 10)
            contexts[0] = pattern
            contexts[1] = _mix(w, n)
            contexts[2] = _mix(_mix(contexts[1], nw), ne)
            contexts[3] = _mix(_mix(contexts[2], ww), nn)
            h = _mix(_mix(contexts[3], above[x + 2]), top[x + 1])
            contexts[4] = _mix(_mix(h, top[x - 1]), above[x - 2])
            h = _mix(_mix(contexts[4], here[x - 3]), above[x + 3])
            contexts[5] = _mix(_mix(h, top[x - 2]), top[x + 2])

            v = _I(0) if decoding else _I(values[row, x - _MARGIN])
            questions, step, node = 0, 0, _I(1)
            while step < QUESTIONS + bits:
                if step < QUESTIONS:  # is it this colour?
                    colour = w if step == 0 else n if step == 1 else nw if step == 2 else ne
                    step += 1
                    known = False
                    for k in range(questions):
                        known |= asked[k] == colour
                    if known:
                        continue
                    asked[questions] = colour
                    kind, seed = questions, _I(questions)
                    questions += 1
                    answer = _I(v == colour)
                else:  # the next bit
                    if step == QUESTIONS:
                        contexts[0] = 0
                    kind, seed = min(step, _KINDS - 1), QUESTIONS + node
                    answer = (v >> (bits - 1 - (step - QUESTIONS))) & 1
                    step += 1

                for k in range(_CONTEXTS):
                    places[k] = _mix(contexts[k], seed * _CONTEXTS + k) & mask
                    inputs[k] = logits[slots[places[k]] >> 20]
                confidence = 4 * min(_I(slots[places[3]]) & 1023, _I(3)) + min(_I(slots[places[5]]) & 1023, _I(3))
                weights = all_weights[kind * _CONFIDENCES + confidence]
                total = _I(0)
                for k in range(_CONTEXTS):
                    total += inputs[k] * weights[k]
                p = min(max(sigmoid(logistic, _ORIGIN + (total << 4)) >> 16, _I(1)), _I(65535))

                if decoding:
                    answer = _I(_I(peek(heads[0], _PRECISION)) < p)
                start, freq = (_I(0), p) if answer else (p, 65536 - p)
                if decoding:
                    head = advance(heads[0], np.uint64(start), np.uint64(freq), _PRECISION)
                    heads[0], length = refill(head, tail, length)
                    if length < 0:
                        return _I(-1)
                else:
                    starts[answers], freqs[answers] = start, freq
                    answers += 1

                error = (answer << 16) - p
                for k in range(_CONTEXTS):
                    weight = weights[k] + ((inputs[k] * error * 14 + 131072) >> 18)
                    weights[k] = min(max(weight, _I(-(1 << 20))), _I(1 << 20))
                    slot = _I(slots[places[k]])
                    chance, seen = slot >> 10, slot & 1023
                    chance += ((answer * 4194303 - chance) * (131072 // (2 * seen + 3))) >> 16
                    slots[places[k]] = (chance << 10) | min(seen + 1, _I(60))

                if kind < QUESTIONS and answer:
                    v = colour
                    break
                if kind >= QUESTIONS:
                    node = 2 * node + answer
                    if step == QUESTIONS + bits:
                        v = node - (_I(1) << bits)
            here[x] = v
            if decoding:
                values[row, x - _MARGIN] = v
        here[width + _MARGIN :] = here[width + _MARGIN - 1]
    return _I(length) if decoding else _I(answers)


# Images <-> bytes -----------------------------------------------------------------------------------------------------


def takes(whole: tuple[int, int, int, int]) -> bool:
    """Whether images of this shape may be coded so: of one channel, and not of a few long rows."""
    return whole[3] == 1 and learnable(whole)


def encode(images: NDArray[Any]) -> bytes:
    """Code uint8 or uint16 images of one channel (n, H, W, 1): the bits of a value (u8), then bands of rows."""
    count, height, width, _ = images.shape
    bits = max(1, int(images.max()).bit_length())
    code = _bound(images.reshape(count * height, width).astype(np.int32), height, bits)
    return bytes([bits]) + bands.encode(code, count * height, width, width * (QUESTIONS + bits), 16)


def decode(data: memoryview, whole: tuple[int, int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The inverse: images of the shape ``whole``."""
    count, height, width, _ = whole
    if not data or not 1 <= data[0] <= 8 * dtype.itemsize:
        raise FormatError("the payload does not say how many bits its values have")
    values = np.zeros((count * height, width), np.int32)
    bands.decode(_bound(values, height, data[0]), count * height, width, data[1:])
    return values.astype(dtype).reshape(whole)


def _bound(values: NDArray[np.int32], height: int, bits: int) -> bands.Code:
    """The kernel with everything but its place in the stack and the image."""
    state, (logistic, logits) = new_state(values.shape[1], values.size), tables()

    def run(heads: Any, tail: Any, length: int, decoding: bool, first: int, last: int, starts: Any, freqs: Any) -> int:
        done: int = code(
            heads, tail, length, decoding, values, height, first, last, bits, state, logistic, logits, starts, freqs
        )
        return done

    return run
