"""``bitsback list``."""

import time
from typing import TYPE_CHECKING, Any

import click

from bitsback.cli import options
from bitsback.cli.output import printable, write_json
from bitsback.cli.source import archive_input

if TYPE_CHECKING:
    from bitsback.archive import Archive, Member


@click.command("list")
@click.argument("archive")
@options.models
@options.verbose
@options.quiet
@options.as_json
def list_command(archive: str, models: tuple[str, ...], verbose: int, as_json: bool) -> int:
    """Show what is in an archive, without decoding it.

    A line for each file: size, images, how it is kept, name. -v adds permissions, time, type of the samples, and
    the byte at which its first block begins.
    """
    with archive_input(archive, models=models, spool=False) as opened:
        names = model_names(opened)
        first: dict[int, int] = {}
        for chunk in opened.chunks:
            for ordinal in chunk.ordinals():
                first.setdefault(ordinal, chunk.block.offset)
        if as_json:
            for member in opened.members:
                write_json(_facts(member, names, first[member.ordinal]))
            return 0
        width = max((len(f"{member.size:,}") for member in opened.members), default=1)
        for member in opened.members:
            how, name = printable(_route(member, names)), printable(member.name)
            line = f"{member.size:>{width},}  {_shapes(member):<14}  {how:<22}  {name}"
            if verbose:
                line = f"{_mode(member)}  {_time(member)}  {_types(member):<6}  {first[member.ordinal]:>10}  {line}"
            click.echo(line)
    return 0


def model_names(archive: "Archive") -> dict[str, str]:
    """The names of the models that an archive needs, by identity; a short identity for those not at hand."""
    from bitsback.errors import BitsBackError

    names = {}
    for identity in sorted({model for member in archive.members for model in member.models}):
        try:
            names[identity] = archive.model(identity).name
        except BitsBackError:
            names[identity] = f"sha256:{identity[:8]}"
    return names


def _route(member: "Member", names: dict[str, str]) -> str:
    models = [names[model] for model in member.models]
    return ", ".join(f"model {' '.join(models)}" if route == "model" else route for route in member.routes)


def _shapes(member: "Member") -> str:
    """``28x28`` for an image, ``60000x28x28`` for an array, ``512x768x3`` in colour."""
    words = []
    for part in member.parts:
        height, width, channels = part.shape
        words.append(
            "x".join(str(n) for n in (part.count, height, width, channels)[part.count == 1 : 3 + (channels > 1)])
        )
    return " ".join(words[:2]) + (f" +{len(words) - 2}" if len(words) > 2 else "") or "-"


def _types(member: "Member") -> str:
    return " ".join(sorted({part.dtype for part in member.parts})) or "-"


def _mode(member: "Member") -> str:
    return "-" * 4 if member.mode is None else f"{member.mode:04o}"


def _time(member: "Member") -> str:
    if member.mtime_ns is None:
        return f"{'-':<19}"
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(member.mtime_ns // 10**9))
    except (OverflowError, ValueError, OSError):
        return f"{'?':<19}"


def _facts(member: "Member", names: dict[str, str], block: int) -> dict[str, Any]:
    return {
        "name": member.name,
        "size": member.size,
        "images": member.images,
        "parts": [{"shape": [part.count, *part.shape], "dtype": part.dtype} for part in member.parts],
        "routes": list(member.routes),
        "models": [{"id": model, "name": names[model]} for model in member.models],
        "mtime_ns": member.mtime_ns,
        "mode": member.mode,
        "block": block,
    }
