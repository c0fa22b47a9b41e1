"""A look at a collection: what most of its images are, how large, how flat."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bitsback.data.collection import Collection, reasons
from bitsback.data.load import in_order, spread, unreadable
from bitsback.data.opening import natural
from bitsback.data.sources import Item
from bitsback.data.types import ImageType, as_two_valued, as_wide, describe, narrowed
from bitsback.errors import ImageError
from bitsback.files import Skipped, levels

LOOK_SAMPLES = 1 << 28
"""Samples after which :func:`look` has seen enough."""


@dataclass(frozen=True)
class Summary:
    """What a sample of the images of a collection tells. All but the first four figures are of the majority's type.

    Attributes:
        type: of most images. images: in the collection. looked: at how many.
        others: how many of these are of other types, by the type in words.
        shape: (height, width, channels) if all have the same, else None.
        heights, widths: (smallest, median, largest).
        mean_samples: of an image: pixels x channels.
        distinct: values in a channel of an image, the median.
        flat, flat_above: the shares of pixels that equal their west and their north neighbour: near 0 for photos,
            most of a drawing.
        skipped: images that could not be read.
    """

    type: ImageType
    images: int
    looked: int
    others: dict[str, int]
    shape: tuple[int, int, int] | None
    heights: tuple[int, int, int]
    widths: tuple[int, int, int]
    mean_samples: float
    distinct: float
    flat: float
    flat_above: float
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def edge(self) -> int:
        """The longer edge of a typical image."""
        return max(self.heights[1], self.widths[1])

    @property
    def words(self) -> str:
        """One line: how many images of what type and size, and what is among them that is left out."""
        sizes = [f"{a:,}" if a == b else f"{a:,} to {b:,}" for a, _, b in (self.widths, self.heights)]
        text = f"{self.images:,} images, {self.type}, {sizes[0]} x {sizes[1]} pixels"
        parts = [f"{count:,} {words}" for words, count in self.others.items()]
        parts += [f"{len(self.skipped):,} unreadable"] if self.skipped else []
        return text + (f"; of {self.looked:,} looked at are left out: {', '.join(parts)}" if parts else "")


class _Traits(NamedTuple):
    """What :func:`look` remembers of an image. ``pair``: its only two values, if there are no more."""

    words: str
    shape: tuple[int, int, int]
    alone: bool
    pair: tuple[int, int] | None
    distinct: float
    same: tuple[int, int, int, int]
    """Pixels that equal their west neighbour, of how many; and the same for north."""
    wide: bool
    """Whether its samples have 16 bits, however few it needs."""


def _traits(item: Item) -> _Traits:
    image = narrowed(item.pixels)
    height, width, channels = image.shape
    counts = [0]
    if image.dtype == np.uint8:
        counts = [int(np.count_nonzero(np.bincount(image[..., c].ravel()))) for c in range(channels)]
    west = int((image[:, 1:] == image[:, :-1]).all(-1).sum())
    north = int((image[1:] == image[:-1]).all(-1).sum())
    same = west, height * (width - 1), north, (height - 1) * width
    shape, wide = (height, width, channels), item.pixels.dtype != np.uint8
    return _Traits(describe(item), shape, item.alone, levels(image), float(np.mean(counts)), same, wide)


def look(collection: Collection, sample: int = 400, seed: int = 0, *, threads: int = 0) -> Summary:
    """Read up to ``sample`` images, evenly spread, and tell what they are like.

    Raises ImageError if none can be read, or if most are of a type that no model can be for.
    """
    seen, skipped = _see(collection, sample, seed, threads)
    if not seen:
        raise ImageError(f"none of {len(skipped):,} images can be read{reasons(skipped)}")
    settled = [traits for _, traits in _settled(seen)]
    counts = Counter(traits.words for traits in settled)
    words, count = min(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    wanted = ImageType.named(words)
    if wanted is None:
        share = "all" if count == len(seen) else f"{count:,} of {len(seen):,}"
        raise ImageError(f"{words} images ({share}): no network models these yet; compress codes them without a model")
    ours = [traits for traits in settled if traits.words == words]
    shapes = np.array([traits.shape for traits in ours])
    same = np.array([traits.same for traits in ours]).sum(0)
    heights, widths = (
        (int(edge.min()), int(np.median(edge)), int(edge.max())) for edge in (shapes[:, 0], shapes[:, 1])
    )
    return Summary(
        type=wanted,
        images=len(collection),
        looked=len(seen) + len(skipped),
        others={other: n for other, n in counts.most_common() if other != words},
        shape=ours[0].shape if (shapes == shapes[0]).all() else None,
        heights=heights,
        widths=widths,
        mean_samples=float(shapes.prod(1).mean()),
        distinct=float(np.median([traits.distinct for traits in ours])),
        flat=float(same[0] / max(same[1], 1)),
        flat_above=float(same[2] / max(same[3], 1)),
        skipped=skipped,
    )


def _see(
    collection: Collection, sample: int, seed: int, threads: int
) -> tuple[list[tuple[int, _Traits]], list[Skipped]]:
    """Traits of a sample of the images, with the number of the file that each is in; and what could not be read."""
    numbers = spread(len(collection), sample, seed)
    order = np.random.default_rng(seed).permutation(numbers).tolist()  # so that a part of them is spread as well

    def see(i: int) -> _Traits | Skipped:
        try:
            return _traits(collection.item(i))
        except ImageError as error:
            return unreadable(collection, i, error)

    seen: list[tuple[int, _Traits]] = []
    skipped: list[Skipped] = []
    samples = 0
    with closing(in_order(see, order, threads)) as found:
        for i, one in zip(order, found, strict=False):
            if isinstance(one, Skipped):
                skipped.append(one)
                continue
            seen.append((collection.file(i), one))
            samples += int(np.prod(one.shape))
            if samples > LOOK_SAMPLES:
                break
    return seen, sorted(skipped, key=lambda one: natural(one.name))


def _settled(seen: list[tuple[int, _Traits]]) -> list[tuple[int, _Traits]]:
    """What is open about single images: blank ones, arrays of two values, and samples of 16 bits that need 8.

    These count as 16 bits if others of as many channels need more, since ``compress`` takes them together. An array
    counts as two-valued if all its images here are, with the same two values. A blank image counts with the majority of
    those with its channels.
    """
    values: dict[int, set[int] | None] = {}
    for file, traits in seen:
        if not traits.alone:
            so_far = values.setdefault(file, set())
            values[file] = None if so_far is None or traits.pair is None else so_far | set(traits.pair)
    needed = {traits.shape[2] for _, traits in seen if traits.wide and ImageType.named(traits.words) is None}
    settled = []
    for file, traits in seen:
        held = values.get(file)
        if held is not None and len(held) <= 2:
            traits = traits._replace(words=as_two_valued(traits.words))
        if traits.wide and traits.shape[2] in needed:
            traits = traits._replace(words=as_wide(traits.words))
        settled.append((file, traits))

    def blank(traits: _Traits) -> bool:
        return traits.pair is not None and traits.pair[0] == traits.pair[1]

    known = Counter((t.shape[2], t.words) for _, t in settled if not blank(t))
    for k, (file, traits) in enumerate(settled):
        if blank(traits):
            fitting = [words for (channels, words), _ in known.most_common() if channels == traits.shape[2]]
            usable = [words for words in fitting if ImageType.named(words)]
            if usable:
                settled[k] = file, traits._replace(words=usable[0])
    return settled
