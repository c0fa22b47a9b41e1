"""The context codec in plain Python, written from docs/format.md ("The context codec"), not from the code.

Python's integers, lists and dictionaries alone. A sample that is not known yet is in no dictionary, so looking at one
is a KeyError: the order is checked by being gone through.
"""

from operator import mul

from bitsback_decoder.stack import bernoulli, mixture

BLOCK = 8

REACHED = set()
"""The clips that have changed a value, by name, so that tests can tell whether they tried them."""


def clip(value, low, high, name):
    clipped = min(max(value, low), high)
    if clipped != value:
        REACHED.add(name)
    return clipped


def factorise(a):
    """L and D of the moments."""
    size = len(a)
    u, lower = [[0] * size for _ in a], [[0] * size for _ in a]
    diagonal = [0] * size
    for i in range(size):
        for j in range(i):
            value = a[i][j] - sum(u[i][k] * lower[j][k] for k in range(j)) // 2**14
            u[i][j] = clip(value, -(2**30) + 1, 2**30 - 1, "u")
            lower[i][j] = clip(2**14 * u[i][j] // diagonal[j], -(2**18), 2**18, "L")
        rest = a[i][i] - sum(u[i][k] * lower[i][k] for k in range(i)) // 2**14
        diagonal[i] = clip(rest, 1, max(rest, 1), "D")
    return lower, diagonal


def spread(d):
    whole = d.bit_length() - 1
    return 8 * (16 * whole + (16 * (d - 2**whole)) // 2**whole - 256)


class Regression:
    """One pixel's predictor: regressors are given one after the other."""

    def __init__(self, moments):
        self.lower, self.diagonal = factorise(moments)
        self.f, self.g = [], []

    def predict(self):
        row = self.lower[len(self.g)][: len(self.g)]
        return clip(sum(map(mul, row, self.g)) // 2**14, -(2**20), 2**20, "p")

    def give(self, f):
        p = self.predict()
        self.f.append(f)
        self.g.append(clip(64 * f - p, -(2**20), 2**20, "g"))


def decayed(old, new, a, b):
    """old less two parts of it, 2^-a and 2^-b, plus new."""
    return old - (old + 2 ** (a - 1)) // 2**a - (old + 2 ** (b - 1)) // 2**b + new


class PlainContext:
    """``context``: of a model's configuration, as JSON has it; ``tensor``: from a name to a flat list."""

    def __init__(self, context, tensor, channels, levels):
        self.context, self.channels, self.levels = context, channels, levels
        self.unit = 16 if levels == 256 else 1024
        self.table = tensor("context.table")
        self.regressed = context.get("regression")
        self.median = context.get("median", False)
        self.layers = []
        for c, widths in enumerate(context["hidden"]):
            self.layers.append([])
            for i in range(len(widths) + 1):
                weight, bias, shift = (tensor(f"context.{c}.{i}.{part}") for part in ("weight", "bias", "shift"))
                size = len(weight) // len(bias)
                rows = [weight[o * size : (o + 1) * size] for o in range(len(bias))]
                for row, b, s in zip(rows, bias, shift, strict=True):
                    assert 255 * sum(map(abs, row)) + abs(b + 2**s // 2) < 2**24
                self.layers[c].append((rows, bias, shift))

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
                regressions = {pixel: self.regression(pixel) for pixel in block if self.regressed}
                for c in range(self.channels):
                    for pixel in block:
                        self.refer(c, pixel, regressions.get(pixel))
                        value = choose(c, pixel, self.distribution(c, pixel))
                        self.samples[c, *pixel] = value
                        if self.regressed:
                            regressions[pixel].give(value - self.base(c, pixel))
                for pixel, regression in regressions.items():
                    self.learn(pixel, regression)
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
        name, index, dy, dx = [*tap, 0, 0, 0][:4]
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

    def regression(self, pixel):
        i, y, x = pixel
        taps = self.regressed["taps"]
        size = len(taps) + self.channels
        nothing = [[0] * size for _ in range(size)]
        row = self.rows.get((i, y), nothing)
        column = self.columns.get((i, min(x + 3, self.width - 1)), nothing)
        ridge = self.regressed.get("ridge", 2000)
        moments = [[row[a][b] + column[a][b] + ridge * (a == b) for b in range(size)] for a in range(size)]
        regression = Regression(moments)
        for _, c, dy, dx in taps:
            regression.give(self.sample(c, i, y + dy, x + dx) - self.base(c, pixel))
        return regression

    def learn(self, pixel, regression):
        i, y, x = pixel
        f = regression.f
        weight = 2**18 // (2**10 + 3 * sum(abs(g) for g in regression.g[-self.channels :]))
        nothing = [[0] * len(f) for _ in f]
        row, column = self.rows.get((i, y), nothing), self.columns.get((i, x), nothing)
        row = [
            [decayed(h, weight * a * b, 4, 5) for h, b in zip(hs, f, strict=True)] for hs, a in zip(row, f, strict=True)
        ]
        column = [[decayed(v, h, 3, 4) for v, h in zip(*pair, strict=True)] for pair in zip(column, row, strict=True)]
        self.rows[i, y], self.columns[i, x] = row, column

    def refer(self, c, pixel, regression):
        i, y, x = pixel
        if self.regressed:
            r = 16 * self.base(c, pixel) + regression.predict() // 4
            self.spreads[c, *pixel] = spread(regression.diagonal[len(regression.g)])
        elif self.median:
            w, n, nw = (self.unit * self.sample(c, i, y + dy, x + dx) for dy, dx in ((0, -1), (-1, 0), (-1, -1)))
            r = min(max(w + n - nw, min(w, n)), max(w, n)) + (self.error(c - 1, *pixel) if c else 0)
        else:
            return
        self.references[c, *pixel] = clip(r, -256, 4336, "reference")

    # The network

    def distribution(self, c, pixel):
        i, y, x = pixel
        features = [[*feature, ["zero"]][:2] for feature in self.context["features"][c]]
        differences = [clip(self.tap(a, pixel) - self.tap(b, pixel), -4096, 4095, "feature") for a, b in features]
        out = [self.table[d + 4096] for d in differences]
        out += [channel[y * self.width + x] for channel in (self.maps[i] if self.maps else [])]
        for number, (rows, bias, shift) in enumerate(self.layers[c]):
            last = number == len(self.layers[c]) - 1
            low, high, name = (-4095, 4095, "output") if last else (0, 255, "hidden")
            sums = [sum(w * v for w, v in zip(row, out, strict=True)) for row in rows]
            out = [
                clip((acc + b + 2**s // 2) // 2**s, low, high, name)
                for acc, b, s in zip(sums, bias, shift, strict=True)
            ]
        if self.levels == 2:
            return bernoulli(clip(out[0], -128, 127, "logit") + 128)
        k = len(out) // 3
        anchors = self.context.get("anchors")
        if anchors:
            middles = [self.tap(tap, pixel) for tap in anchors[c]]
        else:
            middles = k * [self.references.get((c, *pixel), 2048)]
        low = -30 if self.context.get("sharp", False) else 0
        return mixture(
            [middle + mean for middle, mean in zip(middles, out[:k], strict=True)],
            [clip(s, low, 63, "scale") for s in out[k : 2 * k]],
            [clip(w + 128, 0, 255, "weight") for w in out[2 * k :]],
        )
