import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs import PosteriorBuckets, Shifted, Uniform
from bitsback.codecs.testing import check_codec, random_stack
from bitsback.errors import CodecError


@settings(deadline=None)
@given(bits=st.integers(1, 24), number=st.integers(0, 2**64 - 1), count=st.integers(0, 9), seed=st.integers(0, 99))
def test_symbols_come_back(bits: int, number: int, count: int, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 1 << bits, (count, 2))
    codec = Shifted(bits, x.shape, number)
    check_codec(codec, codec.pop(random_stack(4 * count + 4, seed=seed)))
    stack = Stack()
    codec.push(stack, x)
    assert stack.bits() == pytest.approx(bits * x.size, abs=0.01)
    assert np.array_equal(codec.pop(stack), x) and stack.is_initial()


def test_they_lie_there_as_if_they_were_random() -> None:
    """What others pop is uniform, and data do not repeat each other."""
    seen = []
    for number in range(100):
        stack = Stack()
        Shifted(4, (100,), number).push(stack, np.full(100, 3))
        seen.append(Uniform(4, (100,)).pop(stack))
    counts = np.bincount(np.concatenate(seen), minlength=16)
    assert ((counts - 625) ** 2 / 625).sum() < 37.7  # 99.9 % of random ones
    assert len({one.tobytes() for one in seen}) == 100


def test_a_chain_costs_its_elbo() -> None:
    """Latents that never are where the prior has its mass, popped with what the last ones left."""
    count, shape = 400, (40,)

    def posterior(x: int) -> PosteriorBuckets:
        return PosteriorBuckets.from_codes(np.full(shape, 100 + 60 * x), np.full(shape, 16), 8)

    def spent(stack: Stack, number: int, shifted: bool) -> float:
        before = stack.bits()
        z = posterior(number % 2).pop(stack)
        (Shifted(8, shape, number) if shifted else Uniform(8, shape)).push(stack, z)
        return stack.bits() - before

    expected = 0.0
    for x in (0, 1):
        bits = PosteriorBuckets.from_codes(np.full(256, 100 + 60 * x), np.full(256, 16), 8).bits(np.arange(256))
        expected += count // 2 * shape[0] * float((np.exp2(-bits) * (8 - bits)).sum())
    chains = []
    for shifted in (False, True):
        stack = random_stack(8)
        for number in range(40):  # start
            Shifted(8, shape, number).push(stack, np.zeros(shape, int))
        chains.append(sum(spent(stack, number, shifted) for number in range(count)) / expected - 1)
    assert abs(chains[1]) < 0.01 < 0.02 < abs(chains[0]), chains


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_beyond_64_bits(number: int) -> None:
    with pytest.raises(CodecError, match="number of a datum"):
        Shifted(8, (1,), number)
