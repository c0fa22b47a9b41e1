"""An archive as a sequence of images, and as a list of members."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from bitsback import files
from bitsback.archive.coding import Decoded, decode_block, unpack_bytes, working, worth
from bitsback.archive.container import Chunk, File, Kind
from bitsback.archive.directory import Content
from bitsback.archive.item import content_digest
from bitsback.archive.library import Library, ModelCoder
from bitsback.archive.limits import DEFAULT_LIMITS, SHARED, Limits
from bitsback.archive.pixels import Pixels
from bitsback.archive.structure import DataChunk, Held, Member, Part, Place, Structure
from bitsback.errors import BitsBackError, ChecksumError, FormatError, LimitError, ModelNotFoundError
from bitsback.kinds.base import Images
from bitsback.threads import ordered_map, thread_count

if TYPE_CHECKING:
    from bitsback.archive.workers import Workers
    from bitsback.files.listing import Inside

CACHE_BYTES = 128 << 20
"""Decoded images that are kept for the next one asked for; the block in use is kept whatever its size."""

SECTION_BYTES = 64 << 20
"""Unpacked bytes that are kept for the next file."""

AGAIN = 4
"""How often a block may be decoded in one go through an archive, on average."""

BATCH = 1 << 28
"""Bytes of contents and files that are put together at a time; one is, whatever its size."""

WHOLE = 1 << 26
"""A content kept as bytes that is larger than this is handed out piece by piece."""


Data = Iterable[bytes]
"""A file's bytes, in pieces that must be taken before the next file is asked for."""


def taken(data: Data | BitsBackError) -> Data:
    """The bytes of a file that can be had; raises the error of one that cannot."""
    if isinstance(data, BitsBackError):
        raise data
    return data


_Done = tuple[int, Data | BitsBackError, bytes]
"""A content's number, its bytes (nothing yet, if they are to be streamed), and its digest (nothing yet, likewise)."""


