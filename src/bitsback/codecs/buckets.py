"""Gaussian latents on a grid that makes the prior plain bits.

The prior of a latent, N(0, 1) in its own units, is cut into ``2**bits`` buckets of equal mass: under the prior a
bucket index is ``bits`` uniform bits. A posterior N(mean, sigma), also in units of the prior, gives each bucket the
mass between the bucket's edges; with more buckets than the posterior can tell apart, the finer bits cost nothing,
since they come back. (James Townsend, Tom Bird & David Barber, "Practical lossless compression with latent variables
using bits back coding", ICLR 2019, section 2.5.1.)

What the grids cost: a mean that is moved by up to half a step of 2**-10 costs 2**-20 / (24 sigma**2 ln 2) bits on
average, 0.0023 at sigma = 0.005; a width moved by up to a 32nd of an octave 0.0002 bits.

To the bit, for N = ``2**bits`` and with the tables of :mod:`bitsback.codecs.tables`, all divisions rounding down::

    edge(k)      in 2**-20, for 0 < k < N: quantiles[k * 2**(13 - bits)] up to 13 bits. With more, where the line
                 through the table ``normal`` reaches T = k * 2**(32 - bits): for the last i with normal[i] <= T,
                 (i * 2**20 + ceil((T - normal[i]) * 2**20 / (normal[i + 1] - normal[i])) - 2**30) // 64
    position     t(k) = 2**30 + ((edge(k) - mean * 2**10) * inverse_ratios[scale]) // 2**14, in 0 .. 2**31 - 1
    interval     start(k) = (F(t(k)) * (2**24 - N)) // 2**32 + k;  start(0) = 0;  start(N) = 2**24

where F reads the table ``normal`` between its entries, as ``logistic`` is read in :mod:`bitsback.codecs.logistic`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bitsback.ans import Stack, peek, take
from bitsback.codecs.base import Family, nearest, reals, together, whole
from bitsback.codecs.search import search
from bitsback.codecs.tables import FRACTION, ORIGIN, STEPS, load, sigmoid
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel

MAX_BITS = 16
"""Of a bucket's index."""

PRECISION = 24

SCALES = 224
"""Widths on the grid, sixteen an octave, the widest 4 prior deviations."""

_TOTAL = 1 << PRECISION
_QUANTILE_SHIFT = 11  # from 24 bits to the 8192 quantiles
_TABLE_BITS = 13  # of the table of quantiles
_FINE = 10  # from means in 2**-10 of a standard deviation to the 2**-20 of edges
_FARTHEST = 16 << _FINE
_ONE = 191  # the width of the prior itself


@helper
def _cdf(k, edges, normal, mean, inverse, buckets):  # type: ignore[no-untyped-def]
    """Return where bucket k's interval begins; ``2**24`` for k = buckets."""
    if k <= 0:
        return 0
    if k >= buckets:
        return _TOTAL
    below = sigmoid(normal, ORIGIN + (((edges[k] - mean) * inverse) >> 14))
    return ((below * (_TOTAL - buckets)) >> 32) + k


@helper
def _interval(k, edges, normal, mean, inverse, buckets):  # type: ignore[no-untyped-def]
    return _cdf(k, edges, normal, mean, inverse, buckets), _cdf(k + 1, edges, normal, mean, inverse, buckets)


@kernel
def _intervals(means, scales, edges, normal, inverses, x, starts, freqs):  # type: ignore[no-untyped-def]
    buckets = edges.size - 1
    for i in range(x.size):
        start, stop = _interval(x[i], edges, normal, means[i] << _FINE, inverses[scales[i]], buckets)
        starts[i], freqs[i] = start, stop - start


@helper
def _guess(slot, quantiles, normal, mean, ratio, buckets):  # type: ignore[no-untyped-def]
    """Return about the bucket whose interval holds ``slot``: the posterior's quantile, then its place in the prior."""
    quantile = quantiles[max(slot >> _QUANTILE_SHIFT, 1)]
    latent = mean + ((quantile * ratio) >> 20)
    return (sigmoid(normal, ORIGIN + latent * STEPS) * buckets) >> 32


@kernel
def _pop(  # type: ignore[no-untyped-def]
    heads, tail, length, means, scales, edges, normal, inverses, quantiles, ratios, out
):
    buckets = edges.size - 1
    lanes = heads.size
    lane = 0
    for i in range(out.size):
        mean, scale = means[i] << _FINE, scales[i]
        slot = peek(heads[lane], PRECISION)
        guess = _guess(slot, quantiles, normal, mean, ratios[scale], buckets)
        k, start, stop = search(slot, guess, buckets, _interval, edges, normal, mean, inverses[scale], buckets)
        length = take(heads, tail, length, lane, start, stop, PRECISION)
        if length < 0:
            return -1
        out[i] = k
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


@cache
def _ratios() -> npt.NDArray[np.int64]:
    """Return sigma in ``2**-20`` for each scale, int64[224]: it guides the search, and decides no symbol."""
    return (1 << 40) // load("inverse_ratios").astype(np.int64)


