"""Verified means readable: a finished archive is opened by the reader that everyone uses, and all of it compared."""

from __future__ import annotations

from collections.abc import Collection

from bitsback.archive.reader import Archive
from bitsback.archive.report import Report
from bitsback.errors import BitsBackError, ChecksumError


def verify(
    archive: Archive, report: Report, first: int = 0, *, since: int = 0, known: Collection[str] = (), threads: int = 0
) -> None:
    """Compare the members of ``archive`` from number ``first`` on with what went in.

    Names, types, times, modes, sizes and targets must be the same, and every content's digest; and every chunk from
    byte ``since`` on must be whole, models and second copies too. ``known``: what was wrong with parity before.

    Raises:
        BitsBackError: something is not; nothing may be removed on the word of this archive.
    """
    members = [member for member in archive.members if member.ordinal >= first]
    expected = {kept.name: kept for kept in report.members}
    if len(members) != len(report.members) or archive.structure.tail:
        raise ChecksumError(f"the archive reads back with {len(members)} members instead of {len(report.members)}")
    for problem in set(archive.problems).difference(known):
        raise ChecksumError(problem)
    for member, kept in zip(members, report.members, strict=True):
        if member.entry != kept.entry:
            raise ChecksumError(f"{kept.name!r}: its entry reads back as {member.entry} instead of {kept.entry}")
        if (member.content is not None) != bool(kept.digest):
            raise ChecksumError(f"{kept.name!r}: its content does not read back")
    for problem in archive.unsound(since):
        raise ChecksumError(problem)
    for member, digest in archive.digests(members, threads=threads):
        if isinstance(digest, BitsBackError):
            raise digest
        if digest != expected[member.name].digest:
            raise ChecksumError(f"{member.name!r}: does not come back as it was read")


__all__ = ["verify"]
