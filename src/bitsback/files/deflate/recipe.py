"""The recipe of a deflate stream: an encoder's rules, and what it chose otherwise.

    recipe = explain(plain, stream)        Recipe(rules=(6, 8, 0, 15, 0), corrections=b""); in :mod:`.search`
    stream = rebuild(plain, recipe)

For whatever zlib wrote, a few numbers say all. Other encoders are told as corrections to what comes nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bitsback.files.deflate import passes
from bitsback.files.deflate import walk as walks
from bitsback.files.deflate.chances import CHANCES
from bitsback.files.deflate.coder import FAULT, one_number, pack, unpack
from bitsback.files.deflate.lists import (
    ENOUGH,
    EVENTS,
    FLUSHES,
    LISTS,
    NUMBERS,
    ODD_BITS,
    RUNNING,
    RUNS,
    STATE,
    WORK,
)
from bitsback.files.deflate.plan import CODES, MOST_MATCHES, TREES, plan, tell
from bitsback.files.deflate.stream import Stream
from bitsback.files.deflate.symbols import (
    BLOCK,
    BYTES,
    COUNT,
    FIXED_LENGTHS,
    LONGEST,
    PAD,
    TABLES,
)
from bitsback.files.deflate.trees import Scratch, shape
from bitsback.files.deflate.walk import GREEDY, HUFFMAN, LAZY, PLANNED, RING, RULES, RUN_LENGTHS, walk
from bitsback.files.picture import Buffer

Integers = NDArray[np.int64]

DEFAULT, FILTERED, ONLY_HUFFMAN, RLE, ONLY_FIXED = range(5)
"""zlib's strategies."""

_LEVELS = {
    1: (GREEDY, 4, 4, 8, 4),
    2: (GREEDY, 4, 5, 16, 8),
    3: (GREEDY, 4, 6, 32, 32),
    4: (LAZY, 4, 4, 16, 16),
    5: (LAZY, 8, 16, 32, 32),
    6: (LAZY, 8, 16, 128, 128),
    7: (LAZY, 8, 32, 128, 256),
    8: (LAZY, 32, 128, 258, 1024),
    9: (LAZY, 32, 258, 258, 4096),
}
"""How zlib searches at each level: good, lazy, nice, chain."""


FAMILIES = ZLIB, OTHER, STB, CHEAPEST, IN_PASSES = range(5)
"""Whose rules: zlib's own; its searches in a full window, without its rules about which matches are not worth it;
those of ``stb_image_write.h``, whose quality is the level; the cheapest way (:mod:`.plan`); or the cheapest runs, in
passes (:mod:`.passes`)."""

_WAYS = {7: (75, 35), 8: (150, 100), 9: (258, 300)}
"""How far libdeflate looks for the cheapest way at its levels 10 to 12: nice, chain."""
_ALL_WAYS = (258, 4096)
"""The same for others."""

_PASSES = {1: (1, 64), 2: (3, 128), 3: (5, 255), 4: (15, 255)}
"""How often AdvanceCOMP goes through a block, and how many bytes are enough at once: with -2, -3 and -4 of version 1,
and with -3 of version 2."""
_MORE_PASSES = (255, 255)
"""The same for others."""

