"""Which matches an encoder takes: zlib's searches, and what differs from them.

:func:`walk` goes through the plain data as zlib does (version 1.2.5 and later; ``deflate.c``), with its tables of
positions by hash, its budgets and its rules of which match is taken, and predicts token by token and block by block.
Where the choice was another, this is noted, and the prediction goes on from what was chosen. The same code follows the
notes, to make the same choices again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.files.deflate.coder import FAULT
from bitsback.files.deflate.lists import (
    ALIAS,
    BLOCK_END,
    ENDS,
    FAR,
    HOPS,
    LAST,
    LAZY_LENGTH,
    LITERAL_LENGTH,
    OTHER_LENGTH,
    STATE,
    WORK,
    agreed,
    agreed_at_once,
    begin,
    number,
    signed,
    unsigned,
)
from bitsback.files.deflate.symbols import (
    BLOCK,
    BYTES,
    COUNT,
    FINAL,
    KNOWN,
    LENGTHS,
    LONGEST,
    LONGEST_AS_284,
    STORED,
    TOKEN_BITS,
    TYPE,
    WINDOW,
)
from bitsback.kernels import helper, kernel, vectorised
from bitsback.kernels.values import LONG
from bitsback.kernels.vectors import SHORT

HUFFMAN, RUN_LENGTHS, GREEDY, LAZY, PLANNED = range(5)
"""How matches are looked for: not at all, at distance 1 only, the first best one, with a look at the next byte, or
before all else (:mod:`.plan`)."""

(
    SEARCH,
    GOOD,
    MAX_LAZY,
    NICE,
    CHAIN,
    HASH_BITS,
    MAX_DISTANCE,
    MAX_TOKENS,
    SHORTEST,
    TOO_FAR,
    FIRST,
    ONLY_FIXED,
    SPAN,
    ACROSS,
    KEPT,
    PASSES,
) = range(16)
"""Places in the rules of an encoder: how it searches; zlib's four numbers of a level; bits of its hash; how far matches
may point; tokens of a block; the shortest match that is taken; how far one of 3 bytes may point; the first position
that is found again; whether trees are always fixed; half the size of the buffer that a stored block must still lie in
(0: no matter); whether descriptions of codes run on from literals to distances; half the positions of one hash that
there is room for (0: zlib, for which that is no matter); passes through each block (0: not in passes)."""
RULES = 16

PATIENCE = 8192
"""How far a chain is followed to find a match that was not predicted: so many positions, fewer where each has many
equal bytes."""
ALIKE = 4
"""Comparing 2^4 equal bytes counts as a step, as looking at another position does."""
RING = 2 * WINDOW
"""Positions of which it is known which other one came before with the same hash: more than are looked at, so that none
of these is overwritten."""
_MASK = RING - 1


@helper
def hash_of(plain, at, bits, shift):  # type: ignore[no-untyped-def]
    """zlib's hash of the three bytes at a place."""
    three = np.int64(plain[at]) << (2 * shift) ^ np.int64(plain[at + 1]) << shift ^ np.int64(plain[at + 2])
    return three & ((1 << bits) - 1)


@helper
def bucket_of(plain, at, bits, shift, kept):  # type: ignore[no-untyped-def]
    """The hash of a place: zlib's or, where ``kept``, that of ``stb_image_write.h``, both of three bytes."""
    if kept == 0:
        return hash_of(plain, at, bits, shift)
    key = np.int64(plain[at]) | np.int64(plain[at + 1]) << 8 | np.int64(plain[at + 2]) << 16
    key = (key ^ key << 3) & 0xFFFFFFFF
    key = (key + (key >> 5)) & 0xFFFFFFFF
    key = (key ^ key << 4) & 0xFFFFFFFF
    key = (key + (key >> 17)) & 0xFFFFFFFF
    key = (key ^ key << 25) & 0xFFFFFFFF
    key = key + (key >> 6)
    return key & ((1 << bits) - 1)


