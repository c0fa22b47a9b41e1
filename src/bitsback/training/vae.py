"""The variational autoencoder that is trained: encoder, decoder and context networks, and the ELBO in bits.

The model and its bounds are those of Kingma & Welling (arXiv 1312.6114); what is particular here is that every
parameter of every distribution is one of 256 integers, mapped to its meaning by the same formulas as on the coding
path (:mod:`bitsback.kinds.vae.distributions`), so that what is trained is what codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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

    With ``context``, for images of one channel, the decoder gives that network's feature map instead, and that network
    the parameters.
    """

    def __init__(
        self, encoder: NetSpec, decoder: NetSpec, likelihood: LikelihoodSpec, context: ContextSpec | None = None
    ) -> None:
        super().__init__()
        self.encoder = QuantNetwork(encoder)
        self.decoder = QuantNetwork(decoder)
        self.likelihood, self.objective = likelihood, objective(likelihood)
        self.latents = decoder.input[0]
        self.context: TrainableContext | None = None
        if context is not None:
            self.context = TrainableContext(context, 1, likelihood)
            self.survey = surveyor(context, 1, likelihood)
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Start with a narrow posterior and plausible pixels: from a wide one, latents are given up early."""
        last = list(self.encoder.weighted().values())[-1]
        last.weight.mul_(0.3)
        last.bias[: self.latents] = CENTRE
        last.bias[self.latents :] = 3.0
        last = list(self.decoder.weighted().values())[-1]
        if self.context is not None:
            last.weight.mul_(0.5)
            last.bias[:] = CENTRE
            return
        last.weight.mul_(0.3)
        # A final shuffle makes several channels of the layer one channel of the output, hence the rows
        last.bias.view(self.likelihood.parameters, -1)[:] = self.objective.start_bytes()[:, None] / UNIT

    @torch.no_grad()
    def start_from(self, config: VAEConfig, tensors: Tensors, kept: Sequence[int] = ()) -> None:
        """Take over what a model has learnt: one with the same layers, but perhaps another number of latents and a
        smaller context network (:meth:`bitsback.training.context.TrainableContext.grow_from`).

        Args:
            kept: the model's latents that become the first ones here, by number; all others are as their prior's mean.
        """
        networks = {name: Network.from_tensors(spec, tensors, name) for name, spec in config.networks.items()}
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
        network = config.context_network(tensors)
        if self.context is not None and network is not None:
            self.context.grow_from(network)

    def quantise(self, on: bool) -> None:
        self.encoder.quantise(on)
        self.decoder.quantise(on)
        if self.context is not None:
            self.context.quantise(on)

    @property
    def quantised(self) -> bool:
        """Whether the quantisation is in the loop."""
        return any(module.quantise for module in self.encoder.weighted().values())

    def bits(self, x: Tensor, noise: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Mean bits of an image's latents (KL) and of its pixels: two tensors (), whose sum is -ELBO.

        ``x``: uint8 (batch, channels, height, width). In training mode, a context network's pixels are a sample.
        ``noise``: what latents and that sample are drawn with.
        """
        quantised = self.quantised
        inputs = x.float() * (128 if self.likelihood.levels == 2 else 1) / UNIT
        kl, z = drawn(self.encoder(inputs).flatten(1), quantised, noise)
        if quantised:
            z = straight_through((z * UNIT).round() / UNIT, z)
        nats = self.pixel_nats(self.decoder(z), x, noise)
        return kl.sum() / (math.log(2) * len(x)), nats / (math.log(2) * len(x))

    def pixel_nats(self, out: Tensor, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """-log p(x | z) of a whole batch, (), given the decoder's output (batch, ...), for uint8 (batch, 1, H, W).

        In training mode, a context network learns from a sample of the pixels, which is fair.
        """
        if self.context is None:
            parameters = out.flatten(2).transpose(1, 2).flatten(0, 1)
            return self.objective.nats(self.objective.of_bytes(parameters * UNIT), x.flatten().float()).sum()
        gather = self.survey(x.permute(0, 2, 3, 1).contiguous().cpu().numpy())
        gather.device = str(x.device)
        picks, weights = np.arange(x.numel()), None
        if self.training:
            seed = int(torch.randint(1 << 31, (), generator=noise, device=x.device))
            picks, weights = gather.thinned(np.random.default_rng(seed))
        return self.context.total(0, gather, picks, weights, out.permute(0, 2, 3, 1).flatten(0, 2))


def drawn(out: Tensor, quantised: bool, noise: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """The KL of each latent from its prior in nats, and latents drawn from the posterior, (batch, latents) both, the
    latter as a decoder reads them.

    Args:
        out: what an encoder gives, (batch, 2 latents): means, counted from :data:`CENTRE`, and narrowness.
    """
    mean, narrowness = out.chunk(2, 1)
    delta = mean - CENTRE
    if quantised:
        eighths = (narrowness * UNIT / 4 + 0.5).floor().clamp(0, 63)
        narrowness = straight_through(eighths / 8, narrowness)
    rho = torch.exp2(-narrowness)
    kl = narrowness * math.log(2) + (rho**2 + delta**2 - 1) / 2
    return kl, (delta + rho * torch.randn(rho.shape, generator=noise, device=rho.device) + CENTRE).clamp(0, 255 / UNIT)
