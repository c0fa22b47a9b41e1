"""ONNX graphs of an integer network: float32, which any engine can run, and int8, which is fast on most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.nets import onnx
from bitsback.nets.layers import Conv, Dense, Flatten, Network, Shuffle, Skip, Unflatten, Weights

OPSET = 17
IR_VERSION = 8


class _Builder:
    """Nodes and constants under construction; ``current`` is the name of the last value."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []
        self.opsets = {"": OPSET}
        self.current = "x"

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.tensor(name, value))
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> None:
        name = f"v{len(self.nodes)}"
        self.opsets.setdefault(domain, 1)
        self.nodes.append(onnx.node(kind, inputs, name, f"n{len(self.nodes)}", domain, **attributes))
        self.current = name


Weighted = Callable[[_Builder, Conv | Dense, Weights, bool], None]
"""Adds the nodes of a layer with weights; True: of single pixels, channels last."""


def _model(network: Network, weighted: Weighted, float_inside: bool, free: bool) -> bytes:
    """Walk the layer list."""
    b = _Builder()
    if float_inside:
        b.node("Cast", b.current, to=onnx.FLOAT)
    # A first layer that sees pixels one by one takes channels as they come: last
    early = free and _pointwise(network)
    if free and not early:
        b.node("Transpose", b.current, perm=[0, 3, 1, 2])
    there = [b.current]
    for index, layer in enumerate(network.spec.layers):
        match layer:
            case Conv() | Dense():
                weighted(b, layer, network.weights[index], early and index == 0)
                if early and index == 0:
                    b.node("Transpose", b.current, perm=[0, 3, 1, 2])
            case Flatten():
                b.node("Flatten", b.current, axis=1)
            case Unflatten(channels, height, width):
                shape = b.constant(np.array([-1, channels, height, width], np.int64))
                b.node("Reshape", b.current, shape)
            case Shuffle(factor):
                _shuffle(b, factor)
            case Skip(back):
                (_skip_in_float if float_inside else _skip)(b, there[-1 - back])
        there.append(b.current)
    if free:
        b.node("Transpose", b.current, perm=[0, 2, 3, 1])
    if float_inside:
        b.node("Cast", b.current, to=onnx.UINT8)
    before, after = network.spec.input, network.spec.output
    axes: list[list[int | str]] = [["n", *before], ["n", *after]]
    if free:
        axes = [["n", "h", "w", before[0]], ["n", "h", "w", after[0]]]
    given, found = (onnx.value(name, onnx.UINT8, axis) for name, axis in zip(("x", b.current), axes, strict=True))
    return onnx.model("integer_network", b.nodes, b.constants, given, found, sorted(b.opsets.items()), IR_VERSION)


def _pointwise(network: Network) -> bool:
    """Whether the first layer is one of single pixels in float32, to whose input no other comes back."""
    first, *others = network.spec.layers
    alone = not any(isinstance(layer, Skip) and layer.back == index for index, layer in enumerate(others, 1))
    return alone and isinstance(first, Conv) and first.wide and (first.kernel, first.stride) == (1, 1)


def _shuffle(b: _Builder, factor: int) -> None:
    b.node("DepthToSpace", b.current, blocksize=factor, mode="CRD")


def _skip(b: _Builder, earlier: str) -> None:
    one, zero = b.constant(np.float32(1)), b.constant(np.uint8(0))
    # All scales are 1, so what the operator computes in float32 are whole numbers
    b.node(
        "QLinearAdd", b.current, one, b.constant(np.uint8(128)), earlier, one, zero, one, zero, domain=onnx.MICROSOFT
    )


def _skip_in_float(b: _Builder, earlier: str) -> None:
    b.node("Add", b.current, earlier)
    b.node("Sub", b.current, b.constant(np.float32(128)))
    b.node("Clip", b.current, b.constant(np.float32(0)), b.constant(np.float32(255)))


def _weighed_in_float(b: _Builder, layer: Conv | Dense, weights: Weights, pixels: bool) -> None:
    """The nodes of a layer on float32 values, but for the rounding. Dividing all numbers of an output by a power of two
    beforehand is exact, and so are the sums then."""
    scale = np.exp2(-weights.shift.astype(np.float32))
    w = weights.weight.astype(np.float32) * scale.reshape(-1, *[1] * (weights.weight.ndim - 1))
    bias = b.constant(weights.bias.astype(np.float32) * scale)
    if pixels:
        b.node("MatMul", b.current, b.constant(np.ascontiguousarray(w[:, :, 0, 0].T)))
        b.node("Add", b.current, bias)
    elif isinstance(layer, Conv):
        pad = layer.kernel // 2
        b.node("Conv", b.current, b.constant(w), bias, strides=[layer.stride] * 2, pads=[pad] * 4)
    else:
        b.node("Gemm", b.current, b.constant(w.T), bias)


def _in_float(b: _Builder, layer: Conv | Dense, weights: Weights, pixels: bool) -> None:
    """The nodes of a layer on float32 values."""
    _weighed_in_float(b, layer, weights, pixels)
    b.node("Round", b.current)
    b.node("Clip", b.current, b.constant(np.float32(0)), b.constant(np.float32(255)))


def float_graph(network: Network, free: bool = False) -> bytes:
    """Serialised ONNX model in float32 holding integers: Conv or Gemm of numbers times 2^-shift, Round, Clip.

    ONNX Round is half to even.

    ``free``: it takes images of any height and width, channels last, and gives such.
    """

    return _model(network, _in_float, True, free)


def int8_graph(network: Network, free: bool = False) -> bytes:
    """Serialised ONNX model on uint8 activations and int8 weights: QLinearConv and QGemm-style dense layers.

    A dense layer is a 1x1 QLinearConv over the batch laid out along the width, so that one operator, whose exactness
    was established, serves both. ``free``: as for :func:`float_graph`.
    """
    one = np.float32(1)
    zero_x, zero_w = np.uint8(0), np.int8(0)

    def weighted(b: _Builder, layer: Conv | Dense, weights: Weights, pixels: bool) -> None:
        if layer.wide:
            b.node("Cast", b.current, to=onnx.FLOAT)
            _weighed_in_float(b, layer, weights, pixels)
            # It rounds half to even, and saturates
            b.node("QuantizeLinear", b.current, b.constant(one), b.constant(zero_x))
            return
        w = weights.weight
        if isinstance(layer, Dense):
            # (n, f) -> (1, f, 1, n)
            b.node("Transpose", b.current, perm=[1, 0])
            b.node("Reshape", b.current, b.constant(np.array([1, layer.inputs, 1, -1], np.int64)))
            w = w[:, :, None, None]
        kernel, stride = (layer.kernel, layer.stride) if isinstance(layer, Conv) else (1, 1)
        scale = np.exp2(-weights.shift.astype(np.float32))
        b.node(
            "QLinearConv",
            b.current,
            b.constant(one),
            b.constant(zero_x),
            b.constant(w),
            b.constant(scale),
            b.constant(np.zeros(len(w), zero_w.dtype)),
            b.constant(one),
            b.constant(zero_x),
            b.constant(weights.bias),
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
            kernel_shape=[kernel] * 2,
        )
        if isinstance(layer, Dense):
            b.node("Reshape", b.current, b.constant(np.array([layer.outputs, -1], np.int64)))
            b.node("Transpose", b.current, perm=[1, 0])

    return _model(network, weighted, False, free)