@helper
def rarer_hash_of(plain, at, rarer):  # type: ignore[no-untyped-def]
    """A hash of the four bytes at a place, as large as there are heads."""
    four = np.int64(plain[at]) | np.int64(plain[at + 1]) << 8 | np.int64(plain[at + 2]) << 16
    four |= np.int64(plain[at + 3]) << 24
    return (four * 0x1E3779B97F4A7C15) >> 40 & (rarer.heads.size - 1)


@helper
def insert(at, key, trail):  # type: ignore[no-untyped-def]
    """Note a position, and with stb how many there are by its hash: of those that it has no room for, half go."""
    heads, rarer, bits, kept = trail.heads, trail.rarer, trail.rules[HASH_BITS], trail.rules[KEPT]
    before = np.int64(heads[key])
    trail.chains[at & _MASK] = before
    heads[key] = at
    if kept > 0:
        there = (1 << bits) + key
        heads[there] = kept if heads[there] == 2 * kept - 1 else heads[there] + 1
    if rarer.heads.size > 0:
        rarer.counts[at & _MASK] = rarer.counts[before & _MASK] + 1 if before >= 0 else 0
        if at + 3 < trail.plain.size:
            four = rarer_hash_of(trail.plain, at, rarer)
            rarer.chains[at & _MASK] = rarer.heads[four]
            rarer.heads[four] = at


@vectorised
def two_bytes(v, plain, at):  # type: ignore[no-untyped-def]
    """Of a place, as a number that is good for comparing."""
    return plain.load(at, SHORT).to(LONG)


@vectorised
def eight_bytes(v, plain, at):  # type: ignore[no-untyped-def]
    """The same of eight."""
    return plain.load(at, LONG)


@helper
def same_bytes(plain, one, other, most):  # type: ignore[no-untyped-def]
    """How many bytes agree at two places, up to ``most``."""
    count = np.int64(0)
    while count + 8 <= most and eight_bytes(plain, one + count) == eight_bytes(plain, other + count):
        count += 8
    while count < most and plain[one + count] == plain[other + count]:
        count += 1
    return count


@helper
def lengths_at(at, trail):  # type: ignore[no-untyped-def]
    """How long a match can be here, and how long one is long enough."""
    left = trail.cursor[END] - at
    return min(left, LONGEST), min(trail.rules[NICE], left)


@helper
def search(at, shortest, low, chain, trail):  # type: ignore[no-untyped-def]
    """zlib's ``longest_match``: the first of the longest matches that are longer than ``shortest``, and not before
    ``low``; 0 if there is none. All but the latest position must be nearer than the farthest by one, but with stb."""
    plain, chains, rules = trail.plain, trail.chains, trail.rules
    most, nice = lengths_at(at, trail)
    left = np.int64(chain)
    if shortest >= rules[GOOD]:
        left >>= 2
    best = np.int64(shortest)
    found = np.int64(0)
    compared = np.int64(0)
    there = np.int64(chains[at & _MASK])
    low = max(at - rules[MAX_DISTANCE], low)
    if best < most and there >= low:
        if rules[KEPT] == 0:
            low = max(at - rules[MAX_DISTANCE] + 1, low)
        last = two_bytes(plain, at + best - 1)
        while True:
            if two_bytes(plain, there + best - 1) == last:
                length = same_bytes(plain, there, at, most)
                compared += length
                if length > best:
                    best = length
                    found = (at - there) << TOKEN_BITS | length
                    if length >= nice:
                        break
                    last = two_bytes(plain, at + best - 1)
            left -= 1
            if left == 0:
                break
            if best > 2 and trail.rarer.heads.size > 0:
                found = search_rarer(at, there, best, found, low, left, trail)
                break
            there = np.int64(chains[there & _MASK])
            if there < low:
                break
    trail.state[WORK] -= chain - left + 1 + (compared >> ALIKE)
    return found


@helper
def between(there, other, rarer):  # type: ignore[no-untyped-def]
    """How many positions of one hash zlib goes back from ``there`` to another."""
    return (np.int64(rarer.counts[there & _MASK]) - rarer.counts[other & _MASK]) & 0xFFFFFFFF


