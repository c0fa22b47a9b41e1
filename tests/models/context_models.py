"""Model files with the tiny context networks of tests/contexts.py: with latents and without."""

from functools import cache

from msgspec import structs

from bitsback.kinds.base import ImageSpec
from bitsback.kinds.context.config import ContextConfig
from bitsback.kinds.context.network import ContextNetwork
from bitsback.kinds.likelihoods import BernoulliSpec, LikelihoodSpec, MixtureSpec
from bitsback.kinds.vae.config import VAEConfig
from bitsback.models import Model
from bitsback.models.file import parse
from bitsback.nets.layers import Conv, Dense, NetSpec, Shuffle, Unflatten
from contexts import Kind, tiny_context
from helpers import tiny_model_file
from nets.networks import random_network

MAPS = 3


def likelihood(network: ContextNetwork) -> LikelihoodSpec:
    return BernoulliSpec() if network.parameters == 1 else MixtureSpec(network.parameters // 3)


@cache
def context_file(kind: Kind, height: int = 0, width: int = 0, colour: tuple[int, ...] | None = None) -> bytes:
    """A model without latents, of images of any size where ``height`` and ``width`` are 0."""
    network, (channels, _, _, levels) = tiny_context(*kind), kind
    config = ContextConfig(
        name=f"tiny-context-{channels}",
        image=ImageSpec(height, width, channels, 2 if levels == 2 else 256),
        likelihood=likelihood(network),
        context=network.spec,
        colour=tuple(range(channels)) if colour is None else colour,
    )
    return Model.made(config, network.tensors()).data


@cache
def vae_file(levels: int = 256, shuffle: bool = True, channels: int = 1) -> bytes:
    """:func:`helpers.tiny_model_file` with a context network: a feature map takes the place of the parameters."""
    _, config, tensors = parse(tiny_model_file(levels, channels=channels))
    assert isinstance(config, VAEConfig)
    network = tiny_context(channels, None if channels == 1 else "median", MAPS, levels)
    last = (Conv(8, 16 * MAPS, 3), Shuffle(4)) if shuffle else (Conv(8, MAPS, 3),)
    start = Unflatten(8, 2, 3) if shuffle else Unflatten(8, 8, 12)
    spec = NetSpec((config.latents,), (Dense(config.latents, 8 * start.height * start.width), start, *last))
    decoder = random_network(spec, 1)
    changed = structs.replace(
        config,
        name=f"tiny-vae-{levels}",
        likelihood=likelihood(network),
        decoder=decoder.spec,
        context=network.spec,
    )
    encoder = {name: tensor for name, tensor in tensors.items() if name.startswith("encoder.")}
    return Model.made(changed, {**encoder, **decoder.tensors("decoder"), **network.tensors()}).data
