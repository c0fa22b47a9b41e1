"""The measurements of the paper that bitsback began with, done again with its codecs.

James Townsend, Tom Bird & David Barber, "Practical lossless compression with latent variables using bits back coding",
ICLR 2019, arXiv 1901.04866. Two networks are trained on MNIST, code its test set with bits back on one stack, image
after image, and take it back. Every message here is decoded and compared, and must leave the stack as it was.
"""

from __future__ import annotations

import bz2
import gzip
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.data import mnist, peers
from bitsback.errors import BitsBackError, CodecError, EmptyStackError
from bitsback.kinds import chain
from bitsback.lab.vae import EDGE, PIXELS, SPECS, FloatVAE, Images, Spec
from bitsback.report.machine import machine

PACKAGES = ("bitsback", "numpy", "llvmlite", "torch", "pillow")

Told = Callable[[str], None]
"""Is told what is going on, a line at a time."""

# From the paper's table of compression rates, bits a pixel
STATED = {
    "binarised": {"ELBO": 0.19, "BB-ANS": 0.19, "bz2": 0.25, "gzip": 0.33, "PNG": 0.78, "WebP": 0.44},
    "full": {"ELBO": 1.39, "BB-ANS": 1.41, "bz2": 1.42, "gzip": 1.64, "PNG": 2.79, "WebP": 2.10},
}


@dataclass(frozen=True)
class Extent:
    """How much of everything is done."""

    epochs: dict[str, int]
    train: int = 60_000
    test: int = 10_000
    window: int = 2_000
    """Images in the moving average of the rate."""
    swept: dict[str, int] = field(default_factory=lambda: {"binarised": 4_000, "full": 1_000})
    """Images that the sweeps code again and again."""
    bits: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8, 10, 12)
    precisions: tuple[int, ...] = (10, 12, 14, 16, 18, 20, 24)
    sets: tuple[tuple[int, int], ...] = ((1, 40), (2, 20), (5, 10), (10, 10), (100, 2), (1_000, 1))
    """Sizes of small sets, and how many of each size."""


EPOCHS = {"binarised": 40, "full": 30}
QUICK = Extent({"binarised": 2, "full": 1}, 1_000, 60, 20, {"binarised": 20, "full": 20}, (2, 6, 12), (10, 16),
             ((1, 3), (2, 2), (10, 1)))  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One setting of a sweep: its value, the rate in bits a pixel, and how much that is above -ELBO, as a ratio."""

    value: int
    rate: float
    over: float


@dataclass(frozen=True)
class Start:
    """Sets of ``images`` images: bits a pixel by -ELBO, with random initial bits counted, with bitsback's start."""

    images: int
    sets: int
    elbo: float
    random: float
    own: float


@dataclass(frozen=True)
class Measured:
    """What came out for one of the networks; rates in bits a pixel of the test set.

    Attributes:
        elbo: -ELBO. rate: growth of the message. whole: all of the message, its initial bits included.
        initial: random bits that the message begins with. seconds: of training, encoding and decoding.
        peers: by the codec's name; misread: see :func:`misread`. running: the moving average after each so many images.
        latents, pixels: sweeps of the bits of a latent, and of the probabilities of pixels. starts: small sets.
    """

    name: str
    images: int
    training: dict[str, Any]
    elbo: float
    rate: float
    whole: float
    initial: int
    seconds: dict[str, float]
    peers: dict[str, float]
    misread: dict[str, float]
    running: list[tuple[int, float]]
    swept: int
    latents: list[Point]
    pixels: list[Point]
    starts: list[Start]


def prepared(spec: Spec, levels: NDArray[np.uint8]) -> Images:
    """Test images for a network: as they are, or binarised once at random, 1 with probability x / 255."""
    return levels if spec.levels == 256 else mnist.binarised(levels)


def reproduce(
    data: Path, folder: Path, extent: Extent, seed: int = 0, told: Told = lambda line: None
) -> list[Measured]:
    """Train both networks, or take their weights from ``folder`` if they are there, and measure.

    Raises:
        ImageError: the data set is not in ``data``. BitsBackError: torch is needed and not installed; or a message
            was not decoded to the images that went in.
    """
    images = mnist.load(data, mnist.TRAIN)[: extent.train]
    test = mnist.load(data, mnist.TEST)[: extent.test]
    trained = [weights(spec, images, folder, extent.epochs[spec.name], seed, told) for spec in SPECS]
    return [measure(vae, card, prepared(vae.spec, test), extent, seed, told) for vae, card in trained]


