import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs import Bernoulli, BitsBack, Categorical, Logistic, PosteriorBuckets, Serial, TwoPart, Uniform
from bitsback.codecs.testing import check_codec, random_stack
from bitsback.errors import CodecError, EmptyStackError


def toy(best=None):
    """A model of six pixels and two latents whose posterior is a rough guess."""

    def likelihood(z):
        return Logistic(np.repeat(z.astype(np.int64) * 4, 3), np.full(6, 20))

    def code(x):
        return np.clip(x.reshape(2, 3).mean(axis=1) / 2 + 64, 0, 255).astype(np.int64)

    def posterior(x):
        return PosteriorBuckets(code(x), np.full(2, 10), 10)

    prior = Uniform(10, (2,))
    if best is None:
        return BitsBack(prior, likelihood, posterior)
    return TwoPart(prior, likelihood, lambda x: code(x) * 4)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 255), min_size=6, max_size=6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_bits_back_restores_data_and_stack(x, lanes, seed):
    check_codec(toy(), np.array(x), lanes, seed)


def test_bits_back_costs_the_negative_elbo_on_average():
    codec, rng = toy(), np.random.default_rng(0)
    x = rng.integers(0, 60, (400, 6)) + np.repeat(rng.integers(0, 190, (400, 2)), 3, axis=1)
    stack = random_stack(100)
    start, elbo = stack.bits(), 0.0
    for row in x:
        z = codec.posterior(row).pop(stack.copy())
        elbo += codec.likelihood(z).bits(row).sum() + codec.prior.bits(z).sum() - codec.posterior(row).bits(z).sum()
        codec.push(stack, row)
    assert stack.bits() - start == pytest.approx(elbo, rel=1e-4)
    for row in x[::-1]:
        assert np.array_equal(codec.pop(stack), row)
    assert stack == random_stack(100)


def test_bits_back_needs_bits_and_two_part_does_not():
    stack, x = Stack(), np.array([3, 4, 5, 100, 110, 120])
    with pytest.raises(EmptyStackError):
        toy().push(stack, x)
    assert stack.is_initial()
    codec = toy(best=True)
    codec.push(stack, x)
    assert np.array_equal(codec.pop(stack), x)
    assert stack.is_initial()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_serial_restores_data_and_stack_also_nested(lanes, seed):
    rng = np.random.default_rng(seed)
    parts = [
        Uniform.of_size(77, (3,)),
        Serial([Bernoulli(rng.integers(1, 255, 5), 8), Categorical([[0, 3, 16]], np.zeros(4, int))]),
    ]
    check_codec(Serial(parts), (rng.integers(0, 77, 3), (rng.integers(0, 2, 5), rng.integers(0, 2, 4))), lanes, seed)


def test_serial_pops_the_first_item_first():
    stack = Stack()
    Serial([Uniform(8), Uniform(3)]).push(stack, [np.array(200), np.array(5)])
    assert Uniform(8).pop(stack) == 200
    assert Uniform(3).pop(stack) == 5


def test_serial_wants_an_item_for_each_codec():
    stack = Stack()
    with pytest.raises(CodecError, match="2 codecs in series cannot code 1 items"):
        Serial([Uniform(8), Uniform(3)]).push(stack, [np.array(1)])
    assert stack.is_initial()
