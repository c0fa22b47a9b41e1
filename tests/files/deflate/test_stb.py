"""What stb_image_write.h deflates, whose search is followed: a writer of its choices in a few lines, here."""

import numpy as np
import pytest

from bitsback.files.deflate import put_together, take_apart
from bitsback.files.deflate.stream import Stream, write
from bitsback.files.deflate.symbols import BLOCK, BYTES, COUNT, FINAL, FIXED, TOKEN_BITS, TYPE


def bucket(data: bytes, at: int) -> int:
    value = int.from_bytes(data[at : at + 3], "little")
    for left, right in ((3, 5), (4, 17), (25, 6)):
        value = (value ^ value << left) & 0xFFFFFFFF
        value = (value + (value >> right)) & 0xFFFFFFFF
    return value & 16383


def longest(data: bytes, places: list[int], at: int, best: int, reach: int) -> tuple[int, int]:
    """The longest match of more than ``best`` bytes, the last one of equals; its length and place."""
    found = -1
    for there in places:
        if at - there < reach:
            length = 0
            while length < min(258, len(data) - at) and data[there + length] == data[at + length]:
                length += 1
            if length >= best:
                best, found = length, there
    return best, found


def by_stb(data: bytes, quality: int) -> bytes:
    places: dict[int, list[int]] = {}
    tokens, at = [], 0
    while at < len(data):
        length, there = 1, -1
        if at < len(data) - 3:
            mine = places.setdefault(bucket(data, at), [])
            length, there = longest(data, mine, at, 3, 32768)
            if len(mine) == 2 * quality:
                del mine[:quality]
            mine.append(at)
            later = places.get(bucket(data, at + 1), []) if there >= 0 else []
            if there < 0 or longest(data, later, at + 1, length + 1, 32768)[1] >= 0:
                length, there = 1, -1
        tokens.append(length if there < 0 else (at - there) << TOKEN_BITS | length)
        at += length
    blocks = np.zeros((1, BLOCK), np.int32)
    blocks[0, [TYPE, FINAL, COUNT, BYTES]] = FIXED, 1, len(tokens), len(data)
    return write(data, Stream(np.array(tokens, np.int32), blocks, np.empty(0, np.int32)))


@pytest.mark.parametrize("quality", [5, 8])
@pytest.mark.parametrize("size", [2, 4, 5, 300, 45_000])
def test_by_its_quality(quality: int, size: int) -> None:
    rng = np.random.default_rng(size)
    noise = rng.integers(0, 4, 3000, np.uint8).tobytes()
    steps = [noise[int(i) : int(i) + int(n)] for i, n in rng.integers(1, 300, (size // 100 + 1, 2))]
    data = (b"".join(steps) * 3)[:size]
    stream = by_stb(data, quality)
    plain, rules, corrections, read = take_apart(stream, size)
    assert (plain, read) == (data, len(stream))
    assert put_together(plain, rules, corrections) == stream
    assert size < 45_000 or (rules[4], rules[0], corrections) == (2, quality, b"")
