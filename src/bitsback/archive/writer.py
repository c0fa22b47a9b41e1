"""From files to an archive: plan, code on several threads, write in order, report."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO

from bitsback.archive import pool
from bitsback.archive.choice import Effort
from bitsback.archive.coding import Coded, encode_chunk
from bitsback.archive.container import OPTIONAL, ContainerWriter, Kind
from bitsback.archive.gather import Source, read_whole
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.member import Type
from bitsback.archive.plan import MAX_HEAD, Item, Plan, Planner
from bitsback.archive.routes import Library
from bitsback.errors import InputError
from bitsback.files import Skipped, parse

Progress = Callable[[int], None]
"""Called now and then with about the bytes of input that are newly done: half when read, half when written."""


@dataclass(slots=True)
class Entry:
    """What became of one file."""

    name: str
    size: int
    images: int = 0
    """Images that were kept as such."""
    route: str = ""
    """"model digits", "predictor", "plain" (samples as they are), "packed" (the file's bytes, packed) or "stored"."""
    reason: str = ""
    """Why that way; for an image file that was kept as bytes, what was in the way."""
    exact: bool = True
    """Whether the file comes back byte for byte, and not "only" with the same pixels and metadata."""


@dataclass(slots=True)
class ModelUse:
    """A model that an archive needs."""

    id: str
    name: str
    embedded: int
    """Bytes of its file in the archive; 0 if it is not in there."""


@dataclass(slots=True)
class Report:
    """What an archive took in and how it came out. Sizes in bytes."""

    entries: list[Entry] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    models: list[ModelUse] = field(default_factory=list)
    samples: int = 0
    """Samples (pixels times channels) in all images."""
    bytes_in: int = 0
    bytes_out: int = 0
    """The whole archive."""
    image_bytes: int = 0
    """The archive without the chunks of files that were kept as bytes."""
    seconds: float = 0.0

    @property
    def images(self) -> int:
        return sum(entry.images for entry in self.entries)

    @property
    def ratio(self) -> float:
        """Bytes in over bytes out."""
        return self.bytes_in / self.bytes_out if self.bytes_out else 0.0

    @property
    def bits_per_dim(self) -> float | None:
        """Bits of the archive for each sample, files that are no images left out; None without images."""
        return 8 * self.image_bytes / self.samples if self.samples else None


def items_of(sources: Iterable[Source], skipped: list[Skipped], limits: Limits = DEFAULT_LIMITS) -> Iterator[Item]:
    """Read the sources one by one.

    One that cannot be read, or that no reader with these limits could put together again, goes on the list of skipped
    ones. An image with too many pixels is kept as its file's bytes.
    """
    ordinal = 0
    for source in sources:
        if source.entry.type not in (Type.FILE, Type.HARDLINK):
            continue
        try:
            picture = parse(read_whole(source), source.name)
        except InputError as error:
            skipped.append(Skipped(source.name, error.reason))
            continue
        size = len(picture.raw) if picture.raw is not None else source.size
        entry = source.entry
        item = Item(ordinal, source.name, size, entry.mtime_ns, entry.mode, picture, partial(read_whole, source))
        if (note := _too_large(item, limits)) and item.keep_bytes():
            item.picture = replace(item.picture, note=note)
        needed = len(item.blob) + sum(part.nbytes for part in item.picture.parts)
        if needed > limits.memory:
            reason = f"needs {needed:,} bytes of memory, over the limit of {limits.memory:,} (-M raises it)"
            skipped.append(Skipped(source.name, reason))
            continue
        yield item
        ordinal += 1


def _too_large(item: Item, limits: Limits) -> str:
    """What keeps a reader with these limits from taking the images, in words; or nothing."""
    parts = item.picture.parts
    pixels = max((part.shape[1] * part.shape[2] for part in parts), default=0)
    if pixels > limits.pixels:
        return f"an image of {pixels:,} pixels is over the limit of {limits.pixels:,}"
    sizes = [part[0].nbytes for part in parts] + ([len(item.blob)] if parts else [])
    if max(sizes, default=0) > limits.chunk or item.words > MAX_HEAD:
        return "an image, or its metadata, is too large for a chunk"
    return ""


def write_archive(
    stream: BinaryIO,
    items: Iterable[Item],
    library: Library | None = None,
    *,
    effort: Effort = "normal",
    threads: int = 0,
    verify: bool = True,
    embed_models: bool = False,
    progress: Progress | None = None,
    planner: Planner | None = None,
    skipped: list[Skipped] | None = None,
) -> Report:
    """Write an archive of ``items`` to ``stream`` (which may be a pipe) and say what was done.

    The bytes depend on the items, the library, the effort and the planner only. ``skipped`` is the list that ``items``
    adds to while it is being consumed. Errors of the stream (a full disk) come through as OSError.
    """
    began = time.perf_counter()
    library = library or Library()
    report = Report(skipped=[] if skipped is None else skipped)
    entries: dict[int, Entry] = {}
    models: dict[str, ModelUse] = {}
    container = ContainerWriter(stream)

    def listed() -> Iterator[Item]:
        for item in items:
            entries[item.ordinal] = Entry(item.name, item.size, reason=item.picture.note, exact=item.picture.exact)
            if progress:
                progress(item.size // 2)
            yield item

    other_bytes = 0
    plans = (planner or Planner()).plans(listed())
    threads = pool.thread_count(threads)

    def share(plan: Plan) -> int:
        return pool.share(plan.samples, threads)

    def code(plan: Plan, threads: int) -> Coded:
        return encode_chunk(plan, library, effort=effort, verify=verify, threads=threads)

    work = pool.ordered_map(code, plans, threads, share)
    with closing(work):
        for coded in work:
            if (model := coded.model) and model.id not in models:
                models[model.id] = ModelUse(model.id, model.name, len(model.data) if embed_models else 0)
                if embed_models:
                    container.add(Kind.MODEL, bytes.fromhex(model.id), model.data, OPTIONAL)
            container.add(Kind.CHUNK, coded.head, coded.payload)
            if not coded.samples:
                other_bytes += len(coded.head) + len(coded.payload)
            _note(coded, entries, report)
            if progress:
                progress(sum(run.share for run in coded.plan.runs) // 2)
    report.bytes_out = container.finish()
    report.image_bytes = report.bytes_out - other_bytes
    report.entries = [entries[ordinal] for ordinal in sorted(entries)]
    report.bytes_in = sum(entry.size for entry in report.entries)
    report.models = list(models.values())
    report.warnings = list(dict.fromkeys(report.warnings))
    report.seconds = time.perf_counter() - began
    return report


def _note(coded: Coded, entries: dict[int, Entry], report: Report) -> None:
    """Fill in how the files of a finished chunk were kept."""
    report.warnings += coded.warnings
    report.samples += coded.samples
    plan = coded.plan
    for ordinal in sorted({item.ordinal for item in plan.homes} | {run.item.ordinal for run in plan.runs}):
        entry = entries[ordinal]
        if coded.label not in entry.route.split(", "):
            entry.route = f"{entry.route}, {coded.label}" if entry.route else coded.label
        entry.reason = entry.reason or coded.reason
        entry.exact = entry.exact or not coded.samples
    for run in plan.runs:
        entries[run.item.ordinal].images += run.length if run.part else 0
    for item in plan.homes:
        entries[item.ordinal].size = item.size


__all__ = ["Entry", "Item", "ModelUse", "Progress", "Report", "items_of", "write_archive"]
