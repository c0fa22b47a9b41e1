"""Archives that change: members added without rewriting; archives put together anew from the members that stay.

Adding writes new chunks, an index and a footer behind what is there, so that at any moment the file is the old
archive, perhaps with something after it that readers pass over, or the new one. All else makes a new file: payloads
are taken over as they are, and only a block that loses some of its images is coded again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from msgspec import structs

from bitsback.archive import atomic
from bitsback.archive.coding import encode_block, pack_bytes
from bitsback.archive.container import COPY, HERE, ContainerWriter, Header, Kind
from bitsback.archive.directory import Content, Directory, Row, Share
from bitsback.archive.head import Block, Bytes, DataHead, Piece, joined
from bitsback.archive.item import Item
from bitsback.archive.library import Library
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.member import Entry
from bitsback.archive.plan import Load, Room
from bitsback.archive.protect import protect, share_of
from bitsback.archive.reader import Archive
from bitsback.archive.report import Kept, Report
from bitsback.archive.structure import DataChunk, Member, relinked
from bitsback.archive.verify import verify
from bitsback.archive.writer import Continued, Progress, Settings, Writer
from bitsback.errors import BitsBackError, ChecksumError, OutputExistsError
from bitsback.files import Skipped
from bitsback.kinds import lots as kinds


def append(
    path: Path,
    items: Iterable[Item],
    library: Library,
    settings: Settings,
    *,
    keep_old: bool = False,
    check: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    skipped: list[Skipped] | None = None,
    listing: Iterable[Entry] | None = None,
) -> Report:
    """Add members to the archive at ``path``, in place. A name that is there already is superseded.

    If the archive has parity, what is added gets its own.

    Should anything fail, the file is cut back to what it was; should the process die, readers find the old archive.
    Of several processes that add to one archive, each waits for the others.

    Raises:
        OutputExistsError: with ``keep_old``, a name is there already. OSError: the disk is full, and the like.
        FormatError: it is no sound archive, or what was written does not read back.
    """
    began = time.perf_counter()
    report = Report(skipped=[] if skipped is None else skipped)
    with atomic.alone(path) as file:
        with Archive(path, library=library, limits=limits) as archive:
            continued, share, known = _continued(archive), share_of(archive.structure), archive.problems

        def seen() -> Iterator[Item]:
            for item in items:
                if keep_old and item.entry.name in continued.names:
                    raise OutputExistsError(f"{item.entry.name!r}: is in the archive already")
                yield item

        size = continued.end.size
        try:
            file.truncate(size)  # what a killed run left behind
            file.seek(size)
            Writer(file, library, settings, report, progress, continued).write(seen(), listing)
            if share:
                report.bytes_out += protect(file, share, limits)
            file.flush()
            os.fsync(file.fileno())
            if check:
                with Archive(path, library=library.afresh(), limits=limits) as archive:
                    verify(archive, report, continued.members, since=size, known=known, threads=settings.threads)
        except BaseException as error:
            with suppress(OSError):  # readers pass over what cannot be cut off; what is to be told is what came first
                os.ftruncate(file.fileno(), size)  # (the file's own truncate would write what it has left)
                os.fsync(file.fileno())
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(path)
            raise
    report.warnings = list(dict.fromkeys(report.warnings))
    report.seconds = time.perf_counter() - began
    return report


def _known(archive: Archive) -> dict[bytes, int]:
    """Contents by their SHA-256, where the archive has it."""
    found = ((member.sha256, member.content) for member in archive.members)
    return {bytes.fromhex(sha256): content for sha256, content in found if sha256 and content is not None}


def _continued(archive: Archive) -> Continued:
    """Where an archive goes on."""
    structure = archive.structure
    assert structure.header is not None and structure.end is not None
    return Continued(
        structure.header,
        structure.end,
        structure.next_member,
        structure.next_content,
        {member.name: member.ordinal for member in archive.members},
        {chunk.head.hex() for chunk in structure.each(Kind.MODEL)},
        _known(archive),
    )


@dataclass(slots=True)
class Rebuilt:
    """What was put together: members of the new archive, and those left out because their data are lost."""

    members: list[Member]
    lost: list[Member]
    size: int = 0
    report: Report = field(default_factory=Report)
    """What must read back, see :func:`bitsback.archive.verify.verify`; no members unless it was asked for."""


def rebuild(
    parts: Sequence[tuple[Archive, Sequence[Member]]], stream: BinaryIO, *, threads: int = 0, check: bool = False
) -> Rebuilt:
    """Write a new archive of the chosen members of some archives, in this order; of equal names the last one counts.

    Damaged archives may be among them (``damaged=True``): what is lost is left out. With ``check``, the old archives'
    files are hashed, for the new one to be compared with.
    """
    counted = {member.name: (number, member.ordinal) for number, (_, members) in enumerate(parts) for member in members}
    out = Rebuilt([], [])
    system = parts[0][0].structure.system if parts else HERE
    first_content = 0
    hashed = hashlib.sha256(b"rebuilt")
    chosen: list[_Chosen] = []
    for number, (archive, members) in enumerate(parts):
        kept = [member for member in members if counted[member.name] == (number, member.ordinal)]
        digests = dict(_digests(archive, kept, threads)) if check or archive.damaged else {}
        sound, lost = _sound(archive, kept, digests) if archive.damaged else (kept, [])
        linked = relinked(sound)
        directories, taken = _directories(archive, linked, len(out.members), first_content)
        if check:
            out.report.members += [
                Kept(member.entry, digest=_sure(digests.get(member.ordinal, b""))) for member in linked
            ]
        encoded = [directory.encode(system) for directory in directories]
        data = [data for data in archive.structure.chunks if any(map(taken.of, _pieces(data)))]
        chosen.append(_Chosen(archive, encoded, taken, data, taken.ends(data)))
        out.members += sound
        out.lost += lost
        first_content += len(taken.renumbered)
        for some in (*(some for pair in encoded for some in pair), *(one.head.digest for one in data)):
            hashed.update(some)
    container = ContainerWriter(stream, Header(int.from_bytes(hashed.digest()[:8], "little"), system))
    models: set[str] = set()
    for one in chosen:
        _copy(container, one, models)
    out.size = container.finish()
    return out


@dataclass(slots=True)
class _Taken:
    """What of an archive goes into another."""

    renumbered: dict[int, int]
    """Contents, with their new numbers."""
    owners: dict[Share, Share]
    """Arrays that are needed, and whose they are from now on: the first's that has it. Both by old numbers."""

    def of(self, piece: Piece) -> Piece | None:
        """A piece as the new archive has it; None if it is not needed."""
        owner = self.owner(piece)
        if owner is None:
            return None
        return piece._replace(content=self.renumbered[owner.content], part=owner.part)

    def owner(self, piece: Piece) -> Share | None:
        if piece.part:
            return self.owners.get(Share(piece.content, piece.part))
        return Share(piece.content, 0) if piece.content in self.renumbered else None

    def ends(self, chunks: Sequence[DataChunk]) -> dict[int, list[int]]:
        """For each of the chunks, the contents that end in it, by their old numbers, in the order of the new ones."""
        last = {owner.content: data.number for data in chunks for owner in map(self.owner, _pieces(data)) if owner}
        ends: dict[int, list[int]] = {}
        for content in sorted(last, key=self.renumbered.__getitem__):
            ends.setdefault(last[content], []).append(content)
        return ends