@helper
def search_rarer(at, there, best, found, low, left, trail):  # type: ignore[no-untyped-def]
    """Go on before ``there`` where only matches of four bytes and more are longer: among positions that have these, of
    which there are fewer. The others count, too: so many are ``left``."""
    plain, rarer = trail.plain, trail.rarer
    most, nice = lengths_at(at, trail)
    last = two_bytes(plain, at + best - 1)
    compared = np.int64(0)
    looks = np.int64(left)
    other = np.int64(rarer.chains[at & _MASK])
    while other >= there:
        other = np.int64(rarer.chains[other & _MASK])
        compared += 1 << ALIKE
    while other >= low:
        if looks <= 0 and same_bytes(plain, other, at, 3) == 3 and between(there, other, rarer) > left:
            break
        if two_bytes(plain, other + best - 1) == last:
            length = same_bytes(plain, other, at, most)
            compared += length
            if length > best:
                if between(there, other, rarer) > left:
                    break
                best = length
                found = (at - other) << TOKEN_BITS | length
                if length >= nice:
                    break
                last = two_bytes(plain, at + best - 1)
        looks -= 1
        other = np.int64(rarer.chains[other & _MASK])
    trail.state[WORK] -= left - looks + (compared >> ALIKE)
    return found


@helper
def run_at(plain, at, end):  # type: ignore[no-untyped-def]
    """The match at distance 1."""
    if at == 0:
        return np.int64(0)
    length = same_bytes(plain, at - 1, at, min(end - at, LONGEST))
    return np.int64(1) << TOKEN_BITS | length if length >= 3 else np.int64(0)


AT, TOKEN, TAKEN, INSERTED, CARRIED, MISSED, STOP, MOST, END, ORIGIN, FLUSH = range(11)
"""Places in a cursor: the position, the token that comes next, and the next of those that were chosen; up to where
positions can be found; the match that was found here already, -1 if none was looked for, and whether the last
prediction failed; where this block ends at the latest, and after how many tokens; where the encoder was asked to flush
next, from where on its matches begin, and how many flushes there were."""
CURSOR = 11

FOLLOWED, IMAGINED, COUNTED = range(3)
"""What the tokens of a block are: the stream's; those that would be in a stored one, which may end where they do; or no
matter, as the size of a stored one is told."""


class Rarer(NamedTuple):
    """Positions by what is rarer than the three bytes of zlib's hash: by four. Empty where searches are short."""

    heads: NDArray[np.int32]
    """The last position of each hash, -1 if there is none, and for each position the one before it:"""
    chains: NDArray[np.int32]
    counts: NDArray[np.int32]
    """For each position, how many are before it of zlib's hash."""


class Trail(NamedTuple):
    """What a walk works on."""

    plain: NDArray[np.uint8]
    flushes: NDArray[np.int64]
    """Twice the positions of empty stored blocks that an encoder was asked for, and one more where it forgot what was
    before."""
    rules: NDArray[np.int64]
    given: NDArray[np.int32]
    """The tokens that were chosen, where they are known."""
    blocks: NDArray[np.int32]
    """(blocks, BLOCK): read where they are known, else written; of planned ones, sizes and types are there."""
    tokens: NDArray[np.int32]
    """Receives all tokens, in stored blocks the predicted ones."""
    choice: NDArray[np.int32]
    """For each position, what was planned."""
    state: NDArray[np.int64]
    events: NDArray[np.int64]
    heads: NDArray[np.int32]
    """The last position of each hash, -1 if there is none, with stb also how many there are; and, for each position,
    the one before it:"""
    chains: NDArray[np.int32]
    rarer: Rarer
    cursor: NDArray[np.int64]
    """(CURSOR,), written."""
    saved: NDArray[np.int64]
    """(STATE,), room for a state."""


