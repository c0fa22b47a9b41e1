"""What one command makes of three collections: ``bitsback train`` with its defaults, then an archive of other images.

    python benchmarks/train.py [digits] [thumbnails] [plots] [--minutes 20] [--init none] [--data FOLDER]

    digits      the MNIST training set as 60,000 PNG files; measured on the test set
    thumbnails  20,000 images of 32x32 RGB in one .npz; measured on 2,000 others
    plots       12,000 little plots, 64x64 RGB, drawn by examples/draw_plots.py; measured on 2,000 more

The images that are measured are PNG files that the run never sees, packed by ``bitsback compress --model``. The others
store one file an image, each at its best here (``PNG`` is Pillow's with ``optimize``). The size "of 10,000" counts the
model, embedded: the archive without it for each image, ten thousand times, and the model file once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import measure
from bitsback.data import mnist, peers

ROOT = Path(__file__).parents[1]
COLLECTIONS = ("digits", "thumbnails", "plots")
MEASURED = 2000
COUNTED = 10_000

Images = list[NDArray[np.uint8]]


def save(images: NDArray[np.uint8], folder: Path) -> Path:
    """Images as PNG files."""
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:05d}.png")
    return folder


def prepare(name: str, data: Path, work: Path) -> tuple[Path, Path]:
    """What to train on, and the folder of the images to measure on."""
    if name == "digits":
        train, test = (mnist.load(data / "mnist", name)[..., 0] for name in (mnist.TRAIN, mnist.TEST))
        return save(train, work / "train"), save(test, work / "test")
    if name == "thumbnails":
        test = np.load(data / "thumbnails" / "valid.npz")["images"]
        return data / "thumbnails" / "train.npz", save(test[:MEASURED], work / "test")
    for part, count, seed in (("train", 12_000, 0), ("test", MEASURED, 1)):
        script = ROOT / "examples" / "draw_plots.py"
        command = [sys.executable, str(script), str(work / part), "--count", str(count), "--seed", str(seed)]
        subprocess.run(command, check=True)
    return work / "train", work / "test"


def bitsback(work: Path, *arguments: str) -> float:
    """Run the command in a folder; seconds of wall time."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "bitsback", *arguments], check=True, cwd=work)
    return time.perf_counter() - began


def run(name: str, data: Path, work: Path, minutes: float, init: str, keep: Path | None) -> dict[str, Any]:
    """One collection."""
    train, test = prepare(name, data, work)
    model = work / f"{name}.bbm"
    seconds = bitsback(work, "train", str(train), "-o", model.name, "--minutes", str(minutes), "--init", init)
    card = json.loads(model.with_suffix(".json").read_text())
    archives = {"own": work / "own.bba", "embedded": work / "embedded.bba", "shipped": work / "shipped.bba"}
    bitsback(work, "compress", test.name, "-o", "own.bba", "--model", model.name, "--no-embed-model")
    bitsback(work, "compress", test.name, "-o", "embedded.bba", "--model", model.name)
    bitsback(work, "compress", test.name, "-o", "shipped.bba")
    bitsback(work, "decompress", "embedded.bba", "-C", "back", "-q")
    paths = sorted(test.glob("*.png"))
    images = [np.asarray(Image.open(path)) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if not np.array_equal(np.asarray(Image.open(work / "back" / "test" / path.name)), image):
            raise SystemExit(f"{path} did not come back as it was")
    sizes = {key: path.stat().st_size for key, path in archives.items()}
    shown = images[:MEASURED]
    shaped = [image if image.ndim == 3 else image[..., None] for image in shown]
    codecs = {key: size for key, size in peers.file_sizes(shaped, threads=os.cpu_count() or 1).items() if size}
    each = {key: size / len(shown) for key, size in codecs.items()}
    best = min(each, key=lambda key: each[key])
    counted = COUNTED * sizes["own"] / len(images) + card["bytes"]
    if keep is not None:
        for suffix in (".bbm", ".json", ".html"):
            (keep / f"{name}{suffix}").write_bytes(model.with_suffix(suffix).read_bytes())
    samples = sum(image.size for image in images)
    return {
        "images": len(images),
        "minutes": round(seconds / 60, 2),
        "architecture": card["training"]["architecture"],
        "steps": card["training"]["done"],
        "model_bytes": card["bytes"],
        "bytes": sizes,
        "bits_per_dim": 8 * sizes["own"] / samples,
        "bytes_per_image": sizes["own"] / len(images),
        "codecs_bytes_per_image": each,
        "best_codec": best,
        "of_10000_with_model": counted,
        "of_10000_best_codec": COUNTED * each[best],
        "saved": 1 - counted / (COUNTED * each[best]),
    }


def main() -> None:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("collections", nargs="*", default=list(COLLECTIONS), metavar="COLLECTION")
    parser.add_argument("--data", type=Path, default=measure.DATA, help="folder of the data sets (or $BITSBACK_DATA)")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--init", default="none", help="as for bitsback train; the shipped models know these sets")
    parser.add_argument("--keep", type=Path, help="folder to copy models, cards and reports to")
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "train.json")
    arguments = parser.parse_args()
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    for name in arguments.collections:
        if name not in COLLECTIONS:
            parser.error(f"no collection {name!r}; there are {', '.join(COLLECTIONS)}")
        with tempfile.TemporaryDirectory() as work:
            found = run(name, arguments.data.resolve(), Path(work), arguments.minutes, arguments.init, arguments.keep)
        found |= {"asked_minutes": arguments.minutes, "init": arguments.init, "machine": measure.machine()}
        # Read only now: another run may have written meanwhile
        results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"collections": {}}
        results["collections"][name] = found
        measure.write(arguments.out, results)
        print(json.dumps({name: found}, indent=1))


if __name__ == "__main__":
    main()
