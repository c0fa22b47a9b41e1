"""Inputs and outputs that are URLs: ``s3://``, ``https://``, ``memory://`` and whatever else fsspec knows."""

import errno
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from bitsback.cli.extras import need
from bitsback.errors import BitsBackError, InputError, OutputExistsError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(//|:)")
"""A protocol of two letters or more: one is a disk of Windows."""

PIECE = 1 << 20


def is_url(name: str) -> bool:
    """Whether a name is a URL.

    >>> [is_url(name) for name in ("s3://bucket/a.bba", "zip::https://here/a.zip", "a.bba", "C:/a.bba", "./s3://a")]
    [True, True, False, False, False]
    """
    return _URL.match(name) is not None


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Errors of whatever fetches as errors of ours."""
    try:
        yield
    except (BitsBackError, NotImplementedError):
        raise
    except OSError as error:
        if error.errno is None:  # protocols have words of their own, or none
            missing = isinstance(error, FileNotFoundError)
            number = errno.ENOENT if missing else errno.EIO
            told = os.strerror(number) if missing or not str(error) else str(error)
            told += f" ({error.__cause__})" if error.__cause__ else ""
            raise OSError(number, told, name) from error
        error.filename = error.filename or name
        raise
    except ImportError as error:
        raise InputError(name, f"what such URLs need is not installed: {error}") from error
    except Exception as error:  # each protocol has its own
        raise InputError(name, str(error) or type(error).__name__) from error


def _place(name: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    need("fsspec", "fsspec", name)
    from fsspec.core import url_to_fs

    with _told(name):
        found: tuple[Any, str] = url_to_fs(name)
    return found


class _Remote(io.RawIOBase):
    """A file elsewhere, whose errors are told as ours whenever they come."""

    def __init__(self, file: Any, name: str, seekable: bool) -> None:
        self._file, self._name, self._seekable = file, name, seekable

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seekable

    def seek(self, offset: int, whence: int = 0) -> int:
        with _told(self._name):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        with _told(self._name):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def reading(name: str) -> Iterator[BinaryIO]:
    """The file at a URL. Only what is read is fetched, if the server can do that; else the file cannot seek."""
    there, path = _place(name)
    with _told(name):
        file = there.open(path, "rb", cache_type="none")
        seekable = bool(file.seekable())
        if seekable:
            try:
                file.seek(1)
                file.read(1)
                file.seek(0)
            except ValueError:  # a web server that sends all or nothing
                file.close()
                file, seekable = there.open(path, "rb", block_size=0), False
    with _Remote(file, name, seekable) as remote:
        yield cast(BinaryIO, remote)


@contextmanager
def writing(name: str, force: bool) -> Iterator[str]:
    """A path whose file goes to a URL when the block ends well: in one piece, and not before it is verified.

    Raises OutputExistsError if something is there and ``force`` is not set.
    """
    there, path = _place(name)
    with _told(name):
        if not force and there.exists(path):
            raise OutputExistsError(f"{name}: is already there (--force overwrites)")
    with tempfile.TemporaryDirectory(prefix="bitsback-") as folder:
        local = Path(folder, PurePosixPath(path).name or "archive")
        yield str(local)
        with _told(name), local.open("rb") as source:
            with suppress(NotImplementedError):
                there.makedirs(there._parent(path), exist_ok=True)
            try:
                with there.open(path, "wb") as target:
                    shutil.copyfileobj(source, target, PIECE)
            except NotImplementedError:
                raise BitsBackError(f"{name}: {there.protocol} cannot be written to") from None


@contextmanager
def fetched(names: Sequence[str]) -> Iterator[list[str]]:
    """Paths, in one folder, which is there for the time being, of what stands at URLs, folders with all their files.
    Raises InputError if there is nothing."""
    with tempfile.TemporaryDirectory(prefix="bitsback-") as folder:
        paths: list[str] = []
        for name in names:
            there, path = _place(name)
            base = PurePosixPath(path.rstrip("/")).name or "files"
            if base in {PurePosixPath(one).name for one in paths}:
                raise BitsBackError(f"{name}: {base} would be there twice")
            with _told(name):
                target = Path(folder, base)
                if not there.isdir(path):
                    there.get_file(path, str(target))
                elif not (found := there.find(path)):
                    raise InputError(name, "there is nothing")
                else:
                    for one in found:
                        part = target / one[len(path.rstrip("/")) :].lstrip("/")
                        if not part.resolve().is_relative_to(target.resolve()):
                            raise BitsBackError(f"{one}: leads out of its folder")
                        part.parent.mkdir(parents=True, exist_ok=True)
                        there.get_file(one, str(part))
            paths.append(str(target))
        yield paths


__all__ = ["fetched", "is_url", "reading", "writing"]
