"""What is left of a damaged file: all chunks that are whole, or nearly, and that belong to this archive.

A file is searched from its beginning for chunks whose frame and head are whole. Behind a chunk whose payload is whole
too the search goes on at its end, so an archive stored inside is seen only where the chunk around it is damaged. Then
it must not be mistaken for the archive itself, be it an older copy of the same, and its chunks say by themselves that
they are not: each names the run that wrote it, and the byte at which it stood. A run is called by what it was going to
write, so a run in which an archive is stored is never one of that archive's own. Hence these runs are the archive's:

- the one that the header names, and those of which a chunk stands in its own place (one of an archive inside never
  does);
- where bytes are missing or were put in, the run of the last index that is less far behind its place than any archive
  inside could be, if it names one of the runs above as one before it; if there is none above, as when the beginning is
  missing, the run of the last chunk that stands before its place;
- those that an index of such a run names.

Of these runs every chunk is taken, wherever it stands: a run's chunk of one number is the same in every copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from bitsback.archive.container import (
    FOOTER_SIZE,
    FRAME_SIZE,
    HEADER_SIZE,
    HERE,
    MAGIC,
    MAJOR,
    MINOR,
    OPTIONAL,
    Ahead,
    Chunk,
    File,
    Finder,
    Index,
    Kind,
    System,
    read_footer,
    read_header,
)
from bitsback.archive.limits import CHUNK, Allowance, Limits
from bitsback.errors import BitsBackError, FormatError, LimitError, UnsupportedVersionError


@dataclass(slots=True)
class Salvaged:
    """Chunks by number, without indexes; members that do not count; what is wrong, in words."""

    chunks: list[Chunk] = field(default_factory=list)
    removed: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    incomplete: bool = False
    """Whether there may have been more of which nothing is left, not even a name."""
    system: System = HERE
    version: tuple[int, int] = (MAJOR, MINOR)


class _Found(NamedTuple):
    """A chunk, and whether its payload is whole."""

    chunk: Chunk
    sound: bool

    @property
    def moved(self) -> int:
        """By how many bytes it stands behind its place."""
        return self.chunk.offset - self.chunk.place


def salvage(file: File, limits: Limits) -> Salvaged:
    """Find what is whole. Takes time in proportion to the size of the file, whatever is in it.

    Raises UnsupportedVersionError if the header is sound and of another version; LimitError for a file made to be slow.
    """
    out = Salvaged()
    own: set[int] = set()
    try:
        header = read_header(file)
        out.system, out.version = header.system, header.version
        own.add(header.id)
    except UnsupportedVersionError:
        raise
    except FormatError as error:
        out.problems.append(f"header: {error}")
    found = list(_search(file, limits))
    ahead = Ahead(file)
    indexes = {one.chunk: index for one in found if (index := _index(ahead, one, limits))}
    own = _own(found, indexes, own)
    taken = _taken(found, own)
    out.problems += _report(file, found, taken, own)
    for one in taken:
        if one.chunk in indexes:
            out.removed |= set(indexes[one.chunk].removed)
    out.chunks = [one.chunk for one in taken if one.chunk.kind != Kind.INDEX]
    out.incomplete = _incomplete([one.chunk for one in taken], read_footer(file, file.size))
    return out


def _own(found: list[_Found], indexes: dict[Chunk, Index], own: set[int]) -> set[int]:
    """The runs that are the archive's. ``own``: what the header says."""
    in_place = {one.chunk.run for one in found if not one.moved}
    own = own | in_place
    nearest = (
        HEADER_SIZE + FRAME_SIZE if own else 0
    )  # where an archive that is stored inside could begin at the earliest
    moved: list[Chunk] = []
    for one in found:
        if not one.moved:
            nearest = one.chunk.payload_offset
        elif one.moved < nearest and (one.chunk in indexes or not own):
            moved.append(one.chunk)
    before = {chunk.run: set(index.runs) for chunk, index in indexes.items()}
    for chunk in moved[: -1 - _TRIES : -1]:
        family = _with_earlier({chunk.run}, before)
        if not own or own & family:
            return _with_earlier(own | family, before)
    return _with_earlier(own, before)


