import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bitsback.codecs import Categorical, CdfTable, quantise_pmf
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError


@settings(deadline=None, max_examples=60)
@given(st.integers(9, 24), st.sampled_from([1, 2, 100, 300]), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_data_and_stack_are_restored(precision, symbols, lanes, seed):
    rng = np.random.default_rng(seed)
    table = CdfTable.from_freqs(quantise_pmf(rng.gamma(0.05, size=(5, symbols)) + 1e-12, precision))
    index = rng.integers(0, 5, (3, 11))
    check_codec(Categorical(table, index), rng.integers(0, symbols, (3, 11)), lanes, seed)


def test_it_is_a_family(check_family):
    rng = np.random.default_rng(0)
    for symbols, precision in ((1, 3), (7, 5), (256, 16), (2000, 24)):
        check_family(Categorical(CdfTable.from_freqs(quantise_pmf(rng.random((4, symbols)), precision)), [3, 1, 0, 2]))


def test_an_array_is_made_into_a_table():
    cdfs = np.array([[0, 1, 4], [0, 3, 4]])
    assert Categorical(cdfs, [0, 1]).bits(np.array([0, 1])).tolist() == [2.0, 2.0]
    assert Categorical(cdfs, [0, 1], precision=2).precision == 2
    assert np.array_equal(CdfTable.from_freqs([[1, 3], [3, 1]]).cdfs, cdfs)


@pytest.mark.parametrize(
    "cdfs",
    [
        [[0, 2, 2, 4]],
        [[0, 3, 2, 4]],
        [[1, 2, 4]],
        [[0, 2, 5]],
        [[0, 2, 4], [0, 2, 8]],
        [0, 2, 4],
        [[4]],
        [[]],
        [[0.0, 4.0]],
    ],
)
def test_malformed_tables_are_refused(cdfs):
    with pytest.raises(CodecError):
        Categorical(cdfs, [0])


def test_a_lone_symbol_at_full_precision_costs_nothing():
    assert Categorical(CdfTable.from_freqs([[1 << 24]]), [0, 0]).bits(np.zeros(2, int)).tolist() == [0.0, 0.0]


def test_bad_indices_and_frequencies_are_refused():
    for index in ([2], [-1], [0.0]):
        with pytest.raises(CodecError):
            Categorical([[0, 1, 4], [0, 3, 4]], np.array(index))
    for freqs in ([[0, 4]], [[1, 2]], [1, 3], [[]]):
        with pytest.raises(CodecError):
            CdfTable.from_freqs(freqs)
    with pytest.raises(CodecError):
        CdfTable([[0, 1]], 25)


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.float64, (2, 9), elements=st.floats(0, 1e6)), st.integers(4, 24))
def test_quantised_frequencies_are_positive_sum_up_and_are_near(p, precision):
    p += 1e-9
    freqs = quantise_pmf(p, precision).astype(np.int64)
    assert freqs.min() >= 1 and np.all(freqs.sum(axis=1) == 1 << precision)
    exact = p / p.sum(axis=1, keepdims=True) * (1 << precision)
    assert np.abs(freqs - exact).max() <= 2 * 9


def test_pmfs_that_are_none_are_refused():
    for p, precision in (
        ([-1, 2], 8),
        ([0, 0], 8),
        ([np.nan, 1], 8),
        ([np.inf, 1], 8),
        ([1] * 5, 2),
        ([1, 1], 0),
        (1, 8),
    ):
        with pytest.raises(CodecError):
            quantise_pmf(p, precision)


@settings(deadline=None, max_examples=40)
@given(st.integers(9, 24), st.sampled_from([1, 2, 17, 300]), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_rows_of_their_own_are_restored_and_cost_what_they_should(precision, symbols, lanes, seed):
    rng = np.random.default_rng(seed)
    p = rng.gamma(0.05, size=(3, 5, symbols)) + 1e-12
    codec, x = Categorical.from_floats(p, precision), rng.integers(0, symbols, (3, 5))
    check_codec(codec, x, lanes, seed)
    share = np.take_along_axis(p, x[..., None], -1)[..., 0] / p.sum(-1)
    kept = 1 - symbols / (1 << precision)
    assert np.all(np.exp2(-codec.bits(x)) >= share * kept - 2.0 ** (1 - precision))


def test_rows_of_their_own_are_a_family(check_family):
    rng = np.random.default_rng(0)
    for symbols, precision in ((1, 3), (7, 5), (256, 16), (2000, 24)):
        check_family(Categorical.from_floats(rng.random((4, symbols)), precision))
    check_family(Categorical.from_floats([0.2, 0.3, 0.5]).expand(4))
    assert Categorical.from_floats(np.empty((0, 3))).shape == (0,)


def test_rows_that_are_none_are_refused():
    nan, inf = np.nan, np.inf
    for p in ([-1, 2], [0, 0], [nan, 1], [1, nan, 1, 1, 1], [inf, 1], [1] * 300, 1, ["a"], [1, 1, 1, 1, -1e-300]):
        with pytest.raises(CodecError):
            Categorical.from_floats(p, 8)


def test_golden(digest):
    table = CdfTable.from_freqs([[1, 2, 1000, 20, 1], [200, 24, 300, 400, 100]])
    assert digest(Categorical(table, np.arange(40) % 2)) == "0ae383ba902372e2b5615732b3148e0d"
