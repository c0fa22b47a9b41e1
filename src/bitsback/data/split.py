"""Training and held-out images, with no near-duplicate of a held-out image left in training.

Every image is given a *fingerprint*: its brightness averaged over 16 x 16 areas, less what is smooth in it (the mean of
the 3 x 3 areas around each), less most of what all images have in common, as a unit vector. Two images are called
*twins* if the correlation of their fingerprints, or of one with the other's mirror image, reaches :data:`TWIN`, or if
their pixels are the same. Measured on images of which none are copies, and on copies of them:

========================================  =====================================================================
58,000 MNIST digits against 2,000         half of them below 0.68; 2,043 (3.5 %) reach 0.93, 843 reach 0.95, 37 0.98:
                                          most are ones, plain strokes
18,000 thumbnails (32 x 32) against 2,000 none above 0.82, 99 % below 0.57
772 photos against 80                     none above 0.60
photos as JPEG (quality 20, 50), resized  all above 0.97
photos moved by a pixel, brightened       95 % above 0.95
thumbnails as JPEG (quality 50), halved   95 % above 0.94
========================================  =====================================================================

Without taking away what is smooth, different thumbnails reach 0.97 and copies fall to 0.95: most images are brighter
at the top. A crop by more than a fiftieth, or a shift of a thumbnail by a pixel, goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from bitsback.data.collection import Collection, tally
from bitsback.data.load import Progress, in_order, read, spread
from bitsback.data.types import ImageType
from bitsback.errors import ImageError
from bitsback.files import Skipped
from bitsback.kernels import kernel

TWIN = 0.93
"""Fingerprints that correlate so much belong to near-duplicates."""

SIDE = 16
"""Areas along an edge."""

PLAIN = 0.25
"""An image whose fingerprint has less contrast, in levels, has none worth comparing."""

MAX_LOST = 0.2
"""The share of training images that may be left out as twins before held-out images are taken otherwise."""

MIN_SAMPLES = 100_000
"""Samples (pixels x channels) without which there is nothing to learn from."""

_BLOCK = 4096


@dataclass(frozen=True)
class Split:
    """Images by number, ascending.

    Attributes:
        train, held_out: int64. twins: images left out because a held-out one is nearly the same.
        how: the held-out images were chosen, in words. skipped: what could not be read or is of another type.
    """

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    twins: int
    how: str
    skipped: list[Skipped] = field(default_factory=list)


def split(
    collection: Collection,
    wanted: ImageType,
    count: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    limit: int | None = 200_000,
    threads: int = 0,
) -> Split:
    """Divide a collection. Reads every image once; the outcome does not depend on ``threads``.

    Args:
        count: of held-out images; by default about a tenth, but at least some 20 (of few images: a fifth) and at most
            some 2,000.
        limit: of images to use at all, evenly spread; each takes 1 KiB of memory while they are compared.

    Held-out images are those whose hash, of their pixels, is among the least: at random, but whatever else is in the
    collection, and in whatever order. One that is held out was so before the collection grew, so a model that was
    trained then is never measured on what it has seen. If that would cost training more than a fifth of its images, as
    it does with the frames of a film, they are taken as runs in the order of names. If even that costs more than half,
    images of this collection are alike by their nature, and only exact copies are left out of training.

    Raises ImageError if there are too few images to learn from.
    """
    numbers = spread(len(collection), limit or len(collection), seed)
    prints, skipped = _Prints.of(collection, numbers, wanted, progress, threads)
    total = len(prints.numbers)
    if total < 2 or prints.samples.sum() < MIN_SAMPLES:
        raise ImageError(_too_few(prints.samples, wanted, skipped))
    chosen = prints.least(_share(total) if count is None else count)
    if not 1 <= len(chosen) <= total // 2:
        raise ImageError(f"{len(chosen):,} of {total:,} images cannot be held out")
    count = len(chosen)

    held, lost, how = _choose(prints, chosen, seed)
    train = np.setdiff1d(np.arange(total), np.concatenate([held, lost]))
    if prints.samples[train].sum() < min(MIN_SAMPLES, prints.samples.sum() // 4):
        raise ImageError(
            f"{len(lost):,} of {total:,} images are copies of the {count:,} held out: too few others to learn from"
        )
    if total + len(skipped) < len(collection):
        how += f", of {total + len(skipped):,} images spread over {len(collection):,}"
    return Split(prints.numbers[train], prints.numbers[held], len(lost), how, skipped)


def _too_few(samples: NDArray[np.int64], wanted: ImageType, skipped: list[Skipped]) -> str:
    count = len(samples)
    text = (
        f"too little to learn from: {count:,} image{'s' * (count != 1)} of {wanted} with {samples.sum():,} samples "
        f"(pixels x channels); it takes {MIN_SAMPLES:,} in two images or more"
    )
    if count:
        text += f", that is {max(2, -(-MIN_SAMPLES // int(samples.mean()))):,} images like these; thousands are better"
    if skipped:
        text += f"; left out: {tally(skipped)[0]}"
    return text


# Choosing -------------------------------------------------------------------------------------------------------------


def _share(total: int) -> float:
    """What share of so many images is held out, about. It never grows with them: see :func:`split`."""
    return min(max(0.1, 20 / total), 0.2, max(2000 / total, 1e-9)) if total else 0.0


def _choose(prints: _Prints, chosen: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Held-out images, ``chosen`` if it can be, their twins, and how they were chosen; indices of ``prints``."""
    total, count = len(prints.numbers), len(chosen)
    most = MAX_LOST * (total - count)
    best: tuple[int, NDArray[np.int64], NDArray[np.int64], str] | None = None
    for held, how in _choices(chosen, total, seed):
        lost = prints.twins(held)
        if best is None or len(lost) < best[0]:
            best = len(lost), held, lost, how
        if best[0] <= most:
            break
    assert best is not None
    if best[0] > (total - count) / 2:
        held, how = next(_choices(chosen, total, seed))
        return held, prints.copies(held), f"{how}; all images are much alike, so only exact copies count as the same"
    return best[1:]


