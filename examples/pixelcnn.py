"""A PixelCNN: each pixel given all before it. Encoding runs the network once, decoding once for each pixel.

    python examples/pixelcnn.py             (--quick: a smaller run)

Masked convolutions see only what stands above and to the left, so a single pass over a known image gives the
distributions of all of its pixels. (Aaron van den Oord, Nal Kalchbrenner & Koray Kavukcuoglu, "Pixel recurrent neural
networks", arXiv 1601.06759.) `Generated` takes both: what to do when all pixels are known, and step by step.

Floats: what float_vae.py says holds here. One pass and 256 have to agree to the last bit, so arrays have one shape.
"""

import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F
from chain import code
from draw_digits import draw
from float_vae import train
from torch import nn

from bitsback.codecs import Bernoulli, Generated

SIDE, WIDTH = 16, 16


def digits(count, seed):
    """Black and white digits of 16 by 16, uint8 (count, 256)."""
    rng = np.random.default_rng(seed)
    grey = np.stack([draw(i % 10, rng)[2:26, 2:26] for i in range(count)])
    return (grey.repeat(2, 1).repeat(2, 2).reshape(count, SIDE, 3, SIDE, 3).mean((2, 4)) > 127).reshape(
        count, -1
    ) * np.uint8(1)


class Masked(nn.Conv2d):
    """A convolution that sees what is above, and in its row what is to the left, its own place with ``here``."""

    def __init__(self, inputs, outputs, here):
        super().__init__(inputs, outputs, 5, padding=2)
        mask = torch.zeros(5, 5)
        mask[:2] = 1
        mask[2, : 2 + here] = 1
        self.register_buffer("mask", mask)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=2)


class PixelCNN(nn.Module):
    """From pixels, float (n, 256), to the logits of all of them."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            Masked(1, WIDTH, here=False),
            nn.ReLU(),
            Masked(WIDTH, WIDTH, here=True),
            nn.ReLU(),
            Masked(WIDTH, 1, here=True),
        )
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.layers(x.view(-1, 1, SIDE, SIDE)).flatten(1)

    def bits(self, x):
        return F.binary_cross_entropy_with_logits(self(x), x, reduction="sum") / math.log(2)


# --- the codec
def codec(model):
    """Of an image, a sequence of 256 pixels."""

    @torch.no_grad()
    def probabilities(pixels):
        known = np.zeros(SIDE * SIDE, np.float32)
        known[: len(pixels)] = pixels
        return torch.sigmoid(model(torch.from_numpy(known)[None]))[0].numpy()

    def at_once(pixels):
        return [Bernoulli.from_floats(p) for p in probabilities(pixels)]

    def one_by_one():
        pixels = []
        while len(pixels) < SIDE * SIDE:
            pixels.append((yield Bernoulli.from_floats(probabilities(pixels)[len(pixels)])))

    return Generated(one_by_one, at_once)


# ---


def main(quick):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    training, test = digits(50 if quick else 1500, seed=1), digits(1 if quick else 20, seed=2)
    model = train(PixelCNN(), training, epochs=2 if quick else 20)
    print("PixelCNN, one environment only; -ELBO is -log2 p(x), as there are no latents")
    with torch.no_grad():
        elbo = float(model.bits(torch.from_numpy(test).float()))
    model.calls = 0
    code(codec(model), test, elbo)
    calls = model.calls // len(test)
    print(f"  network   {calls - SIDE * SIDE} call to encode an image, {SIDE * SIDE} to decode it")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
