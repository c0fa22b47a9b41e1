"""Photos, slices, frames, if there is time: two regressions of every sample, and answers that more is asked for.

As :mod:`.regressed`, of which this takes what it can; see there. But

* the channels are coded one after the other, all rows of a band of the first, then of the second ...: so a sample has
  among its regressors what lies right of it and below it, in the channels before;
* strips have LANES rows, one in each lane: what is learned there was coded a short while ago, and nearby;
* there are two regressions, one of more regressors in a long window (see :mod:`.windows`). The *guess* is between both,
  nearer to that which erred less around here (as Meyer & Tischer blend predictors in TMW, 1997);
* answers are mixed of four distributions: those of :mod:`.regressed`, and one around what each regression says, as wide
  as its errors were so far where those around were as large and the guess as far away; and of what came before of this
  question in eleven contexts (see :mod:`.voices`), the last of which is which values were there before where the
  channels before were the same (see :mod:`.seen`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder
from bitsback.kernels import helper, kernel
from bitsback.kernels.vectors import LANES
from bitsback.kinds.adaptive import regressed, smooth
from bitsback.kinds.adaptive.answers import coded
from bitsback.kinds.adaptive.cost import REACH, blendable
from bitsback.kinds.adaptive.regressed import (
    ACROSS,
    DEPTH,
    MOST_REFERENCES,
    PRECISION,
    REPEATS,
    Block,
    Form,
    Grid,
    Task,
    around,
    chance_of,
    count_in,
    error_before,
    errors_around,
    grid_of,
    keep,
    named_references,
    new_biases,
    new_scales,
    one_of,
    plane_through,
    rank_of,
    scale_of,
    share_below,
    signed_rank,
    slope_around,
    splits,
    spread_left,
    stand,
    texture_around,
)  # fmt: skip
from bitsback.kinds.adaptive.seen import Seen, new_seen, row_of, see, seen_around
from bitsback.kinds.adaptive.smooth import CLEAR
from bitsback.kinds.adaptive.voices import (
    CONTEXTS,
    NODES,
    SHAPES,
    Voices,
    mixed,
    new_voices,
    settle,
    settle_last,
    taught,
)
from bitsback.kinds.adaptive.windows import Window, begin_strip, regress, remember, window
from bitsback.kinds.context.network import SKEW

SHORT, LONG = 3, 5
"""Rates of both windows: see :mod:`.windows`."""

OWN, OWN_LONG = 12, 20
"""Regressors in the same channel and image, of the short window and the long one."""

BEFORE, BEFORE_LONG = 6, 12
"""... and in each of up to two channels before."""

_SPREADS = 32
_RECENT = 2 * LANES
"""Rows that errors of both regressions are kept of."""

_WHOLE = 1 << 32


class State(NamedTuple):
    """What has been learned. First axis: channel; as of :class:`bitsback.kinds.adaptive.regressed.State`."""

    biases: NDArray[np.int64]
    scales: NDArray[np.int64]
    """(C, shapes, energies, spreads, 2)"""
    voices: Voices


class Job(NamedTuple):
    """Images, and what is learned from them: as of :class:`bitsback.kinds.adaptive.regressed.Job`."""

    planes: NDArray[Any]
    errors: NDArray[Any]
    erred: NDArray[np.int32]
    """(2, C, rows * stride): errors of both regressions, in the last few rows."""
    grid: Grid
    sizes: NDArray[np.int64]
    references: NDArray[np.int64]
    clear: bool
    state: State
    short: Window
    long: Window
    seen: Seen
    splits: NDArray[np.int64]
    levels: NDArray[np.int64]
    """(C,): values over 2 to this power are below 512."""


class Asked(NamedTuple):
    """A sample's contexts, and its distributions, ``SHAPES`` each: means in 64ths, inverse scales, and how much lies
    below the lowest value that it can still be, up to the highest, and up to what is asked about, in 2**-32."""

    contexts: NDArray[np.int64]
    means: NDArray[np.int64]
    inverses: NDArray[np.int64]
    lows: NDArray[np.int64]
    highs: NDArray[np.int64]
    middles: NDArray[np.int64]


@kernel(vectorise=True)
def _encode(starts, freqs, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Encoder(starts, freqs), 0)


@kernel(vectorise=True)
def _decode(heads, tail, length, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Decoder(heads, tail), length)


@helper
def _code(job, first, last, coder, length):  # type: ignore[no-untyped-def]
    """Code rows ``first .. last - 1``, channel by channel, strip by strip. Returns the length of the stack, or how many
    symbols there were."""
    grid, short, long = job.grid, job.short, job.long
    block = Block(
        np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), np.zeros(LANES, np.int64),
        np.zeros((MOST_REFERENCES, LANES), np.int64),
    )  # fmt: skip
    asked = Asked(
        np.zeros(CONTEXTS, np.int64), np.zeros(SHAPES, np.int64), np.zeros(SHAPES, np.int64),
        np.zeros(SHAPES, np.int64), np.zeros(SHAPES, np.int64), np.zeros(SHAPES, np.int64),
    )  # fmt: skip
    coded_lanes = np.zeros(LANES, np.int32)
    for c in range(grid.channels):
        row = first
        while row < last:
            image, y = row // grid.height, row % grid.height
            end = min(grid.height, y + last - row)
            rows = min(LANES - y % LANES, end - y)
            size, size_long = _sizes(c, job.references.shape[1])
            if y == 0:
                short.columns[c] = 0
                long.columns[c] = 0
                _forget(job, c)
            begin_strip(short, c, size)
            begin_strip(long, c, size_long)
            for t in range(grid.width + SKEW * (rows - 1)):
                _place(job, block, coded_lanes, image, y, t, rows)
                _gather(job, block, c, end)
                regress(short, c, size, t, SHORT, True)
                regress(long, c, size_long, t, LONG, t % SKEW == 0)
                for lane in range(rows):
                    if coded_lanes[lane] != 0:
                        length = _sample(job, block, asked, c, lane, size, coder, length)
                        if length < 0:
                            return -1
                        long.f[size_long - 1, lane] = short.f[size - 1, lane]
                remember(short, c, size, t, rows, SHORT, coded_lanes)
                remember(long, c, size_long, t, rows, LONG, coded_lanes)
            row += rows
    return length


@helper
def _forget(job, c):  # type: ignore[no-untyped-def]
    """Errors of a channel's regressions in the image before."""
    job.erred[0, c] = 0
    job.erred[1, c] = 0


