"""Files that appear whole or not at all.

The data goes into a hidden file ``.<name>.<16 digits>.part`` in the target's own folder, is forced to disk, and takes
its name in one step; when anything goes wrong on the way, a signal included, the hidden file is removed and an older
file of that name is as it was. What a killed process leaves behind is known by its name, see :func:`is_part`.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bitsback.archive.folders import Handle, Spot, encode
from bitsback.errors import OutputExistsError

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_PART = re.compile(r"\.(.+)\.([0-9a-f]{8})([0-9a-f]{8})\.part", re.DOTALL)
_MAX_STEM = 200
_TIMES_BY_DESCRIPTOR = os.utime in os.supports_fd
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL}
"""How file systems say that they have no hard links, or no more of them."""


@contextmanager
def write(
    path: Path,
    *,
    overwrite: bool = False,
    durable: bool = True,
    mode: int | None = None,
    mtime_ns: int | None = None,
) -> Iterator[BinaryIO]:
    """A binary file, readable and writable, that becomes ``path`` when the block ends without an error.

    ``mode`` are its permission bits, by default what the umask leaves of 0666; ``mtime_ns`` is its time of
    last change, by default now. ``durable`` forces data and name to disk.

    Nothing but a regular file is ever replaced. Where ``path`` is a symbolic link, the file that it leads to is meant.
    A pipe or a device (a disk: only with ``overwrite``) is written to where it is; then the block gets a file that can
    only be written, front to back, and what was written before an error stays written.

    Raises OutputExistsError, before the block and again at its end, if the file is there and ``overwrite`` is not set,
    or if ``path`` is a folder or a socket; OSError for a full disk and the like.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with write(target) as file:
    ...     _ = file.write(b"whole")
    >>> target.read_bytes()
    b'whole'
    """
    target, is_stream = _destination(path, overwrite)
    try:
        if is_stream:
            with os.fdopen(os.open(target, os.O_WRONLY | getattr(os, "O_BINARY", 0)), "wb") as file:
                yield file
            return
        with part(Spot(os.fspath(target)), str(path)) as new:
            yield new.file
            new.file.flush()
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(new.file.fileno(), mode)
            if mtime_ns is not None:
                os.utime(new.handle, ns=(mtime_ns, mtime_ns))
            new.publish(Spot(os.fspath(target)), overwrite=overwrite, durable=durable)
    except OSError as error:
        if not isinstance(error.filename, str | bytes) or is_part(os.path.basename(os.fsdecode(error.filename))):
            error.filename = str(path)  # a full disk says nothing about where, and nobody knows the hidden name
        raise
    if durable:
        sync_folder(target.parent)


class Part:
    """A file under a name for the time being."""

    def __init__(self, file: BinaryIO, spot: Spot, where: str) -> None:
        self.file = file
        self.spot = spot
        self._where = where

    @property
    def handle(self) -> Handle:
        """What ``os.utime`` and ``os.stat`` take."""
        return self.file.fileno() if _TIMES_BY_DESCRIPTOR else os.fsdecode(self.spot.path)

    def publish(self, spot: Spot, *, overwrite: bool, durable: bool = False) -> None:
        """Give the file the name ``spot``, in the same folder, and close it. Its metadata are as they should be by
        now. Raises OutputExistsError if something has that name, and ``overwrite`` is not set or it is a folder; then
        another name may be tried."""
        if not self.file.closed:
            self.file.flush()
            if durable:
                os.fsync(self.file.fileno())
            self.file.close()
        if overwrite:
            replace(self.spot, spot, self._where)
            return
        try:
            link(self.spot, spot)
        except FileExistsError:
            raise OutputExistsError(f"{self._where}: is already there (--force overwrites)") from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if spot.lstat() is not None:  # no hard links on this file system: the best that it can do
                raise OutputExistsError(f"{self._where}: is already there (--force overwrites)") from None
            replace(self.spot, spot, self._where)


@contextmanager
def part(spot: Spot, where: str, mode: int = 0o666) -> Iterator[Part]:
    """A new file beside ``spot``, created with ``mode`` less the umask, that is gone after the block unless it was
    published. ``where`` is what messages call it."""
    hidden = spot.beside(part_name(spot.name))
    descriptor = os.open(hidden.path, _CREATE, mode, dir_fd=hidden.dir_fd)
    file = os.fdopen(descriptor, "w+b")
    try:
        yield Part(file, hidden, where)
        file.close()
    finally:
        with suppress(OSError):  # a full disk, once more: what is to be told is what came first
            file.close()
        with suppress(OSError):  # published by renaming: gone already
            os.unlink(hidden.path, dir_fd=hidden.dir_fd)


def replace(there: Spot, new: Spot, where: str) -> None:
    """Rename, in place of what is there already; OutputExistsError, with ``where`` in its message, if that is a
    folder."""
    try:
        os.replace(there.path, new.path, src_dir_fd=there.dir_fd, dst_dir_fd=new.dir_fd)
    except OSError:
        if (info := new.lstat()) is not None and stat.S_ISDIR(info.st_mode):
            raise OutputExistsError(f"{where}: is a folder") from None
        raise


def link(there: Spot, new: Spot) -> None:
    """Give a file another name; a symbolic link is not followed. FileExistsError if something has it."""
    options = {"follow_symlinks": False} if os.link in os.supports_follow_symlinks else {}
    os.link(there.path, new.path, src_dir_fd=there.dir_fd, dst_dir_fd=new.dir_fd, **options)


def part_name(name: str) -> str:
    """What a file is called until it is whole: another name each time, and one that :func:`is_part` knows."""
    stem = name[:_MAX_STEM]
    while len(encode(stem)) > _MAX_STEM:
        stem = stem[:-1]
    chance = secrets.token_hex(4)
    return f".{stem}.{chance}{_check(stem, chance)}.part"


def is_part(name: str) -> bool:
    """Whether this is the name of something unfinished of ours. That another file has one is next to impossible.

    >>> is_part(part_name("a.bba")), is_part(".a.bba.0123456789abcdef.part"), is_part("a.part")
    (True, False, False)
    """
    match = _PART.fullmatch(name)
    return match is not None and _check(match[1], match[2]) == match[3]


def _check(stem: str, chance: str) -> str:
    return f"{zlib.crc32(encode(stem) + chance.encode()):08x}"


def _destination(path: Path, overwrite: bool) -> tuple[Path, bool]:
    """Where writing to ``path`` leads to, and whether that is a stream. Raises OutputExistsError if it is refused."""
    target = path
    try:
        is_link = stat.S_ISLNK(path.lstat().st_mode)
        if is_link:
            target = Path(os.path.realpath(path))
        kind = path.stat().st_mode
    except FileNotFoundError:
        if target is not path and not overwrite:
            raise OutputExistsError(f"{path}: is a symbolic link to nothing (--force writes what it names)") from None
        return target, False
    if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind) or (stat.S_ISBLK(kind) and overwrite):
        return path, True
    what = {stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a disk (--force writes to it)"}
    if not stat.S_ISREG(kind):
        raise OutputExistsError(f"{path}: is {what.get(stat.S_IFMT(kind), 'not a regular file')}")
    if not overwrite:
        raise OutputExistsError(f"{path}: is already there (--force overwrites)")
    if is_link and not (target.exists() and target.samefile(path)):
        raise OutputExistsError(f"{path}: leads to a file without a name")
    return target, False


def sync_folder(folder: Path | Handle) -> None:
    """Force a folder's entries to disk, where the system can. ``folder``: its path or descriptor."""
    if os.name != "posix":
        return
    descriptor = folder if isinstance(folder, int) else os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS, errno.EBADF):
            raise
    finally:
        if descriptor is not folder:
            os.close(descriptor)
