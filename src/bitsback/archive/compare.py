"""What differs between two sides, each an archive or what lies on disk: names, entries, contents."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Protocol

from bitsback import files
from bitsback.archive.gather import Source, read_pieces, read_whole
from bitsback.archive.item import array_hashes
from bitsback.archive.member import Entry, Type
from bitsback.archive.reader import Archive
from bitsback.errors import BitsBackError


class Difference(NamedTuple):
    """A name, and what differs: ``"first"`` or ``"second"`` if it is only there, else what of it is not the same."""

    name: str
    what: tuple[str, ...]


ONLY_FIRST, ONLY_SECOND = ("first",), ("second",)


class Side(Protocol):
    """Entries, and what is in them."""

    entries: dict[str, Entry]
    """By name, in order."""
    pixels_only: frozenset[str]
    """Files of which only pixels and metadata were kept, so that their bytes say nothing."""

    def digests(self, names: Collection[str], threads: int) -> Iterator[tuple[str, bytes]]:
        """SHA-256 of files, in any order. Raises BitsBackError for one that cannot be had."""

    def read(self, name: str) -> bytes:
        """A whole file."""


class Stored(Side):
    """An archive; ``label`` says which, where it is damaged."""

    def __init__(self, archive: Archive, label: str) -> None:
        self._archive, self._label = archive, label
        self.entries = {member.name: member.entry for member in archive.members}
        self.pixels_only = frozenset(member.name for member in archive.members if member.pixels_only)

    def digests(self, names: Collection[str], threads: int) -> Iterator[tuple[str, bytes]]:
        members = [member for member in self._archive.members if member.name in names]
        for member, digest in self._archive.digests(members, threads=threads):
            if isinstance(digest, BitsBackError):
                raise self._named(digest)
            yield member.name, digest

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except BitsBackError as error:
            raise self._named(error) from error

    def _named(self, error: BitsBackError) -> BitsBackError:
        return type(error)(f"{self._label}: {error}")


class Found(Side):
    """Files, folders and links on disk, as :func:`bitsback.archive.gather.gather` finds them."""

    pixels_only = frozenset()

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {source.name: source for source in sources}
        self.entries = {name: source.entry for name, source in self._sources.items()}

    def digests(self, names: Collection[str], threads: int) -> Iterator[tuple[str, bytes]]:
        for name in names:
            digest = hashlib.sha256()
            for piece in read_pieces(self._sources[name], 1 << 20):
                digest.update(piece)
            yield name, digest.digest()

    def read(self, name: str) -> bytes:
        return read_whole(self._sources[name])


def differences(first: Side, second: Side, threads: int = 0) -> Iterator[Difference]:
    """What is not the same on both sides, by name.

    Contents are compared where types and sizes are the same: by SHA-256, or by the samples of their images if one side
    keeps no more than that. Nothing is decoded for what differs in its size. Times and modes count if both sides know
    them. Raises BitsBackError if a file cannot be read.
    """
    both = [name for name in first.entries if name in second.entries]
    files_of_both = [name for name in both if first.entries[name].type == second.entries[name].type == Type.FILE]
    loose = [name for name in files_of_both if name in first.pixels_only | second.pixels_only]
    exact = {
        name for name in set(files_of_both).difference(loose) if first.entries[name].size == second.entries[name].size
    }
    digests = dict(first.digests(exact, threads))
    other = {name for name, digest in second.digests(exact, threads) if digest != digests[name]}
    other |= {name for name in loose if not _same_images(first.read(name), second.read(name), name)}
    other |= set(files_of_both).difference(loose, exact)
    for name in sorted(first.entries.keys() | second.entries.keys()):
        if name not in second.entries:
            yield Difference(name, ONLY_FIRST)
        elif name not in first.entries:
            yield Difference(name, ONLY_SECOND)
        elif what := (
            *(("content",) if name in other else ()),
            *_of_entries(first.entries[name], second.entries[name]),
        ):
            yield Difference(name, what)


def _same_images(one: bytes, other: bytes, name: str) -> bool:
    if one == other:
        return True
    pictures = [files.parse(data, name, pixels=True) for data in (one, other)]
    hashes = [array_hashes(picture) for picture in pictures]
    return bool(hashes[0]) and hashes[0] == hashes[1]


def _of_entries(one: Entry, other: Entry) -> Iterator[str]:
    if one.type != other.type:
        yield "type"
        return
    if one.target != other.target:
        yield "target"
    for what in ("mode", "mtime_ns"):
        known = (getattr(one, what), getattr(other, what))
        if None not in known and known[0] != known[1]:
            yield {"mode": "mode", "mtime_ns": "time"}[what]


__all__ = ["ONLY_FIRST", "ONLY_SECOND", "Difference", "Found", "Side", "Stored", "differences"]
