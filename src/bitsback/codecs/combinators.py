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
