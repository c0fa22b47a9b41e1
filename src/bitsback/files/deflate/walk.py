"""Which matches an encoder takes: zlib's searches, and what differs from them.

:func:`walk` goes through the plain data as zlib does (version 1.2.5 and later; ``deflate.c``), with its tables of
positions by hash, its budgets and its rules of which match is taken, and predicts token by token and block by block.
Where the choice was another, this is noted, and the prediction goes on from what was chosen. The same code follows the
notes, to make the same choices again.
"""

from __future__ import annotations

import numpy as np

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
from bitsback.kernels import helper, kernel

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
def insert(at, key, heads, chains, bits, kept):  # type: ignore[no-untyped-def]
    """Note a position, and with stb how many there are by its hash: of those that it has no room for, half go."""
    chains[at & _MASK] = heads[key]
    heads[key] = at
    if kept > 0:
        there = (1 << bits) + key
        heads[there] = kept if heads[there] == 2 * kept - 1 else heads[there] + 1


@helper
def same_bytes(plain, one, other, most):  # type: ignore[no-untyped-def]
    """How many bytes agree at two places, up to ``most``."""
    count = np.int64(0)
    while count < most and plain[one + count] == plain[other + count]:
        count += 1
    return count


@helper
def search(plain, at, shortest, end, low, far, nearer, good, nice, chain, chains, state):  # type: ignore[no-untyped-def]
    """zlib's ``longest_match``: the first of the longest matches that are longer than ``shortest``, and not before
    ``low``; 0 if there is none. All but the latest position must be so much ``nearer`` than ``far``."""
    most = min(end - at, LONGEST)
    nice = min(nice, end - at)
    left = np.int64(chain)
    if shortest >= good:
        left >>= 2
    best = np.int64(shortest)
    found = np.int64(0)
    compared = np.int64(0)
    there = np.int64(chains[at & _MASK])
    if best < most and there >= max(at - far, low):
        low = max(at - far + nearer, low)
        while True:
            if plain[there + best] == plain[at + best] and plain[there + best - 1] == plain[at + best - 1]:
                length = same_bytes(plain, there, at, most)
                compared += length
                if length > best:
                    best = length
                    found = (at - there) << TOKEN_BITS | length
                    if length >= nice:
                        break
            left -= 1
            if left == 0:
                break
            there = np.int64(chains[there & _MASK])
            if there < low:
                break
    state[WORK] -= chain - left + 1 + (compared >> ALIKE)
    return found


@helper
def run_at(plain, at, end):  # type: ignore[no-untyped-def]
    """The match at distance 1."""
    if at == 0:
        return np.int64(0)
    length = same_bytes(plain, at - 1, at, min(end - at, LONGEST))
    return np.int64(1) << TOKEN_BITS | length if length >= 3 else np.int64(0)


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
def distance_by_hops(plain, at, token, end, inserted, chains, state, events, known):  # type: ignore[no-untyped-def]
    """The distance of a match whose length is known: how many other positions with as many equal bytes are nearer."""
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
    there = np.int64(chains[at & _MASK]) if inserted > at else np.int64(-1)
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
def corrected(plain, at, token, predicted, best, kind, end, inserted, chains, state, events, known):  # type: ignore[no-untyped-def]
    """The token that was chosen instead of what was predicted: noted where it is known, or else from the notes."""
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
    if length < 3 or length > min(LONGEST, plain.size - at):
        state[FAULT] = 1
        return np.int64(1)
    chosen = (token >> TOKEN_BITS) << TOKEN_BITS | length
    distance = distance_by_hops(plain, at, chosen, end, inserted, chains, state, events, known)
    if distance < 1 or distance > min(at, WINDOW):
        state[FAULT] = 1
        return np.int64(1)
    return distance << TOKEN_BITS | length


