"""Draw the sample images: handwritten-looking digits, 28x28, black and white, made by this program and by no hand.

    python examples/draw_digits.py examples/digits

Each digit is a few strokes through control points that are jittered, bent into smooth curves, slanted, drawn with a
round pen at eight times the size, and averaged down, white on black with its centre of mass in the middle, as in
MNIST, and cut at half grey. No image of MNIST went into it.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COUNT = 200
SCALE = 8

# Control points of each stroke, in a box of width 2 and height 3 (x to the right, y down)
STROKES = {
    0: [[(1.0, 0.0), (0.1, 0.7), (0.1, 2.2), (0.9, 3.0), (1.8, 2.3), (1.9, 0.8), (1.0, 0.0)]],
    1: [[(1.1, 0.0), (1.0, 1.5), (0.9, 3.0)]],
    2: [[(0.2, 0.7), (0.9, 0.0), (1.7, 0.6), (1.2, 1.7), (0.2, 2.8)], [(0.2, 2.85), (1.0, 2.75), (1.9, 2.8)]],
    3: [[(0.3, 0.3), (1.1, 0.0), (1.6, 0.6), (0.9, 1.4)], [(0.9, 1.4), (1.8, 1.9), (1.3, 2.9), (0.2, 2.7)]],
    4: [[(0.4, 0.1), (0.2, 1.5), (1.8, 1.5)], [(1.6, 0.1), (1.5, 1.5), (1.4, 3.0)]],
    5: [[(1.7, 0.1), (0.5, 0.1)], [(0.5, 0.1), (0.4, 1.3), (1.5, 1.4), (1.6, 2.6), (0.2, 2.9)]],
    6: [[(1.5, 0.1), (0.5, 1.2), (0.3, 2.5), (1.1, 3.0), (1.7, 2.3), (1.0, 1.7), (0.4, 2.3)]],
    7: [[(0.2, 0.2), (1.0, 0.15), (1.8, 0.2)], [(1.8, 0.2), (1.2, 1.5), (0.8, 3.0)]],
    8: [
        [(1.0, 1.4), (0.3, 0.7), (1.0, 0.0), (1.7, 0.7), (1.0, 1.4)],
        [(1.0, 1.4), (0.2, 2.3), (1.0, 3.0), (1.8, 2.3), (1.0, 1.4)],
    ],
    9: [[(1.6, 0.8), (0.9, 0.1), (0.3, 0.8), (0.9, 1.4), (1.6, 0.8), (1.5, 1.8), (1.2, 3.0)]],
}


def curve(points: np.ndarray, steps: int = 24) -> np.ndarray:
    """A Catmull-Rom spline through ``points`` (n, 2)."""
    if len(points) == 2:
        return points
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0, 1, steps)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack(pieces)


def draw(digit: int, rng: np.random.Generator) -> np.ndarray:
    """One digit, uint8 (28, 28), in grey."""
    size = 28 * SCALE
    slant, width, height = rng.normal(0.12, 0.15), rng.uniform(0.75, 1.1), rng.uniform(0.9, 1.05)
    pen = rng.uniform(1.6, 3.0) * SCALE
    canvas = Image.new("L", (size, size))
    pencil = ImageDraw.Draw(canvas)
    for stroke in STROKES[digit]:
        points = np.array(stroke) + rng.normal(0, 0.07, (len(stroke), 2)) - [1.0, 1.5]
        points = curve(points) @ np.array([[width, 0], [-slant, height]])
        points = points * 20 / 3 * SCALE + size / 2
        pencil.line([tuple(p) for p in points], fill=255, width=round(pen), joint="curve")
        for x, y in (points[0], points[-1]):
            pencil.ellipse([x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2], fill=255)
    pixels = np.asarray(canvas, float).reshape(28, SCALE, 28, SCALE).mean((1, 3))
    rows, columns = np.arange(28)[:, None], np.arange(28)[None]
    for axis, position in ((0, rows), (1, columns)):
        pixels = np.roll(pixels, round(13.5 - float((pixels * position).sum() / pixels.sum())), axis)
    # Pens saturate: the ink is flat inside and soft at the rim
    return np.minimum(pixels * 1.15, 254).astype(np.uint8)


def main(folder: Path) -> None:
    """Write COUNT digits to ``folder`` as optimised PNG files of 1 bit a pixel."""
    rng = np.random.default_rng(2026)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(COUNT):
        Image.fromarray(draw(i % 10, rng) > 127).save(folder / f"{i:03d}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
