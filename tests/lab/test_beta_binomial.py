import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.codecs import quantise_pmf
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError
from bitsback.lab.beta_binomial import LOG_LIMIT, Rows, log_likelihood


def exact(k: float, a: float, b: float) -> float:
    """log p(k | a, b)."""
    choose = math.lgamma(256) - math.lgamma(k + 1) - math.lgamma(256 - k)
    beta = math.lgamma(k + a) + math.lgamma(255 - k + b) - math.lgamma(255 + a + b)
    return choose + beta - (math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))


@settings(deadline=None, max_examples=40)
@given(
    logs=st.lists(st.tuples(*[st.floats(-LOG_LIMIT, LOG_LIMIT)] * 2), min_size=1, max_size=20),
    precision=st.integers(9, 24),
    seed=st.integers(0, 2**32),
)
def test_it_is_a_codec(logs: list[tuple[float, float]], precision: int, seed: int) -> None:
    a, b = np.exp(np.array(logs)).T
    check_codec(Rows(a, b, precision), np.random.default_rng(seed).integers(0, 256, a.shape, np.uint8))


@pytest.mark.parametrize("precision", [14, 20, 24])
def test_frequencies_are_those_of_the_distribution(precision: int) -> None:
    for log_a, log_b in [(0.0, 0.1), (-6, 6), (6, -6), (6, 5.9), (-6, -5.9), (1.5, -0.3)]:
        a, b = math.exp(log_a), math.exp(log_b)
        wanted = quantise_pmf([math.exp(exact(k, a, b)) for k in range(256)], precision).astype(float)
        rows = Rows(np.full(256, a), np.full(256, b), precision)
        freqs = rows.intervals(np.arange(256, dtype=np.uint8))[1]
        assert freqs.sum() == 1 << precision and freqs.min() >= 1
        off = np.abs(freqs - wanted)
        assert off.sum() <= 10 and np.argmax(freqs) == np.argmax(wanted)  # the largest has what roundings leave


def test_parameters_out_of_bounds() -> None:
    one = np.ones(3)
    for a, b, precision in [(one, np.ones(2), 16), (one, 500 * one, 16), (0 * one, one, 16), (one, one, 8)]:
        with pytest.raises(CodecError):
            Rows(a, b, precision)
    with pytest.raises(CodecError):
        Rows(one, np.array([1.0, np.nan, 1.0]), 16)


def test_log_likelihood_and_its_gradient() -> None:
    rng = np.random.default_rng(0)
    a, b = np.exp(rng.uniform(-LOG_LIMIT, LOG_LIMIT, (2, 300))).astype(np.float32)
    x = rng.integers(0, 256, 300, np.uint8)
    x[:20], x[20:40] = 0, 255
    value, to_a, to_b = log_likelihood(x, a, b)
    for k in range(300):
        k_, a_, b_ = int(x[k]), float(a[k]), float(b[k])
        assert value[k] == pytest.approx(exact(k_, a_, b_), rel=1e-5, abs=1e-5)
        for found, step in ((to_a[k], (1e-4, 0)), (to_b[k], (0, 1e-4))):
            up = exact(k_, a_ * (1 + step[0]), b_ * (1 + step[1]))
            down = exact(k_, a_ * (1 - step[0]), b_ * (1 - step[1]))
            scale = a_ if step[0] else b_
            assert found * scale == pytest.approx((up - down) / 2e-4, rel=1e-3, abs=1e-3)
