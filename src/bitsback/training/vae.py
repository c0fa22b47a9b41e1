"""The variational autoencoder that is trained: encoder, decoder and context networks, and the ELBO in bits.

The model and its bounds are those of Kingma & Welling (arXiv 1312.6114); what is particular here is that every
parameter of every distribution is one of 256 integers, mapped to its meaning by the same formulas as on the coding
path (:mod:`bitsback.kinds.vae.distributions`), so that what is trained is what codes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitsback.kinds.context.network import ContextSpec
from bitsback.nets.layers import NetSpec
from bitsback.training.context import CENTRE, Likelihood, Samples, TrainableContext
from bitsback.training.layers import UNIT, QuantNetwork, straight_through
from bitsback.training.neighbours import Neighbours, choose

PLAIN_SHARE = 1 / 8
"""How much of the plain background a context network learns from, see :func:`bitsback.training.neighbours.choose`."""


class TrainableVAE(nn.Module):
    """Encoder: image -> (delta, rho) of each latent, relative to a standard normal prior; decoder: z -> parameters.

    ``likelihood`` is "bernoulli" (samples 0 and 1) or "logistic_mixture" (samples 0..255). With ``context``, for images
    of one channel, the decoder gives that network's feature map instead, and that network the parameters.
    """

    def __init__(
        self,
        encoder: NetSpec,
        decoder: NetSpec,
        likelihood: Likelihood,
        components: int = 1,
        context: ContextSpec | None = None,
    ) -> None:
        super().__init__()
        self.encoder = QuantNetwork(encoder)
        self.decoder = QuantNetwork(decoder)
        self.likelihood = likelihood
        self.components = components
        self.latents = decoder.input[0]
        self.context: TrainableContext | None = None
        if context is not None:
            binary = likelihood == "bernoulli"
            self.context = TrainableContext(context, 1, 1 if binary else 3 * components, likelihood, components)
            _, height, width = encoder.input
            self.neighbours = Neighbours(context, height, width, 2 if binary else 256)
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
        if self.likelihood == "bernoulli":
            last.bias[:] = CENTRE - 0.7
        else:
            # Narrow components at either end of the range and wide ones between: black, white and everything else.
            # A final shuffle makes several channels of the layer one channel of the output, hence the rows.
            k = self.components
            bias = last.bias.view(3 * k, -1)
            bias[:k] = torch.linspace(0.2, 7.5, k)[:, None] if k > 1 else 2.0
            bias[k : 2 * k] = 6.0
            bias[k] = bias[2 * k - 1] = 2.75
            bias[2 * k :] = CENTRE

    def quantise(self, on: bool) -> None:
        self.encoder.quantise(on)
        self.decoder.quantise(on)
        if self.context is not None:
            self.context.quantise(on)

    @property
    def quantised(self) -> bool:
        """Whether the quantisation is in the loop."""
        return any(module.quantise for module in self.encoder.weighted().values())

    def bits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean bits of an image's latents (KL) and of its pixels: two tensors (), whose sum is -ELBO.

        ``x``: uint8 (batch, channels, height, width). In training mode, a context network's pixels are a sample.
        """
        quantised = self.quantised
        levels = 1 if self.likelihood == "bernoulli" else 255
        inputs = x.float() * (128 if levels == 1 else 1) / UNIT
        out = self.encoder(inputs).flatten(1)
        delta, narrowness = out[:, : self.latents] - CENTRE, out[:, self.latents :]
        if quantised:
            eighths = (narrowness * UNIT / 4 + 0.5).floor().clamp(0, 63)
            narrowness = straight_through(eighths / 8, narrowness)
        rho = torch.exp2(-narrowness)
        kl = (narrowness * math.log(2) + (rho**2 + delta**2 - 1) / 2).sum() / (math.log(2) * len(x))
        z = (delta + rho * torch.randn_like(rho) + CENTRE).clamp(0, 255 / UNIT)
        if quantised:
            z = straight_through((z * UNIT).round() / UNIT, z)
        out = self.decoder(z)
        if self.context is not None:
            nats = self._context_nats(self.context, out, x[:, 0])
        elif self.likelihood == "bernoulli":
            nats = bernoulli_nats(out, x.float()).sum()
        else:
            nats = mixture_nats(out, x.float(), self.components).sum()
        return kl, nats / (math.log(2) * len(x))

    def _context_nats(self, context: TrainableContext, maps: Tensor, x: Tensor) -> Tensor:
        """Nats of the whole batch, (), given the feature maps (batch, map, H, W), for ``x`` uint8 (batch, H, W)."""
        if self.training:
            index, weight = choose(x, PLAIN_SHARE)
        else:
            index, weight = torch.arange(x.numel(), device=x.device), None
        plane = self.neighbours.plane(x)
        samples = Samples(index, x.flatten()[index].float(), lambda part: self.neighbours(plane, part), weight)
        return context.total(0, samples, maps.permute(0, 2, 3, 1).flatten(0, 2))


def bernoulli_nats(out: Tensor, x: Tensor) -> Tensor:
    """-log p(x) of every pixel; the integer u = 32 * out stands for the logit 5 (u - 128) / 64."""
    return F.binary_cross_entropy_with_logits((out - CENTRE) * (UNIT * 5 / 64), x, reduction="none")


def mixture_nats(out: Tensor, x: Tensor, components: int) -> Tensor:
    """-log p(x) of every sample under a mixture of discretised logistics, ends folded (PixelCNN++, arXiv 1701.05517).

    ``out``: (batch, 3 K, H, W), K means, K scales and K logits for the one channel of ``x``. For the integer
    u = 32 * out, a mean is (18 u - 256) / 16 levels, a scale 2^((u / 4 - 16) / 6), and a weight is in proportion to
    2^((u - 128) / 16).
    All in log space: a floor on the probability would stop the gradient of badly predicted samples.
    """
    mean, scale, logit = out.split(components, 1)
    mean = mean * (18 * UNIT / 16) - 16
    inverse = torch.exp2((16 - scale * (UNIT / 4)) / 6)
    below = (x - 0.5 - mean) * inverse
    above = (x + 0.5 - mean) * inverse
    below = below.masked_fill(x == 0, -1e4)
    above = above.masked_fill(x == 255, 1e4)
    # log(sigmoid(above) - sigmoid(below)), with above - below = inverse inside the range
    log_mass = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(below - above))
    weights = F.log_softmax((logit - CENTRE) * (UNIT * math.log(2) / 16), 1)
    return -torch.logsumexp(weights + log_mass, 1, keepdim=True)
