"""A float VAE in PyTorch, wrapped as a bits-back codec.

    python examples/float_vae.py            (--quick: a smaller run)

WARNING. The codec below computes its probabilities in floating point. A message can be decoded only where every float
comes out the same to the last bit: same machine, same library versions, same thread count, same batch size. Elsewhere
it decodes to noise, without an error. That is fine for measuring rates. To keep or to send messages, quantise the
model: examples/quantised_vae.py.
"""

import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F
from chain import code, digits
from torch import nn

from bitsback.codecs import Bernoulli, BitsBack, PosteriorBuckets, Uniform, bucket_centres

LATENTS, HIDDEN = 20, 200
BITS = 10  # of a latent: 1024 buckets of equal mass under the prior. More cost nothing but initial bits.


class VAE(nn.Module):
    """p(z) = N(0, 1), q(z | x) Gaussian, p(x | z) Bernoulli."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENTS))
        self.decoder = nn.Sequential(nn.Linear(LATENTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784))

    def posterior(self, x):
        """Mean and standard deviation of each latent; never wider than the prior."""
        mean, spread = self.encoder(x).chunk(2, -1)
        return mean, torch.sigmoid(spread - 1)

    def bits(self, x):
        """-ELBO of the batch in bits, by one sample of z."""
        mean, std = self.posterior(x)
        z = mean + std * torch.randn_like(std)
        kl = ((mean**2 + std**2 - 1) / 2 - std.log()).sum()
        return (kl + F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")) / math.log(2)


def train(model, images, epochs, quantise=lambda epoch: None):
    """Adam, batches of 50, falling learning rate; ``quantise`` is called before each epoch."""
    x = torch.from_numpy(images).float()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        quantise(epoch)
        for batch in torch.randperm(len(x)).split(50):
            optimizer.zero_grad()
            (model.bits(x[batch]) / len(batch)).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


# --- the codec
def codec(model):
    """The model as a codec of one image, uint8 (784,)."""
    centres = bucket_centres(BITS).astype(np.float32)

    @torch.no_grad()
    def likelihood(z):
        p = torch.sigmoid(model.decoder(torch.from_numpy(centres[z])))
        return Bernoulli.from_floats(p.numpy())  # here floats become integers: see the WARNING

    @torch.no_grad()
    def posterior(x):
        mean, std = model.posterior(torch.from_numpy(x).float())
        return PosteriorBuckets.from_floats(mean.numpy(), std.numpy(), BITS)  # and here

    return BitsBack(Uniform(BITS, (LATENTS,)), likelihood, posterior)


# ---


@torch.no_grad()
def differing(model, images):
    """How many probabilities become other integers when the decoder network sees all images as one batch."""
    z = model.posterior(torch.from_numpy(images).float())[0]
    together = Bernoulli.from_floats(torch.sigmoid(model.decoder(z)).numpy()).p
    alone = np.stack([Bernoulli.from_floats(torch.sigmoid(model.decoder(one)).numpy()).p for one in z])
    return int((together != alone).sum())


def main(quick):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    training, test = digits(200 if quick else 1500, seed=1), digits(20 if quick else 200, seed=2)
    model = train(VAE(), training, epochs=5 if quick else 60)
    print("float VAE, one environment only")
    with torch.no_grad():
        elbo = np.mean([float(model.bits(torch.from_numpy(test).float())) for _ in range(20)])
    code(codec(model), test, elbo)
    print(
        f"  in a batch, {differing(model, test)} of {test.size:,} probabilities differ: one is enough to lose the rest"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
