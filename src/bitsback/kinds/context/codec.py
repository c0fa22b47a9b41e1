"""Images coded sample by sample, each in the light of its neighbours: the causal context network as a codec.

Any number of images of one shape are coded side by side. Row y of an image lags row y - 1 by ``SKEW`` pixels, so all
rows are under way at once, and so are all images:

    step t    codes the pixels x = t - SKEW y of every row y that has one        t = 0 .. width - 1 + SKEW (height - 1)

Within a step pixels follow one another by row, then by image, and are taken in blocks of ``BLOCK``; within a block
first come all first channels, then all second ones, and so on. This order is part of the format. It makes a block's
pixels independent of each other, so that each weight of the network, once loaded, serves several of them; how many is
left to the implementation, and no byte depends on it. Symbol j of the whole order uses head j % lanes of the stack.

A *memory* (:class:`bitsback.kinds.context.network.Memory`) of an image is read before the samples of a block are coded,
and learns them when the step is over.

What lies outside: rows above the image hold ``border``; left of a row lies the first sample of the row above
(``border`` for row 0), right of it the row's own last sample.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack, advance, peek, refill
from bitsback.codecs.logistic import find, interval, mixtures, prepare, quantiles, tables
from bitsback.codecs.tables import load
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel
from bitsback.kernels.vectors import LANES, ROWS, WIDTH, dense
from bitsback.kinds.context.network import (
    BINARY_UNIT,
    MARGIN,
    MAX_MEMORY_BITS,
    MAX_OUTPUT,
    MAX_RUN,
    SKEW,
    UNIT,
    ContextNetwork,
    Tap,
    plane,
    plane_count,
)
from bitsback.kinds.context.regression import factorise, innovate, memory, predict, recall, remember, weigh

BLOCK = 8
"""Pixels that are coded channel by channel."""

PRECISION = 24
SURVEY, ENCODE, DECODE = 0, 1, 2
MEDIAN, ADAPTIVE = 1, 2

_PRECISION = np.uint64(PRECISION)
_TOTAL = np.int64(1 << PRECISION)
_ZERO = np.int64(0)
_MAX_RUN = np.int64(MAX_RUN)
_MULTIPLIER = np.uint64(0x9E3779B1)
_LOW_HALF = np.uint64((1 << 32) - 1)


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
        order = np.arange(area) if order is None else order
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
        """The ideal code length of each sample in bits, float64 of the codec's shape. For reports only."""
        found = np.empty(x.size, np.float64)
        found[positions(self.shape)] = PRECISION - np.log2(self.intervals(x)[1].astype(np.float64))
        return found.reshape(self.shape)

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
        )
        # Unsigned, as all indices in the kernel: a signed one costs a test for a negative one
        minuends, subtrahends = np.ascontiguousarray(taps.T).astype(np.uint64)
        counts = np.array([len(features) for features in spec.features], np.int64)
        taps_of_regression = spec.regression.taps if spec.regression is not None else ()
        regressors = np.array([[t.index, t.dy * stride + t.dx] for t in taps_of_regression], np.int64).reshape(-1, 2)
        kind = ADAPTIVE if spec.regression is not None else MEDIAN if spec.median else 0
        ridge = np.int32(spec.regression.ridge if spec.regression is not None else 0)
        inverses, exponentials = tables(-spec.lowest_scale)
        distributions = (inverses, exponentials, load("logistic"), quantiles(), logit_probabilities())
        anchors = self._anchors(size, stride).astype(np.uint64)
        memories = self._memories(size, stride)
        return (
            planes, np.int64(unit), np.int64(self.levels), self._features, self._order, minuends, subtrahends,
            counts, kind, regressors, ridge, anchors, memories, *network.packed, distributions,
        )  # fmt: skip

    def _anchors(self, size: int, stride: int) -> NDArray[np.int64]:
        """Where the mean of each component of each channel is counted from, relative to a pixel's position: int64
        (channels, components); without rows if all are counted from the middle of the range."""
        spec, channels = self.network.spec, self.network.channels
        components = self.network.parameters // 3
        anchors = spec.anchors
        if not anchors and spec.has_reference:
            anchors = tuple((Tap("reference", c),) * components for c in range(channels))
        found = [plane(t, channels) * size + t.dy * stride + t.dx for taps in anchors for t in taps]
        return np.array(found, np.int64).reshape(len(anchors), components)

    def _memories(self, size: int, stride: int) -> tuple[Any, ...]:
        """The channel of each memory, int64 (memories,); the taps of all keys, relative to a pixel's position, uint64;
        where each key ends among them; and the memories before any sample is known, uint16 (n, memories, entries), each
        entry a sample and 256 times its run."""
        n, height, width, channels = self.shape
        memories = self.network.spec.memories
        taps = [plane(t, channels) * size + t.dy * stride + t.dx for one in memories for t in one.key]
        ends = np.cumsum([len(one.key) for one in memories], dtype=np.int64)
        bits = min(MAX_MEMORY_BITS, (height * width - 1).bit_length())
        entries = np.zeros((n, len(memories), 1 << bits), np.uint16)
        owners = np.array([one.channel for one in memories], np.int64)
        return owners, np.array(taps, np.int64).astype(np.uint64), ends, entries


