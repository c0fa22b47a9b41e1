"""``bitsback mount``."""

from pathlib import Path

import click

from bitsback.cli import options
from bitsback.cli.exits import OK
from bitsback.cli.extras import need
from bitsback.cli.output import say
from bitsback.cli.source import archive_file, library_of
from bitsback.errors import BitsBackError


@click.command("mount")
@click.argument("archive", type=options.FILE)
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@options.models
@options.decoding
@options.quiet
def mount_command(archive: str, folder: str, models: tuple[str, ...], memory_limit: int, max_pixels: int) -> int:
    """Show an archive as a folder, to be read, until it is unmounted.

    Files are decoded when they are opened. Ctrl-C or umount FOLDER ends it. Needs FUSE (libfuse 2), on Linux or macOS.
    """
    need("fsspec", "mount", "mount")
    try:
        need("fuse", "mount", "mount")
    except OSError as error:
        raise BitsBackError(f"mount needs FUSE: {error}") from None
    from bitsback.integrations.fsspec import ArchiveFileSystem
    from bitsback.integrations.fuse import mount

    with archive_file(archive) as file:
        limits = options.limits(memory_limit, max_pixels)
        files = ArchiveFileSystem(file, library=library_of(models), limits=limits)
        say(f"{archive} is shown in {folder}; umount {folder} ends it")
        try:
            mount(files, str(Path(folder).resolve()))
        except RuntimeError as error:
            raise BitsBackError(f"{folder}: the system does not mount it (error {error})") from None
    return OK
