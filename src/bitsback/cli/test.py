"""``bitsback test``."""

import click

from bitsback.cli import options
from bitsback.cli.exits import FAILED, OK
from bitsback.cli.output import count_words, progress_bar, say, write_json
from bitsback.cli.source import archive_input
from bitsback.errors import BitsBackError


@click.command("test")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE...")
@options.models
@options.decoding
@options.common
def test_command(
    archives: tuple[str, ...],
    models: tuple[str, ...],
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Decode everything and check everything, writing nothing.

    The first damage of each archive is named, with its block and its files. The worst result decides the exit code.
    """
    worst = OK
    for name in archives:
        try:
            with archive_input(name, limits=options.limits(memory_limit, max_pixels), models=models) as opened:
                total = sum(member.size for member in opened.members)
                with progress_bar("testing", total, wanted=not no_progress) as bar:
                    opened.test(threads=threads, progress=bar)
                words = f"{count_words(len(opened), 'image')} in {count_words(len(opened.members), 'file')}"
        except (BitsBackError, OSError) as error:
            worst = FAILED
            reason = f"{name}: {(error.strerror or '').lower()}" if isinstance(error, OSError) else str(error)
            say(reason, error=True)
            if as_json:
                write_json({"archive": name, "ok": False, "error": reason})
        else:
            say(f"{name}: ok, {words}")
            if as_json:
                write_json({"archive": name, "ok": True, "images": len(opened), "files": len(opened.members)})
    return worst
