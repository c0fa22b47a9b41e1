import numpy as np
import pytest

from bitsback.codecs import Bernoulli, BitsBack, PosteriorBuckets, Repeat, Uniform, bit_swap, top_down
from bitsback.codecs.testing import check_batches, check_codec, random_stack


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


class Moody:
    """A function that gives something else whenever it is called again."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, x):
        self.calls += 1
        return self.function(x, self.calls)


def near(z, shift=0):
    return PosteriorBuckets.from_codes(np.clip(64 + z.astype(int) // 2 + shift, 0, 255), np.full(z.shape, 9), 8)


def pixel(z, shift=0):
    return Bernoulli(3000 + 200 * z.astype(int) + shift)


X = np.array([0, 1, 1, 0, 1], np.uint8)


def model(posterior=near, likelihood=pixel):
    return BitsBack(Uniform(8, (5,)), likelihood, posterior)


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (model(posterior=Moody(near)), "the stack: posterior was not"),
        (model(likelihood=Moody(pixel)), "pushed: likelihood was not"),
        (bit_swap(Uniform(8, (5,)), (pixel, near), (near, Moody(near))), "pushed: layer 2: posterior was not"),
        (bit_swap(Uniform(8, (5,)), (pixel, near), (Moody(near), near)), "pushed: layer 2: likelihood was not"),
        (
            top_down(
                [lambda above: Uniform(8, (5,)), Moody(lambda above, n: near(above[0], n))],
                lambda z: pixel(z[1]),
                lambda x: [lambda above: near(x), lambda above: near(x)],
            ),
            "pushed: prior: layer 2 was not",
        ),
    ],
)
def test_the_part_that_disagrees_is_named(codec, message):
    with pytest.raises(AssertionError, match=message + " the same both ways"):
        check_codec(codec, X)


def test_parts_that_agree_pass():
    check_codec(model(), X)
    check_codec(bit_swap(Uniform(8, (5,)), (pixel, near), (near, near)), X)


def test_batches():
    x = np.arange(12.0).reshape(6, 2)
    check_batches(lambda x: (x + 1, [x.sum(1)]), x, sizes=(1, 4, 6))
    check_batches(lambda x: Bernoulli.from_floats(x / 20, 8), x)
    with pytest.raises(AssertionError, match="in batches of 1, 10 of 12 numbers of output 0, p are others"):
        check_batches(lambda x: Bernoulli.from_floats((x - x[:1]) / 20 + 0.25, 8), x)
    with pytest.raises(AssertionError, match=r"in batches of 2, 4 of 6 numbers of output 1 are others, by up to 2"):
        check_batches(lambda x: (x, np.where(np.arange(len(x)) < 2, 0.0, 2.0)), x, sizes=(2,))
    with pytest.raises(AssertionError, match="output 0 has shape"):
        check_batches(lambda x: x.mean(0, keepdims=True), x, sizes=(2,))
