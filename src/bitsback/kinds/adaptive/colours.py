"""Few colours, or few sample values: which they are, in order, and where in that order each pixel's is.

The order is by the first channel, then the second, and so on, so that neighbours in the table look alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import FormatError
from bitsback.kinds.adaptive.cost import SLAB
from bitsback.kinds.distinct import distinct

MOST = 1 << 16
"""The largest number of colours in a table."""

_WIDEST = 64
"""Bits of a pixel that is one number."""


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
    table = table_of(pixels)
    return None if table is None else Found(table, places_in(pixels, table))


def table_of(pixels: NDArray[Any]) -> NDArray[Any] | None:
    """Their colours alone, in order."""
    bits, channels = 8 * pixels.itemsize, pixels.shape[1]
    if bits * channels > _WIDEST:
        table = np.unique(pixels, axis=0)
        return table if len(table) <= MOST else None
    ids = keys(pixels[:0])
    for part in _slabs(pixels, channels):
        these = keys(pixels[part])
        few = np.flatnonzero(np.bincount(these)).astype(these.dtype) if bits * channels <= 16 else these
        ids = distinct(np.concatenate([ids, few]))
        if len(ids) > MOST:
            return None
    shifts = np.arange(channels - 1, -1, -1).astype(ids.dtype) * ids.dtype.type(bits)
    colours: NDArray[Any] = ids[:, None] >> shifts
    return colours.astype(pixels.dtype)


def places_in(pixels: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """Where in ``table``, which has them all, each pixel's colour is: (n,)."""
    if 8 * pixels.itemsize * pixels.shape[1] > _WIDEST:
        ids = keys(np.concatenate([table, pixels]))[len(table) :]
        return ids.astype(index_type(len(table)))
    found = np.empty(len(pixels), index_type(len(table)))
    ids = keys(table)
    for part in _slabs(pixels, pixels.shape[1]):
        found[part] = np.searchsorted(ids, keys(pixels[part]))
    return found


def keys(pixels: NDArray[Any]) -> NDArray[Any]:
    """A number for each pixel (n, channels) that orders it as the table is ordered: equal only for equal pixels."""
    bits = 8 * pixels.itemsize
    channels = pixels.shape[1]
    if bits * channels > _WIDEST:
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
    flat = indices.reshape(-1)
    for part in _slabs(flat, channels):
        painted[part] = table[flat[part]]
    return painted.reshape(*indices.shape[: 3 if channels > 1 else 4], *table.shape[1 if channels > 1 else 2 :])


def _slabs(pixels: NDArray[Any], channels: int) -> Iterator[slice]:
    """Some pixels of so many channels at a time, as NumPy makes 64-bit numbers of all that it is given."""
    step = max(1, SLAB // channels)
    return (slice(first, first + step) for first in range(0, len(pixels), step))
