"""From sources on disk, or an array, to items for the writer: read, taken apart, hashed, by several threads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from numpy.typing import NDArray

from bitsback import files
from bitsback.archive import pool
from bitsback.archive.directory import MAX_RECIPE, MAX_ROWS
from bitsback.archive.gather import Source
from bitsback.archive.item import Item, recipe_text
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.member import Entry, Type
from bitsback.errors import BitsBackError
from bitsback.files import Picture, Skipped

STREAMED = 1 << 26
"""Files from this size on are streamed, unless they are of a format that is taken apart."""


def items_of(
    sources: Iterable[Source], skipped: list[Skipped], limits: Limits = DEFAULT_LIMITS, threads: int = 1
) -> Iterator[Item]:
    """Read the sources, in order.

    One that cannot be read goes on the list of skipped ones; an image with too many pixels, or that takes too much
    memory, is kept as its file's bytes.
    """
    taken: set[str] = set()

    def one(source: Source, threads: int) -> Item | Skipped:
        try:
            return _item(source, limits)
        except BitsBackError as error:
            return Skipped(source.name, str(error).removeprefix(f"{source.name}: "))
        except OSError as error:
            return Skipped(source.name, (error.strerror or type(error).__name__).lower())

    with closing(pool.ordered_map(one, sources, threads)) as work:
        for item in work:
            if isinstance(item, Item) and item.entry.type == Type.HARDLINK and item.entry.target not in taken:
                reason = f"a hard link to {item.entry.target!r}, which is not stored"
                item = Skipped(item.entry.name, reason)
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            if item.linked:
                taken.add(item.entry.name)
            yield item


def _item(source: Source, limits: Limits) -> Item:
    entry = source.entry
    if entry.type != Type.FILE:
        return Item(entry)
    start = source.read_start()
    if entry.size >= STREAMED and (files.recognise(start) is None or entry.size > limits.memory // 4):
        return Item(entry, stream=source.read_pieces, start=start, linked=source.linked)
    data = source.read_whole()
    picture = files.parse(data, source.name)
    return Item(
        entry,
        _within(picture, data, limits),
        source.read_whole,
        start=start,
        sha256=hashlib.sha256(data).digest(),
        linked=source.linked,
    )


def _within(picture: Picture, data: bytes, limits: Limits) -> Picture:
    """The picture, or the file's bytes if no reader with these limits would put it together again."""
    if not picture.parts:
        return picture
    pixels = max(part.shape[1] * part.shape[2] for part in picture.parts)
    needed = len(picture.blob) + 2 * sum(part.nbytes for part in picture.parts)
    recipe = len(recipe_text(picture.recipe).encode())
    largest = max(part[0].nbytes for part in picture.parts)
    if pixels > limits.pixels:
        note = f"an image of {pixels:,} pixels is over the limit of {limits.pixels:,}"
    elif needed > limits.memory:
        note = f"needs {needed:,} bytes of memory, over the limit of {limits.memory:,} (-M raises it)"
    elif largest > limits.chunk:
        note = f"an image of {largest:,} bytes is over the limit of {limits.chunk:,}"
    elif len(picture.parts) > MAX_ROWS or recipe > MAX_RECIPE:
        note = f"{len(picture.parts):,} arrays are too many to take the file apart"
    else:
        return picture
    return Picture(raw=data, note=note)


def array_item(array: NDArray[Any], name: str) -> Item:
    """An array as a ``.npy`` file that never was on disk: without time and mode. ImageError for what cannot be one."""
    data = files.npy_bytes(array)
    return data_item(data, name)


def data_item(data: bytes, name: str) -> Item:
    """Bytes as a file that never was on disk."""
    picture = _within(files.parse(data, name), data, DEFAULT_LIMITS)
    return Item(Entry(name, size=len(data)), picture, lambda: data, sha256=hashlib.sha256(data).digest())


__all__ = ["array_item", "data_item", "items_of"]
