"""The causal context network: a tiny integer network for each sample, over neighbours that were coded before it.

Where a latent variable sees an image as a whole, this sees it up close. The samples of an image are coded in an order
in which every sample's neighbours above and to the left come first (:mod:`bitsback.kinds.context.codec` decides it),
and for each channel of each pixel a small multilayer perceptron reads *features* of those neighbours and gives the
parameters of that sample's distribution.

A feature is the difference of two *taps*, companded to a byte by a table of the model. A tap is a value in one of
several planes of int16, at the pixel itself or at a neighbour:

=========  =====================================================================================================
zero       0
value      the samples of a channel, times :data:`UNIT` (two-valued samples: times :data:`BINARY_UNIT`)
reference  what a channel is predicted to be, in the same units, by :class:`RegressionSpec` or, with ``median``, by the
           median predictor: r = clip(W + N - NW) between W and N, plus the previous channel's error at the pixel,
           held within -256 .. 4336; only at the pixel itself
error      value - reference
spread     the logarithm of the variance that the regression expects, see there; only at the pixel itself
memory     what a :class:`Memory` recalls, in the units of value; only at the pixel itself
trust      64 times how often in a row, up to 32, the memory was right, or 0; only at the pixel itself
row        16 times the distance from the top edge, at most 127 pixels
column     16 times the distance from the left edge, at most 127 pixels
=========  =====================================================================================================

A feature is ``table[clip(a - b, -4096, 4095) + 4096]``. The inputs of a channel's network are its features and then,
where the model has latents, the bytes that the decoder network gives for this pixel: what the latents say about it. A
layer computes, for integer weights,

    y = clip(floor((sum(weight * x) + bias) / 2^shift + 1/2), low, high)

from 0 to 255 in hidden layers and from -4095 to 4095 in the last. All accumulators stay below 2^24 in magnitude, so
float32 arithmetic is exact in any order (see :mod:`bitsback.nets.layers`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ModelError
from bitsback.nets.layers import Dense, Weights, check_weights

UNIT = 16
"""What one level of a sample is in the planes: differences are in sixteenths of a level."""

BINARY_UNIT = 1024
"""What 1 is in the planes where samples are 0 and 1."""

MARGIN = 8
"""Pixels around an image that taps can reach: above, to the left and to the right."""

SKEW = 4
"""A row lags the one above it by so many pixels, hence a tap reaches less than SKEW to the right for each row up."""

SHARPER = 30
"""How many indices of scales, six to an octave, a sharp model has below 0: to a 200th of a level."""

TABLE_SIZE = 8192
MAX_OUTPUT = 4095
MAX_TAPS = 28
MAX_MEMORIES = 32
MAX_KEY = 48
MAX_RUN = 32
"""How often in a row a memory was right, at most, for what is counted."""
MAX_MEMORY_BITS = 16
MAX_WIDTH = 512
MAX_MAP = 64


class Tap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """A value in a plane, ``dy`` rows (<= 0) and ``dx`` columns from the pixel; ``index``: of the channel or memory."""

    plane: Literal["zero", "value", "reference", "error", "spread", "row", "column", "memory", "trust"]
    index: int = 0
    dy: int = 0
    dx: int = 0


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """The companded difference of two taps."""

    a: Tap
    b: Tap = Tap("zero")


class RegressionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A linear predictor that learns from the image as it goes, described in :mod:`bitsback.kinds.context.regression`.

    ``taps``: the value taps that it regresses on; the pixel's earlier channels follow of themselves.
    """

    taps: tuple[Tap, ...]
    ridge: int = 2000
    """Added to the diagonal of the moments: how much evidence it takes to move a coefficient away from 0."""


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """What came the last time, in the same image, that the samples at the ``key`` were as they are now.

    A drawing repeats itself exactly: colours, corners, letters. A memory is a table with an entry for each hash of the
    key's samples, which holds the ``channel``'s last sample there and how often in a row it had been that. (Paul
    Mahoney's "Adaptive weighing of context models for lossless data compression", Florida Tech CS-2005-16, has such
    contexts for text and pictures; here a network learns how far to trust them.)

    ``key``: taps of the plane "value", among them perhaps the pixel's own earlier channels.
    """

    channel: int
    key: tuple[Tap, ...]


class ContextSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The context network of a model: for each channel, in coding order, its features and the widths of its layers."""

    features: tuple[tuple[Feature, ...], ...]
    hidden: tuple[tuple[int, ...], ...]
    border: int = 0
    """The level that is assumed above the first row."""
    map: int = 0
    """Channels of the feature map from the latents, all of which are inputs of every channel's network."""
    regression: RegressionSpec | None = None
    median: bool = False
    """Whether references come from the median predictor; a model has this, or ``regression``, or no references."""
    anchors: tuple[tuple[Tap, ...], ...] = ()
    """For each channel, what the mean of each component is counted from: taps of ``value`` or ``reference``. Empty: all
    from the reference, or from the middle of the range. A drawing repeats the colours that are next to it."""
    sharp: bool = False
    """Whether scales may be so small that a component is all but certain of one level: see :data:`SHARPER`."""
    memories: tuple[Memory, ...] = ()

    @property
    def has_reference(self) -> bool:
        """Whether means are counted from a reference, not from the middle of the range."""
        return self.median or self.regression is not None

    @property
    def reach(self) -> int:
        """How far taps are away, at most, in rows or columns."""
        taps = [tap for features in self.features for feature in features for tap in (feature.a, feature.b)]
        taps += self.regression.taps if self.regression is not None else ()
        taps += [tap for anchors in self.anchors for tap in anchors]
        taps += [tap for memory in self.memories for tap in memory.key]
        return max((max(abs(tap.dy), abs(tap.dx)) for tap in taps), default=0)

    def layers(self, channel: int, parameters: int) -> tuple[Dense, ...]:
        """The layers of a channel's network, which gives so many parameters."""
        sizes = (len(self.features[channel]) + self.map, *self.hidden[channel], parameters)
        return tuple(Dense(a, b, wide=True) for a, b in pairwise(sizes))

    def macs(self, parameters: int) -> int:
        """Multiply-accumulates for one pixel, the regression aside."""
        return sum(d.inputs * d.outputs for c in range(len(self.features)) for d in self.layers(c, parameters))

    @property
    def lowest_scale(self) -> int:
        """The least index of a scale."""
        return -SHARPER if self.sharp else 0

    def check(self, channels: int) -> None:
        """Raise ModelError where a tap is not known yet when it is needed, or a size is beyond the limits."""
        if not len(self.features) == len(self.hidden) == channels:
            raise ModelError(f"the context network must have {channels} channels")
        if not 0 <= self.border <= 255 or not 0 <= self.map <= MAX_MAP:
            raise ModelError("the context network's border or feature map is beyond the limits")
        for channel, (features, hidden) in enumerate(zip(self.features, self.hidden, strict=True)):
            widths = (len(features), *hidden)
            if not 1 <= len(hidden) <= 4 or not 1 <= min(widths) <= max(widths) <= MAX_WIDTH:
                raise ModelError("the context network's layers are beyond the limits")
            for tap in (tap for feature in features for tap in (feature.a, feature.b)):
                self._check_tap(tap, channel, channels)
        if self.anchors and len(self.anchors) != channels:
            raise ModelError("the context network's anchors are not those of its channels")
        for channel, anchors in enumerate(self.anchors):
            for tap in anchors:
                if tap.plane not in ("value", "reference", "memory"):
                    raise ModelError("the context network's anchors are values, references or memories")
                self._check_tap(tap, channel, channels)
        if len(self.memories) > MAX_MEMORIES:
            raise ModelError(f"a context network has at most {MAX_MEMORIES} memories")
        for memory in self.memories:
            if not 0 <= memory.channel < channels or not 1 <= len(memory.key) <= MAX_KEY:
                raise ModelError("a memory's channel or key is beyond the limits")
            for tap in memory.key:
                if tap.plane != "value":
                    raise ModelError("a memory's key is made of values")
                self._check_tap(tap, memory.channel, channels)
        if self.regression is not None:
            if self.median:
                raise ModelError("a context network has one kind of reference")
            if not 1 <= len(self.regression.taps) <= MAX_TAPS:
                raise ModelError(f"the regression has 1 to {MAX_TAPS} taps")
            if not 1 <= self.regression.ridge <= 1 << 24:
                raise ModelError("the regression's ridge is beyond the limits")
            for tap in self.regression.taps:
                if tap.plane != "value" or tap.dy == tap.dx == 0:
                    raise ModelError("the regression takes values of neighbours")
                self._check_tap(tap, 0, channels)

    def _check_tap(self, tap: Tap, channel: int, channels: int) -> None:
        here = tap.dy == tap.dx == 0
        before = -MARGIN <= tap.dx < SKEW * -tap.dy and -MARGIN <= tap.dy <= 0 and tap.dx <= MARGIN
        fits = {
            "zero": here and tap.index == 0,
            "value": 0 <= tap.index < (channel if here else channels) and (here or before),
            "error": 0 <= tap.index < (channel if here else channels) and (here or before),
            "reference": here and 0 <= tap.index <= channel,
            "spread": here and 0 <= tap.index <= channel,
            "memory": here and self._remembers(tap.index, channel),
            "trust": here and self._remembers(tap.index, channel),
            "row": here and tap.index == 0,
            "column": here and tap.index == 0,
        }[tap.plane]
        missing = (not self.has_reference and tap.plane in ("reference", "error")) or (
            self.regression is None and tap.plane == "spread"
        )
        if not fits or missing:
            raise ModelError(f"a feature of channel {channel} reads {tap}, which is not known there")

    def _remembers(self, memory: int, channel: int) -> bool:
        """Whether there is such a memory, and its channel's turn has come."""
        return 0 <= memory < len(self.memories) and self.memories[memory].channel <= channel


