"""What the heads and directories of an archive say, and whether it fits together. Nothing is decoded."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, chain
from typing import Any

import msgspec
import numpy as np
from msgspec import structs

from bitsback.archive import directory as directories
from bitsback.archive.container import Chunk, ContainerReader, End, File, Header, Kind, read_payload
from bitsback.archive.directory import Content, Directory, Row, Share
from bitsback.archive.head import Block, DataHead, Piece, decode_head
from bitsback.archive.library import kind_name
from bitsback.archive.limits import AGAIN_ARRAYS, CHUNK, CONTENT, MEMBER, PIECE, Allowance, Limits
from bitsback.archive.member import Entry, Type
from bitsback.archive.recovery import salvage
from bitsback.errors import BitsBackError, FormatError, LimitError, UnsupportedVersionError
from bitsback.files import coefficients
from bitsback.kinds.base import Shape


class Part(msgspec.Struct, frozen=True, gc=False):
    """One of a file's arrays."""

    count: int
    shape: Shape
    dtype: str
    coefficients: bool = False
    """Whether it is no images, but coefficients of one."""

    @property
    def images(self) -> int:
        """How many images it is."""
        return 1 if self.coefficients else self.count

    @property
    def nbytes(self) -> int:
        height, width, channels = self.shape
        return self.count * height * width * channels * np.dtype(self.dtype).itemsize


class Held(msgspec.Struct, frozen=True):
    """What is known of a content, which many members may share."""

    recipe: dict[str, Any] | None = None
    """What kind of image file; None for what is kept as bytes."""
    blob: int = 0
    """Bytes of metadata, or of the file."""
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
    images: int = 0
    """In all its parts."""
    nbytes: int = 0
    """Bytes of its blob and its decoded arrays."""


class Member(msgspec.Struct, frozen=True, gc=False):
    """A name in an archive, and what it stands for. The name has *not* been judged: extraction does that."""

    ordinal: int
    entry: Entry
    content: int | None = None
    """The number of its content, which other members may share."""
    held: Held = Held()

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
    def recipe(self) -> dict[str, Any] | None:
        return self.held.recipe

    @property
    def blob(self) -> int:
        return self.held.blob

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.held.parts

    @property
    def pixels_only(self) -> bool:
        return self.held.pixels_only

    @property
    def how(self) -> tuple[str, ...]:
        return self.held.how

    @property
    def models(self) -> tuple[str, ...]:
        return self.held.models

    @property
    def sha256(self) -> str:
        return self.held.sha256

    @property
    def problem(self) -> str:
        return self.held.problem

    def without(self, problem: str) -> Member:
        """The same member, whose content cannot be had."""
        return structs.replace(self, held=structs.replace(self.held, problem=problem))

    @property
    def exact(self) -> bool:
        """Whether the file comes back byte for byte."""
        return not self.held.pixels_only

    @property
    def images(self) -> int:
        return self.held.images

    @property
    def arrays(self) -> tuple[Part, ...]:
        """Its parts that are images."""
        return tuple(part for part in self.parts if not part.coefficients)

    @property
    def nbytes(self) -> int:
        """Bytes of its blob and its decoded arrays."""
        return self.held.nbytes


