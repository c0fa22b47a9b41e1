"""What the room hands out: what a file holds, and what was left out.

A file is taken apart into *pixels* (``parts``), a *recipe* (what kind of file: small, and the same for similar files)
and a *blob* (its metadata, byte for byte). The three together give the file back; a file that cannot be taken apart
without loss is kept as its own bytes (``raw``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError

Images = NDArray[Any]
"""Images of one shape: (n, height, width, channels), uint8 or uint16, C-contiguous, n >= 1, channels 1 to 4."""

Recipe = dict[str, Any]
"""JSON-able; ``recipe["format"]`` names the format module that wrote it. Empty for a file that is kept raw."""

Buffer = bytes | memoryview
"""A file's bytes. Slices of a memoryview cost nothing."""

MAX_SAMPLES = 1 << 28
"""The largest picture that is *inflated* (PNG, gzip, npz): 2^28 bytes. What is larger stays as its file's bytes."""


MAX_PCX = 1 << 24
"""Bytes of pixels of a PCX file, whose runs are written one by one."""

MAX_PLAIN = 1 << 22
"""Samples of an image in plain text, which is slow to write: larger ones are kept as their file's bytes."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is not stored, and why, in words for the user."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A file taken apart; :func:`bitsback.files.write` puts it together again.

    Either ``parts`` holds at least one array and ``raw`` is None, or ``parts`` is empty, ``raw`` holds the file's
    bytes, and recipe and blob are empty.

    ``exact`` says that the file comes back byte for byte, on any machine (and not "only" the same pixels and metadata,
    compressed anew). ``note`` is empty, or one line about why what seems to be an image file was kept raw.
    ``coefficients``: numbers of parts that are no images, but blocks of coefficients (:mod:`bitsback.kinds.jpeg`).

    What exactness costs: ``corrections``, the bytes of the blob that are there for the file's very bytes only; or
    ``unexplained``, the file was kept raw since they would be too many.
    """

    parts: list[Images] = field(default_factory=list)
    recipe: Recipe = field(default_factory=dict)
    blob: bytes = b""
    raw: bytes | None = None
    exact: bool = True
    note: str = ""
    corrections: int = 0
    unexplained: bool = False
    coefficients: frozenset[int] = frozenset()

    @property
    def images(self) -> list[Images]:
        """The parts that are images."""
        return [part for number, part in enumerate(self.parts) if number not in self.coefficients]


INFLATED = 1032
"""The most that deflate makes of a byte (RFC 1951: 258 bytes of two codes of a bit each)."""


def can_inflate(size: int, coded: int) -> bool:
    """Whether so many bytes may come of a deflated stream of so few, or more are promised than it can hold."""
    return size <= INFLATED * coded + 64


class NoImageError(ImageError):
    """The file makes no claim to hold images, so that nobody needs to be told why it is kept as its bytes."""


class UnexplainedError(ImageError):
    """The file can be taken apart, but bringing back its very bytes would take too many of them."""


DEEPEST = 3
"""Files within files within files of a file are taken apart, and none deeper."""


class Budget:
    """What may still be unpacked of a file, in bytes, in all files within it; how deep; and how many bytes there may be
    besides four times those of its images (of itself, not of files within it).

    >>> budget = Budget()
    >>> budget.take(MAX_SAMPLES)
    >>> budget.take(1)
    Traceback (most recent call last):
        ...
    bitsback.errors.ImageError: more pixels than are unpacked here
    """

    def __init__(self, left: int = MAX_SAMPLES, depth: int = 0, others: int = 1 << 62) -> None:
        self.left, self.depth, self.others = left, depth, others

    def take(self, size: int) -> None:
        """Raise ImageError if that is too much; then nothing was taken."""
        if size > self.left:
            raise ImageError("more pixels than are unpacked here")
        self.left -= size

    def at_least(self, before: int, size: int) -> None:
        """Of something with so many bytes that began with ``before`` left: what was taken since is part of that.

        Raises ImageError if it is too much; then nothing is left, so that not all that follows is tried in vain.
        """
        self.left = min(self.left, before - size)
        if self.left < 0:
            self.left = 0
            raise ImageError("more pixels than are unpacked here")

    def within(self) -> Budget:
        """For the files in a file, which share it. Raises ImageError if that is too deep."""
        if self.depth == DEEPEST:
            raise ImageError("too many files within one another")
        return Budget(self.left, self.depth + 1)


class Content(NamedTuple):
    """What a format module returns.

    ``sure`` says that it has made sure itself that nothing is lost. ``exact``: the same bytes come back (unless it is
    not sure, and they do not), on every machine: not so where a zlib deflates them, which is not the same everywhere.
    ``corrections``: bytes of the blob that are there for the file's very bytes only.
    """

    parts: list[Images]
    recipe: Recipe
    blob: bytes = b""
    sure: bool = False
    exact: bool = True
    corrections: int = 0

    def same(self, other: Content) -> bool:
        """Whether both hold the same pixels, recipe and metadata."""
        return (
            self.recipe == other.recipe
            and self.blob == other.blob
            and len(self.parts) == len(other.parts)
            and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(self.parts, other.parts, strict=True))
        )
