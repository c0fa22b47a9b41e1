"""Small numbers as bytes: an adaptive binary coder (carryless, 32 bits), whose bits are chosen by the number's list.

Every number, plus one, is written as how many bits follow the first (in unary) and then those bits. Each bit has a
probability that learns: from those at the same place of numbers of the same list.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import kernel, routine

CONTEXTS = 128
"""Probabilities of a list: 24 for the unary part, then those for the first bits of numbers, and for bits by place."""
_UNARY, _LONGEST, _BY_PLACE, _PLACES = 24, 11, 120, 8
_ADAPT = 250
ONE = 1 << 22
USED = 8
"""Bits of how often a probability was used, below it."""
UNKNOWN = ONE // 2 << USED
"""A probability of which nothing is known."""
_MOST_BITS = 33

LOW, HIGH, AT, CODE, FAULT = range(5)
CODER = 5
"""Places in a state: those of the coder, and whether something went wrong."""


@routine
def code_number(name, value, state, source, known):  # type: ignore[no-untyped-def]
    """Code a number of a list into bytes (``known``), or decode and return it.

    ``state`` begins with :data:`LOW`, :data:`HIGH`, :data:`AT`, :data:`CODE`, :data:`FAULT`. ``source``, int64, has for
    each list :data:`CONTEXTS` probabilities of a one, in 2^-22, times 2^8, and how often it was used; then the bytes.
    """
    value = value + 1
    bits = 0
    place = -1
    prefix = np.int64(1)
    while place != 0:
        if place < 0:
            context = min(bits, _UNARY - 1)
            bit = 1 if value >> (bits + 1) > 0 else 0
        else:
            context = _BY_PLACE + min(place - 1, _PLACES - 1)
            if bits - place < 3:
                context = _UNARY + 8 * min(bits, _LONGEST) + prefix
            bit = (value >> (place - 1)) & 1
        chance = source[name * CONTEXTS + context]
        used = chance & ((1 << USED) - 1)
        chance >>= USED
        span = state[HIGH] - state[LOW]
        part = min(max(chance >> 6, 1), 65535)
        middle = state[LOW] + (span >> 16) * part + (((span & 65535) * part) >> 16)
        if known == 0:
            bit = 1 if state[CODE] <= middle else 0
        if bit == 1:
            state[HIGH] = middle
            chance += ((ONE - chance) * 2) // (2 * used + 3)
        else:
            state[LOW] = middle + 1
            chance -= (chance * 2) // (2 * used + 3)
        source[name * CONTEXTS + context] = chance << USED | min(used + 1, _ADAPT)
        while (state[LOW] ^ state[HIGH]) >> 24 == 0:
            byte = state[HIGH] >> 24
            if state[AT] >= source.size:
                if known:
                    state[FAULT] = 1
                    return np.int64(0)
                byte = np.int64(0)
            elif known:
                source[state[AT]] = byte
            else:
                byte = source[state[AT]]
            state[CODE] = (state[CODE] << 8 & 0xFFFFFFFF) | byte
            state[AT] += 1
            state[LOW] = state[LOW] << 8 & 0xFFFFFFFF
            state[HIGH] = (state[HIGH] << 8 & 0xFFFFFFFF) | 255
        if place >= 0:
            prefix = prefix << 1 | bit
            place -= 1
        elif bit == 0:
            place = bits
        else:
            bits += 1
            if bits == _MOST_BITS:
                state[FAULT] = 1
                return np.int64(0)
    return prefix - 1


@kernel
def one_number(name, state, source):  # type: ignore[no-untyped-def]
    """Decode a number of a list."""
    return code_number(np.int64(name), np.int64(0), state, source, 0)


@kernel
def _code_all(events, state, source):  # type: ignore[no-untyped-def]
    """Code numbers, each as ``list << 32 | number``."""
    for i in range(events.size):
        code_number(events[i] >> 32, events[i] & 0xFFFFFFFF, state, source, 1)


@kernel
def _code_chain(values, lists, state, source):  # type: ignore[no-untyped-def]
    """Decode numbers, each of the list whose number is the one before. Returns False if there is no such list."""
    name = np.int64(0)
    for i in range(values.size):
        if name >= lists:
            return False
        name = code_number(name, name, state, source, 0)
        values[i] = name
    return name < lists and state[FAULT] == 0


def pack(events: NDArray[np.int64], chances: NDArray[np.int64], most: int = 1 << 62) -> bytes | None:
    """Numbers, each as ``list << 32 | number``, by ``chances`` (:data:`CONTEXTS` for each list) at first; nothing for
    none. None if that takes more than ``most`` bytes."""
    if not len(events):
        return b""
    first = len(chances)
    source = np.empty(first + min(64 + 12 * len(events), most + 8), np.int64)
    source[:first] = chances
    coder = np.array([0, 0xFFFFFFFF, first, 0, 0], np.int64)
    _code_all(events, coder, source)
    if coder[FAULT]:
        return None
    # As few bytes as name a number of the last interval; those that follow are read as zeros
    for more in range(5):
        step = 1 << (32 - 8 * more)
        last = -(-int(coder[LOW]) // step) * step
        if last <= coder[HIGH]:
            break
    ending = (last >> (32 - 8 * more)).to_bytes(more, "big") if more else b""
    packed = source[first : coder[AT]].astype(np.uint8).tobytes() + ending
    packed = packed.rstrip(b"\0") or b"\0"
    return packed if len(packed) <= most else None


def unpack(data: bytes, chances: NDArray[np.int64], state: NDArray[np.int64]) -> NDArray[np.int64]:
    """What :func:`code_number` decodes from; and a state to begin with, into ``state``."""
    state[: FAULT + 1] = 0, 0xFFFFFFFF, len(chances) + 4, int.from_bytes(data[:4].ljust(4, b"\0"), "big"), 0
    return np.concatenate([chances, np.frombuffer(data, np.uint8).astype(np.int64)])


def pack_chain(values: NDArray[np.uint8], lists: int) -> bytes:
    """Numbers from 0 to ``lists`` - 1, each in the list whose number is the one before (the first: 0)."""
    before = np.concatenate([np.zeros(1, np.int64), values[:-1].astype(np.int64)])
    packed = pack(before << 32 | values, _flat(lists))
    assert packed is not None
    return packed


def unpack_chain(data: bytes, lists: int, count: int) -> NDArray[np.uint8]:
    """The inverse. Raises ValueError if there are no such numbers."""
    values, state = np.empty(count, np.uint8), np.empty(CODER, np.int64)
    if not _code_chain(values, lists, state, unpack(data, _flat(lists), state)):
        raise ValueError("a damaged list of numbers")
    return values


def _flat(lists: int) -> NDArray[np.int64]:
    return np.full(lists * CONTEXTS, UNKNOWN, np.int64)
