"""What training makes small: the bits of a sample under each family of :mod:`bitsback.kinds.likelihoods`.

An :class:`Objective` reads what a network gives for a sample in the units of the integer parameters: those that the
codec of the family has, whole numbers there, any numbers here. So it serves every network: a context network, whose
last layer gives them as they are; and a decoder without one, whose bytes stand for some of them
(:meth:`Objective.of_bytes`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bitsback.kernels import kernel
from bitsback.kernels.vectors import DOUBLES, INTS, LANES, LONGS, vectorised
from bitsback.kinds.context.network import UNIT as LEVEL
from bitsback.kinds.likelihoods import BernoulliSpec, LikelihoodSpec
from bitsback.training.layers import ReturningClip

_LN2 = math.log(2)

NO_REFERENCE = 2048
"""The middle of the range, in sixteenths of a level: where means are counted from in a model without references."""


class Kind(Protocol):
    """What starts depend on: see :class:`bitsback.kinds.context.network.ContextSpec`."""

    @property
    def has_reference(self) -> bool: ...

    @property
    def sharp(self) -> bool: ...


class Objective(Protocol):
    """A family of distributions, as training sees it."""

    def nats(self, out: Tensor, x: Tensor, reference: Tensor | None = None, lowest: int = 0) -> Tensor:
        """-log p(x) of each sample, (n,).

        Args:
            out: (n, parameters), in the units of the integer parameters.
            x: (n,), float.
            reference: (n,), or (n, K) for one of each component: what means are counted from, in sixteenths of a level.
            lowest: the least index of a scale.
        """

    def units(self, spec: Kind) -> Tensor:
        """How many integers one real unit of each output of a context network is, (parameters,): such that a step of
        Adam means about as much for each of them."""

    def start(self, spec: Kind) -> Tensor:
        """Plausible parameters to start a context network with, (parameters,)."""

    def of_bytes(self, u: Tensor) -> Tensor:
        """The parameters that a decoder's bytes stand for: (n, parameters) both."""

    def start_bytes(self) -> Tensor:
        """Plausible bytes to start a decoder with, (parameters,)."""


def objective(likelihood: LikelihoodSpec) -> Objective:
    """The objective of a family."""
    return Bernoulli() if isinstance(likelihood, BernoulliSpec) else Mixture(likelihood.components)


class Bernoulli:
    """Samples of 0 and 1; the integer u, clipped to -128..127, stands for the logit 5 u / 64."""

    def nats(self, out: Tensor, x: Tensor, reference: Tensor | None = None, lowest: int = 0) -> Tensor:
        logits = clip(out[:, 0], -128, 127) * (5 / 64)
        return F.binary_cross_entropy_with_logits(logits, x, reduction="none")

    def units(self, spec: Kind) -> Tensor:
        return torch.tensor([64 / 5])  # a logit of 1

    def start(self, spec: Kind) -> Tensor:
        return torch.tensor([-64 / 5])

    def of_bytes(self, u: Tensor) -> Tensor:
        return u - 128

    def start_bytes(self) -> Tensor:
        return torch.tensor([105.6])