@helper
def kind_of_prediction(predicted, best):  # type: ignore[no-untyped-def]
    """Which kind a token is by what is predicted: 0 and 1 for literals, 2 to 9 for matches."""
    kind = 0
    if predicted == 1:
        kind = 1 if best > 0 else 0
    else:
        length = predicted & LENGTHS
        kind = 9
        if length < 6:
            kind = length - 1
        elif length < 8:
            kind = 5
        elif length < 16:
            kind = 6
        elif length < 32:
            kind = 7
        elif length < LONGEST:
            kind = 8
    return kind


@helper
def distance_by_hops(token, trail, known):  # type: ignore[no-untyped-def]
    """The distance of a match whose length is known: how many other positions with as many equal bytes are nearer."""
    plain, chains, state, events, at = trail.plain, trail.chains, trail.state, trail.events, trail.cursor[AT]
    length = token & LENGTHS
    distance = token >> TOKEN_BITS
    hops = np.int64(0)
    if known == 0:
        distance = np.int64(-1)
        hops = number(HOPS, hops, state, events, known)
        if hops == 0:
            return number(FAR, hops, state, events, known) + 1
    count = np.int64(0)
    low = max(0, at - WINDOW + 1)
    there = np.int64(chains[at & _MASK]) if trail.cursor[INSERTED] > at else np.int64(-1)
    left = np.int64(PATIENCE)
    reached = 0
    while left > 0 and there >= low and reached == 0:
        equal = same_bytes(plain, there, at, length)
        left -= 1 + (equal >> ALIKE)
        if equal == length:
            count += 1
            if count == hops or at - there == distance:
                reached = 1
        if reached == 0:
            there = np.int64(chains[there & _MASK])
    state[WORK] -= PATIENCE - left
    if known == 0:
        if reached == 0:
            state[FAULT] = 1
        return at - there
    if reached == 0:
        number(HOPS, np.int64(0), state, events, known)
        number(FAR, distance - 1, state, events, known)
    else:
        number(HOPS, count, state, events, known)
    return distance


@helper
def corrected(token, predicted, best, kind, trail, known):  # type: ignore[no-untyped-def]
    """The token that was chosen instead of what was predicted: noted where it is known, or else from the notes."""
    state, events, at = trail.state, trail.events, trail.cursor[AT]
    length = token & LENGTHS
    expected = best & LENGTHS
    if predicted == 1:
        if best == 0:
            length = 3 + number(LITERAL_LENGTH, length - 3, state, events, known)
        else:
            length = expected + unsigned(number(LAZY_LENGTH, signed(length - expected), state, events, known))
    else:
        value = np.int64(0) if length == 1 else 1 + signed(length - expected)
        value = number(OTHER_LENGTH - 2 + kind, value, state, events, known)
        if value == 0:
            return np.int64(1)
        length = expected + unsigned(value - 1)
    if length < 3 or length > min(LONGEST, trail.plain.size - at):
        state[FAULT] = 1
        return np.int64(1)
    chosen = (token >> TOKEN_BITS) << TOKEN_BITS | length
    distance = distance_by_hops(chosen, trail, known)
    if distance < 1 or distance > min(at, WINDOW):
        state[FAULT] = 1
        return np.int64(1)
    return distance << TOKEN_BITS | length


@helper
def told_to_end(trail, known, bytes_there):  # type: ignore[no-untyped-def]
    """A stored block of a size that is told."""
    cursor = trail.cursor
    count = number(ENDS, 2 * np.int64(bytes_there) + 1, trail.state, trail.events, known)
    cursor[STOP] = cursor[AT] + (count >> 1)
    cursor[MOST] = np.int64(trail.plain.size + 1)


