"""What a folder holds: files, folders, symbolic and hard links, as the archive keeps them."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Type(IntEnum):
    """What a member is."""

    FILE = 0
    FOLDER = 1
    SYMLINK = 2
    HARDLINK = 3
    """Another name of an earlier file of the archive, whose content it shares."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A name in an archive and what stands under it, its content aside.

    Names and targets are what the system that wrote the archive calls them, with ``/`` between the parts: on POSIX the
    bytes of the file system, in ``str`` by ``os.fsdecode`` (undecodable bytes are lone surrogates), on Windows WTF-8.
    Nothing is judged here: whether another system can hold such a name is for extraction to decide.
    """

    name: str
    type: Type = Type.FILE
    mtime_ns: int | None = None
    """Nanoseconds since 1970, of any year, negative before it; None if not known."""
    mode: int | None = None
    """All permission bits, 0 to 0o7777; None if not known."""
    size: int = 0
    """True bytes of a file (and of what a hard link names); 0 for folders and symbolic links."""
    target: str = ""
    """Of a symbolic link: what it says. Of a hard link: the name of the earlier member."""
