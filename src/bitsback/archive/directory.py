"""The directory of an archive: what its members are called, and what the contents are that they name.

A directory is a chunk of its own, which stands before the data of its contents, and describes up to 4,096 members at a
time: names, types, times and modes by column, so that similar ones cost a few bytes each, and the whole packed once.

A *member* is a name. A *content* is what a file holds; several members may name one, of this or of an earlier
directory. Members and contents are numbered through the archive. Layout: ``docs/format.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate
from typing import NamedTuple

import msgspec

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
    varints,
)
from bitsback.archive.limits import ARRAY, DEFAULT_LIMITS, Allowance, Limits
from bitsback.archive.member import Entry, Type
from bitsback.archive.packing import pack, unpack
from bitsback.errors import BitsBackError, FormatError, LimitError, UnsupportedVersionError

MAX_MEMBERS = 1 << 12
"""Members of one directory, when written ..."""
MAX_ROWS = 1 << 16
"""... and when read; and arrays of all its contents together."""
MAX_RECIPE = 1 << 22
"""Bytes of a recipe."""
MAX_NAME = 1 << 20
"""Bytes of a name, or of what a link says."""

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
    FLAGS = 17
    RECIPES = 18
    RECIPE_INDEX = 19
    PARTS = 20
    COUNTS = 21
    BLOBS = 22
    HASHES = 23
    SHARED_WITH = 24
    SHARED_PARTS = 25


_TAGS = frozenset(_Tag)
_TYPES = {int(kind): kind for kind in Type}
_HOLDS = {int(kind): kind in (Type.FILE, Type.HARDLINK) for kind in Type}
_LEADS = {int(kind): kind in (Type.SYMLINK, Type.HARDLINK) for kind in Type}

_PIXELS_ONLY, _HASHED = 1, 2
"""Flags of a content."""


class Share(NamedTuple):
    """An array that has been there before: which content's, and its number in there, from 1."""

    content: int
    part: int


class Content(msgspec.Struct, frozen=True, gc=False):
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
    shares: tuple[Share | None, ...] = ()
    """For each of its arrays the one that it is the same as; none of them is, if there are none."""


class Row(msgspec.Struct, frozen=True, gc=False):
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
        body = fields(_member_fields(self, system) | _content_fields(self.contents, self.first_content))
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


def decode(head: DirectoryHead, payload: bytes, system: System, allowance: Allowance | None = None) -> Directory:
    """The directory. Raises FormatError; nothing is allocated beyond a small multiple of its size and row count.

    ``allowance`` is what the archive may still describe, its members and contents aside.
    """
    known = read_fields(unpack(head.packing, payload, head.size), _TAGS)
    contents = _read_contents(known, head, allowance or Allowance(DEFAULT_LIMITS, head.size))
    return Directory(head.first_member, head.first_content, _read_rows(known, head, system), contents)


def name_bytes(name: str, system: System) -> bytes:
    """A name, or a target, as an archive of such a system keeps it.

    Raises BitsBackError for what it cannot keep: NUL, and lone surrogates that stand for something else there; and
    what is longer than any name.

    >>> name_bytes("a/b", System.POSIX)
    b'a/b'
    """
    try:
        data = name.encode("utf-8", _SURROGATES[system])
        if len(data) > MAX_NAME:
            raise LimitError(f"a name of {len(data):,} bytes, over the limit of {MAX_NAME:,}")
        if b"\0" not in data and (data.isascii() or name_text(data, system) == name):
            return data
    except (UnicodeEncodeError, FormatError):
        pass
    raise BitsBackError(f"{name!r}: no name in an archive of a {system.name.capitalize()} system")


def name_text(name: bytes, system: System) -> str:
    """The inverse of :func:`name_bytes`; FormatError for what is no WTF-8 in an archive from Windows."""
    try:
        text = name.decode("utf-8", _SURROGATES[system])
    except UnicodeDecodeError:
        raise FormatError("a name is not valid") from None
    if system == System.WINDOWS and not name.isascii():
        units = text.encode("utf-16-le", "surrogatepass")
        if units.decode("utf-16-le", "surrogatepass") != text:
            raise FormatError("a name spells a character as two surrogates")
    return text


_SURROGATES = {System.POSIX: "surrogateescape", System.WINDOWS: "surrogatepass"}


