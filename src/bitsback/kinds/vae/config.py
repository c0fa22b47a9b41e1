"""What a model file says of a variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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

MAX_GROUP = 64
MAX_GROUP_VALUES = 1 << 22
"""Images that are coded side by side, at most, and values that a layer gives for all of them."""


class SelfTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """SHA-256 in hex of the outputs of each network on the self-test's inputs: see :mod:`bitsback.nets.engine`."""

    encoder: str = ""
    decoder: str = ""


class VAEConfig(ModelConfig, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, tag="vae"):
    """Latents, an encoder and a decoder network, for images of one size and one channel.

    The decoder gives the parameters of the likelihood; or, if there is a context network, a feature map that the
    context network reads.
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

    @property
    def networks(self) -> dict[str, NetSpec]:
        """Encoder and decoder by name."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def values(self) -> int:
        """The most values that a layer of encoder or decoder takes or gives for one image."""
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
        if not (image.height and image.width and image.channels == 1):
            raise ModelError("the model's image shape is not supported")
        if not (1 <= self.latents <= 4096 and 1 <= self.latent_bits <= 12):
            raise ModelError("the model's latents are beyond the limits")
        self.likelihood.check(image.levels)
        if self.context is not None:
            check_fit(self.context, self.likelihood, 1, image.levels)
        if self.encoder.input != image.shape[2:] + image.shape[:2] or self.encoder.output != (2 * self.latents,):
            raise ModelError("the encoder does not fit the model's images or latents")
        maps = self.likelihood.parameters if self.context is None else self.context.map
        if self.decoder.input != (self.latents,) or self.decoder.output != (maps, image.height, image.width):
            raise ModelError("the decoder does not fit the model's latents, likelihood or feature map")
        if not (self.self_test.encoder and self.self_test.decoder):
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
        return ContextNetwork.from_tensors(self.context, 1, self.likelihood.parameters, tensors)

    def build(self, tensors: Tensors, engines: Sequence[str], threads: int, batch: int) -> VAE:
        from bitsback.kinds.vae.distributions import VAE  # it loads the compiler, which reading a model does without

        return VAE(self, tensors, engines, threads, batch)

    def with_self_test(self, tensors: Tensors) -> Self:
        from bitsback.nets.engine import self_test_hash

        networks = {name: Network.from_tensors(spec, tensors, name) for name, spec in self.networks.items()}
        hashes = {name: self_test_hash(network) for name, network in networks.items()}
        return msgspec.structs.replace(self, self_test=SelfTest(**hashes))

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

    def sentence(self) -> str:
        words = f"A variational autoencoder with {self.latents} latents of {self.latent_bits} bits"
        return words + (", and a causal network that sees each pixel’s surroundings." if self.context else ".")

    def facts(self) -> dict[str, Any]:
        macs = {name: network.macs() for name, network in self.networks.items()}
        if self.context is not None:
            macs["context"] = self._pixel_macs()
        return {"latents": self.latents, "likelihood": str(self.likelihood), "macs": macs}

    def lines(self) -> Iterator[tuple[str, str]]:
        yield "model", f"{self.latents} latents of {self.latent_bits} bits; {self.likelihood}"
        for name, network in self.networks.items():
            yield name, f"{network.macs():,} multiply-accumulates an image"
        if self.context is not None:
            yield from lines(self.context, self.likelihood)

    def _pixel_macs(self) -> int:
        return 0 if self.context is None else self.context.macs(self.likelihood.parameters)
