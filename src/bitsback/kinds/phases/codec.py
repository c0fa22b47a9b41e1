"""Images of one shape coded grid by grid: each step of :mod:`bitsback.kinds.phases.grids` is one array of symbols.

A step's samples follow one another by image, row and column, and are taken in blocks of ``BLOCK``; within a block first
come all first channels, then all second ones, and so on. Before the first step comes the one sample of the coarsest
level, of all images, as if it were a step. Everything that the distributions of a step depend on is known before it,
but for earlier channels at the same place: so networks run on whole grids of many images at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder, Stack, peek, take
from bitsback.codecs.logistic import mixtures, prepare, tables
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel
from bitsback.kinds.context.codec import (
    PRECISION,
    Bits,
    Layers,
    Levels,
    evaluate,
    find_in,
    interval_of,
    logit_probabilities,
)
from bitsback.kinds.context.network import every_difference, packed_layers
from bitsback.kinds.phases.grids import NEAR, PHASES, Step, offsets, place, steps
from bitsback.kinds.phases.network import FOLLOW_SHIFT, Head, Networks, PhasesSpec
from bitsback.kinds.phases.sight import BLOCK, Prediction, Sight, Surroundings, look, room
from bitsback.nets.engine import Runner
from bitsback.nets.layers import Weights

MIDDLE = 2048
"""What the coarsest level's sample is expected to be, in sixteenths of a level."""

Images = NDArray[np.uint8]