@helper
def _place(job, block, coded_lanes, image, y, t, rows):  # type: ignore[no-untyped-def]
    """Set where the pixels of a step are, and which lanes have one. The others stand somewhere in the image."""
    for lane in range(LANES):
        column = t - SKEW * lane
        coded_lanes[lane] = -1 if lane < rows and column >= 0 and column < job.grid.width else 0
        stand(job, block, lane, image, y + min(lane, rows - 1), min(max(column, 0), job.grid.width - 1))


@helper
def _sizes(c, references):  # type: ignore[no-untyped-def]
    """How many regressors a sample of channel c has in the short window, and in the long one, itself included."""
    before, others = min(c, 2), ACROSS * references + 1
    beside = before * (references > 0)
    return OWN + others + BEFORE * before + beside, OWN_LONG + others + BEFORE_LONG * before + beside


# Regressors -----------------------------------------------------------------------------------------------------------


@helper
def _gather(job, block, c, end):  # type: ignore[no-untyped-def]
    """Set the bases of a step's pixels in channel c, and their regressors but the last, of both windows. ``end``: of
    the image's rows, the first that is not known in the channels before."""
    plane = job.grid.images * job.grid.size
    for lane in range(LANES):
        p = c * plane + block.position[lane]
        block.bases[lane] = plane_through(job.planes, p, job.grid.stride, block.row[lane])
        _neighbours(job, block.row[lane], lane, p)
        size, size_long = _taken(job, lane, OWN, OWN_LONG, 0, 0)
        for k in range(job.references.shape[1]):
            _elsewhere(job, lane, c * plane, block.others[k, lane], block.bases[lane], size_long)
            size, size_long = _taken(job, lane, ACROSS, ACROSS, size, size_long)
        for d in range(1, min(c, 2) + 1):
            _before(job, block, lane, (c - d) * plane, end, size_long)
            size, size_long = _taken(job, lane, BEFORE, BEFORE_LONG, size, size_long)
            if job.references.shape[1] > 0:
                q, at = (c - d) * plane, block.others[0, lane]
                base = plane_through(job.planes, q + block.position[lane], job.grid.stride, block.row[lane])
                job.long.f[size_long, lane] = job.planes[q + at] - base if at >= 0 else 0
                size, size_long = _taken(job, lane, 1, 1, size, size_long)


