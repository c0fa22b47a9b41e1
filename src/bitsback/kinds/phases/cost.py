"""What decoding with a model in phases takes, known from its specification alone."""

from __future__ import annotations

import math
from itertools import pairwise

from bitsback.kinds.context.cost import samples_in_time
from bitsback.kinds.phases.grids import NEAR, steps
from bitsback.kinds.phases.network import LatentsSpec, PhasesSpec
from bitsback.kinds.phases.tiles import largest, piece_count
from bitsback.kinds.pieces import Whole, held
from bitsback.nets import cost as nets_cost
from bitsback.nets.cost import BATCH_VALUES, WEIGHT

VALUE = 30
"""Bytes for each value that a layer of a trunk takes or gives, in any engine. Measured, with room."""


def decoding(spec: PhasesSpec, shape: Whole, payload: int, threads: int) -> int:
    """Bytes for images of ``shape`` from a payload of so many bytes, the images included."""
    count, most = piece_count(shape), largest(shape)
    return held(shape, most) + 700 * count + 2 * payload + min(threads, count) * working(spec, most)


def working(spec: PhasesSpec, shape: Whole) -> int:
    """Bytes that a codec takes to pop a piece of ``shape``, its result included, twice as its channels may be moved."""
    n, height, width, channels = shape
    grid = max((step.height * step.width for step in steps(height, width)), default=0)
    most = 64 * n
    for trunk in spec.trunks:
        shapes = trunk.shapes()
        widest = max(channels for channels, _, _ in shapes)
        at_once = grid * min(n, max(1, BATCH_VALUES // max(grid * widest, 1)))
        pairs = max(a[0] + b[0] for a, b in pairwise(shapes))
        columns = max(math.prod(kernel[1:]) for layer in trunk.layers if (kernel := layer.weight_shape))
        given, maps = trunk.input[0], trunk.output[0]
        # What is seen, maps (in parts and whole), predictions and taps; what the engine works with
        here = n * grid * (given + 2 * maps + channels * (2 + 2 * NEAR))
        most = max(most, here + VALUE * at_once * pairs + columns * grid)
    layers = [layer for trunk in spec.trunks for layer in trunk.layers]
    weights = sum(math.prod(kernel) for layer in layers if (kernel := layer.weight_shape))
    return most + WEIGHT * weights + 3 * n * height * width * channels + 16 * (height + width) * 100 + (4 << 20)


def of_latents(spec: LatentsSpec, shape: Whole) -> int:
    """Bytes that latents of images of ``shape`` take besides."""
    n = largest(shape)[0]
    networks = sum(nets_cost.working(net, min(n, nets_cost.batch(net))) for net in (spec.encoder, spec.decoder))
    return networks + n * (3 * math.prod(spec.decoder.output) + 64 * spec.count + 4 * math.prod(shape[1:]))


def pace(spec: PhasesSpec, channels: int, parameters: int) -> int:
    """Samples that one core decodes in about a tenth of a second: see :attr:`bitsback.kinds.base.Coder.pace`."""
    return samples_in_time(nanoseconds(spec, channels, parameters), channels)


def nanoseconds(spec: PhasesSpec, channels: int, parameters: int) -> int:
    """What a pixel takes, roughly: each tap, each multiply-accumulate, and each sample and component."""
    seen = sum(sum(spec.counts(phase)) for phase in range(3)) // 3
    return 2 * seen + spec.macs(channels, parameters) // 32 + channels * (40 + 20 * (parameters // 3))


__all__ = ["BATCH_VALUES", "decoding", "nanoseconds", "pace", "working"]
