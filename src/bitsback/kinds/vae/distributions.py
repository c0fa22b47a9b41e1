"""A variational autoencoder as a codec: integer networks in, integer distributions out.

The encoder network reads an image and gives, for each latent, two integers in 0..255: ``d``, the posterior mean
(d - 128) / 32 in prior standard deviations, and ``r``, the posterior width 2^(-r / 32). The decoder network reads
the latents, each as the centre of its bucket in the same units, and gives the integer parameters of every pixel.
Both are functions of integers only, so an encoder and a decoder on different machines agree on every probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.codecs import (
    Bernoulli,
    BitsBack,
    Codec,
    Family,
    NetworkMixture,
    PosteriorBuckets,
    TwoPart,
    Uniform,
    bucket_centres,
    quarter,
)
from bitsback.errors import ModelError
from bitsback.kinds.context.codec import PRECISION, ContextCodec, logit_probabilities
from bitsback.kinds.context.network import ContextNetwork
from bitsback.models.file import Config, MixtureSpec
from bitsback.nets.engine import ENGINES, choose, in_batches, reading_order
from bitsback.nets.layers import Network

Images = NDArray[np.uint8]
"""(n, height, width, channels), samples in 0..levels - 1."""

Latents = NDArray[np.uint16]
"""(n, latents), bucket indices in 0..2^latent_bits - 1."""


class VAE:
    """The three distributions of a latent-variable model over batches of images.

    Args:
        config: the checked configuration.
        tensors: the tensors of both networks.
        engines: names of the engines to try, best first; the self-test decides.
        threads: threads that an engine may use within one call. No output depends on it.
        batch: most images that an engine is given at once. No output depends on it.
    """

    def __init__(
        self,
        config: Config,
        tensors: dict[str, NDArray[Any]],
        engines: Sequence[str] = ENGINES,
        threads: int = 1,
        batch: int = 1 << 12,
    ) -> None:
        if config.encoder is None or config.decoder is None:
            raise ModelError(f"the model {config.name} has no latents")
        encoder = Network.from_tensors(config.encoder, tensors, "encoder")
        decoder = Network.from_tensors(config.decoder, tensors, "decoder")
        hashes = config.self_test
        runs = choose([(encoder, hashes["encoder"]), (decoder, hashes["decoder"])], engines, threads)
        self._encoder, self._decoder = (in_batches(run, batch) for run in runs)
        self._order = reading_order(config.decoder)
        self._context = context_network(config, tensors)
        self.config = config

    def prior(self, n: int, bits: int | None = None) -> Uniform:
        """p(z): buckets of equal mass, so plain bits. ``bits`` makes coarser buckets than the model's own."""
        return Uniform(self.config.latent_bits if bits is None else bits, (n, self.config.latents))

    def likelihood(self, z: Latents, bits: int | None = None) -> Family | ContextCodec:
        """p(x | z), for z (n, latents) in buckets of ``bits`` bits: of each sample by itself, or, where the model has a
        context network, of each given those before it."""
        image = self.config.image
        shape = (len(z), image.height, image.width, image.channels)
        out = self._decoder(bucket_centres(self.config.latent_bits if bits is None else bits)[z])
        if self._context is not None:
            maps = out.reshape(len(z), self._context.spec.map, -1)
            return ContextCodec(self._context, shape, image.levels, maps, self._order)
        if isinstance(self.config.likelihood, MixtureSpec):
            # One channel of samples, so that a row of parameters is a row of pixels
            return NetworkMixture(out.reshape(len(z), 3 * self.config.likelihood.components, -1), shape, self._order)
        probabilities = logit_probabilities()[out.reshape(len(z), -1)[:, self._order]]
        return Bernoulli(probabilities.reshape(shape), PRECISION)

    def posterior(self, x: Images) -> PosteriorBuckets:
        """q(z | x)."""
        delta, rho = self._posterior(x)
        return PosteriorBuckets(delta, rho, self.config.latent_bits)

    def codec(self, n: int) -> Codec[Images]:
        """n images side by side, with bits back (Townsend, Bird & Barber, section 2.2)."""
        return BitsBack(self.prior(n), self.likelihood, self.posterior)

    def primer(self, bits: int) -> Codec[Images]:
        """One image in two parts, its latents on a grid of 2^bits buckets: costs more, but needs no bits to begin."""

        def best(x: Images) -> Latents:
            delta, _ = self._posterior(x)
            centres = bucket_centres(bits).astype(np.uint16)
            return np.searchsorted((centres[:-1] + centres[1:]) // 2, delta).astype(np.uint16)

        return TwoPart(self.prior(1, bits), lambda z: self.likelihood(z, bits), best)

    def _posterior(self, x: Images) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """delta and rho indices, uint8 (n, latents) each."""
        inputs = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        if self.config.image.levels == 2:
            inputs = inputs * np.uint8(128)
        out = self._encoder(inputs)
        delta, narrowness = out[:, : self.config.latents], out[:, self.config.latents :]
        return delta, quarter(narrowness)


def context_network(config: Config, tensors: dict[str, NDArray[Any]]) -> ContextNetwork | None:
    """The context network of a model, if it has one."""
    if config.context is None:
        return None
    return ContextNetwork.from_tensors(config.context, config.image.channels, config.parameters, tensors)
