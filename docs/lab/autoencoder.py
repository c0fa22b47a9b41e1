"""How is a VAE different from a deterministic autoencoder? Both code the same digits, and every bit is counted.

python docs/lab/autoencoder.py            (--quick: a smaller run, which writes nothing)
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from page import BLUE, GREEN, ORANGE, WIDTH, arguments, digits, table, tiles, write
from small_vae import TOLERANCE, VAE, floats, trained

from bitsback.codecs import Bernoulli, BitsBack, Categorical, PosteriorBuckets, TwoPart, Uniform, bucket_centres
from bitsback.codecs.testing import random_stack

LATENTS = 20
REACH = 4  # the autoencoder's grid: so many standard deviations to both sides


class Grid:
    """Latents of an autoencoder, rounded to a grid and coded under the histogram that the training digits left.

    ``step`` is in standard deviations of each latent. The histograms are smoothed by 32 counts from a Gaussian.
    """

    def __init__(self, codes, step):
        self.mean, self.std, self.step = codes.mean(0), codes.std(0), step
        self.last = round(REACH / step)  # cells -last .. last, coded as 0 .. 2 * last
        places = np.arange(2 * self.last + 1)
        gaussian = np.exp(-(((places - self.last) * step) ** 2) / 2)
        counts = (self.cells(codes)[..., None] == places).sum(0)
        self.prior = Categorical.from_floats(counts + 32 * gaussian / gaussian.sum() + 1e-3, precision=20)

    def cells(self, codes):
        places = np.round((codes - self.mean) / (self.std * self.step)).astype(int) + self.last
        return places.clip(0, 2 * self.last).astype(np.uint16)

    def values(self, cells):
        return ((cells.astype(int) - self.last) * self.step * self.std + self.mean).astype(np.float32)


def pixels(model, z):
    """p(x | z): a codec of one image's pixels."""
    return Bernoulli.from_floats(model.pixels(torch.from_numpy(z)).numpy())


def autoencoder(model, grid):
    """z is what the encoder says, rounded: nothing is left to choose, so nothing comes back."""
    best = lambda x: grid.cells(model.posterior(torch.from_numpy(x).float())[0].numpy())  # noqa: E731
    return TwoPart(grid.prior, lambda z: pixels(model, grid.values(z)), best)


def vae(model, bits, back):
    """Bits back, or without: then z is the bucket that the posterior's mean is in."""
    centres = bucket_centres(bits).astype(np.float32)
    prior, likelihood = Uniform(bits, (model.latents,)), lambda z: pixels(model, centres[z])

    def posterior(x):
        mean, std = model.posterior(torch.from_numpy(x).float())
        return PosteriorBuckets.from_floats(mean.numpy(), std.numpy(), bits)

    return (
        BitsBack(prior, likelihood, posterior) if back else TwoPart(prior, likelihood, lambda x: posterior(x).modes())
    )


def measure(codec, images):
    """Code a chain of images step by step, decode it, compare. Bits an image: given back, for pixels, for latents."""
    start = random_stack(200)
    stack, spent = start.copy(), np.zeros(3)
    for x in images:
        levels = [stack.bits()]
        z = codec.posterior(x).pop(stack) if isinstance(codec, BitsBack) else codec.best(x)
        levels.append(stack.bits())
        codec.likelihood(z).push(stack, x)
        levels.append(stack.bits())
        codec.prior.push(stack, z)
        levels.append(stack.bits())
        spent += np.diff(levels)
    for x in images[::-1]:
        if not np.array_equal(codec.pop(stack), x):
            raise SystemExit("a digit came back wrong")
    if stack != start:
        raise SystemExit("the stack did not come back")
    return spent / len(images)


def bars(rows):
    """Figure: latents and pixels of each code; what comes back is taken off the latents."""
    names, back, pixel, latent = zip(*rows, strict=True)
    back, pixel, latent = -np.array(back), np.array(pixel), np.array(latent)
    figure, axis = plt.subplots(figsize=(WIDTH, 0.36 * len(rows) + 1.2))
    places = np.arange(len(rows))
    axis.barh(places, pixel, color=BLUE, label="pixels")
    axis.barh(places, latent - back, left=pixel, color=ORANGE, label="latents")
    axis.barh(
        places, back, left=pixel + latent - back, fc="none", ec=GREEN, hatch="////", lw=0, label="latents, given back"
    )
    for y, total in zip(places, pixel + latent - back, strict=True):
        axis.text(4, y, f"{total:.1f}", va="center", color="white", fontweight="bold")
    axis.set(yticks=places, yticklabels=names, xlabel="bits an image; in the bar the total, less what comes back")
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=3)
    return figure


def drawn(plain, grid, model):
    """Figure: digits drawn from both. The autoencoder has no prior; its latents are drawn from the histograms."""
    cells = np.stack([grid.prior.pop(random_stack(seed=k)) for k in range(40)])
    sheets = plain.pixels(torch.from_numpy(grid.values(cells))), model.pixels(torch.randn(40, LATENTS))
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.0))
    for axis, sheet, title in zip(
        axes, sheets, ("autoencoder, each latent from its histogram", "VAE, z from p(z)"), strict=True
    ):
        axis.imshow(tiles(sheet.reshape(-1, 28, 28).numpy(), 10), vmin=0, vmax=1)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    return figure


def main(mode):
    quick = mode == "quick"
    training, test = digits(100 if quick else 3000, seed=1), digits(10 if quick else 300, seed=2)
    epochs = 2 if quick else 20
    plain, model = (trained(VAE(LATENTS, deterministic=d), training, epochs) for d in (True, False))
    images, codes = test.reshape(len(test), -1), plain.posterior(floats(training))[0].numpy()
    rows = []
    for step in (2, 1, 1 / 2, 1 / 4, 1 / 16):
        grid = Grid(codes, step)
        rows.append((f"autoencoder, step {step:g}", *measure(autoencoder(plain, grid), images)))
    for bits in (2, 3, 4, 10):
        rows.append((f"VAE, no bits back, {bits} bits", *measure(vae(model, bits, back=False), images)))
    rows.append(("VAE, bits back, 10 bits", *measure(vae(model, 10, back=True), images)))
    lines = [[name, f"{z:.1f}", f"{x:.1f}", f"{abs(back):.1f}", f"{back + x + z:.1f}"] for name, back, x, z in rows]
    head = ["bits an image", "latents", "pixels", "given back", "total"]
    torch.manual_seed(2)
    figures = {"autoencoder": bars(rows), "autoencoder-samples": drawn(plain, Grid(codes, 1 / 4), model)}
    text = f"{len(test)} digits in one chain, all decoded and equal. Steps are in standard deviations of a latent.\n\n"
    write("autoencoder", text + table(head, lines), figures, mode, TOLERANCE)


if __name__ == "__main__":
    main(arguments())
