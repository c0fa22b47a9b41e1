import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import ImageError
from bitsback.files.deflate import put_together, take_apart
from bitsback.files.deflate.coder import CONTEXTS, UNKNOWN, pack, pack_chain, unpack_chain
from bitsback.files.deflate.stream import parse, write


class Bits:
    """Bits in the order of the format."""

    def __init__(self):
        self.bits = []

    def put(self, value, count):
        self.bits += [value >> i & 1 for i in range(count)]
        return self

    def code(self, text):
        self.bits += map(int, text)
        return self

    def bytes(self):
        padded = np.array(self.bits + [0] * (-len(self.bits) % 8), np.uint8)
        return np.packbits(padded, bitorder="little").tobytes()


def test_a_longest_match_in_two_ways():
    """258 as code 285, and as code 284 with 31 more."""
    for code, more in (("11000101", ""), ("11000100", "11111")):
        data = Bits().put(1, 1).put(1, 2).code("10010001").code(code).code(more).code("00000").code("0000000").bytes()
        plain, stream, size = parse(data, 1000)
        assert plain == b"a" * 259 and size == len(data)
        assert write(plain, stream) == data
        plain, rules, corrections, _ = take_apart(data, 1000)
        assert put_together(plain, rules, corrections) == data


@pytest.mark.parametrize("padding", [0, 5, 21])
def test_bits_without_meaning_come_back(padding):
    """After the end, and before the length of a stored block."""
    data = Bits().put(0, 1).put(0, 2).put(padding, 5).put(1, 16).put(0xFFFE, 16).put(65, 8)
    data = data.put(1, 1).put(1, 2).code("0000000").put(padding, 6).bytes()
    plain, rules, corrections, _ = take_apart(data, 10)
    assert plain == b"A" and put_together(plain, rules, corrections) == data


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_come_back(data):
    try:
        plain, rules, corrections, size = take_apart(data, 1 << 16)
    except ImageError:
        return
    assert put_together(plain, rules, corrections) == data[:size]


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 9), st.integers(0, 4), st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 7)), max_size=3)
)
def test_streams_with_flipped_bits_are_refused_or_come_back(level, strategy, flips):
    plain = bytes(range(64)) * 9 + b"some words, some more words, " * 20
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    data = bytearray(deflater.compress(plain) + deflater.flush())
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    try:
        plain, rules, corrections, size = take_apart(data, 1 << 16)
    except ImageError:
        return
    assert put_together(plain, rules, corrections) == data[:size]


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60), st.tuples(*[st.integers(-1, 20)] * 5))
def test_hostile_corrections_are_refused_or_followed(corrections, rules):
    plain = b"some words, some more words, " * 20
    try:
        data = put_together(plain, list(rules), corrections)
    except ValueError:
        return
    assert parse(data, len(plain))[0] == plain


def test_codes_that_corrections_leave_out_are_missed() -> None:
    """Here that of the end of the block."""
    with pytest.raises(ValueError):
        put_together(b"some words, some more words, " * 20, [1, 1, 0, 8, 4], bytes.fromhex("00004153 1b05"))


def test_too_many_blocks_are_refused():
    with pytest.raises(ImageError):
        take_apart(bytes.fromhex("0000") * 0 + b"\x02\x00" * 5000 + b"\x03\x00", 1 << 20)


def test_cut_off_and_large_streams_are_refused():
    data = zlib.compress(bytes(1000))[2:-4]
    for damaged, limit in ((data[:-1], 1000), (data, 999), (b"", 10)):
        with pytest.raises(ImageError):
            take_apart(damaged, limit)


@pytest.mark.parametrize("count", [0, 1, 1024, 1025, 60_000])
def test_numbers_that_are_all_alike_are_read_again(count: int) -> None:
    packed = pack_chain(np.zeros(count, np.uint8), 5)
    assert unpack_chain(packed, 5, count).tolist() == [0] * count
    assert len(packed) <= 16 + count // 500


@given(st.lists(st.integers(0, 4), max_size=300), st.binary(max_size=40))
def test_chains_of_numbers(values: list[int], data: bytes) -> None:
    assert unpack_chain(pack_chain(np.array(values, np.uint8), 5), 5, len(values)).tolist() == values
    with suppress(ValueError):
        assert unpack_chain(data, 5, 50).max() < 5


def test_what_takes_too_many_bytes_is_not_packed() -> None:
    events, chances = np.arange(1000), np.full(CONTEXTS, UNKNOWN, np.int64)
    packed = pack(events, chances)
    assert packed is not None and pack(events, chances, len(packed)) == packed
    assert pack(events, chances, len(packed) - 1) is None and pack(events, chances, 10) is None
