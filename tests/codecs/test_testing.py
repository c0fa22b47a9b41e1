import numpy as np
import pytest

from bitsback.codecs import Repeat, Uniform
from bitsback.codecs.testing import check_codec, random_stack


class Wrong(Uniform):
    """Pushes x + 1 in place of x, pops x: right about the stack, wrong about the data."""

    def push(self, stack, x):
        super().push(stack, (x + 1) % self.size)


class Leaky(Uniform):
    """Leaves a symbol behind at every pop."""

    def pop(self, stack):
        x = super().pop(stack)
        Uniform(3).push(stack, np.array(1))
        return x


def test_the_check_passes_a_codec_and_fails_broken_ones():
    x = np.array([1, 2, 3])
    check_codec(Uniform(3, (3,)), x)
    with pytest.raises(AssertionError, match="did not return what was pushed"):
        check_codec(Wrong(3, (3,)), x)
    with pytest.raises(AssertionError, match="did not restore the stack"):
        check_codec(Leaky(3, (3,)), x)


def test_random_stacks_are_repeatable():
    stack = random_stack(5, 2, seed=1)
    assert stack == random_stack(5, 2, seed=1) and stack != random_stack(5, 2, seed=2)
    assert len(stack) == 5 and stack.lanes == 2


def test_arrays_may_come_back_as_lists_of_their_rows():
    check_codec(Repeat(Uniform(8, (2,)), 3), np.arange(6).reshape(3, 2))
    check_codec(Repeat(Repeat(Uniform(8), 2), 3), np.arange(6).reshape(3, 2))


class Forgetful(Repeat):
    """Loses its last item."""

    def pop(self, stack):
        return super().pop(stack)[:-1]


def test_a_list_that_is_too_short_is_noticed():
    with pytest.raises(AssertionError, match="popping did not return"):
        check_codec(Forgetful(Uniform(8, (2,)), 3), np.arange(6).reshape(3, 2))