def positions(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Where in an array of ``shape`` (n, height, width, channels) the samples lie that are coded first, second, ..."""
    n, height, width, channels = shape
    channel = np.arange(channels)[:, None]
    parts = []
    for t in range(width + SKEW * (height - 1)):
        y = np.arange(max(0, (t - width + SKEW) // SKEW), min(height - 1, t // SKEW) + 1)
        # By row, then by image; a multiple of BLOCK pixels, with none at the end, so that blocks are rows
        pixels = ((np.arange(n) * height + y[:, None]) * width + (t - SKEW * y[:, None])).reshape(-1)
        padded = np.full(-(-len(pixels) // BLOCK) * BLOCK, -1)
        padded[: len(pixels)] = pixels
        blocks = padded.reshape(-1, 1, BLOCK)
        parts.append(np.where(blocks < 0, -1, blocks * channels + channel).reshape(-1))
    order = np.concatenate(parts)
    return order[order >= 0]


def new_planes(network: ContextNetwork, shape: tuple[int, int, int, int], unit: int) -> NDArray[np.int16]:
    """The planes before any sample is known."""
    n, height, width, channels = shape
    spec = network.spec
    planes = np.zeros((plane_count(spec, channels), n, height + MARGIN, width + 2 * MARGIN), np.int16)
    planes[1] = 16 * np.clip(np.arange(-MARGIN, height), 0, 127)[:, None]
    planes[2] = 16 * np.clip(np.arange(-MARGIN, width + MARGIN), 0, 127)
    planes[3 : 3 + channels, :, :MARGIN] = network.spec.border * unit
    planes[3 : 3 + channels, :, MARGIN, :MARGIN] = network.spec.border * unit
    return planes


@cache
def logit_probabilities() -> NDArray[np.uint32]:
    """P(1), in 2^-24, for each logit 5 u / 64, u = -128..127, uint32 (256,).

    The table of the logistic function has 64 entries a unit, so these are entries of it, shortened.
    """
    entries = load("logistic")[1024 + 5 * np.arange(-128, 128)].astype(np.uint32)
    result: NDArray[np.uint32] = entries >> np.uint32(32 - PRECISION)
    return result


@helper
def _place(  # type: ignore[no-untyped-def]
    t, begin, lanes, n_images, height, width, row, column, image, pixel, position, stride, plane_stride
):
    """Set where the pixels of a block are: in their images, in the array of them, and in a plane.

    Lanes without a pixel repeat the last one.
    """
    y, i = begin // n_images, begin % n_images
    for lane in range(BLOCK):
        x = t - SKEW * y
        row[lane], column[lane], image[lane] = y, x, i
        pixel[lane] = (i * height + y) * width + x
        position[lane] = i * plane_stride + (y + MARGIN) * stride + x + MARGIN
        if lane + 1 < lanes:
            i += 1
            if i == n_images:
                i, y = 0, y + 1


@helper
def _regress(planes, position, first, size, stride, regressors, bases, f):  # type: ignore[no-untyped-def]
    """Set the bases of each channel, int32 (channels, LANES), and the regressors in ``f`` that taps give."""
    for c in range(bases.shape[0]):
        plane_c = first + c * size
        west, north = np.uint64(plane_c - 1), np.uint64(plane_c - stride)
        for lane in range(BLOCK):
            p = position[lane]
            bases[c, lane] = (np.int32(planes[p + west]) + np.int32(planes[p + north])) >> np.int32(5)
    for i in range(regressors.shape[0]):
        c = regressors[i, 0]
        offset = np.uint64(first + c * size + regressors[i, 1])
        for lane in range(BLOCK):
            f[i, lane] = (np.int32(planes[offset + position[lane]]) >> np.int32(4)) - bases[c, lane]


@helper
def _median(planes, p, c, size, stride, value, error):  # type: ignore[no-untyped-def]
    """Return the median predictor's reference for channel c of the pixel at p."""
    w = np.int32(planes[p + value - np.uint64(1)])
    n = np.int32(planes[p + value - np.uint64(stride)])
    nw = np.int32(planes[p + value - np.uint64(stride + 1)])
    r = min(max(w + n - nw, min(w, n)), max(w, n))
    if c > 0:
        r += np.int32(planes[p + error - np.uint64(size)])
    return min(max(r, np.int32(-256)), np.int32(4336))


@helper
def _collect(x, lanes, planes, position, anchors, channel, sharper, components, parameters):  # type: ignore[no-untyped-def]
    """Set ``parameters`` to those of a block's mixtures, as :func:`prepare` takes them, from the network's outputs."""
    anchored = anchors.shape[0] > 0
    for lane in range(lanes):
        for k in range(components):
            origin = np.int32(planes[anchors[channel, k] + position[lane]]) if anchored else np.int32(2048)
            parameters[k, lane] = origin + np.int32(x[lane, k])
            scale = np.int32(x[lane, components + k]) + np.int32(sharper)
            parameters[components + k, lane] = min(max(scale, 0), 63 + sharper)
            parameters[2 * components + k, lane] = min(max(x[lane, 2 * components + k] + 128, 0), 255)


@helper
def _interval_of_bit(v, ones):  # type: ignore[no-untyped-def]
    """Return ``(start, stop)`` of a sample of two levels, the upper of which has the probability ``ones``."""
    zeros = _TOTAL - np.int64(ones)
    return (zeros, _TOTAL) if v else (_ZERO, zeros)


@helper
def _find_bit(slot, ones):  # type: ignore[no-untyped-def]
    """Return ``(v, start, stop)`` of the sample of two levels whose interval holds ``slot``."""
    v = np.int64(slot >= _TOTAL - np.int64(ones))
    start, stop = _interval_of_bit(v, ones)
    return v, start, stop


@helper
def _spread_to_margins(planes, p, x, width, below, stride, value):  # type: ignore[no-untyped-def]
    """Write a sample where it stands in for what lies outside: left of the row below, and right of its own."""
    if x == 0 and below:
        for k in range(MARGIN):
            planes[p + np.uint64(stride - MARGIN + k)] = value
    if x == width - 1:
        for k in range(MARGIN):
            planes[p + np.uint64(1 + k)] = value


@helper
def _recall(  # type: ignore[no-untyped-def]
    planes, begin, lanes, n_images, position, c, unit_log2, memory0, size, memories, slots, unseen
):
    """Look up the memories of channel c for the pixels of a block, and note which entries those are in ``slots``."""
    owners, taps, ends, entries = memories
    shift = np.uint64(32) - np.uint64(_log2(entries.shape[2]))
    for k in range(owners.size):
        if owners[k] != c:
            continue
        memory_k, trust_k = np.uint64((memory0 + 2 * k) * size), np.uint64((memory0 + 2 * k + 1) * size)
        for lane in range(lanes):
            p = position[lane]
            key = np.uint64(1)
            for j in range(ends[k - 1] if k > 0 else 0, ends[k]):
                level = np.uint64(planes[p + taps[j]] >> unit_log2)
                key = ((key ^ level) * _MULTIPLIER) & _LOW_HALF
            slot = key >> shift
            slots[k, begin + lane] = slot
            entry = np.int64(entries[(begin + lane) % n_images, k, slot])
            if entry:
                planes[memory_k + p] = (entry & 255) << unit_log2
            else:
                planes[memory_k + p] = planes[unseen + p]
            planes[trust_k + p] = 64 * (entry >> 8)


@helper
def _learn(images, t, first, last, n_images, height, width, channels, memories, slots):  # type: ignore[no-untyped-def]
    """Let the memories of all images learn the samples of a step: rows ``first`` to ``last``."""
    owners, _, _, entries = memories
    for k in range(owners.size):
        for number in range(first * n_images, (last + 1) * n_images):
            y, i = number // n_images, number % n_images
            v = np.int64(images[((i * height + y) * width + t - SKEW * y) * channels + owners[k]])
            slot = slots[k, number]
            entry = np.int64(entries[i, k, slot])
            again = (entry & 255) == v  # an entry without a sample has a run of 0
            entries[i, k, slot] = v + 256 * (min((entry >> 8) + np.int64(1), _MAX_RUN) if again else np.int64(1))


@helper
def _log2(power):  # type: ignore[no-untyped-def]
    log2 = 0
    while power > 1:
        power >>= 1
        log2 += 1
    return log2


@kernel
def _code(  # type: ignore[no-untyped-def]
    heads, tail, length, mode, planes4, unit, levels, fmap, order, minuends, subtrahends, counts, kind, regressors,
    ridge, anchors, memories, weights, layout, table, distributions, images4, starts, freqs,
):  # fmt: skip
    inverses, exponentials, logistic, quantiles_of_logistic, logits = distributions
    sharper = inverses.size - 64
    n_images, height, width, channels = images4.shape
    images, planes = images4.reshape(-1), planes4.reshape(-1)
    stride = width + 2 * MARGIN
    plane_stride = (height + MARGIN) * stride
    size = n_images * plane_stride
    value0, reference0, error0, spread0 = 3, 3 + channels, 3 + 2 * channels, 3 + 3 * channels
    unit_log2 = _log2(unit)
    slots = np.zeros((memories[0].size, height * n_images), np.uint64)

    # The pixels of a block
    row, column, image = np.zeros(BLOCK, np.int64), np.zeros(BLOCK, np.int64), np.zeros(BLOCK, np.int64)
    pixel, position = np.zeros(BLOCK, np.uint64), np.zeros(BLOCK, np.uint64)

    # The adaptive predictor
    adaptive = kind == ADAPTIVE
    n_regressors = regressors.shape[0]
    order_n = n_regressors + channels if adaptive else 0
    entries = order_n * (order_n + 1) // 2
    row_sums, column_sums = memory(entries, n_images, height, width)
    f, bases = np.zeros((order_n, LANES), np.int32), np.zeros((channels, LANES), np.int32)
    moments, lower = np.zeros((entries, LANES)), np.zeros((entries, LANES))
    diagonal, innovations = np.ones((order_n, LANES)), np.zeros((order_n, LANES))
    diagonal_bits = diagonal.view(np.int64)
    predictions, emphasis = np.zeros(LANES), np.zeros(LANES, np.int32)

    # The network
    widest = WIDTH
    for i in range(layout.shape[0]):
        widest = max(widest, max(2 * layout[i, 1], layout[i, 3]))
    activations = np.zeros((2, BLOCK, widest), np.int16)
    n_map = fmap.shape[1]
    n_parameters = layout[layout.shape[0] - 1, 2]
    components = n_parameters // 3
    parameters = np.zeros((n_parameters, LANES), np.int32)
    edges, slopes, masses, centres, widths = mixtures(components)

    m = 0
    h, n_heads = np.uint64(0), np.uint64(heads.size)
    for t in range(width + SKEW * (height - 1)):
        first = max(0, (t - width + SKEW) // SKEW)
        last = min(height - 1, t // SKEW)
        for begin in range(first * n_images, (last + 1) * n_images, BLOCK):
            lanes = min(BLOCK, (last + 1) * n_images - begin)
            _place(t, begin, lanes, n_images, height, width, row, column, image, pixel, position, stride, plane_stride)
            if adaptive:
                _regress(planes, position, value0 * size, size, stride, regressors, bases, f)
                recall(moments, order_n, row_sums, column_sums, t, begin, lanes, n_images, width, ridge)
                factorise(moments, lower, diagonal, order_n)
                for i in range(n_regressors):
                    predict(lower, innovations, i, predictions)
                    innovate(f, i, predictions, innovations)

            layer = 0
            feature = 0
            for c in range(channels):
                value_c, reference_c = np.uint64((value0 + c) * size), np.uint64((reference0 + c) * size)
                error_c, spread_c = np.uint64((error0 + c) * size), np.uint64((spread0 + c) * size)
                if adaptive:
                    i = n_regressors + c
                    predict(lower, innovations, i, predictions)
                    for lane in range(lanes):
                        p = position[lane]
                        r = np.int32(16) * bases[c, lane] + (np.int32(predictions[lane]) >> np.int32(2))
                        planes[reference_c + p] = min(max(r, np.int32(-256)), np.int32(4336))
                        logarithm = (diagonal_bits[i, lane] >> 48) - (1023 << 4)
                        planes[spread_c + p] = 8 * (logarithm - 256)
                elif kind == MEDIAN:
                    for lane in range(lanes):
                        p = position[lane]
                        planes[reference_c + p] = _median(planes, p, c, size, stride, value_c, error_c)
                unseen = reference_c if kind else np.uint64(0)  # where there is no reference: the plane of zeros
                _recall(
                    planes,
                    begin,
                    lanes,
                    n_images,
                    position,
                    c,
                    unit_log2,
                    3 + 4 * channels,
                    size,
                    memories,
                    slots,
                    unseen,
                )

                if mode != SURVEY:
                    x, y = activations[0], activations[1]
                    end = feature + counts[c]
                    a, b = minuends[feature:end], subtrahends[feature:end]
                    feature = end
                    for lane in range(lanes):
                        p, inputs = position[lane], x[lane]
                        for j in range(a.size):
                            inputs[j] = table[np.uint16(planes[p + a[j]] - planes[p + b[j]])]
                        for j in range(n_map):
                            inputs[a.size + j] = fmap[image[lane], j, order[row[lane] * width + column[lane]]]
                    while layer < layout.shape[0] and layout[layer, 0] == c:
                        ends = layer + 1 == layout.shape[0] or layout[layer + 1, 0] != c
                        low, high = (-MAX_OUTPUT, MAX_OUTPUT) if ends else (0, 255)
                        groups = (lanes + ROWS - 1) // ROWS
                        pairs, wide, start_of_layer = layout[layer, 1], layout[layer, 3], layout[layer, 4]
                        dense(weights, start_of_layer, pairs, wide, low, high, x, y, groups, widest)
                        x, y = y, x
                        layer += 1
                    if levels == 2:
                        for lane in range(lanes):
                            parameters[0, lane] = min(max(np.int32(x[lane, 0]), np.int32(-128)), np.int32(127)) + 128
                    else:
                        _collect(x, lanes, planes, position, anchors, c, sharper, components, parameters)
                        prepare(
                            parameters, components, inverses, exponentials, _TOTAL - levels,
                            edges, slopes, masses, centres, widths,
                        )  # fmt: skip

                for lane in range(lanes):
                    sample = pixel[lane] * np.uint64(channels) + np.uint64(c)
                    if mode == DECODE:
                        slot = peek(heads[h], _PRECISION)
                        if levels == 2:
                            v, start, stop = _find_bit(np.int64(slot), logits[parameters[0, lane]])
                        else:
                            v, start, stop = find(
                                slot, lane, levels, logistic, edges, slopes, masses, centres, widths,
                                quantiles_of_logistic,
                            )  # fmt: skip
                        head = advance(heads[h], np.uint64(start), np.uint64(stop - start), _PRECISION)
                        heads[h], length = refill(head, tail, length)
                        if length < 0:
                            return np.int64(-1)
                        h = h + np.uint64(1) if h + np.uint64(1) < n_heads else np.uint64(0)
                        images[sample] = v
                    else:
                        v = np.int64(images[sample])
                    if mode == ENCODE:
                        if levels == 2:
                            start, stop = _interval_of_bit(v, logits[parameters[0, lane]])
                        else:
                            start, stop = interval(v, lane, levels, logistic, edges, slopes, masses)
                        starts[m], freqs[m] = start, stop - start
                        m += 1

                    p = position[lane]
                    value = np.int16(v * unit)
                    planes[value_c + p] = value
                    _spread_to_margins(planes, value_c + p, column[lane], width, row[lane] + 1 < height, stride, value)
                    if kind:
                        planes[error_c + p] = np.int32(value) - np.int32(planes[reference_c + p])
                    if adaptive:
                        f[n_regressors + c, lane] = np.int32(v) - bases[c, lane]
                if adaptive:
                    innovate(f, n_regressors + c, predictions, innovations)

            if adaptive:
                weigh(innovations, n_regressors, order_n, emphasis)
                remember(f, emphasis, lanes, row_sums, column_sums, t, begin, n_images, width)
        _learn(images, t, first, last, n_images, height, width, channels, memories, slots)
    return np.int64(length)
