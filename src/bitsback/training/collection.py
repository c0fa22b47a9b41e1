"""Images to learn from, by number, and what they are like.

    collection = Collection.open(["scans/", "shard-{000..009}.tar", "digits.npz"])
    summary = look(collection)                                      what most of them are
    images, numbers, skipped = load(collection, range(100), summary.kind)

A collection knows where its images are and reads them when asked, so it may be larger than memory.
"""

from __future__ import annotations

import glob
import os
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitsback.archive.gather import gather, member_name
from bitsback.archive.member import Type
from bitsback.data.sources import Item, Memory, Source, Spool, natural, open_source
from bitsback.errors import ImageError, InputError
from bitsback.files import Skipped, levels

Progress = Callable[[int, int], None]
"""Told how many of how many images are done."""

LOOK_SAMPLES = 1 << 28
"""Samples after which :func:`look` has seen enough."""

_MAX_NAMES = 1 << 20
"""What a pattern with braces may stand for."""

_BATCH, _BRIEF = 64, 0.01
"""Images that a thread takes in one go, at most, and as long as that takes it less than so many seconds: many small
images cost less so, and of large ones few are in memory."""

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Kind:
    """What a model can be for: 1 to 4 channels of 8 bits (``levels`` 256), or one channel of samples 0 and 1 (2).

    >>> print(Kind(3), "|", Kind(1, 2))
    8-bit RGB | two-valued grey
    """

    channels: int
    levels: Literal[2, 256] = 256

    def __str__(self) -> str:
        return _WORDS[8 if self.levels == 256 else 1] + _COLOURS[self.channels]


_WORDS = {1: "two-valued ", 8: "8-bit ", 16: "16-bit "}
_COLOURS = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}
_PALETTE = "palette"
_KINDS = {str(kind): kind for kind in (Kind(1, 2), *map(Kind, _COLOURS))}