def _member_fields(directory: Directory, system: System) -> dict[int, bytes | None]:
    entries = [row.entry for row in directory.rows]
    if not entries:
        return {}
    types = [int(entry.type) for entry in entries]
    times = [entry.mtime_ns for entry in entries]
    modes = [0 if entry.mode is None else entry.mode + 1 for entry in entries]
    if not 0 <= min(modes) <= max(modes) <= MODES + 1:
        raise ValueError("a mode has bits that are no permissions")
    following = directory.first_content
    references = []  # 0: the next of this directory's own contents; else one more than the content's number
    for row in directory.rows:
        if row.content is None:
            continue
        references.append(0 if row.content == following else row.content + 1)
        following += row.content == following
    targets = [name_bytes(entry.target, system) for entry in entries if entry.type in (Type.SYMLINK, Type.HARDLINK)]
    names = [name_bytes(entry.name, system) for entry in entries]
    seconds, rests = _split_times(times)
    return {
        _Tag.TYPES: column(types) if any(types) else None,
        _Tag.NAMES: strings(names),
        _Tag.SECONDS: steps(seconds) if any(seconds) else None,
        _Tag.NANOSECONDS: column(rests) if any(rests) else None,
        _Tag.MODES: column(modes) if any(modes) else None,
        _Tag.CONTENTS: column(references) if any(references) else None,
        _Tag.TARGETS: strings(targets) if targets else None,
    }


def _split_times(times: Sequence[int | None]) -> tuple[list[int], list[int]]:
    """Seconds, and nanoseconds plus one; of a time that is not known 0, and the second of the one before."""
    seconds, rests, last = [], [], 0
    for time in times:
        last, rest = divmod(time, SECOND) if time is not None else (last, -1)
        seconds.append(last)
        rests.append(rest + 1)
    return seconds, rests


def _read_times(known: dict[int, bytes], rows: int) -> list[int | None]:
    rests = read_column(known.get(_Tag.NANOSECONDS), rows)
    seconds = read_steps(known.get(_Tag.SECONDS), rows)
    if not any(rests):
        return [None] * rows
    if max(rests, default=0) > SECOND:
        raise FormatError("a time has more than a second of nanoseconds")
    return [second * SECOND + rest - 1 if rest else None for second, rest in zip(seconds, rests, strict=True)]


def _read_modes(known: dict[int, bytes], rows: int) -> list[int | None]:
    modes = read_column(known.get(_Tag.MODES), rows)
    if max(modes, default=0) > MODES + 1:
        raise FormatError("a mode has bits that are no permissions")
    return [mode - 1 if mode else None for mode in modes]


def _read_rows(known: dict[int, bytes], head: DirectoryHead, system: System) -> list[Row]:
    names = _texts(known.get(_Tag.NAMES), head.members, system)
    if len(names) != head.members:
        raise FormatError(f"a directory of {head.members} members has {len(names)} names")
    types = read_column(known.get(_Tag.TYPES), len(names))
    if not _TYPES.keys() >= set(types):
        raise UnsupportedVersionError("a member is of a type that this version does not know")
    times, modes = _read_times(known, len(names)), _read_modes(known, len(names))
    references = iter(read_column(known.get(_Tag.CONTENTS), sum(map(_HOLDS.__getitem__, types))))
    links = sum(map(_LEADS.__getitem__, types))
    targets_in = _texts(known.get(_Tag.TARGETS), links, system)
    if len(targets_in) != links:
        raise FormatError("a directory does not have a target for each link")
    targets = iter(targets_in)
    rows, following, end = [], head.first_content, head.first_content + head.contents
    for name, kind, time, mode in zip(names, types, times, modes, strict=True):
        content = None
        if _HOLDS[kind]:
            content = next(references) - 1
            if content < 0:
                content, following = following, following + 1
            if content >= end:
                raise FormatError("a member names a content that is not there")
        rows.append(Row(Entry(name, _TYPES[kind], time, mode, 0, next(targets) if _LEADS[kind] else ""), content))
    return rows


def _texts(data: bytes | None, most: int, system: System) -> list[str]:
    """Names, or targets, as text."""
    names = read_strings(data, most)
    if data and len(data) > MAX_NAME and max(map(len, names)) > MAX_NAME:
        raise LimitError(f"a name of more than {MAX_NAME:,} bytes")
    if system == System.POSIX and data:  # all at once, as names are many
        return data[:-1].decode("utf-8", _SURROGATES[system]).split("\0")
    return [name_text(name, system) for name in names]


def _content_fields(contents: Sequence[Content], first: int) -> dict[int, bytes | None]:
    if not contents:
        return {}
    recipes = list(dict.fromkeys(content.recipe for content in contents if content.recipe is not None))
    number = {None: 0} | {recipe: index for index, recipe in enumerate(recipes, 1)}
    index = [number[content.recipe] for content in contents]
    parts = [len(content.counts) for content in contents]
    counts = [count for content in contents for count in content.counts]
    blobs = [content.blob for content in contents if content.recipe is not None]
    flags = [_PIXELS_ONLY * content.pixels_only + _HASHED * (content.sha256 is not None) for content in contents]
    return {
        _Tag.SIZES: column([content.size for content in contents]),
        _Tag.FLAGS: column(flags) if any(flags) else None,
        _Tag.RECIPES: strings([recipe.encode() for recipe in recipes]) if recipes else None,
        _Tag.RECIPE_INDEX: column(index) if set(index) != {1} and recipes else None,
        _Tag.PARTS: column(parts) if parts != [int(bool(i)) for i in index] else None,
        _Tag.COUNTS: column(counts) if set(counts) - {1} else None,
        _Tag.BLOBS: column(blobs) if any(blobs) else None,
        _Tag.HASHES: b"".join(content.sha256 or b"" for content in contents) or None,
        **_share_fields(contents, first),
    }


