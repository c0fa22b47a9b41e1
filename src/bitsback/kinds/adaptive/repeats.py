"""Pixels that were there before: which one is asked first, and only what is new is coded sample by sample.

For icons, sprites and screens in many colours, of which least squares (:mod:`.regressed`) would code every edge anew.
Up to nine *sources* are asked about: where the surroundings of this pixel were seen before, and what followed there;
the neighbours; and where fewer of the surroundings were. A source is asked about unless it is not known yet, or shows a
pixel that another was asked about: is this pixel the same, in all channels? The answer's probability is mixed from ten
contexts, as in :mod:`.mixing`. A pixel is known here by a number, a hash of its samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Encoder
from bitsback.codecs.tables import ORIGIN, sigmoid
from bitsback.kernels import helper
from bitsback.kernels.vectors import LANES
from bitsback.kinds.adaptive.answers import UNKNOWN, coded, learned
from bitsback.kinds.adaptive.cost import STRIP, seen_log2
from bitsback.kinds.adaptive.mixing import hashed, same_around

SOURCES = 9
PRECISION = 24
_CONTEXTS, _ROWS = 10, 16
_LONGEST, _RIGHT, _SURE = 15, 63, 120
_TOTAL = 1 << PRECISION


class Repeats(NamedTuple):
    """What was seen, and where. Places are those of the plane of the first channel, 0 for none."""

    pixels: NDArray[np.uint32]
    """(n * size,): the number of each pixel that is known, or 0, with margins."""
    seen: NDArray[np.int32]
    """(3, places): the last pixel with such surroundings: wide ones, near ones, one or two neighbours."""
    follow: NDArray[np.int64]
    """(W,): where the pixel above of this column was looked for."""
    going: NDArray[np.int64]
    """(rows, 2): of each row of a strip where the next pixel is looked for, and how often that was right in a row."""
    slots: NDArray[np.uint32]
    """(a power of two,): see :mod:`.answers`."""
    weights: NDArray[np.int32]
    """(SOURCES * rows, contexts), in 2**-16."""
    settled: NDArray[np.int64]
    """(LANES,): whether a pixel of the present block is known by now."""
    sources: NDArray[np.int64]
    """(SOURCES,): places, of the present pixel; as are the following."""
    contexts: NDArray[np.int64]
    places: NDArray[np.int64]
    inputs: NDArray[np.int64]
    """(contexts,): hashes, their slots, and what these say, as logits."""


def new_repeats(whole: tuple[int, int, int, int], size: int) -> Repeats:
    """Before the first pixel; ``size``: of an image's plane."""
    count, height, width, _ = whole
    log2 = seen_log2(count * height * width)
    return Repeats(
        np.zeros(count * size, np.uint32),
        np.zeros((3, 1 << log2), np.int32),
        np.zeros(width, np.int64),
        np.zeros((STRIP + LANES, 2), np.int64),
        np.full(8 << log2, UNKNOWN, np.uint32),
        np.full((SOURCES * _ROWS, _CONTEXTS), 1 << 14, np.int32),
        np.zeros(LANES, np.int64),
        np.zeros(SOURCES, np.int64),
        *(np.zeros(_CONTEXTS, np.int64) for _ in range(3)),
    )


class _Around(NamedTuple):
    """Hashes of what is around a pixel, and the neighbours that equal one another."""

    near: int
    middle: int
    wide: int
    left: int
    above: int
    pattern: int


@helper
def settle(job, block, lane, number, coder, length):  # type: ignore[no-untyped-def]
    """Ask about the sources of a pixel, of row ``number`` of its strip; return the length of the stack or -1, or how
    many symbols there were. If one of them shows it, its samples are set, and it is settled."""
    known, p, x = job.repeats, block.position[lane], block.column[lane]
    pixels, stride = known.pixels, job.grid.stride
    around = _look(pixels, p, stride)
    at, run = _find(known, around, number, x, stride)
    alike = same_around(pixels, p, at, stride) if at > 0 else 0
    before = np.int64(pixels[at]) if at > 0 else 0
    _name_sources(known, around, p, at, stride)
    found, asked = np.int64(0), 0
    for step in range(SOURCES):
        source = known.sources[step]
        pixel = np.int64(pixels[source])
        if found > 0 or _not_new(pixels, known.sources, step, pixel):
            continue
        _set_contexts(known, around, step, pixel, alike, run, asked)
        asked += 1
        p_yes, row = _chance(job, known, step, run)
        answer = np.int64(_equal(job, p, source)) if isinstance(coder, Encoder) else 0
        answer, length = coded(coder, answer, p_yes, PRECISION, length)
        if length < 0:
            return -1
        _learn(known, row, answer, p_yes >> 8)
        if answer:
            found = pixel
            _copy(job, p, source)
    known.settled[lane] = found > 0
    known.going[number, 1] = min(run + 1, _RIGHT) if before > 0 and found == before else 0
    known.going[number, 0] = at + 1 if at > 0 else 0
    known.follow[x] = at
    mask = known.seen.shape[1] - 1
    known.seen[0, around.wide & mask] = p
    known.seen[1, around.middle & mask] = p
    for k in (around.near, around.left, around.above):
        known.seen[2, k & mask] = p
    return length


