"""What training makes small: the bits of a sample under each family of :mod:`bitsback.kinds.likelihoods`.

An :class:`Objective` reads what a network gives for a sample in the units of the integer parameters: those that the
codec of the family has, whole numbers there, any numbers here. So it serves every network: a context network, whose
last layer gives them as they are; and a decoder without one, whose bytes stand for some of them
(:meth:`Objective.of_bytes`).
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bitsback.kernels import kernel
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
    _mixtures(out, x, reference, least, nats, gradient, np.empty((4, out.shape[1] // 3)))
    return nats, gradient


@kernel
def _mixtures(out, x, reference, least, nats, gradient, room):  # type: ignore[no-untyped-def]
    """``room``: float64 (4, K)."""
    k = room.shape[1]
    anchored = reference.shape[1] > 1
    joint, share, by_mean, by_scale = room[0], room[1], room[2], room[3]
    for i in range(len(out)):
        row = out[i]
        value, origins = float(x[i]), reference[i]
        lowest, highest = value == 0, value == 255
        total = 0.0
        for j in range(k):
            share[j] = math.exp(min(max(row[2 * k + j], -128.0), 127.0) * (_LN2 / 16))
            total += share[j]
        scaled_total = math.log(total)
        best = -math.inf
        for j in range(k):
            inverse = math.exp((16 - min(max(row[k + j], least), 63.0)) * (_LN2 / 6))
            distance = value - 0.5 - (origins[j if anchored else 0] + row[j]) / 16
            below = distance * inverse
            above = below + inverse
            # log sigmoid(above) is min(above, 0) less the logarithm of 1 + exp(-|above|): likewise for -below
            far_above, far_below = math.exp(-abs(above)), math.exp(-abs(below))
            step = 1 - math.exp(-inverse)
            exponent, ratio, up, down, by_inverse = 0.0, 1.0, 0.0, 0.0, 0.0
            if not highest:
                exponent += min(above, 0.0)
                ratio /= 1 + far_above
                up = (far_above if above > 0 else 1.0) / (1 + far_above)
            if not lowest:
                exponent += min(-below, 0.0)
                ratio /= 1 + far_below
                down = (far_below if below < 0 else 1.0) / (1 + far_below)
            if not (lowest or highest):
                ratio *= step
                by_inverse = (1 - step) / step
            joint[j] = exponent + math.log(ratio * share[j]) - scaled_total
            best = max(best, joint[j])
            by_mean[j] = (down - up) * inverse
            by_scale[j] = -_LN2 * inverse * ((up - down) * distance + up + by_inverse)
        likelihood = 0.0
        for j in range(k):
            likelihood += math.exp(joint[j] - best)
        log_likelihood = best + math.log(likelihood)
        nats[i] = -log_likelihood
        if len(gradient) > 0:
            for j in range(k):
                responsible = math.exp(joint[j] - log_likelihood)
                gradient[i, j] = -responsible * by_mean[j] / 16
                s, ds = row[k + j], -responsible * by_scale[j] / 6
                gradient[i, k + j] = 0.0 if (s < least and ds > 0) or (s > 63 and ds < 0) else ds
                w, dw = row[2 * k + j], (share[j] / total - responsible) * (_LN2 / 16)
                gradient[i, 2 * k + j] = 0.0 if (w < -128 and dw > 0) or (w > 127 and dw < 0) else dw
