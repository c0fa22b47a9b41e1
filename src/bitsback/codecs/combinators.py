"""Codecs made of codecs. Bits-back coding is three lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bitsback.ans import Stack
from bitsback.codecs.base import Codec
from bitsback.errors import CodecError

X = TypeVar("X")
Z = TypeVar("Z")
Step = Callable[[tuple[Any, ...]], Codec[Any]]
"""From the items before it to the codec of the next one."""


@dataclass(frozen=True)
class Serial:
    """Several codecs one after the other; the data is a sequence with one item for each of them.

    Items are pushed last to first and so popped first to last.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> from bitsback.codecs import Bernoulli, Uniform
    >>> stack, codec = Stack(), Serial([Uniform(3, (2,)), Bernoulli([9, 9], precision=4)])
    >>> codec.push(stack, [np.array([6, 1]), np.array([1, 0])])
    >>> codec.pop(stack)
    (array([6, 1], dtype=uint16), array([1, 0], dtype=uint8))
    """

    codecs: Sequence[Codec[Any]]

    def push(self, stack: Stack, x: Sequence[Any]) -> None:
        """Push one item for each codec."""
        if len(x) != len(self.codecs):
            raise CodecError(f"{len(self.codecs)} codecs in series cannot code {len(x)} items")
        for codec, item in zip(reversed(self.codecs), reversed(x), strict=True):
            codec.push(stack, item)

    def pop(self, stack: Stack) -> tuple[Any, ...]:
        """Pop one item from each codec."""
        return tuple(codec.pop(stack) for codec in self.codecs)


@dataclass(frozen=True)
class Repeat(Generic[X]):
    """``n`` independent data under one codec, one after the other; the data is a sequence of n, and a list comes out.

    For arrays of symbols give a family a larger shape, which is faster. This is for what has no shape: chains of images
    under a :class:`BitsBack`, for instance. Items are pushed last to first and so popped first to last; an error leaves
    the stack after the last item that went well.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> from bitsback.codecs import Uniform
    >>> stack, codec = Stack(), Repeat(Uniform(4, (2,)), 3)
    >>> codec.push(stack, [np.array([1, 2]), np.array([3, 4]), np.array([5, 6])])
    >>> np.array(codec.pop(stack)).tolist()
    [[1, 2], [3, 4], [5, 6]]
    """

    codec: Codec[X]
    n: int

    def push(self, stack: Stack, x: Sequence[X]) -> None:
        """Push n items, the last one first."""
        if len(x) != self.n:
            raise CodecError(f"a codec repeated {self.n} times cannot code {len(x)} items")
        for item in reversed(x):
            self.codec.push(stack, item)

    def pop(self, stack: Stack) -> list[X]:
        """Pop n items."""
        return [self.codec.pop(stack) for _ in range(self.n)]


@dataclass(frozen=True)
class Autoregressive:
    """Items in order, the codec of each a function of those before it: ``p(x) = prod_i p(x_i | x_0 .. x_(i-1))``.

    Popping goes from the first item to the last, as each codec needs the items before it. So pushing goes from the last
    to the first: an encoder, which knows all items, can. The items are anything that codecs code: single pixels, rows
    of an image, layers of latents (:func:`top_down`). An error leaves the stack between two items.

    Args:
        steps: for each item a function from the tuple of all items before it to its codec.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> from bitsback.codecs import Bernoulli
    >>> def like_the_last(before):  # the same again, 15 times of 16
    ...     return Bernoulli(15 if before and before[-1] else 1, precision=4)
    >>> stack, codec = Stack(), Autoregressive([like_the_last] * 8)
    >>> codec.push(stack, [0, 0, 0, 1, 1, 1, 1, 1])
    >>> round(stack.bits(), 2)  # one change in eight
    4.65
    >>> [int(x) for x in codec.pop(stack)]
    [0, 0, 0, 1, 1, 1, 1, 1]
    """

    steps: Sequence[Step]

    def push(self, stack: Stack, x: Sequence[Any]) -> None:
        """Push one item for each step, the last one first."""
        if len(x) != len(self.steps):
            raise CodecError(f"{len(self.steps)} autoregressive steps cannot code {len(x)} items")
        items = tuple(x)
        for i in reversed(range(len(items))):
            self.steps[i](items[:i]).push(stack, items[i])

    def pop(self, stack: Stack) -> tuple[Any, ...]:
        """Pop one item for each step, each given those before it."""
        items: tuple[Any, ...] = ()
        for step in self.steps:
            items += (step(items).pop(stack),)
        return items


@dataclass(frozen=True)
class Substack(Generic[X]):
    """A codec on some of the stack's heads; the tail is shared by all.

    Symbol j of an array goes to head ``j % lanes``, whatever array it is of. With this one says which heads an array
    may use: ``Serial([Substack(a, slice(0, 4)), Substack(b, slice(4, 8))])`` codes a and b side by side, neither
    touching the other's heads. Popping must use the same slices. An error leaves the stack as the codec leaves its own.

    Args:
        codec: any.
        lanes: which heads, a slice of all of them.

    Raises:
        CodecError: on push and pop, if the slice holds no head of the stack.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> from bitsback.codecs import Uniform
    >>> stack, codec = Stack(lanes=3), Substack(Uniform(8, (2,)), slice(1, 3))
    >>> codec.push(stack, np.array([1, 2]))
    >>> [int(head) >> 32 for head in stack.heads]  # 256 times what they were, but for the first
    [1, 256, 256]
    """

    codec: Codec[X]
    lanes: slice

    def push(self, stack: Stack, x: X) -> None:
        """Push x on those heads."""
        with stack.select(self.lanes) as part:
            self.codec.push(part, x)

    def pop(self, stack: Stack) -> X:
        """Pop from those heads."""
        with stack.select(self.lanes) as part:
            return self.codec.pop(part)


@dataclass(frozen=True)
class BitsBack(Generic[X, Z]):
    """A latent-variable model as a codec: x costs, on average, its negative evidence lower bound.

    Pushing takes a latent z from the stack under the posterior, so the stack must hold some bits; they come back
    when x is popped. If a later step of a push or pop raises, the stack is left between the steps: go on with a
    :meth:`Stack.copy` made before.

    Args:
        prior: of z.
        likelihood: from z to the codec of x.
        posterior: from x to the codec of z.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> from bitsback.codecs import Bernoulli, PosteriorBuckets, Uniform
    >>> codec = BitsBack(
    ...     prior=Uniform(8, (1,)),
    ...     likelihood=lambda z: Bernoulli(np.where(z > 127, 60000, 5536)),
    ...     posterior=lambda x: PosteriorBuckets(np.where(x == 1, 160, 96), np.array([6]), bits=8),
    ... )
    >>> stack = Stack.from_bytes(bytes(range(100, 120)))
    >>> before = stack.copy()
    >>> codec.push(stack, np.array([1]))
    >>> codec.pop(stack), stack == before
    (array([1], dtype=uint8), True)
    """

    prior: Codec[Z]
    likelihood: Callable[[Z], Codec[X]]
    posterior: Callable[[X], Codec[Z]]

    def push(self, stack: Stack, x: X) -> None:
        """Push x by way of a latent that the stack itself chooses."""
        z = self.posterior(x).pop(stack)
        self.likelihood(z).push(stack, x)
        self.prior.push(stack, z)

    def pop(self, stack: Stack) -> X:
        """Pop x, and give back the bits that chose its latent."""
        z = self.prior.pop(stack)
        x = self.likelihood(z).pop(stack)
        self.posterior(x).push(stack, z)
        return x


@dataclass(frozen=True)
class TwoPart(Generic[X, Z]):
    """The same model without bits back: z is chosen outright and paid for in full.

    It needs nothing on the stack, so it codes the first data of a chain.

    Args:
        prior: of z.
        likelihood: from z to the codec of x.
        best: from x to the z to use, the posterior's mode for instance. Only pushing asks for it.
    """

    prior: Codec[Z]
    likelihood: Callable[[Z], Codec[X]]
    best: Callable[[X], Z]

    def push(self, stack: Stack, x: X) -> None:
        """Push x given its best latent, then that latent."""
        z = self.best(x)
        self.likelihood(z).push(stack, x)
        self.prior.push(stack, z)

    def pop(self, stack: Stack) -> X:
        """Pop the latent, then x."""
        return self.likelihood(self.prior.pop(stack)).pop(stack)
