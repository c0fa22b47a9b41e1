"""An archive as a sequence of images, and as a list of files."""

import hashlib
import io
import json
import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from bitsback.archive import pool
from bitsback.archive.coding import decode_bytes, decode_images
from bitsback.archive.container import Block, ContainerReader, Kind
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.member import Type
from bitsback.archive.members import ChunkHead, Piece, Record, Shape, decode_head
from bitsback.archive.packing import Packing
from bitsback.archive.routes import Images, Library, ModelLike
from bitsback.errors import BitsBackError, FormatError, LimitError, UnsupportedVersionError
from bitsback.files import write

CACHE_BYTES = 128 << 20
"""Decoded images that are kept for the next one asked for; the chunk in use is kept whatever its size."""


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


@dataclass(slots=True)
class Member:
    """A file in an archive. Its name has *not* been judged safe yet: extraction and testing do that."""

    ordinal: int
    name: str
    size: int
    """Bytes of the file as it was stored; one that is compressed anew (PNG, gzip) may come back in another size."""
    mtime_ns: int | None
    mode: int | None
    recipe: dict[str, Any] | None
    """What kind of image file; None for a file that is kept as bytes."""
    blob: int
    parts: tuple[Part, ...] = ()
    routes: tuple[str, ...] = ()
    """"model", "predictor", "plain" for images; "packed" or "stored" for bytes."""
    models: tuple[str, ...] = ()
    """SHA-256 of the models needed, hex."""
    problem: str = ""
    """In a damaged archive: what is missing of it."""
    type: Type = Type.FILE
    target: str = ""

    @property
    def images(self) -> int:
        return sum(part.count for part in self.parts)

    @property
    def nbytes(self) -> int:
        """Bytes of its blob and its decoded arrays."""
        return self.blob + sum(part.nbytes for part in self.parts)


@dataclass(slots=True, frozen=True)
class Chunk:
    """A chunk's block and its head."""

    block: Block
    head: ChunkHead

    def ordinals(self) -> list[int]:
        """The files that have something in here."""
        return sorted({piece.member for piece in self.head.pieces} | {record.ordinal for record in self.head.records})


Parts = dict[int, list[Any]]
"""Of one file, by part: the decoded runs of bytes (0) or images (1 and up), in order."""

FileData = tuple[Member, bytes | BitsBackError]


