"""The VAE of float_vae.py with integer networks: its messages can be decoded on any machine.

    python examples/quantised_vae.py        (--quick: a smaller run)

Every activation is an integer u in 0..255, in training a float u / 32. Weights and activations are rounded in the
forward pass, and the backward pass pretends that they were not, so the network learns to live with it.
"""

import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F
from chain import code, digits
from float_vae import BITS, HIDDEN, LATENTS, train
from torch import nn

from bitsback.codecs import Bernoulli, BitsBack, PosteriorBuckets, Uniform, bucket_codes, quarter
from bitsback.kinds.context.codec import PRECISION, logit_probabilities
from bitsback.nets.engine import ENGINES, runner
from bitsback.nets.layers import Dense, NetSpec
from bitsback.training.layers import UNIT, QuantNetwork, straight_through

CENTRE = 128 / UNIT


class VAE(nn.Module):
    """p(z) = N(0, 1), q(z | x) Gaussian, p(x | z) Bernoulli; every parameter is a clipped, rounded activation."""

    def __init__(self):
        super().__init__()
        self.encoder = QuantNetwork(NetSpec((784,), (Dense(784, HIDDEN), Dense(HIDDEN, 2 * LATENTS))))
        self.decoder = QuantNetwork(NetSpec((LATENTS,), (Dense(LATENTS, HIDDEN), Dense(HIDDEN, 784))))
        with torch.no_grad():  # outputs start inside their range, and posteriors narrow: 2^-2
            for network in (self.encoder, self.decoder):
                network.weighted()[1].weight.mul_(0.3)
                network.weighted()[1].bias.fill_(CENTRE)
            self.encoder.weighted()[1].bias[LATENTS:] = 2.0

    def quantise(self, on):
        self.encoder.quantise(on)
        self.decoder.quantise(on)
        self.quantised = on

    def bits(self, x):
        """-ELBO of the batch in bits. Output u / 32 means: mean u/32 - 4, width 2^(-u/32), logit 5 (u - 128) / 64."""
        mean, narrow = self.encoder(x * CENTRE).chunk(2, -1)
        mean = mean - CENTRE
        if self.quantised:  # the widths' grid, as PosteriorBuckets has it
            narrow = straight_through((narrow * 8 + 0.5).floor().clamp(0, 63) / 8, narrow)
        std = torch.exp2(-narrow)
        z = (mean + std * torch.randn_like(std) + CENTRE).clamp(0, 255 / UNIT)
        if self.quantised:
            z = straight_through((z * UNIT).round() / UNIT, z)
        logits = (self.decoder(z) - CENTRE) * (5 * UNIT / 64)
        kl = ((mean**2 + std**2 - 1) / 2 + narrow * math.log(2)).sum()
        return (kl + F.binary_cross_entropy_with_logits(logits, x, reduction="sum")) / math.log(2)


# --- the codec
def codec(model, engines=ENGINES):
    """The model as a codec of one image, uint8 (784,). From the image to the bits there are only integers."""
    encoder, decoder = (runner(network.export(), engines) for network in (model.encoder, model.decoder))
    centres, probabilities = bucket_codes(BITS), logit_probabilities()

    def likelihood(z):
        return Bernoulli(probabilities[decoder(centres[z][None])[0]], PRECISION)

    def posterior(x):
        delta, narrow = np.split(encoder(x[None] * np.uint8(128))[0], 2)
        return PosteriorBuckets.from_codes(delta, quarter(narrow), BITS)

    return BitsBack(Uniform(BITS, (LATENTS,)), likelihood, posterior)


# ---


def main(quick):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    training, test = digits(200 if quick else 1500, seed=1), digits(20 if quick else 200, seed=2)
    model, epochs = VAE(), 5 if quick else 60
    train(model, training, epochs, quantise=lambda epoch: model.quantise(epoch >= epochs // 2))
    with torch.no_grad():
        elbo = np.mean([float(model.bits(torch.from_numpy(test).float())) for _ in range(20)])
    print("quantised VAE, any machine: encoded by onnxruntime, decoded by NumPy")
    code(codec(model), test, elbo, decoder=codec(model, ["reference"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
