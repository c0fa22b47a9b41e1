"""What the command takes on photos: time, with and without verification, and memory.

    python benchmarks/photos.py [--quick] [--data FOLDER]

The 24 Kodak photos, from their PNG files to an archive and back, on two threads: seconds on the clock and of the CPU;
and the peak memory of processes that compress and decompress a photo of 24 megapixels, put together from these, and
many photos (``--many``). What comes back is compared. (Sizes and speeds beside other codecs: front.py.)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import measure
import peers
import sets
from peak import peak
from sets import Array

THREADS = 2


def seconds(run: Callable[[], Any]) -> dict[str, float]:
    """What it takes, once, on the clock and of the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def compare(before: Sequence[Path], after: Sequence[Path]) -> None:
    """Stop the run unless the files are of the same images."""
    peers.compare("bitsback", *([sets.pixels(path) for path in paths] for paths in (before, after)))


def command_times(paths: Sequence[Path], efforts: Sequence[str]) -> list[dict[str, Any]]:
    """What ``bitsback compress`` and ``decompress`` do with the PNG files, on two threads: seconds, and the archive."""
    import bitsback

    found = []
    raw = sum(sets.pixels(path).nbytes for path in paths)

    def add(job: str, effort: str, run: Callable[[], Any], **more: Any) -> None:
        taken = seconds(run)
        more |= {"bytes": archive.stat().st_size, "raw_bytes": raw, "mb_per_second": raw / 1e6 / taken["wall"]}
        found.append({"job": job, "effort": effort, **more, **taken})

    with tempfile.TemporaryDirectory() as folder:
        archive, out = Path(folder) / "a.bba", Path(folder) / "out"
        how: dict[str, Any] = {"threads": THREADS, "force": True}
        for effort in efforts:
            for verify in (True, False):
                compress = partial(bitsback.compress, paths, archive, effort=effort, verify=verify, **how)
                add("compress", effort, compress, verify=verify)
            add("decompress", effort, partial(bitsback.decompress, archive, out, **how))
            compare(paths, sorted(out.rglob("*.png")))
    return found


# Memory ---------------------------------------------------------------------------------------------------------------


def peak_memory(source: Path, effort: str) -> dict[str, float]:
    """Peak resident memory in MiB of processes of their own that compress ``source``, and decompress it."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for job in ("compress", "decompress"):
            command = [sys.executable, __file__, "--memory", job, str(source), folder, effort]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[job] = float(done.stdout)
        compare(*(sorted(root.rglob("*.png")) for root in (source, Path(folder) / "out")))
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
        large = sets.large_photo(photos, *edge)
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


def report(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = []
    for done in results["command"]:
        verified = "" if done["job"] == "decompress" else ", verified" if done["verify"] else ", not verified"
        lines.append(
            f"- {done['job']} --effort {done['effort']} -T {THREADS}{verified}: {done['wall']:.1f} s wall, "
            f"{done['cpu']:.1f} s CPU, {done['mb_per_second']:.2f} MB/s, {done['bytes']:,} bytes"
        )
    return "\n".join([*lines, f"- peak memory, MiB: {results['peak_mib']}"])


def main() -> None:
    """Measure, print, write."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=measure.DATA, help="folder of the photos (or $BITSBACK_DATA)")
    parser.add_argument("--efforts", nargs="+", default=["normal", "fast"], choices=["fast", "normal", "max"])
    parser.add_argument("--quick", action="store_true", help="two photos, to try the script")
    parser.add_argument("--many", type=int, nargs="*", default=[50, 200], help="and with so many photos")
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "photos.json", help="JSON file to write")
    parser.add_argument("--memory", nargs=4, metavar="WHAT", help="only the job of the memory measurement")
    options = parser.parse_args()
    if options.memory:
        job, source, folder, effort = options.memory
        memory_job(job, Path(source), Path(folder), effort)
        return
    paths = sets.kodak(options.data, 2 if options.quick else None)
    photos = [sets.pixels(path) for path in paths]
    edge = (1000, 1500) if options.quick else (4000, 6000)
    results: dict[str, Any] = {"machine": measure.machine(), "command": command_times(paths, options.efforts)}
    results["peak_mib"] = memory(photos, () if options.quick else options.many, options.efforts[0], edge)
    print(report(results))
    measure.write(options.out, results)
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
