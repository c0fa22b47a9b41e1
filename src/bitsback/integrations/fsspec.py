"""An archive as a file system of fsspec, wherever it lies: ``bitsback://scans/007.png::s3://bucket/scans.bba``.

fsspec finds it by its entry point, so whatever opens fsspec's URLs (pandas, Dask, Hugging Face) opens files in archives
once bitsback is installed. Listing reads the index and the heads alone; a file is decoded when it is read.
"""

from __future__ import annotations

import io
import os
import posixpath
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, BinaryIO, ClassVar

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from bitsback.archive import Archive, Library, Limits, Member
from bitsback.archive.limits import DEFAULT_LIMITS
from bitsback.archive.member import Type

_TYPES = {Type.FILE: "file", Type.HARDLINK: "file", Type.FOLDER: "directory", Type.SYMLINK: "link"}

_HOPS = 40
"""Links to links that are followed, as on Linux."""


class ArchiveFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files of an archive, to be read only.

    A symbolic link is listed as ``link`` with its ``destination``, and opens the file that it leads to inside the
    archive. The size of a member of which only pixels were kept is None: it is known once the file has been read.

    Args:
        fo: the archive: a path, a URL that fsspec knows, or a seekable binary file.
        mode: "r", as fsspec asks for.
        target_protocol: the protocol of ``fo``, where it does not name it.
        target_options: what the file system of that protocol is made with.
        library: where its models are looked for, besides the archive itself.
        limits: what the archive may announce, and what decoding may take.

    Raises:
        FormatError: it is no archive. LimitError: it announces too much. OSError: it cannot be read.
    """

    root_marker = ""
    protocol: ClassVar[str] = "bitsback"
    cachable = False

    def __init__(
        self,
        fo: str | os.PathLike[str] | BinaryIO,
        mode: str = "r",
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        *,
        library: Library | None = None,
        limits: Limits = DEFAULT_LIMITS,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if mode not in ("r", "rb"):
            raise ValueError(f"mode {mode!r}: an archive is read here; bitsback.add adds to one")
        self._opened: BinaryIO | None = None
        if isinstance(fo, str | os.PathLike):
            named = {"protocol": target_protocol} if target_protocol else {}
            there, path = url_to_fs(os.fspath(fo), **named, **(target_options or {}))
            # Nothing is read ahead: what stands between two heads is not needed before a file is asked for
            fo = self._opened = there.open(path, "rb", cache_type="none")
        self.archive = Archive(fo, library=library, limits=limits)

    def close(self) -> None:
        """Close the archive, if it was opened here."""
        self.archive.close()
        if self._opened is not None:
            self._opened.close()

    @cached_property
    def _tree(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What each folder holds: by its path, then by the whole name; folders that no member names, too."""
        tree: dict[str, dict[str, dict[str, Any]]] = {"": {}}
        for member in self.archive.members:
            name = member.name.rstrip("/")
            if member.type == Type.FOLDER:
                tree.setdefault(name, {})
            tree.setdefault(posixpath.dirname(name), {})[name] = _info(member)
        for folder in list(tree):
            while folder:
                parent = posixpath.dirname(folder)
                tree.setdefault(parent, {}).setdefault(folder, {"name": folder, "size": 0, "type": "directory"})
                folder = parent
        return tree

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Name, size, type, mode and time of a member. Raises FileNotFoundError."""
        path = self._strip_protocol(path).strip("/")
        if not path:
            return {"name": "", "size": 0, "type": "directory"}
        try:
            return self._tree[posixpath.dirname(path)][path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What a folder holds, or a file itself. Raises FileNotFoundError."""
        path = self._strip_protocol(path).strip("/")
        found = self._tree[path] if path in self._tree else {path: self.info(path)}
        return [found[name] if detail else name for name in sorted(found)]

    def modified(self, path: str) -> datetime:
        """When a file was changed. Raises FileNotFoundError, and ValueError if that is not known."""
        mtime = self.info(path).get("mtime")
        if mtime is None:
            raise ValueError(f"{path}: its time is not known")
        return datetime.fromtimestamp(mtime, UTC)

    def _read(self, path: str) -> bytes:
        name = self._strip_protocol(path).strip("/")
        for _ in range(_HOPS):
            found = self.info(name)
            if found["type"] == "directory":
                raise IsADirectoryError(name)
            if found["type"] != "link":
                return self.archive.read(name)
            name = posixpath.normpath(posixpath.join(posixpath.dirname(name), found["destination"]))
        raise FileNotFoundError(f"{path}: too many links")

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """A file's bytes, or some of them. Raises FileNotFoundError, IsADirectoryError, and what reading raises."""
        return self._read(path)[start:end]

    def _open(self, path: str, mode: str = "rb", **options: Any) -> BinaryIO:
        if mode != "rb":
            raise NotImplementedError("an archive is read here; bitsback.add adds to one")
        return _Opened(self._read(path))


class _Opened(io.BytesIO):
    """A file that is read. Releases of fsspec ask for its size where they read a tail."""

    @property
    def size(self) -> int:
        return self.getbuffer().nbytes


def _info(member: Member) -> dict[str, Any]:
    info: dict[str, Any] = {
        "name": member.name.rstrip("/"),
        "size": None if member.pixels_only else member.size,
        "type": _TYPES[member.type],
    }
    if member.mode is not None:
        info["mode"] = member.mode
    if member.mtime_ns is not None:
        info["mtime"] = member.mtime_ns / 1e9
    if member.type == Type.SYMLINK:
        info |= {"destination": member.target, "islink": True}
    return info
