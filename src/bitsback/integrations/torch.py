"""Archives as data sets for PyTorch: any image by its number, many of a block at once, from any number of workers.

torch itself is not imported: a map-style data set and a batch sampler are what they can do. ``DataLoader`` asks for
all images of a batch at once (``__getitems__``), so a batch that lies in few blocks is quick; :class:`BlockSampler`
draws such batches, shuffled between the blocks and within.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from random import Random
from typing import Any, NamedTuple, Protocol

import numpy as np

from bitsback.archive import Archive, Library, Limits
from bitsback.archive.limits import DEFAULT_LIMITS
from bitsback.archive.reader import CACHE_BYTES


class Together(NamedTuple):
    """Images that are decoded together: their numbers, and the bytes that all of them take then."""

    images: list[int]
    nbytes: int


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
        keep: a folder for decoded blocks, as plain samples: every worker decodes what is not there, and the next epoch,
            or run, maps it into memory. It grows to the size of the images; who has no more use for it deletes it.

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
        keep: str | os.PathLike[str] | None = None,
    ) -> None:
        self.transform = transform
        self.archive = Archive(path, library=library, limits=limits, keep=keep)

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
        home = {index: self._place(index) for index in indices}
        images = {index: self[index] for index in sorted(home, key=home.__getitem__)}
        return [images[index] for index in indices]

    def name(self, index: int) -> str:
        """The name of the file that an image comes from: labels often stand there."""
        return self.archive.locate(index)[0].name

    @cached_property
    def blocks(self) -> list[Together]:
        """All images, by the blocks that they lie in."""
        found: dict[tuple[int, int], Together] = {}
        for index in range(len(self)):
            data, which = self.archive.block_of(index)
            nbytes = data.head.blocks[which].nbytes
            found.setdefault((data.number, which), Together([], nbytes)).images.append(index)
        return list(found.values())

    def _place(self, index: int) -> tuple[int, int]:
        """The block that an image lies in."""
        data, which = self.archive.block_of(index)
        return data.number, which


class InBlocks(Protocol):
    """What a sampler has to know of a data set."""

    @property
    def blocks(self) -> Sequence[Together]:
        """All images, by the blocks that they lie in."""


class BlockSampler:
    """Batches of image numbers for ``DataLoader(batch_sampler=...)``, shuffled, and each block decoded once an epoch.

    Blocks are drawn at random, and images of so many of them that ``pool`` images come together are shuffled and cut
    into batches: every image once an epoch. Fewer where these blocks would not all stay decoded: the open archive keeps
    128 MiB. ``DataLoader`` hands batches to its workers in turn; so with ``workers`` each of them has blocks of its
    own, and no two decode the same.

    Args:
        dataset: an :class:`ArchiveDataset`.
        batch: images a batch.
        pool: images that are shuffled together.
        seed: of the first epoch; each further one counts on.
        drop_last: whether to leave out the last batch if it is not full.
        workers: ``num_workers`` of the loader.
    """

    def __init__(
        self,
        dataset: InBlocks,
        batch: int,
        *,
        pool: int = 4096,
        seed: int = 0,
        drop_last: bool = False,
        workers: int = 1,
    ) -> None:
        if min(batch, pool) < 1:
            raise ValueError("batch and pool are 1 or more")
        self._dataset, self._batch, self._pool = dataset, batch, pool
        self._drop_last, self._workers = drop_last, max(1, workers)
        self.epoch = seed

    def __len__(self) -> int:
        images = sum(len(block.images) for block in self._dataset.blocks)
        return images // self._batch if self._drop_last else -(-images // self._batch)

    def __iter__(self) -> Iterator[list[int]]:
        random = Random(self.epoch)
        self.epoch += 1
        blocks = list(self._dataset.blocks)
        random.shuffle(blocks)
        left: list[int] = []
        streams = [self._stream(blocks[k :: self._workers], random, left) for k in range(self._workers)]
        while streams:
            for stream in list(streams):
                if (batch := next(stream, None)) is None:
                    streams.remove(stream)
                else:
                    yield batch
        random.shuffle(left)
        full = len(left) - len(left) % self._batch
        yield from (left[at : at + self._batch] for at in range(0, full, self._batch))
        if left[full:] and not self._drop_last:
            yield left[full:]

    def _stream(self, blocks: list[Together], random: Random, left: list[int]) -> Iterator[list[int]]:
        """Full batches from some blocks; ``left`` gets what is left over, of as few blocks as can be."""
        while spare := sum(len(block.images) for block in blocks) % self._batch:
            images, nbytes = blocks.pop()
            left += images[-spare:]
            if rest := images[:-spare]:
                blocks.append(Together(rest, nbytes))
        waiting: list[int] = []
        for pool in self._pools(blocks):
            random.shuffle(pool)
            waiting += pool
            full = len(waiting) - len(waiting) % self._batch
            yield from (waiting[at : at + self._batch] for at in range(0, full, self._batch))
            waiting = waiting[full:]

    def _pools(self, blocks: Sequence[Together]) -> Iterator[list[int]]:
        """Images that are shuffled together. Those of two pools stay decoded, as a batch may have some of both."""
        pool: list[int] = []
        nbytes = 0
        for block in blocks:
            if pool and (len(pool) + len(block.images) > self._pool or nbytes + block.nbytes > CACHE_BYTES // 2):
                yield pool
                pool, nbytes = [], 0
            pool = pool + block.images
            nbytes += block.nbytes
        if pool:
            yield pool


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