def weights(
    spec: Spec, images: NDArray[np.uint8], folder: Path, epochs: int, seed: int, told: Told
) -> tuple[FloatVAE, dict[str, Any]]:
    """A network and how it was trained: from ``folder``, or else trained now and written there."""
    path, side = folder / f"{spec.name}.npz", folder / f"{spec.name}.json"
    wanted = {"epochs": epochs, "seed": seed, "images": len(images), "data": xxhash.xxh3_64_hexdigest(images.tobytes())}
    if path.exists() and side.exists():
        card = json.loads(side.read_bytes())
        if all(card.get(key) == value for key, value in wanted.items()):
            told(f"{spec.name}: trained before, {path}")
            return FloatVAE.load(spec, path), card
    try:
        import torch

        from bitsback.lab.paper_training import Epoch, train
    except ModuleNotFoundError as error:
        raise BitsBackError(f"training needs {error.name}: pip install 'bitsback[train]'") from None

    def epoch(one: Epoch) -> None:
        told(f"{spec.name}: epoch {one.number} of {epochs}, {one.bits:.4f} bits a pixel, {one.seconds:.0f} s")

    vae, history = train(spec, images.reshape(-1, PIXELS), epochs, seed, epoch)
    card = {**wanted, "torch": torch.__version__, "history": [asdict(one) for one in history]}
    from bitsback.archive import atomic

    folder.mkdir(parents=True, exist_ok=True)
    with atomic.write(path, overwrite=True) as file:
        vae.save(file)
    with atomic.write(side, overwrite=True) as file:
        file.write(json.dumps(card, indent=1).encode() + b"\n")
    return vae, card


