"""Checks for the tests of codecs, these and yours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bitsback.ans import Stack
from bitsback.codecs.base import Codec, Family, here
from bitsback.codecs.watch import Watch, culprit, watching


def random_stack(words: int = 1024, lanes: int = 1, seed: int | tuple[int, ...] = 0) -> Stack:
    """Return a stack of random bits: heads anywhere in their range, and so many words."""
    rng = np.random.default_rng(seed)
    heads = rng.integers(1 << 32, 1 << 64, lanes, np.uint64)
    tail = rng.integers(0, 1 << 32, words, np.uint32)
    return Stack.unpack(heads.astype("<u8").tobytes() + tail.astype("<u4").tobytes(), lanes)


def check_codec(codec: Codec[Any], x: Any, lanes: int = 1, seed: int = 0) -> None:
    """Check that ``codec`` restores data and stack, both ways round, starting from random bits.

    Pushes ``x`` and pops it; then pops data from other random bits, pushes it and pops it again.

    Raises:
        AssertionError: something was not restored; the message says what, and which part of a model was not the same
            both ways: prior, likelihood or posterior, and of which layer.
    """
    words = 2 * sum(leaf.size for leaf in _leaves(x)) + 1024
    stack = random_stack(words, lanes, seed)
    before = stack.copy()
    with watching(stack) as there:
        codec.push(stack, x)
    with watching(stack) as back:
        popped = codec.pop(stack)
    restored(popped, x, stack == before, there, back)

    stack = random_stack(words, lanes, seed + 1)
    before = stack.copy()
    with watching(stack) as there:
        sample = codec.pop(stack)
    after = stack.copy()
    with watching(stack) as back:
        codec.push(stack, sample)
    _require(stack == before, "pop and push did not restore the stack", there, back)
    _require(_same(codec.pop(stack), sample), "popping again gave other data")
    _require(stack == after, "popping again left another stack")


def restored(popped: Any, pushed: Any, same_stack: bool, there: Watch, back: Watch) -> None:
    """Require that data and stack are as they were before pushing and popping; AssertionError if not."""
    _require(_same(popped, pushed), "popping did not return what was pushed", there, back)
    _require(same_stack, "push and pop did not restore the stack", there, back)


def check_batches(model: Callable[[Any], Any], x: Any, sizes: Sequence[int] = (1, 2, 7)) -> None:
    """Check that a network gives the same numbers for an example, to the last bit, in batches of any size.

    Floating-point networks as a rule do not: sums are taken in another order. Whoever encodes in batches and decodes
    one by one, or the last batch of a set with fewer in it, then decodes noise.

    Args:
        model: from a batch to arrays, tensors, families of distributions, or tuples and lists of these, the examples
            along their first axis.
        x: a batch of several examples, an array or tensor.
        sizes: of the batches to try.

    Raises:
        AssertionError: they differ; the message says in what, in how many numbers and by how much.

    >>> import numpy as np
    >>> check_batches(lambda x: x * 3 + 1, np.arange(8))
    >>> check_batches(lambda x: x - x.mean(), np.arange(8.0), sizes=[4])
    Traceback (most recent call last):
    ...
    AssertionError: in batches of 4, 8 of 8 numbers of output 0 are others, by up to 2
    """
    expected = list(_outputs(model(x)))
    for size in sizes:
        batches = [list(_outputs(model(x[first : first + size]))) for first in range(0, len(x), size)]
        for number, (name, array) in enumerate(expected):
            found = np.concatenate([batch[number][1] for batch in batches])
            if found.shape != array.shape:
                raise AssertionError(f"in batches of {size}, {name} has shape {found.shape}, not {array.shape}")
            wrong = np.flatnonzero(found != array)
            if wrong.size:
                apart = np.abs(found.astype(np.float64) - array.astype(np.float64)).max()
                raise AssertionError(
                    f"in batches of {size}, {wrong.size} of {array.size} numbers of {name} are others, "
                    f"by up to {apart:.3g}"
                )


def _outputs(given: Any, name: str = "output 0") -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if isinstance(given, (tuple, list)):
        for number, item in enumerate(given):
            yield from _outputs(item, f"output {number}" if name == "output 0" else f"{name}, {number}")
    elif isinstance(given, Family):
        for attribute in given.expandable or ():
            yield f"{name}, {attribute}", getattr(given, attribute)
    else:
        yield name, np.asarray(here(given))


def _leaves(x: Any) -> Iterator[npt.NDArray[Any]]:
    if isinstance(x, (tuple, list)):
        for item in x:
            yield from _leaves(item)
    else:
        yield np.asarray(x)


def _same(x: Any, y: Any) -> bool:
    """Equal in value: an array may come back as a list of its rows, and integers in another type."""
    nested = isinstance(x, (tuple, list)), isinstance(y, (tuple, list))
    if not any(nested):
        return np.array_equal(x, y)
    if any(not inside and np.ndim(one) == 0 for one, inside in zip((x, y), nested, strict=True)):
        return False
    return len(x) == len(y) and all(map(_same, x, y))


def _require(condition: bool, message: str, there: Watch | None = None, back: Watch | None = None) -> None:
    if not condition:
        part = culprit(there, back) if there and back else ""
        raise AssertionError(f"{message}: {part} was not the same both ways" if part else message)
