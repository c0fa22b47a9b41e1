"""From an archive into a folder, without ever leaving the folder.

Folders are opened by descriptor, part by part, and links never followed (see :mod:`bitsback.archive.folders`), so that
nothing is written through a link: not one that was there, not one out of the archive, and not one that somebody puts in
a folder's place meanwhile. First the folders are made, then the files, each under a name of its own until it is whole,
with their hard links; then the symbolic links; last, when nothing is written any more, modes and times of the folders.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar

from bitsback.archive import atomic, names
from bitsback.archive.folders import Folders, Handle, Spot, encode, make_folder, spot_in
from bitsback.archive.member import Type
from bitsback.archive.metadata import Metadata
from bitsback.archive.names import Rules
from bitsback.errors import BitsBackError, FormatError, OutputExistsError, UnsafePathError

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_NAMELESS = {errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG}
"""How file systems say that they cannot hold a name."""

_LINKLESS = atomic.NO_LINKS | {errno.ENAMETOOLONG}
"""How they say that they have no symbolic links, or none that say so much."""


class MemberLike(Protocol):
    """A member of an archive."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> Type: ...
    @property
    def mtime_ns(self) -> int | None: ...
    @property
    def mode(self) -> int | None: ...
    @property
    def target(self) -> str: ...
    @property
    def ordinal(self) -> int: ...


M = TypeVar("M", bound=MemberLike)


class ArchiveLike(Protocol[M]):
    """What an archive has to be able to do."""

    @property
    def members(self) -> Sequence[M]: ...

    def contents(self, members: Sequence[M], threads: int = 0) -> Iterator[tuple[M, Iterable[bytes] | BitsBackError]]:
        """The content of files, in any order, in pieces that are taken before the next file."""


@dataclass(slots=True)
class Outcome:
    """What became of the members."""

    written: list[Path] = field(default_factory=list)
    """Files and links."""
    folders: list[Path] = field(default_factory=list)
    renamed: list[tuple[str, Path, str]] = field(default_factory=list)
    """Names in the archive, where that is now, and why it is called so."""
    skipped: list[tuple[str, BitsBackError]] = field(default_factory=list)
    """Names and reasons: what was there already (OutputExistsError), what is not safe (UnsafePathError), and what the
    file system cannot hold."""
    failed: list[tuple[str, BitsBackError]] = field(default_factory=list)
    """Names and reasons: what the archive, as it is damaged, does not give any more."""
    warnings: list[str] = field(default_factory=list)
    """What else is not as it was: times and permissions that could not be set, and hard links."""


def extract(
    archive: ArchiveLike[M],
    folder: Path | str,
    members: Sequence[M] | None = None,
    *,
    overwrite: bool = False,
    keep_existing: bool = False,
    preserve: bool = False,
    durable: bool = False,
    damaged: bool = False,
    threads: int = 0,
    strip_components: int = 0,
    progress: Callable[[int], None] | None = None,
    rules: Rules | None = None,
) -> Outcome:
    """Write the chosen members (default: all) into ``folder``, which is made if need be.

    Each file appears whole or not at all. Times are restored. Permissions are, less what the umask takes and the bits
    that lend an identity; with ``preserve`` all of them. Symbolic links are made as they are with ``preserve``, else
    only if they stay inside: relative, and ``..`` only at the beginning and not above ``folder``. A hard link becomes
    one where the file that it names is extracted too, else a file of its own. Owners are not restored.

    What is there already stops everything before anything is written, unless ``overwrite`` or ``keep_existing``; a
    folder never is in the way of a folder, but it keeps its mode and time unless ``overwrite``.

    Names that this system, or this file system, cannot hold are changed (:mod:`bitsback.archive.names`); those that
    would lead out of the folder are left out, and so are links that may. Modes and times that the file system refuses
    are one warning for each kind.

    Args:
        strip_components: so many leading folders are dropped from each name; what has no more than that is left out.
        durable: force everything to disk.
        damaged: go on when a file cannot be had, and list it in ``failed``.
        threads: how many decode, 0 for all cores.
        progress: called with the number of bytes newly written.
        rules: what names must be like; None: as this system and the file system want them.

    Raises:
        OutputExistsError: the first thing that is there already.
        UnsafePathError: a link, or something else that is no folder, stands where a folder is needed or was put there
            meanwhile.
        FormatError: the archive is damaged, and ``damaged`` was not set.
        OSError: the disk is full, and the like; with the name of the file. Finished files stay.
    """
    target = os.fspath(folder)
    try:
        Path(target).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputExistsError(f"{target}: is there and not a folder") from None
    options = _Options(overwrite, keep_existing, preserve, durable, damaged, progress or (lambda size: None))
    with Folders(target) as folders:
        chosen = archive.members if members is None else members
        work = _Extraction(folders, options, rules or rules_of(folders, chosen))
        work.plan(archive.members, chosen, strip_components)
        work.look()
        work.make_folders()
        work.write_files(archive, threads)
        work.make_links()
        work.finish_folders()
    return work.outcome