def plane(tap: Tap, channels: int) -> int:
    """The number of the plane that a tap reads."""
    first = {"zero": 0, "row": 1, "column": 2}
    if tap.plane in first:
        return first[tap.plane]
    if tap.plane in ("memory", "trust"):
        return 3 + 4 * channels + 2 * tap.index + (tap.plane == "trust")
    return 3 + ("value", "reference", "error", "spread").index(tap.plane) * channels + tap.index


def plane_count(spec: ContextSpec, channels: int) -> int:
    """How many planes there are."""
    if spec.memories:
        return 3 + 4 * channels + 2 * len(spec.memories)
    return 3 + channels * (4 if spec.regression is not None else 3 if spec.median else 1)


class ContextNetwork:
    """A checked specification with its tensors.

    ``table``: uint8 (8192,), the companding. ``weights[channel][layer]``: int16 weight, int32 bias, uint8 shift.
    """

    def __init__(
        self,
        spec: ContextSpec,
        channels: int,
        parameters: int,
        table: NDArray[np.uint8],
        weights: list[list[Weights]],
    ) -> None:
        spec.check(channels)
        if table.dtype != np.uint8 or table.shape != (TABLE_SIZE,):
            raise ModelError(f"the companding table must be uint8 ({TABLE_SIZE},)")
        for channel in range(channels):
            for index, (layer, w) in enumerate(zip(spec.layers(channel, parameters), weights[channel], strict=True)):
                where = f"context network {channel}, layer {index}"
                check_weights(w, layer, where)
                if np.any(np.abs(rounded_bias(w)) + 255 * np.abs(w.weight.astype(np.int64)).sum(1) >= 1 << 24):
                    raise ModelError(f"{where}: an accumulator could reach 2^24")
        self.spec, self.channels, self.parameters = spec, channels, parameters
        self.table, self.weights = table, weights

    @cached_property
    def packed(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint8]]:
        """What the kernel of :mod:`bitsback.kinds.context.codec` reads: weights, layout and table.

        The weights of all layers are one array. A layer holds its biases, its shifts, and for each pair of inputs the
        weights of all outputs, two of int16 in one; outputs are padded to whole vectors. The layout has a row for each
        layer: channel, pairs of inputs, outputs, padded outputs, and where the layer begins. The table has an entry for
        each difference of 16 bits, so that none needs to be held within bounds first.
        """
        weights, layout = packed_layers(self.weights)
        return weights, layout, every_difference(self.table)

    @classmethod
    def from_tensors(
        cls, spec: ContextSpec, channels: int, parameters: int, tensors: Mapping[str, NDArray[Any]]
    ) -> ContextNetwork:
        """Build from the named tensors of :meth:`tensors`; ModelError if one is missing."""
        spec.check(channels)
        try:
            weights = [
                [
                    Weights(*(tensors[f"context.{channel}.{index}.{part}"] for part in Weights.__struct_fields__))
                    for index in range(len(spec.hidden[channel]) + 1)
                ]
                for channel in range(channels)
            ]
            return cls(spec, channels, parameters, tensors["context.table"], weights)
        except KeyError as error:
            raise ModelError(f"the model file lacks the tensor {error}") from None

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The tensors by name, as in a model file."""
        named: dict[str, NDArray[Any]] = {"context.table": self.table}
        for channel, layers in enumerate(self.weights):
            for index, weights in enumerate(layers):
                for part in Weights.__struct_fields__:
                    named[f"context.{channel}.{index}.{part}"] = getattr(weights, part)
        return named


def packed_layers(networks: Sequence[Sequence[Weights]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Weights and layout of dense layers, as :attr:`ContextNetwork.packed` has them, of networks numbered from 0."""
    from bitsback.kernels.vectors import WIDTH  # not above: it loads the compiler, which reading a model does not need

    blocks: list[NDArray[np.int32]] = []
    layout, begin = [], 0
    for number, layers in enumerate(networks):
        for w in layers:
            outputs, inputs = w.weight.shape
            wide, pairs = -(-outputs // WIDTH) * WIDTH, -(-inputs // 2)
            matrix = np.zeros((pairs, wide, 2), np.int16)
            for i in range(2):
                matrix[: (inputs + 1 - i) // 2, :outputs, i] = w.weight.T[i::2]
            block = np.zeros((2 + pairs, wide), np.int32)
            block[0, :outputs], block[1, :outputs] = rounded_bias(w), w.shift
            block[2:] = matrix.view(np.int32)[:, :, 0]
            layout.append([number, pairs, outputs, wide, begin])
            blocks.append(block.ravel())
            begin += block.size
    return np.concatenate(blocks), np.array(layout, np.int64)


def every_difference(table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A companding table with an entry for each difference of 16 bits, uint8 (65536,)."""
    differences = np.arange(1 << 16).astype(np.uint16).view(np.int16).astype(np.int64)
    half = TABLE_SIZE // 2
    found: NDArray[np.uint8] = table[differences.clip(-half, half - 1) + half]
    return found


def rounded_bias(weights: Weights) -> NDArray[np.int64]:
    """The bias with the half that makes the floor after the shift a rounding, int64 (outputs,)."""
    half = (np.int64(1) << weights.shift.astype(np.int64)) >> 1
    result: NDArray[np.int64] = weights.bias.astype(np.int64) + half
    return result


def companding() -> NDArray[np.uint8]:
    """The usual table: logarithmic in the distance from 0, where a step is about a tenth of a level.

    A model carries its table, so this is only where one comes from.
    """
    d = np.arange(TABLE_SIZE) - TABLE_SIZE // 2
    curve = 127 * np.log1p(np.abs(d) / 48) / np.log1p(TABLE_SIZE / 2 / 48)
    table: NDArray[np.uint8] = (128 + np.sign(d) * np.round(curve)).clip(0, 255).astype(np.uint8)
    return table


def neighbours(channel: int, offsets: list[tuple[int, int]], plane: Literal["value", "error"] = "value") -> list[Tap]:
    """Taps of one plane and channel at several (dy, dx)."""
    return [Tap(plane, channel, dy, dx) for dy, dx in offsets]
