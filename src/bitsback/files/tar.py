"""tar of all dialects (v7, ustar, GNU, pax): its members, modelled like files; all else as it is.

(POSIX.1-2024, pax, "ustar Interchange Format"; the GNU tar manual, "Basic Tar Format".) Only where a member's content
is matters here: that its header has the right sum, and its size. Headers that describe the next member (long names, pax
records) are members like others; what a pax record says of sizes beyond 8 GiB is beyond what is taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from bitsback.errors import ImageError
from bitsback.files.formats import is_tar_header
from bitsback.files.picture import Budget, Buffer, Content
from bitsback.files.places import MAX_SPANS, Files, Span, read_places

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


def read(data: Buffer, budget: Budget) -> Content:
    """Take a tar file apart. Raises ImageError if none of its members can be."""
    spans = [member.span for member in members(data) if member.span.size]
    if len(spans) > MAX_SPANS:
        raise ImageError(f"a tar file of {len(spans):,} files")
    return read_places("tar", data, [Files(spans)], budget, sparse=True)


def members(data: Buffer) -> Iterator[Member]:
    """The files in a tar file, as far as it is whole."""
    view = memoryview(data)
    at, long_name = 0, b""
    while is_tar_header(head := bytes(view[at : at + BLOCK])):
        kind, size = head[156], _number(head[124:136])
        start = at + BLOCK
        if kind in _EMPTY:
            size = 0
        if size < 0 or start + size > len(view):
            return
        if kind == ord("L"):
            long_name = bytes(view[start : start + min(size, _RECORDS)]).rstrip(b"\0")
        elif kind == ord("x"):
            found = _PATH.search(bytes(view[start : start + min(size, _RECORDS)]))
            long_name = found[1] if found else b""
        elif kind in _FILES:
            yield Member(Span(start, size), long_name or _name(head))
        if kind not in b"LKxg":
            long_name = b""
        at = start + -(-size // BLOCK) * BLOCK


def _number(field: bytes) -> int:
    """An octal number, or one in base 256, as GNU tar writes what is too large."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0") or b"0"
    return int(text, 8) if not text.strip(b"01234567") else -1


def _name(head: bytes) -> bytes:
    name, prefix = head[:100].rstrip(b"\0"), head[345:500].rstrip(b"\0")
    return prefix + b"/" + name if prefix and head[257:263] == b"ustar\0" else name


__all__ = ["Member", "members", "read"]
