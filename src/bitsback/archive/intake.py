"""From sources on disk, or an array, to items for the writer: read, taken apart, hashed, by several threads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from typing import Any

from numpy.typing import NDArray

from bitsback import files
from bitsback.archive.gather import Source, read_image, read_pieces, read_start, read_whole
from bitsback.archive.item import Item
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.member import Entry, Type
from bitsback.errors import BitsBackError, InputError
from bitsback.files import Picture, Skipped
from bitsback.threads import ordered_map, thread_count


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
        except InputError as error:
            return Skipped(source.name, error.reason)

    def prepared() -> Iterator[Source]:
        for source in sources:
            with suppress(BitsBackError):  # who reads it will say what is wrong
                if source.entry.type == Type.FILE:
                    files.prepare(filter(None, [files.recognise(read_start(source, files.MAGIC_BYTES))]))
            yield source

    with closing(ordered_map(one, prepared(), thread_count(threads))) as work:
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
    entry, linked = source.entry, source.stamp.links > 1
    if entry.type != Type.FILE:
        return Item(entry)
    data = read_image(source, limits.memory // 4)
    if data is None:
        start = read_start(source, 1 << 16)
        return Item(entry, stream=partial(read_pieces, source), start=start, linked=linked)
    picture = files.parse(data, source.name)
    if note := _too_large(picture, limits):
        picture = Picture(raw=data, note=note)
    digest = hashlib.sha256(data).digest()
    return Item(entry, picture, partial(read_whole, source), sha256=digest, linked=linked)


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
    """An array as a ``.npy`` file that never was on disk: without time and mode.

    Raises ImageError for one that would not come back as it is: with a mask, of objects, of bfloat16 ...
    """
    return data_item(files.npy_bytes(array), name)


def data_item(data: bytes, name: str) -> Item:
    """Bytes as a file that never was on disk."""
    picture = files.parse(data, name)
    return Item(Entry(name, size=len(data)), picture, lambda: data, sha256=hashlib.sha256(data).digest())


__all__ = ["array_item", "data_item", "items_of"]
