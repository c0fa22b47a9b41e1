"""``bitsback add``."""

import time
from typing import Any

import click

from bitsback.cli import options
from bitsback.cli.exits import OK, SKIPPED
from bitsback.cli.output import progress_bar, say, write_json
from bitsback.cli.stored import facts, tell, tell_models


@click.command("add")
@click.argument("archive", type=options.FILE)
@click.argument("inputs", type=options.FILE, nargs=-1, required=True, metavar="INPUT...")
@click.option("--keep-old", is_flag=True, help="Refuse names that are in the archive already.")
@options.storing
@options.decoding
@options.common
def add_command(
    archive: str,
    inputs: tuple[str, ...],
    keep_old: bool,
    model: str,
    effort: Any,
    embed_model: bool | None,
    block: int,
    store_sha256: bool,
    pixels: bool,
    exclude: tuple[str, ...],
    no_verify: bool,
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Add files and folders to an archive, in place.

    What is in it is not written anew. A name that is there already is superseded: the new file is what counts, the
    old one stays in the archive, unseen, until remove or merge writes it anew. Whenever this is stopped, the archive
    opens; it is the old one until the new one is complete.
    """
    from bitsback import api
    from bitsback.archive import gather
    from bitsback.errors import ImageError

    began = time.perf_counter()
    sources, skipped = gather.gather(inputs, exclude=exclude, tell=say)
    if not sources:
        raise ImageError("; ".join(["nothing to add", *(f"{one.name}: {one.reason}" for one in skipped[:1])]))
    with progress_bar("adding", sum(source.size for source in sources), wanted=not no_progress) as bar:
        report = api.append(
            archive,
            sources,
            skipped,
            library=api.library_for(model),
            settings=api.settings_for(effort, threads, embed_model, block, store_sha256, pixels),
            keep_old=keep_old,
            check=not no_verify,
            limits=options.limits(memory_limit, max_pixels),
            progress=bar,
        )
    report.seconds = time.perf_counter() - began
    if as_json:
        write_json({"archive": archive} | facts(report))
    tell(report, verbose)
    tell_models(report, embed_model)
    return SKIPPED if report.skipped else OK
