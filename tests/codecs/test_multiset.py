import hashlib
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs import Bernoulli, Multiset, Serial, Uniform
from bitsback.codecs.testing import check_codec, random_stack
from bitsback.errors import CodecError, EmptyStackError


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 15), max_size=20), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_sorted_data_and_stack_are_restored(x, lanes, seed):
    check_codec(Multiset(Uniform(4), len(x)), sorted(x), lanes, seed)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_items_may_be_arrays_and_tuples(n, seed):
    rng = np.random.default_rng(seed)
    codec = Multiset(Serial([Uniform(2, (2,)), Bernoulli([[9], [3]], 4)]), n)
    items = [(rng.integers(0, 4, 2), rng.integers(0, 2, (2, 1))) for _ in range(n)]
    check_codec(codec, sorted(items, key=lambda item: (item[0].tolist(), item[1].tolist())), 2, seed)


def test_any_order_gives_the_same_stack():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, 50)
    stacks = []
    for order in (x, np.sort(x), x[::-1]):
        stacks.append(random_stack(20))
        Multiset(Uniform(8), 50).push(stacks[-1], order)
    assert stacks[0] == stacks[1] == stacks[2]
    assert [int(v) for v in Multiset(Uniform(8), 50).pop(stacks[0])] == sorted(x.tolist())
    assert stacks[0] == random_stack(20)


@pytest.mark.parametrize("spread", [4, 60000])
def test_the_order_costs_nothing(spread):
    x = np.random.default_rng(1).integers(0, spread, 500).tolist()
    stack = random_stack(60)
    before = stack.bits()
    Multiset(Uniform(16), 500).push(stack, x)
    saved = math.lgamma(501) - sum(math.lgamma(count + 1) for count in Counter(x).values())
    assert stack.bits() - before == pytest.approx(500 * 16 - saved / math.log(2), abs=0.1)


def test_a_few_bits_suffice_to_begin():
    x = np.random.default_rng(2).integers(0, 1 << 16, 400).tolist()
    with pytest.raises(EmptyStackError):
        Multiset(Uniform(16), 400).push(Stack(), x)
    stack = Stack()
    Uniform(9).push(stack, np.array(300))
    Multiset(Uniform(16), 400).push(stack, x)
    assert stack.bits() < 400 * 16 - 2800


def test_another_number_of_items_is_refused():
    stack = random_stack(3)
    with pytest.raises(CodecError, match="a multiset of 3 items cannot code 2"):
        Multiset(Uniform(8), 3).push(stack, [1, 2])
    assert stack == random_stack(3)
    for n in (-1, 65537):
        with pytest.raises(CodecError, match="0 to 65536 items"):
            Multiset(Uniform(8), n)


def test_golden():
    stack = random_stack(8, lanes=2)
    Multiset(Uniform.of_size(77), 60).push(stack, [(i * i * 31) % 77 for i in range(60)])
    assert hashlib.sha256(stack.pack()).hexdigest()[:32] == "7550c44a962bb351cf979647ea2f363f"
