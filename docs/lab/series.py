"""What does an image know of the others? Frames of one scene, guessed from their own pixels and from the last.

python docs/lab/series.py            (--quick: a smaller run, which writes nothing)
"""

from itertools import pairwise
from math import e, log2, pi, sqrt

import matplotlib.pyplot as plt
import numpy as np
from page import WIDTH, arguments, table, write

from bitsback.kinds.adaptive import CODER

OWN = [(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)]
"""Pixels of the same image that a guess may use: all of them stand before it."""

OTHER = [(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)]
"""... and of the image before, of which all is known."""

REACH = 6
"""How far around a pixel the weights are learned."""


def texture(size, rng):
    """Something with structure at several scales, about 40 levels of it."""
    waves = np.fft.fftfreq(size)[:, None] ** 2 + np.fft.fftfreq(size)[None] ** 2
    found = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) / (waves + 1e-3) ** 0.8).real
    return 128 + 40 * (found - found.mean()) / found.std()


def frames(count, size, kind, rng):
    """Grey images (count, size, size): what the camera sees, and noise of its own in each."""
    scene, noise = texture(size, rng), 8 if kind == "much noise" else 2
    y, x = np.mgrid[:size, :size]
    out = []
    for t in range(count):
        seen = texture(size, rng) if kind == "unrelated" else scene
        ball = (x - size * (0.3 + 0.08 * t)) ** 2 + (y - size * 0.5) ** 2 < (size / 7) ** 2
        seen = np.where(ball, 200 + (x - y) / 4, seen) if kind == "a ball" else seen
        out.append(seen + noise * rng.normal(size=seen.shape))
    return np.rint(out).clip(0, 255).astype(np.uint8)


def moved(image, row, column):
    """The image whose pixel (y, x) is the other's (y + row, x + column); beyond the edge is the edge."""
    height, width = image.shape
    return image[np.arange(height).clip(-row, height - 1 - row) + row][
        :, np.arange(width).clip(-column, width - 1 - column) + column
    ]


def causal(values):
    """For each pixel the sum over the window that a decoder knows: the rows above, and this row up to the left."""
    pad = [(REACH + 1, 0), (REACH + 1, REACH)] + [(0, 0)] * (values.ndim - 2)
    total = np.pad(values, pad).cumsum(axis=0).cumsum(axis=1)
    height, width = values.shape[:2]
    span = 2 * REACH + 1

    def box(top, bottom, left, right):
        rows, columns = np.arange(height), np.arange(width)
        corner = lambda r, c: total[np.ix_(rows + r, columns + c)]  # noqa: E731
        return corner(bottom, right) - corner(top, right) - corner(bottom, left) + corner(top, left)

    return box(0, REACH, 0, span) + box(REACH, REACH + 1, 0, REACH)


def bits(image, before=None):
    """What each pixel takes: -log2 of its probability, by least squares and the errors around it."""
    image = image.astype(float)
    taps = [moved(image, *place) for place in OWN]
    if before is not None:
        taps += [moved(before.astype(float), *place) for place in OTHER]
    mean = taps[0]  # guess differences, so that brightness does not matter
    inputs = np.stack([tap - mean for tap in taps[1:]], axis=2)
    wanted = image - mean
    square = causal(inputs[..., :, None] * inputs[..., None, :]) + 4 * np.eye(inputs.shape[2])
    weights = np.linalg.solve(square, causal(inputs * wanted[..., None])[..., None])[..., 0]
    error = wanted - (inputs * weights).sum(axis=2)
    scale = 0.3 + np.mean([abs(moved(error, *place)) for place in OWN], axis=0)

    def below(v):
        return np.where(v < 0, np.exp(v / scale) / 2, 1 - np.exp(-abs(v) / scale) / 2)

    return -np.log2(np.maximum(below(error + 0.5) - below(error - 0.5), 1e-6))


def picture(images):
    """A frame, and where its bits are without and with the one before."""
    alone, with_last = bits(images[-1]), bits(images[-1], images[-2])
    figure, (frame, *maps) = plt.subplots(1, 3, figsize=(WIDTH, 2.6))
    frame.imshow(images[-1], cmap="gray", vmin=0, vmax=255)
    frame.set_title("a frame")
    frame.axis("off")
    for axis, found, words in zip(maps, (alone, with_last), ("alone", "with the last"), strict=True):
        axis.imshow(found, vmin=0, vmax=9)
        axis.set_title(f"{words}: {found.mean():.2f} bits a pixel")
        axis.axis("off")
    return figure


def main(mode):
    quick = mode == "quick"
    count, size = (3, 40) if quick else (5, 96)
    rows, shown = [], None
    for kind, words, noise in (
        ("a ball", "a ball moves before a still scene", 2),
        ("much noise", "the same scene, much noise", 8),
        ("unrelated", "nothing in common", 2),
    ):
        images = frames(count, size, kind, np.random.default_rng(1))
        shown = images if shown is None else shown
        alone = np.mean([bits(image).mean() for image in images[1:]])
        with_last = np.mean([bits(image, last).mean() for last, image in pairwise(images)])
        coded = images[..., None]
        payload = CODER.encode(coded)
        assert np.array_equal(CODER.decode(payload, count, coded.shape[1:]), coded)
        each = sum(len(CODER.encode(image[None])) for image in coded)
        least = log2(noise * sqrt(2 * pi * e))
        cells = (alone, with_last, 8 * each / images.size, 8 * len(payload) / images.size, least)
        rows.append([words, *(f"{cell:.2f}" for cell in cells)])
    head = ["frames", "alone", "with the last", "archive: alone", "together", "noise"]
    text = "Bits a pixel. The noise alone has so many bits (the entropy of a Gaussian): no codec takes fewer."
    write("series", f"{table(head, rows)}\n\n{text}", {"series": picture(shown)}, mode, 0.02)


if __name__ == "__main__":
    main(arguments())
