import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs import Uniform
from bitsback.codecs.testing import check_codec, random_stack
from bitsback.errors import CodecError, EmptyStackError


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 1 << 24) | st.integers(0, 24).map(lambda b: 1 << b), st.integers(1, 9), st.data())
def test_any_size_restores_data_and_stack(size, lanes, data):
    x = data.draw(st.lists(st.integers(0, size - 1) | st.just(size - 1), max_size=30))
    check_codec(Uniform.of_size(size, (len(x),)), np.array(x, np.uint32), lanes)


def test_it_is_a_family(check_family):
    for codec in (Uniform(1, (5,)), Uniform(12, (5,)), Uniform(17, (5,)), Uniform.of_size(200, (5,))):
        check_family(codec)


def test_costs():
    assert np.all(Uniform(10, (4,)).bits(np.array([0, 5, 1022, 1023])) == 10)
    assert np.all(Uniform.of_size(1, (2,)).bits(np.zeros(2, int)) == 0)
    assert Uniform.of_size(1000, (1000,)).bits(np.arange(1000)).mean() == pytest.approx(np.log2(1000), abs=1e-6)


def test_sizes_and_dtypes():
    assert Uniform(16).dtype is np.uint16 and Uniform(17).dtype is np.uint32
    assert Uniform.of_size(256).precision == 8 and Uniform.of_size(255).precision == 24
    for bad in (0, 65):
        with pytest.raises(CodecError):
            Uniform(bad)
    for bad in (0, (1 << 24) + 1):
        with pytest.raises(CodecError):
            Uniform.of_size(bad)


def test_golden(digest):
    assert digest(Uniform(11, (12,))) == "5aa7e1b1a272d6a04b1194cabadadbf3"
    assert digest(Uniform.of_size(999, (12,))) == "c5c5be30e10f39f1ee7ff678d1f16dea"


def test_shapes_and_sizes_that_were_meant():
    assert Uniform(8, 3).shape == (3,) and Uniform.of_size(6, 3).shape == (3,)
    with pytest.raises(CodecError, match="of_size takes a number of symbols, as 256"):
        Uniform(256)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 64), min_size=1, max_size=9), st.integers(1, 3), st.data())
def test_each_symbol_may_have_bits_of_its_own(bits, lanes, data):
    x = [data.draw(st.integers(0, (1 << width) - 1)) for width in bits]
    codec = Uniform(np.array(bits))
    check_codec(codec, np.array(x, np.uint64), lanes)
    assert codec.bits(np.array(x, np.uint64)).tolist() == bits
    stack = random_stack(99)
    before = stack.bits()
    codec.push(stack, np.array(x, np.uint64))
    assert stack.bits() - before == pytest.approx(sum(bits), abs=0.1)


def test_bits_of_each_symbol_are_checked():
    check_codec(Uniform(40, (3,)), np.array([0, 1, (1 << 40) - 1]))
    assert Uniform([3, 4], (2, 2)).shape == (2, 2)
    for bad in (lambda: Uniform([1, 65]), lambda: Uniform([1, 2], (3,)), lambda: Uniform(0.5)):
        with pytest.raises(CodecError):
            bad()
    with pytest.raises(CodecError, match="more bits than it may"):
        Uniform([3, 4]).push(Stack(), np.array([8, 8]))
    stack = random_stack(1)
    with pytest.raises(EmptyStackError):
        Uniform([64, 64]).pop(stack)
    assert stack == random_stack(1)
