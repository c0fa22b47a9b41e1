"""``bitsback merge``."""

import click

from bitsback.cli import options
from bitsback.cli.exits import OK
from bitsback.cli.output import count_words, say, size_words, write_json


@click.command("merge")
@click.argument("archives", type=options.FILE, nargs=-1, required=True, metavar="ARCHIVE...")
@click.option("-o", "--output", required=True, type=options.FILE, metavar="FILE", help="The new archive.")
@options.force
@options.no_verify_anew
@options.models
@options.verbose
@options.quiet
@options.as_json
def merge_command(
    archives: tuple[str, ...],
    output: str,
    force: bool,
    no_verify: bool,
    models: tuple[str, ...],
    verbose: int,
    as_json: bool,
) -> int:
    """Put several archives into one.

    Payloads are taken over as they are. Of members of the same name, that of the last archive counts. Given a single
    archive, what add has superseded is dropped.
    """
    from bitsback import api

    rebuilt = api.merge(archives, output, models=models, force=force, verify=not no_verify)
    if verbose:
        for member in rebuilt.members:
            say(member.name)
    say(
        f"{count_words(len(rebuilt.members), 'member')} of {count_words(len(archives), 'archive')}, "
        f"{size_words(rebuilt.size)}"
    )
    if as_json:
        write_json({"output": output, "members": len(rebuilt.members), "bytes_out": rebuilt.size})
    return OK
