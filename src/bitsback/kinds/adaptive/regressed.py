"""Photos, slices, frames: every sample predicted by least squares, from its neighbours and from other images.

For photos, scans and measurements of 8 to 16 bits, and above all for series of them. An image may name an earlier one,
its *reference*: what is there at the same place, and around it, later pixels included, are regressors as the neighbours
are (Wu & Memon's interband CALIC and its kin; the window and its arithmetic are in :mod:`.squares`). For each sample

1. the *guess* is the regression's, and the *mean* is the guess and its mean error so far in the like surroundings;
2. two *scales* are mean errors so far: where the errors around were as large and the regression was as sure; and where
   they were as large and the reference, when it was coded, was as hard to guess in this place;
3. the sample is coded as answers to *questions*: is it above this value? The values halve what the first distribution
   expects, then its halves, and so on, so that an answer is about one bit, or certain. The probability of yes is mixed
   from both distributions, and from what came before of this question in five contexts, the last of which is which
   values were there before where the channels before were the same (see :mod:`.seen`). After six answers what is left
   is coded by the first distribution alone.

Rows are coded side by side, each ``SKEW`` pixels behind the one above, ``STRIP`` of them at once; images one after the
other. All of it to the bit is in ``docs/format.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder, peek, take
from bitsback.codecs.search import search
from bitsback.codecs.tables import ORIGIN, sigmoid
from bitsback.errors import FormatError
from bitsback.kernels import helper, kernel
from bitsback.kernels.values import DOUBLE, LONG
from bitsback.kernels.vectors import LANES, vectorised
from bitsback.kinds.adaptive import bands, smooth
from bitsback.kinds.adaptive.answers import coded, learned
from bitsback.kinds.adaptive.cost import MARGIN, STRIP, kept_as, regressable
from bitsback.kinds.adaptive.mixing import tables
from bitsback.kinds.adaptive.repeats import SOURCES, Repeats, new_repeats, number_of, settle
from bitsback.kinds.adaptive.seen import SIDES, Seen, new_seen, row_of, see, seen_around
from bitsback.kinds.adaptive.smooth import CLEAR
from bitsback.kinds.adaptive.squares import Squares, regress, remember, squares
from bitsback.kinds.context.network import SKEW
from bitsback.kinds.shift import shifts
from bitsback.kinds.varint import read_varint, varint

OWN = 9
"""Regressors in the same channel and image."""

ACROSS = 5
"""... and in each reference: the same place, and left, right, above and below of it."""

MOST_REFERENCES = 2
DEPTH = 6
"""Questions that are mixed."""

_NODES, _ENERGIES, _SPREADS, _TEXTURES = 1 << DEPTH, 88, 32, 256
_CONTEXTS, _INPUTS = 5, 8
_ROWS_BEFORE = 3 * _SPREADS + _TEXTURES
_WEIGHT_ROWS = 8
_BIAS = 20
_MOST_SEEN = 255
PRECISION = 24
_TOTAL = 1 << PRECISION
_WHOLE = 1 << 32


class Grid(NamedTuple):
    """Images, and how they lie in planes: ``stride`` from row to row, ``size`` from image to image, and ``margin``
    places to the left, the right and above."""

    images: int
    height: int
    width: int
    channels: int
    stride: int
    size: int
    margin: int


def grid_of(whole: tuple[int, int, int, int], margin: int) -> Grid:
    """How images of the shape ``whole`` lie."""
    stride = whole[2] + 2 * margin
    return Grid(*whole, stride, stride * (whole[1] + margin), margin)


class State(NamedTuple):
    """What has been learned. First axis: channel."""

    biases: NDArray[np.int64]
    """(C, 8 * textures, 2): sum of errors in 64ths, and their number."""
    scales: NDArray[np.int64]
    """(C, 2, energies, spreads, 2): sum of errors' magnitudes in 64ths, and their number."""
    slots: NDArray[np.uint32]
    """(C, 3 * spreads + textures + what was seen, nodes): a probability of yes in the high 22 bits, the answers seen in
    the low 10."""
    weights: NDArray[np.int32]
    """(C, rows, nodes, inputs), in 2**-16."""


def new_state(channels: int) -> State:
    """The state before the first sample."""
    weights = np.zeros((channels, _WEIGHT_ROWS, _NODES, _INPUTS), np.int32)
    weights[..., :2] = 1 << 15
    slots = np.zeros((channels, _ROWS_BEFORE + SIDES**2, _NODES), np.uint32)
    return State(new_biases(channels), new_scales(channels, 2), slots, weights)


