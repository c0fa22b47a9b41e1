"""What images are coded by: candidates code a small sample, those that stay close to the best a larger one.

A candidate is a coder and what stands in front of it. Everything here depends on the images and the candidates alone,
so an archive does not depend on threads or timing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np

from bitsback.archive.front import Form, Front, apply, forms
from bitsback.errors import BitsBackError
from bitsback.kinds import lots as kinds
from bitsback.kinds.base import Coder, Images, Shape

Effort = Literal["fast", "normal", "max"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)


class Candidate(NamedTuple):
    """A coder, and what stands in front of it."""

    coder: Coder
    front: Front = ()

    @property
    def name(self) -> str:
        """For people."""
        return " of ".join([self.coder.name, *(str(step) for step in reversed(self.front))])

    @property
    def key(self) -> tuple[int, str, Front]:
        """What tells it from others."""
        return self.coder.tag, self.coder.id, self.front


class _Rules(NamedTuple):
    """How an effort goes about it."""

    rounds: tuple[int, ...]
    """Samples that each round codes."""
    near: float
    """After a round, candidates larger than the best by more than this factor are out."""
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
"""Bytes that a candidate may always be larger by and stay in: samples of blank images say nothing."""

CROPS, PLACES = 4, 4
"""How many crops a sample has, and how many by how many places of large images they are chosen from."""


@dataclass(slots=True)
class Choice:
    """Candidates, the best first, with what they made of the last sample that they coded."""

    ranking: list[tuple[Candidate, int]] = field(default_factory=list)
    coded: dict[tuple[int, str, Front], int] = field(default_factory=dict)
    """How many samples that were: fewer for those that were out early. Sizes compare where this is the same."""
    payloads: dict[tuple[int, str, Front], bytes] = field(default_factory=dict)
    """The payloads of candidates that have coded all images."""
    warnings: list[str] = field(default_factory=list)
    fallback: Front = ()
    """What may stand in front of anything."""
    why: str = ""
    """Why there was no choice, if there was none."""

    def samples(self, candidate: Candidate) -> int:
        """How many samples a candidate has coded; 0 if there was no choice."""
        return self.coded.get(candidate.key, 0)

    @property
    def reason(self) -> str:
        """In words, with the sizes of those that have coded the same samples as the best."""
        samples = self.samples(self.ranking[0][0]) if self.ranking else 0
        sizes = [f"{one.name} {size:,}" for one, size in self.ranking if self.samples(one) == samples]
        if self.why or not samples:
            return self.why
        if len(sizes) > 1:
            return f"smallest on {samples:,} samples: {', '.join(sizes)} bytes"
        return f"smallest on a sample, before {', '.join(one.name for one, _ in self.ranking[1:])}"


def choose(
    lots: Sequence[Images], candidates: Sequence[Candidate], effort: Effort = "normal", threads: int = 1
) -> Choice:
    """Rank candidates for lots of images (n, H, W, C); those that cannot code them are left out, with a warning."""
    rules = _RULES[effort]
    choice = Choice([(one, 0) for one in candidates])
    ranking, left = choice.ranking, len(candidates)
    for samples in rules.rounds:
        if left < 2:
            return choice
        shown = sample(lots, samples, [one for one, _ in ranking[:left]])
        ranking[:left] = _try(shown, ranking[:left], choice, threads, whole=shown is lots)
        if not ranking or shown is lots:
            return choice
        left = sum(size <= rules.near * ranking[0][1] + SLACK for _, size in ranking[:left])
    best = ranking[0][1]
    close = [
        (one, size)
        for one, size in ranking[:left]
        if size <= (rules.learners if one.coder.learns else rules.finalists) * best
    ]
    if len(close) > 1:
        others = [one for one in ranking if one not in close]
        shown = _first(lots, WHOLE)
        ranking[:] = _try(shown, close, choice, threads, whole=shown is lots) + others
    return choice


def _first(lots: Sequence[Images], samples: int) -> Sequence[Images]:
    """The first images, up to so many samples or one; the lots themselves if these are all."""
    out: list[Images] = []
    for images in lots:
        count = max(samples // images[0].size, 0 if out else 1)
        out += [images[:count]] if count else []
        samples -= images.size
        if count < len(images):
            return out
    return lots


def _try(
    lots: Sequence[Images],
    candidates: Sequence[tuple[Candidate, int]],
    choice: Choice,
    threads: int,
    *,
    whole: bool,
) -> list[tuple[Candidate, int]]:
    """Code the images by each candidate; smallest first, in the order given where they are equal."""
    sizes = []
    seen = {front: apply(front, lots) for front in dict.fromkeys(one.front for one, _ in candidates)}
    for one, _ in candidates:
        try:
            payload = kinds.encode(one.coder, seen[one.front], threads)
        except BitsBackError as error:
            choice.warnings.append(f"{one.coder.name} was not used: {error}")
            continue
        sizes.append((one, len(payload)))
        if whole:
            choice.payloads[one.key] = payload
        choice.coded[one.key] = sum(images.size for images in lots)
    return sorted(sizes, key=lambda one: one[1])


# Samples --------------------------------------------------------------------------------------------------------------


class _Window(NamedTuple):
    """A part of an image."""

    lot: int
    image: int
    top: int
    left: int
    rows: int
    columns: int

    def cut(self, lots: Sequence[Images]) -> Images:
        return lots[self.lot][
            self.image, self.top : self.top + self.rows, self.left : self.left + self.columns
        ]  # fmt: skip


def sample(lots: Sequence[Images], samples: int, candidates: Sequence[Candidate]) -> Sequence[Images]:
    """About so many samples of the images; the lots themselves if that is half of them or more.

    Small images are taken whole, evenly spread; of large ones crops from several places, unless one of the candidates
    does not take other sizes.
    """
    total, count = sum(images.size for images in lots), sum(map(len, lots))
    if total <= 2 * samples:
        return lots
    if CROPS * total > samples * count:  # images are large
        found = _windows(lots, samples // (CROPS * lots[0].shape[3]))
        shapes = [(one.rows, one.columns, lots[0].shape[3]) for one in found]
        if all(_takes(one, shapes, lots[0]) for one in candidates):
            return _stacked([one.cut(lots) for one in _restless(lots, found)])
    wanted = min(count, max(1, samples * count // total))
    if wanted == count:
        return lots
    return _stacked([_image(lots, index * count // wanted) for index in range(wanted)])


def _takes(candidate: Candidate, shapes: Sequence[Shape], images: Images) -> bool:
    """Whether it takes crops of these shapes: their samples are the images' own, so of levels nothing is asked."""
    form = forms(candidate.front, Form(images.shape[3], images.itemsize))[-1]
    shapes = [(height, width, form.channels) for height, width, _ in shapes]
    return kinds.accepts(candidate.coder, shapes, form.dtype, 2)


