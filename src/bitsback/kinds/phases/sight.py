"""What a network is shown of the surroundings of every sample of a step, and what is expected of each sample.

With 256 levels, every tap is seen relative to a *prediction* of the sample, in sixteenths of a level, by a linear
filter of the model::

    s      the sum of the four nearest taps of the sample's channel
    u_t    4 x_t - s_c, for tap x_t of channel c
    r      4 s + (sum(weight * u) + bias) / 2^shift       held within -256 .. 4336
    tap    table[16 x_t - r]

``table`` is the companding of :mod:`bitsback.kinds.context.network`. With two levels, a tap is shown as 0 or 255.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import kernel
from bitsback.kernels.vectors import ROWS, WIDTH, dense
from bitsback.kinds.phases.grids import NEAR

BLOCK = 8
"""Samples of a channel that are computed side by side."""

LOWEST, HIGHEST = -256, 4336
"""Bounds of a prediction."""

MAX_CHANNELS = 4

MOST = 4095
"""The most that a filter adds to the mean of the nearest taps, or takes from it."""


class Surroundings(NamedTuple):
    """What is the same for all images of a step: see :func:`bitsback.kinds.phases.grids.offsets` for the first two."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    of_rows: NDArray[np.uint8]
    of_columns: NDArray[np.uint8]
    """(height, a) and (width, b): what the network is shown besides."""


class Prediction(NamedTuple):
    """``filters``: of all channels, as :func:`bitsback.kernels.vectors.dense` reads them."""

    table: NDArray[np.uint8]
    filters: NDArray[np.int32]


class Sight(NamedTuple):
    """What :func:`look` finds, for ``n * height * width`` samples of C channels."""

    features: NDArray[np.uint8]
    """(samples, features): the taps, channel by channel; the predictions in levels, if there are any; the rest."""
    predictions: NDArray[np.int16]
    """(samples, C)"""
    near: NDArray[np.int16]
    """(samples, C, NEAR): the nearest taps less the prediction, in sixteenths."""


def room(count: int, surroundings: Surroundings, channels: int, predicted: bool) -> Sight:
    """Room for what is found of so many samples."""
    width = surroundings.rows.shape[1] * channels + (channels if predicted else 0)
    width += surroundings.of_rows.shape[1] + surroundings.of_columns.shape[1]
    given = count if predicted else 0
    return Sight(
        np.empty((count, width), np.uint8),
        np.empty((given, channels), np.int16),
        np.empty((given, channels, NEAR), np.int16),
    )


def inputs(surroundings: Surroundings, channels: int) -> tuple[int, int]:
    """Pairs of inputs of a filter, and its outputs, padded."""
    return -(-surroundings.rows.shape[1] * channels // 2), -(-channels // WIDTH) * WIDTH


def look(images: NDArray[np.uint8], surroundings: Surroundings, prediction: Prediction | None, into: Sight) -> None:
    """Find what is seen around every sample of a step.

    Args:
        images: uint8 (n, H, W, C), C-contiguous, of which what the step sees is read. ``into``: :func:`room` for it.
    """
    channels = images.shape[3]
    pairs, wide = inputs(surroundings, channels)
    stride = max(2 * pairs, wide)
    _look(images, surroundings, prediction, into, pairs, wide, np.zeros((2, BLOCK, stride), np.int16))


@kernel
def _look(images4, surroundings, prediction, into, pairs, wide, activations):  # type: ignore[no-untyped-def]
    images, channels = images4.reshape(-1), images4.shape[3]
    size = images4.shape[1] * images4.shape[2] * channels
    rows, columns = surroundings.rows, surroundings.columns
    height, width, count = rows.shape[0], columns.shape[0], rows.shape[1]
    u, v = activations[0], activations[1]
    means = np.zeros((BLOCK, MAX_CHANNELS), np.int64)
    first_row = count * channels + (channels if prediction is not None else 0)
    first_column = first_row + surroundings.of_rows.shape[1]
    samples = images4.shape[0] * height * width
    i, y, x = 0, 0, 0
    for begin in range(0, samples, BLOCK):
        lanes = min(BLOCK, samples - begin)
        for lane in range(lanes):
            features, row, column, seen = into.features[begin + lane], rows[y], columns[x], u[lane]
            for t in range(count):
                at = i * size + row[t] + column[t]
                for c in range(channels):
                    seen[c * count + t] = images[at + c]
            for k in range(surroundings.of_rows.shape[1]):
                features[first_row + k] = surroundings.of_rows[y, k]
            for k in range(surroundings.of_columns.shape[1]):
                features[first_column + k] = surroundings.of_columns[x, k]
            for c in range(channels):
                mine = seen[c * count : c * count + count]
                if prediction is None:
                    for t in range(count):
                        features[c * count + t] = 255 * mine[t]
                else:
                    total = mine[0] + mine[1] + mine[2] + mine[3]
                    means[lane, c] = total
                    for t in range(count):
                        mine[t] = 4 * mine[t] - total
            x += 1
            if x == width:
                x, y = 0, y + 1
            if y == height:
                y, i = 0, i + 1
        if prediction is not None:
            dense(prediction.filters, 0, pairs, wide, -MOST, MOST, u, v, (lanes + ROWS - 1) // ROWS, u.shape[1])
            for lane in range(lanes):
                p = begin + lane
                features, seen = into.features[p], u[lane]
                for c in range(channels):
                    mean = 4 * means[lane, c]
                    expected = min(max(mean + v[lane, c], LOWEST), HIGHEST)
                    off = expected - mean
                    into.predictions[p, c] = expected
                    features[count * channels + c] = min(max(expected >> 4, 0), 255)
                    first = c * count
                    for t in range(count):
                        features[first + t] = prediction.table[np.uint16(4 * seen[first + t] - off)]
                    for t in range(NEAR):
                        into.near[p, c, t] = 4 * seen[first + t] - off
