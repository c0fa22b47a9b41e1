"""Images coded sample by sample, each in the light of its neighbours: the causal context network as a codec.

Any number of images of one shape are coded side by side. Row y of an image lags row y - 1 by ``SKEW`` pixels, so all
rows are under way at once, and so are all images:

    step t    codes the pixels x = t - SKEW y of every row y that has one        t = 0 .. width - 1 + SKEW (height - 1)

Within a step pixels follow one another by row, then by image, and are taken in blocks of ``BLOCK``; within a block
first come all first channels, then all second ones, and so on. This order is part of the format. It makes a block's
pixels independent of each other, so that each weight of the network, once loaded, serves several of them; how many is
left to the implementation, and no byte depends on it. Symbol j of the whole order uses head j % lanes of the stack.

What lies outside: rows above the image hold ``border``; left of a row lies the first sample of the row above
(``border`` for row 0), right of it the row's own last sample.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack, advance, kernel, peek, refill
from bitsback.codecs.logistic import _cdf, _find, _guessing_tables, _Mixture, _prepare
from bitsback.codecs.tables import load
from bitsback.errors import CodecError
from bitsback.models.adaptive import factorise, innovate, predict, remember
from bitsback.nets.context import (
    BINARY_UNIT,
    MARGIN,
    MAX_OUTPUT,
    SKEW,
    TABLE_SIZE,
    UNIT,
    ContextNetwork,
    Tap,
    rounded_bias,
)
from bitsback.vectors import LANES, ROWS, WIDTH, dense

BLOCK = 8
"""Pixels that are coded channel by channel."""

PRECISION = 24
SURVEY, ENCODE, DECODE = 0, 1, 2
MEDIAN, ADAPTIVE = 1, 2

_PRECISION = np.uint64(PRECISION)
_TOTAL = np.int64(1 << PRECISION)
_ONE = np.int64(1)
_ZERO = np.int64(0)
_HALF_TABLE = np.int32(TABLE_SIZE // 2)


class ContextCodec:
    """n images of one shape as one symbol of a :class:`bitsback.codecs.Codec`.

    Args:
        network: the context network.
        shape: (n, height, width, channels), channels in coding order.
        levels: 256, or 2 for samples 0 and 1.
        features: uint8 (n, map, height * width), the decoder network's feature map, or None.
        order: where in the last axis of ``features`` each pixel is found, int64 (height * width,); None: in order.
    """

    def __init__(
        self,
        network: ContextNetwork,
        shape: tuple[int, int, int, int],
        levels: int = 256,
        features: NDArray[np.uint8] | None = None,
        order: NDArray[np.int64] | None = None,
    ) -> None:
        self.network, self.shape, self.levels = network, shape, levels
        n, height, width, channels = shape
        if channels != network.channels or min(shape) < 1:
            raise CodecError(f"the context network does not take images of shape {shape}")
        if (levels == 2) != (network.parameters == 1) or levels not in (2, 256):
            raise CodecError(f"the context network does not give distributions over {levels} levels")
        area, maps = height * width, network.spec.map
        if features is None:
            features, order = np.zeros((n, 0, 1), np.uint8), np.zeros(area, np.int64)
        elif order is None:
            order = np.arange(area)
        assert order is not None
        # One form of each argument, so that the kernel is compiled once
        self._features = np.require(features, np.uint8, ["C", "A", "W"])
        self._order = np.require(order, np.int64, ["C", "A", "W"])
        fits = self._features.shape[:2] == (n, maps) and self._features.ndim == 3 and self._order.shape == (area,)
        if not fits or not 0 <= self._order.min() <= self._order.max() < self._features.shape[2]:
            raise CodecError(f"a feature map of shape {self._features.shape} does not fit the context network")

    def push(self, stack: Stack, x: NDArray[np.uint8]) -> None:
        """Push images, uint8 of the codec's shape."""
        starts, freqs = self.intervals(x)
        stack.push(starts, freqs, PRECISION)

    def pop(self, stack: Stack) -> NDArray[np.uint8]:
        """Pop images; EmptyStackError if the stack holds too few bits."""
        out = np.zeros(self.shape, np.uint8)
        nothing = np.empty(0, np.uint32)
        stack.pull(_code, DECODE, *self._arguments(), out, nothing, nothing)
        return out

    def intervals(self, x: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The intervals of all samples, in coding order: starts and freqs, uint32 (x.size,)."""
        if x.shape != self.shape or x.dtype != np.uint8:
            raise CodecError(f"images must be uint8 {self.shape}, not {x.dtype} {x.shape}")
        if self.levels == 2 and x.size and x.max() > 1:
            raise CodecError("samples must be 0 and 1")
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        self._run(ENCODE, x, starts, freqs)
        return starts, freqs

    def bits(self, x: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The ideal code length of each image in bits, float64 (n,). For reports only."""
        costs = PRECISION - np.log2(self.intervals(x)[1].astype(np.float64))
        # Samples are coded in an order of their own, so ask for the images' numbers in that order
        n, height, width, channels = self.shape
        totals: NDArray[np.float64] = np.bincount(coding_order(n, height, width, channels), costs, n).astype(np.float64)
        return totals

    def survey(self, x: NDArray[np.uint8]) -> NDArray[np.int16]:
        """The planes that taps read, int16 (planes, n, height + MARGIN, width + 2 MARGIN), for known images: what a
        network is trained on. :meth:`plane` numbers them."""
        arguments = self._arguments()
        nothing = np.empty(0, np.uint32)
        self._run(SURVEY, x, nothing, nothing, arguments)
        planes: NDArray[np.int16] = arguments[0]
        return planes

    def _run(self, mode: int, x: NDArray[np.uint8], starts: Any, freqs: Any, arguments: Any = None) -> None:
        x = np.require(x, np.uint8, ["C", "A", "W"])
        heads, tail = np.ones(1, np.uint64), np.zeros(1, np.uint32)
        _code(heads, tail, 0, mode, *(arguments or self._arguments()), x, starts, freqs)

    def _arguments(self) -> tuple[Any, ...]:
        network, spec = self.network, self.network.spec
        n, height, width, channels = self.shape
        unit = UNIT if self.levels == 256 else BINARY_UNIT
        planes = new_planes(network, self.shape, unit)
        stride = width + 2 * MARGIN
        size = n * (height + MARGIN) * stride
        taps = np.array(
            [
                [plane(t, channels) * size + t.dy * stride + t.dx for t in (feature.a, feature.b)]
                for features in spec.features
                for feature in features
            ],
            np.int64,
        ).astype(np.uint64)
        counts = np.array([len(features) for features in spec.features], np.int64)
        adaptive = spec.adaptive.taps if spec.adaptive is not None else ()
        regressors = np.array([[t.index, t.dy * stride + t.dx] for t in adaptive], np.int64).reshape(-1, 2)
        kind = ADAPTIVE if spec.adaptive is not None else MEDIAN if spec.median else 0
        ridge = np.int32(spec.adaptive.ridge if spec.adaptive is not None else 0)
        weights, layout = _packed(network)
        mixture = (
            load("inverse_scales").astype(np.int64, copy=False),
            load("logistic"),
            load("exponentials"),
            _guessing_tables()[0],
            _Mixture._scales()[1],
        )
        logits = logit_probabilities()
        return (
            planes, np.int64(unit), np.int64(self.levels), self._features, self._order,
            network.table, taps, counts, kind, regressors, ridge, weights, layout, mixture, logits,
        )  # fmt: skip


def coding_order(n: int, height: int, width: int, channels: int) -> NDArray[np.int64]:
    """For each sample, in coding order, the number of its image, int64 (n * height * width * channels,)."""
    parts = []
    for t in range(width + SKEW * (height - 1)):
        first, last = max(0, (t - width + SKEW) // SKEW), min(height - 1, t // SKEW)
        images = np.tile(np.arange(n), last - first + 1)
        parts += [np.tile(images[k : k + BLOCK], channels) for k in range(0, len(images), BLOCK)]
    return np.concatenate(parts)


def plane(tap: Tap, channels: int) -> int:
    """The number of the plane that a tap reads."""
    first = {"zero": 0, "row": 1, "column": 2}
    if tap.plane in first:
        return first[tap.plane]
    return 3 + ("value", "reference", "error", "spread").index(tap.plane) * channels + tap.index


def new_planes(network: ContextNetwork, shape: tuple[int, int, int, int], unit: int) -> NDArray[np.int16]:
    """The planes before any sample is known."""
    n, height, width, channels = shape
    spec = network.spec
    count = 3 + channels * (4 if spec.adaptive is not None else 3 if spec.median else 1)
    planes = np.zeros((count, n, height + MARGIN, width + 2 * MARGIN), np.int16)
    planes[1] = 16 * np.clip(np.arange(-MARGIN, height), 0, 127)[:, None]
    planes[2] = 16 * np.clip(np.arange(-MARGIN, width + MARGIN), 0, 127)
    planes[3 : 3 + channels, :, :MARGIN] = network.spec.border * unit
    planes[3 : 3 + channels, :, MARGIN, :MARGIN] = network.spec.border * unit
    return planes


@cache
def logit_probabilities() -> NDArray[np.uint32]:
    """P(1), in 2^-24, for each logit 5 u / 64, u = -128..127: entries of the table of the logistic function."""
    entries = load("logistic")[1024 + 5 * np.arange(-128, 128)].astype(np.uint32)
    result: NDArray[np.uint32] = entries >> np.uint32(32 - PRECISION)
    return result


def _packed(network: ContextNetwork) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All layers in one float32 array, and where each is: rows of (channel, inputs, outputs, padded outputs, offset).

    A layer holds its biases, the powers 2^-shift, and the weights (inputs, outputs), outputs padded to whole vectors.
    Kept with the network: it is the same at every call.
    """
    if not hasattr(network, "_packed"):
        parts: list[NDArray[np.float32]] = []
        layout, offset = [], 0
        for channel, layers in enumerate(network.weights):
            for w in layers:
                outputs, inputs = w.weight.shape
                wide, deep = -(-outputs // WIDTH) * WIDTH, inputs
                block = np.zeros((2 + deep, wide), np.float32)
                block[0, :outputs] = rounded_bias(w)
                block[1, :outputs] = np.exp2(-w.shift.astype(np.float32))
                block[2 : 2 + inputs, :outputs] = w.weight.T
                layout.append([channel, deep, outputs, wide, offset])
                parts.append(block.ravel())
                offset += block.size
        network._packed = np.concatenate(parts), np.array(layout, np.int64)  # type: ignore[attr-defined]
    return network._packed  # type: ignore[attr-defined, no-any-return]


@kernel
def _code(  # type: ignore[no-untyped-def]
    heads, tail, length, mode, planes4, unit, levels, fmap, order, table, taps, counts, kind, regressors, ridge,
    weights, layout, mixture, logits, images, starts, freqs,
):  # fmt: skip
    inverses, logistic, exponentials, quantiles, spreads = mixture
    n_images, height, width, channels = images.shape
    stride = width + 2 * MARGIN
    rows_stride = (height + MARGIN) * stride
    size = n_images * rows_stride
    planes = planes4.reshape(-1)
    n_regressors = regressors.shape[0]
    adaptive = kind == ADAPTIVE
    order_n = n_regressors + channels if adaptive else 0
    entries = order_n * (order_n + 1) // 2
    row_sums = np.zeros((n_images * height if adaptive else 0, entries), np.int32)
    column_sums = np.zeros((n_images * width if adaptive else 0, entries), np.int32)
    f = np.zeros((order_n, BLOCK), np.int32)
    u = np.zeros((entries, LANES))
    gathered = np.zeros((BLOCK, entries), np.int32)
    lower = np.zeros((entries, LANES))
    diagonal = np.ones((order_n, BLOCK))
    diagonal_bits = diagonal.view(np.int64)
    innovations = np.zeros((order_n, BLOCK))
    sums = np.zeros((1, LANES))
    predictions = np.zeros((1, LANES))
    bases = np.zeros((channels, BLOCK), np.int32)
    products = np.zeros(entries, np.int32)
    regressors_of_one = np.zeros(order_n, np.int32)
    errors = np.zeros(BLOCK, np.int32)
    n_map = fmap.shape[1]
    widest = 8
    for i in range(layout.shape[0]):
        widest = max(widest, max(layout[i, 1], layout[i, 3]))
    xs = np.zeros((2, BLOCK, widest), np.float32)
    parameters = layout[layout.shape[0] - 1, 2]
    components = max(parameters // 3, 1)
    codes = np.zeros((1, parameters, BLOCK), np.int32)
    lane_bases, lane_slopes = np.empty(components, np.int64), np.empty(components, np.int64)
    masses = np.empty(components, np.int64)
    position = np.zeros(BLOCK, np.uint64)  # unsigned: a signed index costs a test for a negative one
    image = np.zeros(BLOCK, np.int64)
    ys = np.zeros(BLOCK, np.int64)
    columns = np.zeros(BLOCK, np.int64)
    value0, reference0, error0, spread0 = 3, 3 + channels, 3 + 2 * channels, 3 + 3 * channels
    n_heads = heads.size
    lane_of_stack = 0
    m = 0

    for t in range(width + SKEW * (height - 1)):
        first = max(0, (t - width + SKEW) // SKEW)
        last = min(height - 1, t // SKEW)
        total = (last - first + 1) * n_images
        for begin in range(0, total, BLOCK):
            lanes = min(BLOCK, total - begin)
            for lane in range(BLOCK):
                k = begin + min(lane, lanes - 1)
                y = first + k // n_images
                image[lane] = k % n_images
                ys[lane] = y
                columns[lane] = t - SKEW * y
                position[lane] = image[lane] * rows_stride + (y + MARGIN) * stride + columns[lane] + MARGIN

            if adaptive:
                for c in range(channels):
                    plane_c = (value0 + c) * size
                    west, north = np.uint64(plane_c - 1), np.uint64(plane_c - stride)
                    for lane in range(BLOCK):
                        p = position[lane]
                        bases[c, lane] = (np.int32(planes[p + west]) + np.int32(planes[p + north])) >> np.int32(5)
                for i in range(n_regressors):
                    c = regressors[i, 0]
                    offset = np.uint64((value0 + c) * size + regressors[i, 1])
                    for lane in range(BLOCK):
                        f[i, lane] = (np.int32(planes[offset + position[lane]]) >> np.int32(4)) - bases[c, lane]
                for lane in range(BLOCK):
                    row = row_sums[image[lane] * height + ys[lane]]
                    column = column_sums[image[lane] * width + min(columns[lane] + 3, width - 1)]
                    moments = gathered[lane]
                    for e in range(entries):
                        moments[e] = row[e] + column[e]
                g0, g1, g2, g3 = gathered[0], gathered[1], gathered[2], gathered[3]
                g4, g5, g6, g7 = gathered[4], gathered[5], gathered[6], gathered[7]
                for e in range(entries):
                    to = u[e]
                    to[0], to[1], to[2], to[3] = g0[e], g1[e], g2[e], g3[e]
                    to[4], to[5], to[6], to[7] = g4[e], g5[e], g6[e], g7[e]
                for i in range(order_n):
                    to = u[i * (i + 3) // 2]
                    for lane in range(BLOCK):
                        to[lane] += ridge
                factorise(u, lower, diagonal, sums)
                for i in range(n_regressors):
                    predict(lower, innovations, i, predictions)
                    innovate(f, i, predictions, innovations)
                for lane in range(BLOCK):
                    errors[lane] = 0

            layer = 0
            feature0 = 0
            for c in range(channels):
                value_c, reference_c = np.uint64((value0 + c) * size), np.uint64((reference0 + c) * size)
                error_c, spread_c = np.uint64((error0 + c) * size), np.uint64((spread0 + c) * size)
                if adaptive:
                    i = n_regressors + c
                    predict(lower, innovations, i, predictions)
                    for lane in range(lanes):
                        quarter = np.int32(predictions[0, lane]) >> np.int32(2)
                        reference = min(max(np.int32(16) * bases[c, lane] + quarter, np.int32(-256)), np.int32(4336))
                        planes[reference_c + position[lane]] = reference
                        logarithm = (diagonal_bits[i, lane] >> 48) - (1023 << 4)
                        planes[spread_c + position[lane]] = 8 * (logarithm - 256)

                elif kind == MEDIAN:
                    for lane in range(lanes):
                        p = position[lane]
                        w = np.int32(planes[p + value_c - np.uint64(1)])
                        n = np.int32(planes[p + value_c - np.uint64(stride)])
                        nw = np.int32(planes[p + value_c - np.uint64(stride + 1)])
                        r = min(max(w + n - nw, min(w, n)), max(w, n))
                        if c > 0:
                            r += np.int32(planes[p + error_c - np.uint64(size)])
                        planes[reference_c + p] = min(max(r, np.int32(-256)), np.int32(4336))

                if mode != SURVEY:
                    x, y_out = xs[0], xs[1]
                    for lane in range(lanes):
                        p, inputs = position[lane], x[lane]
                        for j in range(counts[c]):
                            d = np.int32(planes[p + taps[feature0 + j, 0]]) - np.int32(
                                planes[p + taps[feature0 + j, 1]]
                            )
                            d = min(max(d, -_HALF_TABLE), _HALF_TABLE - np.int32(1))
                            inputs[j] = table[np.uint64(d + _HALF_TABLE)]
                    feature0 += counts[c]
                    for lane in range(BLOCK):
                        for j in range(n_map):
                            x[lane, counts[c] + j] = fmap[image[lane], j, order[ys[lane] * width + columns[lane]]]
                        for j in range(counts[c] + n_map, layout[layer, 1]):
                            x[lane, j] = 0
                    while layer < layout.shape[0] and layout[layer, 0] == c:
                        ends = layer + 1 == layout.shape[0] or layout[layer + 1, 0] != c
                        low = np.float32(-MAX_OUTPUT) if ends else np.float32(0)
                        high = np.float32(MAX_OUTPUT) if ends else np.float32(255)
                        for lane in range(0, lanes, ROWS):
                            dense(
                                weights, layout[layer, 4], layout[layer, 1], layout[layer, 3], low, high,
                                x.reshape(-1), lane, widest, y_out.reshape(-1), lane, widest,
                            )  # fmt: skip
                        x, y_out = y_out, x
                        layer += 1
                    if levels == 2:
                        for lane in range(lanes):
                            codes[0, 0, lane] = min(max(np.int32(x[lane, 0]), np.int32(-128)), np.int32(127)) + 128
                    else:
                        for lane in range(lanes):
                            reference = np.int32(planes[reference_c + position[lane]]) if kind else 2048
                            for k in range(components):
                                codes[0, k, lane] = reference + np.int32(x[lane, k])
                                s = np.int32(x[lane, components + k])
                                codes[0, components + k, lane] = min(max(s, 0), 63)
                                s = np.int32(x[lane, 2 * components + k])
                                codes[0, 2 * components + k, lane] = min(max(s + 128, 0), 255)

                for lane in range(lanes):
                    y, column = ys[lane], columns[lane]
                    v = np.int64(images[image[lane], y, column, c])
                    if mode != SURVEY:
                        start, stop = _ZERO, _TOTAL
                        if levels == 2:
                            zeros = _TOTAL - np.int64(logits[codes[0, 0, lane]])
                            if mode == DECODE:
                                v = np.int64(np.int64(peek(heads[lane_of_stack], _PRECISION)) >= zeros)
                            if v > 0:
                                start = zeros
                            else:
                                stop = zeros
                        else:
                            _prepare(
                                codes, 0, lane, _ONE, _ZERO, inverses, exponentials, _TOTAL - levels,
                                lane_bases, lane_slopes, masses,
                            )  # fmt: skip
                            if mode == DECODE:
                                slot = np.int64(peek(heads[lane_of_stack], _PRECISION))
                                v, start, stop = _find(
                                    slot, _ZERO, codes, 0, lane, _ONE, _ZERO, logistic, lane_bases, lane_slopes,
                                    masses, levels, quantiles, spreads,
                                )  # fmt: skip
                            else:
                                if v > 0:
                                    start = _cdf(v, logistic, lane_bases, lane_slopes, masses)
                                if v + 1 < levels:
                                    stop = _cdf(v + 1, logistic, lane_bases, lane_slopes, masses)
                        if mode == DECODE:
                            head = advance(heads[lane_of_stack], np.uint64(start), np.uint64(stop - start), _PRECISION)
                            heads[lane_of_stack], length = refill(head, tail, length)
                            if length < 0:
                                return np.int64(-1)
                            images[image[lane], y, column, c] = v
                            lane_of_stack = 0 if lane_of_stack + 1 == n_heads else lane_of_stack + 1
                        else:
                            starts[m] = start
                            freqs[m] = stop - start
                            m += 1
                    p = value_c + position[lane]
                    value = np.int16(v * unit)
                    planes[p] = value
                    if column == 0 and y + 1 < height:
                        for k in range(MARGIN):
                            planes[p + np.uint64(stride - MARGIN + k)] = value
                    if column == width - 1:
                        for k in range(MARGIN):
                            planes[p + np.uint64(1 + k)] = value
                    if kind:
                        error = np.int32(value) - np.int32(planes[reference_c + position[lane]])
                        planes[error_c + position[lane]] = error
                    if adaptive:
                        f[n_regressors + c, lane] = np.int32(v) - bases[c, lane]
                if adaptive:
                    i = n_regressors + c
                    innovate(f, i, predictions, innovations)
                    for lane in range(lanes):
                        errors[lane] += np.int32(abs(innovations[i, lane]))
            if adaptive:
                for lane in range(lanes):
                    weight = np.int32(1 << 18) // (np.int32(1 << 10) + np.int32(3) * errors[lane])
                    row = row_sums[image[lane] * height + ys[lane]]
                    column_sum = column_sums[image[lane] * width + columns[lane]]
                    remember(f, lane, weight, row, column_sum, regressors_of_one, products)
    return np.int64(length)
