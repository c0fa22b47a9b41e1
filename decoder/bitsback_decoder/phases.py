"""Models in phases in plain Python, written from docs/format.md ("Payloads of kind 4"), not from the code.

A sample that is not known yet is in no dictionary, so looking at one is a KeyError: the order is checked by being gone
through.
"""

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
        self.tensor, self.table = tensor, tensor("table")
        self.latents, self.map = config.get("latents"), self.spec.get("map", 0)

    def dense(self, name, x, low, high):
        weight, bias, shift = (self.tensor(f"{name}.{part}") for part in ("weight", "bias", "shift"))
        size = len(weight) // len(bias)
        assert size == len(x)
        sums = [sum(w * v for w, v in zip(weight[o * size :], x, strict=False)) for o in range(len(bias))]
        return [clip((acc + b + 2**s // 2) // 2**s, low, high) for acc, b, s in zip(sums, bias, shift, strict=True)]

    def pop(self, stack, n, height, width):
        """The samples of n images by (image, y, x, c), channels in coding order."""
        self.height, self.width, self.samples, self.said = height, width, {}, None
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
        """Whether their bits were borrowed, and the latents of all images; what they say is kept."""
        count, bits = self.latents["count"], self.latents["bits"]
        (borrowed,) = stack.pop([uniform(1)])
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
            x = [
                0 if (y + x) % 2 else self.samples[i, y, x, c] * (128 if self.levels == 2 else 1)
                for c in range(self.channels)
                for y in range(self.height)
                for x in range(self.width)
            ]
            out = self.network("encoder", encoder, encoder["input"], x)
            half = len(out) // 2
            pairs = zip(out[:half], out[half:], strict=True)
            distributions += [posterior(self.latents["bits"], d, min((u + 2) >> 2, 63)) for d, u in pairs]
        stack.push(distributions, z)

    def says(self, place, level, phase):
        """What latents say of a pixel of a grid."""
        if self.said is None:
            return [0] * self.map
        i, y, x = place
        at = []
        if level is None:
            rows, columns = self.said_size
            return self.said[i][rows // 2 * columns + columns // 2 :: rows * columns]
        for where, side, length, o in zip(
            (y, x), (self.height, self.width), self.said_size, ORIGINS[phase], strict=True
        ):
            count = len(range(o << level, side, 2 << level))
            at.append((2 * ((where >> level) // 2) + 1) * length // (2 * count))
        rows, columns = self.said_size
        return self.said[i][at[0] * columns + at[1] :: rows * columns]

    def step(self, places, level, phase, choose):
        self.predictions = {}
        if level is None:
            name, maps = "head", {place: self.says(place, None, None) if self.map else [255] for place in places}
            self.predictions = {place: ([2048] * self.channels, [[0] * 4] * self.channels) for place in places}
        else:
            name, maps = f"head.{min(level, self.classes - 1)}.{phase - 1}", self.maps(places, level, phase)
        j = 0
        for begin in range(0, len(places), BLOCK):
            block = places[begin : begin + BLOCK]
            for c in range(self.channels):
                for place in block:
                    self.samples[*place, c] = choose(j, self.distribution(name, maps[place], place, c))
                    j += 1

    def tap(self, place, level, phase, tap, c):
        (i, y, x), (grid, dy, dx) = place, tap
        sides = [-(-side >> level) for side in (self.height, self.width)]
        if any(o >= side for o, side in zip(ORIGINS[grid], sides, strict=True)):
            grid = 0
        at = []
        for where, d, o, origin, side in zip((y, x), (dy, dx), ORIGINS[phase], ORIGINS[grid], sides, strict=True):
            row = clip(((where >> level) - o) // 2 + d, 0, (side - origin + 1) // 2 - 1)
            at.append((2 * row + origin) << level)
        return self.samples[i, *at, c]

    def maps(self, places, level, phase):
        """What the trunk makes of what it is shown, by place."""
        kind = min(level, self.classes - 1)
        chosen = [taps(phase, reach) for reach in self.spec.get("predicts") or self.reach]
        self.counts = [len(taps(phase, reach)) for reach in self.reach]
        shown = {place: self.shown(place, level, phase, kind, chosen) for place in places}
        images = sorted({i for i, _, _ in places})
        found = {}
        for image in images:
            mine = [place for place in places if place[0] == image]
            rows, columns = len({y for _, y, _ in mine}), len({x for _, _, x in mine})
            count = len(shown[mine[0]])
            planes = [shown[place][k] for k in range(count) for place in mine]
            out = self.network(f"trunk.{phase - 1}", self.spec["trunks"][phase - 1], [count, rows, columns], planes)
            for number, place in enumerate(mine):
                found[place] = out[number :: len(mine)]
        return found

    def shown(self, place, level, phase, kind, chosen):
        _, y, x = place
        seen = [[self.tap(place, level, phase, tap, c) for tap in mine] for c, mine in enumerate(chosen)]
        if self.levels == 2:
            out = [255 * v for mine in seen for v in mine]
        else:
            out = self.predict(place, f"filter.{kind}.{phase - 1}", seen)
        out += [255 * (k == kind) for k in range(self.classes)]
        for where, side in ((y, self.height), (x, self.width)):
            if self.edges:
                out += [min(8 * where, 255), min(8 * (side - 1 - where), 255)]
            out += [255 * (where % self.period // 2 == k) for k in range(self.period // 2)]
        return out + self.says(place, level, phase)

    def predict(self, place, name, seen):
        sums = [sum(mine[:4]) for mine in seen]
        u = [4 * v - s for mine, s in zip(seen, sums, strict=True) for v in mine]
        added = self.dense(name, u, -4095, 4095)
        seen = [mine[:count] for mine, count in zip(seen, self.counts, strict=True)]
        r = [clip(4 * s + a, -256, 4336) for s, a in zip(sums, added, strict=True)]
        self.predictions[place] = r, [[16 * v - mine for v in some[:4]] for some, mine in zip(seen, r, strict=True)]
        out = [
            self.table[clip(16 * v - mine, -4096, 4095) + 4096]
            for some, mine in zip(seen, r, strict=True)
            for v in some
        ]
        return out + [clip(mine >> 4, 0, 255) for mine in r]

    def distribution(self, name, maps, place, c):
        before = [self.samples[*place, k] for k in range(c)]
        inputs = list(maps)
        if self.levels == 2:
            inputs += [v for s in before for v in (255 * s, 255 - 255 * s)]
        else:
            r, near = self.predictions[place]
            errors = [16 * s - mine for s, mine in zip(before, r, strict=False)]
            for e in errors:
                b = self.table[clip(e, -4096, 4095) + 4096]
                inputs += [b, min(2 * abs(b - 128), 255)]
        layers = len(self.spec["hidden"]) + 1
        for i in range(layers):
            last = i == layers - 1
            inputs = self.dense(f"{name}.{c}.{i}", inputs, *((-4095, 4095) if last else (0, 255)))
        if self.levels == 2:
            return bernoulli(clip(inputs[0], -128, 127) + 128)
        k = self.components
        follow = inputs[3 * k :]
        moved = sum(w * v for w, v in zip(follow, [*near[c], *errors], strict=True)) >> 10
        return mixture(
            [r[c] + y + moved for y in inputs[:k]],
            [clip(s, 0, 63) for s in inputs[k : 2 * k]],
            [clip(w + 128, 0, 255) for w in inputs[2 * k : 3 * k]],
        )
