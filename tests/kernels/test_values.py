"""Numbers of kernels against Python's integers, which have no bounds, and NumPy's types."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.kernels import KernelError, helper, kernel

EDGES = [0, 1, 2, 3, 7, 8, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1]
integers = st.sampled_from([*EDGES, *(-e for e in EDGES), -(2**63)]) | st.integers(-(2**63), 2**63 - 1)
words = st.sampled_from([*EDGES, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)


@kernel
def all_of(a, b, out):
    out[0], out[1], out[2], out[3] = a + b, a - b, a * b, a & b
    out[4], out[5], out[6], out[7] = a | b, a ^ b, a // b, a % b
    out[8], out[9] = min(a, b), max(a, b)
    out[10], out[11] = a << 5, a >> 5
    out[12], out[13] = a // 8, a % 8  # by a power of two, which is done otherwise
    out[14], out[15] = a // 10, a % 10
    out[16], out[17] = ~a, a << np.int64(b & 63)


@kernel
def compared(a, b):
    return (a < b) | ((a <= b) << 1) | ((a == b) << 2) | ((a != b) << 3) | ((a >= b) << 4) | ((a > b) << 5)


def expected(a: int, b: int) -> list[int]:
    divided = [a // b, a % b] if b else [0, 0]
    found = [a + b, a - b, a * b, a & b, a | b, a ^ b, *divided, min(a, b), max(a, b), a << 5, a >> 5]
    return [*found, a // 8, a % 8, a // 10, a % 10, ~a, a << (b & 63)]


def signs(a: int, b: int) -> int:
    return sum(how(a, b) << i for i, how in enumerate((operator.lt, operator.le, operator.eq, operator.ne)))


@settings(deadline=None)
@given(integers, integers)
def test_integers_are_pythons_in_64_bits(a: int, b: int) -> None:
    out = np.zeros(18, np.int64)
    all_of(a, b, out)
    assert out.tolist() == [(value + 2**63) % 2**64 - 2**63 for value in expected(a, b)]
    assert compared(a, b) & 15 == signs(a, b)
    assert compared(a, b) >> 4 == (a >= b) | (a > b) << 1


@settings(deadline=None)
@given(words, words)
def test_words_are_pythons_without_a_sign(a: int, b: int) -> None:
    out = np.zeros(18, np.uint64)
    all_of(np.uint64(a), np.uint64(b), out)
    assert out.tolist() == [value % 2**64 for value in expected(a, b)]
    assert compared(np.uint64(a), np.uint64(b)) & 15 == signs(a, b)


TYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


@kernel
def cut(a, int8, uint8, int16, uint16, int32, uint32, int64, uint64):
    int8[0], uint8[0], int16[0], uint16[0] = np.int8(a), np.uint8(a), np.int16(a), np.uint16(a)
    int32[0], uint32[0], int64[0], uint64[0] = np.int32(a), np.uint32(a), np.int64(a), np.uint64(a)
    int8[1] = uint8[1] = int16[1] = uint16[1] = int32[1] = uint32[1] = int64[1] = uint64[1] = a
    return int8[0] + uint8[0] + int16[0] + uint16[0] + int32[0] + uint32[0]


@settings(deadline=None)
@given(integers)
def test_numbers_are_cut_to_the_bits_of_a_type(a: int) -> None:
    arrays = [np.zeros(2, kind) for kind in TYPES]
    total = cut(a, *arrays)
    for array in arrays:
        bits = 8 * array.itemsize
        value = a % (1 << bits)
        value -= (value >> (bits - 1) << bits) if array.dtype.kind == "i" else 0
        assert array.tolist() == [value, value]
    assert total == sum(int(array[0]) for array in arrays[:6])


@kernel
def of_reals(a, b, out, single, whole):
    out[0], out[1], out[2], out[3], out[4] = a + b, a - b, a * b, a / b, -a
    out[5], out[6], out[7], out[8] = min(a, b), max(a, b), abs(a), a * 3
    single[0] = a
    whole[0], whole[1], whole[2], whole[3] = np.int64(a), a < b, a == b, a != b


reals = st.floats(-1e9, 1e9).map(lambda x: x or 1.0)


@settings(deadline=None)
@given(reals, reals)
def test_reals_are_pythons(a: float, b: float) -> None:
    out, single, whole = np.zeros(9), np.zeros(1, np.float32), np.zeros(4, np.int64)
    of_reals(a, b, out, single, whole)
    assert out.tolist() == [a + b, a - b, a * b, a / b, -a, min(a, b), max(a, b), abs(a), a * 3]
    assert single[0] == np.float32(a)
    assert whole.tolist() == [int(a), a < b, a == b, a != b]


@kernel
def among_kinds(i, w, r, yes, out):
    out[0] = i + yes + (not yes)
    out[1] = i * r
    out[2] = np.float64(w) + np.float64(i) + yes * r
    out[3] = i / 4
    return yes and i > 0 and w == 5


def test_kinds_meet_as_the_rules_say() -> None:
    out = np.zeros(4)
    assert among_kinds(3, np.uint64(5), 0.5, True, out) is True
    assert out.tolist() == [4, 1.5, 8.5, 0.75]
    assert among_kinds(3, np.uint64(4), 0.5, True, out) is False
    assert among_kinds(-2, np.uint64(5), 0.5, False, out) is False
    assert out.tolist() == [-1, -1.0, 3.0, -0.5]


@helper
def sum_of(a, b):
    return a + b


@kernel
def word_and_integer(w, i):
    return sum_of(w, i)


@kernel
def less_than_nothing(w):
    return w + -1


@kernel
def real_in_integers(r, out):
    out[0] = r


@kernel
def word_times_real(w, r):
    return w * r


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (word_and_integer, (np.uint64(1), 1), "a word meets an integer"),
        (less_than_nothing, (np.uint64(1),), "-1 beside a word"),
        (real_in_integers, (1.0, np.zeros(1, np.int64)), "a real for an array of integers"),
        (word_times_real, (np.uint64(1), 1.0), "a word meets a real"),
    ],
)
def test_what_does_not_meet_is_refused(function, arguments, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(KernelError, match=message):
        function(*arguments)
