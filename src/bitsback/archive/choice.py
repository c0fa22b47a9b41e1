"""What images are coded by: candidates code a small sample, those that stay close to the best a larger one.

A candidate is a coder, what stands in front of it, and how large its blocks are. Three things a small sample does not
tell, and each is looked at: how a coder goes on that learns while it codes (what it gained from one sample to the next
is drawn on, and a whole block of it decides); what repeats far apart (a coder that lives by this takes a quick look at
everything, and where it may win everything is coded by both); and how much a larger block would give. Everything here
depends on the images and the candidates alone, so an archive does not depend on threads or timing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import xxhash

from bitsback.archive.front import Form, Front, Seen, encode_behind, encode_seen, forms, see
from bitsback.errors import BitsBackError
from bitsback.kinds import lots as kinds
from bitsback.kinds.base import EFFORTS, Coder, Effort, Estimates, Images, Shape
from bitsback.kinds.shift import moving
from bitsback.threads import ordered_map

Lots = Sequence[Images]


class Candidate(NamedTuple):
    """A coder, what stands in front of it, and the samples of a block (0: what its pace says)."""

    coder: Coder
    front: Front = ()
    block: int = 0

    @property
    def name(self) -> str:
        """For people."""
        return " of ".join([self.coder.name, *(str(step) for step in reversed(self.front))])

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.coder.tag, self.coder.id, self.front, self.block


Key = tuple[int, str, Front, int]

Cut = Callable[[Candidate], Sequence[Lots]]
"""The images cut into blocks as a candidate would have them. A block is put together when it is asked for."""


class _Rules(NamedTuple):
    """How an effort goes about it."""

    rounds: tuple[int, ...]
    """Samples that each round codes."""
    near: float
    """After a round, candidates larger than the best by more than this factor are out ..."""
    learners: float
    """... and coders that learn while they code by more than this one."""
    finalists: float
    """Models within this factor of the best after the last round code a whole block ..."""
    hopeful: float
    """... and so do learners that would come within this one, if they went on as they did from round to round."""
    grows: bool = True
    """Whether larger blocks are tried."""
    rivals: float = 1.0
    """Who takes up to this factor of the best codes all blocks as well: of each the smallest payload is kept."""


_RULES: dict[Effort, _Rules] = {
    "fast": _Rules((1 << 14, 1 << 16), 1.02, 1.1, 1.0, 1.0, False),
    "normal": _Rules((1 << 14, 1 << 16), 1.1, 1.4, 1.0, 1.01),
    "max": _Rules((1 << 14, 1 << 16), 1.15, 1.6, 1.1, 1.05, rivals=1.1),
}

HOPE = 0.75
"""What an estimate may be too large by, as a factor."""

CLOSER = 0.92
"""The same, of a closer look."""

SHARED = 1 << 23
"""Samples that are kept as they look behind a front, for the next candidate."""

SAID = 3
"""How many others are named beside the best."""

SLACK = 64
"""Bytes that a candidate may always be larger by and stay in: samples of blank images say nothing."""

ALMOST = 1.001
"""Fronts by which a coder takes so little more on a sample are not worth telling apart."""

GOES_ON = 0.75
"""What a learner gains from four times as many samples is expected to be this part of what it gained the last time."""

DOUBLED, LARGEST = 0.01, 1 << 22
"""Blocks are made twice as large, up to so many samples, as long as that saves this part: it doubles what one image
takes to decode. What a block saves over its halves is measured, or what two save together, and each doubling expected
to save half as much as the one before."""

RECORD = 12
"""Bytes that a block takes besides its payload, about."""

HALVED = 4
"""Images of a block that is worth halving to see this."""

STRETCHES = 4
"""From how many places images come that are a fair sample of all."""

SERIES, ALIKE = 4, 4
"""Of so many images that follow one another all samples but the first consist, if they differ by less than so many
times what neighbouring pixels do: so that a kind that sees the others shows what it can."""

MOVING = 1 << 18
"""Samples of whole images that are looked at where content moves from one to the next, which crops do not show."""

CROPS, PLACES = 4, 4
"""How many crops a sample has, and how many by how many places of large images they are chosen from."""


@dataclass(slots=True)
class Choice:
    """Candidates, the best first, and what is known of them."""

    ranking: list[Candidate] = field(default_factory=list)
    samples: int = 0
    """Of all images."""
    sizes: dict[Key, dict[int, int]] = field(default_factory=dict)
    """Bytes that candidates took for so many samples: the same ones, where they are as many."""
    expected: dict[Key, float] = field(default_factory=dict)
    """Bytes that they would take for all."""
    known: dict[Key, dict[int, bytes]] = field(default_factory=dict)
    """Payloads of blocks that were coded, by their number."""
    warnings: list[str] = field(default_factory=list)
    spent: dict[Key, float] = field(default_factory=dict)
    """Seconds that these payloads took."""
    fallback: Front = ()
    """What may stand in front of anything."""
    why: str = ""
    """Why there was no choice, if there was none."""
    without: str = ""
    """Why there were no models to choose from."""

    def put_behind(self, steps: Front) -> None:
        """Let all candidates, who were judged by images behind some steps, have these in front of them."""
        if not steps:
            return

        def behind(key: Key) -> Key:
            return key[0], key[1], (*steps, *key[2]), key[3]

        self.ranking = [one._replace(front=(*steps, *one.front)) for one in self.ranking]
        self.sizes = {behind(key): value for key, value in self.sizes.items()}
        self.expected = {behind(key): value for key, value in self.expected.items()}
        self.known = {behind(key): value for key, value in self.known.items()}
        self.spent = {behind(key): value for key, value in self.spent.items()}

    def block(self, number: int, count: int) -> tuple[Candidate, bytes | None]:
        """Whose payload of a block is kept, and the payload, if it is known; there are ``count`` blocks."""
        best, *others = ((one, self.known.get(one.key, {})) for one in self.ranking)
        if len(best[1]) < count:
            return best[0], best[1].get(number)
        coded = ((one, payloads[number]) for one, payloads in (best, *others) if len(payloads) == count)
        return min(coded, key=lambda one: len(one[1]))

    @property
    def used(self) -> float:
        """Seconds that went into payloads of the best, which are coded anyway."""
        return self.spent.get(self.ranking[0].key, 0.0) if self.ranking else 0.0

    def excess(self, other: Candidate) -> float | None:
        """What another candidate takes more than the best, as a part of that, on the most samples that both coded."""
        if not self.ranking or other.key == self.ranking[0].key:
            return None
        mine, its = self.sizes.get(self.ranking[0].key, {}), self.sizes.get(other.key, {})
        both = mine.keys() & its.keys()
        if both:
            return its[max(both)] / max(1, mine[max(both)]) - 1
        if other.key in self.expected and self.ranking[0].key in self.expected:
            return self.expected[other.key] / max(1, self.expected[self.ranking[0].key]) - 1
        return None

    def others(self, size: int) -> list[tuple[str, int]]:
        """The other candidates, the smallest first, and about how many bytes they would take where the best takes
        ``size``."""
        found = [(name, round(size * (1 + more))) for more, name in self._compared()]
        return sorted(found, key=lambda one: one[1])

    def _compared(self) -> list[tuple[float, str]]:
        """What the other candidates take more than the best, as far as it is known."""
        found = ((self.excess(one), one.name) for one in self.ranking[1:])
        return [(more, name) for more, name in found if more is not None]

    @property
    def reason(self) -> str:
        """In words: by how much the best is the best, of those that come closest."""
        if self.why:
            return self.why
        others = [(more, name) for more, name in self._compared() if more >= 0]  # not ahead on a sample only
        words = [f"{name} ({100 * more:+.1f} %)" for more, name in sorted(others)[:SAID]]
        return "; ".join(filter(None, [self.without, f"smallest, before {', '.join(words)}" if words else ""]))


def choose(
    lots: Lots, candidates: Sequence[Candidate], cut: Cut, effort: Effort = "normal", threads: int = 1
) -> Choice:
    """Rank candidates for lots of images (n, H, W, C); those that cannot code them are left out, with a warning."""
    if len(candidates) < 2:
        return Choice(list(candidates))
    contest = _Contest(lots, cut, _RULES[effort], threads)
    coding = [one for one in candidates if not isinstance(one.coder, Estimates)]
    looking = [one for one in candidates if isinstance(one.coder, Estimates)]
    ranking = contest.larger(contest.blocks(*contest.rounds(coding)))
    contest.choice.ranking = contest.everything(ranking, looking)
    contest.blocks_of_rivals()
    return contest.choice


def choose_by_block(lots: Lots, candidates: Sequence[Candidate], cut: Cut, threads: int = 1) -> Choice:
    """Rank candidates by what they make of one whole block, that in the middle: for images of which no sample can be
    taken, as the first of them say what the others are."""
    if len(candidates) < 2:
        return Choice(list(candidates))
    contest = _Contest(lots, cut, _RULES["normal"], threads)
    contest.choice.ranking = contest.middle(candidates)
    return contest.choice


class _Contest:
    """Candidates against each other."""

    def __init__(self, lots: Lots, cut: Cut, rules: _Rules, threads: int) -> None:
        self.lots, self.cut, self.rules, self.threads = lots, cut, rules, threads
        self.choice = Choice(samples=_size(lots))
        self._shown: Lots = ()
        self._seen: dict[Front, Seen] = {}
        self._estimates: dict[Key, int] = {}
        self._moving = any(moving(images) for images in lots)

    def rounds(self, candidates: list[Candidate]) -> tuple[list[Candidate], int]:
        """Let candidates code samples. The best first, and how many of them no round put out."""
        ranking, left = list(candidates), len(candidates)
        for number, samples in enumerate(self.rules.rounds):
            if not left or (number and left < 2 and not ranking[0].coder.learns):
                break
            if self._moving:
                shown = middle(self.lots, MOVING)
            else:
                shown = sample(self.lots, samples, ranking[:left], SERIES if number else 1)
            done = self._code(shown, ranking[:left])
            staying = [one for one in done if self._stays(one, done[0])]
            ranking = [*staying, *(one for one in done if one not in staying), *ranking[left:]]
            left = len(staying)
            if shown is self.lots or self._moving:
                break
        return ranking, left

    def blocks(self, ranking: list[Candidate], left: int) -> list[Candidate]:
        """Let those that may still win code as much as a block of that which has the largest."""
        if left < 2 or self.choice.samples in self.choice.sizes[ranking[0].key]:
            return ranking
        block = max(one.block or one.coder.pace for one in ranking[:left])
        finalists = self._finalists(ranking[:left])
        if not ranking[0].coder.learns and any(one.coder.learns for one in finalists):
            samples = min(2 * self.rules.rounds[-1], block)
            shown = sample(self.lots, samples, finalists)
            # Hopes are looked at again, but for those of learning from one image for the next
            if shown is not self.lots and not _go_on(self.lots, _windows(self.lots, samples)):
                finalists = self._code(shown, finalists)
                ranking, finalists = self._ahead(finalists, ranking), self._finalists(finalists)
        if len(finalists) < 2:
            return ranking
        return self._ahead(self._code(stretches(self.lots, block, finalists), finalists), ranking)

    def _finalists(self, ranking: list[Candidate]) -> list[Candidate]:
        """The best, and those that may be better on a block; of a coder's, only those that differ."""
        found: list[Candidate] = []
        for one in ranking:
            apart = all(other.coder is not one.coder or self._last(one) > ALMOST * self._last(other) for other in found)
            if not found or (apart and self._may_win(one, ranking[0])):
                found.append(one)
        return found

    @staticmethod
    def _ahead(first: list[Candidate], ranking: list[Candidate]) -> list[Candidate]:
        return [*first, *(one for one in ranking if one not in first)]

    def middle(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Let all code a block. The best first."""
        blocks = self.cut(candidates[0])
        number = len(blocks) // 2
        return self._tried(candidates, _size(blocks[number]), lambda one: len(self._block(one, blocks, number)))

    def larger(self, ranking: list[Candidate]) -> list[Candidate]:
        """Give the best larger blocks if it learns so much from one to the next, or pays so much for the start of each,
        that they pay."""
        if not ranking or not self.rules.grows or not (ranking[0].coder.learns or ranking[0].coder.starts):
            return ranking
        best = ranking[0]
        blocks = self.cut(best)
        if len(blocks) == len(self.cut(best._replace(block=LARGEST))):  # as many as was asked for
            return ranking
        size = _size(blocks[(len(blocks) - 1) // 2])
        doublings, gain = 0, self._doubled(best, blocks)
        while gain >= DOUBLED and size << doublings + 1 <= LARGEST * 5 // 4:
            doublings, gain = doublings + 1, gain / 2
        if not doublings:
            return ranking
        larger = best._replace(block=_size(self.lots) if len(blocks) == 2 else size << doublings)
        self.choice.sizes[larger.key] = self.choice.sizes.get(best.key, {})
        self.choice.expected[larger.key] = self.choice.expected.get(best.key, 0.0)
        return [larger, *ranking[1:]]

    def _doubled(self, best: Candidate, blocks: Sequence[Lots]) -> float:
        """The part that blocks twice as large would save: half of what one in the middle saves over its halves, or, of
        few images, what two save together."""
        number = (len(blocks) - 1) // 2
        block = blocks[number]
        alone = len(self._block(best, blocks, number)) + RECORD
        if sum(map(len, block)) >= HALVED:
            apart = sum(len(encode_behind(best.front, best.coder, half, self.threads)) for half in _halves(block))
            return (1 - alone / (apart + 2 * RECORD)) / 2
        alone += len(self._block(best, blocks, number + 1)) + RECORD
        pair = kinds.by_shape(images for both in (block, blocks[number + 1]) for images in both)
        payload = encode_behind(best.front, best.coder, pair, self.threads)
        if len(blocks) == 2:
            self.choice.known[best._replace(block=_size(self.lots)).key] = {0: payload}
        return 1 - (len(payload) + RECORD) / alone

    def everything(self, ranking: list[Candidate], looking: list[Candidate]) -> list[Candidate]:
        """Let those that have looked at all images code them, and so the best of the others, if they may be smaller."""
        for one in sorted(looking, key=self._estimate):
            if not ranking or (self._is_hopeful(one, ranking[0]) and self._all(one) < self._all(ranking[0])):
                ranking = [one, *ranking]
            else:
                ranking = [*ranking, one]
        return [*ranking[:1], *sorted(ranking[1:], key=lambda one: self.choice.expected.get(one.key, math.inf))]

    def blocks_of_rivals(self) -> None:
        """Let the best of those that come close code all blocks, as the best does, if its blocks are the same."""
        for one in self.choice.ranking[1:]:
            best, excess = self.choice.ranking[0], self.choice.excess(one)
            close = excess is not None and excess < self.rules.rivals - 1 and one.coder is not best.coder
            if close and 1 < len(self.cut(one)) == len(self.cut(best)):
                self._all(best)
                self._all(one)
                break

    # How they are judged.

    def _is_hopeful(self, one: Candidate, best: Candidate) -> bool:
        """Whether who looks at everything may take less than the best so far, which codes everything to find out."""
        if HOPE * self._estimate(one) >= self.choice.expected[best.key]:
            return False
        return HOPE * self._estimate(one) < self._all(best) and CLOSER * self._estimate(one, True) < self._all(best)

    def _stays(self, one: Candidate, best: Candidate) -> bool:
        factor = self.rules.learners if one.coder.learns else self.rules.near
        return self._last(one) <= factor * self._last(best) + SLACK

    def _may_win(self, one: Candidate, best: Candidate) -> bool:
        """Whether a candidate may be better than the best so far, on a block."""
        mine, its = self.choice.sizes[one.key], self.choice.sizes[best.key]
        both = sorted(mine.keys() & its.keys())
        ratios = [mine[samples] / max(1, its[samples]) for samples in both]
        if not one.coder.learns or best.coder.learns or len(ratios) < 2:
            return ratios[-1] <= (self.rules.hopeful if one.coder.learns else self.rules.finalists)
        block = min(self.choice.samples, one.block or one.coder.pace)
        times = max(0.0, math.log(block / both[-1], 4))
        gain = max(0.0, ratios[-2] - ratios[-1]) / math.log(both[-1] / both[-2], 4)
        further = gain * GOES_ON * (1 - GOES_ON**times) / (1 - GOES_ON)
        return bool(ratios[-1] - further <= self.rules.hopeful)

    def _last(self, one: Candidate) -> int:
        """What it took for the most samples that it has coded."""
        sizes = self.choice.sizes[one.key]
        return sizes[max(sizes)]

    # Coding.

    def _code(self, shown: Lots, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Let candidates code the same images; smallest first, in the order given where they are equal."""

        def code(one: Candidate) -> int:
            if shown is self.lots and len(self.cut(one)) == 1:
                return self._all(one)
            seen = self._see(one.front, shown)
            alike = one.coder.tag, one.coder.id, _digest(seen)  # behind fronts that change nothing here
            if alike not in done:
                done[alike] = len(encode_seen(seen, one.coder, self.threads))
            return done[alike]

        done: dict[tuple[int, str, bytes], int] = {}
        return self._tried(candidates, _size(shown), code)

    def _tried(
        self, candidates: Sequence[Candidate], samples: int, code: Callable[[Candidate], int]
    ) -> list[Candidate]:
        """Those that can code what is so many samples, by the bytes that ``code`` says; the others are warned of."""
        done = []
        for one in candidates:
            try:
                self._note(one, samples, code(one))
            except BitsBackError as error:
                self.choice.warnings.append(f"{one.coder.name} was not used: {error}")
                continue
            done.append(one)
        return sorted(done, key=self._last)

    def _all(self, one: Candidate) -> int:
        """Let a candidate code all blocks, if it has not: how many bytes that takes."""
        blocks = self.cut(one)
        missing = [number for number in range(len(blocks)) if number not in self.choice.known.get(one.key, {})]
        with closing(ordered_map(lambda number, _: self._block(one, blocks, number), missing, self.threads)) as work:
            list(work)
        size = sum(map(len, self.choice.known[one.key].values()))
        self._note(one, self.choice.samples, size)
        return size

    def _block(self, one: Candidate, blocks: Sequence[Lots], number: int) -> bytes:
        """Let a candidate code a block, and remember it."""
        began = time.perf_counter()
        seen = self._see(one.front, self.lots) if len(blocks) == 1 else see(one.front, blocks[number])
        payload = encode_seen(seen, one.coder, self.threads)
        self.choice.known.setdefault(one.key, {})[number] = payload
        self.choice.spent[one.key] = self.choice.spent.get(one.key, 0.0) + time.perf_counter() - began
        return payload

    def _estimate(self, one: Candidate, closely: bool = False) -> int:
        """What a candidate says that it would take."""
        assert isinstance(one.coder, Estimates)
        if closely or one.key not in self._estimates:
            seen = self._see(one.front, self.lots)
            size = len(seen.before) + sum(one.coder.estimate(lots, closely) for lots in seen.parts)
            self._estimates[one.key] = self.choice.expected[one.key] = size
        return self._estimates[one.key]

    def _see(self, before: Front, shown: Lots) -> Seen:
        """Images behind a front, once for all candidates, if they do not take much memory."""
        if shown is not self._shown:
            self._shown, self._seen = shown, {}
        if before not in self._seen:
            seen = see(before, shown)
            if _size(shown) > SHARED:
                return seen
            self._seen[before] = seen
        return self._seen[before]

    def _note(self, one: Candidate, samples: int, size: int) -> None:
        self.choice.sizes.setdefault(one.key, {})[samples] = size
        self.choice.expected[one.key] = size * self.choice.samples / samples


def _halves(lots: Lots) -> list[Lots]:
    """The first half of the images, and the others."""
    left = sum(map(len, lots)) // 2
    halves: list[list[Images]] = [[], []]
    for images in lots:
        for half, part in zip(halves, (images[:left], images[left:]), strict=True):
            half += [part] if len(part) else []
        left = max(0, left - len(images))
    return list(halves)


def _digest(seen: Seen) -> bytes:
    """What tells images behind a front from others."""
    digest = xxhash.xxh3_128(seen.before)
    for images in (images for lots in seen.parts for images in lots):
        digest.update(repr((images.shape, images.dtype.str, seen.apart)).encode())
        digest.update(np.ascontiguousarray(images).data)
    return digest.digest()


def _size(lots: Lots) -> int:
    return sum(images.size for images in lots)


# Samples --------------------------------------------------------------------------------------------------------------


def stretches(lots: Lots, samples: int, candidates: Sequence[Candidate]) -> Lots:
    """About so many samples of images that follow one another, from up to four places; or the lots themselves.

    Of an image that is larger, the middle, if the candidates take parts of it.
    """
    count, total = sum(map(len, lots)), _size(lots)
    if total <= samples * 5 // 4:
        return lots
    places = min(STRETCHES, max(1, count * samples // total))
    each = max(1, count * samples // (total * places))
    firsts = [(count - each) * (2 * place + 1) // (2 * places) for place in range(places)]
    images = [_image(lots, number) for first in firsts for number in range(first, first + each)]
    rows = max(1, samples // images[0][0].size)
    height, width, channels = images[0].shape
    if (
        len(images) == 1
        and rows < height
        and all(_takes(one, [(rows, width, channels)], lots[0]) for one in candidates)
    ):
        images = [images[0][(height - rows) // 2 :][:rows]]
    return kinds.by_shape(image[None] for image in images)


def middle(lots: Lots, samples: int) -> Lots:
    """About so many samples of whole images that follow one another, two at least; or the lots themselves."""
    count, total = sum(map(len, lots)), _size(lots)
    each = max(2, count * samples // total)
    if each >= count:
        return lots
    first = (count - each) // 2
    return _stacked([_image(lots, number) for number in range(first, first + each)])


class _Window(NamedTuple):
    """A part of an image."""

    lot: int
    image: int
    top: int
    left: int
    rows: int
    columns: int

    def cut(self, lots: Sequence[Images]) -> Images:
        found: Images = self.series(lots, 1)[0]
        return found

    def series(self, lots: Sequence[Images], count: int) -> Images:
        """The same part of up to so many images of the lot, this one among them."""
        first = max(0, min(self.image, len(lots[self.lot]) - count))
        below, right = self.top + self.rows, self.left + self.columns
        found: Images = lots[self.lot][first : first + count, self.top : below, self.left : right]
        return found


def sample(lots: Lots, samples: int, candidates: Sequence[Candidate], series: int = 1) -> Lots:
    """About so many samples of the images; the lots themselves if that is half of them or more.

    Small images are taken whole, evenly spread; of large ones crops from several places, unless one of the candidates
    does not take other sizes. Of images that follow one another up to ``series`` are taken, and their crops are alike.
    """
    total, count = sum(images.size for images in lots), sum(map(len, lots))
    if total <= 2 * samples:
        return lots
    if CROPS * total > samples * count:  # images are large
        found = _windows(lots, samples // (CROPS * lots[0].shape[3]))
        series = series if _go_on(lots, found) else 1
        found = _windows(lots, samples // (CROPS * series * lots[0].shape[3])) if series > 1 else found
        shapes = [(one.rows, one.columns, lots[0].shape[3]) for one in found]
        if all(_takes(one, shapes, lots[0]) for one in candidates):
            return _stacked([image for one in _restless(lots, found) for image in one.series(lots, series)])
    wanted = min(count, max(1, samples * count // total))
    if wanted == count:
        return lots
    each = max(1, min(series, wanted // CROPS))
    places = wanted // each
    firsts = (place * count // places for place in range(places))
    return _stacked([_image(lots, min(first + k, count - 1)) for first in firsts for k in range(each)])


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


def _go_on(lots: Sequence[Images], found: Sequence[_Window]) -> bool:
    """Whether images are much like those that they follow: a pixel not like others, but like pixels near it."""
    pairs = [one.series(lots, 2).astype(np.int32) for one in found]
    apart = sum(int(np.abs(np.diff(pair, axis=0)).sum()) for pair in pairs if len(pair) > 1)
    return apart < ALIKE * sum(int(np.abs(np.diff(pair[0], axis=1)).sum()) for pair in pairs if len(pair) > 1)


def _stacked(images: Sequence[Images]) -> list[Images]:
    """Images (H, W, C) in lots of one shape each."""
    shapes: dict[tuple[int, ...], list[Images]] = {}
    for image in images:
        shapes.setdefault(image.shape, []).append(image)
    return [np.stack(alike) for alike in shapes.values()]


__all__ = ["EFFORTS", "Candidate", "Choice", "Effort", "choose", "sample"]
