"""Train the digit models that ship with bitsback, ``digits`` (8-bit) and ``digits-binary``, on MNIST.

    python -m bitsback.training.digits digits-binary --data FOLDER --out runs/digits-binary

FOLDER holds ``train-images-idx3-ubyte.gz`` and ``t10k-images-idx3-ubyte.gz``. A run that was stopped goes on from its
last epoch when started again. At the end, ``NAME.bbm`` and its card ``NAME.json``
lie in the output folder; the test set is looked at once, then.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from bitsback import __version__
from bitsback.files import parse
from bitsback.kinds.base import ImageSpec
from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec
from bitsback.kinds.vae.config import VAEConfig
from bitsback.nets.layers import Conv, Dense, Flatten, NetSpec, Shuffle, Unflatten
from bitsback.training.architecture import plain_spec
from bitsback.training.export import export
from bitsback.training.loop import Check, Run, Schedule, optimise
from bitsback.training.tasks import VAETask
from bitsback.training.vae import TrainableVAE

LATENTS = 40
LATENT_BITS = {"digits": 8, "digits-binary": 7}
"""Finer buckets reach further into the tails of the prior, where a coded latent is rare and the decoder unpractised:
on the held-out digits 10 bits cost 0.1 to 0.4 % more than these."""
COMPONENTS = 3
MAPS = 10
"""Channels of the feature map."""
HIDDEN = {"digits": (96, 64), "digits-binary": (96, 64)}
"""Widths of the context network."""
HELD_OUT = 2000


def networks(maps: int) -> tuple[NetSpec, NetSpec]:
    """Encoder and decoder, which gives so many channels of feature map.

    Convolutions on the 7x7 grid of 4x4 blocks, where they are cheap to run.
    """
    encoder = NetSpec(
        (1, 28, 28),
        (Conv(1, 32, 5, 4), Conv(32, 32, 3), Flatten(), Dense(1568, 256), Dense(256, 2 * LATENTS)),
    )
    decoder = NetSpec(
        (LATENTS,),
        (
            Dense(LATENTS, 256),
            Dense(256, 1568),
            Unflatten(32, 7, 7),
            Conv(32, 32, 3),
            Conv(32, 16 * maps, 1, wide=True),
            Shuffle(4),
        ),
    )
    return encoder, decoder


def draw_binary(x: Tensor) -> Tensor:
    """Samples 0 and 1, anew at each call: 1 with probability x / 255."""
    return (torch.rand(x.shape, device=x.device) * 255 < x).to(torch.uint8)


def read_idx(path: Path) -> np.ndarray:
    """Images of an IDX file, uint8 (n, 1, 28, 28)."""
    return parse(path.read_bytes(), path.name).parts[0].transpose(0, 3, 1, 2).copy()


@click.command()
@click.argument("name", type=click.Choice(["digits", "digits-binary"]))
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--epochs", default=40, show_default=True)
@click.option("--batch", default=64, show_default=True)
@click.option("--learning-rate", default=2e-3, show_default=True)
@click.option("--anneal", default=0.3, show_default=True, help="Share of the epochs in which the rate falls.")
@click.option("--free", default=0.04, show_default=True, help="Free bits/dim of latents at first.")
@click.option("--quantise-from", default=0.75, show_default=True, help="Share of the epochs without quantisation.")
@click.option("--init", type=click.Path(exists=True, path_type=Path), help="Checkpoint to take the first weights from.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
def main(
    name: str,
    data: Path,
    out: Path,
    epochs: int,
    batch: int,
    learning_rate: float,
    anneal: float,
    free: float,
    quantise_from: float,
    init: Path | None,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Train one of the digit models and export it."""
    torch.set_num_threads(threads)
    torch.backends.nnpack.set_flags(False)  # its Winograd convolutions are not exact on integers
    binary = name == "digits-binary"
    images = torch.from_numpy(read_idx(data / "train-images-idx3-ubyte.gz"))
    train, held_out = images[:-HELD_OUT], images[-HELD_OUT:]
    epoch = len(train) // batch
    schedule = Schedule(
        epochs * epoch, batch, learning_rate, anneal=anneal, quantise_from=quantise_from, check=epoch, seed=seed
    )
    torch.manual_seed(seed)
    likelihood = BernoulliSpec() if binary else MixtureSpec(COMPONENTS)
    encoder, decoder = networks(MAPS)
    spec = plain_spec(HIDDEN[name], MAPS)
    model = TrainableVAE(encoder, decoder, "bernoulli" if binary else "logistic_mixture", COMPONENTS, spec)
    if init:
        model.load_state_dict(torch.load(init, weights_only=True)["average"])
    out.mkdir(parents=True, exist_ok=True)

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[bits]:.4f} bits/dim"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", bits=float("nan"))
        console.print("epoch  seconds    train  held out  latents   pixels   bits/dim, -ELBO")

        def report(row: Check) -> None:
            latents, pixels = row.parts
            console.print(
                f"{row.step // epoch:5d} {row.seconds:8.1f} {row.train:8.4f} {row.held_out:9.4f} "
                f"{latents:8.4f} {pixels:8.4f}"
            )

        def progress(run: Run, bits: float) -> None:
            bar.update(task, completed=run.step, total=run.schedule.steps, bits=bits)

        prepare = draw_binary if binary else (lambda x: x)
        learning = VAETask(model.to(device), train, held_out, prepare, free, seed=seed, device=device)
        run = optimise(learning, schedule, out / "checkpoint.pt", progress=progress, report=report)

    config = VAEConfig(
        name=name,
        image=ImageSpec(28, 28, 1, 2 if binary else 256),
        latents=LATENTS,
        latent_bits=LATENT_BITS[name],
        likelihood=likelihood,
        encoder=encoder,
        decoder=decoder,
        context=spec,
    )
    exported = export(model.cpu(), config)
    (out / f"{name}.bbm").write_bytes(exported.data)
    test = read_idx(data / "t10k-images-idx3-ubyte.gz").transpose(0, 2, 3, 1)
    if binary:
        test = (np.random.default_rng(0).random(test.shape[:3]) < test[..., 0] / 255)[..., None].astype(np.uint8)
    bits = float(exported.elbo_bits(np.ascontiguousarray(test)).mean()) / 784
    card = {
        "name": name,
        "sha256": exported.id,
        "bytes": len(exported.data),
        "images": "28x28 grey, " + ("samples of two values" if binary else "8 bits"),
        "data": {
            "name": "MNIST (LeCun, Cortes & Burges), training set, the last 2,000 images held out",
            "sha256": hashlib.sha256(images.numpy().tobytes()).hexdigest(),
        },
        "training": {
            **asdict(run.schedule),
            "free": free,
            "init": init and str(init),
            "minutes": round(run.seconds / 60, 1),
            "device": device,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "bitsback": __version__,
            "date": time.strftime("%Y-%m-%d"),
        },
        "macs": {
            "encoder": encoder.macs(),
            "decoder": decoder.macs(),
            "context": 784 * spec.macs(1 if binary else 3 * COMPONENTS),
        },
        "held_out_bits_per_dim": round(run.best_score, 5),
        "test_bits_per_dim": round(bits, 5),
        "log": [
            [row.step // epoch, row.seconds, *(round(v, 5) for v in (row.train, row.held_out, *row.parts))]
            for row in run.log
        ],
    }
    (out / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n")
    console.print(f"{out / name}.bbm: {len(exported.data)} bytes, test set at {bits:.4f} bits/dim")


if __name__ == "__main__":
    main()
