"""A start of one's own for JPEG files (kind jpeg): learned by coding them, without torch.

Coding itself is learning: chances in contexts, and how they are weighed. So this goes through the files once as if they
were coded, counts what was answered in each context, and notes what differs from the start that all have.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitsback.archive import Library, Settings, write_archive
from bitsback.archive.intake import data_item
from bitsback.data.peers import TRANSCODERS, transcoder
from bitsback.errors import BitsBackError, ImageError
from bitsback.files import jpeg
from bitsback.kinds.jpeg import coding, payload
from bitsback.kinds.jpeg import tables as t
from bitsback.kinds.jpeg.config import BLOCKS, JpegConfig
from bitsback.kinds.jpeg.mixing import Counter
from bitsback.kinds.jpeg.start import MOST, SHA256, Start, difference, shipped
from bitsback.models import Model

HELD_OUT, MOST_HELD_OUT = 7, 100
"""One file of so many is held out, and at most so many."""

TRUST = 4
"""So many answers in a context weigh as much as the start that all have."""

SOON, WORTH, FINE = 64, 1.0, 200
"""Other chances are noted where they save at least so many bits on so many answers, within which a slot learns them
anyway; and other weights, if they differ by so many 16384ths."""

SHARE = 0.6
"""Of the time, for learning: the rest is for measuring."""


# Learning -------------------------------------------------------------------------------------------------------------


def new_counter() -> Counter:
    """Counts of nothing yet."""
    costs = -np.log2(np.maximum(np.arange(65537), 1) / 65536)
    return Counter(np.zeros(32), costs, np.zeros((t.SLOTS, 2), np.uint32), np.zeros((t.SINGLE, 2), np.uint32))


def go_through(blocks: NDArray[np.uint16], model: t.Model, start: Start, counter: Counter) -> None:
    """Count what a file's blocks (n, 8, 8, 1) take and answer, and learn from them: ``model`` changes."""
    layouts, coefficients = payload.taken_apart(blocks.reshape(-1, 64))
    room = payload.new_work()
    for parts in payload.stretches(layouts):
        for rows in (rows for band in payload.bands(coefficients, parts, start) for rows in band):
            coding.measure(counter, rows.first, rows.last, payload.job_of(rows.plane, model, start, room))


def chances(answers: NDArray[np.uint32], before: NDArray[np.uint16] | None = None) -> NDArray[np.uint16]:
    """What answers (n, 2) say of the next one, in 65536ths; with what was known before, as :data:`TRUST` answers."""
    if before is None:
        chance = (answers[:, 1] + 0.4) / (answers.sum(1) + 0.8)
    else:
        chance = (answers[:, 1] + TRUST * before / 65536) / (answers.sum(1) + TRUST)
    return np.round(65536 * chance).clip(16, MOST).astype(np.uint16)


