"""Codecs made of codecs. Bits-back coding is three lines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from bitsback.ans import Stack
from bitsback.codecs.base import Codec, formed, same_form
from bitsback.codecs.uniform import Uniform
from bitsback.codecs.watch import part
from bitsback.errors import CodecError, EmptyStackError

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

    def form(self, x: Sequence[Any]) -> tuple[Any, ...]:
        """Return the items as they will be popped."""
        return tuple(map(formed, self.codecs, x)) if len(x) == len(self.codecs) else tuple(x)

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

    def form(self, x: Sequence[X]) -> list[X]:
        """Return the items as they will be popped."""
        return [formed(self.codec, item) for item in x]

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
        label: of the items, for errors and :func:`measure`, which then tell them apart by their numbers, from 1 on.

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
    label: str = ""

    def push(self, stack: Stack, x: Sequence[Any]) -> None:
        """Push one item for each step, the last one first."""
        if len(x) != len(self.steps):
            raise CodecError(f"{len(self.steps)} autoregressive steps cannot code {len(x)} items")
        codecs, items = self._codecs(x)
        for number in reversed(range(len(items))):
            with self._item(number):
                codecs[number].push(stack, items[number])

    def form(self, x: Sequence[Any]) -> tuple[Any, ...]:
        """Return the items as they will be popped."""
        return self._codecs(x)[1] if len(x) == len(self.steps) else tuple(x)

    def _codecs(self, x: Sequence[Any]) -> tuple[list[Codec[Any]], tuple[Any, ...]]:
        codecs: list[Codec[Any]] = []
        items: tuple[Any, ...] = ()
        for number, (step, item) in enumerate(zip(self.steps, x, strict=True)):
            with self._item(number):
                codecs.append(step(items))
                items += (formed(codecs[-1], item),)
        return codecs, items

    def pop(self, stack: Stack) -> tuple[Any, ...]:
        """Pop one item for each step, each given those before it."""
        items: tuple[Any, ...] = ()
        for number, step in enumerate(self.steps):
            with self._item(number):
                items += (step(items).pop(stack),)
        return items

    def _item(self, number: int) -> AbstractContextManager[None]:
        return part(f"{self.label} {number + 1}") if self.label else nullcontext()


@dataclass(frozen=True)
class Generated(Generic[X]):
    """Items in order, the codec of each made by a generator that has been told those before it.

    As :class:`Autoregressive`, for models with a state and for data of any length: the generator keeps what it needs
    of the past, yields the codec of the next item, is sent that item, and returns where the data end. A recurrent
    network is run once over the items, forwards, whether they are pushed or popped.

    Args:
        start: makes a generator, a new one each time.
        at_once: from all items to the codecs of all of them, exactly those that the generator yields. Only pushing
            asks for it: there all items are known, and a masked network needs one pass.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> from bitsback.codecs import Uniform
    >>> def lines():  # numbers below 16, each followed by as many below 4; 0 is the end
    ...     while length := int((yield Uniform(4))):
    ...         yield Uniform(2, (length,))
    >>> stack, codec = Stack(), Generated(lines)
    >>> codec.push(stack, [np.array(2), np.array([3, 1]), np.array(0)])
    >>> round(stack.bits()), [item.tolist() for item in codec.pop(stack)]
    (12, [2, [3, 1], 0])
    """

    start: Callable[[], Generator[Codec[X], X, None]]
    at_once: Callable[[Sequence[X]], Sequence[Codec[X]]] | None = None

    def push(self, stack: Stack, x: Sequence[X]) -> None:
        """Push the items, the last one first. CodecError if the generator wants more of them, or fewer."""
        codecs, items = self._codecs(x)
        for codec, item in zip(reversed(codecs), reversed(items), strict=True):
            codec.push(stack, item)

    def form(self, x: Sequence[X]) -> list[X]:
        """Return the items as they will be popped."""
        return self._codecs(x)[1]

    def pop(self, stack: Stack) -> list[X]:
        """Pop items until the generator returns."""
        return self._run(lambda codec, _: codec.pop(stack))[1]

    def _codecs(self, x: Sequence[X]) -> tuple[Sequence[Codec[X]], list[X]]:
        if self.at_once is not None:
            codecs = self.at_once(x)
            if len(codecs) != len(x):
                raise CodecError(f"there are {len(codecs)} codecs for {len(x)} items")
            items = list(map(formed, codecs, x))
            return codecs if all(map(same_form, items, x)) else self.at_once(items), items

        def known(codec: Codec[X], number: int) -> X:
            if number == len(x):
                raise CodecError(f"the generator wants more than {len(x)} items")
            return formed(codec, x[number])

        codecs, items = self._run(known)
        if len(items) != len(x):
            raise CodecError(f"the generator ended after {len(items)} of {len(x)} items")
        return codecs, items

    def _run(self, item_of: Callable[[Codec[X], int], X]) -> tuple[list[Codec[X]], list[X]]:
        codecs: list[Codec[X]] = []
        items: list[X] = []
        with closing(self.start()) as running:
            try:
                codec = next(running)
                while True:
                    item = item_of(codec, len(items))
                    codecs.append(codec)
                    items.append(item)
                    codec = running.send(item)
            except StopIteration:
                return codecs, items


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

    def form(self, x: X) -> X:
        """Return x as it will be popped."""
        return formed(self.codec, x)

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
    ...     posterior=lambda x: PosteriorBuckets.from_codes(np.where(x == 1, 160, 96), np.array([6]), bits=8),
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
        z, likelihood, x = infer(stack, x, self.likelihood, self.posterior)
        with part("likelihood"):
            likelihood.push(stack, x)
        with part("prior"):
            self.prior.push(stack, z)

    def pop(self, stack: Stack) -> X:
        """Pop x, and give back the bits that chose its latent."""
        with part("prior"):
            z = self.prior.pop(stack)
        with part("likelihood"):
            x = self.likelihood(z).pop(stack)
        with part("posterior"):
            self.posterior(x).push(stack, z)
        return x


def infer(
    stack: Stack, x: X, likelihood: Callable[[Z], Codec[X]], posterior: Callable[[X], Codec[Z]]
) -> tuple[Z, Codec[X], X]:
    """Take a latent from the stack: ``(z, likelihood(z), x as that will pop it)``.

    The posterior has seen x in that very form. What the form is shows once there is a latent, so where the user's is
    another, the latent is put back and taken again.
    """
    with part("posterior"):
        codec = posterior(x)
        z = codec.pop(stack)
    with part("likelihood"):
        below = likelihood(z)
        plain = formed(below, x)
    if not same_form(plain, x):
        with part("posterior"):
            codec.push(stack, z)
            z = posterior(plain).pop(stack)
        with part("likelihood"):
            below = likelihood(z)
    return z, below, plain


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
        with part("likelihood"):
            self.likelihood(z).push(stack, x)
        with part("prior"):
            self.prior.push(stack, z)

    def pop(self, stack: Stack) -> X:
        """Pop the latent, then x."""
        with part("prior"):
            z = self.prior.pop(stack)
        with part("likelihood"):
            return self.likelihood(z).pop(stack)


@dataclass(frozen=True)
class Chain(Generic[X]):
    """``n`` data under a codec that needs bits on the stack, from an empty one on: the first ones go without.

    Bits back borrows bits that have to be there. Random ones would have to be sent; instead the data that are pushed
    first, as many as it takes, go by another codec, which needs none: by :class:`TwoPart`, with coarser latents, for
    instance. A number on top of the stack says how many those are. Like :class:`Repeat` otherwise.

    Args:
        codec: of a datum, with bits back.
        first: of a datum, without.
        n: how many.

    >>> import numpy as np
    >>> from bitsback.ans import Stack
    >>> from bitsback.codecs import Bernoulli, BitsBack, PosteriorBuckets, TwoPart, Uniform
    >>> def model(bits):
    ...     likelihood = lambda z: Bernoulli(np.where(z >> (bits - 1), 60000, 5536).repeat(40))
    ...     posterior = lambda x: PosteriorBuckets.from_codes(np.where(x[:1] == 1, 160, 96), np.array([6]), bits)
    ...     return Uniform(bits, (1,)), likelihood, posterior
    >>> prior, likelihood, posterior = model(bits=1)
    >>> first = TwoPart(prior, likelihood, lambda x: posterior(x).modes())
    >>> stack, codec = Stack(), Chain(BitsBack(*model(bits=8)), first, 3)
    >>> codec.push(stack, [np.zeros(40, int), np.ones(40, int), np.ones(40, int)])
    >>> [int(x.sum()) for x in codec.pop(stack)], stack.is_initial()
    ([0, 40, 40], True)
    """

    codec: Codec[X]
    first: Codec[X]
    n: int

    def push(self, stack: Stack, x: Sequence[X]) -> None:
        """Push n data, the last one first, and how many of them went without bits back."""
        if len(x) != self.n:
            raise CodecError(f"a chain of {self.n} cannot code {len(x)} items")
        before, without = stack.copy(), 0
        while (pushed := self._try(stack, x, without)) < self.n:
            stack.become(before.copy())
            without = pushed + 1
        Uniform.of_size(self.n + 1).push(stack, np.array(without))

    def _try(self, stack: Stack, x: Sequence[X], without: int) -> int:
        """Push the data, so many of them without bits back; return how many it went well for."""
        for number, item in enumerate(reversed(x)):
            try:
                (self.first if number < without else self.codec).push(stack, item)
            except EmptyStackError:
                if number < without:
                    raise
                return number
        return self.n

    def pop(self, stack: Stack) -> list[X]:
        """Pop n data."""
        with_bits_back = self.n - int(Uniform.of_size(self.n + 1).pop(stack))
        return [(self.codec if number < with_bits_back else self.first).pop(stack) for number in range(self.n)]
