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

from bitsback.ans import advance, peek, refill
from bitsback.codecs.tables import ORIGIN, load, sigmoid
from bitsback.errors import FormatError
from bitsback.kernels import helper, kernel
from bitsback.kinds.adaptive import bands
from bitsback.kinds.adaptive.cost import SLAB, learnable
from bitsback.kinds.varint import read_varint, varint

_OWN, _OTHER = 10, 6
"""Neighbours in the same channel, and in each of up to two channels before it."""

_TEXTURES, _ENERGIES, _SLOPES = 256 * 22, 88, 20

_I = np.int64  # Numba mixes nothing else with the int64 that arithmetic is in
_PRECISION = np.uint64(24)
_TOTAL = _I(1 << 24)
_ORIGIN = _I(ORIGIN)


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


@helper
def _rank(value):  # type: ignore[no-untyped-def]
    """A number's size on a scale of four steps an octave: 0 to 3 are themselves, 4 .. 7, 8, 10, 12, 14, 16, 20 ..."""
    shift = _I(0)
    while value >> shift >= 8:
        shift += 1
    return 4 * shift + (value >> shift)


@helper
def _start(v, size, table, mean, narrow, wide, share):  # type: ignore[no-untyped-def]
    """Where the interval of the value v begins."""
    if v <= 0:
        return _I(0)
    if v >= size:
        return _TOTAL
    distance = 16 * v - 8 - mean
    below = (_TOTAL - size - share) * sigmoid(table, _ORIGIN + distance * narrow)
    return ((below + share * sigmoid(table, _ORIGIN + distance * wide)) >> 32) + v


@helper
def _find(slot, size, table, mean, narrow, wide, share):  # type: ignore[no-untyped-def]
    """(value, start, stop) of the interval that holds ``slot``: a few steps of Newton's, then halving."""
    low, high = _I(0), size - 1
    v = (mean + 8) >> 4
    steps = 0
    while True:
        v = min(max(v, low), high)
        start = _start(v, size, table, mean, narrow, wide, share)
        stop = _start(v + 1, size, table, mean, narrow, wide, share)
        if slot < start:
            high = v - 1
        elif slot >= stop:
            low = v + 1
        else:
            return v, start, stop
        v = v + (slot - start) // (stop - start) if steps < 3 else (low + high) >> 1
        steps += 1


