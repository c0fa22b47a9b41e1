"""Which encoder made a deflate stream, or comes nearest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bitsback.files.deflate.recipe import (
    CHEAPEST,
    DEFAULT,
    FILTERED,
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
_TINY = 256
"""Tokens of which stb and zlib are likely to make the same."""
_MANY_WRONG, _SURELY, _LIKELY, _HARDLY = 16, 50, 16, 8
"""If there is more than one correction for so many tokens, maybe the cheapest way was looked for; surely, if there is
less than one byte of them for so many tokens then; likely, so that no others are compared, for so many; hardly, so that
it is not tried with other rules, if there is more than one for so many."""
_SHORT_TRIAL, _LONG_TRIAL = 1 << 11, 1 << 14
"""Tokens on which encoders are compared, if none explains them all."""
_FEW = 16
"""Numbers that may correct what counts as explained: an unusual end, blocks that were flushed."""
_ALIKE, _FAR = 32, 1 << 16
"""Encoders that may need a few numbers, and a quarter of that that may fail after so many steps, before no others are
looked for."""
_FINALISTS = 2
"""Encoders that are compared on all tokens, if none explains them."""
_STEPS, _STEPS_MORE = 16, 1 << 22
"""So many steps for each byte, and these: when they are gone, what was found until then has to do. Where the same comes
again and again, each byte has thousands of places to be compared with, and each encoder would look at them."""


def explain(plain: Buffer, stream: Stream, most: int = 1 << 30) -> Recipe | None:
    """The recipe of a stream, or None if corrections would take more than ``most`` bytes.

    First one is looked for that explains all: an encoder that does not is given up after a few tokens that it would
    have chosen otherwise. If there is none, encoders are compared on the first tokens, and the best of them on all.
    """
    return _Search(plain, stream, most).recipe()


class _Search:
    """What made a stream."""

    def __init__(self, plain: Buffer, stream: Stream, most: int) -> None:
        self._data, self._stream, self._most = read_only(plain), stream, most
        self._flushes = flushes_of(stream)
        self._strategies, self._levels = _strategies(stream)
        self._memories = _memories(stream.blocks)
        self._literal = not (stream.tokens >> TOKEN_BITS).any()
        farthest = int((stream.tokens >> TOKEN_BITS).max(initial=0))
        size = len(self._data)
        self._left = _STEPS * size + _STEPS_MORE
        self._windows = [bits for bits in range(9, 15) if 0 < farthest <= (1 << bits) - 262 and size > 1 << bits]

    def recipe(self) -> Recipe | None:
        explained = self._explained()
        if explained is not None:
            return explained
        costs = self._near()
        found: list[Recipe] = []
        tokens = len(self._stream.tokens)
        if min(costs.values()) * _MANY_WRONG > min(_SHORT_TRIAL, tokens):
            for rules in _CHEAPEST if self._left > 0 else ():
                found += self._corrected(rules)
                if found and len(found[-1].corrections) * _SURELY < tokens:
                    return found[-1]
                if not found or len(found[0].corrections) * _HARDLY > tokens or self._left < 0:
                    break
            if any(len(recipe.corrections) * _LIKELY < tokens for recipe in found):
                return min(found, key=lambda recipe: len(recipe.corrections))
        for rules in self._nearest(costs):
            if self._left > 0 or not found:
                found += self._corrected(rules)
        return min(found, key=lambda recipe: len(recipe.corrections), default=None)

    def _walk(self, rules: Rules) -> Walk:
        return Walk(self._data, self._flushes if rules[4] != CHEAPEST else self._flushes[:0], rules_of(*rules))

    def _corrected(self, rules: Rules) -> list[Recipe]:
        walk = self._walk(rules)
        corrections = walk.corrections(self._stream, self._most)
        self._left -= walk.steps
        return [] if corrections is None else [Recipe(rules, corrections)]

    def _cost(self, rules: Rules, limit: int, room: int) -> int:
        """How many numbers correct the first tokens."""
        walk = self._walk(rules)
        cost = walk.cost(self._stream, limit, room)
        self._left -= walk.steps
        return cost

    def _explained(self) -> Recipe | None:
        """The best of what explains all, or nearly so."""
        found: list[Recipe] = []
        alike = 0
        for rules in self._encoders():
            walk = self._walk(rules)
            corrections = walk.corrections(self._stream, self._most, _FEW)
            if corrections == b"":
                return Recipe(rules)
            if corrections is not None:
                found.append(Recipe(rules, corrections))
            alike += 1 if corrections is not None else 4 * (walk.steps > _FAR)
            if alike >= _ALIKE:
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

    def _nearest(self, costs: dict[Rules, int]) -> list[Rules]:
        """Those that need the fewest corrections."""
        if len(self._stream.tokens) > _SHORT_TRIAL:
            shorter, costs = costs, {}
            for rules in sorted(shorter, key=shorter.__getitem__):
                if costs and self._left < 0:
                    break
                costs[rules] = self._cost(rules, _LONG_TRIAL, 4 * _LONG_TRIAL)
        return sorted(costs, key=costs.__getitem__)[:_FINALISTS]


def flushes_of(stream: Stream) -> Integers:
    """Where the stream has empty stored blocks that an encoder makes when it is asked to flush, twice; and one more
    where nothing behind refers to what was before."""
    blocks = stream.blocks
    ends = np.cumsum(blocks[:, BYTES], dtype=np.int64)
    empty = (blocks[:, TYPE] == STORED) & (blocks[:, BYTES] == 0) & (blocks[:, FINAL] == 0)
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


def _strategies(stream: Stream) -> tuple[list[int], tuple[int, ...]]:
    """Strategies of zlib that may have made a stream, and levels: some make no difference without matches."""
    blocks = stream.blocks
    lengths, distances = stream.tokens & LENGTHS, stream.tokens >> TOKEN_BITS
    matches = lengths[lengths > 1]
    if not len(matches):
        stored = bool((blocks[:, TYPE] == STORED).any())
        return [DEFAULT, ONLY_HUFFMAN, FILTERED, RLE], _LEVELS if stored else (6, 1)
    only_fixed = bool((blocks[blocks[:, COUNT] > 0, TYPE] == FIXED).all())
    strategies = [DEFAULT, ONLY_FIXED] if only_fixed else [DEFAULT]
    if int(matches.min()) >= 6:
        strategies.insert(0, FILTERED)
    if int(distances.max()) == 1:
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
