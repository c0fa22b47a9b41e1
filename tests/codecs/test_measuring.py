import numpy as np
import pytest

from bitsback.codecs import (
    Bernoulli,
    BitsBack,
    Categorical,
    PosteriorBuckets,
    Shifted,
    Uniform,
    bit_swap,
    measure,
    top_down,
)
from bitsback.errors import EmptyStackError

PATTERNS = np.where(np.random.default_rng(0).random((4, 40)) < 0.5, 0.9, 0.1)


def joint(x):
    return np.where(x, PATTERNS, 1 - PATTERNS).prod(1) / 4


def exact(prior=None):
    """Four patterns, and the posterior by Bayes' rule: -ELBO is -log2 p(x)."""

    def posterior(x):
        return Categorical.from_floats(joint(x) / joint(x).sum(), 24)

    return BitsBack(prior or Uniform(2), lambda z: Bernoulli.from_floats(PATTERNS[z], 24), posterior)


def draw(n):
    rng = np.random.default_rng(1)
    return [(rng.random(40) < PATTERNS[rng.integers(4)]).astype(np.uint8) for _ in range(n)]


def test_a_model_whose_elbo_is_known():
    data = draw(40)
    found = measure(exact(), data, draws=2)
    evidence = -np.mean([np.log2(joint(x).sum()) for x in data])
    assert found.elbo == pytest.approx(evidence, abs=0.02) and found.net == pytest.approx(evidence, abs=0.02)
    assert found.elbo_error < 0.02 and found.dirty == pytest.approx(found.net - found.elbo)
    assert sum(found.parts.values()) == pytest.approx(found.net, abs=1e-6) == sum(found.costs.values())
    assert found.parts["prior"] == pytest.approx(2, abs=1e-6) and found.parts["posterior"] <= 0
    assert str(found).startswith("40 data, bits of each: net ")


def near(z, rho):
    return PosteriorBuckets.from_codes(np.clip(96 + z.astype(int) // 4, 0, 255), np.full(z.shape, rho), 8)


def pixel(z):
    return Bernoulli(3000 + 200 * z.astype(int))


def test_layers_are_told_apart():
    data = [np.arange(6, dtype=np.uint8) % 2, np.zeros(6, np.uint8), np.ones(6, np.uint8)]
    chain = bit_swap(
        Uniform(8, (6,)), (pixel, lambda x: near(255 * x.astype(int), 20)), (lambda z: near(z, 4), lambda z: near(z, 9))
    )
    found = measure(chain, data)
    assert list(found.costs) == ["latents 1", "data", "latents 2"]
    assert found.costs["latents 1"] == pytest.approx(
        found.parts["layer 1: posterior"] + found.parts["layer 2: likelihood"]
    )
    assert found.costs["latents 2"] == pytest.approx(found.parts["layer 2: posterior"] + 48, abs=0.01)

    ladder = top_down(
        [lambda above: Uniform(8, (6,)), lambda above: near(above[0], 4)],
        lambda z: pixel(z[1]),
        lambda x: [lambda above: near(255 * x.astype(int), 9), lambda above: near(above[0], 20)],
    )
    found = measure(ladder, data)
    assert list(found.costs) == ["latents, layer 1", "latents, layer 2", "data"]
    assert sum(found.costs.values()) == pytest.approx(found.net, abs=1e-6)
    assert found.initial >= measure(chain, data).initial > 0


def test_dirty_bits_are_seen_and_shifted_ones_are_clean():
    """A prior that is never the truth: what one datum leaves on the stack is what the next finds there."""

    def model(prior):
        return BitsBack(prior, lambda z: Bernoulli(np.where(z > 127, 60000, 5536).repeat(8)), lambda x: near(z0, 0))

    z0 = np.zeros(12, np.uint8)  # the posterior sees half of the prior's mass
    data = [np.ones(96, np.uint8)] * 150
    dirty = measure(model(Uniform(8, (12,))), data, draws=2)
    clean = measure(model(Shifted(8, (12,), number=7)), data, draws=2)
    assert abs(clean.dirty) < 4 * clean.dirty_error
    assert dirty.elbo == pytest.approx(clean.elbo, rel=0.05)


def test_what_cannot_be_measured():
    class Greedy:
        def push(self, stack, x):
            raise EmptyStackError("more")

    with pytest.raises(EmptyStackError, match="more than"):
        measure(Greedy(), [1, 2])
    with pytest.raises(ValueError, match="two draws"):
        measure(Uniform(2), [0, 1], draws=1)
    with pytest.raises(AssertionError, match="posterior was not the same both ways"):
        count = iter(range(99999))
        measure(BitsBack(Uniform(8, (6,)), pixel, lambda x: near(x, next(count) % 50)), [np.zeros(6, int)] * 2)
