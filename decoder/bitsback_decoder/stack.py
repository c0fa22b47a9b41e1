"""Distributions and the stack, written from docs/format.md ("Payloads of kinds with weights"), not from the code.

One symbol at a time; a mixture's intervals are found all at once, in NumPy's 64-bit integers.
"""

from bisect import bisect_right

import numpy as np

from bitsback_decoder.tables import table, unpacked

F, G, Q = table("logistic", "I"), table("normal", "I"), table("quantiles", "i")
INVERSE_SCALES, INVERSE_RATIOS = table("inverse_scales", "q"), table("inverse_ratios", "q")
EXPONENTIALS = table("exponentials", "q")
LEVELS = np.arange(1, 256, dtype=np.int64)
F_ARRAY, STEPS = np.array(F[:-1]), np.diff(F)


# Distributions: (precision, number of symbols, start), where start(k) is where the interval of symbol k begins.


def sigmoid(values, t):
    t = min(max(t, 0), 2**31 - 1)
    i = t >> 20
    return values[i] + (((values[i + 1] - values[i]) * (t % 2**20)) >> 20)


def uniform(b):
    return b, 2**b, lambda k: k


def centres(b):
    return [min(max((Q[(2 * k + 1) * 2 ** (12 - b)] * 32 + 257 * 2**19) >> 20, 0), 255) for k in range(2**b)]


def posterior(b, delta, rho):
    def start(k):
        if k in (0, 2**b):
            return 2**24 * (k > 0)
        position = 2**30 + (((Q[k * 2 ** (13 - b)] - (delta - 128) * 2**15) * INVERSE_RATIOS[191 - 2 * rho]) >> 14)
        return ((sigmoid(G, position) * (2**24 - 2**b)) >> 32) + k

    return 24, 2**b, start


def bernoulli(u):
    return 24, 2, [0, 2**24 - (F[1024 + 5 * (u - 128)] >> 8), 2**24].__getitem__


def mixture(means, scales, weights):
    """``means``: M_k, in sixteenths of a level; ``scales``, below 0 too, and ``weights``: indices of the tables."""
    slopes = [INVERSE_SCALES[s % 6] * 2 ** -(s // 6) if s < 0 else INVERSE_SCALES[s] for s in scales]
    shares = [EXPONENTIALS[w] for w in weights]
    ratio = (2**24 - 256) * 2**24 // sum(shares)
    masses = [(share * ratio) >> 24 for share in shares[1:]]
    masses.insert(0, 2**24 - 256 - sum(masses))

    mass, mean, slope = (np.array(values, np.int64)[:, None] for values in (masses, means, slopes))
    t = np.minimum(np.maximum(2**30 + (16 * LEVELS - mean - 8) * slope, 0), 2**31 - 1)
    i = t >> 20
    sums = (mass * (F_ARRAY[i] + (STEPS[i] * (t % 2**20) >> 20))).sum(0)
    return 24, 256, [0, *((sums >> 32) + LEVELS).tolist(), 2**24].__getitem__


class PlainStack:
    def __init__(self, heads, tail):
        self.heads, self.tail = heads, tail

    @classmethod
    def read(cls, data, lanes):
        return cls(unpacked("Q", data[: 8 * lanes]), unpacked("I", data[8 * lanes :]))

    @property
    def is_new(self):
        return not self.tail and set(self.heads) == {2**32}

    def pop_one(self, j, distribution):
        """Symbol j of an array."""
        p, count, start = distribution
        lane = j % len(self.heads)
        rest, slot = divmod(self.heads[lane], 2**p)
        symbol = bisect_right(range(count), slot, key=start) - 1
        head = (start(symbol + 1) - start(symbol)) * rest + slot - start(symbol)
        self.heads[lane] = head if head >= 2**32 else head * 2**32 + self.tail.pop()
        return symbol

    def pop(self, distributions):
        return [self.pop_one(j, distribution) for j, distribution in enumerate(distributions)]

    def push(self, distributions, symbols):
        for j, ((p, _, start), symbol) in reversed(list(enumerate(zip(distributions, symbols, strict=True)))):
            lane = j % len(self.heads)
            head, freq = self.heads[lane], start(symbol + 1) - start(symbol)
            if head >= freq * 2 ** (64 - p):
                self.tail.append(head % 2**32)
                head //= 2**32
            self.heads[lane] = (head // freq) * 2**p + start(symbol) + head % freq
