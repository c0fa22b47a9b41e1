"""Mixtures of discretised logistic distributions: pixels.

(Tim Salimans, Andrej Karpathy, Xi Chen & Diederik Kingma, "PixelCNN++", ICLR 2017, section 2.1; here in integers.)

To the bit, for N levels and with the tables of :mod:`bitsback.codecs.tables`, all divisions rounding down::

    masses       e_k = exponentials[weight_k];  r = ((2**24 - N) * 2**24) // sum_k e_k
                 m_k = (e_k * r) // 2**24 for k > 0;  m_0 = 2**24 - N - sum_{k>0} m_k
    positions    t_k(v) = 2**30 + (16 v - 8 - mean_k) * inverse_scales[scale_k], held within 0 .. 2**31 - 1
    logistic     i = t // 2**20;  f = t % 2**20;  F(t) = S[i] + ((S[i + 1] - S[i]) * f) // 2**20
    interval     start(v) = (sum_k m_k F(t_k(v))) // 2**32 + v for 0 < v < N;  start(0) = 0;  start(N) = 2**24
                 symbol v has [start(v), start(v + 1))
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from bitsback.ans import Stack, peek, take
from bitsback.codecs.base import Family, Shape, here, nearest, reals, together, type_of, whole
from bitsback.codecs.tables import FRACTION, LOW_WORD, ORIGIN, load, sigmoid, sigmoids
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel, routine
from bitsback.kernels.vectors import DOUBLES, INTS, LANES, LONGS, vectorised

MAX_COMPONENTS = 64

SCALES = 112
"""Scales on the grid, six an octave. Networks give the first 64."""

PRECISION = 24

_TOTAL = 1 << PRECISION
_QUANTILE_SHIFT = 14  # from 24 bits to the 1024 quantiles
_QUANTILES = 1024
_NEWTON = 3

# The kernels' part: what turns parameters into intervals and slots into symbols. kinds.context.codec uses it too.


class Tables(NamedTuple):
    """What mixtures are computed from; made by :func:`tables`."""

    inverses: npt.NDArray[np.float64]
    """(scales,): how many steps of the logistic function's table a sixteenth of a level is."""
    exponentials: npt.NDArray[np.float64]
    """(256,): of the weights."""
    logistic: npt.NDArray[np.uint32]
    """(2049,)"""
    quantiles: npt.NDArray[np.float64]
    """(1024,): where :func:`find` begins."""


class Mixtures(NamedTuple):
    """LANES mixtures; made by :func:`mixtures`, set by :func:`prepare`. Their number comes last in each shape.

    Of component k of mixture i, ``edges[k, i] + v * slopes[k, i]`` is the position in the table of the lower edge of
    v, a half level below v; ``masses`` are the weights in integers. ``centres[i] + q * widths[i]`` is about half a
    level above the level of the quantile q, in steps of the table.
    """

    components: int
    parameters: npt.NDArray[np.int32]
    """(3 MAX_COMPONENTS, LANES): the means, the indices of scales, those of weights."""
    edges: npt.NDArray[np.float64]
    slopes: npt.NDArray[np.float64]
    masses: npt.NDArray[np.int32]
    centres: npt.NDArray[np.float64]
    widths: npt.NDArray[np.float64]
    symbols: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    stops: npt.NDArray[np.int32]


@helper
def mixtures(components):  # type: ignore[no-untyped-def]
    """Return room for LANES mixtures. Their parameters are 0, so that those not set are indices nevertheless."""
    return Mixtures(
        components,
        np.zeros((3 * MAX_COMPONENTS, LANES), np.int32),
        np.empty((MAX_COMPONENTS, LANES)),
        np.empty((MAX_COMPONENTS, LANES)),
        np.empty((MAX_COMPONENTS, LANES), np.int32),
        np.empty(LANES),
        np.empty(LANES),
        np.zeros(LANES, np.int32),
        np.empty(LANES, np.int32),
        np.empty(LANES, np.int32),
    )


