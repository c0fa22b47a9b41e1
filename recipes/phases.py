"""Train models in phases: ``thumbnails`` and ``thumbnails-fast``, which ship, and ``digits-in-phases``, to see what
latents buy there.

    python recipes/phases.py thumbnails --data train.npz --out runs/start --device cuda --batch 128 --quantise-from 1
    python recipes/phases.py thumbnails --data train.npz --out runs/thumbnails --init runs/start/thumbnails.bbm

The data is what :class:`bitsback.data.collection.Collection` opens. It differs from ``bitsback train --kind phases`` in
that the architecture is given. A run that was stopped goes on from its last checkpoint when started again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from context import DATA, Images, parted, read_images
from finish import finish
from numpy.typing import NDArray

from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec
from bitsback.kinds.phases.config import PhasesConfig
from bitsback.kinds.phases.network import LatentsSpec, PhasesSpec
from bitsback.models import Model
from bitsback.training.architecture import PhasesArchitecture, latents_spec, phases_spec
from bitsback.training.card import card
from bitsback.training.export import export_phases
from bitsback.training.loop import Check, Schedule, optimise
from bitsback.training.phases import PhasesTask, TrainablePhases, fit_filters


@dataclass(frozen=True)
class Recipe:
    """What a model is: its networks, the components of its mixtures, and what it is for."""

    spec: PhasesSpec
    channels: int
    components: int
    """Of the mixtures; 0 for samples of two levels."""
    images: str
    variants: bool = False
    """Whether the training images are joined by variants of themselves."""
    shuffled: bool = True
    """Whether held-out images are chosen at random; otherwise they are the last ones."""
    latents: LatentsSpec | None = None
    free: float = 0.0
    """Bits/dim that latents may take at no cost at first."""


THUMBNAILS = "8-bit RGB of any size, made for 32 to 96 pixels"
DIGITS = "28x28 grey, samples of two values"

RECIPES = {
    "thumbnails": Recipe(phases_spec(3, 256, 64, 32, (32,), blocks=2, period=8), 3, 3, THUMBNAILS),
    "thumbnails-fast": Recipe(phases_spec(3, 256, 32, 16, period=8), 3, 3, THUMBNAILS),
    "digits-in-phases": Recipe(
        phases_spec(1, 2, 48, 32, (16,), (3,), edges=True, map=16), 1, 0, DIGITS, shuffled=False,
        latents=latents_spec((28, 28, 1), 8, 5, 16, 16, 64), free=0.02,
    ),
}  # fmt: skip


@click.command()
@click.argument("name", type=click.Choice(sorted(RECIPES)))
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--steps", default=8000, show_default=True)
@click.option("--minutes", type=float, help="Take as many steps as they allow instead.")
@click.option("--batch", default=16, show_default=True, help="Images.")
@click.option("--learning-rate", default=1e-2, show_default=True)
@click.option("--anneal", default=0.5, show_default=True, help="Share of the steps over which the rate falls to 0.")
@click.option("--quantise-from", default=0.7, show_default=True, help="Share of the steps without quantisation.")
@click.option("--check", default=250, show_default=True, help="Steps between two checkpoints.")
@click.option("--held-out", default=300, show_default=True, help="Images.")
@click.option("--limit", default=0, help="Use only so many images.")
@click.option("--init", type=click.Path(exists=True, path_type=Path), help="A model of the same layers, to start from.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
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
    check: int,
    held_out: int,
    limit: int,
    init: Path | None,
    seed: int,
    device: str,
) -> None:
    """Train one of the models and export it."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    recipe = RECIPES[name]
    likelihood = MixtureSpec(recipe.components) if recipe.components else BernoulliSpec()
    architecture = PhasesArchitecture(name, recipe.spec, recipe.channels, likelihood, recipe.latents)
    click.echo(f"{name}: {architecture.macs} MAC a pixel")
    schedule = Schedule(
        steps,
        batch,
        learning_rate,
        anneal=anneal,
        quantise_from=quantise_from,
        check=check,
        clip=10.0 if recipe.components else 1.0,
        seed=seed,
    )
    images = read_images(data, recipe.channels)
    train, test = (_ordered(part, architecture) for part in parted(recipe, images, held_out, limit, rng_of(seed)))
    filters = fit_filters(recipe.spec, recipe.channels, train[:2000]) if recipe.components else {}
    module = TrainablePhases(recipe.spec, recipe.channels, likelihood, filters, recipe.latents)
    if init is not None:
        started = Model.load(init)
        if not isinstance(started.config, PhasesConfig) or started.config.phases != recipe.spec:
            raise click.UsageError(f"{init} is no model of the layers of {name}")
        module.start_from(started.config, started.tensors)
    module.to(device)
    if recipe.components:
        task = PhasesTask(module, train, test, seed, free=recipe.free)
    else:
        test = [binarised(image, rng_of(i)) for i, image in enumerate(test)]
        task = PhasesTask(module, train, test, seed, binarised, recipe.free)

    def report(row: Check) -> None:
        bits = " ".join(f"{bits:.4f}" for bits in row.parts)
        click.echo(f"{row.step:7d} {row.seconds:7.0f} s  train {row.train:.4f}  held out {row.held_out:.4f}  ({bits})")

    out.mkdir(parents=True, exist_ok=True)
    seconds = None if minutes is None else 60 * minutes
    run = optimise(task, schedule, out / "checkpoint.pt", limit=seconds, report=report)
    model = export_phases(task.module, architecture.config(name))
    used = min(len(images), limit or len(images))
    facts = {"name": DATA.get(data.name, data.name), "images": used, "held_out": held_out}
    facts["variants"] = len(train) + held_out - used
    facts["sha256"] = hashlib.sha256(data.read_bytes()).hexdigest() if data.is_file() else None
    finish(out, model, card(model, run, recipe.images, facts, init=init and init.name, device=device))


def binarised(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Samples of two values, 1 with the probability that grey ones say."""
    return (rng.random(images.shape) * 255 < images).astype(np.uint8)


def rng_of(seed: int) -> np.random.Generator:
    """Of the variants."""
    return np.random.default_rng(seed)


def _ordered(images: Images, architecture: PhasesArchitecture) -> Images:
    """With channels in coding order."""
    return [np.ascontiguousarray(image[:, :, list(architecture.colour)]) for image in images]


if __name__ == "__main__":
    main()