def _place(lots: Sequence[Images], number: int) -> tuple[int, int]:
    """Where the image of a number is: which lot, and which in it."""
    for lot, images in enumerate(lots):
        if number < len(images):
            return lot, number
        number -= len(images)
    raise IndexError


def _image(lots: Sequence[Images], number: int) -> Images:
    lot, image = _place(lots, number)
    found: Images = lots[lot][image]
    return found


def _windows(lots: Sequence[Images], area: int) -> list[_Window]:
    """Sixteen places, in images all over the lots, and about so many pixels at each."""
    count, places = sum(map(len, lots)), PLACES * PLACES
    found = []
    for place in range(places):
        lot, image = _place(lots, count * place // places)
        _, height, width, _ = lots[lot].shape
        rows = min(height, max(int(area**0.5), area // width))
        columns = min(width, max(1, area // rows))
        top = (height - rows) * (place // PLACES) // (PLACES - 1)
        left = (width - columns) * (place % PLACES) // (PLACES - 1)
        found.append(_Window(lot, image, top, left, rows, columns))
    return found


def _restless(lots: Sequence[Images], found: Sequence[_Window]) -> list[_Window]:
    """Four of the places: of all degrees of unrest, the greatest included, as that costs most bytes."""
    unrest = [float(np.abs(np.diff(one.cut(lots).astype(np.int32), axis=1)).sum()) for one in found]
    areas = [one.rows * one.columns for one in found]
    order = sorted(range(len(found)), key=lambda place: unrest[place] / areas[place])
    chosen = sorted(order[len(found) * (quarter + 1) // CROPS - 1] for quarter in range(CROPS))
    return [found[place] for place in chosen]


def _stacked(images: Sequence[Images]) -> list[Images]:
    """Images (H, W, C) in lots of one shape each."""
    shapes: dict[tuple[int, ...], list[Images]] = {}
    for image in images:
        shapes.setdefault(image.shape, []).append(image)
    return [np.stack(alike) for alike in shapes.values()]


__all__ = ["EFFORTS", "Candidate", "Choice", "Effort", "choose", "sample"]
