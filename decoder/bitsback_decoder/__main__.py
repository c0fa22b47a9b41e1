"""Take the files out of an archive.

    python -m bitsback_decoder ARCHIVE [-C FOLDER] [--model FILE ...]

It decodes one symbol after the other with Python's integers, so it takes seconds for what bitsback does in
milliseconds. Models that the archive does not embed are given as files (`--model`). Of a file that comes back in other
bytes (stored with `--pixels`) its arrays are written, as `.npy`, and its metadata as they are.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from bitsback_decoder.archive import FILE, FOLDER, HARDLINK, SYMLINK, read


def target_of(folder, name):
    """Where a member goes; an error for a name that leads out of the folder."""
    parts = os.fsdecode(name).split("/")
    if not all(part not in ("", ".", "..") for part in parts) or (os.name == "nt" and "\\" in os.fsdecode(name)):
        raise ValueError(f"{os.fsdecode(name)!r}: no name inside of a folder")
    path = folder.joinpath(*parts)
    for above in path.relative_to(folder).parents:
        if (folder / above).is_symlink():
            raise ValueError(f"{path}: would go through a symbolic link")
    return path


def extract(data, folder, models=()):
    """Write all members; nothing that is there is overwritten. Links come last, so that nothing goes through one."""
    _, found = read(data, models=models)
    folder.mkdir(parents=True, exist_ok=True)
    order = {FOLDER: 0, FILE: 1, HARDLINK: 2, SYMLINK: 3}
    for name, one in sorted(found.items(), key=lambda item: order[item[1].type]):
        path = target_of(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if one.type == FOLDER:
            path.mkdir(exist_ok=True)
        elif one.type == HARDLINK and one.file is not None:
            os.link(target_of(folder, one.target), path)
        elif one.type == SYMLINK:
            path.symlink_to(os.fsdecode(one.target))
        else:
            write(path, one)
    for name, one in sorted(found.items(), reverse=True):  # what is in a folder before the folder
        path = target_of(folder, name)
        if one.type in (FILE, FOLDER) and path.exists():
            if one.member.mode is not None:
                path.chmod(one.member.mode & 0o777)
            if one.member.mtime_ns is not None:
                os.utime(path, ns=(one.member.mtime_ns,) * 2)
    return found


def write(path, one):
    """A file; or, where it comes back in other bytes, what it is made of."""
    if one.file is not None:
        with path.open("xb") as file:
            file.write(one.file)
        return
    for number, array in enumerate(one.arrays, 1):
        with path.with_name(f"{path.name}.{number}.npy").open("xb") as file:
            np.save(file, array)
    with path.with_name(f"{path.name}.metadata").open("xb") as file:
        file.write(one.blob)


def main():
    parser = argparse.ArgumentParser("bitsback_decoder", description=__doc__.split("\n")[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("-C", "--directory", type=Path, default=Path(), help="where to; the current folder by default")
    parser.add_argument("--model", type=Path, nargs="+", default=[], help="model files that the archive needs")
    options = parser.parse_args()
    if not __debug__:
        sys.exit("bitsback_decoder: checks are assertions, which python -O leaves out")
    models = [path.read_bytes() for path in options.model]
    found = extract(options.archive.read_bytes(), options.directory, models)
    print(f"{len(found)} members")


if __name__ == "__main__":
    main()
