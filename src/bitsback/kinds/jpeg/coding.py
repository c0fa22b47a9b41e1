"""Blocks of DCT coefficients, coded one after the other, each in the light of those before it.

Of a block come first how many of its 49 *inner* coefficients (which vary both across and down) are not 0, and then
these, coarse ones first, until all that are not 0 are known; then its fourteen *edges*, which vary in one direction
only, fine ones first; and at last the mean (DC), as the difference to what is expected of it. For each coefficient

1. a *prediction*, from the row of coefficients in the block to the left and the column in the block above that bear on
   it, from the row and the column of the block itself as far as they are known, from further blocks, and from other
   components: a weighted sum with weights that were learned once (Lakhani, "DCT coefficient prediction for JPEG image
   coding", 2007, derives such sums from the continuity of samples across blocks, as Lepton does);
2. in the same way, from magnitudes, how large it is *expected* to be;
3. questions (:mod:`.mixing`): is it 0? has it more than one binary digit, more than two ...? is it negative? what are
   the digits behind the first?

All in whole numbers, to the bit in ``docs/format.md``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder
from bitsback.kernels import helper, kernel, vectorised
from bitsback.kernels.values import INT, LONG
from bitsback.kernels.vectors import INTS, LANES, SHORT, SHORTS
from bitsback.kinds.jpeg import tables as t
from bitsback.kinds.jpeg.mixing import OF_SEVEN, OF_THREE, Message, ask, ask_alone
from bitsback.kinds.jpeg.tables import LINE, Model, Tables, Weights

MOST = 8191
"""Magnitudes that predictions are made from."""

TWICE = ir.VectorType(SHORT, 2 * LANES)

WOVEN = [lane // 2 + LANES * (lane % 2) for lane in range(2 * LANES)]
"""The lanes of one vector and of another in turn."""

DIGITS = 11
"""So many questions are asked in contexts about how many binary digits a coefficient has; further ones are rare."""


class Plane(NamedTuple):
    """A component, or some rows of blocks of it, while it is coded."""

    coefficients: NDArray[np.int16]
    """(height * width, 64)"""
    width: int
    cls: int
    """0 to 2: how it is modelled."""
    quant: NDArray[np.int32]
    """(64,): the quantisation table, 1 in place of 0."""
    inverse: NDArray[np.int32]
    """(64,): 65536 over that."""
    least: NDArray[np.int32]
    """(64,): the least that a coefficient is expected to be, in 16ths."""
    begins: NDArray[np.int64]
    """(64, 14): by rank, the first slots of contexts: seven of sizes, seven of signs."""
    levels: NDArray[np.int16]
    """(3, width + 4, 64): coefficients of row y, and the two above, at y % 3, with two empty blocks on either side."""
    sizes: NDArray[np.uint8]
    """The same: their sizes, but for the mean."""
    values: NDArray[np.int16]
    """The same: coefficients times the quantisation table ..."""
    turned: NDArray[np.int16]
    """... and with rows and columns exchanged."""
    counts: NDArray[np.int64]
    """(3, width + 4): how many inner coefficients are not 0."""
    rests: NDArray[np.int64]
    """(3, width + 4): how far the prediction of the mean was off."""
    luma: NDArray[np.int16]
    """The first component, (height' * luma_width, 64)."""
    luma_width: int
    luma_height: int
    across: int
    down: int
    """Its blocks for one of these, 1 or 2."""
    luma_quant: NDArray[np.int32]
    before: NDArray[np.int16]
    """The second component, if this is the third."""
    before_quant: NDArray[np.int32]


class Work(NamedTuple):
    """What belongs to the present block, and to the present question."""

    sums: NDArray[np.int32]
    """(256,): what is known of predictions: by row and by column; and of expectations."""
    luma: NDArray[np.int16]
    """(64,): the first component at the same place, as if it had as many blocks."""
    second: NDArray[np.int16]
    """(64,): the second one."""
    half: NDArray[np.int16]
    """(2, 64): the upper and the lower half of ``luma``."""
    at: NDArray[np.int64]
    """(8,): the first slots of the contexts."""


class Job(NamedTuple):
    """A plane, and what is learned from it."""

    plane: Plane
    model: Model
    weights: Weights
    tables: Tables
    work: Work


class _Block(NamedTuple):
    """The present block, and those around it."""

    levels: NDArray[np.int16]
    sizes: NDArray[np.uint8]
    values: NDArray[np.int16]
    turned: NDArray[np.int16]
    left: NDArray[np.int16]
    left_sizes: NDArray[np.uint8]
    above: NDArray[np.int16]
    above_sizes: NDArray[np.uint8]


class _Known(NamedTuple):
    """What is known of a coefficient before it is coded."""

    kind: int
    """0 inner, 1 edge, 2 mean."""
    rank: int
    k: int
    predicted: int
    expected: int
    """In 16ths of a step of the quantisation; the latter by its logarithm."""


@kernel
def encode(starts, freqs, length, first, last, job):  # type: ignore[no-untyped-def]
    """Put the intervals of all answers in rows ``first`` to ``last - 1`` behind the first ``length``; return how many
    there are then."""
    return _code(job, first, last, Encoder(starts, freqs), Message(np.uint64(0), length)).length


@kernel
def decode(heads, tail, length, first, last, job):  # type: ignore[no-untyped-def]
    """Pop rows ``first`` to ``last - 1``; as :meth:`bitsback.ans.Stack.pull` wants it."""
    message = _code(job, first, last, Decoder(heads, tail), Message(heads[0], length))
    heads[0] = message.head
    return max(message.length, -1)


@kernel
def measure(counter, first, last, job):  # type: ignore[no-untyped-def]
    """Count what rows take and answer, a :class:`Counter`, and learn from them."""
    return _code(job, first, last, counter, Message(np.uint64(0), np.int64(0))).length


@helper
def _code(job, first, last, coder, message):  # type: ignore[no-untyped-def]
    """Code rows of blocks. If the stack runs empty, what is left of the row is garbage, and the last."""
    plane = job.plane
    job.work.luma[:] = 0
    job.work.second[:] = 0
    for y in range(first, last):
        now = y % 3
        plane.levels[now, :] = 0
        plane.sizes[now, :] = 0
        plane.values[now, :] = 0
        plane.turned[now, :] = 0
        plane.counts[now, :] = 0
        plane.rests[now, :] = 0
        for x in range(plane.width):
            large = _look_elsewhere(job, y, x)
            message = _code_block(job, y, x, large, coder, message)
        if message.length < 0:
            break
    return message


# Other components -----------------------------------------------------------------------------------------------------


@helper
def _clip(value):  # type: ignore[no-untyped-def]
    return min(max(value, -MOST), MOST)


@helper
def _look_elsewhere(job, y, x):  # type: ignore[no-untyped-def]
    """Set what other components have at the place of a block; return how many inner coefficients there are not 0."""
    plane, work = job.plane, job.work
    if plane.cls == 0:
        return 0
    if plane.cls == 2:
        _scale(plane.before[y * plane.width + x], plane.before_quant, work.second)
    last, lowest = plane.luma_width - 1, plane.luma_height - 1
    if plane.across == 1 and plane.down == 1:
        _scale(plane.luma[min(y, lowest) * plane.luma_width + min(x, last)], plane.luma_quant, work.luma)
    for half in range(plane.down):
        row = min(y * plane.down + half, lowest) * plane.luma_width
        to = work.half[half] if plane.down == 2 else work.luma
        if plane.across == 2:
            left, right = plane.luma[row + min(2 * x, last)], plane.luma[row + min(2 * x + 1, last)]
            _join_across(left, right, plane.luma_quant, job.tables.across, to)
        elif plane.down == 2:
            _scale(plane.luma[row + min(x, last)], plane.luma_quant, to)
    if plane.down == 2:
        _join_down(work.half, job.tables.down, work.luma)
    return _count_large(work.luma, plane.quant)


@vectorised
def _scale(v, levels, quant, to):  # type: ignore[no-untyped-def]
    """Coefficients times the quantisation table."""
    with v.loop(v.number(LANES)) as line:
        to.store(line * LANES, _scaled(levels, quant, line * LANES))


def _scaled(levels: Any, quant: Any, at: Any) -> Any:
    return (levels.load(at, SHORTS).to(INTS) * quant.load(at, INTS)).held(-MOST, MOST).to(SHORTS)


@vectorised
def _join_across(v, left, right, quant, table, to):  # type: ignore[no-untyped-def]
    """Two blocks of coefficients side by side -> what one would be that has the same samples, at half the size."""
    with v.loop(v.number(LANES)) as line:
        total = v.vector([0] * LANES, INTS)
        for number, block in enumerate((left, right)):
            row = _scaled(block, quant, line * LANES)
            for i in range(4):
                part = table.load(v.number(64 * number + 16 * i), TWICE)
                total = total + v.sums_of_pairs(row.lanes([2 * i, 2 * i + 1] * LANES), part)
        to.store(line * LANES, (total >> 12).held(-MOST, MOST).to(SHORTS))


@vectorised
def _join_down(v, halves, table, to):  # type: ignore[no-untyped-def]
    """The same for two blocks (2, 64) one above the other."""
    pairs = []
    for at in range(0, 128, 2 * LANES):
        rows = (halves.load(v.number(at + LANES * i), SHORTS) for i in range(2))
        pairs.append(next(rows).followed_by(next(rows)).lanes(WOVEN))
    with v.loop(v.number(LANES)) as line:
        total = v.vector([0] * LANES, INTS)
        for number, pair in enumerate(pairs):
            part = table.load(line * 16 + 2 * number, INT).spread(LANES).reinterpreted(TWICE)
            total = total + v.sums_of_pairs(pair, part)
        to.store(line * LANES, (total >> 12).held(-MOST, MOST).to(SHORTS))


@vectorised
def _count_large(v, values, quant):  # type: ignore[no-untyped-def]
    """How many inner coefficients are more than half a step."""
    total = v.variable(v.vector([0] * LANES, INTS))
    nothing, first = v.vector([0] * LANES, INTS), v.vector([0] + [1] * (LANES - 1), INTS)
    with v.loop(v.number(LANES - 1)) as line:
        at = line * LANES + LANES
        x = values.load(at, SHORTS).to(INTS)
        total.value = total.value + (x.at_least(0 - x) * 2 > quant.load(at, INTS)).choose(first, nothing)
    found = total.value
    for distance in (4, 2, 1):
        found = found + found.lanes([lane ^ distance for lane in range(LANES)])
    return found.lane(0).to(LONG)


# A block --------------------------------------------------------------------------------------------------------------


@helper
def _code_block(job, y, x, large, coder, message):  # type: ignore[no-untyped-def]
    """Code a block."""
    plane = job.plane
    coefficients = plane.coefficients[y * plane.width + x]
    block = _around(plane, y, x)
    count = 0
    if not isinstance(coder, Decoder):
        for rank in range(49):
            count += coefficients[job.tables.order[rank]] != 0
    count, message = _code_count(job, y, x, large, count, coder, message)
    plane.counts[y % 3, x + 2] = count
    _look_around(job, y, x)
    left, edges, last, energy = count, 0, 0, 0
    rank = 0 if count > 0 else 49
    value = 0
    while rank < 64:
        k = job.tables.order[rank]
        known, guess = _foresee(job, block, y, x, rank, k)
        _set_contexts(job, block, y, x, known, (count, left, edges, last, energy))
        level = coefficients[k] if not isinstance(coder, Decoder) else 0
        value, message = _code_value(job, block, known, np.int64(np.int16(level - guess)), coder, message)
        last = 0
        if value != 0:
            last = _size(job.tables, value)
            energy += min(abs(value), 64)
            left -= rank < 49
            edges += rank >= 49
        level = np.int64(np.int16(value + guess))
        if level != 0:
            if isinstance(coder, Decoder):
                coefficients[k] = level
            _keep(job, block, k, level, last)
        rank += 1
        if rank < 49 and left == 0:
            rank = 49
    plane.rests[y % 3, x + 2] = min(abs(value), 1023)
    return message


@helper
def _keep(job, block, k, level, size):  # type: ignore[no-untyped-def]
    """Note a coefficient of the present block, and what follows from it for others."""
    turned = 8 * (k & 7) + (k >> 3)
    number = _clip(level * job.plane.quant[k])
    block.levels[k], block.sizes[k] = level, size
    block.values[k], block.turned[turned] = number, number
    if k > 0:
        _spread(job.work.sums, job.weights.row, job.weights.column, k, turned, number, abs(number))


@vectorised
def _spread(v, sums, row, column, k, turned, value, size):  # type: ignore[no-untyped-def]
    """Add what follows from a coefficient for those of its row and of its column."""
    for number, one in enumerate((value, size)):
        for line, weights, start in ((0, row, k), (1, column, turned)):
            place = (start & 56) + (128 * number + 64 * line)
            product = weights.load(k * 8 + 512 * number, SHORTS).to(INTS) * one.to(SHORT).to(SHORTS).to(INTS)
            sums.store(place, sums.load(place, INTS) + product)


@helper
def _around(plane, y, x):  # type: ignore[no-untyped-def]
    now, before = y % 3, (y + 2) % 3
    return _Block(
        plane.levels[now, x + 2], plane.sizes[now, x + 2], plane.values[now, x + 2], plane.turned[now, x + 2],
        plane.levels[now, x + 1], plane.sizes[now, x + 1], plane.levels[before, x + 2], plane.sizes[before, x + 2],
    )  # fmt: skip


@helper
def _look_around(job, y, x):  # type: ignore[no-untyped-def]
    """Begin the sums of a block with what follows from other blocks."""
    values, turned = job.plane.values, job.plane.turned
    now, before, top = y % 3, (y + 2) % 3, (y + 1) % 3
    pairs = (
        (values[before, x + 1], values[before, x + 3]), (values[now, x], values[top, x + 2]),
        (job.work.luma, job.work.second),
    )  # fmt: skip
    _begin(values[now, x + 1], turned[before, x + 2], pairs, job.weights, job.work.sums)


@vectorised
def _begin(v, left, above, pairs, weights, sums):  # type: ignore[no-untyped-def]
    """Set all sums: line by line, eight targets at a time."""
    spread = [[2 * i, 2 * i + 1] * LANES for i in range(LANES // 2)]
    with v.loop(v.number(LANES)) as line:
        at = line * LANES
        row = [left.load(at, SHORTS).lanes(lanes) for lanes in spread]
        column = [above.load(at, SHORTS).lanes(lanes) for lanes in spread]
        around = [a.load(at, SHORTS).followed_by(b.load(at, SHORTS)).lanes(WOVEN) for a, b in pairs]
        sources = (
            (0, row, weights.left, 8 * 4 * 16), (1, column, weights.above, 8 * 4 * 16),
            (0, around, weights.around, 8 * 3 * 16),
        )  # fmt: skip
        for number in range(2):
            totals: dict[int, Any] = {}
            for where, several, matrix, size in sources:
                for i, one in enumerate(several):
                    x = one if number == 0 else one.at_least(0 - one)
                    part = matrix.load(line * (16 * len(several)) + (size * number + 16 * i), TWICE)
                    product = v.sums_of_pairs(x, part)
                    totals[where] = totals[where] + product if where in totals else product
            for where, total in totals.items():
                sums.store(at + (128 * number + 64 * where), total)


@helper
def _size(tables, value):  # type: ignore[no-untyped-def]
    """The size of a number, 0 to 19."""
    return tables.magnitudes[min(abs(value), 255)]


@helper
def _bins(tables, counts):  # type: ignore[no-untyped-def]
    a, b, c, d, e, f = counts
    return tables.counts[a], tables.counts[b], tables.counts[c], tables.counts[d], tables.counts[e], tables.counts[f]


@helper
def _count(sort, cls, number):  # type: ignore[no-untyped-def]
    """The first slot of a context of counts."""
    return t.COUNTS[sort] + cls * t.COUNT_SIZES[sort] + 64 * number


@helper
def _code_count(job, y, x, large, value, coder, message):  # type: ignore[no-untyped-def]
    """Code how many inner coefficients are not 0: six binary digits, the high ones first."""
    plane, at, cls = job.plane, job.work.at, job.plane.cls
    here, above, top = plane.counts[y % 3], plane.counts[(y + 2) % 3], plane.counts[(y + 1) % 3]
    w, n, nw, ne, ww, nn = here[x + 1], above[x + 2], above[x + 1], above[x + 3], here[x], top[x + 2]
    if y == 0:
        n, nw, ne, nn = w, w, w, w
    if x == 0:
        w, nw, ww = n, n, n
    mean = (2 * w + 2 * n + nw + ne + 3) // 6
    w_bin, n_bin, nw_bin, ne_bin, ww_bin, nn_bin = _bins(job.tables, (w, n, nw, ne, ww, nn))
    at[0] = _count(0, cls, (2 * (w + n) + nw + ne + ww + nn + 7) >> 4)
    at[1] = _count(1, cls, w_bin * 10 + n_bin)
    at[2] = _count(2, cls, mean)
    at[3] = _count(3, cls, large)
    at[4] = _count(4, cls, min(mean >> 1, 19) * 20 + min(large >> 1, 19))
    at[5] = _count(5, cls, nw_bin * 10 + ne_bin)
    at[6] = _count(6, cls, ww_bin + 10 * (nn_bin >> 2))
    tree = 1
    for digit in range(5, -1, -1):
        one = cls * 64 + tree
        sets = t.COUNT_SET + one, t.COUNT_SET_2 + cls * 50 + mean
        bit, message = ask(job, OF_SEVEN, tree, sets, (value >> digit) & 1, coder, message, 0)
        tree = 2 * tree + bit
    return min(tree - 64, 49), message


# A coefficient --------------------------------------------------------------------------------------------------------


@helper
def _foresee(job, block, y, x, rank, k):  # type: ignore[no-untyped-def]
    """What is known of a coefficient; and what its value will be the difference to."""
    plane, sums, diagonal = job.plane, job.work.sums, job.weights.diagonal
    kind = np.int64(rank >= 49) + (rank == 63)
    turned = 8 * (k & 7) + (k >> 3)
    beside = block.values[max(k - 9, 0)]
    inverse = plane.inverse[k]
    predicted = (((sums[k] + sums[64 + turned] + diagonal[0, k] * beside) >> 8) * inverse) >> 16
    expected = (sums[128 + k] + sums[192 + turned] + diagonal[1, k] * abs(beside)) >> 8
    expected = ((expected + plane.least[k]) * inverse) >> 16
    guess = 0
    if kind == 2:
        guess = (predicted + 8) >> 4
        predicted -= 16 * guess
        expected = 4 * (plane.rests[(y + 2) % 3, x + 2] + plane.rests[y % 3, x + 1]) + 4
    return _Known(kind, rank, k, predicted, job.tables.logarithms[min(max(expected, 0), 4095)]), guess


@helper
def _set_contexts(job, block, y, x, known, state):  # type: ignore[no-untyped-def]
    """Set the contexts of a coefficient's size."""
    plane, tables, at = job.plane, job.tables, job.work.at
    count, left, edges, last, energy = state
    kind, rank, k, e = known.kind, known.rank, known.k, known.expected
    coarse, begins, near = min(e >> 2, 9), plane.begins[rank], tables.near[k]
    exactly = left if kind == 0 else count
    some = min(left, 15) if kind == 0 else tables.edges[edges] + min(count >> 2, 12)
    p = _size(tables, (abs(known.predicted) + 2) >> 2) if kind < 2 else (known.predicted + 8) & 15
    if plane.cls > 0:
        inverse = plane.inverse[k]
        first = _size(tables, (abs(job.work.luma[k]) * inverse) >> 15)
        second = _size(tables, (abs(job.work.second[k]) * inverse) >> 15)
    elif kind == 2:
        first, second = _size(tables, plane.rests[(y + 2) % 3, x + 2]), _size(tables, plane.rests[y % 3, x + 1])
    else:
        first, second = block.above_sizes[k], block.left_sizes[k]
    a, b, c = min(block.sizes[near[0]], 5), min(block.sizes[near[1]], 5), min(block.sizes[near[2]], 3)
    pair = min(first, 9) * 10 + min(second, 9)
    at[0] = begins[0] + (e * 16 + some) * (3 * LINE)
    at[1] = begins[1] + (((a * 6 + b) * 4 + c) * 12 + tables.counts[exactly]) * LINE
    at[2] = begins[2] + (p * 32 + min(e, 31)) * (3 * LINE)
    at[3] = begins[3] + exactly * LINE
    at[4] = begins[4] + min(coarse, 5) * LINE
    at[5] = begins[5] + (min(_size(tables, energy), 13) * 4 + min(last, 3)) * LINE
    at[6] = begins[6] + (pair * 10 + coarse) * (3 * LINE)


@helper
def _code_value(job, block, known, value, coder, message):  # type: ignore[no-untyped-def]
    """Code a coefficient, or the difference that stands for it."""
    kind, rank, e, cls = known.kind, known.rank, known.expected, job.plane.cls
    magnitude, digits, going = abs(value), 0, True
    sort, category = cls * 3 + kind, 1 + kind
    while going and digits < DIGITS:
        bit = np.int64((magnitude >> digits) != 0)
        second = t.SIZE_SET_2 + (cls * 40 + e if digits == 0 else 120 + cls * 64 + rank)
        sets = t.SIZE_SET + sort * 16 + digits, second
        bit, message = ask(job, OF_SEVEN, min(digits, LINE - 1), sets, bit, coder, message, category)
        going = bit != 0
        digits += bit
    while going and digits < 16:
        bit, message = ask_alone(job, digits, np.int64((magnitude >> digits) != 0), coder, message, category)
        going = bit != 0
        digits += bit
    if digits == 0:
        return 0, message
    negative, message = _code_sign(job, block, known, np.int64(value < 0), coder, message)
    number, message = _code_rest(job, known, digits, negative, magnitude, coder, message)
    return -number if negative else number, message


@helper
def _code_rest(job, known, digits, negative, magnitude, coder, message):  # type: ignore[no-untyped-def]
    """Code the digits of a number behind its first."""
    kind, rank, cls, at = known.kind, known.rank, job.plane.cls, job.work.at
    number = 1
    towards = known.predicted if negative == 0 else -known.predicted
    for i in range(digits - 2, -1, -1):
        bit = (magnitude >> i) & 1
        if i >= digits - 4 and kind < 2:
            # Where the prediction lies in what is left, which the next digit cuts into halves
            where = (((towards >> 4) - ((2 * number + 1) << i)) << 2) >> i
            at[0] = _rest(0, cls, min(max(where + 9, 0), 18) * 17 + digits)
            at[1] = _rest(1, cls, rank * 17 + digits)
            at[2] = _rest(2, cls, (known.expected >> 1) * 17 + digits)
            sets = t.REST_SET + cls * 16 + number, t.REST_SET_2 + cls * 17 + digits
            bit, message = ask(job, OF_THREE, number, sets, bit, coder, message, 6)
        else:
            slot = 32 + ((cls * 3 + kind) * 16 + digits - 1) * 16 + i
            bit, message = ask_alone(job, slot, bit, coder, message, 6)
        number = 2 * number + bit
    return number, message


@helper
def _rest(sort, cls, number):  # type: ignore[no-untyped-def]
    """The first slot of a context of digits."""
    return t.RESTS[sort] + cls * t.REST_SIZES[sort] + number * LINE


@helper
def _sign(value):  # type: ignore[no-untyped-def]
    """1 for 0, 2 for positive numbers, 0 for negative ones."""
    return 1 + (value > 0) - (value < 0)


@helper
def _code_sign(job, block, known, bit, coder, message):  # type: ignore[no-untyped-def]
    """Code whether a number is negative."""
    tables, at, cls = job.tables, job.work.at, job.plane.cls
    rank, k = known.rank, known.k
    begins, near = job.plane.begins[rank], tables.near[k]
    p = _size(tables, (abs(known.predicted) + 1) >> 1)
    down = np.int64(known.predicted < 0)
    around = (_sign(block.levels[near[0]]) * 3 + _sign(block.levels[near[1]])) * 3 + _sign(block.levels[near[2]])
    others = _sign(block.above[k]) * 3 + _sign(block.left[k])
    luma, second = _sign(job.work.luma[k]), _sign(job.work.second[k])
    at[0] = begins[7] + ((p * 16 + min(known.expected >> 2, 9)) * 2 + down) * 2
    at[1] = begins[8] + others
    at[2] = begins[9] + luma * 3 + second
    at[3] = begins[10] + around
    at[4] = begins[11] + ((luma * 3 + second) * 9 + others) * 12
    at[5] = begins[12] + p * 2 + down
    at[6] = begins[13] + ((others * 3 + luma) * 27 + around) * 2 + down
    sets = t.SIGN_SET + cls * 64 + rank, t.SIGN_SET_2 + cls * 20 + p
    return ask(job, OF_SEVEN, 0, sets, bit, coder, message, 4 + (known.kind > 0))
