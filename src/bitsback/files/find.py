"""Which files are there to store."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from bitsback.errors import ImageError, UnsafePathError
from bitsback.files.names import check_name
from bitsback.files.picture import Skipped, Source


def find(paths: Iterable[Path | str]) -> tuple[list[Source], list[Skipped]]:
    """All regular files among ``paths`` and in the folders among them, and what was left out and why.

    A file is named by its last part; files in a folder by their path from the folder's parent, as tar does
    (``digits/0.png``). Within each given path the files are sorted by name. A symbolic link is followed only if it
    was given itself; links inside of folders, devices, unreadable entries, empty folders, and names that could not be
    extracted everywhere or that collide with an earlier one (upper and lower case count as the same) are skipped.

    Raises ImageError for a given path that does not exist.
    """
    sources: list[Source] = []
    skipped: list[Skipped] = []
    seen: set[str] = set()
    for path in map(Path, paths):
        entries = list(_given(path))
        for entry in sorted(entries, key=lambda e: e.name):
            reason = entry.reason if isinstance(entry, Skipped) else _name_problem(entry.name, seen)
            if reason:
                skipped.append(Skipped(_printable(entry.name), reason))
            elif isinstance(entry, Source):
                seen.add(entry.name.casefold())
                sources.append(entry)
    return sources, skipped


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]


def _name_problem(name: str, seen: set[str]) -> str:
    try:
        check_name(name)
    except UnsafePathError as error:
        return str(error).partition(": ")[2]
    return "another file has the same name" if name.casefold() in seen else ""


def _given(path: Path) -> Iterator[Source | Skipped]:
    try:
        info = path.stat()
    except OSError as error:
        raise ImageError(f"{path}: {_words(error)}") from None
    name = path.name if path.name not in ("", "..") else path.resolve().name
    if stat.S_ISDIR(info.st_mode):
        yield from _walk(path, name)
    else:
        yield _entry(path, name, info)


def _walk(top: Path, name: str) -> Iterator[Source | Skipped]:
    """Everything below ``top``, in no particular order. A list instead of recursion: depth costs nothing."""
    folders = [(top, name)]
    while folders:
        folder, prefix = folders.pop()
        try:
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            yield Skipped(prefix, _words(error))
            continue
        if not entries:
            yield Skipped(prefix, "empty folder")
        for entry in entries:
            path, inner = folder / entry.name, f"{prefix}/{entry.name}" if prefix else entry.name
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError as error:
                yield Skipped(inner, _words(error))
                continue
            if stat.S_ISDIR(info.st_mode):
                folders.append((path, inner))
            else:
                yield _entry(path, inner, info)


def _entry(path: Path, name: str, info: os.stat_result) -> Source | Skipped:
    if stat.S_ISLNK(info.st_mode):
        return Skipped(name, "symbolic link")
    if not stat.S_ISREG(info.st_mode):
        return Skipped(name, "not a regular file")
    if not os.access(path, os.R_OK):
        return Skipped(name, "permission denied")
    name = unicodedata.normalize("NFC", name)
    return Source(path, name, info.st_mtime_ns, stat.S_IMODE(info.st_mode), info.st_size)


def _words(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
