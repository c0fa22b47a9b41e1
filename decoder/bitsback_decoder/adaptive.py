"""Adaptive payloads, written from docs/format.md ("adaptive kind"), not from the code.

It computes with Python's integers, one sample at a time, and so it is slow; least squares of a block are NumPy's.
"""

import lzma
import struct
import zlib
from bisect import bisect_left
from itertools import product

import numpy as np

from bitsback_decoder.tables import table

F = table("logistic", "I")


def sigmoid(t):
    t = min(max(t, 0), 2**31 - 1)
    i = t >> 20
    return F[i] + (((F[i + 1] - F[i]) * (t % 2**20)) >> 20)


def varint(data):
    value = shift = 0
    while True:
        byte = data.pop(0)
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value


BAND = 2**19


class Bands:
    """The stacks of a body, one after the other."""

    def __init__(self, data, row_samples):
        self.data, self.height, self.row = data, max(1, BAND // row_samples), 0

    def begin_row(self):
        if self.row % self.height == 0:
            self.end()
            words = varint(self.data)
            (self.head,) = struct.unpack("<Q", bytes(self.data[:8]))
            self.tail = list(struct.unpack(f"<{words}I", bytes(self.data[8 : 8 + 4 * words])))
            del self.data[: 8 + 4 * words]
        self.row += 1

    def slot(self, p):
        return self.head % 2**p

    def pop(self, start, freq, p):
        self.head = freq * (self.head >> p) + self.head % 2**p - start
        if self.head < 2**32:
            self.head = (self.head << 32) + self.tail.pop()

    def end(self):
        if self.row:
            assert self.head == 2**32 and not self.tail


def rank(v):
    s = 0
    while v >> s >= 8:
        s += 1
    return 4 * s + (v >> s)


class Lines:
    """The last rows of a channel, with margins; what lies above an image is zero."""

    def __init__(self, width, margin):
        self.width, self.margin, self.rows = width, margin, {}

    def begin(self, y):
        if y == 0:
            self.rows = {-1: [0] * (self.width + 2 * self.margin), -2: [0] * (self.width + 2 * self.margin)}
        self.rows[y] = [self.rows[y - 1][self.margin]] * self.margin + [None] * self.width + [None] * self.margin

    def end(self, y):
        self.rows[y][-self.margin :] = [self.rows[y][-self.margin - 1]] * self.margin

    def at(self, y, x, dy=0, dx=0):
        return self.rows[y - dy][x + dx + self.margin]

    def put(self, y, x, v):
        self.rows[y][x + self.margin] = v


class Channel:
    def __init__(self, width):
        self.L, self.E = Lines(width, 2), Lines(width, 2)
        self.U = [[0] * 22 for _ in range(3)]
        self.B = [[0, 32] for _ in range(5632)]
        first = [q if q < 4 else (4 + q % 4) * 2 ** (q // 4 - 1) for q in range(88)]
        self.S = [[[max(1, 8 * m // 7), 2] for _ in range(20)] for m in first]


def smooth(data, n, height, width, channels, how):
    most, transform, clear = varint(data), how % 4, how >= 4
    stack = Bands(data, width * channels)
    coded = [Channel(width) for _ in range(channels)]
    out = np.zeros((n, height, width, channels), np.int64)
    for i, y in product(range(n), range(height)):
        stack.begin_row()
        for c, channel in enumerate(coded):
            channel.L.begin(y)
            channel.E.begin(y)
            size = 2 * most + 1 if transform and c - clear in (1, 2) else most + 1
            for x in range(width):
                hidden = clear and c > 0 and out[i, y, x, 0] == 0
                out[i, y, x, c] = continued(channel, y, x) if hidden else value(stack, coded, c, y, x, size)
            channel.L.end(y)
            channel.E.end(y)
    stack.end()
    return painted(out, most, how)


def painted(out, most, how):
    """Images of coded channels."""
    transform, clear = how % 4, how >= 4
    if clear:
        out = np.concatenate([out[..., 1:], out[..., :1]], axis=3)
    first, *rest = (out[..., c].copy() for c in range(out.shape[3]))
    if transform:
        second, third = rest[0] - most, rest[1] - most
        if transform == 1:
            rgb = first + second, first, first + third
        elif transform == 2:
            t = first - (second >> 1)
            blue = t - (third >> 1)
            rgb = blue + third, second + t, blue
        else:
            rgb = first, first + second, first + second + third
        out[..., 0], out[..., 1], out[..., 2] = rgb
    if clear:
        out[out[..., -1] == 0] = 0
    return out


def continued(channel, y, x):
    (w, n, nw), (ew, en) = (
        [lines.at(y, x, dy, dx) for dy, dx in ((0, -1), (1, 0), (1, -1))[:k]]
        for lines, k in ((channel.L, 3), (channel.E, 2))
    )
    channel.L.put(y, x, min(max(w + n - nw, min(w, n)), max(w, n)))
    channel.E.put(y, x, (3 * (ew + en) + 256) >> 3)
    return 0


def value(stack, coded, c, y, x, size):
    here = coded[c]

    def of(lines, *offsets):
        return [lines.at(y, x, dy, dx) for dy, dx in offsets]

    near = of(here.L, (0, -1), (1, 0), (1, -1), (1, 1), (0, -2), (2, 0), (1, -2), (1, 2), (2, 1), (2, -1))
    w, n, nw, ne, ww, nn, _, _, nne, _ = near
    median = min(max(w + n - nw, min(w, n)), max(w, n))
    d = [v - median for v in near]
    for other in range(c - 1, max(c - 3, -1), -1):
        v, *around = of(coded[other].L, (0, 0), (0, -1), (1, 0), (1, -1), (1, 1), (0, 1), (2, 0))
        d += [v - a for a in around]
    across = abs(w - ww) + abs(n - nw) + abs(n - ne)
    down = abs(w - nw) + abs(n - nn) + abs(ne - nne)
    slope = across + down
    u = here.U[1 if 4 * (down - across) > slope else 2 if 4 * (across - down) > slope else 0]
    guess = min(max(16 * median + (sum(a * b for a, b in zip(u, d, strict=False)) >> 12), 0), 16 * (size - 1))
    ew, en, enw, ene, eww = of(here.E, (0, -1), (1, 0), (1, -1), (1, 1), (0, -2))
    energy = 2 * ew + 2 * en + enw + ene + eww
    if c:
        f, fw, fe = of(coded[c - 1].E, (0, 0), (0, -1), (0, 1))
        energy = (energy + 2 * f + fw + fe) * 7 // 11
    r = rank(energy >> 2)
    above = [w, n, nw, ne, ww, nn, 2 * w - ww, 2 * n - nn]
    texture = 256 * (r >> 2) + sum(2**k * (16 * v > guess) for k, v in enumerate(above))
    bias, scale = here.B[texture], here.S[r][rank(slope) >> 2]
    mean = min(max(guess + bias[0] // bias[1], 0), 16 * (size - 1))
    narrow = min(scale[1] * 114085068 // (scale[0] + (scale[1] >> 1) + 1), 2**27)
    wide = narrow * 150 >> 8
    share = (2**24 - size) * 5 >> 4

    def start(v):
        if v in (0, size):
            return 2**24 * (v > 0)
        parts = ((2**24 - size - share, narrow), (share, wide))
        return (sum(m * sigmoid(2**30 + (16 * v - 8 - mean) * s) for m, s in parts) >> 32) + v

    low, high, slot = 0, size, stack.slot(24)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if start(middle) <= slot else (low, middle)
    stack.pop(start(low), start(low + 1) - start(low), 24)
    gain = (16 * low - guess) * 786432 // (200 + sum(a * a for a in d))
    for k, a in enumerate(d):
        u[k] = min(max(u[k] + ((gain * a + 2048) >> 12), -(2**22)), 2**22)
    here.L.put(y, x, low)
    here.E.put(y, x, abs(16 * low - mean))
    for pair, amount in ((bias, 16 * low - guess), (scale, abs(16 * low - mean))):
        count_in(pair, amount)
    return low


def count_in(pair, amount):
    """Add to a sum and a count, and forget half when there are many."""
    pair[0], pair[1] = pair[0] + amount, pair[1] + 1
    if pair[1] >= 256:
        pair[0], pair[1] = pair[0] >> 1, pair[1] >> 1


def mix(a, h):
    t = (a + 0x9E3779B1 * h) % 2**32
    t = (t ^ (t >> 15)) * 0x85EBCA6B % 2**32
    return t ^ (t >> 13)


G = [bisect_left(F, (2 * j + 1) * 2**19) - 1024 for j in range(4096)]


def mixing(data, lots):
    """Images of one channel, a list of (height, width); ``lots``: (number, height, width)."""
    b = data.pop(0)
    shapes = [(height, width) for n, height, width in lots for _ in range(n)]
    r = max(width for _, width in shapes)
    c = min(max(sum(height * width for height, width in shapes).bit_length() + 3, 12), 22)
    stack, s, d = Bands(data, r), r + 8, max(c - 4, 8)
    V, over = np.zeros(s * sum(height + 2 for height, _ in shapes), np.int64).tolist(), {}
    S, slots = ({}, {}), {}
    near, wide, rate = (3, 5, 14) if b > 1 else (2, 4, 8)
    U, Y = [[14000] * 10 for _ in range(256)], [[0] * 10 for _ in range(256)]

    def answer(contexts, kind, seed, h, j, m):
        places = []
        for k, context in enumerate(contexts):
            f = 0 if k < 6 else h if k < 8 else j
            places.append(mix(context, 4 * (10 * seed + k) + f) % 2**c)
        found = [slots.get(place, (2**21, 0)) for place in places]
        x = [G[chance >> 10] for chance, _ in found]
        u, y = U[16 * kind + 4 * min(found[near][1], 3) + min(found[wide][1], 3)], Y[16 * kind + m]
        p = min(max(sigmoid(2**30 + 16 * sum(x[k] * (u[k] + y[k]) for k in range(len(x)))) >> 16, 1), 65535)
        e = int(stack.slot(16) < p)
        stack.pop(0 if e else p, p if e else 2**16 - p, 16)
        for k in range(len(x)):
            for weights in (u, y):
                weights[k] = min(max(weights[k] + ((x[k] * (2**16 * e - p) * rate + 2**17) >> 18), -(2**20)), 2**20)
            chance, seen = slots.get(places[k], (2**21, 0))
            chance += ((2**22 - 1) * e - chance) * (131072 // (2 * seen + 3)) >> 16
            slots[places[k]] = chance, min(seen + 1, 120 if kind < 6 else 6)
        return e

    def neighbours(p):
        return V[p - 1], V[p - s], V[p - s - 1], V[p - s + 1], V[p - 2], V[p - 2 * s]

    def pixel(p, q, a, g, x, y):
        w, n, nw, ne, ww, nn = neighbours(p)
        nww, nee, nnw, nne, nnww, nnee = (
            V[p + o] for o in (-s - 2, 2 - s, -2 * s - 1, 1 - 2 * s, -2 * s - 2, 2 - 2 * s)
        )
        pairs = [
            (w, n),
            (w, nw),
            (n, nw),
            (n, ne),
            (w, ww),
            (n, nn),
            (ne, nee),
            (ne, nne),
            (nw, nww),
            (nw, nnw),
            (w, ne),
        ]
        contexts = [sum(2**k * (a == b) for k, (a, b) in enumerate(pairs)), mix(w, n)]
        contexts.append(mix(mix(contexts[1], nw), ne))
        contexts.append(mix(mix(contexts[2], ww), nn))
        contexts.append(mix(mix(mix(mix(contexts[3], nee), nne), nnw), nww))
        contexts.append(mix(mix(mix(mix(contexts[4], V[p - 3]), V[p - s + 3]), nnww), nnee))
        if b == 1:
            rows = [[V[p - k * s + j] for j in range(-x - (k == 0), 5 if k else 0)] for k in range(5)]
            rows = [int("".join(map(str, row)), 2) if k <= y else 0 for k, row in enumerate(rows)]
            left, above, second, third, fourth = rows
            contexts[0] = left % 8 + 8 * ((above >> 2) % 32) + 256 * ((second >> 3) % 8)
            contexts[1] = (
                left % 32 + 2**5 * ((above >> 1) % 128) + 2**12 * ((second >> 2) % 32) + 2**17 * ((third >> 3) % 8)
            )
            contexts[2] = mix(left % 256 + 2**8 * (above % 1024) + 2**18 * (second % 512), (third >> 1) % 128)
            contexts[4] = mix(mix(mix(mix(left % 2**12, above % 2**16), second % 2**16), third % 2**16), fourth % 2**16)
        first, then = contexts[wide] % 2**d, contexts[near] % 2**d
        if g == 0:
            a = S[0].get(first, 0) or S[1].get(then, 0) or (over.get(x) and over[x] + s) or a

        def alike(e):
            return sum(
                2**k * (one == other) for k, (one, other) in enumerate(zip(neighbours(p), neighbours(e), strict=True))
            )

        A = Q = None
        m = 0
        if a:
            k, A = alike(a), V[a]
            contexts += [1 + k + 64 * min(g, 15), mix(mix(contexts[1], A), k)]
            m = 4 if g == 0 else 8 if g < 16 else 12
        else:
            contexts += [0, 0]
        if q is not None:
            k, Q = alike(q), V[q]
            contexts.append(k + 64 * (V[q + 1] == Q) + 128 * (V[q + s] == Q) + 256 * (V[q - 1] == Q))
            contexts.append(mix(mix(mix(mix(contexts[1], Q), V[q + 1]), V[q + s]), V[q + s - 1]))
            m += 1 + (k % 16 == 15) + (k == 63)
        if b == 1:
            v = answer(contexts, 0, 0, 0 if A is None else 1 + A, 0 if Q is None else 1 + Q, m)
            S[0][first] = S[1][then] = p
            over[x] = a
            return v, a + (a > 0), min(g + 1, 63) if v == A else 0
        near_colours = list(dict.fromkeys([w, n, nw, ne]))
        colours = {
            colour: kind for kind, colour in ((4, A), (5, Q)) if colour is not None and colour not in near_colours
        }
        if A == Q and A in colours:
            colours[A] = 4
        colours |= {colour: kind for kind, colour in enumerate(near_colours)}
        for v, kind in colours.items():
            h, j = (0 if other is None else 1 + (other == v) for other in (A, Q))
            if answer(contexts, kind, kind, h, j, m):
                break
        else:
            v, contexts[0] = 0, 0
            for i in range(b):
                v = 2 * v + answer(contexts, min(6 + i, 15), 6 + 2**i + v, 3, 3, m)
        S[0][first] = S[1][then] = p
        over[x] = a
        return v, a + (a > 0), min(g + 1, 63) if v == A else 0

    out, top, last = [], 0, None
    for height, width in shapes:
        begin = (top + 2) * s + 4
        back = begin - last[1] if last and last[0] == (height, width) else None
        last = (height, width), begin
        over.clear()
        for y in range(height):
            stack.begin_row()
            p, a, g = begin + y * s, 0, 0
            V[p - 4 : p] = [V[p - s]] * 4
            for x in range(width):
                V[p + x], a, g = pixel(p + x, p + x - back if back else None, a, g, x, y)
            V[p + width : p + width + 4] = [V[p + width - 1]] * 4
        out.append(np.array([V[begin + y * s :][:width] for y in range(height)], np.int64)[..., None])
        top += height + 2
    stack.end()
    return out


Z = (16, 32, 48, 64, 81, 97, 114, 131, 148, 166, 183, 202, 221, 240, 260, 281, 303, 326, 350, 375, 403, 432)
Z += (463, 498, 537, 581, 632, 693, 771, 879, 1061)
Z = [-z for z in reversed(Z)] + [0] + list(Z)


def held(v, limit):
    return min(max(v, -limit), limit)


def log(v):
    k = v.bit_length() - 1
    return 16 * k + 16 * v // 2**k - 16 if v else -16368


def held_all(values, limit):
    return np.minimum(np.maximum(values, -limit), limit)


def factors(a):
    """L and D of lower triangles, (pixels, size, size) and (pixels, size), column by column."""
    u, lower, diagonal = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a[:, 0])
    for j in range(a.shape[1]):
        rest = a[:, j:, j] - ((u[:, j:, :j] * lower[:, j, None, :j]).sum(2) >> 14)
        diagonal[:, j] = np.maximum(rest[:, 0], 1)
        u[:, j + 1 :, j] = held_all(rest[:, 1:], 2**30 - 1)
        lower[:, j + 1 :, j] = held_all((u[:, j + 1 :, j] << 14) // diagonal[:, j, None], 2**18)
    return lower, diagonal


def around(seen, low, split, high):
    """How many values from ``low`` to ``split``, and above it up to ``high``, were seen."""
    below = sum(one in seen for one in range(max(low, split - 15), split + 1))
    return 17 * below + sum(one in seen for one in range(split + 1, min(high, split + 16) + 1))


class Regressed:
    """All images of a payload, coded channels first."""

    margin, shapes = 2, 2

    def __init__(self, data, n, height, width, channels, how):
        self.most = varint(data)
        self.references, self.how = how % 32 // 8, how % 8
        self.moves = {}
        if self.references == 3:
            self.references = 1
            steps = [varint(data) for _ in range(2 * (n - 1))]
            steps = [step // 2 if step % 2 == 0 else -(step + 1) // 2 for step in steps]
            assert all(
                abs(down) <= height and abs(right) <= width for down, right in zip(steps[::2], steps[1::2], strict=True)
            )
            self.moves = {i: tuple(steps[2 * i - 2 : 2 * i]) for i in range(1, n)}
        self.n, self.height, self.width, self.channels = n, height, width, channels
        clear = self.how >= 4
        self.N = [2 * self.most + 1 if how % 4 and c - clear in (1, 2) else self.most + 1 for c in range(channels)]
        self.L, self.E = ({c: {} for c in range(channels)} for _ in range(2))
        first = [q if q < 4 else (4 + q % 4) * 2 ** (q // 4 - 1) for q in range(88)]
        self.B = [[[[0, 8] for _ in range(256)] for _ in range(8)] for _ in range(channels)]
        self.S = [
            [[[[max(m, 2), 1] for _ in range(32)] for m in first] for _ in range(self.shapes)] for _ in range(channels)
        ]
        self.T, self.seen = [{} for _ in range(channels)], {}
        self.U = [[[[2**15, 2**15, 0, 0, 0, 0, 0, 0] for _ in range(64)] for _ in range(8)] for _ in range(channels)]
        self.stack = Bands(data, width * channels)
        self.repeats = Repeats(self) if how >= 32 else None
        self.rows()
        self.stack.end()

    def rows(self):
        for i in range(self.n):
            self.V = [dict.fromkeys(range(self.width), 0) for _ in range(self.channels)]
            y = 0
            while y < self.height:
                y = self.strip(i, y)

    def strip(self, i, first):
        """Code a strip; return the row below it."""
        rows = 0
        while True:
            self.stack.begin_row()
            rows += 1
            y = first + rows
            if y % 64 == 0 or y == self.height or self.stack.row % self.stack.height == 0:
                break
        self.H = [[0] * rows for _ in range(self.channels)]
        going = [[0, 0] for _ in range(rows)]
        for t in range(self.width + 4 * (rows - 1)):
            step = [(first + j, t - 4 * j, j) for j in range(rows) if 0 <= t - 4 * j < self.width]
            for k in range(0, len(step), 8):
                if self.repeats:
                    self.taken = {(y, x): self.repeats.ask(i, y, x, going[j]) for y, x, j in step[k : k + 8]}
                for c in range(self.channels):
                    self.block(i, step[k : k + 8], c)
                if self.repeats:
                    for y, x, _ in step[k : k + 8]:
                        self.repeats.note(i, y, x)
        return first + rows

    def at(self, plane, c, i, y, x):
        return plane[c].get((i, y, x), 0)

    def put(self, c, i, y, x, v, e):
        for plane, value in ((self.L, v), (self.E, e)):
            plane[c][i, y, x] = value
            for k in range(1, self.margin + 1):
                if x == 0 and y + 1 < self.height:
                    plane[c][i, y + 1, -k] = value
                if x == self.width - 1:
                    plane[c][i, y, x + k] = value

    def around(self, i, k, y, x):
        """The place in reference k of image i, and left, right, above, below."""
        down, right = self.moves.get(i, (0, 0))
        y, x = min(max(y + down, 0), self.height - 1), min(max(x + right, 0), self.width - 1)
        right, down, i = min(x + 1, self.width - 1), min(y + 1, self.height - 1), i - k
        return [(i, y, x), (i, y, max(x - 1, 0)), (i, y, right), (i, max(y - 1, 0), x), (i, down, x)]

    def regressors(self, i, y, x, c):
        def v(dy, dx):
            return self.at(self.L, c, i, y + dy, x + dx)

        def plane(d):
            w, n, nw = (self.at(self.L, d, i, y + dy, x + dx) for dy, dx in ((0, -1), (-1, 0), (-1, -1)))
            return w + (n - nw if y else 0), n - nw if y else 0

        w, ww = v(0, -1), v(0, -2)
        n, nw, ne, nww, nee = (v(-1, dx) for dx in (0, -1, 1, -2, 2))
        nn, nnw, nne = (v(-2, dx) for dx in (0, -1, 1))
        f = [w - ww, *[0] * 8]
        if y:
            f[:6] = n - nw, w - nw, w - ww - nw + nww, ne - 2 * n + nw, nee - 2 * ne + n, n - 2 * nw + nww
        if y > 1:
            f[6:] = n - nn - nw + nnw, ne - nne - n + nn, w - 2 * nw + nnw
        base, _ = plane(c)
        for k in range(1, self.references + 1):
            a, *rest = (self.L[c].get(place) for place in self.around(i, k, y, x))
            f += [0] * 5 if i < k else [a - base, *(b - a for b in rest)]
        for d in range(c - 1, max(c - 3, -1), -1):
            its, slope = plane(d)
            f += [self.at(self.L, d, i, y, x) - its, slope]
            if self.references:
                f.append(self.at(self.L, d, *self.around(i, 1, y, x)[0]) - its if i else 0)
        return base, f

    def block(self, i, places, c):
        """Code samples side by side; ``places``: (y, x, row of the strip)."""
        bases, rows = zip(*(self.regressors(i, y, x, c) for y, x, _ in places), strict=True)
        f = np.array(rows, np.int64)
        size = f.shape[1] + 1
        sums = np.zeros((len(places), size * size + 1), np.int64)  # and, last, that of weights
        for k, (_, x, j) in enumerate(places):
            sums[k] += self.H[c][j] + self.V[c][min(x + 3, self.width - 1)]
        moments = sums[:, :-1].reshape(-1, size, size) + 2**12 * np.eye(size, dtype=np.int64)
        lower, diagonal = factors(moments)
        g = np.zeros_like(diagonal)
        for a in range(size):
            p = held_all((lower[:, a, :a] * g[:, :a]).sum(1) >> 14, 2**24)
            if a < size - 1:
                g[:, a] = held_all(64 * f[:, a] - p, 2**24)
        last = []
        for k, (y, x, _) in enumerate(places):
            last.append(self.sample(i, y, x, c, bases[k], int(p[k]), int(diagonal[k, -1]), int(sums[k, -1])))
        self.remember(c, places, np.column_stack([f, last]), p)

    def sample(self, i, y, x, c, base, p, rest, weight):
        """Code a sample; return what the last regressor is then."""
        guess = min(max(64 * base + p, 0), 64 * (self.N[c] - 1))
        if self.repeats and self.taken[y, x]:
            v = self.taken[y, x][c]
            self.put(c, i, y, x, v, 0)
        elif self.how >= 4 and c and self.at(self.L, 0, i, y, x) == 0:
            v = (guess + 32) >> 6
            self.put(c, i, y, x, v, 0)
        else:
            spread = min(max(((log(rest) - log(weight) + 192) >> 4) + 10, 0), 31)
            v = self.value(i, y, x, c, guess, spread)
        return v - base

    def remember(self, c, places, f, p):
        d = 2**12 + 12 * np.abs(64 * f[:, -1] - p) + (f * f).sum(1)
        bits = np.bitwise_or.reduce(np.abs(f), 1).tolist()
        s = np.array([max(one.bit_length() - 11, 0) for one in bits], np.int64)
        q, f = 2 ** (34 + 2 * s) // d, f >> s[:, None]
        z = (f * q[:, None] >> 10)[:, :, None] * f[:, None]
        amounts = np.column_stack([z.reshape(len(places), -1), 2**36 // d])
        for (_, x, j), amount in zip(places, amounts, strict=True):
            h, v = self.H[c][j], self.V[c][x]
            self.H[c][j] = h = h + amount - ((h + 8) >> 4) - ((h + 16) >> 5)
            self.V[c][x] = v + h - ((v + 4) >> 3) - ((v + 8) >> 4)

    def around_it(self, i, y, x, c, guess):
        """The ranks of the errors around and of the slope or of the reference's errors, the error before, textures."""
        six = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))

        def near(plane):
            return [self.at(plane, c, i, y + dy, x + dx) for dy, dx in six]

        ew, en, *others = near(self.E)
        energy = 2 * abs(ew) + 2 * abs(en) + sum(map(abs, others))
        before, beside = (self.at(self.E, c - 1, i, y, x + dx) if c else 0 for dx in (0, -1))
        if c:
            energy = 8 * (energy + 4 * abs(before) + abs(beside)) // 13
        w, n, nw, ne, ww, nn = near(self.L)
        above = [w, n, nw, ne, ww, nn, 2 * w - ww]
        if self.references and i:
            above.append(self.at(self.L, c, *self.around(i, 1, y, x)[0]))
            g = [self.at(self.E, c, *place) for place in self.around(i, 1, y, x)]
            slope, error = rank((abs(g[0]) + sum(map(abs, g))) // 6), before if c else g[0]
        else:
            slope, error = rank(16 * (abs(w - nw) + abs(n - nw) + abs(n - ne))), before if c else ew
        texture = sum(2**k * (64 * v > guess) for k, v in enumerate(above))
        return min(rank(energy >> 3), 87), min(min(slope, 87) >> 1, 31), error, texture

    def value(self, i, y, x, c, guess, spread):
        most = self.N[c] - 1
        e, slope, signed, texture = self.around_it(i, y, x, c, guess)
        second = slope if self.references and i else spread
        r = min(rank(abs(signed)) >> 1, 15)
        contexts = [min(e >> 1, 31), 32 + second, 64 + (31 - r if signed < 0 else r), 96 + texture, 352]
        bias, first = self.B[c][min(e >> 3, 7)][texture], self.S[c][0][e][spread]
        other = self.S[c][1][e][slope]
        mean = min(max(guess + bias[0] // bias[1], 0), 64 * most)
        seen = self.seen_at(i, y, x, c)
        v = self.questions(c, contexts, mean, guess, first, other, seen)
        if seen is not None:
            seen.add(v)
        self.put(c, i, y, x, v, 64 * v - mean)
        for pair, amount in ((bias, 64 * v - guess), (first, abs(64 * v - mean)), (other, abs(64 * v - guess))):
            count_in(pair, amount)
        return v

    def seen_at(self, i, y, x, c):
        """The values that were coded where the channels before were the same; None where that is not known."""
        known = c < 3 and self.N[c] <= 512
        return self.seen.setdefault((c, *(self.L[d][i, y, x] for d in range(c))), set()) if known else None

    def questions(self, c, contexts, mean, guess, first, other, seen):
        most = self.N[c] - 1
        scales = [max((pair[0] * 11818 >> 10) // pair[1], 8) for pair in (first, other)]

        def below(k, v):
            t = (64 * v - 32 - (mean, guess)[k]) * (2**30 // scales[k])
            return (27 * sigmoid(2**30 + t) + 5 * sigmoid(2**30 + (85 * t >> 8))) >> 5

        low, high, node, ends = 0, most, 1, [[0, 2**32], [0, 2**32]]
        while low < high and node < 64:
            d = node.bit_length() - 1
            z = Z[((2 * (node - 2**d) + 1) << (5 - d)) - 1]
            split = min(max((16 * mean + (z * scales[0] >> 8)) >> 10, low), high - 1)
            m = [below(k, split + 1) for k in range(2)]
            chances = [
                min(max(2**16 * (h - m[k]) // (h - b), 1), 2**16 - 1) if h > b else 2**15
                for k, (b, h) in enumerate(ends)
            ]
            if seen is not None:
                contexts[4] = 352 + around(seen, low, split, high)
            slots = [self.T[c].setdefault((context, node), [64 * chances[0], 0]) for context in contexts]
            inputs = [*(G[p >> 4] for p in chances), *(G[slot[0] >> 10] for slot in slots), 20]
            u = self.U[c][contexts[0] >> 2][node]
            p = min(max(sigmoid(2**30 + 16 * sum(a * b for a, b in zip(inputs, u, strict=True))) >> 8, 16), 2**24 - 16)
            a = int(self.stack.slot(24) < p)
            self.stack.pop(0 if a else p, p if a else 2**24 - p, 24)
            for k in range(8):
                u[k] = held(u[k] + ((inputs[k] * (2**16 * a - (p >> 8)) * 5 + 2**15) >> 16), 2**20)
            for slot in slots:
                slot[0] += ((2**22 - 1) * a - slot[0]) * (131072 // (2 * slot[1] + 3)) >> 16
                slot[1] = min(slot[1] + 1, 255)
            low, high = (split + 1, high) if a else (low, split)
            for k in range(2):
                ends[k][1 - a] = m[k]
            node = 2 * node + a
        if low == high:
            return low
        return self.rest(low, high, ends[0], lambda v: below(0, v))

    def rest(self, low, high, ends, below):
        """A value that all questions left open."""
        (b, h), count = ends, high - low + 1

        def start(v):
            if v in (low, high + 1):
                return 2**24 * (v > low)
            if h <= b:
                return (v - low) * 2**24 // count
            return (min(max(below(v), b), h) - b) * (2**24 - count) // (h - b) + v - low

        slot = self.stack.slot(24)
        v = found(start, slot, low, high)
        self.stack.pop(start(v), start(v + 1) - start(v), 24)
        return v


class Blended(Regressed):
    """The same with two windows, channel by channel."""

    margin, shapes = 3, 4

    def rows(self):
        self.T = [{} for _ in range(self.channels)]
        self.U = [[[[2**14] * 4 + [0] * 12 for _ in range(64)] for _ in range(8)] for _ in range(self.channels)]
        self.V, self.O = [None] * self.channels, [None] * self.channels
        first, total = 0, self.n * self.height
        while first < total:
            last = min(first + self.stack.height, total)
            for _ in range(first, last):
                self.stack.begin_row()
            for c in range(self.channels):
                row = first
                while row < last:
                    i, y = divmod(row, self.height)
                    row += self.channel_strip(c, i, y, min(self.height, y + last - row))
            first = last

    def channel_strip(self, c, i, first, end):
        """Code a strip of a channel; return how many rows it has. ``end``: of the image's rows, those known before."""
        rows = min(8 - first % 8, end - first)
        others, references = min(c, 2), self.references
        sizes = [12 + 6 * others, 20 + 12 * others]
        sizes = [size + 5 * references + (others if references else 0) + 1 for size in sizes]
        if first == 0:
            self.V[c] = [np.zeros((self.width, size * size + 1), np.int64) for size in sizes]
            self.O[c] = [{}, {}]
        self.H = [np.zeros((rows, size * size + 1), np.int64) for size in sizes]
        self.lower = {}
        for t in range(self.width + 4 * (rows - 1)):
            step = [(first + j, t - 4 * j, j) for j in range(rows) if 0 <= t - 4 * j < self.width]
            self.step(c, i, step, end)
        return rows

    def step(self, c, i, places, end):
        """Code samples side by side; ``places``: (y, x, row of the strip)."""
        bases, *both = zip(*(self.both(i, y, x, c, end) for y, x, _ in places), strict=True)
        both = [np.array(f, np.int64) for f in both]
        p = []
        for window, f in enumerate(both):
            size = f.shape[1] + 1
            if window == 0 or places[0][1] % 4 == 0:
                sums = np.array(
                    [self.H[window][j] + self.V[c][window][min(x + 3, self.width - 1)] for _, x, j in places]
                )
                ridge = 2 ** (21 - 2 * (3, 5)[window]) * np.eye(size, dtype=np.int64)
                lower, diagonal = factors(sums[:, :-1].reshape(-1, size, size) + ridge)
                if window == 0:
                    spreads = [
                        min(max(((log(int(d)) - log(int(w)) + 192) >> 4) + 10, 0), 31)
                        for d, w in zip(diagonal[:, -1], sums[:, -1], strict=True)
                    ]
                for k, (*_, j) in enumerate(places):
                    self.lower[window, j] = lower[k]
            p.append(self.predicted(np.stack([self.lower[window, j] for *_, j in places]), f))
        last = []
        for k, (y, x, _) in enumerate(places):
            last.append(self.blended(i, y, x, c, bases[k], [int(one[k]) for one in p], spreads[k]))
        for window, f in enumerate(both):
            self.remember_in(window, c, places, np.column_stack([f, last]), p[window])

    @staticmethod
    def predicted(lower, f):
        g, size = np.zeros_like(lower[:, 0]), lower.shape[1]
        for a in range(size):
            p = held_all((lower[:, a, :a] * g[:, :a]).sum(1) >> 14, 2**24)
            if a < size - 1:
                g[:, a] = held_all(64 * f[:, a] - p, 2**24)
        return p

    def remember_in(self, window, c, places, f, p):
        r = (3, 5)[window]
        d = 2**12 + 12 * np.abs(64 * f[:, -1] - p) + (f * f).sum(1)
        bits = np.bitwise_or.reduce(np.abs(f), 1).tolist()
        s = np.array([max(one.bit_length() - 11, 0) for one in bits], np.int64)
        q, f = 2 ** (41 - 2 * r + 2 * s) // d, f >> s[:, None]
        z = (f * q[:, None] >> 10)[:, :, None] * f[:, None]
        amounts = np.column_stack([z.reshape(len(places), -1), 2 ** (43 - 2 * r) // d])
        for (_, x, j), amount in zip(places, amounts, strict=True):
            h, v = self.H[window][j], self.V[c][window][x]
            h += amount - ((h + 2 ** (r - 1)) >> r)
            v += h - ((v + 2 ** (r - 2)) >> (r - 1))

    def both(self, i, y, x, c, end):
        """The base, and the regressors but the last in both windows."""

        def v(d, dy, dx):
            return self.at(self.L, d, i, y + dy, x + dx)

        def plane(d):
            return v(d, 0, -1) + (v(d, -1, 0) - v(d, -1, -1) if y else 0)

        def bend(a, b, e):
            """Three places in a row."""
            return v(c, *a) - 2 * v(c, *b) + v(c, *e)

        def corner(a, b, d, e):
            return v(c, *a) - v(c, *b) - v(c, *d) + v(c, *e)

        own = [0] * 20
        if y == 0:
            own[0] = v(c, 0, -1) - v(c, 0, -2)
        else:
            own[0], own[1] = v(c, -1, 0) - v(c, -1, -1), v(c, 0, -1) - v(c, -1, -1)
            own[2], own[3] = corner((0, -1), (0, -2), (-1, -1), (-1, -2)), bend((-1, 1), (-1, 0), (-1, -1))
            own[4], own[5] = bend((-1, 2), (-1, 1), (-1, 0)), bend((-1, 0), (-1, -1), (-1, -2))
            own[11], own[13] = bend((0, -1), (0, -2), (0, -3)), bend((-1, -1), (-1, -2), (-1, -3))
            own[14] = bend((-1, 3), (-1, 2), (-1, 1))
        if y > 1:
            own[6], own[7] = corner((-1, 0), (-2, 0), (-1, -1), (-2, -1)), corner((-1, 1), (-2, 1), (-1, 0), (-2, 0))
            own[8], own[9] = bend((0, -1), (-1, -1), (-2, -1)), corner((-1, 2), (-2, 2), (-1, 1), (-2, 1))
            own[10] = corner((-1, -1), (-1, -2), (-2, -1), (-2, -2))
            own[17], own[18] = bend((-2, -3), (-2, -2), (-2, -1)), bend((-2, 3), (-2, 2), (-2, 1))
        if y > 2:
            own[12], own[15] = bend((-1, 0), (-2, 0), (-3, 0)), bend((-1, -1), (-2, -1), (-3, -1))
            own[16], own[19] = bend((-1, 1), (-2, 1), (-3, 1)), bend((-3, 2), (-2, 2), (-1, 2))
        base, short, long = plane(c), own[:12], own
        for k in range(1, self.references + 1):
            a, *rest = (self.L[c].get(place) for place in self.around(i, k, y, x))
            one = [0] * 5 if i < k else [a - base, *(b - a for b in rest)]
            short, long = short + one, long + one
        for d in range(c - 1, max(c - 3, -1), -1):
            right, left = min(x + 1, self.width - 1) - x, -1 if x else 0
            further = min(x + 2, self.width - 1) - x
            below, bottom = min(y + 1, end - 1) - y, min(y + 2, end - 1) - y
            z, its = v(d, 0, 0), plane(d)
            one = [z - its, its - v(d, 0, -1), v(d, 0, right) - z, v(d, below, 0) - z]
            one += [v(d, 0, -1) - v(d, -1, -1), v(d, -1, 1) - v(d, -1, 0)] if y else [0, 0]
            more = [v(d, below, right) - v(d, below, 0), v(d, below, left) - v(d, below, 0)]
            more += [v(d, 0, -1) - v(d, 0, -2), v(d, -1, 0) - v(d, -2, 0) if y > 1 else 0]
            more += [v(d, 0, further) - v(d, 0, right), v(d, bottom, 0) - v(d, below, 0)]
            short, long = short + one, long + one + more
            if self.references:
                there = [self.at(self.L, d, *self.around(i, 1, y, x)[0]) - its if i else 0]
                short, long = short + there, long + there
        return base, short, long

    def blended(self, i, y, x, c, base, p, spread):
        """Code a sample; return what the last regressor is then."""
        most = self.N[c] - 1
        both = [min(max(64 * base + one, 0), 64 * most) for one in p]
        off = []
        for errors in self.O[c]:
            ring = ((4, (0, -1), (-1, 0)), (2, (-1, -1), (-1, 1), (0, -2), (-2, 0)))
            ring += ((1, (-2, -1), (-2, 1), (-1, -2), (-1, 2)),)
            off.append(sum(k * abs(errors.get((y + dy, x + dx), 0)) for k, *near in ring for dy, dx in near))
        a, b = (one + 16 for one in off)
        while a >= 2**15 or b >= 2**15:
            a, b = a >> 1, b >> 1
        guess = both[1] + (both[0] - both[1]) * b * b // (a * a + b * b)
        if self.how >= 4 and c and self.at(self.L, 0, i, y, x) == 0:
            v = (guess + 32) >> 6
            self.put(c, i, y, x, v, 0)
        else:
            v = self.asked(i, y, x, c, guess, both, off, spread)
        for errors, one in zip(self.O[c], both, strict=True):
            errors[y, x] = 64 * v - one
            for k in (1, 2):
                if x == 0:
                    errors[y + 1, -k] = 64 * v - one
                if x == self.width - 1:
                    errors[y, x + k] = 64 * v - one
        return v - base

    def asked(self, i, y, x, c, guess, both, off, spread):
        most = self.N[c] - 1

        def near(plane, *offsets, of=c):
            return [self.at(plane, of, i, y + dy, x + dx) for dy, dx in offsets]

        e, h, error, texture = self.around_it(i, y, x, c, guess)
        ew, en = near(self.E, (0, -1), (-1, 0))
        w, n, ne, ww = near(self.L, (0, -1), (-1, 0), (-1, 1), (0, -2))

        def signed(v, octaves):
            r = min(min(rank(abs(v)), 87) >> octaves, 15)
            return 31 - r if v < 0 else r

        bias = self.B[c][min(e >> 3, 7)][texture]
        mean = min(max(guess + bias[0] // bias[1], 0), 64 * most)
        shapes = [self.S[c][0][e][spread], self.S[c][1][e][h]]
        for k in range(2):
            far = min(min(rank(abs(both[k] - guess)), 87) >> 1, 31)
            shapes.append(self.S[c][2 + k][min(rank(off[k] >> 4), 87)][far])
        if c:
            z, left, over = near(self.L, (0, 0), (0, -1), (-1, 0), of=c - 1)
            rise, climb = 64 * (z - left), 64 * (z - over)
        else:
            rise, climb = 64 * ne - guess, 64 * ww - guess
        other = near(self.E, (0, 0), of=c - 2)[0] if c > 1 else en
        coarse = 32 * min(e >> 2, 21)
        contexts = [
            h if self.references and i else spread,
            texture,
            coarse + signed(error, 1),
            32 * signed(error, 1) + signed(other, 1),
            coarse + signed(2 * (both[0] - both[1]), 1),
            32 * signed(ew, 1) + signed(en, 1),
            32 * h + spread,
            32 * signed(64 * w - guess, 2) + signed(64 * n - guess, 2),
            32 * signed(rise, 2) + signed(climb, 2),
            32 * (mean % 64 >> 2) + min(e >> 1, 31),
            ((mean + 32) >> 6) >> max(most.bit_length() - 9, 0),
        ]
        means = [mean, guess, *both]
        seen = self.seen_at(i, y, x, c)
        v = self.voices(c, contexts, self.U[c][min(e >> 3, 7)], means, shapes, seen)
        if seen is not None:
            seen.add(v)
        self.put(c, i, y, x, v, 64 * v - mean)
        amounts = [64 * v - guess, *(abs(64 * v - one) for one in means)]
        for pair, amount in zip([bias, *shapes], amounts, strict=True):
            count_in(pair, amount)
        return v

    def voices(self, c, contexts, weights, means, shapes, seen):
        most = self.N[c] - 1
        scales = [max((pair[0] * 11818 >> 10) // pair[1], 8) for pair in shapes]

        def below(k, v):
            t = (64 * v - 32 - means[k]) * (2**30 // scales[k])
            return (27 * sigmoid(2**30 + t) + 5 * sigmoid(2**30 + (85 * t >> 8))) >> 5

        low, high, node, ends = 0, most, 1, [[0, 2**32] for _ in means]
        while low < high and node < 64:
            d = node.bit_length() - 1
            z = Z[((2 * (node - 2**d) + 1) << (5 - d)) - 1]
            split = min(max((16 * means[0] + (z * scales[0] >> 8)) >> 10, low), high - 1)
            m = [below(k, split + 1) for k in range(4)]
            chances = [
                min(max(2**16 * (h - m[k]) // (h - b), 1), 2**16 - 1) if h > b else 2**15
                for k, (b, h) in enumerate(ends)
            ]
            if seen is not None:
                contexts[10] = around(seen, low, split, high)
            places = [(k, context, node) for k, context in enumerate(contexts)]
            slots = [self.T[c].setdefault(place, [64 * chances[0], 0]) for place in places]
            inputs, u = [*(G[p >> 4] for p in chances), *(G[slot[0] >> 10] for slot in slots), 20], weights[node]
            p = min(max(sigmoid(2**30 + 16 * sum(a * b for a, b in zip(inputs, u, strict=True))) >> 8, 16), 2**24 - 16)
            a = int(self.stack.slot(24) < p)
            self.stack.pop(0 if a else p, p if a else 2**24 - p, 24)
            for k in range(16):
                u[k] = held(u[k] + ((inputs[k] * (2**16 * a - (p >> 8)) + 2**13) >> 14), 2**20)
            for slot in slots:
                slot[0] += ((2**22 - 1) * a - slot[0]) * (131072 // (2 * slot[1] + 3)) >> 16
                slot[1] = min(slot[1] + 1, 255)
            low, high = (split + 1, high) if a else (low, split)
            for k in range(4):
                ends[k][1 - a] = m[k]
            node = 2 * node + a
        return low if low == high else self.rest(low, high, ends[0], lambda v: below(0, v))


class Repeats:
    """Pixels that were there before, of the images of ``coded``."""

    def __init__(self, coded):
        self.coded, self.stack = coded, coded.stack
        self.s, self.size = coded.width + 4, (coded.width + 4) * (coded.height + 2)
        self.c = min(max((coded.n * coded.width * coded.height).bit_length() + 1, 9), 19)
        self.P, self.S, self.O, self.slots = {}, ({}, {}, {}), {}, {}
        self.U = [[2**14] * 10 for _ in range(144)]

    def place(self, i, y, x):
        return i * self.size + (y + 2) * self.s + x + 2

    def note(self, i, y, x):
        number = 1
        for c in range(self.coded.channels):
            number = mix(number, self.coded.L[c][i, y, x])
        p = self.place(i, y, x)
        places = [p]
        if x == 0 and y + 1 < self.coded.height:
            places += [p + self.s - 1, p + self.s - 2]
        if x == self.coded.width - 1:
            places += [p + 1, p + 2]
        for q in places:
            self.P[q] = max(number, 1)

    def ask(self, i, y, x, going):
        """The samples of a pixel that was there before; None for a new one."""
        p, s, m = self.place(i, y, x), self.s, 2**self.c

        def number(q):
            return self.P.get(q, 0)

        def around(q):
            return [number(q + d) for d in (-1, -s, -s - 1, -s + 1, -2, -2 * s)]

        w, n, nw, ne, ww, nn = around(p)
        near = mix(w, n)
        middle = mix(mix(near, nw), ne)
        wide = mix(mix(mix(mix(middle, ww), nn), number(p - s + 2)), number(p - 2 * s + 1))
        left, above = mix(w, 77), mix(n, 78)
        pattern = sum(e << k for k, e in enumerate((w == n, w == nw, n == nw, n == ne, w == ww, n == nn)))
        a, g = going
        if g == 0:
            over = self.O.get(x, 0)
            a = self.S[0].get(wide % m) or self.S[1].get(middle % m) or (over + s if over else a)
        if a >= self.coded.n * self.size - 2:
            a = 0
        alike = sum((b == e) << k for k, (b, e) in enumerate(zip(around(p), around(a), strict=True))) if a else 0
        sources = [a, self.S[1].get(middle % m, 0), p - 1, p - s, self.S[2].get(near % m, 0), p - s + 1, p - s - 1]
        sources += [self.S[2].get(left % m, 0), self.S[2].get(above % m, 0)]
        numbers, taken, right, asked = [number(q) for q in sources], None, False, 0
        for t, (q, its) in enumerate(zip(sources, numbers, strict=True)):
            if its == 0 or its in numbers[:t]:
                continue
            votes = sum((its == other) << k for k, other in enumerate(numbers[t + 1 :], t))
            contexts = [pattern, alike + 64 * min(g, 15), near, middle, wide, mix(near, its)]
            contexts += [mix(mix(middle, its), alike), 4 * votes + min(g, 3), its, 8 * votes + min(asked, 7)]
            asked += 1
            if self.answer(t, contexts, g):
                where = q // self.size, q % self.size // s - 2, q % s - 2
                taken = [self.coded.at(self.coded.L, c, *where) for c in range(self.coded.channels)]
                right = a > 0 and its == number(a)
                break
        going[:] = a + (a > 0), min(g + 1, 63) if right else 0
        self.O[x] = a
        self.S[0][wide % m] = self.S[1][middle % m] = p
        for e in (near, left, above):
            self.S[2][e % m] = p
        return taken

    def answer(self, t, contexts, g):
        places = [mix(context, 16 * t + k) % 2 ** (self.c + 3) for k, context in enumerate(contexts)]
        found = [self.slots.get(place, (2**21, 0)) for place in places]
        inputs = [G[chance >> 10] for chance, _ in found]
        u = self.U[16 * t + min(g, 7) + 8 * (found[4][1] > 0)]
        p = min(max(sigmoid(2**30 + 16 * sum(a * b for a, b in zip(inputs, u, strict=True))) >> 8, 16), 2**24 - 16)
        e = int(self.stack.slot(24) < p)
        self.stack.pop(0 if e else p, p if e else 2**24 - p, 24)
        for k, place in enumerate(places):
            u[k] = held(u[k] + ((inputs[k] * (2**16 * e - (p >> 8)) * 14 + 2**17) >> 18), 2**20)
            chance, seen = self.slots.get(place, (2**21, 0))
            chance += ((2**22 - 1) * e - chance) * (131072 // (2 * seen + 3)) >> 16
            self.slots[place] = chance, min(seen + 1, 120)
        return e


def found(start, slot, low, high):
    """The last value whose interval begins at the slot or before."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if start(middle) <= slot else (low, middle - 1)
    return low


def regressed(data, n, height, width, channels, how, kind=Regressed):
    coded = kind(data, n, height, width, channels, how)
    places = product(range(n), range(height), range(width))
    out = np.array([[coded.L[c][place] for c in range(channels)] for place in places], np.int64)
    return painted(out.reshape(n, height, width, channels), coded.most, coded.how)


def counted(data, size, period):
    """So many bytes, by how often they occurred."""
    period = period if period <= 16 else 1
    stack, known, out = Bands(data, 1), {}, bytearray()
    for at in range(size):
        stack.begin_row()
        node = 1
        while node < 256:
            chance, seen = known.get((at % period, node), (2**21, 0))
            p = min(max(chance >> 6, 1), 65535)
            e = int(stack.slot(16) < p)
            stack.pop(0 if e else p, p if e else 2**16 - p, 16)
            chance += ((e * (2**22 - 1) - chance) * (2**17 // (2 * seen + 3))) >> 16
            known[at % period, node] = chance, min(seen + 1, 1023)
            node = 2 * node + e
        out.append(node - 256)
    stack.end()
    assert not data
    return bytes(out)


def serial(variant, body, shape, size):
    if variant >> 4 == 1:
        body = lzma.decompress(body, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 22}])
    elif variant >> 4 == 2:
        body = zlib.decompress(body, -15)
    n, height, width, channels = shape
    if variant >> 4 == 3:
        assert variant == 0x30
        body = counted(list(body), n * height * width * channels * size, channels * size)
    if variant & 8:
        low, high = (int.from_bytes(body[at : at + size], "little") for at in (0, size))
        rows = np.frombuffer(body[2 * size :], np.uint8).reshape(n * height, -1)
        bits = np.array([[row[i // 8] >> (7 - i % 8) & 1 for i in range(width * channels)] for row in rows], np.int64)
        return np.where(bits, high, low).reshape(shape)
    if not variant & 4:
        return np.frombuffer(body, f"<u{size}").reshape(shape).astype(np.int64)
    total = n * height * width * channels
    stored = [body[i] if size == 1 else body[i] << 8 | body[total + i] for i in range(total)]
    planes = np.array([s // 2 if s % 2 == 0 else -(s + 1) // 2 for s in stored], np.int64).reshape(
        channels, n, height, width
    )
    modulus = 1 << 8 * size
    for plane in planes.reshape(-1, height, width):
        for y in range(height):
            for x in range(width):
                above = int(plane[y - 1, x]) if y else 0
                corner = int(plane[y - 1, x - 1]) if y and x else 0
                left = int(plane[y, x - 1]) if x else above
                corner = corner if x else above
                prediction = min(max(left + above - corner, min(left, above)), max(left, above))
                plane[y, x] = (plane[y, x] + prediction) % modulus
    if variant & 3:
        m = modulus // 2

        def half(x):
            x = x % modulus
            return np.where(x >= m, x - modulus, x) // 2

        p0, p1, p2 = planes[0], planes[1] - m, planes[2] - m
        if variant & 3 == 1:
            planes[:3] = p1 + p0, p0, p2 + p0
        else:
            t = p0 - half(p2)
            blue = t - half(p1)
            planes[:3] = p1 + blue, p2 + t, blue
    return planes.transpose(1, 2, 3, 0) % modulus


def decoded(payload, n, height, width, channels, size):
    """A payload's images, (n, height, width, channels), int64; ``size``: bytes of a sample."""
    data = list(payload)
    tag = data.pop(0)
    if tag == 0xC2:
        images = []
        for _ in range(n):
            length = varint(data)
            images.append(decoded(data[:length], 1, height, width, channels, size))
            del data[:length]
        out = np.concatenate(images)
    elif tag >= 0xC0:
        count, length = varint(data), varint(data)
        own = channels if tag == 0xC0 else 1
        table = decoded(data[:length], 1, 1, count, own, size)[0, 0]
        inner = 1 if tag == 0xC0 else channels
        indices = decoded(data[length:], n, height, width, inner, 1 if count <= 256 else 2)
        return table[indices[..., 0]] if tag == 0xC0 else table[:, 0][indices]
    elif tag == 0x80:
        out = np.stack(mixing(data, [(n, height, width)]))
    elif tag >= 0x90:
        out = regressed(data, n, height, width, channels, tag - 0x90, Blended)
    elif tag >= 0x50:
        out = regressed(data, n, height, width, channels, tag - 0x50)
    elif tag >= 0x40:
        out = smooth(data, n, height, width, channels, tag - 0x40)
    else:
        return serial(tag, bytes(data), (n, height, width, channels), size)
    assert not data
    return out


def decoded_lots(payload, lots, channels, size):
    """Images of several lots, (number, height, width), one by one."""
    data = list(payload)
    tag = data.pop(0)
    if tag == 0xC0:
        count, length = varint(data), varint(data)
        table = decoded(data[:length], 1, 1, count, channels, size)[0, 0]
        assert data[length] == 0x80
        return [table[indices[..., 0]] for indices in decoded_lots(data[length:], lots, 1, 1 if count <= 256 else 2)]
    if tag == 0x80:
        assert channels == 1
        out = mixing(data, lots)
    else:
        assert tag == 0xC3
        numbers, found, at = {}, {}, 0
        for n, height, width in lots:
            numbers.setdefault((height, width), []).extend(range(at, at + n))
            at += n
        for (height, width), mine in numbers.items():
            length = varint(data)
            images = decoded(data[:length], len(mine), height, width, channels, size)
            found |= zip(mine, images, strict=True)
            del data[:length]
        out = [found[number] for number in range(at)]
    assert not data
    return out