class PosteriorBuckets(Family):
    """Bucket indices (uint16, ``0 .. 2**bits - 1``) under Gaussians given relative to the prior.

    Bucket k lies between the quantiles ``k / 2**bits`` and ``(k + 1) / 2**bits`` of the prior; its interval begins at
    ``floor((2**24 - 2**bits) * Phi((edge_k - mean) / sigma)) + k``. The prior itself is ``Uniform(bits, shape)``.

    Args:
        mean: int32, any shape: in ``2**-10`` standard deviations of the prior, at most 16 of them from 0.
        scale: uint8 in 0..223, same shape: sigma is ``2**((scale - 191) / 16)`` standard deviations of the prior, 4 to
            0.00025.
        bits: 1 to 16.

    Raises:
        CodecError: a parameter is out of range, or their shapes do not go together.

    >>> import numpy as np
    >>> posterior = PosteriorBuckets(np.array([0, 1344]), np.array([191, 127]), bits=8)
    >>> posterior.bits(np.array([77, 231])).round(2)  # the first is the prior itself
    array([8.  , 2.78])
    """

    dtype = np.uint16
    precision = PRECISION
    expandable = ("mean", "scale")

    def __init__(self, mean: npt.ArrayLike, scale: npt.ArrayLike, bits: int) -> None:
        self._edges = _bucket_edges(bits)
        self.bits_per_symbol = bits
        self.size = 1 << bits
        self.mean, self.scale = together(
            mean=whole(mean, np.int32, _FARTHEST + 1, "a mean", start=-_FARTHEST),
            scale=whole(scale, np.uint8, SCALES, "a scale"),
        )
        self.shape = self.mean.shape

    @classmethod
    def from_floats(cls, mean: npt.ArrayLike, std: npt.ArrayLike, bits: int) -> Self:
        """Return the codec for means and standard deviations as floats, in units of the prior, which is N(0, 1).

        They are moved to the nearest points of the grids above. A posterior moved like this is still a posterior; a
        little more KL is all that it costs. What the decoder network is fed for bucket k must be the same on both sides
        as well; ``bucket_centres(bits)[k]`` is.

        The rounding is done in floating point: encoder and decoder must see the very same floats. Inside one
        environment they do, between machines they may not.

        Raises:
            CodecError: a standard deviation is not above 0, something is no number, or shapes do not go together.

        >>> posterior = PosteriorBuckets.from_floats(mean=[-0.5], std=[0.25], bits=8)
        >>> posterior.mean, posterior.scale
        (array([-512], dtype=int32), array([159], dtype=uint8))
        """
        centre = nearest((1 << _FINE) * reals(mean, "a mean"), -_FARTHEST, _FARTHEST)
        scale = nearest(_ONE + 16 * np.log2(reals(std, "a standard deviation", positive=True)), 0, SCALES - 1)
        return cls(centre, scale, bits)

    @classmethod
    def from_codes(cls, delta: npt.ArrayLike, rho: npt.ArrayLike, bits: int) -> Self:
        """Return the codec for what integer networks give, a byte each; it takes the same on any machine.

        Args:
            delta: uint8, any shape: the mean is ``(delta - 128) / 32``.
            rho: uint8 in 0..63, same shape: sigma is ``2**(-rho / 8)``.
            bits: 1 to 16.

        Raises:
            CodecError: a code is out of range, or shapes do not go together.

        >>> PosteriorBuckets.from_codes([112], [16], bits=8).mean
        array([-512], dtype=int32)
        """
        codes = whole(delta, np.uint8, None, "delta").astype(np.int32)
        return cls((codes - 128) * 32, _ONE - 2 * whole(rho, np.uint8, 64, "rho"), bits)

    def modes(self) -> npt.NDArray[np.uint16]:
        """Return the bucket that each posterior's mean is in: what to code where no bits come back."""
        modes = np.searchsorted(self._edges[1:-1], self.mean << _FINE, side="right")
        return modes.astype(np.uint16)

    def _parameters(self) -> tuple[npt.NDArray[Any], ...]:
        return self.mean.reshape(-1), self.scale.reshape(-1), self._edges, load("normal"), load("inverse_ratios")

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _intervals(*self._parameters(), x, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        stack.pull(_pop, *self._parameters(), load("quantiles"), _ratios(), out)


def bucket_centres(bits: int) -> npt.NDArray[np.float64]:
    """Return each bucket's median, what it stands for in units of the prior: float64[2**bits].

    They are whole multiples of ``2**-20``, so the same on any machine.

    >>> bucket_centres(2).round(3)
    array([-1.15 , -0.319,  0.319,  1.15 ])
    """
    _check_bits(bits)
    return np.ldexp(_quantiles(bits + 1)[1::2].astype(np.float64), -20)


def bucket_codes(bits: int) -> npt.NDArray[np.uint8]:
    """Return the code of each bucket's median: what an integer decoder network is fed, uint8[2**bits].

    The code of a median is ``floor(128.5 + 32 * median)``, held within 0..255.

    >>> bucket_codes(2)
    array([ 91, 118, 138, 165], dtype=uint8)
    """
    _check_bits(bits)
    codes = (_quantiles(bits + 1)[1::2] * 32 + (257 << 19)) >> 20
    return codes.clip(0, 255).astype(np.uint8)


def _bucket_edges(bits: int) -> npt.NDArray[np.int32]:
    """Return the edges between ``2**bits`` buckets, int32[2**bits + 1] in ``2**-20``; the infinite outer ones are 0."""
    _check_bits(bits)
    return _quantiles(bits).astype(np.int32)


@cache
def _quantiles(bits: int) -> npt.NDArray[np.int64]:
    """Return the quantiles ``k / 2**bits`` of N(0, 1), int64[2**bits + 1] in ``2**-20``; the ends are 0."""
    if bits <= _TABLE_BITS:
        return load("quantiles")[:: 1 << (_TABLE_BITS - bits)].astype(np.int64)
    normal = load("normal").astype(np.int64)
    wanted = np.arange(1, 1 << bits, dtype=np.int64) << (32 - bits)
    i = np.searchsorted(normal, wanted, side="right") - 1
    rest, slope = wanted - normal[i], normal[i + 1] - normal[i]
    inner = ((i << FRACTION) - (-(rest << FRACTION) // slope) - ORIGIN) // STEPS
    return np.concatenate([[0], inner, [0]])


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= MAX_BITS:
        raise CodecError(f"latents have 1 to {MAX_BITS} bits, not {bits}")
