"""Modes and times of what is extracted. What a file system refuses (FAT, SMB, network mounts) is noted, not fatal."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from bitsback.archive.folders import Handle, Spot

_CLOSE_ENOUGH = 2 * 10**9
"""Nanoseconds that some file systems (FAT) round times to."""

_OTHERWISE = "the file system made something else of it"


@dataclass(slots=True)
class _Refusal:
    count: int
    first: str
    reason: str


class Metadata:
    """Sets modes and times, and remembers what could not be set.

    With ``preserve``, modes are set whole; else less what the umask takes, and without the bits that lend an identity.
    """

    def __init__(self, preserve: bool) -> None:
        self._preserve = preserve
        self._umask = umask()
        self._refusals: dict[str, _Refusal] = {}

    def initial(self, mode: int | None, usual: int) -> int:
        """What a file or folder is created with, from which the system takes the umask."""
        if self._preserve:
            return usual & stat.S_IRWXU  # nobody else until it is as it should be
        return usual if mode is None else mode & 0o777

    def set_mode(self, handle: Handle, mode: int | None, name: str) -> None:
        """Set the mode of an open file or folder."""
        if mode is None and not self._preserve:
            return
        got = stat.S_IMODE(os.stat(handle).st_mode)
        if mode is None:
            wanted = (0o777 if stat.S_ISDIR(os.stat(handle).st_mode) else 0o666) & ~self._umask
        elif os.name == "nt":  # which knows one bit only
            wanted = got & ~stat.S_IWUSR if not mode & stat.S_IWUSR else got
        elif self._preserve:
            wanted = mode & 0o7777
        else:
            wanted = mode & 0o777 & ~self._umask
            if not wanted & ~got and not got & 0o777 & ~mode:
                return  # more than the umask would leave is what a folder with default permissions (ACLs) grants
            wanted |= got & 0o7000  # a folder may have passed on its group
        if wanted == got:
            return
        try:
            os.chmod(handle, wanted)
            kept = stat.S_IMODE(os.stat(handle).st_mode) == wanted
            reason = "" if kept or os.name == "nt" else _OTHERWISE
        except (OSError, NotImplementedError) as error:
            reason = _words(error)
        if reason:
            self.refuse("permissions", name, reason)

    def set_time(self, handle: Handle | Spot, mtime_ns: int | None, name: str) -> os.stat_result | None:
        """Set the time of last change of an open file or folder, or of the link at a spot. What is there then, if it
        was looked at."""
        if mtime_ns is None:
            return None
        both, info = (mtime_ns, mtime_ns), None
        try:
            if isinstance(handle, Spot):
                os.utime(handle.path, ns=both, dir_fd=handle.dir_fd, follow_symlinks=False)
                info = handle.lstat()
            else:
                os.utime(handle, ns=both)
                info = os.stat(handle)
            close = info is not None and abs(info.st_mtime_ns - mtime_ns) < _CLOSE_ENOUGH
            reason = "" if close else _OTHERWISE
        except (OSError, OverflowError, NotImplementedError) as error:
            reason = _words(error)
        if reason:
            self.refuse("the time", name, reason)
        return info

    def refuse(self, what: str, name: str, reason: str) -> None:
        """Note that ``what`` of a file could not be restored."""
        refusal = self._refusals.setdefault(what, _Refusal(0, name, reason))
        refusal.count += 1

    def warnings(self) -> list[str]:
        """One line for each kind of metadata that was refused."""
        return [
            f"{what} of {one.first!r}{f' and {one.count - 1:,} more' if one.count > 1 else ''} could not be restored: "
            f"{one.reason}"
            for what, one in self._refusals.items()
        ]


def umask() -> int:
    """The bits that new files do not get."""
    try:
        match = re.search(r"^Umask:\s*([0-7]+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        match = None
    if match is not None:
        return int(match[1], 8)
    old = os.umask(0o077)  # no system tells it without changing it, for all threads
    os.umask(old)
    return old


def _words(error: Exception) -> str:
    if isinstance(error, OverflowError):
        return "too far away for this system"
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
