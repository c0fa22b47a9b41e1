"""Folders of images, each as one archive and by what people would take otherwise.

    python benchmarks/folders.py FOLDER...

Each folder is compressed twice, with ``--pixels`` and byte for byte, and read back. The peers see the same pixels, as
Pillow gives them, and keep nothing else: neither names nor metadata. Prints a row for each folder, as Markdown; --json
writes all figures.
"""

from __future__ import annotations

import json
import lzma
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import bitsback
import measure
from bitsback.archive import Archive

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def images_of(folder: Path) -> list[Pixels]:
    """The pictures in a folder, by name; palettes as colours, frames one after the other."""
    found: list[Pixels] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            with Image.open(path) as image:
                for frame in range(getattr(image, "n_frames", 1)):
                    image.seek(frame)
                    found.append(_pixels(image))
        except OSError:
            continue
    return found


def _pixels(image: Image.Image) -> Pixels:
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    array = np.asarray(image)
    if array.dtype == np.bool:
        return array.astype(np.uint8) * 255
    return array.astype(np.uint8 if array.dtype == np.uint8 else np.uint16)


def xz(images: Sequence[Pixels]) -> int:
    """Bytes of the samples of all images in one xz file."""
    return len(lzma.compress(b"".join(image.tobytes() for image in images), preset=9 | lzma.PRESET_EXTREME))


def paeth_xz(images: Sequence[Pixels]) -> int:
    """The same of samples less what PNG's Paeth filter says."""
    return xz([_paeth(image if image.ndim == 3 else image[..., None]) for image in images])


def _paeth(image: Pixels) -> Pixels:
    padded = np.pad(image.astype(np.int32), ((1, 0), (1, 0), (0, 0)))
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    choices = np.stack([left, above, corner])
    nearest = np.abs(choices - (left + above - corner)).argmin(axis=0)
    return (image - np.take_along_axis(choices, nearest[None], 0)[0]).astype(image.dtype)


def each(encode: Callable[[Pixels], bytes]) -> Callable[[Sequence[Pixels]], int]:
    """A codec of one image, file by file."""
    return lambda images: sum(len(encode(np.ascontiguousarray(image))) for image in images)


def jpegxl(image: Pixels) -> bytes:
    """A JPEG XL file."""
    return bytes(imagecodecs.jpegxl_encode(image, lossless=True, effort=9, numthreads=1))


PEERS: dict[str, Callable[[Sequence[Pixels]], int]] = {
    "xz": xz,
    "Paeth + xz": paeth_xz,
    "JPEG XL, effort 9": each(jpegxl),
}


def archive_size(folder: Path, *, pixels: bool) -> int:
    """Bytes of the archive of a folder, which is read back and tested."""
    with TemporaryDirectory() as scratch:
        out = Path(scratch) / "a.bba"
        bitsback.compress(folder, out, pixels=pixels, threads=1)
        with Archive(out) as archive:
            if problems := archive.test(threads=1):
                raise SystemExit(f"{folder}: {problems[0]}")
        return out.stat().st_size


def row_of(folder: Path) -> dict[str, int | str]:
    """All figures of a folder."""
    images = images_of(folder)
    if not images:
        raise SystemExit(f"{folder}: no images")
    row: dict[str, int | str] = {"folder": folder.name, "images": len(images)}
    row["files"] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    row["bitsback"] = archive_size(folder, pixels=True)
    row["bitsback, byte for byte"] = archive_size(folder, pixels=False)
    return row | {name: peer(images) for name, peer in PEERS.items()}


def main() -> None:
    """See the top of the file."""
    parser = ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    rows = [row_of(folder) for folder in options.folders]
    heads = list(rows[0])
    body = [[f"{row[head]:,}" if isinstance(row[head], int) else str(row[head]) for head in heads] for row in rows]
    print(measure.table(heads, body))
    if options.json:
        measure.write(options.json, {"machine": measure.machine(), "rows": rows})
    print(json.dumps(measure.machine()))


if __name__ == "__main__":
    main()
