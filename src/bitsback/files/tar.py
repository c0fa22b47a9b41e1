"""tar of all dialects (v7, ustar, GNU, pax): its members, modelled like files; all else as it is.

(POSIX.1-2024, pax, "ustar Interchange Format"; the GNU tar manual, "Basic Tar Format".) Only where a member's content
is matters here: that its header has the right sum, and its size. Headers that describe the next member (long names, pax
records) are members like others; what a pax record says of sizes beyond 8 GiB is beyond what is taken apart. Sums of
headers, and sizes of members that are modelled, are not kept, as they follow from the rest.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from bitsback.errors import ImageError
from bitsback.files.formats import is_tar_header
from bitsback.files.picture import Budget, Buffer, Content, Images, Recipe
from bitsback.files.places import MAX_SPANS, Files, Span, read_places, spans_of, write_places

BLOCK = 512
_FILES = b"\0" + b"07"
"""Types of members that are files; as v7 wrote them, too, and contiguous ones."""
_PATH, _RECORDS = re.compile(rb"(?:\A|\n)\d+ path=([^\n]*)"), 1 << 16
"""The name in a pax record; bytes of such records, or of a long name, that are looked at."""
_EMPTY = b"123456"
"""Types without a content, whatever their size says: links, devices, folders, pipes."""


class Member(NamedTuple):
    """A file in a tar file: where its content is, and its name."""

    span: Span
    name: bytes


class _Header(NamedTuple):
    """Where it is, the type of its member, and the bytes that follow."""

    at: int
    kind: int
    size: int


def read(data: Buffer, budget: Budget) -> Content:
    """Take a tar file apart. Raises ImageError if none of its members can be."""
    headers = list(_headers(data))
    spans = [Span(at + BLOCK, size) for at, kind, size in headers if kind in _FILES and size]
    if len(spans) > MAX_SPANS:
        raise ImageError(f"a tar file of {len(spans):,} files")
    places = [header.at for header in headers]

    def hollow(start: int, some: memoryview) -> Iterator[Buffer]:
        """Headers without what is known: no place has begun behind these bytes unless it begins at their end."""
        done = 0
        for at in places[bisect_left(places, start) : bisect_left(places, start + len(some))]:
            here, stop = at - start, at - start + BLOCK
            yield some[done:here]
            yield _blank(bytes(some[here:stop]), stop == len(some) and at + BLOCK < len(data))
            done = stop
        yield some[done:]

    content = read_places("tar", data, [Files(spans)], budget, sparse=True, align=BLOCK, hollow=hollow)
    return content._replace(recipe=content.recipe | {"headers": len(headers)})


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    data = bytearray(write_places(recipe, blob, parts))
    fill(data, recipe)
    return bytes(data)


def fill(data: bytearray, recipe: Recipe) -> None:
    """Put into headers what is known of them. Raises ValueError if there are not as many as the recipe says."""
    sizes = {span.start: span.size for span in spans_of(recipe)}
    at = 0
    for _ in range(recipe["headers"]):
        if at + BLOCK > len(data):
            raise ValueError("a tar file lacks headers")
        if not any(data[at + 148 : at + 156]):
            if not any(data[at + 124 : at + 136]) and at + BLOCK in sizes:
                data[at + 124 : at + 136] = b"%011o\0" % sizes[at + BLOCK]
            data[at + 148 : at + 156] = _sum(data[at : at + BLOCK])
        at = _next(at, data[at + 156], _number(bytes(data[at + 124 : at + 136])))


def members(data: Buffer) -> Iterator[Member]:
    """The files in a tar file, as far as it is whole."""
    view = memoryview(data)
    long_name = b""
    for at, kind, size in _headers(view):
        start = at + BLOCK
        if kind == ord("L"):
            long_name = bytes(view[start : start + min(size, _RECORDS)]).rstrip(b"\0")
        elif kind == ord("x"):
            found = _PATH.search(bytes(view[start : start + min(size, _RECORDS)]))
            long_name = found[1] if found else b""
        elif kind in _FILES:
            yield Member(Span(start, size), long_name or _name(bytes(view[at:start])))
        if kind not in b"LKxg":
            long_name = b""


def _headers(data: Buffer) -> Iterator[_Header]:
    """As far as the file is whole."""
    view, at = memoryview(data), 0
    while is_tar_header(head := bytes(view[at : at + BLOCK])):
        kind, size = head[156], _number(head[124:136])
        if kind in _EMPTY:
            size = 0
        if size < 0 or at + BLOCK + size > len(view):
            return
        yield _Header(at, kind, size)
        at = _next(at, kind, size)


def _next(at: int, kind: int, size: int) -> int:
    """Where the next header is."""
    return at + BLOCK + (0 if kind in _EMPTY else -(-size // BLOCK) * BLOCK)


def _blank(head: bytes, is_place: bool) -> bytes:
    """A header without its sum, if that is written as usual, and without its size, if that is a place's."""
    if head[148:156] != _sum(head):
        return head
    size = head[124:136]
    known = is_place and size == b"%011o\0" % max(0, _number(size))
    return head[:124] + (bytes(12) if known else size) + head[136:148] + bytes(8) + head[156:]


def _sum(head: bytes | bytearray) -> bytes:
    """The sum of a header's bytes, its own eight taken as spaces, as it is written."""
    return b"%06o\0 " % (sum(head[:148]) + 8 * 32 + sum(head[156:]))


def _number(field: bytes) -> int:
    """An octal number, or one in base 256, as GNU tar writes what is too large."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0") or b"0"
    return int(text, 8) if not text.strip(b"01234567") else -1


def _name(head: bytes) -> bytes:
    name, prefix = head[:100].rstrip(b"\0"), head[345:500].rstrip(b"\0")
    return prefix + b"/" + name if prefix and head[257:263] == b"ustar\0" else name


__all__ = ["Member", "fill", "members", "read", "write"]
