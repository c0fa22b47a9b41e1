"""What decoding with a variational autoencoder takes, known from its configuration alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bitsback.kinds.chain import shelf
from bitsback.kinds.context import cost as context_cost
from bitsback.nets import cost as nets_cost

if TYPE_CHECKING:
    from bitsback.kinds.vae.config import VAEConfig


def decoding(config: VAEConfig, count: int, payload: int) -> int:
    """Bytes for so many images from a payload of so many bytes, the images included."""
    image = config.image
    samples, group = math.prod(image.shape), min(count, config.group)
    maps = math.prod(config.decoder.output)
    networks = sum(nets_cost.working(spec, min(group, nets_cost.batch(spec))) for spec in config.networks.values())
    # The decoder's output, in parts and whole, perhaps reordered; pixels as inputs and in their codec; latents
    latents = sum(level.latents for level in config.levels)
    step = 3 * group * maps + 32 * group * samples + 64 * group * latents
    if config.context is not None:
        step += context_cost.working(config.context, (group, *image.shape))
    return count * samples + shelf(count, samples) + 2 * payload + networks + step + (1 << 20)


def pace(config: VAEConfig) -> int:
    """Samples that one core decodes in about a tenth of a second: see :attr:`bitsback.kinds.base.Coder.pace`."""
    pixels, parameters = config.image.height * config.image.width, config.likelihood.parameters
    # Latents and what else is done for all; encoder and decoder; the pixels themselves
    taken = 100 + sum(network.macs() for network in config.networks.values()) // (16 * pixels)
    channels = config.image.channels
    if config.context is not None:
        taken += context_cost.nanoseconds(config.context, channels, parameters)
    else:
        taken += channels * 28 * (parameters // 3)
    return context_cost.samples_in_time(taken, channels)
