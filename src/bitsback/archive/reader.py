"""An archive as a sequence of images, and as a list of members."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from bitsback.archive import directory as directories
from bitsback.archive import pool
from bitsback.archive.coding import decode_block, unpack_bytes
from bitsback.archive.container import Chunk, ContainerReader, File, Kind, read_payload
from bitsback.archive.directory import Content, Directory
from bitsback.archive.head import Block, DataHead, Piece, decode_head
from bitsback.archive.item import content_digest
from bitsback.archive.library import Library, ModelCoder, kind_name
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.member import Entry, Type
from bitsback.archive.recovery import salvage
from bitsback.errors import BitsBackError, ChecksumError, FormatError, LimitError, UnsupportedVersionError
from bitsback.files import write
from bitsback.kinds.base import Images, Shape

CACHE_BYTES = 128 << 20
"""Decoded images that are kept for the next one asked for; the block in use is kept whatever its size."""

WHOLE = 1 << 26
"""A content kept as bytes that is larger than this is handed out piece by piece."""


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
    """Among the data chunks."""
    chunk: Chunk
    head: DataHead
    starts: list[int]
    """Of each block in the payload, and then of the bytes."""
    firsts: list[int]
    """Number of each block's first image in the chunk, and then how many there are."""
    ends: list[int] = field(default_factory=list)
    """Contents whose last piece is in here."""

    @classmethod
    def read(cls, number: int, chunk: Chunk, limits: Limits) -> DataChunk:
        head = decode_head(chunk.head, limits)
        starts = [0, *accumulate(block.size for block in head.blocks)]
        if starts[-1] + (head.data.packed if head.data else 0) != chunk.payload_size:
            raise FormatError("the payload is not as long as its parts")
        return cls(number, chunk, head, starts, [0, *accumulate(block.count for block in head.blocks)])

    @property
    def things(self) -> int:
        """What counts for :meth:`bitsback.archive.limits.Limits.things`."""
        return len(self.head.blocks) + len(self.head.image_pieces) + len(self.head.byte_pieces)

    @property
    def contents(self) -> set[int]:
        """The contents that have something in here."""
        return {piece.content for piece in (*self.head.image_pieces, *self.head.byte_pieces)}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a piece is: in which data chunk, and from which of its images, or bytes, on."""

    chunk: int
    offset: int
    piece: Piece


Data = Iterable[bytes]
"""A file's bytes, in pieces that must be taken before the next file is asked for."""


_Done = tuple[int, Data | BitsBackError, bytes]
"""A content's number, its bytes (nothing yet, if they are to be streamed), and its digest (nothing yet, likewise)."""


