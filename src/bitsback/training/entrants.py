"""What can take part in a race: an architecture, with how it is trained and what becomes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bitsback.kinds.context.network import plane_count
from bitsback.kinds.phases.config import PhasesConfig
from bitsback.kinds.vae.config import VAEConfig
from bitsback.models import Model
from bitsback.training.architecture import (
    AnyArchitecture,
    Architecture,
    PhasesArchitecture,
    VAEArchitecture,
    network_of,
)
from bitsback.training.context import TrainableContext
from bitsback.training.export import export, export_context, export_phases
from bitsback.training.loop import Schedule, Task
from bitsback.training.phases import FITTED, MEASURED_SAMPLES, PhasesTask, TrainablePhases, fit_filters
from bitsback.training.regime import Regime
from bitsback.training.sampling import surveyor
from bitsback.training.tasks import WARM_UP, ContextTask, Pools, VAETask
from bitsback.training.vae import TrainableVAE

Image = NDArray[np.uint8]


FREE = {2: 0.02, 256: 0.03}
"""Bits/dim that latents may take at no cost at first, by levels of a sample."""

FREE_ABOVE = 0.01
"""The same of each level of latents above others."""


@dataclass(frozen=True)
class Given:
    """What an entrant gets to train with.

    ``load``: from numbers of images to these, (height, width, channels) each. ``train``: those to learn from.
    ``held_out``: images to be measured on. ``samples``: of an image, about. ``device``: of torch.
    """

    load: Callable[[NDArray[np.int64]], Sequence[Image]]
    train: NDArray[np.int64]
    held_out: Sequence[Image]
    samples: float
    regime: Regime
    threads: int
    device: str


class Entrant(Protocol):
    """One that takes part."""

    RATE: ClassVar[float]
    """Of learning; half as high for a model that is trained further."""

    @property
    def name(self) -> str:
        """In words."""

    @property
    def architecture(self) -> AnyArchitecture:
        """What comes of it."""

    @property
    def init(self) -> Model | None:
        """The model whose weights it starts from."""

    def task(self, given: Given) -> Task:
        """What is to be optimised."""

    def schedule(self, given: Given, steps: int) -> Schedule:
        """How, in so many steps."""

    def export(self, module: Any, name: str) -> Model:
        """The integer model of what was trained, the task's module."""


