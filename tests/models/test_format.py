"""A second decoder of model payloads, written from docs/format.md ("Chunk payloads: model route"), not from the code.

It computes with Python's integers, one symbol and one image at a time, and shares no code with the package, only the
bytes of its tables. It is slow; that it agrees with the package shows that the text is complete.
"""

import hashlib
import json
import struct
from bisect import bisect_right
from math import prod
from operator import mul
from pathlib import Path

import pytest

import bitsback
from bitsback.models import Model, chain
from helpers import drawn_images, tiny_model_file

TABLES = Path(bitsback.__file__).parent / "codecs" / "tables"


def unpacked(kind, data):
    return [value for (value,) in struct.iter_unpack(f"<{kind}", data)]


def table(name, kind):
    return unpacked(kind, (TABLES / f"{name}.bin").read_bytes())


F, G, Q = table("logistic", "I"), table("normal", "I"), table("quantiles", "i")
INVERSE_SCALES, INVERSE_RATIOS = table("inverse_scales", "q"), table("inverse_ratios", "q")
EXPONENTIALS = table("exponentials", "q")


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
        position = 2**30 + (((Q[k * 2 ** (13 - b)] - (delta - 128) * 2**15) * INVERSE_RATIOS[rho]) >> 14)
        return ((sigmoid(G, position) * (2**24 - 2**b)) >> 32) + k

    return 24, 2**b, start


def bernoulli(u):
    return 24, 2, [0, 2**24 - (F[1024 + 5 * (u - 128)] >> 8), 2**24].__getitem__


def mixture(codes):
    count = len(codes) // 3
    means = [18 * code - 256 for code in codes[:count]]
    scales = [INVERSE_SCALES[min((code + 2) >> 2, 63)] for code in codes[count : 2 * count]]
    weights = [EXPONENTIALS[code] for code in codes[2 * count :]]
    ratio = (2**24 - 256) * 2**24 // sum(weights)
    masses = [(weight * ratio) >> 24 for weight in weights[1:]]
    masses.insert(0, 2**24 - 256 - sum(masses))

    def start(v):
        if v in (0, 256):
            return 2**24 * (v > 0)
        parts = zip(masses, means, scales, strict=True)
        return (sum(m * sigmoid(F, 2**30 - (mean + 8) * s + 16 * v * s) for m, mean, s in parts) >> 32) + v

    return 24, 256, start


