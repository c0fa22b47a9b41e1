"""Sizes, speeds and memory on photos and thumbnails: bitsback against what people use.

    python benchmarks/photos.py [--slow] [--quick] [--data FOLDER]

Two sets that no model was trained on: the 24 Kodak photos (768x512 RGB), and the 2,000 thumbnails of
``thumbnails/valid.npz`` (32x32 RGB, from Tiny ImageNet). For each codec: bytes of the whole file or files, bits per
dimension, and MB of raw bytes a CPU second, all threads together. Layouts:

    each      every image is a file of its own, and their sizes are added up
    archive   one bitsback archive of all images
    stacked   all images on top of one another, in one image

Everything is decoded and compared, or the script stops. The other codecs run on one thread and get arrays, and so does
bitsback in the table; then follow the wall and CPU seconds of its command on the PNG files themselves, with two
threads, with and without verification; how much faster than JPEG XL it is; and the peak memory of processes that
compress and decompress a photo of 24 megapixels, put together from the Kodak photos, or many photos (``--many``).
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

import measure
from peak import peak

Array = NDArray[np.uint8]
"""(height, width, 3)."""

THREADS = 2
REFERENCE = "JPEG XL, effort 9"
"""The codec whose speed ours is compared with."""


@dataclass
class Row:
    """What a codec made of a set. Speeds in MB a CPU second; seconds of both kinds."""

    name: str
    layout: str
    images: int
    bytes: int
    bits_per_dim: float
    encode: float
    decode: float
    encode_wall: float
    decode_wall: float
    encode_cpu: float
    decode_cpu: float
    note: str = ""


@dataclass
class Contender:
    """A codec for one image at a time."""

    name: str
    encode: Callable[[Array], bytes]
    decode: Callable[[bytes], Any]
    layout: str = "each"


@dataclass
class Timed:
    """Seconds, and what came of them."""

    result: Any
    wall: float
    cpu: float


def timed(run: Callable[[], Any]) -> Timed:
    """Run it once."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return Timed(result, time.perf_counter() - wall, time.process_time() - cpu)


# The sets -------------------------------------------------------------------------------------------------------------


def kodak(folder: Path, count: int | None = None) -> list[Path]:
    """The PNG files."""
    paths = sorted((folder / "kodak").glob("kodim*.png"))
    if not paths:
        raise SystemExit(f"{folder / 'kodak'}: no photos there; say --data FOLDER or set BITSBACK_DATA")
    return paths[:count]


def pixels(path: Path) -> Array:
    """Its image."""
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def thumbnails(folder: Path, count: int | None = None) -> list[Array]:
    """The images of the test set."""
    with np.load(folder / "thumbnails" / "valid.npz") as arrays:
        return list(arrays["images"][:count])


