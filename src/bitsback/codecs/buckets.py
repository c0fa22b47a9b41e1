"""Gaussian latents on a grid that makes the prior plain bits.

The prior of a latent, N(0, 1) in its own units, is cut into ``2**bits`` buckets of equal mass: under the prior a
bucket index is ``bits`` uniform bits. A posterior N(mean, sigma), also in units of the prior, gives each bucket the
mass between the bucket's edges; with more buckets than the posterior can tell apart, the finer bits cost nothing,
since they come back. (James Townsend, Tom Bird & David Barber, "Practical lossless compression with latent variables
using bits back coding", ICLR 2019, section 2.5.1.)

To the bit, for N = ``2**bits`` and with the tables of :mod:`bitsback.codecs.tables`, all divisions rounding down::

    edge(k)      quantiles[k * 2**(13 - bits)] for 0 < k < N, in 2**-20
    position     t(k) = 2**30 + ((edge(k) - (delta - 128) * 2**15) * inverse_ratios[rho]) // 2**14, in 0 .. 2**31 - 1
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
from bitsback.codecs.tables import ORIGIN, STEPS, load, sigmoid
from bitsback.errors import CodecError
from bitsback.kernels import helper, kernel

MAX_BITS = 12

PRECISION = 24

_TOTAL = 1 << PRECISION
_QUANTILE_SHIFT = 11  # from 24 bits to the 8192 quantiles
_MEAN_UNIT = 1 << 15  # a 32nd of a standard deviation, in the 2**-20 of the table of quantiles


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
def _intervals(delta, rho, edges, normal, inverses, x, starts, freqs):  # type: ignore[no-untyped-def]
    buckets = edges.size - 1
    for i in range(x.size):
        mean = (delta[i] - 128) * _MEAN_UNIT
        start, stop = _interval(x[i], edges, normal, mean, inverses[rho[i]], buckets)
        starts[i], freqs[i] = start, stop - start


@helper
def _guess(slot, quantiles, normal, mean, ratio, buckets):  # type: ignore[no-untyped-def]
    """Return about the bucket whose interval holds ``slot``: the posterior's quantile, then its place in the prior."""
    quantile = quantiles[max(slot >> _QUANTILE_SHIFT, 1)]
    latent = mean + ((quantile * ratio) >> 20)
    return (sigmoid(normal, ORIGIN + latent * STEPS) * buckets) >> 32


@kernel
def _pop(  # type: ignore[no-untyped-def]
    heads, tail, length, delta, rho, edges, normal, inverses, quantiles, ratios, out
):
    buckets = edges.size - 1
    lanes = heads.size
    lane = 0
    for i in range(out.size):
        mean = (delta[i] - 128) * _MEAN_UNIT
        slot = peek(heads[lane], PRECISION)
        guess = _guess(slot, quantiles, normal, mean, ratios[rho[i]], buckets)
        k, start, stop = search(slot, guess, buckets, _interval, edges, normal, mean, inverses[rho[i]], buckets)
        length = take(heads, tail, length, lane, start, stop, PRECISION)
        if length < 0:
            return -1
        out[i] = k
        lane = 0 if lane + 1 == lanes else lane + 1
    return length


@cache
def _ratios() -> npt.NDArray[np.int64]:
    """Return sigma in ``2**-20`` for each rho, int64[64]: it guides the search, and decides no symbol."""
    return (1 << 40) // load("inverse_ratios").astype(np.int64)


