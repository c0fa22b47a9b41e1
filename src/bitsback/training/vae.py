"""The variational autoencoder that is trained: encoder, decoder and context networks, and the ELBO in bits.

The model and its bounds are those of Kingma & Welling (arXiv 1312.6114), with several levels of latents those of
Kingma, Abbeel & Ho (arXiv 1905.06845); what is particular here is that every parameter of every distribution is one of
256 integers, mapped to its meaning by the same formulas as on the coding path
(:mod:`bitsback.kinds.vae.distributions`), so that what is trained is what codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from bitsback.kinds.base import Tensors
from bitsback.kinds.context.network import ContextSpec
from bitsback.kinds.likelihoods import LikelihoodSpec
from bitsback.kinds.vae.config import VAEConfig
from bitsback.nets.layers import NetSpec, Network
from bitsback.training.context import TrainableContext
from bitsback.training.layers import CENTRE, UNIT, QuantNetwork, real, straight_through
from bitsback.training.objectives import objective
from bitsback.training.sampling import surveyor


class TrainableVAE(nn.Module):
    """Encoder: image -> (delta, rho) of each latent, relative to a standard normal prior; decoder: z -> parameters.

    With ``context`` the decoder gives that network's feature map instead, and that network the parameters. Channels are
    in coding order. ``above``: encoders and decoders of further levels, from the second one on.
    """

    def __init__(
        self,
        encoder: NetSpec,
        decoder: NetSpec,
        likelihood: LikelihoodSpec,
        context: ContextSpec | None = None,
        above: Sequence[tuple[NetSpec, NetSpec]] = (),
    ) -> None:
        super().__init__()
        self.encoder = QuantNetwork(encoder)
        self.decoder = QuantNetwork(decoder)
        self.likelihood, self.objective = likelihood, objective(likelihood)
        self.latents = decoder.input[0]
        self.above = nn.ModuleList(QuantNetwork(spec, centred=True) for pair in above for spec in pair)
        self.context: TrainableContext | None = None
        if context is not None:
            channels = encoder.input[0]
            self.context = TrainableContext(context, channels, likelihood)
            self.survey = surveyor(context, channels, likelihood)
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Start with a narrow posterior and plausible pixels: from a wide one, latents are given up early."""
        last = list(self.encoder.weighted().values())[-1]
        last.weight.mul_(0.3)
        last.bias[: self.latents] = CENTRE
        last.bias[self.latents :] = 3.0
        for pair in self.above_pairs():
            for network, narrowness in zip(pair, (1.5, 0.3), strict=True):
                last = list(network.weighted().values())[-1]
                last.weight.mul_(0.3)
                last.bias[: len(last.bias) // 2] = CENTRE
                last.bias[len(last.bias) // 2 :] = narrowness
        last = list(self.decoder.weighted().values())[-1]
        if self.context is not None:
            last.weight.mul_(0.5)
            last.bias[:] = CENTRE
            return
        last.weight.mul_(0.3)
        # A final shuffle makes several channels of the layer one channel of the output, hence the rows
        start = self.objective.start_bytes()[:, None] / UNIT
        last.bias.view(self.encoder.spec.input[0], self.likelihood.parameters, -1)[:] = start

    @torch.no_grad()
    def start_from(self, config: VAEConfig, tensors: Tensors, kept: Sequence[int] | None = None) -> None:
        """Take over what a model has learnt: one with the same layers; or, of one level, with another number of latents
        and perhaps a smaller context network (:meth:`bitsback.training.context.TrainableContext.grow_from`).

        Args:
            kept: the model's latents that become the first ones here, by number; all others are as their prior's mean.
                None: it is the same model.
        """
        networks = {name: Network.from_tensors(spec, tensors, name) for name, spec in config.networks.items()}
        context = config.context_network(tensors)
        if kept is None:
            for name, network in self.networks.items():
                network.start_from(networks[name])
            if self.context is not None and context is not None:
                self.context.start_from(context)
            return
        order = torch.tensor(kept, dtype=torch.long)
        *_, last = networks["encoder"].weights
        self.encoder.start_from(networks["encoder"], but=last)
        told = self.encoder.weighted()[last]
        old = real(networks["encoder"].weights[last])
        for new, value in zip((told.weight, told.bias), old, strict=True):
            for half in range(2):
                first = half * self.latents
                new[first : first + len(order)] = value[order + half * config.latents]
        first = min(networks["decoder"].weights)
        self.decoder.start_from(networks["decoder"], but=first)
        read = self.decoder.weighted()[first]
        weight, bias = real(networks["decoder"].weights[first])
        read.weight[:, : len(order)] = weight[:, order]
        read.weight[:, len(order) :] *= 0.1
        given_up = [i for i in range(config.latents) if i not in kept]
        read.bias[:] = bias + CENTRE * weight[:, given_up].sum(1) - CENTRE * read.weight[:, len(order) :].sum(1)
        if self.context is not None and context is not None:
            self.context.grow_from(context)

    @property
    def networks(self) -> dict[str, QuantNetwork]:
        """All of them by name, as in :attr:`bitsback.kinds.vae.config.VAEConfig.networks`."""
        found = {"encoder": self.encoder, "decoder": self.decoder}
        for number, (encoder, decoder) in enumerate(self.above_pairs(), 2):
            found |= {f"encoder{number}": encoder, f"decoder{number}": decoder}
        return found

    def above_pairs(self) -> list[tuple[QuantNetwork, QuantNetwork]]:
        """Encoder and decoder of each level above the first."""
        networks = [module for module in self.above if isinstance(module, QuantNetwork)]
        return list(zip(networks[::2], networks[1::2], strict=True))

    def quantise(self, on: bool) -> None:
        for network in self.networks.values():
            network.quantise(on)
        if self.context is not None:
            self.context.quantise(on)

    @property
    def quantised(self) -> bool:
        """Whether the quantisation is in the loop."""
        return any(module.quantise for module in self.encoder.weighted().values())

    def bits(self, x: Tensor, noise: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Mean bits of an image's latents, (levels,), and of its pixels, (), whose sums make -ELBO.

        The bits of a level are the KL of its latents from what the level above says of them; for the topmost one, from
        the standard normal.

        ``x``: uint8 (batch, channels, height, width). In training mode, a context network's pixels are a sample.
        ``noise``: what latents and that sample are drawn with.
        """
        quantised = self.quantised
        inputs = x.float() * (128 if self.likelihood.levels == 2 else 1) / UNIT
        posterior = Gaussian.of(self.encoder(inputs).flatten(1), quantised)
        z = self._read(posterior.draw(noise))
        nats = self.pixel_nats(self.decoder(z), x, noise)
        costs = []
        for encoder, decoder in self.above_pairs():
            above = Gaussian.of(encoder(z), quantised)
            told = self._read(above.draw(noise))
            costs.append((Gaussian.of(decoder(told), quantised).nats(z) - posterior.entropy()).sum())
            posterior, z = above, told
        costs.append(posterior.kl().sum())
        return torch.stack(costs) / (math.log(2) * len(x)), nats / (math.log(2) * len(x))

    def _read(self, z: Tensor) -> Tensor:
        """Latents as networks read them: of the integer model, in whole units."""
        return straight_through((z * UNIT).round() / UNIT, z) if self.quantised else z

    def pixel_nats(self, out: Tensor, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """-log p(x | z) of a whole batch, (), given the decoder's output (batch, ...), for uint8 (batch, C, H, W).

        In training mode, a context network learns from a sample of the pixels, which is fair.
        """
        channels = x.shape[1]
        if self.context is None:
            parameters = out.unflatten(1, (channels, -1)).flatten(3).transpose(2, 3).flatten(0, 2)
            return self.objective.nats(self.objective.of_bytes(parameters * UNIT), x.flatten().float()).sum()
        gather = self.survey(x.permute(0, 2, 3, 1).contiguous().cpu().numpy())
        gather.device = str(x.device)
        picks, weights = np.arange(x.numel() // channels), None
        if self.training:
            seed = int(torch.randint(1 << 31, (), generator=noise, device=x.device))
            picks, weights = gather.thinned(np.random.default_rng(seed))
        maps = out.permute(0, 2, 3, 1).flatten(0, 2)
        return torch.stack([self.context.total(c, gather, picks, weights, maps) for c in range(channels)]).sum()


class Gaussian(NamedTuple):
    """Distributions of latents: means less :data:`CENTRE`, and -log2 of widths, both (batch, latents).

    Nats leave log(2 pi) / 2 out.
    """

    mean: Tensor
    narrowness: Tensor

    @classmethod
    def of(cls, out: Tensor, quantised: bool) -> Self:
        """As a network gives them: (batch, 2 latents), means and then narrowness."""
        mean, narrowness = out.chunk(2, 1)
        if quantised:
            eighths = (narrowness * UNIT / 4 + 0.5).floor().clamp(0, 63)
            narrowness = straight_through(eighths / 8, narrowness)
        return cls(mean - CENTRE, narrowness)

    def draw(self, noise: torch.Generator | None = None) -> Tensor:
        """Latents as a network reads them, but for rounding."""
        rho = torch.exp2(-self.narrowness)
        found = self.mean + rho * torch.randn(rho.shape, generator=noise, device=rho.device) + CENTRE
        return found.clamp(0, 255 / UNIT)

    def kl(self) -> Tensor:
        """From the standard normal, in nats."""
        rho = torch.exp2(-self.narrowness)
        return self.narrowness * math.log(2) + (rho**2 + self.mean**2 - 1) / 2

    def entropy(self) -> Tensor:
        """In nats."""
        return 0.5 - self.narrowness * math.log(2)

    def nats(self, z: Tensor) -> Tensor:
        """-log of the density at latents, as a network reads them."""
        away = (z - CENTRE - self.mean) * torch.exp2(self.narrowness)
        return away**2 / 2 - self.narrowness * math.log(2)
