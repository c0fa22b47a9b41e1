"""What goes together: which images into a group, which groups' blocks into a chunk.

Planning looks at *facts* about files (sizes, hashes, shapes, levels), never at files, and a plan says everything by
number. So it is a pure function, its input and output can be written down, and an archive depends on the files alone,
not on threads, processes or machines.

Files come in *batches*, each with a directory of its own. Of a batch, the arrays of one shape, type and pair of levels
are a group if they are many, and little groups are one, but those of few colours, and those that were YCbCr, are not
mixed with others; when it is known which coder takes a group, it is cut into blocks; blocks, and bytes, fill chunks.
Images come in the order of their files, but for large ones that are much more like one another in another order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from bitsback.archive.directory import MAX_MEMBERS, MAX_ROWS
from bitsback.archive.limits import KIB, MIB
from bitsback.kinds.base import Shape

BATCH_SAMPLES = 32 * MIB
"""Samples, or bytes of files kept as such, that make a batch full ..."""

BATCH_TEXT = 8 * MIB
"""... and so do so many bytes of names, targets and recipes."""

CHUNK_SAMPLES = 4 * MIB
"""Samples that a chunk of images aims at."""

CHUNK_BYTES = 8 * MIB
"""The most bytes in a chunk that are not images."""

CHUNK_BLOCKS = 4 * KIB
"""The most blocks in a chunk."""

MIN_BLOCK, MAX_BLOCK = KIB, 16 * MIB
"""Samples of a block, whatever is asked for; a single image may have more."""

MOST_ARRANGED, NEARER, NEARER_DRAWN = 1 << 9, 0.7, 0.9
"""Images in another order than their own: no more than that, and only if the way through them is so much shorter; or,
where much of them is the same, so much."""

STARTS = 8
"""Images from which a way through all is looked for."""

SAME = 0.5
"""Of the parts that are not the same in all images, so many may differ in pairs of images where those that do not
count."""

PASSES = 8
"""How often each image is given another place, at most."""

OVER = 0.25
"""What blocks may have more than is asked for, so that little more than one is not cut in halves."""

ALONE = 256 * KIB
"""Samples with which images of one shape are a group of their own, and so are those of two levels."""


class PartFacts(msgspec.Struct, frozen=True, array_like=True):
    """An array of images."""

    count: int
    shape: Shape
    dtype: str
    levels: tuple[int, int] | None = None
    """The only two values of its samples; twice the same if there is but one."""
    coefficients: bool = False
    """Whether these are blocks of coefficients, which are coded together."""
    shared: bool = False
    """Whether it is another's, which was there before."""
    few: bool = False
    """Whether its images are of few colours each."""
    sketch: bytes = b""
    """What its only image looks like from afar, if it is a large one: see :func:`bitsback.archive.item.sketch`."""
    decoded: tuple[int, int, int] | None = None
    """How its colours were computed from YCbCr, if they were: see :func:`bitsback.kinds.ycbcr.found`."""

    @property
    def images(self) -> int:
        """How many images it is."""
        return 1 if self.coefficients else self.count

    @property
    def unit(self) -> int:
        """Samples of one image."""
        return _unit(self.shape)

    @property
    def samples(self) -> int:
        return self.count * self.unit


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What planning knows of a content."""

    blob: int
    """Bytes kept as such: metadata, or the whole file."""
    parts: tuple[PartFacts, ...] = ()
    packable: bool = True
    """Whether packing helps its bytes."""

    @property
    def own(self) -> int:
        """How many arrays are not another's."""
        return sum(not part.shared for part in self.parts)


