"""Files that appear whole or not at all.

The data goes into a hidden file ``.<name>.<random>.part`` in the target's own folder, is forced to disk, and takes its
name in one step; when anything goes wrong on the way, a signal included, the hidden file is removed and an older file
of that name is as it was.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bitsback.errors import OutputExistsError

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


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
    last change, by default now. ``durable`` forces data and name to
    disk. Raises OutputExistsError, before the block and again at its end, if ``path`` is there and ``overwrite`` is
    not set; OSError for a full disk and the like.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with write(target) as file:
    ...     _ = file.write(b"whole")
    >>> target.read_bytes()
    b'whole'
    """
    if not overwrite and os.path.lexists(path):
        raise OutputExistsError(f"{path}: is already there (--force overwrites)")
    stem = os.fsdecode(os.fsencode(path.name)[:200])
    part = path.with_name(f".{stem}.{secrets.token_hex(4)}.part")
    descriptor = os.open(part, _FLAGS, 0o666)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)
            if mtime_ns is not None:
                os.utime(file.fileno() if os.utime in os.supports_fd else part, ns=(mtime_ns, mtime_ns))
            if durable:
                os.fsync(file.fileno())
        _publish(part, path, overwrite)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and error.filename in (None, descriptor):
            error.filename = str(path)  # a full disk says nothing about where
        raise
    if durable:
        sync_folder(path.parent)


def _publish(part: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        part.replace(path)
        return
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise OutputExistsError(f"{path}: is already there (--force overwrites)") from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES):
            raise
        if os.path.lexists(path):  # no hard links on this file system: the best that it can do
            raise OutputExistsError(f"{path}: is already there (--force overwrites)") from None
        part.replace(path)
    else:
        part.unlink()


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(descriptor)
