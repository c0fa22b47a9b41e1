"""Symbols with any distribution, given as a table with one row for each."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bitsback.ans import MAX_PRECISION, Stack, peek, take
from bitsback.codecs.base import Family, here, whole
from bitsback.errors import CodecError
from bitsback.kernels import kernel

GUIDE_BITS = 8

SLAB = 1 << 14
"""Probabilities that are quantised at a time."""


@kernel
def _intervals(cdfs, index, x, starts, freqs):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        cdf = cdfs[index[i]]
        starts[i], freqs[i] = cdf[x[i]], cdf[x[i] + 1] - cdf[x[i]]


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
        self._measure()

    def _measure(self) -> None:
        self.rows, self.size = self.cdfs.shape[0], self.cdfs.shape[1] - 1
        self.shift = max(0, self.precision - GUIDE_BITS)

    @cached_property
    def guide(self) -> npt.NDArray[np.uint16]:
        """The symbol that slot ``g << shift`` falls in, uint16[rows, g]: popping starts its search there."""
        slots = np.arange((1 << (self.precision - self.shift)) + 1) << self.shift
        slots = np.minimum(slots, (1 << self.precision) - 1)
        return np.stack([np.searchsorted(row, slots, side="right") - 1 for row in self.cdfs]).astype(np.uint16)

    @classmethod
    def from_floats(cls, p: npt.ArrayLike, precision: int = 16) -> Self:
        """Return the table of the rows of ``p`` (rows, symbols), as :func:`quantise_pmf` makes their frequencies."""
        self = cls.__new__(cls)
        self.cdfs, self.precision = _cdfs(p, precision), precision
        self._measure()
        return self

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

    @classmethod
    def from_floats(cls, p: npt.ArrayLike, precision: int = 16) -> Self:
        """Return the codec of symbols with a distribution each, ``p`` (..., symbols), by way of :func:`quantise_pmf`.

        Encoder and decoder must see the very same floats: inside one environment they do, between machines they may
        not. A table of one row a symbol is made; where few distributions serve many symbols, make a
        :class:`CdfTable` of those once.

        Args:
            p: non-negative numbers; each row is scaled to sum 1.
            precision: 1 to 24, with ``2**precision >= symbols``.

        Raises:
            CodecError: a row is negative, not finite or all zero, or there are too many symbols.

        >>> import numpy as np
        >>> Categorical.from_floats([[0.5, 0.5], [0.0, 1.0]], precision=8).bits(np.array([0, 0]))
        array([1., 8.])
        """
        table = CdfTable.from_floats(p, precision)
        return cls(table, np.arange(table.rows).reshape(np.shape(p)[:-1]))

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _intervals(self.table.cdfs, self.index.reshape(-1), x, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        table = self.table
        if table.rows == out.size and np.array_equal(self.index.reshape(-1), np.arange(out.size)):
            stack.pull(pop_once, table.cdfs, 0, self.precision, out)
            return
        stack.pull(_pop, table.cdfs, table.guide, self.index.reshape(-1), self.precision, table.shift, out)


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
    pmf = np.asarray(here(p), np.float64)
    if not 1 <= precision <= MAX_PRECISION:
        raise CodecError(f"precision must be 1 to {MAX_PRECISION} bits, not {precision}")
    if not pmf.ndim or not 1 <= pmf.shape[-1] <= 1 << precision:
        raise CodecError(f"a row must have 1 to 2**{precision} symbols")
    rows = np.ascontiguousarray(pmf).reshape(-1, pmf.shape[-1])
    cdfs = np.empty((len(rows), pmf.shape[-1] + 1), np.uint32)
    step = max(1, SLAB // rows.shape[1])
    for first in range(0, len(rows), step):  # so many at a time as the processor's cache holds
        some = rows[first : first + step]
        sums = some.sum(axis=1)
        if not (some.min() >= 0 and sums.min() > 0 and sums.max() < np.inf):
            raise CodecError("probabilities must be finite, not negative, and not all zero")
        scales = ((1 << precision) - rows.shape[1]) / sums
        _quantise(some, scales, some.argmax(axis=1), precision, cdfs[first : first + step])
    return cdfs
