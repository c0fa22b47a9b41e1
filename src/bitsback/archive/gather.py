"""What the user named: which files, folders and links that is, what they are called in the archive, and their content.

Names are those that ``tar`` gives: the path as the user wrote it, without ``./``, and without what leads out of the
folder where the archive is going to be unpacked, a leading ``/`` and everything up to the last ``..``. So ``A/data
B/data`` and ``scans/*/*.png`` keep their folders, and ``.`` is the content of this folder without a folder around it.
But for paths from the root on, which ``tar`` keeps whole: if all are, the folders above that they share are left out,
as a shell makes ``/home/ann/scans`` of ``~/scans``, and nobody wants Ann's home in the archive.

A file may change at any time. What it was like when it was found is kept as a :class:`Stamp`, and whoever reads it is
told when it is not like that any more.
"""

from __future__ import annotations

import errno
import io
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bitsback.archive import atomic
from bitsback.archive.folders import (
    BY_DESCRIPTOR,
    FOLDER_FLAGS,
    Spot,
    decode,
    is_junction,
    lstat_path,
    open_parent,
    open_path,
)
from bitsback.archive.limits import MIB
from bitsback.archive.member import Entry, Type
from bitsback.archive.patterns import Exclude
from bitsback.errors import ChangedError, InputError, LimitError
from bitsback.files import Skipped, formats

WHOLE = 64 * MIB
"""Files up to this size are read as a whole, larger ones only if they begin as an image does."""

_READ = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # should a pipe be there by now, nobody waits for its other end
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.EISDIR, errno.ENXIO, errno.EMLINK}
_OTHERS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_STORED_AS = {Type.FILE: "a file", Type.HARDLINK: "a file", Type.SYMLINK: "a symbolic link", Type.FOLDER: "a folder"}
_NUMBER = re.compile(rb"([0-9]+)")


class Stamp(NamedTuple):
    """What a file was like: bytes, nanoseconds, and which file it is."""

    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int
    links: int

    @classmethod
    def of(cls, info: os.stat_result) -> Stamp:
        """What the system says about a file."""
        return cls(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_dev, info.st_ino, info.st_nlink)

    def same(self, other: Stamp) -> bool:
        """Whether nobody has touched the file in between.

        Not even its owner can set the time of a file's last change of any kind, so size and times are enough. Its
        number is not looked at: some network file systems give a file another one now and then.
        """
        return self[:3] == other[:3]


@dataclass(frozen=True, slots=True)
class Source:
    """Something to store: its entry, where it is, and what it was like when it was found."""

    entry: Entry
    path: str
    stamp: Stamp

    @property
    def name(self) -> str:
        """What it is called in the archive."""
        return self.entry.name

    @property
    def size(self) -> int:
        """Bytes of a file, or of the file that a hard link names."""
        return self.entry.size

    def open(self) -> io.FileIO:
        """The file, if it is the one that was found, and as it was then.

        Raises ChangedError if it is not, and InputError if it cannot be opened.
        """
        try:
            descriptor = open_path(self.path, _READ)
        except OSError as error:
            raise self._problem(error) from None
        try:
            self.check(descriptor)
            return io.FileIO(descriptor, "r")
        except BaseException:
            os.close(descriptor)
            raise

    def check(self, descriptor: int) -> None:
        """Raise ChangedError unless the opened file is still as it was when it was found."""
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise ChangedError(self.name, "it was replaced")
        now = Stamp.of(info)
        if now.size != self.stamp.size:
            raise ChangedError(self.name, f"it {'grew' if now.size > self.stamp.size else 'shrank'} while it was read")
        if not now.same(self.stamp):
            raise ChangedError(self.name, "it changed while it was read")

    def changed(self) -> bool:
        """Whether what is there now is not what was found: another kind of thing, or a file or link that was touched.

        The content of a folder does not count; those are sources of their own.
        """
        try:
            info = lstat_path(self.path)
        except OSError:
            return True
        return self._differs(info)

    def _differs(self, info: os.stat_result, *, ctime: bool = True) -> bool:
        kinds = {Type.FOLDER: stat.S_ISDIR, Type.SYMLINK: stat.S_ISLNK}
        if not kinds.get(self.entry.type, stat.S_ISREG)(info.st_mode):
            return True
        now = Stamp.of(info)
        return self.entry.type != Type.FOLDER and (now[:2] != self.stamp[:2] or (ctime and not now.same(self.stamp)))

    def _problem(self, error: OSError) -> InputError:
        if error.errno in _GONE:
            return ChangedError(self.name, "it is gone, or was replaced")
        return InputError(self.name, _words(error))


