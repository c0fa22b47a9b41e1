"""An integer flow: a bijection of integers whose outputs are nearly independent, and a simple distribution for these.

    python examples/integer_flow.py         (--quick: fewer images)

Each coupling layer adds to one half of the numbers a rounded function of the other half, so it is undone by
subtracting. There are no latents, no bits back and no initial bits; log p(x) is exact. (Emiel Hoogeboom, Jorn Peters,
Rianne van den Berg & Max Welling, "Integer discrete flows and lossless compression", arXiv 1905.07376.) Here the
functions are linear, fitted by least squares and rounded to integers in 1/256, so every machine decodes the same.
"""

import argparse

import numpy as np
from chain import code
from draw_digits import draw

from bitsback.codecs import Logistic

SIDE = 14
UNIT = 256


def images(count, seed):
    """Grey digits of half the size, uint8 (count, 14, 14)."""
    rng = np.random.default_rng(seed)
    grey = np.stack([draw(i % 10, rng) for i in range(count)])
    return grey.reshape(count, SIDE, 2, SIDE, 2).mean((2, 4)).round().astype(np.uint8)


class Flow:
    """Coupling layers: of one half goes what the other says of it, by turns."""

    def __init__(self, x, layers=4):
        a, b = self.split(x)
        self.layers = []
        for layer in range(layers):
            own = 0.5 if layer % 2 else 1.0  # of what differences predict, as much as does not undo the last
            self.layers.append(np.rint(UNIT * own * self.fit(a, b)).astype(np.int64))
            a, b = b - self.shift(a, self.layers[-1]), a
        z = np.concatenate([a, b], 1)
        # Of each output a logistic distribution: mean in 1/16, scale by its mean absolute value
        self.mean = np.rint(16 * np.median(z, 0)).astype(int)
        spread = np.abs(z - np.median(z, 0)).mean(0) / 1.4 + 0.2
        self.scale = np.clip(np.rint(16 + 6 * np.log2(spread)), 0, 63).astype(int)

    @staticmethod
    def split(x):
        """Every other pixel, as on a chessboard: integers (n, 98) twice."""
        flat, black = x.reshape(-1, SIDE * SIDE).astype(np.int64), np.indices((SIDE, SIDE)).sum(0).reshape(-1) % 2 == 0
        return flat[:, black], flat[:, ~black]

    @staticmethod
    def fit(a, b):
        """Weights (98 + 1, 98) of the least squares of b, from a and 1; with a little decay, as images are few."""
        inputs = np.concatenate([a, np.full((len(a), 1), 16)], 1).astype(float)
        return np.linalg.solve(inputs.T @ inputs + 3000 * np.eye(inputs.shape[1]), inputs.T @ b)

    @staticmethod
    def shift(a, weights):
        return (a @ weights[:-1] + 16 * weights[-1] + UNIT // 2) // UNIT

    # --- the codec
    def push(self, stack, x):
        """Forwards: x, uint8 (14, 14), to z, and z on the stack."""
        a, b = self.split(x)
        for weights in self.layers:
            a, b = b - self.shift(a, weights), a
        self.outputs().push(stack, np.concatenate([a, b], 1)[0])

    def pop(self, stack):
        """Backwards."""
        a, b = np.split(self.outputs().pop(stack).astype(np.int64)[None], 2, 1)
        for weights in reversed(self.layers):
            a, b = b, a + self.shift(b, weights)
        x = np.empty(SIDE * SIDE, np.uint8)
        black = np.indices((SIDE, SIDE)).sum(0).reshape(-1) % 2 == 0
        x[black], x[~black] = a[0], b[0]
        return x.reshape(SIDE, SIDE)

    def outputs(self):
        return Logistic(self.mean, self.scale, symbols=8192, low=-4096)

    # ---

    def bits(self, x):
        """-log2 p(x), exact."""
        a, b = self.split(x)
        for weights in self.layers:
            a, b = b - self.shift(a, weights), a
        return sum(self.outputs().bits(z).sum() for z in np.concatenate([a, b], 1))


def main(quick):
    training, test = images(500 if quick else 3000, seed=1), images(20 if quick else 200, seed=2)
    for name, layers in (("no flow", 0), ("integer flow", 4)):
        flow = Flow(training, layers)
        print(f"{name}; -ELBO is -log2 p(x), as there are no latents")
        code(flow, test, flow.bits(test))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
