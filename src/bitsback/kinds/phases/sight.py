"""What a network is shown of the surroundings of every sample of a step, and what is expected of each sample.

With 256 levels, every tap is seen relative to a *prediction* of the sample, in sixteenths of a level, by a linear
filter of the model::

    s      the sum of the four nearest taps of the sample's channel
    u_t    4 x_t - s_c, for tap x_t of channel c
    r      4 s + (sum(weight * u) + bias + 2^shift / 2) / 2^shift      held within -256 .. 4336
    tap    table[16 x_t - r]

``table`` is the companding of :mod:`bitsback.kinds.context.network`. With two levels, a tap is shown as 0 or 255.

Eight samples of a row are computed side by side, in the lanes of vectors. For that, the grids that are known are laid
out in planes, a channel each, with margins in which their outermost samples are repeated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import helper, kernel
from bitsback.kernels.values import INT, LONG
from bitsback.kernels.vectors import INTS, LANES, SHORTS, vectorised
from bitsback.kinds.phases.grids import NEAR

LOWEST, HIGHEST = -256, 4336
"""Bounds of a prediction."""

MOST = 4095
"""The most that a filter adds to the mean of the nearest taps, or takes from it."""


class Surroundings(NamedTuple):
    """What is the same for all images of a step."""

    height: int
    width: int
    """Of the grid to be coded."""
    grids: NDArray[np.int64]
    """(known grids, 5): see :func:`bitsback.kinds.phases.grids.known`."""
    counts: NDArray[np.int64]
    """(channels,): taps of each."""
    offsets: NDArray[np.int64]
    """(channels, taps): of each tap in the planes of its channel, from the sample's own place; the nearest first."""
    shown: NDArray[np.int64]
    """(channels,): how many of each channel the network is shown."""
    reach: int
    """How far they are away, at most."""
    of_rows: NDArray[np.uint8]
    of_columns: NDArray[np.uint8]
    """(height, a) and (width, b): what the network is shown besides."""


class Prediction(NamedTuple):
    """The filters of all channels; made by :func:`bitsback.kinds.phases.codec.prediction`.

    ``weights``: int32 (channels, pairs), where a pair of taps of a channel shares a number, the first in the low half;
    an odd one is alone. ``biases``, with the half that makes the floor a rounding, and ``shifts``: int32 (channels,).
    """

    table: NDArray[np.uint8]
    weights: NDArray[np.int32]
    biases: NDArray[np.int32]
    shifts: NDArray[np.int32]


class Sight(NamedTuple):
    """What :func:`look` finds, for ``n * height * width`` samples of C channels."""

    features: NDArray[np.uint8]
    """(samples, features): the taps, channel by channel; the predictions in levels, if there are any; the rest."""
    predictions: NDArray[np.int16]
    """(C, samples)"""
    near: NDArray[np.int16]
    """(C, NEAR, samples): the nearest taps less the prediction, in sixteenths. In both, what follows the last sample is
    of no meaning, and makes room for whole vectors."""


def room(count: int, surroundings: Surroundings, channels: int, predicted: bool, more: int = 0) -> Sight:
    """Room for what is found of so many samples, and for ``more`` features."""
    width = int(surroundings.shown.sum()) + predicted * channels + more
    width += surroundings.of_rows.shape[1] + surroundings.of_columns.shape[1]
    given = count + LANES if predicted else 0
    return Sight(
        np.empty((count, width), np.uint8),
        np.empty((channels, given), np.int16),
        np.empty((channels, NEAR, given), np.int16),
    )


def plane_size(height: int, width: int, reach: int) -> tuple[int, int]:
    """Rows and columns of the plane of a grid, for a step of so many."""
    return height + 2 * reach, width + 2 * reach + LANES