def _pieces(data: DataChunk) -> Iterator[Piece]:
    return chain(data.head.image_pieces, data.head.byte_pieces)


class _Chosen(NamedTuple):
    """What is taken of an archive: directories that are ready, contents with their new numbers, and chunks of data."""

    archive: Archive
    directories: list[tuple[bytes, bytes]]
    taken: _Taken
    data: list[DataChunk]
    ends: dict[int, list[int]]
    """For each chunk, the contents that end in it, by their old numbers."""


def _digests(archive: Archive, members: Sequence[Member], threads: int) -> Iterator[tuple[int, bytes | BitsBackError]]:
    """The digests of members, by their numbers, or what is wrong with them."""
    return ((member.ordinal, digest) for member, digest in archive.digests(members, threads=threads))


def _sure(digest: bytes | BitsBackError) -> bytes:
    if isinstance(digest, BitsBackError):
        raise digest
    return digest


def _sound(
    archive: Archive, members: Sequence[Member], digests: Mapping[int, bytes | BitsBackError]
) -> tuple[list[Member], list[Member]]:
    """Members whose content can be had, and the others, with what is wrong."""
    wrong: dict[int, str] = {}
    for member in members:
        if isinstance(digest := digests.get(member.ordinal), BitsBackError):
            wrong[member.ordinal] = str(digest).removeprefix(f"{member.name!r}: ")
    lost = [member.without(wrong[member.ordinal]) for member in members if member.ordinal in wrong]
    return [member for member in members if member.ordinal not in wrong], lost


