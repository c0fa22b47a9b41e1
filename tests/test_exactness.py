"""The promise: the same bytes and the same pixels, whatever computes them.

Other processors are the business of ``tests/portability``.
"""

import itertools
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitsback.ans import Stack
from bitsback.data import mnist
from bitsback.models import Model
from helpers import DATA, needs_kodak, needs_mnist

ENGINES = ("int8", "float32", "reference")
THREADS = (1, 2)
BATCHES = (4096, 7, 1)
COUNT = 100

PLAIN = str(Path(__file__).parents[1] / "benchmarks" / "plain-vae-8-bit.bbm")


def drawn(model: Model) -> np.ndarray:
    """COUNT images that the model finds likely, by popping random bits through it."""
    words = np.random.default_rng(2026).integers(0, 1 << 32, 100_000, np.uint32)
    stack = Stack.from_bytes(np.array([1 << 33], "<u8").tobytes() + words.astype("<u4").tobytes())
    z = model.trained.prior(COUNT).pop(stack)
    return model.trained.likelihood(z).pop(stack)


def handwritten(model: Model) -> np.ndarray:
    """The first COUNT test digits, in the model's levels."""
    images = mnist.load(DATA / "mnist", mnist.TEST)[:COUNT]
    return mnist.binarised(images) if model.levels == 2 else images


@cache
def coded(name: str, source: str) -> tuple[np.ndarray, bytes]:
    model = Model.load(name, engines=["reference"])
    images = handwritten(model) if source == "mnist" else drawn(model)
    return images, model.encode(images)


@pytest.mark.parametrize("source", ["drawn", pytest.param("mnist", marks=[needs_mnist, pytest.mark.data])])
@pytest.mark.parametrize("name", ["digits-binary", PLAIN], ids=["binary", "8-bit"])
@pytest.mark.parametrize(("engine", "threads", "batch"), [*itertools.product(ENGINES, THREADS, BATCHES)])
def test_every_way_of_computing_gives_the_same(name: str, source: str, engine: str, threads: int, batch: int) -> None:
    images, payload = coded(name, source)
    if engine == "reference":
        if threads > 1:
            pytest.skip("the reference has no threads")
        if batch == 1:
            images, payload = images[:60], Model.load(name).encode(images[:60])  # it is slow
    model = Model.load(name, engines=[engine], threads=threads, batch=batch)
    assert model.encode(images) == payload
    np.testing.assert_array_equal(model.decode(payload, len(images)), images)


@pytest.mark.parametrize("name", ["photos", "photos-fast", "photos-grey", "thumbnails", "thumbnails-fast", "digits"])
def test_photos_do_not_depend_on_threads_or_company(name: str) -> None:
    """The same bytes with one thread and two, from any memory layout; the same pixels from either."""
    rng = np.random.default_rng(3)
    model = Model.load(name)
    channels = model.shape[2]
    y, x = np.mgrid[:1030, :60]
    image = (100 + 60 * np.sin(x / 9 + y / 13))[..., None] + rng.normal(0, 4, (1030, 60, channels))
    images = image.clip(0, 255).astype(np.uint8)[None]
    payload = model.encode(images)
    for threads in THREADS:
        assert model.encode(np.asfortranarray(images), threads=threads) == payload
        decoded = model.decode(payload, 1, (1030, 60, channels), threads=threads)
        np.testing.assert_array_equal(decoded, images)


@needs_kodak
@pytest.mark.data
@pytest.mark.parametrize("name", ["photos", "photos-fast", "thumbnails"])
def test_a_photo_survives(name: str) -> None:
    images = np.asarray(Image.open(DATA / "kodak" / "kodim23.png"))[None, :200, :300]
    model = Model.load(name)
    np.testing.assert_array_equal(model.decode(model.encode(images), 1, images.shape[1:]), images)
