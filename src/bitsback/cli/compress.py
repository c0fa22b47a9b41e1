"""``bitsback compress``."""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bitsback.cli import options
from bitsback.cli.exits import OK, SKIPPED
from bitsback.cli.output import count_words, progress_bar, say, size_words, write_json

if TYPE_CHECKING:
    from bitsback.archive import Report
    from bitsback.archive.gather import Source

SUFFIX = ".bba"


@click.command("compress")
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option("-o", "--output", metavar="FILE", help="The archive; - is standard output. Default: INPUT.bba.")
@options.force
@click.option("-k", "--keep", is_flag=True, help="Keep the inputs. That is the default.")
@click.option("--rm", "remove", is_flag=True, help="Delete the inputs once the archive is verified and on disk.")
@click.option(
    "-m", "--model", default="auto", metavar="MODEL",
    help="A model's name or file, to be used wherever it fits, even where something else would be smaller; auto, the "
    "default, finds the best; none does without.",
)  # fmt: skip
@options.effort
@click.option("--embed-model", is_flag=True, help="Put the models that are used into the archive.")
@click.option("--no-verify", is_flag=True, help="Do not decode what was coded to compare it.")
@click.option(
    "--files0-from", type=click.File("rb"), metavar="FILE", help="Read input names, NUL after each, from FILE."
)
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
    embed_model: bool,
    no_verify: bool,
    files0_from: Any,
    stdin_name: str,
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Put images, arrays and folders into an archive.

    Folders are taken with all that is in them. What is no image, or no image that a model or the predictor makes
    smaller, is stored as it is: nothing is dropped but links and devices, and those are named. INPUT - is standard
    input.
    """
    if files0_from:
        inputs += tuple(os.fsdecode(name) for name in files0_from.read().split(b"\0") if name)
    output = _output(inputs, output)
    if remove and (keep or no_verify or "-" in inputs or output == "-"):
        raise click.UsageError("--rm needs inputs and an output on disk, and goes with neither --keep nor --no-verify")
    if as_json and output == "-":
        raise click.UsageError("--json and the archive cannot both go to standard output")
    if output == "-" and sys.stdout.isatty():
        raise click.UsageError("an archive is not for a terminal: give a file with -o, or redirect the output")

    from bitsback import api
    from bitsback.archive.gather import gather
    from bitsback.archive.plan import Item
    from bitsback.archive.writer import items_of
    from bitsback.errors import ImageError
    from bitsback.files import Skipped, parse

    began = time.perf_counter()
    sources: list[Source] = []
    skipped: list[Skipped] = []
    items: Iterable[Item]
    if inputs == ("-",):
        data = sys.stdin.buffer.read()
        items = [Item(0, stdin_name, len(data), None, None, parse(data, stdin_name), lambda: data)]
    else:
        sources, skipped = gather(inputs, tell=say)
        if not sources:
            raise ImageError("; ".join(["nothing to store", *(f"{one.name}: {one.reason}" for one in skipped[:1])]))
        items = items_of(sources, skipped, options.limits(memory_limit, max_pixels))
    with progress_bar("compressing", sum(source.size for source in sources), wanted=not no_progress) as bar:
        report = api.store(
            items,
            sys.stdout.buffer if output == "-" else output,
            library=api.library_for(model),
            effort=effort,
            sources=sources,
            skipped=skipped,
            threads=threads,
            verify=not no_verify,
            force=force,
            embed_model=embed_model,
            progress=bar,
        )
    if remove:
        _remove(sources, report)
    report.seconds = time.perf_counter() - began
    if as_json:
        write_json({"output": output} | _facts(report))
    _tell(report, verbose)
    _tell_models(report, embed_model)
    return SKIPPED if report.skipped else OK


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
    if path.name in ("", ".."):
        path = path.resolve()
    return str(path.with_name(path.name + SUFFIX)) if path.name else f"archive{SUFFIX}"


def _remove(sources: "list[Source]", report: "Report") -> None:
    """Delete what is safely in the archive and has not changed since it was read."""
    from bitsback.archive.gather import remove

    stored = {entry.name for entry in report.entries}
    report.skipped += remove(source for source in sources if source.name in stored)


def _tell(report: "Report", verbose: int) -> None:
    """The report in words, on stderr; its last line is the summary."""
    if verbose:
        for entry in report.entries:
            exact = "" if entry.exact else "; same pixels and metadata, other file bytes"
            say(f"{entry.name}: {entry.route} ({entry.reason}{exact})")
    else:
        for entry in report.entries:
            if entry.reason.startswith(entry.name):  # the images room's note about a file that claims to be an image
                say(entry.reason)
    for warning in report.warnings:
        say(f"warning: {warning}")
    for one in report.skipped:
        say(f"skipped {one.name}: {one.reason}")
    others = sum(not entry.images for entry in report.entries)
    parts = [count_words(report.images, "image")]
    if others:
        parts[0] += f" and {count_words(others, 'other file')}" if report.images else ""
        parts[0] = parts[0] if report.images else count_words(others, "file")
    parts.append(f"{size_words(report.bytes_in)} -> {size_words(report.bytes_out)}")
    for model in report.models:
        if model.embedded:
            parts.append(f"with the model {model.name} ({size_words(model.embedded)}) inside")
    parts.append(f"ratio {report.ratio:.2f}")
    if report.bits_per_dim is not None:
        parts.append(f"{report.bits_per_dim:.3f} bits/dim")
    parts.append(f"{report.seconds:.1f} s")
    say(", ".join(parts))


def _tell_models(report: "Report", embed: bool) -> None:
    """What whoever decompresses should know about models."""
    from bitsback import Model
    from bitsback.errors import ModelNotFoundError

    if embed and not report.models:
        say("no model was used, so none is in the archive")
    for model in report.models:
        try:
            known = model.embedded or Model.find(model.id)
        except ModelNotFoundError:
            known = None
        if not known:
            say(
                f"the archive needs the model {model.name}, which is not installed: keep its file, or use --embed-model"
            )


def _facts(report: "Report") -> dict[str, Any]:
    return {
        "images": report.images,
        "files": len(report.entries),
        "bytes_in": report.bytes_in,
        "bytes_out": report.bytes_out,
        "ratio": report.ratio,
        "bits_per_dim": report.bits_per_dim,
        "seconds": round(report.seconds, 3),
        "members": [asdict(entry) for entry in report.entries],
        "skipped": [asdict(one) for one in report.skipped],
        "warnings": report.warnings,
        "models": [asdict(model) for model in report.models],
    }
