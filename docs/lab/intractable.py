"""Why is the posterior intractable? p(x) estimated with samples from the prior, and what squared distance makes of it.

python docs/lab/intractable.py            (--quick: a smaller run, which writes nothing)
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from page import BLUE, ORANGE, WIDTH, arguments, digits, table, tiles, write
from PIL import Image
from small_vae import LN2, TOLERANCE, VAE, evidence_bits, floats, trained


def estimates(model, x, doublings):
    """-log2 of the mean of p(x | z) over 1, 2, 4 ... 2**doublings samples of the prior: (doublings + 1, n)."""
    total, found, drawn = torch.full((len(x),), -math.inf), [], 0
    while drawn < 1 << doublings:
        count = min(max(drawn, 1), 4096)
        logits = model.decoder(torch.randn(count, model.latents))
        log_p = x @ logits.T - F.softplus(logits).sum(1)  # of each digit given each z, in nats
        total = torch.logaddexp(total, torch.logsumexp(log_p, 1))
        drawn += count
        if drawn & (drawn - 1) == 0:
            found.append((math.log(drawn) - total) / LN2)
    return torch.stack(found)


def curves(excess):
    """Figure: bits too many, by the number of samples, each digit a line; one panel for each size of model."""
    figure, axes = plt.subplots(1, len(excess), figsize=(WIDTH, 3.2), sharey=True)
    for axis, (latents, bits) in zip(axes, excess.items(), strict=True):
        n = 1 << np.arange(len(bits))
        axis.plot(n, bits, color=BLUE, lw=0.7, alpha=0.35)
        axis.plot(n, np.median(bits, 1), color=ORANGE, lw=2.5, label="median")
        axis.axhline(0, color="black", lw=1)
        axis.set(xscale="log", title=f"{latents} latents", xlabel="samples of z from p(z)")
        axis.set_yscale("symlog", linthresh=10)
        axis.set(yticks=[0, 5, 10, 100, 1000], yticklabels=["0", "5", "10", "100", "1000"], ylim=(-5, 1500))
    axes[0].set_ylabel("estimate of −log₂ p(x), bits too many")
    axes[1].legend()
    return figure


KINDS = ["x", "a part missing", "a small part missing", "moved ½ pixel", "moved 1 pixel", "nearest other digit"]


def shifted(image, pixels):
    """A grey digit moved to the right and down by so many pixels, between pixels with cubic interpolation."""
    moved = Image.fromarray(image).transform((28, 28), Image.Transform.AFFINE, (1, 0, -pixels, 0, 1, -pixels), 3)
    return np.asarray(moved)


def distance(a, b):
    """Squared distance, samples from 0 to 1, averaged over the pixels."""
    return ((a / 255.0 - b / 255.0) ** 2).mean((-2, -1))


def variants(x, others):
    """Six pictures and what they are: x, x with parts missing, x moved twice, the nearest of the others."""
    damaged, chipped = x.copy(), x.copy()
    damaged[21:, :] = 0  # the lowest quarter
    chipped[23:, :] = 0
    nearest = others[distance(others, x).argmin()]
    return [x, damaged, chipped, shifted(x, 0.5), shifted(x, 1.0), nearest]


def pictures(sheets):
    """Figure: the variants of some digits, with their distances."""
    figure, axes = plt.subplots(len(sheets), len(KINDS), figsize=(WIDTH, 1.45 * len(sheets)))
    for axis, name in zip(axes[0], KINDS, strict=True):
        axis.set_title(name.replace(" missing", "\nmissing").replace("other digit", "\nother digit"), fontsize=9)
    for row, images in zip(axes, sheets, strict=True):
        for axis, image in zip(row, images, strict=True):
            axis.imshow(tiles(image[None], 1), vmin=0, vmax=255)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, color="#aaaaaa")
            if image is not images[0]:
                axis.set_xlabel(f"{distance(image, images[0]):.4f}", fontsize=10)
    return figure


def main(mode):
    quick = mode == "quick"
    training, test = digits(100 if quick else 3000, seed=1), digits(20 if quick else 50, seed=3)
    x, doublings = floats(test), 6 if quick else 18
    excess, rows = {}, []
    for latents in (2, 20):
        model = trained(VAE(latents), training, epochs=2 if quick else 20)
        torch.manual_seed(1)
        reference = evidence_bits(model, x, samples=10 if quick else 4000)
        bits = excess[latents] = (estimates(model, x, doublings) - reference).numpy()
        for k in range(0, doublings + 1, 2 if quick else 3):
            near = f"{100 * (np.abs(bits[k]) < 1).mean():.0f} %"
            rows.append([f"{latents} latents, {1 << k:,}", f"{bits[k].mean():.1f}", f"{bits[k].max():.1f}", near])
        rows.append([f"{latents} latents, KL(q &#124;&#124; p) = {model.kl_bits(x).mean():.1f} bits", "", "", ""])
    grey = digits(200 if quick else 3000, seed=4, levels=256)
    labels = np.arange(len(grey)) % 10
    sheets = [variants(grey[i], grey[labels != labels[i]]) for i in range(20 if quick else 200)]
    _, part, small, half, one, other = np.array([distance(np.stack(images), images[0]) for images in sheets]).T
    share = [f"{100 * truth.mean():.0f} %" for truth in (half > part, half > small, one > other)]
    squared = [[kind, f"{d.mean():.4f}"] for kind, d in zip(KINDS[1:], (part, small, half, one, other), strict=True)]
    head = ["samples from the prior", "bits too many, mean", "the worst digit", "within 1 bit"]
    parts = [
        table(head, rows),
        f"Squared distance from x, average of {len(sheets)} digits:",
        table(["", "squared distance"], squared),
        f"Moved by half a pixel a digit is farther from x than with the part missing: {share[0]} of them; than with "
        f"the small part missing: {share[1]}. Moved by one it is farther than the nearest of {len(grey):,} that shows "
        f"another digit: {share[2]}.",
    ]
    shown = [sheets[i] for i in (3, 4, 7)]
    figures = {"intractable": curves(excess), "intractable-distance": pictures(shown)}
    write("intractable", "\n\n".join(parts), figures, mode, TOLERANCE)


if __name__ == "__main__":
    main(arguments())
