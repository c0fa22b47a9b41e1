"""What goes to the screen: messages and progress on stderr, data on stdout."""

import json
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO

from bitsback.report import words

size_words, count_words = words.size, words.count

STDOUT = "standard output"
"""What errors call it."""

EVERY = 0.1
"""Seconds between two pictures of a progress bar."""

_quiet = 0


def prepare() -> None:
    """Make the three standard streams something that can be used, whatever state they are in.

    What stands in the way of a message is never an error: characters that a stream cannot hold are spelt out, and where
    there is no standard error, nothing is written. Reading or writing the others fails, when it is tried, if they are
    closed; and no file that is opened later takes their place.
    """
    if sys.stdin is None and not _is_open(0):
        _take(0, os.pipe()[::-1])
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None and not _is_open(1):
        _take(1, [os.open(os.devnull, os.O_RDONLY)])
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None and not _is_open(2):
        _take(2, [os.open(os.devnull, os.O_WRONLY)])
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _take(number: int, opened: Sequence[int]) -> None:
    """Let a standard stream's number mean the first of these descriptors, and nothing the others."""
    os.dup2(opened[0], number)
    for descriptor in opened:
        if descriptor != number:
            os.close(descriptor)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def silence(stream: TextIO | None) -> None:
    """Nobody takes what goes there any more: let the interpreter's last flush go nowhere instead of failing."""
    try:
        assert stream is not None
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
    except (OSError, ValueError, AssertionError):
        return


def set_quiet(level: int) -> None:
    """1: no messages but errors; 2: no errors either."""
    global _quiet
    _quiet = level


def is_quiet() -> bool:
    return _quiet > 0


def say(message: str, *, error: bool = False) -> None:
    """One line on stderr, whatever is in it. Where it cannot be written, nobody is told, and the work goes on."""
    if _quiet >= (2 if error else 1) or sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{'bitsback: ' if error else ''}{printable(message)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        silence(sys.stderr)


def printable(text: str) -> str:
    """``text`` with control characters, and what the terminal might take for one, spelt out.

    >>> printable("a\\x1b[2J\\nb")
    'a\\\\x1b[2J\\\\nb'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char == " " or unicodedata.category(char)[0] not in "CZ" else ascii(char)[1:-1] for char in text
    )


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Where data go. Errors of the system are told with its name."""
    try:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        error.filename = error.filename or STDOUT
        raise


def write_line(text: str) -> None:
    """One line on stdout."""
    try:
        sys.stdout.write(f"{text}\n")
    except OSError as error:
        error.filename = STDOUT
        raise


_ENCODER = json.JSONEncoder(ensure_ascii=False)


def write_json(value: Any) -> None:
    """One line of JSON on stdout."""
    text = _ENCODER.encode(value)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # names of files may hold bytes that are no text, and not every terminal has all letters
        text = json.dumps(value)
    write_line(text)


@dataclass(slots=True)
class _Work:
    """What is going on, for :func:`tell_progress`."""

    what: str
    total: int
    done: int = 0


_work: _Work | None = None


def tell_progress() -> None:
    """One line on how far the work is."""
    if _work:
        share = 100 * min(_work.done, _work.total) // max(_work.total, 1)
        say(f"{_work.what}: {size_words(_work.done)} of {size_words(_work.total)}, {share} %")


@contextmanager
def progress_bar(what: str, total: int, *, wanted: bool = True) -> Iterator[Callable[[int], None]]:
    """Something to call with newly done bytes. It draws a bar if stderr is a terminal, and it is ``wanted``."""
    global _work
    work = _work = _Work(what, total)

    def count(done: int) -> None:
        work.done += done

    try:
        if not wanted or _quiet or not sys.stderr.isatty() or not total:
            yield count
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        # Drawn here and not by a thread, which the system may not allow
        with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
            task = bar.add_task(what, total=total)
            drawn = time.monotonic()

            def advance(done: int) -> None:
                nonlocal drawn
                count(done)
                bar.advance(task, done)
                if time.monotonic() - drawn > EVERY:
                    bar.refresh()
                    drawn = time.monotonic()

            yield advance
    finally:
        _work = None
