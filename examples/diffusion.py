"""A diffusion model as a chain of latents, coded by bits back layer by layer: more steps, fewer bits.

    python examples/diffusion.py            (--quick: fewer data)

Noise is added step by step, z_t = sqrt(1 - b) z_(t-1) + sqrt(b) noise, until nothing but noise is left; the model goes
back, each step a Gaussian with *independent* components. The data here are samples of a Gaussian whose components
depend on each other (a random walk that is drawn to 0), so that the best such step is known in closed form, no network
needed, and the entropy, too. One large step cannot say what depends on what; many small ones can. What is left at the
end is the price of ever more layers: grids of means and widths, and bits that are not clean. (Jascha Sohl-Dickstein,
Eric Weiss, Niru Maheswaranathan & Surya Ganguli, "Deep unsupervised learning using nonequilibrium thermodynamics",
arXiv 1503.03585; coded layer by layer as Bit-Swap does it, arXiv 1905.06845.)
"""

import argparse

import numpy as np
from chain import code

from bitsback.codecs import Gaussian, PosteriorBuckets, Uniform, bit_swap

SIZE = 12  # numbers of a datum
BITS = 12  # of a latent
UNIT = 20.0  # levels in one standard deviation of the data

COVARIANCE = 0.9 ** np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))


def draw(count, seed):
    """Integers around 128, (count, SIZE): the data in levels."""
    z = np.random.default_rng(seed).multivariate_normal(np.zeros(SIZE), COVARIANCE, count)
    return np.clip(np.rint(128 + UNIT * z), 0, 255).astype(np.uint8)


def entropy(x):
    """-log2 of the density of the data in levels: about what they cost at best."""
    z = (x - 128.0) / UNIT
    quadratic = np.einsum("ni,ij,nj", z, np.linalg.inv(COVARIANCE), z)
    log_det = np.linalg.slogdet(2 * np.pi * UNIT**2 * COVARIANCE)[1]
    return (quadratic + len(x) * log_det) / 2 / np.log(2)


# --- the codec
def codec(kept):
    """Of a datum, uint8 (SIZE,). ``kept``: of the signal's variance, after each step; the last is almost 0."""
    centres = quantiles((np.arange(1 << BITS) + 0.5) / (1 << BITS))
    values = [lambda x: (x - 128.0) / UNIT] + [lambda z: centres[z]] * len(kept)
    layers = []
    for t, signal in enumerate(kept):
        before = kept[t - 1] if t else 1.0
        factor = np.sqrt(signal / before)
        # p(below | z): the regression of z_(t-1) on z_t, exact, but for what its errors have to do with each other
        below = before * COVARIANCE + (1 - before) * np.eye(SIZE)
        here = signal * COVARIANCE + (1 - signal) * np.eye(SIZE)
        gain = factor * below @ np.linalg.inv(here)
        width = np.sqrt(np.diag(below - factor * gain @ below))

        def likelihood(z, t=t, gain=gain, width=width):
            mean = gain @ centres[z]
            if t:
                return PosteriorBuckets.from_floats(mean, width, BITS)
            return Gaussian.from_floats(128 + UNIT * mean, UNIT * width)

        def posterior(x, t=t, factor=factor):
            return PosteriorBuckets.from_floats(factor * values[t](x), np.full(SIZE, np.sqrt(1 - factor**2)), BITS)

        layers.append((likelihood, posterior))
    return bit_swap(Uniform(BITS, (SIZE,)), *layers)


# ---


def quantiles(p):
    """Of N(0, 1), by bisection: NumPy has none."""
    z = np.linspace(-6, 6, 200_001)
    density = np.exp(-(z**2) / 2)
    return np.interp(p, np.cumsum(density) / density.sum(), z)


def main(quick):
    x = draw(20 if quick else 200, seed=0)
    print(f"entropy {entropy(x) / x.size:.4f} bits a number")
    for steps in (1, 4) if quick else (1, 2, 4, 8, 16, 32):
        kept = 0.5 ** (np.arange(1, steps + 1) * 8 / steps)  # 1/256 in the end
        print(f"{steps} steps, one environment only")
        code(codec(kept), x, entropy(x))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
