"""Parity for a finished archive, and its use: what :mod:`bitsback.archive.parity` computes, written and read back.

Parity is a run of its own behind what it protects: chunks of parity, a second index, a second footer. Should one of
those be damaged, the archive is read without it: what the run is called tells that nothing else was in it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from bitsback.archive import parity
from bitsback.archive.container import FRAME_SIZE, ContainerReader, ContainerWriter, File, Kind, parity_run
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.structure import Structure


def protect(stream: BinaryIO, share: float, limits: Limits = DEFAULT_LIMITS) -> int:
    """Append parity for all of an archive that no parity protects yet; return the bytes added.

    Args:
        stream: the archive, open for reading and writing.
        share: of its sectors of 4 KiB, how many may be damaged; above 0 and at most 0.5.
    """
    stream.flush()
    file = File(stream)
    container = ContainerReader(file, limits)
    start = max((chunk.end for chunk in container.chunks if chunk.kind == Kind.PARITY), default=0)
    end = container.end
    geometry = parity.plan(start, end.size, share, run=end.runs[-1], frame=FRAME_SIZE)
    header = container.header._replace(id=parity_run(end.runs, end.size))
    stream.seek(end.size)
    writer = ContainerWriter(stream, header, end)
    for payload in parity.make(file.read, geometry, FRAME_SIZE):
        writer.add(Kind.PARITY, b"", payload)
    writer.finish()
    return writer.size - end.size


def share_of(archive: Structure) -> float:
    """The share that the last parity of an archive was made for; 0 if it has none. Damaged parity counts."""
    if not any(archive.each(Kind.PARITY)) and not archive.problems:
        return 0.0
    found = parity.find(archive.file.read, archive.file.size)
    last = max(found, key=lambda one: one.geometry.end, default=None)
    return last.geometry.share / 1e6 if last else 0.0


@contextmanager
def mended(stream: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[BinaryIO, parity.Report]]:
    """A damaged archive with all that its parity repairs, and what that was.

    The stream itself, if there is nothing to repair; else a temporary file.
    """
    file = File(stream)
    repair = parity.repair(file.read, file.size, limits)
    if not repair.report.damaged:
        yield stream, repair.report
        return
    with tempfile.TemporaryFile() as copy:
        for piece in repair.pieces():
            copy.write(piece)
        copy.flush()
        copy.seek(0, os.SEEK_SET)
        yield copy, repair.report


__all__ = ["mended", "protect", "share_of"]
