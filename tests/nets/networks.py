"""Random integer networks that go to the very bounds of the contract."""

import numpy as np

from bitsback.nets.layers import (
    MAX_ACCUMULATOR,
    MAX_WEIGHT,
    MAX_WIDE_WEIGHT,
    Conv,
    Dense,
    Flatten,
    NetSpec,
    Network,
    Shuffle,
    Skip,
    Unflatten,
    Weights,
)

CONVOLUTIONAL = NetSpec((3, 9, 11), (Conv(3, 8, 5, 2), Conv(8, 16, 3), Shuffle(2), Conv(4, 6, 1), Conv(6, 5, 3, 3)))
DENSE = NetSpec((30,), (Dense(30, 70), Dense(70, 48), Unflatten(3, 4, 4), Conv(3, 8, 3), Shuffle(2), Flatten()))
WIDE = NetSpec((5, 6, 7), (Conv(5, 16, 3), Conv(16, 12, 1, wide=True), Shuffle(2), Flatten(), Dense(504, 9, wide=True)))
RESIDUAL = NetSpec((4, 7, 5), (Conv(4, 12, 1), Conv(12, 9, 3), Conv(9, 12, 3), Skip(), Conv(12, 12, 1), Skip(4)))
SPECS = {"convolutional": CONVOLUTIONAL, "dense": DENSE, "wide": WIDE, "residual": RESIDUAL}


def random_network(spec: NetSpec, seed: int = 0) -> Network:
    """Weights up to +-64 and accumulators up to the bound, with shifts that spread the outputs over 0..255."""
    rng = np.random.default_rng(seed)
    weights = {}
    for index, layer in enumerate(spec.layers):
        shape = layer.weight_shape
        if shape is None:
            continue
        fan_in = int(np.prod(shape[1:]))
        if layer.wide:
            top = min(MAX_WIDE_WEIGHT, MAX_ACCUMULATOR // (256 * fan_in))
            w = rng.integers(-top, top + 1, shape).astype(np.int16)
        else:
            # Pairs (64, 64) are the most that int8 kernels without VNNI can add without saturating
            w = rng.choice(
                np.array([-MAX_WEIGHT, -MAX_WEIGHT, -40, -1, 0, 1, 40, MAX_WEIGHT, MAX_WEIGHT], np.int8), shape
            )
        room = MAX_ACCUMULATOR - 1 - np.abs(w.astype(np.int64)).reshape(shape[0], -1).sum(1) * 255
        spread = max(int(np.abs(w).max()), 1) * 128 * np.sqrt(fan_in)
        bias = np.clip(rng.normal(spread / 2, spread, shape[0]), -room, room).astype(np.int32)
        bias[0] = room[0]
        typical = np.log2(spread / 64)
        shift = np.clip(rng.normal(typical, 1.0, shape[0]), 0, 23).astype(np.uint8)
        weights[index] = Weights(w, bias, shift)
    return Network(spec, weights)


def random_input(spec: NetSpec, n: int, seed: int = 0) -> np.ndarray:
    """uint8 (n, *spec.input): half of it noise, half of it extremes."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (n, *spec.input), np.uint8)
    extremes = rng.choice(np.array([0, 255], np.uint8), noise.shape)
    return np.where(rng.random(noise.shape) < 0.5, noise, extremes)
