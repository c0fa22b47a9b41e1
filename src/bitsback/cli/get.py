"""``bitsback get``."""

import click

from bitsback.cli import options
from bitsback.cli.exits import OK, SKIPPED
from bitsback.cli.output import say
from bitsback.cli.source import archive_input, complete_members, warn_of_tail


@click.command("get")
@click.argument("archive", type=options.FILE)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_members)
@click.option(
    "-o", "--output", type=options.FILE, metavar="FILE", help="Write one file under this name; - is standard output."
)
@options.force
@options.models
@options.decoding
@options.threads
@options.verbose
@options.quiet
def get_command(
    archive: str,
    names: tuple[str, ...],
    output: str | None,
    force: bool,
    models: tuple[str, ...],
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
) -> int:
    """Take a few files out of an archive, quickly.

    NAMEs are those of files, as list shows them. Each is written into this folder, under the last part of its name. A
    hard link gives the content of its file. No more is decoded than these files need.
    """
    if output not in (None, "-") and len(names) > 1:
        raise click.UsageError("--output FILE takes one file: give one name, or - for all of them, one after the other")

    from bitsback.archive.patterns import missing
    from bitsback.cli.single import write_member

    with archive_input(archive, limits=options.limits(memory_limit, max_pixels), models=models) as opened:
        warned = warn_of_tail(opened, archive)
        known = {member.name: member for member in opened.members}
        for name in names:
            if name not in known:
                raise missing(name, opened.members)
        for name in names:
            member = known[name]
            where = output or _file_name(name)
            for warning in write_member(opened, member, where, force=force, threads=threads):
                say(f"warning: {warning}")
                warned = True
            if verbose and where != "-":
                say(where)
    return SKIPPED if warned else OK


def _file_name(name: str) -> str:
    """The last part of a name, as it can be here."""
    from bitsback.archive import names
    from bitsback.archive.member import Entry
    from bitsback.errors import BitsBackError

    (place,) = names.place([Entry(name.rpartition("/")[2])])
    if not isinstance(place, names.Place):
        raise place or BitsBackError(f"{name!r}: has no name that a file can have")
    return place.parts[-1]
