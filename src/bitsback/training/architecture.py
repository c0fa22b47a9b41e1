"""Which context networks there are to choose from, and which suit a collection.

A network's inputs decide more than its width. Four cover what people have: those with a *regression*, for what a camera
or a scanner left, count means from what is predicted by the image itself (:mod:`bitsback.kinds.context.regression`);
*median* ones, for drawings and screenshots, from the median predictor, which is exact where colours are flat; *drawn*
ones besides from the colours around, and from memories; and *plain* ones, for small grey or two-valued images such as
glyphs, see the values themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from msgspec import structs

from bitsback.errors import ModelError
from bitsback.kinds.base import ImageSpec
from bitsback.kinds.context.config import ContextConfig
from bitsback.kinds.context.network import (
    MARGIN,
    SKEW,
    ContextNetwork,
    ContextSpec,
    Feature,
    Memory,
    RegressionSpec,
    Tap,
    neighbours,
)
from bitsback.kinds.likelihoods import BernoulliSpec, LikelihoodSpec, MixtureSpec
from bitsback.models import Model

Size = Literal["small", "medium", "large"]

HIDDEN: dict[Size, tuple[int, ...]] = {"small": (32, 24), "medium": (64, 48), "large": (96, 64)}
"""Widths of the hidden layers."""

SMALL_IMAGE = 128
"""Pixels an edge up to which the place of a pixel tells something about it."""

NEAR = [
    *((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2), (-1, -2), (-2, 1), (-2, -1)),
    *((-2, 2), (-2, -2), (0, -3), (-3, 0), (-1, 3), (-1, -3), (-3, -1), (-3, 1)),
]
"""Offsets (dy, dx) of neighbours, the most telling first."""


def predicted_spec(
    channels: int,
    own: int,
    errors: int,
    hidden: tuple[int, ...],
    taps: tuple[int, int] | None,
    other: int = 2,
    place: bool = False,
) -> ContextSpec:
    """A network that sees its surroundings relative to a prediction.

    Args:
        own: neighbours of the same channel, each less the reference. errors: and their prediction errors.
        taps: regressors from the first and from each other channel; None: the median one.
        other: neighbours in each other channel. place: whether the row and the column are features.
    """
    features = []
    for c in range(channels):
        reference = Tap("reference", c)
        found = [Feature(Tap("value", c, *o), reference) for o in NEAR[:own]]
        found += [Feature(Tap("error", c, *o)) for o in NEAR[:errors]]
        for j in range(channels):
            if j == c:
                continue
            found += [Feature(Tap("error", j, *o)) for o in NEAR[:other]]
            if j < c:
                found += [Feature(Tap("error", j))]
                found += [Feature(Tap("value", j), Tap("value", j, *o)) for o in NEAR[:other]]
            else:
                found += [Feature(Tap("value", j, 0, -1), Tap("value", j, -1, 0))]
                found += [Feature(Tap("value", j, *o), Tap("value", j, -1, 0)) for o in NEAR[3 : other + 2]]
        found += [Feature(reference)]
        if taps is not None:
            found += [Feature(Tap("spread", c))]
        if place:
            found += [Feature(Tap("row")), Feature(Tap("column"))]
        features.append(tuple(found))
    regression = None
    if taps is not None:
        regression = RegressionSpec(
            tuple(Tap("value", c, *o) for c in range(channels) for o in NEAR[: taps[0 if c == 0 else 1]])
        )
    return ContextSpec(tuple(features), (hidden,) * channels, 128, 0, regression, taps is None)


IN_REACH = [(0, dx) for dx in range(-MARGIN, 0)]
IN_REACH += [(dy, dx) for dy in range(-1, -MARGIN - 1, -1) for dx in range(-MARGIN, MARGIN + 1) if dx < SKEW * -dy]
"""All offsets that a tap may have."""

PLACE = (Feature(Tap("row")), Feature(Tap("column")))


def plain_spec(hidden: tuple[int, ...], maps: int = 0) -> ContextSpec:
    """A network for one channel that sees every neighbour in reach, and the place in the image.

    ``maps``: channels of the feature map from latents.
    """
    return ContextSpec(((*map(Feature, neighbours(0, IN_REACH)), *PLACE),), (hidden,), map=maps)


ANCHORS = ((0, -1), (-1, 0))
"""Neighbours whose colours a drawing is most likely to repeat."""


def memories(channels: int) -> tuple[Memory, ...]:
    """What a drawing's colours followed before: of the first channel, what came after the same pixels around, from ten
    of them to one; of the others, what went with the same earlier channels, and with the pixels around besides."""
    found = []
    for c in range(channels):
        own = tuple(Tap("value", j) for j in range(c))
        for offsets in (NEAR[:4], NEAR[:2], ()) if c else (TEN, SIX, NEAR[:4], NEAR[:2], NEAR[:1], [(-1, 0), (-1, 1)]):
            around = tuple(Tap("value", j, *o) for o in offsets for j in range(channels))
            found.append(Memory(c, around + own))
    return tuple(found)


SIX, TEN = NEAR[:6], [*NEAR[:7], (-2, -1), (-2, 1), (0, -3)]


def drawn_spec(channels: int, hidden: tuple[int, ...], place: bool) -> ContextSpec:
    """A network for drawings: like the median one, but with memories, and with sharp components, some of them right at
    neighbours' values and at what the memories say.

    One component counts from each of :data:`ANCHORS`, one from each memory of the channel, after the first channel one
    from the pixel's own first channel, and the rest of :data:`DRAWN_COMPONENTS` from the reference.
    """
    spec = predicted_spec(channels, 18, 6, hidden, None, 5, place)
    remembered = memories(channels)
    features, anchors = [], []
    for c in range(channels):
        reference, west = Tap("reference", c), Tap("value", c, 0, -1)
        numbers = [k for k, memory in enumerate(remembered) if memory.channel == c]
        recalled = [Tap("memory", k) for k in numbers]
        found = [Feature(tap, other) for other in (reference, west) for tap in recalled]
        found += [Feature(a, b) for a, b in combinations(recalled, 2)]
        found += [Feature(Tap("trust", k)) for k in numbers]
        features.append((*spec.features[c], *found))
        own = [Tap("value", 0)] if c else []
        known = [*(Tap("value", c, *o) for o in ANCHORS), *own, *recalled]
        anchors.append((*known, *[reference] * (DRAWN_COMPONENTS - len(known))))
    return structs.replace(spec, features=tuple(features), anchors=tuple(anchors), sharp=True, memories=remembered)


DRAWN_COMPONENTS = 10


def wide_spec(hidden: tuple[int, ...]) -> ContextSpec:
    """A network for one channel that sees what is near relative to the median prediction, and what is far as it is:
    all of it to 4 pixels away, and every other pixel to the end of its reach."""
    reference = Tap("reference", 0)
    far = [
        (dy, dx)
        for dy, dx in IN_REACH
        if (dy, dx) not in NEAR and ((dy + dx) % 2 == 0 or max(-dy, abs(dx)) <= MARGIN // 2)
    ]
    features = [Feature(Tap("value", 0, *o), reference) for o in NEAR]
    features += [Feature(Tap("error", 0, *o)) for o in NEAR[:10]]
    features += [Feature(Tap("value", 0, *o)) for o in far]
    return ContextSpec(((*features, Feature(reference), *PLACE),), (hidden,), median=True)


def coding_order(channels: int) -> tuple[int, ...]:
    """The order in which a new model codes channels: green first, which is the most like the others."""
    return (1, 0, *range(2, channels)) if channels > 2 else tuple(range(channels))


@dataclass(frozen=True)
class Architecture:
    """A model without latents, but for its weights.

    ``name``: in words. ``channels``: of its images. ``order``: of the channels, if not :func:`coding_order`'s.
    ``init``: the model whose weights it starts from.
    """

    name: str
    spec: ContextSpec
    channels: int
    likelihood: LikelihoodSpec
    init: Model | None = None
    order: tuple[int, ...] | None = None

    @property
    def colour(self) -> tuple[int, ...]:
        """Channels in coding order."""
        return coding_order(self.channels) if self.order is None else self.order

    @property
    def macs(self) -> int:
        """Multiply-accumulates a pixel."""
        return self.spec.macs(self.likelihood.parameters)

    def config(self, name: str) -> ContextConfig:
        """The configuration of such a model, for images of any size."""
        image = ImageSpec(0, 0, self.channels, self.likelihood.levels)
        return ContextConfig(name=name, image=image, likelihood=self.likelihood, context=self.spec, colour=self.colour)


def candidates(channels: int, levels: int, edge: int, flat: float, size: Size) -> list[Architecture]:
    """What is worth trying on images of so many channels and levels (2 or 256).

    Args:
        edge: the longer edge of a typical image. flat: the share of pixels that equal their left neighbour.
    """
    hidden, place = HIDDEN[size], edge <= SMALL_IMAGE
    if levels == 2:
        return [Architecture("plain", plain_spec(hidden), channels, BernoulliSpec())]
    taps = (6, 4) if channels > 1 else (10, 0)
    found = []
    if flat < PLAINLY_DRAWN:
        spec = predicted_spec(channels, 14, 10, hidden, taps, 4, place)
        found.append(Architecture("regression", spec, channels, MixtureSpec(3 + (flat > FLAT))))
    if flat > FLAT:
        drawn = drawn_spec(channels, hidden, place)
        found.append(Architecture("drawn", drawn, channels, MixtureSpec(DRAWN_COMPONENTS)))
        if channels == 1:
            found.append(Architecture("median", predicted_spec(1, 18, 6, hidden, None, 5, place), 1, MixtureSpec(5)))
    return found


FLAT, PLAINLY_DRAWN = 0.25, 0.6
"""The shares of pixels that equal their left neighbour from which on images may be, or are, drawings."""


def from_model(model: Model) -> Architecture | None:
    """The architecture of a model, to start from its weights; None if it has latents."""
    config = model.config
    if not isinstance(config, ContextConfig):
        return None
    name, channels = f"from {model.name}", config.image.channels
    return Architecture(name, config.context, channels, config.likelihood, model, config.colour)


def network_of(model: Model) -> ContextNetwork:
    """The context network of a model, to start from its weights.

    Raises:
        ModelError: it has latents.
    """
    if not isinstance(model.config, ContextConfig):
        raise ModelError(f"the model {model.name} has latents")
    return model.config.network(model.tensors)


__all__ = ["HIDDEN", "NEAR", "Architecture", "Size", "candidates", "from_model", "plain_spec", "predicted_spec"]