_MISSING = 1 << 30
"""Bytes that may be missing, should what an index lists have been there."""

_TRIES = 64
"""Indexes that are out of place, and looked at."""


def _with_earlier(runs: set[int], before: dict[int, set[int]]) -> set[int]:
    """Runs, and all before them; ``before``: for each run the ones that its index names."""
    known: set[int] = set()
    new = runs
    while new:
        known |= new
        new = set().union(*(before.get(run, set()) for run in new)) - known
    return known


def _search(file: File, limits: Limits) -> Iterator[_Found]:
    """All chunks with a whole frame and head that are not inside of a whole one."""
    budget = 8 * file.size + (64 << 20)  # bytes of payloads that are looked at: hostile ones may overlap
    allowance = Allowance(limits, file.size)
    finder = Finder(file, limits)
    offset, ahead = 0, Ahead(file)
    while (chunk := finder.find(offset)) is not None:
        allowance.take(1, CHUNK)
        begin, end = chunk.payload_offset, chunk.end
        is_there = end <= file.size
        budget -= end - begin if is_there else 0
        if budget < 0:
            raise LimitError("too much of the file looks like chunks and is none")
        sound = is_there and ahead.check_sum(begin, end - begin) == chunk.payload_check
        yield _Found(chunk, sound)
        offset = end if sound else begin


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


def _index(file: Ahead, one: _Found, limits: Limits) -> Index | None:
    if one.chunk.kind != Kind.INDEX or not one.sound or one.chunk.payload_size > limits.table:
        return None
    try:
        return Index.decode(file.read(one.chunk.payload_offset, one.chunk.payload_size), file.size + _MISSING, limits)
    except BitsBackError:
        return None


def _taken(found: list[_Found], own: set[int]) -> list[_Found]:
    """Of each number one chunk: one in its place, if it is whole, before others."""
    best: dict[int, _Found] = {}
    for one in found:
        if one.chunk.run in own:
            other = best.get(one.chunk.number)
            if other is None or (one.sound, not one.moved) > (other.sound, not other.moved):
                best[one.chunk.number] = one
    return [one for _, one in sorted(best.items())]


def _report(file: File, found: list[_Found], taken: list[_Found], own: set[int]) -> Iterator[str]:
    """What is damaged or out of place, in words, in the order of the file."""
    at, last, ahead = HEADER_SIZE, None, Ahead(file)
    if not own and found:
        inside = next(one for one in found)
        where = f"another archive begins at byte {inside.moved}" if _begins(file, inside.moved) else "another archive"
        yield f"nothing of this archive itself was found, only parts of what was stored in it: {where}"
    for one in sorted(taken, key=lambda one: one.chunk.offset):
        chunk = one.chunk
        if chunk.offset > at:
            yield f"bytes {at} to {chunk.offset} are damaged, or belong to no chunk"
        if not chunk.is_known and not chunk.flags & OPTIONAL:
            yield f"chunk at byte {chunk.offset}: kind {chunk.kind} is unknown to this version"
        if not one.sound:
            yield f"chunk at byte {chunk.offset}: the payload is damaged"
        at, last = chunk.end, chunk
        if chunk.kind == Kind.INDEX and at + FOOTER_SIZE <= file.size and read_footer(ahead, at + FOOTER_SIZE):
            at += FOOTER_SIZE
    if at != file.size or last is None or last.kind != Kind.INDEX:
        yield f"the end is missing or damaged, from byte {min(at, file.size)} on"


def _begins(file: File, offset: int) -> bool:
    return 0 <= offset <= file.size - len(MAGIC) and file.read(offset, len(MAGIC)) == MAGIC


__all__ = ["Salvaged", "salvage"]
