"""What is bits back? The naive latent code against bits back, measured over a growing chain of digits.

    python docs/lab/bits_back.py            (--quick: a smaller run, which writes nothing)

The model is a plain VAE, `plain-vae.bbm`, which recipes/vae.py trains: 20 latents of 8 bits, and one
probability for each pixel.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from page import BLACK, BLUE, GREEN, ORANGE, RED, arguments, digits, table, write

from bitsback.ans import Stack
from bitsback.codecs import TwoPart, Uniform
from bitsback.codecs.testing import random_stack
from bitsback.errors import EmptyStackError
from bitsback.models import Model

PLAIN_VAE = Path(__file__).with_name("plain-vae.bbm")


class Grid:
    """Latents, uint16 (1, n), each on a grid of its own: the middles of 2**bits[i] buckets of equal prior mass."""

    def __init__(self, bits, finest):
        self.bits, self.shift = np.array(bits), finest - np.array(bits)

    def snap(self, z):
        """The nearest grid points, as buckets of the finest grid."""
        return ((z >> self.shift << self.shift) + (1 << self.shift >> 1)).astype(np.uint16)

    def push(self, stack, z):
        for b, k in zip(self.bits[::-1], (z >> self.shift)[0, ::-1], strict=True):
            if b:
                Uniform(int(b)).push(stack, k)

    def pop(self, stack):
        coarse = np.array([int(Uniform(int(b)).pop(stack)) if b else 0 for b in self.bits])
        return self.snap(coarse[None] << self.shift)


def naive(vae, bits):
    """z as the posterior's mode on a grid, then x given z."""
    grid = Grid(bits, vae.config.latent_bits)
    return TwoPart(grid, vae.likelihood, lambda x: grid.snap(vae.posterior(x).modes()))


def best_grids(vae, images):
    """Bits for each latent that make the naive code of these images short: one number for all, then one for each.

    Returns the cost in bits an image of every common number, and both choices.
    """
    modes, finest, n = vae.posterior(images).modes(), vae.config.latent_bits, vae.config.latents

    def cost(bits):
        return float(vae.likelihood(Grid(bits, finest).snap(modes)).bits(images).sum() / len(images) + sum(bits))

    common = [cost([b] * n) for b in range(finest + 1)]
    bits = [int(np.argmin(common))] * n
    shared = list(bits)
    for _ in range(3):
        for i in range(n):
            choices = [[*bits[:i], b, *bits[i + 1 :]] for b in range(max(0, bits[i] - 1), min(finest, bits[i] + 1) + 1)]
            bits = min(choices, key=cost)
    return common, shared, bits


def chain(codec, images, start=None, words=0):
    """Code images one by one, from ``words`` random words on: bits of the message after each, decoded and compared.

    ``start``: a codec that borrows nothing, for as long as the stack holds too little for the other.
    """
    stack, used, bits = random_stack(words) if words else Stack(), [], []
    first = stack.copy()
    for image in images:
        used.append(codec)
        try:
            codec.push(stack, image[None])
        except EmptyStackError:  # the stack is unchanged: the latents are what is coded first
            if start is None:
                raise
            used[-1] = start
            start.push(stack, image[None])
        bits.append(stack.bits())
    for one, image in zip(used[::-1], images[::-1], strict=True):
        assert np.array_equal(one.pop(stack)[0], image)
    assert stack == first
    return np.array(bits)


def initial_words(codec, image):
    """The fewest random words from which the chain can start."""
    words = 0
    while True:
        try:
            codec.push(random_stack(words), image[None])
            return words
        except EmptyStackError:
            words += 1


def draw(n, curves):
    """Figure: bits a digit of the whole message over the number of digits."""
    figure, axis = plt.subplots(figsize=(7, 3.8))
    for (name, bits), colour in zip(curves.items(), (ORANGE, RED, BLUE, GREEN, BLACK), strict=True):
        axis.plot(n, bits, color=colour, label=name, ls="--" if colour == BLACK else "-")
    axis.set(xscale="log", xlabel="digits in the message", ylabel="bits a digit, all in all")
    axis.set_ylim(0, 1.05 * max(bits[0] for bits in curves.values()))
    axis.legend(fontsize=9)
    return figure


def main(mode):
    quick = mode == "quick"
    model = Model.load(PLAIN_VAE)
    vae, chains = model.trained, 2 if quick else 4
    images = digits(chains * (10 if quick else 250), seed=4)[..., None]
    images = np.random.default_rng(4).permutation(images).reshape(chains, -1, 28, 28, 1)
    common, shared, own = best_grids(vae, digits(5 if quick else 50, seed=5)[..., None])
    words = [initial_words(vae.codec(1), some[0]) for some in images]
    curves = {
        "naive, one grid for all latents": [chain(naive(vae, shared), some) for some in images],
        "naive, the best grid for each latent": [chain(naive(vae, own), some) for some in images],
        "bits back, with random initial bits": [
            chain(vae.codec(1), some, words=w) for some, w in zip(images, words, strict=True)
        ],
        "bits back, naive while there is nothing to borrow": [
            chain(vae.codec(1), some, naive(vae, own)) for some in images
        ],
    }
    n = np.arange(1, images.shape[1] + 1)
    elbo = [np.mean([model.elbo_bits(some, seed) for seed in range(5)], axis=0) for some in images]
    curves = {name: np.mean(found, axis=0) / n for name, found in curves.items()}
    curves["−ELBO"] = np.cumsum(np.mean(elbo, axis=0)) / n
    images = images.reshape(-1, 28, 28, 1)

    # What the latents would cost if they were sent, and what of it comes back, over all digits
    q = vae.posterior(images)
    z = q.pop(random_stack(12 * len(images)))
    back = q.bits(z).sum() / len(images)
    pixels = vae.likelihood(z).bits(images).sum() / len(images)
    spent = vae.prior(1).bits(z[:1]).sum()

    initial = np.mean([random_stack(w).bits() for w in words])
    shown = [k for k in (1, 2, 5, 10, 30, 100, 250) if k <= len(n)]
    rows = [[name, *(f"{bits[k - 1]:.1f}" for k in shown)] for name, bits in curves.items()]
    results = [
        table(["bits a digit, all in all, in a message of", *(f"{k} digit{'s' * (k > 1)}" for k in shown)], rows),
        f"Averages over {chains} chains. Initial bits: {initial:.0f}. Bits for each latent on the best common grid: "
        f"{shared[0]}; on grids of their own: {min(own)} to {max(own)}, {sum(own)} in all. Every message was decoded "
        "and compared.",
        table(
            ["bits back, average over the digits", "bits a digit"],
            [
                ["latents, pushed under p(z)", f"{spent:+.1f}"],
                ["pixels, pushed under p(x &#124; z)", f"{pixels:+.1f}"],
                ["latents, popped under q(z &#124; x): the bits back", f"{-back:+.1f}"],
                ["**sum**", f"**{spent + pixels - back:+.1f}**"],
            ],
        ),
        table(
            ["naive: bits a latent", *map(str, range(len(common)))], [["bits a digit", *(f"{c:.0f}" for c in common)]]
        ),
    ]
    write("bits-back", "\n\n".join(results), {"bits-back": draw(n, curves)}, mode, 0)


if __name__ == "__main__":
    main(arguments())
