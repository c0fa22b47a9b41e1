"""The MNIST database of handwritten digits (LeCun, Cortes & Burges), as it is offered for download: not included."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files import parse

TRAIN, TEST = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"
"""The files of images: 60,000 to learn from, 10,000 to test with."""

EDGE = 28


def load(folder: Path, name: str) -> NDArray[np.uint8]:
    """All images of a file of the data set, ``.gz`` or not, uint8 (n, 28, 28, 1).

    Raises:
        ImageError: it is not there, or holds something else. OSError.
    """
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            # Not as a file that is to come back byte for byte: how it was packed takes a minute to find out
            data = path.read_bytes() if path.name == name else _unpacked(path)
            parts = parse(data, name).parts
            if len(parts) != 1 or parts[0].shape[1:] != (EDGE, EDGE, 1) or parts[0].dtype != np.uint8:
                raise ImageError(f"{path}: not an IDX file of 28x28 images, or a damaged one")
            return parts[0]
    raise ImageError(f"{folder}: holds no {name}.gz (LeCun, Cortes & Burges: the MNIST database of handwritten digits)")


def _unpacked(path: Path) -> bytes:
    """What is in a gzip file; nothing, if it is damaged."""
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return b""


def binarised(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images of 0 and 1, drawn once: a sample x is 1 with probability x / 255. The same for the same images."""
    drawn: NDArray[np.uint8] = (np.random.default_rng(0).random(images.shape) < images / 255).astype(np.uint8)
    return drawn
