"""The layer list: one description of an integer network, from which every implementation of it is built.

A network maps unsigned 8-bit tensors to unsigned 8-bit tensors. Each weighted layer computes, per output channel,

    acc = sum(weight * x) + bias          exact, |acc| < 2^24
    y   = clip(round_half_even(acc / 2^shift), 0, 255)

with integer weights, int32 biases, and one shift for each output channel. The clip is the nonlinearity (a ReLU that
also saturates above). Weights are int8 of at most 64 in magnitude. Under these bounds float32 arithmetic is exact in
any order of summation, and the 16-bit intermediate sums of x86 int8 kernels cannot saturate, so every engine can agree
to the bit (the idea is that of Ballé, Johnston & Minnen, "Integer networks for data compression with latent-variable
models", ICLR 2019).

A layer marked ``wide`` has int16 weights of at most 4095 and runs as float32 in every engine. That is slower; it is
meant for a last layer, whose outputs are the parameters of sharp distributions: coarse weights there cost rate.

The list is plain data: it is stored as JSON in a model file, and reading it can run no code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ModelError

Shape = tuple[int, ...]
"""The shape of one example, without the batch axis: (channels, height, width) or (features,)."""

MAX_WEIGHT = 64
"""Bound on |weight|: 2 * 64 * 255 < 2^15, so that a pair of products fits the int16 of vpmaddubsw."""

MAX_WIDE_WEIGHT = 4095
"""Bound on |weight| in a wide layer."""

MAX_ACCUMULATOR = 1 << 24
"""Bound on |acc|: every integer below it is exact in float32."""

MAX_SHIFT = 23
MAX_PARAMETERS = 1 << 22
MAX_VALUES = 1 << 20
"""Bound on the values that a layer takes or gives for one example."""


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    """Base of all layers."""

    def output(self, shape: Shape) -> Shape:
        """The shape of the output for an input of ``shape``; raises ModelError when they do not fit."""
        raise NotImplementedError

    @property
    def weight_shape(self) -> Shape | None:
        """The shape of the weight tensor, output channel first, or None for a layer without weights."""
        return None


class Conv(Layer, frozen=True, tag="conv"):
    """Square convolution with zero padding of ``kernel // 2`` on every side."""

    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    wide: bool = False

    def output(self, shape: Shape) -> Shape:
        _check(len(shape) == 3 and shape[0] == self.inputs, self, shape)
        _check(self.kernel % 2 == 1 and 1 <= self.kernel <= 15 and 1 <= self.stride <= 4, self, shape)
        _, height, width = shape
        return self.outputs, (height - 1) // self.stride + 1, (width - 1) // self.stride + 1

    @property
    def weight_shape(self) -> Shape:
        return self.outputs, self.inputs, self.kernel, self.kernel


class Dense(Layer, frozen=True, tag="dense"):
    """Every output sees every input."""

    inputs: int
    outputs: int
    wide: bool = False

    def output(self, shape: Shape) -> Shape:
        _check(shape == (self.inputs,), self, shape)
        return (self.outputs,)

    @property
    def weight_shape(self) -> Shape:
        return self.outputs, self.inputs