def read_whole(source: Source, limit: int | None = None) -> bytes:
    """The content of a file.

    Raises:
        LimitError: it has more bytes than ``limit``; nothing was read.
        ChangedError: it is not what was found, or changed while it was read.
        InputError: it cannot be read.
    """
    if limit is not None and source.size > limit:
        raise LimitError(f"{source.name}: {source.size:,} bytes, over the limit of {limit:,}")
    with source.open() as file:
        return _read(source, file)


def read_pieces(source: Source, size: int) -> Iterator[bytes]:
    """The content of a file in pieces of ``size`` bytes, the last one shorter; the errors of :func:`read_whole`.

    That it changed may be known only after all but its last piece: what was taken until then is void.
    """
    left = source.size
    with source.open() as file:
        while left > size:
            yield _exactly(source, file, size)
            left -= size
        last = _exactly(source, file, left)
        _ends(source, file)
    if last:
        yield last


def read_image(source: Source, limit: int) -> bytes | None:
    """The content of a file that may be an image; None if it is to be taken in pieces.

    That is so for a file of more than ``limit`` bytes, and for one of more than 64 MiB whose first bytes announce no
    format of images. The errors of :func:`read_whole`.
    """
    if source.size > limit:
        return None
    with source.open() as file:
        if source.size > WHOLE and formats.recognise(read_start(source, formats.MAGIC_BYTES)) is None:
            return None
        return _read(source, file)


def read_start(source: Source, size: int) -> bytes:
    """The first ``size`` bytes of a file, or all if it has fewer; the errors of :func:`read_whole`."""
    with source.open() as file:
        return _exactly(source, file, min(size, source.size))


def _read(source: Source, file: io.FileIO) -> bytes:
    data = _exactly(source, file, source.size)
    _ends(source, file)
    return data


def _exactly(source: Source, file: io.FileIO, size: int) -> bytes:
    """The next ``size`` bytes. Systems may give fewer at a time, Linux never more than 2 GiB."""
    pieces: list[bytes] = []
    while size:
        try:
            piece = file.read(size)
        except OSError as error:
            raise source._problem(error) from None
        if not piece:
            source.check(file.fileno())
            raise ChangedError(source.name, "it shrank while it was read")
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _ends(source: Source, file: io.FileIO) -> None:
    """Make sure that the file ends here, and is what it was. Files of ``/proc`` hold more than they say."""
    try:
        more = file.read(1)
    except OSError as error:
        raise source._problem(error) from None
    source.check(file.fileno())
    if more:
        raise ChangedError(source.name, "it holds more bytes than its size says")


def remove(sources: Iterable[Source]) -> list[Skipped]:
    """Delete what was stored, each thing only if it is still what was found; folders if nothing is left in them.

    What was not deleted is returned, and why.
    """
    left: list[Skipped] = []
    for source in reversed(list(sources)):
        try:
            _remove(source)
        except ChangedError as error:
            left.append(Skipped(source.name, f"not deleted: {error.reason}"))
        except OSError as error:
            left.append(Skipped(source.name, f"not deleted: {_words(error)}"))
    return left[::-1]


def _remove(source: Source) -> None:
    spot = _spot(source.path)
    try:
        info = spot.lstat()
        # Deleting another name of the same file is a change, too
        if info is None or source._differs(info, ctime=source.stamp.links == 1):
            raise ChangedError(source.name, "it changed while it was being stored")
        if source.entry.type == Type.FOLDER:
            os.rmdir(spot.path, dir_fd=spot.dir_fd)
        else:
            os.unlink(spot.path, dir_fd=spot.dir_fd)
    finally:
        if spot.dir_fd is not None:
            os.close(spot.dir_fd)


def gather(
    paths: Iterable[str | os.PathLike[str]],
    *,
    exclude: Iterable[str] = (),
    tell: Callable[[str], None] | None = None,
) -> tuple[list[Source], list[Skipped]]:
    """Everything at ``paths`` and in the folders among them; and what is left out, and why.

    Files, folders and symbolic links are taken. A link is never followed, also one that was given itself, except with
    a slash at its end (then not as a :class:`~pathlib.Path`, which drops it). Another name of a file that is there
    already is a hard link to it. A folder stands before its content, which is sorted by name, numbers in names by
    value. What is given twice is taken once.

    Left out with a reason are pipes, sockets and devices, what cannot be read, and what would have the name of
    something else. Left out without are what ``exclude`` names (see :class:`~bitsback.archive.patterns.Exclude`), and
    unfinished files of our own that a killed process has left behind. ``tell`` is called with one line about those,
    about links that were given, and about what is cut off from names.

    Raises InputError for a given path that does not exist.
    """
    given = [os.fspath(path) for path in paths]
    gathering = _Gathering(Exclude(exclude), tell or (lambda line: None))
    for path, (name, cut) in zip(given, member_names(given), strict=True):
        gathering.take(path, name, cut)
    return gathering.sources, gathering.skipped


