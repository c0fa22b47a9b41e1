"""From an archive to files in a folder, without ever leaving the folder."""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bitsback.archive import atomic
from bitsback.archive.names import Names, check_names
from bitsback.archive.reader import Archive, Member
from bitsback.errors import BitsBackError, OutputExistsError, UnsafePathError

MODE_MASK = 0o755
"""Permission bits that are restored: never the ones that let others write or that lend an identity."""


@dataclass(slots=True)
class Extraction:
    """What was written, what was there already and left alone, and what could not be had."""

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    failed: list[tuple[str, BitsBackError]] = field(default_factory=list)
    """Names and errors; only where the archive was opened as a damaged one."""


def extract(
    archive: Archive,
    folder: Path,
    members: Sequence[Member] | None = None,
    *,
    strip: int = 0,
    overwrite: bool = False,
    keep_existing: bool = False,
    durable: bool = False,
    threads: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Extraction:
    """Write the chosen files (default: all) into ``folder``, which is made if need be; times and modes are restored.

    All names are judged, and all targets looked at, before the first byte is written. Each file appears whole or not
    at all. ``strip`` drops so many leading parts of each name; a file with no more parts than that is left out.
    ``keep_existing`` leaves files that are there alone; otherwise, unless ``overwrite``, they are an error.
    ``durable`` forces every file to disk.

    Raises UnsafePathError, OutputExistsError, whatever decoding raises, and OSError.
    """
    chosen = archive.members if members is None else list(members)
    check_names(member.name for member in chosen)
    result = Extraction()
    targets: dict[int, Path] = {}
    taken = Names()
    for member in chosen:
        parts = member.name.split("/")[strip:]
        if not parts:
            continue
        if problem := taken.problem("/".join(parts)):
            raise UnsafePathError(f"{member.name!r}: without its leading folders, {problem}")
        target = folder.joinpath(*parts)
        check_parents(folder, parts)
        if os.path.lexists(target) and keep_existing:
            result.kept.append(target)
            continue
        if os.path.lexists(target) and not overwrite:
            raise OutputExistsError(f"{target}: is already there (--force overwrites, --skip-existing leaves it)")
        if target.is_dir() and not target.is_symlink():
            raise OutputExistsError(f"{target}: is a folder")
        targets[member.ordinal] = target
    folders: set[Path] = set()
    for member, data in archive.files([member for member in chosen if member.ordinal in targets], threads=threads):
        if isinstance(data, BitsBackError):
            result.failed.append((member.name, data))
            continue
        target = targets[member.ordinal]
        if target.parent not in folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            check_parents(folder, target.relative_to(folder).parts)
            folders.add(target.parent)
        mode = None if member.mode is None else member.mode & MODE_MASK
        with atomic.write(target, overwrite=overwrite, durable=durable, mode=mode, mtime_ns=member.mtime_ns) as file:
            file.write(data)
        result.written.append(target)
        if progress:
            progress(member.size)
    if durable:  # the files are on disk, and so must be the folders that are new
        inner = {above for path in folders for above in (path, *path.parents) if above.is_relative_to(folder)}
        for made in (*inner, folder.parent):
            atomic.sync_folder(made)
    return result


def check_parents(folder: Path, parts: Sequence[str]) -> None:
    """Raise UnsafePathError if, below ``folder``, something on the way to the file is not a folder of its own.

    A symbolic link on the way would lead out of the folder.
    """
    at = folder
    for part in parts[:-1]:
        at = at / part
        try:
            info = at.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(info.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(info.st_mode) else "not a folder"
            raise UnsafePathError(f"{at}: is {kind}, so nothing is written through it")