def new_biases(channels: int) -> NDArray[np.int64]:
    """Counters of biases before the first sample."""
    biases = np.zeros((channels, 8 * _TEXTURES, 2), np.int64)
    biases[..., 1] = 8
    return biases


def new_scales(channels: int, shapes: int) -> NDArray[np.int64]:
    """Counters of the scales of so many distributions: (C, shapes, energies, spreads, 2)."""
    energies = np.arange(_ENERGIES)
    levels = np.where(energies < 4, energies, (4 + energies % 4) << np.maximum(energies // 4 - 1, 0))
    scales = np.empty((channels, shapes, _ENERGIES, _SPREADS, 2), np.int64)
    scales[..., 0] = np.maximum(levels, 2)[:, None]
    scales[..., 1] = 1
    return scales


_LOGITS = (
    *(16, 32, 48, 64, 81, 97, 114, 131, 148, 166, 183, 202, 221, 240, 260, 281, 303, 326, 350, 375, 403, 432, 463, 498),
    *(537, 581, 632, 693, 771, 879, 1061),
)
"""256 ln(k / (64 - k)), for k = 33 .. 63."""


@cache
def splits() -> NDArray[np.int64]:
    """Where the question of each node lies, in 256ths of the scale from the mean: (nodes,)."""
    logits = (*(-one for one in reversed(_LOGITS)), 0, *_LOGITS)
    depths = [node.bit_length() - 1 for node in range(1, _NODES)]
    shares = [(2 * (node - (1 << d)) + 1) << (DEPTH - 1 - d) for node, d in enumerate(depths, 1)]
    return np.array([0, *(logits[share - 1] for share in shares)], np.int64)


class Job(NamedTuple):
    """Images, and what is learned from them."""

    planes: NDArray[Any]
    """(C * n * size,): samples, with margins, of the type that :func:`bitsback.kinds.adaptive.cost.kept_as` says."""
    errors: NDArray[Any]
    """The same of errors in 64ths of a level."""
    grid: Grid
    sizes: NDArray[np.int64]
    """(C,): the samples of a channel are below its size."""
    references: NDArray[np.int64]
    """(n, how many, 3): the image, and how many rows and columns its content lies behind; image -1: none."""
    clear: bool
    """Whether samples where the first channel is 0 are not coded; they are what was guessed."""
    state: State
    squares: Squares
    logistic: NDArray[Any]
    logits: NDArray[np.int64]
    splits: NDArray[np.int64]
    seen: Seen
    repeats: Repeats | None


class Block(NamedTuple):
    """Where pixels are, and what is known of them: LANES each."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    position: NDArray[np.int64]
    """In the plane of the first channel."""
    bases: NDArray[np.int64]
    others: NDArray[np.int64]
    """(references, LANES): where the reference's place is, in the plane of the first channel; -1: there is none."""


class Voices(NamedTuple):
    """What is asked for the answer to a question."""

    contexts: NDArray[np.int64]
    """(contexts,): rows of the channel's slots."""
    inputs: NDArray[np.int64]
    """(inputs,): logits."""


class Shape(NamedTuple):
    """A sample's two distributions: means in 64ths, inverse scales; the first one's scale in 1024ths of a level."""

    mean: int
    narrow: int
    guess: int
    other: int
    scale: int


@kernel(vectorise=True)
def _encode(starts, freqs, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Encoder(starts, freqs), 0)


@kernel(vectorise=True)
def _decode(heads, tail, length, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Decoder(heads, tail), length)


@helper
def _code(job, first, last, coder, length):  # type: ignore[no-untyped-def]
    """Code rows ``first .. last - 1``, strip by strip. Returns the length of the stack, or how many symbols there
    were."""
    grid = job.grid
    block = Block(
        np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), np.zeros(LANES, np.int64),
        np.zeros((MOST_REFERENCES, LANES), np.int64),
    )  # fmt: skip
    voices = Voices(np.zeros(_CONTEXTS, np.int64), np.zeros(_INPUTS, np.int64))
    row = first
    while row < last:
        image, y = row // grid.height, row % grid.height
        rows = min(min(STRIP - y % STRIP, grid.height - y), last - row)
        if y == 0:
            job.squares.columns[:] = 0
        job.squares.rows[:] = 0
        if job.repeats is not None:
            job.repeats.going[:] = 0
        for t in range(grid.width + SKEW * (rows - 1)):
            above, below = max(0, (t - grid.width + SKEW) // SKEW), min(rows - 1, t // SKEW)
            for begin in range(above, below + 1, LANES):
                lanes = min(LANES, below + 1 - begin)
                _place(job, block, image, y, t, begin, lanes)
                if job.repeats is not None:
                    for lane in range(lanes):
                        length = settle(job, block, lane, begin + lane, coder, length)
                        if length < 0:
                            return -1
                for c in range(grid.channels):
                    size = _gather(job, block, c)
                    regress(job.squares, c, size, t, begin, lanes, grid.width)
                    for lane in range(lanes):
                        length = _pixel(job, block, voices, c, lane, size, coder, length)
                        if length < 0:
                            return -1
                    remember(job.squares, c, size, t, begin, lanes, grid.width)
                if job.repeats is not None:
                    for lane in range(lanes):
                        p = block.position[lane]
                        put(grid, block, lane, job.repeats.pixels, p, number_of(job, p))
        row += rows
    return length


@helper
def _place(job, block, image, y, t, begin, lanes):  # type: ignore[no-untyped-def]
    """Set where the pixels of a block are. Lanes without a pixel repeat the last one."""
    for lane in range(LANES):
        number = begin + min(lane, lanes - 1)
        stand(job, block, lane, image, y + number, t - SKEW * number)


@helper
def stand(job, block, lane, image, row, column):  # type: ignore[no-untyped-def]
    """Set where the pixel of a lane is."""
    grid = job.grid
    block.row[lane], block.column[lane] = row, column
    block.position[lane] = image * grid.size + (row + grid.margin) * grid.stride + column + grid.margin
    for k in range(job.references.shape[1]):
        other = job.references[image, k, 0]
        of_row = min(max(row + job.references[image, k, 1], 0), grid.height - 1)
        of_column = min(max(column + job.references[image, k, 2], 0), grid.width - 1)
        at = other * grid.size + (of_row + grid.margin) * grid.stride + of_column + grid.margin
        block.others[k, lane] = at if other >= 0 else -1


@helper
def _gather(job, block, c):  # type: ignore[no-untyped-def]
    """Set the bases of a block's pixels in channel c, and their regressors but the last; return how many there are."""
    plane = job.grid.images * job.grid.size
    size = 0
    for lane in range(LANES):
        p = c * plane + block.position[lane]
        block.bases[lane] = plane_through(job.planes, p, job.grid.stride, block.row[lane])
        size = _neighbours(job, block.row[lane], lane, p)
        for k in range(job.references.shape[1]):
            size = _elsewhere(job, lane, c * plane, block.others[k, lane], block.bases[lane], size)
        for d in range(1, min(c, 2) + 1):
            size = _channel(job, block, lane, (c - d) * plane, size)
    return size + 1


@helper
def plane_through(planes, p, stride, row):  # type: ignore[no-untyped-def]
    """What a plane through the neighbours is at a place: the base of what is regressed. So regressors are small where
    images are smooth, all but two of them, however steep these are."""
    return planes[p - 1] + (planes[p - stride] - planes[p - stride - 1] if row > 0 else 0)


@helper
def _neighbours(job, row, lane, p):  # type: ignore[no-untyped-def]
    """How steep it is, and how that changes from one place to the next; in the first row what is left of the pixel."""
    planes, f, stride = job.planes, job.squares.f, job.grid.stride
    w, ww = planes[p - 1], planes[p - 2]
    for k in range(OWN):
        f[k, lane] = 0
    if row == 0:
        f[0, lane] = w - ww
    else:
        n, nw, ne, nww = planes[p - stride], planes[p - stride - 1], planes[p - stride + 1], planes[p - stride - 2]
        f[0, lane], f[1, lane] = n - nw, w - nw
        f[2, lane], f[3, lane] = w - ww - nw + nww, ne - 2 * n + nw
        f[4, lane], f[5, lane] = planes[p - stride + 2] - 2 * ne + n, n - 2 * nw + nww
        if row > 1:
            nn, nnw = planes[p - 2 * stride], planes[p - 2 * stride - 1]
            f[6, lane], f[7, lane] = n - nn - nw + nnw, ne - planes[p - 2 * stride + 1] - n + nn
            f[8, lane] = w - 2 * nw + nnw
    return OWN


@helper
def _elsewhere(job, lane, plane, at, base, size):  # type: ignore[no-untyped-def]
    """A place in a reference, and what is around it."""
    grid, planes, f = job.grid, job.planes, job.squares.f
    if at < 0:
        for k in range(ACROSS):
            f[size + k, lane] = 0
    else:
        q = plane + at
        left, right, up, down = around(grid, q, at)
        f[size, lane] = planes[q] - base
        f[size + 1, lane], f[size + 2, lane] = planes[left] - planes[q], planes[right] - planes[q]
        f[size + 3, lane], f[size + 4, lane] = planes[up] - planes[q], planes[down] - planes[q]
    return size + ACROSS


@helper
def _channel(job, block, lane, plane, size):  # type: ignore[no-untyped-def]
    """A channel that was coded before, here and in the reference, less a plane; and how steep that is."""
    planes, f, stride = job.planes, job.squares.f, job.grid.stride
    p, at = plane + block.position[lane], block.others[0, lane]
    base = plane_through(planes, p, stride, block.row[lane])
    f[size, lane], f[size + 1, lane] = planes[p] - base, base - planes[p - 1]
    if job.references.shape[1] > 0:
        f[size + 2, lane] = planes[plane + at] - base if at >= 0 else 0
        size += 1
    return size + 2


@helper
def around(grid, q, at):  # type: ignore[no-untyped-def]
    """What lies left, right, above and below in an image that is known as a whole: itself, where that is outside."""
    column, row = at % grid.stride - grid.margin, at % grid.size // grid.stride - grid.margin
    left, right = q - (column > 0), q + (column < grid.width - 1)
    return left, right, q - grid.stride * (row > 0), q + grid.stride * (row < grid.height - 1)


@helper
def _pixel(job, block, voices, c, lane, size, coder, length):  # type: ignore[no-untyped-def]
    """Code a sample; return the length of the stack or -1, or how many symbols there were."""
    grid, planes, known, most = job.grid, job.planes, job.squares, job.sizes[c] - 1
    plane = grid.images * grid.size
    p = c * plane + block.position[lane]
    guess = min(max(64 * block.bases[lane] + np.int64(known.predictions[lane]), 0), 64 * most)
    if job.repeats is not None and job.repeats.settled[lane] > 0:
        keep(job, block, lane, p, planes[p], 0)
        known.f[size - 1, lane] = planes[p] - block.bases[lane]
        return length
    if job.clear and c > 0 and planes[block.position[lane]] == 0:
        keep(job, block, lane, p, (guess + 32) >> 6, 0)
        known.f[size - 1, lane] = planes[p] - block.bases[lane]
        return length
    bias, first, second = _contexts(job, block, voices, c, lane, p, guess, spread_left(known, size, lane))
    shape = _shape(guess, bias, first, second, most)
    v, row = planes[p], row_of(planes, p, plane, c, most + 1)
    v, length = _answer(job, voices, c, shape, (v, row), most, coder, length)
    if length < 0:
        return -1
    if row >= 0:
        see(job.seen, row, v)
    error = 64 * v - shape.mean
    keep(job, block, lane, p, v, error)
    known.f[size - 1, lane] = v - block.bases[lane]
    count_in(bias, 64 * v - guess)
    count_in(first, abs(error))
    count_in(second, abs(64 * v - guess))
    return length


@helper
def _contexts(job, block, voices, c, lane, p, guess, spread):  # type: ignore[no-untyped-def]
    """Set a sample's contexts; return the counters of bias and of both scales."""
    known = job.references.shape[1] > 0 and block.others[0, lane] >= 0
    energy, slope = errors_around(job, c, p), slope_around(job, block, c, lane, p)
    texture, error = texture_around(job, block, c, lane, p, guess), error_before(job, block, c, lane, p)
    voices.contexts[0], voices.contexts[1] = min(energy >> 1, _SPREADS - 1), _SPREADS + (slope if known else spread)
    voices.contexts[2], voices.contexts[3] = 2 * _SPREADS + signed_rank(error), 3 * _SPREADS + texture
    voices.contexts[4] = _ROWS_BEFORE
    scales = job.state.scales[c]
    bias = job.state.biases[c, texture | (min(energy >> 3, 7) << 8)]
    return bias, scales[0, energy, spread], scales[1, energy, slope]


@helper
def errors_around(job, c, p):  # type: ignore[no-untyped-def]
    """The rank of the errors around a place, and of those in the channel before."""
    errors, up = job.errors, job.grid.stride
    energy = 2 * abs(errors[p - 1]) + 2 * abs(errors[p - up]) + abs(errors[p - up - 1]) + abs(errors[p - up + 1])
    energy += abs(errors[p - 2]) + abs(errors[p - 2 * up])
    if c > 0:
        q = p - job.grid.images * job.grid.size
        energy = ((energy + 4 * abs(errors[q]) + abs(errors[q - 1])) * 8) // 13
    return rank_of(energy >> 3)


@helper
def error_before(job, block, c, lane, p):  # type: ignore[no-untyped-def]
    """That of this pixel in the channel before; in the first, that of the reference in this place, or to the left."""
    at = block.others[0, lane]
    if c > 0:
        return job.errors[p - job.grid.images * job.grid.size]
    return job.errors[at] if job.references.shape[1] > 0 and at >= 0 else job.errors[p - 1]


@helper
def slope_around(job, block, c, lane, p):  # type: ignore[no-untyped-def]
    """How hard the reference was to guess in this place; without any, how steep it is; in octaves."""
    planes, errors, at, up = job.planes, job.errors, block.others[0, lane], job.grid.stride
    if job.references.shape[1] > 0 and at >= 0:
        q = c * job.grid.images * job.grid.size + at
        left, right, above, below = around(job.grid, q, at)
        there = 2 * abs(errors[q]) + abs(errors[left]) + abs(errors[right]) + abs(errors[above]) + abs(errors[below])
        rank = rank_of(there // 6)
    else:
        w, n, nw, ne = planes[p - 1], planes[p - up], planes[p - up - 1], planes[p - up + 1]
        rank = rank_of(16 * (abs(w - nw) + abs(n - nw) + abs(n - ne)))
    return min(rank >> 1, _SPREADS - 1)


@helper
def spread_left(known, size, lane):  # type: ignore[no-untyped-def]
    """How sure a regression of so many is, the sample itself included: in octaves of the variance left."""
    bits, sums = known.diagonal.view(np.int64), known.moments.view(np.int64)
    spread = ((bits[size - 1, lane] >> 48) - (sums[size * (size + 1) // 2, lane] >> 48) + 12 * 16) >> 4
    return min(max(spread + 10, 0), _SPREADS - 1)


@helper
def texture_around(job, block, c, lane, p, guess):  # type: ignore[no-untyped-def]
    """Which of the neighbours are above the guess."""
    planes, up, at = job.planes, job.grid.stride, block.others[0, lane]
    w, n, ww = planes[p - 1], planes[p - up], planes[p - 2]
    texture = (64 * w > guess) | ((64 * n > guess) << 1) | ((64 * planes[p - up - 1] > guess) << 2)
    texture |= ((64 * planes[p - up + 1] > guess) << 3) | ((64 * ww > guess) << 4)
    texture |= ((64 * planes[p - 2 * up] > guess) << 5) | ((64 * (2 * w - ww) > guess) << 6)
    if job.references.shape[1] > 0 and at >= 0:
        texture |= (64 * planes[c * job.grid.images * job.grid.size + at] > guess) << 7
    return texture


@helper
def rank_of(value):  # type: ignore[no-untyped-def]
    """A number's size on a scale of four steps an octave, up to 87: 0 to 3 are themselves, 4 .. 7, 8, 10, 12 ..."""
    return min(_octaves(value), 87) if value >= 4 else value


@vectorised
def _octaves(v, value):  # type: ignore[no-untyped-def]
    """The exponent of a number as a real one, and two bits of its fraction: 4 is 4."""
    return (value.to(DOUBLE).reinterpreted(LONG) >> 50) - 4096


@helper
def signed_rank(error):  # type: ignore[no-untyped-def]
    """The rank of an error, in 31 steps with its sign."""
    rank = min(rank_of(abs(error)) >> 1, 15)
    return _SPREADS - 1 - rank if error < 0 else rank


@helper
def _shape(guess, bias, first, second, most):  # type: ignore[no-untyped-def]
    mean = min(max(guess + bias[0] // bias[1], 0), 64 * most)
    scale = scale_of(first)
    return Shape(mean, (1 << 30) // scale, guess, (1 << 30) // scale_of(second), scale)


@helper
def scale_of(counter):  # type: ignore[no-untyped-def]
    """The scale of a logistic distribution of such errors, in 1024ths of a level."""
    return max(((counter[0] * 11818) >> 10) // counter[1], 8)


@helper
def share_below(v, mean, inverse, table):  # type: ignore[no-untyped-def]
    """How much of a distribution lies below the value v, in 2^-32."""
    distance = (64 * v - 32 - mean) * inverse
    return (27 * sigmoid(table, ORIGIN + distance) + 5 * sigmoid(table, ORIGIN + ((distance * 85) >> 8))) >> 5


@helper
def _answer(job, voices, c, shape, sample, most, coder, length):  # type: ignore[no-untyped-def]
    """Code a value, a sample's first part; the other is where it is known which were seen. Return it, and the length of
    the stack (or of the symbols) or -1."""
    v, row = sample
    low, high, node = 0, most, 1
    low_1, high_1, low_2, high_2 = 0, _WHOLE, 0, _WHOLE
    while low < high and node < _NODES:
        split = (16 * shape.mean + ((job.splits[node] * shape.scale) >> 8)) >> 10
        split = min(max(split, low), high - 1)
        middle_1 = share_below(split + 1, shape.mean, shape.narrow, job.logistic)
        middle_2 = share_below(split + 1, shape.guess, shape.other, job.logistic)
        chance = chance_of(high_1, middle_1, low_1)
        voices.inputs[0] = job.logits[chance >> 4]
        voices.inputs[1] = job.logits[chance_of(high_2, middle_2, low_2) >> 4]
        if row >= 0:
            voices.contexts[_CONTEXTS - 1] = _ROWS_BEFORE + seen_around(job.seen, row, low, split, high)
        p, weights = _mix(job, voices, c, node, chance)
        answer, length = coded(coder, np.int64(v > split), p, PRECISION, length)
        if length < 0:
            return v, -1
        _learn(job, voices, c, node, weights, answer, p >> 8)
        if answer:
            low, low_1, low_2, node = split + 1, middle_1, middle_2, 2 * node + 1
        else:
            high, high_1, high_2, node = split, middle_1, middle_2, 2 * node
    return one_of(coder, v, (low, high, low_1, high_1, shape.mean, shape.narrow, job.logistic), length)


@helper
def chance_of(high, middle, low):  # type: ignore[no-untyped-def]
    """How much of what lies below ``high`` and above ``low`` lies above ``middle``, in 2^-16."""
    if high <= low:
        return 32768
    return min(max(np.int64(((high - middle) << 16) / (high - low)), 1), 65535)  # below 2^48 by below 2^33: exact


@helper
def one_of(coder, v, rest, length):  # type: ignore[no-untyped-def]
    """Code which value it is of those that no answer has told apart; return it, and the length of the stack (or of the
    symbols) or -1. ``rest``: the lowest and the highest of them, how much lies below and up to them, and how."""
    low, high, mean = rest[0], rest[1], rest[4]
    if low == high:
        return low, length
    if isinstance(coder, Decoder):
        slot, count = peek(coder.heads[0], PRECISION), high - low + 1
        v, start, stop = search(slot, ((mean + 32) >> 6) - low, count, _interval, rest)
        length = take(coder.heads, coder.tail, length, 0, start, stop, PRECISION)
        return v + low, length
    start, stop = _interval(v - low, rest)
    coder.starts[length], coder.freqs[length] = start, stop - start
    return v, length + 1


@helper
def _interval(v, rest):  # type: ignore[no-untyped-def]
    return _start(v, rest), _start(v + 1, rest)


@helper
def _start(v, rest):  # type: ignore[no-untyped-def]
    """Where the interval of the value ``low + v`` begins, among those from ``low`` to ``high``."""
    low, high, below_low, below_high, mean, inverse, table = rest
    count = high - low + 1
    if v <= 0 or v >= count:
        return 0 if v <= 0 else _TOTAL
    if below_high <= below_low:
        return v * _TOTAL // count
    share = min(max(share_below(low + v, mean, inverse, table), below_low), below_high) - below_low
    return share * (_TOTAL - count) // (below_high - below_low) + v


@helper
def _mix(job, voices, c, node, chance):  # type: ignore[no-untyped-def]
    """Return the probability of yes in 2^-24, and the weights it is mixed with."""
    slots, inputs = job.state.slots[c], voices.inputs
    for k in range(_CONTEXTS):
        slot = slots[voices.contexts[k], node]
        if slot == 0:
            slot = chance << 16
            slots[voices.contexts[k], node] = slot
        inputs[2 + k] = job.logits[slot >> 20]
    inputs[2 + _CONTEXTS] = _BIAS
    weights = job.state.weights[c, voices.contexts[0] >> 2, node]
    total = 0
    for k in range(_INPUTS):
        total += inputs[k] * weights[k]
    return min(max(sigmoid(job.logistic, ORIGIN + (total << 4)) >> 8, 16), _TOTAL - 16), weights


@helper
def _learn(job, voices, c, node, weights, answer, p):  # type: ignore[no-untyped-def]
    """Move weights and slots towards an answer, whose probability was p in 2^-16."""
    slots, error = job.state.slots[c], (answer << 16) - p
    for k in range(_INPUTS):
        weight = weights[k] + ((voices.inputs[k] * error * 5 + 32768) >> 16)
        weights[k] = min(max(weight, -(1 << 20)), 1 << 20)
    for k in range(_CONTEXTS):
        slots[voices.contexts[k], node] = learned(slots[voices.contexts[k], node], answer, _MOST_SEEN)


@helper
def keep(job, block, lane, p, v, error):  # type: ignore[no-untyped-def]
    """Write a sample and its error where others will look for them."""
    put(job.grid, block, lane, job.planes, p, v)
    put(job.grid, block, lane, job.errors, p, error)


@helper
def put(grid, block, lane, plane, p, value):  # type: ignore[no-untyped-def]
    """Write what is known of a pixel at its place; also in the margins, for what lies outside."""
    plane[p] = value
    for k in range(1, grid.margin + 1):
        if block.column[lane] == 0 and block.row[lane] + 1 < grid.height:  # left of the row below
            plane[p + grid.stride - k] = value
        if block.column[lane] == grid.width - 1:
            plane[p + k] = value


@helper
def count_in(counter, error):  # type: ignore[no-untyped-def]
    """Add an error to a counter of sum and number, which forgets what is long ago."""
    counter[0] += error
    counter[1] += 1
    if counter[1] >= 256:
        counter[0] >>= 1
        counter[1] >>= 1


# Images <-> bytes -----------------------------------------------------------------------------------------------------


REFERENCE = 8
"""Added to how colours are coded, for each reference that an image has: the one before, the one before that."""

MOVED = 3 * REFERENCE
"""Added if an image has the one before as its reference, whose content moved as a whole."""

REPEATS = 4 * REFERENCE
"""Added, if pixels that were there before are asked about first; with one reference at most."""


def takes(whole: tuple[int, int, int, int], how: int) -> bool:
    """Whether images of this shape may be coded so: as :func:`bitsback.kinds.adaptive.smooth.takes` says, and if they
    are not too small or too wide."""
    return how < REPEATS + 2 * REFERENCE and smooth.takes(whole, how % REFERENCE) and regressable(whole)


class Task(NamedTuple):
    """What is to be coded: images of a shape and a type, their largest sample, how, and how far content moved."""

    whole: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    most: int
    how: int
    moves: Sequence[tuple[int, int]]

    @property
    def transform(self) -> int:
        """How colours are coded."""
        return self.how % REFERENCE

    @property
    def references(self) -> int:
        """How many an image has; one, if its content moved."""
        named = self.how % REPEATS // REFERENCE
        return named if named <= MOST_REFERENCES else 1

    def planes(self, grid: Grid) -> tuple[NDArray[Any], NDArray[Any]]:
        """Room for samples and errors."""
        total = grid.channels * grid.images * grid.size
        return np.zeros(total, kept_as(self.dtype)), np.zeros(total, kept_as(self.dtype))


class Form(NamedTuple):
    """How images are coded: this module's way, or that of :mod:`.blended`."""

    encode: bands.Kernel
    decode: bands.Kernel
    job: Callable[[Task], Any]
    symbols: int
    """... of a sample, at most, but for questions about pixels that were there before."""


def encode(images: NDArray[Any], how: int) -> bytes:
    """Code uint8 or uint16 images (n, H, W, C): the largest sample as a varint, then bands of rows.

    ``how``: as for :func:`bitsback.kinds.adaptive.smooth.encode`, perhaps plus :data:`REFERENCE` once or twice, or plus
    :data:`MOVED`; then how far each image's content moved follows the largest sample. Or plus :data:`REPEATS`, perhaps
    with one reference.
    """
    return encode_form(Form(_encode, _decode, _job, DEPTH + 1), images, how)


def decode(data: memoryview, whole: tuple[int, int, int, int], dtype: np.dtype[Any], how: int) -> NDArray[Any]:
    """The inverse: images of the shape ``whole``."""
    return decode_form(Form(_encode, _decode, _job, DEPTH + 1), data, whole, dtype, how)


def encode_form(form: Form, images: NDArray[Any], how: int) -> bytes:
    """See :func:`encode`."""
    count, height, width, channels = images.shape
    most = int(images.max())
    moves = shifts(images) if MOVED <= how < REPEATS else []
    task = Task(images.shape, images.dtype, most, how, moves)
    job = form.job(task)
    inside = within_margins(job.planes, job.grid)
    for image, plane in zip(images, inside, strict=True):
        for part in smooth.slabs(image):
            flat = image[part].reshape(-1, 1, channels).astype(np.int32)
            coded = smooth.transformed(flat, most, task.transform)
            plane[:, part] = coded.reshape(-1, width, channels).transpose(2, 0, 1)
    row = width * channels
    said = b"".join(varint(2 * step if step >= 0 else -2 * step - 1) for move in moves for step in move)
    symbols = form.symbols * row + (SOURCES * width if how >= REPEATS else 0)
    return varint(most) + said + bands.encode(form.encode, job, count * height, row, symbols, PRECISION)


def decode_form(
    form: Form, data: memoryview, whole: tuple[int, int, int, int], dtype: np.dtype[Any], how: int
) -> NDArray[Any]:
    """The inverse: images of the shape ``whole``."""
    count, height, width, channels = whole
    most, data = read_varint(data)
    if most > np.iinfo(dtype).max:
        raise FormatError(f"the payload announces samples up to {most}")
    moves = []
    for _ in range(count - 1 if MOVED <= how < REPEATS else 0):
        down, data = read_varint(data)
        right, data = read_varint(data)
        if down > 2 * height or right > 2 * width:
            raise FormatError("content moved out of its image")
        moves.append((down >> 1 ^ -(down & 1), right >> 1 ^ -(right & 1)))
    task = Task(whole, dtype, most, how, moves)
    job = form.job(task)
    bands.decode(form.decode, job, count * height, width * channels, data)
    images = np.empty(whole, dtype)
    for image, plane in zip(images, within_margins(job.planes, job.grid), strict=True):
        for part in smooth.slabs(image):
            flat = plane[:, part].transpose(1, 2, 0).reshape(-1, 1, channels).astype(np.int32)
            image[part] = smooth.untransformed(flat, most, task.transform).reshape(-1, width, channels)
    return images


def _job(task: Task) -> Job:
    count, height, width, channels = task.whole
    grid = grid_of(task.whole, MARGIN)
    size = regressors(channels, task.references)
    return Job(
        *task.planes(grid),
        grid,
        smooth.sizes(channels, task.most, task.transform),
        named_references(count, task.references, task.moves),
        task.transform >= CLEAR,
        new_state(channels),
        squares(channels, size, min(STRIP, height), width),
        *tables(),
        splits(),
        new_seen(channels),
        new_repeats(task.whole, grid.size) if task.how >= REPEATS else None,
    )


def named_references(count: int, references: int, moves: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """(n, references, 3): those of all images."""
    named = np.zeros((count, references, 3), np.int64)
    for k in range(references):
        named[:, k, 0] = np.maximum(np.arange(count) - 1 - k, -1)
    if moves:
        named[1:, 0, 1:] = moves
    return named


def regressors(channels: int, references: int) -> int:
    """How many a sample of the last channel has, itself included."""
    return OWN + ACROSS * references + (2 + (references > 0)) * min(channels - 1, 2) + 1


def within_margins(planes: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """What is within the margins: (n, C, H, W), a view."""
    whole = planes[: grid.channels * grid.images * grid.size].reshape(grid.channels, grid.images, -1, grid.stride)
    return whole[:, :, grid.margin :, grid.margin : grid.stride - grid.margin].transpose(1, 0, 2, 3)
