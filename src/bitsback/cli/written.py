"""Pages and pictures that commands write, whole or not at all."""

from pathlib import Path

from bitsback.errors import OutputExistsError


def write_all(files: dict[Path, bytes], force: bool) -> None:
    """Write all files, each whole or not at all; none, if one of them is there already."""
    from bitsback.archive import atomic

    for path in files:
        if path.exists() and not force:
            raise OutputExistsError(f"{path}: is already there (--force overwrites)")
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.write(path, overwrite=force) as file:
            file.write(data)
