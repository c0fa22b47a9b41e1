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

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder
from bitsback.kernels import helper, kernel, vectorised
from bitsback.kernels.vectors import INTS, LANES, SHORTS
from bitsback.kinds.jpeg import tables as t
from bitsback.kinds.jpeg.mixing import OF_SEVEN, OF_THREE, Asking, across, ask, ask_alone
from bitsback.kinds.jpeg.tables import LINE, Model, Tables, Trained

MOST = 8191
"""Magnitudes that predictions are made from."""

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
    levels: NDArray[np.int16]
    """(3, width + 4, 64): coefficients of row y, and the two above, at y % 3, with two empty blocks on either side."""
    values: NDArray[np.int16]
    """The same times the quantisation table ..."""
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
    """What belongs to the present block."""

    extra: NDArray[np.int16]
    """(8,): what a coefficient is predicted from besides."""
    luma: NDArray[np.int16]
    """(64,): the first component at the same place, as if it had as many blocks."""
    second: NDArray[np.int16]
    """(64,): the second one."""
    half: NDArray[np.int64]
    """(2, 64)"""


class Job(NamedTuple):
    """A plane, and what is learned from it."""

    plane: Plane
    model: Model
    trained: Trained
    tables: Tables
    asking: Asking
    work: Work


class _Block(NamedTuple):
    """The present block, and those around it."""

    levels: NDArray[np.int16]
    values: NDArray[np.int16]
    turned: NDArray[np.int16]
    left: NDArray[np.int16]
    left_values: NDArray[np.int16]
    above: NDArray[np.int16]
    above_values: NDArray[np.int16]
    above_turned: NDArray[np.int16]
    corner: NDArray[np.int16]
    right: NDArray[np.int16]
    """Above to the left, and to the right: values."""
    further_left: NDArray[np.int16]
    further_above: NDArray[np.int16]


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
    return _code(job, first, last, Encoder(starts, freqs), length)


@kernel
def decode(heads, tail, length, first, last, job):  # type: ignore[no-untyped-def]
    """Pop rows ``first`` to ``last - 1``; as :meth:`bitsback.ans.Stack.pull` wants it."""
    return _code(job, first, last, Decoder(heads, tail), length)


@kernel
def measure(counter, first, last, job):  # type: ignore[no-untyped-def]
    """Count what rows take and answer, a :class:`Counter`, and learn from them."""
    return _code(job, first, last, counter, 0)


@helper
def _code(job, first, last, coder, length):  # type: ignore[no-untyped-def]
    plane = job.plane
    job.work.luma[:] = 0
    job.work.second[:] = 0
    for y in range(first, last):
        now = y % 3
        plane.levels[now, :] = 0
        plane.values[now, :] = 0
        plane.turned[now, :] = 0
        plane.counts[now, :] = 0
        plane.rests[now, :] = 0
        for x in range(plane.width):
            _look_elsewhere(job, y, x)
            length = _code_block(job, y, x, coder, length)
            if length < 0:
                return -1
    return length


# Other components -----------------------------------------------------------------------------------------------------


@helper
def _clip(value):  # type: ignore[no-untyped-def]
    return min(max(value, -MOST), MOST)


@helper
def _look_elsewhere(job, y, x):  # type: ignore[no-untyped-def]
    """Set what other components have at the place of a block."""
    plane, work = job.plane, job.work
    if plane.cls == 0:
        return
    if plane.across == 1 and plane.down == 1:
        _scale(
            plane.luma[min(y, plane.luma_height - 1) * plane.luma_width + min(x, plane.luma_width - 1)],
            plane.luma_quant,
            work.luma,
        )
        _look_at_second(plane, work, y, x)
        return
    for half in range(plane.down):
        _look_across(job, min(y * plane.down + half, plane.luma_height - 1), x, work.half[half])
    for k in range(64):
        total = work.half[0, k]
        if plane.down == 2:
            total = 0
            for i in range(8):
                one, two = work.half[0, 8 * i + (k & 7)], work.half[1, 8 * i + (k & 7)]
                total += job.tables.halves[k >> 3, i] * (one + two if ((k >> 3) + i) % 2 == 0 else one - two)
            total >>= 12
        work.luma[k] = _clip(total)
    _look_at_second(plane, work, y, x)


