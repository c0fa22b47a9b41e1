"""Where the jpeg kind starts: predictions, expectations, chances and weights from many JPEG files.

    python recipes/jpeg.py FILES ... [--out FOLDER]     writes start.bin and known.bin, and the hash in start.py

Two steps: least squares on blocks drawn from the files, and one pass through all of them that counts the answers of
each slot while it codes (minutes for 30 MB). Of every third file there is another version, of half the size, as Pillow
writes it with qualities and samplings in turn. What ships was made of numbers 101 to 900 by name, every fifth, of
EliSchwartz/imagenet-sample-images, and of every other file of mapillary/OpenSfM's test data, of
openMVG/ImageDataset_SceauxCastle, of the GOPR files of udacity/CarND-Camera-Calibration, and of the examples ET and
kermit of snavely/bundler_sfm, with Pillow 13.0.0 and NumPy 2.4.6. The first hundred of imagenet-sample-images were not
used, nor its last hundred.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitsback.errors import BitsBackError
from bitsback.files import jpeg
from bitsback.kinds.jpeg import known, layout, payload, start
from bitsback.kinds.jpeg import tables as t
from bitsback.training.coefficients import chances, go_through, new_counter

HERE = Path(start.__file__).parent
DRAWN = 110
"""Blocks of each component of a file."""

QUALITIES, SAMPLINGS = (75, 80, 85, 88, 90, 92, 95, 97), (2, 0, 1)

RANKS = np.argsort(t.ORDER)
Floats = NDArray[np.float64]


def collected(names: list[str]) -> list[bytes]:
    """The files that can be taken apart, in an order that does not depend on their folders; and further versions."""
    found = []
    for name in sorted(names, key=lambda name: Path(name).name):
        data = Path(name).read_bytes()
        try:
            jpeg.read(data)
        except BitsBackError:
            continue
        found.append(data)
        if len(found) % 3 == 0:
            found.append(smaller(data, len(found) // 4))
    random.Random(1).shuffle(found)
    return found


def smaller(data: bytes, number: int) -> bytes:
    """The picture at half the size, as Pillow writes it."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    half = picture.resize((max(picture.width // 2, 1), max(picture.height // 2, 1)), Image.Resampling.BOX)
    quality, sampling = QUALITIES[number % len(QUALITIES)], SAMPLINGS[number % len(SAMPLINGS)]
    stream = io.BytesIO()
    half.save(stream, "JPEG", quality=quality, subsampling=sampling)
    return stream.getvalue()


class Drawn(NamedTuple):
    """Blocks, with what is around them: each (n, 64), dequantised."""

    own: Floats
    left: Floats
    above: Floats
    corner: Floats
    right: Floats
    further_left: Floats
    further_above: Floats
    luma: Floats
    second: Floats
    steps: Floats
    """The quantisation table."""


def draw(data: bytes, rng: np.random.Generator) -> list[Drawn]:
    """Blocks of each component of a file."""
    layouts, coefficients = payload.taken_apart(jpeg.read(data).parts[0].reshape(-1, 64))
    out: list[Drawn] = []
    planes: list[Floats] = []
    at = layouts[0].head
    components = layouts[0].components[:3]
    for one in components:
        steps = np.maximum(np.array(one.table), 1).astype(float)
        size = one.width * one.height
        plane = coefficients[at : at + size].reshape(one.height, one.width, 64) * steps
        at += size
        planes.append(plane)
        padded = np.pad(plane, ((2, 0), (2, 2), (0, 0)))
        y, x = np.divmod(rng.permutation(size)[:DRAWN], one.width)

        def beside(dy: int, dx: int, padded: Floats = padded, y: Floats = y, x: Floats = x) -> Floats:
            return padded[y + 2 + dy, x + 2 + dx]

        nothing = np.zeros((len(y), 64))
        luma = of_first(planes[0], layout.ratios(components[0], one), y, x) if out else nothing
        second = planes[1][y, x] if len(out) == 2 and planes[1].shape == plane.shape else nothing
        places = (0, 0), (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)
        out.append(Drawn(*(beside(*place) for place in places), luma, second, np.broadcast_to(steps, nothing.shape)))
    return out


def of_first(plane: Floats, ratios: tuple[int, int], y: NDArray[np.int64], x: NDArray[np.int64]) -> Floats:
    """(n, 64): what the first component has at the place of these blocks, as the kernel finds it."""
    across, down = ratios
    half = np.array(t.HALVES).reshape(8, 8) / 4096
    signs = 1 - 2 * (np.indices((8, 8)).sum(0) % 2)
    height, width = plane.shape[0] - 1, plane.shape[1] - 1
    rows = []
    for b in range(down):
        one, two = (
            plane[np.minimum(down * y + b, height), np.minimum(across * x + a, width)].reshape(-1, 8, 8)
            for a in range(2)
        )
        rows.append(one if across == 1 else one @ half.T + two @ (half * signs).T)
    whole = rows[0] if down == 1 else half @ rows[0] + (half * signs) @ rows[1]
    return whole.reshape(-1, 64)


