"""How far content moved from one image to the next: scrolled, panned, or cut from one picture at several places."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[Any]

SIDE = 512
"""Of the middle of images that is looked at."""

_PEAKS = 3
_OVERLAP = 0.25
"""Of the area, at least, that is in both."""

_NEARER, _NEAR = 0.7, 1.0
"""A shift must leave so much of the difference, at most; and so much of that of neighbouring pixels."""


def shift(before: Images, image: Images) -> tuple[int, int]:
    """How many rows and columns further down and right the content of an image, (H, W, C), lies in the one before.

    0 and 0 if it does not seem to have moved.

    Peaks of the phase correlation (Kuglin & Hines, 1975) are offered, and what differs least is taken.
    """
    height, width, _ = image.shape
    rows, columns = min(height, SIDE), min(width, SIDE)
    if min(rows, columns) < 8:
        return 0, 0
    top, left = (height - rows) // 2, (width - columns) // 2
    a, b = (one[top : top + rows, left : left + columns].astype(np.int64).sum(axis=2) for one in (before, image))
    spectrum = np.fft.rfft2(a - a.mean()) * np.conj(np.fft.rfft2(b - b.mean()))
    peaks = np.fft.irfft2(spectrum / (np.abs(spectrum) + 1e-9), a.shape)
    offers = [divmod(int(at), columns) for at in np.argsort(peaks, axis=None)[-_PEAKS:]]
    still = _difference(a, b, 0, 0)
    most = min(_NEARER * still, _NEAR * float(np.abs(np.diff(b, axis=1)).mean()))
    found = (0, 0)
    for y, x in sorted(offers):
        down, right = y - rows * (2 * y > rows), x - columns * (2 * x > columns)
        if (rows - abs(down)) * (columns - abs(right)) < _OVERLAP * rows * columns:
            continue
        if (size := _difference(a, b, down, right)) < most:
            most, found = size, (down, right)
    return found


def _difference(a: NDArray[np.int64], b: NDArray[np.int64], down: int, right: int) -> float:
    """Of pixels that are in both, on average."""
    rows, columns = a.shape
    there = a[max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)]
    here = b[max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)]
    return float(np.abs(there - here).mean())


def moving(images: Images) -> bool:
    """Whether images (n, H, W, C) seem to show what moved, as far as three of them tell."""
    numbers = sorted({1, len(images) // 2, len(images) - 1}) if len(images) > 1 else []
    return any(shift(images[number - 1], images[number]) != (0, 0) for number in numbers if number)


def shifts(images: Images) -> list[tuple[int, int]]:
    """How far the content of each image but the first moved from the one before."""
    return [shift(*pair) for pair in pairwise(images)]


__all__ = ["moving", "shift", "shifts"]
