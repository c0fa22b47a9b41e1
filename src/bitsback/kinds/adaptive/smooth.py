"""Smooth images: every sample predicted from its neighbours by weights that learn, and coded by how sure they are.

For photos, scans and measurements of 8 or 16 bits that no network models. The coder keeps no parameters in the payload:
encoder and decoder learn the same things, sample by sample, in raster order, with integers alone. For each sample

1. the *prediction* is the median predictor's, corrected by a weighted sum of the neighbours' differences to it, those
   of the channels coded before included. The weights follow the errors (normalised least mean squares); there are
   three sets, for edges that run across, down, and neither;
2. the *bias* of such predictions is taken out: the mean error so far where the neighbours lay in the same way above
   and below the prediction, and their errors were as large;
3. the *scale* is the mean error so far where the neighbours' errors and differences were as large as here;
4. the sample is coded under a mixture of two discretised logistic distributions with that centre, of this scale and a
   wider one, whose cumulative function comes from the pinned table that all models use.

All of it to the bit is in ``docs/format.md``. Sources: the median predictor is that of LOCO-I (Weinberger, Seroussi &
Sapiro 2000); errors as a context, and the bias, are those of CALIC (Wu & Memon, "Context-based, adaptive, lossless
image coding", 1997); normalised least mean squares, Widrow & Hoff 1960 and Nagumo & Noda 1967.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder, peek, take
from bitsback.codecs.search import search
from bitsback.codecs.tables import ORIGIN, load, sigmoid
from bitsback.errors import FormatError
from bitsback.kernels import helper, kernel
from bitsback.kinds.adaptive import bands
from bitsback.kinds.adaptive.cost import SLAB, kept_as, learnable
from bitsback.kinds.varint import read_varint, varint

_OWN, _OTHER = 10, 6
"""Neighbours in the same channel, and in each of up to two channels before it."""

_TEXTURES, _ENERGIES, _SLOPES = 256 * 22, 88, 20

PRECISION = 24
_TOTAL = 1 << PRECISION


class State(NamedTuple):
    """What has been learned, and the last rows: all that one sample's distribution depends on. First axis: channel."""

    lines: NDArray[np.int64]
    """(C, 3, W + 4): the samples of the current row y and the two above, at y % 3, with two more on either side."""
    errors: NDArray[np.int64]
    """(C, 2, W + 4): how far the predictions were off, in sixteenths, of this row and the one above, at y % 2."""
    weights: NDArray[np.int64]
    """(C, 3, neighbours), in 2**-16."""
    biases: NDArray[np.int64]
    """(C, textures, 2): sum of errors in sixteenths, and their number."""
    scales: NDArray[np.int64]
    """(C, energies, slopes, 2): sum of errors' magnitudes in sixteenths, and their number."""


def new_state(channels: int, width: int) -> State:
    """The state before the first sample."""
    biases, scales = (np.repeat(one[None], channels, axis=0) for one in _unlearned())
    return State(
        np.zeros((channels, 3, width + 4), np.int64),
        np.zeros((channels, 2, width + 4), np.int64),
        np.zeros((channels, 3, _OWN + 2 * _OTHER), np.int64),
        biases,
        scales,
    )


@cache
def _unlearned() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Biases and scales of a channel before the first sample."""
    biases = np.zeros((_TEXTURES, 2), np.int64)
    biases[:, 1] = 32
    scales = np.empty((_ENERGIES, _SLOPES, 2), np.int64)
    for q in range(_ENERGIES):
        scales[q, :, 0] = max(8 * (q if q < 4 else (4 + q % 4) << (q // 4 - 1)) // 7, 1)
    scales[..., 1] = 2
    return biases, scales


class Job(NamedTuple):
    """Images of ``height`` rows, one below the other, and what is learned from them."""

    samples: NDArray[Any]
    """(rows, W, C), of the type that :func:`bitsback.kinds.adaptive.cost.kept_as` says."""
    height: int
    sizes: NDArray[np.int64]
    """(C,): the samples of a channel are below its size."""
    clear: bool
    """Whether samples where the first channel is 0 are neither coded nor touched; they are continued from around."""
    state: State
    table: NDArray[Any]


class _Rows(NamedTuple):
    """A channel's present row and those above it, (W + 4,): samples, and errors."""

    here: NDArray[np.int64]
    above: NDArray[np.int64]
    top: NDArray[np.int64]
    now: NDArray[np.int64]
    before: NDArray[np.int64]


@kernel(vectorise=True)
def _encode(starts, freqs, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Encoder(starts, freqs), 0)


