"""Which encoder made a deflate stream, or comes nearest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bitsback.files.deflate.passes import MOST_BYTES, MOST_TOKENS, RUN
from bitsback.files.deflate.recipe import (
    CHEAPEST,
    DEFAULT,
    FILTERED,
    IN_PASSES,
    ONLY_FIXED,
    ONLY_HUFFMAN,
    OTHER,
    RLE,
    STB,
    ZLIB,
    Integers,
    Recipe,
    Rules,
    Walk,
    most_steps,
    read_only,
    rules_of,
)
from bitsback.files.deflate.stream import Stream
from bitsback.files.deflate.symbols import (
    BYTES,
    COUNT,
    FINAL,
    FIXED,
    LENGTHS,
    LONGEST,
    OPS,
    STORED,
    TOKEN_BITS,
    TYPE,
)
from bitsback.files.picture import Buffer

_LEVELS = (6, 9, 1, 3, 2, 4, 5, 7, 8)
"""zlib's, the usual ones first."""
_MEMORIES = (8, 9, 7, 6, 5, 4, 3, 2, 1)
_OTHERS: list[Rules] = [(level, 8, DEFAULT, 15, OTHER) for level in (9, 8, 6, 3)]
"""What is tried where no zlib fits."""
_STB: list[Rules] = [(quality, 8, ONLY_FIXED, 15, STB) for quality in (8, 5, 6, 7, 9)]
_CHEAPEST: list[Rules] = [(9, 8, DEFAULT, 15, CHEAPEST), (7, 8, DEFAULT, 15, CHEAPEST), (6, 8, FILTERED, 15, CHEAPEST)]
_IN_PASSES: list[Rules] = [(level, 8, DEFAULT, 15, IN_PASSES) for level in (3, 1, 4, 2)]
"""Of which one of the first two comes near, if any does."""
_TINY = 256
"""Tokens of which stb and zlib are likely to make the same."""
_MANY_WRONG, _SURELY = 16, 50
"""If there is more than one correction for so many tokens, maybe the cheapest way was looked for; surely, so that other
rules for it are not tried, if there is less than one byte of them for so many tokens then."""
_DEARER = 1.25
"""The cheapest way takes ten times as long to find as others, each time: it must save so much of the corrections."""
_SHORT_TRIAL, _LONG_TRIAL = 1 << 11, 1 << 14
"""Tokens on which encoders are compared, if none explains them all; and those that come near, by what their corrections
take, if these are not more than so many bytes, four times."""
_FEW = 16
"""Numbers that may correct what counts as explained: an unusual end, blocks that were flushed."""
_ALIKE, _FAR = 32, 1 << 16
"""Encoders that may need a few numbers, and a quarter of that that may fail after so many steps, before no others are
looked for."""
_FINALISTS = 4
"""Encoders that are compared by bytes, if none explains all tokens."""
_STEPS, _STEPS_MORE = 16, 1 << 22
"""So many steps for each byte, and these, to compare encoders: when they are gone, what was found until then has to do.
Where the same comes again and again, each byte has thousands of places to be compared with, and each encoder would look
at them."""
_BYTES_A_TOKEN = 8
"""As many bytes count as a token where a trial ends."""
_SURPRISE = 1.5
"""If corrections to a whole stream are so many times larger than its beginning promised, another encoder is tried."""
_STEPS_A_BYTE, _STEPS_TRIAL = 64, 1 << 20
"""So many, and those for each byte, are always left for a trial until one has come to its end."""
_STEPS_ALL = 256
"""So many steps for each byte, and as many more, for the corrections of one encoder to the whole stream."""
_SLAB = 1 << 18
"""Tokens that are looked at at once."""


def explain(plain: Buffer, stream: Stream, most: int = 1 << 30) -> Recipe | None:
    """The recipe of a stream, or None if corrections would take more than ``most`` bytes.

    First one is looked for that explains all: an encoder that does not is given up after a few tokens that it would
    have chosen otherwise. If there is none, encoders are compared on the first tokens, and the best of them on all.
    """
    return _Search(plain, stream, most).recipe()


def explain_by(plain: Buffer, stream: Stream, rules: Rules, most: int) -> Recipe | None:
    """The same by these rules."""
    return _Search(plain, stream, most).by(rules)


