"""Folders by descriptor: paths of any length to read from, and a target folder that nothing leads out of.

A path that is looked up again and again can be another one each time: a folder on the way may have become a symbolic
link, by accident or because somebody wants to be written to. A descriptor stays with the folder that it was opened on.
Where a system has no descriptors of folders (Windows), each part of a path is looked at before it is used.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from bitsback.errors import UnsafePathError

BY_DESCRIPTOR = (
    hasattr(os, "O_DIRECTORY")
    and hasattr(os, "O_NOFOLLOW")
    and {os.open, os.mkdir, os.stat, os.unlink, os.rename, os.link, os.symlink, os.utime} <= os.supports_dir_fd
    and os.scandir in os.supports_fd
)
"""Whether this system opens folders, and names files relative to them."""

FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_PASS_ONLY = getattr(os, "O_PATH", 0)
_LONGEST = 1000
"""Bytes of a path that every system takes in one go (macOS: 1024)."""

MAX_OPEN, _MILESTONE = 48, 64
"""Folders that are kept open at a time, since processes may have few descriptors; and the depth between milestones."""

Handle = int | str
"""A folder or a file: its descriptor, or its path where there are no descriptors. ``os.stat``, ``os.utime`` and
``os.chmod`` take both."""


class Spot(NamedTuple):
    """A name in a folder: what the functions of :mod:`os` take as path and ``dir_fd``."""

    path: bytes | str
    dir_fd: int | None = None

    def beside(self, name: str) -> Spot:
        """Another name in the same folder."""
        if isinstance(self.path, bytes):
            return Spot(encode(name), self.dir_fd)
        return Spot(os.path.join(os.path.dirname(self.path), name), self.dir_fd)

    @property
    def name(self) -> str:
        """The name alone."""
        return decode(self.path) if isinstance(self.path, bytes) else os.path.basename(self.path)

    def lstat(self) -> os.stat_result | None:
        """What is there, links not followed; None if nothing is."""
        try:
            return os.stat(self.path, dir_fd=self.dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return None


def decode(name: bytes) -> str:
    """A name of the file system as text: UTF-8, other bytes as lone surrogates, whatever the locale says."""
    return name.decode("utf-8", "surrogateescape")


def encode(name: str) -> bytes:
    """The inverse of :func:`decode`; surrogates that stand for no byte (names from Windows) take three bytes."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b"".join(
            char.encode("utf-8", "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass")
            for char in name
        )


def open_path(path: str, flags: int) -> int:
    """``os.open`` for a path of any length: one that the system finds too long is walked in steps."""
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG or not BY_DESCRIPTOR:
            raise
    parent = open_parent(path)
    try:
        return os.open(os.path.basename(path.rstrip("/")), flags, dir_fd=parent)
    finally:
        os.close(parent)


def open_parent(path: str) -> int:
    """A descriptor of the folder that holds the last part of a path of any length. The caller closes it."""
    rest = path.rstrip("/").rpartition("/")
    at: int | None = None
    left = os.fsencode(rest[0] + rest[1]) or b"."
    while True:
        step = left
        if len(left) > _LONGEST and (cut := left.rfind(b"/", 1, _LONGEST)) > 0:
            step = left[:cut]
        left = left[len(step) :].lstrip(b"/")
        try:
            below = os.open(step, _PASS_ONLY | FOLDER_FLAGS, dir_fd=at)
        finally:
            if at is not None:
                os.close(at)
        if not left:
            return below
        at = below


