"""What can be pushed on a stack: families of distributions over arrays of symbols, and combinators of codecs.

A codec is a pair of operations, ``push(stack, x)`` and ``pop(stack) -> x``, each the other's inverse
(:mod:`bitsback.codecs.base`). Everything that decides a probability is an integer; ``from_floats``, where a family has
it, rounds float parameters to those integers, for use inside one environment.

Families, whole arrays at a time:

================================  ========================================================================
:class:`Uniform`                  plain bits, or any number of equally likely symbols
:class:`Shifted`                  the same, so that they look random on the stack: latents in a chain
:class:`Bernoulli`                zeros and ones
:class:`Categorical`              any distributions, from a :class:`CdfTable`; :func:`quantise_pmf` makes rows
:class:`Logistic`                 levels (pixels), one logistic distribution each
:class:`LogisticMixture`          the same with K components; :class:`NetworkMixture` reads a network's output
:class:`Gaussian`                 levels, one Gaussian each
:class:`BetaBinomial`             levels 0..255, as in the paper
:class:`Quantised`                integers under any distribution function, in floats
:class:`PosteriorBuckets`         latents: Gaussians over buckets of equal prior mass; see :func:`bucket_centres`
================================  ========================================================================

Combinators, codecs made of codecs:

================================  ========================================================================
:class:`Serial`, :class:`Repeat`  several codecs in a row, or one codec several times
:class:`Autoregressive`           each item's codec depends on the items before it
:class:`Generated`                the same with a state, for data of any length
:class:`Substack`                 a codec on some heads of the stack
:class:`Multiset`                 items whose order does not count, and costs nothing
:class:`BitsBack`                 a model with latents at the price of its ELBO
:class:`TwoPart`                  the same without bits back
:class:`Chain`                    many data with bits back, the first ones without
:func:`bit_swap`                  a chain of latents, bits back within bits back
:func:`top_down`                  a ladder of latents, drawn from the top
================================  ========================================================================

:func:`measure` says what a codec costs on data, and where. :func:`bitsback.codecs.testing.check_codec` checks a codec
of your own, :func:`bitsback.codecs.testing.check_batches` whether a network gives the same in any batch.
"""

from bitsback.codecs.base import Codec as Codec
from bitsback.codecs.base import Family as Family
from bitsback.codecs.bernoulli import Bernoulli as Bernoulli
from bitsback.codecs.beta_binomial import BetaBinomial as BetaBinomial
from bitsback.codecs.buckets import PosteriorBuckets as PosteriorBuckets
from bitsback.codecs.buckets import bucket_centres as bucket_centres
from bitsback.codecs.buckets import bucket_codes as bucket_codes
from bitsback.codecs.categorical import Categorical as Categorical
from bitsback.codecs.categorical import CdfTable as CdfTable
from bitsback.codecs.categorical import quantise_pmf as quantise_pmf
from bitsback.codecs.combinators import Autoregressive as Autoregressive
from bitsback.codecs.combinators import BitsBack as BitsBack
from bitsback.codecs.combinators import Chain as Chain
from bitsback.codecs.combinators import Generated as Generated
from bitsback.codecs.combinators import Repeat as Repeat
from bitsback.codecs.combinators import Serial as Serial
from bitsback.codecs.combinators import Substack as Substack
from bitsback.codecs.combinators import TwoPart as TwoPart
from bitsback.codecs.gaussian import Gaussian as Gaussian
from bitsback.codecs.hierarchies import bit_swap as bit_swap
from bitsback.codecs.hierarchies import top_down as top_down
from bitsback.codecs.logistic import Logistic as Logistic
from bitsback.codecs.logistic import LogisticMixture as LogisticMixture
from bitsback.codecs.logistic import NetworkMixture as NetworkMixture
from bitsback.codecs.logistic import quarter as quarter
from bitsback.codecs.measuring import Measurement as Measurement
from bitsback.codecs.measuring import measure as measure
from bitsback.codecs.multiset import Multiset as Multiset
from bitsback.codecs.quantised import Quantised as Quantised
from bitsback.codecs.shifted import Shifted as Shifted
from bitsback.codecs.uniform import Uniform as Uniform
