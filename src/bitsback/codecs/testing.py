"""Checks for the tests of codecs, these and yours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bitsback.ans import Stack
from bitsback.codecs.base import Codec


def random_stack(words: int = 1024, lanes: int = 1, seed: int = 0) -> Stack:
    """Return a stack of random bits: heads anywhere in their range, and so many words."""
    rng = np.random.default_rng(seed)
    heads = rng.integers(1 << 32, 1 << 64, lanes, np.uint64)
    tail = rng.integers(0, 1 << 32, words, np.uint32)
    return Stack.from_bytes(heads.astype("<u8").tobytes() + tail.astype("<u4").tobytes(), lanes)


def check_codec(codec: Codec[Any], x: Any, lanes: int = 1, seed: int = 0) -> None:
    """Check that ``codec`` restores data and stack, both ways round, starting from random bits.

    Pushes ``x`` and pops it; then pops data from other random bits, pushes it and pops it again.

    Raises:
        AssertionError: something was not restored; the message says what.
    """
    words = 2 * sum(leaf.size for leaf in _leaves(x)) + 1024
    stack = random_stack(words, lanes, seed)
    before = stack.copy()
    codec.push(stack, x)
    _require(_same(codec.pop(stack), x), "popping did not return what was pushed")
    _require(stack == before, "push and pop did not restore the stack")

    stack = random_stack(words, lanes, seed + 1)
    before = stack.copy()
    sample = codec.pop(stack)
    after = stack.copy()
    codec.push(stack, sample)
    _require(stack == before, "pop and push did not restore the stack")
    _require(_same(codec.pop(stack), sample), "popping again gave other data")
    _require(stack == after, "popping again left another stack")


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


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
