"""An archive in memory: what extraction needs of one, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bitsback.archive.gather import Source, read_whole
from bitsback.archive.member import Entry, Type
from bitsback.errors import BitsBackError


@dataclass(frozen=True, slots=True)
class Member:
    """A member as a reader gives it."""

    ordinal: int
    name: str
    type: Type = Type.FILE
    mtime_ns: int | None = None
    mode: int | None = None
    size: int = 0
    target: str = ""


@dataclass
class FakeArchive:
    """What extraction needs of an archive: members, and the content of files in an order of its own."""

    members: list[Member]
    data: dict[str, bytes | BitsBackError | Iterable[bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    piece: int = 3

    def contents(
        self, members: Sequence[Member], threads: int = 0
    ) -> Iterator[tuple[Member, Iterable[bytes] | BitsBackError]]:
        shuffled = list(members)
        random.Random(0).shuffle(shuffled)
        for member in shuffled:
            assert member.type == Type.FILE
            self.asked.append(member.name)
            data = self.data.get(member.name, member.name.encode("utf-8", "surrogatepass"))
            yield member, self._pieces(data) if isinstance(data, bytes) else data

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), self.piece):
            yield data[at : at + self.piece]


def pack(*entries: Entry | str, **options: Any) -> FakeArchive:
    """An archive of these; names alone are files, each with its name for its content."""
    members = [
        Member(n, e.name, e.type, e.mtime_ns, e.mode, e.size, e.target)
        for n, e in enumerate(entry if isinstance(entry, Entry) else Entry(entry) for entry in entries)
    ]
    return FakeArchive(members, **options)


def pack_sources(sources: Sequence[Source]) -> FakeArchive:
    """An archive of what was gathered."""
    return pack(
        *(source.entry for source in sources),
        data={source.name: read_whole(source) for source in sources if source.entry.type == Type.FILE},
        piece=1 << 16,
    )
