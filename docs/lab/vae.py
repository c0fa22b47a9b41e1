"""What is a variational autoencoder? Digits, their reconstructions, digits from the prior, and the parts of the ELBO.

python docs/lab/vae.py            (--quick: a smaller run, which writes nothing)
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from page import BLUE, ORANGE, WIDTH, arguments, digits, table, tiles, write
from small_vae import TOLERANCE, VAE, evidence_bits, floats, trained

SHOWN = 20  # the size of the model that is drawn


def parts(model, x, samples):
    """Bits of each image: the pixels given z, averaged over samples of q(z | x), and KL(q(z | x) || p(z))."""
    mean, std = model.posterior(x)
    pixels = sum(model.pixel_bits(x, mean + std * torch.randn_like(std)) for _ in range(samples)) / samples
    return pixels, model.kl_bits(x)


def pictures(model, x):
    """Figure: ten digits, what the model makes of three samples of q(z | x) for each, and thirty draws from p(z)."""
    mean, std = model.posterior(x)
    rows = [x] + [model.pixels(mean + std * torch.randn_like(std)) for _ in range(3)]
    inferred = tiles(torch.cat(rows).reshape(-1, 28, 28).numpy(), 10)
    drawn = tiles(model.pixels(torch.randn(40, model.latents)).reshape(-1, 28, 28).numpy(), 10)
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.0))
    for axis, sheet, title in (
        (axes[0], inferred, "x, and p(x | z) for three z from q(z | x)"),
        (axes[1], drawn, "p(x | z) for z from the prior p(z)"),
    ):
        axis.imshow(sheet, vmin=0, vmax=1)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    axes[0].axhline(28.5, color=BLUE, lw=1.2)  # x above, the model's below
    return figure


def split(sizes, pixels, kl, evidence):
    """Figure: the two parts of -ELBO by the number of latents."""
    figure, axis = plt.subplots(figsize=(WIDTH, 2.6))
    places = np.arange(len(sizes))
    axis.barh(places, pixels, color=BLUE, label="−log₂ p(x | z), the pixels")
    axis.barh(places, kl, left=pixels, color=ORANGE, label="KL(q(z | x) ‖ p(z)), the latents")
    axis.plot(evidence, places, "D", color="black", ms=5, label="−log₂ p(x), estimated")
    axis.set(yticks=places, yticklabels=[str(n) for n in sizes], ylabel="latents", xlabel="bits an image")
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.3), ncols=3, fontsize=9, columnspacing=1.2, handlelength=1.2)
    return figure


def main(mode):
    quick = mode == "quick"
    training, test = digits(100 if quick else 3000, seed=1), digits(20 if quick else 300, seed=2)
    x = floats(test)
    sizes = (1, 2, 5, 10, SHOWN, 40) if not quick else (2, SHOWN)
    known = floats(training[: len(test)])
    rows, columns = [], []
    for latents in sizes:
        model = trained(VAE(latents), training, epochs=2 if quick else 20)
        torch.manual_seed(1)
        pixels, kl = parts(model, x, samples=2 if quick else 20)
        evidence = evidence_bits(model, x, samples=2 if quick else 300).mean()
        columns.append([float(pixels.mean()), float(kl.mean()), float(evidence)])
        learnt = sum(part.mean() for part in parts(model, known, samples=2 if quick else 20))
        numbers = pixels.mean(), kl.mean(), (pixels + kl).mean(), evidence, learnt
        rows.append([str(latents), *(f"{value:.1f}" for value in numbers)])
        if latents == SHOWN:
            seen = pictures(model, x[:10])
    head = [
        "latents",
        "pixels, −log2 p(x &#124; z)",
        "latents, KL",
        "sum: −ELBO",
        "−log2 p(x)",
        "−ELBO of known digits",
    ]
    results = f"Bits an image, average of {len(test)} digits that the models did not learn from; in the last column of "
    results += f"{len(known)} that they did:\n\n" + table(head, rows)
    write("vae", results, {"vae": seen, "vae-elbo": split(sizes, *np.array(columns).T)}, mode, TOLERANCE)


if __name__ == "__main__":
    main(arguments())
