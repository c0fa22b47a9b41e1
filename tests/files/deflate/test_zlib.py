"""Whatever zlib writes is told by its parameters alone, and made again by them."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.files.deflate import put_together, take_apart
from bitsback.files.deflate.recipe import OTHER, ZLIB, Recipe, Walk, read_only, rebuild, rules_of
from bitsback.files.deflate.search import explain, flushes_of
from bitsback.files.deflate.stream import parse, write
from bitsback.files.deflate.walk import Rarer

GENERATOR = np.random.default_rng(1)


def words(size):
    known = [bytes(GENERATOR.integers(97, 123, GENERATOR.integers(2, 9), dtype=np.uint8)) for _ in range(300)]
    return b" ".join(known[min(299, int(GENERATOR.exponential(40)))] for _ in range(size // 5))


def photo(size):
    walk = np.cumsum(GENERATOR.normal(0, 3, size // 3 * 3).reshape(-1, 3), axis=0)
    return np.diff(walk, axis=0, prepend=0).astype(np.int64).astype(np.uint8).tobytes()


NOISE = GENERATOR.integers(0, 256, 70_000, dtype=np.uint8).tobytes()
PLAIN = {
    "nothing": b"",
    "one": b"a",
    "two": b"ab",
    "same": b"abc" * 3,
    "words": words(60_000),
    "photo": photo(60_000),
    "noise": NOISE,
    "zeros": bytes(50_000),
    "digits": GENERATOR.integers(0, 4, 30_000, dtype=np.uint8).tobytes(),
    "changing": words(20_000) + NOISE[:20_000] + photo(30_000) + NOISE[:30_000],
}


def deflated(plain, level=6, memory=8, strategy=0, window=15):
    deflater = zlib.compressobj(level, zlib.DEFLATED, -window, memory, strategy)
    return deflater.compress(plain) + deflater.flush()


def check(plain, data, rules):
    """The rules need no corrections, and lead to the same bytes."""
    read, stream, size = parse(data, len(plain))
    assert read == plain and size == len(data) and write(plain, stream) == data
    walk = Walk(read_only(plain), flushes_of(stream), rules_of(*rules))
    assert walk.corrections(stream, 1 << 20) == b""
    assert write(plain, rebuild(plain, Recipe(rules, b""))) == data


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("level", range(1, 10))
def test_every_level_and_strategy(name, level):
    for strategy in range(5):
        for memory, window in ((8, 15), (9, 15), (1, 15), (4, 12), (9, 9)):
            data = deflated(PLAIN[name], level, memory, strategy, window)
            check(PLAIN[name], data, (level, memory, strategy, window, 0))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.binary(max_size=40), st.integers(1, 80)), max_size=60),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 4),
    st.integers(9, 15),
)
def test_whatever_there_is_to_deflate(pieces, level, memory, strategy, window):
    plain = b"".join(piece * times for piece, times in pieces)
    check(plain, deflated(plain, level, memory, strategy, window), (level, memory, strategy, window, 0))


class WithoutRarer(Walk):
    """A walk that looks at all positions of three equal bytes."""

    def _rarer(self):
        return Rarer(*(np.empty(0, np.int32) for _ in range(3)))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=6), st.integers(1, 60)), max_size=400),
    st.integers(6, 9),
    st.sampled_from([1, 8, 9]),
    st.sampled_from([ZLIB, OTHER]),
    st.integers(1, 9),
)
def test_positions_known_by_four_bytes_change_nothing(pieces, level, memory, family, other):
    plain = PLAIN["words"][:3000] + b"".join(piece * times for piece, times in pieces)
    _, stream, _ = parse(deflated(plain, other), len(plain))
    rules = rules_of(level, memory, 0, 15, family)
    data, flushes = read_only(plain), flushes_of(stream)
    with_them, without = (kind(data, flushes, rules).corrections(stream, 1 << 20) for kind in (Walk, WithoutRarer))
    assert with_them == without
    assert Walk(data, flushes, rules).followed(with_them).tokens.tolist() == stream.tokens.tolist()


@pytest.mark.parametrize("pieces", [1, 1000, 8192, 32768, 70001])
def test_how_the_data_came_does_not_matter(pieces):
    plain = PLAIN["changing"]
    for level in (1, 6):
        deflater = zlib.compressobj(level, zlib.DEFLATED, -15, 9)
        out = [deflater.compress(plain[at : at + pieces]) for at in range(0, len(plain), pieces)]
        check(plain, b"".join([*out, deflater.flush()]), (level, 9, 0, 15, 0))


@pytest.mark.parametrize("name", ["words", "photo", "digits", "changing", "noise"])
@pytest.mark.parametrize("level", [1, 4, 6, 9])
@pytest.mark.parametrize("strategy", [0, 1, 2, 3])
def test_parameters_are_found(name, level, strategy):
    for memory in (8, 9):
        data = deflated(PLAIN[name], level, memory, strategy)
        plain, rules, corrections, size = take_apart(data + b"more", 1 << 20)
        assert plain == PLAIN[name] and size == len(data) and corrections == b""
        assert put_together(plain, rules, corrections) == data


@pytest.mark.parametrize("name", PLAIN)
def test_stored_levels_and_flushes_take_a_few_bytes(name):
    plain = PLAIN[name]
    assert len(take_apart(deflated(plain, 0), 1 << 20)[2]) <= 24
    for how in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH):
        deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
        out = [deflater.compress(part) + deflater.flush(how) for part in (plain[:9000], plain[9000:9100], plain[9100:])]
        data = b"".join([*out, deflater.flush()])
        again, rules, corrections, _ = take_apart(data, 1 << 20)
        assert again == plain and put_together(plain, rules, corrections) == data
        assert len(corrections) < 64


def test_an_encoder_that_is_like_zlib_at_first_only():
    """zlib takes no match of three bytes from afar; this one does, after many bytes that match nothing."""
    far = GENERATOR.integers(0, 40, 40_000, dtype=np.uint8).tobytes()
    plain = NOISE[:4000] + PLAIN["words"][:20_000] + far
    recipe = explain(plain, rebuild(plain, Recipe((9, 8, 0, 15, OTHER))))
    assert recipe is not None and recipe.rules[-1] == OTHER and recipe.corrections == b""