@kernel(vectorise=True)
def _decode(heads, tail, length, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Decoder(heads, tail), length)


@helper
def _code(job, first, last, coder, length):  # type: ignore[no-untyped-def]
    """Code rows ``first .. last - 1`` by row, channel, column. Returns the length of the stack, or how many samples
    there were."""
    samples, state = job.samples, job.state
    width = samples.shape[1]
    near = np.zeros(_OWN + 2 * _OTHER, np.int64)
    for row in range(first, last):
        y = row % job.height
        if y == 0:
            state.lines[:] = 0
            state.errors[:] = 0
        for c in range(samples.shape[2]):
            rows = _rows(state, c, y)
            _begin(rows)
            for x in range(2, width + 2):
                median = _median(rows, x)
                if job.clear and c > 0 and samples[row, x - 2, 0] == 0:
                    rows.here[x] = median
                    rows.now[x] = (3 * (rows.now[x - 1] + rows.before[x]) + 256) >> 3
                    continue
                used = _gather(state, rows, c, y, x, median, near)
                guess, power, slope, weights = _predict(state, rows, c, x, median, near, used, job.sizes[c])
                bias, scale = _contexts(state, rows, c, y, x, guess, slope)
                shape = _shape(guess, bias, scale, job.sizes[c])
                if isinstance(coder, Decoder):
                    slot, middle = peek(coder.heads[0], PRECISION), (shape.mean + 8) >> 4
                    v, start, stop = search(slot, middle, shape.size, _interval, shape, job.table)
                    length = take(coder.heads, coder.tail, length, 0, start, stop, PRECISION)
                    if length < 0:
                        return -1
                    samples[row, x - 2, c] = v
                else:
                    v = samples[row, x - 2, c]
                    start, stop = _interval(v, shape, job.table)
                    coder.starts[length], coder.freqs[length] = start, stop - start
                    length += 1
                rows.here[x] = v
                rows.now[x] = abs(16 * v - shape.mean)
                error = 16 * v - guess
                _learn(weights, near, used, (error * 786432) // power)
                _count(bias, error)
                _count(scale, rows.now[x])
            _end(rows, width)
    return length


@helper
def _rows(state, c, y):  # type: ignore[no-untyped-def]
    lines, errors = state.lines[c], state.errors[c]
    return _Rows(lines[y % 3], lines[(y + 2) % 3], lines[(y + 1) % 3], errors[y % 2], errors[(y + 1) % 2])


@helper
def _begin(rows):  # type: ignore[no-untyped-def]
    """Set what stands left of a row: what is above its first sample."""
    for x in range(2):
        rows.here[x], rows.now[x] = rows.above[2], rows.before[2]


@helper
def _end(rows, width):  # type: ignore[no-untyped-def]
    """Set what stands right of a row: its last sample."""
    for x in range(width + 2, width + 4):
        rows.here[x], rows.now[x] = rows.here[width + 1], rows.now[width + 1]


@helper
def _median(rows, x):  # type: ignore[no-untyped-def]
    w, n, nw = rows.here[x - 1], rows.above[x], rows.above[x - 1]
    return min(max(w + n - nw, min(w, n)), max(w, n))


@helper
def _gather(state, rows, c, y, x, median, near):  # type: ignore[no-untyped-def]
    """Set ``near`` to the neighbours' differences to the prediction, and to those in channels before; return how many
    there are."""
    here, above, top = rows.here, rows.above, rows.top
    near[0], near[1], near[2] = here[x - 1] - median, above[x] - median, above[x - 1] - median
    near[3], near[4], near[5] = above[x + 1] - median, here[x - 2] - median, top[x] - median
    near[6], near[7] = above[x - 2] - median, above[x + 2] - median
    near[8], near[9] = top[x + 1] - median, top[x - 1] - median
    others = min(c, 2)
    for k in range(others):
        lines, at = state.lines[c - 1 - k], _OWN + k * _OTHER
        other, over = lines[y % 3], lines[(y + 2) % 3]
        value = other[x]
        near[at], near[at + 1], near[at + 2] = value - other[x - 1], value - over[x], value - over[x - 1]
        near[at + 3], near[at + 4] = value - over[x + 1], value - other[x + 1]
        near[at + 5] = value - lines[(y + 1) % 3, x]
    return _OWN + others * _OTHER


@helper
def _predict(state, rows, c, x, median, near, used, size):  # type: ignore[no-untyped-def]
    """Return the prediction in sixteenths, the power of the neighbours, the slope around, and the weights in use."""
    here, above, top = rows.here, rows.above, rows.top
    w, n, nw, ne = here[x - 1], above[x], above[x - 1], above[x + 1]
    across = abs(w - here[x - 2]) + abs(n - nw) + abs(n - ne)
    down = abs(w - nw) + abs(n - top[x]) + abs(ne - top[x + 1])
    slope = across + down
    edge = 1 if 4 * (down - across) > slope else 2 if 4 * (across - down) > slope else 0
    weights = state.weights[c, edge]
    total, power = 0, 200
    for k in range(used):
        total += weights[k] * near[k]
        power += near[k] * near[k]
    return min(max(16 * median + (total >> 12), 0), 16 * (size - 1)), power, slope, weights


@helper
def _contexts(state, rows, c, y, x, guess, slope):  # type: ignore[no-untyped-def]
    """Return the counters of bias and scale for what is around: (2,) each."""
    here, above, top, now, before = rows
    energy = 2 * now[x - 1] + 2 * before[x] + before[x - 1] + before[x + 1] + now[x - 2]
    if c > 0:
        other = state.errors[c - 1, y % 2]
        energy = ((energy + 2 * other[x] + other[x - 1] + other[x + 1]) * 7) // 11
    rank = _rank(energy >> 2)
    w, n = here[x - 1], above[x]
    texture = (rank >> 2) << 8
    texture |= (16 * w > guess) | ((16 * n > guess) << 1) | ((16 * above[x - 1] > guess) << 2)
    texture |= ((16 * above[x + 1] > guess) << 3) | ((16 * here[x - 2] > guess) << 4) | ((16 * top[x] > guess) << 5)
    texture |= ((16 * (2 * w - here[x - 2]) > guess) << 6) | ((16 * (2 * n - top[x]) > guess) << 7)
    return state.biases[c, texture], state.scales[c, rank, _rank(slope) >> 2]


@helper
def _rank(value):  # type: ignore[no-untyped-def]
    """A number's size on a scale of four steps an octave: 0 to 3 are themselves, 4 .. 7, 8, 10, 12, 14, 16, 20 ..."""
    shift = 0
    while value >> shift >= 8:
        shift += 1
    return 4 * shift + (value >> shift)


class _Shape(NamedTuple):
    """A sample's distribution: its centre in sixteenths, the inverses of both scales, how much the wide one weighs, and
    the channel's size."""

    mean: int
    narrow: int
    wide: int
    share: int
    size: int


@helper
def _shape(guess, bias, scale, size):  # type: ignore[no-untyped-def]
    mean = min(max(guess + bias[0] // bias[1], 0), 16 * (size - 1))
    narrow = min((scale[1] * 114085068) // (scale[0] + (scale[1] >> 1) + 1), 1 << 27)
    return _Shape(mean, narrow, (narrow * 150) >> 8, ((_TOTAL - size) * 5) >> 4, size)


@helper
def _interval(v, shape, table):  # type: ignore[no-untyped-def]
    return _start(v, shape, table), _start(v + 1, shape, table)


@helper
def _start(v, shape, table):  # type: ignore[no-untyped-def]
    """Where the interval of the value v begins."""
    if v <= 0:
        return 0
    if v >= shape.size:
        return _TOTAL
    distance = 16 * v - 8 - shape.mean
    below = (_TOTAL - shape.size - shape.share) * sigmoid(table, ORIGIN + distance * shape.narrow)
    return ((below + shape.share * sigmoid(table, ORIGIN + distance * shape.wide)) >> 32) + v


@helper
def _learn(weights, near, used, gain):  # type: ignore[no-untyped-def]
    """Move the weights by the error, which has become ``gain``."""
    for k in range(used):
        weight = weights[k] + ((gain * near[k] + 2048) >> 12)
        weights[k] = min(max(weight, -(1 << 22)), 1 << 22)


@helper
def _count(counter, error):  # type: ignore[no-untyped-def]
    """Add an error to a counter of sum and number, which forgets what is long ago."""
    counter[0] += error
    counter[1] += 1
    if counter[1] >= 256:
        counter[0] >>= 1
        counter[1] >>= 1


# Images <-> bytes -----------------------------------------------------------------------------------------------------

TRANSFORMS = 4
"""0: channels as they are; 1: differences to green; 2: YCoCg-R; 3: differences to red, and of blue to green."""

CLEAR = 4
"""Added to a transform: the last channel, opacity, comes first, and where it is 0 all others are 0 and not coded."""


def takes(whole: tuple[int, int, int, int], how: int) -> bool:
    """Whether images of this shape may be coded so: colours are transformed where there are three, opacity is the last
    of two or four channels, and what is learned must not take too much memory."""
    channels = whole[3]
    return (channels >= 3 or not how % CLEAR) and (channels in (2, 4) or how < CLEAR) and learnable(whole)


def can_be_clear(images: NDArray[Any]) -> bool:
    """Whether the last channel has zeros, and is one without which all others are zero."""
    if images.shape[3] not in (2, 4):
        return False
    hidden = images[..., -1] == 0
    return bool(hidden.any()) and not images[hidden].any()


def encode(images: NDArray[Any], how: int) -> bytes:
    """Code uint8 or uint16 images (n, H, W, C): the largest sample as a varint, then bands of rows.

    ``how`` is a transform, perhaps plus :data:`CLEAR`.
    """
    count, height, width, channels = images.shape
    most = int(images.max())
    samples = np.empty((count * height, width, channels), kept_as(images.dtype))
    given, coded = (some.reshape(-1, 1, channels) for some in (images, samples))
    for part in slabs(coded):
        coded[part] = transformed(given[part].astype(np.int32), most, how)
    row = width * channels
    job = _job(samples, height, most, how)
    return varint(most) + bands.encode(_encode, job, count * height, row, row, PRECISION)


def decode(data: memoryview, whole: tuple[int, int, int, int], dtype: np.dtype[Any], how: int) -> NDArray[Any]:
    """The inverse: images of the shape ``whole``."""
    count, height, width, channels = whole
    most, data = read_varint(data)
    if most > np.iinfo(dtype).max:
        raise FormatError(f"the payload announces samples up to {most}")
    samples = np.zeros((count * height, width, channels), kept_as(dtype))
    bands.decode(_decode, _job(samples, height, most, how), count * height, width * channels, data)
    flat = samples.reshape(-1, 1, channels)
    images = np.empty(flat.shape, dtype)
    for part in slabs(flat):
        images[part] = untransformed(flat[part].astype(np.int32), most, how)
    return images.reshape(whole)


def _job(samples: NDArray[Any], height: int, most: int, how: int) -> Job:
    _, width, channels = samples.shape
    return Job(samples, height, sizes(channels, most, how), how >= CLEAR, new_state(channels, width), load("logistic"))


def sizes(channels: int, most: int, how: int) -> NDArray[np.int64]:
    """What the samples of each coded channel are below: (C,)."""
    clear = how >= CLEAR
    of_all = np.full(channels, most + 1, np.int64)
    if how % CLEAR:
        of_all[1 + clear : 3 + clear] += most
    return of_all


# Colour: three samples <-> three samples, differences moved up by the largest sample so that none is negative ---------


def slabs(samples: NDArray[Any]) -> Iterator[slice]:
    """Some pixels, or rows of them, at a time, so that the intermediate results of a transform take little memory."""
    step = max(1, SLAB // samples[0].size)
    return (slice(first, first + step) for first in range(0, len(samples), step))


def transformed(samples: NDArray[np.int32], most: int, how: int) -> NDArray[np.int32]:
    transform = how % CLEAR
    if transform:
        red, green, blue = (samples[..., c] for c in range(3))
        if transform == 1:
            first, second, third = green, red - green, blue - green
        elif transform == 2:
            orange = red - blue
            average = blue + (orange >> 1)
            violet = green - average
            first, second, third = average + (violet >> 1), violet, orange
        else:
            first, second, third = red, green - red, blue - green
        colours = np.stack([first, second + most, third + most], axis=2)
        samples = np.concatenate([colours, samples[..., 3:]], axis=2)
    return np.ascontiguousarray(np.roll(samples, 1, axis=2) if how >= CLEAR else samples)


def untransformed(samples: NDArray[np.int32], most: int, how: int) -> NDArray[np.int32]:
    transform = how % CLEAR
    if how >= CLEAR:
        samples = np.roll(samples, -1, axis=2)
    hidden = samples[..., -1:] == 0
    if transform:
        first, second, third = samples[..., 0], samples[..., 1] - most, samples[..., 2] - most
        if transform == 1:
            red, green, blue = first + second, first, first + third
        elif transform == 2:
            average = first - (second >> 1)
            green = second + average
            blue = average - (third >> 1)
            red = third + blue
        else:
            red, green = first, first + second
            blue = green + third
        samples = np.concatenate([np.stack([red, green, blue], axis=2), samples[..., 3:]], axis=2)
    return np.where(hidden, 0, samples).astype(np.int32) if how >= CLEAR else samples
