"""Every byte of small archives changed, and every cut: nothing wrong comes out, and nothing but errors of ours.

    python benchmarks/faults/every_byte.py [ARCHIVE ...] [--values 3] [--part K/N]

By default three: of an own model that is embedded and of files by their pixels, which are golden ones, and of a folder
with drawings, photos of several kinds, a JPEG file, texts, links and folders, with all the effort that there is. Each
byte takes ``--values`` other values, of which the first differs in one bit; then the archive is cut at each byte. It is
opened, and tested: that must say what is wrong. Then what is left is recovered: each file that comes out is compared
with what was stored. An archive to which something was added, and which is cut within that, is what it was before.

``--part 1/2`` tries every second byte and cut, so that several processes share the work.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from trials import collection, summary

import bitsback
from bitsback.archive import Archive
from bitsback.archive.container import END_MAGIC
from bitsback.errors import BitsBackError

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
ARCHIVES = [GOLDEN / name for name in ("own.bba", "pixels.bba")]

Truth = dict[str, set[bytes]]
"""What a file may be."""


def landscape(height: int, width: int, slope: float) -> Image.Image:
    """What one value has to do with another falls with their distance, as in photos; the steeper, the smoother."""
    random = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(height)[:, None, None], np.fft.fftfreq(width)[None, :, None]
    noise = random.normal(size=(height, width, 1)) + 0.3 * random.normal(size=(height, width, 3))
    waves = np.fft.fft2(noise, axes=(0, 1)) / (rows**2 + columns**2 + 1e-3) ** slope
    values = np.fft.ifft2(waves, axes=(0, 1)).real
    return Image.fromarray((128 + 40 * values / values.std()).clip(0, 255).astype(np.uint8))


def tree() -> bytes:
    """An archive of a folder: drawings, photos that least squares predict in each of their ways, a JPEG file, texts."""
    with tempfile.TemporaryDirectory(prefix="bitsback-every-") as work:
        folder = collection(Path(work, "in"))
        for name in ("photo.png", "grey.tiff"):  # of whose kind there are some among the golden ones
            (folder / name).unlink()
        landscape(30, 40, 1).save(folder / "rough.png")
        landscape(24, 32, 1.5).save(folder / "soft.png")
        landscape(32, 40, 1).save(folder / "photo.jpg", quality=80)
        (folder / "deep" / "empty").mkdir(parents=True)
        (folder / "link").symlink_to("deep/empty")
        os.link(folder / "notes.txt", folder / "deep" / "hard.txt")
        bitsback.compress(folder, Path(work, "a.bba"), model="none", effort="max")
        return Path(work, "a.bba").read_bytes()


def read(archive: Archive) -> Iterator[tuple[str, bytes | None]]:
    """Names and files; None for one that is lost."""
    for member, data in archive.contents(threads=1):
        try:
            yield member.name, None if isinstance(data, BitsBackError) else b"".join(data)
        except BitsBackError:
            yield member.name, None


def strictly(data: bytes) -> str:
    """What opening and testing an archive says."""
    try:
        with Archive(data) as archive:
            return "named by test" if archive.test(threads=1) else "NOT NOTICED"
    except BitsBackError:
        return "refused"


def recovered(data: bytes, truth: Truth) -> str:
    """What recovery gives."""
    try:
        with Archive(data, damaged=True) as archive:
            found = dict(read(archive))
    except BitsBackError:
        return "nothing left"
    whole = {name: file for name, file in found.items() if file is not None}
    if wrong := [name for name, file in whole.items() if file not in truth.get(name, ())]:
        return f"WRONG FILE {wrong[0]}"
    return "all files" if whole.keys() == truth.keys() else "some files" if whole else "no file"


def states(data: bytes) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Where the archive, and each that it was before something was added, ends, and its files."""
    for match in re.finditer(re.escape(END_MAGIC), data):
        try:
            with Archive(data[: match.end()]) as archive:
                if not archive.test(threads=1):
                    yield match.end(), {name: file for name, file in read(archive) if file is not None}
        except BitsBackError:
            continue


def variants(data: bytes, values: int, first: int, step: int) -> Iterator[tuple[str, int, bytes]]:
    """What was done, at which byte, and what became of the archive."""
    random = Random(1)
    for at in range(first, len(data), step):
        others = [value for value in range(256) if value not in (data[at], data[at] ^ 1 << at % 8)]
        for value in [data[at] ^ 1 << at % 8, *random.sample(others, values - 1)]:
            yield "bytes", at, data[:at] + bytes([value]) + data[at + 1 :]
    for at in range(first, len(data), step):
        yield "cuts", at, data[:at]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="*", type=Path)
    parser.add_argument("--values", type=int, default=3)
    parser.add_argument("--part", default="1/1", help="K/N: every N-th byte, from the K-th on")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    faults = []
    archives = {path.name: path.read_bytes() for path in options.archives or ARCHIVES}
    if not options.archives:
        archives["a folder"] = tree()
    for name, data in archives.items():
        began = time.perf_counter()
        known = dict(states(data))
        now = known.pop(len(data))
        truth = {"bytes": {name: {file} for name, file in now.items()}}
        names = {name for files in (now, *known.values()) for name in files}
        truth["cuts"] = {name: {files[name] for files in (now, *known.values()) if name in files} for name in names}
        came: dict[str, Counter[str]] = {"bytes": Counter(), "cuts": Counter()}
        for what, at, damaged in variants(data, options.values, part - 1, parts):
            for said in (strictly, partial(recovered, truth=truth[what])):
                try:
                    result = said(damaged)
                    if result == "NOT NOTICED" and what == "cuts" and at in known:
                        result = "what it was before"
                except Exception as error:  # what must not come
                    result = f"ERROR {type(error).__name__}: {error}"
                came[what][result] += 1
                if result[0].isupper() and result[1].isupper():
                    faults.append(f"{name}, {what}, byte {at}: {result}")
        print(f"{name}, {len(data):,} bytes, {len(now)} files, {time.perf_counter() - began:.0f} s")
        for what, counts in came.items():
            words = ", ".join(f"{count:,} {result}" for result, count in sorted(counts.items()))
            print(f"  {what}: {sum(counts.values()) // 2:,} tried; {words}", flush=True)
    summary(faults)


if __name__ == "__main__":
    sys.exit(main())
