from math import exp, lgamma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.codecs import BetaBinomial
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_data_and_stack_are_restored(lanes, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 32, (2, 4, 7))
    check_codec(BetaBinomial(a, b), rng.integers(0, 256, (4, 7)), lanes, seed)


def test_it_is_a_family(check_family):
    check_family(BetaBinomial([0, 31, 0, 31, 12, 20], [0, 0, 31, 31, 12, 5]))


@pytest.mark.parametrize(("a", "b"), [(0, 0), (3, 17), (17, 3), (31, 31), (0, 31), (12, 12)])
def test_frequencies_are_those_of_the_formula(a, b):
    def log_beta(x, y):
        return lgamma(x) + lgamma(y) - lgamma(x + y)

    alpha, beta = 2 ** ((a - 12) / 2), 2 ** ((b - 12) / 2)
    freqs = BetaBinomial(np.full(256, a), np.full(256, b)).intervals(np.arange(256))[1].astype(int)
    for v in range(256):
        choose = -log_beta(v + 1, 256 - v) - np.log(256)
        pmf = exp(choose + log_beta(v + alpha, 255 - v + beta) - log_beta(alpha, beta))
        assert abs(freqs[v] - 1 - (2**24 - 256) * pmf) <= (1.01 if v != freqs.argmax() else 257)


def test_bad_parameters():
    for a, b in (([32], [0]), ([0], [-1]), ([0, 1], [0, 0, 0]), ([0.5], [0])):
        with pytest.raises(CodecError):
            BetaBinomial(np.array(a), np.array(b))


def test_golden(digest):
    assert digest(BetaBinomial(np.arange(32), (np.arange(32) * 7) % 32)) == "228f58d1fe79f9d850ed99801de224cb"
