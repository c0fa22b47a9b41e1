"""``bitsback compare``."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bitsback.archive.limits import Limits
from bitsback.cli import options
from bitsback.cli.exits import OK, SKIPPED
from bitsback.cli.output import count_words, printable, say, write_json, write_line
from bitsback.cli.source import archive_input

if TYPE_CHECKING:
    from bitsback.archive.compare import Side


@click.command("compare")
@click.argument("first", type=options.FILE, metavar="A")
@click.argument("second", type=options.FILE, metavar="B")
@options.models
@options.decoding
@options.threads
@options.quiet
@options.as_json
def compare_command(
    first: str, second: str, models: tuple[str, ...], memory_limit: int, max_pixels: int, threads: int, as_json: bool
) -> int:
    """Say what differs between two archives, or an archive and what is on disk.

    A and B are archives or folders; a folder has the names that compress would give: compare scans.bba scans. A line
    for each difference: - what is only in A, + what is only in B, ! what is in both, and what of it is not the same:
    content, type, target, mode, time. Exit code 3 if there is any.
    """
    from bitsback.archive.compare import ONLY_FIRST, ONLY_SECOND, differences

    limits = options.limits(memory_limit, max_pixels)
    count = 0
    with _side(first, limits, models) as one, _side(second, limits, models) as other:
        for name, what in differences(one, other, threads):
            count += 1
            if as_json:
                write_json({"name": name, "differs": what})
                continue
            sign = "-" if what == ONLY_FIRST else "+" if what == ONLY_SECOND else "!"
            write_line(f"{sign} {printable(name)}" + (f"  {', '.join(what)}" if sign == "!" else ""))
    say(count_words(count, "difference"))
    return SKIPPED if count else OK


@contextmanager
def _side(name: str, limits: Limits, models: tuple[str, ...]) -> "Iterator[Side]":
    from bitsback.archive.compare import Found, Stored
    from bitsback.archive.gather import gather
    from bitsback.errors import BitsBackError

    if Path(name).is_dir():
        sources, skipped = gather([name])
        if skipped:
            raise BitsBackError(f"{skipped[0].name}: {skipped[0].reason}")
        yield Found(sources)
        return
    stack = ExitStack()
    try:
        yield Stored(stack.enter_context(archive_input(name, limits=limits, models=models)), name)
    finally:
        stack.close()  # and not by an error of the other side, which this archive would put its name to
