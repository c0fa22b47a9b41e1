"""Small models and images that the tests share, made here, from seeds."""

import gzip
import itertools
import os
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bitsback.kinds.base import ImageSpec
from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec
from bitsback.kinds.vae.config import LevelSpec, VAEConfig
from bitsback.models import Model
from bitsback.models.file import dump, parse
from bitsback.nets.layers import Conv, Dense, Flatten, NetSpec, Shuffle, Unflatten
from nets.networks import random_network

DATA = Path(os.environ.get("BITSBACK_DATA", Path(__file__).parents[2] / "shared" / "data"))

needs_kodak = pytest.mark.skipif(
    not (DATA / "kodak" / "kodim23.png").is_file(), reason=f"the Kodak photos are not in {DATA} (set BITSBACK_DATA)"
)
needs_mnist = pytest.mark.skipif(
    not (DATA / "mnist" / "t10k-images-idx3-ubyte.gz").is_file(),
    reason=f"the MNIST test set is not in {DATA} (set BITSBACK_DATA)",
)


@cache
def tiny_model_file(
    levels: int = 256, seed: int = 0, latents: int = 6, bits: int = 8, above: tuple[int, ...] = (), channels: int = 1
) -> bytes:
    """A model of 8x12 images with random weights: it compresses nothing, but every code path runs. ``above``: how many
    latents further levels have."""
    components = 2
    parameters = 1 if levels == 2 else 3 * components
    encoder = NetSpec((channels, 8, 12), (Conv(channels, 5, 3, 2), Flatten(), Dense(5 * 4 * 6, 2 * latents)))
    last = Conv(8, 16 * parameters * channels, 3), Shuffle(4)
    decoder = NetSpec((latents,), (Dense(latents, 8 * 2 * 3), Unflatten(8, 2, 3), *last))
    further = []
    for below, count in itertools.pairwise((latents, *above)):
        up, down = ((Dense(a, 5), Dense(5, 2 * b)) for a, b in ((below, count), (count, below)))
        further.append(LevelSpec(count, NetSpec((below,), up), NetSpec((count,), down)))
    config = VAEConfig(
        name=f"tiny-{levels}",
        image=ImageSpec(8, 12, channels, 2 if levels == 2 else 256),
        colour=(*range(1, channels), 0),
        latents=latents,
        latent_bits=bits,
        likelihood=BernoulliSpec() if levels == 2 else MixtureSpec(components),
        encoder=encoder,
        decoder=decoder,
        above=tuple(further),
    )
    networks = {key: random_network(spec, seed + i) for i, (key, spec) in enumerate(config.networks.items())}
    return Model.made(config, {k: t for key, net in networks.items() for k, t in net.tensors(key).items()}).data


def tiny_model(levels: int = 256, above: tuple[int, ...] = (), channels: int = 1, **options: object) -> Model:
    return Model.from_bytes(tiny_model_file(levels, above=above, channels=channels), **options)  # type: ignore[arg-type]


def in_order(images: np.ndarray) -> np.ndarray:
    """Images sorted by their samples, first to last."""
    return images[np.lexsort(images.reshape(len(images), -1).T[::-1])]


def drawn_images(model: Model, n: int, seed: int = 0) -> np.ndarray:
    """Images that a model finds likely: noise on top of strokes, in its shape and levels."""
    rng = np.random.default_rng(seed)
    height, width, channels = model.shape
    images = np.zeros((n, height, width, channels), np.uint8)
    for image in images:
        row, column = rng.integers(0, height), rng.integers(0, width)
        for _ in range(height * 2):
            image[row, column] = 1 if model.levels == 2 else rng.integers(150, 256)
            row = (row + rng.integers(-1, 2)) % height
            column = (column + rng.integers(-1, 2)) % width
    return images


def idx(path: Path, images: np.ndarray) -> None:
    """An IDX file of images, uint8 (n, height, width), as MNIST has them; in gzip if the path ends in .gz."""
    data = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in images.shape) + images.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def with_config(data: bytes, **changes: object) -> bytes:
    """A model file with fields of its configuration replaced, and all that proves it as it was."""
    _, config, tensors = parse(data)
    return dump(msgspec.structs.replace(config, **changes), tensors)


class Reader(HTMLParser):
    """An HTML page. Checks that what is opened is closed, and keeps what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, name: str, attribute: str) -> list[str]:
        return [value for tag, found in self.tags if tag == name and (value := found.get(attribute)) is not None]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))
