"""An archive as a folder of the system, by FUSE: what ``bitsback mount`` does.

fsspec's own mounting, read-only, with symbolic links as links and true sizes of all files.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from fsspec.fuse import FUSEr
from fuse import FUSE, FuseOSError

from bitsback.errors import BitsBackError
from bitsback.integrations.fsspec import ArchiveFileSystem


class Mounted(FUSEr):  # type: ignore[misc]
    """What the kernel asks of an archive."""

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """Type, permissions, size and times of a member. FuseOSError if there is none."""
        try:
            info = self.fs.info(path)
        except FileNotFoundError:
            raise FuseOSError(errno.ENOENT) from None
        kinds = {"directory": (stat.S_IFDIR, 0o555), "link": (stat.S_IFLNK, 0o777), "file": (stat.S_IFREG, 0o444)}
        kind, usual = kinds[info["type"]]
        size = len(info["destination"].encode()) if "destination" in info else info["size"]
        if size is None:
            size = len(self.fs.cat_file(path))
        when = info.get("mtime", 0)
        return {
            "st_mode": kind | (info.get("mode", usual) & 0o7555),
            "st_size": size,
            "st_nlink": 1,
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            **dict.fromkeys(("st_atime", "st_ctime", "st_mtime"), when),
        }

    def readlink(self, path: str) -> str:
        """Where a symbolic link leads."""
        return str(self.fs.info(path)["destination"])

    def open(self, path: str, flags: int) -> int:
        """Decode a file. FuseOSError if it is damaged, or to be written to."""
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise FuseOSError(errno.EROFS)
        try:
            return int(super().open(path, flags))
        except BitsBackError:
            raise FuseOSError(errno.EIO) from None


def mount(files: ArchiveFileSystem, folder: str) -> None:
    """Show an archive in a folder until it is unmounted. RuntimeError if the system does not allow that."""
    FUSE(Mounted(files, ""), folder, nothreads=True, foreground=True, ro=True)


__all__ = ["Mounted", "mount"]
