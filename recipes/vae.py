"""Train the models with latents: ``digits-binary``, which ships, and the two plain ones that the lab teaches with.

    python recipes/vae.py digits-binary-start --data MNIST --out runs/start
    python recipes/vae.py digits-binary --data MNIST --out runs/digits-binary --init runs/start/digits-binary-start.bbm
    python recipes/vae.py plain-vae --out runs/plain-vae

``digits-binary`` learns from MNIST: the folder MNIST holds its files (:mod:`bitsback.data.mnist`). It grows from a
smaller model: of that one's latents those are kept that say something, and its context network sees further and is
wider, so that latents have settled before a network comes that could do without them. ``plain-vae`` and
``plain-vae-8-bit`` have no context network, so their pixels are independent given the latents; they learn from digits
that examples/draw_digits.py draws, in some minutes. A run that was stopped goes on from its last epoch when started
again. At the end NAME.bbm and its card NAME.json lie in the output folder; a test set is looked at once, then.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from finish import finish
from msgspec import structs
from numpy.typing import NDArray
from torch import Tensor

from bitsback.data import mnist
from bitsback.kinds.base import ImageSpec, WithLatents
from bitsback.kinds.context.network import ContextSpec
from bitsback.kinds.likelihoods import BernoulliSpec, LikelihoodSpec, MixtureSpec
from bitsback.kinds.vae.config import VAEConfig
from bitsback.models import Model
from bitsback.nets.layers import NetSpec
from bitsback.training.architecture import plain_spec, vae_networks
from bitsback.training.card import card
from bitsback.training.export import export
from bitsback.training.loop import Check, Schedule, optimise
from bitsback.training.tasks import VAETask
from bitsback.training.vae import TrainableVAE

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples"))

from draw_digits import draw

Images = NDArray[np.uint8]
"""(n, 28, 28, 1)."""

HELD_OUT = 2000

SIZE = (28, 28)


@dataclass(frozen=True)
class Recipe:
    """A model: its networks and how they learn.

    ``free``: free bits/dim of latents at first. ``latent_bits``: finer buckets reach further into the tails of the
    prior, where a coded latent is rare and the decoder unpractised.
    """

    likelihood: LikelihoodSpec
    latents: int
    latent_bits: int
    encoder: NetSpec
    decoder: NetSpec
    context: ContextSpec | None
    drawn: bool
    epochs: int
    free: float = 0.0


def near_spec(hidden: tuple[int, ...], maps: int) -> ContextSpec:
    """As :func:`plain_spec`, of neighbours up to 4 pixels away."""
    spec = plain_spec(hidden, maps)
    near = tuple(one for one in spec.features[0] if max(-one.a.dy, abs(one.a.dx)) <= 4)
    return structs.replace(spec, features=(near,))


def most_used(model: Model, images: Images, count: int) -> list[int]:
    """The latents of a model that say most about images, by number."""
    trained = model.trained
    if not isinstance(trained, WithLatents):
        raise click.UsageError("a start has latents")
    order = np.argsort(-trained.information(images).mean(0), kind="stable")
    return sorted(order[:count].tolist())


RECIPES = {
    "digits-binary-start": Recipe(
        BernoulliSpec(),
        40,
        7,
        *vae_networks(SIZE, 40, 10, 32, 256),
        near_spec((64, 64), 10),
        drawn=False,
        epochs=25,
        free=0.03,
    ),
    "digits-binary": Recipe(
        BernoulliSpec(),
        8,
        6,
        *vae_networks(SIZE, 8, 10, 32, 256),
        plain_spec((192, 96), 10),
        drawn=False,
        epochs=25,
        free=0.012,
    ),
    "plain-vae": Recipe(BernoulliSpec(), 20, 8, *vae_networks(SIZE, 20, 1, 16, 96), None, drawn=True, epochs=20),
    "plain-vae-8-bit": Recipe(MixtureSpec(3), 20, 8, *vae_networks(SIZE, 20, 9, 16, 96), None, drawn=True, epochs=20),
}


def draw_binary(x: Tensor) -> Tensor:
    """Samples 0 and 1, anew at each call: 1 with probability x / 255."""
    return (torch.rand(x.shape, device=x.device) * 255 < x).to(torch.uint8)


def drawn(count: int, seed: int, levels: int) -> Images:
    """Digits of the program's hand, 0 to 9 in turn."""
    rng = np.random.default_rng(seed)
    grey = np.stack([draw(i % 10, rng) for i in range(count)])[..., None]
    return grey if levels == 256 else (grey > 127).astype(np.uint8)