@helper
def prepare(mixtures, tables, size):  # type: ignore[no-untyped-def]
    """Set the mixtures, over ``size`` levels, by their parameters."""
    _prepare(
        mixtures.parameters, mixtures.components, tables.inverses, tables.exponentials, _TOTAL - size,
        mixtures.edges, mixtures.slopes, mixtures.masses, mixtures.centres, mixtures.widths,
    )  # fmt: skip


@vectorised
def _prepare(  # type: ignore[no-untyped-def]
    v, parameters, components, inverses, exponentials, mass, edges, slopes, masses, centres, widths
):
    """The masses are of sum ``mass``, the first taking what the rounding down of the others leaves.

    In float64, which holds all these integers exactly, except for positions so far off the table (from means beyond
    2^28) that no rounding brings them back to it. ``inverses`` and ``exponentials`` are float64 too.
    """
    start = v.vector([0.0] * LANES, DOUBLES)
    total = v.variable(start)
    with v.loop(components) as k:
        weight = exponentials.gather(parameters.load((components * 2 + k) * LANES, INTS), DOUBLES)
        edges.store(k * LANES, weight)
        total.value += weight
    ratio = (mass.to(DOUBLES) * 2.0**24 / total.value).floor()
    left = v.variable(mass.to(DOUBLES))
    centre, width = v.variable(start), v.variable(start)
    with v.loop(components) as k:
        mean, scales = (parameters.load((components * i + k) * LANES, INTS) for i in range(2))
        mean = mean.to(DOUBLES)
        inverse = inverses.gather(scales, DOUBLES)
        share = (edges.load(k * LANES, DOUBLES) * ratio * 2.0**-24).floor()
        edges.store(k * LANES, 2.0**30 - (mean + 8.0) * inverse)
        slopes.store(k * LANES, inverse * 16.0)
        masses.store(k * LANES, share.to(INTS))
        left.value -= share
        centre.value += share * mean
        width.value += share / inverse
    first = components * 0
    masses.store(first, masses.load(first, INTS) + left.value.to(INTS))
    centres.store(first, centre.value * 2.0**-28 + 0.5)
    widths.store(first, width.value * 2.0**-8)


@helper
def bound(mixtures, tables, size):  # type: ignore[no-untyped-def]
    """Set the intervals of the symbols: :func:`interval`, side by side."""
    _bound(
        mixtures.symbols, mixtures.components, size, mixtures.edges, mixtures.slopes, mixtures.masses, tables.logistic,
        mixtures.starts, mixtures.stops,
    )  # fmt: skip


@vectorised
def _bound(v, symbols, components, size, edges, slopes, masses, table, starts, stops):  # type: ignore[no-untyped-def]
    first = components * 0
    symbol = symbols.load(first, INTS)
    sums = [v.variable(v.vector([0] * LANES, LONGS)) for _ in range(2)]
    with v.loop(components) as k:
        slope = slopes.load(k * LANES, DOUBLES)
        position = edges.load(k * LANES, DOUBLES) + symbol.to(DOUBLES) * slope
        mass = masses.load(k * LANES, INTS).to(LONGS)
        for total, at in zip(sums, (position, position + slope), strict=True):
            total.value += (mass & LOW_WORD) * sigmoids(table, at)
    start, stop = (total.value.shifted(32).to(INTS) + symbol for total in sums)
    starts.store(first, (symbol > 0).choose(start, v.vector([0] * LANES, INTS)))
    stops.store(first, (symbol < size - 1).choose(stop + 1, v.vector([_TOTAL] * LANES, INTS)))


@helper
def guess(mixtures, tables, size, slots):  # type: ignore[no-untyped-def]
    """Set the symbols to what is probably theirs whose intervals hold ``slots``, a vector, and set their intervals:
    :func:`find`, side by side, but for the few that a single step by the slope does not find."""
    _begin(mixtures.centres, mixtures.widths, tables.quantiles, size, slots, mixtures.symbols)
    bound(mixtures, tables, size)
    if _step(mixtures.symbols, mixtures.starts, mixtures.stops, size, slots):
        bound(mixtures, tables, size)


@vectorised
def _begin(v, centres, widths, quantiles, size, slots, symbols):  # type: ignore[no-untyped-def]
    first = size * 0
    quantile = quantiles.gather(slots >> _QUANTILE_SHIFT, DOUBLES)
    level = centres.load(first, DOUBLES) + quantile * widths.load(first, DOUBLES)
    symbols.store(first, level.held(0.0, size - 1).to(INTS))


