"""Archives as data sets for PyTorch: any image by its number, many of a block at once, from any number of workers.

torch itself is not imported: a map-style data set and a batch sampler are what they can do. ``DataLoader`` asks for
all images of a batch at once (``__getitems__``), so a batch that lies in few blocks is quick; :class:`BlockSampler`
draws such batches, shuffled between the blocks and within.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import numpy as np

from bitsback.archive import Archive, Library, Limits
from bitsback.archive.limits import DEFAULT_LIMITS


class ArchiveDataset:
    """The images of an archive, or its files, as a map-style data set.

    It may be handed to workers that are forked, which read at places of their own, or spawned, which open the archive
    again.

    Args:
        path: the archive.
        transform: what is made of an image, a uint8 or uint16 array (height, width) or (height, width, channels); by
            default it stays one.
        library: where models are looked for, besides the archive itself.
        limits: what the archive may announce, and what decoding may take.

    Raises:
        FormatError: it is no archive. LimitError: it announces too much. OSError: it cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        *,
        library: Library | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.transform = transform
        self.archive = Archive(path, library=library, limits=limits)

    def close(self) -> None:
        """Close the archive."""
        self.archive.close()

    def __enter__(self) -> ArchiveDataset:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.archive)

    def __getitem__(self, index: int) -> Any:
        image = self.archive[index]
        return self.transform(image) if self.transform else image

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Several images, in the order asked for; those of a block are decoded together."""
        order = sorted(range(len(indices)), key=lambda place: indices[place])
        images: list[Any] = [None] * len(indices)
        for place in order:
            images[place] = self[indices[place]]
        return images

    def name(self, index: int) -> str:
        """The name of the file that an image comes from: labels often stand there."""
        return self.archive.locate(index)[0].name


class BlockSampler:
    """Batches of image numbers for ``DataLoader(batch_sampler=...)``, shuffled, but near each other in the archive.

    Stretches of ``stretch`` images are drawn at random, ``mixed`` of them at a time are shuffled together, and batches
    are cut from that: every image once an epoch. Larger ``mixed`` shuffles better and keeps more blocks in memory.
    ``DataLoader`` hands batches to its workers in turn; so with ``workers`` each of them has stretches of its own, and
    no two decode the same block.

    Args:
        dataset: whatever has a length.
        batch: images a batch.
        stretch: images that follow each other and stay together until they are shuffled; about a block's is best.
        mixed: stretches that are shuffled together.
        seed: of the first epoch; each further one counts on.
        drop_last: whether to leave out the last batch if it is not full.
        workers: ``num_workers`` of the loader.
    """

    def __init__(
        self,
        dataset: Any,
        batch: int,
        *,
        stretch: int = 256,
        mixed: int = 16,
        seed: int = 0,
        drop_last: bool = False,
        workers: int = 1,
    ) -> None:
        if min(batch, stretch, mixed) < 1:
            raise ValueError("batch, stretch and mixed are 1 or more")
        self._dataset, self._batch, self._stretch, self._mixed = dataset, batch, stretch, mixed
        self._drop_last, self._workers = drop_last, max(1, workers)
        self.epoch = seed

    def __len__(self) -> int:
        return len(self._dataset) // self._batch if self._drop_last else -(-len(self._dataset) // self._batch)

    def __iter__(self) -> Iterator[list[int]]:
        random = Random(self.epoch)
        self.epoch += 1
        starts = list(range(0, len(self._dataset), self._stretch))
        random.shuffle(starts)
        left: list[int] = []
        streams = [self._stream(starts[k :: self._workers], random, left) for k in range(self._workers)]
        while streams:
            for stream in list(streams):
                if (batch := next(stream, None)) is None:
                    streams.remove(stream)
                else:
                    yield batch
        full = len(left) - len(left) % self._batch
        yield from (left[at : at + self._batch] for at in range(0, full, self._batch))
        if left[full:] and not self._drop_last:
            yield left[full:]

    def _stream(self, starts: Sequence[int], random: Random, left: list[int]) -> Iterator[list[int]]:
        """Full batches from some stretches; ``left`` gets what is left over."""
        waiting: list[int] = []
        for first in range(0, len(starts), self._mixed):
            pool: list[int] = []
            for start in starts[first : first + self._mixed]:
                pool += range(start, min(start + self._stretch, len(self._dataset)))
            random.shuffle(pool)
            waiting += pool
            full = len(waiting) - len(waiting) % self._batch
            yield from (waiting[at : at + self._batch] for at in range(0, full, self._batch))
            waiting = waiting[full:]
        left += waiting


def decoder(key: str, data: Any) -> Any:
    """For ``WebDataset(...).decode(decoder)``: archives in its tar files as arrays of images, all else as it is.

    Images of one shape and type come as an array (n, ...), others as a list; None, which leaves it to other decoders,
    for what is not called ``.bba``. Raises what reading an archive raises.
    """
    if key.rpartition(".")[2] != "bba":
        return None
    with Archive(data) as archive:
        images = list(archive)
    return np.stack(images) if len({(image.shape, image.dtype) for image in images}) == 1 else images
