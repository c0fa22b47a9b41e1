"""Model payloads, written from docs/format.md ("Payloads of kinds with weights"), not the code.

One symbol and one image at a time. Networks are NumPy's matrices of floating-point numbers, which are exact: sums stay
below 2^24, powers of two divide them, and halves are rounded to even numbers. Distributions and stack are in stack.py.
"""

import hashlib
import json
import lzma
import struct
import zlib
from itertools import count, pairwise
from math import prod

import numpy as np

from bitsback_decoder.context import PlainContext
from bitsback_decoder.phases import PlainPhases
from bitsback_decoder.stack import PlainStack, bernoulli, centres, mixture, posterior, uniform
from bitsback_decoder.tables import unpacked

NETWORKS = "encoder", "decoder"


def patches(x, layer):
    """What each output position of a convolution sees, (rows, columns, inputs), zeros outside of the input."""
    margin, stride = layer["kernel"] // 2, layer["stride"]
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * margin + 1,) * 2, (1, 2))[:, ::stride, ::stride]
    rows, columns = windows.shape[1:3]
    return windows.transpose(1, 2, 0, 3, 4).reshape(rows, columns, -1)


def split(items, parts):
    size = len(items) // parts
    return [items[i * size : (i + 1) * size] for i in range(parts)]


def mixture_of_codes(*codes):
    means, scales, weights = split(codes, 3)
    return mixture([18 * code - 256 for code in means], [min((code + 2) >> 2, 63) for code in scales], weights)


