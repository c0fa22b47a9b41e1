"""Files that appear whole or not at all.

The data goes into a hidden file ``.<name>.<16 digits>.part`` in the target's own folder, is forced to disk, and takes
its name in one step; when anything goes wrong on the way, a signal included, the hidden file is removed and an older
file of that name is as it was. What a killed process leaves behind is known by its name, see :func:`is_part`.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from bitsback.archive.folders import Handle, Spot, encode
from bitsback.errors import OutputExistsError

if sys.platform != "win32":
    import fcntl

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_PART = re.compile(r"\.(.+)\.([0-9a-f]{8})([0-9a-f]{8})\.part", re.DOTALL)
_MAX_STEM = 200
_TIMES_BY_DESCRIPTOR = os.utime in os.supports_fd
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL}
"""How file systems say that they have no hard links, or no more of them."""


_LOCKLESS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EINVAL}
"""How file systems say that they have no locks."""


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
        with Part(str(path)) as new:
            yield new.create(Spot(os.fspath(target)))
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
    """A file under a name for the time being, that is gone after the ``with`` block unless it was published.

    ``where`` is what messages call it.
    """

    __slots__ = ("_gone", "_where", "file", "spot")

    file: BinaryIO
    """What was created."""

    def __init__(self, where: str) -> None:
        self.spot: Spot | None = None
        self._gone = True  # nothing has the name for the time being yet, or any more
        self._where = where

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._gone or self.spot is None:
            return
        with suppress(OSError, AttributeError):  # a full disk, once more: what is to be told is what came first
            self.file.close()
        with suppress(OSError):  # it was never made
            os.unlink(self.spot.path, dir_fd=self.spot.dir_fd)

    def create(self, spot: Spot, mode: int = 0o666, *, buffered: bool = True) -> BinaryIO:
        """Create it beside ``spot``, with ``mode`` less the umask. Without a buffer :meth:`write` is what writes."""
        self.spot = spot.beside(part_name(spot.name))
        self._gone = False  # before it is there: a signal may come when nobody has its descriptor yet
        descriptor = os.open(self.spot.path, _CREATE, mode, dir_fd=self.spot.dir_fd)
        self.file = os.fdopen(descriptor, "w+b") if buffered else io.FileIO(descriptor, "w+b")
        return self.file

    def write(self, data: bytes) -> None:
        """Write all of it, in as many goes as the system wants."""
        done = self.file.write(data)
        while done < len(data):
            data = data[done:]
            done = self.file.write(data)

    @property
    def handle(self) -> Handle:
        """What ``os.utime`` and ``os.stat`` take."""
        assert self.spot is not None
        return self.file.fileno() if _TIMES_BY_DESCRIPTOR else os.fsdecode(self.spot.path)

    def publish(self, spot: Spot, *, overwrite: bool, durable: bool = False) -> None:
        """Give the file the name ``spot``, in the same folder, and close it. Its metadata are as they should be by
        now. Raises OutputExistsError if something has that name, and ``overwrite`` is not set or it is a folder; then
        another name may be tried."""
        assert self.spot is not None
        if not self.file.closed:
            self.file.flush()
            if durable:
                os.fsync(self.file.fileno())
            self.file.close()
        if overwrite or not self._linked(self.spot, spot):
            replace(self.spot, spot, self._where)
        else:
            os.unlink(self.spot.path, dir_fd=self.spot.dir_fd)
        self._gone = True

    def _linked(self, there: Spot, spot: Spot) -> bool:
        """Whether the file has a name that was free, as well as its own; else there are no hard links here."""
        try:
            link(there, spot)
        except FileExistsError:
            raise OutputExistsError(f"{self._where}: is already there (--force overwrites)") from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if spot.lstat() is not None:  # the best that can be done without
                raise OutputExistsError(f"{self._where}: is already there (--force overwrites)") from None
            return False
        return True


@contextmanager
def alone(path: Path, *, writing: bool = True) -> Iterator[BinaryIO]:
    """The file at ``path``, open for reading and, unless it is going to be replaced, ``writing``, while no other
    process has it open in this way.

    If another one has, this waits for it, and warns that it does. A file that was replaced meanwhile is not the one at
    ``path`` any more, so the new one is taken. File systems without locks are trusted to have one writer.
    """
    while True:
        with path.open("r+b" if writing else "rb", buffering=0) as raw:
            _lock(raw, path)
            if os.path.samestat(os.fstat(raw.fileno()), path.stat()):
                file = io.BufferedRandom(raw) if writing else io.BufferedReader(raw)
                yield file
                file.flush()  # not after an error: what could not be written would be tried once more
                return


def _lock(file: io.FileIO, path: Path) -> None:
    """Wait until no other process holds the lock of a file. It ends with the descriptor."""
    if sys.platform == "win32":  # what one process has opened for writing is not replaced there, and that is all
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            warnings.warn(f"{path}: another process is writing to it; waiting until it is done", stacklevel=4)
            fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise


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
    chance = os.urandom(4).hex()
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
            error.filename = None if isinstance(folder, int) else str(folder)
            raise
    finally:
        if descriptor is not folder:
            os.close(descriptor)