class Ready:
    """Networks with runners for their trunks, packed for the kernels.

    ``runs``: of the three trunks, on images of any size, channels last.
    """

    def __init__(self, networks: Networks, runs: Sequence[Runner]) -> None:
        self.networks, self.runs = networks, runs
        self.channels, self.spec = networks.channels, networks.spec
        self._table = every_difference(networks.table)

    def prediction(self, step: Step) -> Prediction | None:
        """What a step's samples are predicted with."""
        return self._predictions.get((self.spec.class_of(step.level), step.phase))

    def layers(self, step: Step | None) -> Layers:
        """The heads of a step, with room for what they compute; None: of the coarsest level's sample."""
        weights, layout = self._packed[None if step is None else (self.spec.class_of(step.level), step.phase)]
        widest = max(16, 2 * int(layout[:, 1].max()), int(layout[:, 3].max()))
        return Layers(weights, layout, np.zeros((2, BLOCK, widest), np.int16))

    @cached_property
    def _predictions(self) -> dict[tuple[int, int], Prediction]:
        filters = self.networks.filters.items()
        return {where: prediction(self._table, one) for where, one in filters}

    @cached_property
    def _packed(self) -> dict[tuple[int, int] | None, tuple[NDArray[np.int32], NDArray[np.int64]]]:
        heads: list[tuple[tuple[int, int] | None, Head]] = [(None, self.networks.base), *self.networks.heads.items()]
        return {where: packed_layers(head) for where, head in heads}

    @cached_property
    def likelihood(self) -> Bits | Levels:
        parameters = self.networks.parameters
        return Levels(tables(), parameters // 3, 0, None) if parameters > 1 else Bits(logit_probabilities())

    @property
    def table(self) -> NDArray[np.uint8]:
        """The companding, by a difference of 16 bits."""
        return self._table


def prediction(table: NDArray[np.uint8], filters: Weights) -> Prediction:
    """What samples are predicted with; ``table``: as :func:`every_difference` gives it."""
    return Prediction(table, packed_layers([[filters]])[0])


def surroundings(spec: PhasesSpec, channels: int, step: Step, height: int, width: int) -> Surroundings:
    """What a step sees of images of (height, width). Not to be written to."""
    return _surroundings(spec.classes, spec.reach, spec.period, spec.edges, channels, step, height, width)


@lru_cache(256)
def _surroundings(
    classes: int, reach: int, period: int, edges: bool, channels: int, step: Step, height: int, width: int
) -> Surroundings:
    y, x = PHASES[step.phase]
    rows, columns = offsets(step, reach, height, width, channels)
    level = np.zeros((step.height, classes), np.uint8)
    level[:, min(step.level, classes - 1)] = 255
    of_rows, of_columns = (
        _seen((2 * np.arange(count) + start) << step.level, length, period, edges)
        for count, start, length in ((step.height, y, height), (step.width, x, width))
    )
    return Surroundings(rows, columns, np.concatenate([level, of_rows], 1), of_columns)


def _seen(places: NDArray[np.int64], length: int, period: int, edges: bool) -> NDArray[np.uint8]:
    """What is shown of rows, or columns, uint8 (places, ...): the distances from both edges, and the remainders."""
    found = [np.zeros((len(places), 0), np.uint8)]
    if edges:
        found.append(np.stack([8 * places, 8 * (length - 1 - places)], 1).clip(0, 255).astype(np.uint8))
    if period:
        # Of a level either even or odd ones are asked for
        found.append(255 * np.eye(period // 2, dtype=np.uint8)[places % period // 2])
    return np.ascontiguousarray(np.concatenate(found, 1))


class PhasesCodec:
    """n images of one shape as one symbol of a :class:`bitsback.codecs.Codec`.

    Args:
        ready: the networks.
        shape: (n, height, width, channels), channels in coding order.
    """

    def __init__(self, ready: Ready, shape: tuple[int, int, int, int]) -> None:
        self.ready, self.shape = ready, shape
        if shape[3] != ready.channels or min(shape) < 1:
            raise CodecError(f"the model does not take images of shape {shape}")

    def push(self, stack: Stack, x: Images) -> None:
        """Push images, uint8 of the codec's shape."""
        for starts, freqs in reversed(list(self._intervals(x))):
            stack.push(starts, freqs, PRECISION)

    def pop(self, stack: Stack) -> Images:
        """Pop images; EmptyStackError if the stack holds too few bits."""
        x = np.zeros(self.shape, np.uint8)
        for step in self._steps():
            stack.pull(_decode, self._job(step, x), x)
        return x

    def bits(self, x: Images) -> NDArray[np.float64]:
        """The ideal code length of each sample in bits, float64 of the codec's shape. For reports only."""
        found = np.empty(x.size, np.float64)
        for step, (_, freqs) in zip(self._steps(), self._intervals(x), strict=True):
            found[self.positions(step)] = PRECISION - np.log2(freqs.astype(np.float64))
        return found.reshape(self.shape)

    def positions(self, step: Step | None) -> NDArray[np.int64]:
        """Where in the images, flattened, the samples of a step are, in coding order."""
        n, height, width, channels = self.shape
        start, row, column = self._place(step)
        rows, columns = (step.height, step.width) if step else (1, 1)
        grid = np.arange(n)[:, None, None] * (height * width * channels) + start
        pixels = (grid + np.arange(rows)[:, None] * row + np.arange(columns) * column).reshape(-1)
        padded = np.full(-(-len(pixels) // BLOCK) * BLOCK, -channels)
        padded[: len(pixels)] = pixels
        order = (padded.reshape(-1, 1, BLOCK) + np.arange(channels)[:, None]).reshape(-1)
        return order[order >= 0]

    def _steps(self) -> Iterator[Step | None]:
        yield None
        yield from steps(*self.shape[1:3])

    def _place(self, step: Step | None) -> tuple[int, int, int]:
        return place(step, *self.shape[2:]) if step else (0, 0, 0)

    def _intervals(self, x: Images) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32]]]:
        """Starts and freqs of each step's samples, in coding order."""
        if x.shape != self.shape or x.dtype != np.uint8:
            raise CodecError(f"images must be uint8 {self.shape}, not {x.dtype} {x.shape}")
        x = np.ascontiguousarray(x)
        for step in self._steps():
            count = x.size // (self.shape[1] * self.shape[2]) * (step.height * step.width if step else 1)
            starts, freqs = np.empty(count, np.uint32), np.empty(count, np.uint32)
            _encode(self._job(step, x), x, starts, freqs)
            yield starts, freqs

    def _job(self, step: Step | None, x: Images) -> Job:
        """All that the samples of a step depend on, given the samples of ``x`` that come before them."""
        n, height, width, channels = self.shape
        ready, predicted = self.ready, self.ready.networks.predicted
        if step is None:
            seen = Sight(
                np.full((n, 1), 255, np.uint8),
                np.full((n, channels), MIDDLE, np.int16),
                np.zeros((n, channels, NEAR), np.int16),
            )
            grid, maps = (n, 1, 1), seen.features
        else:
            grid = (n, step.height, step.width)
            around = surroundings(ready.spec, channels, step, height, width)
            seen = room(n * step.height * step.width, around, channels, predicted)
            look(x, around, ready.prediction(step), seen)
            maps = ready.runs[step.phase](seen.features.reshape(*grid, -1)).reshape(len(seen.features), -1)
        where = Place(*grid, height * width * channels, *self._place(step))
        return Job(where, maps, seen.predictions, seen.near, ready.table, ready.layers(step), ready.likelihood)


# The kernels ----------------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """A grid of all images, and where its samples are: ``size`` from image to image, the first at ``start``, ``row``
    and ``column`` to the next ones."""

    images: int
    height: int
    width: int
    size: int
    start: int
    row: int
    column: int


class Job(NamedTuple):
    """All that is the same for all samples of a step."""

    place: Place
    maps: NDArray[np.uint8]
    """(samples, maps)"""
    predictions: NDArray[np.int16]
    near: NDArray[np.int16]
    table: NDArray[np.uint8]
    layers: Layers
    likelihood: Bits | Levels


@kernel
def _encode(job, images, starts, freqs):  # type: ignore[no-untyped-def]
    _code(job, images, Encoder(starts, freqs), 0)


@kernel
def _decode(heads, tail, length, job, images):  # type: ignore[no-untyped-def]
    return _code(job, images, Decoder(heads, tail), length)


@helper
def _code(job, images4, coder, length):  # type: ignore[no-untyped-def]
    """Walk through all samples of a step in coding order; return the stack's length, or -1 if it ran out."""
    place, images, channels = job.place, images4.reshape(-1), images4.shape[3]
    levels = isinstance(job.likelihood, Levels)
    room = mixtures(job.likelihood.components) if levels else np.zeros(BLOCK, np.int64)
    samples = np.zeros(BLOCK, np.int64)
    symbol, head = 0, 0
    i, y, x = 0, 0, 0
    for begin in range(0, place.images * place.height * place.width, BLOCK):
        lanes = min(BLOCK, place.images * place.height * place.width - begin)
        for lane in range(lanes):
            samples[lane] = i * place.size + place.start + y * place.row + x * place.column
            x += 1
            if x == place.width:
                x, y = 0, y + 1
            if y == place.height:
                y, i = 0, i + 1
        layer = 0
        for c in range(channels):
            _gather(job, images, samples, begin, lanes, c)
            layer, outputs = evaluate(job.layers, lanes, c, layer)
            _distribute(job, room, images, samples, begin, lanes, c, outputs)
            for lane in range(lanes):
                at = samples[lane] + c
                if isinstance(coder, Decoder):
                    v, start, stop = find_in(job.likelihood, room, lane, peek(coder.heads[head], PRECISION))
                    length = take(coder.heads, coder.tail, length, head, start, stop, PRECISION)
                    if length < 0:
                        return -1
                    head = head + 1 if head + 1 < coder.heads.size else 0
                    images[at] = v
                else:
                    start, stop = interval_of(job.likelihood, room, lane, images[at])
                    coder.starts[symbol], coder.freqs[symbol] = start, stop - start
                    symbol += 1
    return length


@helper
def _gather(job, images, samples, begin, lanes, c):  # type: ignore[no-untyped-def]
    """Set the inputs of channel c's head: the map, and for each earlier channel its error and how large it is."""
    maps = job.maps.shape[1]
    hidden = job.layers.layout[0, 0] == job.layers.layout[min(1, job.layers.layout.shape[0] - 1), 0]
    for lane in range(lanes):
        inputs, p = job.layers.activations[0, lane], begin + lane
        if hidden or c == 0:  # else the map is still there
            seen = job.maps[p]
            for k in range(maps):
                inputs[k] = seen[k]
        for j in range(c):
            v = images[samples[lane] + j]
            if isinstance(job.likelihood, Bits):
                inputs[maps + 2 * j] = 255 * v
                inputs[maps + 2 * j + 1] = 255 - 255 * v
            else:
                error = job.table[np.uint16(16 * v - job.predictions[p, j])]
                inputs[maps + 2 * j] = error
                inputs[maps + 2 * j + 1] = min(2 * abs(error - 128), 255)


@helper
def _distribute(job, room, images, samples, begin, lanes, c, outputs):  # type: ignore[no-untyped-def]
    """Turn outputs into what :func:`find_in` and :func:`interval_of` read in ``room``."""
    likelihood = job.likelihood
    if isinstance(likelihood, Bits):
        for lane in range(lanes):
            room[lane] = likelihood.probabilities[min(max(outputs[lane, 0], -128), 127) + 128]
        return
    components, parameters = likelihood.components, room.parameters
    for lane in range(lanes):
        p, out = begin + lane, outputs[lane]
        follow = 0
        for t in range(NEAR):
            follow += out[3 * components + t] * job.near[p, c, t]
        for j in range(c):
            error = 16 * images[samples[lane] + j] - job.predictions[p, j]
            follow += out[3 * components + NEAR + j] * error
        origin = job.predictions[p, c] + (follow >> FOLLOW_SHIFT)
        for k in range(components):
            parameters[k, lane] = origin + out[k]
            parameters[components + k, lane] = min(max(out[components + k], 0), 63)
            parameters[2 * components + k, lane] = min(max(out[2 * components + k] + 128, 0), 255)
    prepare(room, likelihood.tables, 256)
