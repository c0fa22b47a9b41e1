"""Which context networks there are to choose from, and which suit a collection.

A network's inputs decide more than its width. Four cover what people have: those with a *regression*, for what a camera
or a scanner left, count means from what is predicted by the image itself (:mod:`bitsback.kinds.context.regression`);
*median* ones, for drawings and screenshots, from the median predictor, which is exact where colours are flat; *drawn*
ones besides from the colours around, and from memories; and *plain* ones, for small grey or two-valued images such as
glyphs, see the values themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import ClassVar, Literal

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

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
    companding,
    neighbours,
)
from bitsback.kinds.likelihoods import BernoulliSpec, LikelihoodSpec, MixtureSpec
from bitsback.kinds.phases.config import PhasesConfig
from bitsback.kinds.phases.grids import PHASES
from bitsback.kinds.phases.network import SIZE, LatentsSpec, PhasesSpec
from bitsback.kinds.vae.config import LevelSpec, VAEConfig
from bitsback.models import Model
from bitsback.nets.layers import AnyLayer, Conv, Dense, Flatten, NetSpec, Shuffle, Skip, Unflatten

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


class _Coloured:
    """What has channels, in an order of its own or in the usual one."""

    channels: int
    order: tuple[int, ...] | None

    @property
    def colour(self) -> tuple[int, ...]:
        """Channels in coding order."""
        return coding_order(self.channels) if self.order is None else self.order


@dataclass(frozen=True)
class Architecture(_Coloured):
    """A model without latents, but for its weights.

    ``name``: in words. ``channels``: of its images. ``order``: of the channels, if not :func:`coding_order`'s.
    ``init``: the model whose weights it starts from. ``kind``: see :class:`bitsback.training.Regime`. ``size``: height
    and width of its images; 0 and 0: any. ``parallel``: whether many samples are decoded at once.
    """

    name: str
    spec: ContextSpec
    channels: int
    likelihood: LikelihoodSpec
    init: Model | None = None
    order: tuple[int, ...] | None = None

    kind: ClassVar[str] = "context"
    size: ClassVar[tuple[int, int]] = (0, 0)
    parallel: ClassVar[bool] = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates a pixel."""
        return self.spec.macs(self.likelihood.parameters)

    def config(self, name: str) -> ContextConfig:
        """The configuration of such a model, for images of any size."""
        image = ImageSpec(0, 0, self.channels, self.likelihood.levels)
        return ContextConfig(name=name, image=image, likelihood=self.likelihood, context=self.spec, colour=self.colour)


# In phases ------------------------------------------------------------------------------------------------------------


def phases_spec(
    channels: int,
    levels: int,
    width: int,
    narrow: int,
    hidden: tuple[int, ...] = (),
    reach: tuple[int, ...] = (2,),
    predicts: tuple[int, ...] = (2,),
    blocks: int = 1,
    period: int = 0,
    edges: bool = False,
    classes: int = 3,
    map: int = 0,
) -> PhasesSpec:
    """Networks for models in phases.

    A trunk has ``width`` channels; what its blocks add is found in ``narrow`` ones. The last number of ``reach``, or
    ``predicts``, holds for further channels, too; filters read at least what is shown. ``map``: channels of what
    latents say.
    """
    reach, predicts = ((*each, *each[-1:] * channels)[:channels] for each in (reach, predicts))
    predicts = tuple(max(pair) for pair in zip(reach, predicts, strict=True)) if levels > 2 else ()
    spec = PhasesSpec((), hidden, reach, predicts, classes, period, edges, map)
    layers = (Conv(width, narrow, 3), Conv(narrow, width, 1), Skip()) * blocks
    inputs = [spec.inputs(phase, channels, levels > 2) for phase in range(len(PHASES))]
    # Near taps outweigh far ones by far more than bytes can say
    trunks = tuple(NetSpec((seen, *SIZE), (Conv(seen, width, 1, wide=True), *layers)) for seen in inputs)
    spec = structs.replace(spec, trunks=trunks)
    spec.check(channels, levels > 2)
    return spec


