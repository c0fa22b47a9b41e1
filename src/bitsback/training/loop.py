"""The training loop: Adam on the negative ELBO, a moving average of the weights, checkpoints, and a log.

An epoch's randomness depends on the seed and the epoch's number only, and a checkpoint holds everything else, so a
run that was killed and resumed gives the model that an unbroken one gives (on the same machine and torch version). A
run may be resumed with a schedule of another length, as when time runs out: with ``anneal`` below 1, the learning rate
has been constant until then in both.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from bitsback.archive import atomic
from bitsback.training.vae import TrainableVAE

Prepare = Callable[[Tensor], Tensor]
"""Maps a batch of stored images to samples to learn from, e.g. by drawing binary ones."""


@dataclass(frozen=True)
class Schedule:
    """How to train; everything that decides the result but the data and the model."""

    epochs: int
    batch: int = 128
    learning_rate: float = 1e-3
    quantise_from: float = 0.7
    """Share of the epochs after which the quantisation enters the loop."""
    warm_up: int = 3
    """Epochs over which the weight of the KL term rises to 1: against posterior collapse (Sønderby et al., 2016)."""
    free: float = 0.0
    """Bits an image dimension that the latents may take at no cost at first; it falls to 0 over the first half of the
    epochs. A context network would otherwise make them useless before they have learnt anything (free bits, Kingma et
    al., 2016)."""
    anneal: float = 1.0
    """Share of the epochs, the last ones, over which the learning rate falls along a cosine; constant before."""
    average: float = 0.999
    """Decay of the moving average of the weights, which is what gets exported."""
    seed: int = 0

    def rate(self, done: float) -> float:
        """The learning rate when a share ``done`` of the training is over."""
        falling = max(0.0, (done - 1 + self.anneal) / self.anneal)
        return self.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * falling)) / 2)

    def latent_cost(self, bits: Tensor, epochs: float) -> Tensor:
        """What latents of so many bits an image dimension cost after so many epochs."""
        if self.free:
            return bits.clamp_min(self.free * max(0.0, 1 - 2 * epochs / self.epochs))
        return bits * min(1.0, (epochs + 1) / (self.warm_up + 1))


@dataclass
class Epoch:
    """One row of the log; bits are per image dimension, on the held-out images with the integer model."""

    epoch: int
    seconds: float
    train: float
    held_out: float
    latents: float
    pixels: float


def fit(
    model: TrainableVAE,
    train: Tensor,
    held_out: Tensor,
    schedule: Schedule,
    checkpoint: Path,
    prepare: Prepare = lambda x: x,
    device: str = "cpu",
    progress: Callable[[int, int, float], None] = lambda done, total, bits: None,
    report: Callable[[Epoch], None] = lambda row: None,
) -> list[Epoch]:
    """Train ``model`` and leave the averaged weights in it.

    Args:
        train, held_out: uint8 (n, channels, height, width).
        checkpoint: file written after each epoch, and resumed from when it is there.
        prepare: applied to each batch, before the objective.
        progress: called with (batches done, batches in all, bits/dim of the last batch).
        report: called with the row of each epoch that ends.

    Returns:
        The log, one row an epoch, those before a resume included.
    """
    model.to(device)
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), schedule.learning_rate, betas=(0.9, 0.99), fused=True)
    log: list[Epoch] = []
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average = state["average"]
        log = [Epoch(**row) for row in state["log"]]
    dims = train[0].numel()
    batches = len(train) // schedule.batch
    total = schedule.epochs * batches
    for epoch in range(len(log), schedule.epochs):
        start = time.monotonic()
        torch.manual_seed(schedule.seed * 1_000_003 + epoch)
        model.quantise(epoch >= schedule.quantise_from * schedule.epochs)
        order = torch.randperm(len(train))
        seen = 0.0
        for i in range(batches):
            step = epoch * batches + i
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step / total)
            x = prepare(train[order[i * schedule.batch : (i + 1) * schedule.batch]].to(device))
            latents, pixels = model.bits(x)
            loss = (schedule.latent_cost(latents / dims, step / batches) + pixels / dims) * math.log(2)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                # A short memory at first, so that the average is not held back by the start
                decay = min(schedule.average, (1 + step) / (10 + step))
                for name, p in model.named_parameters():
                    average[name].lerp_(p, 1 - decay)
            bits = float((latents + pixels).detach()) / dims
            seen += bits
            progress(step + 1, total, bits)
        latent_bits, pixel_bits = evaluate(model, average, held_out, prepare, device)
        row = Epoch(
            epoch + 1,
            time.monotonic() - start,
            seen / batches,
            (latent_bits + pixel_bits) / dims,
            latent_bits / dims,
            pixel_bits / dims,
        )
        log.append(row)
        report(row)
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "average": average,
            "log": [asdict(row) for row in log],
        }
        with atomic.write(checkpoint, overwrite=True) as file:  # a kill leaves the old one or the new one
            torch.save(state, file)
    model.load_state_dict(average)
    return log


@torch.no_grad()
def evaluate(
    model: TrainableVAE, weights: dict[str, Tensor], images: Tensor, prepare: Prepare, device: str
) -> tuple[float, float]:
    """Mean bits an image of latents and pixels, for the integer model with ``weights``; the model is left as it was."""
    kept = {name: p.detach().clone() for name, p in model.named_parameters()}
    quantised = model.quantised
    model.load_state_dict(weights)
    model.quantise(True)
    model.eval()
    sums = torch.zeros(2)
    for i in range(0, len(images), 500):
        batch = prepare(images[i : i + 500].to(device))
        for j, mean in enumerate(model.bits(batch)):
            sums[j] += mean.cpu() * len(batch)
    model.load_state_dict(kept)
    model.quantise(quantised)
    model.train()
    latents, pixels = (sums / len(images)).tolist()
    return latents, pixels