class Run(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a content of the batch: ``part`` 0 is its blob, k its k-th array."""

    content: int
    part: int
    start: int
    length: int


class Key(msgspec.Struct, frozen=True, array_like=True):
    """What the images of a group have in common."""

    channels: int
    dtype: str
    levels: tuple[int, int] | None = None
    coefficients: bool = False
    few: bool = False
    decoded: tuple[int, int, int] | None = None


class Group(msgspec.Struct, frozen=True, array_like=True):
    """Images that are coded alike."""

    key: Key
    runs: tuple[Run, ...]
    shapes: tuple[Shape, ...]
    """Of the images of each run."""
    either: bool = False
    """Whether they may as well come last to first, which only their bytes can tell."""

    @property
    def count(self) -> int:
        """How many images."""
        return sum(run.length for run in self.runs)

    @property
    def samples(self) -> int:
        return sum(run.length * _unit(shape) for run, shape in zip(self.runs, self.shapes, strict=True))

    @property
    def directions(self) -> list[Group]:
        """As it is, and, if that may be, last to first."""
        back = structs.replace(self, runs=self.runs[::-1], shapes=self.shapes[::-1])
        return [self, back] if self.either and self.count == len(self.runs) > 1 else [self]


def arranged(group: Group, contents: Sequence[Facts]) -> Group:
    """A group in another order, if then large images of one shape are much more like those that they follow."""
    sketches = [contents[run.content].parts[run.part - 1].sketch for run in group.runs]
    if not 2 < len(sketches) <= MOST_ARRANGED or not all(sketches) or len(set(group.shapes)) > 1:
        return group
    costs, nearer = _costs(np.frombuffer(b"".join(sketches), "<u2").reshape(len(sketches), 2, -1))
    path = _path(costs)
    if costs[path[:-1], path[1:]].sum() > nearer * np.diagonal(costs, 1)[:-1].sum():
        return group
    return structs.replace(group, runs=tuple(group.runs[number] for number in path), either=nearer == NEARER_DRAWN)


def _costs(sketches: NDArray[np.uint16]) -> tuple[NDArray[np.int64], float]:
    """What each image costs behind each other, by means and edges (n, 2, parts): (n + 1, n + 1), the last row for
    nothing, where it costs all that it is. And how much shorter another order must be than their own.

    If many parts are the same, what differs is drawn anew: parts that differ cost their edges. Else all images are
    other ones, and it is how far their means are apart."""
    count = len(sketches)
    drawn, apart = np.zeros((2, count + 1, count + 1), np.int64)
    means, edges = sketches.astype(np.int64).swapaxes(0, 1)
    differing = 0
    for number in range(count):
        differ = (sketches != sketches[number]).any(axis=1)
        differing += int(differ.sum())
        drawn[number, :-1] = (differ * (1 + edges)).sum(axis=1)
        apart[number, :-1] = np.abs(means - means[number]).sum(axis=1)
    drawn[-1, :-1] = (1 + edges).sum(axis=1)
    live = int((sketches != sketches[0]).any(axis=(0, 1)).sum())
    few = differing < SAME * live * count * (count - 1)
    return (drawn, NEARER_DRAWN) if few else (apart, NEARER)


def _path(costs: NDArray[np.int64]) -> list[int]:
    """A cheap way through all images, by :func:`_costs`: the best of some ways, on which each is then taken out and put
    in again where it makes the way least dearer, while that helps."""
    count = len(costs) - 1
    inserted = [count]
    for number in range(count):
        inserted.insert(_place(costs, inserted, number), number)
    starts = np.argsort(costs[-1, :-1], kind="stable")[:STARTS]
    path = min([inserted, *(_greedy(costs, int(start)) for start in starts)], key=lambda one: _length(costs, one))
    for _ in range(PASSES):
        before = list(path)
        for number in range(count):
            path.remove(number)
            path.insert(_place(costs, path, number), number)
        if path == before:
            break
    ways = [path[1:], path[:0:-1]]  # back costs as much: then it is the way that goes forward
    return min(ways, key=lambda way: (_length(costs, [count, *way]), -int(np.sign(np.diff(way)).sum())))


def _greedy(costs: NDArray[np.int64], start: int) -> list[int]:
    """From an image always on to that which costs least."""
    path, left = [len(costs) - 1, start], costs[:, :-1].astype(np.float64)
    left[:, start] = np.inf
    while len(path) < len(costs):
        path.append(int(left[path[-1]].argmin()))
        left[:, path[-1]] = np.inf
    return path


def _length(costs: NDArray[np.int64], path: Sequence[int]) -> int:
    return int(costs[path[:-1], path[1:]].sum())


def _place(costs: NDArray[np.int64], path: Sequence[int], number: int) -> int:
    """Where in a path, which begins with nothing, an image makes it least dearer."""
    behind, before = costs[path, number], costs[number, path[1:]]
    more = behind + np.append(before - costs[path[:-1], path[1:]], 0)
    return int(more.argmin()) + 1


def _unit(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


class ChunkPlan(msgspec.Struct, frozen=True, array_like=True):
    """A chunk to be: numbers of blocks, in order, and runs of bytes; ``ends``: the contents whose last piece it has."""

    blocks: tuple[int, ...] = ()
    runs: tuple[Run, ...] = ()
    packable: bool = True
    ends: tuple[int, ...] = ()


class Load(NamedTuple):
    """What an item adds to its batch."""

    samples: int
    """Samples, and bytes that are held in memory."""
    text: int
    """Bytes of names, targets and recipes, about."""
    arrays: int


class Room:
    """What room is left in a batch.

    >>> room = Room()
    >>> [room.takes(Load(samples, 10, 1)) for samples in (1, BATCH_SAMPLES, 1)]
    [True, True, False]
    """

    def __init__(self) -> None:
        self._members = self._samples = self._text = self._arrays = 0

    def takes(self, load: Load) -> bool:
        """Take an item in, if there is room; there always is for the first."""
        full = (
            self._members >= MAX_MEMBERS
            or self._samples >= BATCH_SAMPLES
            or self._text >= BATCH_TEXT
            or self._arrays + load.arrays > MAX_ROWS
        )
        if full and self._members:
            return False
        self._members += 1
        self._samples += load.samples
        self._text += load.text
        self._arrays += load.arrays
        return True


Look = tuple[Shape, str, bool]
"""Of images: their shape, their type, and whether they are of two levels."""


def group(contents: Sequence[Facts], apart: Collection[Look] = ()) -> list[Group]:
    """The arrays of a batch by what they have in common, in the order of their first images.

    ``apart``: what images are not to be mixed with others, however few they are, as they have a model of their own.
    """
    arrays = [(Run(number, part, 0, array.count), array) for number, facts in enumerate(contents)
              for part, array in enumerate(facts.parts, 1) if not array.shared]  # fmt: skip
    found: dict[tuple[Key, Shape | None], list[tuple[Run, PartFacts]]] = {}
    pairs: dict[Key, None] = {}
    sizes: Counter[tuple[Key, Shape | None]] = Counter()
    keys = []
    for _, array in arrays:
        key = _key(array, pairs)
        pairs[key] = None
        keys.append(key)
        for name in ((key, None), (key, array.shape)):
            sizes[name] += array.count * array.unit
    for (run, array), key in zip(arrays, keys, strict=True):
        found.setdefault(_home(key, array.shape, sizes, apart), []).append((run, array))
    return [
        Group(key, tuple(run for run, _ in members), tuple(array.shape for _, array in members))
        for (key, _), members in found.items()
    ]


def _home(
    key: Key, shape: Shape, sizes: Mapping[tuple[Key, Shape | None], int], apart: Collection[Look]
) -> tuple[Key, Shape | None]:
    """Which group an array belongs to: little of two levels goes where most are; one of its shape, if that is large."""
    if key.levels is not None and (shape, key.dtype, True) not in apart:
        more = structs.replace(key, levels=None)
        if sizes[key, None] < min(ALONE, sizes.get((more, None), 0)):
            key = more
    alone = sizes.get((key, shape), 0) >= ALONE or (shape, key.dtype, key.levels is not None) in apart
    return key, shape if alone else None


def _key(array: PartFacts, known: Iterable[Key]) -> Key:
    """The key of an array; a blank page, which is at home in many groups, prefers one that is there."""
    pair, channels = array.levels, array.shape[2]
    if array.few:
        return Key(channels, array.dtype, few=True)
    if array.decoded is not None:
        return Key(channels, array.dtype, decoded=array.decoded)
    if pair and pair[0] == pair[1]:
        value = pair[0]
        there = [key.levels for key in known if key == Key(channels, array.dtype, key.levels)]
        fitting = [levels for levels in there if levels is None or value in levels]
        usual = {0: (0, 255), 1: (0, 1), 255: (0, 255)}
        pair = fitting[0] if fitting else usual.get(value)
    return Key(channels, array.dtype, pair, array.coefficients)


def split(group: Group, samples: int) -> list[Group]:
    """A group cut into blocks of so many samples, a quarter more at most, and at least one image, as equal as can be.

    Coefficients of a file stay together.
    """
    if group.key.coefficients:
        return _split_between(group, samples)
    count, whole = group.count, group.samples
    per_block = max(1, min(max(samples, MIN_BLOCK), MAX_BLOCK) * count // whole)
    blocks = max(1, ceil(count / per_block - OVER))
    out: list[Group] = []
    runs: list[tuple[Run, Shape]] = []
    done, end = 0, whole // blocks  # samples, of all runs so far, and with which the block is full
    for run, shape in zip(group.runs, group.shapes, strict=True):
        unit, start = _unit(shape), 0
        while start < run.length:
            length = min(run.length - start, (end - done) // unit) if runs else 1
            if length > 0:
                runs.append((Run(run.content, run.part, run.start + start, length), shape))
                start, done = start + length, done + length * unit
            elif runs:
                out.append(_made(group, runs))
                end = whole * max(len(out) + 1, done * blocks // whole + 1) // blocks
                runs = []
    return [*out, _made(group, runs)]


def _made(group: Group, runs: Sequence[tuple[Run, Shape]]) -> Group:
    """Runs of a group; those that go on from one another are one."""
    joined: list[tuple[Run, Shape]] = []
    for run, shape in runs:
        last = joined[-1][0] if joined else None
        if last and (last.content, last.part, last.start + last.length) == (run.content, run.part, run.start):
            joined[-1] = structs.replace(last, length=last.length + run.length), shape
        else:
            joined.append((run, shape))
    return structs.replace(group, runs=tuple(run for run, _ in joined), shapes=tuple(shape for _, shape in joined))


def _split_between(group: Group, samples: int) -> list[Group]:
    """A group cut between its runs."""
    out: list[list[tuple[Run, Shape]]] = []
    room = 0
    for run, shape in zip(group.runs, group.shapes, strict=True):
        if room <= 0:
            out.append([])
            room = min(max(samples, MIN_BLOCK), MAX_BLOCK)
        out[-1].append((run, shape))
        room -= run.length * _unit(shape)
    return [_made(group, runs) for runs in out]


class _Open:
    """A chunk that is being filled."""

    def __init__(self, packable: bool = True) -> None:
        self.blocks: list[int] = []
        self.runs: list[Run] = []
        self.packable = packable
        self.samples = self.bytes = 0

    @property
    def is_full(self) -> bool:
        return self.samples >= CHUNK_SAMPLES or self.bytes >= CHUNK_BYTES or len(self.blocks) >= CHUNK_BLOCKS

    def add(self, run: Run) -> None:
        self.runs.append(run)
        self.bytes += run.length


def chunks(contents: Sequence[Facts], blocks: Sequence[Group]) -> list[ChunkPlan]:
    """Fill chunks: with blocks in order and their contents' blobs, then with all other bytes.

    What little there is of bytes that pack goes into the last chunk of images, if that has room.
    """
    out: list[_Open] = []
    homed: set[int] = set()
    for number, block in enumerate(blocks):
        if not out or out[-1].is_full:
            out.append(_Open())
        out[-1].blocks.append(number)
        out[-1].samples += block.samples
        for content in dict.fromkeys(run.content for run in block.runs):
            blob = contents[content].blob
            if content not in homed and out[-1].bytes + blob <= CHUNK_BYTES:
                homed.add(content)
                if blob:
                    out[-1].add(Run(content, 0, 0, blob))
    for packable in (True, False):
        rest = [
            number
            for number, facts in enumerate(contents)
            if number not in homed and facts.blob and (bool(facts.parts) or facts.packable) == packable
        ]
        little = packable and sum(contents[number].blob for number in rest) <= CHUNK_BYTES // 8
        into = out[-1] if little and out and not out[-1].is_full else None
        for number in rest:
            for start in range(0, contents[number].blob, CHUNK_BYTES):
                length = min(CHUNK_BYTES, contents[number].blob - start)
                if into is None or (into.bytes and into.bytes + length > CHUNK_BYTES):
                    into = _Open(packable)
                    out.append(into)
                into.add(Run(number, 0, start, length))
    return _closed(out, blocks)


def _closed(filled: Sequence[_Open], blocks: Sequence[Group]) -> list[ChunkPlan]:
    """With the contents that end in each."""
    last: dict[int, int] = {}
    for index, one in enumerate(filled):
        for run in (*(run for number in one.blocks for run in blocks[number].runs), *one.runs):
            last[run.content] = index
    ends: list[list[int]] = [[] for _ in filled]
    for content in sorted(last):
        ends[last[content]].append(content)
    return [
        ChunkPlan(tuple(one.blocks), tuple(one.runs), one.packable, tuple(done))
        for one, done in zip(filled, ends, strict=True)
    ]


__all__ = [
    "ChunkPlan",
    "Facts",
    "Group",
    "Key",
    "Load",
    "Look",
    "PartFacts",
    "Room",
    "Run",
    "arranged",
    "chunks",
    "group",
    "split",
]