@helper
def _taken(job, lane, count, count_long, size, size_long):  # type: ignore[no-untyped-def]
    """Of the regressors of the long window from number ``size_long`` on the short one takes the first."""
    for k in range(count):
        job.short.f[size + k, lane] = job.long.f[size_long + k, lane]
    return size + count, size_long + count_long


@helper
def _neighbours(job, row, lane, p):  # type: ignore[no-untyped-def]
    """How steep it is, and how that changes from one place to the next; in the first row what is left of the pixel."""
    planes, f, up = job.planes, job.long.f, job.grid.stride
    w, ww = planes[p - 1], planes[p - 2]
    for k in range(OWN_LONG):
        f[k, lane] = 0
    if row == 0:
        f[0, lane] = w - ww
    else:
        above = p - up
        n, nw, ne, nww, nee = planes[above], planes[above - 1], planes[above + 1], planes[above - 2], planes[above + 2]
        f[0, lane], f[1, lane] = n - nw, w - nw
        f[2, lane], f[3, lane] = w - ww - nw + nww, ne - 2 * n + nw
        f[4, lane], f[5, lane] = nee - 2 * ne + n, n - 2 * nw + nww
        f[11, lane], f[13, lane] = w - 2 * ww + planes[p - 3], nw - 2 * nww + planes[above - 3]
        f[14, lane] = planes[above + 3] - 2 * nee + ne
        if row > 1:
            top = p - 2 * up
            nn, nnw, nne, nnww, nnee = planes[top], planes[top - 1], planes[top + 1], planes[top - 2], planes[top + 2]
            f[6, lane], f[7, lane] = n - nn - nw + nnw, ne - nne - n + nn
            f[8, lane], f[9, lane] = w - 2 * nw + nnw, nee - nnee - ne + nne
            f[10, lane] = nw - nww - nnw + nnww
            f[17, lane], f[18, lane] = planes[top - 3] - 2 * nnww + nnw, planes[top + 3] - 2 * nnee + nne
            if row > 2:
                over = p - 3 * up
                f[12, lane], f[15, lane] = n - 2 * nn + planes[over], nw - 2 * nnw + planes[over - 1]
                f[16, lane], f[19, lane] = ne - 2 * nne + planes[over + 1], planes[over + 2] - 2 * nnee + nee


@helper
def _elsewhere(job, lane, plane, at, base, first):  # type: ignore[no-untyped-def]
    """A place in a reference, and what is around it."""
    planes, f = job.planes, job.long.f
    if at < 0:
        for k in range(ACROSS):
            f[first + k, lane] = 0
    else:
        q = plane + at
        left, right, up, down = around(job.grid, q, at)
        f[first, lane] = planes[q] - base
        f[first + 1, lane], f[first + 2, lane] = planes[left] - planes[q], planes[right] - planes[q]
        f[first + 3, lane], f[first + 4, lane] = planes[up] - planes[q], planes[down] - planes[q]


