import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.codecs import Uniform
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError


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
    for bad in (0, 25):
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
    with pytest.raises(CodecError, match="one integer for all symbols, not ndarray"):
        Uniform(np.array([3, 4]), (2,))
