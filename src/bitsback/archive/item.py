"""A member on its way into an archive, with what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bitsback.archive.front import few_colours
from bitsback.archive.member import Entry, Type
from bitsback.archive.packing import worth_packing
from bitsback.archive.plan import Facts, Load, PartFacts
from bitsback.errors import BitsBackError
from bitsback.files import Picture, levels
from bitsback.kinds import ycbcr
from bitsback.kinds.base import Images
from bitsback.kinds.plain import little_endian


@dataclass(slots=True, eq=False)
class Item:
    """An entry and, if it is a file, its content: a picture, or a stream for what is too large to hold."""

    entry: Entry
    picture: Picture | None = None
    reload: Callable[[], bytes] | None = None
    """The file's own bytes, for when coding its images does not pay."""
    stream: Callable[[int], Iterator[bytes]] | None = None
    """The file in pieces of so many bytes; raises ChangedError if it is not what it was any more."""
    start: bytes = b""
    """Of a streamed file: its first bytes."""
    sha256: bytes = b""
    """Of the file as it was read; empty for a streamed one."""
    hashes: tuple[bytes, ...] = ()
    """Of each array, by :func:`array_hashes`; none if nothing else can have the same."""
    linked: bool = False
    """Whether hard links may follow."""

    @property
    def holds(self) -> bool:
        """Whether there is a content."""
        return self.picture is not None or self.stream is not None

    @property
    def blob(self) -> bytes:
        """The metadata, or the whole file if it is kept as bytes and not streamed."""
        if self.picture is None:
            return b""
        return bytes(self.picture.blob if self.picture.parts else self.picture.raw or b"")

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(len(part) for part in self.picture.parts) if self.picture else ()

    @property
    def recipe(self) -> str | None:
        """The recipe as JSON text; None if the file is kept as bytes."""
        return recipe_text(self.picture.recipe) if self.picture and self.picture.parts else None

    @property
    def exact(self) -> bool:
        """Whether the file comes back byte for byte."""
        return self.picture is None or self.picture.exact

    @property
    def load(self) -> Load:
        """What it adds to its batch."""
        parts = self.picture.parts if self.picture else []
        held = len(self.blob) + sum(part.size for part in parts)
        return Load(held, len(self.entry.name) + len(self.entry.target) + len(self.recipe or ""), len(parts))

    def facts(self, shared: Sequence[bool] = ()) -> Facts:
        """What planning needs to know; ``shared``: which of its arrays are another's (none, if there are none)."""
        if self.picture is None:
            return Facts(self.entry.size, (), worth_packing(self.start))
        shared = shared or [False] * len(self.picture.parts)
        parts = tuple(
            _facts_of(part, number in self.picture.coefficients, same)
            for number, (part, same) in enumerate(zip(self.picture.parts, shared, strict=True))
        )
        blob = self.blob
        return Facts(len(blob), parts, bool(parts) or worth_packing(blob[: 1 << 16]))

    def digest(self) -> bytes:
        """SHA-256 of the content, see :func:`content_digest`; of a streamed one, nothing yet."""
        if self.picture is None or self.exact:
            return self.sha256
        return content_digest(self.blob, self.recipe, self.picture.parts)

    def own_bytes(self) -> bytes | None:
        """The file itself; None if it cannot be had any more."""
        try:
            data = self.reload() if self.reload else None
        except (OSError, BitsBackError):
            return None
        return data if data is not None and hashlib.sha256(data).digest() == self.sha256 else None


def _facts_of(part: Images, coefficients: bool, shared: bool) -> PartFacts:
    decoded = None if coefficients else ycbcr.found(part)
    return PartFacts(
        len(part),
        (part.shape[1], part.shape[2], part.shape[3]),
        part.dtype.name,
        None if coefficients else levels(part),
        coefficients,
        shared,
        decoded is None and not coefficients and few_colours(part),
        b"" if coefficients or len(part) > 1 else sketch(part[0]),
        decoded,
    )


SKETCHED = 1 << 14
"""Samples of an image that is worth a sketch."""

PARTS = 16
"""Of its height, and of its width."""


def sketch(image: Images) -> bytes:
    """What an image (H, W, C) looks like from afar, of 16 x 16 parts: their means, in sixteenths, or, of 16 bits, in
    whole levels; and how many of their pixels are not what is left of them. uint16, little-endian. Nothing of a small
    one."""
    height, width, channels = image.shape
    if image.size < SKETCHED or min(height, width) < PARTS:
        return b""
    rows, columns = (np.arange(PARTS) * size // PARTS for size in (height, width))
    areas = np.diff(rows, append=height)[:, None] * np.diff(columns, append=width)
    sums, edges = np.empty((2, PARTS, PARTS), np.int64)
    for number, (top, bottom) in enumerate(pairwise([*rows, height])):  # what is made meanwhile is of a band
        band = image[top:bottom]
        sums[number] = np.add.reduceat(band.sum(axis=(0, 2), dtype=np.int64), columns)
        changes = (band[:, 1:] != band[:, :-1]).any(axis=2).sum(axis=0)
        edges[number] = np.add.reduceat(np.append(0, changes), columns)
    means = sums * (16 if image.itemsize == 1 else 1) // (areas * channels)
    return np.stack([means, edges.clip(max=0xFFFF)]).astype("<u2").tobytes()


def array_hashes(picture: Picture) -> tuple[bytes, ...]:
    """SHA-256 of each array of a picture, with shape, type, and what it is of: those of one hash are the same."""
    of = [
        repr((part.shape, part.dtype.name, number in picture.coefficients)).encode()
        for number, part in enumerate(picture.parts)
    ]
    return tuple(
        hashlib.sha256(head + little_endian(part)).digest() for head, part in zip(of, picture.parts, strict=True)
    )


def recipe_text(recipe: dict[str, object]) -> str:
    """A recipe as an archive keeps it."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"))


def content_digest(blob: bytes, recipe: str | None, parts: list[Images]) -> bytes:
    """SHA-256 of a content whose file comes back in other bytes, or that has none: recipe, metadata and samples.

    Without a recipe the blob is the file, and this is its SHA-256. Else what is hashed is the recipe, a NUL, the size
    of the blob in 8 bytes, the blob, and for each array its four axes in 8 bytes each, the bytes of a sample in one,
    and the samples, all little-endian.
    """
    if recipe is None:
        return hashlib.sha256(blob).digest()
    digest = hashlib.sha256(recipe.encode() + b"\0" + len(blob).to_bytes(8, "little"))
    digest.update(blob)
    for part in parts:
        digest.update(np.array(part.shape, "<u8").tobytes() + bytes([part.dtype.itemsize]))
        digest.update(little_endian(part))
    return digest.digest()


__all__ = ["Entry", "Item", "Type", "array_hashes", "content_digest", "recipe_text"]