def _choices(chosen: NDArray[np.int64], total: int, seed: int) -> Iterator[tuple[NDArray[np.int64], str]]:
    """Ways to choose as many as ``chosen``, the better ones first."""
    yield chosen, "by a hash of their pixels"
    rng, count = np.random.default_rng(seed), len(chosen)
    why = "as near-duplicates of images taken at random are all over the collection"
    for runs in (4, 4, 1, 1, 1):
        if runs > 1 and count < 10 * runs:
            continue
        parts = np.arange(runs + 1) * total // runs
        sizes = np.diff(np.arange(runs + 1) * count // runs)
        starts = rng.integers(parts[:-1], parts[1:] - sizes + 1)
        held = np.concatenate([np.arange(a, a + n) for a, n in zip(starts, sizes, strict=True)])
        yield held, ("a run" if runs == 1 else f"{runs} runs") + f" in the order of names, {why}"


# Fingerprints ---------------------------------------------------------------------------------------------------------


class _Print(NamedTuple):
    """What is kept of an image: (SIDE, SIDE) float32, a hash of its pixels, its samples."""

    areas: NDArray[np.float32]
    hash: int
    samples: int
    blank: bool


@dataclass(frozen=True)
class _Prints:
    """Those of many images: ``numbers`` in the collection, ``fine`` float32 (n, SIDE * SIDE) unit vectors before the
    common part is taken away (zeros for plain images), ``hashes`` uint64, ``samples`` int64, ``blank`` bool."""

    numbers: NDArray[np.int64]
    fine: NDArray[np.float32]
    hashes: NDArray[np.uint64]
    samples: NDArray[np.int64]
    blank: NDArray[np.bool_]
    common: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        collection: Collection,
        numbers: NDArray[np.int64],
        wanted: ImageType,
        progress: Progress | None,
        threads: int,
    ) -> tuple[_Prints, list[Skipped]]:
        scale = 255 if wanted.levels == 2 else 1

        def take(i: int) -> _Print | Skipped:
            image = read(collection, i, wanted)
            if isinstance(image, Skipped):
                return image
            seal = xxhash.xxh3_64_intdigest(image.data, image.shape[0])
            return _Print(areas(image) * scale, seal, image.size, bool(image.min() == image.max()))

        fine = np.zeros((len(numbers), SIDE * SIDE), np.float32)
        hashes = np.zeros(len(numbers), np.uint64)
        samples, kept = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), bool)
        blank = np.zeros(len(numbers), bool)
        skipped: list[Skipped] = []
        for k, found in enumerate(in_order(take, numbers.tolist(), threads)):
            if isinstance(found, Skipped):
                skipped.append(found)
            else:
                kept[k], fine[k] = True, found.areas.ravel()
                hashes[k], samples[k], blank[k] = found.hash, found.samples, found.blank
            if progress and (k % 16 == 15 or k + 1 == len(numbers)):
                progress(k + 1, len(numbers))
        if not kept.all():
            numbers, fine, hashes, samples = numbers[kept], fine[kept], hashes[kept], samples[kept]
            blank = blank[kept]
        for start in range(0, len(fine), _BLOCK):
            part = fine[start : start + _BLOCK] @ _sharpening()
            size = np.linalg.norm(part, axis=1, keepdims=True)
            fine[start : start + _BLOCK] = np.where(size < PLAIN * SIDE, 0, part / np.maximum(size, PLAIN))
        # The mean of a few is not yet what they have in common
        common = fine.sum(0, dtype=np.float64) / (len(fine) + 32)
        return cls(numbers, fine, hashes, samples, blank, common.astype(np.float32)), skipped

    def _units(self, fine: NDArray[np.float32]) -> NDArray[np.float32]:
        rest = np.where(fine.any(1, keepdims=True), fine - self.common, 0)
        units: NDArray[np.float32] = rest / np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), np.float32(1e-6))
        return units

    def least(self, wanted: float) -> NDArray[np.int64]:
        """Those with the least hashes, ascending: so many, or, below 1, those in that share of all hashes, and one at
        least. Of images that are the same, one."""
        _, first = np.unique(self.hashes, return_index=True)
        if wanted < 1:
            most = np.uint64(int(wanted * 2.0**64))
            return np.sort(first[: max(1, int((self.hashes[first] < most).sum()))])
        rest = np.setdiff1d(np.arange(len(self.hashes)), first)
        return np.sort(np.concatenate([first, rest])[: int(wanted)])

    def copies(self, held: NDArray[np.int64]) -> NDArray[np.int64]:
        """Images with the pixels of one in ``held``. Blank images are not counted: they tell nothing."""
        same = np.isin(self.hashes, self.hashes[held]) & ~self.blank
        same[held] = False
        return same.nonzero()[0]

    def twins(self, held: NDArray[np.int64]) -> NDArray[np.int64]:
        """Images that are nearly the same as one in ``held``."""
        chosen = self.fine[held]
        mirrored = chosen.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(len(held), -1)
        sought = np.concatenate([self._units(chosen), self._units(mirrored)]).T
        near = np.zeros(len(self.fine), bool)
        for start in range(0, len(self.fine), _BLOCK):
            part = self._units(self.fine[start : start + _BLOCK])
            near[start : start + _BLOCK] = (part @ sought).max(1) >= TWIN
        near[self.copies(held)] = True
        near[held] = False
        return near.nonzero()[0]


