"""Small context networks with random weights, the same on every machine: made by a generator of integers.

Nothing here needs more than the package itself, as it also runs on emulated processors (tests/portability).
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

from bitsback.ans import Stack
from bitsback.kinds.context.codec import ContextCodec
from bitsback.kinds.context.network import TABLE_SIZE, ContextNetwork, ContextSpec, Feature, Memory, RegressionSpec, Tap
from bitsback.nets.layers import MAX_ACCUMULATOR, MAX_WIDE_WEIGHT, Weights

Reference = Literal["regression", "median", "drawn", "memories"] | None
"""Kinds of references; "drawn": the median predictor's, with all that version 3 has; "memories": that too, or
none for two-valued samples, and memories."""


class Noise:
    """Knuth's linear congruential generator (MMIX); the high bits of its states."""

    def __init__(self, seed: int = 0) -> None:
        self.state = seed

    def __call__(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return low + (self.state >> 33) % (high - low + 1)

    def array(self, low: int, high: int, shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
        return np.array([self(low, high) for _ in range(int(np.prod(shape)))], dtype).reshape(shape)


def context_spec(
    channels: int = 1,
    reference: Reference = None,
    maps: int = 0,
    border: int = 100,
    ridge: int = 50,
    anchored: bool = True,
) -> ContextSpec:
    """Features of every plane and of the farthest neighbours; two or three layers."""
    features = []
    for c in range(channels):
        west, north, other = Tap("value", c, 0, -1), Tap("value", c, -1, 0), (c + 1) % channels
        f = [Feature(west), Feature(north, west), Feature(Tap("value", c, -1, 3), north)]
        f += [Feature(Tap("value", other, -4, 4), Tap("value", c, -4, -4)), Feature(Tap("value", c, -2, 4), north)]
        f += [Feature(Tap("row"), Tap("column")), Feature(Tap("value", other, 0, -4), Tap("value", c, -1, -1))]
        f += [Feature(Tap("value", k), Tap("value", k, 0, -1)) for k in range(c)]
        if reference and anchored:
            f += [Feature(Tap("reference", c), west), Feature(Tap("error", c, 0, -1)), Feature(Tap("error", c, -1, 1))]
            f += [Feature(Tap("error", k), Tap("error", c, -3, -4)) for k in range(c)]
        if reference == "drawn":
            f += [Feature(Tap("value", c, -8, 8), Tap("value", other, -8, -8)), Feature(Tap("error", c, -5, 7))]
        if reference == "regression":
            f += [Feature(Tap("spread", k)) for k in range(c + 1)]
        if reference == "memories":
            f += [Feature(Tap("memory", k), west) for k in range(2 * c + 2)]
            f += [Feature(Tap("trust", k), Tap("trust", 0)) for k in range(2 * c + 2)]
        features.append(tuple(f))
    near = [(0, -1), (-1, 0), (-1, 3)] if channels > 1 else [(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)]
    taps = tuple(Tap("value", c, dy, dx) for c in range(channels) for dy, dx in near)
    anchors = ()
    if reference == "drawn":
        anchors = tuple(
            (Tap("reference", c), Tap("value", c - 1) if c else Tap("value", c, -1, 3)) for c in range(channels)
        )
    if reference == "memories" and anchored:
        anchors = tuple((Tap("memory", 2 * c), Tap("memory", 2 * c + 1)) for c in range(channels))
    return ContextSpec(
        tuple(features),
        tuple((10,) if c % 2 else (12, 9) for c in range(channels)),
        border,
        maps,
        RegressionSpec(taps, ridge) if reference == "regression" else None,
        reference in ("median", "drawn") or (reference == "memories" and anchored),
        anchors,
        reference == "drawn",
        memories(channels) if reference == "memories" else (),
    )


def memories(channels: int) -> tuple[Memory, ...]:
    """Two of each channel: of the pixel to the left and those before it, and of two that are far away."""
    found = []
    for c in range(channels):
        own = tuple(Tap("value", k) for k in range(c))
        found.append(Memory(c, (Tap("value", c, 0, -1), *own)))
        found.append(Memory(c, (Tap("value", c, -1, 3), Tap("value", channels - 1 - c, -8, -8))))
    return tuple(found)


def random_context(spec: ContextSpec, channels: int, parameters: int, seed: int = 0) -> ContextNetwork:
    """Some weights small, some up to the accumulators' bound, with outputs that reach the ends of their ranges."""
    noise = Noise(seed)
    components = parameters // 3
    weights = []
    for channel in range(channels):
        layers = spec.layers(channel, parameters)
        weights.append([])
        for layer in layers:
            fan_in = layer.inputs
            weight = np.zeros((layer.outputs, fan_in), np.int16)
            bias, shift = np.zeros(layer.outputs, np.int32), np.zeros(layer.outputs, np.uint8)
            for o in range(layer.outputs):
                middle, step = 110, 64  # of a hidden activation
                if layer is layers[-1]:
                    kind = o // components if components else 3
                    middle = (0, -4 if spec.sharp else 26, 0, 0)[kind]
                    step = (300 if spec.has_reference else 900, 16, 60, 60)[kind]
                top = min(MAX_WIDE_WEIGHT, MAX_ACCUMULATOR // (256 * fan_in)) if o % 2 else 200
                weight[o] = noise.array(-top, top, (fan_in,), np.int16)
                typical = 45 * top * int(np.sqrt(fan_in))
                shift[o] = by = min(max((typical // step).bit_length() - 1, 0), 23)
                room = MAX_ACCUMULATOR - 1 - (1 << by) - 255 * int(np.abs(weight[o].astype(int)).sum())
                centred = (middle << by) - 128 * int(weight[o].astype(int).sum())
                bias[o] = min(max(centred, -room), room)
            weights[-1].append(Weights(weight, bias, shift))
    return ContextNetwork(spec, channels, parameters, table(seed), weights)


def table(seed: int = 0) -> np.ndarray:
    """Logarithmic, with noise, so that neighbouring entries differ."""
    noise = Noise(seed)
    values = []
    for d in range(-TABLE_SIZE // 2, TABLE_SIZE // 2):
        n = abs(d) // 8
        curve = (14 * n >> (n.bit_length() - 1)) + 14 * n.bit_length() - 27 if n else 0
        values.append(min(max(128 + (curve if d > 0 else -curve) + noise(-2, 2), 0), 255))
    return np.array(values, np.uint8)


@cache
def tiny_context(
    channels: int = 1, reference: Reference = None, maps: int = 0, levels: int = 256, seed: int = 0, ridge: int = 50
) -> ContextNetwork:
    spec = context_spec(channels, reference, maps, 100 if levels == 256 else 0, ridge, levels == 256)
    return random_context(spec, channels, 1 if levels == 2 else 6, seed)


Kind = tuple[int, Reference, int, int]
"""The first arguments of :func:`tiny_context`: channels, kind of reference, feature map, levels."""

CONTENTS = ("noise", "smooth", "checkerboard", "stripes", "flat")


def picture(content: str, shape: tuple[int, int, int, int], levels: int = 256, seed: int = 0) -> np.ndarray:
    """uint8 images of shape (n, height, width, channels): what a predictor finds easy, hard, or extreme."""
    noise = Noise(seed)
    n, y, x, c = np.indices(shape)
    random = noise.array(0, 255, shape, np.int64)
    full = {
        "noise": random,
        "smooth": (9 * y + 6 * x + 20 * n + 40 * c) % 300 - 20 + random // 16,
        "checkerboard": 255 * ((x + y + n) % 2),
        "stripes": np.where((x // 3 + c) % 2 == 0, 255 - 255 * (random > 250), 0),
        "flat": np.full(shape, 255),
    }[content].clip(0, 255)
    return (full if levels == 256 else full // 128).astype(np.uint8)


KINDS: tuple[Kind, ...] = (
    (3, "regression", 0, 256),
    (1, "regression", 3, 256),
    (3, "median", 0, 256),
    (1, None, 3, 256),
    (1, None, 3, 2),
    (3, "drawn", 0, 256),
    (3, "memories", 0, 256),
    (1, "memories", 0, 2),
)
"""One of each sort."""


def stack_of_pictures(kind: Kind) -> Stack:
    """Pictures of all contents, pushed with the tiny network of that kind; popped again, and refused if they differ."""
    channels, _, maps, levels = kind
    shape = (3, 11, 13, channels)
    features = Noise(1).array(0, 255, (3, maps, 143)) if maps else None
    codec = ContextCodec(tiny_context(*kind), shape, levels, features)
    pictures = [picture(content, shape, levels) for content in CONTENTS]
    stack = Stack(8)
    for x in pictures:
        codec.push(stack, x)
    copy = stack.copy()
    if not all(np.array_equal(codec.pop(copy), x) for x in reversed(pictures)) or not copy.is_initial():
        raise ValueError(f"{kind}: popping does not undo pushing")
    return stack
