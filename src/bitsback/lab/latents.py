"""What the latents of a model do: how many bits each carries, what an image keeps when only they are kept.

>>> from bitsback.models import Model
>>> model = Model.load("digits-binary")
>>> images = model.draw(3)
>>> distributions(model).information(images).shape, again(model, images, 2).shape
((3, 8), (2, 3, 28, 28, 1))
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import MAX_PRECISION
from bitsback.errors import CodecError
from bitsback.kinds.base import Images, WithLatents
from bitsback.kinds.noise import noise
from bitsback.models import Model

BATCH = 64
"""Images that are worked on at once."""


def distributions(model: Model) -> WithLatents:
    """Prior, likelihood and posterior of a model with latents.

    Raises:
        CodecError: it has none, as most that ship.
    """
    trained = model.trained
    if not isinstance(trained, WithLatents):
        raise CodecError(f"the model {model.name} has no latents")
    return trained


def modes(model: Model, images: Images) -> NDArray[np.uint16]:
    """The bucket that each posterior's mean is in, uint16 (n, latents)."""
    parts = [distributions(model).posterior(images[k : k + BATCH]).modes() for k in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def again(model: Model, images: Images, times: int, seed: int = 0) -> NDArray[np.uint8]:
    """Reconstructions: images drawn from p(x | z), each z drawn from q(z | x): uint8 (times, n, ...).

    Both are drawn the way that all is drawn here, by popping them from a stack of random bits. What such draws of one
    image share is what its latents hold; where they differ, the pixels would have to say more.
    """
    rng = np.random.default_rng(seed)
    vae = distributions(model)
    found = np.empty((times, *images.shape), np.uint8)
    for number in range(times):
        for k in range(0, len(images), BATCH):
            part = images[k : k + BATCH]
            z = vae.posterior(part).pop(noise(rng, MAX_PRECISION * len(part) * vae.latents))
            found[number, k : k + BATCH] = vae.likelihood(z).pop(noise(rng, MAX_PRECISION * part.size))
    return found


def traversal(model: Model, image: Images, latent: int, buckets: Sequence[int], seed: int = 0) -> NDArray[np.uint8]:
    """Images drawn from p(x | z) where z is that of ``image`` (1, ...) but for one latent: uint8 (len(buckets), ...).

    The pixels of all are popped from the same random bits, so that they differ by what that latent does.
    """
    base = modes(model, image)
    found = []
    for bucket in buckets:
        z = base.copy()
        z[0, latent] = bucket
        random = noise(np.random.default_rng(seed), MAX_PRECISION * image.size)
        found.append(distributions(model).likelihood(z).pop(random)[0])
    return np.stack(found)


def quantiles(model: Model, count: int) -> list[int]:
    """Buckets of a latent that have equal shares of the prior between them, in rising order."""
    buckets = 1 << distributions(model).latent_bits
    return [int((k + 0.5) / count * buckets) for k in range(count)]
