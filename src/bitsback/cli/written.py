"""Pages and pictures that commands write, whole or not at all."""

from collections.abc import Iterable
from pathlib import Path

from bitsback.errors import OutputExistsError


def refuse_existing(paths: Iterable[Path], force: bool, instead: str = "") -> None:
    """Raise OutputExistsError if one is there already: best before there is work to lose. ``instead``: what else one
    may want."""
    for path in paths:
        if path.exists() and not force:
            raise OutputExistsError(f"{path}: is already there (--force overwrites{instead})")


def write_all(files: dict[Path, bytes], force: bool) -> None:
    """Write all files, each whole or not at all; none, if one of them is there already."""
    from bitsback.archive import atomic

    refuse_existing(files, force)
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.write(path, overwrite=force) as file:
            file.write(data)
