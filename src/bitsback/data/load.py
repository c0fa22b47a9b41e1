"""Reading many images, on several threads and in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitsback.data.collection import Collection
from bitsback.data.types import ImageType, prepare
from bitsback.errors import ImageError
from bitsback.files import Skipped
from bitsback.threads import ordered_map, thread_count

Progress = Callable[[int, int], None]
"""Told how many of how many images are done."""

_BATCH, _BRIEF = 64, 0.01
"""Images that a thread takes in one go, at most, and as long as that takes it less than so many seconds: many small
images cost less so, and of large ones few are in memory."""

_MOST_THREADS = 16
"""More of them would only wait for the disk."""

In = TypeVar("In")
Out = TypeVar("Out")


def in_order(function: Callable[[In], Out], inputs: Iterable[In], threads: int = 0) -> Generator[Out, None, None]:
    """Like ``map``, on several threads (0: one for each core, up to 16), and hardly ahead of who asks."""
    upcoming, size = iter(inputs), 1

    def batches() -> Iterator[list[In]]:
        while batch := list(islice(upcoming, size)):
            yield batch

    def work(batch: list[In], _: int) -> tuple[list[Out], float]:
        began = time.perf_counter()
        return list(map(function, batch)), time.perf_counter() - began

    for results, seconds in ordered_map(work, batches(), threads or min(thread_count(), _MOST_THREADS)):
        size = min(2 * size, _BATCH) if seconds < _BRIEF else max(size // 2, 1)
        yield from results


def read(collection: Collection, i: int, wanted: ImageType) -> NDArray[np.uint8] | Skipped:
    """Image ``i`` as a model for ``wanted`` would see it, (height, width, channels); or why it would not."""
    try:
        item = collection.item(i)
    except ImageError as error:
        return unreadable(collection, i, error)
    try:
        return prepare(item, wanted)
    except ImageError as error:
        return Skipped(collection.name(i), str(error))


def unreadable(collection: Collection, i: int, error: ImageError) -> Skipped:
    """Image ``i`` and why :meth:`Collection.item` could not read it."""
    name = collection.name(i)
    return Skipped(name, str(error).removeprefix(f"{name}: "))


class Loaded(NamedTuple):
    """What :func:`load` returns: images and their numbers, and what was left out."""

    images: list[NDArray[np.uint8]]
    numbers: NDArray[np.int64]
    skipped: list[Skipped]


def load(
    collection: Collection,
    numbers: Iterable[int] | NDArray[np.int64],
    wanted: ImageType,
    progress: Progress | None = None,
    *,
    threads: int = 0,
    samples: int | None = None,
) -> Loaded:
    """Read images into memory, in the order of ``numbers``, uint8 (height, width, channels) each.

    Images that cannot be read or are of another type are left out. With ``samples``, so are all after those that
    together have as many (one image is always read).
    """
    asked = [int(i) for i in numbers]
    result = Loaded([], np.empty(0, np.int64), [])
    kept: list[int] = []
    left = samples
    with closing(in_order(lambda i: read(collection, i, wanted), asked, threads)) as reading:
        for done, (i, found) in enumerate(zip(asked, reading, strict=False), 1):
            if isinstance(found, Skipped):
                result.skipped.append(found)
            else:
                if left is not None:
                    left -= found.size
                    if left < 0 and kept:
                        break
                result.images.append(found)
                kept.append(i)
            if progress:
                progress(done, len(asked))
    return result._replace(numbers=np.array(kept, np.int64))


def spread(total: int, count: int, seed: int = 0) -> NDArray[np.int64]:
    """``count`` different numbers below ``total``, one at random from each of as many equal parts; all if it has fewer.

    >>> spread(1000, 4).tolist() == sorted(spread(1000, 4)), len(spread(3, 4))
    (True, 3)
    """
    count = min(total, count)
    edges = np.arange(count + 1) * total // max(count, 1)
    return np.random.default_rng(seed).integers(edges[:-1], edges[1:])