def relinked(members: Iterable[Member]) -> list[Member]:
    """The members, where a hard link to what is not among them is a file, and other links to the same link to that.

    A link belongs to the file that its target names if both have one content; after an append, that name may be
    another file's.
    """
    members = list(members)
    if not any(member.entry.type is Type.HARDLINK for member in members):
        return members
    files = {member.entry.name: member.content for member in members if member.entry.type is Type.FILE}
    instead: dict[tuple[str, int | None], str] = {}
    for row, member in enumerate(members):
        entry = member.entry
        if entry.type is Type.HARDLINK and files.get(entry.target, -1) != member.content:
            first = instead.setdefault((entry.target, member.content), entry.name)
            kind, target = (Type.FILE, "") if first == entry.name else (Type.HARDLINK, first)
            new = Entry(entry.name, kind, entry.mtime_ns, entry.mode, entry.size, target)
            members[row] = Member(member.ordinal, new, member.content, member.held)
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
    lots: list[int]
    """Number of the first image of each lot of each block, and then how many images there are."""
    looks: list[tuple[Shape, str]]
    """Shape and type of each lot."""
    ends: list[int] = field(default_factory=list)
    """Contents whose last piece is in here."""

    @classmethod
    def read(cls, number: int, chunk: Chunk, limits: Limits, allowance: Allowance) -> DataChunk:
        head = decode_head(chunk.head, limits, allowance)
        starts = list(accumulate((block.size for block in head.blocks), initial=head.data.packed if head.data else 0))
        if starts[-1] != chunk.payload_size:
            raise FormatError("the payload is not as long as its parts")
        firsts = [0, *accumulate(block.count for block in head.blocks)]
        lots = [(lot, block.dtype) for block in head.blocks for lot in block.lots]
        return cls(
            number,
            chunk,
            head,
            starts,
            firsts,
            [0, *accumulate(lot.n for lot, _ in lots)],
            [(lot.shape, dtype) for lot, dtype in lots],
        )

    def shapes(self, start: int, stop: int) -> Sequence[tuple[Shape, str]]:
        """Shape and type of images from one number to another, of each lot once."""
        return self.looks[bisect_right(self.lots, start) - 1 : bisect_right(self.lots, stop - 1)]

    @property
    def contents(self) -> set[int]:
        """The contents that have something in here."""
        return {piece.content for piece in (*self.head.image_pieces, *self.head.byte_pieces)}


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a piece is: in which data chunk, and from which of its images, or bytes, on."""

    chunk: int
    offset: int
    piece: Piece


def _numbered(found: Iterable[Directory]) -> Iterator[tuple[int, Row]]:
    """The rows of directories with their numbers."""
    return chain.from_iterable(enumerate(directory.rows, directory.first_member) for directory in found)


class Structure:
    """Chunks, contents, members, and where the pieces of each content are.

    Attributes:
        header, end: of a whole archive; None if it is damaged.
        tail: bytes behind the end, which do not count: an append was cut off there.
        all_chunks: all but the indexes, in order. ``chunks``: those of data.
        contents: by number. ``places``: for each, its pieces in file order. ``members``: those that count.
        next_member, next_content: the numbers that an append begins with.
        problems: in a damaged archive, what was found wrong, in words; in a whole one, what is damaged of its parity.
        incomplete: in a damaged archive, whether files may be lost that nothing names any more.

    Raises:
        FormatError, LimitError: it does not fit together, or announces too much.
    """

    def __init__(self, file: File, limits: Limits, *, damaged: bool = False) -> None:
        self.file, self.limits, self.damaged = file, limits, damaged
        self.problems: list[str] = []
        self._allowance = Allowance(limits, file.size)
        self._held: dict[int, Held] = {}
        self._plains: dict[tuple[bool, int], Held] = {}
        self._recipes: dict[str, dict[str, Any]] = {}
        self.incomplete = False
        self.header: Header | None = None
        self.end: End | None = None
        self.tail = 0
        if damaged:
            saved = salvage(file, limits)
            self.problems += saved.problems
            self.incomplete = saved.incomplete
            self.all_chunks, self.version, self.system, removed = (
                saved.chunks, saved.version, saved.system, saved.removed,
            )  # fmt: skip
        else:
            container = ContainerReader(file, limits)
            self.header, self.end, self.tail = container.header, container.end, container.tail
            self.all_chunks, self.version = container.chunks, container.header.version
            self.problems += container.problems
            self.system, removed = container.header.system, container.removed
        self._allowance.take(len(self.all_chunks), CHUNK)
        self.chunks = self._read_data()
        self._coded = [
            [(kind_name(block.tag), block.model.hex()) for block in data.head.blocks] for data in self.chunks
        ]
        self.contents: dict[int, Content] = {}
        found = self._read_directories()
        self.places = self._read_places()
        self.next_member = found[-1].first_member + len(found[-1].rows) if found else 0
        self.next_content = max(self.contents, default=-1) + 1
        self.members = self._read_members(found, removed | self._void(found))

    def each(self, kind: Kind) -> Iterator[Chunk]:
        """The chunks of a kind."""
        return (chunk for chunk in self.all_chunks if chunk.kind == kind)

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
                chunks.append(DataChunk.read(len(chunks), chunk, self.limits, self._allowance))
            except BitsBackError as error:
                if self._allowance.spent:
                    raise
                self._trouble(chunk, error)
        return chunks

    def _read_directories(self) -> list[Directory]:
        """All directories, in order; of each, one sound copy is enough. Their contents are kept."""
        found: dict[int, tuple[Chunk, Directory]] = {}
        lost: dict[int, tuple[Chunk, BitsBackError]] = {}
        for chunk, head in self._directory_heads(lost):
            try:
                if head.first_member in found:
                    _check_copy(chunk, found[head.first_member][0])
                    continue
                directory = directories.decode(head, self.payload(chunk), self.system, self._allowance)
                found[head.first_member] = chunk, directory
                lost.pop(head.first_member, None)
            except LimitError:
                raise
            except BitsBackError as error:
                lost[head.first_member] = (chunk, error)
        for chunk, reason in lost.values():
            self._trouble(chunk, reason)
        self.incomplete |= bool(lost)
        member = content = 0
        in_order = [directory for _, (_, directory) in sorted(found.items())]
        for directory in in_order:
            right = (directory.first_member, directory.first_content) == (member, content)
            if directory.first_member < member or directory.first_content < content or not (right or self.damaged):
                raise FormatError("the directories do not follow one another")
            self.incomplete |= not right
            self.contents |= enumerate(directory.contents, directory.first_content)
            member = directory.first_member + len(directory.rows)
            content = directory.first_content + len(directory.contents)
        return in_order

    def _directory_heads(
        self, lost: dict[int, tuple[Chunk, BitsBackError]]
    ) -> list[tuple[Chunk, directories.DirectoryHead]]:
        """The heads of all directories, copies included: what they announce, all together, must not be too much."""
        heads: list[tuple[Chunk, directories.DirectoryHead]] = []
        size = 0
        counted: set[tuple[int, int, int]] = set()
        for chunk in self.each(Kind.DIRECTORY):
            try:
                head = directories.read_head(chunk.head, self.limits)
            except LimitError:
                raise
            except BitsBackError as error:
                lost[-1] = (chunk, error)
                continue
            heads.append((chunk, head))
            if (what := (head.first_member, head.members, head.contents)) not in counted:
                counted.add(what)
                self._allowance.take(head.members, MEMBER)
                self._allowance.take(head.contents, CONTENT)
                size += head.size
        if size > 4 * self.limits.table:
            raise LimitError(f"directories of {size} bytes are over the limit of {4 * self.limits.table}")
        return heads

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
                    place = Place(number, offset, piece)
                    if (found := places.get(piece.content)) is None:
                        places[piece.content] = [place]
                    else:
                        found.append(place)
                    offset += piece.length
        for content, found in places.items():  # in the order of the chunks
            self.chunks[found[-1].chunk].ends.append(content)
        for data in self.chunks:
            data.ends.sort()
        self._share(places)
        return places

    def _share(self, places: dict[int, list[Place]]) -> None:
        """Let contents that share arrays have their pieces, too."""
        shares = [
            (number, part, share)
            for number, content in self.contents.items()
            for part, share in enumerate(content.shares, 1)
            if share is not None and self._may_share(number, part, share)
        ]
        pieces: dict[Share, list[Place]] = {share: [] for _, _, share in shares}
        for content in {share.content for share in pieces}:
            for place in places.get(content, ()):
                pieces.get(Share(content, place.piece.part), []).append(place)
        for number, part, share in shares:
            self._allowance.take(len(pieces[share]), PIECE)
            for place in pieces[share]:
                piece = place.piece._replace(content=number, part=part)
                places.setdefault(number, []).append(Place(place.chunk, place.offset, piece))

    def _may_share(self, number: int, part: int, share: Share) -> bool:
        """Whether the array that one is said to be the same as is there; FormatError if it cannot be."""
        other = self.contents.get(share.content)
        if other is None and self.damaged:
            return False
        if (
            other is None
            or (share.content, share.part) >= (number, part)
            or share.part > len(other.counts)
            or other.counts[share.part - 1] != self.contents[number].counts[part - 1]
            or (other.shares and other.shares[share.part - 1] is not None)
        ):
            raise FormatError("an array is said to be the same as one that it cannot be")
        return True

    def _void(self, found: Sequence[Directory]) -> set[int]:
        """The members that do not count since their file changed while it was being stored."""
        void: set[int | None] = set()
        for data in self.chunks:
            ends = set(data.ends) if data.head.void else set()
            if not self.damaged and not ends.issuperset(data.head.void):
                raise FormatError("a chunk voids what does not end in it")
            void |= ends.intersection(data.head.void)
        return {ordinal for ordinal, row in _numbered(found) if row.content in void} if void else set()

    def _read_members(self, found: Sequence[Directory], removed: set[int]) -> list[Member]:
        members: list[Member] = []
        if self.damaged:  # without an index, the later of two members of one name is the one that counts
            last = {row.entry.name: ordinal for ordinal, row in _numbered(found) if ordinal not in removed}
            removed |= {ordinal for ordinal, row in _numbered(found) if last.get(row.entry.name, ordinal) != ordinal}
        names: set[str] = set()
        for ordinal, row in _numbered(found):
            if ordinal in removed:
                continue
            if row.entry.name in names:
                raise FormatError(f"two members are called {row.entry.name!r}")
            names.add(row.entry.name)
            if row.content is None:
                members.append(Member(ordinal, row.entry))
                continue
            held = self.held(row.content)
            if held.parts:
                self._allowance.take(len(held.parts) // AGAIN_ARRAYS)
            if held.problem and not self.damaged:
                raise FormatError(f"{row.entry.name!r}: {held.problem}")
            entry = directories.sized(row, self.contents.get(row.content))
            members.append(Member(ordinal, entry, row.content, held))
        if orphans := self.places.keys() - self.contents.keys():
            if not self.damaged:
                raise FormatError("there is data of contents that no directory describes")
            self.problems.append(f"the names of {len(orphans)} files are lost, and the files with them")
            self.incomplete = True
        return relinked(members)

    def held(self, number: int) -> Held:
        """What is known of a content; its ``problem`` unless its pieces make it up exactly."""
        if number not in self._held:
            self._held[number] = self._content(number)
        return self._held[number]

    def _content(self, number: int) -> Held:
        content = self.contents.get(number)
        if content is None:
            return Held(problem="what it holds is not described")
        places = self.places.get(number, ())
        if content.recipe is None and content.sha256 is None and len(places) == 1:  # as of most small files
            (place,) = places
            if place.piece[1:] == (0, 0, content.blob) and (section := self.chunks[place.chunk].head.data):
                return self._plain(bool(section.packing), content.blob)
        kinds: dict[int, tuple[Shape, str]] = {}
        at = [0] * (1 + len(content.counts))
        how: dict[str, None] = {}
        models: dict[str, None] = {}
        whole = True
        for place in places:
            piece = place.piece
            if piece.part >= len(at) or piece.start != at[piece.part]:
                whole = False
                continue
            at[piece.part] += piece.length
            if piece.part:
                for shape in self.chunks[place.chunk].shapes(place.offset, place.offset + piece.length):
                    whole = whole and kinds.setdefault(piece.part, shape) == shape
                for kind, model in self._coded[place.chunk][self._which(place)]:
                    how[kind] = None
                    models |= {model: None} if model else {}
            elif content.recipe is None and (section := self.chunks[place.chunk].head.data):
                how["packed" if section.packing else "stored"] = None
        problem = "" if whole and at == [content.blob, *content.counts] else "a piece of it is missing"
        recipe = self._recipe(content)
        parts: tuple[Part, ...] = ()
        if not problem and content.counts:
            apart = coefficients(recipe or {}, len(content.counts))
            parts = tuple(Part(count, *kinds[part + 1], part in apart) for part, count in enumerate(content.counts))
        return Held(
            recipe,
            content.blob,
            parts,
            content.pixels_only,
            tuple(how) or ("stored",),
            tuple(models),
            (content.sha256 or b"").hex(),
            problem,
            sum(part.images for part in parts),
            content.blob + sum(part.nbytes for part in parts),
        )

    def _plain(self, packed: bool, size: int) -> Held:
        """What is known of a content that is kept as bytes, in one piece; the same for all of a size."""
        if (packed, size) not in self._plains:
            self._plains[packed, size] = Held(blob=size, how=("packed" if packed else "stored",), nbytes=size)
        return self._plains[packed, size]

    def blocks(self, place: Place) -> Sequence[Block]:
        """The blocks that an image piece lies in."""
        return self.chunks[place.chunk].head.blocks[self._which(place)]

    def _which(self, place: Place) -> slice:
        """Which blocks of its chunk those are."""
        firsts = self.chunks[place.chunk].firsts
        return slice(
            bisect_right(firsts, place.offset) - 1, bisect_right(firsts, place.offset + place.piece.length - 1)
        )

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
        named = [self._by_content[content] for content in data.contents if content in self._by_content]
        count = sum(count for _, _, count in named)
        first, last = min((first for first, _, _ in named), default=0), max((last for _, last, _ in named), default=0)
        if count < 2:
            return repr(self.members[first].name) if named else "no file"
        return f"{self.members[first].name!r} to {self.members[last].name!r} ({count} files)"

    @cached_property
    def _by_content(self) -> dict[int, tuple[int, int, int]]:
        """For each content the first and the last member that names it, by their place, and how many do."""
        found: dict[int, tuple[int, int, int]] = {}
        for row, member in enumerate(self.members):
            if member.content is not None:
                first, _, count = found.get(member.content, (row, row, 0))
                found[member.content] = first, row, count + 1
        return found


def _check_copy(chunk: Chunk, first: Chunk) -> None:
    """Raise FormatError unless two chunks, as they were written, are the same but for their places."""
    if (chunk.head, chunk.payload_size, chunk.payload_check) != (first.head, first.payload_size, first.payload_check):
        raise FormatError(f"not the copy of the chunk at byte {first.offset} that it should be")


__all__ = ["DataChunk", "Member", "Part", "Place", "Structure", "relinked"]