@kernel
def walk(  # type: ignore[no-untyped-def]
    plain, flushes, rules, given, blocks, tokens, choice, state, events, heads, chains, saved, known, limit
):
    """Predict the tokens of a stream and note the corrections (``known``), or follow them.

    ``given`` are the tokens that were chosen, ``blocks`` the rows of the blocks: read where ``known``, else written.
    ``flushes``, int64, are twice the positions of empty stored blocks that an encoder was asked for, and one more where
    it forgot what was before. ``choice`` is what was planned; then also the blocks' sizes and types are there.
    ``tokens`` receives all tokens, in stored blocks the predicted ones. ``heads`` (-1) and
    ``chains`` are the positions by hash, and for each the one before it; ``saved`` has room for a state. Stops after
    ``limit`` tokens that are known, eight times as many that are not, or 64 times as many bytes.
    Returns how many blocks there are; -1 if the corrections cannot be followed, are too many, or the search is long.

    Long, as the order of things is all that matters in it: how a block ends, then its tokens.
    """
    size = plain.size
    how = rules[SEARCH]
    good = rules[GOOD]
    lazy = rules[MAX_LAZY]
    nice = rules[NICE]
    chain = rules[CHAIN]
    bits = rules[HASH_BITS]
    shift = (bits + 2) // 3
    far = rules[MAX_DISTANCE]
    kept = rules[KEPT]
    nearer = 1 if kept == 0 else 0
    enough = 3 if kept == 0 else 4
    room = rules[MAX_TOKENS]
    least = rules[SHORTEST]
    too_far = rules[TOO_FAR]
    inserted = np.int64(0)
    at = np.int64(0)
    token = 0
    taken = 0
    flush = 0
    end = flushes[0] >> 1 if flushes.size > 0 else np.int64(size)
    origin = rules[FIRST]
    carried = np.int64(-1)
    missed = 0
    block = 0
    going = 1
    while going:
        if block == blocks.shape[0] or state[FAULT] != 0 or state[WORK] < 0:
            return -1
        start = at
        first = token
        carried_before = carried
        inserted_before = inserted
        missed_before = missed
        marker = flush < flushes.size and at == end and how != PLANNED
        # How it ends: where the encoder's room for tokens does, after another number of them, or of bytes
        most = room
        stop = end
        free = 0
        if marker:
            free = 2
            most = 0
        elif how == PLANNED:
            stop = at + blocks[block, BYTES]
            most = np.int64(size + 1)
            if blocks[block, TYPE] == STORED:
                free = 2
        elif known:
            begin(BLOCK_END, state, events)
            for i in range(STATE):
                saved[i] = state[i]
            if blocks[block, TYPE] == STORED and kept > 0:
                agreed(BLOCK_END, False, state, events, known)
                number(ENDS, 2 * np.int64(blocks[block, BYTES]) + 1, state, events, known)
                free = 2
                stop = at + blocks[block, BYTES]
                most = np.int64(size + 1)
            elif blocks[block, TYPE] == STORED:
                free = 1
                stop = min(end, at + blocks[block, BYTES])
            else:
                count = np.int64(blocks[block, COUNT])
                usual = count == most or (count < most and at + blocks[block, BYTES] == end)
                if not agreed(BLOCK_END, usual, state, events, known):
                    number(ENDS, 2 * count, state, events, known)
                    most = count
                    stop = np.int64(size)
        elif not agreed(BLOCK_END, False, state, events, known):
            count = number(ENDS, np.int64(0), state, events, known)
            stop = np.int64(size)
            if count & 1:
                free = 2
                stop = at + (count >> 1)
                most = np.int64(size + 1)
            else:
                most = count >> 1
            if stop > size:
                return -1
        while True:
            while at < stop and token - first < most:
                best = carried
                following = np.int64(0)
                for step in range(2):
                    here = at + step
                    shortest = np.int64(2)
                    if step == 0 and best >= 0:
                        continue
                    if step == 1:
                        shortest = best & LENGTHS
                        if best == 0 or how != LAZY or shortest >= lazy:
                            break
                    found = np.int64(0)
                    if end - here >= enough:
                        if how >= GREEDY:
                            # stb looks at the next place before it knows whether that will be one of its own
                            while inserted <= (here if kept == 0 else at):
                                key = bucket_of(plain, inserted, bits, shift, kept)
                                if kept > 0:
                                    chain = np.int64(heads[(1 << bits) + key]) + 1
                                insert(inserted, key, heads, chains, bits, kept)
                                inserted += 1
                            if kept > 0 and step == 1:
                                key = bucket_of(plain, here, bits, shift, kept)
                                chain = np.int64(heads[(1 << bits) + key]) + 1
                                chains[here & _MASK] = heads[key]
                            if how == PLANNED:
                                found = np.int64(choice[here])
                            else:
                                found = search(
                                    plain, here, shortest, end, origin, far, nearer, good, nice, chain, chains, state
                                )
                        elif how == RUN_LENGTHS:
                            found = run_at(plain, here, end)
                    if how == LAZY:
                        length = found & LENGTHS
                        if length < least or (length == 3 and found >> TOKEN_BITS > too_far):
                            found = np.int64(0)
                    if step == 0:
                        best = found
                    else:
                        following = found
                predicted = np.int64(1) if best == 0 or following > 0 else best
                chosen = predicted
                if free == 0:
                    if known:
                        chosen = np.int64(given[taken])
                        taken += 1
                    alias = chosen & LENGTHS == LONGEST_AS_284
                    if alias:
                        chosen -= 1
                    kind = kind_of_prediction(predicted, best)
                    likely = 2 * kind + missed
                    missed = 0
                    if not agreed_at_once(likely, chosen == predicted, state, events, known):
                        missed = 1
                        chosen = corrected(
                            plain, at, chosen, predicted, best, kind, end, inserted, chains, state, events, known
                        )
                        if state[FAULT] != 0:
                            return -1
                    elif known == 0:
                        chosen = predicted
                    tokens[token] = chosen
                    if chosen & LENGTHS == LONGEST and not agreed(ALIAS, not alias, state, events, known):
                        tokens[token] = chosen + 1
                elif free == 1:
                    agreed(2 * kind_of_prediction(predicted, best) + missed, True, state, events, known)
                    missed = 0
                    tokens[token] = chosen
                    if chosen & LENGTHS == LONGEST:
                        agreed(ALIAS, True, state, events, known)
                length = chosen & LENGTHS
                if free == 2:
                    length = min(length, stop - at)
                    token -= 1
                at += length
                token += 1
                carried = np.int64(-1)
                if length == 1 and following > 0:
                    carried = following
                if inserted < at and ((how == GREEDY and length > lazy) or kept > 0):
                    inserted = at
                if taken >= limit or token >= 8 * limit or at >= 64 * limit:
                    return block
            if free != 1:
                break
            # A stored block: as long as the predicted tokens would be?
            if at - start == blocks[block, BYTES] and (at == end or token - first == most):
                agreed(BLOCK_END, True, state, events, known)
                break
            while inserted > inserted_before:
                inserted -= 1
                if inserted + 2 < size:
                    key = hash_of(plain, inserted, bits, shift)
                    if heads[key] == inserted:
                        heads[key] = chains[inserted & _MASK]
            for i in range(STATE):
                if i != WORK:
                    state[i] = saved[i]
            at = start
            token = first
            missed = missed_before
            carried = carried_before
            agreed(BLOCK_END, False, state, events, known)
            number(ENDS, 2 * np.int64(blocks[block, BYTES]) + 1, state, events, known)
            free = 2
            stop = at + blocks[block, BYTES]
            most = np.int64(size + 1)
        if free == 2:
            missed = 0
            carried = np.int64(-1)
        if marker:
            flush += 1
            end = flushes[flush] >> 1 if flush < flushes.size else np.int64(size)
            carried = np.int64(-1)
            if flushes[flush - 1] & 1:
                for i in range(heads.size):
                    heads[i] = -1
                inserted = at
                origin = at + rules[FIRST]
        if how == PLANNED and at != stop:
            return -1
        if known == 0 and how != PLANNED:
            for i in range(BLOCK):
                blocks[block, i] = 0
            blocks[block, BYTES] = at - start
        blocks[block, COUNT] = token - first
        blocks[block, KNOWN] = 1 if free == 2 else 0
        # zlib ends a block when it has no room for another token, but does not look at it after a last pending literal
        full = token - first == room
        if full and how == LAZY and tokens[token - 1] == 1:
            full = False
        final = at == size and flush == flushes.size and not full and not marker
        if known or how == PLANNED:
            going = 1 - blocks[block, FINAL]
        if how == PLANNED:
            pass
        elif agreed(LAST, final == (going == 0), state, events, known):
            going = 0 if final else 1
        elif known == 0:
            going = 1 if final else 0
        blocks[block, FINAL] = 1 - going
        block += 1
    if at != size:
        return -1
    return block
