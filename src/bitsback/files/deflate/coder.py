"""Lists of small numbers as bytes: an adaptive binary coder (carryless, 32 bits), whose bits are chosen by the list.

Every number, plus one, is written as how many bits follow the first (in unary) and then those bits. Each bit has a
probability that learns: from those at the same place of numbers of the same list.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import helper, kernel

CONTEXTS = 512
"""Probabilities of a list: 40 for the unary part, the rest for bits of numbers."""
_ADAPT = 250
_NUMBERS, _NUMBERS_A_BYTE = 1024, 512
"""No more numbers than these, and those for each byte, are packed: what is all alike gets more bytes than it needs."""
_ONE = 1 << 22

LOW, HIGH, AT, CODE = range(4)


@helper
def context_of(bits, place, prefix):  # type: ignore[no-untyped-def]
    """Where the probability of a bit is, ``place`` bits from the end of ``bits``, after ``prefix`` (led by a one)."""
    if bits - place <= 3:
        return 40 + 8 * bits + prefix
    return 400 + place


@kernel
def code(values, counts, data, coder, chances, known):  # type: ignore[no-untyped-def]
    """Code numbers into bytes (``known``) or decode them.

    ``values`` int64: all lists in a row; ``counts`` int64: how many each has. ``coder``: :data:`LOW`, :data:`HIGH`,
    :data:`AT`, :data:`CODE`. ``chances``, int32 (lists + 1, CONTEXTS, 2): probabilities of a one in 2^-22, and how
    often each was used. Returns False if there is no room for the bytes or numbers.
    """
    done = 0
    for name in range(counts.size):
        left = np.int64(1)
        row = counts.size
        going = 2
        while going > 0:
            # First how many there are, then each
            value = np.int64(0)
            if known:
                value = (counts[name] if going == 2 else values[done]) + 1
            bits = 0
            place = -1
            prefix = np.int64(1)
            while True:
                if place < 0:
                    context = bits
                    bit = 1 if value >> (bits + 1) > 0 else 0
                else:
                    context = context_of(bits, place, prefix)
                    bit = (value >> place) & 1
                chance = np.int64(chances[row, context, 0])
                used = np.int64(chances[row, context, 1])
                span = coder[HIGH] - coder[LOW]
                middle = coder[LOW] + (span >> 16) * min(max(chance >> 6, 1), 65535)
                middle += ((span & 65535) * min(max(chance >> 6, 1), 65535)) >> 16
                if not known:
                    bit = 1 if coder[CODE] <= middle else 0
                if bit == 1:
                    coder[HIGH] = middle
                    chances[row, context, 0] = chance + ((_ONE - chance) * 2) // (2 * used + 3)
                else:
                    coder[LOW] = middle + 1
                    chances[row, context, 0] = chance - (chance * 2) // (2 * used + 3)
                if used < _ADAPT:
                    chances[row, context, 1] = used + 1
                while (coder[LOW] ^ coder[HIGH]) >> 24 == 0:
                    if known:
                        if coder[AT] >= data.size:
                            return False
                        data[coder[AT]] = coder[HIGH] >> 24
                    else:
                        byte = np.int64(data[coder[AT]]) if coder[AT] < data.size else np.int64(0)
                        coder[CODE] = (coder[CODE] << 8 & 0xFFFFFFFF) | byte
                    coder[AT] += 1
                    coder[LOW] = coder[LOW] << 8 & 0xFFFFFFFF
                    coder[HIGH] = (coder[HIGH] << 8 & 0xFFFFFFFF) | 255
                if place < 0:
                    if bit == 1:
                        bits += 1
                        if bits == 40:
                            return False
                        continue
                    place = bits
                else:
                    prefix = prefix << 1 | bit
                place -= 1
                if place < 0:
                    break
            value = prefix - 1
            if going == 2:
                if done + value > values.size:
                    return False
                counts[name] = value
                left = value
                row = name
                going = 1 if left > 0 else 0
            else:
                values[done] = value
                done += 1
                left -= 1
                if left == 0:
                    going = 0
    return True


def pack(values: NDArray[np.int64], counts: NDArray[np.int64]) -> bytes:
    """Lists of numbers (0 to 2^32), one after the other, and how many each has; nothing if all are empty."""
    if not len(values):
        return b""
    data = np.empty(64 + 12 * len(values) + len(counts), np.uint8)
    coder = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    code(values, counts.astype(np.int64), data, coder, _chances(len(counts)), 1)
    size = int(coder[AT])
    # As few bytes as name a number of the last interval; those that follow are read as zeros
    for more in range(5):
        step = 1 << (32 - 8 * more)
        last = -(-int(coder[LOW]) // step) * step
        if last <= coder[HIGH]:
            break
    ending = (last >> (32 - 8 * more)).to_bytes(more, "big") if more else b""
    stripped = (data[:size].tobytes() + ending).rstrip(b"\0")
    return stripped.ljust(-(-(len(values) - _NUMBERS) // _NUMBERS_A_BYTE), b"\0")


def unpack(data: bytes, lists: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The inverse. Raises ValueError if the bytes hold more than ``most`` numbers, or than so many bytes can."""
    counts = np.zeros(lists, np.int64)
    if not data:
        return np.empty(0, np.int64), counts
    values = np.empty(min(most, _NUMBERS + _NUMBERS_A_BYTE * len(data)), np.int64)
    coder = np.array([0, 0xFFFFFFFF, 4, int.from_bytes(data[:4].ljust(4, b"\0"), "big")], np.int64)
    if not code(values, counts, np.frombuffer(bytearray(data), np.uint8), coder, _chances(lists), 0):
        raise ValueError("a damaged list of corrections")
    return values[: int(counts.sum())], counts


def _chances(lists: int) -> NDArray[np.int32]:
    chances = np.zeros((lists + 1, CONTEXTS, 2), np.int32)
    chances[:, :, 0] = _ONE // 2
    return chances
