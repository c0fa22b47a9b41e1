"""Which images and bytes go together into a chunk.

Files are taken one by one, in order, and their arrays and bytes put into groups: arrays of one shape, type and pair of
levels; bytes that packing helps; bytes that it does not. A group that is full becomes one or more plans; the rest
follow when all files are in. The outcome depends on the files alone, never on the number of threads.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bitsback.archive.limits import MIB
from bitsback.archive.members import Piece, Shape
from bitsback.archive.packing import worth_packing
from bitsback.archive.routes import Images
from bitsback.errors import BitsBackError
from bitsback.files import Picture, levels

CHUNK_SAMPLES = 4 * MIB
"""Samples that a chunk of images aims at: enough to pay for itself, little enough to decode for one image."""

CHUNK_BYTES = 16 * MIB
"""Bytes that a chunk of files kept as bytes aims at."""

MAX_FILES, MAX_HEAD, MAX_BLOBS = 1 << 16, 8 * MIB, 64 * MIB
"""A chunk with so many files, bytes of names and recipes, or bytes of metadata is full, however small the images."""

MAX_BUFFERED_SAMPLES = 16 * CHUNK_SAMPLES
"""When all groups together hold more, the fullest is coded early."""

MIN_GROUP_BYTES = 128
"""Files of a group that are together no larger than a chunk's own cost are kept as bytes instead."""


@dataclass(slots=True, eq=False)
class Item:
    """A file on its way in."""

    ordinal: int
    name: str
    size: int
    mtime_ns: int | None
    mode: int | None
    picture: Picture
    reload: Callable[[], bytes]
    """The file's own bytes, for when coding its images does not pay."""
    homed: bool = False

    @property
    def blob(self) -> bytes | memoryview:
        """The metadata, or the whole file if it is kept as bytes."""
        return self.picture.blob if self.picture.parts else self.picture.raw or b""

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(len(part) for part in self.picture.parts)

    @property
    def recipe(self) -> str | None:
        """The recipe as JSON text; None if the file is kept as bytes."""
        if not self.picture.parts:
            return None
        return json.dumps(self.picture.recipe, sort_keys=True, separators=(",", ":"))

    @property
    def words(self) -> int:
        """About what its record adds to a chunk's head before packing."""
        return len(self.name.encode()) + len(self.recipe or "") + 32

    def keep_bytes(self) -> bool:
        """Give up the images for the file's own bytes; False if those cannot be had any more."""
        try:
            data = self.reload()
        except (OSError, BitsBackError):
            return False
        self.picture, self.size = Picture(raw=data), len(data)
        return True


class Key(NamedTuple):
    """What the images of one chunk have in common; ``shape`` is None for bytes."""

    shape: Shape | None
    dtype: str = ""
    levels: tuple[int, int] | None = None
    packable: bool = True


class Run(NamedTuple):
    """A piece and the file that it is of."""

    item: Item
    part: int
    start: int
    length: int

    @property
    def piece(self) -> Piece:
        return Piece(self.item.ordinal, self.part, self.start, self.length)

    @property
    def share(self) -> int:
        """About how many of the file's bytes the piece stands for."""
        whole = sum(self.item.counts) or len(self.item.blob) or 1
        return self.item.size * self.length // whole if self.part or not self.item.counts else 0

    def images(self) -> Images:
        """The piece's images; part 0 has none."""
        return self.item.picture.parts[self.part - 1][self.start : self.start + self.length]


@dataclass(slots=True)
class Plan:
    """A chunk to be: its pieces in order, and the files that begin in it."""

    key: Key
    homes: list[Item]
    runs: list[Run]

    @property
    def samples(self) -> int:
        """Samples of all its images."""
        height, width, channels = self.key.shape or (0, 0, 0)
        return sum(run.length for run in self.runs if run.part) * height * width * channels

    @property
    def whole(self) -> bool:
        """Whether every file with a piece in here is in here altogether."""
        pieces = [run.piece for run in self.runs]
        return sorted(pieces) == sorted(
            Piece(item.ordinal, part, 0, count)
            for item in self.homes
            for part, count in enumerate((len(item.blob), *item.counts))
            if count
        )


@dataclass(slots=True)
class _Group:
    """What has come together and is not planned yet. ``unit`` is the samples of one image, or 1 for bytes."""

    key: Key
    unit: int = 1
    runs: list[Run] = field(default_factory=list)
    size: int = 0
    words: int = 0
    blobs: int = 0

    def add(self, run: Run) -> None:
        self.runs.append(run)
        self.size += run.length * self.unit
        self.words += run.item.words
        self.blobs += len(run.item.picture.blob)

    @property
    def heavy(self) -> bool:
        """Whether names, recipes and metadata, rather than samples, fill a chunk."""
        return len(self.runs) >= MAX_FILES or self.words >= MAX_HEAD or self.blobs >= MAX_BLOBS

    def clear(self) -> list[Run]:
        """Empty the group and return its runs."""
        runs, self.runs, self.size, self.words, self.blobs = self.runs, [], 0, 0, 0
        return runs

    def split(self, chunks: int) -> Iterator[Plan]:
        """Empty the group into ``chunks`` plans of sizes as equal as can be."""
        units = self.size // self.unit
        runs = iter(self.clear())
        left: Run | None = None
        for index in range(chunks):
            room = units * (index + 1) // chunks - units * index // chunks
            taken: list[Run] = []
            while room and (run := left or next(runs, None)):
                part = run._replace(length=min(run.length, room))
                taken.append(part)
                room -= part.length
                rest = run.length - part.length
                left = run._replace(start=run.start + part.length, length=rest) if rest else None
            if taken:
                yield make_plan(self.key, taken)


