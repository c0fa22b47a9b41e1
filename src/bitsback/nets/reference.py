"""The judge: the integer network in NumPy int64, slow and beyond doubt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitsback.nets.layers import Conv, Dense, Flatten, Network, Shuffle, Skip, Unflatten, Weights


def run(network: Network, x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Evaluate ``network`` on a batch, uint8 (batch, *input) to uint8 (batch, *output)."""
    there = [x]
    for index, layer in enumerate(network.spec.layers):
        match layer:
            case Conv():
                x = _rescale(_convolve(x, layer, network.weights[index]), network.weights[index])
            case Dense():
                weights = network.weights[index]
                # float64 is exact below 2^53, and its matrix product is far faster than int64's
                acc = x.astype(np.float64) @ weights.weight.astype(np.float64).T
                x = _rescale(acc.astype(np.int64) + weights.bias, weights)
            case Flatten():
                x = x.reshape(len(x), -1)
            case Unflatten(channels, height, width):
                x = x.reshape(len(x), channels, height, width)
            case Shuffle(factor):
                n, c, h, w = x.shape
                x = x.reshape(n, c // factor**2, factor, factor, h, w).transpose(0, 1, 4, 2, 5, 3)
                x = x.reshape(n, c // factor**2, h * factor, w * factor)
            case Skip(back):
                x = (x.astype(np.int16) + there[-1 - back] - 128).clip(0, 255).astype(np.uint8)
        there.append(x)
    return np.ascontiguousarray(x)


def _convolve(x: NDArray[np.uint8], layer: Conv, weights: Weights) -> NDArray[np.int64]:
    """Accumulators (batch, outputs, height, width)."""
    pad = layer.kernel // 2
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height, width = (-(-size // layer.stride) for size in x.shape[2:])
    acc = np.zeros((len(x), layer.outputs, height, width))
    for i in range(layer.kernel):
        for j in range(layer.kernel):
            rows = slice(i, i + (height - 1) * layer.stride + 1, layer.stride)
            columns = slice(j, j + (width - 1) * layer.stride + 1, layer.stride)
            tap = weights.weight[:, :, i, j].astype(np.float64)
            acc += np.einsum("oc,nchw->nohw", tap, padded[:, :, rows, columns], optimize=True)
    return acc.astype(np.int64) + weights.bias[:, None, None]


def _rescale(acc: NDArray[np.int64], weights: Weights) -> NDArray[np.uint8]:
    """Divide by 2^shift, rounding half to even, and clip to 0..255; channels are on axis 1."""
    shift = weights.shift.astype(np.int64).reshape(-1, *[1] * (acc.ndim - 2))
    floor = acc >> shift
    remainder = acc - (floor << shift)
    twice, whole = 2 * remainder, np.int64(1) << shift
    up = (twice > whole) | ((twice == whole) & (floor & 1 == 1))
    result: NDArray[np.uint8] = np.clip(floor + up, 0, 255).astype(np.uint8)
    return result