def rules_of(folders: Folders, members: Iterable[names.Named]) -> Rules:
    """The rules for names in a target folder: the system's, or stricter ones if some name needs them and the file
    system turns out to have them, which is tried with files that are gone at once."""
    if names.HERE != names.POSIX:
        return names.HERE
    members = list(members)
    if all(map(names.is_plain, (member.name for member in members))):
        return names.POSIX
    unusual = [where for where in names.place(members, names.EVERYWHERE) if isinstance(where, names.Place)]
    if not any(where.note for where in unusual):
        return names.POSIX
    top = folders.enter(())
    if not _holds(spot_in(top, atomic.part_name('<>:"|?*\\'))):
        return names.WINDOWS
    bytes_too = _holds(spot_in(top, atomic.part_name("\udcff")))
    case, marks = atomic.part_name("Case"), atomic.part_name("\xe9")
    return Rules(
        text=not bytes_too,
        case=_holds(spot_in(top, case), seen_as=case.replace("Case", "cASE")),
        marks=_holds(spot_in(top, marks), seen_as=marks.replace("\xe9", "e\u0301")),
    )


def _holds(spot: Spot, seen_as: str | None = None) -> bool:
    """Whether a file can have this name, and, if asked, whether it can then be seen under another one."""
    try:
        os.close(os.open(spot.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=spot.dir_fd))
    except OSError as error:
        return seen_as is None and error.errno not in _NAMELESS | {errno.ENOENT}
    try:
        return seen_as is None or spot.beside(seen_as).lstat() is not None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(spot.path, dir_fd=spot.dir_fd)


class _Options(NamedTuple):
    overwrite: bool
    keep_existing: bool
    preserve: bool
    durable: bool
    damaged: bool
    progress: Callable[[int], None]


@dataclass(slots=True)
class _Task:
    """A member and where it goes."""

    member: MemberLike
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.member.name


Identity = tuple[int, int]
"""Which file or folder of the system something is: device and number."""


