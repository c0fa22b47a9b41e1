"""What the heads and directories of an archive say, and whether it fits together. Nothing is decoded."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np

from bitsback.archive import directory as directories
from bitsback.archive.container import Chunk, ContainerReader, End, File, Header, Kind, read_payload
from bitsback.archive.directory import Content, Directory
from bitsback.archive.head import Block, DataHead, Piece, decode_head
from bitsback.archive.library import kind_name
from bitsback.archive.limits import Limits
from bitsback.archive.member import Entry, Type
from bitsback.archive.recovery import salvage
from bitsback.errors import BitsBackError, FormatError, LimitError, UnsupportedVersionError
from bitsback.kinds.base import Shape


@dataclass(frozen=True, slots=True)
class Part:
    """One of a file's arrays."""

    count: int
    shape: Shape
    dtype: str

    @property
    def nbytes(self) -> int:
        height, width, channels = self.shape
        return self.count * height * width * channels * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Member:
    """A name in an archive, and what it stands for. The name has *not* been judged: extraction does that."""

    ordinal: int
    entry: Entry
    content: int | None = None
    """The number of its content, which other members may share."""
    recipe: dict[str, Any] | None = None
    """What kind of image file; None for what is kept as bytes."""
    blob: int = 0
    parts: tuple[Part, ...] = ()
    pixels_only: bool = False
    """Whether the file comes back with the same samples and metadata, but perhaps in other bytes."""
    how: tuple[str, ...] = ()
    """Names of kinds for images; "packed" or "stored" for bytes."""
    models: tuple[str, ...] = ()
    """SHA-256 of the models needed, hex."""
    sha256: str = ""
    """Of the file, hex, where the archive stores it."""
    problem: str = ""
    """In a damaged archive: what is missing of it."""

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def type(self) -> Type:
        return self.entry.type

    @property
    def size(self) -> int:
        return self.entry.size

    @property
    def mtime_ns(self) -> int | None:
        return self.entry.mtime_ns

    @property
    def mode(self) -> int | None:
        return self.entry.mode

    @property
    def target(self) -> str:
        return self.entry.target

    @property
    def exact(self) -> bool:
        """Whether the file comes back byte for byte."""
        return not self.pixels_only

    @property
    def images(self) -> int:
        return sum(part.count for part in self.parts)

    @property
    def nbytes(self) -> int:
        """Bytes of its blob and its decoded arrays."""
        return self.blob + sum(part.nbytes for part in self.parts)


def relinked(members: Iterable[Member]) -> list[Member]:
    """The members, where a hard link to what is not among them is a file, and other links to the same link to that.

    A link belongs to the file that its target names if both have one content; after an append, that name may be
    another file's.
    """
    members = list(members)
    if not any(member.type == Type.HARDLINK for member in members):
        return members
    files = {member.name: member.content for member in members if member.type == Type.FILE}
    instead: dict[tuple[str, int | None], str] = {}
    for row, member in enumerate(members):
        if member.type == Type.HARDLINK and files.get(member.target, -1) != member.content:
            first = instead.setdefault((member.target, member.content), member.name)
            kind, target = (Type.FILE, "") if first == member.name else (Type.HARDLINK, first)
            members[row] = replace(member, entry=replace(member.entry, type=kind, target=target))
    return members


