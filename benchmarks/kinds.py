"""What each kind of model makes of a set of images, after equal time: with latents and without, in parallel or not.

    python benchmarks/kinds.py [binarised] [8-bit] [drawn] [--seconds 240] [--data FOLDER]

    binarised, 8-bit   MNIST's training set, but for its last digits
    drawn              digits that examples/draw_digits.py draws, of two values

Each candidate of ``bitsback train`` is trained from nothing for as many steps as so many CPU seconds of one thread
allow, and exported; the last 1,000 images, which it has not seen, are coded, decoded and compared. What latents bought
is what the images would take with those of other images.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import measure
from bitsback.data import mnist
from bitsback.training.architecture import candidates, in_phases, on_a_chain
from bitsback.training.entrants import Entrant, Given, entered
from bitsback.training.loop import load, optimise
from bitsback.training.measure import bought
from bitsback.training.regime import Regime

ROOT = Path(__file__).parents[1]
SETS = ("binarised", "8-bit", "drawn")
HELD_OUT = 1000

Images = NDArray[np.uint8]
"""(n, 28, 28, 1)."""


def images_of(name: str, data: Path) -> Images:
    """A set, those that are held out last."""
    if name == "drawn":
        sys.path.append(str(ROOT / "examples"))
        from draw_digits import draw

        rng = np.random.default_rng(0)
        return np.stack([draw(i % 10, rng) > 127 for i in range(21_000)])[..., None].astype(np.uint8)
    x = mnist.load(data / "mnist", mnist.TRAIN)
    return mnist.binarised(x) if name == "binarised" else x


def entrants(images: Images) -> list[Entrant]:
    """What ``bitsback train`` would let race, a plain autoencoder besides."""
    levels, shown = 2 if images.max() == 1 else 256, list(images[:200])
    flat = float(np.mean(images[:200, :, 1:] == images[:200, :, :-1]))
    found = [*candidates(1, levels, 28, flat, "medium"), *in_phases(1, levels, shown, "medium")]
    return [entered(one) for one in (*found, *on_a_chain(1, levels, shown, "medium"))]


def trained(entrant: Entrant, given: Given, seconds: float) -> tuple[Any, int]:
    """The model that comes out, and the steps that were done."""
    task = entrant.task(given)
    start = {name: p.detach().clone() for name, p in task.module.named_parameters()}
    endless = replace(entrant.schedule(given, 1), steps=1 << 30, check=1 << 30)
    optimise(task, endless, until=4)  # compiles
    _, each = measure.cpu(lambda: optimise(task, endless, until=12), 1)
    load(task.module, start)
    steps = max(50, int(seconds / (each / 12)))
    run = optimise(task, replace(entrant.schedule(given, steps), check=max(10, steps // 8)))
    return entrant.export(task.module, "candidate"), run.step


def row(entrant: Entrant, given: Given, held_out: Images, seconds: float) -> dict[str, Any]:
    """What is told of a candidate."""
    began = time.process_time()
    model, steps = trained(entrant, given, seconds)
    spent = time.process_time() - began
    payload = model.encode(held_out)
    decoded, out = measure.cpu(lambda: model.decode(payload, len(held_out), held_out.shape[1:]), 2)
    if not np.array_equal(decoded, held_out):
        raise SystemExit(f"{entrant.name}: the images did not come back")
    found: dict[str, Any] = {
        "name": entrant.name,
        "steps": steps,
        "seconds": round(spent),
        "bits_per_dim": 8 * len(payload) / held_out.size,
        "decoded_mb": held_out.size / 1e6 / out,
        "model_bytes": len(model.data),
    }
    if model.has_latents:
        worth = bought(model, list(held_out))
        found |= {"latents": worth.latents, "own": worth.own, "swapped": worth.swapped}
    return found


def _load(images: Images, numbers: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    return list(images[numbers])


def main() -> None:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="SET")
    parser.add_argument("--data", type=Path, default=measure.DATA, help="folder that holds mnist/ (or $BITSBACK_DATA)")
    parser.add_argument("--seconds", type=float, default=240.0, help="CPU seconds for each candidate")
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "kinds.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.sets:
        if name not in SETS:
            parser.error(f"no set {name!r}; there are {', '.join(SETS)}")
        images = images_of(name, arguments.data)
        train, held_out = images[:-HELD_OUT], images[-HELD_OUT:]
        given = Given(partial(_load, train), np.arange(len(train)), list(held_out), 784, Regime(), 1, "cpu")
        rows = []
        for entrant in entrants(images):
            rows.append(row(entrant, given, held_out, arguments.seconds))
            print(json.dumps(rows[-1]), flush=True)
        found = {"seconds": arguments.seconds, "rows": rows, "machine": measure.machine()}
        results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"sets": {}}
        results["sets"][name] = found
        measure.write(arguments.out, results)


if __name__ == "__main__":
    main()
