"""The card of a model: the facts that are written beside its file, as JSON."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from bitsback import __version__
from bitsback.models import Model
from bitsback.training.loop import Run


def card(model: Model, run: Run, images: str, data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What there is to say of a model that a run has trained.

    Args:
        images: what the model takes, in words.
        data: what it learned from: ``name``, ``images``, ``held_out``, hashes and the like.
        more: of the training: what it started from, the device, options of its own.

    The log has a row for each check: step, seconds, bits/dim on what was learned from and on what was held out, and of
    the latter the parts, as :meth:`bitsback.training.loop.Task.score` gives them.
    """
    scores = [row.held_out for row in run.log]
    macs = model.config.facts()["macs"]
    return {
        "name": model.name,
        "sha256": model.id,
        "bytes": len(model.data),
        "images": images,
        "data": dict(data),
        "training": {
            **asdict(run.schedule),
            "done": run.step,
            "best": run.best,
            "ended": run.reason,
            "minutes": round(run.seconds / 60, 1),
            **more,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "bitsback": __version__,
            "date": time.strftime("%Y-%m-%d"),
        },
        "macs": {"context, a pixel" if name == "context" else name: count for name, count in macs.items()},
        "held_out_bits_per_dim": round(min(scores, default=float("nan")), 5),
        "log": [
            [row.step, row.seconds, *(round(bits, 5) for bits in (row.train, row.held_out, *row.parts))]
            for row in run.log
        ],
    }
