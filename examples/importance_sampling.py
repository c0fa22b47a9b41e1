"""Fewer bits from the same model: bits back with importance sampling.

    python examples/importance_sampling.py  (--quick: a smaller run)

Bits back pays -ELBO, because q(z | x) is not quite the true posterior. With n latents ("particles") z_1 .. z_n from q,
one of them chosen by its weight w_i = p(x, z_i) / q(z_i | x), it pays -log2 of the mean weight instead, on average,
which is less for every n > 1 and tends to -log2 p(x). The price: n times the initial bits, and the work. (Yangjun Ruan
and others, "Improving lossless compression rates via Monte Carlo bits-back coding", ICML 2021, arXiv 2102.11086,
section 3; the couplings that it goes on to, which need no more initial bits than one particle, are not here.)

The networks are the floats of float_vae.py, with all that is said there.
"""

import argparse
import math
from dataclasses import dataclass

import numpy as np
import torch
from chain import code, digits
from float_vae import VAE, codec, train

from bitsback.codecs import BitsBack, Categorical, PosteriorBuckets, Uniform


# --- the codec
@dataclass
class ImportanceSampling:
    """The model ``one`` with n particles."""

    one: BitsBack
    n: int

    def push(self, stack, x):
        q = self.one.posterior(x)
        z = self.particles(q, self.n).pop(stack)
        (i,) = self.choice(x, z, q).pop(stack)
        self.particles(q, self.n - 1).push(stack, np.delete(z, i, 0))  # those not chosen go back
        self.one.likelihood(z[i]).push(stack, x)
        self.one.prior.push(stack, z[i])
        Uniform.of_size(self.n).push(stack, i)

    def pop(self, stack):
        i = Uniform.of_size(self.n).pop(stack)
        chosen = self.one.prior.pop(stack)
        x = self.one.likelihood(chosen).pop(stack)
        q = self.one.posterior(x)
        z = np.insert(self.particles(q, self.n - 1).pop(stack), i, chosen, 0)
        self.choice(x, z, q).push(stack, i[None])
        self.particles(q, self.n).push(stack, z)
        return x

    def particles(self, q, n):
        return PosteriorBuckets(np.tile(q.mean, (n, 1)), np.tile(q.scale, (n, 1)), q.bits_per_symbol)

    def choice(self, x, z, q):
        """The codec of which particle is used: log2 of its weight is code lengths under q less those under p."""
        log2_w = np.array([q.bits(one).sum() - self.one.likelihood(one).bits(x).sum() for one in z])
        return Categorical.from_floats(np.exp2(log2_w - log2_w.max())[None])


# ---


@torch.no_grad()
def elbo(model, images, n, repeats=20):
    """-log2 of the mean weight, all images, in bits: -ELBO of the model with n particles (Burda, arXiv 1509.00519)."""
    x = torch.from_numpy(images).float()
    mean, std = (part.expand(repeats * n, -1, -1) for part in model.posterior(x))
    noise = torch.randn(mean.shape)
    z = mean + std * noise
    log_w = (noise**2 / 2 - z**2 / 2 + std.log()).sum(-1)
    log_w = log_w + torch.distributions.Bernoulli(logits=model.decoder(z)).log_prob(x).sum(-1)
    return float((math.log(n) - log_w.view(repeats, n, -1).logsumexp(1)).mean(0).sum()) / math.log(2)


def main(quick):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    training, test = digits(200 if quick else 1500, seed=1), digits(20 if quick else 100, seed=2)
    model = train(VAE(), training, epochs=5 if quick else 60)
    for n in (1, 4) if quick else (1, 4, 16):
        print(f"{n} particle{'s' * (n > 1)}, one environment only")
        code(ImportanceSampling(codec(model), n), test, elbo(model, test, n))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
