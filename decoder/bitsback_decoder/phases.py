"""Models in phases in plain Python, written from docs/format.md ("Payloads of kind 4"), not from the code.

A sample that is not known yet is -1, and nobody may look at one: the order is checked by being gone through.
"""

import numpy as np

from bitsback_decoder.stack import bernoulli, centres, mixture, posterior, uniform

BLOCK = 8
ORIGINS = ((0, 0), (1, 1), (0, 1), (1, 0))


def clip(value, low, high):
    return min(max(value, low), high)


def taps(phase, reach):
    """(grid, dy, dx) of a phase 1 to 3."""
    found = []
    for grid in range(phase):
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                a = 2 * dy + ORIGINS[grid][0] - ORIGINS[phase][0]
                b = 2 * dx + ORIGINS[grid][1] - ORIGINS[phase][1]
                if a * a + b * b < 3 * reach * reach:
                    found.append((a * a + b * b, (grid, dy, dx)))
    return [t for _, t in sorted(found)]


class PlainPhases:
    """``config``: of a model, as JSON has it; ``tensor``: from a name to a flat list; ``network(key, shape, x)``: the
    output of a network for an input of that shape, flat lists; ``after(layer, shape)``: the shape that it gives."""

    def __init__(self, config, tensor, network, after):
        self.after = after
        self.spec, self.image, self.network = config["phases"], config["image"], network
        self.channels, self.levels = self.image["channels"], self.image["levels"]
        self.components = config["likelihood"].get("components")
        self.classes, self.reach = self.spec.get("classes", 3), self.spec["reach"]
        self.period, self.edges = self.spec.get("period", 0), self.spec.get("edges", False)
        self.tensor, self.table, self.layers = tensor, np.array(tensor("table")), {}
        self.latents, self.map = config.get("latents"), self.spec.get("map", 0)

    def dense(self, name, x, low, high):
        """Of a layer, the outputs for inputs along the last axis."""
        if name not in self.layers:
            parts = (self.tensor(f"{name}.{part}") for part in ("weight", "bias", "shift"))
            weight, bias, shift = (np.array(part, np.int64) for part in parts)
            weight = weight.reshape(len(bias), -1)
            assert np.abs(weight).sum() < 2**37  # inputs are below 2^12: floating-point sums are exact
            self.layers[name] = weight.T.astype(np.float64), bias + 2**shift // 2, shift
        weight, bias, shift = self.layers[name]
        return np.clip(((x @ weight).astype(np.int64) + bias) >> shift, low, high)

    def pop(self, stack, n, height, width):
        """The samples of n images, (image, y, x, c), channels in coding order."""
        self.height, self.width, self.said = height, width, None
        self.samples = np.full((n, height, width, self.channels), -1)
        steps = [([(i, 0, 0) for i in range(n)], None, None)]
        for level in reversed(range((max(height, width) - 1).bit_length())):
            for phase in (1, 2, 3):
                y0, x0 = (o << level for o in ORIGINS[phase])
                rows, columns = range(y0, height, 2 << level), range(x0, width, 2 << level)
                if rows and columns:
                    steps.append(([(i, y, x) for i in range(n) for y in rows for x in columns], level, phase))
        z = self.pop_latents(stack, n) if self.latents else None
        for places, level, phase in steps:
            lends = level == 0 and phase > 1
            if z and lends:
                self.give_back(stack, n, *z)
                self.said = z = None
            self.step(places, level, phase, stack.pop_one)
        if z:
            self.give_back(stack, n, *z)
        return self.samples

    def pop_latents(self, stack, n):
        """How many latents were borrowed, and those of all images; what they say is kept."""
        count, bits = self.latents["count"], self.latents["bits"]
        (borrowed,) = stack.pop([uniform(count.bit_length())])
        assert borrowed <= count
        z = stack.pop([uniform(bits)] * (n * count))
        codes, decoder = centres(bits), self.latents["decoder"]
        shape = decoder["input"]
        for layer in decoder["layers"]:
            shape = self.after(layer, shape)
        self.said_size = shape[1:]
        self.said = [
            self.network("decoder", decoder, decoder["input"], [codes[k] for k in z[i * count : (i + 1) * count]])
            for i in range(n)
        ]
        return borrowed, z

    def give_back(self, stack, n, borrowed, z):
        if not borrowed:
            return
        encoder, distributions = self.latents["encoder"], []
        for i in range(n):
            x = self.samples[i].transpose(2, 0, 1) * (128 if self.levels == 2 else 1)
            x[:, np.add.outer(np.arange(self.height), np.arange(self.width)) % 2 == 1] = 0
            x = x.reshape(-1)
            out = self.network("encoder", encoder, encoder["input"], x)
            half = len(out) // 2
            pairs = zip(out[:half], out[half:], strict=True)
            distributions += [posterior(self.latents["bits"], d, min((u + 2) >> 2, 63)) for d, u in pairs]
        count = self.latents["count"]
        for k in reversed(range(borrowed)):
            stack.push(distributions[k::count], z[k::count])

    def says(self, places, level, phase):
        """What latents say of pixels of a grid, (places, numbers)."""
        if self.said is None:
            return np.zeros((len(places), self.map), np.int64)
        rows, columns = self.said_size
        said = np.array(self.said, np.int64).reshape(len(self.said), -1, rows, columns)
        if level is None:
            return said[places[:, 0], :, rows // 2, columns // 2]
        at = []
        for where, side, length, o in zip(
            places.T[1:], (self.height, self.width), self.said_size, ORIGINS[phase], strict=True
        ):
            count = len(range(o << level, side, 2 << level))
            at.append((2 * ((where >> level) // 2) + 1) * length // (2 * count))
        return said[places[:, 0], :, at[0], at[1]]

    def step(self, places, level, phase, choose):
        """Code the pixels ``places`` of a grid."""
        places = np.array(places)
        if level is None:
            name = "head"
            maps = self.says(places, None, None) if self.map else np.full((len(places), 1), 255)
            self.predicted = np.full((len(places), self.channels), 2048)
            self.near = np.zeros((len(places), self.channels, 4), np.int64)
        else:
            name, maps = f"head.{min(level, self.classes - 1)}.{phase - 1}", self.maps(places, level, phase)
        j = 0
        for begin in range(0, len(places), BLOCK):
            block = slice(begin, begin + BLOCK)
            for c in range(self.channels):
                for place, distribution in zip(
                    places[block], self.distributions(name, maps[block], places[block], block, c), strict=True
                ):
                    self.samples[(*place, c)] = choose(j, distribution)
                    j += 1

    def taps(self, places, level, phase, chosen, c):
        """Samples, (places, taps)."""
        sides = [-(-side >> level) for side in (self.height, self.width)]
        found = []
        for grid, *steps in chosen:
            if any(o >= side for o, side in zip(ORIGINS[grid], sides, strict=True)):
                grid = 0
            at = []
            for where, d, o, origin, side in zip(
                places.T[1:], steps, ORIGINS[phase], ORIGINS[grid], sides, strict=True
            ):
                row = np.clip(((where >> level) - o) // 2 + d, 0, (side - origin + 1) // 2 - 1)
                at.append((2 * row + origin) << level)
            found.append(self.samples[places[:, 0], at[0], at[1], c])
        found = np.stack(found, 1)
        assert found.min() >= 0
        return found

    def maps(self, places, level, phase):
        """What the trunk makes of what it is shown, (places, numbers)."""
        kind = min(level, self.classes - 1)
        chosen = [taps(phase, reach) for reach in self.spec.get("predicts") or self.reach]
        self.counts = [len(taps(phase, reach)) for reach in self.reach]
        shown = self.shown(places, level, phase, kind, chosen)
        found = []
        for image in np.unique(places[:, 0]):
            mine = places[:, 0] == image
            rows, columns = (len(np.unique(places[mine, axis])) for axis in (1, 2))
            spec, planes = self.spec["trunks"][phase - 1], shown[mine].T
            out = self.network(f"trunk.{phase - 1}", spec, [len(planes), rows, columns], planes.reshape(-1))
            found.append(np.array(out).reshape(-1, rows * columns).T)
        return np.concatenate(found)

    def shown(self, places, level, phase, kind, chosen):
        seen = [self.taps(places, level, phase, mine, c) for c, mine in enumerate(chosen)]
        binary = self.levels == 2
        out = [255 * mine for mine in seen] if binary else self.predict(f"filter.{kind}.{phase - 1}", seen)
        columns = [np.full(len(places), 255 * (k == kind)) for k in range(self.classes)]
        for where, side in zip(places.T[1:], (self.height, self.width), strict=True):
            if self.edges:
                columns += [np.minimum(8 * where, 255), np.minimum(8 * (side - 1 - where), 255)]
            columns += [255 * (where % self.period // 2 == k) for k in range(self.period // 2)]
        return np.concatenate([*out, np.stack(columns, 1), self.says(places, level, phase)], 1)

    def predict(self, name, seen):
        sums = np.stack([mine[:, :4].sum(1) for mine in seen], 1)
        u = [4 * mine - sums[:, c, None] for c, mine in enumerate(seen)]
        added = self.dense(name, np.concatenate(u, 1), -4095, 4095)
        seen = [mine[:, :count] for mine, count in zip(seen, self.counts, strict=True)]
        r = self.predicted = np.clip(4 * sums + added, -256, 4336)
        self.near = np.stack([16 * some[:, :4] - r[:, c, None] for c, some in enumerate(seen)], 1)
        out = [self.table[np.clip(16 * some - r[:, c, None], -4096, 4095) + 4096] for c, some in enumerate(seen)]
        return [*out, np.clip(r >> 4, 0, 255)]

    def distributions(self, name, maps, places, block, c):
        before = self.samples[places[:, 0], places[:, 1], places[:, 2], :c]
        assert before.min(initial=0) >= 0
        inputs = [maps]
        if self.levels == 2:
            inputs += [v for s in before.T for v in (255 * s[:, None], 255 - 255 * s[:, None])]
        else:
            r, near = self.predicted[block], self.near[block]
            errors = 16 * before - r[:, :c]
            for e in errors.T:
                b = self.table[np.clip(e, -4096, 4095) + 4096][:, None]
                inputs += [b, np.minimum(2 * np.abs(b - 128), 255)]
        out = np.concatenate(inputs, 1)
        layers = len(self.spec["hidden"]) + 1
        for i in range(layers):
            out = self.dense(f"{name}.{c}.{i}", out, *((-4095, 4095) if i == layers - 1 else (0, 255)))
        if self.levels == 2:
            return [bernoulli(clip(int(u), -128, 127) + 128) for u in out[:, 0]]
        k = self.components
        moved = (out[:, 3 * k :] * np.concatenate([near[:, c], errors], 1)).sum(1) >> 10
        means = out[:, :k] + (r[:, c] + moved)[:, None]
        scales, weights = np.clip(out[:, k : 2 * k], 0, 63), np.clip(out[:, 2 * k : 3 * k] + 128, 0, 255)
        return [mixture(*some) for some in zip(means.tolist(), scales.tolist(), weights.tolist(), strict=True)]
