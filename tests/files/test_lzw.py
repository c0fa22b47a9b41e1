"""LZW both ways, against Pillow's encoder and one that begins anew wherever it is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import ImageError
from bitsback.files.lzw import TIFF, Choices, Dialect, put_together, read_choices, take_apart, write_choices
from bitsback.files.picture import UnexplainedError
from bitsback_decoder import places as second_decoder

GIF = Dialect(8, False, 0)


def encoded(plain, lengths, dialect):
    """By the book, in strings and lists; ``lengths``: codes after which a clear code stands, in turn."""
    bits, high_first, early = dialect
    clear, codes, runs = 1 << bits, [], [*lengths, 1 << 30]
    table, done = None, 0
    widths = []
    left, following, width = runs.pop(0), 0, bits + 1
    table = {bytes([k]): k for k in range(clear)}
    following = clear + 2
    first = True
    while done < len(plain):
        if not left:
            codes.append((clear, width))
            table = {bytes([k]): k for k in range(clear)}
            left, following, width, first = runs.pop(0), clear + 2, bits + 1, True
            continue
        stop = done + 1
        while stop < len(plain) and plain[done : stop + 1] in table:
            stop += 1
        codes.append((table[plain[done:stop]], width))
        if stop < len(plain) and len(table) + 2 < 4096:
            table[plain[done : stop + 1]] = len(table) + 2
        following += not first and following < 4096
        first = False
        width += following + early >= 1 << width and width < 12
        done, left = stop, left - 1
    codes.append((clear + 1, width))
    widths = [f"{code:0{wide}b}" for code, wide in codes]
    if high_first:
        text = "".join(widths)
        return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    text = "".join(reversed(widths))
    return int(text, 2).to_bytes(-(-len(text) // 8), "little")


@pytest.mark.parametrize("dialect", [TIFF, GIF, Dialect(2, False, 0)])
@settings(deadline=None)
@given(st.data())
def test_streams_come_back(dialect, data):
    plain = data.draw(st.binary(max_size=60) | st.integers(1, 900).map(lambda n: bytes(k % 7 for k in range(n))))
    plain = bytes(byte & ((1 << dialect.bits) - 1) for byte in plain)
    lengths = data.draw(st.lists(st.integers(0, 12), max_size=4))
    stream = encoded(plain, lengths, dialect)
    found, choices, size = take_apart(stream + b"more", len(plain) + 3, dialect)
    assert found == plain and size == len(stream)
    assert put_together(found, choices, size, dialect) == stream


@pytest.mark.parametrize("dialect", [TIFF, GIF])
def test_full_tables(dialect):
    plain = np.random.default_rng(0).integers(0, 256, 30000).astype(np.uint8).tobytes()
    for lengths in ([0, 3837, 3837], [0, 3900, 4000], []):
        stream = encoded(plain, lengths, dialect)
        found, choices, size = take_apart(stream, len(plain), dialect)
        assert found == plain and size == len(stream) and put_together(found, choices, size, dialect) == stream


def coded(codes):
    """Codes of TIFF while they have nine bits."""
    text = "".join(f"{code:09b}" for code in codes)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


@pytest.mark.parametrize(
    ("codes", "plain", "rule", "corrected"),
    [
        ([256, 1, 1, 1, 1, 257], bytes([1] * 4), 2, 0),  # no matches at all
        ([256, 1, 258, 259, 258, 2, 1, 258, 257], bytes([1] * 8 + [2, 1, 1, 1]), 1, 1),  # 263 would be by the rule
        ([256, 1, 258, 259, 258, 7, 3, 7, 3, 7, 3, 9, 9], bytes([1] * 8 + [7, 3] * 3 + [9, 9]), 1, 0),
        ([256, 1, 2, 258, 260, 1, 2, 262, 9, 8, 7, 257], bytes([1, 2] * 3 + [1, 1, 2, 1, 2, 9, 8, 7]), 0, 2),
    ],
)
def test_what_is_not_by_the_longest_match(codes, plain, rule, corrected):
    stream = coded(codes)
    found, choices, size = take_apart(stream, len(plain))
    assert found == plain and size == len(stream) and choices.ended == (codes[-1] == 257)
    assert (choices.rule, len(choices.places)) == (rule, corrected)
    how, told = write_choices(choices)
    assert len(how) % 2 and read_choices(how, told, len(plain)) == choices
    assert put_together(found, choices, size) == stream
    assert second_decoder.lzw(plain, how, told) == stream


def test_what_is_by_no_rule():
    numbers = np.random.default_rng(1).integers(0, 2, 90).tolist()
    with pytest.raises(UnexplainedError):  # a third of pairs, but not where they are longest
        take_apart(coded([256, 0, 1, *(258 if number else k & 1 for k, number in enumerate(numbers)), 257]), 999)


@given(st.binary(max_size=60))
def test_damage_is_an_error(data):
    try:
        plain, choices, size = take_apart(data, 100)
    except ImageError:
        return
    assert put_together(plain, choices, size) == data[:size]


def test_choices_that_do_not_fit():
    with pytest.raises(ValueError, match="impossible"):
        put_together(b"abc", Choices([]), 4)
    with pytest.raises(ValueError, match="impossible"):
        put_together(b"abc", Choices([0, 3]), 1 << 40)
    with pytest.raises(ValueError, match="do not fit"):
        put_together(b"abc", Choices([0, 2]), 5)
    with pytest.raises(ValueError, match="do not fit"):
        put_together(b"abc", Choices([3], places=[3], codes=[1]), 5)
    with pytest.raises(ValueError, match="do not fit"):
        put_together(b"abc", Choices([3], places=[1], codes=[4000]), 5)
