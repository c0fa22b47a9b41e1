"""Networks of the paper with random weights: they compress nothing, but everything runs."""

import numpy as np

from bitsback.lab.vae import FULL, FloatVAE, Spec


def random_vae(spec: Spec = FULL, seed: int = 0) -> FloatVAE:
    rng = np.random.default_rng(seed)
    return FloatVAE(spec, {k: rng.normal(0, 0.03, s).astype(np.float32) for k, s in spec.shapes().items()})


def images(spec: Spec, count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, spec.levels, (count, 28, 28, 1), np.uint8)
