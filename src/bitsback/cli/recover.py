"""``bitsback recover``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bitsback.cli import options
from bitsback.cli.decompress import facts, tell, write_all
from bitsback.cli.exits import FAILED, OK, SKIPPED
from bitsback.cli.output import count_words, say, size_words, write_json
from bitsback.cli.source import archive_file, library_of
from bitsback.errors import BitsBackError

if TYPE_CHECKING:
    from bitsback.archive import Archive


@click.command("recover")
@click.argument("archive", type=options.FILE, metavar="BROKEN")
@click.option("-C", "--directory", type=options.FOLDER, metavar="DIR", help="Where the files go; made if need be.")
@click.option("-o", "--output", type=options.FILE, metavar="FILE", help="Make a new archive of what is whole.")
@options.force
@options.no_verify_anew
@options.skip_existing
@options.preserve
@options.models
@options.decoding
@options.common
def recover_command(
    archive: str,
    directory: str | None,
    output: str | None,
    force: bool,
    no_verify: bool,
    skip_existing: bool,
    preserve: bool,
    models: tuple[str, ...],
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Save what is whole in a damaged archive: into a folder (-C), or as a new archive (-o).

    All damage is listed, and each file that is lost. Nothing is handed out that is not what was stored. Exit code 0
    means that no file was lost, 1 that some were, or that it cannot be known.
    """
    if (directory is None) == (output is None):
        raise click.UsageError("say where to: -C DIR for the files, or -o FILE for a new archive")
    if output is not None and (skip_existing or preserve):
        raise click.UsageError("-k and -p go with -C")
    if no_verify and output is None:
        raise click.UsageError("--no-verify goes with -o")
    if force and skip_existing:
        raise click.UsageError("--force and --skip-existing do not go together")

    from bitsback.archive.protect import mended
    from bitsback.archive.reader import Archive

    limits = options.limits(memory_limit, max_pixels)
    with _alone(output, archive), archive_file(archive) as broken, mended(broken, limits) as (file, repair):
        sectors = len(repair.damaged)
        repaired = sectors - len(repair.lost)
        if sectors:
            say(f"{count_words(repaired, 'sector')} of {sectors:,} damaged ones repaired by parity")
        opened = Archive(file, library=library_of(models), limits=limits, damaged=True)
        for problem in opened.problems:
            say(f"damaged: {problem}", error=True)
        if not opened.members:
            raise BitsBackError("nothing is left of it")
        if output is not None:
            code, found = _into_archive(opened, output, force, threads, not no_verify)
        else:
            how = {"overwrite": force, "keep_existing": skip_existing, "preserve": preserve, "threads": threads}
            code, found = _into_folder(opened, Path(directory or "."), verbose, not no_progress, **how)
        if opened.structure.incomplete:
            say("whether there were more files, of which nothing is left, cannot be known", error=True)
            code = FAILED
    if as_json:
        more = {"incomplete": opened.structure.incomplete, "damaged_sectors": sectors, "repaired_sectors": repaired}
        write_json({"problems": opened.problems} | more | found)
    return code


@contextmanager
def _alone(output: str | None, broken: str) -> Iterator[None]:
    """While the archive itself is going to be replaced, nobody adds to it."""
    from bitsback import api

    with api.replacing(Path(output), [broken]) if output is not None else nullcontext():
        yield


def _into_folder(broken: "Archive", folder: Path, verbose: int, bar: bool, **how: Any) -> tuple[int, dict[str, Any]]:
    began = time.perf_counter()
    result = write_all(broken, folder, broken.members, "recovering", bar, **how)
    seconds = time.perf_counter() - began
    tell(result, broken.members, seconds, verbose)
    code = FAILED if result.failed else SKIPPED if result.skipped or result.renamed or result.warnings else OK
    return code, facts(result, seconds)


def _into_archive(
    broken: "Archive", output: str, force: bool, threads: int, verify: bool
) -> tuple[int, dict[str, Any]]:
    from bitsback import api

    rebuilt = api.rescue(broken, output, threads=threads, force=force, verify=verify)
    for member in rebuilt.lost:
        say(f"lost {member.name}: {member.problem}", error=True)
    say(f"{count_words(len(rebuilt.members), 'member')} of {len(broken.members):,}, {size_words(rebuilt.size)}")
    found = {
        "output": output,
        "members": len(rebuilt.members),
        "failed": [{"name": member.name, "reason": member.problem} for member in rebuilt.lost],
        "bytes_out": rebuilt.size,
    }
    return FAILED if rebuilt.lost else OK, found
