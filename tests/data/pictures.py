"""Images and files of them that the tests of collections share."""

from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, np.uint8)


def save(folder: Path, **images: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}.png")
