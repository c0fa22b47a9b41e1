"""Size against speed on five sets: bitsback at every effort beside what people use, on one core, in one run.

    python benchmarks/front.py [SET ...] [--quick] [--data FOLDER]

SET is one of

    kodak        the 24 Kodak photos, 768x512 RGB
    thumbnails   2,000 thumbnails, 32x32 RGB
    digits       the 10,000 digits of MNIST's test set, 28x28
    volume       16 slices of an MR volume, 384x274, 16 bits (of which it uses eight)
    depths       6 depth maps, 480x640, 16 bits (of which they use twelve)

and all of them by default; a set that is not measured keeps the figures that it has. Of each codec: bytes of the whole
file or files, bits per dimension, and MB of raw bytes a CPU second. bitsback's is one archive, of an array for each
photo (and then an archive for each) or of one array for all images of a shape, made without verification, as the other
codecs do not verify either; ``--model none`` has a row of its own where models are used otherwise. The others get every
image by itself, and those of one shape once more side by side in one image. FLIF takes part where there is a command
``flif``. Everything is decoded and compared, or the script stops. At last it says where another codec is better than
bitsback, and draws the figure of the photos (``front.svg`` beside the JSON file).
"""

from __future__ import annotations

import io
import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import figure
import measure
import peers
import sets
import tables
from peers import Row
from sets import Array

SETS: dict[str, Callable[[Path, int | None], list[Array]]] = {
    "kodak": lambda folder, count: [sets.pixels(path) for path in sets.kodak(folder, count)],
    "thumbnails": sets.thumbnails,
    "digits": lambda folder, count: list(measure.digits(folder, "8-bit", count)),
    "volume": partial(sets.collection, "mri16"),
    "depths": partial(sets.collection, "depth16"),
}
QUICK = {"kodak": 2, "thumbnails": 60, "digits": 60, "volume": 4, "depths": 2}
"""How many images are enough to try the script."""


def one_shape(images: Sequence[Array]) -> bool:
    """Whether they can be one array."""
    return len({image.shape for image in images}) == 1


def encode(images: Sequence[Array], effort: Any = "normal", model: str = "auto") -> tuple[bytes, str]:
    """The archive, made by one thread without verification, and which coders were taken."""
    from bitsback import api
    from bitsback.archive.intake import array_item

    arrays = [np.stack(images)] if one_shape(images) else images
    items = [array_item(array, f"{number:05}.npy") for number, array in enumerate(arrays)]
    stream = io.BytesIO()
    settings = api.settings_for(effort, threads=1, embed_model=False)
    report = api.store(items, stream, library=api.library_for(model), settings=settings, check=False)
    return stream.getvalue(), ", ".join(sorted({kept.how for kept in report.members}))


def decode(data: bytes, stacked: bool) -> list[Array]:
    """The images of an archive of :func:`encode`, all its files taken out; ``stacked``: they were one array."""
    import bitsback
    from bitsback.archive import taken

    found: dict[str, Array] = {}
    with bitsback.open(data) as archive:
        for member, pieces in archive.contents(threads=1):
            found[member.name] = np.load(io.BytesIO(b"".join(taken(pieces))), allow_pickle=False)
    arrays = [found[name] for name in sorted(found)]
    return list(arrays[0]) if stacked else arrays


def our_row(name: str, images: Sequence[Array], layout: str = "archive", **how: Any) -> Row:
    """An archive of all images, or one of each."""
    given = [[image] for image in images] if layout == "each" else [images]
    coded, encoding = measure.cpu(lambda: [encode(part, **how) for part in given], 1)
    again, decoding = measure.cpu(lambda: [decode(data, one_shape(given[0])) for data, _ in coded], 1)
    peers.compare(name, images, [image for part in again for image in part])
    found = peers.row(name, layout, images, sum(len(data) for data, _ in coded), encoding, decoding)
    found.note = ", ".join(sorted({coders for _, coders in coded}))
    return found


def our_rows(images: Sequence[Array]) -> Iterator[Row]:
    """Every effort; no model, where models are used otherwise; and an archive for each photo."""
    normal = our_row("bitsback", images)
    yield normal
    for effort in ("fast", "max"):
        yield our_row(f"bitsback --effort {effort}", images, effort=effort)
    if normal.note != "adaptive":
        yield our_row("bitsback --model none", images, model="none")
    if not one_shape(images):
        yield our_row("bitsback", images, "each")


def rows(images: Sequence[Array]) -> Iterator[Row]:
    """All of a set."""
    yield from our_rows(images)
    for layout in ("each", "mosaic") if one_shape(images) else ("each",):
        yield from (peers.measured(codec, layout, images) for codec in peers.of_images(images[0]))
    yield peers.measured(peers.xz(), "stream", images)


def warm_up(images: Sequence[Array]) -> None:
    """Compile and load everything before the clock runs."""
    few = list(images[:2])
    for how in ({"effort": "fast"}, {"effort": "normal"}, {"effort": "max"}, {"model": "none"}):
        decode(encode(few, **how)[0], one_shape(few))


def measured(images: Sequence[Array]) -> dict[str, Any]:
    """A set's figures, which are also told as they come."""
    warm_up([image[:64, :64] for image in images])
    found = []
    for row in rows(images):
        found.append(asdict(row))
        speeds = f"{row.encode:.2f} / {row.decode:.2f} MB a CPU second"
        print(f"{row.name}, {row.layout}: {row.bits_per_dim:.4f} bits/dim, {speeds}", file=sys.stderr, flush=True)
    raw = sum(image.nbytes for image in images)
    return {"machine": measure.machine(), "images": len(images), "raw_bytes": raw, "rows": found}


def main() -> None:
    """See the top of the file."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(SETS))
    parser.add_argument("--data", type=Path, default=measure.DATA, help="folder of the sets (or $BITSBACK_DATA)")
    parser.add_argument("--quick", action="store_true", help="few images of each, to try the script")
    parser.add_argument(
        "--out", type=Path, default=measure.RESULTS / "front.json", help="JSON file to write, or add to"
    )
    options = parser.parse_args()
    if unknown := set(options.sets) - SETS.keys():
        parser.error(f"no such set: {', '.join(sorted(unknown))}")
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.sets or SETS:
        results[name] = measured(SETS[name](options.data, QUICK[name] if options.quick else None))
        measure.write(options.out, {name: results[name] for name in SETS if name in results})
    print(f"{tables.front(results)}\n\nwritten: {options.out}")
    if "kodak" in results:
        figure.draw(results, options.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