class Collection:
    """Images by number. The order is that of the inputs, and within each that of the names; numbers within names count
    by their value. Names are unique.

    ``skipped``: files that hold no images, and why. An image whose file turns out to be damaged raises ImageError when
    it is read.
    """

    def __init__(self, sources: Sequence[Source], skipped: Sequence[Skipped] = ()) -> None:
        self._sources = list(sources)
        self._ends = np.cumsum([len(source) for source in sources], dtype=np.int64)
        self.skipped = list(skipped)

    @classmethod
    def open(cls, paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Collection:
        """The images in files and, recursively, folders.

        - PNG, PNM, BMP, TIFF: the samples as they are stored, as ``compress`` takes them;
        - JPEG, WebP, GIF (the first frame), compressed TIFF: 8-bit pixels as Pillow decodes them, without the rotation
          that EXIF may ask for;
        - ``.npy``, ``.npz``, IDX, also with ``.gz``: arrays of bool, uint8 or uint16, axes as in
          :mod:`bitsback.files.arrays`;
        - ``.tar`` (not compressed): each member with the suffix of an image file; others are ignored. That is the
          layout of WebDataset.

        A path that does not exist may be a pattern: ``shard-{000..009}.tar``, ``{train,more}/*.png``.

        Raises ImageError for a path that does not exist, or if there is not one image.
        """
        sources: list[Source] = []
        skipped: list[Skipped] = []
        spools: list[Spool] = []
        tops: set[str] = set()

        def spool() -> Spool:
            if not spools:
                spools.append(Spool())
            return spools[0]

        paths = [paths] if isinstance(paths, str | os.PathLike) else paths
        given = [path for pattern in paths for path in _expand(os.fspath(pattern))]
        for path in dict.fromkeys(given):
            try:
                found, left = gather([path if Path(path).is_file() else os.path.join(path, "")])  # noqa: PTH118
            except InputError as error:
                raise ImageError(str(error)) from None
            top = member_name(path)[0]
            prefix = Path(path).as_posix() if top in tops else top  # two folders of one name
            tops.add(prefix)
            skipped += left
            files = (file for file in found if file.entry.type == Type.FILE)
            for file in sorted(files, key=lambda file: natural(file.name)):
                label = prefix + file.name.removeprefix(top)
                try:
                    opened, left = open_source(os.fspath(file.path), label, spool)
                except ImageError as error:
                    skipped.append(Skipped(label, str(error)))
                    continue
                sources += opened
                skipped += left
        if not sources:
            what = ", ".join(dict.fromkeys(given)) or "no input"
            raise ImageError(f"{what}: no images{_reasons(skipped)}")
        return cls(sources, skipped)

    @classmethod
    def of_array(cls, images: Sequence[Any] | NDArray[Any], label: str = "image") -> Collection:
        """Images in memory, or anything that gives them by number: bool, uint8 or uint16, (height, width) or (height,
        width, channels) each. They are called ``label[0]``, ``label[1]`` ...

        >>> len(Collection.of_array(np.zeros((5, 28, 28), np.uint8)))
        5
        """
        if len(images) == 0:
            raise ImageError("no images")
        return cls([Memory(images, label)])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def _find(self, i: int) -> tuple[Source, int]:
        if not 0 <= i < len(self):
            raise IndexError(f"image {i} of {len(self)}")
        at = int(np.searchsorted(self._ends, i, side="right"))
        return self._sources[at], i - int(self._ends[at - 1] if at else 0)

    def name(self, i: int) -> str:
        """What image ``i`` is called: ``folder/file``, ``folder/file[number]``, ``shard.tar/member`` and the like."""
        source, index = self._find(i)
        return source.name(index)

    def read(self, i: int) -> NDArray[Any]:
        """Image ``i``, uint8 or uint16 (height, width, channels). Raises ImageError with its name and the reason."""
        return self.item(i).pixels

    def item(self, i: int) -> Item:
        """Image ``i`` with what else is to be known about it. Raises ImageError with its name and the reason."""
        source, index = self._find(i)
        try:
            return source.read(index)
        except ImageError as error:
            raise ImageError(f"{source.name(index)}: {error}") from None

    def file(self, i: int) -> int:
        """A number that images in one array have in common, and no others."""
        return int(np.searchsorted(self._ends, i, side="right"))


def _expand(pattern: str) -> list[str]:
    """The paths that a pattern stands for; itself if it exists or is none.

    >>> _expand("s-{08..11}.{tar,npy}")[:3]
    ['s-08.tar', 's-08.npy', 's-09.tar']
    """
    if os.path.lexists(pattern):
        return [pattern]
    choices: list[list[str]] = []
    count = 1
    for part in re.split(r"(\{[^{}]*\})", pattern):
        span = re.fullmatch(r"\{(\d{1,18})\.\.(\d{1,18})\}", part)
        if span:
            first, last = map(int, span.groups())
            width = len(span[1]) if span[1].startswith("0") else 0
            step = 1 if first <= last else -1
            if abs(last - first) >= _MAX_NAMES:
                raise ImageError(f"{pattern}: more than {_MAX_NAMES:,} names")
            choices.append([str(n).zfill(width) for n in range(first, last + step, step)])
        elif re.fullmatch(r"\{[^{}]*,[^{}]*\}", part):
            choices.append(part[1:-1].split(","))
        else:
            choices.append([part])
        count *= len(choices[-1])
    if count > _MAX_NAMES:
        raise ImageError(f"{pattern}: more than {_MAX_NAMES:,} names")
    names = ["".join(parts) for parts in product(*choices)]
    return [path for name in names for path in (sorted(glob.glob(name, recursive=True), key=natural) or [name])]  # noqa: PTH207  (patterns may be absolute)


def _reasons(skipped: Sequence[Skipped]) -> str:
    """The first reason, and how many more there are; in brackets."""
    if not skipped:
        return ""
    more = f", and {len(skipped) - 1:,} more" if len(skipped) > 1 else ""
    return f" ({skipped[0].name}: {skipped[0].reason}{more})"


def tally(skipped: Iterable[Skipped]) -> list[str]:
    """What was left out, a line for each reason, with the first names.

    >>> tally([Skipped("a.txt", "not an image"), Skipped("b.png", "an empty file"), Skipped("c.txt", "not an image")])
    ['2 files: not an image (a.txt, c.txt)', 'b.png: an empty file']
    """
    names: dict[str, list[str]] = {}
    for one in skipped:
        names.setdefault(one.reason, []).append(one.name)
    lines = []
    for reason, found in names.items():
        shown = ", ".join(found[:3]) + (" ..." if len(found) > 3 else "")
        lines.append(f"{shown}: {reason}" if len(found) == 1 else f"{len(found):,} files: {reason} ({shown})")
    return lines


# Kinds ----------------------------------------------------------------------------------------------------------------


def describe(item: Item) -> str:
    """The kind of image in words: those of a :class:`Kind`, "16-bit RGB", "palette" and the like.

    An image of at most two values counts as two-valued if it has a file of its own, as ``compress`` then takes it so.
    """
    image = item.pixels
    if image.dtype != np.uint8:
        return _WORDS[16] + _COLOURS[image.shape[2]]
    if item.alone and levels(image):
        return _WORDS[1] + _COLOURS[image.shape[2]]
    return _PALETTE if item.palette else _WORDS[8] + _COLOURS[image.shape[2]]


def matches(image: NDArray[Any], kind: Kind) -> bool:
    """Whether a model for ``kind`` can take an image (height, width, channels) by itself."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != kind.channels:
        return False
    return kind.levels == 256 or levels(image) is not None


def prepare(item: Item, kind: Kind) -> NDArray[np.uint8]:
    """The image as ``compress`` would offer it to a model for ``kind``: of two values, the higher one becomes 1.

    Raises ImageError with the reason if it would not, because it is of another kind.
    """
    image = item.pixels
    pair = levels(image) if image.dtype == np.uint8 else None
    blank = pair is not None and pair[0] == pair[1]  # at home among both kinds of images
    other = pair is not None and not blank and item.alone if kind.levels == 256 else pair is None
    if other or not matches(image, kind) or (item.palette and pair is None):
        raise ImageError(f"{describe(item)}, not {kind}")
    if kind.levels == 256:
        return np.require(image, requirements=["C", "W"])
    return np.asarray(image > 0 if blank or pair is None else image == pair[1], np.uint8)


# Reading many ---------------------------------------------------------------------------------------------------------


def in_order(function: Callable[[In], Out], inputs: Iterable[In], threads: int = 0) -> Iterator[Out]:
    """Like ``map``, on several threads (0: one for each core, up to 16), and hardly ahead of who asks."""
    threads = threads or min(os.cpu_count() or 1, 16)
    if threads == 1:
        yield from map(function, inputs)
        return

    def work(batch: list[In]) -> tuple[list[Out], float]:
        began = time.perf_counter()
        return list(map(function, batch)), time.perf_counter() - began

    left, size = iter(inputs), 1
    waiting: deque[Future[tuple[list[Out], float]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                if batch := list(islice(left, size)):
                    waiting.append(pool.submit(work, batch))
                    if len(waiting) <= threads:
                        continue
                if not waiting:
                    return
                results, seconds = waiting.popleft().result()
                size = min(2 * size, _BATCH) if seconds < _BRIEF else max(size // 2, 1)
                yield from results
        finally:
            for future in waiting:
                future.cancel()


def offered(collection: Collection, i: int, kind: Kind) -> NDArray[np.uint8] | Skipped:
    """Image ``i`` as a model for ``kind`` would see it, or why it would not."""
    try:
        item = collection.item(i)
    except ImageError as error:
        name = collection.name(i)
        return Skipped(name, str(error).removeprefix(f"{name}: "))
    try:
        return prepare(item, kind)
    except ImageError as error:
        return Skipped(collection.name(i), str(error))


class Loaded(NamedTuple):
    """What :func:`load` returns: images and their numbers, and what was left out."""

    images: list[NDArray[np.uint8]]
    numbers: NDArray[np.int64]
    skipped: list[Skipped]


def load(
    collection: Collection,
    numbers: Iterable[int] | NDArray[np.int64],
    kind: Kind,
    progress: Progress | None = None,
    *,
    threads: int = 0,
    samples: int | None = None,
) -> Loaded:
    """Read images into memory, in the order of ``numbers``, uint8 (height, width, channels) each.

    Images that cannot be read or are of another kind are left out. With ``samples``, so are all after those that
    together have as many (one image is always read).
    """
    wanted = [int(i) for i in numbers]
    result = Loaded([], np.empty(0, np.int64), [])
    kept: list[int] = []
    left = samples
    reading = in_order(lambda i: offered(collection, i, kind), wanted, threads)
    for done, (i, found) in enumerate(zip(wanted, reading, strict=False), 1):
        if isinstance(found, Skipped):
            result.skipped.append(found)
        else:
            if left is not None:
                left -= found.size
                if left < 0 and kept:
                    break
            result.images.append(found)
            kept.append(i)
        if progress:
            progress(done, len(wanted))
    return result._replace(numbers=np.array(kept, np.int64))


def spread(total: int, count: int, seed: int = 0) -> NDArray[np.int64]:
    """``count`` different numbers below ``total``, one at random from each of as many equal parts; all if it has fewer.

    >>> spread(1000, 4).tolist() == sorted(spread(1000, 4)), len(spread(3, 4))
    (True, 3)
    """
    count = min(total, count)
    edges = np.arange(count + 1) * total // max(count, 1)
    return np.random.default_rng(seed).integers(edges[:-1], edges[1:])


# Looking --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """What a sample of the images of a collection tells. All but the first four figures are of the majority's kind.

    Attributes:
        kind: of most images. images: in the collection. looked: at how many.
        others: how many of these are of other kinds, by the kind in words.
        shape: (height, width, channels) if all have the same, else None.
        heights, widths: (smallest, median, largest).
        mean_samples: of an image: pixels x channels.
        distinct: values in a channel of an image, the median.
        flat, flat_above: the shares of pixels that equal their west and their north neighbour: near 0 for photos,
            most of a drawing.
        skipped: images that could not be read.
    """

    kind: Kind
    images: int
    looked: int
    others: dict[str, int]
    shape: tuple[int, int, int] | None
    heights: tuple[int, int, int]
    widths: tuple[int, int, int]
    mean_samples: float
    distinct: float
    flat: float
    flat_above: float
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def edge(self) -> int:
        """The longer edge of a typical image."""
        return max(self.heights[1], self.widths[1])

    @property
    def words(self) -> str:
        """One line: how many images of what kind and size, and what is among them that is left out."""
        sizes = [f"{a:,}" if a == b else f"{a:,} to {b:,}" for a, _, b in (self.widths, self.heights)]
        text = f"{self.images:,} images, {self.kind}, {sizes[0]} x {sizes[1]} pixels"
        parts = [f"{count:,} {words}" for words, count in self.others.items()]
        parts += [f"{len(self.skipped):,} unreadable"] if self.skipped else []
        return text + (f"; of {self.looked:,} looked at are left out: {', '.join(parts)}" if parts else "")


class _Traits(NamedTuple):
    """What :func:`look` remembers of an image. ``pair``: its only two values, if there are no more."""

    words: str
    shape: tuple[int, int, int]
    alone: bool
    pair: tuple[int, int] | None
    distinct: float
    same: tuple[int, int, int, int]
    """Pixels that equal their west neighbour, of how many; and the same for north."""


def _traits(item: Item) -> _Traits:
    image = item.pixels
    height, width, channels = image.shape
    counts = [0]
    if image.dtype == np.uint8:
        counts = [int(np.count_nonzero(np.bincount(image[..., c].ravel()))) for c in range(channels)]
    west = int((image[:, 1:] == image[:, :-1]).all(-1).sum())
    north = int((image[1:] == image[:-1]).all(-1).sum())
    same = west, height * (width - 1), north, (height - 1) * width
    return _Traits(describe(item), (height, width, channels), item.alone, levels(image), float(np.mean(counts)), same)


def look(collection: Collection, sample: int = 400, seed: int = 0, *, threads: int = 0) -> Summary:
    """Read up to ``sample`` images, evenly spread, and tell what they are like.

    Raises ImageError if none can be read, or if most are of a kind that no model can be for.
    """
    numbers = spread(len(collection), sample, seed)
    numbers = np.random.default_rng(seed).permutation(numbers)  # so that a part of them is spread as well

    def see(i: int) -> _Traits | Skipped:
        try:
            return _traits(collection.item(i))
        except ImageError as error:
            name = collection.name(i)
            return Skipped(name, str(error).removeprefix(f"{name}: "))

    seen: list[tuple[int, _Traits]] = []
    skipped: list[Skipped] = []
    samples = 0
    for i, found in zip(numbers.tolist(), in_order(see, numbers.tolist(), threads), strict=False):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        seen.append((collection.file(i), found))
        samples += int(np.prod(found.shape))
        if samples > LOOK_SAMPLES:
            break
    skipped.sort(key=lambda one: natural(one.name))
    if not seen:
        raise ImageError(f"none of {len(skipped):,} images can be read{_reasons(skipped)}")
    seen = _settled(seen)
    counts = Counter(traits.words for _, traits in seen)
    words, count = min(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    kind = _KINDS.get(words)
    if kind is None:
        share = "all" if count == len(seen) else f"{count:,} of {len(seen):,}"
        raise ImageError(
            f"{words} images ({share}): no network models these yet; compress codes them with its predictor"
        )
    ours = [traits for _, traits in seen if traits.words == words]
    shapes = np.array([traits.shape for traits in ours])
    same = np.array([traits.same for traits in ours]).sum(0)
    heights, widths = (
        (int(edge.min()), int(np.median(edge)), int(edge.max())) for edge in (shapes[:, 0], shapes[:, 1])
    )
    return Summary(
        kind=kind,
        images=len(collection),
        looked=len(seen) + len(skipped),
        others={other: n for other, n in counts.most_common() if other != words},
        shape=ours[0].shape if (shapes == shapes[0]).all() else None,
        heights=heights,
        widths=widths,
        mean_samples=float(shapes.prod(1).mean()),
        distinct=float(np.median([traits.distinct for traits in ours])),
        flat=float(same[0] / max(same[1], 1)),
        flat_above=float(same[2] / max(same[3], 1)),
        skipped=skipped,
    )


def _settled(seen: list[tuple[int, _Traits]]) -> list[tuple[int, _Traits]]:
    """What is open about single images: blank ones, and arrays of two values.

    An array counts as two-valued if all its images here are, with the same two values. A blank image counts with the
    majority of those with its channels.
    """
    values: dict[int, set[int] | None] = {}
    for file, traits in seen:
        if not traits.alone:
            so_far = values.setdefault(file, set())
            values[file] = None if so_far is None or traits.pair is None else so_far | set(traits.pair)
    settled = []
    for file, traits in seen:
        held = values.get(file)
        if held is not None and len(held) <= 2 and traits.words.startswith(_WORDS[8]):
            traits = traits._replace(words=traits.words.replace(_WORDS[8], _WORDS[1]))
        settled.append((file, traits))

    def blank(traits: _Traits) -> bool:
        return traits.pair is not None and traits.pair[0] == traits.pair[1]

    known = Counter((t.shape[2], t.words) for _, t in settled if not blank(t))
    for k, (file, traits) in enumerate(settled):
        if blank(traits):
            fitting = [words for (channels, words), _ in known.most_common() if channels == traits.shape[2]]
            usable = [words for words in fitting if words in _KINDS]
            if usable:
                settled[k] = file, traits._replace(words=usable[0])
    return settled
