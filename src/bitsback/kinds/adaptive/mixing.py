"""Drawn images: each pixel guessed from the pattern around it, by counting what followed the same pattern before.

For screenshots, plots, scans, dithered pictures, pixel art, label maps: one channel of few values (a palette's indices,
usually) that no average of neighbours predicts. A pixel is coded as answers to yes-or-no questions: is it the colour to
the left? the one above? above to the left? above to the right? (each colour is asked about once); and if it is none of
these, the bits of its value, the highest first. Of two values there is but one question. For each answer

1. six *contexts* are looked up, from the pattern of equalities around the pixel to the exact values of fourteen
   neighbours, of two values up to 76. Each has a slot in a hash table, with a probability that has learned from all
   answers given there;
2. their logits are summed with weights, which learn too, to the probability that the answer is coded with.

Everything is integers, to the bit in ``docs/format.md``. Sources: mixing in the logistic domain is that of PAQ
(Mahoney, "Adaptive weighing of context models for lossless data compression", 2005); contexts of neighbouring pixels
are those of JBIG (ITU-T T.82).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder
from bitsback.codecs.tables import ORIGIN, STEPS, load, sigmoid
from bitsback.errors import FormatError
from bitsback.kernels import helper, kernel
from bitsback.kinds.adaptive import bands
from bitsback.kinds.adaptive.answers import UNKNOWN, coded, learned
from bitsback.kinds.adaptive.cost import SLOTS_LOG2, drawable
from bitsback.kinds.base import Lot
from bitsback.kinds.lots import lots_of

QUESTIONS = 6
"""Colours to ask about before the bits are spelled out."""

_AROUND = 6
"""Contexts of what is around; then two for where this was seen before, and two for the reference."""

_CONTEXTS, _CONFIDENCES, _KINDS, _TRACES = 10, 16, 16, 16
_SEEN_BEFORE, _IN_REFERENCE = 4, 5
"""Kinds of questions, after those about what is around; then come those about bits."""

_TRUSTED, _RIGHT = 16, 63

_RATE, _RATE_OF_TWO = 14, 8
"""How quickly weights learn, in 2^-18."""

_SLOW, _QUICK = 120, 6
"""Answers that a slot is the mean of, at least: to questions about colours, and about bits."""

PRECISION = 16
_WORD = 0xFFFFFFFF
MARGIN = 4
"""Columns to the left and the right of an image."""

ABOVE = 2
"""Rows above it."""

_ROWS = 5
"""Rows that images of two values are looked at in."""


class State(NamedTuple):
    """What has been learned."""

    slots: NDArray[np.uint32]
    """(a power of two,): see :mod:`.answers`."""
    weights: NDArray[np.int64]
    """(kinds x confidences, contexts), in 2**-16."""
    traces: NDArray[np.int64]
    """(kinds x traces, contexts): the same, chosen by how well the reference and what was seen before agree."""
    seen: NDArray[np.int32]
    """(2, a power of two): where the pixel was that last had such surroundings, wide and near ones; 0: nowhere."""
    follow: NDArray[np.int64]
    """(widest,): for each pixel of the row above, or of this one, the place that was thought to be like it."""


def new_state(width: int, pixels: int) -> State:
    """The state before the first of so many pixels, in rows of up to so many."""
    size = min(max(pixels.bit_length() + 3, 12), SLOTS_LOG2)
    return State(
        np.full(1 << size, UNKNOWN, np.uint32),
        np.full((_KINDS * _CONFIDENCES, _CONTEXTS), 14000, np.int64),
        np.zeros((_KINDS * _TRACES, _CONTEXTS), np.int64),
        np.zeros((2, 1 << max(size - 4, 8)), np.int32),
        np.zeros(width, np.int64),
    )


@cache
def tables() -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The logistic function; and its inverse at ``(i + 1/2) / 4096``, in steps of the former from its middle."""
    logistic = load("logistic")
    return logistic, np.searchsorted(logistic, (2 * np.arange(4096, dtype=np.int64) + 1) << 19) - 16 * STEPS


