"""From sources on disk, or an array, to items for the writer: read, taken apart, hashed, by several threads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from numpy.typing import NDArray

from bitsback import files
from bitsback.archive import pool
from bitsback.archive.gather import Source
from bitsback.archive.item import Item
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

    def prepared() -> Iterator[Source]:
        for source in sources:
            if source.entry.type == Type.FILE and (found := files.recognise(source.start)) is not None:
                files.prepare([found])  # here, since no worker should be the first to import something
            yield source

    with closing(pool.ordered_map(one, prepared(), pool.thread_count(threads))) as work:
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
    if note := _too_large(picture, limits):
        picture = Picture(raw=data, note=note)
    return Item(
        entry,
        picture,
        source.read_whole,
        start=start,
        sha256=hashlib.sha256(data).digest(),
        linked=source.linked,
    )


def _too_large(picture: Picture, limits: Limits) -> str:
    """What no reader with these limits would put together again, in words; or nothing."""
    pixels = max((part.shape[1] * part.shape[2] for part in picture.parts), default=0)
    if pixels > limits.pixels:
        return f"an image of {pixels:,} pixels is over the limit of {limits.pixels:,}"
    needed = len(picture.blob) + 2 * sum(part.nbytes for part in picture.parts)
    if picture.parts and needed > limits.memory:
        return f"needs {needed:,} bytes of memory, over the limit of {limits.memory:,} (-M raises it)"
    return ""


def array_item(array: NDArray[Any], name: str) -> Item:
    """An array as a ``.npy`` file that never was on disk: without time and mode. ImageError for what cannot be one."""
    data = files.npy_bytes(array)
    return data_item(data, name)


def data_item(data: bytes, name: str) -> Item:
    """Bytes as a file that never was on disk."""
    picture = files.parse(data, name)
    return Item(Entry(name, size=len(data)), picture, lambda: data, sha256=hashlib.sha256(data).digest())


__all__ = ["array_item", "data_item", "items_of"]
