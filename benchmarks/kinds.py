"""What each kind of model makes of a set of images, after equal time: with latents and without, in parallel or not.

    python benchmarks/kinds.py [SET...] [--seconds 110] [--only KIND...] [--data FOLDER]

    binarised, 8-bit   MNIST's training set, but for its last digits, 28x28
    glyphs             letters of the fonts that matplotlib brings (DejaVu, STIX, Computer Modern), 8-bit grey, 28x28
    strokes            characters of invented alphabets, drawn by twenty unsteady hands each, two levels, 28x28
    thumbnails         Tiny ImageNet, 32x32 RGB
    icons              shapes in some colours with soft edges, drawn, 32x32 RGBA

Each candidate of ``bitsback train`` is trained from nothing for as many steps as so many CPU seconds of one thread
allow, and exported; 1,000 images that it has not seen are coded, decoded and compared. What latents bought is what the
images would take with those of other images.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import measure
from bitsback.data import mnist
from bitsback.training.architecture import candidates, in_phases, on_a_chain
from bitsback.training.entrants import Entrant, Given, entered
from bitsback.training.loop import load, optimise
from bitsback.training.measure import bought
from bitsback.training.regime import Regime

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples"))

from draw_digits import EDGE, curve, distances

HELD_OUT = 1000

Images = NDArray[np.uint8]
"""(n, height, width, channels)."""


# Sets: those that are held out last -----------------------------------------------------------------------------------


def digits(data: Path) -> Images:
    """Grey."""
    return mnist.load(data / "mnist", mnist.TRAIN)


def binarised(data: Path) -> Images:
    """Of two values, by chance."""
    return mnist.binarised(digits(data))


def thumbnails(data: Path) -> Images:
    """In colour."""
    with np.load(data / "thumbnails" / "train.npz") as file:
        images: Images = file["images"]
    return images


def glyphs(data: Path, edge: int = 28) -> Images:
    """Every letter, of some alphabets, that a font has, white on black, in no order."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    letters = [chr(code) for code in (*range(33, 127), *range(161, 384), *range(0x391, 0x3CA), *range(0x410, 0x450))]
    found = []
    for path in sorted(folder.glob("[DSc][eTm]*.ttf")):
        font = ImageFont.truetype(path, 20, layout_engine=ImageFont.Layout.BASIC)
        missing = bytes(font.getmask("\uffff"))
        for letter in letters:
            if bytes(font.getmask(letter)) in (missing, b""):
                continue
            image = Image.new("L", (edge, edge))
            ImageDraw.Draw(image).text((edge // 2, edge // 2), letter, 255, font, "mm")
            found.append(np.asarray(image))
    order = np.random.default_rng(0).permutation(len(found))
    return np.stack(found)[order, :, :, None]


def strokes(data: Path, characters: int = 500, hands: int = 20) -> Images:
    """Characters of one to four strokes; those that are held out are of other characters."""
    rng, found = np.random.default_rng(0), []
    for _ in range(characters):
        character = [rng.uniform(4, 24, (rng.integers(2, 5), 2)) for _ in range(rng.integers(1, 5))]
        for _ in range(hands):
            ink = np.full((EDGE, EDGE), np.inf)
            for points in character:
                ink = np.minimum(ink, distances(curve(points + rng.normal(0, 0.8, points.shape))))
            found.append(ink < rng.uniform(0.8, 1.3))
    return np.stack(found)[..., None].astype(np.uint8)


def icons(data: Path, count: int = 8000, edge: int = 32, fine: int = 4) -> Images:
    """Some shapes in two of some colours each, on nothing."""
    rng, found = np.random.default_rng(0), []
    colours = rng.integers(0, 256, (24, 3))
    for _ in range(count):
        image = Image.new("RGBA", (edge * fine, edge * fine))
        draw = ImageDraw.Draw(image)
        for colour in rng.choice(colours, 2, replace=False):
            for _ in range(rng.integers(1, 4)):
                middle, size = rng.uniform(8, 24, 2) * fine, rng.uniform(3, 12, 2) * fine
                box, fill = (*(middle - size), *(middle + size)), (*map(int, colour), 255)
                match rng.integers(3):
                    case 0:
                        draw.ellipse(box, fill)
                    case 1:
                        draw.rounded_rectangle(box, 3 * fine, fill)
                    case _:
                        draw.regular_polygon((*middle, size[0]), int(rng.integers(3, 7)), rng.uniform(0, 360), fill)
        found.append(np.asarray(image.resize((edge, edge), Image.Resampling.BOX)))
    return np.stack(found)


SETS: dict[str, Callable[[Path], Images]] = {
    "binarised": binarised, "8-bit": digits, "glyphs": glyphs, "strokes": strokes, "thumbnails": thumbnails,
    "icons": icons,
}  # fmt: skip


# Candidates -----------------------------------------------------------------------------------------------------------


def entrants(images: Images) -> list[Entrant]:
    """What ``bitsback train`` would let race, a plain autoencoder besides."""
    levels, shown, (*_, edge, channels) = 2 if images.max() == 1 else 256, list(images[:200]), images.shape
    flat = float(np.mean(images[:200, :, 1:] == images[:200, :, :-1]))
    found = [*candidates(channels, levels, edge, flat, "medium"), *in_phases(channels, levels, shown, "medium")]
    return [entered(one) for one in (*found, *on_a_chain(channels, levels, shown, "medium"))]


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
    parser.add_argument("--seconds", type=float, default=110.0, help="CPU seconds for each candidate")
    parser.add_argument("--only", nargs="*", metavar="KIND", help="of these kinds; other rows stay as they are")
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "kinds.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.sets:
        if name not in SETS:
            parser.error(f"no set {name!r}; there are {', '.join(SETS)}")
        images = SETS[name](arguments.data)
        train, held_out = images[:-HELD_OUT], images[-HELD_OUT:]
        given = Given(
            partial(_load, train), np.arange(len(train)), list(held_out), held_out[0].size, Regime(), 1, "cpu"
        )
        results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"sets": {}}
        before = results["sets"].get(name, {})
        known = {one["name"]: one for one in before["rows"]} if before.get("seconds") == arguments.seconds else {}
        rows = []
        for entrant in entrants(images):
            if arguments.only and entrant.architecture.kind not in arguments.only and entrant.name in known:
                rows.append(known[entrant.name])
                continue
            rows.append(row(entrant, given, held_out, arguments.seconds))
            print(json.dumps(rows[-1]), flush=True)
        results["sets"][name] = {
            "seconds": arguments.seconds,
            "samples": given.samples,
            "rows": rows,
            "machine": measure.machine(),
        }
        measure.write(arguments.out, results)


if __name__ == "__main__":
    main()
