"""The networks of a model of this kind: filters that predict, trunks that see surroundings, heads that decide.

For each phase there is a *trunk*, a convolutional network (:mod:`bitsback.nets`) that all levels share. It reads what
:mod:`bitsback.kinds.phases.sight` shows of every sample's surroundings, and gives a map. From a sample's place in the
map, a *head* for each channel, dense layers like those of :mod:`bitsback.kinds.context.network`, gives the parameters
of the sample's distribution; it also reads the errors of the channels that come before it there. Heads and filters are
those of a *class* of levels: classes 0, 1, ... are the finest levels, and the last one is all that are coarser.

With 256 levels, the outputs of a head are 3 K parameters of a mixture, as a context network's, with means relative to
the prediction, and then *weights* by which means follow what is known::

    mean_k = prediction + y_k + (sum_t y_(3K + t) near_t + sum_j y_(3K + NEAR + j) error_j) >> 10

for the nearest taps, less the prediction, and the errors of the earlier channels, all in sixteenths of a level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ModelError
from bitsback.kinds.context.network import TABLE_SIZE, rounded_bias
from bitsback.kinds.phases.grids import NEAR, PHASES, taps
from bitsback.nets.layers import Conv, Dense, NetSpec, Network, Skip, Weights, check_weights

MAX_REACH = 4
MAX_CLASSES = 8
PERIODS = (0, 4, 8, 16)
MAX_WIDTH = 512
MAX_MAP = 64
MAX_LATENTS = 4096
MAX_IMAGE_MACS = 1 << 30
"""Multiply-accumulates of encoder and decoder for an image."""

FOLLOW_SHIFT = 10
"""A weight of 1 is 2^10."""

SIZE = (9, 11)
"""Of the images that a trunk's self-test is made of."""

MAX_FILTER_SUM = 1 << 20
"""Bound on the sum of a filter's weights in magnitude, and on its bias: times 1020, the sum is below 2^31."""


class PhasesSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The networks of a model but for their weights.

    ``trunks``: of the phases b, c and d, for images of :data:`SIZE`. ``hidden``: widths of the hidden layers of a head.
    ``classes``: of levels. ``reach``: of the taps of each channel that are shown, and ``predicts``: of those that
    filters read, at least as many; see :func:`bitsback.kinds.phases.grids.taps`. ``map``: channels of what latents say.
    ``period``: what is shown of a place is half its row and column, each modulo this; 0: nothing. ``edges``: how far
    the edges are, too.
    """

    trunks: tuple[NetSpec, ...]
    hidden: tuple[int, ...]
    reach: tuple[int, ...]
    predicts: tuple[int, ...] = ()
    classes: int = 3
    period: int = 0
    edges: bool = False
    map: int = 0

    has_reference: ClassVar[bool] = True
    """Means are counted from predictions. This and what follows is for training."""
    sharp: ClassVar[bool] = False

    def class_of(self, level: int) -> int:
        """The class of a level."""
        return min(level, self.classes - 1)

    def counts(self, phase: int) -> list[int]:
        """How many taps of each channel are shown."""
        return [len(taps(phase, reach)) for reach in self.reach]

    def read(self, phase: int) -> list[int]:
        """How many taps of each channel a filter reads."""
        return [len(taps(phase, reach)) for reach in self.predicts]

    def inputs(self, phase: int, channels: int, predicted: bool) -> int:
        """Channels that a trunk reads."""
        seen = sum(self.counts(phase)) + predicted * channels
        return seen + self.classes + 2 * (self.period // 2) + 4 * self.edges + self.map

    def outputs(self, channel: int, parameters: int) -> int:
        """What a head gives."""
        return parameters if parameters == 1 else parameters + NEAR + channel

    def maps(self, phase: int | None) -> int:
        """Bytes of the map that heads read."""
        return max(self.map, 1) if phase is None else self.trunks[phase].output[0]

    def head(self, phase: int | None, channel: int, parameters: int) -> tuple[Dense, ...]:
        """The layers of a head; that of the single sample of the coarsest level, without a phase, reads no map, but
        255."""
        sizes = (self.maps(phase) + 2 * channel, *self.hidden, self.outputs(channel, parameters))
        return tuple(Dense(a, b, wide=True) for a, b in pairwise(sizes))

    def macs(self, channels: int, parameters: int) -> int:
        """Multiply-accumulates for a pixel, of all networks. Each phase has a quarter of the pixels of its level."""
        total = 0
        for phase, trunk in enumerate(self.trunks):
            total += trunk.macs() // (SIZE[0] * SIZE[1])
            total += sum(d.inputs * d.outputs for c in range(channels) for d in self.head(phase, c, parameters))
        return total // 3

    def check(self, channels: int, predicted: bool) -> None:
        """Raise ModelError where sizes are beyond the limits, or the trunks do not fit."""
        sound = len(self.reach) == channels and all(1 <= reach <= MAX_REACH for reach in self.reach)
        sound &= 1 <= self.classes <= MAX_CLASSES and self.period in PERIODS
        sound &= len(self.predicts) == (channels if predicted else 0)
        sound &= all(a <= b <= MAX_REACH for a, b in zip(self.reach, self.predicts, strict=False))
        sound &= 0 <= self.map <= MAX_MAP
        if not sound or len(self.hidden) > 3 or not all(1 <= width <= MAX_WIDTH for width in self.hidden):
            raise ModelError("the sizes of a model in phases are beyond the limits")
        if len(self.trunks) != len(PHASES):
            raise ModelError("a model in phases has three trunks")
        for phase, trunk in enumerate(self.trunks):
            if trunk.input != (self.inputs(phase, channels, predicted), *SIZE):
                raise ModelError(f"the trunk of phase {phase} does not fit what it is shown")
            plain = all(isinstance(one, Skip) or (isinstance(one, Conv) and one.stride == 1) for one in trunk.layers)
            if not plain or trunk.output[0] > MAX_WIDTH:
                raise ModelError(f"the trunk of phase {phase} is not made of convolutions")


class LatentsSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Latents of an image, :mod:`bitsback.kinds.phases.latents`, for images of one size.

    ``count`` of them, of so many ``bits``. ``encoder``: from the image's samples, without those of the last two grids,
    to means and widths, as of :class:`bitsback.kinds.vae.config.VAEConfig`. ``decoder``: from latents to a map of the
    image, of any size, that all other grids read.
    """

    count: int
    bits: int
    encoder: NetSpec
    decoder: NetSpec

    def check(self, image: tuple[int, int, int], map_: int) -> None:
        """Raise ModelError where sizes are beyond the limits, or the networks do not fit images of a shape (height,
        width, channels)."""
        height, width, channels = image
        if not (1 <= self.count <= MAX_LATENTS and 1 <= self.bits <= 12 and height and width):
            raise ModelError("the model's latents are beyond the limits")
        if self.encoder.input != (channels, height, width) or self.encoder.output != (2 * self.count,):
            raise ModelError("the encoder does not fit the model's images or latents")
        shape = self.decoder.output
        if self.decoder.input != (self.count,) or len(shape) != 3 or shape[0] != map_:
            raise ModelError("the decoder does not fit the model's latents or map")
        if self.encoder.macs() + self.decoder.macs() > MAX_IMAGE_MACS:
            raise ModelError("the model takes more computation than is allowed")


Head = list[list[Weights]]
"""The layers of the heads of all channels."""


