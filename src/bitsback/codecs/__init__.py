"""What can be pushed on a stack: families of distributions over arrays of symbols, and combinators of codecs.

Everything that decides a probability here is an integer; see :mod:`bitsback.codecs.base` for what a codec is.
"""

from bitsback.codecs.base import Codec as Codec
from bitsback.codecs.base import Family as Family
from bitsback.codecs.bernoulli import Bernoulli as Bernoulli
from bitsback.codecs.beta_binomial import BetaBinomial as BetaBinomial
from bitsback.codecs.categorical import Categorical as Categorical
from bitsback.codecs.categorical import CdfTable as CdfTable
from bitsback.codecs.categorical import quantise_pmf as quantise_pmf
from bitsback.codecs.combinators import BitsBack as BitsBack
from bitsback.codecs.combinators import Serial as Serial
from bitsback.codecs.combinators import TwoPart as TwoPart
from bitsback.codecs.gaussian import PosteriorBuckets as PosteriorBuckets
from bitsback.codecs.gaussian import bucket_centres as bucket_centres
from bitsback.codecs.logistic import Logistic as Logistic
from bitsback.codecs.logistic import LogisticMixture as LogisticMixture
from bitsback.codecs.logistic import NetworkMixture as NetworkMixture
from bitsback.codecs.logistic import quarter as quarter
from bitsback.codecs.uniform import Uniform as Uniform