@helper
def _look_at_second(plane, work, y, x):  # type: ignore[no-untyped-def]
    if plane.cls == 2:
        _scale(plane.before[y * plane.width + x], plane.before_quant, work.second)


@vectorised
def _scale(v, levels, quant, to):  # type: ignore[no-untyped-def]
    """Coefficients times the quantisation table."""
    for start in range(0, 64, LANES):
        at = v.number(start)
        to.store(at, (levels.load(at, SHORTS).to(INTS) * quant.load(at, INTS)).held(-MOST, MOST).to(SHORTS))


@helper
def _look_across(job, y, x, to):  # type: ignore[no-untyped-def]
    """A block of the first component; or, of twice the width, what is there of it."""
    plane = job.plane
    row, last = y * plane.luma_width, plane.luma_width - 1
    if plane.across == 1:
        block = plane.luma[row + min(x, last)]
        for k in range(64):
            to[k] = block[k] * plane.luma_quant[k]
        return
    left, right = plane.luma[row + min(2 * x, last)], plane.luma[row + min(2 * x + 1, last)]
    for k in range(64):
        total = 0
        for i in range(8):
            at = (k & 56) + i
            pair = left[at] + right[at] if (k + i) % 2 == 0 else left[at] - right[at]
            total += job.tables.halves[k & 7, i] * pair * plane.luma_quant[at]
        to[k] = total >> 12


# A block --------------------------------------------------------------------------------------------------------------


@helper
def _code_block(job, y, x, coder, length):  # type: ignore[no-untyped-def]
    """Code a block. Returns the length of the stack, -1 if it is empty, or how many answers there were."""
    plane = job.plane
    coefficients = plane.coefficients[y * plane.width + x]
    block = _around(plane, y, x)
    count = 0
    if not isinstance(coder, Decoder):
        for rank in range(49):
            count += coefficients[job.tables.order[rank]] != 0
    count, length = _code_count(job, y, x, count, coder, length)
    if length < 0:
        return -1
    plane.counts[y % 3, x + 2] = count
    left, edges, last, energy = count, 0, 0, 0
    for rank in range(64):
        if rank < 49 and left == 0:
            continue
        k = job.tables.order[rank]
        known, guess = _foresee(job, block, y, x, rank, k)
        _set_contexts(job, block, y, x, known, (count, left, edges, last, energy))
        level = coefficients[k] if not isinstance(coder, Decoder) else 0
        value, length = _code_value(job, block, known, np.int64(np.int16(level - guess)), coder, length)
        if length < 0:
            return -1
        level = np.int64(np.int16(value + guess))
        if isinstance(coder, Decoder):
            coefficients[k] = level
        block.levels[k] = level
        number = _clip(level * plane.quant[k])
        block.values[k], block.turned[8 * (k & 7) + (k >> 3)] = number, number
        last = _size(job.tables, value)
        energy += min(abs(value), 64)
        if rank < 49:
            left -= value != 0
        else:
            edges += value != 0
    plane.rests[y % 3, x + 2] = min(abs(value), 1023)
    return length


@helper
def _around(plane, y, x):  # type: ignore[no-untyped-def]
    now, before, top = y % 3, (y + 2) % 3, (y + 1) % 3
    return _Block(
        plane.levels[now, x + 2], plane.values[now, x + 2], plane.turned[now, x + 2],
        plane.levels[now, x + 1], plane.values[now, x + 1],
        plane.levels[before, x + 2], plane.values[before, x + 2], plane.turned[before, x + 2],
        plane.values[before, x + 1], plane.values[before, x + 3], plane.values[now, x], plane.values[top, x + 2],
    )  # fmt: skip


@helper
def _count_bin(count):  # type: ignore[no-untyped-def]
    """0 to 49 -> 0 to 9."""
    return count if count < 3 else 3 + (count - 3) // 3 if count < 9 else min(5 + (count - 9) // 8, 9)


@helper
def _size(tables, value):  # type: ignore[no-untyped-def]
    """The size of a number, 0 to 19."""
    return tables.magnitudes[min(abs(value), 255)]


@helper
def _line(places, sizes, sort, cls, number):  # type: ignore[no-untyped-def]
    """The first slot of a context."""
    return (places[sort] + cls * sizes[sort] + number) * LINE