@helper
def _before(job, block, lane, plane, end, first):  # type: ignore[no-untyped-def]
    """A channel that was coded before: this place less a plane, how steep it is, and what is around."""
    grid, planes, f = job.grid, job.planes, job.long.f
    row, column, up = block.row[lane], block.column[lane], grid.stride
    p = plane + block.position[lane]
    right = column + 1 < grid.width
    further = column + 2 < grid.width
    below = up * (row + 1 < end)
    bottom = below + up * (row + 2 < end)
    z, w, n, nw, ne = planes[p], planes[p - 1], planes[p - up], planes[p - up - 1], planes[p - up + 1]
    base = plane_through(planes, p, up, row)
    e, s = planes[p + right], planes[p + below]
    f[first, lane], f[first + 1, lane] = z - base, base - w
    f[first + 2, lane], f[first + 3, lane] = e - z, s - z
    f[first + 4, lane], f[first + 5, lane] = (w - nw, ne - n) if row > 0 else (0, 0)
    f[first + 6, lane], f[first + 7, lane] = planes[p + below + right] - s, planes[p + below - (column > 0)] - s
    f[first + 8, lane], f[first + 9, lane] = w - planes[p - 2], n - planes[p - 2 * up] if row > 1 else 0
    f[first + 10, lane], f[first + 11, lane] = planes[p + right + further] - e, planes[p + bottom] - s


# Samples --------------------------------------------------------------------------------------------------------------


