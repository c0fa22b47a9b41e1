"""The trainable form of models in phases (:mod:`bitsback.kinds.phases`): trunks, heads, and the bits of whole images.

What networks are shown is found by the very kernel that codes. Filters are not trained with the rest, but found once,
by least squares, before it begins: nothing that is shown depends on a parameter then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bitsback.codecs import bucket_codes
from bitsback.kernels import kernel
from bitsback.kinds.base import Tensors
from bitsback.kinds.context.network import companding, every_difference
from bitsback.kinds.likelihoods import LikelihoodSpec
from bitsback.kinds.phases.codec import MIDDLE, prediction, surroundings
from bitsback.kinds.phases.config import PhasesConfig
from bitsback.kinds.phases.grids import NEAR, PHASES, Step, lent, offsets, spread, steps
from bitsback.kinds.phases.latents import clear_lenders
from bitsback.kinds.phases.network import FOLLOW_SHIFT, LatentsSpec, PhasesSpec, head_name, head_tensors
from bitsback.kinds.phases.sight import look, room
from bitsback.kinds.phases.tiles import CORNER
from bitsback.nets.layers import Weights
from bitsback.training.heads import TrainableHeads
from bitsback.training.layers import CENTRE, UNIT, QuantNetwork, straight_through
from bitsback.training.objectives import objective
from bitsback.training.sight import Scene, Seen
from bitsback.training.tasks import latent_cost, noise
from bitsback.training.vae import Gaussian

FITTED = 200_000
"""Samples that a filter is found from, at most."""

RIDGE = 1e-3
"""Added to the diagonal of the moments, relative to their mean: so much evidence is needed to move a weight."""


SCENES = 1024
"""What steps see of images of one size, kept on a device, at most."""


class TrainablePhases(nn.Module):
    """The networks of a model in phases.

    Args:
        spec: of the networks. channels: of an image. likelihood: of its samples.
        filters: by class and phase, see :func:`fit_filters`; empty with two levels.
        latents: of an image, if there are any.
    """

    def __init__(
        self,
        spec: PhasesSpec,
        channels: int,
        likelihood: LikelihoodSpec,
        filters: dict[tuple[int, int], Weights],
        latents: LatentsSpec | None = None,
    ) -> None:
        super().__init__()
        self.latents = latents
        self.spec, self.channels, self.likelihood = spec, channels, likelihood
        self.predicted = likelihood.levels > 2
        self.objective = objective(likelihood)
        self.filters, self.quantised = filters, False
        self.companding = companding()
        self.table = nn.Buffer(torch.from_numpy(every_difference(self.companding)), persistent=False)
        self._scenes: dict[tuple[Step, torch.Size, torch.device], Scene] = {}
        shares = [self._shares(phase) for phase in range(len(PHASES))]
        self.networks = [
            QuantNetwork(trunk, centred=self.predicted, inner=True, share=share)
            for trunk, share in zip(spec.trunks, shares, strict=True)
        ]
        self.trunks = nn.ModuleList(self.networks)
        parts = channels, likelihood.parameters, self.objective
        self.by_phase = [TrainableHeads(spec, phase, spec.classes, *parts) for phase in range(len(PHASES))]
        self.heads = nn.ModuleList(self.by_phase)
        self.base = TrainableHeads(spec, None, 1, *parts)
        self.coders: dict[str, QuantNetwork] = {}
        if latents is not None:
            whole = torch.full((channels,), UNIT / (128 if likelihood.levels == 2 else 256))
            self.encoder = QuantNetwork(latents.encoder, share=whole)
            self.decoder = QuantNetwork(latents.decoder, centred=True)
            self.coders = {"encoder": self.encoder, "decoder": self.decoder}
            self._begin(latents)
        with torch.no_grad():
            # The single sample of an image's coarsest level is anywhere
            if self.predicted:
                k = likelihood.parameters // 3
                self.base.biases[-1][..., :k] = torch.linspace(-60, 60, k) if k > 1 else 0
                self.base.biases[-1][..., k : 2 * k] = 44 / 6

    def _shares(self, phase: int) -> Tensor:
        """Of what a trunk reads: differences and maps are small, bits and flags are 0 or all there is."""
        small = (sum(self.spec.counts(phase)) + self.channels) * self.predicted
        found = torch.full((self.spec.inputs(phase, self.channels, self.predicted),), UNIT / 256)
        found[:small] = 1
        found[len(found) - self.spec.map :] = 1
        return found

    @torch.no_grad()
    def _begin(self, latents: LatentsSpec) -> None:
        """Start with a narrow posterior: from a wide one, latents are given up early."""
        *_, last = self.encoder.weighted().values()
        last.weight.mul_(0.3)
        last.bias[: latents.count] = CENTRE
        last.bias[latents.count :] = 2.0

    @torch.no_grad()
    def start_from(self, config: PhasesConfig, tensors: Tensors) -> None:
        """Take over what a model of the same layers has learnt, its filters and its table, too."""
        model = config.networks(tensors)
        self.filters, self.companding = model.filters, model.table
        self.table.copy_(torch.from_numpy(every_difference(model.table)))
        self._scenes.clear()
        for trunk, network in zip(self.networks, model.trunks, strict=True):
            trunk.start_from(network)
        self.base.start_from([model.base])
        for phase, heads in enumerate(self.by_phase):
            heads.start_from([model.heads[level, phase] for level in range(self.spec.classes)])
        for name, network in config.encoder_and_decoder(tensors).items():
            self.coders[name].start_from(network)

    def quantise(self, on: bool) -> None:
        """Put the quantisation into the loop, or take it out."""
        self.quantised = on
        for network in (*self.networks, *self.coders.values()):
            network.quantise(on)
        for heads in (self.base, *self.by_phase):
            heads.quantise = on

    def infer(self, x: Tensor, noise: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
        """Bits that each latent of each image costs, KL, (n, latents); and what latents drawn from the posterior, with
        ``noise``, say, (n, map, height, width). Images as of :meth:`bits`."""
        if self.latents is None:
            return x.new_zeros((len(x), 0), dtype=torch.float32), None
        scale = (128 if self.likelihood.levels == 2 else 1) / UNIT
        seen = x.float()
        clear_lenders(seen)
        out = self.encoder(seen.permute(0, 3, 1, 2) * scale)
        posterior = Gaussian.of(out, self.quantised)
        z = posterior.draw(noise)
        if self.quantised:
            codes = _codes(self.latents.bits, z.device)
            nearest = torch.searchsorted((codes[:-1] + codes[1:]) / 2, z.detach())
            z = straight_through(codes[nearest], z)
        return posterior.kl() / math.log(2), self.decoder(z)

    def bits(self, x: Tensor, said: Tensor | None = None) -> Tensor:
        """Bits of the samples of all images together, by head and channel, (1 + classes * phases, channels): that of
        the coarsest level's sample is the first.

        Args:
            x: uint8 (n, height, width, channels), channels in coding order, on the device.
            said: what latents say of them, from :meth:`infer`.
        """
        order = sorted(steps(x.shape[1], x.shape[2]), key=lambda step: (step.phase, -step.level))
        seen = [self.see(x, step) for step in (None, *order)]
        samples, predictions, near = (torch.cat(each) for each in list(zip(*seen, strict=True))[1:])
        levels = samples.float()
        shown, known = self._known(levels, predictions, near)
        counts = {(-1, 0): len(x)}
        out = [self.base(self.base.exact(), 0, self._map(said, None, x).flatten(1), shown[: len(x)])]
        first = len(x)
        for phase, (network, heads) in enumerate(zip(self.networks, self.by_phase, strict=True)):
            mine = [(step, one.features) for step, one in zip(order, seen[1:], strict=True) if step.phase == phase]
            if not mine:
                continue
            rows = torch.cat([features for _, features in mine]) * (1 / UNIT)
            if said is not None:
                rows = torch.cat([rows, torch.cat([self._map(said, step, x).flatten(0, 2) for step, _ in mine])], 1)
            grids = [(len(x), step.height, step.width) for step, _ in mine]
            maps, exact, begin = network(rows, grids), heads.exact(), 0
            for level, group in groupby(zip(mine, grids, strict=True), lambda one: self.spec.class_of(one[0][0].level)):
                count = counts[level, phase] = sum(math.prod(grid) for _, grid in group)
                out.append(heads(exact, level, maps[begin : begin + count], shown[first : first + count]))
                begin, first = begin + count, first + count
        nats = self._nats(torch.cat(out, 1), levels, predictions, known)
        parts = dict(zip(counts, (part.sum(1) for part in nats.split(list(counts.values()), 1)), strict=True))
        places = [(level, phase) for level in range(self.spec.classes) for phase in range(len(PHASES))]
        nothing = nats.new_zeros(self.channels)
        return torch.stack([parts.get(place, nothing) for place in ((-1, 0), *places)]) / math.log(2)

    def _map(self, said: Tensor | None, step: Step | None, x: Tensor) -> Tensor:
        """What latents say to each sample of a step, (n, rows, columns, map); without any, what the base reads."""
        if said is None:
            return x.new_full((len(x), 1, 1, 1), 255 / UNIT, dtype=torch.float32)
        there = zip((step.height, step.width) if step else (1, 1), said.shape[2:], strict=True)
        row, column = (_spread(count, length, x.device) for count, length in there)
        found = said.permute(0, 2, 3, 1)[:, row[:, None], column]
        return torch.zeros_like(found) if lent(step) else found

    def _known(self, levels: Tensor, predictions: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """Of n samples, what heads read of each channel but the last, (n, channels - 1, 2), and what the means of all
        channels follow, (channels, n, NEAR + channels - 1), if there are any: what a channel does not know yet is
        there as well, for weights of 0."""
        earlier = self.channels - 1
        if not self.predicted:
            companded = 255 * levels[:, :earlier]
            return torch.stack([companded, 255 - companded], 2) / UNIT, near
        errors = (16 * levels - predictions)[:, :earlier]
        companded = self.table[errors.int() & 0xFFFF].float()
        shown = torch.stack([companded, (2 * (companded - 128).abs()).clamp_max(255)], 2) / UNIT
        return shown, torch.cat([near.transpose(0, 1), errors.expand(self.channels, -1, -1)], 2)

    def _nats(self, out: Tensor, levels: Tensor, predictions: Tensor, known: Tensor) -> Tensor:
        """-log p of n samples, (channels, n), of what heads give, (channels, n, outputs)."""
        flat, values = out.flatten(0, 1), levels.t().flatten()
        if self.predicted:
            flat = followed(flat, self.likelihood.parameters // 3, known.flatten(0, 1).float(), self.quantised)
            return self.objective.nats(flat, values, predictions.float().t().flatten()).view(self.channels, -1)
        return self.objective.nats(flat, values).view(self.channels, -1)

    def see(self, x: Tensor, step: Step | None) -> Seen:
        """What is shown of the samples of a step of images, uint8 (n, height, width, channels), on their device."""
        n, height, width, channels = x.shape
        if step is None:
            nothing = x.new_zeros((n, channels, NEAR), dtype=torch.int16)
            middle = x.new_full((n, channels), MIDDLE, dtype=torch.int16)
            return Seen(x.new_empty((n, 0)), x[:, 0, 0], middle, nothing)
        filters = self.filters.get((self.spec.class_of(step.level), step.phase))
        if x.device.type != "cpu":
            key = step, x.shape[1:], x.device
            if key not in self._scenes:
                if len(self._scenes) >= SCENES:
                    self._scenes.clear()
                self._scenes[key] = Scene(self.spec, step, (height, width, channels), filters, x.device)
            return self._scenes[key].look(x, self.table)
        around = surroundings(self.spec, step, height, width)
        seen = room(n * step.height * step.width, around, channels, self.predicted)
        counts = self.spec.read(step.phase)
        look(x.numpy(), around, None if filters is None else prediction(self.table.numpy(), filters, counts), seen)
        features, count = torch.from_numpy(seen.features), len(seen.features)
        predictions = torch.from_numpy(seen.predictions).t()[:count].contiguous()
        near = torch.from_numpy(seen.near).permute(2, 0, 1)[:count].contiguous()
        return Seen(features, torch.from_numpy(samples_of(x.numpy(), step)), predictions, near)

    def export(self) -> dict[str, NDArray[np.generic]]:
        """The tensors of the integer model."""
        tensors: dict[str, NDArray[np.generic]] = {"table": self.companding}
        for phase, trunk in enumerate(self.networks):
            tensors |= trunk.export().tensors(f"trunk.{phase}")
        for (level, phase), one in self.filters.items():
            tensors |= {f"filter.{level}.{phase}.{part}": getattr(one, part) for part in Weights.__struct_fields__}
        for phase, heads in enumerate(self.by_phase):
            for level, one_class in enumerate(heads.export()):
                tensors |= head_tensors(head_name(level, phase), one_class)
        for name, network in self.coders.items():
            tensors |= network.export().tensors(name)
        return tensors | head_tensors(head_name(None, None), self.base.export()[0])


@lru_cache(4096)
def _spread(count: int, length: int, device: torch.device) -> Tensor:
    return torch.from_numpy(spread(count, length)).to(device)


@lru_cache(64)
def _codes(bits: int, device: torch.device) -> Tensor:
    """What latents of so many bits are read as."""
    return torch.from_numpy(bucket_codes(bits)).to(device, torch.float32) / UNIT


def followed(y: Tensor, k: int, known: Tensor, floor: bool) -> Tensor:
    """The parameters of mixtures, (n, 3 K), of what heads give, (n, 3 K + m), for m numbers that means follow:
    see :mod:`bitsback.kinds.phases.network`.

    Args:
        known: (n, m), taps and errors in sixteenths of a level. floor: whether what is added is whole, as in the codec.
    """
    if y.device.type == "cpu" and y.dtype == torch.float32:
        result: Tensor = _Followed.apply(y, known, k, floor)
        return result
    return follow_formula(y, k, known, floor)


def follow_formula(y: Tensor, k: int, known: Tensor, floor: bool) -> Tensor:
    """:func:`followed` in tensor operations, for any device."""
    moved = (y[:, 3 * k :] * known).sum(1, keepdim=True) / 2**FOLLOW_SHIFT
    if floor:
        moved = straight_through(moved.floor(), moved)
    return torch.cat([y[:, :k] + moved, y[:, k : 3 * k]], 1)


class _Followed(torch.autograd.Function):
    """:func:`followed` on a CPU, in one pass over memory."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, known: Tensor, k: int, floor: bool) -> Tensor:
        found = torch.empty(len(y), 3 * k)
        _follow(y.contiguous().numpy(), known.numpy(), k, floor, found.numpy())
        ctx.save_for_backward(known)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (known,), (gradient,) = ctx.saved_tensors, gradients
        found = torch.empty(len(known), gradient.shape[1] + known.shape[1])
        _follow_back(gradient.contiguous().numpy(), known.numpy(), found.numpy())
        return found, None, None, None


