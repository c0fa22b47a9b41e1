"""What an encoder chooses that looks for the cheapest way through a block (zopfli, libdeflate's highest levels).

From a block's end to its beginning, each place has a cheapest way to go on, by what each symbol costs. Such an encoder
finds the costs by trying: the code that suits one way through the block gives the costs for the next. In the end they
are the lengths of the block's own codes, more or less; so these are told first, as what differs from a few such trials.

The matches that are compared are those that libdeflate finds (version 1.9 and later; ``bt_matchfinder.h``): of each
length the nearest, as far as a search in a tree of what came before, ordered by what follows, comes by them.
"""

from __future__ import annotations

import numpy as np

from bitsback.files.deflate.lists import (
    BLOCK_END,
    BLOCK_TYPE,
    CODE_DELTAS,
    CODE_LENGTH,
    ENDS,
    LAST,
    TYPES,
    WORK,
    agreed,
    number,
    signed,
    unsigned,
)
from bitsback.files.deflate.symbols import (
    BYTES,
    DISTANCES,
    DYNAMIC,
    END,
    FINAL,
    FIXED,
    HLIT,
    KNOWN,
    LENGTHS,
    LITERALS,
    LONGEST,
    OPS,
    STORED,
    TOKEN_BITS,
    TYPE,
    WINDOW,
)
from bitsback.files.deflate.trees import code_lengths
from bitsback.files.deflate.walk import CHAIN, GOOD, NICE, same_bytes
from bitsback.kernels import helper, kernel

CODES = 288 + 32
"""Code lengths of a block: of literals and lengths, then of distances."""
UNKNOWN_LITERAL, UNKNOWN_DISTANCE = 13, 10
"""Bits that symbols are taken to cost which have no code."""
HASHES = 1 << 16
"""Positions are known by hashes of 3 bytes, two each, and by hashes of 4 bytes, from which a tree of them hangs."""
TREES = 3 * HASHES + 2 * WINDOW
FAR_AWAY = 1 << 40
MOST_MATCHES = 1 << 23
"""What the matches of a block may take: as many numbers; and no more than eight for each of its bytes."""
TRIALS = 3
"""How often codes are looked for that suit the way through a block that suits them."""


@helper
def lengths_told(blocks, block, items, item, lengths):  # type: ignore[no-untyped-def]
    """The code lengths that a dynamic block's items describe."""
    at = np.int64(0)
    literals = np.int64(blocks[block, HLIT])
    for s in range(CODES):
        lengths[s] = 0
    before = np.int64(0)
    for i in range(item, item + blocks[block, OPS]):
        symbol = np.int64(items[i]) & 255
        more = np.int64(items[i]) >> 8
        repeat = np.int64(1)
        if symbol == 16:
            repeat = more + 3
        elif symbol > 16:
            before = np.int64(0)
            repeat = more + (11 if symbol == 18 else 3)
        else:
            before = symbol
        for _ in range(repeat):
            lengths[at if at < literals else 288 + at - literals] = before
            at += 1


@helper
def told_block(size, at, expected, blocks, block, state, events, known):  # type: ignore[no-untyped-def]
    """Size and type of a block at a place that is ``expected`` to end at another: noted (``known``) or as noted, into
    its row. Returns where it ends, -1 if the notes make no sense."""
    value = np.int64(0)
    if known:
        value = 2 * np.int64(blocks[block, BYTES]) + (1 if blocks[block, TYPE] == STORED else 0)
    if not agreed(BLOCK_END, value == 2 * (expected - at), state, events, known):
        value = number(ENDS, value, state, events, known)
    elif known == 0:
        value = 2 * (expected - at)
    count = value >> 1
    if count > size - at:
        return np.int64(-1)
    final = at + count == size
    if not agreed(LAST, final == (blocks[block, FINAL] == 1), state, events, known):
        final = not final
    kind = np.int64(STORED)
    if value & 1 == 0:
        kind = np.int64(blocks[block, TYPE])
        if not agreed(BLOCK_TYPE, kind == DYNAMIC, state, events, known):
            kind = number(TYPES, kind, state, events, known)
        elif known == 0:
            kind = np.int64(DYNAMIC)
        if kind != DYNAMIC and kind != FIXED:
            return np.int64(-1)
    if known == 0:
        blocks[block, BYTES] = count
        blocks[block, TYPE] = kind
        blocks[block, FINAL] = 1 if final else 0
    blocks[block, KNOWN] = 1 if kind == STORED else 0
    return at + count


