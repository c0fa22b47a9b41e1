"""Colours that were YCbCr: pixels of JPEG files, as their decoders compute red, green and blue of them.

Of a pixel's luma Y and chroma Cb and Cr, 0 to 255 each, a decoder computes (ITU-T T.871, in the integers of libjpeg and
of all that is built on it; ``>>`` rounds down), and holds within 0 and 255:

    red    Y + (91881 (Cr - 128) + 32768 >> 16)
    green  Y + (-22554 (Cb - 128) - 46802 (Cr - 128) + 32768 >> 16)
    blue   Y + (116130 (Cb - 128) + 32768 >> 16)

So of four colours three never occur; and chroma is smooth, of which most files have a quarter. Who is shown red, green
and blue sees none of this. Here all is computed back, if every pixel has some Y, Cb and Cr that it comes from.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import helper, kernel

Pixels = NDArray[Any]
"""uint8 (pixels, channels), of which there are three or more; what comes after the third stays as it is."""

_SIDE = 511
"""Differences of two samples."""

_TRIES, _MORE = 1 << 24, 256
"""Chromas that are tried for pixels that are held within bounds: so many for all, and so many more for each pixel."""

_LOOKED, _COLOURED = 1 << 12, 64
"""Pixels that are looked at first, and how many chromas must be among them: fewer may be there by chance."""


class _Tables(NamedTuple):
    red: NDArray[np.int64]
    """(256,): what Cr adds to red, (256, 256): what Cb and Cr do to green, (256,): what Cb does to blue."""
    green: NDArray[np.int64]
    blue: NDArray[np.int64]
    chroma: NDArray[np.int64]
    """(511 * 511,): 256 Cb + Cr by red less green and blue less green; -1 where these do not occur."""


@cache
def _tables() -> _Tables:
    c = np.arange(256) - 128
    red, blue = (91881 * c + 32768) >> 16, (116130 * c + 32768) >> 16
    green = (-22554 * c[:, None] - 46802 * c + 32768) >> 16
    chroma = np.full((_SIDE, _SIDE), -1, np.int64)
    first, second = red - green, blue[:, None] - green
    there = (abs(first) < 256) & (abs(second) < 256)
    chroma[first[there] + 255, second[there] + 255] = np.flatnonzero(there)
    return _Tables(red, green, blue, chroma.reshape(-1))


def to_rgb(pixels: Pixels) -> Pixels:
    """Red, green, blue of Y, Cb, Cr."""
    tables, out = _tables(), pixels.copy()
    y, cb, cr = (pixels[:, c].astype(np.int64) for c in range(3))
    for c, added in enumerate((tables.red[cr], tables.green[cb, cr], tables.blue[cb])):
        out[:, c] = (y + added).clip(0, 255)
    return out


def from_rgb(pixels: Pixels) -> Pixels | None:
    """Y, Cb, Cr that :func:`to_rgb` makes these pixels of; None if there are none for some, as far as was tried."""
    out = pixels.copy()
    solved = _solve(np.ascontiguousarray(pixels), out, _tables(), _TRIES + _MORE * len(pixels))
    return out if solved == len(pixels) else None


def were_ycbcr(images: NDArray[Any]) -> bool:
    """Whether all pixels of images (n, H, W, C) come from YCbCr, and of so many colours that this is no chance."""
    if images.dtype != np.uint8 or images.shape[3] < 3:
        return False
    pixels = images.reshape(-1, images.shape[3])
    some = pixels[:: max(1, len(pixels) // _LOOKED)]
    red, green, blue = (some[:, c].astype(np.int64) for c in range(3))
    whole = ((some[:, :3] > 0) & (some[:, :3] < 255)).all(axis=1)
    chroma = _tables().chroma[((red - green + 255) * _SIDE + blue - green + 255)[whole]]
    if (chroma < 0).any() or len(np.unique(chroma)) < _COLOURED:
        return False
    return all(from_rgb(pixels[at : at + (1 << 16)]) is not None for at in range(0, len(pixels), 1 << 16))


@kernel
def _solve(pixels, out, tables, tries):  # type: ignore[no-untyped-def]
    """Set Y, Cb, Cr of pixels, one after the other; of those held within bounds, with the first chroma that does,
    from that of the pixel before outwards. Return how many have been found."""
    cb, cr = 128, 128
    for i in range(pixels.shape[0]):
        r, g, b = np.int64(pixels[i, 0]), np.int64(pixels[i, 1]), np.int64(pixels[i, 2])
        if min(min(r, g), b) > 0 and max(max(r, g), b) < 255:
            chroma = tables.chroma[(r - g + 255) * _SIDE + b - g + 255]
            y = r - tables.red[chroma & 255]
            if chroma < 0 or y < 0 or y > 255:
                return i
            cb, cr = chroma >> 8, chroma & 255
        else:
            radius, y = 0, np.int64(-1)
            while y < 0:
                if radius == 256 or tries < 0:
                    return i
                tries -= 8 * radius + 1
                y, cb, cr = _around(tables, r, g, b, cb, cr, radius)
                radius += 1
        out[i, 0], out[i, 1], out[i, 2] = y, cb, cr
    return pixels.shape[0]


@helper
def _around(tables, r, g, b, cb, cr, radius):  # type: ignore[no-untyped-def]
    """The first chroma so far away in one direction, and at most so far in the other, that gives a pixel, and its Y: -1
    and the same chroma if there is none."""
    for k in range(-radius, radius + 1):
        for side in range(4):
            far = radius if side & 1 else -radius
            u, v = (cb + far, cr + k) if side < 2 else (cb + k, cr + far)
            if min(u, v) >= 0 and max(u, v) < 256:
                y = _luma(r, g, b, tables.red[v], tables.green[u, v], tables.blue[u])
                if y >= 0:
                    return y, u, v
    return np.int64(-1), cb, cr


@helper
def _luma(r, g, b, red, green, blue):  # type: ignore[no-untyped-def]
    """The Y that gives a pixel with what is added to it, the nearest to what is usual; -1 if there is none."""
    low, high = np.int64(0), np.int64(255)
    for sample, added in ((r, red), (g, green), (b, blue)):
        if sample > 0:
            low = max(low, sample - added)
        if sample < 255:
            high = min(high, sample - added)
    usual = (77 * r + 150 * g + 29 * b + 128) >> 8
    return min(max(usual, low), high) if low <= high else np.int64(-1)


__all__ = ["from_rgb", "to_rgb", "were_ycbcr"]
