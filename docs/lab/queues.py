"""Queues for the page ans.md: constriction's range coder, an exact arithmetic coder, and how to chain images with them.

A distribution is a table, int64 (symbols to code, values + 1): for each value where its interval starts, and the end of
the last one, a power of 2.
"""

import numpy as np

from bitsback.codecs import Uniform

try:
    import constriction

    MODEL = constriction.stream.model.Categorical(perfect=False)
except ImportError:
    constriction = None


def table(codec):
    starts = [codec.intervals(np.full(codec.shape, s))[0] for s in range(codec.size)]
    return np.stack([*starts, np.full(starts[0].size, 1 << codec.precision)], axis=1).astype(np.int64)


def pixels(vae, z):
    return table(vae.likelihood(np.array(z, np.uint16).reshape(1, -1)))


class Words:
    """constriction's range coder. A message is a list of 32-bit words."""

    unit, overhead = 32, 8  # how many words of a message come back must be stored with it: a byte

    @staticmethod
    def encode(parts):
        coder = constriction.stream.queue.RangeEncoder()
        for symbols, starts in parts:
            coder.encode(np.asarray(symbols, np.int32), MODEL, np.float32(np.diff(starts) / starts[0, -1]))
        return coder.get_compressed().tolist()

    beginning = encode

    def __init__(self, message):
        self.coder = constriction.stream.queue.RangeDecoder(np.array(message, np.uint32))

    def decode(self, starts):
        return self.coder.decode(MODEL, np.float32(np.diff(starts) / starts[0, -1]))


class Bits:
    """Arithmetic coding by integers of any length, so without rounding. A message is a string of "0" and "1"."""

    unit, overhead = 1, 0

    @staticmethod
    def interval(parts):
        """Those numbers, in 2**-scale, whose beginnings stand for these symbols: low, width, scale."""
        low, width, scale = 0, 1, 0
        for symbols, starts in parts:
            precision = int(starts[0, -1]).bit_length() - 1
            for symbol, row in zip(symbols, starts, strict=True):
                start, stop = int(row[symbol]), int(row[symbol + 1])
                low, width, scale = (low << precision) + width * start, width * (stop - start), scale + precision
        return low, width, scale

    @staticmethod
    def encode(parts):
        """The fewest bits after which any bits may follow."""
        low, width, scale = Bits.interval(parts)
        for size in range(scale - width.bit_length(), scale + 1):
            first = -(-low >> (scale - size))
            if (first + 1) << (scale - size) <= low + width:
                return format(first, f"0{size}b")
        raise AssertionError

    @staticmethod
    def beginning(parts):
        """The bits that all numbers of the interval begin with."""
        low, width, scale = Bits.interval(parts)
        return format(low, f"0{scale}b")[: scale - (low ^ (low + width - 1)).bit_length()]

    def __init__(self, message):
        self.number, self.of = int(message, 2), 1 << len(message)  # of all numbers with so many bits

    def decode(self, starts):
        precision, symbols = int(starts[0, -1]).bit_length() - 1, []
        for row in starts:
            symbols.append(int(np.searchsorted(row, (self.number << precision) // self.of, "right")) - 1)
            start, stop = int(row[symbols[-1]]), int(row[symbols[-1] + 1])
            self.number, self.of = (self.number << precision) - start * self.of, self.of * (stop - start)
        return symbols


def blocks(vae, images, coder):
    """Bits back with queues: every image is a message of its own, and the beginning of the message of the image before
    chooses its latents. Decoded from the last to the first, and compared. Returns bits, all in all."""
    prior = table(vae.prior(1))

    def parts(z, x):
        return [(z, prior), (x.reshape(-1), pixels(vae, z))]

    message = coder.encode(parts(vae.posterior(images[:1]).modes()[0], images[0]))
    stream, kept = message[:0], []
    for x in images[1:]:
        q = vae.posterior(x[None])
        try:
            z = coder(message).decode(table(q))
        except AssertionError:  # not every string of words is a message of a range coder
            z = q.modes()[0]
        again = coder.beginning([(z, table(q))])
        same = (a == b for a, b in zip(again, message, strict=False))
        kept.append(next((i for i, one in enumerate(same) if not one), min(len(again), len(message))))
        assert coder.overhead or kept[-1] == len(again)  # a decoder of Bits knows it by itself
        stream = message[kept[-1] :] + stream
        message = coder.encode(parts(z, x))
    stream = message + stream
    bits = coder.unit * len(stream) + coder.overhead * len(kept)

    returned = stream[:0]
    for x in images[::-1]:
        buffer = returned + stream
        decoder = coder(buffer[:4096])
        z = decoder.decode(prior)
        found = np.array(decoder.decode(pixels(vae, z)), np.uint8).reshape(x.shape)
        assert np.array_equal(found, x)
        message = coder.encode(parts(z, found))
        assert buffer[: len(message)] == message
        stream = buffer[len(message) :]
        if kept:
            returned = coder.beginning([(z, table(vae.posterior(found[None])))])[: kept.pop()]
    return bits


def one_queue(vae, images, choose, grid):
    """All images in one range coder, no bits back: for each its latents, on a grid, then its pixels. Bits, decoded."""
    prior = [table(Uniform(int(b), (1,))) if b else None for b in grid.bits]
    parts = []
    for x in images:
        z = choose(x[None])
        coarse = (z >> grid.shift)[0]
        parts += [([k], rows) for k, rows in zip(coarse, prior, strict=True) if rows is not None]
        parts.append((x.reshape(-1), pixels(vae, z)))
    message = Words.encode(parts)
    decoder = Words(message)
    for x in images:
        coarse = [0 if rows is None else int(decoder.decode(rows)[0]) for rows in prior]
        z = grid.snap(np.array(coarse)[None] << grid.shift)
        assert np.array_equal(decoder.decode(pixels(vae, z)), x.reshape(-1))
    return Words.unit * len(message)