def member_names(paths: Sequence[str]) -> list[tuple[str, str]]:
    """What given paths are called in an archive, and what was cut off in front of each.

    >>> member_names(["/home/ann/scans", "/home/ann/more/a.png"]), member_names(["/etc/motd", "a"])
    ([('scans', '/home/ann/'), ('more/a.png', '/home/ann/')], [('etc/motd', '/'), ('a', '')])
    """
    named = [member_name(path) for path in paths]
    if len({cut for _, cut in named}) != 1 or not named[0][1].endswith("/") or ".." in named[0][1].split("/"):
        return named
    above = posixpath.commonpath([posixpath.dirname("/" + name) for name, _ in named])[1:]
    above += "/" if above else ""
    return [(name.removeprefix(above), cut + above) for name, cut in named]


def member_name(path: str) -> tuple[str, str]:
    """What a given path is called in an archive beside one that does not begin at the root, and what was cut off.

    >>> member_name("./scans//a.png"), member_name("/etc/motd"), member_name("../../x/../y/z/"), member_name("..")
    (('scans/a.png', ''), ('etc/motd', '/'), ('y/z', '../../x/../'), ('', '..'))
    """
    if os.name == "nt":
        drive, path = os.path.splitdrive(path)
        path = path.replace("\\", "/")
    else:
        drive, path = "", decode(os.fsencode(path))
    parts = path.split("/")
    start = len(parts) - parts[::-1].index("..") if ".." in parts else 0
    name = "/".join(part for part in parts[start:] if part not in ("", "."))
    if start:
        return name, drive + "/".join([*parts[:start], ""] if name else parts[:start])
    return name, drive + "/" if path.startswith("/") else drive


class _Found(NamedTuple):
    """Something that may be stored."""

    name: str
    path: str
    info: os.stat_result
    readable: bool = True
    target: str = ""