class ContextEntrant:
    """A context network without latents."""

    RATE: ClassVar = 8e-3

    def __init__(self, architecture: Architecture) -> None:
        self.architecture, self.name, self.init = architecture, architecture.name, architecture.init

    def task(self, given: Given) -> ContextTask:
        architecture, regime = self.architecture, given.regime
        spec, channels, likelihood = architecture.spec, architecture.channels, architecture.likelihood
        torch.manual_seed(regime.seed)
        module = TrainableContext(spec, channels, likelihood)
        if architecture.init is not None:
            module.start_from(network_of(architecture.init))
        survey = surveyor(spec, channels, likelihood, given.threads, given.device)
        module.to(given.device)
        per_pixel = 2 * plane_count(spec, channels) + 9 + channels
        at_once = max(8, int(regime.memory / (per_pixel * given.samples / channels * 1.2)))
        pixels = at_once * given.samples / channels

        def images(numbers: NDArray[np.int64]) -> list[Image]:
            return ordered(given.load(numbers), architecture.colour)

        steps = max(1, int(pixels / self.schedule(given, 1).batch))
        pools = Pools(images, given.train, survey, at_once, steps, regime.seed)
        return ContextTask(module, pools, survey(ordered(given.held_out, architecture.colour)), regime.seed)

    def schedule(self, given: Given, steps: int) -> Schedule:
        """Gentler for a model that is trained further."""
        parts = _parts(given)
        batch = 16384 if parts == 1 else 2048 * parts
        return Schedule(
            steps, batch, _rate(self), min(200, steps // 20 + 1), patience=0.2, parts=parts, seed=given.regime.seed
        )

    def export(self, module: Any, name: str) -> Model:
        return export_context(module, self.architecture.config(name))


class PhasesEntrant:
    """A model in phases."""

    RATE: ClassVar = 1e-2
    BATCH_PIXELS = 1 << 14

    def __init__(self, architecture: PhasesArchitecture) -> None:
        self.architecture, self.name, self.init = architecture, architecture.name, architecture.init

    def task(self, given: Given) -> PhasesTask:
        architecture, regime = self.architecture, given.regime
        spec, channels, likelihood = architecture.spec, architecture.channels, architecture.likelihood
        torch.manual_seed(regime.seed)
        images = ordered(_alike(given.load(_fitting(given)), architecture.size), architecture.colour)
        filters = {}
        if self.init is None and likelihood.levels > 2:
            enough = int(4 * FITTED / (given.samples / channels)) + 8
            order = np.random.default_rng(regime.seed).permutation(len(images))[:enough]
            filters = fit_filters(spec, channels, [images[i] for i in order])
        module = TrainablePhases(spec, channels, likelihood, filters, architecture.latents)
        if self.init is not None and isinstance(self.init.config, PhasesConfig):
            module.start_from(self.init.config, self.init.tensors)
        module.to(given.device)
        free = FREE[likelihood.levels] if architecture.latents and self.init is None else 0.0
        return PhasesTask(module, images, ordered(given.held_out, architecture.colour), regime.seed, free=free)

    def schedule(self, given: Given, steps: int) -> Schedule:
        """Batches of images, or crops, of about so many pixels; gentler for a model that is trained further."""
        channels = self.architecture.channels
        batch = int(min(max(self.BATCH_PIXELS * channels // given.samples, 4), 64))
        return Schedule(
            steps, batch, _rate(self), min(100, steps // 20 + 1), anneal=0.5, patience=0.2,
            parts=_parts(given), clip=10.0, seed=given.regime.seed,
        )  # fmt: skip

    def export(self, module: Any, name: str) -> Model:
        return export_phases(module, self.architecture.config(name))


class VAEEntrant:
    """A model with latents on a chain."""

    RATE: ClassVar = 2e-3
    """Low, or what sees neighbours learns to do without latents before they say anything."""

    BATCH_PIXELS = 1 << 15

    def __init__(self, architecture: VAEArchitecture) -> None:
        self.architecture, self.name, self.init = architecture, architecture.name, architecture.init

    def task(self, given: Given) -> VAETask:
        architecture, regime = self.architecture, given.regime
        torch.manual_seed(regime.seed)
        shown = given.held_out[: max(8, int(MEASURED_SAMPLES // given.samples))]
        looked = _alike(given.load(_fitting(given)), architecture.size), shown
        train, held_out = (_stacked(ordered(images, architecture.colour)) for images in looked)
        likelihood, context = architecture.likelihood, architecture.context
        module = TrainableVAE(*architecture.networks, likelihood, context, architecture.networks_above)
        free: tuple[float, ...] = (FREE[likelihood.levels] if context else 0.0, *[FREE_ABOVE] * len(architecture.above))
        warm_up = WARM_UP
        if self.init is not None and isinstance(self.init.config, VAEConfig):
            module.start_from(self.init.config, self.init.tensors)
            free, warm_up = (0.0,), 0.0  # latents have settled
        module.to(given.device)
        return VAETask(module, train, held_out, free=free, warm_up=warm_up, seed=regime.seed, device=given.device)

    def schedule(self, given: Given, steps: int) -> Schedule:
        """Batches of images of about so many pixels; gentler for a model that is trained further."""
        batch = int(min(max(self.BATCH_PIXELS // given.samples, 4), 64, len(given.train)))
        return Schedule(
            steps, batch, _rate(self), min(100, steps // 20 + 1), anneal=0.5, patience=0.2,
            parts=_parts(given), seed=given.regime.seed,
        )  # fmt: skip

    def export(self, module: Any, name: str) -> Model:
        return export(module.cpu(), self.architecture.config(name))


def entered(architecture: AnyArchitecture) -> Entrant:
    """An architecture as one that takes part."""
    match architecture:
        case Architecture():
            return ContextEntrant(architecture)
        case PhasesArchitecture():
            return PhasesEntrant(architecture)
        case VAEArchitecture():
            return VAEEntrant(architecture)


def _rate(entrant: Entrant) -> float:
    """Of learning."""
    return entrant.RATE if entrant.init is None else entrant.RATE / 2


def _parts(given: Given) -> int:
    """Of a batch, side by side: by the machine's cores, not by the threads that it may use of them, as the model must
    not depend on those; on a GPU, one."""
    if given.device.startswith("cuda"):
        return 1
    return 2 if (os.cpu_count() or 1) < 4 else 4


def _fitting(given: Given) -> NDArray[np.int64]:
    """So many images to learn from, by number, as the memory holds."""
    chosen = np.random.default_rng(given.regime.seed).permutation(given.train)
    return np.sort(chosen[: max(8, int(given.regime.memory / given.samples))])


def _alike(images: Sequence[Image], size: tuple[int, int]) -> list[Image]:
    """Those of a size (height, width), if it is not any."""
    return [image for image in images if size in ((0, 0), image.shape[:2])]


def _stacked(images: Sequence[Image]) -> torch.Tensor:
    """Images (height, width, channels) as uint8 (n, channels, height, width)."""
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())


def ordered(images: Sequence[Image], colour: Sequence[int]) -> list[Image]:
    """With channels in coding order."""
    return [np.ascontiguousarray(image[..., list(colour)]) for image in images]
