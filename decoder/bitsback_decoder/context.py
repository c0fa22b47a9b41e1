"""The context codec, written from docs/format.md ("The context codec"), not from the code.

What a block's pixels do side by side is NumPy's, in 64-bit integers, and in floating point where sums stay below 2^53.
A sample that is not known yet is in no dictionary, so looking at one is a KeyError: the order is checked by being gone
through.
"""

import numpy as np

from bitsback_decoder.stack import bernoulli, mixture

BLOCK = 8

REACHED = set()
"""The clips that have changed a value, by name, so that tests can tell whether they tried them."""


def clip(value, low, high, name):
    clipped = min(max(value, low), high)
    if clipped != value:
        REACHED.add(name)
    return clipped


def held(values, low, high, name):
    """:func:`clip` of an array."""
    clipped = np.minimum(np.maximum(values, low), high)
    if (clipped != values).any():
        REACHED.add(name)
    return clipped


def factorise(a):
    """L and D of moments, (pixels, size, size) and (pixels, size), column by column."""
    size = a.shape[1]
    u, lower, diagonal = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a[:, 0])
    for j in range(size):
        sums = (u[:, j:, :j] * lower[:, j, None, :j]).sum(2) // 2**14
        rest = a[:, j:, j] - sums
        diagonal[:, j] = held(rest[:, 0], 1, 2**62, "D")
        u[:, j + 1 :, j] = held(rest[:, 1:], -(2**30) + 1, 2**30 - 1, "u")
        lower[:, j + 1 :, j] = held(2**14 * u[:, j + 1 :, j] // diagonal[:, j, None], -(2**18), 2**18, "L")
    return lower, diagonal


def spread(d):
    whole = d.bit_length() - 1
    return 8 * (16 * whole + (16 * (d - 2**whole)) // 2**whole - 256)


class Regression:
    """The predictors of a block's pixels: regressors are given one after the other, each for all of them."""

    def __init__(self, moments):
        self.lower, self.diagonal = factorise(moments)
        self.f, self.g = np.zeros_like(self.diagonal), np.zeros_like(self.diagonal)
        self.given = 0

    def predict(self):
        k = self.given
        return held((self.lower[:, k, :k] * self.g[:, :k]).sum(1) // 2**14, -(2**20), 2**20, "p")

    def give(self, f):
        p = self.predict()
        self.f[:, self.given] = f
        self.g[:, self.given] = held(64 * self.f[:, self.given] - p, -(2**20), 2**20, "g")
        self.given += 1


def decayed(old, new, a, b):
    """old less two parts of it, 2^-a and 2^-b, plus new."""
    return old - (old + 2 ** (a - 1)) // 2**a - (old + 2 ** (b - 1)) // 2**b + new


class PlainContext:
    """``context``: of a model's configuration, as JSON has it; ``tensor``: from a name to a flat list."""

    def __init__(self, context, tensor, channels, levels):
        self.context, self.channels, self.levels = context, channels, levels
        self.unit = 16 if levels == 256 else 1024
        self.table = np.array(tensor("context.table"))
        self.regressed = context.get("regression")
        self.median = context.get("median", False)
        self.features = [
            [[[*tap, 0, 0, 0][:4] for tap in [*feature, ["zero"]][:2]] for feature in features]
            for features in context["features"]
        ]
        self.layers = []
        for c, widths in enumerate(context["hidden"]):
            self.layers.append([])
            for i in range(len(widths) + 1):
                parts = (tensor(f"context.{c}.{i}.{part}") for part in ("weight", "bias", "shift"))
                weight, bias, shift = (np.array(part, np.int64) for part in parts)
                weight, half = weight.reshape(len(bias), -1), 2**shift // 2
                assert (255 * np.abs(weight).sum(1) + np.abs(bias + half) < 2**24).all()
                self.layers[c].append((weight.T.astype(np.float64), bias + half, shift))

    def code(self, n, height, width, maps, choose):
        """Go through n images in order; ``choose(c, (image, y, x), distribution)`` says what each sample is.

        ``maps[image][channel][y * width + x]`` is the feature map. Returns the samples by (c, image, y, x).
        """
        self.height, self.width, self.maps = height, width, maps
        self.samples, self.references, self.spreads = {}, {}, {}
        self.rows, self.columns = {}, {}
        self.recalled, self.entries = {}, {}
        for t in range(width + 4 * (height - 1)):
            step = [(i, y, t - 4 * y) for y in range(height) if 0 <= t - 4 * y < width for i in range(n)]
            for begin in range(0, len(step), BLOCK):
                block = step[begin : begin + BLOCK]
                regression = self.regression(block) if self.regressed else None
                for c in range(self.channels):
                    self.refer(c, block, regression)
                    values = []
                    for pixel, distribution in zip(block, self.distributions(c, block), strict=True):
                        values.append(choose(c, pixel, distribution))
                        self.samples[c, *pixel] = values[-1]
                    if regression:
                        bases = [self.base(c, pixel) for pixel in block]
                        regression.give(np.array(values) - bases)
                if regression:
                    self.learn(block, regression)
            for pixel in step:
                self.memorise(pixel)
        return self.samples

    # Taps

    def sample(self, c, i, y, x):
        if y < 0:
            return self.context.get("border", 0)
        if x < 0:
            return self.sample(c, i, y - 1, 0)
        return self.samples[c, i, y, min(x, self.width - 1)]

    def error(self, c, i, y, x):
        if y < 0 or not 0 <= x < self.width:
            return 0
        return self.unit * self.samples[c, i, y, x] - self.references[c, i, y, x]

    def tap(self, tap, pixel):
        name, index, dy, dx = tap
        i, y, x = pixel
        if name == "value":
            return self.unit * self.sample(index, i, y + dy, x + dx)
        if name == "error":
            return self.error(index, i, y + dy, x + dx)
        if name == "reference":
            return self.references[index, *pixel]
        if name == "spread":
            return self.spreads[index, *pixel]
        if name == "memory":
            c = self.context["memories"][index][0]
            value, _ = self.entries.get(self.key(index, pixel), (None, 0))
            return self.unit * value if value is not None else self.references.get((c, *pixel), 0)
        if name == "trust":
            return 64 * self.entries.get(self.key(index, pixel), (None, 0))[1]
        return {"zero": 0, "row": 16 * min(y, 127), "column": 16 * min(x, 127)}[name]

    # Memories

    def key(self, memory, pixel):
        """The entry that a pixel's key leads to. It is found once, when the memory is first looked at."""
        i, y, x = pixel
        if (memory, pixel) not in self.recalled:
            h = 1
            for _, c, dy, dx in ([*tap, 0, 0, 0][:4] for tap in self.context["memories"][memory][1]):
                h = (h ^ self.sample(c, i, y + dy, x + dx)) * 0x9E3779B1 % 2**32
            bits = min(16, (self.height * self.width - 1).bit_length())
            self.recalled[memory, pixel] = i, memory, h // 2 ** (32 - bits)
        return self.recalled[memory, pixel]

    def memorise(self, pixel):
        for memory, (c, _) in enumerate(self.context.get("memories", [])):
            key, value = self.key(memory, pixel), self.samples[c, *pixel]
            before, run = self.entries.get(key, (None, 0))
            self.entries[key] = value, min(run + 1, 32) if before == value else 1

    # References

    def base(self, c, pixel):
        i, y, x = pixel
        return (self.sample(c, i, y, x - 1) + self.sample(c, i, y - 1, x)) // 2

    def regression(self, block):
        taps = self.regressed["taps"]
        size = len(taps) + self.channels
        nothing = np.zeros((size, size), np.int64)
        rows = [self.rows.get((i, y), nothing) for i, y, _ in block]
        columns = [self.columns.get((i, min(x + 3, self.width - 1)), nothing) for i, _, x in block]
        ridge = self.regressed.get("ridge", 2000) * np.eye(size, dtype=np.int64)
        regression = Regression(np.stack(rows) + np.stack(columns) + ridge)
        for _, c, dy, dx in ([*tap, 0, 0][:4] for tap in taps):
            regression.give([self.sample(c, i, y + dy, x + dx) - self.base(c, (i, y, x)) for i, y, x in block])
        return regression

    def learn(self, block, regression):
        f = regression.f
        weight = 2**18 // (2**10 + 3 * np.abs(regression.g[:, -self.channels :]).sum(1))
        added = weight[:, None, None] * f[:, :, None] * f[:, None]
        nothing = np.zeros_like(added[0])
        rows = decayed(np.stack([self.rows.get((i, y), nothing) for i, y, _ in block]), added, 4, 5)
        columns = decayed(np.stack([self.columns.get((i, x), nothing) for i, _, x in block]), rows, 3, 4)
        for (i, y, x), row, column in zip(block, rows, columns, strict=True):
            self.rows[i, y], self.columns[i, x] = row, column

    def refer(self, c, block, regression):
        predicted = regression.predict().tolist() if regression else [0] * len(block)
        for k, (pixel, p) in enumerate(zip(block, predicted, strict=True)):
            i, y, x = pixel
            if regression:
                r = 16 * self.base(c, pixel) + p // 4
                self.spreads[c, *pixel] = spread(int(regression.diagonal[k, regression.given]))
            elif self.median:
                w, n, nw = (self.unit * self.sample(c, i, y + dy, x + dx) for dy, dx in ((0, -1), (-1, 0), (-1, -1)))
                r = min(max(w + n - nw, min(w, n)), max(w, n)) + (self.error(c - 1, *pixel) if c else 0)
            else:
                return
            self.references[c, *pixel] = clip(r, -256, 4336, "reference")

    # The network

    def distributions(self, c, block):
        seen = [[self.tap(a, pixel) - self.tap(b, pixel) for a, b in self.features[c]] for pixel in block]
        out = self.table[held(np.array(seen).reshape(len(block), -1), -4096, 4095, "feature") + 4096]
        if self.maps:
            said = [[channel[y * self.width + x] for channel in self.maps[i]] for i, y, x in block]
            out = np.concatenate([out, said], 1)
        for number, (weight, bias, shift) in enumerate(self.layers[c]):
            last = number == len(self.layers[c]) - 1
            low, high, name = (-4095, 4095, "output") if last else (0, 255, "hidden")
            out = held((np.rint(out @ weight).astype(np.int64) + bias) >> shift, low, high, name)
        return [self.distribution(c, pixel, one) for pixel, one in zip(block, out.tolist(), strict=True)]

    def distribution(self, c, pixel, out):
        if self.levels == 2:
            return bernoulli(clip(out[0], -128, 127, "logit") + 128)
        k = len(out) // 3
        anchors = self.context.get("anchors")
        if anchors:
            middles = [self.tap([*tap, 0, 0, 0][:4], pixel) for tap in anchors[c]]
        else:
            middles = k * [self.references.get((c, *pixel), 2048)]
        low = -30 if self.context.get("sharp", False) else 0
        return mixture(
            [middle + mean for middle, mean in zip(middles, out[:k], strict=True)],
            [clip(s, low, 63, "scale") for s in out[k : 2 * k]],
            [clip(w + 128, 0, 255, "weight") for w in out[2 * k :]],
        )
