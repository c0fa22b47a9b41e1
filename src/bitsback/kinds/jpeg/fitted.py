"""Predictions of some images' own: how cameras sharpen and smooth differs, and least squares find it out.

Weights of :attr:`.tables.Trained.predict` are fitted to a sample of the blocks of each class, and what differs is told
where that pays. Sums of products are of whole numbers that doubles hold exactly, and all else is done number by number,
so that every machine finds the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import FormatError
from bitsback.kinds.jpeg.layout import Component, Layout, ratios
from bitsback.kinds.jpeg.tables import CLASSES, HALVES, ORDER, Trained

SAMPLE = 2048, 1024, 1024
"""Blocks of a class that are looked at."""

RARE = 16
"""What is not 0 in one of so many blocks or more seldom keeps its weights."""

FEWEST = 12288
"""Images whose first components have fewer blocks do not get weights of their own: it would take as long as coding."""

PRIOR, PRIOR_OF_MEANS = 0.05, 0.001
"""What was learned from other images weighs as much as such a part of the sample."""

WORTH = 0.25
"""Bits that weights save, of what they would save if coefficients were Gaussian and coded finely."""

FINE, COARSE = 1, 64
"""Steps of differences, in 4096ths: of weights of means, and of others."""

WEIGHTS, LIMIT, HIGHEST, LONGEST = 40, 1 << 18, 15, 1 << 12
"""Weights of a coefficient; what their magnitudes add up to is less than the limit; a number's low digits are at most
so many, and its ones."""

MOST_BYTES = 1 << 16
"""That all of them take."""

MOST, _SCALE, _LARGEST = 8191, 16.0, float(1 << 18)
_RANKS = np.argsort(ORDER)
_HALF = np.array(HALVES, np.float64).reshape(8, 8)
_SIGNS = 1.0 - 2 * (np.indices((8, 8)).sum(0) % 2)

Floats = NDArray[np.float64]
Coefficients = NDArray[np.int16]


def steps_of(k: int) -> NDArray[np.int64]:
    """(40,): the steps of a coefficient's weights."""
    steps = np.full(WEIGHTS, COARSE)
    if k < 8:
        steps[0] = FINE
    if k % 8 == 0:
        steps[8] = FINE
    if k == 0:
        steps[32:38] = FINE
    return steps


# What is told ---------------------------------------------------------------------------------------------------------


def told(trained: Trained, layouts: list[Layout], coefficients: Coefficients) -> bytes:
    """What differs, as :func:`with_told` takes it; nothing if that does not pay."""
    bits, some = [], False
    for cls in range(CLASSES):
        planes = list(_planes(layouts, coefficients, cls))
        total = sum(plane.levels.shape[0] * plane.levels.shape[1] for plane in planes)
        if cls == 0 and total < FEWEST:
            return b""
        drawn = _drawn(planes, total, SAMPLE[cls]) if total else None
        found = [drawn and _fit(drawn, cls, k, trained, total) for k in range(64)]
        if any(found):
            bits += ["1", *("1" + one if one else "0" for one in found)]
            some = True
        else:
            bits.append("0")
    data = _bytes("".join(bits)) if some else b""
    return data if len(data) <= MOST_BYTES else b""