class _Gathering:
    """What was taken so far."""

    def __init__(self, exclude: Exclude, tell: Callable[[str], None]) -> None:
        self.sources: list[Source] = []
        self.skipped: list[Skipped] = []
        self._exclude = exclude
        self._tell = tell
        self._cut: set[str] = set()
        self._taken: dict[str, tuple[Type, Stamp | None]] = {}
        """Names, also of folders that are only on the way to something given, which have no stamp."""
        self._files: dict[tuple[int, int], str] = {}
        """Names of files that have several, by device and number."""

    def take(self, path: str, name: str, cut: str) -> None:
        """Take what a given path names, and all that is below it, by this name, in front of which something was cut."""
        if cut and cut not in self._cut:
            self._cut.add(cut)
            self._tell(f"names are stored without {cut!r} in front")
        try:
            info = lstat_path(path)
        except (OSError, ValueError) as error:
            raise InputError(path, _words(error)) from None
        if not name:
            self._walk(path, "")
            return
        if self._exclude(name, folder=stat.S_ISDIR(info.st_mode)) or self._in_the_way(name):
            return
        found = _Found(name, path, info) if stat.S_ISDIR(info.st_mode) else _look(_spot(path), name, path, close=True)
        if isinstance(found, Skipped):
            self.skipped.append(found)
            return
        if found.target:
            self._tell(f"{name}: is a symbolic link, and stored as one ({name}/ would be what it leads to)")
        if self._add(found):
            self._walk(path, name)

    def _in_the_way(self, name: str) -> bool:
        """Whether a folder above cannot be one in the archive; else it is from now on."""
        for at, char in enumerate(name):
            if char == "/":
                kind, _ = self._taken.setdefault(name[:at], (Type.FOLDER, None))
                if kind != Type.FOLDER:
                    self.skipped.append(Skipped(name, f"{name[:at]} is in the archive as {_STORED_AS[kind]}"))
                    return True
        return False

    def _walk(self, path: str, name: str) -> None:
        """Everything below a folder, depth first. A stack instead of recursion: depth costs nothing."""
        stack = [iter(self._list(path, name))]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif not self._exclude.alone(found.name, folder=stat.S_ISDIR(found.info.st_mode)) and self._add(found):
                stack.append(iter(self._list(found.path, found.name)))

    def _list(self, path: str, name: str) -> list[_Found]:
        """What is in a folder, in order."""
        found: list[_Found] = []
        try:
            descriptor = open_path(path, FOLDER_FLAGS | getattr(os, "O_NOFOLLOW", 0)) if BY_DESCRIPTOR else None
        except OSError as error:
            self.skipped.append(Skipped(name or path, f"its content cannot be read: {_words(error)}"))
            return found
        try:
            names = os.listdir(path if descriptor is None else descriptor)
            for inner in sorted(names, key=_natural):
                below = os.path.join(path, inner)
                spot = Spot(below) if descriptor is None else Spot(os.fsencode(inner), descriptor)
                plain = inner if os.name == "nt" else decode(os.fsencode(inner))
                one = _look(spot, f"{name}/{plain}" if name else plain, below)
                if isinstance(one, Skipped):
                    self.skipped.append(one)
                else:
                    found.append(one)
        except OSError as error:
            self.skipped.append(Skipped(name or path, f"its content cannot be read: {_words(error)}"))
        finally:
            if descriptor is not None:
                os.close(descriptor)
        return found

    def _add(self, found: _Found) -> bool:
        """Take one thing, or say why not. Whether it is a folder whose content is still to be taken."""
        name, info = found.name, found.info
        stamp = Stamp.of(info)
        kind = _kind(info)
        if kind is None:
            reason = "a junction" if is_junction(info) else _OTHERS.get(stat.S_IFMT(info.st_mode), "no regular file")
            self.skipped.append(Skipped(name, reason))
            return False
        if kind == Type.FILE and atomic.is_part(name.rpartition("/")[2]):
            self._tell(f"{name}: left out, the unfinished file of a process that was killed")
            return False
        known, same = self._taken.get(name, (None, None))
        if known == kind == Type.FOLDER:
            if same is not None:
                return same[3:5] != stamp[3:5]
        elif known is not None:
            if same is None or same[3:5] != stamp[3:5]:
                self.skipped.append(Skipped(name, "something else in the archive has this name"))
            return False
        if not found.readable:
            self.skipped.append(Skipped(name, "permission denied"))
            return False
        self._taken[name] = kind, stamp
        target, size = found.target, info.st_size if kind == Type.FILE else 0
        if kind == Type.FILE and info.st_nlink > 1 and info.st_ino:
            first = self._files.setdefault((info.st_dev, info.st_ino), name)
            kind, target = (Type.FILE, "") if first == name else (Type.HARDLINK, first)
        mode = stat.S_IMODE(info.st_mode)
        self.sources.append(Source(Entry(name, kind, info.st_mtime_ns, mode, size, target), found.path, stamp))
        return kind == Type.FOLDER


def _kind(info: os.stat_result) -> Type | None:
    if stat.S_ISDIR(info.st_mode):
        return None if is_junction(info) else Type.FOLDER
    if stat.S_ISLNK(info.st_mode):
        return Type.SYMLINK
    return Type.FILE if stat.S_ISREG(info.st_mode) else None


def _look(spot: Spot, name: str, path: str, *, close: bool = False) -> _Found | Skipped:
    """What is at a spot."""
    try:
        info = os.stat(spot.path, dir_fd=spot.dir_fd, follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            return _Found(name, path, info, target=_target(spot))
        if stat.S_ISREG(info.st_mode):
            return _Found(name, path, info, readable=_readable(spot))
        return _Found(name, path, info)
    except OSError as error:
        return Skipped(name, _words(error))
    finally:
        if close and spot.dir_fd is not None:
            os.close(spot.dir_fd)


def _readable(spot: Spot) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(spot.path, os.R_OK, dir_fd=spot.dir_fd, effective_ids=effective)


def _target(spot: Spot) -> str:
    """What a symbolic link says, as archives have it."""
    target = os.fsencode(os.readlink(os.fsdecode(spot.path), dir_fd=spot.dir_fd))
    if os.name == "nt":
        return os.fsdecode(target).removeprefix("\\\\?\\").replace("\\", "/")
    return decode(target)


def _spot(path: str) -> Spot:
    """The last part of a path of any length in its opened folder, whose descriptor is for the caller to close."""
    if not BY_DESCRIPTOR:
        return Spot(path)
    return Spot(os.fsencode(os.path.basename(path.rstrip("/"))), open_parent(path))


def _natural(name: str) -> tuple[list[bytes | int], bytes]:
    """A key that sorts by bytes, but numbers by their value: frames of a film come in their order."""
    plain = os.fsencode(name)
    return [int(part) if k % 2 else part for k, part in enumerate(_NUMBER.split(plain))], plain


def _words(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return str(error)
