"""What the training loop can train: a causal context network on pixels, a variational autoencoder on images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bitsback.training.context import TrainableContext
from bitsback.training.sampling import Batch, Gatherer
from bitsback.training.vae import TrainableVAE

Image = NDArray[np.uint8]


class Pools:
    """Training images, as many at a time as memory has room for, in an order that the seed decides.

    Args:
        load: gives the images of some numbers, uint8 (height, width, channels) in coding order each.
        numbers: of all training images.
        survey: makes a pool of images.
        at_once: images in a pool.
        steps: how many steps a pool serves, if it is not the only one.
    """

    def __init__(
        self,
        load: Callable[[NDArray[np.int64]], Sequence[Image]],
        numbers: NDArray[np.int64],
        survey: Callable[[Sequence[Image]], Gatherer],
        at_once: int,
        steps: int,
        seed: int = 0,
    ) -> None:
        self._load, self._numbers, self._survey, self._seed = load, numbers, survey, seed
        self.at_once, self.steps = min(at_once, len(numbers)), steps
        self._round = -1
        self._pool: Gatherer | None = None

    def at(self, step: int) -> Gatherer:
        """The pool for a step."""
        turn = 0 if self.at_once == len(self._numbers) else step // self.steps
        if self._pool is None or turn != self._round:
            self._pool = None  # makes room first
            self._pool, self._round = self._survey(self._load(self._chosen(turn))), turn
        return self._pool

    def _chosen(self, turn: int) -> NDArray[np.int64]:
        """Walk through a shuffled order of all numbers, and shuffle anew at its end."""
        first, count = turn * self.at_once, len(self._numbers)
        parts: list[np.int64] = []
        while len(parts) < self.at_once:
            lap, place = divmod(first + len(parts), count)
            order = np.random.default_rng([self._seed, lap]).permutation(count)
            parts += list(order[place : place + self.at_once - len(parts)])
        return np.sort(self._numbers[parts])


class ContextTask:
    """A context network without latents: examples are pixels, with all their channels.

    Args:
        pools: of training images. held_out: what to measure on.
        measured: pixels that a score is measured on, at most.
    """

    def __init__(
        self, module: TrainableContext, pools: Pools, held_out: Gatherer, seed: int = 0, measured: int = 200_000
    ) -> None:
        self.module, self._pools, self._seed = module, pools, seed
        self._now: Gatherer | None = None
        self._held_out = held_out
        count = len(held_out.samples)
        picks = np.random.default_rng(1).integers(0, count, measured) if count > measured else np.arange(count)
        self._measured = np.sort(picks)

    def quantise(self, on: bool) -> None:
        self.module.quantise(on)

    def draw(self, step: int, count: int) -> NDArray[np.int64]:
        self._now = self._pools.at(step)
        return self._now.draw(count, np.random.default_rng([self._seed, step]))

    def loss(self, picks: NDArray[np.int64], done: float) -> Tensor:
        if self._now is None:
            raise RuntimeError("draw examples first")
        weights = self._now.weights(picks)
        bits = channel_bits(self.module, self._now(picks), None if weights is None else torch.from_numpy(weights))
        return bits.mean()

    @torch.no_grad()
    def score(self) -> tuple[float, ...]:
        """Bits/dim, and those of each channel in coding order."""
        total = np.zeros(len(self.module.spec.features))
        for i in range(0, len(self._measured), 20_000):
            part = self._measured[i : i + 20_000]
            total += channel_bits(self.module, self._held_out(part)).cpu().numpy() * len(part)
        bits = total / len(self._measured)
        return float(bits.mean()), *map(float, bits)


def channel_bits(module: TrainableContext, batch: Batch, weights: Tensor | None = None) -> Tensor:
    """Mean bits of a sample of each channel: (channels,)."""
    features, x, reference = batch
    bits = []
    for c, f in enumerate(features):
        nats = module.nats(module(c, f), x[:, c].contiguous(), reference[:, c].contiguous())
        bits.append(nats.mean() if weights is None else (nats * weights.to(nats.device)).mean())
    return torch.stack(bits) / math.log(2)


WARM_UP = 0.1


class VAETask:
    """A variational autoencoder: examples are images.

    Args:
        train, held_out: uint8 (n, channels, height, width).
        prepare: applied to each batch before the objective, e.g. to draw binary samples from grey ones.
        free: bits/dim that the latents of each level may take at no cost at first, falling to 0 over the first half of
            the training; one number for all levels, or one for each. A context network, or the level below, would
            otherwise make them useless before they have learnt anything (free bits, Kingma et al., arXiv 1606.04934).
        warm_up: without free bits, the share of the training over which the weight of the KL term rises to 1: against
            posterior collapse (Sønderby et al., arXiv 1602.02282).
    """

    def __init__(
        self,
        module: TrainableVAE,
        train: Tensor,
        held_out: Tensor,
        prepare: Callable[[Tensor], Tensor] = lambda x: x,
        free: float | Sequence[float] = 0.0,
        warm_up: float = WARM_UP,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.module, self._train, self._held_out, self._prepare = module, train, held_out, prepare
        self._free, self._warm_up, self._seed, self._device = free, warm_up, seed, device
        self._dims = train[0].numel()
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        self._step = 0

    def quantise(self, on: bool) -> None:
        self.module.quantise(on)

    def draw(self, step: int, count: int) -> NDArray[np.int64]:
        """The next of all images in an order that is shuffled anew when it is through."""
        self._step = step
        epoch, place = divmod(step, max(len(self._train) // count, 1))
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self._seed, epoch]).permutation(len(self._train))
        return self._order[1][place * count : (place + 1) * count]

    def loss(self, picks: NDArray[np.int64], done: float) -> Tensor:
        x = self._prepare(self._train[torch.from_numpy(picks)].to(self._device))
        latents, pixels = self.module.bits(x, noise(self._device, self._seed, self._step, int(picks[0])))
        return latent_cost(latents / self._dims, self._free, done, self._warm_up) + pixels / self._dims

    @torch.no_grad()
    def score(self) -> tuple[float, ...]:
        """Bits/dim, and those of the latents of each level, and of pixels."""
        sums = torch.zeros(len(self.module.networks) // 2 + 1)
        for i in range(0, len(self._held_out), 500):
            batch = self._prepare(self._held_out[i : i + 500].to(self._device))
            latents, pixels = self.module.bits(batch)
            sums += torch.cat([latents, pixels[None]]).cpu() * len(batch)
        parts = (sums / (len(self._held_out) * self._dims)).tolist()
        return sum(parts), *parts


def noise(device: Any, *seeds: int) -> torch.Generator:
    """Random numbers of a part of a batch: parts run side by side, and which of them is first must not matter."""
    state = int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device).manual_seed(state)


def latent_cost(bits: Tensor, free: float | Sequence[float], done: float, warm_up: float = 0.0) -> Tensor:
    """What latents of so many bits/dim, on one level or several, cost when a share ``done`` of the training is over:
    see :class:`VAETask`."""
    allowed = torch.as_tensor(free, dtype=bits.dtype, device=bits.device)
    weighed = bits * min(1.0, done / warm_up + 0.05 if warm_up else 1.0)
    return torch.where(allowed > 0, bits.maximum(allowed * max(0.0, 1 - 2 * done)), weighed).sum()