def make_plan(key: Key, runs: Sequence[Run]) -> Plan:
    """A plan of these runs, plus the records and blobs of the files that begin with them."""
    homes: list[Item] = []
    out: list[Run] = []
    # Files that were given up as images come after later ones
    for run in sorted(runs, key=lambda run: (run.item.ordinal, run.part, run.start)):
        item = run.item
        if not item.homed:
            item.homed = True
            homes.append(item)
            if run.part and item.blob:
                out.append(Run(item, 0, 0, len(item.blob)))
        if run.length:
            out.append(run)
    return Plan(key, homes, out)


class Planner:
    """Take items, give plans."""

    def __init__(self, chunk_samples: int = CHUNK_SAMPLES, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._groups: dict[Key, _Group] = {}
        self._chunk_samples = chunk_samples
        self._chunk_bytes = chunk_bytes
        self._buffered = 0

    def plans(self, items: Iterable[Item]) -> Iterator[Plan]:
        """All plans for ``items``, each as soon as it is settled."""
        for item in items:
            yield from self._add(item)
        yield from self._finish()

    def _add(self, item: Item) -> Iterator[Plan]:
        if not item.picture.parts:
            yield from self._add_bytes(item)
            return
        for number, part in enumerate(item.picture.parts, 1):
            key = self._key(part)
            group = self._group(key, part[0].size)
            group.add(Run(item, number, 0, len(part)))
            self._buffered += part.size
            if group.size >= 2 * self._chunk_samples or group.heavy:
                yield from self._split(group, max(1, group.size // self._chunk_samples))
        if self._buffered > MAX_BUFFERED_SAMPLES:
            fullest = max(self._groups.values(), key=lambda group: group.size if group.key.shape else 0)
            yield from self._split(fullest, -(-fullest.size // self._chunk_samples))

    def _split(self, group: _Group, chunks: int) -> Iterator[Plan]:
        self._buffered -= group.size
        yield from group.split(chunks)

    def _add_bytes(self, item: Item) -> Iterator[Plan]:
        packable = worth_packing(bytes(item.blob[: 1 << 16]))
        group = self._group(Key(None, packable=packable), 1)
        size, start = len(item.blob), 0
        while True:
            count = min(size - start, self._chunk_bytes)
            group.add(Run(item, 0, start, count))
            start += count
            if group.size >= self._chunk_bytes or group.heavy:
                yield from self._flush_bytes(group)
            if start >= size:
                return

    @staticmethod
    def _flush_bytes(group: _Group) -> Iterator[Plan]:
        """Files kept as bytes are cut only where they are larger than a chunk, so that damage costs few of them."""
        if group.runs:
            yield make_plan(group.key, group.clear())

    def _group(self, key: Key, unit: int) -> _Group:
        if key not in self._groups:
            self._groups[key] = _Group(key, unit)
        return self._groups[key]

    def _key(self, part: Images) -> Key:
        shape: Shape = (part.shape[1], part.shape[2], part.shape[3])
        pair = levels(part)
        if pair and pair[0] == pair[1]:  # a blank page: at home in many groups, so prefer one that is there
            value = pair[0]
            there = [key.levels for key in self._groups if key.shape == shape and key.dtype == part.dtype.name]
            fitting = [known for known in there if known is None or value in known]
            usual = {0: (0, 255), 1: (0, 1), 255: (0, 255)}
            pair = fitting[0] if fitting else usual.get(value)
        return Key(shape, part.dtype.name, pair)

    def _finish(self) -> Iterator[Plan]:
        groups = [group for group in self._groups.values() if group.runs]
        images = [group for group in groups if group.key.shape]
        for group in images:
            files = list(dict.fromkeys(run.item for run in group.runs))
            small = all(len(item.counts) == 1 and not item.homed for item in files) and (
                sum(item.size for item in files) <= MIN_GROUP_BYTES
            )
            if len(groups) > 1 and small and all(item.keep_bytes() for item in files):
                for item in files:
                    yield from self._add_bytes(item)
            else:
                yield from self._split(group, -(-group.size // self._chunk_samples))
        for group in self._groups.values():
            if not group.key.shape:
                yield from self._flush_bytes(group)