@dataclass(slots=True, eq=False)
class DataChunk:
    """A data chunk, and where things are in it."""

    number: int
    """Which data chunk of the archive it is."""
    chunk: Chunk
    head: DataHead
    starts: list[int]
    """Of each block in the payload, behind the bytes; and then its end."""
    firsts: list[int]
    """Number of each block's first image in the chunk, and then how many there are."""
    ends: list[int] = field(default_factory=list)
    """Contents whose last piece is in here."""

    @classmethod
    def read(cls, number: int, chunk: Chunk, limits: Limits) -> DataChunk:
        head = decode_head(chunk.head, limits)
        starts = list(accumulate((block.size for block in head.blocks), initial=head.data.packed if head.data else 0))
        if starts[-1] != chunk.payload_size:
            raise FormatError("the payload is not as long as its parts")
        return cls(number, chunk, head, starts, [0, *accumulate(block.count for block in head.blocks)])

    @property
    def things(self) -> int:
        """What counts for :meth:`bitsback.archive.limits.Limits.things`."""
        return 64 * len(self.head.blocks) + len(self.head.image_pieces) + len(self.head.byte_pieces)

    @property
    def contents(self) -> set[int]:
        """The contents that have something in here."""
        return {piece.content for piece in (*self.head.image_pieces, *self.head.byte_pieces)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece is: in which data chunk, and from which of its images, or bytes, on."""

    chunk: int
    offset: int
    piece: Piece


class Structure:
    """Chunks, contents, members, and where the pieces of each content are.

    Attributes:
        header, end: of a whole archive; None if it is damaged.
        tail: bytes behind the end, which do not count: an append was cut off there.
        all_chunks: all but the indexes, in order. ``chunks``: those of data.
        contents: by number. ``places``: for each, its pieces in file order. ``members``: those that count.
        next_member, next_content: the numbers that an append begins with.
        problems: in a damaged archive, what was found wrong, in words.
        incomplete: in a damaged archive, whether files may be lost that nothing names any more.

    Raises:
        FormatError, LimitError: it does not fit together, or announces too much.
    """

    def __init__(self, file: File, limits: Limits, *, damaged: bool = False) -> None:
        self.file, self.limits, self.damaged = file, limits, damaged
        self.problems: list[str] = []
        self._things = 0
        self._spans: dict[int, str] = {}
        self._recipes: dict[str, dict[str, Any]] = {}
        self.incomplete = False
        self.header: Header | None = None
        self.end: End | None = None
        self.tail = 0
        if damaged:
            found = salvage(file, limits)
            self.problems += found.problems
            self.incomplete = found.incomplete
            self.all_chunks, self.version, self.system, removed = (
                found.chunks, found.version, found.system, found.removed,
            )  # fmt: skip
        else:
            container = ContainerReader(file, limits)
            self.header, self.end, self.tail = container.header, container.end, container.tail
            self.all_chunks, self.version = container.chunks, container.header.version
            self.system, removed = container.header.system, container.removed
        self.chunks = self._read_data()
        self.contents: dict[int, Content] = {}
        rows = self._read_directories()
        self.places = self._read_places()
        self.next_member = rows[-1][0] + 1 if rows else 0
        self.next_content = max(self.contents, default=-1) + 1
        self.members = self._read_members(rows, removed | self._void(rows))

    def each(self, kind: Kind) -> Iterator[Chunk]:
        """The chunks of a kind."""
        return (chunk for chunk in self.all_chunks if chunk.kind == kind)

    def _describe(self, things: int) -> None:
        """Count what the archive describes, before or right after it is made, and end it where it is too much."""
        self._things += things
        if self._things > self.limits.things(self.file.size):
            raise LimitError(f"describes more things than a file of {self.file.size} bytes can hold")

    def _trouble(self, chunk: Chunk, error: BitsBackError) -> None:
        """Raise the error with the place; in a damaged archive, note it."""
        where = f"chunk at byte {chunk.offset}"
        message = f"{where}: {str(error).removeprefix(f'{where}: ')}"
        if not self.damaged or isinstance(error, UnsupportedVersionError):
            raise type(error)(message) from None
        self.problems.append(message)

    def _read_data(self) -> list[DataChunk]:
        chunks: list[DataChunk] = []
        for chunk in self.each(Kind.DATA):
            try:
                chunks.append(DataChunk.read(len(chunks), chunk, self.limits))
            except BitsBackError as error:
                self._trouble(chunk, error)
            else:
                self._describe(chunks[-1].things)
        return chunks

    def _read_directories(self) -> list[tuple[int, directories.Row]]:
        """The rows of all directories with their numbers; of each directory, one sound copy is enough."""
        found: dict[int, tuple[Chunk, Directory]] = {}
        lost: dict[int, tuple[Chunk, BitsBackError]] = {}
        size = 0
        for chunk in self.each(Kind.DIRECTORY):
            first = -1
            try:
                head = directories.read_head(chunk.head, self.limits)
                first = head.first_member
                if first in found:
                    _check_copy(chunk, found[first][0])
                    continue
                size += head.size
                if size > 4 * self.limits.table:
                    raise LimitError(f"directories of {size} bytes are over the limit of {4 * self.limits.table}")
                self._describe(head.members + head.contents)
                directory = directories.decode(head, self.payload(chunk), self.system)
                self._describe(sum(len(content.counts) for content in directory.contents))
                found[first] = chunk, directory
                lost.pop(first, None)
            except LimitError:
                raise
            except BitsBackError as error:
                lost[first] = (chunk, error)
        for chunk, reason in lost.values():
            self._trouble(chunk, reason)
        rows = self._rows([directory for _, (_, directory) in sorted(found.items())])
        self.incomplete |= bool(lost) or [ordinal for ordinal, _ in rows] != list(range(len(rows)))
        return rows

    def _rows(self, found: Sequence[Directory]) -> list[tuple[int, directories.Row]]:
        """The rows of directories, in order; the contents are kept."""
        rows: list[tuple[int, directories.Row]] = []
        member = content = 0
        for directory in found:
            right = (directory.first_member, directory.first_content) == (member, content)
            if directory.first_member < member or directory.first_content < content or not (right or self.damaged):
                raise FormatError("the directories do not follow one another")
            rows += enumerate(directory.rows, directory.first_member)
            self.contents |= enumerate(directory.contents, directory.first_content)
            member = directory.first_member + len(directory.rows)
            content = directory.first_content + len(directory.contents)
        return rows

    def payload(self, chunk: Chunk) -> bytes:
        """A chunk's payload, checked."""
        if chunk.payload_size > self.limits.chunk:
            raise LimitError(f"a payload of {chunk.payload_size} bytes is over the limit of {self.limits.chunk}")
        return read_payload(self.file, chunk)

    def _read_places(self) -> dict[int, list[Place]]:
        """For each content, its pieces in the order of the file; and for each chunk, the contents that it ends."""
        places: dict[int, list[Place]] = {}
        for number, data in enumerate(self.chunks):
            for pieces in (data.head.image_pieces, data.head.byte_pieces):
                offset = 0
                for piece in pieces:
                    places.setdefault(piece.content, []).append(Place(number, offset, piece))
                    offset += piece.length
        for content, found in places.items():
            self.chunks[max(place.chunk for place in found)].ends.append(content)
        for data in self.chunks:
            data.ends.sort()
        return places

    def _void(self, rows: list[tuple[int, directories.Row]]) -> set[int]:
        """The members that do not count since their file changed while it was being stored."""
        void: set[int | None] = set()
        for data in self.chunks:
            ends = set(data.ends) if data.head.void else set()
            if not self.damaged and not ends.issuperset(data.head.void):
                raise FormatError("a chunk voids what does not end in it")
            void |= ends.intersection(data.head.void)
        return {ordinal for ordinal, row in rows if row.content in void} if void else set()

    def _read_members(self, rows: list[tuple[int, directories.Row]], removed: set[int]) -> list[Member]:
        members: list[Member] = []
        if self.damaged:  # without an index, the later of two members of one name is the one that counts
            last = {row.entry.name: ordinal for ordinal, row in rows if ordinal not in removed}
            removed |= {ordinal for ordinal, row in rows if last.get(row.entry.name, ordinal) != ordinal}
        known: dict[int, Member] = {}
        names: set[str] = set()
        for ordinal, row in rows:
            if ordinal in removed:
                continue
            if row.entry.name in names:
                raise FormatError(f"two members are called {row.entry.name!r}")
            names.add(row.entry.name)
            if row.content is None:
                members.append(Member(ordinal, row.entry))
                continue
            if row.content not in known:
                known[row.content] = self._content(row.content)
            like = known[row.content]
            if like.problem and not self.damaged:
                raise FormatError(f"{row.entry.name!r}: {like.problem}")
            content = self.contents.get(row.content)
            entry = directories.sized(row, content)
            members.append(
                Member(
                    ordinal,
                    entry,
                    row.content,
                    like.recipe,
                    like.blob,
                    like.parts,
                    like.pixels_only,
                    like.how,
                    like.models,
                    like.sha256,
                    like.problem,
                )
            )
        if orphans := self.places.keys() - self.contents.keys():
            if not self.damaged:
                raise FormatError("there is data of contents that no directory describes")
            self.problems.append(f"the names of {len(orphans)} files are lost, and the files with them")
            self.incomplete = True
        return relinked(members)

    def _content(self, number: int) -> Member:
        """What all members of a content have in common; its ``problem`` unless its pieces make it up exactly."""
        content = self.contents.get(number)
        nothing = Entry("")
        if content is None:
            return Member(-1, nothing, number, problem="what it holds is not described")
        kinds: dict[int, tuple[Shape, str]] = {}
        at = [0] * (1 + len(content.counts))
        how: list[str] = []
        models: list[str] = []
        whole = True
        for place in sorted(self.places.get(number, ()), key=lambda place: (place.chunk, place.offset)):
            piece = place.piece
            if piece.part >= len(at) or piece.start != at[piece.part]:
                whole = False
                continue
            at[piece.part] += piece.length
            head = self.chunks[place.chunk].head
            if piece.part:
                for block in self.blocks(place):
                    shape = (block.shape, block.dtype)
                    whole = whole and kinds.setdefault(piece.part, shape) == shape
                    how.append(kind_name(block.tag))
                    models += [block.model.hex()] if block.model else []
            elif content.recipe is None and head.data:
                how.append("packed" if head.data.packing else "stored")
        problem = "" if whole and at == [content.blob, *content.counts] else "a piece of it is missing"
        return Member(
            -1,
            nothing,
            number,
            self._recipe(content),
            content.blob,
            tuple(Part(count, *kinds[part]) for part, count in enumerate(content.counts, 1)) if not problem else (),
            content.pixels_only,
            tuple(dict.fromkeys(how)) or ("stored",),
            tuple(dict.fromkeys(models)),
            (content.sha256 or b"").hex(),
            problem,
        )

    def blocks(self, place: Place) -> Sequence[Block]:
        """The blocks that an image piece lies in."""
        data = self.chunks[place.chunk]
        first = bisect_right(data.firsts, place.offset) - 1
        last = bisect_right(data.firsts, place.offset + place.piece.length - 1) - 1
        return data.head.blocks[first : last + 1]

    def _recipe(self, content: Content) -> dict[str, Any] | None:
        """A content's recipe, which many may share."""
        text = content.recipe
        if text is None:
            return None
        if text not in self._recipes:
            try:
                recipe = json.loads(text)
            except (ValueError, RecursionError):
                recipe = None
            if not isinstance(recipe, dict):
                raise FormatError("a recipe is not a JSON object")
            self._recipes[text] = recipe
        return self._recipes[text]

    def span(self, data: DataChunk) -> str:
        """Which members a chunk has something of, in words."""
        if data.number not in self._spans:
            inside = data.contents
            names = [repr(member.name) for member in self.members if member.content in inside]
            words = f"{names[0]} to {names[-1]} ({len(names)} files)" if len(names) > 1 else "".join(names)
            self._spans[data.number] = words or "no file"
        return self._spans[data.number]


def _check_copy(chunk: Chunk, first: Chunk) -> None:
    """Raise FormatError unless two chunks, as they were written, are the same but for their places."""
    if (chunk.head, chunk.payload_size, chunk.payload_check) != (first.head, first.payload_size, first.payload_check):
        raise FormatError(f"not the copy of the chunk at byte {first.offset} that it should be")


__all__ = ["DataChunk", "Member", "Part", "Place", "Structure", "relinked"]
