"""The model of the lab's first pages: a small variational autoencoder for black and white digits, learnt in seconds."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.set_num_threads(1)
LN2 = math.log(2)

TOLERANCE = 0.02
"""By which share figures of such a model may differ on another machine, which rounds differently where it learns."""


class VAE(nn.Module):
    """p(z) = N(0, 1), p(x | z) Bernoulli for each pixel, q(z | x) Gaussian for each latent; x: float (n, 784).

    ``deterministic`` makes an autoencoder of it: z is the encoder's mean, and no prior is asked for.
    """

    def __init__(self, latents: int, hidden: int = 200, deterministic: bool = False) -> None:
        super().__init__()
        self.latents, self.deterministic = latents, deterministic
        self.encoder = nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latents))
        self.decoder = nn.Sequential(nn.Linear(latents, hidden), nn.ReLU(), nn.Linear(hidden, 784))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z | x), each (n, latents)."""
        mean, spread = self.encoder(x).chunk(2, -1)
        return mean, torch.sigmoid(spread - 1)

    def pixels(self, z: Tensor) -> Tensor:
        """P(pixel = 1 | z)."""
        return torch.sigmoid(self.decoder(z))

    def pixel_bits(self, x: Tensor, z: Tensor) -> Tensor:
        """-log2 p(x | z) of each image."""
        return F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(-1) / LN2

    def kl_bits(self, x: Tensor) -> Tensor:
        """KL(q(z | x) || p(z)) of each image: between Gaussians there is a formula."""
        mean, std = self.posterior(x)
        return ((mean**2 + std**2 - 1) / 2 - std.log()).sum(-1) / LN2

    def loss(self, x: Tensor) -> Tensor:
        """-ELBO in bits with one sample of z, averaged over the images."""
        mean, std = self.posterior(x)
        if self.deterministic:
            return self.pixel_bits(x, mean).mean()
        z = mean + std * torch.randn_like(std)
        return (self.pixel_bits(x, z) + self.kl_bits(x)).mean()


def floats(images: np.ndarray) -> Tensor:
    """Digits (n, 28, 28) of 0 and 1 as the networks take them."""
    return torch.from_numpy(images.reshape(len(images), -1)).float()


def trained(model: VAE, images: np.ndarray, epochs: int, seed: int = 0) -> VAE:
    """Adam, batches of 64, with a falling learning rate. All randomness is ``seed``'s, the first weights' too."""
    torch.manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    x = floats(images)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            model.loss(x[batch]).backward()
            optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def evidence_bits(model: VAE, x: Tensor, samples: int) -> Tensor:
    """-log2 p(x) of each image, estimated with samples from q(z | x): the mean of p(x, z) / q(z | x)."""
    mean, std = model.posterior(x)
    logs = []
    for _ in range(samples):
        e = torch.randn_like(std)
        z = mean + std * e
        log_ratio = ((e**2 - z**2) / 2 + std.log()).sum(-1)  # log p(z) - log q(z | x)
        logs.append(log_ratio - LN2 * model.pixel_bits(x, z))
    return (math.log(samples) - torch.logsumexp(torch.stack(logs), 0)) / LN2