@kernel
def code(heads, tail, length, decoding, samples, height, first, last, sizes, clear, state, table, starts, freqs):  # type: ignore[no-untyped-def]
    """Code rows ``first .. last - 1`` of ``samples`` (rows, W, C), int32, channel c with values below ``sizes[c]``.

    Encoding fills ``starts`` and ``freqs`` in the order of coding (row, channel, column) and returns how many there
    were. Decoding pops from the stack (as :meth:`Stack.pull` wants it) and fills ``samples``. An image has ``height``
    rows; the next one follows below. With ``clear``, samples where the first channel is 0 are neither coded nor
    touched; they are continued from around.
    """
    lines, errors, all_weights, biases, scales = state
    width, channels = samples.shape[1], samples.shape[2]
    near = np.zeros(_OWN + 2 * _OTHER, np.int64)
    count = 0
    for row in range(first, last):
        y = row % height
        if y == 0:
            lines[:] = 0
            errors[:] = 0
        for c in range(channels):
            here, above, top = lines[c, y % 3], lines[c, (y + 2) % 3], lines[c, (y + 1) % 3]
            now, before = errors[c, y % 2], errors[c, (y + 1) % 2]
            here[0] = here[1] = above[2]
            now[0] = now[1] = before[2]
            size = sizes[c]
            share = ((_TOTAL - size) * 5) >> 4
            others = min(c, 2)
            used = _OWN + others * _OTHER
            for x in range(2, width + 2):
                w, ww, n, nn, nw, ne = here[x - 1], here[x - 2], above[x], top[x], above[x - 1], above[x + 1]
                median = min(max(w + n - nw, min(w, n)), max(w, n))
                if clear and c > 0 and samples[row, x - 2, 0] == 0:
                    here[x] = median
                    now[x] = (3 * (now[x - 1] + before[x]) + 256) >> 3
                    continue
                near[0], near[1], near[2], near[3] = w - median, n - median, nw - median, ne - median
                near[4], near[5] = ww - median, nn - median
                near[6], near[7] = above[x - 2] - median, above[x + 2] - median
                near[8], near[9] = top[x + 1] - median, top[x - 1] - median
                for k in range(others):
                    other, over, at = lines[c - 1 - k, y % 3], lines[c - 1 - k, (y + 2) % 3], _OWN + k * _OTHER
                    value = other[x]
                    near[at], near[at + 1], near[at + 2] = value - other[x - 1], value - over[x], value - over[x - 1]
                    near[at + 3], near[at + 4] = value - over[x + 1], value - other[x + 1]
                    near[at + 5] = value - lines[c - 1 - k, (y + 1) % 3, x]

                across = abs(w - ww) + abs(n - nw) + abs(n - ne)
                down = abs(w - nw) + abs(n - nn) + abs(ne - top[x + 1])
                slope = across + down
                edge = 1 if 4 * (down - across) > slope else 2 if 4 * (across - down) > slope else 0
                weights = all_weights[c, edge]
                total, power = _I(0), _I(200)
                for k in range(used):
                    total += weights[k] * near[k]
                    power += near[k] * near[k]
                most = 16 * (size - 1)
                guess = min(max(16 * median + (total >> 12), _I(0)), most)

                energy = 2 * now[x - 1] + 2 * before[x] + before[x - 1] + before[x + 1] + now[x - 2]
                if others:
                    other = errors[c - 1, y % 2]
                    energy = ((energy + 2 * other[x] + other[x - 1] + other[x + 1]) * 7) // 11
                rank = _rank(energy >> 2)
                texture = (rank >> 2) << 8
                texture |= _I(16 * w > guess) | (_I(16 * n > guess) << 1) | (_I(16 * nw > guess) << 2)
                texture |= (_I(16 * ne > guess) << 3) | (_I(16 * ww > guess) << 4) | (_I(16 * nn > guess) << 5)
                texture |= (_I(16 * (2 * w - ww) > guess) << 6) | (_I(16 * (2 * n - nn) > guess) << 7)
                bias, scale = biases[c, texture], scales[c, rank, _rank(slope) >> 2]
                mean = min(max(guess + bias[0] // bias[1], _I(0)), most)
                narrow = min((scale[1] * 114085068) // (scale[0] + (scale[1] >> 1) + 1), _I(1 << 27))
                wide = (narrow * 150) >> 8

                if decoding:
                    slot = _I(peek(heads[0], _PRECISION))
                    v, start, stop = _find(slot, size, table, mean, narrow, wide, share)
                    head = advance(heads[0], np.uint64(start), np.uint64(stop - start), _PRECISION)
                    heads[0], length = refill(head, tail, length)
                    if length < 0:
                        return _I(-1)
                    samples[row, x - 2, c] = v
                else:
                    v = _I(samples[row, x - 2, c])
                    start = _start(v, size, table, mean, narrow, wide, share)
                    stop = _start(v + 1, size, table, mean, narrow, wide, share)
                    starts[count], freqs[count] = start, stop - start
                    count += 1

                here[x] = v
                error = 16 * v - guess
                gain = (error * 786432) // power
                for k in range(used):
                    weight = weights[k] + ((gain * near[k] + 2048) >> 12)
                    weights[k] = min(max(weight, _I(-(1 << 22))), _I(1 << 22))
                now[x] = abs(16 * v - mean)
                bias[0] += error
                bias[1] += 1
                if bias[1] >= 256:
                    bias[0] >>= 1
                    bias[1] >>= 1
                scale[0] += now[x]
                scale[1] += 1
                if scale[1] >= 256:
                    scale[0] >>= 1
                    scale[1] >>= 1
            here[width + 2] = here[width + 3] = here[width + 1]
            now[width + 2] = now[width + 3] = now[width + 1]
    return _I(length) if decoding else _I(count)


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
    samples = images.reshape(count * height, width, channels).astype(np.int32)
    for part in _slabs(flat := samples.reshape(-1, 1, channels)):
        flat[part] = _transformed(flat[part], most, how)
    code = _bound(samples, height, most, how)
    row = width * channels
    return varint(most) + bands.encode(code, count * height, row, row, 24)


def decode(data: memoryview, whole: tuple[int, int, int, int], dtype: np.dtype[Any], how: int) -> NDArray[Any]:
    """The inverse: images of the shape ``whole``."""
    count, height, width, channels = whole
    most, data = read_varint(data)
    if most > np.iinfo(dtype).max:
        raise FormatError(f"the payload announces samples up to {most}")
    samples = np.zeros((count * height, width, channels), np.int32)
    code = _bound(samples, height, most, how)
    bands.decode(code, count * height, width * channels, data)
    flat = samples.reshape(-1, 1, channels)
    images = np.empty(flat.shape, dtype)
    for part in _slabs(flat):
        images[part] = _untransformed(flat[part], most, how)
    return images.reshape(whole)


def _bound(samples: NDArray[np.int32], height: int, most: int, how: int) -> bands.Code:
    """The kernel with everything but its place in the stack and the image."""
    _, width, channels = samples.shape
    state, table = new_state(channels, width), load("logistic")
    clear = how >= CLEAR
    sizes = np.full(channels, most + 1, np.int64)
    if how % CLEAR:
        sizes[1 + clear : 3 + clear] += most

    def run(heads: Any, tail: Any, length: int, decoding: bool, first: int, last: int, starts: Any, freqs: Any) -> int:
        done: int = code(
            heads, tail, length, decoding, samples, height, first, last, sizes, clear, state, table, starts, freqs
        )
        return done

    return run


# Colour: three samples <-> three samples, differences moved up by the largest sample so that none is negative ---------


def _slabs(samples: NDArray[np.int32]) -> Iterator[slice]:
    """Some pixels at a time, so that the intermediate results of a transform take little memory."""
    step = max(1, SLAB // samples[0].size)
    return (slice(first, first + step) for first in range(0, len(samples), step))


def _transformed(samples: NDArray[np.int32], most: int, how: int) -> NDArray[np.int32]:
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


def _untransformed(samples: NDArray[np.int32], most: int, how: int) -> NDArray[np.int32]:
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
