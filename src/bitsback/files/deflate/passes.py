"""What an encoder chooses that prices all ways through a block, in several passes: 7-Zip's first one.

It is the one of 2002 (``DeflateEncoder.cpp``) that AdvanceCOMP has: ``advpng``, ``advdef`` and ``advzip`` with -2 to
-4, since version 2 with -3. Icons and tiles of games were often packed by these.

From a place, it finds the cheapest ways to the places that follow, as far as matches overlap, by what the symbols cost:
at first about as many bits as they have on average, then the lengths of the codes that suited the block in the pass
before. What the last pass chose is written. Nothing in it is uncertain, so that nothing has to be corrected.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bitsback.files.deflate.lists import WORK
from bitsback.files.deflate.plan import codes_for, price_list, told_block
from bitsback.files.deflate.symbols import FINAL, LENGTHS, LONGEST, TOKEN_BITS, WINDOW
from bitsback.files.deflate.walk import ALIKE, CHAIN, NICE, PASSES, RING, same_bytes
from bitsback.kernels import helper, kernel, routine

HASHES = 1 << 16
TREE = HASHES + 2 * RING
"""Positions by the hashes of their bytes, from each of which a tree hangs, and two for each position: those below."""
MATCHES, PLACES = 1 << 21, 1 << 17
"""So many matches are remembered, of so many places: more than a block has of these."""
RUN = 1 << 12
"""Places between the beginning and the end of ways that are compared."""
MOST_TOKENS, MOST_BYTES = 1 << 13, 65535 - LONGEST - RUN
"""A block ends when it has so many of either, and a way has ended."""
UNKNOWN, UNKNOWN_FAR = 13, 6
"""Bits that literals and lengths, and distances are taken to cost which have no code."""
FIRST_LITERAL, FIRST_MATCH = 8, 5
"""Bits that literals cost at first; lengths and distances, beside those that follow their codes."""
FAR_AWAY = 1 << 40


@cache
def checks() -> NDArray[np.int64]:
    """The CRC-32 of each byte, as far as the hash goes; read-only."""
    values = np.arange(256, dtype=np.int64)
    for _ in range(8):
        values = values >> 1 ^ (values & 1) * 0xEDB88320
    values.flags.writeable = False
    return values


@routine
def matches_at(plain, at, fast, depth, checks, tree, found, count, state):  # type: ignore[no-untyped-def]
    """Remember the matches at a place, each longer than the one before, and put the place into its tree.

    Of up to ``fast`` bytes; the last one may be longer if it has as many. Returns the new ``count``.
    """
    limit = min(fast, plain.size - at)
    if limit < 3:
        return count
    key = ((np.int64(plain[at]) << 8) ^ checks[plain[at + 1]] ^ np.int64(plain[at + 2])) & (HASHES - 1)
    node = np.int64(tree[key])
    tree[key] = at
    low = max(at - WINDOW, 0)
    less = HASHES + 2 * (at & (RING - 1))
    more = less + 1
    best = np.int64(2)
    below = np.int64(0)
    above = np.int64(0)
    left = np.int64(depth)
    while node >= low and left > 0:
        left -= 1
        children = HASHES + 2 * (node & (RING - 1))
        length = min(below, above)
        while length < limit and plain[node + length] == plain[at + length]:
            length += 1
        if length > best:
            best = length
            found[count & (MATCHES - 1)] = (at - node) << TOKEN_BITS | length
            count += 1
        if length == fast:
            tree[less] = tree[children]
            tree[more] = tree[children + 1]
            less = np.int64(-1)
            node = np.int64(-1)
        elif length < limit and plain[node + length] < plain[at + length]:
            tree[less] = node
            less = children + 1
            node = np.int64(tree[less])
            below = max(below, length)
        else:
            tree[more] = node
            more = children
            node = np.int64(tree[more])
            above = max(above, length)
    if less >= 0:
        tree[less] = -1
        tree[more] = -1
    if best == fast:
        last = np.int64(found[(count - 1) & (MATCHES - 1)])
        far = last >> TOKEN_BITS
        most = min(LONGEST, plain.size - at) - fast
        best = fast + same_bytes(plain, at + fast - far, at + fast, most)
        found[(count - 1) & (MATCHES - 1)] = far << TOKEN_BITS | best
    state[WORK] -= depth - left + 1
    return count


@helper
def best_run(plain, at, rules, prices, numbers, checks, tree, found, starts, seen, ways, picks, state):  # type: ignore[no-untyped-def]
    """The cheapest way from a place to the first one which all ways come through, or nearly so.

    Returns how many places it goes through; of each of these, from the end, ``ways[1]`` says which one it comes from
    and ``picks`` by which match (0: a literal). ``seen`` are how many places were looked at and how many matches they
    have, of each ``starts`` where they begin.
    """
    distance_code = numbers.distance_code
    literals, lengths, distances = prices
    fast = rules[NICE]
    cur = np.int64(0)
    end = np.int64(0)
    ways[0, 0] = 0
    while cur == 0 or cur < end:
        here = at + cur
        while seen[0] <= here:
            starts[seen[0] & (PLACES - 1)] = seen[1]
            seen[1] = matches_at(plain, seen[0], fast, rules[CHAIN], checks, tree, found, seen[1], state)
            seen[0] += 1
        first = starts[here & (PLACES - 1)]
        last = seen[1] if here + 1 == seen[0] else starts[(here + 1) & (PLACES - 1)]
        longest = np.int64(0)
        if last > first and first + MATCHES >= seen[1]:
            longest = np.int64(found[(last - 1) & (MATCHES - 1)]) & LENGTHS
        state[WORK] -= 1 + (longest >> ALIKE)
        if longest > fast:
            if cur == 0:
                picks[longest] = found[(last - 1) & (MATCHES - 1)]
                ways[1, longest] = 0
                cur = longest
            break
        reach = max(longest, 1 if cur == 0 else 0)
        if cur + reach > end:
            longest = min(longest, RUN - 1 - cur)
            reach = cur + max(longest, 1 if cur == 0 else 0)
            while end < reach:
                end += 1
                ways[0, end] = np.int64(FAR_AWAY)
        price = ways[0, cur]
        other = price + literals[plain[here]]
        if other < ways[0, cur + 1]:
            ways[0, cur + 1] = other
            ways[1, cur + 1] = cur
            picks[cur + 1] = 0
        length = np.int64(3)
        while length <= longest:
            token = np.int64(found[first & (MATCHES - 1)])
            far = distances[distance_code[(token >> TOKEN_BITS) - 1]]
            stop = min(longest, token & LENGTHS)
            while length <= stop:
                other = price + lengths[length] + far
                if other < ways[0, cur + length]:
                    ways[0, cur + length] = other
                    ways[1, cur + length] = cur
                    picks[cur + length] = token >> TOKEN_BITS << TOKEN_BITS | length
                length += 1
            first += 1
        cur += 1
    return cur


@kernel
def plan_in_passes(  # type: ignore[no-untyped-def]
    plain,
    blocks,
    rules,
    numbers,
    checks,
    tree,
    found,
    starts,
    ways,
    picks,
    weights,
    nodes,
    lengths,
    choice,
    state,
    events,
    known,
):
    """What is chosen at each place, as a token (0: a literal), into ``choice`` (int32); sizes and types of blocks,
    noted (``known``) or as noted, into their rows.

    By the rules, matches of more than NICE bytes are taken at once, and CHAIN positions are compared with each place.
    Scratch: ``tree`` (int32, -1, :data:`TREE`), ``found`` (int32, :data:`MATCHES`), ``starts`` (int64, :data:`PLACES`),
    ``ways`` (int64, 2 rows) and ``picks`` of :data:`RUN` and some more; ``weights``, ``nodes`` and ``lengths`` as of
    :func:`~bitsback.files.deflate.trees.code_lengths`. Returns how many blocks there are; -1 if that takes too long or
    makes no sense.
    """
    size = plain.size
    seen = np.zeros(2, np.int64)
    bits = np.zeros(320, np.int64)
    literals = np.zeros(256, np.int64)
    of_lengths = np.zeros(LONGEST + 1, np.int64)
    distances = np.zeros(30, np.int64)
    for s in range(256):
        bits[s] = FIRST_LITERAL
    for s in range(256, 320):
        bits[s] = FIRST_MATCH
    start = np.int64(0)
    block = 0
    going = 1
    while going:
        if block == blocks.shape[0]:
            return -1
        at = start
        for _ in range(rules[PASSES]):
            price_list(bits, numbers, UNKNOWN, UNKNOWN_FAR, literals, of_lengths, distances)
            prices = (literals, of_lengths, distances)
            at = start
            tokens = 0
            while at < size and tokens < MOST_TOKENS and at - start < MOST_BYTES:
                reach = best_run(
                    plain, at, rules, prices, numbers, checks, tree, found, starts, seen, ways, picks, state
                )
                if state[WORK] < 0:
                    return -1
                for i in range(reach):
                    choice[at + i] = 0
                place = reach
                while place > 0:
                    choice[at + ways[1, place]] = picks[place]
                    tokens += 1
                    place = ways[1, place]
                at += reach
            codes_for(plain, start, at - start, numbers, choice, weights, nodes, lengths, bits)
        start = told_block(size, start, at, blocks, block, state, events, known)
        if start < 0:
            return -1
        going = 1 - blocks[block, FINAL]
        block += 1
    return block if start == size else -1
