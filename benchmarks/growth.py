"""What archives cost as they grow: by the number of images, and by the size of one.

    python benchmarks/growth.py [--counts 1000 4000] [--megapixels 1 4] [--data FOLDER]

    counts      digits that examples/draw_digits.py draws, as PNG files in a folder
    megapixels  one photo, put together from the Kodak photos (sets.py), as a PNG file

Every figure is of a process of its own, as a user would start it, on one thread: CPU seconds and peak memory to
compress (with verification), to decompress, to list, and to get one image. The first of each is done twice, as kernels
are compiled in between.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import measure
import sets

ROOT = Path(__file__).parents[1]
DRAWN, SPECKS = 2000, 0.005
"""Digits that are drawn. More are these with specks, a part of their pixels, so that no two are the same."""


class Spent(NamedTuple):
    """What a process took: CPU seconds, and MiB of memory at its peak."""

    seconds: float
    peak: float


def spent(scratch: Path, *arguments: str) -> Spent:
    """Run ``bitsback`` with arguments in a folder."""
    command = [sys.executable, str(Path(__file__).with_name("peak.py")), "spent", *arguments]
    environment = os.environ | {"BITSBACK_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=scratch, env=environment)
    return Spent(*map(float, (scratch / "spent").read_text().split()))


def digits(count: int) -> NDArray[np.uint8]:
    """So many drawn digits, (count, 28, 28), all different."""
    sys.path.append(str(ROOT / "examples"))
    from draw_digits import draw

    random = np.random.default_rng(0)
    drawn = np.stack([draw(number % 10, random) for number in range(min(count, DRAWN))])
    images = np.resize(drawn, (count, *drawn.shape[1:]))
    for first in range(DRAWN, count, DRAWN):
        more = images[first : first + DRAWN]
        more ^= np.where(random.random(more.shape, np.float32) < SPECKS, np.uint8(255), np.uint8(0))
    return images


def row(scratch: Path, given: str, one: str) -> dict[str, Any]:
    """All figures of what is given, a file or a folder in ``scratch``; ``one``: the image that is asked for."""
    commands = {
        "compress": (given, "-o", "a.bba", "-q"),
        "decompress": ("a.bba", "-C", "out", "-q"),
        "list": ("a.bba",),
        "get": ("a.bba", one, "-o", "one"),
    }
    found: dict[str, Any] = {name: spent(scratch, name, *rest)._asdict() for name, rest in commands.items()}
    found["bytes"] = (scratch / "a.bba").stat().st_size
    for name in ("a.bba", "one"):
        (scratch / name).unlink()
    shutil.rmtree(scratch / "out")
    return found


def of_digits(scratch: Path, count: int) -> dict[str, Any]:
    """The row of so many digits."""
    folder = scratch / "digits"
    folder.mkdir()
    for number, image in enumerate(digits(count)):
        Image.fromarray(image).save(folder / f"{number:07}.png")
    found = row(scratch, "digits", f"digits/{count // 2:07}.png")
    shutil.rmtree(folder)
    return found


def of_photo(scratch: Path, kodak: list[sets.Array], megapixels: float) -> dict[str, Any]:
    """The row of a photo."""
    edge = round(1000 * megapixels**0.5)
    Image.fromarray(sets.large_photo(kodak, edge, edge)).save(scratch / "photo.png", compress_level=1)
    return row(scratch, "photo.png", "photo.png")


def main() -> None:
    """See the top of the file."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=measure.DATA, help="folder that holds kodak/ (or $BITSBACK_DATA)")
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 4000])
    parser.add_argument("--megapixels", type=float, nargs="*", default=[1, 4])
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "growth.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = {"digits": {}, "photo": {}}
    kodak = [sets.pixels(path) for path in sets.kodak(arguments.data)]
    with TemporaryDirectory() as made:
        scratch = Path(made)
        for name, sizes, measured in (
            ("digits", arguments.counts, partial(of_digits, scratch)),
            ("photo", arguments.megapixels, partial(of_photo, scratch, kodak)),
        ):
            for size in (*sizes[:1], *sizes):
                results[name][f"{size:.9g}"] = measured(size)
                print(name, size, results[name][f"{size:.9g}"], flush=True)
    measure.write(arguments.out, results | {"machine": measure.machine()})


if __name__ == "__main__":
    main()
