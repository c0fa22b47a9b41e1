"""``bitsback view``."""

from pathlib import Path

import click

from bitsback.cli import options
from bitsback.cli.exits import OK
from bitsback.cli.extras import need
from bitsback.cli.output import progress_bar, say, write_line
from bitsback.cli.source import archive_input
from bitsback.cli.written import refuse_existing, write_all
from bitsback.errors import BitsBackError, ImageError


@click.command("view")
@click.argument("archive", type=options.FILE)
@click.option(
    "--export",
    "page",
    type=options.FILE,
    metavar="PAGE",
    help="Write small pictures of all images into one HTML file instead.",
)
@click.option(
    "--thumbnail",
    type=options.FILE,
    metavar="PNG",
    help="Write the first image alone, made smaller, into a PNG file instead.",
)
@click.option("--edge", type=options.Whole(1, 4096), default=256, metavar="N", help="Its pixels. Default: 256.")
@click.option("--port", type=options.Whole(0, 65535), default=0, metavar="N", help="Default: one that is free.")
@click.option("--browser/--no-browser", default=True, help="Open the page, too. That is the default.")
@options.force
@options.models
@options.decoding
@options.quiet
def view_command(
    archive: str,
    page: str | None,
    thumbnail: str | None,
    edge: int,
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
        refuse_existing([Path(name) for name in (page, thumbnail) if name is not None], force)
        if not len(gallery):
            raise ImageError("there are no images in this archive")
        if page is not None:
            from bitsback.view import export

            with progress_bar("decoding", opened.size) as progress:
                made = export.page(gallery, title, progress)
            return _written(page, made.encode(), force)
        if thumbnail is not None:
            return _written(thumbnail, gallery.picture(0, edge), force)
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


def _written(name: str, data: bytes, force: bool) -> int:
    write_all({Path(name): data}, force)
    say(f"{name}: {len(data):,} bytes")
    return OK
