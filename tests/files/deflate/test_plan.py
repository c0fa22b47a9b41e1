"""The cheapest way through a block is found for what it is, and streams come back whatever was planned."""

import zlib

import numpy as np
import pytest

from bitsback.errors import ImageError
from bitsback.files.deflate.recipe import CHEAPEST, IN_PASSES, Recipe, Walk, read_only, rebuild, rules_of
from bitsback.files.deflate.search import explain
from bitsback.files.deflate.stream import parse, write
from files.deflate.streams import plain_bytes, pressed, tampered

NOTHING = np.empty(0, np.int64)


def drawing(size: int) -> bytes:
    """Few values, and pieces of what was before."""
    rng = np.random.default_rng(size)
    data = rng.integers(0, 5, 2000, np.uint8).tobytes()
    while len(data) < size:
        at, count = int(rng.integers(len(data))), int(rng.integers(3, 60))
        data += data[at : at + count] + rng.integers(0, 5, 3, np.uint8).tobytes()
    return data[:size]


@pytest.mark.parametrize("level", [6, 7, 9])
def test_who_looks_for_the_cheapest_way_is_recognised(level: int) -> None:
    plain = drawing(40_000)
    stream = rebuild(plain, Recipe((level, 8, 0, 15, CHEAPEST)))
    recipe = explain(read_only(plain), stream)
    assert recipe is not None and recipe.rules[4] == CHEAPEST
    assert len(recipe.corrections) < (100 if level == 9 else 1000)
    assert write(plain, rebuild(plain, recipe)) == write(plain, stream)


@pytest.mark.parametrize(("level", "checked"), [(1, 0x755B1464), (2, 0x6AA8A107), (3, 0x30448867), (4, 0xA49F9F01)])
def test_what_advancecomp_writes(level: int, checked: int) -> None:
    # CRC-32 of what its encoder (7z/DeflateEncoder.cc, version 2.5) made of these bytes, of several blocks
    plain = drawing(40_000) + (np.random.default_rng(9).integers(0, 14, 30_000, np.uint8) ** 2).tobytes()
    stream = rebuild(plain, Recipe((level, 8, 0, 15, IN_PASSES)))
    assert zlib.crc32(write(plain, stream)) == checked
    recipe = explain(read_only(plain), stream)
    assert recipe == Recipe((level, 8, 0, 15, IN_PASSES))


def test_any_stream() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        plain = plain_bytes(rng, 4000)
        stream = pressed(rng, plain)
        for one in (stream, tampered(rng, stream)):
            try:
                found, choices, size = parse(one, 1 << 20)
            except ImageError:
                continue
            family = CHEAPEST if rng.random() < 0.7 else IN_PASSES
            level = int(rng.integers(1, 10 if family == CHEAPEST else 4))
            rules = level, 8, int(rng.integers(2)), 15, family
            corrections = Walk(read_only(found), NOTHING, rules_of(*rules)).corrections(choices, 1 << 20)
            assert corrections is not None
            assert write(found, rebuild(found, Recipe(rules, corrections))) == one[:size]
