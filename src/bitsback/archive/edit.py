"""Archives that change: members added without rewriting; archives put together anew from the members that stay.

Adding writes new chunks, an index and a footer behind what is there, so that at any moment the file is the old
archive, perhaps with something after it that readers pass over, or the new one. All else makes a new file: payloads
are taken over as they are, and only a block that loses some of its images is coded again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bitsback.archive.coding import encode_block, pack_bytes
from bitsback.archive.container import COPY, ContainerWriter, Header, Kind, System
from bitsback.archive.directory import MAX_MEMBERS, Content, Directory, Row
from bitsback.archive.head import Block, Bytes, DataHead, Piece
from bitsback.archive.item import Item
from bitsback.archive.library import Library
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.plan import Key
from bitsback.archive.reader import Archive
from bitsback.archive.report import Report
from bitsback.archive.structure import DataChunk, Member
from bitsback.archive.verify import verify
from bitsback.archive.writer import Continued, Progress, Settings, Writer
from bitsback.errors import BitsBackError, ChecksumError, OutputExistsError
from bitsback.files import Skipped


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
) -> Report:
    """Add members to the archive at ``path``, in place. A name that is there already is superseded.

    Should anything fail, the file is cut back to what it was; should the process die, readers find the old archive.

    Raises:
        OutputExistsError: with ``keep_old``, a name is there already. OSError: the disk is full, and the like.
        FormatError: it is no sound archive, or what was written does not read back.
    """
    began = time.perf_counter()
    report = Report(skipped=[] if skipped is None else skipped)
    with Archive(path, library=library, limits=limits) as archive:
        there = {member.name: member.ordinal for member in archive.members}
        structure = archive.structure
        assert structure.header is not None and structure.end is not None
        models = {chunk.head.hex() for chunk in structure.each(Kind.MODEL)}
        continued = Continued(structure.header, structure.end, structure.next_member, structure.next_content, models)
    superseded: list[int] = []

    def seen() -> Iterator[Item]:
        for item in items:
            if (old := there.get(item.entry.name)) is not None:
                if keep_old:
                    raise OutputExistsError(f"{item.entry.name!r}: is in the archive already")
                superseded.append(old)
            yield item

    with path.open("r+b") as file:
        file.truncate(continued.end.size)  # what a killed run left behind
        file.seek(continued.end.size)
        try:
            writer = Writer(file, library, settings, report, progress, continued)
            writer.write(seen(), removed=superseded)
            file.flush()
            os.fsync(file.fileno())
            if check:
                with Archive(path, library=library, limits=limits) as archive:
                    verify(archive, report, first=continued.members, threads=settings.threads)
        except BaseException:
            file.truncate(continued.end.size)
            os.fsync(file.fileno())
            raise
    report.warnings = list(dict.fromkeys(report.warnings))
    report.seconds = time.perf_counter() - began
    return report


@dataclass(slots=True)
class Rebuilt:
    """What was put together: members of the new archive, and those left out because their data are lost."""

    members: list[Member]
    lost: list[Member]
    size: int = 0


def rebuild(parts: Sequence[tuple[Archive, Sequence[Member]]], stream: BinaryIO, *, threads: int = 0) -> Rebuilt:
    """Write a new archive of the chosen members of some archives, in this order; of equal names the last one counts.

    Damaged archives may be among them (``damaged=True``): what is lost is left out.
    """
    counted = {member.name: (number, member.ordinal) for number, (_, members) in enumerate(parts) for member in members}
    out = Rebuilt([], [])
    system = parts[0][0].structure.system if parts else System.POSIX
    container: ContainerWriter | None = None
    first_member = first_content = 0
    for number, (archive, chosen) in enumerate(parts):
        kept = [member for member in chosen if counted[member.name] == (number, member.ordinal)]
        sound, lost = _sound(archive, kept, threads) if archive.damaged else (kept, [])
        out.members += sound
        out.lost += lost
        directories, renumbered = _directories(archive, sound, first_member, first_content)
        encoded = [directory.encode(system) for directory in directories]
        if container is None:
            hashed = hashlib.sha256(b"rebuilt" + b"".join(head + payload for head, payload in encoded))
            hashed.update(b"".join(data.head.digest for data in archive.structure.chunks))
            container = ContainerWriter(stream, Header(int.from_bytes(hashed.digest()[:8], "little"), system))
        _copy(container, archive, encoded, renumbered)
        first_member += len(sound)
        first_content += len(renumbered)
    container = container or ContainerWriter(stream, Header(0))
    out.size = container.finish()
    return out


def _sound(archive: Archive, members: Sequence[Member], threads: int) -> tuple[list[Member], list[Member]]:
    """Members whose content can be had, and the others, with what is wrong."""
    wrong: dict[int, str] = {}
    for member, digest in archive.digests(members, threads=threads):
        if isinstance(digest, BitsBackError):
            wrong[member.ordinal] = str(digest).removeprefix(f"{member.name!r}: ")
    lost = [replace(member, problem=wrong[member.ordinal]) for member in members if member.ordinal in wrong]
    return [member for member in members if member.ordinal not in wrong], lost


def _directories(
    archive: Archive, members: Sequence[Member], first_member: int, first_content: int
) -> tuple[list[Directory], dict[int, int]]:
    """New directories of members of one archive, and the new numbers of their contents."""
    renumbered: dict[int, int] = {}
    out = []
    for start in range(0, len(members), MAX_MEMBERS):
        batch = members[start : start + MAX_MEMBERS]
        known = len(renumbered)
        for member in batch:
            if member.content is not None and member.content not in renumbered:
                renumbered[member.content] = first_content + len(renumbered)
        contents = [archive.structure.contents[old] for old in list(renumbered)[known:]]
        rows = [
            Row(
                replace(member.entry, size=0),
                renumbered[member.content] if member.content is not None else None,
            )
            for member in batch
        ]
        out.append(Directory(first_member + start, first_content + known, rows, contents))
    return out, renumbered


def _copy(
    container: ContainerWriter, archive: Archive, encoded: list[tuple[bytes, bytes]], renumbered: dict[int, int]
) -> None:
    """Directories, models and data of one archive, and second copies of what several chunks of data need."""
    kept = [data for data in archive.structure.chunks if data.contents & renumbered.keys()]
    for head, payload in encoded:
        container.add(Kind.DIRECTORY, head, payload)
    needed = {block.model.hex() for data in kept for block in data.head.blocks if block.model}
    inside = {chunk.head.hex() for chunk in archive.structure.each(Kind.MODEL)} & needed
    for identity in sorted(inside):
        container.add(Kind.MODEL, bytes.fromhex(identity), archive.model(identity).data)
    for data in kept:
        head, payload = _chunk(archive, data, renumbered)
        container.add(Kind.DATA, head, payload)
    if len(kept) > 1:
        for head, payload in encoded:
            container.add(Kind.DIRECTORY, head, payload, COPY)
        for identity in sorted(inside):
            container.add(Kind.MODEL, bytes.fromhex(identity), archive.model(identity).data, COPY)


def _chunk(archive: Archive, data: DataChunk, renumbered: dict[int, int]) -> tuple[bytes, bytes]:
    """Head and payload of a chunk without what is not wanted of it."""
    blocks: list[Block] = []
    payloads: list[bytes] = []
    image_pieces: list[Piece] = []
    whole = archive.payload(data)
    for which, block in enumerate(data.head.blocks):
        pieces = list(_within(data.head.image_pieces, data.firsts[which], data.firsts[which + 1]))
        wanted = [(at, piece) for at, piece in pieces if piece.content in renumbered]
        if not wanted:
            continue
        payload = whole[data.starts[which] : data.starts[which + 1]] if whole else archive.block_payload(data, which)
        if len(wanted) < len(pieces):
            images = archive.block_images(data, which)
            images = np.concatenate([images[at : at + piece.length] for at, piece in wanted])
            key = Key(block.shape, block.dtype, block.levels)
            again = encode_block(images, key, [archive.library.coder(block.tag, block.model.hex())], verify=True)
            block, payload = again.block, again.payload
        blocks.append(block)
        payloads.append(payload)
        image_pieces += [piece._replace(content=renumbered[piece.content]) for _, piece in wanted]
    section, packed, byte_pieces = _bytes(archive, data, whole, renumbered)
    digest = data.head.digest
    ends = [content for content in data.ends if content in renumbered]
    if ends != data.ends or sorted(ends, key=renumbered.__getitem__) != ends:
        digest = _digest(archive, sorted(ends, key=renumbered.__getitem__))
    head = DataHead(blocks, image_pieces, section, byte_pieces, digest if ends else b"")
    return head.encode(), b"".join([*payloads, packed])


def _bytes(
    archive: Archive, data: DataChunk, whole: bytes | None, renumbered: dict[int, int]
) -> tuple[Bytes | None, bytes, list[Piece]]:
    """The bytes of a chunk: as they are, or those that are wanted packed anew."""
    section = data.head.data
    if section is None:
        return None, b"", []
    wanted = [
        (at, piece) for at, piece in _within(data.head.byte_pieces, 0, section.size) if piece.content in renumbered
    ]
    pieces = [piece._replace(content=renumbered[piece.content]) for _, piece in wanted]
    if not pieces:
        return None, b"", []
    if len(pieces) == len(data.head.byte_pieces):
        return section, whole[data.starts[-1] :] if whole else archive.packed_bytes(data), pieces
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


__all__ = ["Content", "Rebuilt", "append", "rebuild"]