class Archive:
    """An open `.bba` archive: a sequence of images, in the order of the files that they belong to.

    An image is (height, width) if it has one channel, else (height, width, channels), uint8 or uint16. A block is
    decoded when an image of it is asked for, and kept a while. Members that are no images are in :attr:`members` only.
    Opening reads the index, the heads of the chunks and the directories, and decodes nothing.

    One object may be used by several threads, and by processes that are forked from the one that opened it; it can be
    pickled if it was opened from a path or from bytes, and opens the same again.

    Args:
        file: a path, the archive's bytes, or a seekable binary file.
        library: where its models are looked for, besides the archive itself.
        limits: what it may announce, and what decoding may take.
        damaged: take what is whole. :attr:`problems` lists what was found wrong, and each member's ``problem``.

    Raises:
        FormatError: it is no archive, or a damaged one.
        LimitError: it announces too much.
        OSError: the file cannot be read.
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | bytes | BinaryIO,
        *,
        library: Library | None = None,
        limits: Limits = DEFAULT_LIMITS,
        damaged: bool = False,
    ) -> None:
        self._given = file if isinstance(file, str | os.PathLike | bytes) else None
        self._stream: BinaryIO | None = None
        self.library = library or Library()
        self.limits = limits
        self.damaged = damaged
        if isinstance(file, str | os.PathLike):
            self._stream = Path(file).open("rb")  # noqa: SIM115 (closed by close)
        try:
            self._file = File(self._stream if self._stream is not None else file)  # type: ignore[arg-type]
            self._read_structure()
        except BaseException:
            self.close()
            raise
        self._decoded: OrderedDict[tuple[int, int], Images] = OrderedDict()
        self._locks: dict[int, threading.RLock] = {}
        self._models_loaded = False
        self._spans: dict[int, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        if self._given is None:
            raise TypeError("an archive can be pickled if it was opened from a path or from bytes")
        return {"file": self._given, "library": self.library, "limits": self.limits, "damaged": self.damaged}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state.pop("file"), **state)  # type: ignore[misc]

    @property
    def _lock(self) -> threading.RLock:
        """One for each process: a fork may have copied one that is held by a thread that is not there."""
        return self._locks.setdefault(os.getpid(), threading.RLock())

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    @property
    def names(self) -> list[str]:
        """The names of all members, in order."""
        return [member.name for member in self.members]

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._stream is not None:
            self._stream.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Archive of {len(self.members)} members, {len(self)} images, {self.size} bytes>"

    # Structure: what heads and directories say, and whether it fits together.

    def _read_structure(self) -> None:
        self.problems: list[str] = []
        self._things = 0
        removed: set[int] = set()
        if self.damaged:
            found = salvage(self._file, self.limits)
            self.problems += found.problems
            self.all_chunks, self.version, self.system = found.chunks, found.version, found.system
            removed = found.removed
            self.tail = 0
        else:
            container = ContainerReader(self._file, self.limits)
            self.all_chunks, self.version = container.chunks, container.header.version
            self.system = container.header.system
            self.container = container
            removed = container.removed
            self.tail = container.tail
        self.chunks = self._read_data()
        self._contents: dict[int, Content] = {}
        self._recipes: dict[str, dict[str, Any]] = {}
        rows = self._read_directories()
        self._places = self._read_places()
        self.next_member = rows[-1][0] + 1 if rows else 0
        self.next_content = max(self._contents, default=-1) + 1
        self.members = self._read_members(rows, removed | self._void(rows))
        self._by_name = {member.name: member for member in self.members}
        self._ends = list(accumulate(member.images for member in self.members))

    def _each(self, kind: Kind) -> Iterator[Chunk]:
        return (chunk for chunk in self.all_chunks if chunk.kind == kind)

    def _describe(self, things: int) -> None:
        """Count what the archive describes, before or right after it is made, and end it where it is too much."""
        self._things += things
        if self._things > self.limits.things(self.size):
            raise LimitError(f"describes more things than a file of {self.size} bytes can hold")

    def _trouble(self, chunk: Chunk, error: BitsBackError) -> None:
        """Raise the error with the place; in a damaged archive, note it."""
        where = f"chunk at byte {chunk.offset}"
        message = f"{where}: {str(error).removeprefix(f'{where}: ')}"
        if not self.damaged or isinstance(error, UnsupportedVersionError):
            raise type(error)(message) from None
        self.problems.append(message)

    def _read_data(self) -> list[DataChunk]:
        chunks: list[DataChunk] = []
        for chunk in self._each(Kind.DATA):
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
        for chunk in self._each(Kind.DIRECTORY):
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
                directory = directories.decode(head, self._payload(chunk), self.system)
                self._describe(sum(len(content.counts) for content in directory.contents))
                found[first] = chunk, directory
                lost.pop(first, None)
            except LimitError:
                raise
            except BitsBackError as error:
                lost[first] = (chunk, error)
        for chunk, reason in lost.values():
            self._trouble(chunk, reason)
        return self._rows([directory for _, (_, directory) in sorted(found.items())])

    def _rows(self, found: Sequence[Directory]) -> list[tuple[int, directories.Row]]:
        """The rows of directories, in order; the contents are kept."""
        rows: list[tuple[int, directories.Row]] = []
        member = content = 0
        for directory in found:
            right = (directory.first_member, directory.first_content) == (member, content)
            if directory.first_member < member or directory.first_content < content or not (right or self.damaged):
                raise FormatError("the directories do not follow one another")
            rows += enumerate(directory.rows, directory.first_member)
            self._contents |= enumerate(directory.contents, directory.first_content)
            member = directory.first_member + len(directory.rows)
            content = directory.first_content + len(directory.contents)
        return rows

    def _payload(self, chunk: Chunk) -> bytes:
        if chunk.payload_size > self.limits.chunk:
            raise LimitError(f"a payload of {chunk.payload_size} bytes is over the limit of {self.limits.chunk}")
        return read_payload(self._file, chunk)

    def _read_places(self) -> dict[int, list[_Place]]:
        """For each content, its pieces in the order of the file; and for each chunk, the contents that it ends."""
        places: dict[int, list[_Place]] = {}
        for number, data in enumerate(self.chunks):
            for pieces in (data.head.image_pieces, data.head.byte_pieces):
                offset = 0
                for piece in pieces:
                    places.setdefault(piece.content, []).append(_Place(number, offset, piece))
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
            content = self._contents.get(row.content)
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
        if orphans := self._places.keys() - self._contents.keys():
            if not self.damaged:
                raise FormatError("there is data of contents that no directory describes")
            self.problems.append(f"the names of {len(orphans)} files are lost, and the files with them")
        return relinked(members)

    def _content(self, number: int) -> Member:
        """What all members of a content have in common; its ``problem`` unless its pieces make it up exactly."""
        content = self._contents.get(number)
        nothing = Entry("")
        if content is None:
            return Member(-1, nothing, number, problem="what it holds is not described")
        if content.recipe is not None and content.recipe not in self._recipes:
            self._recipes[content.recipe] = _recipe(content.recipe)
        kinds: dict[int, tuple[Shape, str]] = {}
        at = [0] * (1 + len(content.counts))
        how: list[str] = []
        models: list[str] = []
        whole = True
        for place in sorted(self._places.get(number, ()), key=lambda place: (place.chunk, place.offset)):
            piece = place.piece
            if piece.part >= len(at) or piece.start != at[piece.part]:
                whole = False
                continue
            at[piece.part] += piece.length
            head = self.chunks[place.chunk].head
            if piece.part:
                for block in self._blocks(place):
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
            self._recipes[content.recipe] if content.recipe is not None else None,
            content.blob,
            tuple(Part(count, *kinds[part]) for part, count in enumerate(content.counts, 1)) if not problem else (),
            content.pixels_only,
            tuple(dict.fromkeys(how)) or ("stored",),
            tuple(dict.fromkeys(models)),
            (content.sha256 or b"").hex(),
            problem,
        )

    def _blocks(self, place: _Place) -> Sequence[Block]:
        """The blocks that an image piece lies in."""
        data = self.chunks[place.chunk]
        first = bisect_right(data.firsts, place.offset) - 1
        last = bisect_right(data.firsts, place.offset + place.piece.length - 1) - 1
        return data.head.blocks[first : last + 1]

    def span(self, data: DataChunk) -> str:
        """Which members a chunk has something of, in words."""
        if data.number not in self._spans:
            inside = data.contents
            names = [repr(member.name) for member in self.members if member.content in inside]
            words = f"{names[0]} to {names[-1]} ({len(names)} files)" if len(names) > 1 else "".join(names)
            self._spans[data.number] = words or "no file"
        return self._spans[data.number]

    # Decoding.

    def load_models(self) -> None:
        """Take the models that the archive embeds, those that its blocks need, and prove that they run exactly here."""
        with self._lock:
            if self._models_loaded:
                return
            needed = {block.model for data in self.chunks for block in data.head.blocks if block.model}
            broken: dict[bytes, tuple[Chunk, BitsBackError]] = {}
            for chunk in self._each(Kind.MODEL):
                if chunk.head in needed:
                    try:
                        self.library.add_file(chunk.head.hex(), self._model_file(chunk))
                        needed.discard(chunk.head)
                        broken.pop(chunk.head, None)
                    except BitsBackError as error:
                        broken[chunk.head] = (chunk, error)
            for chunk, reason in broken.values():
                where = f"chunk at byte {chunk.offset}"
                if not self.damaged:
                    words = str(reason).removeprefix(f"{where}: ")
                    raise type(reason)(f"{where}, an embedded model: {words}") from None
            self._models_loaded = True

    def _model_file(self, chunk: Chunk) -> bytes:
        if len(chunk.head) != 32:
            raise FormatError("the head of a model is not an identity")
        if chunk.payload_size > self.limits.model:
            raise LimitError(f"{chunk.payload_size} bytes are beyond the limit of {self.limits.model}")
        return self._payload(chunk)

    def model(self, identity: str) -> ModelCoder:
        """The model with this SHA-256 (hex), from the archive itself or from its library.

        Raises:
            ModelNotFoundError: it is in neither. ModelError, FormatError: one that the archive embeds is not sound.
        """
        self.load_models()
        return self.library.find(identity)

    def _located(self, data: DataChunk, error: BitsBackError) -> BitsBackError:
        where = f"chunk at byte {data.chunk.offset}"
        return type(error)(f"{where}, {self.span(data)}: {str(error).removeprefix(f'{where}: ')}")

    def _block(self, number: int, which: int, threads: int = 1) -> Images:
        """A block's images, kept for the next time. Its own check covers it, so of the payload no more is read."""
        key = (number, which)
        with self._lock:
            if key in self._decoded:
                self._decoded.move_to_end(key)
                return self._decoded[key]
        data = self.chunks[number]
        block = data.head.blocks[which]
        if block.size > self.limits.chunk:
            raise LimitError(f"a block of {block.size} bytes is over the limit of {self.limits.chunk}")
        payload = self._file.read(data.chunk.payload_offset + data.starts[which], block.size)
        try:
            images = decode_block(block, payload, self.library, self.limits, threads)
        except BitsBackError as error:
            raise self._located(data, error) from error
        images.flags.writeable = False
        with self._lock:
            self._decoded[key] = images
            while len(self._decoded) > 1 and sum(kept.nbytes for kept in self._decoded.values()) > CACHE_BYTES:
                self._decoded.popitem(last=False)
        return images

    # What putting an archive together anew takes over as it is.

    def content(self, number: int) -> Content:
        """The content of this number, as a directory describes it."""
        return self._contents[number]

    def payload(self, data: DataChunk) -> bytes | None:
        """A chunk's payload, checked as a whole; None if the archive is damaged, and its parts are to be checked."""
        return None if self.damaged else self._payload(data.chunk)

    def block_payload(self, data: DataChunk, which: int) -> bytes:
        """A block as it is coded, checked by what it decodes to."""
        self.block_images(data, which)
        return self._file.read(data.chunk.payload_offset + data.starts[which], data.head.blocks[which].size)

    def block_images(self, data: DataChunk, which: int) -> Images:
        """A block's images, (count, height, width, channels)."""
        self.load_models()
        return self._block(data.number, which)

    def packed_bytes(self, data: DataChunk) -> bytes:
        """The bytes of a chunk as they are packed, checked by what they unpack to."""
        self.unpacked_bytes(data)
        assert data.head.data is not None
        return self._file.read(data.chunk.payload_offset + data.starts[-1], data.head.data.packed)

    def unpacked_bytes(self, data: DataChunk) -> bytes:
        """The bytes of a chunk."""
        return self._bytes(data.number)

    def _bytes(self, number: int) -> bytes:
        """The unpacked bytes of a chunk."""
        data = self.chunks[number]
        section = data.head.data
        if section is None:
            return b""
        if section.size + section.packed > self.limits.memory:
            raise LimitError(f"a chunk of {section.size} bytes is over the memory limit of {self.limits.memory}")
        try:
            return unpack_bytes(section, self._file.read(data.chunk.payload_offset + data.starts[-1], section.packed))
        except BitsBackError as error:
            raise self._located(data, error) from error

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[Any]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | list[NDArray[Any]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        member, part, number = self.locate(index)
        self.load_models()
        for place in self._places[member.content if member.content is not None else -1]:
            piece = place.piece
            if piece.part == part + 1 and piece.start <= number < piece.start + piece.length:
                at = place.offset + number - piece.start
                firsts = self.chunks[place.chunk].firsts
                which = bisect_right(firsts, at) - 1
                image: NDArray[Any] = self._block(place.chunk, which)[at - firsts[which]]
                return image[..., 0].copy() if image.shape[-1] == 1 else image.copy()
        raise FormatError(f"{member.name!r}: image {number} is missing")

    def locate(self, index: int) -> tuple[Member, int, int]:
        """The member that image ``index`` belongs to, which of its arrays it is in, and its place in there."""
        index = range(len(self))[index]
        row = bisect_right(self._ends, index)
        member = self.members[row]
        number = index - (self._ends[row] - member.images)
        part = 0
        while number >= member.parts[part].count:
            number -= member.parts[part].count
            part += 1
        return member, part, number

    # Files.

    def contents(
        self, members: Iterable[Member] | None = None, *, threads: int = 0
    ) -> Iterator[tuple[Member, Data | BitsBackError]]:
        """The chosen files (default: all members that have a content) and their bytes, in the order of their data.

        Members that share a content come one after the other. Bytes come in pieces, which must be taken before the
        next file is asked for. A file that cannot be had comes with the error in place of its bytes. Where all that a
        chunk ends is chosen, its digest is checked too.
        """
        chosen: dict[int, list[Member]] = {}
        for member in self.members if members is None else members:
            if member.content is not None:
                chosen.setdefault(member.content, []).append(member)
        self.load_models()
        order = sorted(chosen, key=lambda number: (self._last_chunk(number), number))
        for member, data, _ in self._unfold(order, chosen, pool.thread_count(threads)):
            yield member, data

    def digests(
        self, members: Iterable[Member] | None = None, *, threads: int = 0
    ) -> Iterator[tuple[Member, bytes | BitsBackError]]:
        """The chosen files (default: all) and the SHA-256 of what each comes back as.

        Of a file that comes back in other bytes it is the digest of recipe, metadata and samples: see
        :func:`bitsback.archive.item.content_digest`.
        """
        chosen: dict[int, list[Member]] = {}
        for member in self.members if members is None else members:
            if member.content is not None:
                chosen.setdefault(member.content, []).append(member)
        self.load_models()
        order = sorted(chosen, key=lambda number: (self._last_chunk(number), number))
        last: tuple[int | None, bytes | BitsBackError] = (None, b"")
        for member, data, digest in self._unfold(order, chosen, pool.thread_count(threads)):
            if member.content == last[0]:
                yield member, last[1]
                continue
            result: bytes | BitsBackError = digest
            if isinstance(data, BitsBackError):
                result = data
            elif not digest:  # streamed
                try:
                    running = hashlib.sha256()
                    for piece in data:
                        running.update(piece)
                    result = running.digest()
                except BitsBackError as error:
                    result = error
            last = (member.content, result)
            yield member, result

    def _last_chunk(self, number: int) -> int:
        """The data chunk that a content ends in; -1 for one without pieces."""
        return max((place.chunk for place in self._places.get(number, ())), default=-1)

    def _unfold(
        self, order: list[int], chosen: dict[int, list[Member]], threads: int
    ) -> Iterator[tuple[Member, Data | BitsBackError, bytes]]:
        """Contents and their digests, by the chunk that they end in; large ones come without, to be streamed."""
        groups: dict[int, list[int]] = {}
        for number in order:
            groups.setdefault(self._last_chunk(number), []).append(number)
        jobs = list(groups.items())
        most = max((self._memory(chunk) for chunk, _ in jobs if chunk >= 0), default=0)
        threads = max(1, min(threads, self.limits.memory // max(most, 1)))

        def share(job: tuple[int, list[int]]) -> int:
            if job[0] < 0:
                return 1
            return pool.share(sum(block.samples for block in self.chunks[job[0]].head.blocks), threads)

        def work(job: tuple[int, list[int]], threads: int) -> list[_Done]:
            return self._finish(job[0], job[1], chosen, threads)

        with closing(pool.ordered_map(work, jobs, threads, share)) as results:
            for done in results:
                digests = {number: digest for number, _, digest in done if digest}
                for number, data, digest in done:
                    for member in chosen[number]:
                        if isinstance(data, BitsBackError):
                            yield member, type(data)(f"{member.name!r}: {data}"), b""
                        else:
                            yield member, data if isinstance(data, list) else self._streamed(number, digests), digest

    def _memory(self, chunk: int) -> int:
        """What decoding a chunk takes at most, at a time."""
        data = self.chunks[chunk]
        total = sum(block.samples * block.sample_bytes for block in data.head.blocks)
        return total + (data.head.data.size if data.head.data else 0)

    def _finish(self, chunk: int, numbers: list[int], chosen: dict[int, list[Member]], threads: int) -> list[_Done]:
        """In a worker: the contents that end in a chunk, checked by its digest if all of them are here."""
        cache: dict[int, bytes | BitsBackError] = {}
        blocks = self._decode_all(numbers, threads)
        out: list[_Done] = []
        for number in numbers:
            member = chosen[number][0]
            content = self._contents.get(number)
            if member.problem or content is None:
                out.append((number, FormatError(member.problem or "what it holds is not described"), b""))
                continue
            if content.recipe is None and content.blob > WHOLE:
                out.append((number, (), b""))  # streamed by the caller
                continue
            try:
                if member.nbytes + content.size > self.limits.memory:
                    raise LimitError(f"needs {member.nbytes} bytes, over the memory limit of {self.limits.memory}")
                blob, parts = self._take(number, blocks, cache)
                digest = content_digest(blob, content.recipe if content.pixels_only else None, parts)
                file = write(member.recipe, blob, parts) if member.recipe is not None else blob
                if len(file) != content.size and not content.pixels_only:
                    raise ChecksumError(f"comes back with {len(file)} bytes instead of {content.size}")
                if not content.pixels_only and member.recipe is not None:
                    digest = hashlib.sha256(file).digest()
                if content.sha256 not in (None, digest):
                    raise ChecksumError("is not the file that was stored")
                out.append((number, [file], digest))
            except BitsBackError as error:
                out.append((number, error, b""))
        try:
            self._check_digest(chunk, {number: digest for number, _, digest in out if digest})
        except ChecksumError as error:
            return [(number, error, b"") for number, *_ in out]
        return out

    def _check_digest(self, chunk: int, digests: dict[int, bytes]) -> None:
        """Compare the digests of contents with that of the chunk that they end in, if they are all there are."""
        if chunk < 0 or list(digests) != self.chunks[chunk].ends:
            return
        data = self.chunks[chunk]
        if hashlib.sha256(b"".join(digests.values())).digest() != data.head.digest:
            raise self._located(data, ChecksumError("the files do not come back as they were"))

    def _decode_all(self, numbers: list[int], threads: int) -> dict[tuple[int, int], Images | BitsBackError]:
        """All blocks that some contents lie in, side by side."""
        wanted: dict[tuple[int, int], None] = {}
        for number in numbers:
            for place in self._places.get(number, ()):
                if place.piece.part:
                    firsts = self.chunks[place.chunk].firsts
                    first = bisect_right(firsts, place.offset) - 1
                    last = bisect_right(firsts, place.offset + place.piece.length - 1) - 1
                    wanted |= dict.fromkeys((place.chunk, which) for which in range(first, last + 1))

        def one(key: tuple[int, int], threads: int) -> Images | BitsBackError:
            try:
                return self._block(*key, threads)
            except BitsBackError as error:
                return error

        with closing(pool.ordered_map(one, wanted, threads)) as work:
            return dict(zip(wanted, work, strict=True))

    def _take(
        self,
        number: int,
        blocks: dict[tuple[int, int], Images | BitsBackError],
        cache: dict[int, bytes | BitsBackError],
    ) -> tuple[bytes, list[Images]]:
        """A content's blob and arrays, of decoded blocks; ``cache``: the bytes of chunks."""
        content = self._contents[number]
        runs: dict[int, list[Any]] = {}
        for place in sorted(self._places.get(number, ()), key=lambda place: (place.chunk, place.offset)):
            piece = place.piece
            if piece.part:
                runs.setdefault(piece.part, []).extend(self._images(place, blocks))
                continue
            if place.chunk not in cache:
                try:
                    cache[place.chunk] = self._bytes(place.chunk)
                except BitsBackError as error:
                    cache[place.chunk] = error
            data = cache[place.chunk]
            if isinstance(data, BitsBackError):
                raise data
            runs.setdefault(0, []).append(data[place.offset : place.offset + piece.length])
        parts = [_joined(runs[part]) for part in range(1, 1 + len(content.counts))]
        return b"".join(runs.get(0, ())), parts

    def _images(self, place: _Place, blocks: dict[tuple[int, int], Images | BitsBackError]) -> Iterator[Images]:
        """The images of a piece, in as many arrays as it lies in blocks."""
        firsts = self.chunks[place.chunk].firsts
        at, end = place.offset, place.offset + place.piece.length
        while at < end:
            which = bisect_right(firsts, at) - 1
            stop = min(end, firsts[which + 1])
            block = blocks[place.chunk, which]
            if isinstance(block, BitsBackError):
                raise block
            yield block[at - firsts[which] : stop - firsts[which]]
            at = stop

    def _streamed(self, number: int, digests: dict[int, bytes]) -> Iterator[bytes]:
        """A large content's bytes, piece by piece; at the end its own digest and that of its last chunk are checked.

        ``digests``: those of the other contents that end there; its own is added.
        """
        content = self._contents[number]
        digest = hashlib.sha256()
        for place in sorted(self._places[number], key=lambda place: (place.chunk, place.offset)):
            data = self._bytes(place.chunk)[place.offset : place.offset + place.piece.length]
            digest.update(data)
            yield data
        digests[number] = digest.digest()
        if content.sha256 not in (None, digests[number]):
            raise ChecksumError("is not the file that was stored")
        self._check_digest(self._last_chunk(number), dict(sorted(digests.items())))

    def find(self, name: str) -> Member:
        """The member of this name. Raises KeyError if there is none."""
        return self._by_name[name]

    def read(self, name: str) -> bytes:
        """One file's bytes; a hard link's are those of the file. Raises KeyError if there is no such file."""
        member = self.find(name)
        if member.content is None:
            raise KeyError(name)
        self.load_models()
        ((_, data, _),) = self._unfold([member.content], {member.content: [member]}, 1)
        if isinstance(data, BitsBackError):
            raise data
        return b"".join(data)

    def test(self, *, threads: int = 0, progress: Callable[[int], None] | None = None) -> list[str]:
        """Decode everything, check everything, put every file together, and throw it away.

        Returns:
            What is wrong, a line for each; nothing if all is well.
        """
        problems = list(self.problems)
        if self.tail:
            problems.append(f"{self.tail} bytes follow the end, as where adding to the archive was cut short")
        for chunk in self.all_chunks:
            try:
                if self._file.check_sum(chunk.payload_offset, chunk.payload_size) != chunk.payload_check:
                    raise ChecksumError(f"chunk at byte {chunk.offset}: the payload is damaged")
                if chunk.kind == Kind.MODEL and self.model(chunk.head.hex()).data != self._model_file(chunk):
                    raise FormatError(f"chunk at byte {chunk.offset}: the model is not the one that it is called")
            except BitsBackError as error:
                problems.append(str(error))
        for member, data in self.contents(threads=threads):
            try:
                if isinstance(data, BitsBackError):
                    raise data
                for _ in data:
                    pass
            except BitsBackError as error:
                problems.append(str(error))
            if progress:
                progress(member.size)
        return list(dict.fromkeys(problems))


def _check_copy(chunk: Chunk, first: Chunk) -> None:
    """Raise FormatError unless two chunks, as they were written, are the same but for their places."""
    if (chunk.head, chunk.payload_size, chunk.payload_check) != (first.head, first.payload_size, first.payload_check):
        raise FormatError(f"not the copy of the chunk at byte {first.offset} that it should be")


def _recipe(text: str) -> dict[str, Any]:
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError):
        recipe = None
    if not isinstance(recipe, dict):
        raise FormatError("a recipe is not a JSON object")
    return recipe


def _joined(runs: list[Images]) -> Images:
    return runs[0] if len(runs) == 1 else np.concatenate(runs)


__all__ = ["Archive", "Data", "Member", "Part", "relinked"]