class Mixture:
    """Mixtures of K discretised logistics over 256 levels: K means, K scales, K weights. See :func:`mixture_nats`."""

    def __init__(self, components: int) -> None:
        self.components = components

    def nats(self, out: Tensor, x: Tensor, reference: Tensor | None = None, lowest: int = 0) -> Tensor:
        return mixture_nats(out, x, reference, lowest)

    def units(self, spec: Kind) -> Tensor:
        mean = 24.0 if spec.has_reference else 256.0  # counted from a reference, and from the middle of the range
        return torch.tensor([mean, 6.0, 16.0]).repeat_interleave(self.components)  # an octave; a bit

    def start(self, spec: Kind) -> Tensor:
        """Around a reference, components from narrow to wide; of a sharp model, from all but certain to wide. Without
        one, components spread over the range, where those at its ends are narrow: black, white and all between."""
        k = self.components
        means, scales = torch.zeros(k), torch.full((k,), 20.0)
        if spec.sharp:
            scales = torch.tensor([-12.0, *[0.0] * (k - 2), 30.0][:k])
        elif spec.has_reference:
            scales = torch.linspace(8, 34, k) if k > 1 else scales
        else:
            scales = torch.full((k,), 48.0)
            if k > 1:
                ends = NO_REFERENCE + 2 * LEVEL  # beyond the range, where a level's share of a folded end is large
                means = torch.linspace(-ends, ends, k)
                scales[0] = scales[-1] = 16.0
        return torch.cat([means, scales, torch.zeros(k)])

    def of_bytes(self, u: Tensor) -> Tensor:
        """A mean is (18 u - 256) / 16 levels, a scale's index u / 4, and a weight 2^((u - 128) / 16)."""
        mean, scale, weight = u.chunk(3, 1)
        return torch.cat([18 * mean - 256 - NO_REFERENCE, scale / 4, weight - 128], 1)

    def start_bytes(self) -> Tensor:
        k = self.components
        means, scales = torch.full((k,), 128.0), torch.full((k,), 192.0)
        if k > 1:
            means = torch.linspace(6.4, 240, k)
            scales[0] = scales[-1] = 88.0
        return torch.cat([means, scales, torch.full((k,), 128.0)])


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """``x`` within ``low`` and ``high``, with a gradient that leads back from outside."""
    clipped: Tensor = ReturningClip.apply(x - low, high - low)
    return clipped + low


# The mixture ----------------------------------------------------------------------------------------------------------


def mixture_nats(out: Tensor, x: Tensor, reference: Tensor | None = None, lowest: int = 0) -> Tensor:
    """-log p(x) under a mixture of K discretised logistics, ends folded (PixelCNN++, arXiv 1701.05517), (n,).

    ``out``: (n, 3 K), K means, K scales, K weights. A mean is (reference + out) / 16 levels, a scale
    2^((clip(out, lowest, 63) - 16) / 6) levels, and a weight is in proportion to 2^(clip(out, -128, 127) / 16).
    ``reference``: (n,), or (n, K) for one of each component.
    """
    if reference is None:
        reference = torch.full_like(x, NO_REFERENCE)
    if reference.dim() == 1:
        reference = reference[:, None]
    if out.device.type == "cpu" and out.dtype == torch.float32:
        result: Tensor = _FusedNats.apply(out, x, reference, lowest)
        return result
    return mixture_formula(out, x, reference, lowest)


def mixture_formula(out: Tensor, x: Tensor, reference: Tensor, lowest: int) -> Tensor:
    """:func:`mixture_nats` in tensor operations, for any device.

    All in log space: a floor on the probability would stop the gradient of badly predicted samples. With
    b = (x - mean - 1/2) / scale and a = b + 1 / scale, a component's mass is sigmoid(a) - sigmoid(b), whose logarithm
    is logsigmoid(a) + logsigmoid(-b) + log(1 - exp(-1 / scale)); at the ends of the range, one of the first two alone.
    """
    mean, scale, weight = out.t().contiguous().chunk(3)  # components first: long vectors are what sums are fast over
    inverse = torch.exp2((16 - clip(scale, lowest, 63)) / 6)
    below = (x - 0.5 - (reference.t() + mean) / LEVEL) * inverse
    least, most = x == 0, x == 255
    log_mass = F.logsigmoid(below + inverse).masked_fill(most, 0) + F.logsigmoid(-below).masked_fill(least, 0)
    log_mass = log_mass + torch.log(-torch.expm1(-inverse)).masked_fill(least | most, 0)
    shares = torch.log_softmax(clip(weight, -128, 127) * (_LN2 / 16), 0)
    return -torch.logsumexp(log_mass + shares, 0)


