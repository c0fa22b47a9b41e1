"""The reference against definitions written out with Python's own integers and fractions."""

from fractions import Fraction

import numpy as np

from bitsback.nets import reference
from bitsback.nets.layers import Conv, Dense, NetSpec, Network, Shuffle, Weights
from nets.networks import CONVOLUTIONAL, random_input, random_network


def _rescaled(acc: int, shift: int) -> int:
    return min(max(round(Fraction(acc, 1 << shift)), 0), 255)  # Python rounds fractions half to even


def test_convolution_by_its_definition() -> None:
    layer = Conv(3, 8, 5, 2)
    network = random_network(CONVOLUTIONAL)
    weights = network.weights[0]
    x = random_input(CONVOLUTIONAL, 1)
    y = reference.run(Network(NetSpec((3, 9, 11), (layer,)), {0: weights}), x)
    assert y.shape == (1, 8, 5, 6)
    for o in range(8):
        for row in range(5):
            for column in range(6):
                acc = int(weights.bias[o])
                for c in range(3):
                    for i in range(5):
                        for j in range(5):
                            r, s = 2 * row + i - 2, 2 * column + j - 2
                            if 0 <= r < 9 and 0 <= s < 11:
                                acc += int(weights.weight[o, c, i, j]) * int(x[0, c, r, s])
                assert y[0, o, row, column] == _rescaled(acc, int(weights.shift[o]))


def test_rounding_is_half_to_even_and_clipped() -> None:
    biases = np.array([-1000, -3, -1, 0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 1019, 1021, 1022, 4000], np.int32)
    n = len(biases)
    weights = Weights(np.zeros((n, 1), np.int8), biases, np.full(n, 2, np.uint8))
    y = reference.run(Network(NetSpec((1,), (Dense(1, n),)), {0: weights}), np.zeros((1, 1), np.uint8))
    assert y[0].tolist() == [_rescaled(int(b), 2) for b in biases]
    assert y[0, 5:12].tolist() == [0, 1, 1, 2, 2, 2, 2]


def test_shuffle_is_depth_to_space() -> None:
    layer = Shuffle(2)
    x = np.arange(8 * 2 * 3, dtype=np.uint8).reshape(1, 8, 2, 3)
    y = reference.run(Network(NetSpec((8, 2, 3), (layer,)), {}), x)
    for c in range(2):
        for row in range(4):
            for column in range(6):
                source = c * 4 + (row % 2) * 2 + column % 2
                assert y[0, c, row, column] == x[0, source, row // 2, column // 2]
