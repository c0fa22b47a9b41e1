"""Few colours, or few sample values: which they are, in order, and where in that order each pixel's is.

The order is by the first channel, then the second, and so on, so that neighbours in the table look alike.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import FormatError
from bitsback.kinds.adaptive.cost import SLAB

MOST = 1 << 16
"""The largest number of colours in a table."""


class Found(NamedTuple):
    """``table[indices]`` are the pixels: (colours, channels), and one index a pixel, uint8 or uint16."""

    table: NDArray[Any]
    indices: NDArray[Any]


def count(pixels: NDArray[Any]) -> Found | None:
    """The colours of ``pixels`` (n, channels), uint8 or uint16; None if there are too many.

    >>> table, indices = count(np.array([[9, 1], [0, 7], [9, 1]], np.uint8))
    >>> table.tolist(), indices.tolist()
    ([[0, 7], [9, 1]], [1, 0, 1])
    """
    ids = keys(pixels)
    colours = np.unique(ids)
    if len(colours) > MOST:
        return None
    indices = np.searchsorted(colours, ids)
    table = np.empty((len(colours), pixels.shape[1]), pixels.dtype)
    table[indices] = pixels
    return Found(table, indices.astype(index_type(len(colours))))


def keys(pixels: NDArray[Any]) -> NDArray[Any]:
    """A number for each pixel (n, channels) that orders it as the table is ordered: equal only for equal pixels."""
    bits = 8 * pixels.itemsize
    channels = pixels.shape[1]
    if bits * channels > 64:
        _, ids = np.unique(pixels, axis=0, return_inverse=True)
        return ids.reshape(-1).astype(np.uint32)  # NumPy 2.0, and it alone, gives a column
    ids = pixels[:, 0].astype(np.uint64 if bits * channels > 24 else np.uint32)
    for channel in range(1, channels):
        ids = (ids << ids.dtype.type(bits)) | pixels[:, channel]
    return ids


def index_type(count: int) -> np.dtype[Any]:
    """The type of the indices of so many colours."""
    return np.dtype(np.uint8 if count <= 256 else np.uint16)


def paint(indices: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """Indices (n, H, W, C') -> pixels; with colours of several channels, C' must be 1. FormatError beyond the table."""
    if int(indices.max()) >= len(table):
        raise FormatError("a pixel has a colour beyond the palette")
    channels = table.shape[1]
    painted = np.empty((indices.size, channels), table.dtype)
    step = max(1, SLAB // channels)  # as NumPy makes 64-bit indices of all that it is given
    for first in range(0, indices.size, step):
        painted[first : first + step] = table[indices.reshape(-1)[first : first + step]]
    return painted.reshape(*indices.shape[: 3 if channels > 1 else 4], *table.shape[1 if channels > 1 else 2 :])
