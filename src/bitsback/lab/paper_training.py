"""The two variational autoencoders of the paper that bitsback began with, trained as floats.

James Townsend, Tom Bird & David Barber, "Practical lossless compression with latent variables using bits back coding",
ICLR 2019, arXiv 1901.04866, section 3. For experiments only (:mod:`bitsback.lab.paper`): what ships is trained on
integers. Nothing else in this room needs torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bitsback.lab.beta_binomial import LOG_LIMIT, log_likelihood
from bitsback.lab.vae import PIXELS, FloatVAE, Spec

BATCH = 100
RATE = 2e-3


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images came to: its mean -ELBO, in bits a pixel; and the seconds until then."""

    number: int
    bits: float
    seconds: float


class BetaBinomial(torch.autograd.Function):
    """log p(x | a, b) of 8-bit samples in nats: :func:`log_likelihood` as a function with a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        value, to_a, to_b = log_likelihood(x.numpy(), a.numpy(), b.numpy())
        ctx.save_for_backward(torch.from_numpy(to_a), torch.from_numpy(to_b))
        return torch.from_numpy(value)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (grad,) = grads
        to_a, to_b = ctx.saved_tensors
        return None, grad * to_a, grad * to_b


class VAE(nn.Module):
    """The network of a :class:`Spec`, to be trained: the same functions as :class:`FloatVAE` has."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        out = PIXELS if spec.levels == 2 else 2 * PIXELS
        self.encoder = nn.ModuleList([nn.Linear(PIXELS, spec.hidden), nn.Linear(spec.hidden, 2 * spec.latents)])
        self.decoder = nn.ModuleList([nn.Linear(spec.latents, spec.hidden), nn.Linear(spec.hidden, out)])

    def bits(self, x: Tensor) -> Tensor:
        """-ELBO of the images x, uint8 (n, 784), in bits for all of them, by one draw of z for each."""
        inputs = x.float() / (self.spec.levels - 1)
        mean, spread = self.encoder[1](F.relu(self.encoder[0](inputs))).chunk(2, -1)
        std = torch.sigmoid(spread - 1)  # never wider than the prior
        z = mean + std * torch.randn_like(std)
        kl = ((mean**2 + std**2 - 1) / 2 - std.log()).sum()
        out = self.decoder[1](F.relu(self.decoder[0](z)))
        if self.spec.levels == 2:
            nats = F.binary_cross_entropy_with_logits(out, inputs, reduction="sum")
        else:
            a, b = out.clamp(-LOG_LIMIT, LOG_LIMIT).exp().chunk(2, -1)
            nats = -BetaBinomial.apply(x, a, b).sum()
        return (kl + nats) / math.log(2)

    def trained(self) -> FloatVAE:
        """What was learned, for NumPy."""
        weights = {}
        for name, parameter in self.named_parameters():
            array = parameter.detach().numpy()
            weights[name] = np.ascontiguousarray(array.T if name.endswith("weight") else array)
        return FloatVAE(self.spec, weights)


def train(
    spec: Spec, images: NDArray[np.uint8], epochs: int, seed: int, told: Callable[[Epoch], None] = lambda epoch: None
) -> tuple[FloatVAE, list[Epoch]]:
    """Train a network on images of 8 bits, (n, 784), with Adam and a learning rate that falls to 0 along a cosine.

    For two levels the images are binarised anew in each epoch, a pixel x becoming 1 with probability x / 255. One
    thread, so that one machine gives the same weights again.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    try:
        model = VAE(spec)
        x = torch.from_numpy(np.array(images, np.uint8))
        optimizer = torch.optim.Adam(model.parameters(), RATE)
        steps = epochs * -(-len(x) // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        history = []
        began = time.perf_counter()
        for number in range(1, epochs + 1):
            total = 0.0
            for batch in torch.randperm(len(x)).split(BATCH):
                part = x[batch]
                if spec.levels == 2:
                    part = (torch.rand(part.shape) * 255 < part).to(torch.uint8)
                optimizer.zero_grad()
                bits = model.bits(part)
                (bits / (len(batch) * PIXELS)).backward()
                optimizer.step()
                schedule.step()
                total += float(bits.detach())
            history.append(Epoch(number, total / (len(x) * PIXELS), round(time.perf_counter() - began, 1)))
            told(history[-1])
        return model.trained(), history
    finally:
        torch.set_num_threads(threads)