def lstat_path(path: str) -> os.stat_result:
    """``os.lstat`` for a path of any length."""
    try:
        return os.lstat(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG or not BY_DESCRIPTOR:
            raise
    parent = open_parent(path)
    try:
        return os.stat(os.path.basename(path.rstrip("/")), dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)


class Folders:
    """The folders below a target, opened part by part, links never followed.

    The last few on the current path stay open, and some above, so that going through a tree costs little, and any depth
    few descriptors. ``descriptors=False`` works with paths, as where the system knows nothing else.

    The target itself may be a link: it is the caller's own choice. Raises OSError if it is no folder.
    """

    def __init__(self, target: str, *, descriptors: bool = BY_DESCRIPTOR) -> None:
        self.target = target
        self._top: Handle = os.open(target, FOLDER_FLAGS) if descriptors else _absolute(target)
        self._path: list[str] = []
        self._open: dict[int, Handle] = {}  # by depth, along the path, the deepest last
        self._last: tuple[Sequence[str], Handle] | None = None  # what was entered last
        self._named: tuple[Sequence[str], str] = (), os.path.join(target, "")  # a folder, and what begins its paths
        self.opened = 0
        """How many folders were opened so far: what was entered before is known to be open still while it stays."""

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._forget(0)
        _close(self._top)

    def enter(self, parts: Sequence[str], *, make: bool = False) -> Handle:
        """The folder ``parts`` below the target, to be used before the next call; missing ones are made, if wanted.

        Raises:
            UnsafePathError: something on the way is a symbolic link, or no folder.
            FileNotFoundError: it is not there.
        """
        if self._last is not None and self._last[0] == parts:  # the usual case: a file beside the one before
            return self._last[1]
        common = 0
        for mine, wanted in zip(self._path, parts, strict=False):
            if mine != wanted:
                break
            common += 1
        self._forget(common)
        depth = next(reversed(self._open), 0)
        at = self._open.get(depth, self._top)
        for part in parts[depth:]:
            spot = spot_in(at, part)
            try:
                at = self._opened(spot, parts, depth + 1)
            except FileNotFoundError:
                if not make:
                    raise
                make_folder(spot, 0o777)
                at = self._opened(spot, parts, depth + 1)
            self._path[depth:] = [part]
            depth += 1
            self._open[depth] = at
            if len(self._open) > MAX_OPEN:  # milestones stay, for ways back from far below
                passed = next((level for level in self._open if level % _MILESTONE), next(iter(self._open)))
                _close(self._open.pop(passed))
        self._last = parts, at
        return at

    def spot(self, parts: Sequence[str], *, make: bool = False) -> Spot:
        """The name ``parts[-1]`` in its folder, which is entered; errors as for :meth:`enter`."""
        return spot_in(self.enter(parts[:-1], make=make), parts[-1])

    def path(self, parts: Sequence[str]) -> str:
        """For messages and results: where ``parts`` are, seen from where the target is named."""
        if not parts:
            return self._named_in(())
        return self._named_in(parts[:-1]) + _shown(parts[-1])

    def _named_in(self, parts: Sequence[str]) -> str:
        """What paths in a folder begin with, which is kept, as there are many in one."""
        if self._named[0] != parts:
            self._named = parts, os.path.join(self.target, *map(_shown, parts), "")
        return self._named[1]

    def _opened(self, spot: Spot, parts: Sequence[str], depth: int) -> Handle:
        """Open the folder at ``spot``, if it is one: the first ``depth`` of ``parts``."""
        self.opened += 1
        try:
            if spot.dir_fd is not None:
                return _open_folder(spot)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                raise
        info = spot.lstat()
        if info is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path(parts[:depth]))
        link = stat.S_ISLNK(info.st_mode) or is_junction(info)
        if stat.S_ISDIR(info.st_mode) and not link and spot.dir_fd is None:
            return os.fsdecode(spot.path)
        kind = "a symbolic link" if link else "not a folder"
        raise UnsafePathError(f"{self.path(parts[:depth])}: is {kind}, so nothing is written through it")

    def reset(self) -> None:
        """Look up everything anew from now on."""
        self._forget(0)

    def _forget(self, depth: int) -> None:
        """Close what lies deeper than ``depth``."""
        self._last = None
        while self._open and (last := next(reversed(self._open))) > depth:
            _close(self._open.pop(last))
        del self._path[depth:]


def _shown(name: str) -> str:
    """A name as Python has it in paths."""
    return name if name.isascii() else os.fsdecode(encode(name))


def spot_in(folder: Handle, name: str) -> Spot:
    """A name in an opened folder."""
    if isinstance(folder, int):
        return Spot(encode(name), folder)
    return Spot(os.path.join(folder, name))


def make_folder(spot: Spot, mode: int) -> None:
    """Make a folder with these mode bits less the umask, and usable by its owner. FileExistsError if it is there."""
    os.mkdir(spot.path, mode | stat.S_IRWXU, dir_fd=spot.dir_fd)


def is_junction(info: os.stat_result) -> bool:
    """Whether this is a folder of Windows that leads to another one."""
    return getattr(info, "st_reparse_tag", 0) == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)


def _open_folder(spot: Spot) -> int:
    try:
        return os.open(spot.path, FOLDER_FLAGS | _NOFOLLOW, dir_fd=spot.dir_fd)
    except PermissionError:  # a folder that may not be listed can still be gone through
        if not _PASS_ONLY:
            raise
        return os.open(spot.path, FOLDER_FLAGS | _NOFOLLOW | _PASS_ONLY, dir_fd=spot.dir_fd)


def _close(handle: Handle) -> None:
    if isinstance(handle, int):
        os.close(handle)


def _absolute(path: str) -> str:
    """On Windows with the prefix that takes away the limit of 260 characters, and meanings of names."""
    path = os.path.abspath(path)
    return f"\\\\?\\{path}" if os.name == "nt" and not path.startswith("\\\\") else path