@kernel
def tell(size, blocks, items, codes, state, events, known):  # type: ignore[no-untyped-def]
    """Sizes and types of all blocks: noted (``known``, and their ``codes``, rows of :data:`CODES`, found), or as noted.

    Returns how many blocks there are, -1 if the notes make no sense.
    """
    at = np.int64(0)
    item = 0
    block = 0
    going = 1
    while going:
        if block == blocks.shape[0]:
            return -1
        at = told_block(size, at, size, blocks, block, state, events, known)
        if at < 0:
            return -1
        if known and blocks[block, TYPE] == DYNAMIC:
            lengths_told(blocks, block, items, item, codes[block])
            item += blocks[block, OPS]
        going = 1 - blocks[block, FINAL]
        block += 1
    return block if at == size else -1


@helper
def hash_by(value, mask):  # type: ignore[no-untyped-def]
    """libdeflate's hash, of 16 bits."""
    return (((value & mask) * 0x1E35A7BD) & 0xFFFFFFFF) >> 16


@helper
def four_bytes(plain, at):  # type: ignore[no-untyped-def]
    """Of a place, the first the lowest."""
    low = np.int64(plain[at]) | np.int64(plain[at + 1]) << 8
    return low | np.int64(plain[at + 2]) << 16 | np.int64(plain[at + 3]) << 24


@helper
def matches_at(plain, at, most, nice, depth, noted, trees, found, count, state):  # type: ignore[no-untyped-def]
    """Append the matches at a place (``noted``) to ``found``, and put it into the trees. Returns the new ``count``."""
    value = four_bytes(plain, at)
    three = hash_by(value, 0xFFFFFF) if at > 0 else np.int64(0)
    four = hash_by(value, 0xFFFFFFFF) if at > 0 else np.int64(0)
    cutoff = at - WINDOW
    one = np.int64(trees[2 * three])
    two = np.int64(trees[2 * three + 1])
    trees[2 * three] = at
    trees[2 * three + 1] = one
    best = np.int64(3)
    if noted:
        if one > cutoff and one >= 0 and same_bytes(plain, one, at, 3) == 3:
            found[count] = (at - one) << TOKEN_BITS | 3
            count += 1
        elif one > cutoff and two > cutoff and two >= 0 and same_bytes(plain, two, at, 3) == 3:
            found[count] = (at - two) << TOKEN_BITS | 3
            count += 1
    node = np.int64(trees[2 * HASHES + four])
    trees[2 * HASHES + four] = at
    less = 3 * HASHES + 2 * (at & (WINDOW - 1))
    more = less + 1
    below = np.int64(0)
    above = np.int64(0)
    length = np.int64(0)
    left = np.int64(depth)
    while True:
        if node <= cutoff or node < 0 or left == 0:
            trees[less] = -1
            trees[more] = -1
            break
        left -= 1
        children = 3 * HASHES + 2 * (node & (WINDOW - 1))
        if plain[node + length] == plain[at + length]:
            length += same_bytes(plain, node + length, at + length, most - length)
            if length > best or noted == 0:
                if noted:
                    best = length
                    found[count] = (at - node) << TOKEN_BITS | length
                    count += 1
                if length >= nice:
                    trees[less] = trees[children]
                    trees[more] = trees[children + 1]
                    break
        if plain[node + length] < plain[at + length]:
            trees[less] = node
            less = children + 1
            node = np.int64(trees[less])
            below = length
            length = min(length, above)
        else:
            trees[more] = node
            more = children
            node = np.int64(trees[more])
            above = length
            length = min(length, below)
    state[WORK] -= depth - left + 1
    return count


@helper
def price_list(bits, numbers, unknown, unknown_far, literals, lengths, distances):  # type: ignore[no-untyped-def]
    """What literals, lengths and distances (by code) cost, given the ``bits`` of their codes, if these are known."""
    length_extra, length_code, distance_extra = numbers.length_extra, numbers.length_code, numbers.distance_extra
    for s in range(256):
        literals[s] = bits[s] if bits[s] > 0 else unknown
    for s in range(3, LONGEST + 1):
        one = np.int64(bits[257 + length_code[s]])
        lengths[s] = (one if one > 0 else unknown) + length_extra[length_code[s]]
    for s in range(30):
        one = np.int64(bits[288 + s])
        distances[s] = (one if one > 0 else unknown_far) + distance_extra[s]


