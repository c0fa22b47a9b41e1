"""Models with several layers of latents, as bits back within bits back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bitsback.ans import Stack
from bitsback.codecs.base import Codec
from bitsback.codecs.combinators import Autoregressive, BitsBack, Step, infer
from bitsback.codecs.watch import part

Conditional = Callable[[Any], Codec[Any]]
"""From the value of one variable to the codec of another."""


def bit_swap(prior: Codec[Any], *layers: tuple[Conditional, Conditional]) -> Codec[Any]:
    """A chain of latents, ``z_L -> ... -> z_1 -> x``, each inferred from the one below it alone.

    Bit-Swap is bits back, nested: ``z_1`` is the latent of x, and its prior is again a model with a latent, ``z_2``::

        BitsBack(BitsBack(prior, p(z_1 | z_2), q(z_2 | z_1)), p(x | z_1), q(z_1 | x))

    so pushing x takes ``z_1`` from the stack, pushes x, takes ``z_2``, pushes ``z_1``, and so on. Before each pop but
    the first the stack has just grown. So an empty chain needs the initial bits of about one layer, where popping
    all latents first would need those of all. (Friso Kingma, Pieter Abbeel & Jonathan Ho, "Bit-Swap: recursive
    bits-back coding for lossless compression with hierarchical latent variables", ICML 2019, arXiv 1905.06845,
    section 3.)

    As ``z_1`` is popped before ``z_2`` is known, the grid of ``z_1`` cannot depend on ``z_2``. With buckets of N(0, 1)
    in every layer, ``p(z_1 | z_2)`` is a :class:`PosteriorBuckets` like the posteriors.

    Args:
        prior: codec of the topmost latent.
        layers: from x upwards, pairs of the likelihood of what is below given this latent (latent -> codec of what is
            below) and this latent's posterior (what is below -> codec of this latent). None: the prior itself.

    Returns:
        A codec of x. Errors are as for :class:`BitsBack`.

    >>> import numpy as np
    >>> from bitsback.codecs import Bernoulli, PosteriorBuckets, Uniform
    >>> from bitsback.codecs.testing import random_stack
    >>> def near(z, rho):
    ...     return PosteriorBuckets.from_codes(96 + z // 4, np.full(z.shape, rho), 8)
    >>> codec = bit_swap(
    ...     Uniform(8, (1,)),
    ...     (lambda z1: Bernoulli(2000 + 240 * z1), lambda x: near(x * 255, 8)),
    ...     (lambda z2: near(z2, 4), lambda z1: near(z1, 4)),
    ... )
    >>> stack = random_stack(4)
    >>> codec.push(stack, np.array([1]))
    >>> codec.pop(stack), stack == random_stack(4)
    (array([1], dtype=uint8), True)
    """
    return BitSwap(prior, layers) if layers else prior


@dataclass(frozen=True)
class BitSwap:
    """What :func:`bit_swap` returns. A loop, as bits back within bits back would end at Python's limit of recursion."""

    prior: Codec[Any]
    layers: Sequence[tuple[Conditional, Conditional]]

    def push(self, stack: Stack, x: Any) -> None:
        """Push x, and every latent once the one above it has been taken."""
        for number, (likelihood, posterior) in enumerate(self.layers, 1):
            with part(f"layer {number}"):
                z, codec, x = infer(stack, x, likelihood, posterior)
                with part("likelihood"):
                    codec.push(stack, x)
            x = z
        with part("prior"):
            self.prior.push(stack, x)

    def pop(self, stack: Stack) -> Any:
        """Pop the latents from the topmost down, each given back when the one below it is there, and x."""
        with part("prior"):
            x = self.prior.pop(stack)
        for number, (likelihood, posterior) in reversed([*enumerate(self.layers, 1)]):
            z = x
            with part(f"layer {number}"):
                with part("likelihood"):
                    x = likelihood(z).pop(stack)
                with part("posterior"):
                    posterior(x).push(stack, z)
        return x


def top_down(prior: Sequence[Step], likelihood: Conditional, posterior: Callable[[Any], Sequence[Step]]) -> Codec[Any]:
    """A ladder of latents: both prior and posterior draw the topmost first, and each given all those above it.

    It is :class:`BitsBack` with one latent, the tuple z of all layers, whose prior and posterior are
    :class:`Autoregressive`. Ladder and ResNet VAEs are like this. (Casper Sønderby and others, "Ladder variational
    autoencoders", arXiv 1602.02282; coded like this in James Townsend, Thomas Bird, Julius Kunze & David Barber,
    "HiLLoC: lossless image compression with hierarchical latent variable models", arXiv 1912.09953.)

    The posterior of a layer may be given relative to its prior, which is known by then: with buckets of equal mass
    *under that prior*, every prior step is plain ``Uniform`` bits, and :class:`PosteriorBuckets` takes the means and
    widths relative to it. In return, all layers are popped before anything is pushed: an empty chain needs the initial
    bits of all of them.

    Args:
        prior: for each layer, topmost first, a function from the tuple of the latents above to the layer's codec.
        likelihood: from the tuple of all latents, topmost first, to the codec of x.
        posterior: from x to such functions as ``prior`` holds, one for each layer. What they share (the upward pass of
            a ladder) is computed once.

    Returns:
        A codec of x. Errors are as for :class:`BitsBack`; a posterior with another number of layers than the prior is a
        CodecError.

    >>> import numpy as np
    >>> from bitsback.codecs import Bernoulli, PosteriorBuckets, Uniform
    >>> from bitsback.codecs.testing import random_stack
    >>> def posterior(x):
    ...     delta = 96 + 64 * x
    ...     first = lambda above: PosteriorBuckets.from_codes(delta, np.full(x.shape, 8), 8)
    ...     second = lambda above: PosteriorBuckets.from_codes(delta - above[0] // 16, np.full(x.shape, 12), 8)
    ...     return [first, second]
    >>> codec = top_down(
    ...     prior=[lambda above: Uniform(8, (1,))] * 2,
    ...     likelihood=lambda z: Bernoulli(2000 + 120 * (z[0] + z[1])),
    ...     posterior=posterior,
    ... )
    >>> stack = random_stack(4)
    >>> codec.push(stack, np.array([0]))
    >>> codec.pop(stack), stack == random_stack(4)
    (array([0], dtype=uint8), True)
    """
    return BitsBack(Autoregressive(prior, "layer"), likelihood, lambda x: Autoregressive(posterior(x), "layer"))