def latents_spec(
    shape: tuple[int, int, int], count: int, bits: int, map: int, width: int = 8, hidden: int = 32
) -> LatentsSpec:
    """Latents of images of a shape (height, width, channels), up to :data:`WHOLE` pixels an edge: dense layers, with
    ``hidden`` units, between them and a map of a quarter of the height and of the width."""
    height, width_, channels = shape
    rows, columns = -(-height // 4), -(-width_ // 4)
    encoder: tuple[AnyLayer, ...] = (Conv(channels, width, 5, 2), Conv(width, 2 * width, 3, 2), Flatten())
    encoder += (Dense(2 * width * rows * columns, hidden), Dense(hidden, 2 * count))
    decoder: tuple[AnyLayer, ...] = (Dense(count, hidden), Dense(hidden, map * rows * columns))
    decoder += (Unflatten(map, rows, columns), Conv(map, map, 3))
    return LatentsSpec(count, bits, NetSpec((channels, height, width_), encoder), NetSpec((count,), decoder))


@dataclass(frozen=True)
class PhasesArchitecture(_Coloured):
    """A model in phases, but for its weights; fields as of :class:`Architecture`."""

    name: str
    spec: PhasesSpec
    channels: int
    likelihood: LikelihoodSpec
    latents: LatentsSpec | None = None
    """For images of the size that its encoder takes."""
    init: Model | None = None
    order: tuple[int, ...] | None = None

    kind: ClassVar[str] = "phases"
    parallel: ClassVar[bool] = True

    @property
    def size(self) -> tuple[int, int]:
        """Of its images."""
        _, height, width = self.latents.encoder.input if self.latents else (0, 0, 0)
        return height, width

    @property
    def macs(self) -> int:
        """Multiply-accumulates a pixel."""
        return self.spec.macs(self.channels, self.likelihood.parameters)

    def config(self, name: str) -> PhasesConfig:
        """The configuration of such a model."""
        image = ImageSpec(*self.size, self.channels, self.likelihood.levels)
        return PhasesConfig(
            name=name, image=image, likelihood=self.likelihood, phases=self.spec, latents=self.latents,
            colour=self.colour,
        )  # fmt: skip


# On a chain -----------------------------------------------------------------------------------------------------------


def vae_networks(
    size: tuple[int, int], latents: int, outputs: int, width: int, hidden: int, channels: int = 1
) -> tuple[NetSpec, NetSpec]:
    """Encoder and decoder for images of a size (height, width), multiples of 4; the decoder gives ``outputs`` channels.

    Convolutions of ``width`` channels on the grid of 4x4 blocks, where they are cheap to run, and dense layers with
    ``hidden`` units.
    """
    rows, columns = size[0] // 4, size[1] // 4
    grid = rows * columns * width
    encoder = (
        Conv(channels, width, 5, 4),
        Conv(width, width, 3),
        Flatten(),
        Dense(grid, hidden),
        Dense(hidden, 2 * latents),
    )
    decoder = (
        Dense(latents, hidden),
        Dense(hidden, grid),
        Unflatten(width, rows, columns),
        Conv(width, width, 3),
        Conv(width, 16 * outputs, 1, wide=True),
        Shuffle(4),
    )
    return NetSpec((channels, *size), encoder), NetSpec((latents,), decoder)


def level_networks(below: int, latents: int, hidden: int = 64) -> tuple[NetSpec, NetSpec]:
    """Encoder and decoder of a level of latents above another."""
    encoder = (Dense(below, hidden), Dense(hidden, 2 * latents))
    decoder = (Dense(latents, hidden), Dense(hidden, 2 * below))
    return NetSpec((below,), encoder), NetSpec((latents,), decoder)


@dataclass(frozen=True)
class VAEArchitecture(_Coloured):
    """A model with latents on a chain, but for its weights; fields as of :class:`Architecture`.

    ``context``: of the network on top, if there is one. ``bits``: of each latent. ``above``: how many latents further
    levels have. ``layers``: encoder and decoder of each level, if not :func:`vae_networks` and :func:`level_networks`.
    """

    name: str
    size: tuple[int, int]
    likelihood: LikelihoodSpec
    latents: int
    bits: int
    context: ContextSpec | None = None
    above: tuple[int, ...] = ()
    channels: int = 1
    init: Model | None = None
    order: tuple[int, ...] | None = None
    layers: tuple[tuple[NetSpec, NetSpec], ...] = ()

    @property
    def kind(self) -> str:
        """With further levels, it is a ladder."""
        return "ladder" if self.above else "vae"

    @property
    def parallel(self) -> bool:
        """A context network sees one sample after the other."""
        return self.context is None

    @property
    def networks(self) -> tuple[NetSpec, NetSpec]:
        """Encoder and decoder of the first level."""
        if self.layers:
            return self.layers[0]
        if self.context is None:
            outputs = self.channels * self.likelihood.parameters
            return vae_networks(self.size, self.latents, outputs, 32, 128, self.channels)
        # What neighbours do not tell is little, and so are these: larger ones fill model files more than they gain
        return vae_networks(self.size, self.latents, self.context.map, 16, 32, self.channels)

    @property
    def networks_above(self) -> list[tuple[NetSpec, NetSpec]]:
        """Encoder and decoder of each further level."""
        return list(self.layers[1:]) or [
            level_networks(below, latents) for below, latents in pairwise((self.latents, *self.above))
        ]

    def config(self, name: str) -> VAEConfig:
        """The configuration of such a model."""
        encoder, decoder = self.networks
        above = zip(self.above, self.networks_above, strict=True)
        image = ImageSpec(*self.size, self.channels, self.likelihood.levels)
        return VAEConfig(
            name=name, image=image, latents=self.latents, latent_bits=self.bits, likelihood=self.likelihood,
            encoder=encoder, decoder=decoder, context=self.context, colour=self.colour,
            above=tuple(LevelSpec(latents, *networks) for latents, networks in above),
        )  # fmt: skip


def on_a_chain(channels: int, levels: int, images: Sequence[NDArray[np.uint8]], size: Size) -> list[VAEArchitecture]:
    """Models with latents and a context network, and with latents alone; on one level, and on three: for images of one
    size, up to :data:`WHOLE` pixels an edge and multiples of 4. For others, none."""
    shapes = {image.shape for image in images}
    height, width, _ = images[0].shape
    if len(shapes) > 1 or max(height, width) > WHOLE or height % 4 or width % 4:
        return []
    hidden, binary = HIDDEN[size], levels == 2
    likelihood = BernoulliSpec() if binary else MixtureSpec(4 if channels == 1 else 3)
    if binary and channels == 1:
        spec = plain_spec(hidden)
    elif channels == 1:
        spec = wide_spec(hidden)
    else:
        spec = predicted_spec(channels, 14, 10, hidden, None, 4, True)
    with_maps = structs.replace(spec, map=8)
    found = []
    for context, count, bits in ((with_maps, 8, 6) if binary else (with_maps, 16, 8), (None, 32, 8)):
        for above in ((), (count // 2, count // 4)):
            counts = f"{count}, {above[0]} and {above[1]} latents" if above else f"{count} latents"
            name = f"{'ladder' if above else 'vae'} of {counts}{', with a context network' if context else ''}"
            found.append(VAEArchitecture(name, (height, width), likelihood, count, bits, context, above, channels))
    return found


AnyArchitecture = Architecture | PhasesArchitecture | VAEArchitecture


# Which suit -----------------------------------------------------------------------------------------------------------


def in_phases(channels: int, levels: int, images: Sequence[NDArray[np.uint8]], size: Size) -> list[PhasesArchitecture]:
    """What suits a collection: without latents, and with them if all of its images have one size, and a small one.

    Args:
        levels: 2 or 256. images: some of them, (height, width, channels).
    """
    largest = max(max(image.shape[:2]) for image in images)
    glyphs = channels == 1 and largest <= SMALL_IMAGE
    likelihood = BernoulliSpec() if levels == 2 else MixtureSpec(4 if glyphs else 3)
    period = 8 if levels > 2 and blocks(images) > BLOCKED else 0
    spec = phases_spec(
        channels, levels, *WIDTHS[size], (16,) if levels == 2 else (), (3,) if glyphs else (2, 1), period=period,
        edges=largest <= WHOLE,
    )  # fmt: skip
    found = [PhasesArchitecture("phases", spec, channels, likelihood)]
    shapes = {image.shape for image in images}
    if len(shapes) == 1 and largest <= WHOLE:
        # As many as half of the samples can lend what they need
        count, bits = (8, 5) if levels == 2 else (16, 8)
        latents = latents_spec((*images[0].shape[:2], channels), count, bits, MAPS)
        told = phases_spec(
            channels, levels, *WIDTHS[size], spec.hidden, spec.reach, period=period, edges=True, map=MAPS
        )
        found.append(PhasesArchitecture(f"phases with {count} latents", told, channels, likelihood, latents))
    return found


MAPS = 16
"""Channels of what latents say."""

WIDTHS: dict[Size, tuple[int, int]] = {"small": (16, 16), "medium": (32, 16), "large": (64, 32)}
"""Of the trunks, and of their blocks: multiples of 16, as engines take them."""

WHOLE = 64
"""Pixels an edge up to which images are trained on as a whole, so that the distance from the edges means something."""

BLOCKED = 1.1


def blocks(images: Sequence[NDArray[np.uint8]]) -> float:
    """By what factor the steps from one column to the next are larger at the edges of blocks of 8, as JPEG leaves them,
    than elsewhere; 1 if nothing is known. Of several channels, the differences of the first two: colour is what JPEG
    is coarsest with.

    >>> blocks([np.arange(64, dtype=np.uint8)[None, :, None] // 8 * 8 + np.arange(64, dtype=np.uint8)[:, None] % 2])
    7.0
    """
    total, count = np.zeros(8), np.zeros(8)
    for image in images:
        seen = image[..., :1].astype(np.int16) - (image[..., 1:2] if image.shape[2] > 2 else 0)
        steps = np.abs(np.diff(seen, axis=1)).mean((0, 2))
        places = np.arange(1, len(steps) + 1) % 8
        total += np.bincount(places, steps, 8)
        count += np.bincount(places, minlength=8)
    means = total / np.maximum(count, 1)
    usual = float(np.median(means[1:]))
    return float(means[0]) / usual if count.all() and usual else 1.0


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


def from_model(model: Model) -> AnyArchitecture:
    """The architecture of a model, to start from its weights.

    Raises:
        ModelError: models of its kind cannot be trained further; or it compands differences in a way of its own.
    """
    config, name = model.config, f"from {model.name}"
    if not isinstance(config, ContextConfig | PhasesConfig | VAEConfig):
        raise ModelError(f"the model {model.name} cannot be trained further: it is not one of pixels")
    channels, likelihood = config.image.channels, config.likelihood
    if isinstance(config, PhasesConfig):
        return PhasesArchitecture(name, config.phases, channels, likelihood, config.latents, model, config.colour)
    if config.context is not None and not np.array_equal(model.tensors["context.table"], companding()):
        raise ModelError(f"the model {model.name} cannot be trained further: its companding table is its own")
    if isinstance(config, ContextConfig):
        return Architecture(name, config.context, channels, likelihood, model, config.colour)
    return VAEArchitecture(
        name, (config.image.height, config.image.width), likelihood, config.latents, config.latent_bits, config.context,
        tuple(level.latents for level in config.above), channels, model, config.colour,
        tuple((level.encoder, level.decoder) for level in config.levels),
    )  # fmt: skip


def network_of(model: Model) -> ContextNetwork:
    """The context network of a model, to start from its weights.

    Raises:
        ModelError: it is not of kind context.
    """
    if not isinstance(model.config, ContextConfig):
        raise ModelError(f"the model {model.name} is not of kind context")
    return model.config.network(model.tensors)


__all__ = [
    "HIDDEN",
    "NEAR",
    "AnyArchitecture",
    "Architecture",
    "PhasesArchitecture",
    "Size",
    "VAEArchitecture",
    "candidates",
    "from_model",
    "in_phases",
    "on_a_chain",
    "phases_spec",
    "plain_spec",
    "predicted_spec",
    "vae_networks",
]
