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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder, Stack, peek, take
from bitsback.codecs.logistic import Tables, find, interval, mixtures, prepare, tables
from bitsback.codecs.tables import load
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel
from bitsback.kernels.vectors import ROWS, WIDTH, dense
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
from bitsback.kinds.context.regression import (
    Regression,
    factorise,
    innovate,
    predict,
    recall,
    regression,
    remember,
    weigh,
)

BLOCK = 8
"""Pixels that are coded channel by channel."""

PRECISION = 24

_TOTAL = 1 << PRECISION
_MULTIPLIER = 0x9E3779B1
_LOW_HALF = (1 << 32) - 1


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
        self._map: Map | None = None
        if features is not None:
            order = np.arange(area) if order is None else order
            self._map = Map(np.require(features, np.uint8, ["C", "A"]), np.require(order, np.int64, ["C", "A"]))
            fits = features.ndim == 3 and features.shape[:2] == (n, maps) and order.shape == (area,)
            if not fits or not 0 <= order.min() <= order.max() < features.shape[2]:
                raise CodecError(f"a feature map of shape {features.shape} does not fit the context network")
        elif maps:
            raise CodecError(f"the context network reads a feature map of {maps} channels")

    def push(self, stack: Stack, x: NDArray[np.uint8]) -> None:
        """Push images, uint8 of the codec's shape."""
        starts, freqs = self.intervals(x)
        stack.push(starts, freqs, PRECISION)

    def pop(self, stack: Stack) -> NDArray[np.uint8]:
        """Pop images; EmptyStackError if the stack holds too few bits."""
        out = np.zeros(self.shape, np.uint8)
        stack.pull(_decode, self._job(), out)
        return out

    def intervals(self, x: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The intervals of all samples, in coding order: starts and freqs, uint32 (x.size,)."""
        if x.shape != self.shape or x.dtype != np.uint8:
            raise CodecError(f"images must be uint8 {self.shape}, not {x.dtype} {x.shape}")
        if self.levels == 2 and x.size and x.max() > 1:
            raise CodecError("samples must be 0 and 1")
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _encode(self._job(), np.ascontiguousarray(x), starts, freqs)
        return starts, freqs

    def bits(self, x: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The ideal code length of each sample in bits, float64 of the codec's shape. For reports only."""
        found = np.empty(x.size, np.float64)
        found[positions(self.shape)] = PRECISION - np.log2(self.intervals(x)[1].astype(np.float64))
        return found.reshape(self.shape)

    def survey(self, x: NDArray[np.uint8]) -> NDArray[np.int16]:
        """The planes that taps read, int16 (planes, n, height + MARGIN, width + 2 MARGIN), for known images: what a
        network is trained on. :meth:`plane` numbers them."""
        job = self._job()
        _survey(job, np.ascontiguousarray(x))
        return job.planes

    def _job(self) -> Job:
        network, spec = self.network, self.network.spec
        n, height, width, channels = self.shape
        unit = UNIT if self.levels == 256 else BINARY_UNIT
        stride = width + 2 * MARGIN
        grid = Grid(n, height, width, channels, stride, n * (height + MARGIN) * stride)
        weights, layout, table = network.packed
        widest = max(WIDTH, 2 * int(layout[:, 1].max()), int(layout[:, 3].max()))
        return Job(
            grid,
            new_planes(network, self.shape, unit),
            unit.bit_length() - 1,
            self._references(grid),
            self._memories(grid) if spec.memories else None,
            self._features(grid, table),
            self._map,
            Layers(weights, layout, np.zeros((2, BLOCK, widest), np.int16)),
            self._likelihood(grid),
        )

    def _features(self, grid: Grid, table: NDArray[np.uint8]) -> Features:
        spec = self.network.spec
        taps = [(self._at(f.a, grid), self._at(f.b, grid)) for features in spec.features for f in features]
        minuends, subtrahends = np.ascontiguousarray(np.array(taps, np.int64).T)
        return Features(minuends, subtrahends, np.array([len(one) for one in spec.features], np.int64), table)

    def _references(self, grid: Grid) -> Regression | Median | None:
        spec = self.network.spec
        if spec.regression is None:
            return Median() if spec.median else None
        taps = np.array([[t.index, t.dy * grid.stride + t.dx] for t in spec.regression.taps], np.int64)
        return regression(taps, spec.regression.ridge, grid.images, grid.height, grid.width, grid.channels)

    def _likelihood(self, grid: Grid) -> Bits | Levels:
        if self.levels == 2:
            return Bits(logit_probabilities())
        sharper = -self.network.spec.lowest_scale
        return Levels(tables(sharper), self.network.parameters // 3, sharper, self._anchors(grid))

    def _anchors(self, grid: Grid) -> NDArray[np.int64] | None:
        """Where the mean of each component of each channel is counted from, relative to a pixel's position: int64
        (channels, components); None if all are counted from the middle of the range."""
        spec, components = self.network.spec, self.network.parameters // 3
        anchors = spec.anchors
        if not anchors and spec.has_reference:
            anchors = tuple((Tap("reference", c),) * components for c in range(grid.channels))
        if not anchors:
            return None
        return np.array([[self._at(tap, grid) for tap in taps] for taps in anchors], np.int64)

    def _memories(self, grid: Grid) -> Memories:
        """The memories before any sample is known."""
        memories = self.network.spec.memories
        taps = [self._at(tap, grid) for one in memories for tap in one.key]
        bits = min(MAX_MEMORY_BITS, (grid.height * grid.width - 1).bit_length())
        return Memories(
            np.array([one.channel for one in memories], np.int64),
            np.array(taps, np.int64),
            np.cumsum([len(one.key) for one in memories], dtype=np.int64),
            np.zeros((grid.images, len(memories), 1 << bits), np.uint16),
            np.zeros((len(memories), grid.height * grid.images), np.int64),
        )

    @staticmethod
    def _at(tap: Tap, grid: Grid) -> int:
        """How far a tap is from a pixel's position, in the array of planes."""
        return plane(tap, grid.channels) * grid.size + tap.dy * grid.stride + tap.dx


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


# The kernels ----------------------------------------------------------------------------------------------------------
#
# One text codes, decodes and surveys, with and without each of a network's abilities. What a job is None for, or is of
# another class, is not compiled (bitsback.kernels.language). The stages, for each block of a step:
#
#     _place         where its pixels are                        _gather      a network's inputs
#     _regress       predictors of all channels                  evaluate     its layers
#     and for each channel                                       _distribute  the distributions, from its outputs
#     _refer         what to expect, from predictors             _keep        a sample that is known now
#     _recall        ... and from memories


class Grid(NamedTuple):
    """Images side by side, and how their planes lie in memory: ``stride`` from row to row, ``size`` from plane to
    plane."""

    images: int
    height: int
    width: int
    channels: int
    stride: int
    size: int


class Features(NamedTuple):
    """What the networks read. Taps are distances in the array of planes from a pixel's position."""

    minuends: NDArray[np.int64]
    subtrahends: NDArray[np.int64]
    """(features,), those of all channels."""
    counts: NDArray[np.int64]
    """(channels,): how many are each channel's."""
    table: NDArray[np.uint8]
    """(65536,): the companding, by a difference of 16 bits, so that none needs to be held within bounds first."""


class Map(NamedTuple):
    """A feature map, and where in it each pixel is found."""

    features: NDArray[np.uint8]
    order: NDArray[np.int64]


class Layers(NamedTuple):
    """The networks, as :attr:`ContextNetwork.packed` has them, and room for inputs and outputs."""

    weights: NDArray[np.int32]
    layout: NDArray[np.int64]
    activations: NDArray[np.int16]
    """(2, BLOCK, width of the widest layer)"""


class Median(NamedTuple):
    """References come from the median predictor."""


class Memories(NamedTuple):
    """All memories: their channels; the taps of all keys, and where each key ends; what they hold, uint16 (n, memories,
    entries), a sample and 256 times its run; and which entry each pixel of a step has looked up."""

    owners: NDArray[np.int64]
    taps: NDArray[np.int64]
    ends: NDArray[np.int64]
    entries: NDArray[np.uint16]
    slots: NDArray[np.int64]


class Bits(NamedTuple):
    """Two-valued samples: P(1) by logit."""

    probabilities: NDArray[np.uint32]


class Levels(NamedTuple):
    """Samples of 256 levels: mixtures, with ``sharper`` more indices of scales below 0; ``anchors``: see
    :meth:`ContextCodec._anchors`, None if means are counted from the middle of the range."""

    tables: Tables
    components: int
    sharper: int
    anchors: NDArray[np.int64] | None


class Job(NamedTuple):
    """All that is the same for all samples."""

    grid: Grid
    planes: NDArray[np.int16]
    unit_log2: int
    reference: Regression | Median | None
    memories: Memories | None
    features: Features
    map: Map | None
    layers: Layers
    likelihood: Bits | Levels


class Block(NamedTuple):
    """Where pixels are: row, column and image, which sample is their first, and where they are in a plane."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    image: NDArray[np.int64]
    sample: NDArray[np.int64]
    position: NDArray[np.int64]


@kernel
def _survey(job, images):  # type: ignore[no-untyped-def]
    _code(job, images, None, 0)


@kernel
def _encode(job, images, starts, freqs):  # type: ignore[no-untyped-def]
    _code(job, images, Encoder(starts, freqs), 0)


@kernel
def _decode(heads, tail, length, job, images):  # type: ignore[no-untyped-def]
    return _code(job, images, Decoder(heads, tail), length)


@helper
def _code(job, images4, coder, length):  # type: ignore[no-untyped-def]
    """Walk through all samples of all images in coding order; return the stack's length, or -1 if it ran out."""
    grid, planes, images = job.grid, job.planes.reshape(-1), images4.reshape(-1)
    levels = isinstance(job.likelihood, Levels)
    room = mixtures(job.likelihood.components) if levels else np.zeros(BLOCK, np.int64)
    block = Block(
        np.zeros(BLOCK, np.int64), np.zeros(BLOCK, np.int64), np.zeros(BLOCK, np.int64), np.zeros(BLOCK, np.int64),
        np.zeros(BLOCK, np.int64),
    )  # fmt: skip
    symbol, head = 0, 0
    for t in range(grid.width + SKEW * (grid.height - 1)):
        first, last = max(0, (t - grid.width + SKEW) // SKEW), min(grid.height - 1, t // SKEW)
        for begin in range(first * grid.images, (last + 1) * grid.images, BLOCK):
            lanes = min(BLOCK, (last + 1) * grid.images - begin)
            _place(block, grid, t, begin, lanes)
            if isinstance(job.reference, Regression):
                _regress(job.reference, grid, planes, block, t, begin, lanes)
            layer, feature = 0, 0
            for c in range(grid.channels):
                if job.reference is not None:
                    _refer(job.reference, grid, planes, block, lanes, c)
                if job.memories is not None:
                    _recall(job, planes, block, begin, lanes, c)
                if coder is not None:
                    feature = _gather(job, planes, block, lanes, c, feature)
                    layer, outputs = evaluate(job.layers, lanes, c, layer)
                    _distribute(job.likelihood, room, planes, block, lanes, c, outputs)
                for lane in range(lanes):
                    sample = block.sample[lane] + c
                    if isinstance(coder, Decoder):
                        slot = peek(coder.heads[head], PRECISION)
                        v, start, stop = find_in(job.likelihood, room, lane, slot)
                        length = take(coder.heads, coder.tail, length, head, start, stop, PRECISION)
                        if length < 0:
                            return -1
                        head = head + 1 if head + 1 < coder.heads.size else 0
                        images[sample] = v
                    else:
                        v = images[sample]
                    if isinstance(coder, Encoder):
                        start, stop = interval_of(job.likelihood, room, lane, v)
                        coder.starts[symbol], coder.freqs[symbol] = start, stop - start
                        symbol += 1
                    _keep(job, planes, block, lane, c, v)
                if isinstance(job.reference, Regression):
                    known = job.reference
                    innovate(known.f, known.taps.shape[0] + c, known.predictions, known.innovations)
            if isinstance(job.reference, Regression):
                _learn_moments(job.reference, grid, t, begin, lanes)
        if job.memories is not None:
            _learn(job.memories, grid, images, t, first, last)
    return length


@helper
def _place(block, grid, t, begin, lanes):  # type: ignore[no-untyped-def]
    """Set where the pixels of a block are. Lanes without a pixel repeat the last one."""
    y, i = begin // grid.images, begin % grid.images
    for lane in range(BLOCK):
        x = t - SKEW * y
        block.row[lane], block.column[lane], block.image[lane] = y, x, i
        block.sample[lane] = ((i * grid.height + y) * grid.width + x) * grid.channels
        block.position[lane] = (i * (grid.height + MARGIN) + y + MARGIN) * grid.stride + x + MARGIN
        if lane + 1 < lanes:
            i += 1
            if i == grid.images:
                i, y = 0, y + 1


@helper
def _value(grid, c):  # type: ignore[no-untyped-def]
    """Where the samples of channel c begin in the array of planes."""
    return (3 + c) * grid.size


@helper
def _reference(grid, c):  # type: ignore[no-untyped-def]
    return (3 + grid.channels + c) * grid.size


@helper
def _error(grid, c):  # type: ignore[no-untyped-def]
    return (3 + 2 * grid.channels + c) * grid.size


@helper
def _spread(grid, c):  # type: ignore[no-untyped-def]
    return (3 + 3 * grid.channels + c) * grid.size


@helper
def _regress(known, grid, planes, block, t, begin, lanes):  # type: ignore[no-untyped-def]
    """Set the bases of each channel and the regressors that taps give, and predictors of all channels from these."""
    for c in range(grid.channels):
        west, north = _value(grid, c) - 1, _value(grid, c) - grid.stride
        for lane in range(BLOCK):
            p = block.position[lane]
            known.bases[c, lane] = (planes[p + west] + planes[p + north]) >> 5
    taps = known.taps.shape[0]
    for i in range(taps):
        c = known.taps[i, 0]
        offset = _value(grid, c) + known.taps[i, 1]
        for lane in range(BLOCK):
            known.f[i, lane] = (planes[offset + block.position[lane]] >> 4) - known.bases[c, lane]
    recall(
        known.moments, taps + grid.channels, known.rows, known.columns, t, begin, lanes, grid.images, grid.width,
        known.ridge,
    )  # fmt: skip
    factorise(known.moments, known.lower, known.diagonal, taps + grid.channels)
    for i in range(taps):
        predict(known.lower, known.innovations, i, known.predictions)
        innovate(known.f, i, known.predictions, known.innovations)


@helper
def _learn_moments(known, grid, t, begin, lanes):  # type: ignore[no-untyped-def]
    """Add a block's moments to the sums, now that all of its samples are known."""
    weigh(known.innovations, known.taps.shape[0], known.f.shape[0], known.weights)
    remember(known.f, known.weights, lanes, known.rows, known.columns, t, begin, grid.images, grid.width)


@helper
def _refer(reference, grid, planes, block, lanes, c):  # type: ignore[no-untyped-def]
    """Set what channel c of a block's pixels is predicted to be; and, of the adaptive predictor, how surely."""
    if isinstance(reference, Regression):
        i = reference.taps.shape[0] + c
        predict(reference.lower, reference.innovations, i, reference.predictions)
        bits = reference.diagonal.view(np.int64)
        for lane in range(lanes):
            p = block.position[lane]
            level = 16 * reference.bases[c, lane] + (np.int32(reference.predictions[lane]) >> 2)
            planes[_reference(grid, c) + p] = min(max(level, -256), 4336)
            planes[_spread(grid, c) + p] = 8 * ((bits[i, lane] >> 48) - (1023 << 4) - 256)
    else:
        for lane in range(lanes):
            p = block.position[lane]
            here = _value(grid, c) + p
            w, n, nw = planes[here - 1], planes[here - grid.stride], planes[here - grid.stride - 1]
            level = min(max(w + n - nw, min(w, n)), max(w, n))
            if c > 0:
                level += planes[_error(grid, c - 1) + p]
            planes[_reference(grid, c) + p] = min(max(level, -256), 4336)


@helper
def _recall(job, planes, block, begin, lanes, c):  # type: ignore[no-untyped-def]
    """Look up the memories of channel c for the pixels of a block, and note which entries those are."""
    grid, memories, unit_log2 = job.grid, job.memories, job.unit_log2
    shift = 32 - _log2(memories.entries.shape[2])
    unseen = _reference(grid, c) if job.reference is not None else 0  # the plane of zeros
    for k in range(memories.owners.size):
        if memories.owners[k] != c:
            continue
        memory_k = (3 + 4 * grid.channels + 2 * k) * grid.size
        for lane in range(lanes):
            p = block.position[lane]
            key = 1
            for j in range(memories.ends[k - 1] if k > 0 else 0, memories.ends[k]):
                level = planes[p + memories.taps[j]] >> unit_log2
                key = ((key ^ level) * _MULTIPLIER) & _LOW_HALF
            slot = key >> shift
            memories.slots[k, begin + lane] = slot
            entry = memories.entries[(begin + lane) % grid.images, k, slot]
            planes[memory_k + p] = (entry & 255) << unit_log2 if entry else planes[unseen + p]
            planes[memory_k + grid.size + p] = 64 * (entry >> 8)


@helper
def _learn(memories, grid, images, t, first, last):  # type: ignore[no-untyped-def]
    """Let the memories of all images learn the samples of a step: rows ``first`` to ``last``."""
    for k in range(memories.owners.size):
        for number in range(first * grid.images, (last + 1) * grid.images):
            y, i = number // grid.images, number % grid.images
            pixel = (i * grid.height + y) * grid.width + t - SKEW * y
            v = images[pixel * grid.channels + memories.owners[k]]
            slot = memories.slots[k, number]
            entry = memories.entries[i, k, slot]
            again = (entry & 255) == v  # an entry without a sample has a run of 0
            memories.entries[i, k, slot] = v + 256 * (min((entry >> 8) + 1, MAX_RUN) if again else 1)


@helper
def _log2(power):  # type: ignore[no-untyped-def]
    log2 = 0
    while power > 1:
        power >>= 1
        log2 += 1
    return log2


@helper
def _gather(job, planes, block, lanes, c, first):  # type: ignore[no-untyped-def]
    """Set the inputs of channel c's network; its features begin at ``first``. Return where the next channel's do."""
    features, seen = job.features, job.map
    end = first + features.counts[c]
    a, b = features.minuends[first:end], features.subtrahends[first:end]
    for lane in range(lanes):
        p, inputs = block.position[lane], job.layers.activations[0, lane]
        for j in range(a.size):
            inputs[j] = features.table[np.uint16(planes[p + a[j]] - planes[p + b[j]])]
        if seen is not None:
            place = seen.order[block.row[lane] * job.grid.width + block.column[lane]]
            for j in range(seen.features.shape[1]):
                inputs[a.size + j] = seen.features[block.image[lane], j, place]
    return end


@helper
def evaluate(layers, lanes, c, layer):  # type: ignore[no-untyped-def]
    """Run channel c's network, whose first layer is given; return the next channel's, and the outputs by lane."""
    layout, (x, y) = layers.layout, (layers.activations[0], layers.activations[1])
    while layer < layout.shape[0] and layout[layer, 0] == c:
        ends = layer + 1 == layout.shape[0] or layout[layer + 1, 0] != c
        low, high = (-MAX_OUTPUT, MAX_OUTPUT) if ends else (0, 255)
        pairs, wide, start = layout[layer, 1], layout[layer, 3], layout[layer, 4]
        dense(layers.weights, start, pairs, wide, low, high, x, y, (lanes + ROWS - 1) // ROWS, x.shape[1])
        x, y = y, x
        layer += 1
    return layer, x


@helper
def _distribute(likelihood, room, planes, block, lanes, c, outputs):  # type: ignore[no-untyped-def]
    """Turn outputs into what :func:`find_in` and :func:`interval_of` read in ``room``."""
    if isinstance(likelihood, Bits):
        for lane in range(lanes):
            room[lane] = likelihood.probabilities[min(max(outputs[lane, 0], -128), 127) + 128]
        return
    parameters, components, anchors = room.parameters, likelihood.components, likelihood.anchors
    for lane in range(lanes):
        for k in range(components):
            origin = 2048 if anchors is None else planes[anchors[c, k] + block.position[lane]]
            parameters[k, lane] = origin + outputs[lane, k]
            scale = outputs[lane, components + k] + likelihood.sharper
            parameters[components + k, lane] = min(max(scale, 0), 63 + likelihood.sharper)
            parameters[2 * components + k, lane] = min(max(outputs[lane, 2 * components + k] + 128, 0), 255)
    prepare(room, likelihood.tables, 256)


@helper
def interval_of(likelihood, room, lane, v):  # type: ignore[no-untyped-def]
    """Return ``(start, stop)`` of a sample."""
    if isinstance(likelihood, Levels):
        return interval(v, lane, 256, room, likelihood.tables.logistic)
    zeros = _TOTAL - room[lane]
    return (zeros, _TOTAL) if v else (0, zeros)


@helper
def find_in(likelihood, room, lane, slot):  # type: ignore[no-untyped-def]
    """Return ``(v, start, stop)`` of the sample whose interval holds ``slot``."""
    if isinstance(likelihood, Levels):
        return find(slot, lane, 256, room, likelihood.tables)
    v = np.int64(slot >= _TOTAL - room[lane])
    start, stop = interval_of(likelihood, room, lane, v)
    return v, start, stop


@helper
def _keep(job, planes, block, lane, c, v):  # type: ignore[no-untyped-def]
    """Write a sample where others will look for it: also in the margins, where it stands in for what lies outside."""
    grid, p = job.grid, block.position[lane]
    value, here = v << job.unit_log2, _value(grid, c) + p
    planes[here] = value
    if block.column[lane] == 0 and block.row[lane] + 1 < grid.height:  # left of the row below
        for k in range(grid.stride - MARGIN, grid.stride):
            planes[here + k] = value
    if block.column[lane] == grid.width - 1:  # right of its own
        for k in range(1, MARGIN + 1):
            planes[here + k] = value
    if job.reference is not None:
        planes[_error(grid, c) + p] = value - planes[_reference(grid, c) + p]
    if isinstance(job.reference, Regression):
        job.reference.f[job.reference.taps.shape[0] + c, lane] = v - job.reference.bases[c, lane]