def _directories(
    archive: Archive, members: Sequence[Member], first_member: int, first_content: int
) -> tuple[list[Directory], _Taken]:
    """New directories of members of one archive, and what is needed of it for them."""
    renumbered: dict[int, int] = {}
    taken = _Taken(renumbered, {})
    out = []
    known = archive.structure.contents
    for batch in _batches(known, members):
        first = len(renumbered)
        for member in batch:
            if member.content is not None and member.content not in renumbered:
                renumbered[member.content] = first_content + len(renumbered)
        rows = [
            Row(
                structs.replace(member.entry, size=0),
                renumbered[member.content] if member.content is not None else None,
            )
            for member in batch
        ]
        contents = [_shared_anew(known[old], old, taken) for old in list(renumbered)[first:]]
        out.append(Directory(first_member, first_content + first, rows, contents))
        first_member += len(batch)
    return out, taken


def _shared_anew(content: Content, number: int, taken: _Taken) -> Content:
    """A content, by its old number, whose arrays are those of the first that is taken and has them."""
    shares: list[Share | None] = []
    for part in range(1, len(content.counts) + 1):
        array = (content.shares[part - 1] if content.shares else None) or Share(number, part)
        owner = taken.owners.setdefault(array, Share(number, part))
        own = owner == Share(number, part)
        shares.append(None if own else owner._replace(content=taken.renumbered[owner.content]))
    return structs.replace(content, shares=tuple(shares) if any(shares) else ())


def _batches(contents: Mapping[int, Content], members: Sequence[Member]) -> Iterator[list[Member]]:
    """Members that share a directory, as a writer would take them."""
    batch: list[Member] = []
    room = Room()
    for member in members:
        recipe = contents[member.content].recipe if member.content is not None else None
        load = Load(0, len(member.name) + len(member.target) + len(recipe or ""), len(member.parts))
        if not room.takes(load):
            yield batch
            batch, room = [], Room()
            room.takes(load)
        batch.append(member)
    if batch:
        yield batch


def _copy(container: ContainerWriter, chosen: _Chosen, models: set[str]) -> None:
    """Directories, models and data of one archive, and second copies of what several chunks of data need.

    ``models``: those that are in the new archive already; grows.
    """
    archive = chosen.archive
    for head, payload in chosen.directories:
        container.add(Kind.DIRECTORY, head, payload)
    used = ({block.model.hex() for block in data.head.blocks if block.model} for data in chosen.data)
    needed = Counter(chain.from_iterable(used))
    inside = sorted({chunk.head.hex() for chunk in archive.structure.each(Kind.MODEL)} & needed.keys() - models)
    models.update(inside)
    for identity in inside:
        container.add(Kind.MODEL, bytes.fromhex(identity), archive.model(identity).data)
    for data in chosen.data:
        container.add(Kind.DATA, *_chunk(archive, data, chosen.taken, chosen.ends.get(data.number, [])))
    if len(chosen.data) > 1:
        for head, payload in chosen.directories:
            container.add(Kind.DIRECTORY, head, payload, COPY)
    for identity in inside:
        if needed[identity] > 1:
            container.add(Kind.MODEL, bytes.fromhex(identity), archive.model(identity).data, COPY)