class Networks:
    """A checked specification with its tensors.

    Attributes:
        table: uint8 (8192,), the companding; of no use with two levels, but there.
        trunks: of the three phases.
        filters: by class and phase, empty with two levels: int16 (channels, taps), those of all channels together, one
            after the other.
        heads: by class and phase. base: of the coarsest level's sample.
    """

    def __init__(self, spec: PhasesSpec, channels: int, parameters: int, tensors: Mapping[str, NDArray[Any]]) -> None:
        self.spec, self.channels, self.parameters = spec, channels, parameters
        self.predicted = parameters > 1
        spec.check(channels, self.predicted)
        try:
            self.table = tensors["table"]
            if self.table.dtype != np.uint8 or self.table.shape != (TABLE_SIZE,):
                raise ModelError(f"the companding table must be uint8 ({TABLE_SIZE},)")
            self.trunks = [
                Network.from_tensors(trunk, tensors, f"trunk.{phase}") for phase, trunk in enumerate(spec.trunks)
            ]
            self.filters = {place: self._filter(tensors, *place) for place in self._places() if self.predicted}
            self.heads = {place: self._head(tensors, *place) for place in self._places()}
            self.base = self._head(tensors, None, None)
        except KeyError as error:
            raise ModelError(f"the model file lacks the tensor {error}") from None

    def _places(self) -> Iterator[tuple[int, int]]:
        return ((level, phase) for level in range(self.spec.classes) for phase in range(len(PHASES)))

    def _filter(self, tensors: Mapping[str, NDArray[Any]], level: int, phase: int) -> Weights:
        where = f"filter.{level}.{phase}"
        found = Weights(*(tensors[f"{where}.{part}"] for part in Weights.__struct_fields__))
        size = sum(self.spec.read(phase))
        wanted: list[tuple[type[np.integer[Any]], tuple[int, ...]]] = [
            (np.int16, (self.channels, size)),
            (np.int32, (self.channels,)),
            (np.uint8, (self.channels,)),
        ]
        given = (found.weight, found.bias, found.shift)
        if any(one.dtype != kind or one.shape != shape for one, (kind, shape) in zip(given, wanted, strict=True)):
            raise ModelError(f"{where}: tensors of another type or shape than int16 ({self.channels}, {size})")
        large = np.abs(found.weight.astype(np.int64)).sum(1).max() > MAX_FILTER_SUM
        if large or np.abs(found.bias.astype(np.int64)).max() > MAX_FILTER_SUM or found.shift.max() > 23:
            raise ModelError(f"{where}: weights beyond the limits")
        return found

    def _head(self, tensors: Mapping[str, NDArray[Any]], level: int | None, phase: int | None) -> Head:
        where = head_name(level, phase)
        found = []
        for c in range(self.channels):
            layers = self.spec.head(phase, c, self.parameters)
            found.append(
                [
                    Weights(*(tensors[f"{where}.{c}.{i}.{part}"] for part in Weights.__struct_fields__))
                    for i in range(len(layers))
                ]
            )
            for i, (layer, w) in enumerate(zip(layers, found[-1], strict=True)):
                check_weights(w, layer, f"{where}.{c}, layer {i}")
                if np.any(np.abs(rounded_bias(w)) + 255 * np.abs(w.weight.astype(np.int64)).sum(1) >= 1 << 24):
                    raise ModelError(f"{where}.{c}, layer {i}: an accumulator could reach 2^24")
        return found

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The tensors by name, as in a model file."""
        named: dict[str, NDArray[Any]] = {"table": self.table}
        for phase, trunk in enumerate(self.trunks):
            named |= trunk.tensors(f"trunk.{phase}")
        for (level, phase), one in self.filters.items():
            named |= {f"filter.{level}.{phase}.{part}": getattr(one, part) for part in Weights.__struct_fields__}
        for place, head in [*self.heads.items(), ((None, None), self.base)]:
            named |= head_tensors(head_name(*place), head)
        return named


def head_name(level: int | None, phase: int | None) -> str:
    """What the tensors of a head are called, before the number of its channel."""
    return "head" if phase is None else f"head.{level}.{phase}"


def head_tensors(name: str, head: Head) -> dict[str, NDArray[Any]]:
    """The tensors of a head by name."""
    return {
        f"{name}.{c}.{i}.{part}": getattr(weights, part)
        for c, layers in enumerate(head)
        for i, weights in enumerate(layers)
        for part in Weights.__struct_fields__
    }