@helper
def end_of(block, marker, trail, known):  # type: ignore[no-untyped-def]
    """How a block ends: where the encoder's room for tokens does, after another number of them, or of bytes. Puts down
    where and after how many; returns what its tokens are."""
    cursor, state, events, blocks = trail.cursor, trail.state, trail.events, trail.blocks
    cursor[MOST] = trail.rules[MAX_TOKENS]
    cursor[STOP] = cursor[END]
    follows = FOLLOWED
    if marker:
        follows = COUNTED
        cursor[MOST] = 0
    elif trail.rules[SEARCH] == PLANNED:
        cursor[STOP] = cursor[AT] + blocks[block, BYTES]
        cursor[MOST] = np.int64(trail.plain.size + 1)
        if blocks[block, TYPE] == STORED:
            follows = COUNTED
    elif known:
        begin(BLOCK_END, state, events)
        for i in range(STATE):
            trail.saved[i] = state[i]
        if blocks[block, TYPE] == STORED and trail.rules[KEPT] > 0:
            agreed(BLOCK_END, False, state, events, known)
            told_to_end(trail, known, blocks[block, BYTES])
            follows = COUNTED
        elif blocks[block, TYPE] == STORED:
            follows = IMAGINED
            cursor[STOP] = min(cursor[END], cursor[AT] + blocks[block, BYTES])
        else:
            count = np.int64(blocks[block, COUNT])
            most = cursor[MOST]
            usual = count == most or (count < most and cursor[AT] + blocks[block, BYTES] == cursor[END])
            if not agreed(BLOCK_END, usual, state, events, known):
                number(ENDS, 2 * count, state, events, known)
                cursor[MOST] = count
                cursor[STOP] = np.int64(trail.plain.size)
    elif not agreed(BLOCK_END, False, state, events, known):
        count = number(ENDS, np.int64(0), state, events, known)
        cursor[STOP] = np.int64(trail.plain.size)
        cursor[MOST] = count >> 1
        if count & 1:
            follows = COUNTED
            cursor[STOP] = cursor[AT] + (count >> 1)
            cursor[MOST] = np.int64(trail.plain.size + 1)
        if cursor[STOP] > trail.plain.size:
            state[FAULT] = 1
    return follows


@helper
def noted(here, step, trail):  # type: ignore[no-untyped-def]
    """Let positions be found, up to this one. Returns how many of one hash are looked at."""
    cursor, heads, kept = trail.cursor, trail.heads, trail.rules[KEPT]
    bits = trail.rules[HASH_BITS]
    shift = (bits + 2) // 3
    chain = trail.rules[CHAIN]
    # stb looks at the next place before it knows whether that will be one of its own
    while cursor[INSERTED] <= (here if kept == 0 else here - step):
        key = bucket_of(trail.plain, cursor[INSERTED], bits, shift, kept)
        if kept > 0:
            chain = np.int64(heads[(1 << bits) + key]) + 1
        insert(cursor[INSERTED], key, trail)
        cursor[INSERTED] += 1
    if kept > 0 and step == 1:
        key = bucket_of(trail.plain, here, bits, shift, kept)
        chain = np.int64(heads[(1 << bits) + key]) + 1
        trail.chains[here & _MASK] = heads[key]
    return chain


@helper
def match_at(here, step, shortest, trail):  # type: ignore[no-untyped-def]
    """The match that the encoder finds at a place, ``step`` behind the one it is at; 0 if none."""
    rules, end, how = trail.rules, trail.cursor[END], trail.rules[SEARCH]
    found = np.int64(0)
    if end - here < (3 if rules[KEPT] == 0 else 4):
        return found
    if how == RUN_LENGTHS:
        found = run_at(trail.plain, here, end)
    elif how >= GREEDY:
        chain = noted(here, step, trail)
        if how == PLANNED:
            return np.int64(trail.choice[here])
        found = search(here, shortest, trail.cursor[ORIGIN], chain, trail)
        length = found & LENGTHS
        if how == LAZY and (length < rules[SHORTEST] or (length == 3 and found >> TOKEN_BITS > rules[TOO_FAR])):
            found = np.int64(0)
    return found


