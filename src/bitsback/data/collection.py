"""Images to learn from, by number.

    collection = Collection.open(["scans/", "shard-{000..009}.tar", "digits.npz"])
    summary = look(collection)                                      what most of them are
    images, numbers, skipped = load(collection, range(100), summary.type)

A collection knows where its images are and reads them when asked, so it may be larger than memory.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.data.opening import natural, open_source
from bitsback.data.sources import Item, Memory, Source, Spool, ready
from bitsback.errors import ImageError
from bitsback.files import Skipped

_MAX_NAMES = 1 << 20
"""What a pattern with braces may stand for."""


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

        ready()
        paths = [paths] if isinstance(paths, str | os.PathLike) else paths
        given = [path for pattern in paths for path in _expand(os.fspath(pattern))]
        for path in dict.fromkeys(given):
            top = Path(path).name or Path(path).resolve().name
            prefix = Path(path).as_posix() if top in tops else top  # two folders of one name
            tops.add(prefix)
            for name, entry in sorted(_walk(path), key=lambda found: natural(found[0])):
                label = prefix + name
                try:
                    if isinstance(entry, str):
                        raise ImageError(entry)
                    opened, left = open_source(entry.path, label, spool)
                except ImageError as error:
                    skipped.append(Skipped(label, str(error)))
                    continue
                sources += opened
                skipped += left
        if not sources:
            what = ", ".join(dict.fromkeys(given)) or "no input"
            raise ImageError(f"{what}: no images{reasons(skipped)}")
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


class _File(NamedTuple):
    path: str


def _walk(given: str) -> Iterator[tuple[str, _File | str]]:
    """Every file at or below a path, in no particular order: what follows the path in its name, and the file, or why it
    is none. Links below are not followed. A list instead of recursion: depth costs nothing.

    Raises ImageError if there is nothing at the path.
    """
    try:
        mode = Path(given).stat().st_mode
        if not stat.S_ISDIR(mode):
            yield "", _File(given) if stat.S_ISREG(mode) else "not a regular file"
            return
    except OSError as error:
        raise ImageError(f"{given}: {_words(error)}") from None
    folders = [(given, "")]
    while folders:
        folder, name = folders.pop()
        try:
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            yield name, _words(error)
            continue
        if not entries:
            yield name, "empty folder"
        for entry in entries:
            inner = f"{name}/{entry.name}"
            if entry.is_symlink():
                yield inner, "symbolic link"
            elif entry.is_dir():
                folders.append((entry.path, inner))
            else:
                yield inner, _File(entry.path) if entry.is_file() else "not a regular file"


def _words(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


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


def reasons(skipped: Sequence[Skipped]) -> str:
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