@helper
def cheapest_ways(plain, at, total, bits, numbers, longer, found, starts, ways, choice):  # type: ignore[no-untyped-def]
    """From the end of a block, whose symbols' codes have so many ``bits``, the cheapest way on from each place."""
    distance_code = numbers.distance_code
    literals = np.zeros(256, np.int64)
    lengths = np.zeros(LONGEST + 1, np.int64)
    distances = np.zeros(30, np.int64)
    price_list(bits, numbers, UNKNOWN_LITERAL, UNKNOWN_DISTANCE, literals, lengths, distances)
    for i in range(total + 1, total + LONGEST + 1):
        ways[i] = np.int64(FAR_AWAY)
    ways[total] = 0
    for k in range(total):
        i = total - 1 - k
        cost = literals[plain[at + i]] + ways[i + 1]
        pick = np.int64(0)
        length = np.int64(3)
        for j in range(starts[i], starts[i + 1]):
            token = np.int64(found[j])
            far = token >> TOKEN_BITS
            by_far = distances[distance_code[far - 1]]
            end = token & LENGTHS
            while length <= end:
                other = by_far + lengths[length] + ways[i + length]
                if other < cost or (other == cost and longer):
                    cost = other
                    pick = far << TOKEN_BITS | length
                length += 1
        ways[i] = cost
        choice[at + i] = pick


@helper
def codes_for(plain, at, total, numbers, choice, weights, nodes, lengths, bits):  # type: ignore[no-untyped-def]
    """Lengths of the codes that suit the chosen way through a block."""
    length_code, distance_code = numbers.length_code, numbers.distance_code
    for i in range(2):
        for s in range(weights.shape[1]):
            weights[i, s] = 0
    weights[0, END] = 1
    place = at
    while place < at + total:
        token = np.int64(choice[place])
        if token == 0:
            weights[0, plain[place]] += 1
            place += 1
        else:
            weights[0, 257 + length_code[token & LENGTHS]] += 1
            weights[1, distance_code[(token >> TOKEN_BITS) - 1]] += 1
            place += token & LENGTHS
    for i in range(2):
        code_lengths(weights[i], LITERALS if i == 0 else DISTANCES, 15, lengths, nodes)
        for s in range(LITERALS if i == 0 else DISTANCES):
            bits[288 * i + s] = lengths[s]


@kernel
def plan(  # type: ignore[no-untyped-def]
    plain,
    blocks,
    codes,
    rules,
    fixed,
    numbers,
    trees,
    found,
    starts,
    ways,
    weights,
    nodes,
    lengths,
    choice,
    state,
    events,
    known,
):
    """The cheapest way on from each place of each block, as a token (0: a literal), into ``choice`` (int32); and the
    lengths of the blocks' ``codes`` (uint8, rows of :data:`CODES`), noted (``known``) or as noted.

    By the rules, a match of NICE bytes is long enough for no others to be looked for within it, CHAIN positions are
    compared with each place, and GOOD says whether of equally cheap ways the longer match is taken, or a literal or the
    shorter match. Scratch: ``trees`` (-1, :data:`TREES`); ``found``, of any size: matches, and no more when it is full;
    ``starts`` and ``ways`` (int64), as large as the largest block and 259 more; ``weights``, ``nodes`` and ``lengths``
    as of :func:`~bitsback.files.deflate.trees.code_lengths`. Returns False if that takes too long or makes no sense.
    """
    size = plain.size
    at = np.int64(0)
    within = np.int64(0)
    bits = np.zeros(CODES, np.int64)
    for s in range(318):
        bits[s] = fixed[s]
    for block in range(blocks.shape[0]):
        total = np.int64(blocks[block, BYTES])
        count = np.int64(0)
        for i in range(total):
            here = at + i
            starts[i] = count
            most = min(size - here, LONGEST)
            enough = min(rules[NICE], most)
            if most >= 5:
                noted = 1 if within == 0 and count + LONGEST <= found.size else 0
                limit = most if within == 0 else enough
                before = count
                count = matches_at(plain, here, limit, enough, rules[CHAIN], noted, trees, found, count, state)
                if count > before and np.int64(found[count - 1]) & LENGTHS >= enough:
                    within = np.int64(found[count - 1]) & LENGTHS
            if within > 0:
                within -= 1
        starts[total] = count
        state[WORK] -= count
        if state[WORK] < 0:
            return False
        kind = np.int64(blocks[block, TYPE])
        if kind == FIXED:
            for s in range(CODES):
                codes[block, s] = fixed[s] if s < 318 else 0
        for trial in range(0 if kind == STORED else TRIALS + 1):
            if trial == TRIALS:
                for s in range(CODES):
                    value = np.int64(codes[block, s])
                    if kind == DYNAMIC:
                        if not agreed(CODE_LENGTH, value == bits[s], state, events, known):
                            value = signed(value - bits[s])
                            value = bits[s] + unsigned(number(CODE_DELTAS, value, state, events, known))
                        elif known == 0:
                            value = bits[s]
                        if value < 0 or value > 15:
                            return False
                    codes[block, s] = value
                    bits[s] = value
            if kind == DYNAMIC or trial == TRIALS:
                cheapest_ways(plain, at, total, bits, numbers, rules[GOOD], found, starts, ways, choice)
                if trial < TRIALS:
                    codes_for(plain, at, total, numbers, choice, weights, nodes, lengths, bits)
        at += total
    return True