@cache
def _sharpening() -> NDArray[np.float32]:
    """(SIDE * SIDE, SIDE * SIDE): takes from each area the mean of the 3 x 3 around it, and then the mean of all."""
    one = np.zeros((SIDE, SIDE))
    for shift in (-1, 0, 1):
        one[np.arange(SIDE), np.clip(np.arange(SIDE) + shift, 0, SIDE - 1)] += 1 / 3
    matrix = np.eye(SIDE * SIDE) - np.kron(one, one)
    sharpened: NDArray[np.float32] = (matrix - matrix.mean(0)).T.astype(np.float32)
    return sharpened


@kernel
def _sum_areas(image, sums):  # type: ignore[no-untyped-def]
    """Add up the samples of an image (height, width, channels) by areas: ``sums``, int64 (SIDE, SIDE), zeros before.

    A pixel is SIDE units wide and high, an area is as many units wide and high as the image has pixels, so that the
    pixels' parts in an area are integers and the sums exact.
    """
    height, width, channels = image.shape
    row = np.zeros(SIDE, np.int64)
    i, below = 0, height
    for y in range(height):
        row[:] = 0
        j, beyond = 0, width
        for x in range(width):
            value = 0
            for c in range(channels):
                value += image[y, x, c]
            at, end = x * SIDE, (x + 1) * SIDE
            while at < end:
                until = min(end, beyond)
                row[j] += value * (until - at)
                at = until
                if at == beyond:
                    j, beyond = j + 1, beyond + width
        at, end = y * SIDE, (y + 1) * SIDE
        while at < end:
            until = min(end, below)
            for k in range(SIDE):
                sums[i, k] += row[k] * (until - at)
            at = until
            if at == below:
                i, below = i + 1, below + height


def areas(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The means over SIDE x SIDE equal areas of an image (height, width, channels) of any size, channels alike.

    >>> areas(np.arange(32, dtype=np.uint8)[:, None, None] * np.ones((1, 5, 3), np.uint8))[:2, 0].tolist()
    [0.5, 2.5]
    """
    sums = np.zeros((SIDE, SIDE), np.int64)
    _sum_areas(image, sums)
    return (sums / image.size).astype(np.float32)
