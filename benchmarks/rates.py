"""What each shipped model makes of its own test set, and of images that it was not made for.

    python benchmarks/rates.py [--images 500] [--data FOLDER]

Rates are what the models promise for long archives (-ELBO for those with latents), in bits a sample, on parts of the
test sets: the middle of each of the 24 Kodak photos, 192 pixels an edge, in colour and in grey; the first thumbnails
and digits, as many as asked for; and digits that examples/draw_digits.py draws.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import measure
from bitsback.data import mnist
from bitsback.models import Model
from bitsback.models.search import ZOO

ROOT = Path(__file__).parents[1]

Images = NDArray[np.uint8]
"""(n, height, width, channels)."""


def middle(photo: Image.Image, edge: int) -> Images:
    """The middle of a photo, (edge, edge, channels)."""
    left, top = (photo.width - edge) // 2, (photo.height - edge) // 2
    pixels = np.asarray(photo.crop((left, top, left + edge, top + edge)))
    return pixels.reshape(edge, edge, -1)


def sets(data: Path, count: int) -> dict[str, Images]:
    """The images, by what they are called."""
    sys.path.append(str(ROOT / "examples"))
    from draw_digits import draw

    photos = [Image.open(path) for path in sorted((data / "kodak").glob("*.png"))]
    digits = mnist.load(data / "mnist", mnist.TEST)
    rng = np.random.default_rng(0)
    drawn = np.stack([draw(i % 10, rng) for i in range(count)])[..., None]
    return {
        "Kodak": np.stack([middle(photo.convert("RGB"), 192) for photo in photos]),
        "thumbnails": np.load(data / "thumbnails" / "valid.npz")["images"][:count],
        "Kodak, grey": np.stack([middle(photo.convert("L"), 192) for photo in photos]),
        "digits": digits[:count],
        "drawn digits": drawn,
        "binarised digits": mnist.binarised(digits)[:count],
        "drawn digits, two values": (drawn > 127).astype(np.uint8),
    }


def rates(images: dict[str, Images]) -> list[dict[str, object]]:
    """A row for each model: bits a sample of every set that it takes."""
    rows: list[dict[str, object]] = []
    for path in sorted(ZOO.glob("*.bbm")):
        model = Model.load(path)
        found = {}
        for name, some in images.items():
            levels = 2 if some.max() == 1 else 256
            if model.levels == levels and model.accepts(some.shape[1:], some.dtype, levels):
                found[name] = float(model.elbo_bits(some).sum()) / some.size
        rows.append({"name": model.name, "rates": found})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=measure.DATA, help="folder of the data sets (or $BITSBACK_DATA)")
    parser.add_argument("--images", type=int, default=500, help="of digits and thumbnails each (default: 500)")
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "rates.json")
    arguments = parser.parse_args()
    rows = rates(sets(arguments.data, arguments.images))
    measure.write(arguments.out, {"images": arguments.images, "rows": rows, "machine": measure.machine()})


if __name__ == "__main__":
    main()
