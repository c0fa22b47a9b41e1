"""The mixture of discretised logistics and its gradient in one pass over the samples: for CPUs, about ten times faster
than tensor operations, which would walk through memory some fifty times."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import kernel

LN2 = math.log(2)


def nats_and_gradient(
    out: NDArray[np.float32],
    x: NDArray[np.float32],
    reference: NDArray[np.float32],
    least: float,
    with_gradient: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What :func:`bitsback.training.context.mixture_nats` computes, and its derivatives by ``out``.

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
            share[j] = math.exp(min(max(row[2 * k + j], -128.0), 127.0) * (LN2 / 16))
            total += share[j]
        scaled_total = math.log(total)
        best = -math.inf
        for j in range(k):
            inverse = math.exp((16 - min(max(row[k + j], least), 63.0)) * (LN2 / 6))
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
            by_scale[j] = -LN2 * inverse * ((up - down) * distance + up + by_inverse)
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
                w, dw = row[2 * k + j], (share[j] / total - responsible) * (LN2 / 16)
                gradient[i, 2 * k + j] = 0.0 if (w < -128 and dw > 0) or (w > 127 and dw < 0) else dw
