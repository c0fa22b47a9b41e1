"""Where the jpeg kind starts: predictions, expectations, chances and weights from many JPEG files.

    python recipes/jpeg.py FILES ...      writes start.bin and known.bin in kinds/jpeg, and the hash in start.py

Two steps: least squares on blocks drawn from the files, and one pass through all that counts the answers of each
slot while it codes (minutes for 30 MB). What ships was made by these two steps before they were put together here, so
that it does not come out of them to the last byte: the first on numbers 101 to 260, by name, of
EliSchwartz/imagenet-sample-images; the second on every seventh of its numbers 101 to 900, and on every other file of
mapillary/OpenSfM's test data and openMVG/ImageDataset_SceauxCastle. The first hundred of imagenet-sample-images, and
what else benchmarks/jpeg.py measures on, were not used.
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import BitsBackError
from bitsback.files import jpeg
from bitsback.kinds.jpeg import coding, known, payload, start
from bitsback.kinds.jpeg import tables as t
from bitsback.kinds.jpeg.mixing import Counter

HERE = Path(start.__file__).parent
DRAWN = 110
"""Blocks of each component of a file."""

RANKS = np.argsort(t.ORDER)
Floats = NDArray[np.float64]


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


def draw(name: str, rng: np.random.Generator) -> list[Drawn]:
    """Blocks of each component of a file; those of later components only where none is sampled more coarsely."""
    layouts, coefficients = payload._taken_apart(jpeg.read(Path(name).read_bytes()).parts[0].reshape(-1, 64))
    out, planes, at = [], [], 0
    components = layouts[0].components[:3]
    alike = len({(one.width, one.height) for one in components}) == 1
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
        luma, second = (planes[i][y, x] if alike and len(out) > i else nothing for i in range(2))
        places = (0, 0), (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)
        out.append(Drawn(*(beside(*place) for place in places), luma, second, np.broadcast_to(steps, nothing.shape)))
    return out


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
    active = np.flatnonzero(x.any(0))
    weighed = x[:, active] / (expected**2 + 0.3 * step**2)[:, None]
    square = weighed.T @ x[:, active]
    predict = np.zeros(40)
    predict[active] = np.linalg.solve(square + 1e-4 * np.diag(np.diag(square)), weighed.T @ y)
    return predict, weights[:40], float(weights[40])


def learn_trained(names: list[str]) -> t.Trained:
    """Step one."""
    rng = np.random.default_rng(0)
    classes: list[list[Drawn]] = [[], [], []]
    for name in names:
        for several, drawn in zip(classes, draw(name, rng), strict=False):
            several.append(drawn)
    predict, expect, least = np.zeros((3, 64, 40)), np.zeros((3, 64, 40)), np.zeros((3, 64))
    for cls, several in enumerate(classes):
        drawn = Drawn(*(np.concatenate(parts) for parts in zip(*several, strict=True)))
        for k in range(64):
            predict[cls, k], expect[cls, k], least[cls, k] = learn_weights(drawn, k)
    whole = [np.round(4096 * one).clip(-32768, 32767).astype(np.int64) for one in (predict, expect, least)]
    assert all(np.abs(one).sum(2).max() < 1 << 18 for one in whole[:2]), "sums might not fit 32 bits"
    return t.Trained(
        whole[0].astype(np.int16).ravel(), whole[1].astype(np.int16).ravel(), whole[2].astype(np.int32)
    )  # fmt: skip


def learn_model(names: list[str], trained: t.Trained) -> t.Model:
    """Step two: weights as they are in the end, chances as the answers were."""
    model, room = t.new_model(), payload.new_work()
    costs = -np.log2(np.maximum(np.arange(65537), 1) / 65536)
    counter = Counter(
        np.zeros(32), costs, np.zeros((t.SLOTS, 2), np.uint32), np.zeros((t.SINGLE, 2), np.uint32)
    )  # fmt: skip
    size = 0
    for name in names:
        data = Path(name).read_bytes()
        size += len(data)
        layouts, coefficients = payload._taken_apart(jpeg.read(data).parts[0].reshape(-1, 64))
        for parts in payload.stretches(layouts):
            for rows in (rows for band in payload._bands(coefficients, parts) for rows in band):
                job = coding.Job(rows.plane, model, trained, t.tables(), *room)
                coding.measure(counter, rows.first, rows.last, job)
    print(f"{counter.bits[:16].sum() / 8 / size:.4f} of {size:,} bytes")
    return model._replace(slots=_chances(counter.answers), single=_chances(counter.alone))


def _chances(answers: NDArray[np.uint32]) -> NDArray[np.int16]:
    chance = (answers[:, 1] + 0.4) / (answers.sum(1) + 0.8)
    return (np.round(65536 * chance) - 32768).clip(-32752, 32751).astype(np.int16)


def readable(name: str) -> bool:
    try:
        jpeg.read(Path(name).read_bytes())
    except BitsBackError:
        return False
    return True


def main() -> None:
    names = sorted(filter(readable, sys.argv[1:]))
    random.Random(1).shuffle(names)
    trained = learn_trained(names)
    data = start.pack(trained, learn_model(names, trained))
    (HERE / "start.bin").write_bytes(data)
    text, digest = (HERE / "start.py").read_text(), hashlib.sha256(data).hexdigest()
    (HERE / "start.py").write_text(re.sub(r'SHA256 = ".*"', f'SHA256 = "{digest}"', text))
    start.SHA256 = digest
    start._read.cache_clear()
    (HERE / "known.bin").write_bytes(payload.encode(known.blocks()))
    print(f"{len(data):,} bytes")


if __name__ == "__main__":
    main()