class Job(NamedTuple):
    """Images, one below the other, and what is learned from them."""

    values: NDArray[np.int32]
    """Flat: rows of ``stride``, :data:`ABOVE` of zeros above each image; below ``2**bits``."""
    images: NDArray[np.int64]
    """(n, 5): the number of its first row, where its first pixel is, height, width, and how far behind its reference
    lies, or 0."""
    stride: int
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
    rows: NDArray[np.int64]
    """(rows + 1,): of two values those to the left of the pixel, and above it up to :data:`MARGIN` to the right, as
    bits; and the row's number."""


class _Elsewhere(NamedTuple):
    """Colours to expect, -1 for none: of where this was seen before, and of the reference; and how sure they are."""

    before: int
    there: int
    trace: int
    used: int
    """How many contexts there are."""


@kernel
def _encode(starts, freqs, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Encoder(starts, freqs), 0)


@kernel
def _decode(heads, tail, length, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Decoder(heads, tail), length)


@helper
def _code(job, first, last, coder, length):  # type: ignore[no-untyped-def]
    """Code rows ``first .. last - 1``. Returns the length of the stack, or how many answers there were in all."""
    values, images, stride, state = job.values, job.images, job.stride, job.state
    asking = _Asking(
        np.zeros(_CONTEXTS, np.int64), np.zeros(_CONTEXTS, np.int64), np.zeros(_CONTEXTS, np.int64),
        np.zeros(QUESTIONS, np.int64), np.zeros(_ROWS + 1, np.int64),
    )  # fmt: skip
    image = 0
    for row in range(first, last):
        while image + 1 < images.shape[0] and images[image + 1, 0] <= row:
            image += 1
        width, back = images[image, 3], images[image, 4]
        begin = images[image, 1] + (row - images[image, 0]) * stride
        for k in range(1, MARGIN + 1):
            values[begin - k] = values[begin - stride]
        if row == images[image, 0]:
            state.follow[:] = 0
        at, run = 0, 0
        _begin(asking.rows, values, begin, stride, row - images[image, 0])
        for x in range(width):
            p = begin + x
            _look(asking.contexts, values, p, stride)
            if job.bits == 1:
                _look_far(asking.contexts, asking.rows, values, p, stride)
            places = (
                (asking.contexts[4], asking.contexts[2]) if job.bits == 1 else (asking.contexts[5], asking.contexts[3])
            )
            at, run = _find(state, places, at, run, x, stride)
            elsewhere = _elsewhere(asking.contexts, values, p, stride, at, run, back)
            v, length = _ask(job, asking, elsewhere, p, coder, length)
            if length < 0:
                return -1
            values[p] = v
            _note(state, places, p, x, at)
            run = min(run + 1, _RIGHT) if elsewhere.before == v else 0
            at += at > 0
        for k in range(MARGIN):
            values[begin + width + k] = values[begin + width - 1]
    return length


@helper
def hashed(a, b):  # type: ignore[no-untyped-def]
    """Hash two numbers, the second below 2**31, into 32 bits."""
    h = (a + b * 0x9E3779B1) & _WORD
    h = ((h ^ (h >> 15)) * 0x85EBCA6B) & _WORD
    return h ^ (h >> 13)


@helper
def _look(contexts, values, p, stride):  # type: ignore[no-untyped-def]
    """Set the contexts of what is around a pixel."""
    above, top = p - stride, p - 2 * stride
    w, ww, n, nn, nw, ne = (
        values[p - 1],
        values[p - 2],
        values[above],
        values[top],
        values[above - 1],
        values[above + 1],
    )
    contexts[1] = hashed(w, n)
    contexts[2] = hashed(hashed(contexts[1], nw), ne)
    contexts[3] = hashed(hashed(contexts[2], ww), nn)
    h = hashed(hashed(contexts[3], values[above + 2]), values[top + 1])
    contexts[4] = hashed(hashed(h, values[top - 1]), values[above - 2])
    h = hashed(hashed(contexts[4], values[p - 3]), values[above + 3])
    contexts[5] = hashed(hashed(h, values[top - 2]), values[top + 2])
    pattern = (w == n) | ((w == nw) << 1) | ((n == nw) << 2) | ((n == ne) << 3) | ((w == ww) << 4) | ((n == nn) << 5)
    pattern |= ((ne == values[above + 2]) << 6) | ((ne == values[top + 1]) << 7) | ((nw == values[above - 2]) << 8)
    contexts[0] = pattern | ((nw == values[top - 1]) << 9) | ((w == ne) << 10)