class PosteriorBuckets(Family):
    """Bucket indices (uint16, ``0 .. 2**bits - 1``) under Gaussians given relative to the prior.

    Bucket k lies between the quantiles ``k / 2**bits`` and ``(k + 1) / 2**bits`` of the prior; its interval begins at
    ``floor((2**24 - 2**bits) * Phi((edge_k - mean) / sigma)) + k``. The prior itself is ``Uniform(bits, shape)``.

    Args:
        delta: uint8, any shape: the mean is ``(delta - 128) / 32`` standard deviations of the prior.
        rho: uint8 in 0..63, same shape: sigma is ``2**(-rho / 8)`` standard deviations of the prior.
        bits: 1 to 12.

    >>> import numpy as np
    >>> posterior = PosteriorBuckets(np.array([128, 170]), np.array([0, 32]), bits=8)
    >>> posterior.bits(np.array([77, 231])).round(2)  # the first is the prior itself
    array([8.  , 2.78])
    """

    dtype = np.uint16
    precision = PRECISION
    expandable = ("delta", "rho")

    def __init__(self, delta: npt.ArrayLike, rho: npt.ArrayLike, bits: int) -> None:
        self._edges = _bucket_edges(bits)
        self.bits_per_symbol = bits
        self.size = 1 << bits
        self.delta, self.rho = together(
            delta=whole(delta, np.uint8, None, "delta"), rho=whole(rho, np.uint8, 64, "rho")
        )
        self.shape = self.delta.shape

    @classmethod
    def from_floats(cls, mean: npt.ArrayLike, std: npt.ArrayLike, bits: int) -> Self:
        """Return the codec for means and standard deviations as floats, in units of the prior, which is N(0, 1).

        They are moved to the grid: means to 32nds within -4 and 3.97, standard deviations by ratio to powers of
        ``2**(1/8)`` from 1 down to 0.0043. A posterior moved like this is still a posterior; a little more KL is all
        that it costs. What the decoder network is fed for bucket k must be the same on both sides as well;
        ``(bucket_centres(bits)[k] - 128) / 32`` is.

        The rounding is done in floating point: encoder and decoder must see the very same floats. Inside one
        environment they do, between machines they may not.

        Raises:
            CodecError: a standard deviation is not above 0, something is no number, or shapes do not go together.

        >>> posterior = PosteriorBuckets.from_floats(mean=[-0.5], std=[0.25], bits=8)
        >>> posterior.delta, posterior.rho
        (array([112], dtype=uint8), array([16], dtype=uint8))
        """
        delta = nearest(128 + 32 * reals(mean, "a mean"), 0, 255)
        rho = nearest(-8 * np.log2(reals(std, "a standard deviation", positive=True)), 0, 63)
        return cls(delta, rho, bits)

    def modes(self) -> npt.NDArray[np.uint16]:
        """Return the bucket that each posterior's mean is in: what to code where no bits come back."""
        below = load("normal").astype(np.uint32)[1024 + 2 * (self.delta.astype(np.intp) - 128)]
        return (below >> np.uint32(32 - self.bits_per_symbol)).astype(np.uint16)

    def _parameters(self) -> tuple[npt.NDArray[Any], ...]:
        return self.delta.reshape(-1), self.rho.reshape(-1), self._edges, load("normal"), load("inverse_ratios")

    def _intervals(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        starts, freqs = np.empty(x.size, np.uint32), np.empty(x.size, np.uint32)
        _intervals(*self._parameters(), x, starts, freqs)
        return starts, freqs

    def _pop(self, stack: Stack, out: npt.NDArray[Any]) -> None:
        stack.pull(_pop, *self._parameters(), load("quantiles"), _ratios(), out)


def bucket_centres(bits: int) -> npt.NDArray[np.uint8]:
    """Return the code of each bucket's median: what a decoder network is fed, uint8[2**bits].

    The code of ``centre = Phi^-1((k + 1/2) / 2**bits)`` is ``floor(128.5 + 32 * centre)``, held within 0..255.

    >>> bucket_centres(2)
    array([ 91, 118, 138, 165], dtype=uint8)
    """
    _check_bits(bits)
    step = 1 << (12 - bits)
    centres = load("quantiles").astype(np.int64)[step : 8192 : 2 * step]
    codes: npt.NDArray[np.int64] = (centres * 32 + (257 << 19)) >> 20
    return codes.clip(0, 255).astype(np.uint8)


def _bucket_edges(bits: int) -> npt.NDArray[np.int32]:
    """Return the edges between ``2**bits`` buckets, int32[2**bits + 1] in ``2**-20``; the infinite outer ones are 0."""
    _check_bits(bits)
    return np.ascontiguousarray(load("quantiles")[:: 1 << (13 - bits)].astype(np.int32))


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= MAX_BITS:
        raise CodecError(f"latents have 1 to {MAX_BITS} bits, not {bits}")
