import numpy as np
import pytest

from bitsback.ans import Stack
from bitsback.codecs import (
    Bernoulli,
    BetaBinomial,
    Categorical,
    Gaussian,
    Logistic,
    LogisticMixture,
    PosteriorBuckets,
    Uniform,
)
from bitsback.codecs.base import whole
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError


def test_whole_gives_kernels_one_form():
    source = np.arange(20, dtype=np.int64)[::2]
    source.flags.writeable = False
    array = whole(source, np.uint8, 19, "x")
    assert array.dtype == np.uint8 and array.flags.c_contiguous and array.flags.writeable
    assert array.tolist() == list(range(0, 20, 2))
    assert whole([True, False], np.uint8, 2, "x").tolist() == [1, 0]
    assert whole(np.array([], int), np.uint8, 2, "x").shape == (0,)


def test_whole_does_not_copy_what_already_fits():
    array = np.zeros(5, np.uint8)
    assert whole(array, np.uint8, None, "x") is array


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([3, 9], "x must be in 1..8, not 9"),
        ([0, 2], "x must be in 1..8, not 0"),
        ([-5], "x must be in 1..8, not -5"),
        (np.array([2**64 - 1], np.uint64), "not 18446744073709551615"),
        ([1.0], "x must be an integer, not float64"),
        (["1"], "x must be an integer"),
    ],
)
def test_whole_refuses_the_rest(values, message):
    with pytest.raises(CodecError, match=message):
        whole(values, np.uint8, 9, "x", start=1)


EXPANDABLE = (
    Bernoulli(3000),
    Categorical.from_floats([0.1, 0.6, 0.3]),
    Categorical([[0, 1, 4]], 0),
    Gaussian.from_floats(3.0, 2.0, 9),
    Logistic.from_floats(3.0, 2.0, 9),
    LogisticMixture.from_floats([3.0, 4.0], [2.0, 1.0], [1.0, 1.0], 9),
    BetaBinomial(3, 4),
    PosteriorBuckets.from_codes(100, 20, 5),
)


@pytest.mark.parametrize("one", EXPANDABLE, ids=lambda codec: type(codec).__name__)
def test_one_distribution_for_many_symbols(one):
    many = one.expand((2, 3))
    x = np.arange(6).reshape(2, 3) % one.size
    check_codec(many, x)
    assert np.array_equal(many.bits(x)[1, 0], one.bits(x[1, 0])) and one.shape == ()
    assert np.array_equal(one.expand(3).expand((2, 3)).bits(x), many.bits(x))
    with pytest.raises(CodecError, match=r"expand\(\) repeats these"):
        one.push(Stack(), x)
    with pytest.raises(CodecError, match="cannot be expanded to"):
        many.expand(4)


def test_what_has_no_parameters_is_not_expanded():
    with pytest.raises(CodecError, match="Uniform cannot be expanded"):
        Uniform(3).expand(2)


@pytest.mark.parametrize("low", [-100, -40000, 7, 250, 70000])
@pytest.mark.parametrize("family", [Gaussian, Logistic])
def test_levels_begin_anywhere(family, low):
    mean, scale = low + np.array([0.0, 50.5, 199.0]), np.array([3.0, 0.5, 20.0])
    codec, plain = family.from_floats(mean, scale, 200, low), family.from_floats(mean - low, scale, 200)
    x = np.array([0, 51, 199])
    check_codec(codec, x + low)
    assert np.array_equal(codec.bits(x + low), plain.bits(x))
    assert np.iinfo(codec.dtype).max >= low + 199 and np.iinfo(codec.dtype).min <= low
    for bad in (low - 1, low + 200):
        with pytest.raises(CodecError, match="a symbol must be in"):
            codec.push(Stack(), np.full(3, bad))


def test_parameters_are_broadcast():
    assert Gaussian.from_floats(np.zeros(5), 2.0).shape == (5,)
    assert Logistic.from_floats(np.zeros((2, 1)), np.ones(3)).shape == (2, 3)
    assert PosteriorBuckets.from_floats(np.zeros(4), 0.5, 8).shape == (4,)
    assert BetaBinomial([1, 2], 3).shape == (2,)
    assert LogisticMixture.from_floats(np.zeros((4, 2)), 1.0, [0.5, 0.5]).shape == (4,)
    with pytest.raises(CodecError, match=r"mean has shape \(2,\), scale has shape \(3,\)"):
        Gaussian.from_floats(np.zeros(2), np.ones(3))


class Elsewhere:
    """An array of a library that takes part in DLPack only."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_arrays_of_other_libraries():
    p, x = np.array([0.25, 0.5]), np.array([1, 0])
    assert Bernoulli.from_floats(Elsewhere(p), 8).p.tolist() == [64, 128]
    assert np.array_equal(Uniform(8, (2,)).form(Elsewhere(x)), x)
    assert Categorical.from_floats(Elsewhere(p), 8).size == 2