class _Search:
    """What made a stream."""

    def __init__(self, plain: Buffer, stream: Stream, most: int) -> None:
        self._data, self._stream, self._most = read_only(plain), stream, most
        self._flushes = flushes_of(stream)
        shortest, farthest = _extent(stream.tokens)
        self._strategies, self._levels = _strategies(stream.blocks, shortest, farthest)
        self._memories = _memories(stream.blocks)
        self._literal = farthest == 0
        size = len(self._data)
        self._left = _STEPS * size + _STEPS_MORE
        self._well: set[Rules] = set()
        """Those that are followed well, for which no steps are too many."""
        self._windows = [bits for bits in range(9, 15) if 0 < farthest <= (1 << bits) - 262 and size > 1 << bits]

    def by(self, rules: Rules) -> Recipe | None:
        corrections = self._walk(rules, most_steps(len(self._data))).corrections(self._stream, self._most)
        return None if corrections is None else Recipe(rules, corrections)

    def recipe(self) -> Recipe | None:
        explained = self._explained()
        if explained is not None:
            return explained
        plain, beginning = _beginning(self._data, self._stream)
        whole = len(plain) == len(self._data)
        found: dict[Rules, bytes] = {}
        for rules in self._finalists(found):
            most = _STEPS_A_BYTE * len(plain) + _STEPS_TRIAL
            if found and rules[4] not in (CHEAPEST, IN_PASSES):
                most = min(most, self._left)
            walk = self._walk(rules, most_steps(len(plain)) if rules in self._well else most, plain)
            corrections = walk.corrections(beginning, self._most if whole else len(plain))
            self._left -= walk.steps
            if corrections is not None:
                found[rules] = corrections
        order = sorted(found, key=lambda rules: len(found[rules]) * (_DEARER if rules[4] == CHEAPEST else 1))
        if whole:
            return Recipe(order[0], found[order[0]]) if found else None
        made: list[Recipe] = []
        best_of_families = {rules[4]: rules for rules in reversed(order)}
        candidates = sorted(best_of_families.values(), key=order.index)
        if CHEAPEST not in best_of_families:
            candidates.append(_CHEAPEST[0])
        for rules in candidates:
            most = _STEPS_ALL * len(self._data) + _STEPS_MORE
            walk = self._walk(rules, most_steps(len(self._data)) if rules in self._well else most)
            corrections = walk.corrections(self._stream, self._most)
            if corrections is not None:
                made.append(Recipe(rules, corrections))
                promised = len(found.get(rules, b""))
                if len(corrections) * len(plain) < _SURPRISE * promised * len(self._data):
                    break  # as was to be expected
        return min(made, key=lambda recipe: len(recipe.corrections), default=None)

    def _finalists(self, found: dict[Rules, bytes]) -> Iterator[Rules]:
        """Encoders that may come nearest; where others fail often, the cheapest way, too, with other rules if that was
        ``found`` to gain something."""
        tokens = len(self._stream.tokens)

        def least() -> int:
            return min(map(len, found.values()), default=self._most)

        if _may_be_in_passes(self._stream):
            for rules in _IN_PASSES:
                if rules in _IN_PASSES[:2] or least() * _MANY_WRONG < tokens:
                    yield rules
                if found.get(rules) == b"":
                    return
        costs = self._near()
        few = min(_SHORT_TRIAL, tokens) // _MANY_WRONG
        self._well = {rules for rules, cost in costs.items() if cost <= few}
        yield from sorted(costs, key=costs.__getitem__)[:_FINALISTS]
        if not self._well:
            before = least()
            yield _CHEAPEST[0]
            size = len(found.get(_CHEAPEST[0], b""))
            if size * _SURELY > tokens and size < 2 * before:
                yield from _CHEAPEST[1:]

    def _walk(self, rules: Rules, steps: int, plain: NDArray[np.uint8] | None = None) -> Walk:
        """A walk through ``plain``, or all, of no more than so many ``steps``."""
        flushes = self._flushes if rules[4] not in (CHEAPEST, IN_PASSES) else self._flushes[:0]
        if plain is not None:
            flushes = flushes[flushes < 2 * len(plain)]
        return Walk(self._data if plain is None else plain, flushes, rules_of(*rules), steps)

    def _cost(self, rules: Rules, limit: int, room: int) -> int:
        """How many numbers correct the first tokens."""
        walk = self._walk(rules, max(self._left, _STEPS_TRIAL))
        cost = walk.cost(self._stream, limit, room)
        self._left -= walk.steps
        return cost

    def _explained(self) -> Recipe | None:
        """The best of what explains all, or nearly so."""
        found: list[Recipe] = []
        most_alike = _ALIKE if len(self._stream.tokens) else _ALIKE // 4
        alike, left = 0, most_steps(len(self._data))
        for rules in self._encoders():
            walk = self._walk(rules, left)
            corrections = walk.corrections(self._stream, self._most, _FEW)
            left -= walk.steps
            if corrections == b"":
                return Recipe(rules)
            if corrections is not None:
                found.append(Recipe(rules, corrections))
            alike += 1 if corrections is not None else 4 * (walk.steps > _FAR)
            if alike >= most_alike or left < 0:
                break
        return min(found, key=lambda recipe: len(recipe.corrections), default=None)

    def _encoders(self) -> Iterator[Rules]:
        """All encoders that may have made the stream, the usual ones first."""
        if len(self._stream.tokens) > _TINY and (self._stream.blocks[:, TYPE] == FIXED).all():
            yield from _STB
        for window in (15, *self._windows):
            both = [(level, strategy) for strategy in self._strategies for level in self._levels]
            if self._literal:  # strategies differ more than levels
                both = [(level, strategy) for level in self._levels for strategy in self._strategies]
            for level, strategy in both:
                if level == self._levels[0] or strategy not in (RLE, ONLY_HUFFMAN):  # which have no levels
                    for memory in self._memories:
                        yield level, memory, strategy, window, ZLIB
        yield from _OTHERS

    def _near(self) -> dict[Rules, int]:
        """How many numbers correct a few tokens by each encoder that comes near."""
        costs: dict[Rules, int] = {}

        def compare(several: list[Rules]) -> int:
            for rules in several:
                if costs and self._left < 0:
                    break
                room = min(costs.values(), default=4 * _SHORT_TRIAL) * 5 // 4 + 8
                costs[rules] = self._cost(rules, _SHORT_TRIAL, room)
            return min(costs.values())

        memory = self._memories[0]
        compare(_OTHERS)
        usual = [(strategy, level) for strategy in self._strategies for level in self._levels]
        least = compare([(level, memory, strategy, 15, ZLIB) for strategy, level in usual])
        level, memory, strategy, _, family = min(costs, key=costs.__getitem__)
        if family == ZLIB and least <= min(_SHORT_TRIAL, len(self._stream.tokens)) // 4:
            near: list[Rules] = [(level, other, strategy, 15, ZLIB) for other in self._memories[1:]]
            near += [(level, memory, strategy, other, ZLIB) for other in self._windows]
            least = compare(near)
        return {rules: cost for rules, cost in costs.items() if cost <= least * 5 // 4 + 8}


def _may_be_in_passes(stream: Stream) -> bool:
    """Whether blocks end where they do for encoders that go through them in passes."""
    blocks = stream.blocks
    if (blocks[:, TYPE] == FIXED).any() or not len(stream.tokens):
        return False
    counts, sizes = blocks[:-1, COUNT], blocks[:-1, BYTES]
    usual = (counts >= MOST_TOKENS) & (counts < MOST_TOKENS + RUN) | (sizes >= MOST_BYTES) & (sizes < MOST_BYTES + RUN)
    return bool((usual | (blocks[:-1, TYPE] == STORED)).all())


def _beginning(plain: NDArray[np.uint8], stream: Stream) -> tuple[NDArray[np.uint8], Stream]:
    """The first tokens of a stream, as if it ended there, and the plain bytes that these tell."""
    counts, sizes = stream.blocks[:, COUNT].astype(np.int64), stream.blocks[:, BYTES].astype(np.int64)
    tokens, ends = np.cumsum(counts), np.cumsum(sizes)
    if max(tokens[-1], ends[-1] // _BYTES_A_TOKEN) <= 2 * _LONG_TRIAL:
        return plain, stream
    last = int(np.searchsorted(np.maximum(tokens, ends // _BYTES_A_TOKEN), _LONG_TRIAL))
    blocks = stream.blocks[: last + 1].copy()
    first = int(tokens[last] - counts[last])
    if blocks[last, TYPE] != STORED:
        lengths = np.minimum(stream.tokens[first : tokens[last]] & LENGTHS, LONGEST).astype(np.int64)
        within = np.cumsum(lengths)
        done = np.maximum(first + np.arange(len(lengths)), (ends[last] - sizes[last] + within) // _BYTES_A_TOKEN)
        blocks[last, COUNT] = count = int(np.searchsorted(done, _LONG_TRIAL))
        blocks[last, BYTES] = within[count - 1] if count else 0
    blocks[last, FINAL] = 1
    stop = first + int(blocks[last, COUNT])
    size = int(blocks[:, BYTES].astype(np.int64).sum())
    return plain[:size], Stream(stream.tokens[:stop], blocks, stream.items[: int(blocks[:, OPS].sum())])


def flushes_of(stream: Stream) -> Integers:
    """Where the stream has empty stored blocks that an encoder makes when it is asked to flush, twice; and one more
    where nothing behind refers to what was before."""
    blocks = stream.blocks
    stored = blocks[:, TYPE] == STORED
    empty = stored & (blocks[:, BYTES] == 0) & (blocks[:, FINAL] == 0) if stored.any() else stored
    if not empty.any():
        return np.empty(0, np.int64)
    ends = np.cumsum(blocks[:, BYTES], dtype=np.int64)
    # The walk takes the first block at such a place for it; so it must be, or follow others of its like
    begins = empty & ~np.concatenate([[False], empty[:-1]])
    there = begins & np.concatenate([[True], blocks[:-1, BYTES] > 0])
    latest = np.maximum.accumulate(np.where(begins, np.arange(len(blocks)), 0))
    flushes: Integers = ends[empty & there[latest]]
    if not len(flushes):
        return flushes
    lengths = np.minimum(stream.tokens & LENGTHS, LONGEST).astype(np.int64)
    stored = np.cumsum(np.where(blocks[:, TYPE] == STORED, blocks[:, BYTES], 0), dtype=np.int64)
    places = np.cumsum(lengths) - lengths + np.repeat(stored, blocks[:, COUNT])
    sources = places - (stream.tokens >> TOKEN_BITS)
    farthest = np.append(np.minimum.accumulate(sources[::-1])[::-1], ends[-1])
    return 2 * flushes + (farthest[np.searchsorted(places, flushes)] >= flushes)


def _extent(tokens: NDArray[np.int32]) -> tuple[int, int]:
    """The length of the shortest match, and how far one points at most; zeros if there is none."""
    shortest, farthest = LENGTHS, 0
    for first in range(0, len(tokens), _SLAB):
        some = tokens[first : first + _SLAB]
        matches = some[some > LENGTHS]
        if len(matches):
            shortest = min(shortest, int((matches & LENGTHS).min()))
            farthest = max(farthest, int(matches.max()) >> TOKEN_BITS)
    return (shortest if farthest else 0), farthest


def _strategies(blocks: NDArray[np.int32], shortest: int, farthest: int) -> tuple[list[int], tuple[int, ...]]:
    """Strategies of zlib that may have made a stream with such matches, and levels: some make no difference without
    any."""
    if not shortest:
        stored = bool((blocks[:, TYPE] == STORED).any())
        return [DEFAULT, ONLY_HUFFMAN, FILTERED, RLE], _LEVELS if stored else (6, 1)
    only_fixed = bool((blocks[blocks[:, COUNT] > 0, TYPE] == FIXED).all())
    strategies = [DEFAULT, ONLY_FIXED] if only_fixed else [DEFAULT]
    if shortest >= 6:
        strategies.insert(0, FILTERED)
    if farthest == 1:
        strategies.append(RLE)
    return strategies, _LEVELS


def _memories(blocks: NDArray[np.int32]) -> list[int]:
    """The memory levels of zlib that may go with the sizes of blocks, the usual ones first."""
    room = {memory: (1 << (memory + 6)) - 1 for memory in _MEMORIES}
    largest = int(blocks[:, COUNT].max(initial=0))
    if largest == 0 and len(blocks) > 1:  # all are stored
        largest = int(blocks[:-1, BYTES].max())
        return [memory for memory in room if room[memory] <= largest <= room[memory] * 4 // 3] or [8]
    exactly = [memory for memory in room if room[memory] == largest]
    return exactly or [memory for memory in room if room[memory] > largest] or [9]
