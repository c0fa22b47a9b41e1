"""What a training run leaves behind for people: the figures of its table and its report."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitsback.models import Model


@dataclass(frozen=True)
class Point:
    """The state of a run at one check.

    ``train`` and ``held_out`` are bits/dim, the latter of the integer model with averaged weights.
    """

    step: int
    seconds: float
    train: float
    held_out: float


@dataclass(frozen=True)
class Row:
    """What one codec or model makes of the held-out images.

    ``bytes`` in all, for a codec one file an image; for a model a whole archive, the model's own file apart. ``kind``
    is "new" (the trained model), "shipped" (what bitsback does without it) or "codec".
    """

    name: str
    bytes: int
    bits_per_dim: float
    kind: str


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        model: as exported. card: the facts that are written beside it, as JSON.
        table: the trained model first, then what bitsback does without it, then the others by size.
        break_even: from how many images on the model's file has paid for itself against the best of all others; None:
            never.
        held_out: images, uint8 (height, width, channels) each, as many as are shown and measured; names of them.
        log: the checks, in order.
        notes: one line each: what was skipped, why training ended, and the like.
    """

    model: Model
    card: dict[str, object]
    table: list[Row]
    break_even: int | None
    held_out: list[NDArray[np.uint8]]
    names: list[str]
    log: list[Point]
    notes: list[str] = field(default_factory=list)