class _Extraction:
    """The steps of :func:`extract`, in order, and what they know of each other."""

    def __init__(self, folders: Folders, options: _Options, rules: Rules) -> None:
        self.outcome = Outcome()
        self._at = folders
        self._options = options
        self._rules = rules
        self._metadata = Metadata(options.preserve)
        self._folders: list[_Task] = []
        self._links: list[_Task] = []
        self._files: dict[int, list[_Task]] = {}
        """By the ordinal of the file whose content it is: the file, and hard links to it."""
        self._sources: list[Any] = []
        """Those files, in order."""
        self._old: set[tuple[str, ...]] = set()
        """Folders that were there."""
        self._seen: dict[tuple[str, ...], Identity] = {}
        """Folders that were made, or written into, as they were then."""
        self._looked: tuple[tuple[str, ...], int] | None = None
        """The folder that was looked at last, and how many had been opened then."""
        self._written: dict[Identity, str] = {}
        """Files, by what they are; where they are."""

    # Before anything is written ----------------------------------------------------------------------------------

    def plan(self, everything: Sequence[MemberLike], chosen: Sequence[MemberLike], strip: int) -> None:
        """Decide where everything goes."""
        by_name = {member.name: member for member in everything if member.type == Type.FILE}
        for member, where in zip(chosen, names.place(chosen, self._rules, strip), strict=True):
            if isinstance(where, UnsafePathError):
                self.outcome.skipped.append((member.name, where))
            elif where is not None:
                if where.note:
                    self._renamed(member.name, where.parts, where.note)
                task = _Task(member, where.parts)
                if member.type == Type.FOLDER:
                    self._folders.append(task)
                elif member.type == Type.SYMLINK:
                    self._links.append(task)
                else:
                    source = member if member.type == Type.FILE else by_name.get(member.target)
                    if source is None:
                        error = FormatError(f"{member.name}: is a hard link to {member.target!r}, which is no file")
                        self._fail([task], error)
                        continue
                    self._files.setdefault(source.ordinal, []).append(task)
        self._sources = [member for member in everything if member.ordinal in self._files]
        self._folders.sort(key=lambda task: task.parts)

    def look(self) -> None:
        """Look at what is there, and refuse, or leave alone, what is in the way."""
        with os.scandir(self._at.target) as scan:
            if next(scan, None) is None:
                return
        for task in self._folders:
            try:
                self._at.enter(task.parts)
                self._old.add(task.parts)
            except FileNotFoundError:
                continue
        for tasks in (self._links, *self._files.values()):
            tasks[:] = [task for task in tasks if self._is_free(task)]
        self._sources = [member for member in self._sources if self._files[member.ordinal]]

    def _is_free(self, task: _Task) -> bool:
        try:
            info = self._at.spot(task.parts).lstat()
        except FileNotFoundError:
            return True
        if info is None:
            return True
        error = OutputExistsError(f"{self._at.path(task.parts)}: is already there (--force overwrites)")
        if self._options.keep_existing:
            self.outcome.skipped.append((task.name, error))
            return False
        if not self._options.overwrite:
            raise error
        if stat.S_ISDIR(info.st_mode):
            raise OutputExistsError(f"{self._at.path(task.parts)}: is a folder")
        return True

    # Writing -----------------------------------------------------------------------------------------------------

    def make_folders(self) -> None:
        """Make the folders, those above before those below."""
        ours: dict[Identity, tuple[str, ...]] = {}
        for task in self._folders:
            with _Skipping(self.outcome, task), self._naming(task):
                spot = self._spot(task)
                with suppress(FileExistsError):
                    make_folder(spot, self._metadata.initial(task.member.mode, 0o777))
                self._saw(task.parts, self._at.enter(task.parts))
                twin = ours.setdefault(self._seen[task.parts], task.parts)
                if twin != task.parts:
                    self._renamed(task.name, twin, f"to this file system, {twin[-1]!r} is the same name")
                self.outcome.folders.append(Path(self._at.path(task.parts)))

    def write_files(self, archive: ArchiveLike[Any], threads: int) -> None:
        """Write the files as the archive gives them, and their hard links."""
        contents = archive.contents(self._sources, threads) if self._sources else iter(())
        with closing(contents) if isinstance(contents, Generator) else nullcontext():
            for member, content in contents:
                tasks = self._files.pop(member.ordinal)
                if isinstance(content, BitsBackError):
                    self._fail(tasks, content)
                else:
                    self._write_all(tasks, content)
        for tasks in self._files.values():
            if tasks:
                self._fail(tasks, FormatError(f"{tasks[0].name}: the archive has no content for it"))

    def _write_all(self, tasks: Sequence[_Task], content: Iterable[bytes]) -> None:
        """Write a file under the first of its names, and give it the others."""
        first, *others = tasks
        try:
            with _Skipping(self.outcome, first):
                written = self._write(first, _given(content))
                for other in others if written else ():
                    with _Skipping(self.outcome, other):
                        self._link(written, other)
        except _LostError as lost:
            self._fail(tasks, lost.reason)

    def _write(self, task: _Task, content: Iterable[bytes]) -> tuple[str, ...]:
        """Write a file. Where it is, which may not be where it was to go; () if something is there by now."""
        where, member, naming = self._at.path(task.parts), task.member, self._naming(task)
        with atomic.Part(where) as new:
            with naming:
                spot = self._spot(task)
                new.create(spot, self._metadata.initial(member.mode, 0o666), buffered=False)
            for piece in content:
                with naming:
                    new.write(piece)
                self._options.progress(len(piece))
            with naming:
                self._metadata.set_mode(new.handle, member.mode, task.name)
                info = self._metadata.set_time(new.handle, member.mtime_ns, task.name)
                identity = _identity(info or os.fstat(new.file.fileno()))
                overwrite, durable = self._options.overwrite, self._options.durable
                parts = self._publish(task, spot, lambda at: new.publish(at, overwrite=overwrite, durable=durable))
                self._written[identity] = (parts or task.parts)[-1]
        return parts

    def _link(self, first: tuple[str, ...], task: _Task) -> None:
        """Give the file at ``first`` another name, or write it again where the file system has no such names."""
        with self._naming(task), self._held(first) as there:
            try:
                self._publish(task, self._spot(task), self._putting(task, lambda at: atomic.link(there, at)))
                return
            except OSError as error:
                if error.errno not in atomic.NO_LINKS | {errno.EXDEV}:
                    raise
                self._metadata.refuse("the hard link", task.name, (error.strerror or "").lower())
            file = open(os.open(there.path, _READ, dir_fd=there.dir_fd), "rb")  # noqa: SIM115
        with file:
            self._write(task, iter(lambda: file.read(1 << 20), b""))

    def make_links(self) -> None:
        """Make the symbolic links: when nothing is written any more that could go through one."""
        for task in self._links:
            if problem := self._danger(task):
                self.outcome.skipped.append((task.name, UnsafePathError(f"{task.name!r}: {problem}")))
                continue
            with _Skipping(self.outcome, task), self._naming(task):
                spot = self._spot(task)
                try:
                    parts = self._publish(task, spot, self._putting(task, partial(self._symlink, task)))
                except OSError as error:
                    if error.errno in _LINKLESS or os.name == "nt":
                        reason = (error.strerror or "").lower()
                        raise _UnsupportedError(f"{task.name}: symbolic links cannot be made here: {reason}") from None
                    raise
                if parts:
                    self._metadata.set_time(spot.beside(parts[-1]), task.member.mtime_ns, task.name)

    def _symlink(self, task: _Task, at: Spot) -> None:
        target = task.member.target
        if os.name == "nt":
            inner = os.path.normpath("/".join((*task.parts[:-1], target))).replace("\\", "/")
            is_folder = any("/".join(folder.parts) == inner for folder in self._folders)
            os.symlink(target.replace("/", "\\"), at.path, target_is_directory=is_folder)
        else:
            os.symlink(encode(target), at.path, dir_fd=at.dir_fd)
        info = at.lstat()
        if info is not None:
            self._written[_identity(info)] = task.parts[-1]

    def _danger(self, task: _Task) -> str:
        """Why a symbolic link is not made."""
        target = task.member.target
        if not target or "\0" in target:
            return "a symbolic link that leads nowhere"
        if self._options.preserve:
            return ""
        parts = re.split(r"[/\\]" if self._rules.windows else "/", target)
        if not parts[0] or (self._rules.windows and ":" in target):
            return f"an absolute symbolic link, to {target!r} (-p makes it)"
        depth, down = len(task.parts) - 1, False
        for part in parts:
            if part == "..":
                depth -= 1
                if down or depth < 0:  # a folder on the way down may itself be a link, so that .. is anywhere
                    return f"a symbolic link that may lead out of the folder, to {target!r} (-p makes it)"
            elif part not in ("", "."):
                down = True
        return ""

    def finish_folders(self) -> None:
        """Give the folders their modes and times, the deepest first, and make sure that they are those written to."""
        self._at.reset()
        tasks = {task.parts: task for task in self._folders}
        for parts in sorted(self._seen, reverse=True):
            try:
                handle = self._at.enter(parts)
            except FileNotFoundError:
                raise self._replaced(parts) from None
            self._saw(parts, handle)
            task = tasks.get(parts)
            if task and (parts not in self._old or self._options.overwrite):
                self._metadata.set_mode(handle, task.member.mode, task.name)
                self._metadata.set_time(handle, task.member.mtime_ns, task.name)
            if self._options.durable:
                atomic.sync_folder(handle)
        if self._options.durable:
            atomic.sync_folder(Path(self._at.target).resolve().parent)
        self.outcome.warnings = self._metadata.warnings()

    # For all of these --------------------------------------------------------------------------------------------

    def _spot(self, task: _Task) -> Spot:
        """Where something goes; folders above are made."""
        above = task.parts[:-1]
        handle = self._at.enter(above, make=True)
        self._saw(above, handle)
        return spot_in(handle, task.parts[-1])

    def _saw(self, parts: tuple[str, ...], handle: Handle) -> None:
        """Remember which folder this is, and compare if it is known."""
        if isinstance(handle, int) and self._looked == (parts, self._at.opened):
            return  # the same descriptor as for the file before
        identity = _identity(os.stat(handle))
        self._looked = parts, self._at.opened
        if self._seen.setdefault(parts, identity) != identity:
            raise self._replaced(parts)

    def _replaced(self, parts: tuple[str, ...]) -> UnsafePathError:
        return UnsafePathError(f"{self._at.path(parts)}: was replaced while files were written into it")

    def _publish(self, task: _Task, spot: Spot, put: Callable[[Spot], None]) -> tuple[str, ...]:
        """Let ``put`` give something its name, or another one if something out of the archive turns out to have it.

        Where it is then; () if something else is there, which is to be left alone.
        """
        parts, number, twin = task.parts, 1, None
        while True:
            try:
                if self._options.overwrite and self._twin(spot):
                    raise FileExistsError
                put(spot)
                break
            except (FileExistsError, OutputExistsError) as error:
                if (known := self._twin(spot)) is None:
                    if not isinstance(error, OutputExistsError):
                        error = OutputExistsError(f"{self._at.path(parts)}: is already there (--force overwrites)")
                    if not self._options.keep_existing:
                        raise error from None
                    self.outcome.skipped.append((task.name, error))
                    return ()
                twin, number = known, number + 1
                parts = (*task.parts[:-1], self._rules.cut(task.parts[-1], f"~{number}"))
                spot = spot.beside(parts[-1])
        if twin is not None:
            self._renamed(task.name, parts, f"to this file system, {twin!r} is the same name")
        self.outcome.written.append(Path(self._at.path(parts)))
        return parts

    def _twin(self, spot: Spot) -> str | None:
        """The name under which what is at a spot was written, if it was by us."""
        info = spot.lstat()
        return None if info is None else self._written.get(_identity(info))

    def _putting(self, task: _Task, make: Callable[[Spot], None]) -> Callable[[Spot], None]:
        """What makes a link at a spot; where it may replace something, under a name for the time being first."""
        if not self._options.overwrite:
            return make

        def put(spot: Spot) -> None:
            hidden = spot.beside(atomic.part_name(task.parts[-1]))
            make(hidden)
            try:
                atomic.replace(hidden, spot, self._at.path(task.parts))
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(hidden.path, dir_fd=hidden.dir_fd)

        return put

    @contextmanager
    def _held(self, parts: tuple[str, ...]) -> Iterator[Spot]:
        """A spot that stays what it is while other folders are entered."""
        spot = self._at.spot(parts)
        if spot.dir_fd is None:
            yield spot
            return
        descriptor = os.dup(spot.dir_fd)
        try:
            yield Spot(spot.path, descriptor)
        finally:
            os.close(descriptor)

    def _naming(self, task: _Task) -> _Naming:
        return _Naming(self._at, task)

    def _renamed(self, name: str, parts: tuple[str, ...], why: str) -> None:
        self.outcome.renamed.append((name, Path(self._at.path(parts)), why))

    def _fail(self, tasks: Iterable[_Task], error: BitsBackError) -> None:
        if not self._options.damaged:
            raise error
        self.outcome.failed += [(task.name, error) for task in tasks]


