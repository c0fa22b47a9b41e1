"""``bitsback decompress``."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from bitsback.cli import options
from bitsback.cli.exits import FAILED, OK, SKIPPED
from bitsback.cli.output import count_words, progress_bar, say, size_words, write_json
from bitsback.cli.source import archive_input

if TYPE_CHECKING:
    from bitsback.archive import Archive, Member, Outcome


@click.command("decompress")
@click.argument("archive")
@click.argument("members", nargs=-1, metavar="[MEMBER...]")
@click.option("-C", "--directory", metavar="DIR", help="Where the files go; made if need be. Default: here.")
@click.option("-o", "--output", metavar="FILE", help="Write one file under this name; - is standard output.")
@options.force
@click.option("-k", "--skip-existing", is_flag=True, help="Leave files alone that are there (then exit with 3).")
@click.option("--strip-components", type=click.IntRange(min=0), default=0, metavar="N", help="Drop N leading folders.")
@click.option("--allow-damaged", is_flag=True, help="Take what is whole out of a damaged archive (then exit with 1).")
@click.option("--rm", "remove", is_flag=True, help="Delete the archive once all of its files are on disk.")
@options.models
@options.decoding
@options.common
def decompress_command(
    archive: str,
    members: tuple[str, ...],
    directory: str | None,
    output: str | None,
    force: bool,
    skip_existing: bool,
    strip_components: int,
    allow_damaged: bool,
    remove: bool,
    models: tuple[str, ...],
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Take files out of an archive.

    MEMBERs are names, folders, or patterns such as '*.png'; by default, all files are taken. Times and permissions
    are restored. A file that is there already stops everything before anything is written, unless --force or
    --skip-existing is given. ARCHIVE - is standard input.
    """
    if output is not None and (directory is not None or strip_components or skip_existing or allow_damaged):
        raise click.UsageError("--output goes with a single file, not with -C, -k, --strip-components, --allow-damaged")
    if output == "-" and as_json:
        raise click.UsageError("--json and the file cannot both go to standard output")
    if remove and (archive == "-" or members or skip_existing or allow_damaged or output == "-" or strip_components):
        raise click.UsageError("--rm goes with taking everything out of an archive on disk, and with nothing else")

    from bitsback import api
    from bitsback.archive import extract

    began = time.perf_counter()
    limits = options.limits(memory_limit, max_pixels)
    with archive_input(archive, limits=limits, damaged=allow_damaged, models=models) as opened:
        chosen = api.select(opened.members, members)
        if output is not None:
            result = _write_one(opened, chosen, output, force)
        else:
            with progress_bar("decompressing", sum(one.size for one in chosen), wanted=not no_progress) as bar:
                result = extract(
                    opened,
                    Path(directory or "."),
                    chosen,
                    strip_components=strip_components,
                    overwrite=force,
                    keep_existing=skip_existing,
                    durable=remove,
                    damaged=allow_damaged,
                    threads=threads,
                    progress=bar,
                )
        problems = opened.problems
    if remove:
        Path(archive).unlink()
    seconds = time.perf_counter() - began
    _tell(result, problems, chosen, seconds, verbose)
    if as_json:
        write_json(
            {
                "written": [str(path) for path in result.written],
                "kept": [name for name, _ in result.skipped],
                "failed": [{"name": name, "reason": str(error)} for name, error in result.failed],
                "problems": problems,
                "seconds": round(seconds, 3),
            }
        )
    if result.failed or problems:
        return FAILED
    return SKIPPED if result.skipped or result.warnings else OK


def _write_one(opened: "Archive", chosen: "list[Member]", output: str, force: bool) -> "Outcome":
    from bitsback.archive import Outcome, atomic
    from bitsback.errors import BitsBackError

    if len(chosen) != 1:
        raise BitsBackError(f"--output takes one file, and {len(chosen)} are chosen: name one")
    data = opened.read(chosen[0].name)
    if output == "-":
        stream: BinaryIO = sys.stdout.buffer
        stream.write(data)
        stream.flush()
        return Outcome()
    with atomic.write(Path(output), overwrite=force, mtime_ns=chosen[0].mtime_ns) as file:
        file.write(data)
    return Outcome(written=[Path(output)])


def _tell(result: "Outcome", problems: list[str], chosen: "list[Member]", seconds: float, verbose: int) -> None:
    if verbose:
        for path in result.written:
            say(str(path))
    for problem in problems:
        say(f"damaged: {problem}", error=True)
    for name, error in result.failed:
        say(f"lost {name}: {error}", error=True)
    for name, error in result.skipped:
        say(f"skipped {name}: {error}")
    for warning in result.warnings:
        say(f"warning: {warning}")
    if result.written:
        size = sum(member.size for member in chosen)
        say(f"{count_words(len(result.written), 'file')} of {len(chosen):,}, {size_words(size)}, {seconds:.1f} s")