@helper
def number_of(job, p):  # type: ignore[no-untyped-def]
    """The number of the pixel at a place, all of whose samples are known."""
    number = np.int64(1)
    for c in range(job.grid.channels):
        number = hashed(number, np.int64(job.planes[c * job.grid.images * job.grid.size + p]))
    return number if number > 0 else np.int64(1)


@helper
def _look(pixels, p, stride):  # type: ignore[no-untyped-def]
    above, top = p - stride, p - 2 * stride
    w, ww, n, nn = np.int64(pixels[p - 1]), np.int64(pixels[p - 2]), np.int64(pixels[above]), np.int64(pixels[top])
    nw, ne = np.int64(pixels[above - 1]), np.int64(pixels[above + 1])
    near = hashed(w, n)
    middle = hashed(hashed(near, nw), ne)
    wide = hashed(hashed(hashed(hashed(middle, ww), nn), np.int64(pixels[above + 2])), np.int64(pixels[top + 1]))
    pattern = (w == n) | ((w == nw) << 1) | ((n == nw) << 2) | ((n == ne) << 3) | ((w == ww) << 4) | ((n == nn) << 5)
    return _Around(near, middle, wide, hashed(w, 77), hashed(n, 78), pattern)


@helper
def _find(known, around, number, x, stride):  # type: ignore[no-untyped-def]
    """Where what is around was seen before, 0 for nowhere, and for how many pixels that was right."""
    at, run = known.going[number, 0], known.going[number, 1]
    if run == 0:
        mask = known.seen.shape[1] - 1
        wide, middle = np.int64(known.seen[0, around.wide & mask]), np.int64(known.seen[1, around.middle & mask])
        over = known.follow[x]
        at = wide if wide > 0 else middle if middle > 0 else over + stride if over > 0 else at
    return at if at < known.pixels.size - 2 else 0, run


@helper
def _name_sources(known, around, p, at, stride):  # type: ignore[no-untyped-def]
    sources, seen, mask = known.sources, known.seen, known.seen.shape[1] - 1
    sources[0], sources[1] = at, seen[1, around.middle & mask]
    sources[2], sources[3] = p - 1, p - stride
    sources[4] = seen[2, around.near & mask]
    sources[5], sources[6] = p - stride + 1, p - stride - 1
    sources[7], sources[8] = seen[2, around.left & mask], seen[2, around.above & mask]


@helper
def _not_new(pixels, sources, step, pixel):  # type: ignore[no-untyped-def]
    """Whether a source shows nothing, or what one before shows."""
    known = pixel == 0
    for k in range(step):
        known |= pixels[sources[k]] == pixel
    return known


@helper
def _set_contexts(known, around, step, pixel, alike, run, asked):  # type: ignore[no-untyped-def]
    contexts, votes = known.contexts, np.int64(0)
    for k in range(step + 1, SOURCES):
        votes |= np.int64(known.pixels[known.sources[k]] == pixel) << (k - 1)
    contexts[0], contexts[1] = around.pattern, alike | (min(run, _LONGEST) << 6)
    contexts[2], contexts[3], contexts[4] = around.near, around.middle, around.wide
    contexts[5], contexts[6] = hashed(around.near, pixel), hashed(hashed(around.middle, pixel), alike)
    contexts[7], contexts[8], contexts[9] = 4 * votes + min(run, 3), pixel, 8 * votes + min(asked, 7)


@helper
def _chance(job, known, step, run):  # type: ignore[no-untyped-def]
    """The probability of yes in 2**-24, and the row of weights that it is mixed with."""
    slots, places, inputs = known.slots, known.places, known.inputs
    for k in range(_CONTEXTS):
        places[k] = hashed(known.contexts[k], _ROWS * step + k) & (slots.size - 1)
        inputs[k] = job.logits[slots[places[k]] >> 20]
    row = _ROWS * step + min(run, 7) + 8 * ((slots[places[4]] & 1023) > 0)
    total = np.int64(0)
    for k in range(_CONTEXTS):
        total += inputs[k] * known.weights[row, k]
    return min(max(sigmoid(job.logistic, ORIGIN + (total << 4)) >> 8, 16), _TOTAL - 16), row


@helper
def _learn(known, row, answer, p_yes):  # type: ignore[no-untyped-def]
    """Move the weights and the slots of a question towards its answer, of probability ``p_yes`` in 2**-16."""
    error = (answer << 16) - p_yes
    for k in range(_CONTEXTS):
        weight = known.weights[row, k] + ((known.inputs[k] * error * 14 + 131072) >> 18)
        known.weights[row, k] = min(max(weight, -(1 << 20)), 1 << 20)
        known.slots[known.places[k]] = learned(known.slots[known.places[k]], answer, _SURE)


@helper
def _equal(job, p, source):  # type: ignore[no-untyped-def]
    plane, equal = job.grid.images * job.grid.size, True
    for c in range(job.grid.channels):
        equal &= job.planes[c * plane + p] == job.planes[c * plane + source]
    return equal


@helper
def _copy(job, p, source):  # type: ignore[no-untyped-def]
    plane = job.grid.images * job.grid.size
    for c in range(job.grid.channels):
        job.planes[c * plane + p] = job.planes[c * plane + source]
