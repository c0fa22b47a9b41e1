"""What the trained model is worth: the held-out images through it, the shipped models, and other codecs."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bitsback.archive import Archive, Library, Settings, write_archive
from bitsback.archive.intake import array_item
from bitsback.data import peers
from bitsback.errors import CodecError
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
        ("shipped models", "shipped", Library()),
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
    return rows[:1] + sorted(rows[1:], key=lambda row: row.bytes), sizes


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
    """From how many images on an archive with the model in it is smaller than the best of the codecs; None: never."""
    codecs = [row.bytes for row in rows if row.kind == "codec"]
    saved = (min(codecs) - rows[0].bytes) / images if codecs else 0.0
    return math.ceil(model_bytes / saved) if saved > 0 else None
