"""Heads, eight samples side by side: each lane of a vector is a sample, so that what a layer gives is as its
successors, and the distributions, read it.

Inputs of layers are paired: int32 (pairs, LANES), where the first of two is the low half of a number. The first layers
of all channels read one array of them: the map, and then a pair for each channel that comes before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from bitsback.kernels import helper
from bitsback.kernels.values import INT
from bitsback.kernels.vectors import BYTES, INTS, LANES, SHORTS, vectorised
from bitsback.kinds.context.network import MAX_OUTPUT, rounded_bias
from bitsback.kinds.phases.grids import NEAR
from bitsback.kinds.phases.network import FOLLOW_SHIFT
from bitsback.nets.layers import Weights

TOGETHER = 4
"""Outputs that share what they read; their number is padded to a multiple of it."""

_HALVES = ir.VectorType(SHORTS.element, 2 * LANES)


class Packed(NamedTuple):
    """The heads of all channels.

    ``weights``: int32, layer after layer: biases, with the half that makes the floor a rounding, and shifts, of all
    outputs; then, for each group of outputs, for each pair of inputs, a pair of weights for each output. ``layout``:
    int64 (layers, 5): the channel, pairs of inputs, outputs, where the layer begins, and whether it is the channel's
    last.
    """

    weights: NDArray[np.int32]
    layout: NDArray[np.int64]


class Heads(NamedTuple):
    """:class:`Packed`, and room for what is computed."""

    packed: Packed
    shown: NDArray[np.int32]
    """(pairs, LANES): what first layers read."""
    inner: NDArray[np.int32]
    """(2, pairs, LANES)"""
    out: NDArray[np.int32]
    """(outputs, LANES): what last layers give."""


def pack(channels: Sequence[Sequence[Weights]], maps: int) -> Packed:
    """Pack the layers of all channels' heads, that read so many bytes of a map."""
    blocks: list[NDArray[np.int32]] = []
    layout, begin = [], 0
    for channel, layers in enumerate(channels):
        for number, w in enumerate(layers):
            outputs, inputs = w.weight.shape
            # What follows an odd map begins with a new pair
            places = np.arange(inputs) + (np.arange(inputs) >= maps) * (maps % 2 if number == 0 else 0)
            pairs, padded = -(-(int(places[-1]) + 1) // 2), -(-outputs // TOGETHER) * TOGETHER
            matrix = np.zeros((padded, 2 * pairs), np.int16)
            matrix[:outputs, places] = w.weight
            head = np.zeros((2, padded), np.int32)
            head[0, :outputs], head[1, :outputs] = rounded_bias(w), w.shift
            grouped = matrix.reshape(padded // TOGETHER, TOGETHER, pairs, 2).transpose(0, 2, 1, 3)
            numbers = np.ascontiguousarray(grouped).view(np.int32)
            blocks += [head.ravel(), numbers.ravel()]
            layout.append([channel, pairs, padded, begin, number + 1 == len(layers)])
            begin += head.size + numbers.size
    return Packed(np.concatenate(blocks), np.array(layout, np.int64))


def ready(packed: Packed) -> Heads:
    """Packed heads with room."""
    _, pairs, outputs, *_ = packed.layout.max(0)
    return Heads(
        packed,
        np.zeros((pairs + 1, LANES), np.int32),
        np.zeros((2, max(pairs, outputs // 2), LANES), np.int32),
        np.zeros((outputs, LANES), np.int32),
    )


@vectorised
def show(v, maps, count, size, begin, shown):  # type: ignore[no-untyped-def]
    """Set what all heads read of a map, uint8 (``count``, ``size``), eight samples from ``begin`` on, but for what is
    left of four bytes: they come together."""
    places = (v.vector(list(range(LANES)), INTS) + begin).at_most(count - 1) * size
    with v.loop(size.shifted(2)) as group:
        four = maps.gather(places + group * 4, INTS)
        shown.store(group * (2 * LANES), (four & 0xFF) + (four & 0xFF00) * 256)
        shown.store(group * (2 * LANES) + LANES, (four.shifted(16) & 0xFF) + (four.shifted(8) & 0xFF0000))


@vectorised
def err(v, symbols, predictions, begin, table, errors, shown):  # type: ignore[no-untyped-def]
    """Set the errors of a channel, and what later ones' heads read of it: its error companded, and how large it is."""
    first = begin * 0
    error = symbols.load(first, INTS) * 16 - predictions.load(begin, SHORTS).to(INTS)
    companded = table.gather(error & 0xFFFF, BYTES).to(INTS) & 0xFF
    distance = companded - 128
    errors.store(first, error)
    shown.store(first, companded + (distance.at_least(0 - distance) * 2).at_most(255) * 65536)


@vectorised
def _layer(v, weights, begin, pairs, outputs, x, inner, out):  # type: ignore[no-untyped-def]
    """A layer. If it is the last one, what it gives is in ``out``, else, in pairs, in ``inner``."""
    with v.loop(outputs // TOGETHER) as group:
        o = group * TOGETHER
        sums = [v.variable(weights.load(begin + o + k, INT).spread(LANES)) for k in range(TOGETHER)]
        matrix = begin + outputs * 2 + o * pairs
        with v.loop(pairs) as p:
            seen = x.load(p * LANES, INTS).reinterpreted(_HALVES)
            for k, total in enumerate(sums):
                weight = weights.load(matrix + p * TOGETHER + k, INT).spread(LANES).reinterpreted(_HALVES)
                total.value += v.sums_of_pairs(weight, seen)
        found = [total.value >> weights.load(begin + outputs + o + k, INT).to(INTS) for k, total in enumerate(sums)]
        for k in range(TOGETHER):
            out.store((o + k) * LANES, found[k].held(-MAX_OUTPUT, MAX_OUTPUT))
        for k in range(0, TOGETHER, 2):
            low, high = (one.held(0, 255) for one in found[k : k + 2])
            inner.store((o + k) // 2 * LANES, low + high * 65536)


@helper
def evaluate(heads, layer):  # type: ignore[no-untyped-def]
    """Run a channel's head, whose first layer is given, into ``heads.out``; return the next channel's."""
    layout = heads.packed.layout
    _layer(
        heads.packed.weights, layout[layer, 3], layout[layer, 1], layout[layer, 2], heads.shown, heads.inner[0],
        heads.out,
    )  # fmt: skip
    side = 0
    while layout[layer, 4] == 0:
        layer += 1
        _layer(
            heads.packed.weights, layout[layer, 3], layout[layer, 1], layout[layer, 2], heads.inner[side],
            heads.inner[1 - side], heads.out,
        )  # fmt: skip
        side = 1 - side
    return layer + 1


@vectorised
def mixed(  # type: ignore[no-untyped-def]
    v, out, components, predictions, near, stride, begin, errors, earlier, parameters
):
    """Set the parameters of mixtures, as :func:`bitsback.codecs.logistic.prepare` reads them, from what a head gives.

    ``predictions`` and ``near``: the channel's, int16, of which eight samples from ``begin`` on count; ``stride``: from
    one of the nearest taps to the next. ``errors``: int32 (``earlier``, LANES).
    """
    follow = v.variable(v.vector([0] * LANES, INTS))
    for t in range(NEAR):
        known = near.load(stride * t + begin, SHORTS).to(INTS)
        follow.value += out.load((components * 3 + t) * LANES, INTS) * known
    with v.loop(earlier) as j:
        follow.value += out.load((components * 3 + NEAR + j) * LANES, INTS) * errors.load(j * LANES, INTS)
    origin = predictions.load(begin, SHORTS).to(INTS) + (follow.value >> FOLLOW_SHIFT)
    with v.loop(components) as k:
        mean, scale, weight = (out.load((components * i + k) * LANES, INTS) for i in range(3))
        parameters.store(k * LANES, origin + mean)
        parameters.store((components + k) * LANES, scale.held(0, 63))
        parameters.store((components * 2 + k) * LANES, (weight + 128).held(0, 255))
