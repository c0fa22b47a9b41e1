"""Draw a collection to train on: little plots, 64x64 RGB, each one different.

    python examples/draw_plots.py plots --count 12000

Lines, bars or dots between axes with ticks and a title, in colours from a handful of palettes; drawn four times as
large and averaged, so that edges are soft. Nothing but Pillow and NumPy is needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

EDGE, SCALE = 64, 4
PALETTES = (
    ("white", "#222222", ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")),
    ("#fdf6e3", "#586e75", ("#b58900", "#cb4b16", "#268bd2", "#2aa198", "#6c71c4")),
    ("#101820", "#c8d0d8", ("#4cc9f0", "#f72585", "#b5e48c", "#ffd166", "#9d4edd")),
    ("#eaeaf2", "#333344", ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3")),
)


def plot(rng: np.random.Generator) -> Image.Image:
    """One plot."""
    paper, ink, colours = PALETTES[rng.integers(len(PALETTES))]
    size = EDGE * SCALE
    image = Image.new("RGB", (size, size), paper)
    draw = ImageDraw.Draw(image)
    left, right = int(size * rng.uniform(0.1, 0.18)), int(size * rng.uniform(0.9, 0.97))
    top, bottom = int(size * rng.uniform(0.14, 0.22)), int(size * rng.uniform(0.84, 0.92))
    for k in range(rng.integers(3, 7)):
        y = bottom - (bottom - top) * k // 6
        if rng.random() < 0.5:
            draw.line((left, y, right, y), ink, 1)
        draw.line((left - 6, y, left, y), ink, 3)
    chosen = rng.permutation(len(colours))
    match rng.integers(3):
        case 0:
            for c in chosen[: rng.integers(1, 4)]:
                steps = np.cumsum(rng.normal(0, 1, 24))
                steps = (steps - steps.min()) / (np.ptp(steps) + 1e-9)
                x = np.linspace(left, right, 24)
                y = bottom - 8 - steps * (bottom - top - 16) * rng.uniform(0.4, 1)
                draw.line(list(zip(x, y, strict=True)), colours[c], int(rng.integers(4, 9)), "curve")
        case 1:
            count = int(rng.integers(3, 9))
            width = (right - left) / count
            for k, height in enumerate(rng.uniform(0.1, 1, count)):
                x = left + k * width
                y = bottom - height * (bottom - top)
                draw.rectangle((x + width * 0.15, y, x + width * 0.85, bottom), colours[chosen[k % 2]])
        case _:
            for c in chosen[: rng.integers(1, 3)]:
                for x, y in rng.normal((rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7)), 0.12, (rng.integers(8, 30), 2)):
                    x, y = left + x * (right - left), top + y * (bottom - top)
                    draw.ellipse((x - 7, y - 7, x + 7, y + 7), colours[c])
    draw.line((left, top, left, bottom, right, bottom), ink, 4)
    title = "".join(rng.choice(list("abcdefghiklmnoprstuvxyz"), rng.integers(3, 9)))
    draw.text((left, 4), title, ink, ImageFont.load_default(30))
    return image.resize((EDGE, EDGE), Image.Resampling.BOX)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    for number in range(arguments.count):
        image = plot(np.random.default_rng([arguments.seed, number]))
        image.save(arguments.folder / f"{number:05d}.png", optimize=True)


if __name__ == "__main__":
    main()
