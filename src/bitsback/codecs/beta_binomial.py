"""Beta-binomial levels of 8-bit data, from an explicit table.

The likelihood of the 8-bit model of "Practical lossless compression with latent variables using bits back coding".
"""

from __future__ import annotations

from functools import cache
from typing import Self

import numpy as np
import numpy.typing as npt

from bitsback.codecs.base import nearest, reals, together, whole
from bitsback.codecs.categorical import Categorical, CdfTable
from bitsback.codecs.tables import load

GRID = 32
"""Values of either parameter."""


class BetaBinomial(Categorical):
    """Levels 0..255 (uint8): 255 draws with a probability that is itself Beta(alpha, beta) distributed.

    Frequencies are ``1 + floor((2**24 - 256) * P(v))``, the remainder going to the likeliest level.

    Args:
        a_index: integers in 0..31, any shape: alpha is ``2**((a_index - 12) / 2)``, from 1/64 to 724.
        b_index: the same for beta, same shape. The mean is ``255 * alpha / (alpha + beta)``.

    >>> import numpy as np
    >>> BetaBinomial([12], [12]).bits(np.array([77]))  # alpha = beta = 1: uniform
    array([8.])
    """

    expandable = ("a_index", "b_index", "index")

    def __init__(self, a_index: npt.ArrayLike, b_index: npt.ArrayLike) -> None:
        self.a_index, self.b_index = together(
            a_index=whole(a_index, np.uint8, GRID, "a_index"), b_index=whole(b_index, np.uint8, GRID, "b_index")
        )
        super().__init__(_table(), self.a_index.astype(np.uint32) * np.uint32(GRID) + self.b_index)

    @classmethod
    def from_floats(cls, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> Self:  # type: ignore[override]
        """Return the codec for ``alpha`` and ``beta`` above 0, each moved to the nearest of the grid (by ratio).

        A grid step is a factor of the square root of 2. As with all ``from_floats``, encoder and decoder must see the
        very same floats: inside one environment they do, between machines they may not.

        Raises:
            CodecError: a number is not above 0, or the shapes do not go together.

        >>> BetaBinomial.from_floats([1.0], [4.0]).b_index
        array([16], dtype=uint8)
        """
        parts = (reals(alpha, "alpha", positive=True), reals(beta, "beta", positive=True))
        return cls(*(nearest(12 + 2 * np.log2(part), 0, GRID - 1) for part in parts))


@cache
def _table() -> CdfTable:
    """Return the table of all pairs, row ``a_index * 32 + b_index``: the stored half and its mirror image."""
    a, b = np.triu_indices(GRID)
    freqs = load("beta_binomial").astype(np.uint32)
    cdfs = np.zeros((GRID, GRID, 257), np.uint32)
    cdfs[b, a, 1:] = np.cumsum(freqs[:, ::-1], axis=1)
    cdfs[a, b, 1:] = np.cumsum(freqs, axis=1)  # last, so that rows with alpha = beta are as stored
    return CdfTable(cdfs.reshape(GRID * GRID, 257), precision=24)
