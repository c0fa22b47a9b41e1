"""Train the shipped models without latents: ``photos``, ``photos-fast``, ``photos-grey``, ``digits``.

    python recipes/context.py photos-start --data train.tar --out runs/photos-start --steps 40000 --learning-rate 2e-3
    python recipes/context.py photos --data train.tar --out runs/photos --init runs/photos-start/photos-start.bbm

The data is what :class:`bitsback.data.collection.Collection` opens. It differs from ``bitsback train`` in that the
architecture is given, and that photos are joined by versions of themselves as other cameras and programs might have
left them. ``photos`` and ``digits`` are grown from ``photos-start`` and ``digits-start``, which do not ship.
A run that was stopped goes on from its last checkpoint when started again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from finish import finish
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bitsback.data.collection import Collection
from bitsback.kinds.context.network import ContextSpec
from bitsback.kinds.likelihoods import MixtureSpec
from bitsback.models import Model
from bitsback.training.architecture import Architecture, network_of, predicted_spec, wide_spec
from bitsback.training.card import card
from bitsback.training.context import TrainableContext
from bitsback.training.export import export_context
from bitsback.training.loop import Check, Schedule, optimise
from bitsback.training.sampling import surveyor
from bitsback.training.tasks import ContextTask, Pools

Images = list[NDArray[np.uint8]]
"""(height, width, channels) each."""


@dataclass(frozen=True)
class Recipe:
    """What a model is: its network, the components of its mixtures, and what it is for."""

    spec: ContextSpec
    components: int
    variants: bool = True
    """Whether the training images are joined by variants of themselves."""
    images: str = "8-bit RGB of any size"
    shuffled: bool = True
    """Whether held-out images are chosen at random; otherwise they are the last ones."""


RECIPES = {
    "photos": Recipe(predicted_spec(3, 14, 10, (96, 64), (6, 4), 4), 3),
    "photos-start": Recipe(predicted_spec(3, 14, 10, (64, 48), (6, 4), 4), 3),
    "photos-fast": Recipe(predicted_spec(3, 6, 4, (32,), None), 2),
    "photos-grey": Recipe(predicted_spec(1, 14, 10, (96, 64), (10, 0)), 3, images="8-bit grey of any size"),
    "digits": Recipe(wide_spec((192, 96)), 5, False, "8-bit grey of any size, made for 28x28", False),
    "digits-start": Recipe(wide_spec((96, 64)), 5, False, "8-bit grey of any size, made for 28x28", False),
}
DATA = {
    "train.tar": "852 photos, one of each of 852 ImageNet classes, halved or more with Lanczos",
    "train.npz": "Tiny ImageNet, 64x64 box-filtered to 32x32, 20,000 images",
    "train-images-idx3-ubyte.gz": "MNIST (LeCun, Cortes & Burges), training set",
}
"""What the files are that the shipped models were trained on."""


# Data -----------------------------------------------------------------------------------------------------------------


def read_images(path: Path, channels: int) -> list[NDArray[np.uint8]]:
    """All images, uint8 (height, width, channels); of three channels, a model for one takes the second, green."""
    collection = Collection.open([path])
    found = [np.asarray(collection.read(i), np.uint8) for i in range(len(collection))]
    kept = [image[..., 1:2] if channels == 1 and image.shape[2] == 3 else image for image in found]
    return [image for image in kept if image.shape[2] == channels]


def variant(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The image as another camera, scanner or program might have left it.

    Resized by 0.9 to 2.2 and cropped to about the size that it had; then perhaps with its colours at half the
    resolution, sharpened, and with noise that grows with the brightness, is mostly common to the channels, and is
    perhaps smoothed, as a scanner smooths the grain of a film.
    """
    picture = Image.fromarray(image)
    factor = rng.uniform(0.9, 2.2)
    size = (max(int(picture.width * factor), 16), max(int(picture.height * factor), 16))
    filters = (1, 3, 3, 4) if factor < 1 else (3, 3, 1, 2)  # of Pillow: 1 Lanczos, 2 bilinear, 3 bicubic, 4 box
    picture = picture.resize(size, Image.Resampling(int(rng.choice(filters))))
    if rng.random() < 0.5:
        y, *chroma = picture.convert("YCbCr").split()
        half = (max(picture.width // 2, 1), max(picture.height // 2, 1))
        soft = [c.resize(half, Image.Resampling.BOX).resize(y.size, Image.Resampling.BICUBIC) for c in chroma]
        picture = Image.merge("YCbCr", (y, *soft)).convert("RGB")
    if rng.random() < 0.5:
        radius, percent = float(rng.uniform(0.6, 1.5)), int(rng.integers(40, 150))
        picture = picture.filter(ImageFilter.UnsharpMask(radius, percent, 0))
    pixels = np.asarray(picture).astype(np.float32)
    height, width = min(pixels.shape[0], image.shape[0]), min(pixels.shape[1], image.shape[1])
    top, left = rng.integers(0, pixels.shape[0] - height + 1), rng.integers(0, pixels.shape[1] - width + 1)
    pixels = pixels[top : top + height, left : left + width]
    if rng.random() < 0.7:
        pixels = pixels + rng.uniform(0.3, 4.0) * _noise(pixels, rng)
    result: NDArray[np.uint8] = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return result


def _noise(pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of a deviation of about 1 in mid-grey, float32 (height, width, 3)."""
    height, width, _ = pixels.shape
    noise = rng.standard_normal((height, width, 1)).astype(np.float32)
    noise = noise + 0.4 * rng.standard_normal((height, width, 3)).astype(np.float32)
    if rng.random() < 0.6:
        k = rng.uniform(0.1, 0.4)
        around = np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, -1, 0) + np.roll(noise, -1, 1)
        noise = (noise + k * around) / np.sqrt(1 + 4 * k * k)
    gain: NDArray[np.float32] = np.sqrt(0.25 + pixels.mean(2, keepdims=True) / 255) * noise
    return gain


def parted(
    recipe: Recipe, images: Images, held_out: int, limit: int, rng: np.random.Generator
) -> tuple[Images, Images]:
    """What to learn from, with the variants if there are any, and what is held out."""
    order = np.random.default_rng(0).permutation(len(images))
    if not recipe.shuffled:
        order = np.roll(np.arange(len(images)), held_out)
    chosen = [images[i] for i in order][: limit or None]
    train, test = chosen[held_out:], chosen[:held_out]
    if recipe.variants:
        train = train + [variant(train[i], rng) for i in rng.permutation(len(train))]
    return train, test


# Training -------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("name", type=click.Choice(sorted(RECIPES)))
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--steps", default=100_000, show_default=True)
@click.option("--minutes", type=float, help="Take as many steps as they allow instead.")
@click.option("--batch", default=4096, show_default=True, help="Pixels.")
@click.option("--learning-rate", default=1.5e-3, show_default=True)
@click.option("--anneal", default=0.4, show_default=True, help="Share of the steps over which the rate falls to 0.")
@click.option("--quantise-from", default=0.75, show_default=True, help="Share of the steps without quantisation.")
@click.option("--held-out", default=40, show_default=True, help="Images.")
@click.option("--init", type=click.Path(exists=True, path_type=Path), help="A smaller model, to grow.")
@click.option("--limit", default=0, help="Use only so many images.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(
    name: str,
    data: Path,
    out: Path,
    steps: int,
    minutes: float | None,
    batch: int,
    learning_rate: float,
    anneal: float,
    quantise_from: float,
    held_out: int,
    init: Path | None,
    limit: int,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Train one of the models and export it."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    recipe = RECIPES[name]
    channels, likelihood = len(recipe.spec.features), MixtureSpec(recipe.components)
    architecture = Architecture(name, recipe.spec, channels, likelihood)
    schedule = Schedule(steps, batch, learning_rate, anneal=anneal, quantise_from=quantise_from, parts=2, seed=seed)
    rng = np.random.default_rng(seed)
    images = read_images(data, 3 if recipe.variants else channels)
    train, test = parted(recipe, images, held_out, limit, rng)
    module = TrainableContext(recipe.spec, channels, likelihood)
    if init is not None:
        module.grow_from(network_of(Model.load(init)))
    module.to(device)
    survey = surveyor(recipe.spec, channels, likelihood, threads, device)

    def ordered(some: Images) -> Images:
        kept = list(architecture.colour) if channels == some[0].shape[2] else [1]
        return [np.ascontiguousarray(image[:, :, kept]) for image in some]

    numbers = np.arange(len(train))
    pools = Pools(lambda some: ordered([train[i] for i in some]), numbers, survey, len(train), steps, seed)
    task = ContextTask(module, pools, survey(ordered(test)), seed)
    click.echo(f"{name}: {architecture.macs} MAC a pixel")

    def report(row: Check) -> None:
        bits = " ".join(f"{bits:.4f}" for bits in row.parts)
        click.echo(f"{row.step:7d} {row.seconds:7.0f} s  train {row.train:.4f}  held out {row.held_out:.4f}  ({bits})")

    out.mkdir(parents=True, exist_ok=True)
    limited = None if minutes is None else 60 * minutes
    run = optimise(task, schedule, out / "checkpoint.pt", limit=limited, threads=threads, report=report)
    model = export_context(module, architecture.config(name))
    used = min(len(images), limit or len(images))
    facts = {"name": DATA.get(data.name, data.name), "images": used, "held_out": held_out}
    facts["variants"] = len(train) + held_out - used
    facts["sha256"] = hashlib.sha256(data.read_bytes()).hexdigest() if data.is_file() else None
    finish(out, model, card(model, run, recipe.images, facts, init=init and init.name, device=device))


if __name__ == "__main__":
    main()
