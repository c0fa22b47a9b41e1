"""Of which type a block is, and its Huffman codes: as zlib builds them (``trees.c``), and corrections to that."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.files.deflate.bits import extra_bits, repeats
from bitsback.files.deflate.coder import FAULT
from bitsback.files.deflate.lists import (
    BLOCK_TYPE,
    CODE_CODE,
    CODE_COUNTS,
    CODE_DELTAS,
    CODE_ITEM,
    CODE_LENGTH,
    COUNTS,
    ITEM_DELTAS,
    ITEMS,
    TYPES,
    agreed,
    number,
    signed,
    unsigned,
)
from bitsback.files.deflate.symbols import (
    BYTES,
    CODE,
    COUNT,
    DISTANCES,
    DYNAMIC,
    END,
    FIXED,
    HCLEN,
    HDIST,
    HLIT,
    ITEM_BITS,
    KNOWN,
    LENGTHS,
    LITERALS,
    LONGEST,
    OPS,
    STORED,
    TOKEN_BITS,
    TYPE,
)
from bitsback.files.deflate.walk import ACROSS, HUFFMAN, LAZY, ONLY_FIXED, PASSES, PLANNED, RUN_LENGTHS, SEARCH, SPAN
from bitsback.kernels import helper, kernel, routine

_NODES = 2 * 288 + 1


@helper
def smaller(a, b, weights, depths):  # type: ignore[no-untyped-def]
    """zlib's order of the nodes of a heap."""
    return weights[a] < weights[b] or (weights[a] == weights[b] and depths[a] <= depths[b])


@routine
def sift(heap, place, size, weights, depths):  # type: ignore[no-untyped-def]
    """Move a node down to its place."""
    node = heap[place]
    child = 2 * place
    while child <= size:
        if child < size and smaller(heap[child + 1], heap[child], weights, depths):
            child += 1
        if smaller(node, heap[child], weights, depths):
            break
        heap[place] = heap[child]
        place = child
        child *= 2
    heap[place] = node