class _Naming:
    """Says in errors of the system what they are about; those about the name alone become an error of ours.

    This and the next are classes, as there are several for each file, and generators take longer.
    """

    __slots__ = ("_at", "_task")

    def __init__(self, folders: Folders, task: _Task) -> None:
        self._at, self._task = folders, task

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, OSError):
            if error.errno in _NAMELESS:
                raise _UnsupportedError(f"{self._task.name}: {(error.strerror or '').lower()}") from None
            error.filename, error.filename2 = self._at.path(self._task.parts), None


class _Skipping:
    """Goes on without what the file system cannot hold."""

    __slots__ = ("_outcome", "_task")

    def __init__(self, outcome: Outcome, task: _Task) -> None:
        self._outcome, self._task = outcome, task

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if not isinstance(error, _UnsupportedError):
            return False
        self._outcome.skipped.append((self._task.name, error))
        return True


class _UnsupportedError(BitsBackError):
    """The file system cannot hold this."""


class _LostError(Exception):
    """The archive does not give the content of a file."""

    def __init__(self, reason: BitsBackError) -> None:
        self.reason = reason


def _given(content: Iterable[bytes]) -> Iterator[bytes]:
    """The content; what is wrong with it is told from what is wrong with writing it."""
    try:
        yield from content
    except BitsBackError as error:
        raise _LostError(error) from error


def _identity(info: os.stat_result) -> Identity:
    return info.st_dev, info.st_ino
