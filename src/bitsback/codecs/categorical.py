"""Symbols with any distribution, given as a table with one row for each."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from bitsback.ans import MAX_PRECISION, Stack, peek, take
from bitsback.codecs.base import Family, floats, whole
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel

GUIDE_BITS = 8

SLAB = 1 << 14
"""Probabilities that are quantised at a time."""

UNIT = 36
"""Bits in which the share of a float probability is an integer: times the 24 of a precision it stays below 2^63."""

WHOLE = 2.0**UNIT
LARGEST = 1.7e308
BLOCK = 16


@kernel
def _intervals(cdfs, index, x, starts, freqs):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        cdf = cdfs[index[i]]
        starts[i], freqs[i] = cdf[x[i]], cdf[x[i] + 1] - cdf[x[i]]


@kernel(vectorise=True)
def _intervals_of_one(cdf, x, starts, freqs):  # type: ignore[no-untyped-def]
    """All symbols under the same row."""
    for i in range(x.size):
        start = cdf[x[i]]
        starts[i], freqs[i] = start, cdf[x[i] + 1] - start


@kernel
def _pop(heads, tail, length, cdfs, guide, index, precision, shift, out):  # type: ignore[no-untyped-def]
    lanes = heads.size
    lane = 0
    for i in range(out.size):
        cdf, row = cdfs[index[i]], guide[index[i]]
        slot = peek(heads[lane], precision)
        low, high = row[slot >> shift], row[(slot >> shift) + 1]
        # The symbol is in low..high: halve while there are many, then scan.
        while high - low > 8:
            middle = (low + high + 1) >> 1
            if cdf[middle] <= slot:
                low = middle
            else:
                high = middle - 1
        while cdf[low + 1] <= slot:
            low += 1
        length = take(heads, tail, length, lane, cdf[low], cdf[low + 1], precision)
        if length < 0:
            return -1
        out[i] = low
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


@kernel
def pop_once(heads, tail, length, cdfs, first, precision, out):  # type: ignore[no-untyped-def]
    """Each symbol under a row of its own, for which a guide would take longer to make than it saves.

    ``out[0]`` is the symbol number ``first`` of the call that it is part of.
    """
    lanes = heads.size
    lane = first % lanes
    for i in range(out.size):
        cdf = cdfs[i]
        slot = peek(heads[lane], precision)
        low, high = 0, cdf.size - 2
        while low < high:
            middle = (low + high + 1) >> 1
            if cdf[middle] <= slot:
                low = middle
            else:
                high = middle - 1
        length = take(heads, tail, length, lane, cdf[low], cdf[low + 1], precision)
        if length < 0:
            return -1
        out[i] = low
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


@kernel
def _quantise(pmf, scales, largest, precision, cdfs):  # type: ignore[no-untyped-def]
    """Fill the cumulative frequencies of each row, see :func:`quantise_pmf`; return whether one is negative."""
    negative = False
    symbols = cdfs[0].size - 1
    total = np.int64(1) << precision
    for i in range(cdfs.shape[0]):
        row, cdf, scale = pmf[i], cdfs[i], scales[i]
        start = np.int64(0)
        cdf[0] = 0
        for k in range(symbols):
            negative |= row[k] < 0.0
            start += 1 + np.int64(row[k] * scale)
            cdf[k + 1] = start
        left = total - start
        for k in range(largest[i] + 1, symbols + 1):
            cdf[k] = cdf[k] + left
    return negative


@kernel
def _scales(p, scales):  # type: ignore[no-untyped-def]
    """Set what each row is multiplied by to be of sum ``2**UNIT``; return whether one cannot be."""
    bad = False
    n = p[0].size
    for i in range(p.shape[0]):
        row = p[i]
        a, b, c, d = 0.0, 0.0, 0.0, 0.0  # four sums, as one would wait for itself at every step
        least = 0.0
        for k in range(0, n - 3, 4):
            w, x, y, z = row[k], row[k + 1], row[k + 2], row[k + 3]
            a, b, c, d = a + w, b + x, c + y, d + z
            least = min(least, min(min(w, x), min(y, z)))
        for k in range(n - n % 4, n):
            a += row[k]
            least = min(least, row[k])
        total = (a + b) + (c + d)
        bad |= least < 0.0 or not (total > 0.0 and total < LARGEST)
        scales[i] = WHOLE / total
    return bad


@helper
def _share(row, first, stop, scale):  # type: ignore[no-untyped-def]
    """The share of the symbols ``first .. stop - 1`` in ``2**-UNIT``: an integer, so the same in whatever parts."""
    a, b = np.int64(0), np.int64(0)
    for k in range(first, stop - 3, 4):
        a += np.int64(row[k] * scale) + np.int64(row[k + 1] * scale)
        b += np.int64(row[k + 2] * scale) + np.int64(row[k + 3] * scale)
    for k in range(stop - (stop - first) % 4, stop):
        a += np.int64(row[k] * scale)
    return a + b


@kernel
def _own_intervals(p, scales, index, x, free, starts, freqs):  # type: ignore[no-untyped-def]
    """Each symbol under a row of probabilities, of which no more is computed than it takes.

    ``free`` is what precision leaves when every symbol has 1.
    """
    n = p[0].size
    for i in range(x.size - 1, -1, -1):  # the last rows that were looked at may still be in the cache
        row, scale, k = p[index[i]], scales[index[i]], np.int64(x[i])
        share = _share(row, 0, k, scale)
        start = ((share * free) >> UNIT) + k
        share += np.int64(row[k] * scale)
        stop = ((share * free) >> UNIT) + k + 1 if k + 1 < n else free + n
        starts[i], freqs[i] = start, stop - start


@kernel
def _own_pop(heads, tail, length, p, scales, index, free, precision, out):  # type: ignore[no-untyped-def]
    n = p[0].size
    lanes = heads.size
    lane = 0
    for i in range(out.size):
        row, scale = p[index[i]], scales[index[i]]
        slot = peek(heads[lane], precision)
        # Whole blocks first, then symbol by symbol in the one that holds the slot
        share, k = np.int64(0), 0
        while k + BLOCK < n:
            more = share + _share(row, k, k + BLOCK, scale)
            if ((more * free) >> UNIT) + k + BLOCK > slot:
                break
            share = more
            k += BLOCK
        start = ((share * free) >> UNIT) + k
        stop = start
        while True:
            share += np.int64(row[k] * scale)
            stop = ((share * free) >> UNIT) + k + 1 if k + 1 < n else free + n
            if stop > slot:
                break
            start = stop
            k += 1
        length = take(heads, tail, length, lane, start, stop, precision)
        if length < 0:
            return -1
        out[i] = k
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


class CdfTable:
    """Cumulative frequencies, one distribution a row, checked and made ready for fast popping.

    Args:
        cdfs: integers, shape (rows, symbols + 1), each row rising strictly from 0 to ``2**precision``.
        precision: 1 to 24.

    Raises:
        CodecError: another shape, or a row that does not rise so. Every symbol must have a frequency of 1 or more.
    """

    def __init__(self, cdfs: npt.ArrayLike, precision: int) -> None:
        if not 1 <= precision <= MAX_PRECISION:
            raise CodecError(f"precision must be 1 to {MAX_PRECISION} bits, not {precision}")
        self.precision = precision
        self.cdfs = whole(cdfs, np.uint32, (1 << precision) + 1, "a cumulative frequency")
        if self.cdfs.ndim != 2 or not self.cdfs.shape[0] or not 2 <= self.cdfs.shape[1] <= (1 << 16) + 1:
            raise CodecError(f"cdfs must have shape (rows, symbols + 1), not {self.cdfs.shape}")
        if np.any(self.cdfs[:, 0] != 0) or np.any(self.cdfs[:, -1] != 1 << precision):
            raise CodecError(f"a row of cdfs does not go from 0 to 2**{precision}")
        if np.any(self.cdfs[:, 1:] <= self.cdfs[:, :-1]):
            raise CodecError("a row of cdfs does not rise strictly: every symbol needs a frequency of 1 or more")
        self.rows, self.size = self.cdfs.shape[0], self.cdfs.shape[1] - 1
        self.shift = max(0, self.precision - GUIDE_BITS)

    @cached_property
    def guide(self) -> npt.NDArray[np.uint16]:
        """The symbol that slot ``g << shift`` falls in, uint16[rows, g]: popping starts its search there."""
        slots = np.arange((1 << (self.precision - self.shift)) + 1) << self.shift
        slots = np.minimum(slots, (1 << self.precision) - 1)
        return np.stack([np.searchsorted(row, slots, side="right") - 1 for row in self.cdfs]).astype(np.uint16)

    @classmethod
    def from_freqs(cls, freqs: npt.ArrayLike) -> CdfTable:
        """Return the table of frequencies, integers of shape (rows, symbols) with rows of one sum, a power of two."""
        freqs = whole(freqs, np.uint32, (1 << MAX_PRECISION) + 1, "a frequency", start=1)
        if freqs.ndim != 2 or not freqs.size:
            raise CodecError(f"frequencies must have shape (rows, symbols), not {freqs.shape}")
        cdfs = np.zeros((freqs.shape[0], freqs.shape[1] + 1), np.int64)
        np.cumsum(freqs, axis=1, out=cdfs[:, 1:])
        return cls(cdfs, int(cdfs[0, -1]).bit_length() - 1)


class Categorical(Family):
    """Symbols ``0 .. symbols - 1``, each under the row of a table that ``index`` names.

    Symbols come out as uint8, or as uint16 if there are more than 256 in a row.

    Args:
        cdfs: a :class:`CdfTable` (make it once and share it), or an array to make one from.
        index: integers of any shape, the row for each symbol.
        precision: of an array ``cdfs``; default: the one that its last column shows.

    >>> import numpy as np
    >>> table = CdfTable.from_freqs([[8, 4, 4], [1, 1, 14]])
    >>> Categorical(table, [0, 0, 1]).bits(np.array([0, 1, 1]))
    array([1., 2., 4.])
    """

    expandable: ClassVar[tuple[str, ...]] = ("index",)

    def __init__(self, cdfs: CdfTable | npt.ArrayLike, index: npt.ArrayLike, precision: int | None = None) -> None:
        if not isinstance(cdfs, CdfTable):
            if precision is None:
                last = np.asarray(cdfs).flat[-1:]
                precision = int(last[0]).bit_length() - 1 if last.size else 0
            cdfs = CdfTable(cdfs, precision)
        self.table = cdfs
        self.precision, self.size = cdfs.precision, cdfs.size
        self.index = whole(index, np.uint32, cdfs.rows, "an index")
        self.shape = self.index.shape
        self.dtype = np.uint8 if self.size <= 256 else np.uint16

    @staticmethod
    def from_floats(p: npt.ArrayLike, precision: int = 16) -> OwnCategorical:
        """Return the codec of symbols with a distribution each, ``p`` (..., symbols).

        Encoder and decoder must see the very same floats: inside one environment they do, between machines they may
        not. Of each row no more is computed than its symbol takes; where few distributions serve many symbols, make a
        :class:`CdfTable` of those once (:func:`quantise_pmf`), or :meth:`~Family.expand` one.

        Args:
            p: non-negative numbers; each row is scaled to sum 1. A float64 array is kept as it is, not copied: leave
                it alone as long as the codec is used.
            precision: 1 to 24, with ``2**precision >= symbols``.

        Raises:
            CodecError: a row is negative, not finite or all zero, or there are too many symbols.

        >>> import numpy as np
        >>> Categorical.from_floats([[0.5, 0.5], [0.0, 1.0]], precision=8).bits(np.array([0, 0]))
        array([1., 8.])
        """
        return OwnCategorical(p, precision)

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        if self.table.rows == 1:
            _intervals_of_one(self.table.cdfs[0], x, starts, freqs)
            return starts, freqs
        _intervals(self.table.cdfs, self.index.reshape(-1), x, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        table = self.table
        stack.pull(_pop, table.cdfs, table.guide, self.index.reshape(-1), self.precision, table.shift, out)


class OwnCategorical(Family):
    """What :meth:`Categorical.from_floats` returns: symbols with a row of float probabilities each.

    The interval of k begins at ``floor(share * (2**precision - symbols) / 2**36) + k``, where ``share`` is the sum of
    the probabilities before k, each in ``2**-36`` and rounded down: integers, so that pushing, which adds them up to
    one symbol, and popping, which looks for it in steps, agree. The last symbol takes what is left.
    """

    expandable = ("index",)

    def __init__(self, p: npt.ArrayLike, precision: int = 16) -> None:
        pmf = _probabilities(p, precision)
        if pmf.shape[-1] > 1 << 16:
            raise CodecError(f"a row must have 65536 symbols at most, not {pmf.shape[-1]}")
        self.shape, self.size, self.precision = pmf.shape[:-1], pmf.shape[-1], precision
        self.dtype = np.uint8 if self.size <= 256 else np.uint16
        self._p = np.require(pmf.reshape(-1, self.size), np.float64, ["C", "A"])
        self._scales = np.empty(len(self._p))
        if _scales(self._p, self._scales):
            raise CodecError(NO_PROBABILITIES)
        self.index = np.arange(len(self._p), dtype=np.uint32).reshape(self.shape)

    def _arguments(self) -> tuple[Any, ...]:
        return self._p, self._scales, np.ascontiguousarray(self.index).reshape(-1)

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _own_intervals(*self._arguments(), x, (1 << self.precision) - self.size, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        stack.pull(_own_pop, *self._arguments(), (1 << self.precision) - self.size, self.precision, out)


NO_PROBABILITIES = "probabilities must be finite, not negative, and not all zero"


def _probabilities(p: npt.ArrayLike, precision: int) -> npt.NDArray[np.float64]:
    """``p`` as float64 (..., symbols). Raises CodecError: it is not numbers, or has too many symbols."""
    pmf = floats(p, "a probability")
    if not 1 <= precision <= MAX_PRECISION:
        raise CodecError(f"precision must be 1 to {MAX_PRECISION} bits, not {precision}")
    if not pmf.ndim or not 1 <= pmf.shape[-1] <= 1 << precision:
        raise CodecError(f"a row must have 1 to 2**{precision} symbols")
    return pmf


def quantise_pmf(p: npt.ArrayLike, precision: int) -> npt.NDArray[np.uint32]:
    """Return integer frequencies of sum ``2**precision``, each at least 1, in proportion to ``p``.

    Floats in, integers out: the result may differ in the last place between machines, so do this once, when a model
    is made, and keep the integers; never do it again at decoding time.

    Args:
        p: non-negative numbers, shape (..., symbols); each row is scaled to sum 1.
        precision: 1 to 24, with ``2**precision >= symbols``.

    Returns:
        uint32 of the same shape: ``1 + floor((2**precision - symbols) * p)``, the remainder added to the largest.

    Raises:
        CodecError: a row is negative, not finite or all zero, or there are too many symbols.

    >>> quantise_pmf([0.7, 0.3, 0.0], precision=4)
    array([11,  4,  1], dtype=uint32)
    """
    cdfs = _cdfs(p, precision)
    return np.diff(cdfs, axis=-1).reshape(np.shape(p))


def _cdfs(p: npt.ArrayLike, precision: int) -> npt.NDArray[np.uint32]:
    """Cumulative frequencies, uint32[rows, symbols + 1], for :func:`quantise_pmf`."""
    pmf = _probabilities(p, precision)
    rows = np.ascontiguousarray(pmf).reshape(-1, pmf.shape[-1])
    cdfs = np.empty((len(rows), pmf.shape[-1] + 1), np.uint32)
    step = max(1, SLAB // rows.shape[1])
    for first in range(0, len(rows), step):  # so many at a time as the processor's cache holds
        some = rows[first : first + step]
        sums = some.sum(axis=1)
        if not (some.min() >= 0 and sums.min() > 0 and sums.max() < np.inf):
            raise CodecError(NO_PROBABILITIES)
        scales = ((1 << precision) - rows.shape[1]) / sums
        _quantise(some, scales, some.argmax(axis=1), precision, cdfs[first : first + step])
    return cdfs
