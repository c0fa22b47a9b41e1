"""A second decoder of JPEG payloads and files, written from docs/format.md ("kind 5: jpeg", "Recipes") and ITU-T T.81.

It computes with Python's integers, one answer at a time, and shares nothing with the package but the bytes of tables.
"""

import lzma
import struct
from bisect import bisect_left

import numpy as np

from bitsback_decoder.adaptive import sigmoid, varint
from bitsback_decoder.tables import raw

ZIGZAG = sorted(range(64), key=lambda k: (sum(divmod(k, 8)), k if sum(divmod(k, 8)) % 2 else -k))

ORDER = [k for k in ZIGZAG if k % 8 and k // 8] + [7, 56, 6, 48, 5, 40, 4, 32, 3, 24, 2, 16, 1, 8, 0]

H = [
    [2048, 0, 0, 0, 0, 0, 0, 0],
    [1856, 835, -141, 39, 0, -26, 59, -166],
    [0, 2009, 0, 0, 0, 0, 0, -400],
    [-652, 1589, 971, -166, 0, 111, -402, -316],
    [0, 0, 1892, 0, 0, 0, -784, 0],
    [435, -708, 1453, 835, 0, -558, -602, 141],
    [0, 0, 0, 1703, 0, -1138, 0, 0],
    [-369, 558, -710, 1474, 0, -985, 294, -111],
]

FINE = [sigmoid(2**30 + (i - 3072) * 2**18) for i in range(6144)]
SQUASH = [min(max(FINE[4 * i + 2] >> 16, 24), 65512) for i in range(1536)]
STRETCH = [min(max(bisect_left(FINE, (2 * j + 1) * 2**19) - 3072, -3071), 3071) for j in range(4096)]

COUNT = [26, 100, 50, 50, 400, 100, 32]
SIZE = [1920, 1728, 1920, 3200, 3840, 3584, 3000]
SIGN = [1280, 576, 576, 1728, 972, 2560, 1458]
REST = [323, 1088, 340]
SORTS = {"count": (COUNT, 64), "size": (SIZE, 8), "sign": (SIGN, 1), "rest": (REST, 8)}


def c(n):
    return min(max(n, -8191), 8191)


def held(n):
    return min(max(n, -32768), 32767)


def s(n):
    return 1 if n == 0 else 2 if n > 0 else 0


def size(n):
    m = min(abs(n), 255)
    digits = (m - 1).bit_length()
    return m if m < 5 else min(5 + 2 * (digits - 3) + ((m - 1) >> (digits - 2)) % 2, 19)


def log(n):
    m = min(max(n, 0), 4095) + 2
    digits = m.bit_length()
    return min(4 * (digits - 2) + (4 * m >> (digits - 1)) % 4, 39)


def binned(n):
    return n if n < 3 else 3 + (n - 3) // 3 if n < 9 else min(5 + (n - 9) // 8, 9)


class Learned:
    """All that is learned, and the stack that answers come from."""

    raw = lzma.decompress(
        raw("jpeg"),
        lzma.FORMAT_RAW,
        filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 23}],
    )

    def __init__(self, own=None):
        """``own``: a model of kind jpeg, whose tensors are what is different."""
        at = 0

        def other(name, values, low, high):
            return np.clip(values + np.array(own.tensor(name)), low, high) if own else values

        def take(form, count):
            nonlocal at
            found = np.frombuffer(self.raw, form, count, at).astype(np.int64)
            at += found.size * np.dtype(form).itemsize
            return found

        self.predict, self.expect = take("<i2", 7680).reshape(3, 64, 40), take("<i2", 7680).reshape(3, 64, 40)
        self.least = take("<i2", 192).reshape(3, 64)
        slots = 3 * sum(sum(counts) * each for counts, each in SORTS.values())
        chances = np.array([min(SQUASH[min(max(24 * n + 3072, 0), 6143) // 4], 65504) for n in range(-128, 128)])
        self.slots = chances[other("slots", take("i1", slots), -128, 127) + 128].tolist()
        self.weights = other("weights", take("<i2", 1149 * 8), -32768, 32767).reshape(-1, 8).tolist()
        self.alone = chances[other("single", take("i1", 4096), -128, 127) + 128].tolist()
        assert at == len(self.raw)
        self.begins = {}
        begin = 0
        for name, (counts, each) in SORTS.items():
            self.begins[name] = []
            for count in counts:
                self.begins[name].append((begin, count, each))
                begin += 3 * count * each

    def pop(self, chance):
        slot = self.head % 65536
        answer = slot < chance
        start, freq = (0, chance) if answer else (chance, 65536 - chance)
        self.head = freq * (self.head >> 16) + slot - start
        if self.head < 2**32:
            self.head = (self.head << 32) + self.tail.pop()
        return int(answer)

    def ask_alone(self, number):
        slot = self.alone[number]
        answer = self.pop(min(max(slot, 24), 65512))
        self.alone[number] = slot - ((slot + 31) >> 6) + 1023 * answer
        return answer

    def ask(self, name, cls, numbers, node, sets):
        """``numbers``: of contexts, each in its sort, by whose ``node`` is asked."""
        slots = [
            begin + (cls * count + number) * each + node
            for (begin, count, each), number in zip(self.begins[name], numbers, strict=True)
        ]
        x = [STRETCH[self.slots[slot] >> 4] for slot in slots] + [512]
        x += [0] * (8 - len(x))
        weights = [self.weights[number] for number in sets]
        t = sum(a * held(w + w_) for a, w, w_ in zip(x, *weights, strict=True)) >> 14
        q = SQUASH[min(max(t + 3072, 0), 6143) // 4]
        answer = self.pop(q)
        for slot in slots:
            self.slots[slot] += 1023 * answer - ((self.slots[slot] + 31) >> 6)
        e = (65536 * answer - q) >> 3
        for row in weights:
            for i in range(8):
                row[i] = held(row[i] + ((((2 * x[i] * e) >> 16) + 1) >> 1))
        return answer


class Component:
    def __init__(self, width, height, across, down, table):
        self.width, self.height, self.across, self.down, self.table = width, height, across, down, table
        self.q = [max(value, 1) for value in table]
        self.r = [(65536 + q // 2) // q for q in self.q]


def layouts(data):
    data, out, tables = bytearray(data), [], []
    while data:
        kind = varint(data)
        if kind == 0:
            out.append(out[-1])
            continue
        width, height = varint(data), varint(data)
        components = []
        for _ in range(kind // 2):
            across, down = divmod(data.pop(0), 16)
            if kind % 2 and components:
                wide, high = varint(data), varint(data)
            elif components:
                wide, high = width // components[0].across * across, height // components[0].down * down
            else:
                wide, high = width, height
            number = varint(data)
            if number == 0:
                table = [0] * 64
                for k in ZIGZAG:
                    table[k] = varint(data)
                tables.append(table)
            components.append(Component(wide, high, across, down, tables[number - 1]))
        out.append(components)
    return out


def parts(components):
    """The rows of the components in each part."""
    blocks = sum(one.width * one.height for one in components)
    if len(components) == 1:
        h, steps = components[0].height, [1]
    else:
        same = {one.height / one.down for one in components}
        h = int(min(same)) if len(same) == 1 and min(same) == int(min(same)) else 1
        steps = [one.down if h > 1 else one.height for one in components]
    count = max(1, min(round(blocks / 65536), h))
    if count == 1:
        return [[(0, one.height) for one in components]]
    return [[(h * i // count * step, h * (i + 1) // count * step) for step in steps] for i in range(count)]


class Rows:
    """Rows of blocks of a component in a stretch: coefficients by row, column and k, 0 where nothing is known."""

    def __init__(self, component, first, last):
        self.component, self.first, self.count = component, first, last - first
        self.levels = np.zeros((last - first, component.width, 64), np.int64).tolist()
        self.counts, self.rests = {}, {}

    def level(self, y, x, k):
        inside = 0 <= y < self.count and 0 <= x < self.component.width
        return self.levels[y][x][k] if inside else 0

    def value(self, y, x, k):
        return c(self.level(y, x, k) * self.component.q[k])


def of_first(first, component, y, x):
    """Y: the block of the first component at the same place."""
    f = 2 if first.component.across == 2 * component.across else 1
    g = 2 if first.component.down == 2 * component.down else 1
    halves = []
    for b in range(g):
        blocks = []
        for a in range(f):
            row, column = min(g * y + b, first.count - 1), min(f * x + a, first.component.width - 1)
            blocks.append([first.value(row, column, k) for k in range(64)])
        one, two = blocks[0], blocks[-1]
        halves.append(
            one
            if f == 1
            else [
                c(sum(H[u][i] * (one[8 * v + i] + (-1) ** (u + i) * two[8 * v + i]) for i in range(8)) >> 12)
                for v in range(8)
                for u in range(8)
            ]
        )
    if g == 1:
        return halves[0]
    return [
        c(sum(H[v][i] * (halves[0][8 * i + u] + (-1) ** (v + i) * halves[1][8 * i + u]) for i in range(8)) >> 12)
        for v in range(8)
        for u in range(8)
    ]


class Block:
    """The decoding of one block."""

    def __init__(self, learned, rows, cls, y, x, first, second):
        self.learned, self.rows, self.d, self.y, self.x = learned, rows, cls, y, x
        self.one = rows.component
        self.Y, self.Z = [0] * 64, [0] * 64
        if cls > 0:
            self.Y = of_first(first, self.one, y, x)
        if cls == 2 and (second.count, second.component.width) == (rows.count, self.one.width):
            self.Z = [second.value(y, x, k) for k in range(64)]
        self.C = rows.levels[y][x]

    def near(self, j, k):
        if j == 0:
            return [self.C[k - 1], self.C[k - 8], self.C[k - 9]]
        if 0 < k < 8:
            return [self.C[k + 8], 0 if k == 7 else self.C[k + 1], self.C[k + 16]]
        return [self.C[k + 1], 0 if k in (0, 56) else self.C[k + 8], self.C[k + 2]]

    def decode(self):
        self.n = self.count()
        self.rows.counts[self.y, self.x] = self.n
        self.L, self.E, self.h, self.G = self.n, 0, 0, 0
        for rank, k in enumerate(ORDER):
            j = 0 if rank < 49 else 1 if rank < 63 else 2
            if j == 0 and self.L == 0:
                continue
            number, guess = self.number(rank, k, j)
            self.C[k] = (number + guess + 32768) % 65536 - 32768
            self.h = size(number)
            self.G += min(abs(number), 64)
            self.L -= j == 0 and number != 0
            self.E += j > 0 and number != 0
        self.rows.rests[self.y, self.x] = min(abs(number), 1023)

    def count(self):
        y, x, known = self.y, self.x, self.rows.counts
        w, n, nw, ne, ww, nn = (
            known.get((y + dy, x + dx), 0) for dy, dx in ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
        )
        if y == 0:
            n = nw = ne = nn = w
        if x == 0:
            w = nw = ww = n
        m = (2 * w + 2 * n + nw + ne + 3) // 6
        luma = sum(2 * abs(self.Y[k]) > self.one.q[k] for k in ORDER[:49]) if self.d else 0
        numbers = [
            (2 * (w + n) + nw + ne + ww + nn + 7) >> 4,
            10 * binned(w) + binned(n),
            m,
            luma,
            20 * min(m >> 1, 19) + min(luma >> 1, 19),
            10 * binned(nw) + binned(ne),
            binned(ww) + 10 * (binned(nn) >> 2),
        ]
        node = 1
        for _ in range(6):
            sets = (64 * self.d + node, 576 + 50 * self.d + m)
            node = 2 * node + self.learned.ask("count", self.d, numbers, node, sets)
        return min(node - 64, 49)

    def foresee(self, rank, k, j):
        v, u = divmod(k, 8)
        y, x, value = self.y, self.x, self.rows.value
        a = [value(y, x - 1, 8 * v + i) for i in range(8)] + [value(y - 1, x, 8 * i + u) for i in range(8)]
        a += [value(y, x, 8 * v + i) for i in range(8)] + [value(y, x, 8 * i + u) for i in range(8)]
        a += [value(y + dy, x + dx, k) for dy, dx in ((-1, -1), (-1, 1), (0, -2), (-2, 0))]
        a += [self.Y[k], self.Z[k], value(y, x, k - 9) if j == 0 else 0, 0]
        r, least = self.one.r[k], int(self.learned.least[self.d, k])
        predict, expect = (weights[self.d, k].tolist() for weights in (self.learned.predict, self.learned.expect))
        predicted = ((sum(p * n for p, n in zip(predict, a, strict=True)) >> 8) * r) >> 16
        expected = (sum(p * abs(n) for p, n in zip(expect, a, strict=True)) >> 8) + ((least * self.one.q[k]) >> 8)
        return predicted, log((expected * r) >> 16)

    def number(self, rank, k, j):
        d, learned = self.d, self.learned
        y, x = self.y, self.x
        predicted, e = self.foresee(rank, k, j)
        guess = 0
        r_n, r_w = self.rows.rests.get((y - 1, x), 0), self.rows.rests.get((y, x - 1), 0)
        if j == 2:
            guess = (predicted + 8) >> 4
            predicted -= 16 * guess
            e = log(4 * (r_n + r_w) + 4)
        near = self.near(j, k)
        some, exactly = (min(self.L, 15), self.L) if j == 0 else (0, self.n)
        if j:
            some = min(self.n >> 2, 12) + (self.E > 2) + (self.E > 5) + (self.E > 8)
        p = (predicted + 8) % 16 if j == 2 else size((abs(predicted) + 2) >> 2)
        if d:
            f, g = (size((abs(other[k]) * self.one.r[k]) >> 15) for other in (self.Y, self.Z))
        elif j == 2:
            f, g = size(r_n), size(r_w)
        else:
            f, g = size(self.rows.level(y - 1, x, k)), size(self.rows.level(y, x - 1, k))
        a, b, third = (min(size(n), most) for n, most in zip(near, (5, 5, 3), strict=True))
        numbers = [
            3 * (16 * e + some) + j,
            12 * (4 * (6 * a + b) + third) + binned(exactly),
            3 * (32 * p + min(e, 31)) + j,
            50 * rank + exactly,
            6 * (10 * rank + min(size(self.one.q[k]), 9)) + min(e >> 2, 5),
            4 * (14 * rank + min(size(self.G), 13)) + min(self.h, 3),
            3 * (10 * (10 * min(f, 9) + min(g, 9)) + min(e >> 2, 9)) + j,
        ]
        t, digits = 3 * d + j, 0
        while digits < 16:
            if digits < 11:
                sets = (192 + 16 * t + digits, 726 + 40 * d + e if digits == 0 else 846 + 64 * d + rank)
                answer = learned.ask("size", d, numbers, min(digits, 7), sets)
            else:
                answer = learned.ask_alone(digits)
            if not answer:
                break
            digits += 1
        if not digits:
            return 0, guess
        negative = self.sign(rank, k, j, predicted, e, near)
        number = self.rest(rank, j, predicted, e, digits, negative)
        return -number if negative else number, guess

    def sign(self, rank, k, j, predicted, e, near):
        down, p = int(predicted < 0), size((abs(predicted) + 1) >> 1)
        m = 9 * s(near[0]) + 3 * s(near[1]) + s(near[2])
        a, b = s(self.rows.level(self.y - 1, self.x, k)), s(self.rows.level(self.y, self.x - 1, k))
        y, z = s(self.Y[k]), s(self.Z[k])
        numbers = [
            2 * (2 * (16 * p + min(e >> 2, 9)) + down) + (j > 0),
            9 * rank + 3 * a + b,
            9 * rank + 3 * y + z,
            27 * rank + m,
            12 * (27 * y + 9 * z + 3 * a + b) + (rank >> 3),
            2 * (20 * rank + p) + down,
            2 * (27 * (9 * a + 3 * b + y) + m) + down,
        ]
        sets = (336 + 64 * self.d + rank, 1038 + 20 * self.d + p)
        return self.learned.ask("sign", self.d, numbers, 0, sets)

    def rest(self, rank, j, predicted, e, digits, negative):
        m, towards = 1, -predicted if negative else predicted
        for i in range(digits - 2, -1, -1):
            if j < 2 and i >= digits - 4:
                where = (((towards >> 4) - (2 * m + 1) * 2**i) * 4 >> i) + 9
                numbers = [17 * min(max(where, 0), 18) + digits, 17 * rank + digits, 17 * (e >> 1) + digits]
                sets = (528 + 16 * self.d + m, 1098 + 17 * self.d + digits)
                answer = self.learned.ask("rest", self.d, numbers, m, sets)
            else:
                answer = self.learned.ask_alone(32 + 16 * (16 * (3 * self.d + j) + digits - 1) + i)
            m = 2 * m + answer
        return m


def weights_of_own(data):
    """What is more in ``predict``, by class and k: (3, 64, 40)."""
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def take(count):
        nonlocal at
        at += count
        assert at <= len(bits)
        return int(bits[at - count : at] or "0", 2)

    more = np.zeros((3, 64, 40), np.int64)
    for d in range(3) if data else ():
        for k in range(64) if take(1) else ():
            if not take(1):
                continue
            r = take(4)
            for i in range(40):
                n = 0
                while take(1):
                    n += 1
                assert n <= 4096
                f = (n << r) + take(r)
                fine = (i == 0 and k < 8) or (i == 8 and k % 8 == 0) or (k == 0 and 32 <= i <= 37)
                more[d, k, i] = (1 if fine else 64) * (-(f + 1) // 2 if f % 2 else f // 2)
    return more


def decoded(data, count, own=None):
    """The blocks of a payload, (count, 8, 8, 1), of a model of their own or of none."""
    data = bytearray(data)
    taken = varint(data)
    found = layouts(data[:taken])
    del data[:taken]
    taken = varint(data)
    more = weights_of_own(data[:taken])
    del data[:taken]
    stretches, open_one = [], None
    for number, components in enumerate(found):
        of_file = parts(components)
        for rows in of_file:
            if len(of_file) > 1 or open_one is None:
                stretches.append([])
            stretches[-1].append((number, rows))
        open_one = None if len(of_file) > 1 else True
    files = [[[] for _ in components] for components in found]
    for stretch in stretches:
        taken = varint(data)
        decode_stretch(bytes(data[:taken]), stretch, found, files, own, more)
        del data[:taken]
    assert not data
    out = []
    for components, planes in zip(found, files, strict=True):
        head = np.zeros((1 + len(components), 64), np.int64)
        head[0, 0] = len(components)
        for i, one in enumerate(components):
            head[0, 1 + 4 * i : 5 + 4 * i] = one.width, one.height, one.across, one.down
            head[1 + i] = one.table
        out.append(head)
        out += [np.array(rows).reshape(-1, 64) for plane in planes for rows in plane]
    blocks = np.concatenate(out)
    assert len(blocks) == count
    return (blocks % 65536).reshape(-1, 8, 8, 1)


def decode_stretch(data, stretch, found, files, own, more):
    data = bytearray(data)
    learned = Learned(own)
    learned.predict = learned.predict + more
    assert abs(learned.predict).max() < 32768 and abs(learned.predict).sum(2).max() < 2**18
    missing = 0
    for number, rows in stretch:
        planes = []
        for i, (first, last) in enumerate(rows):
            component = found[number][i]
            planes.append(Rows(component, first, last))
            for y in range(last - first):
                if missing <= 0:
                    begin_band(learned, data)
                    missing = 4096
                for x in range(component.width):
                    second = planes[1] if len(planes) > 1 else None
                    Block(learned, planes[-1], i if i < 3 else 0, y, x, planes[0], second).decode()
                missing -= component.width
                if missing <= 0:
                    assert learned.head == 2**32 and not learned.tail
            files[number][i].append(planes[-1].levels)
    if missing > 0:
        assert learned.head == 2**32 and not learned.tail
    assert not data


def begin_band(learned, data):
    words = varint(data)
    (learned.head,) = struct.unpack("<Q", bytes(data[:8]))
    learned.tail = list(struct.unpack(f"<{words}I", bytes(data[8 : 8 + 4 * words])))
    del data[: 8 + 4 * words]


# Files: coefficients and all the rest -> the file. ITU-T T.81.


class Bits:
    """Entropy-coded data in the making."""

    def __init__(self):
        self.out, self.waiting = bytearray(), ""

    def put(self, number, count):
        self.waiting += f"{number:0{count}b}" if count else ""
        while len(self.waiting) >= 8:
            self.byte(int(self.waiting[:8], 2))
            self.waiting = self.waiting[8:]

    def byte(self, value):
        self.out += bytes([value, 0] if value == 255 else [value])

    def fill(self, pad):
        missing = -len(self.waiting) % 8
        self.put(pad % 2**missing, missing)


def huffman(body, tables):
    at = 0
    while at + 17 <= len(body):
        counts = body[at + 1 : at + 17]
        symbols = body[at + 17 : at + 17 + sum(counts)]
        code, codes, left = 0, {}, iter(symbols)
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                codes.setdefault(next(left), (code, length))
                code += 1
            code *= 2
        tables[body[at] >> 4, body[at] & 15] = codes
        at += 17 + len(symbols)


def number_bits(value):
    digits = abs(value).bit_length()
    return digits, value if value > 0 else value + 2**digits - 1


class Scan:
    """One scan, coded."""

    def __init__(self, frame, header, tables, interval, blocks, odd):
        self.frame, self.tables, self.bits = frame, tables, Bits()
        self.first, self.last, self.high, self.low = header[1:]
        self.components, self.blocks = header[0], blocks
        self.missing, self.padding, self.rule = odd[:3] if odd else (0, 0, 0)
        left = list(odd[3:])
        self.ends, self.zeros, self.pads = [], {}, []
        if odd:
            place = 0
            for _ in range(left.pop(0)):
                place += left.pop(0)
                self.ends.append(place)
            place = 0
            for _ in range(left.pop(0)):
                place += left.pop(0)
                self.zeros[place] = left.pop(0)
            self.pads = [left.pop(0) for _ in range(left.pop(0))]
            assert not left
        self.run, self.kept = 0, []
        self.dc = [0] * 4
        self.code(interval)

    def symbol(self, kind, table, value):
        self.bits.put(*self.tables[kind, table][value])

    def code(self, interval):
        one = self.components[0][0]
        alone = len(self.components) == 1
        across, down = one["own"] if alone else self.frame["mcus"]
        total = across * down
        interval = interval or total
        for mcu in range(total - self.missing):
            if mcu and mcu % interval == 0:
                self.end_interval(mcu // interval - 1)
                self.bits.out += bytes([0xFF, 0xD0 + (mcu // interval - 1) % 8])
            part = 0
            for c, (component, dc, ac) in enumerate(self.components):
                h, v = (1, 1) if alone else (component["h"], component["v"])
                for y in range(v):
                    for x in range(h):
                        row, column = mcu // across * v + y, mcu % across * h + x
                        block = self.blocks[component["first"] + row * component["width"] + column].tolist()
                        self.block([block[k] for k in ZIGZAG], c, dc, ac, mcu, part)
                        part += 1
        self.end_run()
        if not self.missing:
            self.end_interval((total - 1) // interval)

    def end_interval(self, number):
        self.end_run()
        self.bits.fill([255, 0, self.pads[number] if number < len(self.pads) else 0][self.padding])
        self.dc = [0] * 4

    def end_run(self):
        if self.run:
            digits = self.run.bit_length() - 1
            self.symbol(1, self.components[0][2], digits << 4)
            self.bits.put(self.run - 2**digits, digits)
            for bit in self.kept:
                self.bits.put(bit, 1)
        self.run, self.kept = 0, []

    def block(self, levels, c, dc, ac, mcu, part):
        if self.first == 0:
            if self.high:
                self.bits.put(levels[0] >> self.low & 1, 1)
            else:
                value = levels[0] >> self.low
                difference = (value - self.dc[c] + 32768) % 65536 - 32768
                self.dc[c] = value
                digits, bits = number_bits(difference)
                self.symbol(0, dc, digits)
                self.bits.put(bits, digits)
        if self.last:
            self.ac(levels, ac, mcu, part)

    def ac(self, levels, ac, mcu, part):
        first = max(self.first, 1)
        sizes = [abs(level) >> self.low for level in levels]
        newly = [k for k in range(first, self.last + 1) if sizes[k] == 1]
        behind = max(newly, default=0)
        zeros, waiting = 0, []
        for k in range(first, self.last + 1):
            if sizes[k] == 0:
                zeros += 1
                continue
            while zeros > 15 and (not self.high or k <= behind):
                self.end_run()
                self.symbol(1, ac, 0xF0)
                for bit in waiting:
                    self.bits.put(bit, 1)
                zeros, waiting = zeros - 16, []
            if self.high and sizes[k] > 1:
                waiting.append(sizes[k] & 1)
                continue
            self.end_run()
            digits, bits = number_bits(sizes[k] if levels[k] > 0 else -sizes[k])
            self.symbol(1, ac, zeros << 4 | digits)
            self.bits.put(bits, digits)
            for bit in waiting:
                self.bits.put(bit, 1)
            zeros, waiting = 0, []
        if not zeros and not waiting:
            return
        if mcu in self.ends:
            self.end_run()
        for _ in range(self.zeros.get(64 * mcu + part, 0)):
            self.end_run()
            self.symbol(1, ac, 0xF0)
        if self.first == 0:
            self.symbol(1, ac, 0)
            return
        self.run += 1
        self.kept += waiting
        if self.run == (1 if self.rule == 2 else 32767) or (self.rule == 0 and len(self.kept) > 937):
            self.end_run()


def next_marker(data, at):
    while at + 1 < len(data):
        if data[at] == 0xFF and data[at + 1] not in (0, 0xFF, *range(0xD0, 0xD8)):
            return at
        at += 1
    return None


def frame_of(body, progressive, data, at):
    height, width = struct.unpack(">HH", body[1:5])
    while not height:
        at = next_marker(data, at)
        if data[at + 1] == 0xDC:
            (height,) = struct.unpack(">H", data[at + 4 : at + 6])
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    components = [
        {"name": body[i], "h": body[i + 1] >> 4, "v": body[i + 1] & 15, "table": body[i + 2]}
        for i in range(6, 6 + 3 * body[5], 3)
    ]
    across, down = max(one["h"] for one in components), max(one["v"] for one in components)
    mcus = -(-width // (8 * across)), -(-height // (8 * down))
    blocks = 0
    for one in components:
        one["own"] = tuple(
            ((side * factor + most - 1) // most + 7) // 8
            for side, factor, most in ((width, one["h"], across), (height, one["v"], down))
        )
        size = one["own"] if len(components) == 1 else (mcus[0] * one["h"], mcus[1] * one["v"])
        one["width"], one["height"], one["first"] = *size, blocks
        blocks += size[0] * size[1]
    return {"progressive": progressive, "components": components, "mcus": mcus, "blocks": blocks}


def with_files_within(told, data, blocks):
    """The file without its scans' data, and its own blocks."""
    place = whole = len(data) - sum(size + odd for _, size, odd in told)
    begin = own = blocks_of_one(blocks)
    out, at = [], 0
    for gap, size, odd in told:
        count = blocks_of_one(blocks[begin:])
        inner = file_of({"odd": odd}, data[place : place + size + odd], blocks[begin : begin + count])
        out += [data[at : at + gap], inner]
        at, place, begin = at + gap, place + size + odd, begin + count
    assert at <= whole and begin == len(blocks)
    return b"".join([*out, data[at:whole]]), blocks[:own]


def blocks_of_one(blocks):
    """How many blocks the first file has."""
    count = blocks[0, 0]
    return 1 + count + sum(blocks[0, 1 + 4 * i] * blocks[0, 2 + 4 * i] for i in range(count))


def file_of(recipe, blob, array):
    """The file that blocks of coefficients are of."""
    size = recipe.get("odd", 0)
    data, odd = blob[: len(blob) - size], bytearray(blob[len(blob) - size :])
    blocks = (array.astype(np.int64).reshape(-1, 64) + 32768) % 65536 - 32768
    if "within" in recipe:
        data, blocks = with_files_within(recipe["within"], data, blocks)
    out, done, at = [], 0, 2
    tables, quantisation, interval, frame = {}, {}, 0, None
    while (at := next_marker(data, at)) is not None and data[at + 1] != 0xD9:
        marker = data[at + 1]
        at += 2
        if marker in (0xD8, 1):
            continue
        end = at + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            break
        body = data[at + 2 : end]
        at = end
        if marker in (0xC0, 0xC1, 0xC2):
            frame = frame_of(body, marker == 0xC2, data, at)
        elif marker == 0xC4:
            huffman(body, tables)
        elif marker == 0xDD:
            (interval,) = struct.unpack(">H", body)
        elif marker == 0xDB:
            place = 0
            while place < len(body):
                wide = body[place] >> 4
                numbers = struct.unpack_from(">64H" if wide else ">64B", body, place + 1)
                quantisation[body[place] & 15] = [number for _, number in sorted(zip(ZIGZAG, numbers, strict=True))]
                place += 129 if wide else 65
        elif marker == 0xDA:
            if not out:
                components = frame["components"]
                head = blocks[: 1 + len(components)]
                assert head[0, 0] == len(components)
                for i, one in enumerate(components):
                    assert head[0, 1 + 4 * i : 5 + 4 * i].tolist() == [one[k] for k in ("width", "height", "h", "v")]
                    assert (head[1 + i] % 65536).tolist() == quantisation.get(one["table"], [1] * 64)
                assert len(blocks) == 1 + len(components) + frame["blocks"]
            known = {one["name"]: one for one in frame["components"]}
            if not body or len(body) < 4 + 2 * body[0]:
                break
            chosen = [(known[body[1 + 2 * i]], body[2 + 2 * i] >> 4, body[2 + 2 * i] & 15) for i in range(body[0])]
            first, last, both = body[1 + 2 * body[0] : 4 + 2 * body[0]]
            header = (chosen, first, last, both >> 4, both & 15) if frame["progressive"] else (chosen, 0, 63, 0, 0)
            numbers = [varint(odd) for _ in range(varint(odd))] if size else []
            scan = Scan(frame, header, tables, interval, blocks[1 + len(frame["components"]) :], numbers)
            out += [data[done:at], bytes(scan.bits.out)]
            done = at
    assert not odd
    return b"".join([*out, data[done:]])