def _worth(answers: NDArray[np.uint32], new: NDArray[np.uint16], old: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """In which contexts new chances pay."""
    p, q = (np.clip(one / 65536, 1e-3, 1 - 1e-3) for one in (new, old))
    saved = p * np.log2(p / q) + (1 - p) * np.log2((1 - p) / (1 - q))
    worth: NDArray[np.bool_] = np.minimum(answers.sum(1), SOON) * saved > WORTH
    return worth


# From files to a model ------------------------------------------------------------------------------------------------


@dataclass
class Trained:
    """A finished run.

    Attributes:
        model: the model. card: facts for the file beside it.
        table: bytes of the held-out files by what they were packed with: as they are, archives without and with the
            model (its own file apart), and other programs that are installed.
        notes: one line each.
    """

    model: Model
    card: dict[str, object]
    table: dict[str, int]
    notes: list[str] = field(default_factory=list)


def fit(
    paths: Sequence[Path],
    name: str,
    minutes: float = 20.0,
    note: Callable[[str], None] = lambda text: None,
    threads: int = 1,
) -> Trained:
    """Train on JPEG files, and measure on some that were held out.

    Raises:
        ImageError: there are fewer than two that can be taken apart.
    """
    began = time.monotonic()
    notes: list[str] = []

    def say(text: str) -> None:
        notes.append(text)
        note(text)

    learned, held_out = _split(_sound(paths, say))
    say(f"{len(learned):,} JPEG files to learn from, {len(held_out):,} held out")
    start, counter = shipped(), new_counter()
    model, done = start.fresh(), 0
    for path in learned:
        if done and time.monotonic() - began > 60 * minutes * SHARE:
            say(f"the time was over after {done:,} of them")
            break
        go_through(jpeg.read(path.read_bytes()).parts[0], model, start, counter)
        done += 1
    model = model._replace(
        slots=chances(counter.answers, start.model.slots), single=chances(counter.alone, start.model.single)
    )
    slots, weights, single = difference(model)
    slots[~_worth(counter.answers, model.slots, start.model.slots)] = 0
    single[~_worth(counter.alone, model.single, start.model.single)] = 0
    weights[np.abs(weights) < FINE] = 0
    config = JpegConfig(name=name, image=BLOCKS, base=SHA256)
    made = Model.made(config, {"slots": slots, "weights": weights, "single": single})
    table = _table(held_out, made, threads)
    card: dict[str, object] = {
        "name": name, "sha256": made.id, "bytes": len(made.data), "kind": "jpeg",
        "data": {"files": done, "held_out": len(held_out)}, "held_out_bytes": table,
        "training": {"seconds": round(time.monotonic() - began, 1)},
    }  # fmt: skip
    return Trained(made, card, table, notes)


def _sound(paths: Sequence[Path], say: Callable[[str], None]) -> dict[bytes, Path]:
    """Those that can be taken apart, each content once, by their hash."""
    found: dict[bytes, Path] = {}
    refused = 0
    for path in sorted(paths):
        data = path.read_bytes()
        try:
            jpeg.read(data)
        except BitsBackError:
            refused += 1
            continue
        found.setdefault(hashlib.sha256(data).digest(), path)
    if refused:
        say(f"{refused:,} files cannot be taken apart, and are not learned from")
    if len(found) < 2:
        raise ImageError("there are fewer than two JPEG files that can be learned from")
    return found


def _split(files: dict[bytes, Path]) -> tuple[list[Path], list[Path]]:
    """Files to learn from, and files to measure on: those with the least hashes, so that a model is never measured on
    what it, or one that it began with, has learned from when there were fewer (as `bitsback.data.split` does it)."""
    ordered = sorted(files)
    held_out = [digest for digest in ordered if int.from_bytes(digest) * HELD_OUT < 1 << 256]
    held_out = held_out[: min(MOST_HELD_OUT, len(files) // 2)] or ordered[:1]
    learned = [path for digest, path in files.items() if digest not in set(held_out)]
    return learned, [files[digest] for digest in held_out]


def _table(paths: list[Path], model: Model, threads: int) -> dict[str, int]:
    files = [path.read_bytes() for path in paths]
    rows = {"files": sum(map(len, files))}
    for what, library in (("bitsback", Library()), (f"bitsback, {model.name}", Library([model], forced=True))):
        items = [data_item(data, f"{number}.jpg") for number, data in enumerate(files)]
        report = write_archive(io.BytesIO(), items, library, Settings(threads=threads, embed=False))
        rows[what] = report.bytes_out
    return rows | others(files)


def others(files: Sequence[bytes]) -> dict[str, int]:
    """Bytes of JPEG files by JPEG XL's transcoding and by Lepton, if they are installed. What one refuses counts as it
    is."""
    found = {}
    for name in TRANSCODERS:
        if (other := transcoder(name)) is not None:
            found[name] = sum(min(len(other.encode(data) or data), len(data)) for data in files)
    return found


__all__ = ["Trained", "fit", "go_through", "new_counter", "others"]
