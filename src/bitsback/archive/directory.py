"""The directory of an archive: what its members are called, and what the contents are that they name.

A directory is a chunk of its own, which stands before the data of its contents, and describes up to 4,096 members at a
time: names, types, times and modes by column, so that similar ones cost a few bytes each, and the whole packed once.

A *member* is a name. A *content* is what a file holds; several members may name one, of this or of an earlier
directory. Members and contents are numbered
through the archive. Layout: ``docs/format.md``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import accumulate

from bitsback.archive.container import System
from bitsback.archive.fields import (
    Cursor,
    column,
    fields,
    read_column,
    read_fields,
    read_steps,
    read_strings,
    steps,
    strings,
    varint,
    varints,
)
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.member import Entry, Type
from bitsback.archive.packing import pack, unpack
from bitsback.errors import FormatError, LimitError

MAX_MEMBERS = 1 << 12
"""Members of one directory, when written ..."""
MAX_ROWS = 1 << 16
"""... and when read."""

SECOND = 10**9
MODES = 0o7777


class _Tag(IntEnum):
    """Fields of a directory, in the order in which they are stored."""

    TYPES = 1
    NAMES = 2
    SECONDS = 3
    NANOSECONDS = 4
    MODES = 5
    CONTENTS = 6
    TARGETS = 7
    SIZES = 16
    PIXELS_ONLY = 17
    RECIPES = 18
    RECIPE_INDEX = 19
    PARTS = 20
    COUNTS = 21
    BLOBS = 22
    HASHES = 23


_TAGS = frozenset(_Tag)


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds: a recipe, a blob of bytes, and arrays of images; or, without a recipe, its bytes alone."""

    size: int
    """Bytes of the file as it was read."""
    blob: int
    """Bytes that are kept as such: metadata, or the whole file."""
    recipe: str | None = None
    """JSON text for :func:`bitsback.files.write`; None: the blob is the file itself."""
    counts: tuple[int, ...] = ()
    """How many images each of its arrays holds."""
    pixels_only: bool = False
    """Whether samples and metadata come back, but perhaps in other bytes than the file had."""
    sha256: bytes | None = None
    """Of the file, where it is stored for each."""


@dataclass(frozen=True, slots=True)
class Row:
    """A member: its entry, and the number of the content that a file or hard link names."""

    entry: Entry
    content: int | None = None


@dataclass(slots=True)
class Directory:
    """Members and contents, each numbered from ``first_member`` and ``first_content`` on."""

    first_member: int
    first_content: int
    rows: Sequence[Row] = field(default_factory=list)
    contents: Sequence[Content] = field(default_factory=list)

    def encode(self, system: System) -> tuple[bytes, bytes]:
        """Head and payload of the chunk."""
        body = fields(_member_fields(self, system) | _content_fields(self.contents))
        how, packed = pack(body)
        numbers = (self.first_member, self.first_content, len(self.rows), len(self.contents), len(body))
        return bytes([how]) + varints(numbers), packed


@dataclass(frozen=True, slots=True)
class DirectoryHead:
    """What the head of a directory's chunk says."""

    packing: int
    first_member: int
    first_content: int
    members: int
    contents: int
    size: int
    """Bytes of the directory, unpacked."""


def read_head(data: bytes, limits: Limits = DEFAULT_LIMITS) -> DirectoryHead:
    """Check and read the head of a directory."""
    cursor = Cursor(data)
    (how,) = cursor.take(1)
    head = DirectoryHead(how, *(cursor.varint() for _ in range(5)))
    if cursor.left:
        raise FormatError("the head of a directory has bytes left over")
    if head.first_member + head.members > limits.members or head.first_content + head.contents > limits.members:
        raise LimitError(f"{head.first_member + head.members} members are over the limit of {limits.members}")
    if max(head.members, head.contents) > MAX_ROWS:
        raise LimitError(f"a directory of more than {MAX_ROWS} members")
    if head.size > limits.table:
        raise LimitError(f"a directory of {head.size} bytes is over the limit of {limits.table}")
    return head


def decode(head: DirectoryHead, payload: bytes, system: System) -> Directory:
    """The directory. Raises FormatError; nothing is allocated beyond a small multiple of its size and row count."""
    known = read_fields(unpack(head.packing, payload, head.size), _TAGS)
    contents = _read_contents(known, head.contents)
    return Directory(head.first_member, head.first_content, _read_rows(known, head, system), contents)