class Flatten(Layer, frozen=True, tag="flatten"):
    """(C, H, W) to (C * H * W,)."""

    def output(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


class Unflatten(Layer, frozen=True, tag="unflatten"):
    """(C * H * W,) to (C, H, W)."""

    channels: int
    height: int
    width: int

    def output(self, shape: Shape) -> Shape:
        result = (self.channels, self.height, self.width)
        _check(min(result) > 0 and shape == (self.channels * self.height * self.width,), self, shape)
        return result


class Shuffle(Layer, frozen=True, tag="shuffle"):
    """Depth to space: (C * f * f, H, W) to (C, H * f, W * f), channel-major as in sub-pixel convolution."""

    factor: int = 2

    def output(self, shape: Shape) -> Shape:
        area = self.factor * self.factor
        _check(1 < self.factor <= 8 and len(shape) == 3 and shape[0] % area == 0, self, shape)
        return shape[0] // area, shape[1] * self.factor, shape[2] * self.factor


class Skip(Layer, frozen=True, tag="skip"):
    """A residual block's end: adds what was there ``back`` layers ago, counting 128 as nothing.

    With x what the layer before gives, and h what there was, the output is ``clip(x + h - 128, 0, 255)``: x is a
    difference, whose layer has 128 in its bias.
    """

    back: int = 2

    def output(self, shape: Shape) -> Shape:
        return shape


AnyLayer = Conv | Dense | Flatten | Unflatten | Shuffle | Skip


class NetSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network: the shape of its input example and its layers, in order."""

    input: tuple[int, ...]
    layers: tuple[AnyLayer, ...]

    def shapes(self) -> list[Shape]:
        """The shape before the first layer and after each one; raises ModelError when the list is not consistent."""
        if not self.layers or len(self.layers) > 256 or not 1 <= len(self.input) <= 3:
            raise ModelError("a network needs an input shape of one to three axes and 1 to 256 layers")
        shapes = [_bounded(self.input)]
        for layer in self.layers:
            if isinstance(layer, Skip):
                _check(1 <= layer.back < len(shapes) and shapes[-1 - layer.back] == shapes[-1], layer, shapes[-1])
            shapes.append(_bounded(layer.output(shapes[-1])))
        sizes = [math.prod(shape) for layer in self.layers if (shape := layer.weight_shape) is not None]
        if sum(sizes) > MAX_PARAMETERS:
            raise ModelError(f"{sum(sizes)} weights are more than the {MAX_PARAMETERS} allowed")
        return shapes

    @property
    def output(self) -> Shape:
        return self.shapes()[-1]

    def macs(self) -> int:
        """Multiply-accumulates for one example: the measure of what a network costs to run."""
        total = 0
        for layer, after in zip(self.layers, self.shapes()[1:], strict=True):
            if (shape := layer.weight_shape) is not None:
                total += math.prod(shape) * math.prod(after[1:])
        return total


class Weights(msgspec.Struct, frozen=True):
    """The numbers of one weighted layer: int8 ``weight`` (int16 if wide), int32 ``bias`` (outputs,), uint8 ``shift``
    (outputs,)."""

    weight: NDArray[np.int8] | NDArray[np.int16]
    bias: NDArray[np.int32]
    shift: NDArray[np.uint8]


class Network:
    """A checked layer list with its weights. What it computes is decided here and nowhere else.

    Raises ModelError when a tensor is missing or has the wrong shape or type, a weight is beyond +-64, or an
    accumulator could reach 2^24.
    """

    def __init__(self, spec: NetSpec, weights: Mapping[int, Weights]) -> None:
        spec.shapes()
        self.spec = spec
        self.weights = dict(weights)
        for index, layer in enumerate(spec.layers):
            shape = layer.weight_shape
            if (shape is None) == (index in self.weights):
                raise ModelError(f"layer {index}: weights are missing, or given where none belong")
            if isinstance(layer, Conv | Dense):
                check_weights(self.weights[index], layer, f"layer {index}")

    @classmethod
    def from_tensors(cls, spec: NetSpec, tensors: Mapping[str, NDArray[Any]], prefix: str) -> Network:
        """Build from named tensors, ``{prefix}.{layer}.weight``, ``.bias`` and ``.shift``."""
        weights = {}
        for index, layer in enumerate(spec.layers):
            if layer.weight_shape is not None:
                try:
                    weights[index] = Weights(
                        *(tensors[f"{prefix}.{index}.{part}"] for part in Weights.__struct_fields__)
                    )
                except KeyError as error:
                    raise ModelError(f"the model file lacks the tensor {error}") from None
        return cls(spec, weights)

    def tensors(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The inverse of :meth:`from_tensors`."""
        return {
            f"{prefix}.{index}.{part}": getattr(weights, part)
            for index, weights in self.weights.items()
            for part in Weights.__struct_fields__
        }


def check_weights(weights: Weights, layer: Conv | Dense, where: str) -> None:
    """Refuse, with a ModelError, numbers under which some engine could be inexact."""
    w, bias, shift, shape = weights.weight, weights.bias, weights.shift, layer.weight_shape
    kind, limit = (np.int16, MAX_WIDE_WEIGHT) if layer.wide else (np.int8, MAX_WEIGHT)
    if w.dtype != kind or bias.dtype != np.int32 or shift.dtype != np.uint8:
        raise ModelError(f"{where}: weight, bias and shift must be {np.dtype(kind)}, int32 and uint8")
    if w.shape != shape or bias.shape != shape[:1] or shift.shape != shape[:1]:
        raise ModelError(f"{where}: tensors of shape {w.shape}, {bias.shape}, {shift.shape} do not fit {shape}")
    magnitude = np.abs(w.astype(np.int32))
    if magnitude.max() > limit:
        raise ModelError(f"{where}: a weight of magnitude {magnitude.max()} is beyond {limit}")
    if shift.max() > MAX_SHIFT:
        raise ModelError(f"{where}: a shift of {shift.max()} is beyond {MAX_SHIFT}")
    worst = magnitude.reshape(shape[0], -1).sum(axis=1, dtype=np.int64) * 255 + np.abs(bias.astype(np.int64))
    if worst.max() >= MAX_ACCUMULATOR:
        raise ModelError(f"{where}: an accumulator could reach {worst.max()}, beyond 2^24")


def _bounded(shape: Shape) -> Shape:
    if min(shape) < 1 or math.prod(shape) > MAX_VALUES:
        raise ModelError(f"a layer's input or output of shape {shape} is beyond the limits")
    return shape


def _check(condition: bool, layer: Layer, shape: Shape) -> None:
    if not condition:
        raise ModelError(f"{layer} does not fit an input of shape {shape}")