class _FusedNats(torch.autograd.Function):
    """:func:`mixture_formula` on a CPU."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, x: Tensor, reference: Tensor, lowest: int) -> Tensor:
        a, b, c = (t.contiguous().numpy() for t in (out, x, reference))
        nats, gradient = _nats_and_gradient(a, b, c, float(lowest), ctx.needs_input_grad[0])
        ctx.save_for_backward(torch.from_numpy(gradient))
        return torch.from_numpy(nats)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0][:, None] * ctx.saved_tensors[0], None, None, None


def _nats_and_gradient(
    out: NDArray[np.float32],
    x: NDArray[np.float32],
    reference: NDArray[np.float32],
    least: float,
    with_gradient: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What :func:`mixture_formula` computes, and its derivatives by ``out``, in one pass over the samples: on a CPU
    about ten times as fast as tensor operations, which would walk through memory some fifty times.

    ``out``: (n, 3 K); ``x``: (n,); ``reference``: (n, 1) or (n, K); ``least``: the least scale. Returns (n,) and
    (n, 3 K), the latter empty if not wanted.
    """
    nats = np.empty(len(out), np.float32)
    gradient = np.empty(out.shape if with_gradient else (0, out.shape[1]), np.float32)
    k = out.shape[1] // 3
    room = Room(*(np.empty((rows, LANES)) for rows in (3 * k, k, 1, 4 * k, 3 * k, 1)))
    _mixtures(out, x, reference, least, nats, gradient, room)
    return nats, gradient


class Room(NamedTuple):
    """Of eight samples, a lane each, float64 (..., LANES)."""

    parameters: NDArray[np.float64]
    origins: NDArray[np.float64]
    values: NDArray[np.float64]
    parts: NDArray[np.float64]
    """Of each component: its share; its logarithm of share and mass; derivatives of the latter by mean and scale."""
    gradient: NDArray[np.float64]
    nats: NDArray[np.float64]


@kernel
def _mixtures(out, x, reference, least, nats, gradient, room):  # type: ignore[no-untyped-def]
    k = room.origins.shape[0]
    anchored = reference.shape[1] > 1
    for begin in range(0, len(out), LANES):
        for lane in range(LANES):  # those beyond the last one repeat it
            i = min(begin + lane, len(out) - 1)
            room.values[0, lane] = x[i]
            for j in range(3 * k):
                room.parameters[j, lane] = out[i, j]
            for j in range(k):
                room.origins[j, lane] = reference[i, j if anchored else 0]
        _eight(k, least, room)
        for lane in range(min(LANES, len(out) - begin)):
            nats[begin + lane] = room.nats[0, lane]
            if len(gradient) > 0:
                for j in range(3 * k):
                    gradient[begin + lane, j] = room.gradient[j, lane]


