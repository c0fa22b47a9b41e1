"""What the latents of a model do: how many bits each carries, what an image keeps when only they are kept.

>>> from bitsback.models import Model
>>> from bitsback.models.inspect import draw
>>> model = Model.load("digits-binary")
>>> images = draw(model, 3)
>>> information(model, images).shape, again(model, images, 2).shape
((3, 40), (2, 3, 28, 28, 1))
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitsback.codecs import PosteriorBuckets
from bitsback.kinds.context.codec import PRECISION
from bitsback.kinds.vae.distributions import Images, Latents
from bitsback.models import Model
from bitsback.models.inspect import noise

BATCH = 64
"""Images that are worked on at once."""


def has_latents(model: Model) -> bool:
    """Whether the model has latents at all: most that ship are context networks alone."""
    return model.config.kind != "context"


def information(model: Model, images: Images) -> NDArray[np.float64]:
    """KL(q(z_i | x) || p(z_i)) of each latent of each image in bits, (n, latents).

    It is what the image says about that latent: the bits that latent i is pushed with, less those that come back, on
    average over the posterior. A latent at 0 is one that the decoder network has learned to ignore.

    Exact, of the integer distributions: a sum over all buckets.
    """
    bits = model.config.latent_bits
    buckets = np.arange(1 << bits, dtype=np.uint16)
    rows = []
    for x in images:
        posterior = model.vae.posterior(x[None])
        delta, rho = (np.repeat(one.reshape(-1, 1), 1 << bits, axis=1) for one in (posterior.delta, posterior.rho))
        cost = PosteriorBuckets(delta, rho, bits).bits(np.broadcast_to(buckets, delta.shape))
        rows.append((np.exp2(-cost) * (bits - cost)).sum(1))
    return np.array(rows).reshape(len(images), model.config.latents)


def modes(model: Model, images: Images) -> Latents:
    """The bucket that each posterior's mean is in, uint16 (n, latents)."""
    parts = [model.vae.posterior(images[k : k + BATCH]).modes() for k in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def again(model: Model, images: Images, times: int, seed: int = 0) -> NDArray[np.uint8]:
    """Reconstructions: images drawn from p(x | z), each z drawn from q(z | x): uint8 (times, n, ...).

    Both are drawn the way that all is drawn here, by popping them from a stack of random bits. What such draws of one
    image share is what its latents hold; where they differ, the pixels would have to say more.
    """
    rng = np.random.default_rng(seed)
    found = np.empty((times, *images.shape), np.uint8)
    for number in range(times):
        for k in range(0, len(images), BATCH):
            part = images[k : k + BATCH]
            z = model.vae.posterior(part).pop(noise(rng, 24 * part.shape[0] * model.config.latents))
            found[number, k : k + BATCH] = model.vae.likelihood(z).pop(noise(rng, PRECISION * part.size))
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
        random = noise(np.random.default_rng(seed), PRECISION * image.size)
        found.append(model.vae.likelihood(z).pop(random)[0])
    return np.stack(found)


def quantiles(model: Model, count: int) -> list[int]:
    """Buckets of a latent that have equal shares of the prior between them, in rising order."""
    buckets = 1 << model.config.latent_bits
    return [int((k + 0.5) / count * buckets) for k in range(count)]
