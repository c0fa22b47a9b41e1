"""Which values a channel had before where the channels before it were the same.

For :mod:`.regressed` and :mod:`.blended`.

Photos have fewer colours than there are where they were computed from others, of which there were fewer: by scanners,
by cameras, by whatever decoded a JPEG file. Of the values that a sample may have, given those of its pixel so far, most
are then never there; and it is soon known which.

The first three channels are looked at, if they have at most 512 values. What was seen is a *row* of bits for each
combination of the values before.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import helper

CHANNELS, VALUES = 3, 512
REACH = 16
"""Values on either side of a question that are counted."""

SIDES = REACH + 1
"""Their numbers: up to this squared."""

_STARTS = (64, 64 + VALUES, 64 + VALUES + VALUES**2, 64 + VALUES + VALUES**2 + VALUES**3)
"""Where the rows of each channel begin; windows reach a little below."""


class Seen(NamedTuple):
    """Bits of rows, one row after the other; and how many bits are set in each number of 16."""

    bits: NDArray[np.uint32]
    ones: NDArray[np.uint8]


def new_seen(channels: int) -> Seen:
    """Nothing was."""
    bits = np.zeros(_STARTS[min(channels, CHANNELS)] // 32 + 2, np.uint32)
    return Seen(bits, _ones())


@cache
def _ones() -> NDArray[np.uint8]:
    return np.bitwise_count(np.arange(1 << REACH, dtype=np.uint32)).astype(np.uint8)


@helper
def row_of(planes, p, plane, c, size):  # type: ignore[no-untyped-def]
    """Where the row begins for a sample at place p of a channel of so many values; -1 if there is none."""
    if c >= CHANNELS or size > VALUES:
        return np.int64(-1)
    if c == 0:
        return np.int64(_STARTS[0])
    if c == 1:
        return _STARTS[1] + VALUES * np.int64(planes[p - plane])
    return _STARTS[2] + VALUES * (VALUES * np.int64(planes[p - 2 * plane]) + np.int64(planes[p - plane]))


@helper
def seen_around(seen, row, low, split, high):  # type: ignore[no-untyped-def]
    """How many values from ``low`` to ``split``, of the last REACH, and how many above it up to ``high``, of the first,
    were seen: 17 times the one and the other."""
    at = (row + split - (REACH - 1)) >> 5
    pair = np.int64(seen.bits[at]) | (np.int64(seen.bits[at + 1]) << 32)
    window = pair >> ((row + split - (REACH - 1)) & 31)
    below, above = window & 0xFFFF, (window >> REACH) & 0xFFFF
    outside = max(low - (split - (REACH - 1)), 0)
    below = (below >> outside) << outside
    above = above & ((1 << min(high - split, REACH)) - 1)
    return SIDES * np.int64(seen.ones[below]) + np.int64(seen.ones[above])


@helper
def see(seen, row, v):  # type: ignore[no-untyped-def]
    """Remember a value."""
    at = row + v
    seen.bits[at >> 5] = np.int64(seen.bits[at >> 5]) | (1 << (at & 31))
