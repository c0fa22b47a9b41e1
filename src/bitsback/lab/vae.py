"""The paper's two variational autoencoders as codecs, in floating point and NumPy.

One hidden layer each way, rectified linear units, a standard normal prior, a Gaussian posterior with a diagonal
covariance; pixels are Bernoulli in binarised images and beta-binomial in those of 8 bits.

A code like this is tied to one environment: its probabilities come from floats, which must come out the same to the
last bit where they are decoded. (Models that ship are made of integers instead, see :mod:`bitsback.kinds.vae`.) Here
encoder and decoder are one process, which calls the same functions on arrays of the same shapes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import MAX_PRECISION
from bitsback.codecs import Bernoulli, BitsBack, Family, PosteriorBuckets, TwoPart, Uniform, bucket_centres
from bitsback.errors import FormatError
from bitsback.lab.beta_binomial import LOG_LIMIT, Rows

Floats = NDArray[np.float32]
Images = NDArray[np.uint8]
"""(n, 28, 28, 1), samples in 0..levels - 1."""

EDGE = 28
PIXELS = EDGE * EDGE


@dataclass(frozen=True)
class Spec:
    """A network's name and sizes. ``levels`` is 2 or 256."""

    name: str
    levels: int
    hidden: int
    latents: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays of weights, by name; a layer is ``x @ weight + bias``."""
        out = PIXELS if self.levels == 2 else 2 * PIXELS
        layers = [
            ("encoder.0", PIXELS, self.hidden),
            ("encoder.1", self.hidden, 2 * self.latents),
            ("decoder.0", self.latents, self.hidden),
            ("decoder.1", self.hidden, out),
        ]
        shapes: dict[str, tuple[int, ...]] = {}
        for name, given, made in layers:
            shapes |= {f"{name}.weight": (given, made), f"{name}.bias": (made,)}
        return shapes


BINARISED = Spec("binarised", levels=2, hidden=100, latents=40)
FULL = Spec("full", levels=256, hidden=200, latents=50)
SPECS = (BINARISED, FULL)


class FloatVAE:
    """A trained network as the distributions of n images.

    Args:
        spec: its sizes.
        weights: float32 arrays, named and shaped as :meth:`Spec.shapes` says.
        bits: of a latent: it is one of ``2**bits`` buckets of equal prior mass.
        precision: the probabilities of a pixel are in units of ``2**-precision``.
    """

    def __init__(self, spec: Spec, weights: Mapping[str, Floats], bits: int = 12, precision: int = 20) -> None:
        self.spec, self.bits, self.precision = spec, bits, precision
        self.weights = weights
        # What bitsback.kinds.chain asks of a model, so that it takes this one as well
        self.shape, self.group, self.latent_bits = (EDGE, EDGE, 1), 64, bits

    def resolved(self, bits: int | None = None, precision: int | None = None) -> FloatVAE:
        """The same network with finer or coarser latents or pixels."""
        return FloatVAE(self.spec, self.weights, bits or self.bits, precision or self.precision)

    def prior(self, n: int, bits: int | None = None) -> Uniform:
        """p(z): buckets of equal mass, so plain bits."""
        return Uniform(bits or self.bits, (n, self.spec.latents))

    def likelihood(self, z: NDArray[Any], bits: int | None = None) -> Family:
        """p(x | z) for buckets (n, latents): the decoder network is given their medians."""
        return self._pixels(bucket_centres(bits or self.bits).astype(np.float32)[z], self.precision)

    def posterior(self, x: Images) -> PosteriorBuckets:
        """q(z | x), moved to the grid of :class:`PosteriorBuckets`."""
        return PosteriorBuckets.from_floats(*self.gaussian(x), self.bits)

    def codec(self, n: int) -> BitsBack[Any, Any]:
        """n images side by side, with bits back."""
        return BitsBack(self.prior(n), self.likelihood, self.posterior)

    def primer(self, bits: int) -> TwoPart[Any, Any]:
        """One image in two parts, without bits back; its latents are the buckets of ``bits`` bits of their means."""

        def best(x: Images) -> NDArray[np.uint16]:
            return PosteriorBuckets.from_floats(*self.gaussian(x), bits).modes()

        return TwoPart(self.prior(1, bits), lambda z: self.likelihood(z, bits), best)

    def gaussian(self, x: Images) -> tuple[Floats, Floats]:
        """Mean and standard deviation of q(z | x), (n, latents) each, in standard deviations of the prior."""
        inputs = x.reshape(len(x), PIXELS).astype(np.float32) / np.float32(self.spec.levels - 1)
        mean, spread = np.split(self._layers("encoder", inputs), 2, axis=-1)
        return mean, _sigmoid(spread - 1)

    def elbo_bits(self, images: Images, seed: int = 0, draws: int = 1) -> NDArray[np.float64]:
        """-ELBO of each image in bits, float64 (n,), of the model as it was trained: with latents that are continuous.

        The KL is in closed form; the pixels' part is the mean over ``draws`` of the latents.
        """
        random = np.random.default_rng(seed)
        costs = np.empty(len(images))
        for k in range(0, len(images), 16):
            x = images[k : k + 16]
            mean, std = self.gaussian(x)
            costs[k : k + 16] = ((mean**2 + std**2 - 1) / 2 - np.log(std)).sum(1) / math.log(2)
            for _ in range(draws):
                z = mean + std * random.standard_normal(std.shape, np.float32)
                costs[k : k + 16] += self._pixels(z, MAX_PRECISION).bits(x).reshape(len(x), -1).sum(1) / draws
        return costs

    def save(self, file: BinaryIO) -> None:
        """Write the weights, as .npz."""
        np.savez(file, **self.weights)  # type: ignore[arg-type]

    @classmethod
    def load(cls, spec: Spec, path: Path) -> FloatVAE:
        """Read weights that :meth:`save` wrote.

        Raises:
            FormatError: the file does not hold this network. OSError.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                weights = {name: np.ascontiguousarray(file[name], np.float32) for name in file.files}
        except OSError:
            raise
        except Exception as error:  # a broken .npz shows itself in many ways
            raise FormatError(f"{path}: not a file of weights: {error}") from None
        if {name: one.shape for name, one in weights.items()} != spec.shapes():
            raise FormatError(f"{path}: not the weights of the network {spec.name}")
        return cls(spec, weights)

    def _pixels(self, z: Floats, precision: int) -> Family:
        out = self._layers("decoder", z)
        shape = (len(z), EDGE, EDGE, 1)
        if self.spec.levels == 2:
            return Bernoulli.from_floats(_sigmoid(out).reshape(shape), precision)
        a, b = np.split(np.exp(np.clip(out, -LOG_LIMIT, LOG_LIMIT)), 2, axis=-1)
        return Rows(a.reshape(shape), b.reshape(shape), precision)

    def _layers(self, side: str, x: Floats) -> Floats:
        w = self.weights
        hidden = np.maximum(x @ w[f"{side}.0.weight"] + w[f"{side}.0.bias"], 0)
        out: Floats = hidden @ w[f"{side}.1.weight"] + w[f"{side}.1.bias"]
        return out


def _sigmoid(x: Floats) -> Floats:
    result: Floats = np.tanh(x / 2).astype(np.float32) / np.float32(2) + np.float32(0.5)
    return result