def data_of(recipe: Recipe, folder: Path | None, limit: int) -> tuple[Images, Images, str]:
    """Images to learn from, the last of which are held out; others to test with; and what they are."""
    levels = recipe.likelihood.levels
    if recipe.drawn:
        count = limit or 20_000
        return drawn(count, 100, levels), drawn(max(count // 10, 1), 101, levels), "digits of examples/draw_digits.py"
    if folder is None:
        raise click.UsageError("this model learns from MNIST: --data FOLDER")
    train, test = (mnist.load(folder, name)[: limit or None] for name in (mnist.TRAIN, mnist.TEST))
    return train, mnist.binarised(test) if levels == 2 else test, "MNIST (LeCun, Cortes & Burges), training set"


@click.command()
@click.argument("name", type=click.Choice(list(RECIPES)))
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of MNIST.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--init", type=click.Path(exists=True, path_type=Path), help="A smaller model to grow from.")
@click.option("--keep", default=5, show_default=True, help="So many latents of that, those that say most.")
@click.option("--epochs", type=int, help="Default: the recipe's.")
@click.option("--minutes", type=float, help="Take as many steps as they allow instead.")
@click.option("--batch", default=64, show_default=True)
@click.option("--learning-rate", default=2e-3, show_default=True)
@click.option("--anneal", default=0.3, show_default=True, help="Share of the epochs in which the rate falls.")
@click.option("--quantise-from", default=0.75, show_default=True, help="Share of the epochs without quantisation.")
@click.option("--check", type=int, help="Steps between two checkpoints. Default: an epoch's.")
@click.option("--limit", default=0, help="Learn from so many images.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
def main(
    name: str,
    data: Path | None,
    out: Path,
    init: Path | None,
    keep: int,
    epochs: int | None,
    minutes: float | None,
    batch: int,
    learning_rate: float,
    anneal: float,
    quantise_from: float,
    check: int | None,
    limit: int,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Train one of the models and export it."""
    torch.set_num_threads(threads)
    torch.backends.nnpack.set_flags(False)  # its Winograd convolutions are not exact on integers
    recipe = RECIPES[name]
    images, test, what = data_of(recipe, data, limit)
    tensor = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    held = min(HELD_OUT, len(images) // 10)
    train, held_out = tensor[:-held], tensor[-held:]
    epoch = len(train) // batch
    steps = (epochs or recipe.epochs) * epoch
    schedule = Schedule(
        steps,
        batch,
        learning_rate,
        anneal=anneal,
        quantise_from=quantise_from,
        check=check or epoch,
        seed=seed,
    )
    torch.manual_seed(seed)
    model = TrainableVAE(recipe.encoder, recipe.decoder, recipe.likelihood, recipe.context)
    start = None if init is None else Model.load(init)
    if start is not None and isinstance(start.config, VAEConfig):
        seen = draw_binary(held_out) if recipe.likelihood.levels == 2 and not recipe.drawn else held_out
        kept = most_used(start, np.ascontiguousarray(seen.numpy().transpose(0, 2, 3, 1)), min(keep, recipe.latents))
        model.start_from(start.config, start.tensors, kept)
    # Grey digits are made black and white anew each time; those of the program are so already
    prepare: Callable[[Tensor], Tensor] = lambda x: x  # noqa: E731
    if recipe.likelihood.levels == 2 and not recipe.drawn:
        prepare = draw_binary
    task = VAETask(model.to(device), train, held_out, prepare, recipe.free, seed=seed, device=device)
    out.mkdir(parents=True, exist_ok=True)
    click.echo("  step  seconds    train  held out  latents   pixels   bits/dim, -ELBO")

    def report(row: Check) -> None:
        bits = " ".join(f"{value:8.4f}" for value in (row.train, row.held_out, *row.parts))
        click.echo(f"{row.step:6d} {row.seconds:8.1f} {bits}")

    limited = None if minutes is None else 60 * minutes
    run = optimise(task, schedule, out / "checkpoint.pt", limit=limited, report=report)
    config = VAEConfig(
        name=name,
        image=ImageSpec(28, 28, 1, recipe.likelihood.levels),
        latents=recipe.latents,
        latent_bits=recipe.latent_bits,
        likelihood=recipe.likelihood,
        encoder=recipe.encoder,
        decoder=recipe.decoder,
        context=recipe.context,
    )
    exported = export(model.cpu(), config)
    bits = float(exported.elbo_bits(test).mean()) / 784
    facts = {"name": what, "images": len(images), "held_out": held}
    facts["sha256"] = hashlib.sha256(images.tobytes()).hexdigest()
    origin = None if start is None else start.id
    made = card(exported, run, str(config.image), facts, free=recipe.free, init=origin, device=device)
    finish(out, exported, made | {"test_bits_per_dim": round(bits, 5)})
    click.echo(f"test set at {bits:.4f} bits/dim")


if __name__ == "__main__":
    main()
