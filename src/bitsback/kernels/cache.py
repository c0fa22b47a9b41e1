"""Compiled kernels on disk, so that only the first process compiles them.

They lie in a folder for each *set*: its name has a hash of every source file of this package, of the processor, and of
the versions of all that had a hand in it. So whatever is edited or exchanged, nothing stale is found. Within it there
is a file for each kernel and form of arguments, whose name has a hash of what the kernel means to the process that
wrote it (:func:`.source.meaning`): one that runs older code than lies on disk finds nothing, and leaves nothing for
others.

A cache that is damaged, full, read-only or gone costs time, and one :class:`CacheWarning`. It is never an error, and
never a fault of data. Machine code is run, so it is taken only from files that nobody else can have written.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import xxhash

from bitsback.kernels import machine

_MAGIC = b"bitsback kernel\r\n\x1a"
_UNUSED = 30 * 24 * 3600
"""Seconds after which sets that nobody has used are removed."""


class CacheWarning(UserWarning):
    """Compiled kernels cannot be kept in the cache, or taken from it. They were compiled anew, and nothing is lost."""


class Cache:
    """The files of one set in ``folder``, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ready: bool | None = None

    def load(self, name: str) -> bytes | None:
        """What was stored by this name; None if nothing was, or nothing that can be used."""
        if not self.ready():
            return None
        try:
            with (self.folder / name).open("rb") as file:
                reason = _not_ours(os.fstat(file.fileno()))
                data = b"" if reason else file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            _warn(self.folder, str(error.strerror))
            return None
        code = data[len(_MAGIC) + 16 :]
        if reason or data[: len(_MAGIC) + 16] != _MAGIC + xxhash.xxh3_128_digest(code):
            _warn(self.folder, reason or f"{name} is damaged")
            return None
        return code

    def store(self, name: str, code: bytes) -> None:
        """Keep ``code`` by this name, whole or not at all."""
        if not self.ready():
            return
        part = self.folder / f".{secrets.token_hex(8)}.part"
        try:
            if not self.folder.is_dir():  # removed in the meantime
                _make(self.folder)
            part.touch(0o600, exist_ok=False)
            part.write_bytes(_MAGIC + xxhash.xxh3_128_digest(code) + code)
            part.replace(self.folder / name)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            _warn(self.folder, str(error.strerror))

    def ready(self) -> bool:
        """Whether the folder is there and nobody else can write to it. It is made if need be."""
        if self._ready is None:
            try:
                reason = _make(self.folder)
            except OSError as error:
                reason = str(error.strerror)
            if reason:
                _warn(self.folder, reason)
            self._ready = not reason
        return self._ready


def _make(folder: Path) -> str:
    """Make the folder, for us alone; say what is wrong with one that is there. OSError if it cannot be made."""
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        with suppress(OSError):
            os.utime(folder)  # it is in use
    else:
        _tidy(folder)
    found = folder.lstat()
    return _not_ours(found) if stat.S_ISDIR(found.st_mode) else "not a folder"


def _not_ours(found: os.stat_result) -> str:
    """Why a file or folder may hold what others have written; empty if it may not."""
    if not hasattr(os, "geteuid"):  # on Windows the folder is in the user's profile, where others have no access
        return ""
    if found.st_uid != os.geteuid():
        return "it belongs to another user"
    return "others may write to it" if found.st_mode & 0o022 else ""


def _tidy(folder: Path) -> None:
    """Remove other sets that nobody has used for long."""
    with suppress(OSError):
        for other in folder.parent.iterdir():
            is_set = re.fullmatch("kernels-[0-9a-f]{32}", other.name) and not other.is_symlink()
            if is_set and other != folder and other.stat().st_mtime < time.time() - _UNUSED:
                shutil.rmtree(other, ignore_errors=True)


_warned = False


def _warn(folder: Path, reason: str) -> None:
    """Once a process."""
    global _warned
    if not _warned:
        _warned = True
        text = f"compiled kernels cannot be kept in {folder} ({reason}): they are compiled anew each time"
        warnings.warn(text, CacheWarning, stacklevel=2)


# Which set, and where ------------------------------------------------------------------------------------------------


@cache
def of_this_set() -> Cache | None:
    """The cache of the kernels of this package on this machine; None where there is no place for one."""
    place = _place()
    try:
        return Cache(place / f"kernels-{_identity()}") if place else None
    except OSError as error:
        _warn(Path(__file__).parents[1], str(error.strerror))
        return None


def _place() -> Path | None:
    """Where sets lie: in BITSBACK_CACHE_DIR, or else in a folder of the user's cache."""
    if os.environ.get("BITSBACK_CACHE_DIR"):
        return Path(os.environ["BITSBACK_CACHE_DIR"]).absolute()
    caches = Path(os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME") or ".")
    if caches.is_absolute():
        return caches / "bitsback"
    try:
        return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "bitsback"
    except RuntimeError:  # nobody's home
        return None


def _identity() -> str:
    """Of the set: 32 letters."""
    versions = f"python {platform.python_implementation()} {sys.version} numpy {np.__version__}"
    return hashlib.sha256(f"{sources()} {versions} {machine.description()}".encode()).hexdigest()[:32]


def sources() -> str:
    """A hash of all source files of the package, 64 letters. OSError if they cannot be read."""
    hashed = hashlib.sha256()
    for name, data in _sources():
        hashed.update(f"{name} {len(data)} ".encode() + data)
    return hashed.hexdigest()


def _sources() -> Iterator[tuple[str, bytes]]:
    """All source files of the package; or the archive that it is in."""
    package = Path(__file__).parents[1]
    if not package.is_dir():
        archive = next(folder for folder in package.parents if folder.is_file())
        yield archive.name, archive.read_bytes()
        return
    for folder, folders, files in os.walk(package):
        folders.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                path = Path(folder, name)
                yield path.relative_to(package).as_posix(), path.read_bytes()