@vectorised
def _eight(v, k, least, room):  # type: ignore[no-untyped-def]
    """Nats of eight samples, and their gradient."""
    zero, one = (v.vector([number] * LANES, DOUBLES) for number in (0.0, 1.0))
    row = k * LANES
    value = room.values.load(k * 0, DOUBLES)
    lowest, highest = value < 0.5, value > 254.5
    ends = lowest | highest
    shares, best, doubt = v.variable(zero), v.variable(zero - 1e300), v.variable(zero)
    with v.loop(k) as j:
        at = j * LANES
        mean, scale, weight = (room.parameters.load(row * part + at, DOUBLES) for part in range(3))
        # What is no number, as of a training that diverged, must not be held to a range and go unnoticed
        doubt.value += (mean - mean) + (scale - scale) + (weight - weight)
        share = _exp(weight.held(-128.0, 127.0) * (_LN2 / 16))
        shares.value += share
        inverse = _exp((16 - scale.at_least(least).at_most(63.0)) * (_LN2 / 6))
        distance = value - 0.5 - (room.origins.load(at, DOUBLES) + mean) * (1 / LEVEL)
        below = distance * inverse
        above = below + inverse
        # log sigmoid(above) is min(above, 0) less the logarithm of 1 + exp(-|above|): likewise for -below. One of the
        # two exponentials gives the other, as they are 1 / scale apart
        right, left = below > 0.0, above < 0.0
        narrow = _exp(zero - inverse)
        nearer = _exp(right.choose(zero - below, left.choose(above, below)))
        far_below = left.choose(nearer * narrow, nearer)
        far_above = left.choose(nearer, right.choose(nearer * narrow, narrow / nearer))
        of_above, of_below = one / (far_above + 1.0), one / (far_below + 1.0)
        up = highest.choose(zero, left.choose(of_above, far_above * of_above))
        down = lowest.choose(zero, right.choose(of_below, far_below * of_below))
        exponent = highest.choose(zero, above.at_most(0.0)) + lowest.choose(zero, (zero - below).at_most(0.0))
        step = 1.0 - narrow
        ratio = highest.choose(one, of_above) * lowest.choose(one, of_below) * ends.choose(one, step)
        joint = exponent + _log(ratio * share)
        best.value = best.value.at_least(joint)
        by_inverse = ends.choose(zero, narrow / step)
        by_scale = inverse * ((up - down) * distance + up + by_inverse) * -_LN2
        for part, one_part in enumerate((share, joint, (down - up) * inverse, by_scale)):
            room.parts.store(row * part + at, one_part)
    likelihood = v.variable(zero)
    with v.loop(k) as j:
        mass = _exp(room.parts.load(row + j * LANES, DOUBLES) - best.value)
        likelihood.value += mass
        room.parts.store(row + j * LANES, mass)
    room.nats.store(k * 0, _log(shares.value / likelihood.value) - best.value + doubt.value)
    with v.loop(k) as j:
        at = j * LANES
        share, mass, by_mean, by_scale = (room.parts.load(row * part + at, DOUBLES) for part in range(4))
        scale, weight = (room.parameters.load(row * part + at, DOUBLES) for part in (1, 2))
        responsible = mass / likelihood.value
        by_scale = responsible * by_scale * (-1 / 6)
        by_weight = (share / shares.value - responsible) * (_LN2 / 16)
        room.gradient.store(at, responsible * by_mean * (-1 / LEVEL))
        room.gradient.store(row + at, _returning(scale, least, 63.0, by_scale, zero))
        room.gradient.store(row * 2 + at, _returning(weight, -128.0, 127.0, by_weight, zero))


def _returning(x: Any, low: Any, high: float, gradient: Any, zero: Any) -> Any:
    """A gradient, but where descent would move x away from a range that it has left."""
    return (((x < low) & (gradient > 0.0)) | ((x > high) & (gradient < 0.0))).choose(zero, gradient)


def _exp(x: Any) -> Any:
    """e^x of vectors, x up to 700, to ten digits; the library's function takes one number at a time."""
    scaled = x.at_least(-700.0) * (1 / _LN2)
    whole = (scaled + 1024.5).to(INTS) - 1024
    rest = (scaled - whole.to(DOUBLES)) * _LN2
    series = rest * (1 / 9) + 1.0
    for n in range(8, 0, -1):
        series = series * rest * (1 / n) + 1.0
    return series * ((whole + 1023).to(LONGS) * (1 << 52)).reinterpreted(DOUBLES)


def _log(x: Any) -> Any:
    """The natural logarithm of vectors of normal numbers above 0, likewise."""
    raw = x.reinterpreted(LONGS)
    mantissa = ((raw & ((1 << 52) - 1)) | (1023 << 52)).reinterpreted(DOUBLES)
    large = mantissa > math.sqrt(2)
    mantissa = large.choose(mantissa * 0.5, mantissa)
    whole = (raw.shifted(52).to(INTS) - 1023).to(DOUBLES)
    t = (mantissa - 1.0) / (mantissa + 1.0)
    square = t * t
    series = square * (1 / 11) + 1 / 9
    for n in (7, 5, 3, 1):
        series = series * square + 1 / n
    return large.choose(whole + 1.0, whole) * _LN2 + t * series * 2.0