def name_bytes(name: str, system: System) -> bytes:
    """A name as the archive keeps it.

    >>> name_bytes("a/b", System.POSIX)
    b'a/b'
    """
    return name.encode("utf-8", "surrogatepass" if system == System.WINDOWS else "surrogateescape")


def name_text(name: bytes, system: System) -> str:
    """The inverse of :func:`name_bytes`; FormatError for what is no WTF-8 in an archive from Windows."""
    if system == System.POSIX:
        return name.decode("utf-8", "surrogateescape")
    try:
        return name.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise FormatError("a name is not valid") from None


def on_disk(name: str, system: System) -> str:
    """A name of the archive's, as this system's functions take it: the same bytes, or the same characters."""
    data = name_bytes(name, system)
    if sys.platform == "win32":
        return data.decode("utf-8", "surrogatepass" if system == System.WINDOWS else "replace")
    return os.fsdecode(data)


def _all_or_none(values: Sequence[int | None], what: str) -> list[int] | None:
    known = [value for value in values if value is not None]
    if len(known) not in (0, len(values)):
        raise ValueError(f"either all members of a directory have {what}, or none has")
    return known or None


def _member_fields(directory: Directory, system: System) -> dict[int, bytes | None]:
    entries = [row.entry for row in directory.rows]
    if not entries:
        return {}
    types = [int(entry.type) for entry in entries]
    times = _all_or_none([entry.mtime_ns for entry in entries], "times")
    modes = _all_or_none([entry.mode for entry in entries], "modes")
    following = directory.first_content
    references = []  # 0: the next of this directory's own contents; else one more than the content's number
    for row in directory.rows:
        if row.content is None:
            continue
        references.append(0 if row.content == following else row.content + 1)
        following += row.content == following
    targets = [name_bytes(entry.target, system) for entry in entries if entry.type in (Type.SYMLINK, Type.HARDLINK)]
    names = [name_bytes(entry.name, system) for entry in entries]
    if any(b"\0" in text for text in (*names, *targets)):
        raise ValueError("a name holds a NUL")
    return {
        _Tag.TYPES: column(types) if any(types) else None,
        _Tag.NAMES: strings(names),
        _Tag.SECONDS: steps(time // SECOND for time in times) if times else None,
        _Tag.NANOSECONDS: column([time % SECOND for time in times]) if times else None,
        _Tag.MODES: column(modes) if modes else None,
        _Tag.CONTENTS: column(references) if any(references) else None,
        _Tag.TARGETS: strings(targets) if targets else None,
    }


def _read_rows(known: dict[int, bytes], head: DirectoryHead, system: System) -> list[Row]:
    names = read_strings(known.get(_Tag.NAMES))
    if len(names) != head.members:
        raise FormatError(f"a directory of {head.members} members has {len(names)} names")
    types = read_column(known.get(_Tag.TYPES), len(names))
    if any(kind not in frozenset(Type) for kind in types):
        raise FormatError("a member is of a type that this version does not know")
    times: list[int | None] = [None] * len(names)
    if _Tag.SECONDS in known:
        seconds = read_steps(known[_Tag.SECONDS], len(names))
        nanoseconds = read_column(known.get(_Tag.NANOSECONDS), len(names))
        if max(nanoseconds, default=0) >= SECOND:
            raise FormatError("a time has more than a second of nanoseconds")
        times = [second * SECOND + rest for second, rest in zip(seconds, nanoseconds, strict=True)]
    modes: list[int | None] = [None] * len(names)
    if _Tag.MODES in known:
        modes = list(read_column(known[_Tag.MODES], len(names)))
        if any(mode is not None and mode > MODES for mode in modes):
            raise FormatError("a mode has bits that are no permissions")
    with_content = [kind in (Type.FILE, Type.HARDLINK) for kind in types]
    references = iter(read_column(known.get(_Tag.CONTENTS), sum(with_content)))
    linked = [kind in (Type.SYMLINK, Type.HARDLINK) for kind in types]
    targets_in = read_strings(known.get(_Tag.TARGETS))
    if len(targets_in) != sum(linked):
        raise FormatError("a directory does not have a target for each link")
    targets = iter(targets_in)
    rows, following = [], head.first_content
    for row, name in enumerate(names):
        content = None
        if with_content[row]:
            content = next(references) - 1
            if content < 0:
                content, following = following, following + 1
            if content >= head.first_content + head.contents:
                raise FormatError("a member names a content that is not there")
        target = name_text(next(targets), system) if linked[row] else ""
        entry = Entry(name_text(name, system), Type(types[row]), times[row], modes[row], 0, target)
        rows.append(Row(entry, content))
    return rows


def _content_fields(contents: Sequence[Content]) -> dict[int, bytes | None]:
    if not contents:
        return {}
    recipes = list(dict.fromkeys(content.recipe for content in contents if content.recipe is not None))
    number = {None: 0} | {recipe: index for index, recipe in enumerate(recipes, 1)}
    index = [number[content.recipe] for content in contents]
    parts = [len(content.counts) for content in contents]
    counts = [count for content in contents for count in content.counts]
    blobs = [content.blob for content in contents if content.recipe is not None]
    hashes = [content.sha256 for content in contents if content.sha256 is not None]
    if len(hashes) not in (0, len(contents)):
        raise ValueError("either all contents of a directory have hashes, or none has")
    pixels = [int(content.pixels_only) for content in contents]
    return {
        _Tag.SIZES: column([content.size for content in contents]),
        _Tag.PIXELS_ONLY: column(pixels) if any(pixels) else None,
        _Tag.RECIPES: strings([recipe.encode() for recipe in recipes]) if recipes else None,
        _Tag.RECIPE_INDEX: column(index) if set(index) != {1} and recipes else None,
        _Tag.PARTS: column(parts) if parts != [int(bool(i)) for i in index] else None,
        _Tag.COUNTS: column(counts) if set(counts) - {1} else None,
        _Tag.BLOBS: column(blobs) if any(blobs) else None,
        _Tag.HASHES: b"".join(hashes) if hashes else None,
    }


def _read_contents(known: dict[int, bytes], rows: int) -> list[Content]:
    sizes = read_column(known.get(_Tag.SIZES), rows)
    pixels = read_column(known.get(_Tag.PIXELS_ONLY), rows)
    recipes = []
    for data in read_strings(known.get(_Tag.RECIPES)):
        try:
            recipes.append(data.decode())
        except UnicodeDecodeError:
            raise FormatError("a recipe is not UTF-8") from None
    index = read_column(known.get(_Tag.RECIPE_INDEX), rows, 1 if recipes else 0)
    if max(index, default=0) > len(recipes) or max(pixels, default=0) > 1:
        raise FormatError("a content points outside of its directory's tables")
    parts = read_column(known[_Tag.PARTS], rows) if _Tag.PARTS in known else [int(bool(i)) for i in index]
    if sum(parts) > 64 + 64 * len(known.get(_Tag.COUNTS, b"")) + rows:
        raise FormatError("a directory announces more arrays than it holds")
    counts = read_column(known.get(_Tag.COUNTS), sum(parts), 1)
    blobs = iter(read_column(known.get(_Tag.BLOBS), sum(1 for i in index if i)))
    hashes = known.get(_Tag.HASHES, b"")
    if len(hashes) not in (0, 32 * rows):
        raise FormatError("a directory does not have a hash for each content")
    contents = []
    for row, end in enumerate(accumulate(parts)):
        recipe = recipes[index[row] - 1] if index[row] else None
        own = tuple(counts[end - parts[row] : end])
        if 0 in own or (own and recipe is None) or (pixels[row] and recipe is None):
            raise FormatError("a content has arrays without images, or without a recipe")
        blob = sizes[row] if recipe is None else next(blobs)
        sha256 = hashes[32 * row : 32 * row + 32] or None
        contents.append(Content(sizes[row], blob, recipe, own, bool(pixels[row]), sha256))
    return contents


def sized(row: Row, content: Content | None) -> Entry:
    """The entry of a row with the size of its content."""
    return replace(row.entry, size=content.size) if content is not None else row.entry


__all__ = ["Content", "Directory", "DirectoryHead", "Row", "decode", "name_bytes", "on_disk", "read_head", "varint"]
