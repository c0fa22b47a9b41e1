"""How many threads a chunk of images is worth; what they work in is the ordered map of :mod:`bitsback.threads`."""

from bitsback.threads import ordered_map as ordered_map
from bitsback.threads import thread_count as thread_count

GRAIN = 1 << 22
"""Samples that are work for one thread: what a chunk of images aims at."""


def share(samples: int, threads: int) -> int:
    """How many of ``threads`` a chunk of so many samples may keep busy by itself, its model willing.

    >>> share(1 << 20, 8), share(72_000_000, 8), share(72_000_000, 64)
    (1, 8, 17)
    """
    return max(1, min(threads, samples // GRAIN))