@helper
def _code_count(job, y, x, value, coder, length):  # type: ignore[no-untyped-def]
    """Code how many inner coefficients are not 0: six binary digits, the high ones first."""
    plane, at, cls = job.plane, job.asking.at, job.plane.cls
    here, above, top = plane.counts[y % 3], plane.counts[(y + 2) % 3], plane.counts[(y + 1) % 3]
    w, n, nw, ne, ww, nn = here[x + 1], above[x + 2], above[x + 1], above[x + 3], here[x], top[x + 2]
    if y == 0:
        n, nw, ne, nn = w, w, w, w
    if x == 0:
        w, nw, ww = n, n, n
    mean = (2 * w + 2 * n + nw + ne + 3) // 6
    luma = 0
    if cls > 0:
        for rank in range(49):
            k = job.tables.order[rank]
            luma += abs(job.work.luma[k]) * 2 > plane.quant[k]
    at[0] = _line(t.COUNTS, t.COUNT_SIZES, 0, cls, 4 * ((2 * (w + n) + nw + ne + ww + nn + 7) >> 4))
    at[1] = _line(t.COUNTS, t.COUNT_SIZES, 1, cls, 4 * (_count_bin(w) * 10 + _count_bin(n)))
    at[2] = _line(t.COUNTS, t.COUNT_SIZES, 2, cls, 4 * mean)
    at[3] = _line(t.COUNTS, t.COUNT_SIZES, 3, cls, 4 * luma)
    at[4] = _line(t.COUNTS, t.COUNT_SIZES, 4, cls, 4 * (min(mean >> 1, 19) * 20 + min(luma >> 1, 19)))
    at[5] = _line(t.COUNTS, t.COUNT_SIZES, 5, cls, 4 * (_count_bin(nw) * 10 + _count_bin(ne)))
    at[6] = _line(t.COUNTS, t.COUNT_SIZES, 6, cls, 4 * (_count_bin(ww) + 10 * (_count_bin(nn) >> 2)))
    tree = 1
    for digit in range(5, -1, -1):
        one = cls * 64 + tree
        sets = t.COUNT_SET + one, t.COUNT_SET_2 + cls * 50 + mean
        bit, length = ask(job, OF_SEVEN, tree, sets, (value >> digit) & 1, coder, length, 0)
        if length < 0:
            return 0, length
        tree = 2 * tree + bit
    return min(tree - 64, 49), length


# A coefficient --------------------------------------------------------------------------------------------------------


@vectorised
def _sums(v, left, above, values, turned, row, column, extra, predict, expect, place, out):  # type: ignore[no-untyped-def]
    """out[0], out[LANES]: weighted sums of five times eight numbers, and of their magnitudes."""
    none = row - row
    x = extra.load(none, SHORTS)
    total = x.to(INTS) * predict.load(place + 4 * LANES, SHORTS).to(INTS)
    size = x.at_least(0 - x).to(INTS) * expect.load(place + 4 * LANES, SHORTS).to(INTS)
    for number, (one, other) in enumerate(((left, above), (values, turned))):
        x = one.load(row, SHORTS).followed_by(other.load(column, SHORTS))
        weights = place + 2 * LANES * number
        total = total + v.sums_of_pairs(x, predict.load(weights, x.kind))
        size = size + v.sums_of_pairs(x.at_least(0 - x), expect.load(weights, x.kind))
    out.store(none, across(total))
    out.store(none + LANES, across(size))


@helper
def _foresee(job, block, y, x, rank, k):  # type: ignore[no-untyped-def]
    """What is known of a coefficient; and what its value will be the difference to."""
    plane, work, sums, cls = job.plane, job.work, job.asking.sums, job.plane.cls
    kind = np.int64(rank >= 49) + (rank == 63)
    extra = work.extra
    extra[0], extra[1], extra[2], extra[3] = (
        block.corner[k],
        block.right[k],
        block.further_left[k],
        block.further_above[k],
    )
    extra[4] = work.luma[k]
    extra[5] = work.second[k]
    extra[6] = block.values[max(k - 9, 0)] if kind == 0 else 0
    _sums(
        block.left_values, block.above_turned, block.values, block.turned, k & 56, 8 * (k & 7), extra,
        job.trained.predict, job.trained.expect, (cls * 64 + k) * 5 * LANES, sums,
    )  # fmt: skip
    inverse = plane.inverse[k]
    predicted = ((sums[0] >> 8) * inverse) >> 16
    least = (job.trained.least[cls, k] * plane.quant[k]) >> 8
    expected = (((sums[LANES] >> 8) + least) * inverse) >> 16
    guess = 0
    if kind == 2:
        guess = (predicted + 8) >> 4
        predicted -= 16 * guess
        expected = 4 * (plane.rests[(y + 2) % 3, x + 2] + plane.rests[y % 3, x + 1]) + 4
    return _Known(kind, rank, k, predicted, job.tables.logarithms[min(max(expected, 0), 4095)]), guess