class SlowModel:
    def __init__(self, data):
        magic, version, packing, size, identity = struct.unpack_from("<8sBBI32s", data)
        assert (magic, version) == (b"\x8fBBM\r\n\x1a\n", 2)
        data = data[46:]
        if packing == 2:
            data = zlib.decompress(data, -15)
        elif packing == 1:
            data = lzma.decompress(data, lzma.FORMAT_RAW, None, [{"id": lzma.FILTER_LZMA2, "dict_size": 2**20}])
        assert len(data) == size and hashlib.sha256(data).digest() == identity
        self.identity = identity
        size = struct.unpack_from("<Q", data)[0]
        self.header, self.tensors = json.loads(data[8 : 8 + size]), data[8 + size :]
        self.config = json.loads(self.header["__metadata__"]["bitsback"])
        self.image = self.config["image"]
        self.layers = {}
        self.latents, self.bits = self.config.get("latents", 0), self.config.get("latent_bits", 0)  # of kind vae
        self.colour = self.config.get("colour", [0])
        self.context = None
        if self.config["kind"] != "phases" and self.config.get("context"):
            self.context = PlainContext(
                self.config["context"], self.tensor, self.image["channels"], self.image["levels"]
            )

    def tensor(self, name):
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        kind = {"I8": "b", "I16": "h", "I32": "i", "U8": "B"}[entry["dtype"]]
        return unpacked(kind, self.tensors[begin:end])

    def network(self, key, x):
        """The output of a model's network for one input, both flat lists in C order."""
        return self.run(key, self.config[key], self.config[key]["input"], x)

    def run(self, key, spec, shape, x):
        """The output of a network, whose tensors' names begin with ``key``, for an input of a shape."""
        x = np.array(x, np.float64).reshape(shape)
        there = [x]
        for i, layer in enumerate(spec["layers"]):
            if layer["op"] == "conv":
                x = self.weighted(f"{key}.{i}", patches(x, layer)).transpose(2, 0, 1)
            elif layer["op"] == "dense":
                x = self.weighted(f"{key}.{i}", x)
            elif layer["op"] == "flatten":
                x = x.reshape(-1)
            elif layer["op"] == "unflatten":
                x = x.reshape(layer["channels"], layer["height"], layer["width"])
            elif layer["op"] == "shuffle":
                f, (depth, height, width) = layer["factor"], x.shape
                x = x.reshape(-1, f, f, height, width).transpose(0, 3, 1, 4, 2)
                x = x.reshape(depth // f**2, height * f, width * f)
            elif layer["op"] == "skip":
                x = np.clip(x + there[-1 - layer["back"]] - 128, 0, 255)
            there.append(x)
        return x.reshape(-1).astype(np.int64).tolist()

    def weighted(self, name, x):
        """Of a layer, the outputs for inputs along the last axis."""
        if name not in self.layers:
            parts = (self.tensor(f"{name}.{part}") for part in ("weight", "bias", "shift"))
            weight, bias, shift = (np.array(part, np.int64) for part in parts)
            weight = weight.reshape(len(bias), -1)
            assert (255 * np.abs(weight).sum(1) + np.abs(bias) < 2**24).all()
            self.layers[name] = weight.T.astype(np.float64), bias, 0.5**shift
        weight, bias, scale = self.layers[name]
        return np.clip(np.rint((x @ weight + bias) * scale), 0, 255)

    def self_test(self, key, spec=None):
        spec, state, random = spec or self.config[key], 1, []
        shape, layers = spec["input"], spec["layers"]
        if layers[-1]["op"] == "shuffle":
            spec = {**spec, "layers": layers[:-1]}
        size = prod(shape)
        for _ in range(2 * size):
            state = (1664525 * state + 1013904223) % 2**32
            random.append(state >> 24)
        sparse = [0 if v <= 200 else v for v in random[size:]]
        inputs = [random[:size], sparse, [0] * size, [255] * size, [255 * (i % 2 == 0) for i in range(size)]]
        return hashlib.sha256(b"".join(bytes(self.run(key, spec, shape, x)) for x in inputs)).hexdigest()

    def channels_of_pixels(self, z, bits):
        """The decoder network's output for an image's latents, [channel][pixel]."""
        code = centres(bits)
        out = self.network("decoder", [code[k] for k in z])
        return split(out, len(out) // (self.image["height"] * self.image["width"]))

    def pop_images(self, stack, z, bits):
        """The images, flat, of as many lists of latents."""
        outputs = [self.channels_of_pixels(part, bits) for part in z]
        if self.context:
            return self.pop_in_context(stack, len(z), self.image["height"], self.image["width"], outputs)
        pixels = [codes for channels in outputs for codes in zip(*channels, strict=True)]
        likelihood = bernoulli if self.image["levels"] == 2 else mixture_of_codes
        channels = self.image["channels"]
        samples = stack.pop([likelihood(*codes) for pixel in pixels for codes in split(pixel, channels)])
        order = [self.colour.index(c) for c in range(channels)]
        return split([samples[i + c] for i in range(0, len(samples), channels) for c in order], len(z))

    def pop_in_context(self, stack, n, height, width, maps=None):
        """n images, flat, with their channels in the images' order."""
        numbers = count()
        samples = self.context.code(n, height, width, maps, lambda c, p, d: stack.pop_one(next(numbers), d))
        order = [self.colour.index(c) for c in range(len(self.colour))]
        return [[samples[c, i, y, x] for y in range(height) for x in range(width) for c in order] for i in range(n)]

    def posterior(self, x):
        """The distributions of an image's latents, given its samples."""
        factor = 128 if self.image["levels"] == 2 else 1
        planes = [factor * v for c in self.colour for v in x[c :: self.image["channels"]]]
        return self.gaussians("encoder", self.config, planes, self.bits)

    def gaussians(self, key, spec, x, bits):
        """The distributions of an image's latents that one of a level's two networks gives."""
        network = spec[key.rstrip("2345")]
        means, widths = split(self.run(key, network, network["input"], x), 2)
        return [posterior(bits, delta, min((u + 2) >> 2, 63)) for delta, u in zip(means, widths, strict=True)]

    def pop_latents(self, stack, m, bits, primed):
        """Of the level next to the pixels, for m images."""
        above = self.config.get("above", [])
        z = split(stack.pop([uniform(bits)] * (m * (above[-1]["latents"] if above else self.latents))), m)
        for number, level in reversed(list(enumerate(above, 2))):
            given, code = z, centres(bits)
            below = [self.gaussians(f"decoder{number}", level, [code[k] for k in part], bits) for part in given]
            z = split(stack.pop([one for part in below for one in part]), m)
            if not primed:
                told = [self.gaussians(f"encoder{number}", level, [code[k] for k in part], bits) for part in z]
                stack.push([one for part in told for one in part], [k for part in given for k in part])
        return z

    def decode(self, payload, n):
        """The images, a list of samples each, and the stack that is left."""

        def pop(stack, m, bits, primed):
            z = self.pop_latents(stack, m, bits, primed)
            group = self.pop_images(stack, z, bits)
            if not primed:
                stack.push([latent for x in group for latent in self.posterior(x)], [k for part in z for k in part])
            return group

        return self.decode_chain(payload, n, prod(self.size()), self.group(), self.bits, pop)

    def decode_chain(self, payload, n, pixels, largest, bits, pop):
        """As :meth:`decode`, of images of so many pixels, by ``pop(stack, images, bits of a latent, primed?)``."""
        ordered, primer_bits, runs = payload[0] >= 128, payload[0] % 128, payload[1] % 255
        lanes = 8 if n * pixels * self.image["channels"] >= 2**20 else 1
        steps = []  # (images, bits of a latent, primed?), in the order of pushing
        for kind, repeats in struct.iter_unpack("BB", payload[2 : 2 + 2 * runs]):
            steps += [(1, primer_bits, True) if kind == 255 else (2**kind, bits, False)] * repeats
        left = n - sum(step[0] for step in steps)
        if not runs:
            steps, left, m = [(1, primer_bits, True)], n - 1, 1
            while m < largest and m <= left:
                times = min(1 + (payload[1] == 255), left // m)
                steps, left, m = steps + [(m, bits, False)] * times, left - times * m, 2 * m
        steps += [(largest, bits, False)] * (left // largest)
        steps += [(left % largest, bits, False)] * (left % largest > 0)

        stack = PlainStack.read(payload[2 + 2 * runs :], lanes)
        images = []
        for m, latent_bits, primed in reversed(steps):
            group = pop(stack, m, latent_bits, primed)
            if not ordered:
                images += group
                continue
            for x in reversed(group):
                images = sorted([*images, x])
                if not primed:
                    edges = sum(y < x for y in images), sum(y <= x for y in images)
                    first, after = (-(-(2**24) * edge // len(images)) for edge in edges)
                    stack.push([(24, 1, (first, after).__getitem__)], [0])
        return images, stack

    def size(self):
        return self.image["height"], self.image["width"]

    def group(self):
        """The largest group of a chain."""
        values = []
        for network in (level[key] for level in [self.config, *self.config.get("above", [])] for key in NETWORKS):
            shape = network["input"]
            values.append(prod(shape))
            for layer in network["layers"]:
                shape = after(layer, shape)
                values.append(prod(shape))
        height, width = self.size()
        group = 64
        while group > 1 and (group * max(values) > 2**22 or group * (height + 8) * (width + 16) > 2**17):
            group //= 2
        return group

    def pop_in_phases(self, stack, n, height, width):
        """As :meth:`pop_in_context`, of kind phases."""
        samples = PlainPhases(self.config, self.tensor, self.run, after).pop(stack, n, height, width)
        order = [self.colour.index(c) for c in range(len(self.colour))]
        return [[samples[i, y, x, c] for y in range(height) for x in range(width) for c in order] for i in range(n)]

    def decode_phases(self, payload, n, height, width, edge=256, together=2**16, many=2**16):
        """The images of a model in phases, [image][row][column][channel], and the stacks that are left."""
        rows, columns = ([16 * (-(-side // 16) * i // -(-side // edge)) for i in range(-(-side // edge))] + [side]
                         for side in (height, width))  # fmt: skip
        group = max(1, together // (height * width)) if max(height, width) <= edge else 1
        pieces = [
            (i, min(group, n - i), top, bottom, left, right)
            for i in range(0, n, group)
            for top, bottom in pairwise(rows)
            for left, right in pairwise(columns)
        ]
        tall, wide = (max(b - a for a, b in pairwise(cut)) for cut in (rows, columns))
        lanes = 8 if min(group, n) * tall * wide * self.image["channels"] >= many else 1
        return self.decode_cut(payload, n, height, width, pieces, lanes, self.pop_in_phases)

    def decode_pieces(self, payload, n, height, width, edge=1024, together=2**17, many=2**17):
        """The images of a model of kind context, [image][row][column][channel], and the stacks that are left."""
        a, b = -(-height // edge), -(-width // edge)
        if height <= edge and width <= edge:
            group = max(1, together // ((height + 8) * (width + 16)))
            pieces = [(i, min(group, n - i), 0, height, 0, width) for i in range(0, n, group)]
        else:
            pieces = [
                (i, 1, height * r // a, height * (r + 1) // a, width * c // b, width * (c + 1) // b)
                for i in range(n)
                for r in range(a)
                for c in range(b)
            ]
        samples = max(m * (bottom - top) * (right - left) for _, m, top, bottom, left, right in pieces)
        lanes = 8 if samples * self.image["channels"] >= many else 1
        return self.decode_cut(payload, n, height, width, pieces, lanes, self.pop_in_context)

    def decode_cut(self, payload, n, height, width, pieces, lanes, pop):
        """The images of pieces (first image, how many, rows and columns from and to), and the stacks that are left."""
        assert payload[0] in (0, 1)
        if payload[0]:
            assert pieces[0][2:] == (0, height, 0, width) and payload[2] in (0, 255)
            largest = 2 ** (pieces[0][1].bit_length() - 1)
            images, stack = self.decode_chain(payload[1:], n, height * width, largest, 1,
                                              lambda stack, m, bits, primed: pop(stack, m, height, width))  # fmt: skip
            channels = self.image["channels"]
            pixels = [[x[i : i + channels] for i in range(0, len(x), channels)] for x in images]
            return [split(x, height) for x in pixels], [stack]
        words, begin = [], 1
        for _ in pieces[1:]:
            words.append(0)
            for shift in count(0, 7):
                words[-1] += (payload[begin] % 128) << shift
                begin += 1
                if payload[begin - 1] < 128:
                    break
        images, stacks = [[[None] * width for _ in range(height)] for _ in range(n)], []
        for (first, m, top, bottom, left, right), size in zip(pieces, [*words, None], strict=True):
            end = len(payload) if size is None else begin + 8 * lanes + 4 * size
            stacks.append(PlainStack.read(payload[begin:end], lanes))
            begin = end
            for i, image in enumerate(pop(stacks[-1], m, bottom - top, right - left)):
                pixels = iter(split(image, (bottom - top) * (right - left)))
                for y in range(top, bottom):
                    for x in range(left, right):
                        images[first + i][y][x] = next(pixels)
        return images, stacks


def after(layer, shape):
    """The shape that a layer gives."""
    if layer["op"] == "conv":
        return [layer["outputs"], *(-(-axis // layer.get("stride", 1)) for axis in shape[1:])]
    if layer["op"] == "dense":
        return [layer["outputs"]]
    if layer["op"] == "flatten":
        return [prod(shape)]
    if layer["op"] == "unflatten":
        return [layer["channels"], layer["height"], layer["width"]]
    f = layer.get("factor", 2)
    return [shape[0] // f**2, shape[1] * f, shape[2] * f]