class Archive:
    """An open `.bba` archive: a sequence of images, in the order of the files that they belong to.

    An image is (height, width) if it has one channel, else (height, width, channels), uint8 or uint16. A chunk is
    decoded when an image of it is asked for, and kept a while. Files that are no images are in :attr:`members` only.
    Opening reads the index and the heads of the chunks and decodes nothing.

    Args:
        file: a path, the archive's bytes, or a seekable binary file.
        library: where its models are looked for, besides the archive itself.
        limits: what it may announce.
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
        self._owned = isinstance(file, str | os.PathLike | bytes)
        if isinstance(file, bytes):
            self._stream: BinaryIO = io.BytesIO(file)
        elif isinstance(file, str | os.PathLike):
            self._stream = Path(file).open("rb")  # noqa: SIM115 (closed by close)
        else:
            self._stream = file
        self.library = library or Library()
        self.limits = limits
        self.damaged = damaged
        try:
            self._container = ContainerReader(self._stream, limits, damaged=damaged)
            self.problems = list(self._container.problems)
            self.chunks = self._read_chunks()
            self.members = self._read_members()
        except BaseException:
            self.close()
            raise
        self._by_ordinal = {member.ordinal: member for member in self.members}
        self._ends = list(accumulate(member.images for member in self.members))
        self._places: dict[int, list[tuple[int, int, Piece]]] | None = None
        self._decoded: OrderedDict[int, Images] = OrderedDict()
        self._models_loaded = False

    @property
    def size(self) -> int:
        """Bytes of the archive."""
        return self._container.size

    @property
    def version(self) -> tuple[int, int]:
        """The version of the format that it is written in."""
        return self._container.version

    @property
    def blocks(self) -> list[Block]:
        """All blocks but the index, in file order."""
        return self._container.blocks

    @property
    def names(self) -> list[str]:
        """The names of all files, in order."""
        return [member.name for member in self.members]

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._stream.close()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Archive of {len(self.members)} files, {len(self)} images, {self.size} bytes>"

    # Structure: what the heads say, and whether it fits together.

    def _read_chunks(self) -> list[Chunk]:
        chunks = []
        for block in self._container.blocks:
            try:
                if block.kind == Kind.CHUNK:
                    chunks.append(Chunk(block, decode_head(block.head, self.limits)))
                elif block.kind == Kind.MODEL and len(block.head) != 32:
                    raise FormatError("the head of a model is not an identity")
            except BitsBackError as error:
                message = f"block at byte {block.offset}: {error}"
                if not self.damaged or isinstance(error, UnsupportedVersionError):
                    raise type(error)(message) from None
                self.problems.append(message)
        return chunks

    def _read_members(self) -> list[Member]:
        records: dict[int, Record] = {}
        found: dict[int, list[tuple[Piece, Chunk]]] = {}
        for chunk in self.chunks:
            for record in chunk.head.records:
                if records.setdefault(record.ordinal, record) is not record:
                    if not self.damaged:
                        raise FormatError(f"two files are number {record.ordinal}")
                    self.problems.append(f"{record.name!r}: another file has its number; it is lost")
            for piece in chunk.head.pieces:
                found.setdefault(piece.member, []).append((piece, chunk))
        if len(records) > self.limits.members:
            raise LimitError(f"{len(records)} files are over the limit of {self.limits.members}")
        known = records.keys() | found.keys()
        lost = max(known, default=-1) + 1 - len(records)
        if lost:
            if not self.damaged:
                raise FormatError("the records of some files are missing")
            self.problems.append(f"the names of {lost} files are lost, and the files with them")
        return [self._member(records[ordinal], found.get(ordinal, [])) for ordinal in sorted(records)]

    def _member(self, record: Record, found: list[tuple[Piece, Chunk]]) -> Member:
        """A file, from its record and what its pieces say; FormatError unless they make up the file exactly."""
        kinds: dict[int, tuple[Shape, str]] = {}
        at = [0] * (1 + len(record.counts))
        routes: list[str] = []
        models: list[str] = []
        whole = True
        for piece, chunk in found:
            if piece.part >= len(at) or piece.start != at[piece.part]:
                whole = False
                continue
            at[piece.part] += piece.length
            images, section = chunk.head.images, chunk.head.data
            if piece.part and images:
                kind = (images.shape, images.dtype)
                whole = whole and kinds.setdefault(piece.part, kind) == kind
                routes.append(images.route.name.lower())
                models += [images.model.hex()] if images.model else []
            elif section and record.recipe is None:
                routes.append("stored" if section.packing == Packing.STORED else "packed")
        problem = "" if whole and at == [record.blob, *record.counts] else "a piece of it is missing"
        if problem and not self.damaged:
            raise FormatError(f"{record.name!r}: its pieces do not make up the file")
        return Member(
            record.ordinal,
            record.name,
            record.size,
            record.mtime_ns,
            record.mode,
            _recipe(record),
            record.blob,
            tuple(Part(count, *kinds[part]) for part, count in enumerate(record.counts, 1)) if not problem else (),
            tuple(dict.fromkeys(routes)) or ("stored",),
            tuple(dict.fromkeys(models)),
            problem,
        )

    def span(self, chunk: Chunk) -> str:
        """Which files a chunk has something of, in words."""
        names = [repr(self._by_ordinal[n].name) for n in chunk.ordinals() if n in self._by_ordinal]
        if not names:
            return "no file"
        return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)} files)"

    # Decoding.

    def _load_models(self) -> None:
        """Take the models that the archive embeds, those that its chunks need."""
        if self._models_loaded:
            return
        self._models_loaded = True
        needed = {chunk.head.images.model for chunk in self.chunks if chunk.head.images}
        for block in self._container.blocks:
            if block.kind == Kind.MODEL and block.head in needed:
                try:
                    self.library.add_file(block.head.hex(), self._model_file(block))
                except BitsBackError as error:
                    if not self.damaged:
                        where = f"block at byte {block.offset}"
                        reason = str(error).removeprefix(f"{where}: ")
                        raise type(error)(f"{where}, an embedded model: {reason}") from None

    def _model_file(self, block: Block) -> bytes:
        if block.payload_size > self.limits.model:
            raise LimitError(f"{block.payload_size} bytes are beyond the limit of {self.limits.model}")
        return self._container.payload(block)

    def model(self, identity: str) -> ModelLike:
        """The model with this SHA-256 (hex), from the archive itself or from its library.

        Raises:
            ModelNotFoundError: it is in neither. ModelError, FormatError: one that the archive embeds is not sound.
        """
        self._load_models()
        return self.library.find(identity)

    def _decode(self, chunk: Chunk, threads: int = 1) -> tuple[Images | None, bytes]:
        head, where = chunk.head, f"block at byte {chunk.block.offset}, {self.span(chunk)}"
        total = head.images.samples * head.images.sample_bytes if head.images else 0
        total += (head.data.size if head.data else 0) + chunk.block.payload_size
        if total > self.limits.memory:
            raise LimitError(f"{where}: needs {total} bytes, over the memory limit of {self.limits.memory}")
        try:
            payload = self._container.payload(chunk.block)
            images = decode_images(head.images, payload, self.library, threads) if head.images else None
            return images, decode_bytes(head, payload)
        except BitsBackError as error:
            raise type(error)(f"{where}: {str(error).removeprefix(f'block at byte {chunk.block.offset}: ')}") from error

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
        for chunk, offset, piece in self._image_places()[member.ordinal]:
            if piece.part == part + 1 and piece.start <= number < piece.start + piece.length:
                image: NDArray[Any] = self._chunk_images(chunk)[offset + number - piece.start]
                return image[..., 0].copy() if image.shape[-1] == 1 else image.copy()
        raise FormatError(f"{member.name!r}: image {number} is missing")

    def locate(self, index: int) -> tuple[Member, int, int]:
        """The file that image ``index`` belongs to, which of its arrays it is in, and its place in there."""
        index = range(len(self))[index]
        row = bisect_right(self._ends, index)
        member = self.members[row]
        number = index - (self._ends[row] - member.images)
        part = 0
        while number >= member.parts[part].count:
            number -= member.parts[part].count
            part += 1
        return member, part, number

    def _image_places(self) -> dict[int, list[tuple[int, int, Piece]]]:
        """For each file: chunk number, offset in the chunk, and piece. Made at the first use."""
        if self._places is None:
            self._places = {}
            for number, chunk in enumerate(self.chunks):
                offset = 0
                for piece in chunk.head.pieces:
                    if piece.part:
                        self._places.setdefault(piece.member, []).append((number, offset, piece))
                        offset += piece.length
        return self._places

    def _chunk_images(self, number: int) -> Images:
        if number not in self._decoded:
            self._load_models()
            images, _ = self._decode(self.chunks[number])
            if images is None:
                raise FormatError("a chunk has no images where its head announces some")
            self._decoded[number] = images
            while len(self._decoded) > 1 and sum(kept.nbytes for kept in self._decoded.values()) > CACHE_BYTES:
                self._decoded.popitem(last=False)
        self._decoded.move_to_end(number)
        return self._decoded[number]

    # Files.

    def files(self, members: Iterable[Member] | None = None, *, threads: int = 0) -> Iterator[FileData]:
        """The chosen files (default: all) and their bytes, each as soon as it is complete, in no fixed order.

        Every chunk is decoded at most once, and only if it has something of a chosen file. In a damaged archive, a
        file that cannot be had comes with the error in place of its bytes; otherwise the error is raised.
        """
        chosen = {member.ordinal for member in (self.members if members is None else members)}
        for ordinal in sorted(chosen):
            member = self._by_ordinal[ordinal]
            if not member.problem and member.nbytes > self.limits.memory:
                error = LimitError(
                    f"{member.name!r}: needs {member.nbytes} bytes, over the memory limit of {self.limits.memory}"
                )
                if not self.damaged:
                    raise error
                member.problem = str(error)
            if member.problem:
                chosen.remove(ordinal)
                yield member, FormatError(f"{member.name!r}: {member.problem}")
        chunks = [chunk for chunk in self.chunks if chosen.intersection(chunk.ordinals())]
        waits = dict.fromkeys(chosen, 0)
        for chunk in chunks:
            for ordinal in chosen.intersection(chunk.ordinals()):
                waits[ordinal] += 1
        alone = {ordinal for ordinal, count in waits.items() if count == 1}
        self._load_models()

        threads = pool.thread_count(threads)

        def share(chunk: Chunk) -> int:
            return pool.share(chunk.head.images.samples if chunk.head.images else 0, threads)

        def unfold(chunk: Chunk, threads: int) -> tuple[list[FileData], dict[int, Parts | BitsBackError]]:
            """In a worker: the files that are in this chunk altogether, and the pieces of the other ones."""
            here = chosen.intersection(chunk.ordinals())
            try:
                contents = self._contents(chunk, here, threads)
            except BitsBackError as error:
                if not self.damaged:
                    raise
                done: list[FileData] = [(self._by_ordinal[n], error) for n in sorted(here & alone)]
                return done, dict.fromkeys(here - alone, error)
            return [self._assemble(n, contents.pop(n)) for n in sorted(here & alone)], dict(contents)

        partial: dict[int, Parts | BitsBackError] = {}
        with closing(pool.ordered_map(unfold, chunks, threads, share)) as work:
            for done, rest in work:
                yield from done
                for ordinal, parts in rest.items():
                    known = partial.setdefault(ordinal, {})
                    if isinstance(known, BitsBackError) or isinstance(parts, BitsBackError):
                        partial[ordinal] = known if isinstance(known, BitsBackError) else parts
                    else:
                        for part, runs in parts.items():
                            known.setdefault(part, []).extend(runs)
                    waits[ordinal] -= 1
                    if not waits[ordinal]:
                        yield self._assemble(ordinal, partial.pop(ordinal))

    def _contents(self, chunk: Chunk, wanted: set[int], threads: int) -> dict[int, Parts]:
        """The decoded runs of the wanted files in a chunk."""
        images, data = self._decode(chunk, threads)
        out: dict[int, Parts] = {ordinal: {} for ordinal in wanted}
        image_at = byte_at = 0
        for piece in chunk.head.pieces:
            if piece.part and images is not None:
                run: Any = images[image_at : image_at + piece.length]
                image_at += piece.length
            else:
                run = data[byte_at : byte_at + piece.length]
                byte_at += piece.length
            if piece.member in wanted:
                out[piece.member].setdefault(piece.part, []).append(run)
        return out

    def _assemble(self, ordinal: int, parts: Parts | BitsBackError) -> FileData:
        member = self._by_ordinal[ordinal]
        if isinstance(parts, BitsBackError):
            return member, parts
        blob = b"".join(parts.get(0, ()))
        if member.recipe is None:
            return member, blob
        arrays = [_joined(parts[number]) for number in range(1, len(member.parts) + 1)]
        try:
            return member, write(member.recipe, blob, arrays)
        except BitsBackError as error:
            named = type(error)(f"{member.name!r}: {error}")
            if not self.damaged:
                raise named from error
            return member, named

    def contents(
        self, members: Iterable[Member], threads: int = 0
    ) -> Iterator[tuple[Member, Iterable[bytes] | BitsBackError]]:
        """:meth:`files`, in pieces."""
        for member, data in self.files(members, threads=threads):
            yield member, data if isinstance(data, BitsBackError) else (data,)

    def read(self, name: str) -> bytes:
        """One file's bytes. Raises KeyError if there is no such file."""
        chosen = [member for member in self.members if member.name == name]
        if not chosen:
            raise KeyError(name)
        ((_, data),) = self.files(chosen, threads=1)
        if isinstance(data, BitsBackError):
            raise data
        return data

    def test(self, *, threads: int = 0, progress: Callable[[int], None] | None = None) -> None:
        """Decode everything, check everything, put every file together, and throw it away.

        Raises the first error found; it names the block and the files in it.
        """
        for block in self._container.blocks:
            if block.kind != Kind.CHUNK:
                data = self._model_file(block) if block.kind == Kind.MODEL else self._container.payload(block)
                if block.kind == Kind.MODEL and hashlib.sha256(data).digest() != block.head:
                    raise FormatError(f"block at byte {block.offset}: the model is not the one that it is called")
        for member, data_or_error in self.files(threads=threads):
            if isinstance(data_or_error, BitsBackError):
                raise data_or_error
            if progress:
                progress(member.size)


def _recipe(record: Record) -> dict[str, Any] | None:
    if record.recipe is None:
        return None
    try:
        recipe = json.loads(record.recipe)
    except (ValueError, RecursionError):
        recipe = None
    if not isinstance(recipe, dict):
        raise FormatError(f"{record.name!r}: its recipe is not a JSON object")
    return recipe


def _joined(runs: list[Images]) -> Images:
    return runs[0] if len(runs) == 1 else np.concatenate(runs)