@vectorised
def _step(v, symbols, starts, stops, size, slots):  # type: ignore[no-untyped-def]
    """Move those symbols that are wrong, and return whether there were any."""
    first = size * 0
    symbol, start, stop = symbols.load(first, INTS), starts.load(first, INTS), stops.load(first, INTS)
    moved = ((slots - start).to(DOUBLES) / (stop - start).to(DOUBLES)).floor().to(INTS)
    symbols.store(first, (symbol + moved).held(0, size - 1))
    return ((slots < start) | (slots > stop - 1)).any()


@helper
def interval(v, i, size, mixtures, table):  # type: ignore[no-untyped-def]
    """Return ``(start, stop)`` of symbol v under mixture i; ``table``: the logistic function's."""
    start, stop = 0, 0
    for k in range(mixtures.components):
        slope = mixtures.slopes[k, i]
        mass, position = mixtures.masses[k, i], mixtures.edges[k, i] + v * slope
        start += mass * sigmoid(table, np.int64(position))
        stop += mass * sigmoid(table, np.int64(position + slope))
    start = (start >> 32) + v if v > 0 else 0
    return start, (stop >> 32) + v + 1 if v + 1 < size else _TOTAL


@helper
def _edge(v, i, size, mixtures, table):  # type: ignore[no-untyped-def]
    """Return where the interval of symbol v begins; ``2**24`` for v = size."""
    total = 0
    for k in range(mixtures.components):
        total += mixtures.masses[k, i] * sigmoid(table, np.int64(mixtures.edges[k, i] + v * mixtures.slopes[k, i]))
    if v <= 0:
        return 0
    return (total >> 32) + v if v < size else _TOTAL


@helper
def find(slot, i, size, mixtures, tables):  # type: ignore[no-untyped-def]
    """Return ``(v, start, stop)`` of the symbol whose interval under mixture i holds ``slot``."""
    # Begin with the quantile of a logistic like the mixture, which finds most symbols
    quantile = int(mixtures.centres[i] + tables.quantiles[slot >> _QUANTILE_SHIFT] * mixtures.widths[i])
    v = min(max(quantile, 0), size - 1)
    start, stop = interval(v, i, size, mixtures, tables.logistic)
    if slot < start or slot >= stop:
        v, start, stop = _seek(slot, v, start, stop, i, size, mixtures, tables.logistic)
    return v, start, stop


@helper
def found(slot, i, size, mixtures, tables):  # type: ignore[no-untyped-def]
    """The same, where :func:`guess` was given the slots. The symbol is among ``mixtures.symbols`` then."""
    v, start, stop = mixtures.symbols[i], mixtures.starts[i], mixtures.stops[i]
    if slot < start or slot >= stop:
        v, start, stop = _seek(slot, v, start, stop, i, size, mixtures, tables.logistic)
        mixtures.symbols[i] = v
    return v, start, stop


@routine
def _seek(slot, v, start, stop, i, size, mixtures, table):  # type: ignore[no-untyped-def]
    """The symbol from another one, ``v``, which has ``(start, stop)``.

    As :func:`bitsback.codecs.search.search` does it, but for edges that are known from the step before: most that are
    not found at once are next to where that began.
    """
    low, high = 0, size - 1
    steps = 0
    while slot < start or slot >= stop:
        if slot < start:
            high = v - 1
        else:
            low = v + 1
        # After a few steps by the slope, halve: from a poor guess these lead nowhere
        guess = v + (slot - start) // (stop - start) if steps < _NEWTON else (low + high) >> 1
        guess = min(max(guess, low), high)
        if guess == v - 1:
            stop = start
            start = _edge(guess, i, size, mixtures, table)
        elif guess == v + 1:
            start = stop
            stop = _edge(guess + 1, i, size, mixtures, table)
        else:
            start, stop = interval(guess, i, size, mixtures, table)
        v = guess
        steps += 1
    return v, start, stop