Rules = tuple[int, int, int, int, int]
"""zlib's level, memory level, strategy and bits of its window; the family."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """``corrections`` are empty where the rules say all."""

    rules: Rules
    corrections: bytes = b""


@cache
def rules_of(level: int, memory: int, strategy: int, window: int, family: int = ZLIB) -> Integers:
    """The rules (int64) by which an encoder searches; read-only. Raises ValueError if there is no such encoder."""
    if not (1 <= level <= 9 and 1 <= memory <= 9 and 0 <= strategy <= 4 and 8 <= window <= 15 and family in FAMILIES):
        raise ValueError("no encoder has such parameters")
    half = 1 << max(window, 9)
    rules = np.zeros(RULES, np.int64)
    rules[: walks.CHAIN + 1] = _LEVELS[level]
    if strategy in (ONLY_HUFFMAN, RLE):
        rules[walks.SEARCH] = HUFFMAN if strategy == ONLY_HUFFMAN else RUN_LENGTHS
    rules[walks.HASH_BITS] = memory + 7
    rules[walks.MAX_DISTANCE] = half if family != ZLIB else half - 262
    rules[walks.MAX_TOKENS] = (1 << (memory + 6)) - 1
    rules[walks.SHORTEST] = 6 if strategy == FILTERED else 3
    rules[walks.TOO_FAR] = half if family != ZLIB else 4096
    rules[walks.FIRST] = family == ZLIB
    rules[walks.ONLY_FIXED] = strategy == ONLY_FIXED
    rules[walks.SPAN] = 0 if family != ZLIB else half
    rules[walks.ACROSS] = family not in (ZLIB, IN_PASSES)
    if family == STB:
        rules[: walks.CHAIN + 1] = (LAZY, *(1 << 9,) * 4)
        rules[walks.HASH_BITS] = 14
        rules[walks.MAX_DISTANCE] = half - 1
        rules[walks.MAX_TOKENS] = 1 << 30
        rules[walks.KEPT] = max(level, 5)
    if family == CHEAPEST:
        rules[walks.SEARCH], rules[walks.GOOD] = PLANNED, strategy == FILTERED
        rules[walks.NICE], rules[walks.CHAIN] = _WAYS.get(level, _ALL_WAYS)
        rules[walks.MAX_TOKENS] = 1 << 30
    if family == IN_PASSES:
        rules[walks.SEARCH], rules[walks.CHAIN], rules[walks.MAX_TOKENS] = PLANNED, 255, passes.MOST_TOKENS
        rules[walks.PASSES], rules[walks.NICE] = _PASSES.get(level, _MORE_PASSES)
    rules.flags.writeable = False
    return rules


def rebuild(plain: Buffer, recipe: Recipe) -> Stream:
    """What the encoder chose. Raises ValueError if the recipe cannot be followed."""
    return Walk(read_only(plain), _NONE, rules_of(*recipe.rules)).followed(recipe.corrections)


_NONE = np.empty(0, np.int64)
_NO_ITEMS = np.empty(0, np.int32)


def read_only(plain: Buffer) -> NDArray[np.uint8]:
    """Bytes as kernels take them."""
    data = np.frombuffer(plain, np.uint8)
    data.flags.writeable = False
    return data


MANY = 1 << 40
"""More tokens, or numbers, than there ever are."""


_MANY_COMPARED, _MANY_PLACES = 64, 1 << 11
"""So many positions that a search may look at, in so many bytes, from which on it pays to know them by four, too."""


def most_steps(size: int) -> int:
    """More steps than zlib takes at any level for so many plain bytes, but where its searches are at their worst."""
    return 2_000 * size + (1 << 24)


def _most_blocks(size: int) -> int:
    """More blocks than a stream of so many plain bytes can have: it has 15 bits for each, and a block in 16 bytes."""
    return 1024 + size // 8


class Walk:
    """A prediction by some rules, of no more than so many ``steps``; to be used once."""

    def __init__(self, plain: NDArray[np.uint8], flushes: Integers, rules: Integers, steps: int = MANY) -> None:
        self.plain, self.flushes, self.rules = plain, flushes, rules
        self.state = np.zeros(STATE, np.int64)
        self.state[RUNNING : RUNNING + LISTS] = -1
        self.state[WORK] = self._work = min(steps, most_steps(len(plain)))
        self.planned = int(rules[walks.SEARCH]) == PLANNED
        self._choice, self._codes = np.empty(0, np.int32), np.empty((0, CODES), np.uint8)

    @property
    def steps(self) -> int:
        """How many positions were looked at."""
        return self._work - int(self.state[WORK])

    def cost(self, stream: Stream, limit: int, room: int) -> int:
        """How many numbers correct the first tokens; many if more than ``room``, or if it cannot be done."""
        events = np.empty(room + RUNS, np.int64)
        count, _ = self._tokens(stream.tokens, stream.blocks.copy(), events, 1, limit)
        return int(self.state[NUMBERS]) if count >= 0 and not self.state[FAULT] else MANY

    def corrections(self, stream: Stream, most: int, room: int = MANY) -> bytes | None:
        """All corrections; None if they take more than ``most`` bytes or ``room`` numbers, or cannot be written."""
        needed = 8 * min(most, len(stream.tokens)) + (64 + self.planned * 2 * CODES) * len(stream.blocks) + 400
        events = np.empty(min(needed, room) + RUNS, np.int64)
        blocks = stream.blocks.copy()
        if self.planned and self._planned(blocks, stream.items, events, 1) < 0:
            return None
        count, tokens = self._tokens(stream.tokens, blocks, events, 1, MANY)
        if count < 0 or self._shapes(tokens, blocks, stream.items, events, 1) < 0 or self.state[FAULT]:
            return None
        odd = _odd_bits(stream)
        if not self.state[NUMBERS] and not len(self.flushes) + len(odd):
            return b""
        flushes = _NONE if self.planned else FLUSHES << 32 | np.append(np.diff(self.flushes, prepend=0) + 1, 0)
        events = np.concatenate([flushes, events[: self.state[EVENTS]], odd, [ODD_BITS << 32]])
        return pack(events.astype(np.int64), CHANCES, most)

    def followed(self, corrections: bytes) -> Stream:
        """What corrections lead to. Raises ValueError."""
        if corrections:
            events = unpack(corrections, CHANCES, self.state)
            if not self.planned:
                self.flushes = self._flushes_told(events)
        else:
            events = _NONE
            self.state[RUNNING : RUNNING + LISTS] = ENOUGH
        room = _most_blocks(len(self.plain))
        if not corrections:
            room = min(room, len(self.plain) // int(self.rules[walks.MAX_TOKENS]) + 4)
        blocks = np.zeros((room, BLOCK), np.int32)
        if self.planned:
            told = self._planned(blocks, _NO_ITEMS, events, 0)
            if told < 0:
                raise ValueError("corrections to the plan of a deflate stream that do not fit")
            blocks = blocks[:told]
        count, tokens = self._tokens(np.empty(0, np.int32), blocks, events, 0, MANY)
        if count < 0 or self.state[FAULT]:
            raise ValueError("corrections to the tokens of a deflate stream that do not fit")
        blocks = blocks[:count]
        items = np.empty(320 * count, np.int32)
        described = self._shapes(tokens, blocks, items, events, 0)
        if described < 0 or self.state[FAULT]:
            raise ValueError("corrections to the blocks of a deflate stream that do not fit")
        padding = self._odd_bits_told(blocks, events) if corrections else 0
        return Stream(tokens[: int(blocks[:, COUNT].sum())], blocks, items[:described], padding)

    def _flushes_told(self, events: Integers) -> Integers:
        """Where the encoder was asked to flush. Raises ValueError."""
        flushes: list[int] = []
        at = 0
        while step := self._next(FLUSHES, events):
            at += step - 1
            if at >> 1 > len(self.plain) or len(flushes) == _most_blocks(len(self.plain)):
                raise ValueError("a flush after the end of a deflate stream")
            flushes.append(at)
        return np.array(flushes, np.int64)

    def _odd_bits_told(self, blocks: NDArray[np.int32], events: Integers) -> int:
        """Put bits without meaning into ``blocks``; returns those after the last. Raises ValueError."""
        place = padding = 0
        while step := self._next(ODD_BITS, events):
            place += step - 1
            bits = self._next(ODD_BITS, events)
            if place > len(blocks):
                raise ValueError("bits after the last block of a deflate stream")
            if place == len(blocks):
                padding = bits
            else:
                blocks[place, PAD] = bits
        if self.state[FAULT]:
            raise ValueError("impossible bits without meaning in a deflate stream")
        return padding

    def _next(self, name: int, events: Integers) -> int:
        return int(one_number(name, self.state, events))

    def _planned(self, blocks: NDArray[np.int32], items: NDArray[np.int32], events: Integers, known: int) -> int:
        """Sizes and types of blocks, and what is expected in them. Returns how many there are, -1 if that cannot be."""
        if self.rules[walks.PASSES]:
            return self._plan_in_passes(blocks, events, known)
        told = self._tell(blocks, items, events, known)
        return told if told >= 0 and self._plan(blocks[:told], events, known) else -1

    def _plan_in_passes(self, blocks: NDArray[np.int32], events: Integers, known: int) -> int:
        self._choice = np.zeros(len(self.plain), np.int32)
        tree = np.full(passes.TREE, -1, np.int32)
        found, starts = np.empty(passes.MATCHES, np.int32), np.empty(passes.PLACES, np.int64)
        ways = (np.empty((2, passes.RUN + LONGEST + 2), np.int64), np.empty(passes.RUN + LONGEST + 2, np.int32))
        scratch = (np.empty((2, 580), np.int64), np.empty((4, 580), np.int32), np.empty(320, np.uint8), self._choice)
        arrays = (self.rules, TABLES, passes.checks(), tree, found, starts, *ways, *scratch, self.state, events)
        count = int(passes.plan_in_passes(self.plain, blocks, *arrays, known))
        return -1 if self.state[FAULT] else count

    def _tell(self, blocks: NDArray[np.int32], items: NDArray[np.int32], events: Integers, known: int) -> int:
        """Sizes and types of blocks, before all else. Returns how many there are, -1 if that cannot be."""
        self._codes = np.zeros((len(blocks), CODES), np.uint8)
        count = int(tell(len(self.plain), blocks, items, self._codes, self.state, events, known))
        return -1 if self.state[FAULT] else count

    def _plan(self, blocks: NDArray[np.int32], events: Integers, known: int) -> bool:
        """What is expected in the blocks, and the lengths of their codes."""
        self._choice = np.zeros(len(self.plain), np.int32)
        largest = int(blocks[:, BYTES].max(initial=0)) + LONGEST + 1
        trees = np.full(TREES, -1, np.int32)
        found = np.empty(min(8 * largest, MOST_MATCHES), np.int32)
        places = (np.empty(largest, np.int32), np.empty(largest, np.int64))
        scratch = (np.empty((2, 580), np.int64), np.empty((4, 580), np.int32), np.empty(320, np.uint8), self._choice)
        arrays = (self._codes, self.rules, FIXED_LENGTHS, TABLES, trees, found, *places, *scratch)
        return bool(plan(self.plain, blocks, *arrays, self.state, events, known)) and not self.state[FAULT]

    def _tokens(
        self, given: NDArray[np.int32], blocks: NDArray[np.int32], events: Integers, known: int, limit: int
    ) -> tuple[int, NDArray[np.int32]]:
        tokens = np.empty(max(1, min(len(self.plain), 8 * limit + 1)), np.int32)
        heads = np.full((1 + (self.rules[walks.KEPT] > 0)) << int(self.rules[walks.HASH_BITS]), -1, np.int32)
        chains = (heads, np.empty(RING, np.int32), self._rarer())
        scratch = (*chains, np.empty(walks.CURSOR, np.int64), np.empty(STATE, np.int64))
        arrays = (given, blocks, tokens, self._choice, self.state, events, *scratch)
        return int(walk(walks.Trail(self.plain, self.flushes, self.rules, *arrays), known, limit)), tokens

    def _rarer(self) -> walks.Rarer:
        """Room to know positions by what is rarer, where many positions are compared with each place."""
        few = self.rules[walks.CHAIN] < _MANY_COMPARED or len(self.plain) < _MANY_PLACES
        if few or self.planned or self.rules[walks.KEPT]:
            return walks.Rarer(_NO_ITEMS, _NO_ITEMS, _NO_ITEMS)
        bits = min(16, len(self.plain).bit_length())
        return walks.Rarer(np.full(1 << bits, -1, np.int32), np.empty(RING, np.int32), np.empty(RING, np.int32))

    def _shapes(
        self,
        tokens: NDArray[np.int32],
        blocks: NDArray[np.int32],
        items: NDArray[np.int32],
        events: Integers,
        known: int,
    ) -> int:
        # Zeros, as headers may tell of more codes than a stream can use: the lengths of those that are there are zeros
        scratch = Scratch(np.zeros((3, 580), np.int64), np.zeros((5, 320), np.uint8), np.zeros((4, 580), np.int32))
        arrays = (tokens, self.plain, blocks, items, self._codes, TABLES, scratch, self.state, events)
        return int(shape(len(self.plain), self.rules, *arrays, known))


def _odd_bits(stream: Stream) -> Integers:
    """Bits without meaning as events."""
    odd = [(int(place), int(stream.blocks[place, PAD])) for place in np.flatnonzero(stream.blocks[:, PAD])]
    if stream.padding:
        odd.append((len(stream.blocks), stream.padding))
    events, before = [], 0
    for place, bits in odd:
        events += [ODD_BITS << 32 | (place - before + 1), ODD_BITS << 32 | bits]
        before = place
    return np.array(events, np.int64)
