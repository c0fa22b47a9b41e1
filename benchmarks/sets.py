"""The sets of images that are measured, none of which any model was trained on."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
"""An image: (height, width) or (height, width, channels), uint8 or uint16."""


def kodak(folder: Path, count: int | None = None) -> list[Path]:
    """The PNG files of the Kodak photos, 768x512 RGB."""
    paths = sorted((folder / "kodak").glob("kodim*.png"))
    if not paths:
        raise SystemExit(f"{folder / 'kodak'}: no photos there; say --data FOLDER or set BITSBACK_DATA")
    return paths[:count]


def pixels(path: Path) -> Array:
    """The image of an RGB file."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def thumbnails(folder: Path, count: int | None = None) -> list[Array]:
    """The test set, 32x32 RGB, from Tiny ImageNet."""
    with np.load(folder / "thumbnails" / "valid.npz") as arrays:
        return list(arrays["images"][:count])


def collection(name: str, folder: Path, count: int | None = None) -> list[Array]:
    """Images of 16 bits, uint16, as their makers published them: "mri16", 384x274, or "depth16", 480x640."""
    found = []
    with tarfile.open(folder / "collections" / f"{name}.tar") as tar:
        for member in sorted(member for member in tar.getnames() if member.endswith(".png")):
            with Image.open(io.BytesIO(tar.extractfile(member).read())) as picture:  # type: ignore[union-attr]
                found.append(np.asarray(picture).astype(np.uint16, copy=False))
    return found[:count]


def large_photo(images: Sequence[Array], height: int = 4000, width: int = 6000) -> Array:
    """One of 24 megapixels, say, of photos side by side, some of them mirrored."""
    landscape = [image if image.shape[0] <= image.shape[1] else image.swapaxes(0, 1) for image in images]
    h, w = landscape[0].shape[:2]
    rows = []
    for r in range(-(-height // h)):
        row = [landscape[(r * 8 + c) % len(landscape)] for c in range(-(-width // w))]
        rows.append(np.concatenate([image[:, ::-1] if (r + c) % 3 else image for c, image in enumerate(row)], 1))
    return np.concatenate(rows)[:height, :width]