def look(images: NDArray[np.uint8], surroundings: Surroundings, prediction: Prediction | None, into: Sight) -> None:
    """Find what is seen around every sample of a step.

    Args:
        images: uint8 (n, H, W, C), C-contiguous, of which what the step sees is read. ``into``: :func:`room` for it.
    """
    channels, taps = surroundings.offsets.shape
    size = plane_size(surroundings.height, surroundings.width, surroundings.reach)
    scratch = Scratch(
        np.zeros((channels, len(surroundings.grids), *size), np.int16),
        np.zeros((channels, taps, LANES), np.int16),
        np.zeros((channels * taps // 2, LANES), np.int32),
        np.zeros((channels, LANES), np.int16),
        np.zeros((channels, LANES), np.int32),
    )
    _look(images, surroundings, prediction, into, scratch)


class Scratch(NamedTuple):
    """Room for what is found of one image, and of eight samples of it."""

    planes: NDArray[np.int16]
    """(channels, grids, :func:`plane_size`)"""
    u: NDArray[np.int16]
    """(channels, taps, LANES)"""
    both: NDArray[np.int32]
    """(pairs of all channels, LANES): the same, two taps in one."""
    sums: NDArray[np.int16]
    """(channels, LANES): s"""
    predictions: NDArray[np.int32]
    """(channels, LANES)"""


@vectorised
def _relate(v, planes, offsets, at, pairs, u, both, sums):  # type: ignore[no-untyped-def]
    """Set u of a channel, plain and in pairs, and s."""
    total = sum(planes.load(offsets.load(at * 0 + t, LONG) + at, SHORTS) for t in range(NEAR))
    sums.store(at * 0, total)
    with v.loop(pairs) as p:
        first, second = (planes.load(offsets.load(p * 2 + k, LONG) + at, SHORTS) * 4 - total for k in range(2))
        u.store(p * (2 * LANES), first)
        u.store(p * (2 * LANES) + LANES, second)
        both.store(p * LANES, (first.to(INTS) & 0xFFFF) + second.to(INTS) * 65536)


@vectorised
def _predict(v, weights, bias, shift, both, pairs, sums, predictions):  # type: ignore[no-untyped-def]
    """Set the prediction of a channel. ``weights``, ``both``: of all channels' pairs."""
    sums_of = v.variable(bias.to(INTS))
    halves = SHORTS.__class__(SHORTS.element, 2 * LANES)
    with v.loop(pairs) as p:
        weight = weights.load(p, INT).spread(LANES).reinterpreted(halves)
        sums_of.value += v.sums_of_pairs(weight, both.load(p * LANES, INTS).reinterpreted(halves))
    added = (sums_of.value >> shift.to(INTS)).held(-MOST, MOST)
    predictions.store(pairs * 0, (sums.load(pairs * 0, SHORTS).to(INTS) * 4 + added).held(LOWEST, HIGHEST))


@vectorised
def _count(v, u, taps, sums, predictions, sample, expected, near, stride):  # type: ignore[no-untyped-def]
    """Turn u into taps less the prediction, in sixteenths; keep the nearest of them, and the prediction."""
    prediction = predictions.load(taps * 0, INTS).to(SHORTS)
    off = prediction - sums.load(taps * 0, SHORTS) * 4
    with v.loop(taps) as t:
        u.store(t * LANES, u.load(t * LANES, SHORTS) * 4 - off)
    # Lanes beyond the last one of a row are written over by the next one's
    expected.store(sample, prediction)
    for t in range(NEAR):
        near.store(stride * t + sample, u.load(taps * 0 + t * LANES, SHORTS))


@kernel
def _look(images, surroundings, prediction, into, scratch):  # type: ignore[no-untyped-def]
    channels, grids, counts = images.shape[3], surroundings.grids, surroundings.counts
    reach, stride, shown = surroundings.reach, scratch.planes.shape[3], surroundings.shown
    taps = 0
    for c in range(channels):
        taps += shown[c]
    sample = 0
    for i in range(images.shape[0]):
        for c in range(channels):
            for g in range(grids.shape[0]):
                _lay(images[i].reshape(-1), grids[g], c, reach, scratch.planes[c, g])
        for y in range(surroundings.height):
            for x in range(0, surroundings.width, LANES):
                lanes = min(LANES, surroundings.width - x)
                at = y * stride + x
                if prediction is None:
                    _show_bits(into, scratch, surroundings.offsets, shown, at, sample, lanes)
                else:
                    pair = 0
                    for c in range(channels):
                        pairs = (counts[c] + 1) >> 1
                        _relate(
                            scratch.planes[c], surroundings.offsets[c], at, pairs, scratch.u[c], scratch.both[pair:],
                            scratch.sums[c],
                        )  # fmt: skip
                        pair += pairs
                    for c in range(channels):
                        _predict(
                            prediction.weights[c], prediction.biases[c], prediction.shifts[c], scratch.both, pair,
                            scratch.sums[c], scratch.predictions[c],
                        )  # fmt: skip
                        _count(
                            scratch.u[c], shown[c], scratch.sums[c], scratch.predictions[c], sample,
                            into.predictions[c], into.near[c], into.near.shape[2],
                        )  # fmt: skip
                    _show(prediction, into, scratch, shown, taps, sample, lanes)
                first = taps + (channels if prediction is not None else 0)
                for lane in range(lanes):
                    features = into.features[sample + lane]
                    for k in range(surroundings.of_rows.shape[1]):
                        features[first + k] = surroundings.of_rows[y, k]
                    for k in range(surroundings.of_columns.shape[1]):
                        features[first + surroundings.of_rows.shape[1] + k] = surroundings.of_columns[x + lane, k]
                sample += lanes


@helper
def _lay(image, grid, c, reach, plane):  # type: ignore[no-untyped-def]
    """Lay a grid of an image out in a plane."""
    start, row, column, rows, columns = grid[0] + c, grid[1], grid[2], grid[3], grid[4]
    for r in range(plane.shape[0]):
        source, line = start + min(max(r - reach, 0), rows - 1) * row, plane[r]
        for x in range(reach):
            line[x] = image[source]
        for x in range(columns):
            line[reach + x] = image[source + x * column]
        last = image[source + (columns - 1) * column]
        for x in range(reach + columns, plane.shape[1]):
            line[x] = last


@helper
def _show_bits(into, scratch, offsets, shown, at, sample, lanes):  # type: ignore[no-untyped-def]
    """Write the taps of eight samples of two levels, or fewer."""
    first = 0
    for c in range(shown.size):
        own = scratch.planes[c].reshape(-1)
        for t in range(shown[c]):
            for lane in range(lanes):
                into.features[sample + lane, first + t] = 255 * own[offsets[c, t] + at + lane]
        first += shown[c]


@helper
def _show(prediction, into, scratch, shown, taps, sample, lanes):  # type: ignore[no-untyped-def]
    """Write what was found of eight samples, or fewer."""
    first = 0
    for c in range(shown.size):
        own, count = scratch.u[c], shown[c]
        for lane in range(lanes):
            p = sample + lane
            features = into.features[p]
            features[taps + c] = min(max(scratch.predictions[c, lane] >> 4, 0), 255)
            for t in range(0, count, 4):  # taps come in fours, two or four that mirror each other
                for k in (0, 1, 2, 3):
                    features[first + t + k] = prediction.table[np.uint16(own[t + k, lane])]
        first += count
