"""What the trained model is worth: the held-out images through it, the shipped models, and other codecs."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitsback.archive import Archive, Library, Settings, write_archive
from bitsback.archive.intake import array_item
from bitsback.data import peers
from bitsback.errors import CodecError, ModelError
from bitsback.kinds.base import WithLatents
from bitsback.kinds.noise import noise
from bitsback.models import Model
from bitsback.training.result import Row

Image = NDArray[np.uint8]


def table(
    model: Model, images: Sequence[Image], threads: int = 1, progress: Callable[[str], None] = lambda what: None
) -> tuple[list[Row], dict[str, int]]:
    """The rows of :class:`bitsback.training.result.Result`, for images (height, width, channels) that were held out.

    Also the sizes alone of those codecs that store one file an image.

    Raises:
        CodecError: the model's archive does not decode to the same images.
    """
    samples = sum(image.size for image in images)
    rows = []
    for name, kind, library in (
        (model.name, "new", Library([model], forced=True)),
        (WITHOUT, "shipped", Library()),
    ):
        progress(name)
        data, route = archive(images, library, threads)
        shown = f"{name} ({route})" if kind == "shipped" and route else name
        rows.append(Row(shown, len(data), 8 * len(data) / samples, kind))
        if kind == "new":
            _check(data, images, library)
    sizes = {}
    for name, size in peers.file_sizes(images, threads=threads).items():
        if size is not None:
            sizes[name] = size
            rows.append(Row(name, size, 8 * size / samples, "codec"))
    return rows[:2] + sorted(rows[2:], key=lambda row: row.bytes), sizes


WITHOUT = "bitsback without it"
"""What it does already, with what is installed."""


def archive(images: Sequence[Image], library: Library, threads: int) -> tuple[bytes, str]:
    """An archive of the images, one array for each shape, without names; and the model that most of them took."""
    groups: dict[tuple[int, ...], list[Image]] = {}
    for image in images:
        groups.setdefault(image.shape, []).append(image)
    items = [array_item(_squeezed(np.stack(group)), f"{n}.npy") for n, group in enumerate(groups.values())]
    stream = io.BytesIO()
    report = write_archive(stream, items, library, Settings(threads=threads, embed=False))
    routes = [kept.how for kept in report.members for _ in range(kept.images)]
    return stream.getvalue(), max(sorted(set(routes)), key=routes.count) if routes else ""


def _squeezed(group: Image) -> Image:
    return group[..., 0] if group.shape[-1] == 1 else group


def _check(data: bytes, images: Sequence[Image], library: Library) -> None:
    wanted: dict[tuple[int, ...], list[Image]] = {}
    for image in images:
        wanted.setdefault(image.shape, []).append(image)
    groups = list(wanted.values())
    archive = Archive(data, library=library)
    for n, group in enumerate(groups):
        if not np.array_equal(np.load(io.BytesIO(archive.read(f"{n}.npy"))), _squeezed(np.stack(group))):
            raise CodecError("the archive of the held-out images does not decode to them; please report this")


def break_even(model_bytes: int, rows: Sequence[Row], images: int) -> int | None:
    """From how many images on an archive with the model in it is smaller than the best of all others; None: never."""
    others = [row.bytes for row in rows if row.kind != "new"]
    saved = (min(others) - rows[0].bytes) / images if others else 0.0
    return math.ceil(model_bytes / saved) if saved > 0 else None


@dataclass(frozen=True)
class Bought:
    """What latents are worth, in bits/dim of some images: what they cost, all of it with them, and all of it with those
    of another image. An ELBO next to another model's would not tell: a model may keep in its latents what is the same
    for all images, and lose it all without them."""

    latents: float
    own: float
    swapped: float

    def __str__(self) -> str:
        return (
            f"latents cost {self.latents:.4f} of {self.own:.4f} bits/dim; with those of another image it were "
            f"{self.swapped:.4f} ({self.swapped / self.own - 1:+.1%})"
        )


def bought(model: Model, images: Sequence[Image], seed: int = 0) -> Bought:
    """What the latents of a model are worth on images of its one size, two or more: by one draw of them for each."""
    trained = model.trained
    if not isinstance(trained, WithLatents):
        raise ModelError(f"the model {model.name} has no latents")
    totals, samples = np.zeros(3), 0
    rng = np.random.default_rng(seed)
    for first in range(0, len(images) - 1, TOGETHER):
        # Never one alone, who would get its own
        x = np.stack(images[first : first + TOGETHER + (first + TOGETHER == len(images) - 1)])
        found = trained.bits(x, int(rng.integers(1 << 31)))
        cost, own = float(found.latents.sum()), float(found.samples.sum())
        posterior = trained.posterior(x)
        z = posterior.pop(noise(rng, len(x) * trained.latents * posterior.precision))
        other = float(trained.likelihood(np.roll(z, 1, 0)).bits(x).sum())
        totals += (cost, cost + own, cost + other)
        samples += x.size
        if first + TOGETHER >= len(images) - 1:
            break
    return Bought(*(totals / samples).tolist())


TOGETHER = 64
"""Images that are looked at together."""


def decoding_speed(model: Model, images: Sequence[Image], threads: int = 1) -> float:
    """Megabytes of samples a second, decoding as many of the images as have the first one's shape, up to 3 MB."""
    alike = [image for image in images if image.shape == images[0].shape][: max(1, 3_000_000 // images[0].size)]
    x = np.stack(alike)
    payload = model.encode(x, threads)
    model.decode(payload, len(x), x.shape[1:], threads=threads)  # compiles
    began = time.perf_counter()
    model.decode(payload, len(x), x.shape[1:], threads=threads)
    return x.size / 1e6 / max(time.perf_counter() - began, 1e-9)
