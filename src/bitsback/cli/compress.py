"""``bitsback compress``."""

import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bitsback.cli import options
from bitsback.cli.exits import OK, SKIPPED
from bitsback.cli.extras import need
from bitsback.cli.output import (
    count_words,
    printable,
    progress_bar,
    say,
    size_words,
    standard_output,
    write_json,
    write_line,
)
from bitsback.cli.source import spool_into
from bitsback.cli.stored import facts, tell, tell_models
from bitsback.cli.urls import fetched, is_url, writing
from bitsback.cli.written import refuse_existing

if TYPE_CHECKING:
    from bitsback.archive import Report, Settings
    from bitsback.archive.gather import Source
    from bitsback.files import Skipped

SUFFIX = ".bba"

ONE_BLOCK = 1 << 24
"""The most samples that a block may have."""


EXAMPLES = """\b
Examples:
  bitsback compress scans                      scans.bba, of a folder
  bitsback compress *.png -o icons.bba
  tar c scans | bitsback compress - > scans.bba
  find . -name '*.tif' -print0 | bitsback compress --files0-from - -o all.bba
"""

SECTIONS = {
    "Inputs": "exclude files0_from stdin_name any_order dry_run remove keep",
    "The archive": "output force pixels embed_model store_sha256 parity",
    "How small, and how fast": "effort model block threads no_verify executor resume",
}


@click.command("compress", cls=options.InSections, sections=SECTIONS, epilog=EXAMPLES)
@click.argument("inputs", type=options.FILE, nargs=-1, metavar="INPUT...")
@click.option(
    "-o", "--output", type=options.FILE, metavar="FILE", help="The archive; - is standard output. Default: INPUT.bba."
)
@options.force
@click.option("-k", "--keep", is_flag=True, help="Keep the inputs. That is the default.")
@click.option("--rm", "remove", is_flag=True, help="Delete what is in the archive, once that is verified and on disk.")
@options.storing
@options.parity
@click.option(
    "--files0-from", type=click.File("rb"), metavar="FILE", help="Read input names, NUL after each, from FILE."
)
@click.option("--any-order", is_flag=True,
              help="Order means nothing: sort the images of arrays, name those of folders by number.")  # fmt: skip
