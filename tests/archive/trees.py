"""Trees of files and links for the tests, and what there is to know about one."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

NOBODY = 65534


class Thing(NamedTuple):
    """A file, folder or link as the system shows it."""

    kind: str
    mode: int
    mtime_ns: int
    content: str
    """SHA-256 of a file, target of a link."""
    same: bytes
    """The first name, in order, of those that are hard links to it."""


def look(top: Path | str) -> dict[bytes, Thing]:
    """Everything below a folder, which may be deeper than paths may be long."""
    found: dict[bytes, Thing] = {}
    first: dict[tuple[int, int], bytes] = {}
    stack: list[tuple[int, bytes, int | None]] = [(os.open(top, os.O_RDONLY), b"", None)]
    while stack:
        descriptor, prefix, old = stack.pop()
        for plain in sorted(os.listdir(descriptor)):
            name = os.fsencode(plain)
            info = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            mode = stat.S_IMODE(info.st_mode)
            path, content, kind = prefix + name, "", "folder" if stat.S_ISDIR(info.st_mode) else "other"
            if stat.S_ISLNK(info.st_mode):
                kind, content = "link", os.readlink(plain, dir_fd=descriptor)
            elif stat.S_ISREG(info.st_mode):
                with open(_opened(name, descriptor, mode), "rb") as file:
                    kind, content = "file", hashlib.sha256(file.read()).hexdigest()
                    os.fchmod(file.fileno(), mode)
            same = first.setdefault((info.st_dev, info.st_ino), path) if kind == "file" else b""
            found[path] = Thing(kind, mode, info.st_mtime_ns, content, same)
            if kind == "folder":
                stack.append((_opened(name, descriptor, mode), path + b"/", mode))
        if old is not None:
            os.fchmod(descriptor, old)
        os.close(descriptor)
    return found


def _opened(name: bytes, descriptor: int, mode: int) -> int:
    """A file or folder, opened by its owner even if it may not be read."""
    if mode & 0o700 != 0o700 and os.geteuid() != 0:
        os.chmod(name, mode | 0o700, dir_fd=descriptor)
    return os.open(name, os.O_RDONLY, dir_fd=descriptor)


def deep(top: Path, depth: int, name: str, at: Callable[[int, int], None] = lambda descriptor, level: None) -> None:
    """A chain of folders; ``at`` is called with each, as a descriptor, and its level."""
    descriptor = os.open(top, os.O_RDONLY)
    for level in range(depth):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
        at(descriptor, level)
    os.close(descriptor)


def open_below(top: Path | str) -> int:
    """How many files and folders there this process has open: what else it has, as for its threads, comes and goes."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{number}").startswith(f"{top}")
        except OSError as error:  # closed meanwhile; or so far below that no path leads there
            count += error.errno == errno.ENAMETOOLONG
    return count


@contextmanager
def room() -> Iterator[Path]:
    """An empty folder for everybody, in which trees may be of any depth: pytest cannot delete those."""
    with_everybody = Path(tempfile.mkdtemp(prefix="bitsback-test-"))
    with_everybody.chmod(0o777)
    try:
        yield with_everybody
    finally:
        if subprocess.run(["rm", "-rf", "--", with_everybody], check=False, capture_output=True).returncode:
            subprocess.run(["chmod", "-R", "u+rwx", with_everybody], check=False, capture_output=True)
            subprocess.run(["rm", "-rf", "--", with_everybody], check=True)


@contextmanager
def nobody() -> Iterator[None]:
    """As a user to whom permissions apply, also where the tests are run by root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
