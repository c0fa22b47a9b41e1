"""Small models in phases with random weights, the same on every machine: made by a generator of integers.

Nothing here needs more than the package itself, as it also runs on emulated processors (tests/portability).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from bitsback.kinds.base import ImageSpec
from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec
from bitsback.kinds.phases.config import PhasesConfig
from bitsback.kinds.phases.grids import taps
from bitsback.kinds.phases.network import SIZE, LatentsSpec, PhasesSpec, head_name, head_tensors
from bitsback.models import Model
from bitsback.nets.layers import (
    MAX_ACCUMULATOR,
    MAX_WEIGHT,
    Conv,
    Dense,
    Flatten,
    NetSpec,
    Skip,
    Unflatten,
    Weights,
)
from contexts import Noise, table
from nets.networks import random_network

COMPONENTS, MAP = 2, 4

LATENT_SIZE = 10, 13
"""Of images of models with latents."""


@cache
def phases_file(
    channels: int = 1,
    levels: int = 256,
    reach: tuple[int, ...] = (2, 1),
    period: int = 8,
    edges: bool = True,
    hidden: int = 9,
    latents: int = 0,
) -> bytes:
    """Outputs reach the ends of their ranges; channels are coded in reverse order."""
    noise, parameters = Noise(channels), 3 * COMPONENTS if levels > 2 else 1
    reach = (*reach, *reach[-1:] * channels)[:channels]
    widths = (hidden,) if hidden else ()
    classes = 2
    trunks = []
    for phase in range(3):
        seen = sum(len(taps(phase, each)) for each in reach) + (levels > 2) * channels
        seen += classes + 2 * (period // 2) + 4 * edges + MAP * (latents > 0)
        layers = (Conv(seen, 8, 1), Conv(8, 6, 3), Conv(6, 8, 3), Skip(), Conv(8, 7, 1))
        trunks.append(NetSpec((seen, *SIZE), layers))
    predicts = tuple(each + each % 2 for each in reach) if levels > 2 else ()
    spec = PhasesSpec(tuple(trunks), widths, reach, predicts, classes, period, edges, MAP * (latents > 0))
    tensors = {"table": table(channels)}
    for phase, trunk in enumerate(trunks):
        for index, layer in enumerate(trunk.layers):
            if isinstance(layer, Conv):
                made = convolution(noise, layer, 128 if index == 2 else 80)
                tensors |= {f"trunk.{phase}.{index}.{part}": getattr(made, part) for part in Weights.__struct_fields__}
    for level in range(classes):
        for phase in range(3):
            tensors |= head_tensors(head_name(level, phase), head(noise, spec, phase, channels, parameters))
            size = sum(len(taps(phase, each)) for each in predicts)
            made = Weights(
                noise.array(-900, 900, (channels, size), np.int16),
                noise.array(-3000, 3000, (channels,), np.int32),
                np.full(channels, 9 + level, np.uint8),
            )
            if levels > 2:
                tensors |= {f"filter.{level}.{phase}.{part}": getattr(made, part) for part in Weights.__struct_fields__}
    tensors |= head_tensors(head_name(None, None), head(noise, spec, None, channels, parameters))
    said = None
    if latents:
        encoder = (Conv(channels, 5, 3, 2), Flatten(), Dense(5 * 5 * 7, 2 * latents))
        decoder = (Dense(latents, MAP * 3 * 4), Unflatten(MAP, 3, 4), Conv(MAP, MAP, 3))
        said = LatentsSpec(latents, 6, NetSpec((channels, *LATENT_SIZE), encoder), NetSpec((latents,), decoder))
        tensors |= random_network(said.encoder).tensors("encoder") | random_network(said.decoder).tensors("decoder")
    config = PhasesConfig(
        name=f"tiny-phases-{channels}-{levels}",
        image=ImageSpec(*(LATENT_SIZE if latents else (0, 0)), channels, 2 if levels == 2 else 256),
        latents=said,
        likelihood=MixtureSpec(COMPONENTS) if levels > 2 else BernoulliSpec(),
        phases=spec,
        colour=tuple(reversed(range(channels))),
    )
    return Model.made(config, tensors).data


def convolution(noise: Noise, layer: Conv, middle: int) -> Weights:
    fan_in = layer.inputs * layer.kernel**2
    weight = noise.array(-MAX_WEIGHT, MAX_WEIGHT, layer.weight_shape, np.int8)
    shift = np.full(layer.outputs, max(int(np.log2(37 * fan_in**0.5 * 100 / 60)), 0), np.uint8)
    centred = (middle << shift.astype(np.int64)) - 100 * weight.reshape(layer.outputs, -1).sum(1, dtype=np.int64)
    return Weights(weight, centred.astype(np.int32), shift)


def head(noise: Noise, spec: PhasesSpec, phase: int | None, channels: int, parameters: int) -> list[list[Weights]]:
    return [
        [dense(noise, layer, parameters if i == len(layers) - 1 else 0) for i, layer in enumerate(layers)]
        for layers in (spec.head(phase, c, parameters) for c in range(channels))
    ]


def dense(noise: Noise, layer: Dense, parameters: int) -> Weights:
    """``parameters``: of the distribution that the outputs begin with; 0 for a hidden layer."""
    top = min(2000, MAX_ACCUMULATOR // (512 * layer.inputs))
    weight = noise.array(-top, top, (layer.outputs, layer.inputs), np.int16)
    bias, shift = np.zeros(layer.outputs, np.int32), np.zeros(layer.outputs, np.uint8)
    for o in range(layer.outputs):
        kind = o // (parameters // 3) if parameters > 1 else 4
        middle, step = ((0, 300), (26, 16), (0, 60), (100, 400), (0, 60))[min(kind, 3) if parameters > 1 else 4]
        if not parameters:
            middle, step = 110, 64
        typical = 60 * top * int(np.sqrt(layer.inputs))
        shift[o] = by = min(max((typical // step).bit_length() - 1, 0), 23)
        room = MAX_ACCUMULATOR - 1 - (1 << by) - 255 * int(np.abs(weight[o].astype(int)).sum())
        bias[o] = min(max((middle << by) - 100 * int(weight[o].astype(int).sum()), -room), room)
    return Weights(weight, bias, shift)
