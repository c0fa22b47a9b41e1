"""How does q(z | x) approximate p(z | x)? Brute force on a fine grid of a 2-D latent space, against the encoder.

python docs/lab/posterior.py            (--quick: a smaller run, which writes nothing)
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.patches import Ellipse
from page import ORANGE, WIDTH, arguments, digits, table, write
from small_vae import LN2, TOLERANCE, VAE, floats, trained

REACH = 4.5  # the grid goes from -REACH to REACH in both directions: 99.999 % of the prior's mass


def log_joint(model, x, steps):
    """log p(x, z) + log of a cell's area, for each digit and each z of the grid: float64 (n, steps, steps)."""
    axis = (torch.arange(steps) + 0.5) * (2 * REACH / steps) - REACH
    rows = []
    for first in axis:
        z = torch.stack([first.expand(steps), axis], 1)
        logits = model.decoder(z)
        log_p = x @ logits.T - F.softplus(logits).sum(1)  # log p(x | z)
        rows.append(log_p - (z**2).sum(1) / 2)
    area = (2 * REACH / steps) ** 2
    return torch.stack(rows, 1).double() + math.log(area / (2 * math.pi)), axis.double()


def compare(model, x, steps):
    """p(z | x) on the grid; and in bits -log2 p(x), KL(q(z | x) || p(z | x)), and -ELBO by 4,000 samples of q."""
    joint, axis = log_joint(model, x, steps)
    evidence = torch.logsumexp(joint.flatten(1), 1)
    true = joint - evidence[:, None, None]  # log of p(z | x) in each cell
    mean, std = (part.double() for part in model.posterior(x))
    one = [-(((axis - mean[:, d : d + 1]) / std[:, d : d + 1]) ** 2) / 2 for d in range(2)]
    q = one[0][:, :, None] + one[1][:, None, :]
    q = q - torch.logsumexp(q.flatten(1), 1)[:, None, None]
    kl = (q.exp() * (q - true)).sum((1, 2))
    bound = sum(
        model.pixel_bits(x, (mean + std * torch.randn_like(std)).float()) for _ in range(4000 if steps > 200 else 10)
    ) / (4000 if steps > 200 else 10) + model.kl_bits(x)  # fmt: skip
    return true, axis, (-evidence / LN2).numpy(), (kl / LN2).numpy(), bound.numpy()


def contours(model, images, true, axis, kl):
    """Figure: for each digit p(z | x) in shades, and q(z | x) as ellipses of 1 and 2 standard deviations."""
    mean, std = (part.numpy() for part in model.posterior(floats(images)))
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 4.9))
    grid = axis.numpy()
    for i, panel in enumerate(axes.flat):
        p = true[i].exp().numpy()
        centre = np.array([(p.sum(1) * grid).sum(), (p.sum(0) * grid).sum()])
        spread = np.sqrt([(p.sum(1) * grid**2).sum(), (p.sum(0) * grid**2).sum()] - centre**2)
        reach = 3.5 * max(spread.max(), std[i].max(), np.abs(centre - mean[i]).max() / 2)
        inside = [np.abs(grid - c) < reach for c in centre]
        window = p[np.ix_(*inside)].T  # rows of the picture are z2
        levels = [0.01, 0.1, 0.25, 0.5, 0.75, 1]  # as parts of the highest density
        panel.contourf(grid[inside[0]], grid[inside[1]], window / window.max(), levels, cmap="Blues")
        for width in (1, 2):
            size = 2 * width * std[i]
            panel.add_patch(Ellipse(mean[i], *size, fill=False, color=ORANGE, lw=2, ls="-" if width == 1 else "--"))
        panel.grid(visible=False)
        panel.set(
            aspect="equal", xlim=centre[0] + reach * np.array([-1, 1]), ylim=centre[1] + reach * np.array([-1, 1])
        )
        panel.set_title(f"KL {kl[i]:.2f} bits", fontsize=10)
        panel.locator_params(nbins=4)
        inset = panel.inset_axes([0.74, 0.74, 0.25, 0.25])
        inset.imshow(images[i])
        inset.set(xticks=[], yticks=[])
        inset.spines[:].set(visible=True, color="#999999")
    figure.supxlabel("z₁", fontsize=10)
    figure.supylabel("z₂", fontsize=10)
    return figure


def main(mode):
    quick = mode == "quick"
    training, test = digits(100 if quick else 3000, seed=1), digits(6 if quick else 20, seed=6)
    model = trained(VAE(2), training, epochs=2 if quick else 30)
    torch.manual_seed(1)
    true, axis, evidence, kl, bound = compare(model, floats(test), 100 if quick else 400)
    order = np.argsort(kl)
    chosen = order[np.linspace(0, len(order) - 1, 6).round().astype(int)]  # from the best to the worst
    names = [f"a {i % 10}" for i in chosen]
    rows = [[name, f"{bound[i]:.2f}", f"{evidence[i]:.2f}", f"{bound[i] - evidence[i]:.2f}", f"{kl[i]:.2f}"]
            for name, i in zip(names, chosen, strict=True)]  # fmt: skip
    means = [f"{value.mean():.2f}" for value in (bound, evidence, bound - evidence, kl)]
    rows.append([f"average of {len(test)} digits", *means])
    head = ["digit", "−ELBO", "−log2 p(x)", "difference", "KL(q(z &#124; x) &#124;&#124; p(z &#124; x))"]
    figure = contours(model, test[chosen], true[chosen], axis, kl[chosen])
    write(
        "posterior",
        "Bits, the six digits of the figure in its order:\n\n" + table(head, rows),
        {"posterior": figure},
        mode,
        TOLERANCE,
    )


if __name__ == "__main__":
    main(arguments())
