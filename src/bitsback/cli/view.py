"""``bitsback view``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bitsback.cli import options
from bitsback.cli.exits import OK
from bitsback.cli.extras import need
from bitsback.cli.output import say, write_line
from bitsback.cli.source import archive_input
from bitsback.errors import BitsBackError, ImageError, OutputExistsError

if TYPE_CHECKING:
    from bitsback.view import Gallery


@click.command("view")
@click.argument("archive")
@click.option("--export", "page", metavar="PAGE", help="Write small pictures of all images into one HTML file instead.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Default: one that is free.")
@click.option("--browser/--no-browser", default=True, help="Open the page, too. That is the default.")
@options.force
@options.models
@options.decoding
@options.quiet
def view_command(
    archive: str,
    page: str | None,
    port: int,
    browser: bool,
    force: bool,
    models: tuple[str, ...],
    memory_limit: int,
    max_pixels: int,
) -> int:
    """Look at the images of an archive, in a browser on this machine.

    A page with all images, however many, where they can be searched for by name and opened: what they cost, where
    their bits went, and what other formats would take. Nobody else can reach it. Ctrl-C ends it.
    """
    from bitsback.view import Gallery

    with archive_input(archive, limits=options.limits(memory_limit, max_pixels), models=models) as opened:
        gallery, title = Gallery(opened), Path(archive).name
        if not len(gallery):
            raise ImageError("there are no images in this archive")
        if page is not None:
            return _export(gallery, title, page, force)
        for module in ("starlette", "uvicorn"):
            need(module, "view", "the page")
        from bitsback.view.server import serve

        def ready(address: str) -> None:
            write_line(address)
            if browser:
                click.launch(address)

        try:
            serve(gallery, title, port, ready)
        except OSError as error:
            raise BitsBackError(f"port {port}: {(error.strerror or str(error)).lower()}") from None
    return OK


def _export(gallery: "Gallery", title: str, page: str, force: bool) -> int:
    from bitsback.archive import atomic
    from bitsback.view import export

    path = Path(page)
    if path.exists() and not force:
        raise OutputExistsError(f"{page}: is already there (--force overwrites)")
    with atomic.write(path, overwrite=force) as file:
        file.write(export.page(gallery, title).encode())
    say(f"{page}: {path.stat().st_size:,} bytes")
    return OK