@click.option(
    "-n", "--dry-run", is_flag=True, help="Only print the names that the archive would have, and what is left out."
)
@click.option(
    "--executor", metavar="URL", help="Who codes the blocks: the workers of a Dask scheduler, by dask://HOST:PORT."
)
@click.option(
    "--resume", type=options.FOLDER, metavar="DIR",
    help="Keep finished blocks in DIR until all is done: started again, the same command goes on where it stopped.",
)  # fmt: skip
@click.option("--stdin-name", default="stdin", metavar="NAME", help="What input from - is called. Default: stdin.")
@options.decoding
@options.common
def compress_command(
    inputs: tuple[str, ...],
    output: str | None,
    force: bool,
    keep: bool,
    remove: bool,
    model: str,
    effort: Any,
    embed_model: bool | None,
    block: int,
    store_sha256: bool,
    pixels: bool,
    exclude: tuple[str, ...],
    no_verify: bool,
    parity: float,
    files0_from: Any,
    any_order: bool,
    dry_run: bool,
    executor: str | None,
    resume: str | None,
    stdin_name: str,
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Put images, arrays and folders into an archive.

    Names are those that tar gives: the paths as they were written, without / or .. at the beginning; of paths that all
    begin with /, without the folders above that they share. Folders are taken with all that is in them, links as links.
    What is no image, or none that can be made smaller, is stored as it is: nothing is dropped but pipes, sockets,
    devices, and what is over a limit, and those are named. INPUT - is standard input.

    The finished archive is opened, and all of it compared with what went in. --rm then deletes what has not changed
    meanwhile, and folders that are empty after that.

    Inputs and the archive may be URLs that fsspec knows (s3://, gs://, https://): inputs are fetched first, and an
    archive is sent when it is verified.
    """
    if files0_from:
        inputs += _names_of(files0_from)
    output = _output(inputs, output)
    if remove and (keep or no_verify or "-" in inputs or any(map(is_url, [output, *inputs]))):
        raise click.UsageError("--rm needs inputs on disk, and goes with neither --keep nor --no-verify")
    if any_order and (remove or "-" in inputs):
        raise click.UsageError(
            "--any-order goes with neither --rm nor standard input: what it stores is no longer there"
        )
    if dry_run:
        return _only_look(inputs, exclude)
    _check_output(output, force, remove, as_json, parity)

    from bitsback import api

    began = time.perf_counter()
    block = block or any_order * ONE_BLOCK
    settings = api.settings_for(effort, threads, embed_model, block, store_sha256, pixels)
    with _elsewhere(settings, executor, resume) as settings, _local(output, force) as local:
        sources, report = _compress(
            inputs,
            local,
            stdin_name,
            exclude,
            not no_progress,
            any_order,
            library=api.library_for(model),
            settings=settings,
            check=not no_verify,
            force=force,
            limits=options.limits(memory_limit, max_pixels),
            parity=parity / 100,
        )
    left = _remove(sources, report) if remove else []
    report.seconds = time.perf_counter() - began
    if as_json:
        write_json({"output": output} | facts(report) | {"not_deleted": [asdict(one) for one in left]})
    tell(report, verbose)
    for one in left:
        say(f"{one.name}: {one.reason}")
    tell_models(report, embed_model)
    return SKIPPED if report.skipped or left else OK


def _names_of(file: Any) -> tuple[str, ...]:
    """The names in a file, each with NUL at its end."""
    data: bytes = file.read()
    if b"\0" not in data and data.count(b"\n") > 1:
        raise click.UsageError("--files0-from: the names end with newlines, not with NUL (as of find -print0)")
    return tuple(os.fsdecode(name) for name in data.split(b"\0") if name)


def _local(output: str, force: bool) -> "AbstractContextManager[str]":
    """Where the archive is made: a URL gets it when it is finished."""
    return writing(output, force) if is_url(output) else nullcontext(output)


def _sources(inputs: Sequence[str], exclude: Sequence[str], stack: ExitStack) -> "tuple[list[Source], list[Skipped]]":
    """What there is to store; what stands at URLs is fetched, and called by the last part of its URL."""
    from bitsback.archive import gather

    if not any(map(is_url, inputs)):
        return gather.gather(inputs, exclude=exclude, tell=say)
    if not all(map(is_url, inputs)):
        raise click.UsageError("URLs and paths do not go together: compress one, and add the other")
    return gather.gather(stack.enter_context(fetched(inputs)), exclude=exclude)


@contextmanager
def _elsewhere(settings: "Settings", executor: str | None, resume: str | None) -> "Iterator[Settings]":
    """Settings with whoever codes the blocks, for as long as this lasts, and where they are kept."""
    from bitsback.archive.workers import Kept, Workers

    with ExitStack() as stack:
        workers = None
        if executor is not None:
            if not executor.startswith("dask://"):
                raise click.UsageError(f"--executor {executor}: not of the form dask://HOST:PORT")
            need("distributed", "dask", "--executor dask://")
            from bitsback.integrations.dask import connect

            workers = Workers(stack.enter_context(connect(executor.removeprefix("dask://"))))
        yield replace(settings, workers=workers, kept=Kept(Path(resume)) if resume else None)


def _only_look(inputs: Sequence[str], exclude: Sequence[str]) -> int:
    """Print the names of what there is to store, and say what is left out."""
    from bitsback.archive import gather

    if "-" in inputs:
        raise click.UsageError("--dry-run needs inputs on disk")
    sources, skipped = gather.gather(inputs, exclude=exclude, tell=say)
    for source in sources:
        write_line(printable(source.name))
    for one in skipped:
        say(f"skipped {one.name}: {one.reason}")
    size = size_words(sum(source.size for source in sources))
    say(f"{count_words(len(sources), 'member')}, {size}; nothing was written")
    return SKIPPED if skipped else OK


def _compress(
    inputs: Sequence[str], output: str, stdin_name: str, exclude: Sequence[str], bar: bool, any_order: bool, **how: Any
) -> "tuple[list[Source], Report]":
    """What there was to store, and what became of it."""
    from bitsback import api
    from bitsback.archive.intake import items_of
    from bitsback.errors import ImageError

    with ExitStack() as stack:
        skipped: list[Skipped] = []
        if inputs == ("-",):
            sources = [stack.enter_context(_standard_input(stdin_name))]
        else:
            sources, skipped = _sources(inputs, exclude, stack)
        if not sources:
            raise ImageError("; ".join(["nothing to store", *(f"{one.name}: {one.reason}" for one in skipped[:1])]))
        if any_order:
            sources = _in_any_order(sources, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bitsback-"))))
        total = sum(source.size for source in sources)
        report = api.store(
            items_of(sources, skipped, how["limits"], how["settings"].threads, pixels=how["settings"].pixels),
            stack.enter_context(standard_output()) if output == "-" else output,
            sources=sources,
            skipped=skipped,
            progress=stack.enter_context(progress_bar("compressing", total, wanted=bar)),
            **how,
        )
    return sources, report


def _in_any_order(sources: "list[Source]", folder: Path) -> "list[Source]":
    from bitsback.archive.unordered import unordered

    found, arrays, renamed = unordered(sources, folder)
    if arrays:
        say(f"{arrays:,} array{'s' * (arrays != 1)}: the images are sorted")
    if renamed:
        say(f"{renamed:,} image files: renamed by number, in the order of their pixels")
    return found


def _output(inputs: tuple[str, ...], output: str | None) -> str:
    """Where the archive goes."""
    if not inputs:
        raise click.UsageError("nothing to compress: give files or folders, or - for standard input")
    if "-" in inputs and len(inputs) > 1:
        raise click.UsageError("- must be the only input")
    if output is not None:
        return output
    if inputs == ("-",):
        return "-"
    if len(inputs) > 1:
        raise click.UsageError("several inputs: name the archive with -o")
    path = Path(inputs[0])
    if is_url(inputs[0]):
        raise click.UsageError("the input is a URL: name the archive with -o")
    if path.name in ("", ".."):
        path = path.resolve()
    return str(path.with_name(path.name + SUFFIX)) if path.name else f"archive{SUFFIX}"


def _check_output(output: str, force: bool, remove: bool, as_json: bool, parity: float) -> None:
    """Refuse an archive that is there, and what does not go with an output that cannot be read again."""
    if output.endswith(SUFFIX) and Path(output).is_file():
        refuse_existing([Path(output)], force, " it, bitsback add adds to it")
    if as_json and output == "-":
        raise click.UsageError("--json and the archive cannot both go to standard output")
    if output == "-" and sys.stdout.isatty():
        raise click.UsageError("an archive is not for a terminal: give a file with -o, or redirect the output")
    if not remove and not parity:
        return
    try:
        readable = output != "-" and stat.S_ISREG(Path(output).stat().st_mode)
    except OSError:
        readable = True  # it is going to be a file
    if not readable:
        what = "--rm" if remove else "--parity"
        raise click.UsageError(
            f"{what} needs an archive that can be read again: no pipe, no device, no standard output"
        )


@contextmanager
def _standard_input(name: str) -> "Iterator[Source]":
    """What comes in through standard input, in a temporary file: it may be larger than memory."""
    from bitsback.archive.gather import Source, Stamp, member_name
    from bitsback.archive.member import Entry

    if not name or member_name(name) != (name, ""):
        raise click.UsageError(f"--stdin-name {name}: not a name that a file in an archive can have")
    with tempfile.TemporaryDirectory(prefix="bitsback-") as folder:
        path = Path(folder, "input")
        with path.open("wb") as file:
            size = spool_into(file, sys.stdin.buffer)
        yield Source(Entry(name, size=size), str(path), Stamp.of(path.stat()))


def _remove(sources: "list[Source]", report: "Report") -> "list[Skipped]":
    """Delete what is safely in the archive and has not changed since it was read; say what was not deleted.

    That a folder is left since there is something in it needs no words.
    """
    from bitsback.archive import Type, gather

    stored = {kept.name for kept in report.members}
    left = gather.remove(source for source in sources if source.name in stored)
    folders = {source.name: source.path for source in sources if source.entry.type == Type.FOLDER}
    return [one for one in left if one.name not in folders or not _holds_something(folders[one.name])]


def _holds_something(folder: str) -> bool:
    try:
        with os.scandir(folder) as found:
            return next(found, None) is not None
    except OSError:
        return False
