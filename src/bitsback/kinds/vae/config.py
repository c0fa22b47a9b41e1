"""What a model file says of a variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from bitsback.errors import ModelError
from bitsback.kinds.base import ModelConfig, Shape, Tensors
from bitsback.kinds.context.config import MAX_PIXEL_MACS, check_fit, lines
from bitsback.kinds.context.network import ContextNetwork, ContextSpec
from bitsback.kinds.context.tiles import GROUP as MAX_GROUP_PIXELS
from bitsback.kinds.context.tiles import padded
from bitsback.kinds.likelihoods import LikelihoodSpec
from bitsback.kinds.vae import cost
from bitsback.nets.layers import NetSpec, Network

if TYPE_CHECKING:
    from bitsback.kinds.vae.distributions import VAE

MAX_IMAGE_MACS = 1 << 30
"""Multiply-accumulates of encoder and decoder for one image."""

MAX_LEVELS = 5

MAX_GROUP = 64
MAX_GROUP_VALUES = 1 << 22
"""Images that are coded side by side, at most, and values that a layer gives for all of them."""


class SelfTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """SHA-256 in hex of the outputs of each network on the self-test's inputs: see :mod:`bitsback.nets.engine`."""

    encoder: str = ""
    decoder: str = ""


class LevelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A level of latents above others: an encoder from those below to these, a decoder from these to those below."""

    latents: int
    encoder: NetSpec
    decoder: NetSpec
    self_test: SelfTest = SelfTest()


class VAEConfig(ModelConfig, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, tag="vae"):
    """Latents, an encoder and a decoder network, for images of one size.

    The encoder reads the channels in coding order. The decoder gives the parameters of the likelihood, those of the
    first channel first; or, if there is a context network, a feature map that the context network reads. Where there
    are levels ``above``, the first one next, each says of the latents below what the decoder says of the pixels.
    """

    TAG: ClassVar[int] = 3
    STARTS: ClassVar[bool] = True

    latents: int
    latent_bits: int
    likelihood: LikelihoodSpec
    encoder: NetSpec
    decoder: NetSpec
    self_test: SelfTest = SelfTest()
    context: ContextSpec | None = None
    above: tuple[LevelSpec, ...] = ()
    colour: tuple[int, ...] = (0,)

    @property
    def levels(self) -> tuple[LevelSpec, ...]:
        """All levels, that of the pixels first."""
        return LevelSpec(self.latents, self.encoder, self.decoder, self.self_test), *self.above

    @property
    def networks(self) -> dict[str, NetSpec]:
        """Encoders and decoders by name: those of the second level are ``encoder2`` and ``decoder2``."""
        levels = enumerate(self.levels, 1)
        return {
            f"{name}{number if number > 1 else ''}": getattr(level, name)
            for number, level in levels
            for name in SelfTest.__struct_fields__
        }

    @property
    def values(self) -> int:
        """The most values that a layer of an encoder or decoder takes or gives for one image."""
        return max(math.prod(shape) for network in self.networks.values() for shape in network.shapes())

    @property
    def group(self) -> int:
        """How many images are coded side by side, a power of two; part of the format."""
        image = self.image
        most = min(MAX_GROUP, MAX_GROUP_VALUES // self.values, MAX_GROUP_PIXELS // padded(image.height, image.width))
        return 1 << (max(most, 1).bit_length() - 1)

    def check(self) -> None:
        super().check()
        image = self.image
        if not (image.height and image.width):
            raise ModelError("the model's image shape is not supported")
        if sorted(self.colour) != list(range(image.channels)):
            raise ModelError("the model's order of channels is not valid")
        most = max(level.latents for level in self.levels)
        least = min(level.latents for level in self.levels)
        if not (1 <= least <= most <= 4096 and 1 <= self.latent_bits <= 12 and len(self.levels) <= MAX_LEVELS):
            raise ModelError("the model's latents are beyond the limits")
        self.likelihood.check(image.levels)
        if self.context is not None:
            check_fit(self.context, self.likelihood, image.channels, image.levels)
        if self.encoder.input != image.shape[2:] + image.shape[:2] or self.encoder.output != (2 * self.latents,):
            raise ModelError("the encoder does not fit the model's images or latents")
        maps = image.channels * self.likelihood.parameters if self.context is None else self.context.map
        if self.decoder.input != (self.latents,) or self.decoder.output != (maps, image.height, image.width):
            raise ModelError("the decoder does not fit the model's latents, likelihood or feature map")
        for below, level in pairwise(self.levels):
            if level.encoder.input != (below.latents,) or level.encoder.output != (2 * level.latents,):
                raise ModelError("an encoder does not fit the latents below it, or its own")
            if level.decoder.input != (level.latents,) or level.decoder.output != (2 * below.latents,):
                raise ModelError("a decoder does not fit its latents, or those below it")
        if not all(level.self_test.encoder and level.self_test.decoder for level in self.levels):
            raise ModelError("the model file lacks its self-test")
        an_image = sum(network.macs() for network in self.networks.values())
        a_pixel = self._pixel_macs() + an_image // (image.height * image.width)
        if an_image > MAX_IMAGE_MACS or a_pixel > MAX_PIXEL_MACS:
            raise ModelError("the model takes more computation than is allowed")

    def check_tensors(self, tensors: Tensors) -> set[str]:
        known: set[str] = set()
        for name, spec in self.networks.items():
            known |= Network.from_tensors(spec, tensors, name).tensors(name).keys()
        network = self.context_network(tensors)
        return known | (network.tensors().keys() if network is not None else set())

    def context_network(self, tensors: Tensors) -> ContextNetwork | None:
        """The context network with its weights, if the model has one."""
        if self.context is None:
            return None
        return ContextNetwork.from_tensors(self.context, self.image.channels, self.likelihood.parameters, tensors)

    def build(self, tensors: Tensors, engines: Sequence[str], threads: int, batch: int) -> VAE:
        from bitsback.kinds.vae.distributions import VAE  # it loads the compiler, which reading a model does without

        return VAE(self, tensors, engines, threads, batch)

    def with_self_test(self, tensors: Tensors) -> Self:
        from bitsback.nets.engine import self_test_hash

        networks = self.networks.items()
        hashes = [self_test_hash(Network.from_tensors(spec, tensors, name)) for name, spec in networks]
        first, *others = map(SelfTest, hashes[::2], hashes[1::2])
        replace = msgspec.structs.replace
        above = tuple(replace(level, self_test=each) for level, each in zip(self.above, others, strict=True))
        return replace(self, self_test=first, above=above)

    @property
    def pace(self) -> int:
        return cost.pace(self)

    def memory(self, count: int, shape: Shape, payload: int, threads: int) -> int:
        return cost.decoding(self, count, payload)

    @property
    def has_latents(self) -> bool:
        return True

    @property
    def sees_neighbours(self) -> bool:
        return self.context is not None

    @property
    def counted(self) -> str:
        """Its latents, in words."""
        *lower, last = (f"{level.latents:,}" for level in self.levels)
        counts = f"{', '.join(lower)} and {last}" if lower else last
        levels = f", on {len(self.levels)} levels" if lower else ""
        return f"{counts} latents of {self.latent_bits} bits{levels}"

    def sentence(self) -> str:
        words = f"A variational autoencoder with {self.counted}"
        return words + (", and a causal network that sees each pixel’s surroundings." if self.context else ".")

    def facts(self) -> dict[str, Any]:
        macs = {name: network.macs() for name, network in self.networks.items()}
        if self.context is not None:
            macs["context"] = self._pixel_macs()
        above = {"latents above": [level.latents for level in self.above]} if self.above else {}
        return {"latents": self.latents, **above, "likelihood": str(self.likelihood), "macs": macs}

    def lines(self) -> Iterator[tuple[str, str]]:
        yield "model", f"{self.counted}; {self.likelihood}"
        for name, network in self.networks.items():
            yield name, f"{network.macs():,} multiply-accumulates an image"
        if self.context is not None:
            yield from lines(self.context, self.likelihood)

    def _pixel_macs(self) -> int:
        return 0 if self.context is None else self.context.macs(self.likelihood.parameters)