@helper
def token_of(predicted, best, trail, known):  # type: ignore[no-untyped-def]
    """The token of the stream where this one was predicted."""
    cursor, state, events = trail.cursor, trail.state, trail.events
    chosen = predicted
    if known:
        chosen = np.int64(trail.given[cursor[TAKEN]])
        cursor[TAKEN] += 1
    alias = chosen & LENGTHS == LONGEST_AS_284
    if alias:
        chosen -= 1
    kind = kind_of_prediction(predicted, best)
    likely = 2 * kind + cursor[MISSED]
    cursor[MISSED] = 0
    if not agreed_at_once(likely, chosen == predicted, state, events, known):
        cursor[MISSED] = 1
        chosen = corrected(chosen, predicted, best, kind, trail, known)
    elif known == 0:
        chosen = predicted
    trail.tokens[cursor[TOKEN]] = chosen
    if chosen & LENGTHS == LONGEST and not agreed(ALIAS, not alias, state, events, known):
        trail.tokens[cursor[TOKEN]] = chosen + 1
    return chosen


@helper
def imagined(predicted, best, trail, known):  # type: ignore[no-untyped-def]
    """Take the token that was predicted."""
    cursor = trail.cursor
    agreed(2 * kind_of_prediction(predicted, best) + cursor[MISSED], True, trail.state, trail.events, known)
    cursor[MISSED] = 0
    trail.tokens[cursor[TOKEN]] = predicted
    if predicted & LENGTHS == LONGEST:
        agreed(ALIAS, True, trail.state, trail.events, known)


@helper
def step_on(follows, trail, known):  # type: ignore[no-untyped-def]
    """Predict a token, take what was chosen, and go behind it."""
    cursor, rules, at = trail.cursor, trail.rules, trail.cursor[AT]
    best = cursor[CARRIED]
    if best < 0:
        best = match_at(at, 0, np.int64(2), trail)
    following = np.int64(0)
    shortest = best & LENGTHS
    if best > 0 and rules[SEARCH] == LAZY and shortest < rules[MAX_LAZY]:
        following = match_at(at + 1, 1, shortest, trail)
    predicted = np.int64(1) if best == 0 or following > 0 else best
    chosen = predicted
    if follows == FOLLOWED:
        chosen = token_of(predicted, best, trail, known)
    elif follows == IMAGINED:
        imagined(predicted, best, trail, known)
    length = chosen & LENGTHS
    if follows == COUNTED:
        length = min(length, cursor[STOP] - at)
    else:
        cursor[TOKEN] += 1
    cursor[AT] = at + length
    cursor[CARRIED] = following if length == 1 and following > 0 else np.int64(-1)
    past = (rules[SEARCH] == GREEDY and length > rules[MAX_LAZY]) or rules[KEPT] > 0
    if past and cursor[INSERTED] < cursor[AT]:
        cursor[INSERTED] = cursor[AT]