@routine
def code_lengths(weights, count, longest, lengths, nodes):  # type: ignore[no-untyped-def]
    """The lengths of a Huffman code as zlib finds them, of ``count`` symbols by their ``weights``.

    ``weights`` (changed beyond ``count``) has room for twice as many; ``nodes``, int32, four rows of that size are
    scratch: heap, depths, parents, and the order in which nodes were taken from the heap.
    """
    heap = nodes[0]
    depths = nodes[1]
    parents = nodes[2]
    order = nodes[3]
    size = 0
    last = -1
    for s in range(count):
        lengths[s] = 0
        depths[s] = 0
        if weights[s] > 0:
            size += 1
            heap[size] = s
            last = s
    one_added = -1
    two_added = -1
    while size < 2:
        node = 0
        if last < 2:
            last += 1
            node = last
        size += 1
        heap[size] = node
        weights[node] = 1
        two_added = one_added
        one_added = node
    for place in range(size // 2, 0, -1):
        sift(heap, place, size, weights, depths)
    taken = 0
    node = count
    going = 1
    while going:
        one = heap[1]
        heap[1] = heap[size]
        size -= 1
        sift(heap, 1, size, weights, depths)
        other = heap[1]
        order[taken] = one
        order[taken + 1] = other
        taken += 2
        weights[node] = weights[one] + weights[other]
        depths[node] = max(depths[one], depths[other]) + 1
        parents[one] = node
        parents[other] = node
        heap[1] = node
        if size < 2:
            going = 0
        else:
            sift(heap, 1, size, weights, depths)
        node += 1
    if one_added >= 0:
        weights[one_added] = 0
    if two_added >= 0:
        weights[two_added] = 0
    depths[node - 1] = 0
    _cut(order, taken, parents, depths, count, longest, lengths)


@helper
def _cut(order, taken, parents, depths, count, longest, lengths):  # type: ignore[no-untyped-def]
    """Lengths from the root on; those that are too long are cut, and the codes' number is mended."""
    numbers = np.zeros(17, np.int64)
    over = 0
    for i in range(taken - 1, -1, -1):
        child = order[i]
        length = depths[parents[child]] + 1
        if length > longest:
            length = longest
            over += 1
        depths[child] = length
        if child < count:
            numbers[length] += 1
            lengths[child] = length
    if over == 0:
        return
    while over > 0:
        length = longest - 1
        while numbers[length] == 0:
            length -= 1
        numbers[length] -= 1
        numbers[length + 1] += 2
        numbers[longest] -= 1
        over -= 2
    i = 0
    for length in range(longest, 0, -1):
        left = numbers[length]
        while left > 0:
            child = order[i]
            i += 1
            if child < count:
                lengths[child] = length
                left -= 1


@helper
def next_item(lengths, at, first, stop):  # type: ignore[no-untyped-def]
    """How zlib describes what follows in a list of lengths that is described from ``first`` to ``stop``."""
    value = np.int64(lengths[at])
    run = 1
    while at + run < stop and run < 138 and lengths[at + run] == value:
        run += 1
    if value == 0:
        if run >= 11:
            return np.int64((run - 11) << ITEM_BITS | 18)
        if run >= 3:
            return np.int64((run - 3) << ITEM_BITS | 17)
    elif at > first and lengths[at - 1] == value and run >= 3:
        return np.int64((min(run, 6) - 3) << ITEM_BITS | 16)
    return value


@helper
def slides(top, size, rules):  # type: ignore[no-untyped-def]
    """How often zlib has moved its buffer by half when it stands at ``top`` and looks for more data."""
    half = rules[SPAN]
    least = 2 * half - 262
    first = least + 1
    near = 262
    if rules[SEARCH] == HUFFMAN:
        first = 2 * half
        near = 1
    elif rules[SEARCH] == RUN_LENGTHS:
        first = 2 * half - 258
        near = 259
    if top > size - near:
        first = least
    return max(0, (top - first + half) // half)


@helper
def cheapest(fixed_bits, best_bits, count, start, top, size, rules):  # type: ignore[no-untyped-def]
    """The type that zlib gives a block that would take so many bits with either trees, or ``count`` bytes as they are.

    They must still lie in its buffer."""
    fixed_bytes = (fixed_bits + 10) >> 3
    best_bytes = (best_bits + 10) >> 3
    if fixed_bytes <= best_bytes or rules[ONLY_FIXED]:
        best_bytes = fixed_bytes
    if count + 4 <= best_bytes and (rules[SPAN] == 0 or start >= slides(top, size, rules) * rules[SPAN]):
        return np.int64(STORED)
    return np.int64(FIXED) if fixed_bytes == best_bytes else np.int64(DYNAMIC)


@routine
def predicted_item(lengths, at, literals, distances, rules):  # type: ignore[no-untyped-def]
    """:func:`next_item` in a list of both codes, which zlib describes one after the other."""
    first = np.int64(0)
    stop = literals + distances
    if not rules[ACROSS]:
        if at >= literals:
            first = literals
        else:
            stop = literals
    return next_item(lengths, at, first, stop)


@helper
def header_lengths(literals, distances, block, items, item, lengths, state, events, known):  # type: ignore[no-untyped-def]
    """Lengths of a dynamic block's codes, into ``lengths[3]``, given the predicted ones in the first two rows, of which
    so many are used."""
    both = np.int64(block[HLIT]) << 6 | np.int64(block[HDIST])
    if not agreed(CODE_COUNTS, both == (literals << 6 | distances), state, events, known):
        both = number(COUNTS, both, state, events, known)
        literals = both >> 6
        distances = both & 63
    if literals < 257 or literals > 288 or distances < 1 or distances > 32:
        return False
    block[HLIT] = literals
    block[HDIST] = distances
    actual = lengths[4]
    if known:
        at = np.int64(0)
        i = item
        while at < literals + distances:
            one = np.int64(items[i])
            i += 1
            value = one & 255
            if value == 16:
                value = np.int64(actual[at - 1])
            elif value > 16:
                value = np.int64(0)
            for _ in range(repeats(one)):
                actual[at] = value
                at += 1
    for s in range(literals + distances):
        predicted = np.int64(0)
        if s < literals and s < LITERALS:
            predicted = np.int64(lengths[0, s])
        elif s >= literals and s - literals < DISTANCES:
            predicted = np.int64(lengths[1, s - literals])
        value = np.int64(actual[s]) if known else predicted
        if not agreed(CODE_LENGTH, value == predicted, state, events, known):
            value = predicted + unsigned(number(CODE_DELTAS, signed(value - predicted), state, events, known))
            if value < 0 or value > 15:
                return False
        lengths[3, s] = value
    return True


@helper
def lengths_of_items(lengths, order, block, state, events, known):  # type: ignore[no-untyped-def]
    """Lengths of the codes of items, and how many of them the header gives."""
    last = np.int64(4)
    for s in range(19):
        predicted = np.int64(lengths[order[s]])
        value = np.int64(block[CODE + order[s]]) if known else predicted
        if not agreed(CODE_CODE, value == predicted, state, events, known):
            value = (predicted + number(ITEM_DELTAS, (value - predicted) & 7, state, events, known)) & 7
        block[CODE + order[s]] = value
        if value > 0 and s >= 4:
            last = np.int64(s + 1)
    if not agreed(CODE_COUNTS, block[HCLEN] == last, state, events, known):
        last = number(COUNTS, np.int64(block[HCLEN]), state, events, known)
        if last < 4 or last > 19:
            state[FAULT] = 1
    block[HCLEN] = last


class Scratch(NamedTuple):
    """Room to work in. Rows are codes: of literals and lengths, of distances, of the items that describe these."""

    weights: NDArray[np.int64]
    """(3, 580): how often symbols occur."""
    lengths: NDArray[np.uint8]
    """(5, 320): lengths of codes; then those of the first two in a row, as the block has them, and the known ones."""
    nodes: NDArray[np.int32]
    """(4, 580), for :func:`code_lengths`."""


@helper
def _weigh(tokens, first, last, plain, at, weights, numbers):  # type: ignore[no-untyped-def]
    """How often a block's symbols occur; returns how many extra bits they have, and where its tokens end."""
    for i in range(3):
        for s in range(weights.shape[1]):
            weights[i, s] = 0
    weights[0, END] = 1
    extra = np.int64(0)
    for i in range(first, last):
        length = np.int64(tokens[i]) & LENGTHS
        distance = np.int64(tokens[i]) >> TOKEN_BITS
        if distance == 0:
            weights[0, plain[at]] += 1
            at += 1
        else:
            code = np.int64(numbers.length_code[length])
            far = np.int64(numbers.distance_code[distance - 1])
            weights[0, 257 + code] += 1
            weights[1, far] += 1
            extra += numbers.length_extra[code] + numbers.distance_extra[far]
            at += min(length, LONGEST)
    return extra, at


@helper
def _cost(weights, lengths, count):  # type: ignore[no-untyped-def]
    """Bits of all symbols in a code of these lengths."""
    bits = np.int64(0)
    for s in range(count):
        bits += weights[s] * lengths[s]
    return bits


@helper
def _used(lengths, least, count):  # type: ignore[no-untyped-def]
    """How many of a code's lengths there are up to the last that is not 0."""
    used = np.int64(least)
    for s in range(least, count):
        if lengths[s] > 0:
            used = np.int64(s + 1)
    return used


@helper
def _described(scratch, rules):  # type: ignore[no-untyped-def]
    """Put the lengths of both codes in a row, and weigh the items that zlib would describe them with; returns how many
    there are of each, and the items' extra bits."""
    lengths = scratch.lengths
    literals = _used(lengths[0], 0, LITERALS)
    distances = _used(lengths[1], 0, DISTANCES)
    for s in range(literals):
        lengths[3, s] = lengths[0, s]
    for s in range(distances):
        lengths[3, literals + s] = lengths[1, s]
    at = np.int64(0)
    extra = np.int64(0)
    while at < literals + distances:
        one = predicted_item(lengths[3], at, literals, distances, rules)
        at += repeats(one)
        scratch.weights[2, one & 255] += 1
        extra += extra_bits(one & 255)
    return literals, distances, extra


@helper
def _itemised(block, items, item, scratch, rules, state, events, known):  # type: ignore[no-untyped-def]
    """The items that a block describes its codes with, weighed; returns the next item's place, or -1."""
    literals = np.int64(block[HLIT])
    distances = np.int64(block[HDIST])
    weights = scratch.weights
    for s in range(weights.shape[1]):
        weights[2, s] = 0
    first = item
    at = np.int64(0)
    while at < literals + distances:
        if item >= items.size:
            return np.int64(-1)
        one = predicted_item(scratch.lengths[3], at, literals, distances, rules)
        actual = np.int64(items[item]) if known else one
        if not agreed(CODE_ITEM, actual == one, state, events, known):
            actual = number(ITEMS, actual, state, events, known)
        items[item] = actual
        item += 1
        at += repeats(actual)
        if actual & 255 > 18 or at > literals + distances:
            return np.int64(-1)
        weights[2, actual & 255] += 1
    block[OPS] = item - first
    return item


@helper
def _codes(fixed_bits, codes, block, scratch, numbers, rules):  # type: ignore[no-untyped-def]
    """Both codes, as zlib makes them or, if they were told, those of ``codes``.

    Returns bits of the block with the fixed ones and with these, header included, both from ``fixed_bits`` on, and how
    many lengths the header gives of each.
    """
    weights, lengths, nodes = scratch
    best_bits = fixed_bits
    for i in range(2):
        symbols = LITERALS if i == 0 else DISTANCES
        code_lengths(weights[i], symbols, 15, lengths[i], nodes)
        best_bits += _cost(weights[i], lengths[i], symbols)
        for s in range(symbols):
            fixed_bits += weights[i, s] * numbers.fixed[288 * i + s]
    if rules[SEARCH] == PLANNED and rules[PASSES] == 0:
        for s in range(LITERALS):
            lengths[0, s] = codes[block, s]
        for s in range(DISTANCES):
            lengths[1, s] = codes[block, 288 + s]
    literals, distances, extra = _described(scratch, rules)
    code_lengths(weights[2], 19, 7, lengths[2], nodes)
    given = np.int64(4)
    for s in range(4, 19):
        if lengths[2, numbers.order[s]] > 0:
            given = np.int64(s + 1)
    header = 14 + 3 * given + extra + _cost(weights[2], lengths[2], 19)
    return fixed_bits, best_bits + header, literals, distances


@kernel
def shape(size, rules, tokens, plain, blocks, items, codes, numbers, scratch, state, events, known):  # type: ignore[no-untyped-def]
    """Predict types and codes of all blocks, whose ``tokens`` are known, and note the corrections (``known``), or
    follow them.

    ``codes`` (uint8, a row for each block) are code lengths where they were told before all else.
    ``items`` are read where ``known`` (from the beginning, those of dynamic blocks), else written. Returns how many
    items there are, -1 if the corrections cannot be followed.
    """
    place = np.int64(0)
    token = np.int64(0)
    item = np.int64(0)
    for block in range(blocks.shape[0]):
        row = blocks[block]
        start = place
        place += row[BYTES]
        first = token
        token += row[COUNT]
        if row[KNOWN]:
            row[TYPE] = STORED
            continue
        extra, at = _weigh(tokens, first, token, plain, start, scratch.weights, numbers)
        top = np.int64(size) if place == size else at
        if place != size and token > first and not (rules[SEARCH] == LAZY and tokens[token - 1] == 1):
            top -= min(np.int64(tokens[token - 1]) & LENGTHS, LONGEST) - (1 if rules[SEARCH] == LAZY else 0)
        fixed_bits, best_bits, literals, distances = _codes(extra, codes, block, scratch, numbers, rules)
        if rules[SEARCH] != PLANNED:
            predicted = cheapest(fixed_bits, best_bits, place - start, start, top, size, rules)
            kind = np.int64(row[TYPE]) if known else predicted
            if not agreed(BLOCK_TYPE, kind == predicted, state, events, known):
                kind = number(TYPES, kind, state, events, known)
            row[TYPE] = kind
        if row[TYPE] == DYNAMIC:
            if not header_lengths(literals, distances, row, items, item, scratch.lengths, state, events, known):
                return -1
            item = _itemised(row, items, item, scratch, rules, state, events, known)
            if item < 0:
                return -1
            code_lengths(scratch.weights[2], 19, 7, scratch.lengths[2], scratch.nodes)
            lengths_of_items(scratch.lengths[2], numbers.order, row, state, events, known)
        if state[FAULT] != 0:
            return -1
    return item
