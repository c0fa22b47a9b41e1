"""``bitsback remove``."""

import click

from bitsback.cli import options
from bitsback.cli.exits import OK
from bitsback.cli.output import count_words, say, size_words, write_json
from bitsback.cli.source import archive_input, complete_members


@click.command("remove")
@click.argument("archive", type=options.FILE)
@click.argument("members", nargs=-1, required=True, metavar="MEMBER...", shell_complete=complete_members)
@click.option(
    "-o",
    "--output",
    type=options.FILE,
    metavar="FILE",
    help="Write the new archive there, and leave the old one alone.",
)
@options.force
@options.no_verify_anew
@options.models
@options.verbose
@options.quiet
@options.as_json
def remove_command(
    archive: str,
    members: tuple[str, ...],
    output: str | None,
    force: bool,
    no_verify: bool,
    models: tuple[str, ...],
    verbose: int,
    as_json: bool,
) -> int:
    """Take files and folders out of an archive for good.

    MEMBERs are names, folders with all that is in them, or patterns as for --exclude of compress: '*.tmp' in whatever
    folder, 'a/*/raw' from the beginning of the name. The archive is written anew
    without them, and takes the old one's place when all of it was read and compared: nothing of them is left in it.
    Payloads are taken over as they are, but for blocks that lose some of their images.
    """
    from bitsback import api
    from bitsback.archive.patterns import select

    with archive_input(archive, models=models) as opened:
        gone = select(opened.members, members)
    rebuilt = api.remove(archive, members, output, models=models, force=force, verify=not no_verify)
    if verbose:
        for member in gone:
            say(f"removed {member.name}")
    words = f"removed {count_words(len(gone), 'member')}, {len(rebuilt.members):,} are left, {size_words(rebuilt.size)}"
    say(words)
    if as_json:
        names = [member.name for member in gone]
        where = output or archive
        write_json({"output": where, "removed": names, "members": len(rebuilt.members), "bytes_out": rebuilt.size})
    return OK
