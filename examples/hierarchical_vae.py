"""A VAE with two levels of latents, coded from the top down.

    python examples/hierarchical_vae.py     (--quick: a smaller run)

z2 is drawn first, and says where z1 is to be expected: z1 = m(z2) + s(z2) * e, with p(e) = N(0, 1). The codec codes e,
so both latents have equal-mass buckets of N(0, 1), and their priors are plain bits. The posterior of e is given in the
units of z1's prior, which costs nothing: q(z2 | x), then q(e | x, z2).

The networks are floats: what float_vae.py says about its messages holds here too, and quantised_vae.py has the cure.
"""

import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F
from chain import code, digits
from float_vae import train
from torch import nn

from bitsback.codecs import Bernoulli, PosteriorBuckets, Uniform, bucket_centres, top_down

Z1, Z2, HIDDEN = 20, 8, 200
BITS = 10


def mlp(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))


class LadderVAE(nn.Module):
    """p(z2) p(z1 | z2) p(x | z1), and q(z2 | x) q(z1 | x, z2)."""

    def __init__(self):
        super().__init__()
        self.up = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU())
        self.q2 = nn.Linear(HIDDEN, 2 * Z2)
        self.q1 = mlp(HIDDEN + Z2, 2 * Z1)
        self.p1 = mlp(Z2, 2 * Z1)
        self.decoder = mlp(Z1, 784)

    def posterior2(self, h):
        mean, spread = self.q2(h).chunk(2, -1)
        return mean, torch.sigmoid(spread - 1)

    def posterior1(self, h, z2):
        """Of e: relative to p(z1 | z2)."""
        mean, spread = self.q1(torch.cat([h, z2], -1)).chunk(2, -1)
        return mean, torch.sigmoid(spread - 1)

    def logits(self, z2, e):
        mean, spread = self.p1(z2).chunk(2, -1)
        return self.decoder(mean + F.softplus(spread + 0.5) * e)

    def bits(self, x):
        """-ELBO of the batch in bits, by one sample."""
        h = self.up(x)
        mean2, std2 = self.posterior2(h)
        z2 = mean2 + std2 * torch.randn_like(std2)
        mean1, std1 = self.posterior1(h, z2)
        e = mean1 + std1 * torch.randn_like(std1)
        kl = sum(((m**2 + s**2 - 1) / 2 - s.log()).sum() for m, s in ((mean2, std2), (mean1, std1)))
        return (kl + F.binary_cross_entropy_with_logits(self.logits(z2, e), x, reduction="sum")) / math.log(2)


# --- the codec
def codec(model):
    """The model as a codec of one image, uint8 (784,). Rounds floats: for one environment only."""
    centres = torch.from_numpy(bucket_centres(BITS).astype(np.float32))

    def value(buckets):
        return centres[torch.from_numpy(buckets.astype(np.int64))]

    def buckets(parameters):
        mean, std = parameters
        return PosteriorBuckets.from_floats(mean.detach().numpy(), std.detach().numpy(), BITS)

    def likelihood(z):
        logits = model.logits(value(z[0]), value(z[1]))
        return Bernoulli.from_floats(torch.sigmoid(logits).detach().numpy())

    def posterior(x):
        h = model.up(torch.from_numpy(x).float())
        return [lambda z: buckets(model.posterior2(h)), lambda z: buckets(model.posterior1(h, value(z[0])))]

    return top_down([lambda z: Uniform(BITS, (Z2,)), lambda z: Uniform(BITS, (Z1,))], likelihood, posterior)


# ---


def main(quick):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    training, test = digits(200 if quick else 1500, seed=1), digits(20 if quick else 200, seed=2)
    model = train(LadderVAE(), training, epochs=5 if quick else 60)
    print("two levels of latents, one environment only")
    with torch.no_grad():
        elbo = np.mean([float(model.bits(torch.from_numpy(test).float())) for _ in range(20)])
    code(codec(model), test, elbo)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