@helper
def gone_back(before, trail):  # type: ignore[no-untyped-def]
    """Go back to the beginning of a block: positions, tokens, and all that was noted."""
    cursor = trail.cursor
    bits = trail.rules[HASH_BITS]
    while cursor[INSERTED] > before[INSERTED]:
        cursor[INSERTED] -= 1
        if cursor[INSERTED] + 2 < trail.plain.size:
            key = hash_of(trail.plain, cursor[INSERTED], bits, (bits + 2) // 3)
            if trail.heads[key] == cursor[INSERTED]:
                trail.heads[key] = trail.chains[cursor[INSERTED] & _MASK]
        if trail.rarer.heads.size > 0 and cursor[INSERTED] + 3 < trail.plain.size:
            four = rarer_hash_of(trail.plain, cursor[INSERTED], trail.rarer)
            if trail.rarer.heads[four] == cursor[INSERTED]:
                trail.rarer.heads[four] = trail.rarer.chains[cursor[INSERTED] & _MASK]
    for i in range(CURSOR):
        cursor[i] = before[i]
    for i in range(STATE):
        if i != WORK:
            trail.state[i] = trail.saved[i]


@helper
def flushed(trail):  # type: ignore[no-untyped-def]
    """Go on behind a flush."""
    cursor = trail.cursor
    forgets = trail.flushes[cursor[FLUSH]] & 1
    cursor[FLUSH] += 1
    cursor[END] = (
        trail.flushes[cursor[FLUSH]] >> 1 if cursor[FLUSH] < trail.flushes.size else np.int64(trail.plain.size)
    )
    if forgets:
        for i in range(trail.heads.size):
            trail.heads[i] = -1
        for i in range(trail.rarer.heads.size):
            trail.rarer.heads[i] = -1
        cursor[INSERTED] = cursor[AT]
        cursor[ORIGIN] = cursor[AT] + trail.rules[FIRST]


@helper
def is_last(block, first, marker, trail, known):  # type: ignore[no-untyped-def]
    """Whether no block comes after this one."""
    cursor = trail.cursor
    # zlib ends a block when it has no room for another token, but does not look at it after a last pending literal
    full = cursor[TOKEN] - first == trail.rules[MAX_TOKENS]
    if full and trail.rules[SEARCH] == LAZY and trail.tokens[cursor[TOKEN] - 1] == 1:
        full = False
    final = cursor[AT] == trail.plain.size and cursor[FLUSH] == trail.flushes.size and not full and not marker
    chosen = trail.blocks[block, FINAL] != 0
    if trail.rules[SEARCH] == PLANNED:
        return chosen
    right = agreed(LAST, final == chosen, trail.state, trail.events, known)
    return final if right else (chosen if known else not final)


@kernel
def walk(trail, known, limit):  # type: ignore[no-untyped-def]
    """Predict the tokens of a stream and note the corrections (``known``), or follow them.

    Stops after ``limit`` tokens that are known, eight times as many that are not, or 64 times as many bytes.
    Returns how many blocks there are; -1 if the corrections cannot be followed, are too many, or the search is long.
    """
    cursor, state, blocks, how = trail.cursor, trail.state, trail.blocks, trail.rules[SEARCH]
    before = np.empty(CURSOR, np.int64)
    for i in range(CURSOR):
        cursor[i] = 0
    cursor[CARRIED] = -1
    cursor[END] = trail.flushes[0] >> 1 if trail.flushes.size > 0 else np.int64(trail.plain.size)
    cursor[ORIGIN] = trail.rules[FIRST]
    block = 0
    last = False
    while not last:
        if block == blocks.shape[0] or state[FAULT] != 0 or state[WORK] < 0:
            return -1
        for i in range(CURSOR):
            before[i] = cursor[i]
        marker = cursor[FLUSH] < trail.flushes.size and cursor[AT] == cursor[END] and how != PLANNED
        follows = end_of(block, marker, trail, known)
        while state[FAULT] == 0:
            while cursor[AT] < cursor[STOP] and cursor[TOKEN] - before[TOKEN] < cursor[MOST]:
                step_on(follows, trail, known)
                if state[FAULT] != 0:
                    return -1
                if cursor[TAKEN] >= limit or cursor[TOKEN] >= 8 * limit or cursor[AT] >= 64 * limit:
                    return block
            if follows != IMAGINED:
                break
            # A stored block: as long as the predicted tokens would be?
            whole = cursor[AT] - before[AT] == blocks[block, BYTES]
            if whole and (cursor[AT] == cursor[END] or cursor[TOKEN] - before[TOKEN] == cursor[MOST]):
                agreed(BLOCK_END, True, state, trail.events, known)
                break
            gone_back(before, trail)
            agreed(BLOCK_END, False, state, trail.events, known)
            told_to_end(trail, known, blocks[block, BYTES])
            follows = COUNTED
        if follows == COUNTED:
            cursor[MISSED] = 0
        if follows == COUNTED or marker:
            cursor[CARRIED] = -1
        if marker:
            flushed(trail)
        if how == PLANNED and cursor[AT] != cursor[STOP]:
            return -1
        if known == 0 and how != PLANNED:
            for i in range(BLOCK):
                blocks[block, i] = 0
            blocks[block, BYTES] = cursor[AT] - before[AT]
        blocks[block, COUNT] = cursor[TOKEN] - before[TOKEN]
        blocks[block, KNOWN] = 1 if follows == COUNTED else 0
        last = is_last(block, before[TOKEN], marker, trail, known)
        blocks[block, FINAL] = 1 if last else 0
        block += 1
    return block if cursor[AT] == trail.plain.size else -1
