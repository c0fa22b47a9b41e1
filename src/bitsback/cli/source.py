"""Where an archive is read from: a path, or standard input."""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.cli.output import say
from bitsback.cli.urls import is_url, reading
from bitsback.errors import BitsBackError, ChecksumError, InputError, OutputExistsError, TruncatedError

if TYPE_CHECKING:
    import click

    from bitsback.archive import Archive, Library, Member

STDIN = "standard input"


@contextmanager
def archive_file(name: str, *, spool: bool = True) -> Iterator[BinaryIO]:
    """The file ``name``, a URL, or standard input for ``-``, to be read from anywhere; errors have its name in front.

    What comes through a pipe is put into a temporary file first, or refused unless ``spool``.
    """
    shown = STDIN if name == "-" else name
    with ExitStack() as stack:
        try:
            if name == "-":
                given: BinaryIO = sys.stdin.buffer
            elif is_url(name):
                given = stack.enter_context(reading(name))
            else:
                given = stack.enter_context(Path(name).open("rb"))
            if given.seekable():
                yield given
            elif spool or is_url(name):  # of a server that sends all or nothing
                file = stack.enter_context(tempfile.TemporaryFile())
                spool_into(file, given)
                yield file
            else:
                raise BitsBackError("a pipe, and the index is at the archive's end: give a file")
        except (InputError, OutputExistsError):  # which name what they are about
            raise
        except BitsBackError as error:
            raise type(error)(f"{shown}: {error}") from error
        except OSError as error:
            error.filename = error.filename or shown
            raise


@contextmanager
def archive_input(
    name: str,
    *,
    limits: Limits = DEFAULT_LIMITS,
    damaged: bool = False,
    models: Sequence[str] = (),
    spool: bool = True,
) -> "Iterator[Archive]":
    """The archive ``name``; as for :func:`archive_file`. ``models``: names or files of those that it may need."""
    from bitsback.archive.reader import Archive

    library = library_of(models)
    with archive_file(name, spool=spool) as file:
        try:
            opened = Archive(file, library=library, limits=limits, damaged=damaged)
        except (ChecksumError, TruncatedError) as error:
            raise type(error)(f"{error} (bitsback recover saves what is whole)") from error
        with opened as archive:
            yield archive


def complete_members(context: "click.Context", parameter: "click.Parameter", start: str) -> list[str]:
    """For the completion of the shell: names in the archive that was given that begin so; folders with a slash."""
    from bitsback.archive.member import Type

    try:
        with archive_input(context.params["archive"], spool=False) as archive:
            names = [member.name + "/" * (member.type == Type.FOLDER) for member in archive.members]
    except (BitsBackError, OSError, KeyError, TypeError):
        return []
    return [name for name in names if name.startswith(start)]


def library_of(models: Sequence[str]) -> "Library":
    """A library with models that are given by name, or by the path of their file."""
    from bitsback.archive.library import Library

    if not models:
        return Library()
    from bitsback.models import Model

    return Library([Model.load(model) for model in models])


def check_models(archive: "Archive", members: "Iterable[Member]") -> None:
    """Raise ModelNotFoundError, once, if a model that the members need is not at hand: that is no damage."""
    for identity in sorted({model for member in members for model in member.models}):
        archive.model(identity)


def spool_into(file: BinaryIO, given: BinaryIO) -> int:
    """Copy a stream into a temporary file; how many bytes. A full disk is told with the folder's name."""
    size = 0
    while True:
        where = STDIN
        try:
            piece = given.read(1 << 20)
            where = tempfile.gettempdir()
            file.write(piece)
            file.flush()
        except OSError as error:
            error.filename = error.filename or where
            raise
        if not piece:
            return size
        size += len(piece)


def warn_of_tail(archive: "Archive", name: str) -> bool:
    """Say so if its parity is damaged, or something stands behind its end that does not count. Whether it does."""
    shown = STDIN if name == "-" else name
    for problem in archive.problems:
        say(f"warning: {shown}: {problem}; all else is read without it, and recover makes it anew")
    tail = archive.structure.tail
    if tail:
        say(
            f"warning: {shown}: {tail:,} bytes behind its end do not count, as of an add that "
            "was cut off: this is the archive as it was before"
        )
    return tail > 0 or bool(archive.problems)