class SlowStack:
    def __init__(self, heads, tail):
        self.heads, self.tail = heads, tail

    def pop(self, distributions):
        symbols = []
        for j, (p, count, start) in enumerate(distributions):
            lane = j % len(self.heads)
            rest, slot = divmod(self.heads[lane], 2**p)
            symbol = bisect_right(range(count), slot, key=start) - 1
            head = (start(symbol + 1) - start(symbol)) * rest + slot - start(symbol)
            self.heads[lane] = head if head >= 2**32 else head * 2**32 + self.tail.pop()
            symbols.append(symbol)
        return symbols

    def push(self, distributions, symbols):
        for j, ((p, _, start), symbol) in reversed(list(enumerate(zip(distributions, symbols, strict=True)))):
            lane = j % len(self.heads)
            head, freq = self.heads[lane], start(symbol + 1) - start(symbol)
            if head >= freq * 2 ** (64 - p):
                self.tail.append(head % 2**32)
                head //= 2**32
            self.heads[lane] = (head // freq) * 2**p + start(symbol) + head % freq


def rounded(acc, shift):
    """acc / 2^shift, halves to the even integer."""
    quotient, rest = divmod(acc, 2**shift)
    return quotient + (2 * rest > 2**shift or (2 * rest == 2**shift and quotient % 2))


def patches(x, shape, layer):
    """What each output position of a convolution sees, zeros outside of the input; and the shape of the positions."""
    (depth, height, width), kernel, stride = shape, layer["kernel"], layer["stride"]
    rows, columns = -(-height // stride), -(-width // stride)
    window = range(-(kernel // 2), kernel // 2 + 1)
    seen = [
        [
            x[(c * height + i) * width + j] if 0 <= i < height and 0 <= j < width else 0
            for c in range(depth)
            for i in (stride * r + di for di in window)
            for j in (stride * s + dj for dj in window)
        ]
        for r in range(rows)
        for s in range(columns)
    ]
    return seen, [rows, columns]


def split(items, parts):
    size = len(items) // parts
    return [items[i * size : (i + 1) * size] for i in range(parts)]


class SlowModel:
    def __init__(self, data):
        size = struct.unpack_from("<Q", data)[0]
        self.header, self.tensors = json.loads(data[8 : 8 + size]), data[8 + size :]
        self.config = json.loads(self.header["__metadata__"]["bitsback"])
        self.image = self.config["image"]
        self.latents, self.bits = self.config["latents"], self.config["latent_bits"]

    def tensor(self, name):
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        kind = {"I8": "b", "I16": "h", "I32": "i", "U8": "B"}[entry["dtype"]]
        return unpacked(kind, self.tensors[begin:end])

    def network(self, key, x, shuffled=True):
        """The output for one input, both flat lists in C order."""
        shape, layers = self.config[key]["input"], self.config[key]["layers"]
        if not shuffled and layers[-1]["op"] == "shuffle":
            layers = layers[:-1]
        for i, layer in enumerate(layers):
            if layer["op"] == "conv":
                columns, positions = patches(x, shape, layer)
                x, shape = self.weighted(f"{key}.{i}", columns), [layer["outputs"], *positions]
            elif layer["op"] == "dense":
                x, shape = self.weighted(f"{key}.{i}", [x]), [layer["outputs"]]
            elif layer["op"] == "flatten":
                shape = [len(x)]
            elif layer["op"] == "unflatten":
                shape = [layer["channels"], layer["height"], layer["width"]]
            elif layer["op"] == "shuffle":
                f, (depth, height, width) = layer["factor"], shape
                shape = [depth // f**2, height * f, width * f]
                x = [
                    x[((c * f * f + r % f * f + s % f) * height + r // f) * width + s // f]
                    for c in range(shape[0])
                    for r in range(shape[1])
                    for s in range(shape[2])
                ]
        return x

    def weighted(self, name, columns):
        weight, size = self.tensor(f"{name}.weight"), len(columns[0])
        out = []
        for o, (bias, shift) in enumerate(zip(self.tensor(f"{name}.bias"), self.tensor(f"{name}.shift"), strict=True)):
            row = weight[o * size : (o + 1) * size]
            assert 255 * sum(map(abs, row)) + abs(bias) < 2**24
            out += [min(max(rounded(bias + sum(map(mul, row, column)), shift), 0), 255) for column in columns]
        return out

    def self_test(self, key):
        shape, state, random = self.config[key]["input"], 1, []
        size = prod(shape)
        for _ in range(2 * size):
            state = (1664525 * state + 1013904223) % 2**32
            random.append(state >> 24)
        sparse = [0 if v <= 200 else v for v in random[size:]]
        inputs = [random[:size], sparse, [0] * size, [255] * size, [255 * (i % 2 == 0) for i in range(size)]]
        return hashlib.sha256(b"".join(bytes(self.network(key, x, shuffled=False)) for x in inputs)).hexdigest()

    def likelihood(self, z, bits):
        """The distributions of an image's samples, given its latents."""
        code = centres(bits)
        out = self.network("decoder", [code[k] for k in z])
        area = self.image["height"] * self.image["width"]
        pixels = zip(*(out[c : c + area] for c in range(0, len(out), area)), strict=True)
        return [bernoulli(*p) if self.image["levels"] == 2 else mixture(p) for p in pixels]

    def posterior(self, x):
        """The distributions of an image's latents, given its samples."""
        out = self.network("encoder", [128 * v for v in x] if self.image["levels"] == 2 else x)
        pairs = zip(out[: self.latents], out[self.latents :], strict=True)
        return [posterior(self.bits, delta, min((u + 2) >> 2, 63)) for delta, u in pairs]

    def decode(self, payload, n):
        """The images, a list of samples each, and the stack that is left."""
        lanes_log2, group_log2, primer_bits, runs = payload[:4]
        steps = []  # (images, bits of a latent, primed?), in the order of pushing
        for kind, repeats in struct.iter_unpack("BB", payload[4 : 4 + 2 * runs]):
            steps += [(1, primer_bits, True) if kind == 255 else (2**kind, self.bits, False)] * repeats
        left = n - sum(step[0] for step in steps)
        steps += [(2**group_log2, self.bits, False)] * (left >> group_log2)
        steps += [(left % 2**group_log2, self.bits, False)] * (left % 2**group_log2 > 0)

        words = 4 + 2 * runs + 8 * 2**lanes_log2
        stack = SlowStack(unpacked("Q", payload[4 + 2 * runs : words]), unpacked("I", payload[words:]))
        images = []
        for m, bits, primed in reversed(steps):
            z = stack.pop([uniform(bits)] * (m * self.latents))
            likelihoods = [self.likelihood(part, bits) for part in split(z, m)]
            group = split(stack.pop([sample for image in likelihoods for sample in image]), m)
            if not primed:
                stack.push([latent for x in group for latent in self.posterior(x)], z)
            images += group
        return images, stack


@pytest.mark.parametrize("name", [2, 256, "digits-binary"])
def test_the_self_tests_of_a_model_file_can_be_repeated_from_the_text(name):
    data = Model.load(name).data if isinstance(name, str) else tiny_model_file(name)
    model = SlowModel(data)
    assert {key: model.self_test(key) for key in ("encoder", "decoder")} == model.config["self_test"]


@pytest.mark.parametrize(
    ("levels", "bits", "n", "group_log2", "lanes"),
    [(2, 8, 40, 6, 1), (256, 8, 40, 6, 1), (2, 8, 15, 2, 1), (256, 12, 5, 6, 8), (2, 1, 1, 6, 8)],
)
def test_a_decoder_written_from_the_text_restores_images_and_stack(monkeypatch, levels, bits, n, group_log2, lanes):
    """Groups of at most 4 leave images to the schedule's end; lanes are for many images, which would take too long."""
    monkeypatch.setattr(chain, "GROUP_LOG2", group_log2)
    monkeypatch.setattr(chain, "MANY_SAMPLES", 1 if lanes == 8 else 1 << 17)
    data = tiny_model_file(levels, bits=bits)
    images = drawn_images(Model.from_bytes(data), n)
    payload = Model.from_bytes(data).encode(images)
    decoded, stack = SlowModel(data).decode(payload, n)
    assert decoded == images.reshape(n, -1).tolist()
    assert stack.tail == []
    assert stack.heads == [2**32] * lanes
