"""Plain bytes of all kinds, whatever zlib makes of them, and what is left of that after damage."""

import zlib

import numpy as np

FLUSHES = zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH
STRATEGIES = zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED


def plain_bytes(rng: np.random.Generator, most: int) -> bytes:
    """Up to four pieces of up to so many bytes: few or many values, alone or in runs, some again."""
    pieces: list[bytes] = []
    for _ in range(int(rng.integers(0, 5))):
        size, levels = int(rng.integers(0, most)), int(rng.integers(1, 257))
        pieces.append(np.repeat(rng.integers(0, levels, size), rng.integers(1, 4)).astype(np.uint8).tobytes())
        if rng.random() < 0.5:
            pieces.append(pieces[int(rng.integers(len(pieces)))])
    return b"".join(pieces)


def pressed(rng: np.random.Generator, data: bytes) -> bytes:
    """A deflate stream of ``data`` with any parameters, and flushes of any kind at two places."""
    level, window, memory = int(rng.integers(0, 10)), int(rng.integers(9, 16)), int(rng.integers(1, 10))
    deflater = zlib.compressobj(level, zlib.DEFLATED, -window, memory, int(rng.choice(STRATEGIES)))
    first, second = np.sort(rng.integers(0, len(data) + 1, 2)).tolist()
    pieces = data[:first], data[first:second], data[second:]
    done = [deflater.compress(piece) + deflater.flush(int(rng.choice(FLUSHES))) for piece in pieces]
    return b"".join(done) + deflater.flush()


def tampered(rng: np.random.Generator, data: bytes) -> bytes:
    """The same with up to three other bytes."""
    bad = bytearray(data)
    for place in rng.integers(0, len(bad), int(rng.integers(1, 4))):
        bad[place] = rng.integers(256)
    return bytes(bad)
