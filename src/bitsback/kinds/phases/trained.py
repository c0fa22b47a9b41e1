"""A model in phases, ready to run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.codecs import Codec, PosteriorBuckets, Uniform
from bitsback.errors import CodecError
from bitsback.kinds import pieces
from bitsback.kinds.base import Bits, Images, Shape, Tensors, Trained, WithLatents
from bitsback.kinds.context.codec import PRECISION
from bitsback.kinds.noise import noise
from bitsback.kinds.order import InOrder
from bitsback.kinds.phases import tiles
from bitsback.kinds.phases.codec import PhasesCodec, Ready
from bitsback.kinds.phases.cost import BATCH_VALUES
from bitsback.kinds.phases.latents import LatentCodec, Latents
from bitsback.kinds.pieces import Whole
from bitsback.kinds.vae.distributions import information
from bitsback.nets import cost as nets_cost
from bitsback.nets.engine import Runner, choose, in_batches

if TYPE_CHECKING:
    from bitsback.kinds.phases.config import PhasesConfig
    from bitsback.kinds.phases.network import LatentsSpec


class Phases(Trained):
    """Arguments as of :meth:`bitsback.kinds.base.ModelConfig.build`."""

    def __init__(
        self, config: PhasesConfig, tensors: Tensors, engines: Sequence[str], threads: int, batch: int
    ) -> None:
        networks = config.networks(tensors)
        given = list(zip(networks.trunks, config.self_test, strict=False))
        runs = choose(given, engines, threads, free=True)
        widest = [max(shape[0] for shape in trunk.shapes()) for trunk in config.phases.trunks]
        self.ready = Ready(networks, [_in_batches(*one, batch) for one in zip(runs, widest, strict=True)])
        self.config: PhasesConfig = config
        self.colour = config.colour
        self._there, self._back = list(self.colour), [self.colour.index(c) for c in range(len(self.colour))]

    def encode(self, images: Images, threads: int) -> bytes:
        shape: Whole = images.shape
        return pieces.encode(images, *_cut(shape), self._codec, self.colour, threads)

    def decode(self, payload: bytes, count: int, shape: Shape, threads: int) -> Images:
        whole = (count, *shape)
        return pieces.decode(payload, whole, *_cut(whole), self._codec, self.colour, threads)

    def bits(self, images: Images, seed: int) -> Bits:
        found = np.empty(images.shape, np.float64)
        for piece in tiles.pieces(images.shape):
            part = np.ascontiguousarray(images[piece][..., self._there])
            found[piece] = PhasesCodec(self.ready, part.shape).bits(part)[..., self._back]
        return Bits(found, np.zeros(len(images)))

    def draw(self, count: int, shape: Shape, random: Callable[[int], Stack]) -> Images:
        if max(shape[:2]) > tiles.EDGE:
            raise CodecError(f"images of more than {tiles.EDGE} pixels an edge cannot be drawn: {tuple(shape)}")
        images = np.zeros((count, *shape), np.uint8)
        for piece in tiles.pieces(images.shape):
            part = images[piece]
            part[...] = self._codec(part.shape).pop(random(self._most(part.shape)))[..., self._back]
        return images

    def _codec(self, shape: Whole) -> Codec[NDArray[np.uint8]]:
        """Of a piece, channels in coding order."""
        return PhasesCodec(self.ready, shape)

    def _most(self, shape: Whole) -> int:
        """Bits that a piece may take from a stack."""
        return math.prod(shape) * PRECISION


def _cut(shape: Whole) -> tuple[list[pieces.Piece], int]:
    return list(tiles.pieces(shape)), tiles.lanes(shape)


def _in_batches(run: Runner, widest: int, batch: int) -> Runner:
    """``run``, called with as many images of a size at a time as memory is meant for, but no more than ``batch``."""

    def split(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        at_once = min(batch, max(1, BATCH_VALUES // (x.shape[1] * x.shape[2] * widest)))
        if len(x) <= at_once:
            return run(x)
        return np.concatenate([run(x[i : i + at_once]) for i in range(0, len(x), at_once)])

    return split


class PhasesWithLatents(Phases, WithLatents):
    """The same with latents. Arguments as of :class:`Phases`."""

    def __init__(
        self,
        config: PhasesConfig,
        spec: LatentsSpec,
        tensors: Tensors,
        engines: Sequence[str],
        threads: int,
        batch: int,
    ) -> None:
        super().__init__(config, tensors, engines, threads, batch)
        networks = config.encoder_and_decoder(tensors)
        runs = choose(list(zip(networks.values(), config.self_test[-2:], strict=True)), engines, threads)
        limits = [min(batch, nets_cost.batch(network.spec)) for network in networks.values()]
        encode, decode = (in_batches(run, limit) for run, limit in zip(runs, limits, strict=True))
        self._latents = Latents(spec, encode, decode, config.image.levels)
        self.latents, self.latent_bits = spec.count, spec.bits

    def bits(self, images: Images, seed: int) -> Bits:
        """See :meth:`bitsback.kinds.base.Trained.bits`: by one sample of z from the integer posterior."""
        rng = np.random.default_rng(seed)
        samples, latents = np.empty(images.shape, np.float64), np.empty(len(images), np.float64)
        for piece in tiles.pieces(images.shape):
            x = images[piece]
            posterior = self.posterior(x)
            z = posterior.pop(noise(rng, len(x) * self.latents * posterior.precision))
            samples[piece] = self.likelihood(z).bits(x)
            latents[piece[0]] = self.prior(len(x)).bits(z).sum(1) - posterior.bits(z).sum(1)
        return Bits(samples, latents)

    def information(self, x: Images) -> NDArray[np.float64]:
        return information(self.posterior(x))

    def prior(self, n: int, bits: int | None = None) -> Uniform:
        return self._latents.prior(n, bits)

    def likelihood(self, z: NDArray[np.uint16], bits: int | None = None) -> InOrder:
        image = self.config.image
        codec = PhasesCodec(self.ready, (len(z), *image.shape), self._latents.maps(z, bits))
        return InOrder(codec, self.config.colour)

    def posterior(self, x: Images) -> PosteriorBuckets:
        return self._latents.posterior(np.ascontiguousarray(x[..., self._there]))

    def _codec(self, shape: Whole) -> Codec[NDArray[np.uint8]]:
        return LatentCodec(self.ready, self._latents, shape)

    def _most(self, shape: Whole) -> int:
        return super()._most(shape) + shape[0] * self.latents * self.latent_bits + 1