class Archive:
    """An open `.bba` archive: a sequence of images, in the order of the files that they belong to.

    An image is (height, width) if it has one channel, else (height, width, channels), uint8 or uint16. Of a JPEG file
    it is what Pillow decodes. A block is decoded when an image of it is asked for, and kept a while. Members that are
    no images are in :attr:`members` only. Opening reads the index, the heads of the chunks and the directories,
    and decodes nothing.

    One object may be used by several threads, and by processes that are forked from the one that opened it; it can be
    pickled if it was opened from a path or from bytes, and opens the same again.

    Args:
        file: a path, the archive's bytes, or a seekable binary file.
        library: where its models are looked for, besides the archive itself.
        limits: what it may announce, and what decoding may take.
        damaged: take what is whole. :attr:`problems` lists what was found wrong, and each member's ``problem``.
        keep: a folder in which decoded blocks are kept, as plain samples, and found again by whoever reads this
            archive with the same folder. It is made if need be, and grows to the size of the images.

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
        keep: str | os.PathLike[str] | None = None,
    ) -> None:
        self._given = file if isinstance(file, str | os.PathLike | bytes) else None
        self._stream: BinaryIO | None = None
        self.library = library or Library()
        self.limits = limits
        self.damaged = damaged
        self.workers: Workers | None = None
        """Who decodes blocks, if not this process."""
        self._pixels = None if keep is None else Pixels(Path(keep))
        if isinstance(file, str | os.PathLike):
            self._stream = Path(file).open("rb")  # noqa: SIM115 (closed by close)
        try:
            self._file = File(self._stream if self._stream is not None else file)  # type: ignore[arg-type]
            self.structure = Structure(self._file, limits, damaged=damaged)
        except BaseException:
            self.close()
            raise
        self.members = self.structure.members
        self._decoded: OrderedDict[tuple[int, int], Decoded] = OrderedDict()
        self._locks: dict[int, threading.RLock] = {}
        self._models_loaded = False
        self._broken: dict[bytes, BitsBackError] = {}
        self._last_blob: tuple[int, bytes] = (-1, b"")
        self._slipped: set[tuple[int, int]] = set()
        """Blocks of a damaged archive that were found beside their place."""

    def __getstate__(self) -> dict[str, Any]:
        if self._given is None:
            raise TypeError("an archive can be pickled if it was opened from a path or from bytes")
        keep = self._pixels.folder if self._pixels else None
        how = {"library": self.library, "limits": self.limits, "damaged": self.damaged, "keep": keep}
        return {"file": self._given, **how}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state.pop("file"), **state)  # type: ignore[misc]

    @cached_property
    def _by_name(self) -> dict[str, Member]:
        return {member.entry.name: member for member in self.members}

    @cached_property
    def _ends(self) -> list[int]:
        """For each member, how many images there are up to its end."""
        return list(accumulate(member.held.images for member in self.members))

    @property
    def _lock(self) -> threading.RLock:
        """One for each process: a fork may have copied one that is held by a thread that is not there."""
        return self._locks.setdefault(os.getpid(), threading.RLock())

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    @property
    def problems(self) -> list[str]:
        """In a damaged archive, what was found wrong, in words; in a whole one, what is damaged of its parity."""
        return self.structure.problems

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

    # Decoding.

    def load_models(self) -> None:
        """Take the models that the archive embeds, those that its blocks need. One that is damaged is not missed yet:
        there may be a copy of it, or another one on the shelf."""
        with self._lock:
            if self._models_loaded:
                return
            needed = {block.model for data in self.structure.chunks for block in data.head.blocks if block.model}
            for chunk in self.structure.each(Kind.MODEL):
                if chunk.head in needed:
                    try:
                        self.library.add_file(chunk.head.hex(), self._model_file(chunk))
                        needed.discard(chunk.head)
                    except BitsBackError as error:
                        where = f"chunk at byte {chunk.offset}"
                        words = str(error).removeprefix(f"{where}: ")
                        self._broken[chunk.head] = type(error)(f"{where}, an embedded model: {words}")
            self._models_loaded = True

    def _model_file(self, chunk: Chunk) -> bytes:
        if len(chunk.head) != 32:
            raise FormatError("the head of a model is not an identity")
        if chunk.payload_size > self.limits.model:
            raise LimitError(f"{chunk.payload_size} bytes are beyond the limit of {self.limits.model}")
        return self.structure.payload(chunk)

    def model(self, identity: str) -> ModelCoder:
        """The model with this SHA-256 (hex), from the archive itself or from its library.

        Raises:
            ModelNotFoundError: it is in neither. ModelError, FormatError: one that the archive embeds is not sound.
        """
        self.load_models()
        try:
            return self.library.find(identity)
        except ModelNotFoundError:
            if bytes.fromhex(identity) in self._broken:
                raise self._broken[bytes.fromhex(identity)] from None
            raise

    def _located(self, data: DataChunk, error: BitsBackError) -> BitsBackError:
        where = f"chunk at byte {data.chunk.offset}"
        return type(error)(f"{where}, {self.structure.span(data)}: {str(error).removeprefix(f'{where}: ')}")

    def _block(self, number: int, which: int, threads: int = 1, work: _Work | None = None) -> Decoded:
        """A block's images, kept for the next time. Its own check covers it, so of the payload no more is read."""
        key = (number, which)
        with self._lock:
            if key in self._decoded:
                self._decoded.move_to_end(key)
                return self._decoded[key]
        data = self.structure.chunks[number]
        block = data.head.blocks[which]
        if block.size > self.limits.chunk:
            raise LimitError(f"a block of {block.size} bytes is over the limit of {self.limits.chunk}")
        if work is not None:
            work.take(block.nbytes)
        try:
            images = self._decode(data, which, 0, threads)
        except ModelNotFoundError as error:
            raise self._located(data, self._broken.get(block.model, error)) from error
        except BitsBackError as error:
            if not (slip := self._slips.get(data.chunk.offset)):
                raise self._located(data, error) from error
            try:
                images = self._decode(data, which, slip, threads)
            except BitsBackError:
                raise self._located(data, error) from error
            self._slipped.add(key)
        with self._lock:
            self._decoded[key] = images
            while len(self._decoded) > 1 and sum(kept.nbytes for kept in self._decoded.values()) > CACHE_BYTES:
                self._decoded.popitem(last=False)
        return images

    def _decode(self, data: DataChunk, which: int, slip: int, threads: int) -> Decoded:
        """A block's images, read ``slip`` bytes away from its place."""
        block = data.head.blocks[which]
        if self._pixels and (kept := self._pixels.load(block)):
            return kept
        payload = self._file.read(data.chunk.payload_offset + data.starts[which] + slip, block.size)
        if self.workers:
            return self.workers.decode(block, payload, self.library, self.limits)
        images = decode_block(block, payload, self.library, self.limits, threads)
        if self._pixels:
            self._pixels.store(block, images)
        return images

    @cached_property
    def _slips(self) -> dict[int, int]:
        """By a chunk's offset, in a damaged archive: by how many bytes what follows has moved against it, and so its
        own last blocks, if bytes are gone from its payload or were put in."""
        chunks = sorted(self.structure.all_chunks, key=lambda chunk: chunk.offset) if self.damaged else []
        away = [chunk.offset - chunk.place for chunk in chunks]
        return {chunk.offset: after - before for chunk, before, after in zip(chunks, away, away[1:], strict=False)}

    # What putting an archive together anew takes over as it is.

    def payload(self, data: DataChunk) -> bytes | None:
        """A chunk's payload, checked as a whole; None if the archive is damaged, and its parts are to be checked."""
        return None if self.damaged else self.structure.payload(data.chunk)

    def block_payload(self, data: DataChunk, which: int) -> bytes:
        """A block as it is coded, checked by what it decodes to."""
        self.block_images(data, which)
        slip = self._slips[data.chunk.offset] if (data.number, which) in self._slipped else 0
        return self._file.read(data.chunk.payload_offset + data.starts[which] + slip, data.head.blocks[which].size)

    def block_images(self, data: DataChunk, which: int) -> Decoded:
        """A block's images."""
        self.load_models()
        return self._block(data.number, which)

    def packed_bytes(self, data: DataChunk) -> bytes:
        """The bytes of a chunk as they are packed, checked by what they unpack to."""
        self.unpacked_bytes(data)
        assert data.head.data is not None
        return self._file.read(data.chunk.payload_offset, data.head.data.packed)

    def unpacked_bytes(self, data: DataChunk) -> bytes:
        """The bytes of a chunk."""
        return self._bytes(data.number)

    def _bytes(self, number: int) -> bytes:
        """The unpacked bytes of a chunk."""
        data = self.structure.chunks[number]
        section = data.head.data
        if section is None:
            return b""
        if section.size + section.packed > self.limits.memory:
            raise LimitError(f"a chunk of {section.size} bytes is over the memory limit of {self.limits.memory}")
        try:
            return unpack_bytes(section, self._file.read(data.chunk.payload_offset, section.packed))
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
        if member.parts[part].coefficients:
            return self._shown(member, part)
        data, which, at = self._where(member, part, number)
        image: NDArray[Any] = self._block(data.number, which)[at]
        return image[..., 0].copy() if image.shape[-1] == 1 else image.copy()

    def _where(self, member: Member, part: int, number: int) -> tuple[DataChunk, int, int]:
        """The chunk, the block in it and the place in that, of an image of a file's array."""
        for place in self.structure.places[member.content if member.content is not None else -1]:
            piece = place.piece
            if piece.part == part + 1 and piece.start <= number < piece.start + piece.length:
                at = place.offset + number - piece.start
                data = self.structure.chunks[place.chunk]
                which = bisect_right(data.firsts, at) - 1
                return data, which, at - data.firsts[which]
        raise FormatError(f"{member.name!r}: image {number} is missing")

    def block_of(self, index: int) -> tuple[DataChunk, int]:
        """The chunk and the block in it that hold image ``index``: what is decoded to read it, but for a JPEG file, of
        which it is the first."""
        data, which, _ = self._where(*self.locate(index))
        return data, which

    def _shown(self, member: Member, part: int) -> NDArray[Any]:
        """The image of a JPEG file, or of one within a file, as Pillow decodes it."""
        assert member.content is not None  # it has images
        recipe, blob, which = files.innermost(member.recipe or {}, self._blob(member), _shapes(member.parts), part)
        about = [member.parts[number] for number in which]
        needed = sum(one.nbytes for one in about) + len(blob)
        files.check_bulk(recipe, _shapes(about), needed)
        return files.shown(files.write(recipe, blob, self._arrays_of(member.content, which, needed)))

    def _arrays_of(self, content: int, which: Iterable[int], needed: int) -> list[Images]:
        """Some arrays of a content, for something that takes ``needed`` bytes. LimitError if these are too many."""
        if needed > self.limits.memory:
            raise LimitError(f"needs {needed} bytes, over the memory limit of {self.limits.memory}")
        errors: dict[int, BitsBackError] = {}
        keys = [(content, number) for number in which]
        arrays = self._arrays(keys, errors, 1, _Work(self.structure))
        if errors:
            raise errors[content]
        return [arrays[key] for key in keys]

    def _blob(self, member: Member) -> bytes:
        """A file's metadata, kept as its other images may be asked for next."""
        assert member.content is not None  # whoever asks has seen its recipe
        content, (number, blob) = member.content, self._last_blob
        if number != content:
            sections = _Sections(self, _Work(self.structure), 0)
            blob = b"".join(sections.of(place) for place in self._places(content) if not place.piece.part)
            self._last_blob = content, blob
        return blob

    def inside(self, member: Member) -> list[Inside]:
        """What is in a member that is a tar or zip file, with or without gzip, and in such files within it; nothing for
        others, or if it is kept as bytes. Nothing but its metadata is decoded.

        Raises FormatError or another BitsBackError if it is damaged.
        """
        if member.recipe is None or member.problem or member.recipe.get("format") not in files.HOLDERS:
            return []
        if member.size + member.blob > self.limits.memory:
            raise LimitError(f"{member.name}: {member.size:,} bytes are over the memory limit")
        return files.inside(member.recipe, self._blob(member), _shapes(member.parts))

    def locate(self, index: int) -> tuple[Member, int, int]:
        """The member that image ``index`` belongs to, which of its arrays it is in, and its place in there."""
        index = range(len(self))[index]
        row = bisect_right(self._ends, index)
        member = self.members[row]
        number = index - (self._ends[row] - member.images)
        part = 0
        while number >= member.parts[part].images:
            number -= member.parts[part].images
            part += 1
        return member, part, number

    # Files.

    def contents(
        self, members: Iterable[Member] | None = None, threads: int = 0
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
        for member, data, _ in self._unfold(order, chosen, thread_count(threads)):
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
        for member, data, digest in self._unfold(order, chosen, thread_count(threads)):
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
        return max((place.chunk for place in self.structure.places.get(number, ())), default=-1)

    def _unfold(
        self, order: list[int], chosen: dict[int, list[Member]], threads: int
    ) -> Iterator[tuple[Member, Data | BitsBackError, bytes]]:
        """Contents and their digests, by the chunk that they end in; large ones come without, to be streamed."""
        groups: dict[int, list[int]] = {}
        for number in order:
            groups.setdefault(self._last_chunk(number), []).append(number)
        jobs = [job for chunk, numbers in groups.items() for job in self._jobs(chunk, numbers)]
        most = self._prepare(jobs)
        threads = max(1, min(threads, self.limits.memory // max(most, 1)))
        work = _Work(self.structure)
        sections = _Sections(self, work)

        def share(job: _Job) -> int:
            if job.chunk < 0:
                return 1
            return worth(sum(block.samples for block in self.structure.chunks[job.chunk].head.blocks), threads)

        def one(job: _Job, threads: int) -> list[_Done]:
            return self._finish(job, chosen, threads, work, sections)

        digests: dict[int, bytes] = {}
        with closing(ordered_map(one, jobs, threads, share)) as results:
            for job, done in zip(jobs, results, strict=True):
                digests |= {number: digest for number, _, digest in done if digest}
                if job.last and not job.first:
                    done = self._checked(job.chunk, digests, done)
                for number, data, digest in done:
                    for member in chosen[number]:
                        if isinstance(data, BitsBackError):
                            yield member, type(data)(f"{member.name!r}: {data}"), b""
                        else:
                            streamed = data if isinstance(data, list) else self._streamed(number, digests, work)
                            yield member, streamed, digest
                if job.last:
                    digests = {}

    def _jobs(self, chunk: int, numbers: Sequence[int]) -> Iterator[_Job]:
        """Contents that end in a chunk, so many at a time as take little memory. Mostly all: but where arrays are
        shared, any number of files may end where the array does."""
        batch: list[int] = []
        held, first, room = 0, True, min(BATCH, self.limits.memory)
        for number in numbers:
            content, about = self.structure.contents.get(number), self.structure.held(number)
            needed = 0 if content is None or _is_streamed(content) else about.nbytes + content.size
            if batch and held + needed > room:
                yield _Job(chunk, batch, first, False)
                batch, held, first = [], 0, False
            batch.append(number)
            held += needed
        yield _Job(chunk, batch, first, True)

    def _checked(self, chunk: int, digests: dict[int, bytes], done: list[_Done]) -> list[_Done]:
        """What was done, or the error if the files that end in a chunk are not, all together, what was stored."""
        try:
            self._check_digest(chunk, dict(sorted(digests.items())))
        except BitsBackError as error:
            return [(number, error, b"") for number, *_ in done]
        return done

    def _prepare(self, jobs: Iterable[_Job]) -> int:
        """Import and load here all that workers will need, so that none of them is the first to.

        Returns the bytes that a worker takes at most: what its contents hold, their files, and what decoding takes.
        """
        structure, most = self.structure, 0
        recipes: set[str | None] = set()
        working: dict[int, int] = {}
        for job in jobs:
            held, chunks = 0, set()
            for number in job.numbers:
                if (content := structure.contents.get(number)) is not None:
                    recipes.add(content.recipe)
                    about = structure.held(number)
                    held += about.nbytes + content.size
                    with suppress(FormatError):  # whoever makes the file will say what is wrong
                        held += _bulk(about, content)
                    chunks |= {place.chunk for place in structure.places.get(number, ())}
            for chunk in chunks - working.keys():
                working[chunk] = self._working(structure.chunks[chunk])
            most = max(most, held + max((working[chunk] for chunk in chunks), default=0))
        files.prepare(_formats(recipes))
        blocks = (block for chunk in working for block in structure.chunks[chunk].head.blocks)
        for tag, model in dict.fromkeys((block.tag, block.model) for block in blocks):
            with suppress(BitsBackError):  # whoever decodes such a block will say what is wrong
                self.library.coder(tag, model.hex()).prepare()
        return most

    def _working(self, data: DataChunk) -> int:
        """The bytes that decoding takes, of any of a chunk's blocks or of its bytes."""
        most = data.head.data.size if data.head.data else 0
        for block in data.head.blocks:
            with suppress(BitsBackError):  # it will not be decoded
                coder = self.library.coder(block.tag, block.model.hex())
                most = max(most, working(block, coder))
        return most

    def _finish(
        self, job: _Job, chosen: dict[int, list[Member]], threads: int, work: _Work, sections: _Sections
    ) -> list[_Done]:
        """In a worker: contents that end in a chunk, checked by its digest if all of them are here."""
        structure = self.structure
        errors: dict[int, BitsBackError] = {}
        whole: list[int] = []
        for number in job.numbers:
            member, content = chosen[number][0], structure.contents.get(number)
            if member.problem or content is None:
                errors[number] = FormatError(member.problem or "what it holds is not described")
            elif not _is_streamed(content):
                try:
                    needed = member.nbytes + content.size + _bulk(member.held, content)
                    if needed > self.limits.memory:
                        raise LimitError(f"needs {needed} bytes, over the memory limit of {self.limits.memory}")
                    whole.append(number)
                except BitsBackError as error:
                    errors[number] = error
        parts = self._parts(whole, errors, threads, work)
        out: list[_Done] = []
        for number in job.numbers:
            if number in errors:
                out.append((number, errors[number], b""))
            elif _is_streamed(structure.contents[number]):
                out.append((number, (), b""))  # by the caller
            else:
                try:
                    out.append((number, *self._file_of(number, parts.pop(number), sections)))
                except BitsBackError as error:
                    out.append((number, error, b""))
        if not (job.first and job.last):
            return out
        return self._checked(job.chunk, {number: digest for number, _, digest in out if digest}, out)

    def _file_of(self, number: int, parts: list[Images], sections: _Sections) -> tuple[list[bytes], bytes]:
        """A content's file, in one piece, and its digest."""
        content, recipe = self.structure.contents[number], self.structure.held(number).recipe
        blob = b"".join(sections.of(place) for place in self._places(number) if not place.piece.part)
        digest = content_digest(blob, content.recipe if content.pixels_only else None, parts)
        file = files.write(recipe, blob, parts) if recipe is not None else blob
        if not content.pixels_only and recipe is not None:
            digest = hashlib.sha256(file).digest()
        if len(file) != content.size and not content.pixels_only:
            raise ChecksumError(f"comes back with {len(file)} bytes instead of {content.size}")
        if content.sha256 not in (None, digest):
            raise ChecksumError("is not the file that was stored")
        return [file], digest

    def _places(self, number: int) -> list[Place]:
        """The pieces of a content in the order of the file."""
        return sorted(self.structure.places.get(number, ()), key=lambda place: (place.chunk, place.offset))

    def _check_digest(self, chunk: int, digests: dict[int, bytes]) -> None:
        """Compare the digests of contents with that of the chunk that they end in, if they are all there are."""
        if chunk < 0 or list(digests) != self.structure.chunks[chunk].ends:
            return
        data = self.structure.chunks[chunk]
        if hashlib.sha256(b"".join(digests.values())).digest() != data.head.digest:
            raise self._located(data, ChecksumError("the files do not come back as they were"))

    def _parts(
        self, numbers: list[int], errors: dict[int, BitsBackError], threads: int, work: _Work
    ) -> dict[int, list[Images]]:
        """The arrays of contents."""
        counts = {number: len(self.structure.held(number).parts) for number in numbers}
        keys = [(number, part) for number, count in counts.items() for part in range(count)]
        arrays = self._arrays(keys, errors, threads, work)
        return {number: [arrays[number, part] for part in range(count)] for number, count in counts.items()}

    def _arrays(
        self, keys: Sequence[tuple[int, int]], errors: dict[int, BitsBackError], threads: int, work: _Work
    ) -> dict[tuple[int, int], Images]:
        """Arrays of contents, by their numbers. Blocks are decoded side by side, and not held for longer than they are
        copied."""
        structure = self.structure
        arrays: dict[tuple[int, int], Images] = {}
        for number, which in keys:
            part = structure.held(number).parts[which]
            arrays[number, which] = np.empty((part.count, *part.shape), part.dtype)
        uses: dict[tuple[int, int], list[_Use]] = {}
        for number in dict.fromkeys(number for number, _ in keys):
            for place in self._places(number):
                if (number, place.piece.part - 1) in arrays:
                    for which, use in _uses(structure.chunks[place.chunk].firsts, number, place):
                        uses.setdefault((place.chunk, which), []).append(use)

        def one(key: tuple[int, int], threads: int) -> Decoded | BitsBackError:
            try:
                return self._block(*key, threads, work)
            except BitsBackError as error:
                return error

        with closing(ordered_map(one, uses, threads)) as decoded:
            for key, images in zip(uses, decoded, strict=True):
                for use in uses[key]:
                    if isinstance(images, BitsBackError):
                        errors.setdefault(use.number, images)
                    else:
                        at = use.start
                        for some in images.parts(use.first, use.last):
                            arrays[use.number, use.part - 1][at : at + len(some)] = some
                            at += len(some)
        return arrays

    def _streamed(self, number: int, digests: dict[int, bytes], work: _Work) -> Iterator[bytes]:
        """A large content's bytes, piece by piece; at the end its own digest and that of its last chunk are checked.

        ``digests``: those of the other contents that end there; its own is added.
        """
        digest, sections = hashlib.sha256(), _Sections(self, work, 0)
        for place in self._places(number):
            data = sections.of(place)
            digest.update(data)
            yield data
        digests[number] = digest.digest()
        if self.structure.contents[number].sha256 not in (None, digests[number]):
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

    def arrays(self, name: str) -> list[NDArray[Any]]:
        """The arrays of a file as the numbers that it holds: signed, wide and floating-point, where images are not.

        Each is (n, height, width), or (n, height, width, channels) if there are several of these, however the file
        orders its axes; tiles and pages are images. What lies in a container, like a zip file, comes one after the
        other. Of a JPEG file it is the image that Pillow decodes. A file without arrays has none.

        Raises KeyError if there is no such file, LimitError if it would take more memory than allowed, FormatError or
        another BitsBackError if it is damaged.
        """
        member = self.find(name)
        if member.content is None:
            raise KeyError(name)
        if member.problem:
            raise FormatError(f"{name!r}: {member.problem}")
        if not member.recipe:
            return []
        blob, shapes = self._blob(member), _shapes(member.parts)
        needed = len(blob) + 2 * sum(part.nbytes for part in member.parts)
        needed += files.check_bulk(member.recipe, shapes, member.size, member.exact).memory
        self.load_models()
        found = files.values(member.recipe, blob, self._arrays_of(member.content, range(len(shapes)), needed))
        return [array[..., 0] if array.shape[-1] == 1 else array for array in found]

    def unsound(self, since: int = 0) -> Iterator[str]:
        """What is wrong with the chunks from byte ``since`` on, in words; nothing is decoded."""
        for chunk in self.structure.all_chunks:
            try:
                if chunk.offset < since:
                    continue
                if self._file.check_sum(chunk.payload_offset, chunk.payload_size) != chunk.payload_check:
                    raise ChecksumError(f"chunk at byte {chunk.offset}: the payload is damaged")
                if chunk.kind == Kind.MODEL:
                    self.library.read_file(chunk.head.hex(), self._model_file(chunk))
            except BitsBackError as error:
                where = f"chunk at byte {chunk.offset}: "
                yield where + str(error).removeprefix(where)

    def test(self, *, threads: int = 0, progress: Callable[[int], None] | None = None) -> list[str]:
        """Decode everything, check everything, put every file together, and throw it away.

        Returns:
            What is wrong, a line for each; nothing if all is well.
        """
        problems = list(self.structure.problems)
        if self.structure.tail:
            problems.append(f"{self.structure.tail} bytes follow the end, as where adding to it was cut short")
        problems += self.unsound()
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


class _Job(NamedTuple):
    """Contents that end in a chunk, whether they are the first of those that are wanted, and the last."""

    chunk: int
    numbers: list[int]
    first: bool
    last: bool


class _Use(NamedTuple):
    """Images ``first`` to ``last`` of a block, and where they go: an array of a content, from ``start`` on."""

    number: int
    part: int
    start: int
    first: int
    last: int


def _uses(firsts: Sequence[int], number: int, place: Place) -> Iterator[tuple[int, _Use]]:
    """What a piece of a content takes of which blocks; ``firsts``: the number of each block's first image."""
    at, end, start = place.offset, place.offset + place.piece.length, place.piece.start
    while at < end:
        which = bisect_right(firsts, at) - 1
        stop = min(end, firsts[which + 1])
        yield which, _Use(number, place.piece.part, start, at - firsts[which], stop - firsts[which])
        start, at = start + stop - at, stop


class _Work:
    """Bytes that may still be decoded in one go through an archive: a few times what it holds.

    A block, or what is packed together, is decoded more than once where its files end in several chunks. No writer
    strews files so that it comes to more than this.
    """

    def __init__(self, structure: Structure) -> None:
        blocks = (block for data in structure.chunks for block in data.head.blocks)
        held = sum(block.nbytes for block in blocks)
        held += sum(data.head.data.size for data in structure.chunks if data.head.data)
        held += SHARED * sum(
            part.nbytes
            for number, content in structure.contents.items()
            for part, share in zip(structure.held(number).parts, content.shares, strict=False)
            if share is not None
        )
        self._left = AGAIN * held + CACHE_BYTES

    def take(self, size: int) -> None:
        """Raise LimitError if that is too much."""
        self._left -= size
        if self._left < 0:
            raise LimitError("files lie in so many pieces that the same would be decoded again and again")


class _Sections:
    """The bytes of chunks, unpacked when they are asked for, and errors. For several threads.

    ``most``: so many bytes are kept for files that lie in several chunks; one section is, whatever its size.
    """

    def __init__(self, archive: Archive, work: _Work, most: int = SECTION_BYTES) -> None:
        self._archive, self._work, self._most = archive, work, most
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._errors: dict[int, BitsBackError] = {}
        self._lock = threading.Lock()

    def of(self, place: Place) -> bytes:
        """A piece."""
        with self._lock:
            if place.chunk in self._errors:
                raise self._errors[place.chunk]
            data = self._kept.get(place.chunk)
        if data is None:
            data = self._unpacked(place.chunk)
        return data[place.offset : place.offset + place.piece.length]

    def _unpacked(self, chunk: int) -> bytes:
        try:
            section = self._archive.structure.chunks[chunk].head.data
            size = section.size if section else 0
            with self._lock:
                self._work.take(size)
                while self._kept and size + sum(map(len, self._kept.values())) > self._most:
                    self._kept.popitem(last=False)
            data = self._archive._bytes(chunk)
        except BitsBackError as error:
            self._errors[chunk] = error
            raise
        with self._lock:
            self._kept[chunk] = data
        return data


def _bulk(held: Held, content: Content) -> int:
    """Bytes that are made on the way to a file. FormatError if they are too many for one of its size."""
    if held.recipe is None:
        return 0
    return files.check_bulk(held.recipe, _shapes(held.parts), content.size, not content.pixels_only).memory


def _shapes(parts: Iterable[Part]) -> list[tuple[int, int, int, int]]:
    """Of arrays."""
    return [(part.count, *part.shape) for part in parts]


def _is_streamed(content: Content) -> bool:
    """Whether a content is handed out piece by piece."""
    return content.recipe is None and content.blob > WHOLE


def _formats(recipes: Iterable[str | None]) -> set[str]:
    """The formats that recipes name; where one holds another, all."""
    found: set[str] = set()
    for recipe in set(recipes) - {None}:
        found |= set(re.findall(r'"format":"([a-z0-9]+)"', recipe or ""))
    return found


__all__ = ["Archive", "Data", "Member", "Part"]
