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
    Chain,
    Generated,
    Logistic,
    Multiset,
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
        return PosteriorBuckets.from_codes(code(x), np.full(2, 10), 10)

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
    assert seen == [(), (7,), (7, 8)]
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
    Uniform(8).push(before_head := Stack.unpack(before.pack()[8:], 1), np.array(5))
    assert stack.heads[1] == before_head.heads[0] and stack.heads[0] == before.heads[0]


def test_golden():
    stack = random_stack(8, lanes=3)
    Repeat(Substack(toy(), slice(0, 2)), 3).push(stack, list(np.arange(18).reshape(3, 6) * 14))
    Substack(autoregression(5), slice(1, 3)).push(stack, [np.array([v]) for v in (0, 9, 90, 200, 255)])
    assert hashlib.sha256(stack.pack()).hexdigest()[:32] == "24dfe41ccc8e2ec7f808609cf6d3dad0"


# What is pushed in one form is popped in another: models must see the same on both sides ------------------------------

FORMS = [np.uint8, np.int64, np.uint16]


def doubling(shape):
    """A model whose posterior computes 2 x, which of uint8 is not what it is of int64."""

    def posterior(x):
        return PosteriorBuckets.from_codes((2 * np.asarray(x) - 64) % 251, np.full(shape, 24), bits=8)

    return BitsBack(Uniform(8, shape), lambda z: Logistic(z.astype(int), np.full(shape, 20)), posterior)


@pytest.mark.parametrize("form", FORMS)
def test_a_posterior_sees_what_will_be_popped(form):
    rng = np.random.default_rng(0)
    images = [rng.integers(120, 180, 16).astype(form) for _ in range(20)]
    model, stack = doubling((16,)), random_stack(64)
    for image in images:
        model.push(stack, image)
    for image in reversed(images):
        np.testing.assert_array_equal(model.pop(stack), image)
    assert stack == random_stack(64)


def test_what_is_nested_is_seen_as_it_will_be_popped():
    pair = Serial([Uniform(8, (2,)), Repeat(Uniform(8), 3)])
    prior = Uniform(8)

    def posterior(x):
        return PosteriorBuckets.from_codes(np.array(int(x[1][0] * x[1][0].dtype.type(300)) % 256), np.array(20), 8)

    check_codec(BitsBack(prior, lambda z: pair, posterior), [np.array([1, 2]), [np.array(k) for k in (250, 4, 5)]])


def test_a_posterior_over_a_set_sees_it_sorted():
    def posterior(x):
        return PosteriorBuckets.from_codes(np.array(int(x[0]) % 256), np.array(20), 8)

    model = BitsBack(Uniform(8), lambda z: Multiset(Uniform(8), 3), posterior)
    stack = random_stack(16)
    model.push(stack, [np.array(200), np.array(9), np.array(77)])
    assert [int(x) for x in model.pop(stack)] == [9, 77, 200] and stack == random_stack(16)


def test_a_step_sees_what_will_be_popped():
    seen = []

    def step(before):
        seen.append([item.dtype for item in before])
        return Uniform.of_size(int(before[-1]) + 1 if before else 200)

    check_codec(Autoregressive([step] * 3), [np.int64(150), np.int64(44), np.int64(3)])
    assert {dtype for dtypes in seen for dtype in dtypes} == {np.dtype(np.uint16)}


def test_errors_say_which_part_they_come_from():
    def model(prior=8, posterior=8, shape=(3,)):
        return BitsBack(
            Uniform(prior, (3,)),
            lambda z: Bernoulli.from_floats(np.full(shape, 0.5)),
            lambda x: Uniform(posterior, (3,)),
        )

    x = np.array([1, 0, 1])
    full = Stack.from_bytes(b"\xff" * 64)
    with pytest.raises(CodecError, match=r"^prior: a symbol must be in 0\.\.15"):
        model(prior=4).push(full.copy(), x)
    with pytest.raises(CodecError, match=r"^likelihood: symbols have shape"):
        model(shape=(2, 3)).push(full.copy(), x)
    with pytest.raises(EmptyStackError, match=r"^posterior: "):
        model().push(Stack(), x)
    stack = full.copy()
    with pytest.raises(CodecError, match=r"^posterior: a symbol must be"):
        model(posterior=4).pop(stack)