def mosaic(images: Sequence[Array], height: int = 4000, width: int = 6000) -> Array:
    """A photo of 24 megapixels, say, of photos side by side, some of them mirrored."""
    landscape = [image if image.shape[0] <= image.shape[1] else image.swapaxes(0, 1) for image in images]
    h, w = landscape[0].shape[:2]
    rows = []
    for r in range(-(-height // h)):
        row = [landscape[(r * 8 + c) % len(landscape)] for c in range(-(-width // w))]
        rows.append(np.concatenate([image[:, ::-1] if (r + c) % 3 else image for c, image in enumerate(row)], 1))
    return np.concatenate(rows)[:height, :width]


# The others -----------------------------------------------------------------------------------------------------------


def jpegxl(effort: int, layout: str = "each") -> Contender:
    """JPEG XL, lossless, one thread."""
    return Contender(
        f"JPEG XL, effort {effort}",
        lambda image: bytes(imagecodecs.jpegxl_encode(image, lossless=True, effort=effort, numthreads=1)),
        lambda data: imagecodecs.jpegxl_decode(data, numthreads=1),
        layout,
    )


def webp(method: int, level: int) -> Contender:
    """WebP, lossless, one thread."""
    return Contender(
        f"WebP lossless, method {method}",
        lambda image: bytes(imagecodecs.webp_encode(image, level=level, lossless=True, method=method, numthreads=1)),
        lambda data: imagecodecs.webp_decode(data),
    )


def png(oxipng: bool = False) -> Contender:
    """PNG by Pillow, optimised; or by oxipng at level 6."""
    from PIL import Image

    def encode(image: Array) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, format="PNG", optimize=True)
        return stream.getvalue()

    def encode_better(image: Array) -> bytes:
        import oxipng

        stream = io.BytesIO()
        Image.fromarray(image).save(stream, format="PNG")
        return bytes(oxipng.optimize_from_memory(stream.getvalue(), level=6))

    def decode(data: bytes) -> Array:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"))

    return Contender("PNG, oxipng" if oxipng else "PNG, optimised", encode_better if oxipng else encode, decode)


def contenders(slow: bool) -> list[Contender]:
    """All of them but bitsback; ``slow`` adds those that take long for little."""
    found = [png(), webp(4, 75), jpegxl(7), jpegxl(9)]
    return [*found, png(oxipng=True), webp(6, 100), jpegxl(10)] if slow else found


def peer_row(contender: Contender, images: Sequence[Array]) -> Row:
    """Run it, compare, and count."""
    given = [np.concatenate(images)] if contender.layout == "stacked" else list(images)
    encoded = timed(lambda: [contender.encode(image) for image in given])
    decoded = timed(lambda: [contender.decode(data) for data in encoded.result])
    compare(contender.name, given, decoded.result)
    return row(contender.name, contender.layout, images, sum(map(len, encoded.result)), encoded, decoded)


def row(name: str, layout: str, images: Sequence[Array], size: int, encoded: Timed, decoded: Timed) -> Row:
    """Bytes and seconds as rates."""
    raw = sum(image.nbytes for image in images)
    rates = [8 * size / raw, raw / 1e6 / encoded.cpu, raw / 1e6 / decoded.cpu]
    return Row(name, layout, len(images), size, *rates, encoded.wall, decoded.wall, encoded.cpu, decoded.cpu)


def compare(name: str, images: Sequence[Any], again: Sequence[Any]) -> None:
    """Stop the run unless the images are the same."""
    if len(images) != len(again) or not all(map(np.array_equal, images, again)):
        raise SystemExit(f"{name} did not give the same images")


# bitsback -------------------------------------------------------------------------------------------------------------


def items(images: Sequence[Array]) -> list[Any]:
    """What an archive is made of: photos as arrays of their own, thumbnails as a single array."""
    from bitsback.archive.intake import array_item

    if len({image.shape for image in images}) == 1 and len(images) > 100:
        return [array_item(np.stack(images), "images.npy")]
    return [array_item(image, f"{number:05}.npy") for number, image in enumerate(images)]


def encode(images: Sequence[Array], model: str = "auto", **how: Any) -> tuple[bytes, str]:
    """The archive, made without verification, and which coders were taken."""
    from bitsback import api

    stream = io.BytesIO()
    settings = api.settings_for(embed_model=False, **how)
    report = api.store(items(images), stream, library=api.library_for(model), settings=settings, check=False)
    return stream.getvalue(), ", ".join(sorted({kept.how for kept in report.members}))


def decode(data: bytes, threads: int) -> list[Array]:
    """The images of an archive of :func:`encode`, all its files taken out."""
    import bitsback
    from bitsback.archive import taken

    found: dict[str, list[Array]] = {}
    with bitsback.open(data) as archive:
        for member, pieces in archive.contents(threads=threads):
            array = np.load(io.BytesIO(b"".join(taken(pieces))), allow_pickle=False)
            found[member.name] = list(array) if array.ndim == 4 else [array]
    return [image for name in sorted(found) for image in found[name]]


def our_row(name: str, images: Sequence[Array], threads: int = 1, **how: Any) -> Row:
    """One archive of all images, coded without verification, as the others do not verify either."""
    encoded = timed(lambda: encode(images, threads=threads, **how))
    data, routes = encoded.result
    decoded = timed(lambda: decode(data, threads))
    compare(name, images, decoded.result)
    found = row(name, "archive", images, len(data), encoded, decoded)
    found.note = routes
    return found


def our_single_rows(name: str, images: Sequence[Array], **how: Any) -> Row:
    """An archive for each image."""
    encoded = timed(lambda: [encode([image], threads=1, **how) for image in images])
    decoded = timed(lambda: [decode(data, 1)[0] for data, _ in encoded.result])
    compare(name, images, decoded.result)
    found = row(name, "each", images, sum(len(data) for data, _ in encoded.result), encoded, decoded)
    found.note = ", ".join(sorted({routes for _, routes in encoded.result}))
    return found


def command_times(paths: Sequence[Path], efforts: Sequence[str]) -> list[dict[str, Any]]:
    """What ``bitsback compress`` and ``decompress`` do with the PNG files, on two threads: seconds, and the archive."""
    import bitsback

    found = []
    raw = sum(pixels(path).nbytes for path in paths)
    with tempfile.TemporaryDirectory() as folder:
        archive, out = Path(folder) / "a.bba", Path(folder) / "out"
        for effort in efforts:
            for verify in (True, False):
                how: dict[str, Any] = {"effort": effort, "threads": THREADS, "verify": verify, "force": True}
                coded = timed(lambda how=how: bitsback.compress(paths, archive, **how))
                done = {"effort": effort, "verify": verify, "bytes": archive.stat().st_size, "raw_bytes": raw}
                done |= {"wall": coded.wall, "cpu": coded.cpu, "mb_per_second": raw / 1e6 / coded.wall}
                found.append({"job": "compress", **done})
            taken = timed(lambda: bitsback.decompress(archive, out, threads=THREADS, force=True))
            compare("bitsback", [pixels(path) for path in paths], [pixels(path) for path in sorted(out.rglob("*.png"))])
            done = {"bytes": archive.stat().st_size, "raw_bytes": raw, "wall": taken.wall, "cpu": taken.cpu}
            found.append({"job": "decompress", "effort": effort, **done, "mb_per_second": raw / 1e6 / taken.wall})
    return found


def warm_up(images: Sequence[Array]) -> None:
    """Compile and load everything before the clock runs."""
    for effort in ("fast", "normal", "max"):
        decode(encode([image[:64, :64] for image in images[:2]], effort=effort)[0], 1)
    decode(encode([images[0][:64, :64]], model="none")[0], 1)


# Memory ---------------------------------------------------------------------------------------------------------------


def peak_memory(source: Path, effort: str) -> dict[str, float]:
    """Peak resident memory in MiB of processes of their own that compress ``source``, and decompress it."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for job in ("compress", "decompress"):
            command = [sys.executable, __file__, "--memory", job, str(source), folder, effort]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[job] = float(done.stdout)
        before, after = (sorted(root.rglob("*.png")) for root in (source, Path(folder) / "out"))
        compare("bitsback", [pixels(path) for path in before], [pixels(path) for path in after])
    return found


def memory_job(job: str, source: Path, folder: Path, effort: Any) -> None:
    """What such a process does, by the library's defaults; then its peak on standard output."""
    import bitsback

    if job == "compress":
        bitsback.compress(source, folder / "a.bba", effort=effort)
    else:
        bitsback.decompress(folder / "a.bba", folder / "out")
    print(peak())


def memory(photos: Sequence[Array], many: Sequence[int], effort: str, edge: tuple[int, int]) -> dict[str, Any]:
    """Of one large photo, and of so many photos of half the Kodak size."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as name:
        one = Path(name) / "one"
        one.mkdir()
        large = mosaic(photos, *edge)
        Image.fromarray(large).save(one / "photo.png", compress_level=1)
        found: dict[str, Any] = {"megapixels": large.shape[0] * large.shape[1] / 1e6, "effort": effort}
        found["photo"] = peak_memory(one, effort)
        for count in many:
            folder = Path(name) / str(count)
            folder.mkdir()
            for number in range(count):
                top, left = 8 * (number % 17), 8 * (number % 31)
                image = photos[number % len(photos)]
                image = image if image.shape[0] <= image.shape[1] else image.swapaxes(0, 1)
                crop = np.ascontiguousarray(image[top : top + 256, left : left + 384])
                Image.fromarray(crop).save(folder / f"{number:05}.png", compress_level=1)
            found[f"{count} photos of 384x256"] = peak_memory(folder, effort)
    return found


# Reports --------------------------------------------------------------------------------------------------------------


def ratios(rows: Sequence[Row]) -> dict[str, Any]:
    """How many times as fast as JPEG XL: two threads' wall time against its one thread's CPU time."""
    reference = next((row for row in rows if row.name == REFERENCE and row.layout == "each"), None)
    found = {}
    for ours in rows:
        if reference and ours.name.startswith("bitsback") and f"{THREADS} threads" in ours.name:
            encode = reference.encode_cpu / ours.encode_wall, reference.encode_cpu / ours.encode_cpu
            decode = reference.decode_cpu / ours.decode_wall, reference.decode_cpu / ours.decode_cpu
            found[ours.name] = {"encode_wall": encode[0], "encode_cpu": encode[1]}
            found[ours.name] |= {"decode_wall": decode[0], "decode_cpu": decode[1]}
    return found


def report(title: str, result: dict[str, Any]) -> str:
    """Markdown."""
    rows = []
    for r in sorted(result["rows"], key=lambda r: r["bits_per_dim"]):
        note = f" ({r['note']})" if r["note"] else ""
        speeds = f"{r['encode']:.2f}", f"{r['decode']:.2f}"
        rows.append([r["name"] + note, r["layout"], f"{r['bytes']:,}", f"{r['bits_per_dim']:.4f}", *speeds])
    lines = [
        f"## {title}\n",
        measure.table(["codec", "layout", "bytes", "bits/dim", "encode MB/CPU s", "decode MB/CPU s"], rows),
    ]
    for name, ratio in result.get("faster_than_jpegxl_9", {}).items():
        lines.append(f"\n{name}, times {REFERENCE} on one core: " + ", ".join(f"{k} {v:.2f}" for k, v in ratio.items()))
    for done in result.get("command", ()):
        verified = "" if done["job"] == "decompress" else ", verified" if done["verify"] else ", not verified"
        lines.append(
            f"- {done['job']} --effort {done['effort']} -T {THREADS}{verified}: {done['wall']:.1f} s wall, "
            f"{done['cpu']:.1f} s CPU, {done['mb_per_second']:.2f} MB/s, {done['bytes']:,} bytes"
        )
    return "\n".join(lines)


def measured(images: Sequence[Array], options: Any, paths: Sequence[Path] = ()) -> dict[str, Any]:
    """All rows of a set; and the command's times if there are files."""
    rows: list[Row] = []

    def add(found: Row) -> None:
        rows.append(found)
        line = f"{found.name}, {found.layout}: {found.bits_per_dim:.4f} bits/dim"
        print(f"{line}, {found.encode:.2f} / {found.decode:.2f} MB a CPU second", file=sys.stderr, flush=True)

    for effort in options.efforts:
        name = "bitsback" if effort == "normal" else f"bitsback --effort {effort}"
        add(our_row(name, images, effort=effort))
        add(our_row(f"{name}, {THREADS} threads", images, THREADS, effort=effort))
    add(our_row("bitsback, no model", images, model="none"))
    if paths:
        add(our_single_rows("bitsback", images))
    for contender in contenders(options.slow):
        add(peer_row(contender, images))
    if not paths:
        add(peer_row(jpegxl(9, "stacked"), images))
    result: dict[str, Any] = {"images": len(images), "raw_bytes": sum(image.nbytes for image in images)}
    result |= {"rows": [asdict(row) for row in rows], "faster_than_jpegxl_9": ratios(rows)}
    if paths:
        result["command"] = command_times(paths, options.efforts)
    return result


def main() -> None:
    """Measure, print, write."""
    parser = ArgumentParser(description="Sizes, speeds and memory on photos and thumbnails")
    folder = os.environ.get("BITSBACK_DATA", Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(folder), help="folder of the sets (or $BITSBACK_DATA)")
    parser.add_argument("--efforts", nargs="+", default=["normal", "fast"], choices=["fast", "normal", "max"])
    parser.add_argument(
        "--slow", action="store_true", help="JPEG XL at effort 10, WebP at its best, oxipng: 10 minutes"
    )
    parser.add_argument("--quick", action="store_true", help="2 photos, 200 thumbnails, to try the script")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory")
    parser.add_argument("--many", type=int, nargs="*", default=[50, 200], help="and with so many photos")
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "photos.json", help="JSON file to write")
    parser.add_argument("--memory", nargs=4, metavar="WHAT", help="only the job of the memory measurement")
    options = parser.parse_args()
    if options.memory:
        job, source, folder, effort = options.memory
        memory_job(job, Path(source), Path(folder), effort)
        return
    about = measure.machine()
    print(f"{measure.line(about)}\n", flush=True)
    results: dict[str, Any] = {"machine": about, "quick": options.quick, "sets": {}}
    paths = kodak(options.data, 2 if options.quick else None)
    photos = [pixels(path) for path in paths]
    warm_up(photos)
    sets: dict[str, tuple[Sequence[Array], Sequence[Path]]] = {
        "Kodak": (photos, paths),
        "thumbnails": (thumbnails(options.data, 200 if options.quick else None), ()),
    }
    for name, (images, files) in sets.items():
        results["sets"][name] = measured(images, options, files)
        print(report(f"{name}, {len(images):,} images", results["sets"][name]), end="\n\n", flush=True)
        measure.write(options.out, results)
    if not options.no_memory:
        edge = (1000, 1500) if options.quick else (4000, 6000)
        results["peak_mib"] = memory(photos, () if options.quick else options.many, options.efforts[0], edge)
        print(f"Peak memory, MiB: {results['peak_mib']}")
        measure.write(options.out, results)
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