@helper
def _sample(job, block, asked, c, lane, size, coder, length):  # type: ignore[no-untyped-def]
    """Code a sample; return the length of the stack or -1, or how many symbols there were."""
    planes, squares, most = job.planes, job.short, job.sizes[c] - 1
    p = c * job.grid.images * job.grid.size + block.position[lane]
    short = min(max(64 * block.bases[lane] + np.int64(squares.predictions[lane]), 0), 64 * most)
    long = min(max(64 * block.bases[lane] + np.int64(job.long.predictions[lane]), 0), 64 * most)
    recent = _recent(job, block, lane)
    off_short, off_long = _off(job.erred[0, c], recent), _off(job.erred[1, c], recent)
    guess = _blend(short, long, off_short, off_long)
    if job.clear and c > 0 and planes[block.position[lane]] == 0:
        keep(job, block, lane, p, (guess + 32) >> 6, 0)
    else:
        energy, slope = errors_around(job, c, p), slope_around(job, block, c, lane, p)
        spread, texture = spread_left(squares, size, lane), texture_around(job, block, c, lane, p, guess)
        bias = job.state.biases[c, texture | (min(energy >> 3, 7) << 8)]
        mean = min(max(guess + bias[0] // bias[1], 0), 64 * most)
        scales = job.state.scales[c]
        first, second = scales[0, energy, spread], scales[1, energy, slope]
        third = scales[2, rank_of(off_short >> 4), min(rank_of(abs(short - guess)) >> 1, _SPREADS - 1)]
        fourth = scales[3, rank_of(off_long >> 4), min(rank_of(abs(long - guess)) >> 1, _SPREADS - 1)]
        scale = scale_of(first)
        _shape(asked, 0, mean, scale)
        _shape(asked, 1, guess, scale_of(second))
        _shape(asked, 2, short, scale_of(third))
        _shape(asked, 3, long, scale_of(fourth))
        known = job.references.shape[1] > 0 and block.others[0, lane] >= 0
        asked.contexts[0], asked.contexts[1] = slope if known else spread, texture
        _pairs(job, block, asked.contexts, c, lane, p, (guess, mean, short - long, energy, slope, spread))
        settle(job.state.voices, asked.contexts)
        row = row_of(planes, p, job.grid.images * job.grid.size, c, job.sizes[c])
        v, length = _answer(job, asked, (c, min(energy >> 3, 7), row), scale, planes[p], most, coder, length)
        if length < 0:
            return -1
        if row >= 0:
            see(job.seen, row, v)
        keep(job, block, lane, p, v, 64 * v - mean)
        count_in(bias, 64 * v - guess)
        count_in(first, abs(64 * v - mean))
        count_in(second, abs(64 * v - guess))
        count_in(third, abs(64 * v - short))
        count_in(fourth, abs(64 * v - long))
    _put_recent(job, block, lane, job.erred[0, c], recent, 64 * planes[p] - short)
    _put_recent(job, block, lane, job.erred[1, c], recent, 64 * planes[p] - long)
    squares.f[size - 1, lane] = planes[p] - block.bases[lane]
    return length


@helper
def _recent(job, block, lane):  # type: ignore[no-untyped-def]
    """Where a sample is among those whose errors are known, and where the one below it, above it, and two above."""
    stride, row, column = job.grid.stride, block.row[lane], block.column[lane] + job.grid.margin
    here, below = (row % _RECENT) * stride + column, ((row + 1) % _RECENT) * stride + column
    above, top = ((row + _RECENT - 1) % _RECENT) * stride, ((row + _RECENT - 2) % _RECENT) * stride
    return here, below, above + column, top + column


@helper
def _off(erred, recent):  # type: ignore[no-untyped-def]
    """How far a regression was off around a place: in 64ths, sixteen times, and a little more."""
    here, _, above, top = recent
    near = abs(erred[here - 1]) + abs(erred[above])
    next_to = abs(erred[above - 1]) + abs(erred[above + 1]) + abs(erred[here - 2]) + abs(erred[top])
    far = abs(erred[top - 1]) + abs(erred[top + 1]) + abs(erred[above - 2]) + abs(erred[above + 2])
    return 4 * near + 2 * next_to + far


@helper
def _put_recent(job, block, lane, erred, recent, error):  # type: ignore[no-untyped-def]
    """Write an error; also in the margins, for what lies outside."""
    here, below, _, _ = recent
    erred[here] = error
    for k in range(1, job.grid.margin):
        if block.column[lane] == 0:
            erred[below - k] = error
        if block.column[lane] == job.grid.width - 1:
            erred[here + k] = error


@helper
def _blend(short, long, off_short, off_long):  # type: ignore[no-untyped-def]
    """Between two predictions, by the inverse squares of how far they were off."""
    a, b = off_short + 16, off_long + 16
    while (a | b) >= 1 << 15:
        a, b = a >> 1, b >> 1
    a, b = a * a, b * b
    return long + (short - long) * b // (a + b)


@helper
def _shape(asked, k, mean, scale):  # type: ignore[no-untyped-def]
    asked.means[k], asked.inverses[k] = mean, (1 << 30) // scale
    asked.lows[k], asked.highs[k] = 0, _WHOLE


@helper
def _pairs(job, block, contexts, c, lane, p, found):  # type: ignore[no-untyped-def]
    """Set the contexts but the first two."""
    guess, mean, apart, energy, slope, spread = found
    planes, errors, plane, up = job.planes, job.errors, job.grid.images * job.grid.size, job.grid.stride
    left, above = signed_rank(errors[p - 1]), signed_rank(errors[p - up])
    before = signed_rank(error_before(job, block, c, lane, p))
    first = signed_rank(errors[p - 2 * plane]) if c > 1 else above
    w, n = planes[p - 1], planes[p - up]
    if c > 0:
        q = p - plane
        rise, climb = 64 * (planes[q] - planes[q - 1]), 64 * (planes[q] - planes[q - up])
    else:
        rise, climb = 64 * planes[p - up + 1] - guess, 64 * planes[p - 2] - guess
    coarse = 32 * min(energy >> 2, 21)
    contexts[2], contexts[3], contexts[4] = coarse + before, 32 * before + first, coarse + signed_rank(2 * apart)
    contexts[5], contexts[6] = 32 * left + above, 32 * slope + spread
    contexts[7] = 32 * _signed(64 * w - guess) + _signed(64 * n - guess)
    contexts[8] = 32 * _signed(rise) + _signed(climb)
    contexts[9] = 32 * ((mean & 63) >> 2) + min(energy >> 1, _SPREADS - 1)
    contexts[10] = ((mean + 32) >> 6) >> job.levels[c]


@helper
def _signed(difference):  # type: ignore[no-untyped-def]
    """The rank of a difference, in 32 steps with its sign, twice as wide as those of errors."""
    rank = min(rank_of(abs(difference)) >> 2, 15)
    return _SPREADS - 1 - rank if difference < 0 else rank


@helper
def _answer(job, asked, learner, scale, v, most, coder, length):  # type: ignore[no-untyped-def]
    """Code a value: return it, and the length of the stack (or of the symbols) or -1. ``learner``: the channel,
    which set of weights, and where it is known which values were seen."""
    voices, (c, chosen, row) = job.state.voices, learner
    low, high, node = 0, most, 1
    while low < high and node < NODES:
        split = (16 * asked.means[0] + ((job.splits[node] * scale) >> 8)) >> 10
        split = min(max(split, low), high - 1)
        first = _say(asked, voices, split)
        if row >= 0:
            settle_last(voices, seen_around(job.seen, row, low, split, high))
        p = mixed(voices, c, chosen, node, first)
        answer, length = coded(coder, np.int64(v > split), p, PRECISION, length)
        if length < 0:
            return v, -1
        taught(voices, c, chosen, node, answer, p >> 8)
        if answer:
            low, node = split + 1, 2 * node + 1
        else:
            high, node = split, 2 * node
        for k in range(SHAPES):
            if answer:
                asked.lows[k] = asked.middles[k]
            else:
                asked.highs[k] = asked.middles[k]
    rest = (low, high, asked.lows[0], asked.highs[0], asked.means[0], asked.inverses[0], voices.logistic)
    return one_of(coder, v, rest, length)


@helper
def _say(asked, voices, split):  # type: ignore[no-untyped-def]
    """Set what the shapes say of values above ``split``; return the first one's chance of them in 2^-16."""
    first = np.int64(0)
    for k in range(SHAPES):
        asked.middles[k] = share_below(split + 1, asked.means[k], asked.inverses[k], voices.logistic)
        chance = chance_of(asked.highs[k], asked.middles[k], asked.lows[k])
        voices.logits[k] = voices.logit[chance >> 4]
        first = chance if k == 0 else first
    return first


# Images <-> bytes -----------------------------------------------------------------------------------------------------


def takes(whole: tuple[int, int, int, int], how: int) -> bool:
    """Whether images of this shape may be coded so: as :func:`bitsback.kinds.adaptive.regressed.takes` says, but
    without questions about pixels that were there before."""
    return how < REPEATS and regressed.takes(whole, how) and blendable(whole)


def _job(task: Task) -> Job:
    count, _, width, channels = task.whole
    grid = grid_of(task.whole, REACH)
    sizes = smooth.sizes(channels, task.most, task.transform)
    short, long = (window(channels, size, width) for size in _sizes(channels - 1, task.references))
    return Job(
        *task.planes(grid),
        np.zeros((2, channels, _RECENT * grid.stride), np.int32),
        grid,
        sizes,
        named_references(count, task.references, task.moves),
        task.transform >= CLEAR,
        State(new_biases(channels), new_scales(channels, SHAPES), new_voices(channels)),
        short,
        long,
        new_seen(channels),
        splits(),
        np.array([max(0, (int(size) - 1).bit_length() - 9) for size in sizes], np.int64),
    )


_FORM = Form(_encode, _decode, _job, DEPTH + 1)


def encode(images: NDArray[Any], how: int) -> bytes:
    """Code images, as :func:`bitsback.kinds.adaptive.regressed.encode` does."""
    return regressed.encode_form(_FORM, images, how)


def decode(data: memoryview, whole: tuple[int, int, int, int], dtype: np.dtype[Any], how: int) -> NDArray[Any]:
    """The inverse: images of the shape ``whole``."""
    return regressed.decode_form(_FORM, data, whole, dtype, how)
