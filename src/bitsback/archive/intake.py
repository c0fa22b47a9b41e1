"""From sources on disk, or an array, to items for the writer: read, taken apart, hashed, by several threads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback import files
from bitsback.archive.directory import MAX_RECIPE, MAX_ROWS
from bitsback.archive.gather import Source, read_image, read_pieces, read_start, read_whole
from bitsback.archive.item import Item, array_hashes, recipe_text
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.member import Entry, Type
from bitsback.errors import BitsBackError, InputError, LimitError
from bitsback.files import Picture, Skipped
from bitsback.files.bulk import bulk
from bitsback.threads import ordered_map, thread_count


def items_of(
    sources: Iterable[Source],
    skipped: list[Skipped],
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 1,
    *,
    pixels: bool = False,
) -> Iterator[Item]:
    """Read the sources, in order; of images that are deflated, with ``pixels``, no more than pixels and metadata.

    One that cannot be read goes on the list of skipped ones, and so does one that readers with these limits, where they
    are below the default, would refuse. What is beyond the default limits is kept as its file's bytes. So limits
    refuse, and never change what is written.
    """
    taken: set[str] = set()

    def one(source: Source, threads: int) -> Item | Skipped:
        try:
            return _item(source, limits, pixels)
        except InputError as error:
            return Skipped(source.name, error.reason)
        except LimitError as error:
            return Skipped(source.name, f"{error} (-M and --max-pixels raise limits)")

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


def _item(source: Source, limits: Limits, pixels: bool) -> Item:
    entry, linked = source.entry, source.stamp.links > 1
    if entry.type != Type.FILE:
        return Item(entry)
    data = read_image(source, DEFAULT_LIMITS.memory // 4)
    if data is None:
        start = read_start(source, 1 << 16)
        return Item(entry, stream=partial(read_pieces, source), start=start, linked=linked)
    picture = _picture(data, source.name, pixels)
    if reason := _beyond(picture, limits):
        raise LimitError(reason)
    digest = hashlib.sha256(data).digest()
    return Item(entry, picture, partial(read_whole, source), sha256=digest, hashes=array_hashes(picture), linked=linked)


def _picture(data: bytes, name: str, pixels: bool = False) -> Picture:
    """A file taken apart, if it is not beyond the default limits."""
    picture = files.parse(data, name, pixels)
    reason = _beyond(picture, DEFAULT_LIMITS)
    return Picture(raw=data, note=reason) if reason else picture


def _beyond(picture: Picture, limits: Limits) -> str:
    """Why no reader with these limits would put the picture together again; nothing if it would."""
    if not picture.parts:
        return ""
    pixels = max(part.shape[1] * part.shape[2] for part in picture.parts)
    shapes = [part.shape for part in picture.parts]
    needed = len(picture.blob) + 2 * sum(part.nbytes for part in picture.parts)
    needed += bulk(picture.recipe, shapes).memory if files.nests(picture.recipe) else 0
    recipe = len(recipe_text(picture.recipe).encode())
    largest = max(part[0].nbytes for part in picture.parts)
    if pixels > limits.pixels:
        return f"an image of {pixels:,} pixels is over the limit of {limits.pixels:,}"
    if needed > limits.memory:
        return f"needs {needed:,} bytes of memory, over the limit of {limits.memory:,}"
    if largest > limits.chunk:
        return f"an image of {largest:,} bytes is over the limit of {limits.chunk:,}"
    if len(picture.parts) > MAX_ROWS or recipe > MAX_RECIPE:
        return f"{len(picture.parts):,} arrays are too many to take the file apart"
    return ""


class _Hash:
    """What a file that is written to it would hash to, and its size."""

    def __init__(self) -> None:
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return len(data)


def array_item(array: NDArray[Any], name: str) -> Item:
    """An array as a ``.npy`` file that never was on disk: without time and mode. The array is not copied.

    Raises ImageError for one that would not come back as it is: with a mask, of objects, of bfloat16 ...
    """
    picture = files.from_array(array)
    file = _Hash()
    np.lib.format.write_array(file, array, allow_pickle=False)
    again = partial(files.npy_bytes, array)
    return Item(Entry(name, size=file.size), picture, again, sha256=file.digest.digest())


def data_item(data: bytes, name: str) -> Item:
    """Bytes as a file that never was on disk."""
    picture = _picture(data, name)
    return Item(Entry(name, size=len(data)), picture, lambda: data, sha256=hashlib.sha256(data).digest())


__all__ = ["array_item", "data_item", "items_of"]