@helper
def _neighbours(levels, kind, k):  # type: ignore[no-untyped-def]
    """Three coefficients of the block that are near to one in frequency, and known."""
    if kind == 0:
        return levels[k - 1], levels[k - 8], levels[max(k - 9, 0)]
    if k > 0 and k < 8:
        return levels[k + 8], levels[k + 1] if k < 7 else np.int64(0), levels[k + 16]
    return levels[k + 1], levels[k + 8] if k > 0 and k < 56 else np.int64(0), levels[k + 2]


@helper
def _set_contexts(job, block, y, x, known, state):  # type: ignore[no-untyped-def]
    """Set the contexts of a coefficient's size."""
    plane, tables, at, cls = job.plane, job.tables, job.asking.at, job.plane.cls
    count, left, edges, last, energy = state
    kind, rank, k, e = known.kind, known.rank, known.k, known.expected
    coarse, inverse = min(e >> 2, 9), plane.inverse[k]
    if kind == 0:
        some, exactly, few = min(left, 15), left, _count_bin(left)
    else:
        some, exactly, few = min(count >> 2, 12) + (edges > 2) + (edges > 5) + (edges > 8), count, _count_bin(count)
    p = _size(tables, (abs(known.predicted) + 2) >> 2) if kind < 2 else (known.predicted + 8) & 15
    a, b, c = _neighbours(block.levels, kind, k)
    if cls > 0:
        first = _size(tables, (abs(job.work.luma[k]) * inverse) >> 15)
        second = _size(tables, (abs(job.work.second[k]) * inverse) >> 15)
    elif kind == 2:
        first, second = _size(tables, plane.rests[(y + 2) % 3, x + 2]), _size(tables, plane.rests[y % 3, x + 1])
    else:
        first, second = _size(tables, block.above[k]), _size(tables, block.left[k])
    a, b, c = min(_size(tables, a), 5), min(_size(tables, b), 5), min(_size(tables, c), 3)
    pair = min(first, 9) * 10 + min(second, 9)
    at[0] = _line(t.SIZES, t.SIZE_SIZES, 0, cls, (e * 16 + some) * 3 + kind)
    at[1] = _line(t.SIZES, t.SIZE_SIZES, 1, cls, ((a * 6 + b) * 4 + c) * 12 + few)
    at[2] = _line(t.SIZES, t.SIZE_SIZES, 2, cls, (p * 32 + min(e, 31)) * 3 + kind)
    at[3] = _line(t.SIZES, t.SIZE_SIZES, 3, cls, rank * 50 + exactly)
    at[4] = _line(
        t.SIZES, t.SIZE_SIZES, 4, cls, (rank * 10 + min(_size(tables, plane.quant[k]), 9)) * 6 + min(coarse, 5)
    )
    at[5] = _line(t.SIZES, t.SIZE_SIZES, 5, cls, (rank * 14 + min(_size(tables, energy), 13)) * 4 + min(last, 3))
    at[6] = _line(t.SIZES, t.SIZE_SIZES, 6, cls, (pair * 10 + coarse) * 3 + kind)