# Generators -----------------------------------------------------------------------------------------------------------


def counted(calls):
    """Each number below twice the one before it, and three more; the state is their sum. It ends after a 0."""

    def start():
        total, size = 0, 16
        while True:
            calls.append(total)
            item = int((yield Uniform.of_size(size)))
            if not item:
                return
            total, size = total + item, 2 * item + 3

    return start


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 9), max_size=20), st.integers(0, 99))
def test_generated_restores_data_and_stack(x, seed):
    size = 16
    items = []
    for value in x:
        items.append(np.array(min(value, size - 1)))
        size = 2 * int(items[-1]) + 3
    calls = []
    codec = Generated(counted(calls))
    stack = random_stack(99, seed=seed)
    codec.push(stack, [*items, np.array(0)])
    assert len(calls) == len(items) + 1  # once an item, as forwards
    assert [int(item) for item in codec.pop(stack)] == [*map(int, items), 0]
    assert stack == random_stack(99, seed=seed)


def test_generated_of_the_wrong_length():
    codec = Generated(counted([]))
    with pytest.raises(CodecError, match="wants more than 1"):
        codec.push(Stack(), [np.array(3)])
    with pytest.raises(CodecError, match="ended after 1 of 2"):
        codec.push(Stack(), [np.array(0), np.array(3)])


def test_all_codecs_at_once():
    passes = []

    def start():
        last = np.uint16(7)
        for _ in range(50):
            last = yield Uniform.of_size(int(2 * last + 1))

    def at_once(x):
        passes.append(len(x))
        return [Uniform.of_size(int(2 * last + 1)) for last in [np.uint16(7), *x[:-1]]]

    x = [np.uint16(k % 7 + 3) for k in range(50)]
    one, other = random_stack(99), random_stack(99)
    Generated(start).push(one, x)
    Generated(start, at_once).push(other, [np.int64(k) for k in x])
    assert one == other and passes == [50, 50]  # the second time in the form that is popped
    assert list(map(int, Generated(start, at_once).pop(other))) == list(map(int, x))
    with pytest.raises(CodecError, match="49 codecs for 50"):
        Generated(start, lambda x: at_once(x)[1:]).push(one, x)


# Chains that begin on an empty stack ----------------------------------------------------------------------------------


def starting(n):
    return Chain(toy(), TwoPart(toy().prior, toy().likelihood, lambda x: toy().posterior(x).modes()), n)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 9), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_a_chain_begins_with_any_stack(n, words, seed):
    x = list(np.random.default_rng(seed).integers(0, 256, (n, 6)))
    for stack in (Stack(), random_stack(words, 2, seed)):
        before = stack.copy()
        starting(n).push(stack, x)
        assert np.array_equal(np.array(starting(n).pop(stack)).reshape(n, 6), np.array(x).reshape(n, 6))
        assert stack == before


def test_a_chain_starts_with_as_few_as_it_can():
    calls = []

    class Spy(TwoPart):
        def push(self, stack, x):
            calls.append(x)
            super().push(stack, x)

    chain = Chain(toy(), Spy(toy().prior, toy().likelihood, lambda x: toy().posterior(x).modes()), 6)
    chain.push(random_stack(99), list(np.zeros((6, 6), int)))
    assert not calls
    chain.push(Stack(), list(np.zeros((6, 6), int)))
    assert 1 <= len(calls) <= 3
    with pytest.raises(CodecError, match="a chain of 6 cannot code 5 items"):
        chain.push(Stack(), list(np.zeros((5, 6), int)))
    with pytest.raises(EmptyStackError):
        Chain(toy(), toy(), 2).push(Stack(), list(np.zeros((2, 6), int)))
