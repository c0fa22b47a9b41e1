"""What is left of a damaged file: all chunks that are whole, that belong to this archive, and to this place in it.

A file is searched from its beginning for chunks; what a whole chunk spans is stepped over, so an archive stored inside
is seen only where the chunk around it is damaged. Then it must not be mistaken for the archive itself, and its chunks
say by themselves that they are not: each names the run that wrote it, and the byte at which it stood.

- A chunk that stands in its own place is the archive's. (One of an archive inside never does.) The runs that such
  chunks, the header, or the footer at the end of the file name, are *proven*.
- A chunk that stands elsewhere, as after bytes were lost or put in, is taken if its run is proven and its number fits
  between those of its neighbours that were taken already.
- If nothing is proven, a lone run of more than one chunk, all moved alike, is taken for the archive.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from bitsback.archive.container import (
    FOOTER_SIZE,
    HEADER_SIZE,
    HERE,
    MAJOR,
    MINOR,
    SYNC,
    Chunk,
    File,
    Index,
    Kind,
    System,
    read_chunk,
    read_footer,
    read_header,
    read_payload,
)
from bitsback.archive.limits import Limits
from bitsback.errors import BitsBackError, FormatError, LimitError, UnsupportedVersionError


@dataclass(slots=True)
class Salvaged:
    """Chunks in file order, without indexes; members that do not count; what is wrong, in words."""

    chunks: list[Chunk] = field(default_factory=list)
    removed: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    incomplete: bool = False
    """Whether there may have been more of which nothing is left, not even a name."""
    system: System = HERE
    version: tuple[int, int] = (MAJOR, MINOR)


def salvage(file: File, limits: Limits) -> Salvaged:
    """Find what is whole. Takes time in proportion to the size of the file, whatever is in it.

    Raises UnsupportedVersionError if the header is sound and of another version.
    """
    out = Salvaged()
    proven: set[int] = set()
    try:
        header = read_header(file)
        out.system, out.version = header.system, header.version
        proven.add(header.id)
    except UnsupportedVersionError:
        raise
    except FormatError as error:
        out.problems.append(f"header: {error}")
    candidates = list(_candidates(file, limits))
    footer = read_footer(file, file.size)
    proven |= {chunk.run for chunk in candidates if chunk.offset == chunk.place}
    if not proven and footer:
        proven.add(footer[1])
    if not proven:
        groups = {(chunk.run, chunk.offset - chunk.place) for chunk in candidates}
        proven = {run for run, _ in groups} if len(groups) == 1 and len(candidates) > 1 else set()
    for chunk in candidates:  # an index that is the archive's proves the runs before its own
        if chunk.kind == Kind.INDEX and chunk.run in proven and (index := _index(file, chunk)):
            proven |= set(index.runs)
    taken = _fitting([chunk for chunk in candidates if chunk.run in proven])
    for chunk in taken:
        if chunk.kind == Kind.INDEX and (index := _index(file, chunk)):
            out.removed |= set(index.removed)
    out.chunks = [chunk for chunk in taken if chunk.kind != Kind.INDEX]
    out.problems += _gaps(file, taken)
    out.incomplete = _incomplete(taken, footer)
    return out


def _candidates(file: File, limits: Limits) -> Iterator[Chunk]:
    """All whole chunks that are not inside of another one."""
    offset = 0
    budget = 8 * file.size + (64 << 20)  # bytes of heads that are looked at: hostile ones may overlap
    while (found := file.find(SYNC, offset)) >= 0:
        offset = found + 1
        try:
            chunk = read_chunk(file, found, None, limits)
        except (FormatError, LimitError):
            budget -= min(limits.head, file.size - found)
            if budget < 0:
                raise LimitError("too much of the file looks like chunks and is none") from None
            continue
        yield chunk
        offset = chunk.end


def _fitting(candidates: list[Chunk]) -> list[Chunk]:
    """Those in their own place, and of the moved ones those whose numbers fit; in file order."""
    taken = sorted((chunk for chunk in candidates if chunk.offset == chunk.place), key=lambda chunk: chunk.number)
    for chunk in candidates:
        if chunk.offset == chunk.place:
            continue
        at = bisect_left(taken, chunk.number, key=lambda one: one.number)
        free = at == len(taken) or taken[at].number != chunk.number
        after = at == 0 or taken[at - 1].offset < chunk.offset
        before = at == len(taken) or taken[at].offset > chunk.offset
        if free and after and before:
            taken.insert(at, chunk)
    return taken


def _incomplete(taken: list[Chunk], footer: tuple[int, int] | None) -> bool:
    """Whether more may have stood there than is known.

    A lone chunk that is missing is a directory or a model, of which there is another copy, or data, whose files the
    directory names. A batch of files is at least two.
    """
    if not taken:
        return True
    last = taken[-1]
    ends = last.kind == Kind.INDEX or (footer is not None and footer[0] == last.place + last.end - last.offset)
    numbers = [-1, *(chunk.number for chunk in taken)]
    return not ends or any(b - a > 2 for a, b in pairwise(numbers))


def _index(file: File, chunk: Chunk) -> Index | None:
    try:
        return Index.decode(read_payload(file, chunk))
    except BitsBackError:
        return None


def _gaps(file: File, taken: list[Chunk]) -> Iterator[str]:
    """What lies between the chunks and is neither header nor footer, in words."""
    at = HEADER_SIZE
    for chunk in taken:
        if chunk.offset > at:
            yield f"bytes {at} to {chunk.offset} are damaged, or belong to no chunk"
        at = chunk.end
        if chunk.kind == Kind.INDEX and read_footer(file, at + FOOTER_SIZE if at + FOOTER_SIZE <= file.size else 0):
            at += FOOTER_SIZE
    if at != file.size or not taken or taken[-1].kind != Kind.INDEX:
        yield f"the end is missing or damaged, from byte {min(at, file.size)} on"


__all__ = ["Salvaged", "salvage"]