@helper
def _code_value(job, block, known, value, coder, length):  # type: ignore[no-untyped-def]
    """Code a coefficient, or the difference that stands for it."""
    kind, rank, e, cls = known.kind, known.rank, known.expected, job.plane.cls
    magnitude, digits, going = abs(value), 0, True
    sort, category = cls * 3 + kind, 1 + kind
    while going and digits < DIGITS:
        bit = np.int64((magnitude >> digits) != 0)
        second = t.SIZE_SET_2 + (cls * 40 + e if digits == 0 else 120 + cls * 64 + rank)
        sets = t.SIZE_SET + sort * 16 + digits, second
        bit, length = ask(job, OF_SEVEN, digits, sets, bit, coder, length, category)
        if length < 0:
            return 0, length
        going = bit != 0
        digits += bit
    while going and digits < 16:
        bit, length = ask_alone(job, digits, np.int64((magnitude >> digits) != 0), coder, length, category)
        if length < 0:
            return 0, length
        going = bit != 0
        digits += bit
    if digits == 0:
        return 0, length
    negative, length = _code_sign(job, block, known, np.int64(value < 0), coder, length)
    if length < 0:
        return 0, length
    number, length = _code_rest(job, known, digits, negative, magnitude, coder, length)
    return -number if negative else number, length


@helper
def _code_rest(job, known, digits, negative, magnitude, coder, length):  # type: ignore[no-untyped-def]
    """Code the digits of a number behind its first."""
    kind, rank, cls, at = known.kind, known.rank, job.plane.cls, job.asking.at
    number = 1
    towards = known.predicted if negative == 0 else -known.predicted
    for i in range(digits - 2, -1, -1):
        bit = (magnitude >> i) & 1
        if i >= digits - 4 and kind < 2:
            # Where the prediction lies in what is left, which the next digit cuts into halves
            where = (((towards >> 4) - ((2 * number + 1) << i)) << 2) >> i
            at[0] = _line(t.RESTS, t.REST_SIZES, 0, cls, min(max(where + 9, 0), 18) * 17 + digits)
            at[1] = _line(t.RESTS, t.REST_SIZES, 1, cls, rank * 17 + digits)
            at[2] = _line(t.RESTS, t.REST_SIZES, 2, cls, (known.expected >> 1) * 17 + digits)
            node = min(number, 15)
            sets = t.REST_SET + cls * 16 + node, t.REST_SET_2 + cls * 17 + digits
            bit, length = ask(job, OF_THREE, node, sets, bit, coder, length, 6)
        else:
            slot = 32 + ((cls * 3 + kind) * 16 + digits - 1) * 16 + i
            bit, length = ask_alone(job, slot, bit, coder, length, 6)
        if length < 0:
            return 0, length
        number = 2 * number + bit
    return number, length


@helper
def _sign(value):  # type: ignore[no-untyped-def]
    """1 for 0, 2 for positive numbers, 0 for negative ones."""
    return 1 + (value > 0) - (value < 0)


@helper
def _code_sign(job, block, known, bit, coder, length):  # type: ignore[no-untyped-def]
    """Code whether a number is negative."""
    tables, at, cls = job.tables, job.asking.at, job.plane.cls
    kind, rank, k = known.kind, known.rank, known.k
    p = _size(tables, (abs(known.predicted) + 1) >> 1)
    down = np.int64(known.predicted < 0)
    a, b, c = _neighbours(block.levels, kind, k)
    near = (_sign(a) * 3 + _sign(b)) * 3 + _sign(c)
    n, w = _sign(block.above[k]), _sign(block.left[k])
    luma, second = _sign(job.work.luma[k]), _sign(job.work.second[k])
    at[0] = _line(t.SIGNS, t.SIGN_SIZES, 0, cls, ((p * 16 + min(known.expected >> 2, 9)) * 2 + down) * 2 + (kind > 0))
    at[1] = _line(t.SIGNS, t.SIGN_SIZES, 1, cls, rank * 9 + n * 3 + w)
    at[2] = _line(t.SIGNS, t.SIGN_SIZES, 2, cls, rank * 9 + luma * 3 + second)
    at[3] = _line(t.SIGNS, t.SIGN_SIZES, 3, cls, rank * 27 + near)
    at[4] = _line(t.SIGNS, t.SIGN_SIZES, 4, cls, (((luma * 3 + second) * 3 + n) * 3 + w) * 12 + (rank >> 3))
    at[5] = _line(t.SIGNS, t.SIGN_SIZES, 5, cls, rank * 20 + p) + down
    at[6] = _line(t.SIGNS, t.SIGN_SIZES, 6, cls, ((n * 3 + w) * 3 + luma) * 27 + near) + down
    sets = t.SIGN_SET + cls * 64 + rank, t.SIGN_SET_2 + cls * 20 + p
    return ask(job, OF_SEVEN, 0, sets, bit, coder, length, 4 + (kind > 0))
