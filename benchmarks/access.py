"""What one image out of many costs, by the size of blocks.

    python benchmarks/access.py FOLDER... --json benchmarks/results/access.json

Each folder is compressed with ``--pixels``: by default, and with ``--block`` of several sizes. For each: bytes of all
images, without names and metadata; images in the largest block; and the CPU seconds that this takes to decode, which
is what one image takes from an open archive.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bitsback
import measure
from bitsback.archive import Archive

SIZES = (0, *(1 << bits for bits in range(17, 23)))
"""Samples of a block; 0: as it is by default."""


def row_of(folder: Path, block: int) -> dict[str, Any]:
    """All figures of a folder in blocks of so many samples."""
    with TemporaryDirectory() as scratch:
        out = Path(scratch) / "a.bba"
        bitsback.compress(folder, out, pixels=True, block=block)
        with Archive(out) as archive:
            blocks = [
                (chunk, which, one) for chunk in archive.structure.chunks for which, one in enumerate(chunk.head.blocks)
            ]
            chunk, which, largest = max(blocks, key=lambda found: found[2].samples)
            archive.block_images(chunk, which)  # what is compiled is compiled, and what is loaded loaded
        with Archive(out) as archive:
            _, seconds = measure.cpu(lambda: archive.block_images(archive.structure.chunks[chunk.number], which), 1)
    size = sum(one.size for _, _, one in blocks)
    return {"folder": folder.name, "block": block, "samples": largest.samples, "images": largest.count,
            "bytes": size, "seconds": seconds}  # fmt: skip


def main() -> None:
    """See the top of the file."""
    parser = ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    rows = []
    for folder in options.folders:
        for block in SIZES:
            rows.append(row_of(folder, block))
            print(rows[-1], flush=True)
            if block > rows[-1]["samples"] * 2:  # all in one
                break
    if options.json:
        measure.write(options.json, {"machine": measure.machine(), "rows": rows})


if __name__ == "__main__":
    main()
