"""A look into a model: where the bits of an image go, and which images it finds likely. For reports, never coded with.

>>> from bitsback.models import Model
>>> model = Model.load("digits-binary")
>>> drawn = draw(model, 2)
>>> drawn.shape, int(drawn.max())
((2, 28, 28, 1), 1)
>>> bits = sample_bits(model, drawn).sum((1, 2, 3)) + latent_bits(model, drawn)
>>> bool(np.allclose(bits, model.elbo_bits(drawn)))
True
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bitsback.codecs import PosteriorBuckets
from bitsback.errors import CodecError
from bitsback.kinds.context import tiles
from bitsback.kinds.context.codec import BLOCK, PRECISION, ContextCodec
from bitsback.kinds.context.network import SKEW
from bitsback.kinds.vae.chain import noise
from bitsback.kinds.vae.distributions import Images, Latents
from bitsback.models.model import Model

BATCH = 64
"""Images with latents that are worked on at once."""


def sample_bits(model: Model, images: Images, seed: int = 0) -> NDArray[np.float64]:
    """The ideal code length of each sample in bits, float64 of the shape of ``images``, (n, height, width, channels).

    Of a model without latents all there is: an image's sum is what :meth:`Model.elbo_bits` says, and images of more
    than 1,024 pixels an edge are taken in tiles, as they are coded. Of one with latents the pixels' part, given
    latents drawn from the posterior (``seed`` chooses them); :func:`latent_bits` has the rest.

    Raises:
        CodecError: the images are not the model's kind.
    """
    _check(model, images)
    bits = np.empty(images.shape, np.float64)
    if model.config.kind == "context":
        colour = list(model.config.colour)
        coded = images[..., colour]
        for piece in tiles.pieces(images.shape, tiles.TILE_LOG2, tiles.GROUP_LOG2):
            part = np.ascontiguousarray(coded[piece])
            found = _codec_bits(ContextCodec(model.context, part.shape, model.levels), part)
            for c, channel in enumerate(colour):
                bits[(*piece, channel)] = found[..., c]
        return bits
    for batch, _, z in _latents(model, images, seed):
        likelihood = model.vae.likelihood(z)
        part = np.ascontiguousarray(images[batch])
        if isinstance(likelihood, ContextCodec):
            bits[batch] = _codec_bits(likelihood, part)
        else:
            bits[batch] = likelihood.bits(part)
    return bits


def latent_bits(model: Model, images: Images, seed: int = 0) -> NDArray[np.float64]:
    """What the latents of each image cost, less the bits that come back, float64 (n,); 0 for a model without latents.

    One draw of the latents, the same as of :func:`sample_bits` with that ``seed``.
    """
    _check(model, images)
    bits = np.zeros(len(images), np.float64)
    if model.config.kind != "context":
        for batch, posterior, z in _latents(model, images, seed):
            bits[batch] = model.vae.prior(len(z)).bits(z).sum(1) - posterior.bits(z).sum(1)
    return bits


def draw(model: Model, count: int, shape: tuple[int, int, int] | None = None, seed: int = 0) -> Images:
    """Images drawn from the model, uint8 (count, height, width, channels).

    Decoding random bits is sampling: an image of b bits comes out of a random stack once in 2^b times. (James Townsend,
    Tom Bird & David Barber, "Practical lossless compression with latent variables using bits back coding", ICLR 2019,
    section 2.)

    Args:
        shape: (height, width, channels) of an image; may be left out where the model's images have one size.
        seed: of the random bits. Images also depend on ``count``.

    Raises:
        CodecError: the model has no such images, or they would be of more than 1,024 pixels an edge, which are coded
            in tiles that know nothing of each other.
    """
    shape = model.shape if shape is None else shape
    if count < 0 or min(shape) < 1 or not all(mine in (0, axis) for mine, axis in zip(model.shape, shape, strict=True)):
        raise CodecError(f"the model {model.name} has images of shape {model.shape}, not {tuple(shape)}")
    if max(shape[:2]) > 1 << tiles.TILE_LOG2:
        raise CodecError(f"images of more than {1 << tiles.TILE_LOG2} pixels an edge cannot be drawn: {tuple(shape)}")
    images = np.zeros((count, *shape), np.uint8)
    rng = np.random.default_rng(seed)
    if model.config.kind != "context":
        latents = model.config.latents * model.config.latent_bits
        for start in range(0, count, BATCH):
            part = images[start : start + BATCH]
            part[...] = model.vae.codec(len(part)).pop(noise(rng, part.size * PRECISION + len(part) * latents))
        return images
    back = [model.config.colour.index(c) for c in range(shape[2])]
    for images_at, rows, columns in tiles.pieces(images.shape, tiles.TILE_LOG2, tiles.GROUP_LOG2):
        part = images[images_at, rows, columns]
        codec = ContextCodec(model.context, part.shape, model.levels)
        part[...] = codec.pop(noise(rng, part.size * PRECISION))[..., back]
    return images


def _latents(model: Model, images: Images, seed: int) -> Iterator[tuple[slice, PosteriorBuckets, Latents]]:
    """For each batch of images: which they are, their posterior, and latents drawn from it as elbo_bits draws them."""
    rng = np.random.default_rng(seed)
    for start in range(0, len(images), BATCH):
        batch = slice(start, start + BATCH)
        posterior = model.vae.posterior(np.ascontiguousarray(images[batch]))
        bits = len(images[batch]) * model.config.latents * posterior.precision
        yield batch, posterior, posterior.pop(noise(rng, bits))


def _codec_bits(codec: ContextCodec, images: Images) -> NDArray[np.float64]:
    """Bits of each sample of images whose channels are in coding order, in their shape."""
    bits = np.empty(images.size, np.float64)
    bits[_positions(images.shape)] = PRECISION - np.log2(codec.intervals(images)[1].astype(np.float64))
    return bits.reshape(images.shape)


def _positions(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Where in an array of ``shape`` the samples lie that are coded first, second, ...; see :mod:`.context`."""
    n, height, width, channels = shape
    channel = np.arange(channels)[:, None]
    parts = []
    for t in range(width + SKEW * (height - 1)):
        y = np.arange(max(0, (t - width + SKEW) // SKEW), min(height - 1, t // SKEW) + 1)
        # By row, then by image; a multiple of BLOCK pixels, with none at the end, so that blocks are rows
        pixels = ((np.arange(n) * height + y[:, None]) * width + (t - SKEW * y[:, None])).reshape(-1)
        padded = np.full(-(-len(pixels) // BLOCK) * BLOCK, -1)
        padded[: len(pixels)] = pixels
        blocks = padded.reshape(-1, 1, BLOCK)
        parts.append(np.where(blocks < 0, -1, blocks * channels + channel).reshape(-1))
    order = np.concatenate(parts)
    return order[order >= 0]


def _check(model: Model, images: Images) -> None:
    fits = images.ndim == 4 and all(m in (0, axis) for m, axis in zip(model.shape, images.shape[1:], strict=True))
    if not fits or images.dtype != np.uint8:
        raise CodecError(f"the model {model.name} takes uint8 (n, *{model.shape}), not {images.dtype} {images.shape}")
    if model.levels == 2 and images.size and images.max() > 1:
        raise CodecError(f"the model {model.name} takes samples 0 and 1")


__all__ = ["draw", "latent_bits", "noise", "sample_bits"]
