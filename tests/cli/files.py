"""What the tests of the command line do to files."""

from pathlib import Path

import bitsback
from bitsback.archive import Archive
from bitsback.archive.container import Kind


def tree(folder: Path) -> dict[str, bytes]:
    """The files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def flip(path: Path, *places: int) -> None:
    """Damage the bytes at these places."""
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0x40
    path.write_bytes(data)


def archive_of(path: Path) -> Archive:
    """The archive that is there now; nothing has to be closed."""
    return bitsback.open(path.read_bytes())


def chunks(path: Path, kind: str) -> list[tuple[int, int]]:
    """Where the payloads of the chunks of a kind begin and end."""
    found = [chunk for chunk in archive_of(path).structure.all_chunks if chunk.kind == Kind[kind]]
    return [(chunk.payload_offset, chunk.end) for chunk in found]