@kernel
def _follow(y, known, k, floor, found):  # type: ignore[no-untyped-def]
    for i in range(len(y)):
        moved = 0.0
        for t in range(known.shape[1]):
            moved += y[i, 3 * k + t] * known[i, t]
        moved /= 1 << FOLLOW_SHIFT
        if floor:
            whole = float(int(moved))
            moved = whole - 1.0 if whole > moved else whole
        for j in range(3 * k):
            found[i, j] = y[i, j] + (moved if j < k else 0.0)


@kernel
def _follow_back(gradient, known, found):  # type: ignore[no-untyped-def]
    parameters = gradient.shape[1]
    for i in range(len(gradient)):
        means = 0.0
        for j in range(parameters // 3):
            means += gradient[i, j]
        for j in range(parameters):
            found[i, j] = gradient[i, j]
        for t in range(known.shape[1]):
            found[i, parameters + t] = means * known[i, t] / (1 << FOLLOW_SHIFT)


def samples_of(x: NDArray[np.uint8], step: Step) -> NDArray[np.uint8]:
    """The samples of a step of images (n, height, width, channels), in coding order: (count, channels)."""
    row, column = PHASES[step.phase]
    stride = 2 << step.level
    found = x[:, row << step.level :: stride, column << step.level :: stride]
    return np.ascontiguousarray(found).reshape(-1, x.shape[3])


# Filters --------------------------------------------------------------------------------------------------------------


def fit_filters(spec: PhasesSpec, channels: int, images: Sequence[NDArray[np.uint8]]) -> dict[tuple[int, int], Weights]:
    """Filters that predict samples from their taps, by weighted least squares, by class and phase.

    Args:
        images: uint8 (height, width, channels) each, channels in coding order, enough to learn from.
    """
    found = {}
    for level in range(spec.classes):
        for phase in range(len(PHASES)):
            pairs = list(_pairs(spec, channels, images, level, phase))
            weight = np.zeros((channels, sum(spec.read(phase))))
            if pairs:
                u, y = (np.concatenate(part) for part in zip(*pairs, strict=True))
                weight = _solved(u, y, spec.read(phase))
            found[level, phase] = _rounded(weight)
    return found


def _pairs(
    spec: PhasesSpec, channels: int, images: Sequence[NDArray[np.uint8]], level: int, phase: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Taps less the mean of the nearest, (samples, taps), those of a channel together, and the samples less that."""
    count = 0
    for image in images:
        height, width = image.shape[:2]
        step = next((s for s in steps(height, width) if (s.level, s.phase) == (level, phase)), None)
        if step is None or count >= FITTED:
            continue
        flat, parts, means = image.reshape(-1), [], []
        for c, reach in enumerate(spec.predicts):
            rows, columns = offsets(step, reach, height, width, channels)
            x = flat[(rows[:, None] + columns).reshape(step.height * step.width, -1) + c].astype(np.float32)
            means.append(x[:, :NEAR].mean(1))
            parts.append(x - means[-1][:, None])
        count += len(parts[0])
        yield np.concatenate(parts, 1), samples_of(image[None], step) - np.stack(means, 1)


def _solved(u: NDArray[np.float32], y: NDArray[np.float32], counts: Sequence[int]) -> NDArray[np.float64]:
    """The weights of all filters, (channels, taps), for so many taps of each channel. Where much goes on, a sample
    counts for less, as it does for a distribution that is wide there."""
    weight = np.zeros((len(counts), u.shape[1]))
    flat = torch.from_numpy(u)
    for c, first in enumerate(np.cumsum([0, *counts[:-1]])):
        own = np.abs(u[:, first : first + counts[c]])
        unrest = 1 + own[:, :NEAR].mean(1) + own.mean(1) / 2
        weighed = flat / torch.from_numpy(unrest)[:, None]
        moments = (weighed.T @ flat).double()
        moments += torch.eye(len(moments)) * (moments.diagonal().mean() * RIDGE + 1e-6)
        weight[c] = torch.linalg.solve(moments, (weighed.T @ torch.from_numpy(y[:, c])).double()).numpy()
    return weight


def _rounded(weight: NDArray[np.float64]) -> Weights:
    """In integers: of quarters of levels they make sixteenths."""
    shift = 10
    return Weights(
        np.rint(weight * 4 * 2**shift).clip(-32767, 32767).astype(np.int16),
        np.zeros(len(weight), np.int32),
        np.full(len(weight), shift, np.uint8),
    )


# The task -------------------------------------------------------------------------------------------------------------

CROP = 64
"""Pixels an edge of what is trained on, at most: but with latents, which are of whole images."""

SHOWN = 256
"""Of what is measured, likewise."""

MEASURED_SAMPLES = 1 << 20


class PhasesTask:
    """A model in phases: examples are images, or crops of large ones.

    Args:
        load: gives the images of some numbers, uint8 (height, width, channels) in coding order each.
        sizes: (height, width) of each of the images to train on, which are numbered from 0.
        held_out: what to measure on.
        prepare: applied to each batch before the objective, e.g. to draw binary samples from grey ones.
        free: bits/dim that latents may take at no cost at first, falling to 0 over the first half of the training: else
            they are given up before they have learnt anything (free bits, Kingma et al., arXiv 1606.04934).
    """

    def __init__(
        self,
        module: TrainablePhases,
        images: Sequence[NDArray[np.uint8]],
        held_out: Sequence[NDArray[np.uint8]],
        seed: int = 0,
        prepare: Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]] = lambda x, rng: x,
        free: float = 0.0,
    ) -> None:
        self.module, self._images, self._seed, self._prepare = module, images, seed, prepare
        self._free = free
        self._sizes = np.array([image.shape[:2] for image in images])
        self._crops: dict[int, NDArray[np.uint8]] = {}
        whole = module.latents is not None
        self._most = int(self._sizes.max()) if whole else CROP
        self._held_out = list(_groups(held_out, None if whole else SHOWN))
        self._step = 0

    def quantise(self, on: bool) -> None:
        self.module.quantise(on)

    def draw(self, step: int, count: int) -> NDArray[np.int64]:
        """Images that are as large as the first one, up to :data:`CROP`, and cropped to that."""
        self._step = step
        rng = np.random.default_rng([self._seed, step])
        size = np.minimum(self._sizes[rng.integers(len(self._sizes))], self._most)
        fitting = np.flatnonzero((self._sizes >= size).all(1))
        picks = fitting[rng.integers(0, len(fitting), count)]
        crops = np.stack([_crop(self._images[pick], size, rng) for pick in picks])
        self._crops = dict(enumerate(self._prepare(crops, rng)))
        return np.arange(count)

    def loss(self, picks: NDArray[np.int64], done: float) -> Tensor:
        x = self._there(np.stack([self._crops[pick] for pick in picks]))
        cost, said = self.module.infer(x, noise(x.device, self._seed, self._step, int(picks[0])))
        return latent_cost(cost.sum() / x.numel(), self._free, done) + self.module.bits(x, said).sum() / x.numel()

    def _there(self, x: NDArray[np.uint8]) -> Tensor:
        """Images on the device."""
        return torch.from_numpy(x).to(next(self.module.parameters()).device)

    @torch.no_grad()
    def score(self) -> tuple[float, ...]:
        """Bits/dim, and those of each channel in coding order; or, of a model with latents, those of latents and
        samples, and of samples with the latents of another image."""
        bits, samples = np.zeros(self.module.channels), 0
        latents, swapped = 0.0, 0.0
        for x in map(self._there, self._held_out):
            cost, said = self.module.infer(x)
            bits += self.module.bits(x, said).sum(0).cpu().numpy()
            samples += x.numel()
            if said is not None:
                latents += float(cost.sum())
                swapped += float(self.module.bits(x, said.roll(1, 0)).sum())
        if self.module.latents is not None:
            own = float(bits.sum())
            return tuple(total / samples for total in (latents + own, latents, own, swapped))
        return float(bits.sum() / samples), *(bits * len(bits) / samples).tolist()


def _crop(image: NDArray[np.uint8], size: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A part of an image, whose corner is where that of a tile could be."""
    top, left = (
        CORNER * rng.integers(0, (whole - part) // CORNER + 1)
        for whole, part in zip(image.shape[:2], size, strict=True)
    )
    return image[top : top + size[0], left : left + size[1]]


def _groups(images: Sequence[NDArray[np.uint8]], most: int | None) -> Iterator[NDArray[np.uint8]]:
    """Images of one shape together, cropped to ``most`` pixels an edge; not more than are worth measuring."""
    shapes: dict[tuple[int, ...], list[NDArray[np.uint8]]] = {}
    samples = 0
    for image in images:
        if samples < MEASURED_SAMPLES:
            part = image[:most, :most]
            samples += part.size
            shapes.setdefault(part.shape, []).append(part)
    for group in shapes.values():
        at_once = max(1, (1 << 16) // (group[0].shape[0] * group[0].shape[1]))
        for first in range(0, len(group), at_once):
            yield np.stack(group[first : first + at_once])
