import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs import BitsBack, Logistic, PosteriorBuckets, Serial, Uniform, bit_swap, top_down
from bitsback.codecs.testing import check_codec, random_stack
from bitsback.errors import CodecError, EmptyStackError

BITS = 10


def pixels(z):
    return Logistic(np.repeat(z.astype(np.int64) * 4, 3), np.full(6, 20))


def near(delta, rho):
    return PosteriorBuckets.from_codes(np.clip(delta, 0, 255), np.full(np.shape(delta), rho), BITS)


def guess(x):
    return np.asarray(x).reshape(2, 3).mean(axis=1).astype(np.int64) // 2 + 64


def chain(layers):
    above = (lambda z2: near(z2.astype(np.int64) // 8 + 64, 6), lambda z1: near(z1.astype(np.int64) // 8 + 64, 6))
    return bit_swap(Uniform(BITS, (2,)), (pixels, lambda x: near(guess(x), 10)), *[above] * (layers - 1))


def ladder():
    return top_down(
        [lambda z: Uniform(BITS, (1,)), lambda z: near(np.repeat(z[0].astype(np.int64) // 8 + 64, 2), 6)],
        lambda z: pixels(z[1]),
        lambda x: [lambda z: near(guess(x)[:1], 4), lambda z: near(guess(x) + z[0].astype(np.int64) // 512, 10)],
    )


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([chain(1), chain(2), chain(4), ladder()]),
    st.lists(st.integers(0, 255), min_size=6, max_size=6),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
)
def test_data_and_stack_are_restored(codec, x, lanes, seed):
    check_codec(codec, np.array(x), lanes, seed)


def test_bit_swap_is_bits_back_within_bits_back():
    alone = Uniform(3)
    assert bit_swap(alone) is alone
    codec = chain(3)
    nested = codec.prior
    for likelihood, posterior in reversed(codec.layers):
        nested = BitsBack(nested, likelihood, posterior)
    one, other = random_stack(seed=5), random_stack(seed=5)
    x = np.array([3, 250, 5, 100, 4, 120])
    codec.push(one, x)
    nested.push(other, x)
    assert one == other
    assert np.array_equal(nested.pop(one), codec.pop(other)) and one == other == random_stack(seed=5)


def test_any_number_of_layers():
    def near(z):
        return PosteriorBuckets.from_codes(np.clip(64 + z.astype(int) // 2, 0, 255), np.full(z.shape, 9), 8)

    codec = bit_swap(Uniform(8, (2,)), *[(near, near)] * 1100)
    stack = random_stack(9)
    codec.push(stack, np.array([1, 200]))
    assert codec.pop(stack).tolist() == [1, 200] and stack == random_stack(9)


def test_errors_name_the_layer():
    good = (lambda z: Uniform(8, (1,)), lambda x: Uniform(4, (1,)))
    codec = bit_swap(Uniform(4, (1,)), good, (lambda z: Uniform(2, (1,)), lambda x: Uniform(4, (1,))))
    with pytest.raises(CodecError, match=r"^layer 2: likelihood: a symbol must be in 0\.\.3"):
        codec.push(Stack.from_bytes(b"\xff" * 64), np.array([7]))


def test_bit_swap_begins_with_the_bits_of_one_layer():
    """What the other layers pop, the data below them has just pushed."""
    x = np.array([3, 250, 5, 100, 4, 120])

    def needs(codec):
        return next(
            words for words in range(99) if codable(codec, Stack.from_bytes(b"\0" * 4 + b"\1" * 4 * (1 + words)))
        )

    def codable(codec, stack):
        try:
            codec.push(stack, x)
        except EmptyStackError:
            return False
        return True

    many = 12
    latents = [Uniform(BITS, (2,))] * many
    at_once = BitsBack(Serial(latents), lambda z: pixels(z[0]), lambda x: Serial(latents))
    assert needs(chain(many)) <= 1 < many * 2 * BITS // 32 <= needs(at_once) + 1


def test_the_ladder_costs_the_negative_elbo():
    codec, rng = ladder(), np.random.default_rng(0)
    x = rng.integers(0, 60, (300, 6)) + np.repeat(rng.integers(0, 190, (300, 2)), 3, axis=1)
    stack = random_stack(100)
    start, elbo = stack.bits(), 0.0
    for row in x:
        z = codec.posterior(row).pop(stack.copy())
        elbo += codec.likelihood(z).bits(row).sum()
        for i in range(2):
            elbo += codec.prior.steps[i](z[:i]).bits(z[i]).sum() - codec.posterior(row).steps[i](z[:i]).bits(z[i]).sum()
        codec.push(stack, row)
    assert stack.bits() - start == pytest.approx(elbo, rel=1e-4)


def test_a_ladder_needs_as_many_layers_in_both_directions():
    codec = top_down([lambda z: Uniform(4)] * 2, lambda z: Uniform(4), lambda x: [lambda z: Uniform(4)])
    with pytest.raises(CodecError, match="2 autoregressive steps cannot code 1 items"):
        codec.push(random_stack(9), np.array(3))


def test_golden():
    stack = random_stack(8, lanes=2)
    for i in range(9):
        for codec in (chain(3), ladder()):
            codec.push(stack, np.array([i, 3 * i, 7 * i, 250 - i, 250, 250 - 9 * i]))
    assert hashlib.sha256(stack.pack()).hexdigest()[:32] == "5cf014f5c3a63ff6a7bf9b5f13aa91ed"
