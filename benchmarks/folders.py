"""Folders of images, each as one archive and by what people would take otherwise.

    python benchmarks/folders.py FOLDER...

Each folder is compressed twice, with ``--pixels`` and byte for byte, and read back. The peers see the same pixels, as
Pillow gives them (as bitsback does, of TIFF and what Pillow does not know), and keep nothing else: neither names nor
metadata. One that does not take such images (WebP those of 16 bits, say) is left out. Prints a row for each folder, as
Markdown; --json writes all figures.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import bitsback
import measure
import peers
from bitsback import files
from bitsback.archive import Archive

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def images_of(folder: Path) -> list[Pixels]:
    """The pictures in a folder, by name; palettes as colours, frames, slices and bands one after the other."""
    found: list[Pixels] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            with Image.open(path) as image:
                if image.format == "TIFF":
                    raise OSError("of which Pillow knows but a part")
                for frame in range(getattr(image, "n_frames", 1)):
                    image.seek(frame)
                    found.append(_pixels(image))
        except OSError:
            for part in files.parse(path.read_bytes(), path.name).images:
                found += [image[..., 0] if image.shape[2] == 1 else image for image in part]
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
    return len(peers.xz().encode(*peers.arranged(images, "stream")))


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


jpegxl = peers.jpegxl(9).encode
"""A JPEG XL file."""


def webp(image: Pixels) -> bytes:
    """A lossless WebP file."""
    if image.dtype != np.uint8:
        raise ValueError("WebP has 8 bits")
    colour = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    return bytes(imagecodecs.webp_encode(colour, lossless=True, level=9))


def zstd(images: Sequence[Pixels]) -> int:
    """Bytes of the samples of all images in one zstd file."""
    return len(imagecodecs.zstd_encode(b"".join(image.tobytes() for image in images), level=19))


def stacked(images: Sequence[Pixels]) -> int:
    """One JPEG XL file of all images, one below the other."""
    if len({image.shape[1:] for image in images}) > 1:
        raise ValueError("images of several widths")
    return len(jpegxl(np.concatenate(images)))


def differences(images: Sequence[Pixels]) -> int:
    """JPEG XL files of each image less the one before."""
    if len({image.shape for image in images}) > 1:
        raise ValueError("images of several shapes")
    half = images[0].dtype.type(1 << (8 * images[0].itemsize - 1))
    less = [image - before + half for before, image in pairwise(images)]
    return each(jpegxl)([images[0], *less])


PEERS: dict[str, Callable[[Sequence[Pixels]], int]] = {
    "xz": xz,
    "zstd": zstd,
    "Paeth, xz": paeth_xz,
    "WebP": each(webp),
    "JPEG XL": each(jpegxl),
    "JPEG XL, stacked": stacked,
    "the one before subtracted, JPEG XL": differences,
}


def taken(peer: Callable[[Sequence[Pixels]], int], images: Sequence[Pixels]) -> int | None:
    """What a peer takes; None if it does not take such images."""
    try:
        return peer(images)
    except (ValueError, RuntimeError):
        return None


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
    sizes = {name: taken(peer, images) for name, peer in PEERS.items()}
    row |= {name: size for name, size in sizes.items() if size is not None}
    best = min(PEERS.keys() & row.keys(), key=lambda name: (row[name], name))
    return row | {"best": row[best], "by": best}


def main() -> None:
    """See the top of the file."""
    parser = ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    rows = [row_of(folder) for folder in options.folders]
    heads = list(dict.fromkeys(head for row in rows for head in row))
    found = [[row.get(head, "-") for head in heads] for row in rows]
    body = [[f"{one:,}" if isinstance(one, int) else one for one in row] for row in found]
    print(measure.table(heads, body))
    if options.json:
        measure.write(options.json, {"machine": measure.machine(), "rows": rows})
    print(json.dumps(measure.machine()))


if __name__ == "__main__":
    main()
