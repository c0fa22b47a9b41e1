"""Where an archive is read from: a path, or standard input."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.errors import BitsBackError, OutputExistsError

if TYPE_CHECKING:
    from bitsback.archive import Archive


@contextmanager
def archive_input(
    name: str,
    *,
    limits: Limits = DEFAULT_LIMITS,
    damaged: bool = False,
    models: Sequence[str] = (),
    spool: bool = True,
) -> "Iterator[Archive]":
    """The archive ``name``, or that on standard input for ``-``; errors are told with its name in front.

    ``models`` are names or files of models that it may need. What comes through a pipe is put into a temporary file
    first, or refused unless ``spool``.
    """
    from bitsback import Model, api

    shown = "standard input" if name == "-" else name
    with ExitStack() as stack:
        loaded = [Model.load(model) for model in models]
        file: BinaryIO
        if name != "-":
            file = stack.enter_context(Path(name).open("rb"))
        elif sys.stdin.buffer.seekable():
            file = sys.stdin.buffer
        elif spool:
            file = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(sys.stdin.buffer, file)
        else:
            raise BitsBackError("standard input is a pipe, and the index is at the archive's end: give a file")
        try:
            yield stack.enter_context(api.open(file, models=loaded, limits=limits, damaged=damaged))
        except OutputExistsError:
            raise
        except BitsBackError as error:
            raise type(error)(f"{shown}: {error}") from error
