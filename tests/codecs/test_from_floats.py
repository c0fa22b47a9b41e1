"""Float parameters moved to the integer grids: the nearest point of each, and errors for what is no parameter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.codecs import (
    Bernoulli,
    BetaBinomial,
    Categorical,
    Gaussian,
    Logistic,
    LogisticMixture,
    PosteriorBuckets,
)
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError

CASES = [
    lambda rng: (Bernoulli.from_floats(rng.uniform(0, 1, (3, 4)), 12), 2),
    lambda rng: (Categorical.from_floats(rng.uniform(0, 1, (3, 4, 5))), 5),
    lambda rng: (Logistic.from_floats(rng.normal(100, 90, (3, 4)), rng.lognormal(1, 3, (3, 4))), 256),
    lambda rng: (Gaussian.from_floats(rng.normal(9, 9, (3, 4)), rng.lognormal(1, 3, (3, 4)), 20), 20),
    lambda rng: (LogisticMixture.from_floats(*rng.lognormal(1, 3, (3, 3, 4, 5))), 256),
    lambda rng: (BetaBinomial.from_floats(*rng.lognormal(0, 3, (2, 3, 4))), 256),
    lambda rng: (PosteriorBuckets.from_floats(rng.normal(0, 3, (3, 4)), rng.lognormal(-2, 2, (3, 4)), 9), 512),
]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(CASES), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_data_and_stack_are_restored(case, lanes, seed):
    rng = np.random.default_rng(seed)
    codec, size = case(rng)
    assert codec.shape == (3, 4)
    check_codec(codec, rng.integers(0, size, (3, 4)), lanes, seed)


def test_what_is_on_a_grid_stays_there():
    rng = np.random.default_rng(0)
    p = rng.integers(1, 1 << 16, 100)
    assert np.array_equal(Bernoulli.from_floats(p / (1 << 16)).p, p)
    mean, scale = rng.integers(-16384, 16385, 224), np.arange(224)
    posterior = PosteriorBuckets.from_floats(mean / 1024, 2.0 ** ((scale - 191) / 16), 8)
    assert np.array_equal(posterior.mean, mean) and np.array_equal(posterior.scale, scale)
    mean, scale = rng.integers(-4000, 4000, 112), np.arange(112)
    gaussian = Gaussian.from_floats(mean / 16, 2 ** ((scale - 16) / 6))
    assert np.array_equal(gaussian.mean, mean) and np.array_equal(gaussian.scale, scale)
    logistic = Logistic.from_floats(mean / 16, 2 ** ((scale - 16) / 6), 300)
    assert np.array_equal(logistic.mean[:, 0], mean) and np.array_equal(logistic.scale[:, 0], scale)
    assert logistic.size == 300
    i = np.arange(32)
    beta = BetaBinomial.from_floats(2 ** ((i - 12) / 2), 2 ** ((i[::-1] - 12) / 2))
    assert np.array_equal(beta.a_index, i) and np.array_equal(beta.b_index, i[::-1])


def test_what_is_beyond_a_grid_goes_to_its_end():
    assert Bernoulli.from_floats([0, 1], 4).p.tolist() == [1, 15]
    posterior = PosteriorBuckets.from_floats([-19, np.inf], [7, 1e-9], 8)
    assert posterior.mean.tolist() == [-16384, 16384] and posterior.scale.tolist() == [223, 0]
    gaussian = Gaussian.from_floats([-np.inf, 0], [1e-9, 1e9])
    assert gaussian.mean[0] == -(1 << 28) and gaussian.scale.tolist() == [0, 111]
    assert BetaBinomial.from_floats([1e-9], [1e9]).b_index.tolist() == [31]


def test_weights_count_by_their_ratios():
    weights = np.array([[1.0, 2.0, 0.0, 1.0]])
    mixture = LogisticMixture.from_floats(np.zeros((1, 4)), np.ones((1, 4)), weights)
    assert mixture.weight.tolist() == [[239, 255, 0, 239]]
    again = LogisticMixture.from_floats(np.zeros((1, 4)), np.ones((1, 4)), weights * 1e-30)
    assert np.array_equal(again.weight, mixture.weight)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bernoulli.from_floats([0.5, 1.5]), "a probability must be in 0..1, not 1.5"),
        (lambda: Bernoulli.from_floats([-0.5]), "a probability must be in 0..1, not -0.5"),
        (lambda: Bernoulli.from_floats([np.nan]), "a probability must be a number, not nan"),
        (lambda: Bernoulli.from_floats(["a"]), "a probability must be a number"),
        (lambda: Bernoulli.from_floats([0.5], 25), "precision must be 1 to 24"),
        (lambda: Categorical.from_floats([[0.0, 0.0]]), "not all zero"),
        (lambda: Categorical.from_floats([[0.5, -0.5]]), "not negative"),
        (lambda: PosteriorBuckets.from_floats([0.0], [0.0], 8), "a standard deviation must be above 0, not 0.0"),
        (lambda: PosteriorBuckets.from_floats([0.0] * 3, [0.5, 0.5], 8), "shape"),
        (lambda: Gaussian.from_floats([0.0], [-1.0]), "a scale must be above 0, not -1.0"),
        (lambda: Logistic.from_floats([np.nan], [1.0]), "a mean must be a number"),
        (lambda: LogisticMixture.from_floats([[0.0]], [[1.0]], [[0.0]]), "not all 0"),
        (lambda: LogisticMixture.from_floats([[0.0]], [[1.0]], [[np.inf]]), "finite"),
        (lambda: LogisticMixture.from_floats([[0.0, 0.0]], [[1.0, 1.0]], [[1.0, -1.0]]), "not negative"),
        (lambda: LogisticMixture.from_floats([], [], []), "1 to 64 components"),
        (lambda: BetaBinomial.from_floats([0.0], [1.0]), "alpha must be above 0"),
    ],
)
def test_what_is_no_parameter_is_refused(make, message):
    with pytest.raises(CodecError, match=message):
        make()


def test_tensors_of_other_libraries():
    torch = pytest.importorskip("torch")
    p = torch.full((3,), 0.25, requires_grad=True)
    for tensor in (p, p.detach(), p.to(torch.bfloat16)):
        assert Bernoulli.from_floats(tensor).p.tolist() == Bernoulli.from_floats([0.25] * 3).p.tolist()
    with pytest.raises(CodecError, match="must be a number: "):
        Bernoulli.from_floats(torch.zeros(3, device="meta"))
    assert Categorical([[0, 3, 4]], torch.zeros(2, dtype=torch.int64)).shape == (2,)