@helper
def _begin(rows, values, begin, stride, row):  # type: ignore[no-untyped-def]
    """Set what is known of the rows around before the first pixel of one: what is above it, and to the right."""
    for k in range(_ROWS):
        rows[k] = 0
        for x in range(MARGIN):
            rows[k] = (2 * rows[k] + (values[begin + x - k * stride] if 0 < k < row + ABOVE else 0)) & _WORD
    rows[_ROWS] = row


@helper
def _look_far(contexts, rows, values, p, stride):  # type: ignore[no-untyped-def]
    """Set the contexts of a pixel of two values: of many more pixels around it, as each tells but a bit."""
    rows[0] = (2 * rows[0] + values[p - 1]) & _WORD
    for k in range(1, _ROWS):
        value = values[p + MARGIN - k * stride] if k < rows[_ROWS] + ABOVE else 0
        rows[k] = (2 * rows[k] + value) & _WORD
    left, n, nn, nnn = rows[0], rows[1], rows[2], rows[3]
    contexts[0] = (left & 7) | (((n >> 2) & 31) << 3) | (((nn >> 3) & 7) << 8)
    contexts[1] = (left & 31) | (((n >> 1) & 127) << 5) | (((nn >> 2) & 31) << 12) | (((nnn >> 3) & 7) << 17)
    contexts[2] = hashed((left & 255) | ((n & 1023) << 8) | ((nn & 511) << 18), (nnn >> 1) & 127)
    far = left & 0xFFF
    for k in range(1, _ROWS):
        far = hashed(far, rows[k] & 0xFFFF)
    contexts[4] = far


@helper
def _find(state, places, at, run, x, stride):  # type: ignore[no-untyped-def]
    """Where what is around, by a wide and a near context, was seen before, 0 for nowhere, and for how many pixels that
    was right."""
    if run == 0:
        seen = state.seen
        wide, near = seen[0, places[0] & (seen.shape[1] - 1)], seen[1, places[1] & (seen.shape[1] - 1)]
        over = state.follow[x]
        at = np.int64(wide) if wide > 0 else np.int64(near) if near > 0 else over + stride if over > 0 else at
    return at, run


@helper
def _note(state, places, p, x, at):  # type: ignore[no-untyped-def]
    """Remember where a pixel was that has such surroundings."""
    seen = state.seen
    seen[0, places[0] & (seen.shape[1] - 1)] = p
    seen[1, places[1] & (seen.shape[1] - 1)] = p
    state.follow[x] = at


@helper
def same_around(values, p, q, stride):  # type: ignore[no-untyped-def]
    """Which neighbours of two pixels are the same."""
    n, other = p - stride, q - stride
    alike = (values[p - 1] == values[q - 1]) | ((values[n] == values[other]) << 1)
    alike |= ((values[n - 1] == values[other - 1]) << 2) | ((values[n + 1] == values[other + 1]) << 3)
    alike |= (values[p - 2] == values[q - 2]) << 4
    return alike | ((values[n - stride] == values[other - stride]) << 5)


