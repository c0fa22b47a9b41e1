"""What goes to the screen: messages and progress on stderr, data on stdout."""

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from bitsback.report import words

size_words, count_words = words.size, words.count


_quiet = 0


def set_quiet(level: int) -> None:
    """1: no messages but errors; 2: no errors either."""
    global _quiet
    _quiet = level


def is_quiet() -> bool:
    return _quiet > 0


def say(message: str, *, error: bool = False) -> None:
    """One line on stderr, whatever is in it."""
    if _quiet < (2 if error else 1):
        prefix = "bitsback: " if error else ""
        click.echo(f"{prefix}{printable(message)}", err=True)


def printable(text: str) -> str:
    """``text`` with control characters, and what the terminal might take for one, spelt out.

    >>> printable("a\\x1b[2J\\nb")
    'a\\\\x1b[2J\\\\nb'
    """
    return "".join(
        char if char == " " or unicodedata.category(char)[0] not in "CZ" else ascii(char)[1:-1] for char in text
    )


def write_json(value: Any) -> None:
    """One line of JSON on stdout."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # names of files may hold bytes that are no text
        text = json.dumps(value)
    click.echo(text)


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
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)

            def advance(done: int) -> None:
                count(done)
                bar.advance(task, done)

            yield advance
    finally:
        _work = None
