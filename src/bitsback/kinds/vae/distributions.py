"""A variational autoencoder as a codec: integer networks in, integer distributions out.

The encoder network reads an image and gives, for each latent, two integers in 0..255: ``d``, the posterior mean
(d - 128) / 32 in prior standard deviations, and ``r``, the posterior width 2^(-r / 32). The decoder network reads
the latents, each as the centre of its bucket in the same units, and gives the integer parameters of every pixel.
Both are functions of integers only, so an encoder and a decoder on different machines agree on every probability.

Where there are levels above, latents are themselves what a model with latents codes, in the same way: the encoder of
the next level reads latents as the decoder does, and its decoder gives ``d`` and ``r`` for each of them. That is the
order of Bit-Swap (:func:`bitsback.codecs.bit_swap`): the bits that choose the latents of a level may be those of the
level below it, so the start of a chain costs about as much as with one level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.codecs import (
    BitsBack,
    Codec,
    Family,
    PosteriorBuckets,
    TwoPart,
    Uniform,
    bit_swap,
    bucket_codes,
    quarter,
)
from bitsback.kinds import chain
from bitsback.kinds.base import Bits, Shape, Tensors, WithLatents
from bitsback.kinds.chain import Images
from bitsback.kinds.context.codec import PRECISION, ContextCodec
from bitsback.kinds.noise import noise
from bitsback.kinds.order import InOrder
from bitsback.nets import cost
from bitsback.nets.engine import ENGINES, Runner, choose, in_batches, reading_order
from bitsback.nets.layers import Network

if TYPE_CHECKING:
    from bitsback.kinds.vae.config import VAEConfig

Latents = NDArray[np.uint16]
"""(n, latents), bucket indices in 0..2^latent_bits - 1."""

LOOKED_AT = 64
"""Images that are looked at, or drawn, at once."""


class Level:
    """Latents above others: what encoder and decoder say of the two.

    Args:
        encode, decode: their runners. latents: how many there are. bits: of each, below too.
    """

    def __init__(self, encode: Runner, decode: Runner, latents: int, bits: int) -> None:
        self._encode, self._decode, self.latents, self.bits = encode, decode, latents, bits

    def likelihood(self, z: Latents, bits: int | None = None) -> PosteriorBuckets:
        """p(y | z): of the latents below, given these; both in buckets of ``bits`` bits."""
        bits = self.bits if bits is None else bits
        return gaussians(self._decode(bucket_codes(bits)[z]), bits)

    def posterior(self, y: Latents) -> PosteriorBuckets:
        """q(z | y): of these, given those below."""
        return gaussians(self._encode(bucket_codes(self.bits)[y]), self.bits)

    def best(self, y: Latents, bits: int) -> Latents:
        """The latents that are the most likely, in buckets of ``bits`` bits, given those below, in the same."""
        return nearest(self._encode(bucket_codes(bits)[y])[:, : self.latents], bits)


class VAE(WithLatents):
    """The three distributions of a latent-variable model over batches of images.

    Args:
        config: the checked configuration.
        tensors: the tensors of all networks.
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
        hashes = [each for level in config.levels for each in (level.self_test.encoder, level.self_test.decoder)]
        specs = config.networks
        networks = [Network.from_tensors(spec, tensors, name) for name, spec in specs.items()]
        runs = [
            in_batches(run, min(batch, cost.batch(spec)))
            for run, spec in zip(
                choose([*zip(networks, hashes, strict=True)], engines, threads), specs.values(), strict=True
            )
        ]
        self._encoder, self._decoder, *above = runs
        self._above = [
            Level(encode, decode, level.latents, config.latent_bits)
            for encode, decode, level in zip(above[::2], above[1::2], config.above, strict=True)
        ]
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
            latents[part] = self._spent(z, rng) - posterior.bits(z).sum(1)
        return Bits(samples, latents)

    def _spent(self, z: Latents, rng: np.random.Generator) -> NDArray[np.float64]:
        """What latents of the first level cost, (n,), by one sample of those above."""
        total = np.zeros(len(z))
        for level in self._above:
            posterior = level.posterior(z)
            above = posterior.pop(noise(rng, len(z) * level.latents * posterior.precision))
            total += level.likelihood(above).bits(z).sum(1) - posterior.bits(above).sum(1)
            z = above
        total += z.shape[1] * self.latent_bits
        return total

    def draw(self, count: int, shape: Shape, random: Callable[[int], Stack]) -> Images:
        images = np.zeros((count, *shape), np.uint8)
        for part in _parts(count):
            x = images[part]
            *lower, top = (level.latents for level in self.config.levels)
            needed = (x.size + len(x) * sum(lower)) * PRECISION + len(x) * top * self.latent_bits
            x[...] = self.codec(len(x)).pop(random(needed))
        return images

    def information(self, x: Images) -> NDArray[np.float64]:
        """See :meth:`bitsback.kinds.base.WithLatents.information`: exact, a sum over all buckets; without what levels
        above know of the latents."""
        parts = [information(self.posterior(x[part])) for part in _parts(len(x))]
        return np.concatenate([np.empty((0, self.latents)), *parts])

    def prior(self, n: int, bits: int | None = None) -> Codec[Latents]:
        """p(z): buckets of equal mass, so plain bits; with levels above, what these make of it, by bits back.

        ``bits`` makes coarser buckets than the model's own, of all levels, and no bits come back.
        """
        *_, top = self.config.levels
        codec: Codec[Latents] = Uniform(self.latent_bits if bits is None else bits, (n, top.latents))
        if bits is None:
            return bit_swap(codec, *((level.likelihood, level.posterior) for level in self._above))
        for level in reversed(self._above):
            codec = TwoPart(codec, partial(level.likelihood, bits=bits), partial(level.best, bits=bits))
        return codec

    def likelihood(self, z: Latents, bits: int | None = None) -> Family | ContextCodec | InOrder:
        """p(x | z), for z (n, latents) in buckets of ``bits`` bits: of each sample by itself, or, where the model has a
        context network, of each given those before it."""
        image, n, area = self.config.image, len(z), len(self._order)
        shape = (n, *image.shape)
        out = self._decoder(bucket_codes(self.latent_bits if bits is None else bits)[z])
        codec: Family | ContextCodec
        if self._context is not None:
            maps = out.reshape(n, self._context.spec.map, area)
            codec = ContextCodec(self._context, shape, image.levels, maps, self._order)
        else:
            # The channels of a pixel are next to each other in images, and planes of parameters here
            planes = out.reshape(n, image.channels, -1, area).swapaxes(1, 2).reshape(n, -1, image.channels * area)
            order = (self._order[:, None] + area * np.arange(image.channels)).reshape(-1)
            codec = self.config.likelihood.codec(planes, shape, order)
        return codec if list(self.config.colour) == sorted(self.config.colour) else InOrder(codec, self.config.colour)

    def posterior(self, x: Images) -> PosteriorBuckets:
        """q(z | x)."""
        return gaussians(self._posterior(x), self.latent_bits)

    def codec(self, n: int) -> Codec[Images]:
        """n images side by side, with bits back (Townsend, Bird & Barber, section 2.2)."""
        return BitsBack(self.prior(n), self.likelihood, self.posterior)

    def primer(self, bits: int) -> Codec[Images]:
        """One image in two parts, its latents on a grid of 2^bits buckets: costs more, but needs no bits to begin."""
        return TwoPart(
            self.prior(1, bits),
            partial(self.likelihood, bits=bits),
            lambda x: nearest(self._posterior(x)[:, : self.latents], bits),
        )

    def _posterior(self, x: Images) -> NDArray[np.uint8]:
        """What the encoder gives, (n, 2 latents)."""
        inputs = np.ascontiguousarray(x[..., list(self.config.colour)].transpose(0, 3, 1, 2))
        if self.config.image.levels == 2:
            inputs = inputs * np.uint8(128)
        return self._encoder(inputs)


def gaussians(out: NDArray[np.uint8], bits: int) -> PosteriorBuckets:
    """Distributions of latents, as a network gives them: (n, 2 latents), means and then widths."""
    delta, narrowness = np.split(out, 2, axis=1)
    return PosteriorBuckets.from_codes(delta, quarter(narrowness), bits)


def nearest(delta: NDArray[np.uint8], bits: int) -> Latents:
    """The buckets of ``bits`` bits whose centres are the nearest to means."""
    centres = bucket_codes(bits).astype(np.uint16)
    return np.searchsorted((centres[:-1] + centres[1:]) // 2, delta).astype(np.uint16)


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
