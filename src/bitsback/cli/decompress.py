"""``bitsback decompress``."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bitsback.cli import options
from bitsback.cli.exits import FAILED, OK, SKIPPED
from bitsback.cli.output import count_words, progress_bar, say, size_words, write_json
from bitsback.cli.source import archive_input, check_models, complete_members, warn_of_tail
from bitsback.errors import BitsBackError, FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bitsback.archive import Archive, Member, Outcome


@click.command("decompress")
@click.argument("archive", type=options.FILE)
@click.argument("members", nargs=-1, metavar="[MEMBER...]", shell_complete=complete_members)
@options.directory
@click.option(
    "-o", "--output", type=options.FILE, metavar="FILE", help="Write one file under this name; - is standard output."
)
@options.force
@options.skip_existing
@options.preserve
@options.exclude
@click.option("--strip-components", type=options.Whole(0), default=0, metavar="N", help="Drop N leading folders.")
@click.option("--rm", "remove", is_flag=True, help="Delete the archive once all that is in it is on disk.")
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
    preserve: bool,
    exclude: tuple[str, ...],
    strip_components: int,
    remove: bool,
    models: tuple[str, ...],
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Take files out of an archive. Also called extract.

    MEMBERs are names, folders, or patterns as for --exclude; by default, everything is taken. Times are restored, and
    permissions as far as the umask allows. A file that is there already stops everything before anything is written,
    unless --force or --skip-existing is given. Names that this system cannot have are changed, and that is said.

    What is damaged is named and left out (then exit with 1); see recover for an archive that does not open. ARCHIVE -
    is standard input.
    """
    if output is not None and (directory is not None or strip_components or skip_existing or preserve):
        raise click.UsageError("--output goes with a single file, not with -C, -k, -p, --strip-components")
    if output == "-" and as_json:
        raise click.UsageError("--json and the file cannot both go to standard output")
    if force and skip_existing:
        raise click.UsageError("--force and --skip-existing do not go together")
    if remove and (archive == "-" or members or exclude or skip_existing or output is not None or strip_components):
        raise click.UsageError("--rm goes with taking everything out of an archive on disk, and with nothing else")

    began = time.perf_counter()
    with archive_input(archive, limits=options.limits(memory_limit, max_pixels), models=models) as opened:
        cut = warn_of_tail(opened, archive)
        chosen = choose(opened, members, exclude)
        check_models(opened, chosen)
        if output is not None:
            result = _write_one(opened, chosen, output, force, threads)
        else:
            how = {"overwrite": force, "keep_existing": skip_existing, "preserve": preserve, "threads": threads}
            how |= {"strip_components": strip_components, "durable": remove}
            result = write_all(opened, Path(directory or "."), chosen, "decompressing", not no_progress, **how)
    all_well = not (result.failed or result.skipped or result.warnings or result.renamed or cut)
    seconds = time.perf_counter() - began
    tell(result, chosen, seconds, verbose)
    if remove and all_well:
        Path(archive).unlink()
    elif remove:
        say(f"{archive}: not deleted, as not all of it is on disk as it was", error=bool(result.failed))
    if as_json:
        write_json(facts(result, seconds))
    return FAILED if result.failed else OK if all_well else SKIPPED


def choose(archive: "Archive", members: "Sequence[str]", exclude: "Sequence[str]") -> "list[Member]":
    """The members that are wanted."""
    from bitsback.archive.member import Type
    from bitsback.archive.patterns import Exclude, select

    excluded = Exclude(exclude)
    chosen = select(archive.members, members)
    return [member for member in chosen if not excluded(member.name, folder=member.type == Type.FOLDER)]


def write_all(
    archive: "Archive", folder: Path, chosen: "Sequence[Member]", doing: str, bar: bool, **how: Any
) -> "Outcome":
    """Take the chosen members out into a folder; what is damaged is left out."""
    from bitsback.archive.extract import extract

    with progress_bar(doing, sum(member.size for member in chosen), wanted=bar) as progress:
        return extract(archive, folder, chosen, damaged=True, progress=progress, **how)


def _write_one(archive: "Archive", chosen: "list[Member]", output: str, force: bool, threads: int) -> "Outcome":
    from bitsback.archive import Outcome
    from bitsback.cli.single import write_member

    files = [member for member in chosen if member.content is not None] or chosen
    if len(files) != 1:
        raise BitsBackError(f"--output takes one file, and {len(files):,} are chosen: name one")
    warnings = write_member(archive, files[0], output, force=force, threads=threads)
    chosen[:] = files
    return Outcome(written=[Path(output)] if output != "-" else [], warnings=warnings)


def tell(result: "Outcome", chosen: "Sequence[Member]", seconds: float, verbose: int) -> None:
    """What became of the members, on stderr; its last line is the summary."""
    if verbose:
        for path in (*result.folders, *result.written):
            say(str(path))
    for name, path, why in result.renamed:
        say(f"renamed {name} to {path}: {why}")
    for name, error in result.skipped:
        say(f"skipped {name}: {_reason(name, error)}")
    for warning in result.warnings:
        say(f"warning: {warning}")
    for name, error in result.failed:
        # A limit, or a model that is not at hand, is no loss
        say(f"{'lost' if isinstance(error, FormatError) else 'failed'} {name}: {_reason(name, error)}", error=True)
    if result.written or result.folders:
        wanted = [member for member in chosen if member.size or member.content is not None or member.target]
        size = size_words(sum(member.size for member in wanted))
        say(f"{count_words(len(result.written), 'file')} of {len(wanted):,}, {size}, {seconds:.1f} s")


def _reason(name: str, error: BitsBackError) -> str:
    return str(error).removeprefix(f"{name!r}: ").removeprefix(f"{name}: ")


def facts(result: "Outcome", seconds: float) -> dict[str, Any]:
    """The same, fit for JSON."""
    return {
        "written": [str(path) for path in result.written],
        "folders": [str(path) for path in result.folders],
        "renamed": [{"name": name, "path": str(path), "reason": why} for name, path, why in result.renamed],
        "skipped": [{"name": name, "reason": _reason(name, error)} for name, error in result.skipped],
        "failed": [{"name": name, "reason": _reason(name, error)} for name, error in result.failed],
        "warnings": result.warnings,
        "seconds": round(seconds, 3),
    }