def _share_fields(contents: Sequence[Content], first: int) -> dict[int, bytes | None]:
    shares = [
        (number, share)
        for number, content in enumerate(contents, first)
        for share in content.shares or (None,) * len(content.counts)
    ]
    back = [0 if share is None else number - share.content + 1 for number, share in shares]
    parts = [share.part for _, share in shares if share is not None]
    return {
        _Tag.SHARED_WITH: column(back) if parts else None,
        _Tag.SHARED_PARTS: column(parts) if set(parts) - {1} else None,
    }


def _read_contents(known: dict[int, bytes], head: DirectoryHead, allowance: Allowance) -> list[Content]:
    rows = head.contents
    sizes = read_column(known.get(_Tag.SIZES), rows)
    flags = read_column(known.get(_Tag.FLAGS), rows)
    if any(flag & ~(_PIXELS_ONLY | _HASHED) for flag in flags):
        raise UnsupportedVersionError("a content has a flag that this version does not know")
    recipes = [_recipe(data) for data in read_strings(known.get(_Tag.RECIPES), rows)]
    index = read_column(known.get(_Tag.RECIPE_INDEX), rows, 1 if recipes else 0)
    if max(index, default=0) > len(recipes):
        raise FormatError("a content has a recipe that is not there")
    parts = read_column(known[_Tag.PARTS], rows) if _Tag.PARTS in known else [int(bool(i)) for i in index]
    if sum(parts) > MAX_ROWS:
        raise LimitError(f"{sum(parts)} arrays in one directory are over the limit of {MAX_ROWS}")
    allowance.take(sum(parts), ARRAY)
    counts = read_column(known.get(_Tag.COUNTS), sum(parts), 1)
    blobs = iter(read_column(known.get(_Tag.BLOBS), sum(1 for i in index if i)))
    hashes = Cursor(known.get(_Tag.HASHES, b""))
    shares = _read_shares(known, head.first_content, parts)
    contents = []
    for row, end in enumerate(accumulate(parts)):
        recipe = recipes[index[row] - 1] if index[row] else None
        own = tuple(counts[end - parts[row] : end])
        pixels_only = bool(flags[row] & _PIXELS_ONLY)
        if 0 in own or ((own or pixels_only) and recipe is None):
            raise FormatError("a content has arrays without images, or without a recipe")
        blob = sizes[row] if recipe is None else next(blobs)
        sha256 = hashes.take(32) if flags[row] & _HASHED else None
        same = tuple(shares[end - parts[row] : end]) if shares else ()
        contents.append(Content(sizes[row], blob, recipe, own, pixels_only, sha256, same if any(same) else ()))
    if hashes.left:
        raise FormatError("a directory has a hash too many")
    return contents


def _read_shares(known: dict[int, bytes], first: int, parts: Sequence[int]) -> list[Share | None]:
    """Of each array, which one it is the same as; nothing if none is."""
    if _Tag.SHARED_WITH not in known:
        return []
    back = read_column(known[_Tag.SHARED_WITH], sum(parts))
    which = iter(read_column(known.get(_Tag.SHARED_PARTS), sum(map(bool, back)), 1))
    arrays = ((first + row, part) for row, count in enumerate(parts) for part in range(1, count + 1))
    shares = [
        Share(number - steps_ + 1, next(which)) if steps_ else None
        for (number, _), steps_ in zip(arrays, back, strict=True)
    ]
    if any(share is not None and (share.content < 0 or not share.part) for share in shares):
        raise FormatError("an array is said to be the same as one that is not there")
    return shares


def _recipe(data: bytes) -> str:
    if len(data) > MAX_RECIPE:
        raise LimitError(f"a recipe of {len(data)} bytes is over the limit of {MAX_RECIPE}")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FormatError("a recipe is not UTF-8") from None


def sized(row: Row, content: Content | None) -> Entry:
    """The entry of a row with the size of its content."""
    if content is None or not content.size:
        return row.entry
    entry = row.entry
    return Entry(entry.name, entry.type, entry.mtime_ns, entry.mode, content.size, entry.target)


__all__ = [
    "Content",
    "Directory",
    "DirectoryHead",
    "Row",
    "Share",
    "decode",
    "name_bytes",
    "name_text",
    "read_head",
    "sized",
]
