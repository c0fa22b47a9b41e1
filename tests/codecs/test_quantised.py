import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs import Quantised
from bitsback.codecs import quantised as module
from bitsback.codecs.testing import check_codec, random_stack
from bitsback.errors import CodecError, EmptyStackError


def laplace(v, mean, scale):
    z = (v - mean) / scale
    return np.where(z < 0, np.exp(np.minimum(z, 0)) / 2, 1 - np.exp(-np.maximum(z, 0)) / 2)


@settings(deadline=None, max_examples=20)
@given(
    st.integers(-300, 300), st.integers(1, 400), st.integers(10, 24), st.integers(1, 7), st.integers(0, 40),
    st.integers(1, 3000), st.integers(0, 1 << 30),
)  # fmt: skip
def test_any_range_restores_data_and_stack(low, size, precision, lanes, symbols, slab, seed):
    rng = np.random.default_rng(seed)
    mean, scale = rng.normal(low, 100, symbols), np.exp(rng.normal(0, 3, symbols))
    codec = Quantised(laplace, mean, scale, low=low, high=low + size - 1, precision=precision)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLAB", slab)  # slabs whose lengths no number of lanes divides
        check_codec(codec, rng.integers(low, low + size, symbols), lanes)


def test_it_is_a_family(check_family):
    check_family(Quantised(laplace, np.zeros(5), 3.0, low=0, high=30))


def test_costs_what_the_function_says():
    mean, x = np.linspace(-9, 9, 50), np.arange(-25, 25)
    codec = Quantised(laplace, mean, 4.0, low=-60, high=60)
    ideal = -np.log2(laplace(x + 0.5, mean, 4.0) - laplace(x - 0.5, mean, 4.0))
    assert np.abs(codec.bits(x) - ideal).max() < 0.01
    ends = Quantised(laplace, np.zeros(2), 4.0, low=-1, high=1).bits(
        np.array([-1, 1])
    )  # what is beyond goes to the ends
    assert ends == pytest.approx(-np.log2(laplace(-0.5, 0, 4)), abs=0.01)


def test_shapes():
    assert Quantised(laplace, np.zeros((3, 1)), np.ones(2), low=0, high=9).shape == (3, 2)
    assert Quantised(laplace, 0, 1, low=0, high=9, shape=4).shape == (4,)
    assert Quantised(lambda v: (v + 1) / 11, low=0, high=9, shape=(2, 2)).bits(np.zeros((2, 2), int)).shape == (2, 2)
    assert Quantised(laplace, 0.0, 1.0, low=7, high=7).pop(Stack()) == 7


def test_a_function_that_falls_by_rounding():
    codec = Quantised(lambda v, m: np.where(v == 3.5, 0.4, 0.5) + 0 * m, np.zeros(4), low=0, high=9)
    check_codec(codec, np.array([2, 3, 4, 5]))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0.0, 1.0), {"low": 0, "high": 1 << 16}, "integers"),
        ((0.0, 1.0), {"low": 5, "high": 4}, "integers"),
        ((0.0, 1.0), {"low": 0, "high": 256, "precision": 8}, "1 to 256 integers"),
        ((0.0, np.nan), {"low": 0, "high": 9}, "a parameter must be a number"),
        ((np.zeros(2), np.ones(3)), {"low": 0, "high": 9}, "shapes"),
        ((np.zeros(2), 1.0), {"low": 0, "high": 9, "shape": (3,)}, "shapes"),
        ((0.0, 1.0), {"low": 0, "high": 9, "precision": 25}, "precision"),
    ],
)
def test_what_is_refused(arguments, options, message):
    with pytest.raises(CodecError, match=message):
        Quantised(laplace, *arguments, **options)


def test_values_that_are_no_probabilities():
    codec = Quantised(lambda v, m: v + m, np.zeros(3), low=0, high=9)
    with pytest.raises(CodecError, match=r"0 \.\. 1"):
        codec.push(Stack(), np.zeros(3, int))


def test_an_empty_stack_is_left_as_it_was():
    stack = random_stack(3)
    before = stack.copy()
    with pytest.raises(EmptyStackError):
        Quantised(lambda v: (v + 1) / 257, low=0, high=255, shape=100).pop(stack)
    assert stack == before
