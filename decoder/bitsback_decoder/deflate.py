"""Deflate streams by rules and corrections, written from docs/format.md ("Deflate streams") alone, and slow.

What zlib's Python module deflates is never looked at: the stream is put together bit by bit.
"""

from bisect import bisect
from itertools import accumulate

NONE, RUNS, GREEDY, LAZY, PLANNED = range(5)
LEVELS = {
    1: (4, 4, 8, 4),
    2: (4, 5, 16, 8),
    3: (4, 6, 32, 32),
    4: (4, 4, 16, 16),
    5: (8, 16, 32, 32),
    6: (8, 16, 128, 128),
    7: (8, 32, 128, 256),
    8: (32, 128, 258, 1024),
    9: (32, 258, 258, 4096),
}
LENGTH_EXTRA = [0] * 8 + [n for n in range(1, 6) for _ in range(4)]
LENGTH_BASE = list(accumulate([3] + [1 << n for n in LENGTH_EXTRA[:-1]]))
DISTANCE_EXTRA = [0, 0] + [n for n in range(14) for _ in range(2)]
DISTANCE_BASE = list(accumulate([1] + [1 << n for n in DISTANCE_EXTRA[:-1]]))
ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
FIXED = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
ITEM_EXTRA = {16: 2, 17: 3, 18: 7}
INFINITE = 1 << 60


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
KNOWN = """
my52z3zwsqAgAAAAAAAeajAAAAAafkXbpeAbbfhbik dcqupwsuwoALAAAAAAAXWZAAAAAVafhddfAcbSasYS
6khbUWdZwOAVAAAAAAAZXbAAAAAWYZeeggASQbaiUe 2ffYWeiUJAAUAAAAAAAXZaAAAAAQabdaggARbcbfTh
9Q0todQbgTAFAAAAAAAaYdAAAAAadfbbihAYWebfhi 9HgYMCAAAAADAAAAAAAafVAAAAAOZOQiKjAPZmfvAd
4mumfcYZYjARAAAAAAAebbAAAAAZcdcgcdAUWafYVj 4ZgWRUBAAAANAAAAAAAXaaAAAAASYYcdidARZValgb
1qojcYTcRAAXAAAAAAAccaAAAAATccZdbbAUbZYbYh 1eYTPDAAAAASAAAAAAASZaAAAAAUWUbaecAPYYjlWw
3kmhZTUWUAAUAAAAAAAXacAAAAAWdcYccdAVYdbcad 1bVPOIAAAAARAAAAAAAUZXAAAAAQYWaZcaAVdiadWl
3nffZQTcHAAYAAAAAAAWYbAAAAAWbbfccgAUZbcedd 1eVOEAAAAAAXAAAAAAATWbAAAAATYVbYdcALVdWduj
0bZWRPeAAAAWAAAAAAAUYcAAAAAVaddUhfAYVTZkmg uUPLHAAAAAARAAAAAAARSWAAAAAOTgbRYoAVUAW
5ifgXPGAAAAiAAAAAAAWVXAAAAAWXaffZaAUXaeeUc 0aVSRGAAAAAXAAAAAAARSYAAAAARVkkePZANWKMd
rehifYEAAAATAAAAAAAXThAAAAAafmfYlcATTXgMd jTPRHAAAAAAWAAAAAAARYSAAAAAOIAYAAAANJAK
UBAAAAAAAAAB B
CBAAAAAAAAAJ BCAAAAAAAAAC
3urrlolRBAAUAAAAAAAWZbAAAAAVaddgceAUbbfbhZ Oz3yjsKRAAACAAAAAAAdskAAAAAYVhoVegAUUNeu9
frgSPGAAAAAjAAAAAAAUilAAAAAZZdoYgVAWQYEvg B
/////////9 /BAAAAAAAAAB
++++++++++ /FkuBAAAAAAnAAAAAAAOpsAAAAAdgmjWggAITQRZgm
m/8az///1YAAAAAAAAAuABAAAAAZfBv/BAACCAC /b/BAAAAAAABAAAAAAAAAAAAAAABBAB
yuy173vpBAAQAAAAAAAVcnAAAAAeXdgdfvAkdaoaki dzhgkmmeBAAmAAAAAAAewzAAAAAbVQ1250AXObtbM2
+DYlttqVVkADAAAAAAAPXVAAAAAOPaVchfAaibalZf //////++/5AAAAAAAAA0AEAAAAARNq/AA2AYrYkXn7
- -
D+JVjlohGAABAAAAAAAFBBAAAAALMoBBBBAKiJeMg TdNQYmtXAAAUAAAAAAAQBBAAAAAUVQBBBBAWHU2Aay
eWMIak3nAAA0AAAAAAAGLBAAAAALbeBBBBARiADd jjKTpkhkBAAxAAAAAAAOsyAAAAALNkEBBBAPsBXK8
vwcPQskkBAAxAAAAAAAkz6AAAAAVWVy490ADMLdStn x40sXYqkBAAkAAAAAAAlu4AAAAArUYs452AgZWwgNr
t2200woUBAAdAAAAAAApi2AAAAAhTTjj7bAiYfjWep qr//+893BAAHAAAAAAAO9AAAAAAAAAAAAAAXd
"""


