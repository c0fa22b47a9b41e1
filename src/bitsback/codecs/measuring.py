"""What a model costs as a codec, and where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from bitsback.ans import Stack
from bitsback.codecs.base import Codec
from bitsback.codecs.testing import random_stack, restored
from bitsback.codecs.watch import watching
from bitsback.errors import EmptyStackError

X = TypeVar("X")

MAX_WORDS = 1 << 24
"""Of the bits that a datum may borrow."""


@dataclass(frozen=True)
class Measurement:
    """What :func:`measure` found, in bits a datum unless it is said otherwise."""

    count: int
    """Of the data."""
    net: float
    """By which a chain of the data grew."""
    elbo: float
    """The negative ELBO: by which a stack of fresh random bits grows under a single datum, on average."""
    elbo_error: float
    """Standard error of :attr:`elbo`, as another draw of latents would give another number; for these data."""
    dirty: float
    """What the chain costs beyond that, as the bits that it lends are not random: ``net - elbo``."""
    dirty_error: float
    """Standard error of :attr:`dirty`: chance alone makes it as large."""
    initial: float
    """Bits that a stack must hold for the first datum, in all; to within 32."""
    parts: dict[str, float]
    """By which each part of the model changes the stack: what likelihoods and priors push, what posteriors pop."""
    costs: dict[str, float]
    """The same by variable: the data given their latents, and of latents what they cost less what comes back."""

    def __str__(self) -> str:
        lines = [
            f"{self.count} data, bits of each: net {self.net:.2f}, -ELBO {self.elbo:.2f} +- {self.elbo_error:.2f}, "
            f"dirty bits {self.dirty:+.2f} +- {self.dirty_error:.2f}; initial bits {self.initial:.0f}",
            *(f"  {name:24} {bits:+10.2f}" for name, bits in self.costs.items()),
        ]
        return "\n".join(lines)


def measure(codec: Codec[X], data: Sequence[X], draws: int = 4, seed: int = 0) -> Measurement:
    """Code data and say what they cost: in a chain, each by itself, and in each part of the model.

    The chain begins with random bits, which are not counted, and is popped again and compared.

    Args:
        codec: of one datum, with or without bits back, of any number of layers.
        data: two or more.
        draws: how often each datum is coded on fresh random bits, for the estimate of -ELBO; at least two.
        seed: of these bits.

    Raises:
        AssertionError: the chain did not come back as it was; the message says which part of the model did not.
        EmptyStackError: a datum borrows more than 2^29 bits.

    >>> import numpy as np
    >>> from bitsback.codecs import Bernoulli, BitsBack, PosteriorBuckets, Uniform
    >>> model = BitsBack(
    ...     prior=Uniform(8, (1,)),
    ...     likelihood=lambda z: Bernoulli(np.where(z > 127, 60000, 5536).repeat(9)),
    ...     posterior=lambda x: PosteriorBuckets.from_codes(np.where(x[:1] == 1, 160, 96), np.array([6]), bits=8),
    ... )
    >>> found = measure(model, [np.ones(9, int), np.zeros(9, int)] * 20)
    >>> print(found.initial, sorted(found.parts), sorted(found.costs))
    32.0 ['likelihood', 'posterior', 'prior'] ['data', 'latents']
    """
    if len(data) < 2 or draws < 2:
        raise ValueError(f"it takes two data and two draws or more, not {len(data)} and {draws}")
    words = _needed(codec, data[0])
    chain = _Chain(codec, data, seed, 2 * words + 64)
    fresh = np.array([[_alone(codec, x, 2 * words + 64, (seed, draw, i)) for i, x in enumerate(data)]
                      for draw in range(1, draws + 1)])  # fmt: skip
    beyond = chain.grown - fresh.mean(0)
    n = len(data)
    return Measurement(
        count=n,
        net=float(chain.grown.mean()),
        elbo=float(fresh.mean()),
        elbo_error=float(np.sqrt(fresh.var(0, ddof=1).mean() / fresh.size)),
        dirty=float(beyond.mean()),
        dirty_error=float(beyond.std(ddof=1) / np.sqrt(n)),
        initial=32.0 * words,
        parts=chain.parts,
        costs=_costs(chain.parts),
    )


def _needed(codec: Codec[Any], x: Any) -> int:
    """The least number of words with which a datum can be pushed."""

    def enough(words: int) -> bool:
        stack = Stack.unpack((1 << 32).to_bytes(8, "little") + random_stack(words).words.tobytes(), 1)
        try:
            codec.push(stack, x)
        except EmptyStackError:
            return False
        return True

    high = 1
    if enough(0):
        return 0
    while not enough(high):
        high *= 2
        if high > MAX_WORDS:
            raise EmptyStackError(f"a datum borrows more than {MAX_WORDS} words")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


class _Chain:
    """All data on one stack, and back."""

    def __init__(self, codec: Codec[Any], data: Sequence[Any], seed: int, words: int) -> None:
        stack = random_stack(words, seed=seed)
        before = stack.copy()
        self.grown = np.empty(len(data))
        bits = stack.bits()
        with watching(stack) as there:
            for i, x in enumerate(data):
                codec.push(stack, x)
                self.grown[i], bits = stack.bits() - bits, stack.bits()
        with watching(stack) as back:
            popped = [codec.pop(stack) for _ in data][::-1]
        restored(popped, list(data), stack == before, there, back)
        self.parts: dict[str, float] = {}
        for step in there.steps:
            self.parts[step.name] = self.parts.get(step.name, 0.0) + step.bits / len(data)


def _alone(codec: Codec[Any], x: Any, words: int, seed: Any) -> float:
    while True:
        stack = random_stack(words, seed=seed)
        bits = stack.bits()
        try:
            codec.push(stack, x)
        except EmptyStackError:
            if words > MAX_WORDS:
                raise
            words *= 2
        else:
            return stack.bits() - bits


def _costs(parts: dict[str, float]) -> dict[str, float]:
    """Add up, for each variable, what pushes and pops it.

    ``prior`` and ``posterior`` are of the latents (``prior: layer 2`` of those of a ladder's second layer). In a chain
    of layers ``layer n: posterior`` pops the latents n, and ``layer n + 1: likelihood`` pushes them, or at the top
    ``prior``.
    """
    layers = [int(found[1]) for name in parts if (found := re.match(r"layer (\d+): ", name))]
    costs: dict[str, float] = {}
    for name, bits in parts.items():
        in_chain = re.fullmatch(r"layer (\d+): (posterior|likelihood)", name)
        in_ladder = re.fullmatch(r"(?:prior|posterior)(?:: (.*))?", name)
        if in_chain:
            layer = int(in_chain[1]) - (in_chain[2] == "likelihood")
            variable = f"latents {layer}" if layer else "data"
        elif name == "prior" and layers:
            variable = f"latents {max(layers)}"
        elif in_ladder:
            variable = f"latents, {in_ladder[1]}" if in_ladder[1] else "latents"
        else:
            variable = "data" if name == "likelihood" else name
        costs[variable] = costs.get(variable, 0.0) + bits
    return costs