@helper
def _elsewhere(contexts, values, p, stride, at, run, back):  # type: ignore[no-untyped-def]
    """Set the contexts of places like this one; return what is there."""
    before, there, trace, used = -1, -1, 0, _AROUND + 2
    contexts[6], contexts[7] = 0, 0
    if at > 0:
        before = values[at]
        alike = same_around(values, p, at, stride)
        contexts[6] = 1 + (alike | (min(run, 15) << 6))
        contexts[7] = hashed(hashed(contexts[1], before), alike)
        trace = 4 * (1 + (run > 0) + (run >= _TRUSTED))
    if back > 0:
        q = p - back
        there = values[q]
        alike = same_around(values, p, q, stride)
        right, below = values[q + 1], values[q + stride]
        contexts[8] = alike | ((there == right) << 6) | ((there == below) << 7) | ((there == values[q - 1]) << 8)
        contexts[9] = hashed(hashed(hashed(hashed(contexts[1], there), right), below), values[q + stride - 1])
        trace += 1 + ((alike & 15) == 15) + (alike == 63)
        used = _CONTEXTS
    return _Elsewhere(before, there, trace, used)


@helper
def _ask(job, asking, elsewhere, p, coder, length):  # type: ignore[no-untyped-def]
    """Ask until the pixel's value is known; return it, and the length of the stack (or of the answers given)."""
    values, before, there = job.values, elsewhere.before, elsewhere.there
    w, n, nw, ne = values[p - 1], values[p - job.stride], values[p - job.stride - 1], values[p - job.stride + 1]
    v = np.int64(values[p]) if isinstance(coder, Encoder) else 0
    asked, near = 0, 0
    for step in range(QUESTIONS if job.bits > 1 else 0):
        if step < 2:
            colour, kind = (before if step == 0 else there), _SEEN_BEFORE + step
            known = colour < 0
            for other in (w, n, nw, ne):
                known |= colour == other
        else:
            colour = w if step == 2 else n if step == 3 else nw if step == 4 else ne
            kind, known = near, False
        for k in range(asked):
            known |= asking.asked[k] == colour
        if known:
            continue
        asking.asked[asked] = colour
        asked += 1
        near += step >= 2
        about = (0 if before < 0 else 1 + (before == colour), 0 if there < 0 else 1 + (there == colour))
        answer, length = _answered(job, asking, elsewhere, kind, kind, about, v == colour, coder, length)
        if length < 0 or answer:
            return np.int64(colour), length
    if job.bits > 1:
        asking.contexts[0] = 0
    node = 1
    for bit in range(job.bits):
        kind, seed = (min(QUESTIONS + bit, _KINDS - 1), QUESTIONS + node) if job.bits > 1 else (0, 0)
        about = (3, 3) if job.bits > 1 else (1 + before, 1 + there)  # 0 for none
        answer = (v >> (job.bits - 1 - bit)) & 1
        answer, length = _answered(job, asking, elsewhere, kind, seed, about, answer, coder, length)
        if length < 0:
            return v, length
        node = 2 * node + answer
    return node - (1 << job.bits), length


@helper
def _answered(job, asking, elsewhere, kind, seed, about, answer, coder, length):  # type: ignore[no-untyped-def]
    """Code an answer, and learn from it: return it, and the length of the stack (or of the answers given)."""
    rows, p = _predict(job, asking, elsewhere, kind, seed, about)
    said, length = coded(coder, np.int64(answer), p, PRECISION, length)
    if length >= 0:
        rate = _RATE if job.bits > 1 else _RATE_OF_TWO
        _learn(job.state, asking, elsewhere.used, kind, rows, said, rate * ((said << 16) - p))
    return said, length


@helper
def _predict(job, asking, elsewhere, kind, seed, about):  # type: ignore[no-untyped-def]
    """Return the rows of weights for a question, and the probability of yes in 2**-16."""
    slots, places, inputs = job.state.slots, asking.places, asking.inputs
    for k in range(elsewhere.used):
        of = 0 if k < _AROUND else about[0] if k < _AROUND + 2 else about[1]
        places[k] = hashed(asking.contexts[k], (seed * _CONTEXTS + k) * 4 + of) & (slots.size - 1)
        inputs[k] = job.logits[slots[places[k]] >> 20]
    near, wide = (places[3], places[5]) if job.bits > 1 else (places[2], places[4])
    confidence = 4 * min(slots[near] & 1023, 3) + min(slots[wide] & 1023, 3)
    row, trace = kind * _CONFIDENCES + confidence, kind * _TRACES + elsewhere.trace
    total = 0
    for k in range(elsewhere.used):
        total += inputs[k] * (job.state.weights[row, k] + job.state.traces[trace, k])
    return (row, trace), min(max(sigmoid(job.logistic, ORIGIN + (total << 4)) >> 16, 1), 65535)


