import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.codecs import Bernoulli
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 24), st.integers(1, 9), st.data())
def test_data_and_stack_are_restored(precision, lanes, data):
    top = (1 << precision) - 1
    p = data.draw(st.lists(st.integers(1, top) | st.sampled_from([1, top]), max_size=40))
    x = data.draw(st.lists(st.integers(0, 1), min_size=len(p), max_size=len(p)))
    check_codec(Bernoulli(np.array(p, np.uint32), precision), np.array(x, np.uint8), lanes)


def test_it_is_a_family(check_family):
    check_family(Bernoulli(np.array([1, 7, 200, 255]), 8))
    check_family(Bernoulli(np.array([1, (1 << 24) - 1, 77]), 24))


def test_costs_and_booleans():
    codec = Bernoulli(np.array([[1 << 14, 1 << 15]]))
    assert codec.bits(np.array([[True, False]])).tolist() == [[2.0, 1.0]]


def test_bad_parameters():
    for p, precision in (([0], 8), ([256], 8), ([0.5], 8), ([1], 0), ([1], 25)):
        with pytest.raises(CodecError):
            Bernoulli(np.array(p), precision)


def test_golden(digest):
    assert digest(Bernoulli(np.arange(1, 65536, 1111), 16)) == "f446f6e3068e553fc6e7794ea9753c8c"