class _Reading(NamedTuple):
    """How to read parameters: see :class:`_Mixture`."""

    codes: npt.NDArray[Any]
    order: npt.NDArray[np.int64]
    step: int
    zero: int


@helper
def _collect(reading, first, parameters):  # type: ignore[no-untyped-def]
    """Set ``parameters`` to those of LANES symbols from symbol ``first`` on; what is beyond the last is left alone."""
    codes, order = reading.codes, reading.order
    i, j = first // order.size, first % order.size
    for lane in range(min(LANES, codes.shape[0] * order.size - first)):
        for k in range(codes.shape[1]):
            value = codes[i, k, order[j]]
            parameters[k, lane] = value * reading.step + reading.zero if 3 * k < codes.shape[1] else value
        j += 1
        if j == order.size:
            i, j = i + 1, 0


@kernel
def _intervals(reading, tables, size, x, starts, freqs):  # type: ignore[no-untyped-def]
    room = mixtures(reading.codes.shape[1] // 3)
    for n in range(x.size):
        lane = n % LANES
        if lane == 0:
            _collect(reading, n, room.parameters)
            prepare(room, tables, size)
        start, stop = interval(x[n], lane, size, room, tables.logistic)
        starts[n], freqs[n] = start, stop - start


@kernel
def _pop(heads, tail, length, reading, tables, size, out):  # type: ignore[no-untyped-def]
    room = mixtures(reading.codes.shape[1] // 3)
    h = 0
    for n in range(out.size):
        lane = n % LANES
        if lane == 0:
            _collect(reading, n, room.parameters)
            prepare(room, tables, size)
        v, start, stop = find(peek(heads[h], PRECISION), lane, size, room, tables)
        length = take(heads, tail, length, h, start, stop, PRECISION)
        if length < 0:
            return -1
        out[n] = v
        h = 0 if h + 1 == heads.size else h + 1
    return length


@cache
def quantiles() -> npt.NDArray[np.float64]:
    """Return the quantiles of the logistic function at ``(i + 1/2) / 1024`` in steps of the table, float64[1024].

    What :func:`find` starts from: it decides speed only, never a symbol.
    """
    middles = (2 * np.arange(_QUANTILES) + 1) << 21
    steps = np.searchsorted(load("logistic"), middles) - (ORIGIN >> FRACTION)
    return steps.astype(np.float64)


@cache
def tables(sharper: int = 0) -> Tables:
    """Return the tables that mixtures are computed from.

    With ``sharper``, a multiple of 6, so many smaller scales come before the usual 64, each octave the double of the
    next: sums of positions stay below 2^53 with up to 30 of them.
    """
    inverses = load("inverse_scales").astype(np.float64)
    octaves = [inverses[:6] * 2.0**n for n in range(sharper // 6, 0, -1)]
    exponentials = load("exponentials").astype(np.float64)
    return Tables(np.concatenate([*octaves, inverses]), exponentials, load("logistic").astype(np.uint32), quantiles())


class _Mixture(Family):
    """What the two ways of giving the parameters share: one array of all of them, and how to read it.

    Symbol (i, j) has the parameters ``codes[i, :, order[j]]``: K means in units of ``step`` sixteenths of a level from
    ``zero``, K indices into the tables of scales, and K weights.
    """

    precision = PRECISION
    codes: npt.NDArray[Any]
    order: npt.NDArray[np.int64]
    step: int
    zero: int

    def _arguments(self) -> tuple[_Reading, Tables, int]:
        return _Reading(self.codes, self.order, self.step, self.zero), self._tables(), self.size

    @staticmethod
    def _tables() -> Tables:
        """Return the tables, with the inverse scales by index."""
        return tables()

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _intervals(*self._arguments(), x, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        stack.pull(_pop, *self._arguments(), out)


class LogisticMixture(_Mixture):
    """Levels ``0 .. symbols - 1`` under mixtures of K logistic distributions, cut at the half levels.

    The interval of v begins at ``floor(sum_k m_k * F((v - 1/2 - mean_k) / scale_k)) + v``, F being the logistic
    function from a table and m_k integers of sum ``2**24 - symbols`` (the rounded-down share of each component, the
    first taking the remainder); the first level takes all below it and the last all above. Every level can be coded.

    Args:
        mean: int32, shape (..., K), in sixteenths of a level.
        scale: uint8 in 0..111, same shape: scale ``2**((scale - 16) / 6)`` levels, 0.16 to 58,000.
        weight: uint8, same shape: a weight in proportion to ``2**((weight - 128) / 16)``.
        symbols: 2 to 65536. They come out as uint8, or as uint16 if 8 bits do not hold them, and signed if ``low`` is
            below 0.
        low: the least level, maybe a negative one: levels are ``low .. low + symbols - 1``.

    >>> import numpy as np
    >>> pixels = LogisticMixture([[16 * 100]], [[16]], [[128]])  # one component of mean 100 and scale 1
    >>> pixels.bits(np.array([100])).round(2), pixels.bits(np.array([110])).round(2)
    (array([2.03]), array([14.37]))
    """

    step, zero = 1, 0
    expandable = ("mean", "scale", "weight")

    def __init__(
        self, mean: npt.ArrayLike, scale: npt.ArrayLike, weight: npt.ArrayLike, symbols: int = 256, low: int = 0
    ) -> None:
        if not 2 <= symbols <= 1 << 16:
            raise CodecError(f"a logistic mixture has 2 to 65536 levels, not {symbols}")
        self.mean, self.scale, self.weight = together(
            mean=whole(mean, np.int32, None, "a mean", start=-(1 << 31)),
            scale=whole(scale, np.uint8, SCALES, "a scale"),
            weight=whole(weight, np.uint8, None, "a weight"),
        )
        if not self.mean.ndim or not 1 <= self.mean.shape[-1] <= MAX_COMPONENTS:
            raise CodecError(f"the last axis must hold 1 to {MAX_COMPONENTS} components")
        self.shape, self.size, self.low = self.mean.shape[:-1], symbols, checked_low(low)
        self.dtype = type_of(low, symbols)
        self._ready()

    def _ready(self) -> None:
        components = self.mean.shape[-1]
        means = from_low(self.mean, self.low)
        parts = [part.reshape(-1, components).astype(np.int32) for part in (means, self.scale, self.weight)]
        self.codes, self.order = np.concatenate(parts, 1)[:, :, None], np.zeros(1, np.int64)

    @classmethod
    def from_floats(
        cls, mean: npt.ArrayLike, scale: npt.ArrayLike, weight: npt.ArrayLike, symbols: int = 256, low: int = 0
    ) -> Self:
        """Return the codec for float parameters of shape (..., K), moved to the grids above.

        The rounding is done in floating point: encoder and decoder must see the very same floats. Inside one
        environment they do, between machines they may not.

        Args:
            mean: in levels; moved to sixteenths.
            scale: in levels, above 0; moved by ratio to the nearest of 0.16 to 58,000.
            weight: not negative and not all 0 in a mixture; only ratios matter, and none below 2**-16 is told apart.
            symbols: 2 to 65536.
            low: the least level.

        Raises:
            CodecError: a parameter is out of range or not a number, or the shapes do not go together.

        >>> two = LogisticMixture.from_floats([[10.0, 99.5]], [[1.0, 4.0]], [[0.25, 0.75]])
        >>> two.mean, two.scale, two.weight
        (array([[ 160, 1592]], dtype=int32), array([[16, 28]], dtype=uint8), array([[230, 255]], dtype=uint8))
        """
        weights = reals(weight, "a weight")
        largest = weights.max(axis=-1, keepdims=True) if weights.ndim and weights.shape[-1] else weights
        if np.any(weights < 0) or not np.all((largest > 0) & np.isfinite(largest)):
            raise CodecError("weights must be finite, not negative, and not all 0 in a mixture")
        with np.errstate(divide="ignore"):
            indices = nearest(255 + 16 * np.log2(weights / largest), 0, 255)
        return cls(*on_grid(mean, scale), indices, symbols, low)


def checked_low(low: int) -> int:
    """Return the least level of a family, if it can be one."""
    if not -(1 << 26) <= low <= 1 << 26:
        raise CodecError(f"the least level is -2**26 to 2**26, not {low}")
    return int(low)


def from_low(mean: npt.NDArray[np.int32], low: int) -> npt.NDArray[np.int32]:
    """Return means in sixteenths of a level, counted from the least level."""
    if not low:
        return mean
    return np.clip(mean.astype(np.int64) - 16 * low, -(1 << 31), (1 << 31) - 1).astype(np.int32)


def on_grid(mean: npt.ArrayLike, scale: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return float means and scales, in levels, as sixteenths and indices of scales. For ``from_floats``."""
    positive = reals(scale, "a scale", positive=True)
    return nearest(reals(mean, "a mean") * 16, -(1 << 28), 1 << 28), nearest(16 + 6 * np.log2(positive), 0, SCALES - 1)


class NetworkMixture(_Mixture):
    """Bytes under the mixtures whose parameters are a network's output, as it is: planar, one byte a parameter.

    A mean is ``(18 u - 256) / 16`` levels for the byte u, so that means reach 16 levels beyond either end and black
    and white can be certain; a scale has the index ``quarter(u)`` in :class:`LogisticMixture`; a weight is its own.

    Args:
        codes: uint8 (n, 3 K, ...): K means, K scales, K weights for each symbol.
        shape: of the arrays of symbols; its first axis is n.
        order: where in the flattened last axes of ``codes`` the symbols of one example are, int64; None: in order.

    >>> import numpy as np
    >>> codes = np.full((1, 3, 2, 2), 128, np.uint8)  # one component: mean 128 and scale 2^(16/6) = 6.3 levels
    >>> NetworkMixture(codes, (1, 2, 2)).bits(np.array([[[128, 127], [120, 0]]])).round(1)
    array([[[ 4.7,  4.7],
            [ 5.2, 23. ]]])
    """

    step, zero = 18, -256
    size = 256
    dtype = np.uint8

    def __init__(self, codes: npt.NDArray[np.uint8], shape: Shape, order: npt.NDArray[np.int64] | None = None) -> None:
        if codes.ndim < 2 or codes.dtype != np.uint8 or codes.shape[1] % 3 or not codes.shape[1]:
            raise CodecError(f"a mixture's codes must be uint8 (n, 3 K, ...), not {codes.dtype} {codes.shape}")
        self.codes = np.ascontiguousarray(codes).reshape(*codes.shape[:2], -1)
        self.order = np.arange(self.codes.shape[2]) if order is None else order
        self.shape = shape
        if len(codes) * self.order.size != math.prod(shape) or self.order.size != self.codes.shape[2]:
            raise CodecError(f"codes of shape {codes.shape} do not fit symbols of shape {shape}")

    @staticmethod
    def _tables() -> Tables:
        return _network_tables()


@cache
def _network_tables() -> Tables:
    return tables()._replace(inverses=tables().inverses[quarter(np.arange(256, dtype=np.uint8))])


def quarter(u: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return u / 4, halves rounded up, at most 63: from a network's output to an index of a table of 64 scales.

    >>> quarter(np.array([0, 1, 2, 5, 6, 128, 252, 255], np.uint8))
    array([ 0,  0,  1,  1,  2, 32, 63, 63], dtype=uint8)
    """
    quarters: npt.NDArray[np.uint8] = np.minimum((u.astype(np.uint16) + 2) >> 2, 63).astype(np.uint8)
    return quarters


class Logistic(LogisticMixture):
    """Levels under one discretised logistic distribution each: a mixture of one, without the last axis."""

    def __init__(self, mean: npt.ArrayLike, scale: npt.ArrayLike, symbols: int = 256, low: int = 0) -> None:
        mean, scale = np.asarray(here(mean))[..., None], np.asarray(here(scale))[..., None]
        super().__init__(mean, scale, np.zeros(1, np.uint8), symbols, low)

    @classmethod
    def from_floats(  # type: ignore[override]
        cls, mean: npt.ArrayLike, scale: npt.ArrayLike, symbols: int = 256, low: int = 0
    ) -> Self:
        """Return the codec for float means and scales in levels: see :meth:`LogisticMixture.from_floats`.

        >>> Logistic.from_floats([100.0], [1.0]).mean
        array([[1600]], dtype=int32)
        """
        return cls(*on_grid(mean, scale), symbols, low)