def measure(vae: FloatVAE, card: dict[str, Any], images: Images, extent: Extent, seed: int, told: Told) -> Measured:
    """All measurements of one network."""
    name, count, dims = vae.spec.name, len(images), images.size
    shuffled = images[np.random.default_rng(seed).permutation(count)]
    told(f"{name}: -ELBO of {count:,} images")
    elbo = vae.elbo_bits(shuffled, seed, draws=2)
    told(f"{name}: coding and decoding them")
    message = code(vae, shuffled, seed)
    step = max(1, extent.window // 100)
    window = min(extent.window, count)
    sums = np.concatenate([[0.0], np.cumsum(message.bits)])
    running = [(k, float(sums[k] - sums[k - window]) / window / PIXELS) for k in range(window, count + 1, step)]
    part, costs = shuffled[: extent.swept[name]], elbo[: extent.swept[name]]

    def point(value: int, other: FloatVAE) -> Point:
        told(f"{name}: sweeps, {other.bits} bits a latent, probabilities of {other.precision} bits")
        found = code(other, part, seed).bits.sum()
        return Point(value, found / part.size, found / costs.sum() - 1)

    latents = [point(bits, vae.resolved(bits=bits)) for bits in extent.bits]
    pixels = [point(precision, vae.resolved(precision=precision)) for precision in extent.precisions]
    told(f"{name}: small sets")
    starts = [start(vae, shuffled, elbo, size, sets, seed) for size, sets in extent.sets if size * sets <= count]
    told(f"{name}: other codecs")
    return Measured(
        name=name,
        images=count,
        training=card,
        elbo=float(elbo.sum()) / dims,
        rate=float(message.bits.sum()) / dims,
        whole=8 * message.bytes / dims,
        initial=message.initial,
        seconds={
            "training": card["history"][-1]["seconds"],
            "encoding": round(message.encode, 2),
            "decoding": round(message.decode, 2),
        },
        peers=others(images),
        misread=misread(images) if vae.spec.levels == 2 else {},
        running=running,
        swept=len(part),
        latents=latents,
        pixels=pixels,
        starts=starts,
    )


@dataclass(frozen=True)
class Message:
    """What a chain of images came to: the bits that each added, the bytes of all, the initial bits, the seconds."""

    bits: NDArray[np.float64]
    bytes: int
    initial: int
    encode: float
    decode: float


def code(vae: FloatVAE, images: Images, seed: int) -> Message:
    """Code images one by one on one stack, which begins with as few random bits as the first one can do with.

    Raises:
        BitsBackError: they do not come back.
    """
    codec = vae.codec(1)
    stack, first = least(vae, images[:1], seed)
    initial = first.copy()
    before = first.bits()
    added = np.empty(len(images))
    began = time.perf_counter()
    for k in range(len(images)):
        if k:  # the first is on the stack already
            codec.push(stack, images[k : k + 1])
        after = stack.bits()
        added[k], before = after - before, after
    encode = time.perf_counter() - began
    data = stack.to_bytes()
    began = time.perf_counter()
    stack = Stack.from_bytes(data)
    for k in reversed(range(len(images))):
        if not np.array_equal(codec.pop(stack), images[k : k + 1]):
            raise BitsBackError(f"{vae.spec.name}: image {k} was not decoded as it was")
    if stack != initial:
        raise BitsBackError(f"{vae.spec.name}: the initial bits did not come back")
    return Message(added, len(data), 32 * len(initial), encode, time.perf_counter() - began)


def least(vae: FloatVAE, image: Images, seed: int) -> tuple[Stack, Stack]:
    """A stack with an image on it, and the stack before: with the fewest random words that the image can do with."""
    random = np.random.default_rng(seed).bytes(4 * (2 * vae.spec.latents + 16))
    lowest = np.array([1 << 32], "<u8").tobytes()
    codec = vae.codec(1)
    for words in range(len(random) // 4):
        first = Stack.from_bytes(lowest + random[: 4 * words])
        stack = first.copy()
        try:
            codec.push(stack, image)
        except EmptyStackError:
            continue
        return stack, first
    raise CodecError("an image needs more initial bits than all latents have")


def start(vae: FloatVAE, images: Images, elbo: NDArray[np.float64], size: int, sets: int, seed: int) -> Start:
    """What sets of ``size`` images cost, whole messages: on random initial bits, and as :mod:`.models.chain` starts."""
    random = own = 0
    for k in range(sets):
        part = images[k * size : (k + 1) * size]
        random += code(vae, part, seed + k).bytes
        payload = chain.encode(vae, part)
        if not np.array_equal(chain.decode(vae, payload, size), part):
            raise BitsBackError(f"{vae.spec.name}: a set of {size} images was not decoded as it was")
        own += len(payload)
    dims = size * sets * PIXELS
    return Start(size, sets, float(elbo[: size * sets].sum()) / dims, 8 * random / dims, 8 * own / dims)


def others(images: Images) -> dict[str, float]:
    """Bits a pixel of bz2 and gzip, all images in one stream, and of PNG and WebP, one file an image.

    Two-valued pixels are eight to a byte for the first two, and one bit each in PNG.
    """
    raw = (np.packbits(images) if images.max() <= 1 else images).tobytes()
    sizes: dict[str, int | None] = {"bz2": len(bz2.compress(raw)), "gzip": len(gzip.compress(raw, mtime=0))}
    sizes |= peers.file_sizes(list(images), ["PNG", "WebP"])
    return {name: 8 * size / images.size for name, size in sizes.items() if size is not None}


def misread(images: Images) -> dict[str, float]:
    """PNG and WebP of binarised images as Pillow of the paper's time took them from an array of booleans.

    Pillow 5.1 (its issue 3109) took a row to begin as many *bytes* further on as it has bits, divided by eight: the
    image then shows little more than the empty rows at the top of a digit.
    """
    stride = (EDGE + 7) // 8
    place = stride * np.arange(EDGE)[:, None] + np.arange(EDGE)
    wrong = images.reshape(len(images), PIXELS)[:, place][..., None]
    return {
        name: 8 * (size or 0) / images.size for name, size in peers.file_sizes(list(wrong), ["PNG", "WebP"]).items()
    }


def results(found: Sequence[Measured], extent: Extent, seed: int) -> dict[str, Any]:
    """Everything measured, for JSON."""
    return {
        "about": machine(PACKAGES),
        "extent": asdict(extent),
        "seed": seed,
        "stated": STATED,
        "measured": [asdict(one) for one in found],
    }