def _chunk(archive: Archive, data: DataChunk, taken: _Taken, ends: list[int]) -> tuple[bytes, bytes]:
    """Head and payload of a chunk without what is not wanted of it."""
    blocks: list[Block] = []
    payloads: list[bytes] = []
    image_pieces: list[Piece] = []
    whole = archive.payload(data)
    for which, block in enumerate(data.head.blocks):
        pieces = list(_within(data.head.image_pieces, data.firsts[which], data.firsts[which + 1]))
        wanted = [(at, new) for at, piece in pieces if (new := taken.of(piece)) is not None]
        if not wanted:
            continue
        payload = whole[data.starts[which] : data.starts[which + 1]] if whole else archive.block_payload(data, which)
        if len(wanted) < len(pieces):
            images = archive.block_images(data, which)
            lots = kinds.by_shape(one for at, piece in wanted for one in images.parts(at, at + piece.length))
            coder = archive.library.coder(block.tag, block.model.hex())
            again = encode_block(lots, block.front, [coder], verify=True)
            block, payload = again.block, again.payload
        blocks.append(block)
        payloads.append(payload)
        image_pieces += [piece for _, piece in wanted]
    section, packed, byte_pieces = _bytes(archive, data, whole, taken)
    digest = data.head.digest if ends == data.ends else _digest(archive, ends)
    head = DataHead(blocks, joined(image_pieces), section, joined(byte_pieces), digest if ends else b"")
    return head.encode(), b"".join([packed, *payloads])


def _bytes(
    archive: Archive, data: DataChunk, whole: bytes | None, taken: _Taken
) -> tuple[Bytes | None, bytes, list[Piece]]:
    """The bytes of a chunk: as they are, or those that are wanted packed anew."""
    section = data.head.data
    if section is None:
        return None, b"", []
    found = _within(data.head.byte_pieces, 0, section.size)
    wanted = [(at, new) for at, piece in found if (new := taken.of(piece)) is not None]
    pieces = [piece for _, piece in wanted]
    if not pieces:
        return None, b"", []
    if len(pieces) == len(data.head.byte_pieces):
        return section, whole[: data.starts[0]] if whole else archive.packed_bytes(data), pieces
    unpacked = archive.unpacked_bytes(data)
    kept = b"".join(unpacked[at : at + piece.length] for at, piece in wanted)
    return *pack_bytes(kept, bool(section.packing)), pieces


def _within(pieces: Sequence[Piece], start: int, stop: int) -> Iterator[tuple[int, Piece]]:
    """The pieces that lie between two places, cut to them, and where each begins after ``start``."""
    at = 0
    for piece in pieces:
        first, last = max(at, start), min(at + piece.length, stop)
        if first < last:
            yield first - start, piece._replace(start=piece.start + first - at, length=last - first)
        at += piece.length


def _digest(archive: Archive, contents: Sequence[int]) -> bytes:
    """The digest of a chunk in which these contents end."""
    members = {member.content: member for member in archive.members}
    digests: dict[int | None, bytes] = {}
    for member, digest in archive.digests([members[content] for content in contents]):
        if isinstance(digest, BitsBackError):
            raise digest
        digests[member.content] = digest
    if len(digests) != len(contents):
        raise ChecksumError("a content is missing")
    return hashlib.sha256(b"".join(digests[content] for content in contents)).digest()


__all__ = ["Rebuilt", "append", "rebuild"]
