"""Is the VAE a first level of compression and BB-ANS the second? Digits, sent by each part alone, and by all.

    python docs/lab/levels.py            (--quick: a smaller run, which writes nothing)

The model is a plain VAE, `plain-vae.bbm`, which recipes/vae.py trains: 20 latents of 8 bits, and one probability for
each pixel. Everything is coded on a stack, and what is called exact was decoded and compared.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from bits_back import best_grids, naive
from page import BLUE, ORANGE, WIDTH, arguments, digits, table, tiles, write

from bitsback.codecs import Bernoulli, Serial, Uniform
from bitsback.codecs.testing import random_stack
from bitsback.models import Model

PLAIN_VAE = Path(__file__).with_name("plain-vae.bbm")


def coded(codec, data):
    """Bits a datum by which a stack grows; all are decoded and compared."""
    stack = random_stack(99)
    before, bits = stack.copy(), stack.bits()
    for x in data:
        codec.push(stack, x)
    grown = (stack.bits() - bits) / len(data)
    for x in data[::-1]:
        back = codec.pop(stack)
        assert all(map(np.array_equal, back, x)) if isinstance(x, tuple) else np.array_equal(back, x)
    assert stack == before
    return grown


def share(images, axis=None):
    """P(ink), from other digits: of all pixels, or of each; none impossible."""
    return np.clip(images.mean(axis), 0.001, 0.999)


def pictures(x, guess, wrong):
    """Figure: digits, the decoder's best guess from z, and what it gets wrong."""
    figure, axis = plt.subplots(figsize=(WIDTH, 2.3))
    axis.imshow(tiles(np.concatenate([x, guess, wrong])[..., 0], len(x)), vmin=0, vmax=1)
    axis.set_yticks([14, 44, 74], ["x", "likelier than not,\ngiven z", "wrong"])
    axis.set_xticks([])
    axis.grid(visible=False)
    axis.spines[:].set(visible=False)
    axis.tick_params(length=0)
    return figure


def bars(rows):
    """Figure: bits a digit of each way that is exact."""
    names, z, rest = zip(*rows, strict=True)
    figure, axis = plt.subplots(figsize=(WIDTH, 2.8))
    places = np.arange(len(rows))
    axis.barh(places, z, color=ORANGE, label="latents")
    axis.barh(places, rest, left=z, color=BLUE, label="pixels")
    axis.set(yticks=places, yticklabels=names, xlabel="bits a digit")
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.legend()
    return figure


def main(mode):
    quick = mode == "quick"
    model = Model.load(PLAIN_VAE)
    vae = model.trained
    x = digits(20 if quick else 200, seed=9)[..., None]
    others = digits(50 if quick else 1000, seed=5)[..., None]
    one = x[:, None]  # images of batches of one
    shape = (1, 28, 28, 1)

    plain = coded(Uniform(1, shape), one)
    ink = coded(Bernoulli.from_floats(np.full(shape, share(others))), one)
    average = coded(Bernoulli.from_floats(share(others, 0)[None]), one)

    _, grid, _ = best_grids(vae, others[: 5 if quick else 50])
    two_part = naive(vae, grid)
    z = [two_part.best(image) for image in one]
    guess = np.concatenate([vae.likelihood(latent).p >= 1 << 23 for latent in z]).astype(np.uint8)
    wrong = x ^ guess
    latents = coded(two_part.prior, z)
    residual = Bernoulli.from_floats(np.full(shape, share(wrong)))
    levels = coded(Serial([two_part.prior, residual]), list(zip(z, wrong[:, None], strict=True)))
    both = coded(two_part, one)
    back = coded(vae.codec(1), one)

    right = (wrong.sum((1, 2, 3)) == 0).mean(), 1 - wrong.mean()
    exact = f"{100 * right[0]:.0f} % of the digits, {100 * right[1]:.1f} % of pixels"
    rows = [
        ["ANS and no model: ink and paper as likely", f"{plain:.1f}", "all"],
        ["ANS, one P(ink) for all pixels", f"{ink:.1f}", "all"],
        ["ANS, one P(ink) for each pixel", f"{average:.1f}", "all"],
        ["the VAE alone: z", f"{latents:.1f}", exact],
        ["two levels: z, then what the guess from z gets wrong", f"{levels:.1f}", "all"],
        ["one level: z, then x under p(x &#124; z)", f"{both:.1f}", "all"],
        ["the same with bits back: **BB-ANS**", f"**{back:.1f}**", "all"],
    ]
    text = "\n\n".join(
        [
            table(["what is sent", "bits a digit", "what comes back exactly"], rows),
            f"{len(x)} digits, and P(ink) from {len(others):,} others. z is the posterior's mode on the grid that "
            f"makes row 6 short, {grid[0]} bits a latent.",
        ]
    )
    shown = [
        ("two levels", latents, levels - latents),
        ("one level", latents, both - latents),
        ("bits back", 0, back),
    ]
    figures = {
        "levels": pictures(x[:10], guess[:10], wrong[:10]),
        "levels-bits": bars([("ANS, P(ink) of\neach pixel", 0, average), *shown]),
    }
    write("levels", text, figures, mode, 0)


if __name__ == "__main__":
    main(arguments())