def _bytes(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _golomb(numbers: NDArray[np.int64]) -> str:
    """Numbers in bits: 4 that say how many low digits each has, behind a row of ones that ends with a zero."""
    folded = np.where(numbers < 0, -2 * numbers - 1, 2 * numbers)
    costs = [int((folded >> low).sum()) + len(folded) * (1 + low) for low in range(HIGHEST + 1)]
    low = int(np.argmin(costs))
    digits = (f"{number & (1 << low) - 1:0{low}b}" if low else "" for number in folded.tolist())
    ones = ("1" * (number >> low) for number in folded.tolist())
    return f"{low:04b}" + "".join(f"{high}0{rest}" for high, rest in zip(ones, digits, strict=True))


class _Bits:
    """Bits, the first of a byte high. Raises FormatError where there are none."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.bits, self.at = "".join(f"{byte:08b}" for byte in bytes(data)), 0

    def number(self, count: int) -> int:
        self.at += count
        if self.at > len(self.bits):
            raise FormatError("the payload ends within its weights")
        return int(self.bits[self.at - count : self.at] or "0", 2)

    def ones(self) -> int:
        end = self.bits.find("0", self.at)
        count, self.at = end - self.at, end + 1
        if end < 0 or count > LONGEST:
            raise FormatError("the payload has impossible weights")
        return count


def with_told(trained: Trained, data: bytes | memoryview) -> Trained:
    """What was learned, with what differs. Raises FormatError if it cannot be so."""
    if not data:
        return trained
    if len(data) > MOST_BYTES:
        raise FormatError("the payload has more weights than there can be")
    bits = _Bits(data)
    predict = trained.predict.astype(np.int64)
    for cls in range(CLASSES):
        if not bits.number(1):
            continue
        for k in range(64):
            if not bits.number(1):
                continue
            low = bits.number(4)
            folded = np.array([(bits.ones() << low) + bits.number(low) for _ in range(WEIGHTS)])
            predict[cls, k] += steps_of(k) * np.where(folded & 1, -(folded + 1 >> 1), folded >> 1)
    if np.abs(predict).sum(2).max() >= LIMIT or np.abs(predict).max() > 32767:
        raise FormatError("the payload has impossible weights")
    return trained._replace(predict=predict.astype(np.int16))


# Samples --------------------------------------------------------------------------------------------------------------


class _Plane(NamedTuple):
    """A component, and those that bear on it."""

    levels: Coefficients
    """(height, width, 64)"""
    steps: Floats
    """(64,): its quantisation table."""
    luma: Coefficients
    luma_steps: Floats
    across: int
    down: int
    """The first component's blocks for one of these."""
    second: Coefficients | None
    second_steps: Floats


def _planes(layouts: list[Layout], coefficients: Coefficients, cls: int) -> Iterator[_Plane]:
    at = 0
    for one in layouts:
        at += one.head
        found: list[tuple[Component, Coefficients, Floats]] = []
        for part in one.components:
            size = part.width * part.height
            levels = coefficients[at : at + size].reshape(part.height, part.width, 64)
            found.append((part, levels, np.maximum(np.array(part.table, np.float64), 1)))
            at += size
        for number, (part, levels, steps) in enumerate(found):
            if number % CLASSES != cls:
                continue
            first, luma, luma_steps = found[0]
            before, second, second_steps = found[min(1, number)]
            alike = number > 1 and (before.width, before.height) == (part.width, part.height)
            across, down = ratios(first, part)
            yield _Plane(levels, steps, luma, luma_steps, across, down, second if alike else None, second_steps)


class _Drawn(NamedTuple):
    """Blocks with what is around them, each (n, 64), times their tables; and these."""

    own: Floats
    left: Floats
    above: Floats
    around: tuple[Floats, ...]
    """In the corner, above to the right, two to the left, two above; the first component's, and the second one's."""
    steps: Floats


def _drawn(planes: list[_Plane], total: int, count: int) -> _Drawn:
    """A sample of blocks of all."""
    number = np.arange(min(total, count))
    places = number * total // len(number) + number * 7919 % (total // len(number))
    out: list[list[Floats]] = [[] for _ in range(10)]
    begin = 0
    for plane in planes:
        height, width, _ = plane.levels.shape
        mine = places[(places >= begin) & (places < begin + height * width)] - begin
        begin += height * width
        y, x = np.divmod(mine, width)
        beside = (0, 0), (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)
        for several, (dy, dx) in zip(out, beside, strict=False):
            several.append(_values(plane.levels, plane.steps, y + dy, x + dx))
        nothing = np.zeros((len(mine), 64))
        out[7].append(nothing if plane.levels is plane.luma else _of_first(plane, y, x))
        out[8].append(nothing if plane.second is None else _values(plane.second, plane.second_steps, y, x))
        out[9].append(np.broadcast_to(plane.steps, nothing.shape))
    own, left, above, *around, steps = (np.concatenate(several) for several in out)
    return _Drawn(own, left, above, tuple(around), steps)


def _values(levels: Coefficients, steps: Floats, y: NDArray[np.int64], x: NDArray[np.int64]) -> Floats:
    """Of blocks at these places; 0 outside."""
    inside = (y >= 0) & (x >= 0) & (x < levels.shape[1])
    values = (levels[np.maximum(y, 0), x.clip(0, levels.shape[1] - 1)] * steps).clip(-MOST, MOST)
    return np.where(inside[:, None], values, 0.0)


def _of_first(plane: _Plane, y: NDArray[np.int64], x: NDArray[np.int64]) -> Floats:
    """What the first component has at the place of blocks, as if it had as many."""
    lowest, last = plane.luma.shape[0] - 1, plane.luma.shape[1] - 1
    rows = []
    for b in range(plane.down):
        row = np.minimum(plane.down * y + b, lowest)
        columns = (np.minimum(plane.across * x + a, last) for a in range(2))
        one, two = (_values(plane.luma, plane.luma_steps, row, column).reshape(-1, 8, 8) for column in columns)
        rows.append(one if plane.across == 1 else _halved(one @ _HALF.T + two @ (_HALF * _SIGNS).T))
    whole = rows[0] if plane.down == 1 else _halved(_HALF @ rows[0] + (_HALF * _SIGNS) @ rows[1])
    return whole.reshape(-1, 64)


def _halved(sums: Floats) -> Floats:
    return np.floor(sums / 4096).clip(-MOST, MOST)


def _features(drawn: _Drawn, k: int) -> Floats:
    """(n, 40): what coefficient k is predicted from."""
    v, u = divmod(k, 8)
    known, own = _RANKS[k] > _RANKS, drawn.own
    out = np.zeros((len(own), WEIGHTS))
    out[:, :8], out[:, 8:16] = drawn.left[:, 8 * v : 8 * v + 8], drawn.above[:, u::8]
    out[:, 16:24], out[:, 24:32] = own[:, 8 * v : 8 * v + 8] * known[8 * v : 8 * v + 8], own[:, u::8] * known[u::8]
    for i, one in enumerate(drawn.around):
        out[:, 32 + i] = one[:, k]
    if v and u:
        out[:, 38] = own[:, k - 9]
    return out


# Least squares --------------------------------------------------------------------------------------------------------


def _fit(drawn: _Drawn, cls: int, k: int, trained: Trained, total: int) -> str:
    """The bits of coefficient k's weights; none if they do not pay. Errors are weighed by what they are expected to be,
    as otherwise unrest would decide everything."""
    y, step = drawn.own[:, k], drawn.steps[:, k]
    if np.count_nonzero(y) * RARE <= len(y):
        return ""
    x = _features(drawn, k)
    before = trained.predict[cls, k].astype(np.float64)
    if k:
        expected = (np.abs(x) @ trained.expect[cls, k].astype(np.float64) + float(trained.least[cls, k]) * step) / 4096
        expected = np.maximum(expected, 0.02 * step)
    else:  # how far means around differ
        left, above, corner = x[:, 0], x[:, 8], x[:, 32]
        expected = 16 + step + (np.abs(left - above) + np.abs(left - corner) + np.abs(above - corner)) / 4
    weigh = _SCALE / np.sqrt(expected * expected + 0.3 * (step * step))
    scaled = np.rint(x * weigh[:, None])  # less than 2^18, as no step is below 1
    rest = np.rint((y - x @ before / 4096) * weigh).clip(-_LARGEST, _LARGEST)
    active = np.flatnonzero(scaled.any(0))
    if not len(active) or not rest.any():
        return ""
    some = scaled[:, active]
    found = _solved(some.T @ some, some.T @ rest, PRIOR if k else PRIOR_OF_MEANS)
    steps, numbers = steps_of(k), np.zeros(WEIGHTS, np.int64)
    numbers[active] = np.rint(4096 * found / steps[active]).clip(-LONGEST, LONGEST)
    after = before + numbers * steps
    if np.abs(after).sum() >= LIMIT or np.abs(after).max() > 32767:
        return ""
    left = np.rint(rest - scaled @ (numbers * steps).astype(np.float64) / 4096).astype(np.int64)
    saved = float((rest.astype(np.int64) ** 2).sum() - (left**2).sum()) * 0.72 / _SCALE**2
    bits = _golomb(numbers)
    return bits if WORTH * saved * total / len(y) > len(bits) + 8 else ""


def _solved(square: Floats, side: Floats, prior: float) -> Floats:
    """Least squares with a prior of no difference."""
    size = len(side)
    whole = np.concatenate([square, side[:, None]], 1)
    diagonal = np.arange(size), np.arange(size)
    whole[diagonal] = whole[diagonal] * (1 + prior) + 1
    for i in range(size - 1):
        whole[i + 1 :, i:] -= (whole[i + 1 :, i] / whole[i, i])[:, None] * whole[i, i:]
    out = np.zeros(size)
    for i in range(size - 1, -1, -1):
        out[i] = whole[i, size] / whole[i, i]
        whole[:i, size] -= whole[:i, i] * out[i]
    return out
