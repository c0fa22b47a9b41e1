"""Colours that were YCbCr: pixels of JPEG files and of video, as decoders compute red, green and blue of them.

Of a pixel's luma Y and chroma Cb and Cr, 0 to 255 each, a decoder computes, with the integer tables of a *matrix*
(:data:`MATRICES`), and holds within 0 and 255:

    red    luma[Y] + red[Cr]
    green  luma[Y] + green[Cb, Cr]
    blue   luma[Y] + blue[Cb]

So of four colours three never occur; and chroma is smooth, or the same for two or four pixels, as most files have half
or a quarter of it. Who is shown red, green and blue sees none of this. Here all is computed back, if every pixel has
some Y, Cb and Cr that it comes from.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import helper, kernel

Images = NDArray[Any]
"""uint8 (n, H, W, C), of three channels or more; what comes after the third stays as it is."""


class Matrix(NamedTuple):
    """What FFmpeg computes with where it does nothing but convert 4:2:0 to RGB, on x86 (libswscale, ``yuv2rgb``): the
    distance of a sample from ``black`` or 128, eight times, by a factor in 2^-13, halved sixteen times."""

    name: str
    black: int
    luma: int
    red: int
    green: tuple[int, int]
    blue: int


MATRICES = (
    None,
    Matrix("BT.601, video", 16, 9539, 13075, (-3209, -6660), 16525),
    Matrix("BT.709, video", 16, 9539, 14686, (-1747, -4366), 17305),
    Matrix("BT.601, full range", 0, 8192, 11485, (-2819, -5850), 14516),
)
"""By number. The first is that of JPEG files (ITU-T T.871), in the integers of libjpeg and all that is built on it."""

SHARED = ((2, 2), (1, 2), (1, 1))
"""Pixels that may share their chroma: so many rows and columns."""

_SIDE = 511
"""Differences of two samples."""

_LOW = 1024
"""Added to luma in tables by luma."""

_TRIES, _MORE = 1 << 24, 256
"""Chromas that are tried for pixels that are held within bounds: so many for all, and so many more for each pixel."""

_LOOKED, _COLOURED = 1 << 12, 24
"""Pixels that are looked at first, and how many chromas must be among them: fewer may be there by chance."""


class Tables(NamedTuple):
    """A matrix, int64, and its inverse."""

    luma: NDArray[np.int64]
    """(256,), ascending."""
    red: NDArray[np.int64]
    """(256,), by Cr."""
    green: NDArray[np.int64]
    """(256, 256), by Cb and Cr."""
    blue: NDArray[np.int64]
    """(256,), by Cb."""
    chroma: NDArray[np.int64]
    """(511 * 511,): 256 Cb + Cr by red less green and blue less green; -1 where these do not occur."""
    above: NDArray[np.int64]
    """(2048,): the first Y whose luma is at least so much less 1024; 256 if there is none."""


@cache
def tables(matrix: int) -> Tables:
    """Those of a matrix by its number."""
    c, of = np.arange(256) - 128, MATRICES[matrix]
    if of is None:
        luma = np.arange(256)
        red, blue = (91881 * c + 32768) >> 16, (116130 * c + 32768) >> 16
        green = (-22554 * c[:, None] - 46802 * c + 32768) >> 16
    else:
        luma = ((np.arange(256) - of.black) * 8 * of.luma) >> 16
        red, blue = (8 * c * of.red) >> 16, (8 * c * of.blue) >> 16
        green = ((8 * c * of.green[0]) >> 16)[:, None] + ((8 * c * of.green[1]) >> 16)
    chroma = np.full((_SIDE, _SIDE), -1, np.int64)
    first, second = red - green, blue[:, None] - green
    there = (abs(first) < 256) & (abs(second) < 256)
    chroma[first[there] + 255, second[there] + 255] = np.flatnonzero(there)
    above = np.searchsorted(luma, np.arange(-_LOW, _LOW))
    return Tables(luma, red, green, blue, chroma.reshape(-1), above)


def to_rgb(pixels: NDArray[Any], matrix: int) -> NDArray[Any]:
    """Red, green, blue of Y, Cb, Cr: uint8 (pixels, C)."""
    table, out = tables(matrix), pixels.copy()
    y, cb, cr = (pixels[:, c].astype(np.intp) for c in range(3))
    for c, added in enumerate((table.red[cr], table.green[cb, cr], table.blue[cb])):
        out[:, c] = (table.luma[y] + added).clip(0, 255)
    return out


def from_rgb(images: Images, matrix: int, shared: tuple[int, int] = (1, 1)) -> Images | None:
    """Y, Cb, Cr that :func:`to_rgb` makes these images of, with a chroma that so many rows and columns share; None if
    there are none, as far as was tried."""
    out = images.copy()
    tries = _TRIES + _MORE * (images.size // images.shape[3])
    return out if _solve(np.ascontiguousarray(images), out, tables(matrix), *shared, tries) else None


def widest(image: Images, matrix: int) -> tuple[Images, tuple[int, int]] | None:
    """What :func:`from_rgb` gives of one image (1, H, W, C) for the most pixels that share a chroma, and how many rows
    and columns that are; None if there is nothing for any."""
    for shared in SHARED:
        back = from_rgb(image, matrix, shared)
        if back is not None:
            return back, shared
    return None


def found(images: Images) -> tuple[int, int, int] | None:
    """The matrix that all images come through, from so many colours that this is no chance, and how many rows and
    columns share a chroma; None if there is none."""
    if images.dtype != np.uint8 or images.shape[3] < 3:
        return None
    pixels = images.reshape(-1, images.shape[3])
    some = pixels[:: max(1, len(pixels) // _LOOKED)]
    red, green, blue = (some[:, c].astype(np.int64) for c in range(3))
    inner = ((some[:, :3] > 0) & (some[:, :3] < 255)).all(axis=1)
    differences = ((red - green + 255) * _SIDE + blue - green + 255)[inner]
    for matrix in range(len(MATRICES)):
        chroma = tables(matrix).chroma[differences]
        if (chroma < 0).any() or len(np.unique(chroma)) < _COLOURED:
            continue
        places = []
        for image in images:
            back = widest(image[None], matrix)
            if back is None:
                break
            places.append(SHARED.index(back[1]))
        else:
            return matrix, *SHARED[max(places)]
    return None


@kernel
def _solve(images, out, table, down, across, tries):  # type: ignore[no-untyped-def]
    """Set Y, Cb, Cr, part by part of so many rows and columns that share a chroma: that of those pixels which are not
    held within bounds, or else the first that does, from that of the part before outwards. Return whether there is one
    for all."""
    cb, cr = 128, 128
    for i in range(images.shape[0]):
        for part in range(_parts(images.shape[1], down) * _parts(images.shape[2], across)):
            top = part // _parts(images.shape[2], across) * down
            left = part % _parts(images.shape[2], across) * across
            chroma = _told(images, i, top, left, table, down, across)
            if chroma < -1:
                return False
            if chroma >= 0:
                cb, cr = chroma >> 8, chroma & 255
                if not _fits(images, out, i, top, left, table, down, across, cb, cr):
                    return False
            else:
                radius, done = 0, False
                while not done:
                    if radius == 256 or tries < 0:
                        return False
                    tries -= 8 * radius + 1
                    done, cb, cr = _around(images, out, i, top, left, table, down, across, cb, cr, radius)
                    radius += 1
    return True


@helper
def _parts(size, each):  # type: ignore[no-untyped-def]
    return (size + each - 1) // each


@helper
def _told(images, i, top, left, table, down, across):  # type: ignore[no-untyped-def]
    """The chroma of those pixels of a part that are not held within bounds: -1 if all are, -2 if there is none."""
    told = np.int64(-1)
    for y in range(top, min(top + down, images.shape[1])):
        for x in range(left, min(left + across, images.shape[2])):
            r, g, b = np.int64(images[i, y, x, 0]), np.int64(images[i, y, x, 1]), np.int64(images[i, y, x, 2])
            if min(min(r, g), b) > 0 and max(max(r, g), b) < 255:
                chroma = table.chroma[(r - g + 255) * _SIDE + b - g + 255]
                if chroma < 0 or (told >= 0 and chroma != told):
                    return np.int64(-2)
                told = chroma
    return told


@helper
def _fits(images, out, i, top, left, table, down, across, cb, cr):  # type: ignore[no-untyped-def]
    """Whether all pixels of a part come from some Y with a chroma; if so, all is set."""
    red, green, blue = table.red[cr], table.green[cb, cr], table.blue[cb]
    for y in range(top, min(top + down, images.shape[1])):
        for x in range(left, min(left + across, images.shape[2])):
            r, g, b = np.int64(images[i, y, x, 0]), np.int64(images[i, y, x, 1]), np.int64(images[i, y, x, 2])
            low, high = np.int64(1 - _LOW), np.int64(_LOW - 1)
            for sample, added in ((r, red), (g, green), (b, blue)):
                if sample > 0:
                    low = max(low, sample - added)
                if sample < 255:
                    high = min(high, sample - added)
            luma = table.above[min(max((77 * r + 150 * g + 29 * b + 128) >> 8, low), high) + _LOW]
            if luma == 256 or table.luma[luma] > high:
                luma -= 1
            if luma < 0 or table.luma[luma] < low or table.luma[luma] > high:
                return False
            out[i, y, x, 0], out[i, y, x, 1], out[i, y, x, 2] = luma, cb, cr
    return True


@helper
def _around(images, out, i, top, left, table, down, across, cb, cr, radius):  # type: ignore[no-untyped-def]
    """Whether a chroma so far away in one direction, and at most so far in the other, gives a part; the first such."""
    for k in range(-radius, radius + 1):
        for side in range(4):
            far = radius if side & 1 else -radius
            u, v = (cb + far, cr + k) if side < 2 else (cb + k, cr + far)
            if min(u, v) >= 0 and max(u, v) < 256 and _fits(images, out, i, top, left, table, down, across, u, v):
                return True, u, v
    return False, cb, cr


__all__ = ["MATRICES", "SHARED", "found", "from_rgb", "to_rgb", "widest"]
