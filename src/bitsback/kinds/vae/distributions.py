"""A variational autoencoder as a codec: integer networks in, integer distributions out.

The encoder network reads an image and gives, for each latent, two integers in 0..255: ``d``, the posterior mean
(d - 128) / 32 in prior standard deviations, and ``r``, the posterior width 2^(-r / 32). The decoder network reads
the latents, each as the centre of its bucket in the same units, and gives the integer parameters of every pixel.
Both are functions of integers only, so an encoder and a decoder on different machines agree on every probability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.codecs import BitsBack, Codec, Family, PosteriorBuckets, TwoPart, Uniform, bucket_codes, quarter
from bitsback.kinds.base import Bits, Shape, Tensors, WithLatents
from bitsback.kinds.context.codec import PRECISION, ContextCodec
from bitsback.kinds.noise import noise
from bitsback.kinds.vae import chain
from bitsback.kinds.vae.chain import Images
from bitsback.nets import cost
from bitsback.nets.engine import ENGINES, choose, in_batches, reading_order
from bitsback.nets.layers import Network

if TYPE_CHECKING:
    from bitsback.kinds.vae.config import VAEConfig

Latents = NDArray[np.uint16]
"""(n, latents), bucket indices in 0..2^latent_bits - 1."""

LOOKED_AT = 64
"""Images that are looked at, or drawn, at once."""


class VAE(WithLatents):
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
        config: VAEConfig,
        tensors: Tensors,
        engines: Sequence[str] = ENGINES,
        threads: int = 1,
        batch: int = 1 << 12,
    ) -> None:
        encoder = Network.from_tensors(config.encoder, tensors, "encoder")
        decoder = Network.from_tensors(config.decoder, tensors, "decoder")
        hashes = config.self_test
        runs = choose([(encoder, hashes.encoder), (decoder, hashes.decoder)], engines, threads)
        specs = (config.encoder, config.decoder)
        self._encoder, self._decoder = (
            in_batches(run, min(batch, cost.batch(spec))) for run, spec in zip(runs, specs, strict=True)
        )
        self._order = reading_order(config.decoder)
        self._context = config.context_network(tensors)
        self.config: VAEConfig = config
        self.shape, self.group = config.image.shape, config.group
        self.latents, self.latent_bits = config.latents, config.latent_bits

    def encode(self, images: Images, threads: int) -> bytes:
        return chain.encode(self, images)

    def decode(self, payload: bytes, count: int, shape: Shape, threads: int) -> Images:
        return chain.decode(self, payload, count)

    def bits(self, images: Images, seed: int) -> Bits:
        """See :meth:`bitsback.kinds.base.Trained.bits`: by one sample of z from the integer posterior."""
        rng = np.random.default_rng(seed)
        samples, latents = np.empty(images.shape, np.float64), np.empty(len(images), np.float64)
        for part in _parts(len(images)):
            x = images[part]
            posterior = self.posterior(x)
            z = posterior.pop(noise(rng, len(x) * self.latents * posterior.precision))
            samples[part] = self.likelihood(z).bits(x)
            latents[part] = self.prior(len(x)).bits(z).sum(1) - posterior.bits(z).sum(1)
        return Bits(samples, latents)

    def draw(self, count: int, shape: Shape, random: Callable[[int], Stack]) -> Images:
        images = np.zeros((count, *shape), np.uint8)
        for part in _parts(count):
            x = images[part]
            x[...] = self.codec(len(x)).pop(random(x.size * PRECISION + len(x) * self.latents * self.latent_bits))
        return images

    def information(self, x: Images) -> NDArray[np.float64]:
        """See :meth:`bitsback.kinds.base.WithLatents.information`: exact, a sum over all buckets."""
        parts = [information(self.posterior(x[part])) for part in _parts(len(x))]
        return np.concatenate([np.empty((0, self.latents)), *parts])

    def prior(self, n: int, bits: int | None = None) -> Uniform:
        """p(z): buckets of equal mass, so plain bits. ``bits`` makes coarser buckets than the model's own."""
        return Uniform(self.latent_bits if bits is None else bits, (n, self.latents))

    def likelihood(self, z: Latents, bits: int | None = None) -> Family | ContextCodec:
        """p(x | z), for z (n, latents) in buckets of ``bits`` bits: of each sample by itself, or, where the model has a
        context network, of each given those before it."""
        image = self.config.image
        shape = (len(z), image.height, image.width, image.channels)
        out = self._decoder(bucket_codes(self.latent_bits if bits is None else bits)[z])
        if self._context is not None:
            maps = out.reshape(len(z), self._context.spec.map, -1)
            return ContextCodec(self._context, shape, image.levels, maps, self._order)
        return self.config.likelihood.codec(
            out.reshape(len(z), self.config.likelihood.parameters, -1), shape, self._order
        )

    def posterior(self, x: Images) -> PosteriorBuckets:
        """q(z | x)."""
        delta, rho = self._posterior(x)
        return PosteriorBuckets.from_codes(delta, rho, self.latent_bits)

    def codec(self, n: int) -> Codec[Images]:
        """n images side by side, with bits back (Townsend, Bird & Barber, section 2.2)."""
        return BitsBack(self.prior(n), self.likelihood, self.posterior)

    def primer(self, bits: int) -> Codec[Images]:
        """One image in two parts, its latents on a grid of 2^bits buckets: costs more, but needs no bits to begin."""

        def best(x: Images) -> Latents:
            delta, _ = self._posterior(x)
            centres = bucket_codes(bits).astype(np.uint16)
            return np.searchsorted((centres[:-1] + centres[1:]) // 2, delta).astype(np.uint16)

        return TwoPart(self.prior(1, bits), lambda z: self.likelihood(z, bits), best)

    def _posterior(self, x: Images) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """delta and rho indices, uint8 (n, latents) each."""
        inputs = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        if self.config.image.levels == 2:
            inputs = inputs * np.uint8(128)
        out = self._encoder(inputs)
        delta, narrowness = out[:, : self.latents], out[:, self.latents :]
        return delta, quarter(narrowness)


def information(posterior: PosteriorBuckets) -> NDArray[np.float64]:
    """KL of each latent from its prior in bits, (n, latents): a sum over all buckets."""
    bits, rows = posterior.bits_per_symbol, []
    buckets = np.repeat(np.arange(1 << bits, dtype=np.uint16)[None], posterior.shape[1], axis=0)
    for one in zip(posterior.mean, posterior.scale, strict=True):
        mean, scale = (np.broadcast_to(each[:, None], buckets.shape) for each in one)
        cost = PosteriorBuckets(mean, scale, bits).bits(buckets)
        rows.append((np.exp2(-cost) * (bits - cost)).sum(1))
    return np.array(rows).reshape(posterior.shape)


def _parts(count: int) -> Iterator[slice]:
    """So many images, some at a time."""
    return (slice(first, min(first + LOOKED_AT, count)) for first in range(0, count, LOOKED_AT))
