"""Which coder images get: the candidates code a small sample, those that stay close to the best a larger one.

Everything here depends on the images and the candidates alone, so an archive does not depend on threads or timing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np

from bitsback.errors import BitsBackError
from bitsback.kinds.base import Coder, Images, Shape

Effort = Literal["fast", "normal", "max"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)


class _Rules(NamedTuple):
    """How an effort goes about it."""

    rounds: tuple[int, ...]
    """Samples that each round codes."""
    near: float
    """After a round, coders larger than the best by more than this factor are out."""
    finalists: float
    """Models within this factor of the best after the last round are tried on all images ..."""
    learners: float
    """... and so are coders that learn while they code within this one: a sample does not do them justice."""


_RULES: dict[Effort, _Rules] = {
    "fast": _Rules((1 << 14,), 1.0, 1.0, 1.0),
    "normal": _Rules((1 << 14, 1 << 16), 1.1, 1.0, 1.05),
    "max": _Rules((1 << 16,), 1.15, 1.1, 1.1),
}

WHOLE = 1 << 22
"""Of how many samples finalists are tried on all, at most."""

SLACK = 64
"""Bytes that a coder may always be larger by and stay in: samples of blank images say nothing."""

CROPS, PLACES = 4, 4
"""How many crops a sample has, and how many by how many places of large images they are chosen from."""


@dataclass(slots=True)
class Choice:
    """Coders, the best first, with what they made of the last sample that they coded."""

    ranking: list[tuple[Coder, int]] = field(default_factory=list)
    coded: dict[tuple[int, str], int] = field(default_factory=dict)
    """By tag and id, how many samples that were: fewer for those that were out early. Sizes compare where this is the
    same."""
    payloads: dict[tuple[int, str], bytes] = field(default_factory=dict)
    """By tag and id, the payloads of coders that have coded all images."""
    warnings: list[str] = field(default_factory=list)
    why: str = ""
    """Why there was no choice, if there was none."""

    def samples(self, coder: Coder) -> int:
        """How many samples a coder has coded; 0 if there was no choice."""
        return self.coded.get((coder.tag, coder.id), 0)

    @property
    def reason(self) -> str:
        """In words, with the sizes of those that have coded the same samples as the best."""
        samples = self.samples(self.ranking[0][0]) if self.ranking else 0
        sizes = [f"{coder.name} {size:,}" for coder, size in self.ranking if self.samples(coder) == samples]
        if self.why or not samples:
            return self.why
        if len(sizes) > 1:
            return f"smallest on {samples:,} samples: {', '.join(sizes)} bytes"
        return f"smallest on a sample, before {', '.join(coder.name for coder, _ in self.ranking[1:])}"


def choose(images: Images, coders: Sequence[Coder], effort: Effort = "normal", threads: int = 1) -> Choice:
    """Rank the coders for images (n, H, W, C); those that cannot code them are left out, with a warning."""
    rules = _RULES[effort]
    choice = Choice([(coder, 0) for coder in coders])
    ranking, left = choice.ranking, len(coders)
    for samples in rules.rounds:
        if left < 2:
            return choice
        shown = sample(images, samples, [coder for coder, _ in ranking[:left]])
        ranking[:left] = _try(shown, ranking[:left], choice, threads, whole=shown is images)
        if not ranking or shown is images:
            return choice
        left = sum(size <= rules.near * ranking[0][1] + SLACK for _, size in ranking[:left])
    best = ranking[0][1]
    close = [one for one in ranking[:left] if one[1] <= (rules.learners if one[0].learns else rules.finalists) * best]
    if len(close) > 1:
        others = [one for one in ranking if one not in close]
        count = max(1, WHOLE // images[0].size)
        shown = images[:count] if count < len(images) else images
        ranking[:] = _try(shown, close, choice, threads, whole=shown is images) + others
    return choice


def _try(
    images: Images, coders: Sequence[tuple[Coder, int]], choice: Choice, threads: int, *, whole: bool
) -> list[tuple[Coder, int]]:
    """Code the images by each coder; smallest first, in the order given where they are equal."""
    sizes = []
    for coder, _ in coders:
        try:
            payload = coder.encode(images, threads)
        except BitsBackError as error:
            choice.warnings.append(f"{coder.name} was not used: {error}")
            continue
        sizes.append((coder, len(payload)))
        if whole:
            choice.payloads[coder.tag, coder.id] = payload
        choice.coded[coder.tag, coder.id] = images.size
    return sorted(sizes, key=lambda one: one[1])


def sample(images: Images, samples: int, coders: Sequence[Coder]) -> Images:
    """About so many samples of the images; the images themselves if that is half of them or more.

    Small images are taken whole, evenly spread; of large ones crops from several places, unless one of the coders does
    not take other sizes.
    """
    count, height, width, channels = images.shape
    if images.size <= 2 * samples:
        return images
    if CROPS * images[0].size > samples:
        area = samples // (CROPS * channels)
        rows = min(height, max(int(area**0.5), area // width))
        columns = min(width, area // rows)
        if all(_takes(coder, (rows, columns, channels), images) for coder in coders):
            return _crops(images, rows, columns)
    wanted = min(count, max(1, samples // images[0].size))
    return np.ascontiguousarray(images[np.arange(wanted) * count // wanted]) if wanted < count else images


def _takes(coder: Coder, shape: Shape, images: Images) -> bool:
    """Whether it takes crops of this shape: their samples are the images' own, so of levels nothing is asked."""
    return coder.accepts(shape, images.dtype, 2)


def _crops(images: Images, rows: int, columns: int) -> Images:
    """Crops from four of sixteen places: of all degrees of unrest, the greatest included, as that costs most bytes."""
    count, height, width, _ = images.shape
    places = PLACES * PLACES
    found = []
    for place in range(places):
        top = (height - rows) * (place // PLACES) // (PLACES - 1)
        left = (width - columns) * (place % PLACES) // (PLACES - 1)
        found.append(images[count * place // places, top : top + rows, left : left + columns])
    unrest = [int(np.abs(np.diff(crop.astype(np.int32), axis=1)).sum()) for crop in found]
    order = sorted(range(places), key=lambda place: unrest[place])
    chosen = sorted(order[places * (quarter + 1) // CROPS - 1] for quarter in range(CROPS))
    return np.stack([found[place] for place in chosen])


__all__ = ["EFFORTS", "Choice", "Effort", "choose", "sample"]