def features(drawn: Drawn, k: int) -> Floats:
    """(n, 40): what coefficient k is predicted from."""
    v, u = divmod(k, 8)
    inside = np.where(RANKS[k] > RANKS, drawn.own, 0).reshape(-1, 8, 8)
    left, above = (one.reshape(-1, 8, 8) for one in (drawn.left, drawn.above))
    around = (drawn.corner, drawn.right, drawn.further_left, drawn.further_above, drawn.luma, drawn.second)
    diagonal = inside[:, v - 1, u - 1] if v and u else np.zeros(len(inside))
    extra = np.stack([*(one[:, k] for one in around), diagonal, np.zeros(len(inside))], 1)
    return np.concatenate([left[:, v], above[:, :, u], inside[:, v], inside[:, :, u], extra], 1)


def learn_weights(drawn: Drawn, k: int) -> tuple[Floats, Floats, float]:
    """For coefficient k the weights of its prediction, of its expectation, and the least that this is, in steps.

    The expectation is a sum with weights of at least 0 that makes magnitudes most likely if they are exponential; both
    are weighed by it, as otherwise unrest would decide everything.
    """
    x, y, step = features(drawn, k), drawn.own[:, k], drawn.steps[:, k]
    sizes = np.concatenate([np.abs(x), step[:, None]], 1)
    expected = 0.3 * (np.abs(drawn.left[:, k]) + np.abs(drawn.above[:, k]) + step)
    active = np.flatnonzero(sizes.any(0))
    weights = np.zeros(41)
    for _ in range(3):
        weighed = sizes[:, active] / np.maximum(expected, 0.05 * step)[:, None] ** 2
        square, side = weighed.T @ sizes[:, active], weighed.T @ np.abs(y)
        square += 1e-6 * np.eye(len(active)) * np.trace(square) / len(active)
        chosen = np.arange(len(active))
        while (found := np.linalg.solve(square[np.ix_(chosen, chosen)], side[chosen])).min() < 0:
            chosen = chosen[found > 0]
        weights[:] = 0
        weights[active[chosen]] = found
        expected = np.maximum(sizes @ weights, 0.02 * step)
    if k == 0:  # by how far means around differ: how large they are says nothing of errors
        left, above, corner = x[:, 0], x[:, 8], x[:, 32]
        expected = 16 + step + (np.abs(left - above) + np.abs(left - corner) + np.abs(above - corner)) / 4
    active = np.flatnonzero(x.any(0))
    weighed = x[:, active] / (expected**2 + 0.3 * step**2)[:, None]
    square = weighed.T @ x[:, active]
    predict = np.zeros(40)
    predict[active] = np.linalg.solve(square + 1e-4 * np.diag(np.diag(square)), weighed.T @ y)
    return predict, weights[:40], float(weights[40])


def learn_trained(files: list[bytes]) -> t.Trained:
    """Step one."""
    rng = np.random.default_rng(0)
    classes: list[list[Drawn]] = [[], [], []]
    for data in files:
        for several, drawn in zip(classes, draw(data, rng), strict=False):
            several.append(drawn)
    predict, expect, least = np.zeros((3, 64, 40)), np.zeros((3, 64, 40)), np.zeros((3, 64))
    for cls, several in enumerate(classes):
        drawn = Drawn(*(np.concatenate(parts) for parts in zip(*several, strict=True)))
        for k in range(64):
            predict[cls, k], expect[cls, k], least[cls, k] = learn_weights(drawn, k)
    whole = [np.round(4096 * one).clip(-32768, 32767).astype(np.int64) for one in (predict, expect, least)]
    assert all(np.abs(one).sum(2).max() < 1 << 18 for one in whole[:2]), "sums might not fit 32 bits"
    return t.Trained(whole[0].astype(np.int16), whole[1].astype(np.int16), whole[2].astype(np.int32))


def learn_model(files: list[bytes], trained: t.Trained) -> t.Model:
    """Step two: weights as they are in the end, chances as the answers were."""
    model, counter = t.new_model(), new_counter()
    begin = start.Start.of(trained, model)
    for data in files:
        go_through(jpeg.read(data).parts[0], model, begin, counter)
    print(f"{counter.bits[:16].sum() / 8 / sum(map(len, files)):.4f} of {sum(map(len, files)):,} bytes")
    return model._replace(slots=chances(counter.answers), single=chances(counter.alone))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for start.bin, known.bin and start.py")
    options = parser.parse_args()
    files = collected(options.files)
    trained = learn_trained(files)
    data = start.pack(trained, learn_model(files, trained))
    digest = hashlib.sha256(data).hexdigest()
    (options.out / "start.bin").write_bytes(data)
    text = (HERE / "start.py").read_text()
    (options.out / "start.py").write_text(re.sub(r'SHA256 = ".*"', f'SHA256 = "{digest}"', text))
    (options.out / "known.bin").write_bytes(payload.encode(known.blocks(), start=start.unpack(data)))
    print(f"{len(data):,} bytes, {digest}")


if __name__ == "__main__":
    main()
