import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs import (
    Autoregressive,
    Bernoulli,
    BitsBack,
    Categorical,
    Logistic,
    PosteriorBuckets,
    Repeat,
    Serial,
    Substack,
    TwoPart,
    Uniform,
)
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


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_repeat_restores_data_and_stack(n, lanes, seed):
    x = np.random.default_rng(seed).integers(0, 256, (n, 6))
    check_codec(Repeat(toy(), n), list(x), lanes, seed)


def test_repeat_is_a_series_of_the_same_and_gives_a_list():
    one, two = Stack(), Stack()
    x = [np.array([1, 2]), np.array([3, 4]), np.array([200, 255])]
    Repeat(Uniform(8, (2,)), 3).push(one, x)
    Serial([Uniform(8, (2,))] * 3).push(two, x)
    assert one == two
    assert isinstance(Repeat(Uniform(8, (2,)), 3).pop(one), list) and one.is_initial()
    with pytest.raises(CodecError, match="repeated 3 times cannot code 2 items"):
        Repeat(Uniform(8, (2,)), 3).push(one, x[:2])
    assert one.is_initial()


def autoregression(n):
    """Levels that each begin where the sum of those before is, in an odd way."""
    return Autoregressive([lambda before: Logistic([sum(int(v[0]) for v in before) % 4000], [len(before)])] * n)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 255), max_size=8), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_autoregression_restores_data_and_stack(x, lanes, seed):
    check_codec(autoregression(len(x)), [np.array([v]) for v in x], lanes, seed)


def test_each_step_sees_the_items_before_it_and_no_others():
    seen = []
    codec = Autoregressive([lambda before: seen.append(before) or Uniform(8)] * 3)
    stack = Stack()
    codec.push(stack, [7, 8, 9])
    assert seen == [(7, 8), (7,), ()]
    seen.clear()
    assert codec.pop(stack) == (7, 8, 9) and stack.is_initial()
    assert seen == [(), (7,), (7, 8)]
    with pytest.raises(CodecError, match="3 autoregressive steps cannot code 2 items"):
        codec.push(stack, [7, 8])
    assert stack.is_initial()


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(0, 255), min_size=6, max_size=6),
    st.sampled_from([slice(None), slice(1, 3), slice(0, 5, 2), slice(None, None, -1), slice(-1, None)]),
    st.integers(0, 2**32 - 1),
)
def test_a_substack_restores_data_and_stack(x, lanes, seed):
    check_codec(Substack(toy(), lanes), np.array(x), 5, seed)
    side_by_side = Serial([Substack(Uniform(7, (6,)), slice(0, 2)), Substack(toy(), slice(2, 5))])
    check_codec(side_by_side, (np.array(x) // 2, np.array(x)), 5, seed)


def test_a_substack_leaves_the_other_heads_alone():
    stack = random_stack(9, lanes=4)
    Substack(Uniform(8, (40,)), slice(1, 3)).push(stack, np.arange(40))
    changed = stack.heads != random_stack(9, lanes=4).heads
    assert changed.tolist() == [False, True, True, False] and len(stack) > 9


def test_a_substack_without_heads_and_one_that_runs_dry():
    stack = Stack(lanes=2)
    with pytest.raises(CodecError, match="selects none of 2 lanes"):
        Substack(Uniform(8), slice(2, None)).push(stack, np.array(1))
    stack = random_stack(9, lanes=2)
    before = stack.copy()
    with pytest.raises(EmptyStackError):
        Substack(Uniform(8, (1000,)), slice(0, 1)).pop(stack)
    assert stack == before
    # The item that was pushed before the error stays, on the stack too
    with pytest.raises(CodecError):
        Substack(Repeat(Uniform(8), 2), slice(1, 2)).push(stack, [np.array(999), np.array(5)])
    Uniform(8).push(before_head := Stack.from_bytes(before.to_bytes()[8:], 1), np.array(5))
    assert stack.heads[1] == before_head.heads[0] and stack.heads[0] == before.heads[0]


def test_golden():
    stack = random_stack(8, lanes=3)
    Repeat(Substack(toy(), slice(0, 2)), 3).push(stack, list(np.arange(18).reshape(3, 6) * 14))
    Substack(autoregression(5), slice(1, 3)).push(stack, [np.array([v]) for v in (0, 9, 90, 200, 255)])
    assert hashlib.sha256(stack.to_bytes()).hexdigest()[:32] == "24dfe41ccc8e2ec7f808609cf6d3dad0"
