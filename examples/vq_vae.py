"""A VAE whose latents are codes, each one of sixteen: categorical, where others are Gaussian.

    python examples/vq_vae.py               (--quick: a smaller run)

The encoder gives a distribution over the codes of each latent, the decoder sees the vectors of those that were chosen.
The posterior is a `Categorical` and the prior plain bits, and nothing has to be cut into buckets. Training draws codes
by the Gumbel-softmax trick (Eric Jang, Shixiang Gu & Ben Poole, arXiv 1611.01144). With a posterior that is a single
code, as in a VQ-VAE (arXiv 1711.00937), nothing comes back, and `TwoPart` is the codec: it is measured, too.

The networks are floats: what float_vae.py says about its messages holds here too.
"""

import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F
from chain import code, digits
from float_vae import train
from torch import nn

from bitsback.codecs import Bernoulli, BitsBack, Categorical, TwoPart, Uniform

LATENTS, CODES, WIDTH, HIDDEN = 12, 16, 8, 200


class CodeVAE(nn.Module):
    """p(z) uniform over codes, q(z | x) a table for each latent, p(x | z) Bernoulli."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, LATENTS * CODES))
        self.book = nn.Parameter(torch.randn(LATENTS, CODES, WIDTH))
        self.decoder = nn.Sequential(nn.Linear(LATENTS * WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784))

    def posterior(self, x):
        return self.encoder(x).view(-1, LATENTS, CODES).log_softmax(-1)

    def logits(self, chosen):
        """``chosen``: weights of the codes, (n, LATENTS, CODES), one of them 1."""
        return self.decoder(torch.einsum("nlc,lcw->nlw", chosen, self.book).flatten(1))

    def bits(self, x):
        """-ELBO of the batch in bits, by one sample of z."""
        log_q = self.posterior(x)
        chosen = F.gumbel_softmax(log_q, tau=0.7, hard=True)
        kl = (log_q.exp() * (log_q + math.log(CODES))).sum()
        return (kl + F.binary_cross_entropy_with_logits(self.logits(chosen), x, reduction="sum")) / math.log(2)


# --- the codec
def parts(model):
    """Prior, likelihood and posterior of one image, uint8 (784,)."""

    @torch.no_grad()
    def likelihood(z):
        chosen = F.one_hot(torch.from_numpy(z.astype(np.int64)), CODES).float()
        return Bernoulli.from_floats(torch.sigmoid(model.logits(chosen[None]))[0])

    @torch.no_grad()
    def posterior(x):
        return Categorical.from_floats(model.posterior(torch.from_numpy(x).float()[None])[0].exp())

    return Uniform(int(math.log2(CODES)), (LATENTS,)), likelihood, posterior


# ---


def main(quick):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    training, test = digits(200 if quick else 1500, seed=1), digits(20 if quick else 200, seed=2)
    model = train(CodeVAE(), training, epochs=5 if quick else 60)
    x = torch.from_numpy(test).float()
    with torch.no_grad():
        elbo = np.mean([float(model.bits(x)) for _ in range(20)])
        modes = F.one_hot(model.posterior(x).argmax(-1), CODES).float()
        pixels = float(F.binary_cross_entropy_with_logits(model.logits(modes), x, reduction="sum")) / math.log(2)
    prior, likelihood, posterior = parts(model)
    print("VAE with codes and bits back, one environment only")
    code(BitsBack(prior, likelihood, posterior), test, elbo)
    print("the likeliest codes and no bits back, one environment only; -ELBO is what that should cost")

    @torch.no_grad()
    def best(one):
        return model.posterior(torch.from_numpy(one).float()[None])[0].argmax(-1).numpy()

    code(TwoPart(prior, likelihood, best), test, pixels + LATENTS * math.log2(CODES) * len(test))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