class Numbers:
    """Numbers of lists, in any order."""

    def __init__(self, data, known=""):
        self.contexts = {}
        for row, word in enumerate(known.split()):
            for context, letter in zip([*range(10), *range(32, 64)], word.strip("-"), strict=False):
                if letter != "A":
                    self.contexts[row, context] = 2**16 * LETTERS.index(letter), 2
        self.data, self.low, self.high, self.at = data, 0, 2**32 - 1, 4
        self.code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def bit(self, *context):
        low, high, code = self.low, self.high, self.code
        c, u = self.contexts.get(context, (2**21, 0))
        q = min(max(c // 64, 1), 65535)
        middle = low + (high - low) // 65536 * q + (high - low) % 65536 * q // 65536
        one = code <= middle
        if one:
            high, c = middle, c + 2 * (2**22 - c) // (2 * u + 3)
        else:
            low, c = middle + 1, c - 2 * c // (2 * u + 3)
        self.contexts[context] = c, min(u + 1, 250)
        while low >> 24 == high >> 24:
            low, high = low * 256 % 2**32, high * 256 % 2**32 + 255
            code = code * 256 % 2**32 + (self.data[self.at] if self.at < len(self.data) else 0)
            self.at += 1
        self.low, self.high, self.code = low, high, code
        return int(one)

    def next(self, row):
        b = 0
        while self.bit(row, min(b, 23)):
            b += 1
            assert b < 33
        w = 1
        for p in reversed(range(b)):
            w = 2 * w + self.bit(row, 120 + min(p, 7) if b - p > 3 else 24 + 8 * min(b, 11) + w)
        return w - 1


class Corrections:
    def __init__(self, data):
        self.some, self.numbers, self.left = bool(data), Numbers(data, KNOWN), [None] * 28

    def take(self, k):
        return self.numbers.next(k)

    def agreed(self, k):
        if not self.some:
            return True
        if self.left[k] is None:
            x = self.take(k)
            self.left[k] = x - 1 if x else INFINITE
        if self.left[k] == 0:
            self.left[k] = None
            return False
        self.left[k] -= 1
        return True

    def flushes(self, most):
        """List 38, added up."""
        out = []
        while self.some and (x := self.take(38)):
            assert len(out) < most
            out.append((out[-1] if out else 0) + x - 1)
        return out

    def odd_bits(self):
        """List 39: bits by the numbers of blocks."""
        out, block = {}, 0
        while self.some and (x := self.take(39)):
            block += x - 1
            out[block] = self.take(39)
        return out


def signed(v):
    return -((v + 1) // 2) if v % 2 else v // 2


class Rules:
    def __init__(self, level, memory, strategy, window, family):
        assert 1 <= level <= 9 and 1 <= memory <= 9 and 0 <= strategy <= 4 and 8 <= window <= 15
        assert family in range(5)
        self.search = {2: NONE, 3: RUNS}.get(strategy, GREEDY if level <= 3 else LAZY)
        self.good, self.laziest, self.nice, self.chain = LEVELS[level]
        half = 2 ** max(window, 9)
        self.bits, self.room = memory + 7, 2 ** (memory + 6) - 1
        self.shift = (self.bits + 2) // 3
        self.shortest = 6 if strategy == 1 else 3
        self.far, self.far3 = (half, half) if family else (half - 262, 4096)
        self.first, self.span, self.across = (0, 0, True) if family else (1, half, False)
        self.fixed = strategy == 4
        self.nearer, self.enough, self.kept = 1, 3, 0
        if family == 2:
            self.search, self.bits, self.room, self.far = LAZY, 14, 2**30, half - 1
            self.good = self.laziest = self.nice = self.chain = 512
            self.nearer, self.enough, self.kept = 0, 4, max(level, 5)
        if family == 3:
            self.search, self.good, self.room = PLANNED, int(strategy == 1), 2**30
            self.nice, self.chain = {7: (75, 35), 8: (150, 100), 9: (258, 300)}.get(level, (258, 4096))
        self.passes = 0
        if family == 4:
            self.search, self.room, self.chain, self.across = PLANNED, INFINITE, 255, False
            self.passes, self.nice = {1: (1, 64), 2: (3, 128), 3: (5, 255), 4: (15, 255)}.get(level, (255, 255))


class Block:
    """Tokens are (length, distance, whether a longest match is written as code 284); literals are (1, 0, False)."""

    def __init__(self, start):
        self.start, self.tokens, self.stored, self.last, self.end = start, [], False, False, start


class Planned:
    """Blocks, code lengths and tokens that are expected, where they are planned before all else."""

    def __init__(self, plain, rules, corrections):
        self.plain, self.rules, self.pair, self.root, self.children = plain, rules, {}, {}, {}
        self.blocks, self.within, self.plan, at, last = [], 0, [None] * len(plain), 0, False
        passes = Passes(plain, rules, self.plan)
        while not last:
            assert len(self.blocks) < 1024 + len(plain) // 8
            expected = passes.end(at) if rules.passes else len(plain)
            x = 2 * (expected - at) if corrections.agreed(20) else corrections.take(28)
            block = Block(at)
            at += x // 2
            assert at <= len(plain)
            last = (at == len(plain)) == corrections.agreed(21)
            block.end, block.last, block.kind = at, last, 0
            if x % 2 == 0:
                block.kind = 2 if corrections.agreed(22) else corrections.take(29)
                assert block.kind in (1, 2)
            self.blocks.append(block)
        assert at == len(plain)
        if rules.passes:
            return
        fixed = FIXED + [5] * 30 + [0] * 2
        self.most = min(2**23, 8 * (259 + max(block.end - block.start for block in self.blocks)))
        c = fixed
        for block in self.blocks:
            count, found = 0, {}
            for i in range(block.start, block.end):
                found[i] = self.matches(i, count <= self.most - 258)
                count += len(found[i])
            if block.kind == 0:
                continue
            if block.kind == 2:
                c = list(c)
                for _ in range(3):
                    self.way(block, found, c)
                    w0, w1 = counts(self.plain, self.plan, block.start, block.end)
                    c[:286], c[288:318] = lengths(w0, 286, 15), lengths(w1, 30, 15)
                for s in range(320):
                    if not corrections.agreed(24):
                        c[s] += signed(corrections.take(31))
                        assert 0 <= c[s] <= 15
            else:
                c = fixed
            block.c = c
            self.way(block, found, c)

    def matches(self, i, noted):
        p, pair = self.plain, self.pair
        most, within = min(258, len(p) - i), self.within > 0
        self.within -= within
        if most < 5:
            return []
        enough, noted, matches = min(self.rules.nice, most), noted and not within, []

        def hashed(count):
            return int.from_bytes(p[i : i + count], "little") * 0x1E35A7BD % 2**32 >> 16 if i else 0

        def near(there):
            return there is not None and there > i - 32768

        one, two = pair.get(hashed(3), (None, None))
        pair[hashed(3)] = i, one
        for there in (one, two) if near(one) else ():
            if near(there) and p[there : there + 3] == p[i : i + 3] and noted and not matches:
                matches.append((3, i - there))
        best, node, children = 3, self.root.get(hashed(4)), self.children
        self.root[hashed(4)] = i
        less, more, length, below, above = (i, 0), (i, 1), 0, 0, 0
        for _ in range(self.rules.chain):
            if not near(node):
                break
            while length < (enough if within else most) and p[node + length] == p[i + length]:
                length += 1
            if length > best or not noted:
                if noted:
                    best = length
                    matches.append((length, i - node))
                if length >= enough:
                    children[less], children[more] = children.get((node, 0)), children.get((node, 1))
                    break
            if p[node + length] < p[i + length]:
                children[less], less, below = node, (node, 1), length
                node = children.get(less)
            else:
                children[more], more, above = node, (node, 0), length
                node = children.get(more)
            length = min(below, above)
        else:
            node = None
        if not near(node):
            children[less] = children[more] = None
        if matches and matches[-1][0] >= enough:
            self.within = matches[-1][0] - 1
        return matches

    def way(self, block, found, c):
        cost = {block.end: 0}
        for i in reversed(range(block.start, block.end)):
            best, length = (c[self.plain[i]] or 13) + cost[i + 1], 3
            self.plan[i] = None
            for longest, distance in found[i]:
                while length <= longest:
                    code, extra, _, far, _ = codes_of((length, distance, False))
                    bits = (c[257 + code] or 13) + extra + (c[288 + far] or 10) + DISTANCE_EXTRA[far]
                    bits += cost.get(i + length, INFINITE)
                    if bits < best or (bits == best and self.rules.good):
                        best, self.plan[i] = bits, (length, distance)
                    length += 1
            cost[i] = best


def counts(plain, plan, i, end):
    """How often symbols are used by a plan."""
    w0, w1 = [0] * 286, [0] * 30
    w0[256] = 1
    while i < end:
        if plan[i] is None:
            w0[plain[i]] += 1
            i += 1
        else:
            code, _, _, far, _ = codes_of((*plan[i], False))
            w0[257 + code] += 1
            w1[far] += 1
            i += plan[i][0]
    return w0, w1


def check(byte):
    """The CRC-32 of a byte, without inversions."""
    for _ in range(8):
        byte = byte >> 1 ^ (byte & 1) * 0xEDB88320
    return byte


CHECKS = [check(byte) for byte in range(256)]


class Passes:
    """Blocks that are gone through in passes."""

    def __init__(self, plain, rules, plan):
        self.plain, self.rules, self.plan = plain, rules, plan
        self.c = [8] * 256 + [5] * 64
        self.root, self.children, self.known, self.count = {}, {}, [], 0

    def end(self, start):
        """Plan a block, and return where it should end."""
        for _ in range(self.rules.passes):
            at, tokens = start, 0
            while at < len(self.plain) and tokens < 8192 and at - start < 61181:
                run = self.run(at)
                self.plan[at : at + sum(length for length, _ in run)] = [None] * sum(length for length, _ in run)
                for token in run:
                    if token[0] > 1:
                        self.plan[at] = token
                    at += token[0]
                tokens += len(run)
            w0, w1 = counts(self.plain, self.plan, start, at)
            self.c[:286], self.c[288:318] = lengths(w0, 286, 15), lengths(w1, 30, 15)
        return at

    def run(self, i):
        way, via, end, k, nice = {0: 0}, {}, 0, 0, self.rules.nice
        while k < end or k == 0:
            matches = self.matches(i + k)
            longest = matches[-1][0] if matches else 0
            if longest > nice:
                if k == 0:
                    return [matches[-1]]
                break
            if k + longest > end:
                longest = min(longest, 4095 - k)
            end = max(end, k + longest, 1)
            options = [(1, 0, self.c[self.plain[i + k]] or 13)]
            length = 3
            for most, distance in matches:
                while length <= min(most, longest):
                    code, extra, _, far, _ = codes_of((length, distance, False))
                    bits = (self.c[257 + code] or 13) + extra + (self.c[288 + far] or 6) + DISTANCE_EXTRA[far]
                    options.append((length, distance, bits))
                    length += 1
            for length, distance, bits in options:
                if way[k] + bits < way.get(k + length, INFINITE):
                    way[k + length], via[k + length] = way[k] + bits, (length, distance)
            k += 1
        run = []
        while k:
            run.insert(0, via[k])
            k -= via[k][0]
        return run

    def matches(self, i):
        while len(self.known) <= i:
            self.known.append((self.count, self.find(len(self.known))))
            self.count += len(self.known[-1][1])
        first, matches = self.known[i]
        return matches if self.count - first <= 2**21 else []

    def find(self, i):
        p, nice, children = self.plain, self.rules.nice, self.children
        limit, matches = min(len(p) - i, nice), []
        if limit < 3:
            return []
        h = (p[i] << 8 ^ CHECKS[p[i + 1]] ^ p[i + 2]) % 2**16
        best, node, below, above = 2, self.root.get(h), 0, 0
        self.root[h], less, more = i, (i, 0), (i, 1)
        for _ in range(self.rules.chain):
            if node is None or node < i - 32768:
                break
            length = min(below, above)
            while length < limit and p[node + length] == p[i + length]:
                length += 1
            if length > best:
                best = length
                matches.append((length, i - node))
            if length == nice:
                children[less], children[more] = children[node, 0], children[node, 1]
                break
            if length < limit and p[node + length] < p[i + length]:
                children[less], less, below = node, (node, 1), length
                node = children[less]
            else:
                children[more], more, above = node, (node, 0), length
                node = children[more]
        if best < nice:
            children[less] = children[more] = None
        if best == nice:
            far = matches[-1][1]
            while best < min(258, len(p) - i) and p[i + best - far] == p[i + best]:
                best += 1
            matches[-1] = best, far
        return matches


class Walk:
    """The tokens, in blocks."""

    def __init__(self, plain, rules, corrections):
        self.planned = Planned(plain, rules, corrections) if rules.search == PLANNED else None
        self.plain, self.rules, self.corrections = plain, rules, corrections
        self.head, self.before, self.many, self.inserted = {}, {}, {}, 0
        self.flushes = [] if self.planned else corrections.flushes(1024 + len(plain) // 8)
        assert not self.flushes or self.flushes[-1] // 2 <= len(plain)
        self.blocks = []

    def agree(self, i, j, most):
        n = 0
        while n < most and self.plain[i + n] == self.plain[j + n]:
            n += 1
        return n

    def hash(self, i):
        r, p = self.rules, self.plain
        if not r.kept:
            return (p[i] << 2 * r.shift ^ p[i + 1] << r.shift ^ p[i + 2]) % 2**r.bits
        x = p[i] + 2**8 * p[i + 1] + 2**16 * p[i + 2]
        for step, turn in ((3, -1), (5, 1), (4, -1), (17, 1), (25, -1), (6, 1)):
            x = (x + (x >> step) if turn > 0 else x ^ x << step) % 2**32
        return x % 2**r.bits

    def insert(self, i):
        h, many = self.hash(i), self.many.get(self.hash(i), 0)
        self.before[i] = self.head.get(h, -1)
        self.head[h] = i
        self.many[h] = (self.rules.kept if many == 2 * self.rules.kept else many) + 1

    def found(self, i, shortest):
        r = self.rules
        if self.end - i < r.enough or r.search == NONE:
            return None
        most = min(258, self.end - i)
        if r.search == RUNS:
            n = self.agree(i - 1, i, most) if i else 0
            return (n, 1) if n >= 3 else None
        chain = r.chain
        if r.kept:
            while self.inserted < self.at:
                self.insert(self.inserted)
                self.inserted += 1
            chain = self.many.get(self.hash(i), 0)
            self.before[i] = self.head.get(self.hash(i), -1)
        while self.inserted <= (self.at if r.kept else i):
            self.insert(self.inserted)
            self.inserted += 1
        if self.planned:
            return self.planned.plan[i]
        left = chain // 4 if shortest >= r.good else chain
        low, match, there, last = max(i - r.far, self.origin), None, self.before[i], i
        while shortest < most and low <= there < last:
            n = self.agree(there, i, most)
            if n > shortest:
                shortest, match = n, (n, i - there)
                if n >= min(r.nice, self.end - i):
                    break
            left -= 1
            if left == 0:
                break
            last, there = there, self.before.get(there, -1)
            low = max(low, i - r.far + r.nearer)
        if match and r.search == LAZY and (match[0] < r.shortest or (match[0] == 3 and match[1] > r.far3)):
            return None
        return match

    def corrected(self, at, predicted, best, kind):
        c = self.corrections
        if predicted is None:
            length = 3 + c.take(34) if best is None else best[0] + signed(c.take(35))
        else:
            x = c.take(38 + kind)
            if x == 0:
                return None
            length = best[0] + signed(x - 1)
        assert 3 <= length <= min(258, len(self.plain) - at)
        h = c.take(36)
        if h == 0:
            distance = 1 + c.take(37)
        else:
            there, last = self.before.get(at, -1) if self.inserted > at else -1, at
            for _ in range(8192):
                assert max(0, at - 32767) <= there < last
                h -= self.agree(there, at, length) == length
                if h == 0:
                    break
                last, there = there, self.before.get(there, -1)
            assert h == 0
            distance = at - there
        assert 1 <= distance <= min(at, 32768)
        return length, distance

    def run(self):
        r, c, n = self.rules, self.corrections, len(self.plain)
        flushes = list(self.flushes)
        at, waiting, missed = 0, "unknown", 0
        self.end, self.origin = flushes[0] // 2 if flushes else n, r.first
        last = False
        while not last:
            assert len(self.blocks) < 1024 + n // 8
            block = Block(at)
            room, stop, passing, flushing = r.room, self.end, False, False
            if self.planned:
                block = self.planned.blocks[len(self.blocks)]
                stop, room, passing = block.end, INFINITE, block.kind == 0
            elif flushes and at == self.end:
                room, passing, flushing = 0, True, True
            elif not c.agreed(20):
                x = c.take(28)
                stop = n
                if x % 2:
                    stop, room, passing = at + x // 2, INFINITE, True
                    assert stop <= n
                else:
                    room = x // 2
            while at < stop and len(block.tokens) < room:
                best, later, self.at = waiting, None, at
                if best == "unknown":
                    best = self.found(at, 2)
                if best and r.search == LAZY and best[0] < r.laziest:
                    later = self.found(at + 1, best[0])
                predicted = None if best is None or later else best
                token = predicted
                if not passing:
                    token = self.token(at, predicted, best, missed)
                    missed = int(self.wrong)
                    alias = bool(token and token[0] == 258 and not c.agreed(27))
                    block.tokens.append((*(token or (1, 0)), alias))
                length = token[0] if token else 1
                if passing:
                    length = min(length, stop - at)
                at += length
                waiting = later if length == 1 and later else "unknown"
                if ((r.search == GREEDY and length > r.laziest) or r.kept) and self.inserted < at:
                    self.inserted = at
            if passing:
                missed, waiting = 0, "unknown"
            if flushing:
                anew = flushes.pop(0) % 2
                self.end, waiting = flushes[0] // 2 if flushes else n, "unknown"
                if anew:
                    self.head, self.many, self.inserted, self.origin = {}, {}, at, at + r.first
            full = len(block.tokens) == r.room and not (r.search == LAZY and block.tokens[-1][0] == 1)
            last = at == n and not flushes and not full and not flushing
            if self.planned:
                last = block.last
                assert at == stop
            else:
                last ^= not c.agreed(21)
            block.stored, block.last, block.end = passing, last, at
            self.blocks.append(block)
        assert at == n
        return self.blocks

    def token(self, at, predicted, best, missed):
        if predicted is None:
            kind = 0 if best is None else 1
        else:
            kind = next(k for k, m in enumerate((3, 4, 5, 7, 15, 31, 257, 258), 2) if predicted[0] <= m)
        self.wrong = not self.corrections.agreed(2 * kind + missed)
        return self.corrected(at, predicted, best, kind) if self.wrong else predicted


def lengths(w, count, longest):
    """Lengths, by symbol; sets the weights of symbols that were added back to 0."""
    heap = [None, *(s for s in range(count) if w[s] > 0)]
    last, added = heap[-1] if len(heap) > 1 else -1, []
    weight, depth, parent = dict(enumerate(w)), dict.fromkeys(range(count), 0), {}
    while len(heap) < 3:
        last, symbol = (last + 1, last + 1) if last < 2 else (last, 0)
        heap.append(symbol)
        added.append(symbol)
        weight[symbol] = 1

    def less(a, b):
        return weight[a] < weight[b] or (weight[a] == weight[b] and depth[a] <= depth[b])

    def sift(i):
        while 2 * i < len(heap):
            c = 2 * i + 1 if 2 * i + 1 < len(heap) and less(heap[2 * i + 1], heap[2 * i]) else 2 * i
            if less(heap[i], heap[c]):
                return
            heap[i], heap[c], i = heap[c], heap[i], c

    for i in range((len(heap) - 1) // 2, 0, -1):
        sift(i)
    noted, node = [], count
    while len(heap) > 2:
        a = heap[1]
        end = heap.pop()
        if len(heap) > 1:
            heap[1] = end
            sift(1)
        b = heap[1]
        noted += [a, b]
        weight[node], depth[node] = weight[a] + weight[b], max(depth[a], depth[b]) + 1
        parent[a] = parent[b] = heap[1] = node
        sift(1)
        node += 1
    length, over = {node - 1: 0}, 0
    for one in reversed(noted):
        length[one] = length[parent[one]] + 1
        if length[one] > longest:
            length[one], over = longest, over + 1
    symbols = [one for one in noted if one < count]
    if over:
        many = {m: sum(length[one] == m for one in symbols) for m in range(longest + 1)}
        while over > 0:
            m = max(m for m in range(1, longest) if many[m])
            many[m], many[m + 1] = many[m] - 1, many[m + 1] + 2
            many[longest] -= 1
            over -= 2
        again = iter(symbols)
        for m in range(longest, 0, -1):
            for _ in range(many[m]):
                length[next(again)] = m
    return [length.get(s, 0) if s in symbols else 0 for s in range(count)]


def item_for(lengths_, at, h0, h1, across):
    """What describes the next lengths."""
    first = 0 if across or at < h0 else h0
    stop = h0 + h1 if across or at >= h0 else h0
    value, run = lengths_[at], 1
    while at + run < stop and lengths_[at + run] == value:
        run += 1
    if value == 0:
        if run >= 11:
            return 18, min(run, 138) - 11
        return (17, run - 3) if run >= 3 else (0, 0)
    if at > first and lengths_[at - 1] == value and run >= 3:
        return 16, min(run, 6) - 3
    return value, 0


def described(item):
    symbol, more = item
    return 1 if symbol < 16 else more + (11 if symbol == 18 else 3)


def codes_of(token):
    """The length code (from 0) of a match, its extra bits; and of its distance."""
    length, distance, alias = token
    code = 28 if length == 258 else bisect(LENGTH_BASE, length) - 1
    if alias:
        code = 27
    far = bisect(DISTANCE_BASE, distance) - 1
    extra = 0 if code == 28 else LENGTH_EXTRA[code]
    more = 0 if code == 28 else length - LENGTH_BASE[code]
    return code, extra, more, far, distance - DISTANCE_BASE[far]


class Writer:
    def __init__(self):
        self.bits = []

    def put(self, value, count):
        self.bits += [value >> i & 1 for i in range(count)]

    def code(self, code):
        assert code
        self.bits += code


def canonical(lengths_):
    """The bits of each code (RFC 1951, 3.2.2)."""
    assert sum(1 << 15 - length for length in lengths_ if length) <= 1 << 15
    out, code = [[] for _ in lengths_], 0
    for n in range(1, 16):
        for s, length in enumerate(lengths_):
            if length == n:
                out[s] = [code >> i & 1 for i in reversed(range(n))]
                code += 1
        code <<= 1
    return out


class Shapes:
    """Types and codes of blocks, and the stream."""

    def __init__(self, plain, rules, corrections, blocks):
        self.plain, self.rules, self.corrections, self.blocks = plain, rules, corrections, blocks
        self.out = Writer()

    def run(self):
        parts = [self.shape(block) for block in self.blocks]
        self.odd = self.corrections.odd_bits()
        assert max(self.odd, default=0) <= len(self.blocks)
        for number, (block, part) in enumerate(zip(self.blocks, parts, strict=True)):
            self.write(number, block, *part)
        at = len(self.out.bits)
        self.out.put(self.odd.get(len(self.blocks), 0), -at % 8)
        bits = self.out.bits
        return bytes(sum(bits[i + k] << k for k in range(8)) for i in range(0, len(bits), 8))

    def slides(self, block):
        r, n, top = self.rules, len(self.plain), block.end
        if block.end != n and block.tokens:
            length = block.tokens[-1][0]
            top -= length if r.search != LAZY else length - 1
        a, b = {NONE: (2 * r.span, 1), RUNS: (2 * r.span - 258, 259)}.get(r.search, (2 * r.span - 261, 262))
        if top > n - b:
            a = 2 * r.span - 262
        return max(0, (top - a + r.span) // r.span)

    def shape(self, block):
        if block.stored:
            return (0,)
        r, c = self.rules, self.corrections
        w0, w1, w2 = [0] * 286, [0] * 30, [0] * 19
        w0[256] = 1
        at, extra = block.start, 0
        for token in block.tokens:
            if token[1] == 0:
                w0[self.plain[at]] += 1
            else:
                code, more, _, far, _ = codes_of(token)
                w0[257 + code] += 1
                w1[far] += 1
                extra += more + DISTANCE_EXTRA[far]
            at += token[0]
        assert at == block.end
        l0, l1 = lengths(w0, 286, 15), lengths(w1, 30, 15)
        if r.search == PLANNED and not r.passes:
            l0, l1 = block.c[:286], block.c[288:318]
        h0, h1 = (max((s for s, n in enumerate(each) if n), default=-1) + 1 for each in (l0, l1))
        both, at, items = l0[:h0] + l1[:h1], 0, []
        while at < len(both):
            items.append(item_for(both, at, h0, h1, r.across))
            at += described(items[-1])
        for symbol, _ in items:
            w2[symbol] += 1
        l2 = lengths(w2, 19, 7)
        told = max([4, *(k for k, s in enumerate(ORDER, 1) if l2[s])])
        by_fixed = extra + sum(n * k for n, k in zip(w0, FIXED, strict=False)) + 5 * sum(w1)
        by_own = extra + 14 + 3 * told + sum(ITEM_EXTRA.get(symbol, 0) for symbol, _ in items)
        by_own += sum(n * k for w, each in ((w0, l0), (w1, l1), (w2, l2)) for n, k in zip(w, each, strict=True))
        fixed, dynamic = (by_fixed + 10) // 8, (by_own + 10) // 8
        best = fixed if fixed <= dynamic or r.fixed else dynamic
        kind = 1 if fixed == best else 2
        if block.end - block.start + 4 <= best and (r.span == 0 or block.start >= r.span * self.slides(block)):
            kind = 0
        if r.search == PLANNED:
            kind = block.kind
        elif not c.agreed(22):
            kind = c.take(29)
            assert kind < 3
        return (kind, *self.dynamic(l0, l1, h0, h1)) if kind == 2 else (kind,)

    def dynamic(self, l0, l1, h0, h1):
        c = self.corrections
        if not c.agreed(23):
            h0, h1 = divmod(c.take(30), 64)
        assert 257 <= h0 <= 288 and 1 <= h1 <= 32
        mine = []
        for predicted in [*[*l0, 0, 0][:h0], *[*l1, 0, 0][:h1]]:
            mine.append(predicted if c.agreed(24) else predicted + signed(c.take(31)))
            assert 0 <= mine[-1] <= 15
        items, at, w2 = [], 0, [0] * 19
        while at < len(mine):
            item = item_for(mine, at, h0, h1, self.rules.across)
            if not c.agreed(25):
                x = c.take(32)
                item = x % 256, x // 256
            items.append(item)
            at += described(item)
            assert item[0] <= 18 and at <= len(mine)
            w2[item[0]] += 1
        l2 = lengths(w2, 19, 7)
        for s in ORDER:
            if not c.agreed(26):
                l2[s] = (l2[s] + c.take(33)) % 8
        told = max([4, *(k for k, s in enumerate(ORDER, 1) if l2[s])])
        if not c.agreed(23):
            told = c.take(30)
            assert 4 <= told <= 19
        return h0, h1, told, l2, items

    def write(self, number, block, kind, h0=288, h1=30, told=0, l2=(), items=()):
        out = self.out
        out.put(block.last, 1)
        out.put(kind, 2)
        if kind == 0:
            out.put(self.odd.get(number, 0), -len(out.bits) % 8)
            size = block.end - block.start
            assert size < 65536
            out.put(size | (size ^ 65535) << 16, 32)
            for byte in self.plain[block.start : block.end]:
                out.put(byte, 8)
            return
        mine = FIXED + [5] * 30
        if kind == 2:
            for value, count in ((h0 - 257, 5), (h1 - 1, 5), (told - 4, 4), *((l2[s], 3) for s in ORDER[:told])):
                out.put(value, count)
            mine, codes = [], canonical([l2[s] if s in ORDER[:told] else 0 for s in range(19)])
            for symbol, more in items:
                out.code(codes[symbol])
                out.put(more, ITEM_EXTRA.get(symbol, 0))
                value = symbol if symbol < 16 else mine[-1] if symbol == 16 else 0
                mine += [value] * described((symbol, more))
        first, second = canonical(mine[:h0]), canonical(mine[h0:])
        at = block.start
        for token in block.tokens:
            if token[1] == 0:
                out.code(first[self.plain[at]])
            else:
                code, extra, more, far, rest = codes_of(token)
                out.code(first[257 + code])
                out.put(more, extra)
                out.code(second[far])
                out.put(rest, DISTANCE_EXTRA[far])
            at += token[0]
        out.code(first[256])


def deflated(plain, rules, data=b""):
    """The stream of plain bytes by five numbers and corrections."""
    rules, corrections = Rules(*rules), Corrections(data)
    return Shapes(plain, rules, corrections, Walk(plain, rules, corrections).run()).run()
