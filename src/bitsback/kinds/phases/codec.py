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

from bitsback.ans import Decoder, Encoder, Stack, peek, peek_all, take
from bitsback.codecs.logistic import bound, found, guess, mixtures, prepare, tables
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel
from bitsback.kinds.context.codec import (
    PRECISION,
    Bits,
    Levels,
    find_in,
    interval_of,
    logit_probabilities,
)
from bitsback.kinds.context.network import every_difference, rounded_bias
from bitsback.kinds.phases.grids import NEAR, PHASES, Step, known, lent, place, spread, steps, taps
from bitsback.kinds.phases.heads import Heads, Packed, err, evaluate, mixed, pack, ready, show
from bitsback.kinds.phases.network import Head, Networks, PhasesSpec
from bitsback.kinds.phases.sight import Prediction, Sight, Surroundings, look, plane_size, room
from bitsback.nets.engine import Runner
from bitsback.nets.layers import Weights

BLOCK = 8
"""Samples of a channel that are coded one after the other."""

MIDDLE = 2048
"""What the coarsest level's sample is expected to be, in sixteenths of a level."""

Images = NDArray[np.uint8]


class Ready:
    """Networks with runners for their trunks, packed for the kernels.

    ``runs``: of the three trunks, on images of any size, channels last. ``table``: the companding, by a difference of
    16 bits.
    """

    def __init__(self, networks: Networks, runs: Sequence[Runner]) -> None:
        self.networks, self.runs = networks, runs
        self.channels, self.spec = networks.channels, networks.spec
        self.table = every_difference(networks.table)

    def prediction(self, step: Step) -> Prediction | None:
        """What a step's samples are predicted with."""
        return self._predictions.get((self.spec.class_of(step.level), step.phase))

    def heads(self, step: Step | None) -> Heads:
        """The heads of a step, with room for what they compute; None: of the coarsest level's sample."""
        return ready(self._packed[None if step is None else (self.spec.class_of(step.level), step.phase)])

    @cached_property
    def _predictions(self) -> dict[tuple[int, int], Prediction]:
        filters = self.networks.filters.items()
        return {where: prediction(self.table, one, self.spec.read(where[1])) for where, one in filters}

    @cached_property
    def _packed(self) -> dict[tuple[int, int] | None, Packed]:
        heads: list[tuple[tuple[int, int] | None, Head]] = [(None, self.networks.base), *self.networks.heads.items()]
        return {where: pack(head, self.spec.maps(None if where is None else where[1])) for where, head in heads}

    @cached_property
    def likelihood(self) -> Bits | Levels:
        """How distributions come about."""
        parameters = self.networks.parameters
        return Levels(tables(), parameters // 3, 0, None) if parameters > 1 else Bits(logit_probabilities())


def prediction(table: NDArray[np.uint8], filters: Weights, counts: Sequence[int]) -> Prediction:
    """What samples are predicted with; ``table``: as :func:`every_difference` gives it. ``counts``: taps by channel."""
    parts, first = [], 0
    for count in counts:
        part = np.zeros((len(filters.weight), -(-count // 2) * 2), np.int16)
        part[:, :count] = filters.weight[:, first : first + count]
        parts.append(part)
        first += count
    paired = np.ascontiguousarray(np.concatenate(parts, 1)).view(np.int32)
    return Prediction(table, paired, rounded_bias(filters).astype(np.int32), filters.shift.astype(np.int32))


def surroundings(spec: PhasesSpec, step: Step, height: int, width: int) -> Surroundings:
    """What a step sees of images of (height, width). Not to be written to."""
    return _surroundings(spec.classes, spec.reach, spec.predicts, spec.period, spec.edges, step, height, width)


@lru_cache(256)
def _surroundings(
    classes: int,
    reach: tuple[int, ...],
    predicts: tuple[int, ...],
    period: int,
    edges: bool,
    step: Step,
    height: int,
    width: int,
) -> Surroundings:
    y, x = PHASES[step.phase]
    level = np.zeros((step.height, classes), np.uint8)
    level[:, min(step.level, classes - 1)] = 255
    of_rows, of_columns = (
        _seen((2 * np.arange(count) + start) << step.level, length, period, edges)
        for count, start, length in ((step.height, y, height), (step.width, x, width))
    )
    read, farthest = predicts or reach, max(predicts or reach)
    counts, seen = (np.array([len(taps(step.phase, one)) for one in each], np.int64) for each in (read, reach))
    rows, stride = plane_size(step.height, step.width, farthest)
    offsets = np.zeros((len(read), -(-int(counts.max()) // 2) * 2), np.int64)
    for c, each in enumerate(read):  # an odd one is joined by a tap whose weight is 0
        grid, dy, dx = np.array(taps(step.phase, each)).T
        offsets[c, : counts[c]] = (grid * rows + dy + farthest) * stride + dx + farthest
    grids = known(step, height, width, len(reach))
    shown = np.concatenate([level, of_rows], 1)
    return Surroundings(step.height, step.width, grids, counts, offsets, seen, farthest, shown, of_columns)


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
        maps: what latents say, uint8 (n, map height, map width, map), for a model with latents. Steps that
            :func:`bitsback.kinds.phases.grids.lent` names read zeros, as all do without.
    """

    def __init__(self, ready: Ready, shape: tuple[int, int, int, int], maps: NDArray[np.uint8] | None = None) -> None:
        self.ready, self.shape, self._maps = ready, shape, maps
        self.steps: list[Step | None] = [None, *steps(*shape[1:3])]
        if shape[3] != ready.channels or min(shape) < 1:
            raise CodecError(f"the model does not take images of shape {shape}")

    def push(self, stack: Stack, x: Images) -> None:
        """Push images, uint8 of the codec's shape."""
        self.push_steps(stack, x, self.steps)

    def pop(self, stack: Stack) -> Images:
        """Pop images; EmptyStackError if the stack holds too few bits."""
        x = np.zeros(self.shape, np.uint8)
        self.pop_steps(stack, x, self.steps)
        return x

    def push_steps(self, stack: Stack, x: Images, some: Sequence[Step | None]) -> None:
        """Push the samples of some steps, the last one first."""
        for starts, freqs in reversed(list(self._intervals(x, some))):
            stack.push(starts, freqs, PRECISION)

    def pop_steps(self, stack: Stack, x: Images, some: Sequence[Step | None]) -> None:
        """Pop the samples of some steps into images that hold all of those before."""
        for step in some:
            stack.pull(_decode, self._job(step, x), x)

    def bits(self, x: Images) -> NDArray[np.float64]:
        """The ideal code length of each sample in bits, float64 of the codec's shape. For reports only."""
        found = np.empty(x.size, np.float64)
        for step, (_, freqs) in zip(self.steps, self._intervals(x, self.steps), strict=True):
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

    def _place(self, step: Step | None) -> tuple[int, int, int]:
        return place(step, *self.shape[2:]) if step else (0, 0, 0)

    def _intervals(
        self, x: Images, some: Sequence[Step | None]
    ) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32]]]:
        """Starts and freqs of each step's samples, in coding order."""
        if x.shape != self.shape or x.dtype != np.uint8:
            raise CodecError(f"images must be uint8 {self.shape}, not {x.dtype} {x.shape}")
        x = np.ascontiguousarray(x)
        for step in some:
            count = x.size // (self.shape[1] * self.shape[2]) * (step.height * step.width if step else 1)
            starts, freqs = np.empty(count, np.uint32), np.empty(count, np.uint32)
            _encode(self._job(step, x), x, starts, freqs)
            yield starts, freqs

    def _job(self, step: Step | None, x: Images) -> Job:
        """All that the samples of a step depend on, given the samples of ``x`` that come before them."""
        n, height, width, channels = self.shape
        mine, predicted = self.ready, self.ready.networks.predicted
        if step is None:
            shown = np.full((n, 1), 255, np.uint8) if not mine.spec.map else self._map(step, (n, 1, 1))[:, 0, 0]
            seen = Sight(
                np.ascontiguousarray(shown),
                np.full((channels, n + BLOCK), MIDDLE, np.int16),
                np.zeros((channels, NEAR, n + BLOCK), np.int16),
            )
            grid, maps = (n, 1, 1), seen.features
        else:
            grid = (n, step.height, step.width)
            around = surroundings(mine.spec, step, height, width)
            seen = room(n * step.height * step.width, around, channels, predicted, mine.spec.map)
            look(x, around, mine.prediction(step), seen)
            features = seen.features.reshape(*grid, -1)
            if mine.spec.map:
                features[..., -mine.spec.map :] = self._map(step, grid)
            maps = mine.runs[step.phase](features).reshape(len(seen.features), -1)
        where = Place(*grid, height * width * channels, *self._place(step))
        return Job(where, maps, seen.predictions, seen.near, mine.table, mine.heads(step), mine.likelihood)

    def _map(self, step: Step | None, grid: tuple[int, int, int]) -> NDArray[np.uint8]:
        """What latents say to each sample of a step, uint8 (n, rows, columns, map)."""
        if self._maps is None or lent(step):
            return np.zeros((*grid, self.ready.spec.map), np.uint8)
        rows, columns = (spread(count, length) for count, length in zip(grid[1:], self._maps.shape[1:3], strict=True))
        return self._maps[:, rows[:, None], columns]


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
    heads: Heads
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
    # With a head for each lane, all slots of a block are known at once
    ahead = isinstance(coder, Decoder) and levels and coder.heads.size == BLOCK
    room = _room(job.likelihood)
    errors = np.zeros((4, BLOCK), np.int32)
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
        _show(job, begin, lanes)
        layer = 0
        for c in range(channels):
            layer = evaluate(job.heads, layer)
            _distribute(job, room, errors, begin, lanes, c)
            if isinstance(coder, Encoder) and levels:
                for lane in range(lanes):
                    room.symbols[lane] = images[samples[lane] + c]
                bound(room, job.likelihood.tables, 256)
            elif ahead:
                guess(room, job.likelihood.tables, 256, peek_all(coder.heads, head, PRECISION))
            for lane in range(lanes):
                at = samples[lane] + c
                if isinstance(coder, Decoder):
                    slot = peek(coder.heads[head], PRECISION)
                    if ahead:
                        v, start, stop = found(slot, lane, 256, room, job.likelihood.tables)
                    else:
                        v, start, stop = find_in(job.likelihood, room, lane, slot)
                        if levels:
                            room.symbols[lane] = v
                    length = take(coder.heads, coder.tail, length, head, start, stop, PRECISION)
                    if length < 0:
                        return -1
                    head = head + 1 if head + 1 < coder.heads.size else 0
                    images[at] = v
                else:
                    if levels:
                        start, stop = room.starts[lane], room.stops[lane]
                    else:
                        start, stop = interval_of(job.likelihood, room, lane, images[at])
                    coder.starts[symbol], coder.freqs[symbol] = start, stop - start
                    symbol += 1
            if c + 1 < channels:
                _err(job, room, images, samples, errors, begin, lanes, c)
    return length


@helper
def _room(likelihood):  # type: ignore[no-untyped-def]
    """Room for the distributions of a block's samples of a channel."""
    return mixtures(likelihood.components) if isinstance(likelihood, Levels) else np.zeros(BLOCK, np.int64)


@helper
def _show(job, begin, lanes):  # type: ignore[no-untyped-def]
    """Set what all heads read of the map."""
    count, maps, shown = job.maps.shape[0], job.maps.shape[1], job.heads.shown
    show(job.maps, count, maps, begin, shown)
    for lane in range(lanes):
        seen = job.maps[begin + lane]
        for k in range((maps >> 2) << 1, maps >> 1):
            shown[k, lane] = seen[2 * k] + (seen[2 * k + 1] << 16)
        if maps & 1:
            shown[maps >> 1, lane] = seen[maps - 1]


@helper
def _err(job, room, images, samples, errors, begin, lanes, c):  # type: ignore[no-untyped-def]
    """Add what later channels' heads read of channel c: its error, and how large it is."""
    shown = job.heads.shown[(job.maps.shape[1] + 1) // 2 + c]
    if isinstance(job.likelihood, Bits):
        for lane in range(lanes):
            v = images[samples[lane] + c]
            shown[lane] = 255 * v + ((255 - 255 * v) << 16)
    else:
        err(room.symbols, job.predictions[c], begin, job.table, errors[c], shown)


@helper
def _distribute(job, room, errors, begin, lanes, c):  # type: ignore[no-untyped-def]
    """Turn what a head gives into what :func:`find_in` and :func:`interval_of` read in ``room``."""
    likelihood, out = job.likelihood, job.heads.out
    if isinstance(likelihood, Bits):
        for lane in range(lanes):
            room[lane] = likelihood.probabilities[min(max(out[0, lane], -128), 127) + 128]
    else:
        mixed(
            out, likelihood.components, job.predictions[c], job.near[c], job.near.shape[2], begin, errors, c,
            room.parameters,
        )  # fmt: skip
        prepare(room, likelihood.tables, 256)
