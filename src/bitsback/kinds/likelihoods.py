"""Families of distributions of a sample that models may have, each with all that depends on which one it is.

A family is a struct here, the codec that it makes in :mod:`bitsback.codecs`, and its objective in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ModelError

if TYPE_CHECKING:
    from bitsback.codecs import Family

MAX_COMPONENTS = 16


class BernoulliSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="family", tag="bernoulli"):
    """One logit a sample of two levels."""

    levels: ClassVar[Literal[2, 256]] = 2

    @property
    def parameters(self) -> int:
        """Parameters of one sample's distribution."""
        return 1

    def check(self, levels: int) -> None:
        """Raise ModelError unless it is a family for samples of so many levels."""
        if levels != self.levels:
            raise ModelError("the model's likelihood does not fit its samples")

    def codec(self, out: NDArray[np.uint8], shape: tuple[int, ...], order: NDArray[np.int64]) -> Family:
        """Samples of ``shape`` (n, height, width, channels), independent of each other, given a network's output.

        ``out``: uint8 (n, parameters, samples of an image), sample k of an image at ``order[k]``.
        """
        from bitsback.codecs import Bernoulli
        from bitsback.kinds.context.codec import PRECISION, logit_probabilities

        return Bernoulli(logit_probabilities()[out[:, 0][:, order]].reshape(shape), PRECISION)

    def __str__(self) -> str:
        return "Bernoulli"


class MixtureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="family", tag="logistic_mixture"):
    """Means, scales and weights of a mixture of discretised logistics for each sample of 256 levels."""

    levels: ClassVar[Literal[2, 256]] = 256

    components: int

    @property
    def parameters(self) -> int:
        return 3 * self.components

    def check(self, levels: int) -> None:
        if levels != self.levels:
            raise ModelError("the model's likelihood does not fit its samples")
        if not 1 <= self.components <= MAX_COMPONENTS:
            raise ModelError("the model's mixture is not valid")

    def codec(self, out: NDArray[np.uint8], shape: tuple[int, ...], order: NDArray[np.int64]) -> Family:
        from bitsback.codecs import NetworkMixture

        return NetworkMixture(out, shape, order)

    def __str__(self) -> str:
        return f"mixture of {self.components} logistics"


LikelihoodSpec = BernoulliSpec | MixtureSpec