@helper
def _learn(state, asking, used, kind, rows, answer, error):  # type: ignore[no-untyped-def]
    """Move the weights, by the error times how quickly they learn, and the slots of a question towards its answer."""
    weights, traces = state.weights[rows[0]], state.traces[rows[1]]
    for k in range(used):
        step = (asking.inputs[k] * error + 131072) >> 18
        weights[k] = min(max(weights[k] + step, -(1 << 20)), 1 << 20)
        traces[k] = min(max(traces[k] + step, -(1 << 20)), 1 << 20)
        slot = state.slots[asking.places[k]]
        state.slots[asking.places[k]] = learned(slot, answer, _SLOW if kind < QUESTIONS else _QUICK)


# Images <-> bytes -----------------------------------------------------------------------------------------------------


def takes(whole: tuple[int, int, int, int]) -> bool:
    """Whether images of this shape may be coded so: of one channel, not of a few long rows, and not too small."""
    return whole[3] == 1 and drawable([Lot(whole[0], whole[1:])])


def encode(lots: Sequence[NDArray[Any]]) -> bytes:
    """Code lots of uint8 or uint16 images of one channel (n, H, W, 1): the bits of a value (u8), then bands of rows."""
    bits = max(1, max(int(images.max()) for images in lots).bit_length())
    job = _job(lots_of(lots), bits)
    for place, image in zip(job.images, (image for images in lots for image in images), strict=True):
        _inside(job, place)[:] = image[..., 0]
    rows, width = _size(job)
    return bytes([bits]) + bands.encode(_encode, job, rows, width, width * (QUESTIONS + bits), PRECISION)


def decode(data: memoryview, lots: Sequence[Lot], dtype: np.dtype[Any]) -> list[NDArray[Any]]:
    """The inverse."""
    if not data or not 1 <= data[0] <= 8 * dtype.itemsize:
        raise FormatError("the payload does not say how many bits its values have")
    job = _job(lots, data[0])
    bands.decode(_decode, job, *_size(job), data[1:])
    out, places = [], iter(job.images)
    for n, shape in lots:
        images = np.empty((n, *shape), dtype)
        for image in images:
            image[..., 0] = _inside(job, next(places))
        out.append(images)
    return out


def _size(job: Job) -> tuple[int, int]:
    """Rows in all, and the pixels of the widest."""
    last = job.images[-1]
    return int(last[0] + last[2]), int(job.images[:, 3].max())


def _inside(job: Job, place: NDArray[np.int64]) -> NDArray[np.int32]:
    """An image within its margins, a view of (H, W)."""
    _, begin, height, width, _ = map(int, place)
    rows = job.values[begin - MARGIN :][: height * job.stride].reshape(height, job.stride)
    return rows[:, MARGIN : MARGIN + width]


def _job(lots: Sequence[Lot], bits: int) -> Job:
    """Images lie one below the other. The reference of an image is the one before, if it is of the same shape."""
    counts = [n for n, _ in lots]
    heights, widths = (np.repeat([shape[axis] for _, shape in lots], counts) for axis in (0, 1))
    stride = int(widths.max()) + 2 * MARGIN
    rows = np.cumsum(heights + ABOVE)
    begins = (rows - heights) * stride + MARGIN
    again = np.zeros(len(begins), np.int64)
    again[1:] = np.where((heights[1:] == heights[:-1]) & (widths[1:] == widths[:-1]), np.diff(begins), 0)
    images = np.stack([np.cumsum(heights) - heights, begins, heights, widths, again], axis=1)
    values = np.zeros(int(rows[-1]) * stride, np.int32)
    return Job(values, images, stride, bits, new_state(int(widths.max()), int((heights * widths).sum())), *tables())
