"""Collections whose order does not count."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

import numpy as np

from bitsback.ans import MAX_PRECISION, Stack
from bitsback.codecs.base import Codec, formed
from bitsback.codecs.categorical import Categorical
from bitsback.errors import CodecError

X = TypeVar("X")

MAX_ITEMS = 1 << 16


@dataclass(frozen=True)
class Multiset(Generic[X]):
    """``n`` independent items under one codec, of which only *how often each occurs* is kept, and the order is not.

    Items come out sorted. An order of n different items is worth ``log2(n!)`` bits, and those are saved: the encoder
    lets bits from the stack choose which of the items left is pushed next, so the order carries bits that the decoder
    gets back. That is bits back with the order as the latent. Of equal items, exchanging two is no other order, and the
    saving is that much smaller: ``log2(n! / (n_1! n_2! ...))``. (Daniel Severo, James Townsend, Ashish Khisti, Alireza
    Makhzani & Karen Ullrich, "Compressing multisets with large alphabets using bits-back coding", arXiv 2107.09202,
    section 3.)

    The stack must hold some bits at first, about ``log2(n)``, and more only if an item has fewer bits than its choice.
    If a step raises, the stack is left between the steps: go on with a :meth:`Stack.copy` made before. Time is in
    proportion to ``n**2``, with a small factor: 10,000 items take seconds.

    Args:
        codec: of an item: an integer, an array of integers, or a tuple or list of such, nested or not. Items are
            sorted by their numbers, first to last, so all must have one form.
        n: how many items, 0 to 65536.

    >>> import numpy as np
    >>> from bitsback.codecs import Uniform
    >>> from bitsback.codecs.testing import random_stack
    >>> stack, codec = random_stack(4), Multiset(Uniform(8), 5)
    >>> before = stack.bits()
    >>> codec.push(stack, [77, 5, 200, 5, 13])
    >>> round(stack.bits() - before, 2)  # 5 * 8 - log2(5! / 2!)
    34.09
    >>> [int(x) for x in codec.pop(stack)], stack == random_stack(4)
    ([5, 5, 13, 77, 200], True)
    """

    codec: Codec[X]
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.n <= MAX_ITEMS:
            raise CodecError(f"a multiset has 0 to {MAX_ITEMS} items, not {self.n}")

    def push(self, stack: Stack, x: Sequence[X]) -> None:
        """Push the items, in an order that the stack itself chooses."""
        if len(x) != self.n:
            raise CodecError(f"a multiset of {self.n} items cannot code {len(x)}")
        left = self.form(x)
        keys = [_numbers(item) for item in left]
        counts = [len(list(group)) for _, group in groupby(keys)]
        firsts = [0, *np.cumsum(counts).tolist()][:-1]
        items = [left[i] for i in firsts]
        for _ in range(self.n):
            k = int(_choice(counts).pop(stack))
            self.codec.push(stack, items[k])
            counts[k] -= 1
            if not counts[k]:
                del counts[k], items[k]

    def form(self, x: Sequence[X]) -> tuple[X, ...]:
        """Return the items as they will be popped: sorted."""
        return tuple(sorted((formed(self.codec, item) for item in x), key=_numbers))

    def pop(self, stack: Stack) -> tuple[X, ...]:
        """Pop the items, sorted, and give back the bits that chose their order."""
        keys: list[Any] = []
        counts: list[int] = []
        items: list[X] = []
        for _ in range(self.n):
            item = self.codec.pop(stack)
            key = _numbers(item)
            k = bisect_left(keys, key)
            if k == len(keys) or keys[k] != key:
                keys.insert(k, key)
                counts.insert(k, 0)
                items.insert(k, item)
            counts[k] += 1
            _choice(counts).push(stack, np.array(k))
        return tuple(item for item, count in zip(items, counts, strict=True) for _ in range(count))


def _choice(counts: list[int]) -> Categorical:
    """The codec of which item is next: an interval begins at ``ceil(before * 2**24 / left)``, in numbers of items."""
    edges = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return Categorical([-(-(edges << MAX_PRECISION) // edges[-1])], 0, MAX_PRECISION)


def _numbers(item: Any) -> Any:
    """An item as nested lists of Python integers, which compare number by number, on every machine alike."""
    if isinstance(item, (tuple, list)):
        return [_numbers(part) for part in item]
    return np.asarray(item).tolist()
