"""Draw the sample images: handwritten-looking digits, 28x28, black and white, made by this program and by no hand.

    python examples/draw_digits.py examples/digits

Each digit is a few strokes through control points that are jittered, bent into smooth curves, slanted, and drawn with a
round pen, white on black with the centre of mass in the middle, as in MNIST, and cut at half grey. No image of MNIST
went into it.

Only additions, multiplications, divisions and square roots are done to what the random generator gives, each rounded
as IEEE 754 says: so the same digits come out on every machine.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

COUNT = 200
EDGE = 28

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


def curve(points: np.ndarray, steps: int = 5) -> np.ndarray:
    """A Catmull-Rom spline through ``points`` (n, 2)."""
    if len(points) == 2:
        return points
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = (np.arange(steps + 1) / steps)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(0.5 * (2 * b + t * ((c - a) + t * ((2 * a - 5 * b + 4 * c - d) + t * (3 * b - a - 3 * c + d)))))
    return np.vstack(pieces)


def distances(points: np.ndarray) -> np.ndarray:
    """How far the middle of each pixel is from the nearest point of a line through ``points`` (n, 2): (EDGE, EDGE)."""
    middles = np.arange(EDGE) + 0.5
    x, y = middles[None, None, :], middles[None, :, None]
    (x0, y0), (dx, dy) = (part.T[:, :, None, None] for part in (points[:-1], np.diff(points, axis=0)))
    along = ((x - x0) * dx + (y - y0) * dy) / np.maximum(dx * dx + dy * dy, 1e-12)  # 0 at one end, 1 at the other
    along = along.clip(0, 1)
    x, y = x - x0 - along * dx, y - y0 - along * dy
    return np.sqrt((x * x + y * y).min(0))


def draw(digit: int, rng: np.random.Generator) -> np.ndarray:
    """One digit, uint8 (28, 28), in grey."""
    slant, width, height = rng.normal(0.12, 0.15), rng.uniform(0.75, 1.1), rng.uniform(0.9, 1.05)
    pen = rng.uniform(1.6, 3.0)
    ink = np.zeros((EDGE, EDGE))
    for stroke in STROKES[digit]:
        x, y = curve(np.array(stroke) + rng.normal(0, 0.07, (len(stroke), 2)) - [1.0, 1.5]).T
        points = np.stack([width * x - slant * y, height * y], 1) * 20 / 3 + EDGE / 2
        ink = np.maximum(ink, (pen / 2 + 0.5 - distances(points)).clip(0, 1))  # part of a pixel at the rim
    # Pens saturate: the ink is flat inside and soft at the rim
    pixels = np.minimum(ink * 293, 254).astype(np.uint8)
    places, total = np.arange(EDGE), int(pixels.sum())
    for axis in (0, 1):
        centre = int((pixels.sum(1 - axis) * places).sum()) / total
        pixels = np.roll(pixels, round((EDGE - 1) / 2 - centre), axis)
    return pixels


def main(folder: Path) -> None:
    """Write COUNT digits to ``folder`` as optimised PNG files of 1 bit a pixel."""
    rng = np.random.default_rng(2026)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(COUNT):
        Image.fromarray(draw(i % 10, rng) > 127).save(folder / f"{i:03d}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
