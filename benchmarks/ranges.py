"""What is fetched of an archive behind a web server: to list it, and for one image of 10,000.

    python benchmarks/ranges.py --out benchmarks/results/ranges.json

Digits of the MNIST test set as PGM files, each a member; the archive lies behind a server of this process that can send
parts and counts them. Every figure is of a process' first look: nothing is kept from the one before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec
from PIL import Image

import bitsback
import measure
from bitsback.integrations.fsspec import ArchiveFileSystem

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from web import Parts, serving


def main() -> None:
    """See the top of the file."""
    parser = measure.arguments("What is fetched of an archive behind a web server.", "ranges.json")
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "digits")
        folder.mkdir()
        for number, image in enumerate(measure.digits(options.data, "8-bit", options.images)):
            Image.fromarray(image).save(folder / f"{number:05d}.pgm")
        Parts.data = bitsback.compress(folder, model="digits", verify=False)
        middle = folder / f"{options.images // 2:05d}.pgm"
        expected = middle.read_bytes()
    found = {}
    with serving() as url:

        def listed(files: ArchiveFileSystem) -> None:
            assert len(files.find("")) == options.images

        def one(files: ArchiveFileSystem) -> None:
            (name,) = (name for name in files.find("") if name.endswith(f"/{middle.name}"))
            assert files.cat_file(name) == expected

        tasks: dict[str, Callable[[ArchiveFileSystem], None]] = {"list": listed, "one image": one}
        for what, task in tasks.items():
            Parts.sent = Parts.asked = 0
            files = fsspec.filesystem("bitsback", fo=url)
            task(files)
            found[what] = {"bytes": Parts.sent, "requests": Parts.asked}
            files.close()
    result = {"images": options.images, "archive": len(Parts.data), "fetched": found}
    print(result)
    measure.write(options.out, {"machine": measure.machine(), **result})


if __name__ == "__main__":
    main()
