"""One open archive, many readers at once: forked and spawned processes, threads in each. All that they read is right.

    python benchmarks/faults/readers.py [--processes 4] [--threads 8] [--reads 1000]

Half of the reads are images, half are files, in an order of each reader's own; blocks are small and thrown away now and
then, so that they are decoded again and again, side by side. The archive holds grey and colour drawings, noise, words
of 16 bits and text, in blocks of several kinds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import bitsback
from bitsback.archive import Archive


def make(folder: Path) -> Path:
    """A folder of small files, and an archive of it."""
    random = np.random.default_rng(0)
    inside = folder / "in"
    inside.mkdir()
    for n in range(40):
        size = (8 + n % 5, 12 + n % 3)
        steps = np.cumsum(random.integers(-2, 3, (*size, 3)), 0)
        images = {
            "colour": steps.astype(np.uint8),
            "grey": random.integers(0, 4, size).astype(np.uint8),
            "deep": (1000 * steps[..., 0] % 65536).astype(np.uint16),
            "noise": random.integers(0, 256, size).astype(np.uint8),
        }
        for kind, image in images.items():
            np.save(inside / f"{kind}{n:02}.npy", image)
        (inside / f"text{n:02}.txt").write_text(f"file {n} " * (1 + n))
    digits = random.integers(0, 2, (30, 28, 28)).astype(np.uint8) * 255
    np.save(inside / "digits.npy", digits)
    bitsback.compress(inside, folder / "a.bba", block=1 << 9, threads=1)
    return folder / "a.bba"


def read(archive: Archive, truth: tuple[list[Any], dict[str, bytes]], count: int, seed: int) -> list[str]:
    """Read so many times; what was wrong."""
    images, files = truth
    names = sorted(files)
    random, faults = np.random.default_rng(seed), []
    for turn in range(count):
        try:
            if turn % 2:
                name = names[random.integers(len(names))]
                right = archive.read(name) == files[name]
            else:
                number = int(random.integers(len(images)))
                right = np.array_equal(archive[number], images[number])
            if not right:
                faults.append("read something wrong")
        except Exception as error:
            faults.append(f"{type(error).__name__}: {error}")
        if turn % 5 == seed % 5:
            with archive._lock:  # as the archive itself does
                archive._decoded.clear()
    return faults


def process(archive: Archive, truth: Any, threads: int, count: int, seed: int, queue: Any) -> None:
    """In a process: all threads share the archive."""
    faults: list[str] = []
    mine = [
        threading.Thread(target=lambda k=k: faults.extend(read(archive, truth, count, 100 * seed + k)))
        for k in range(threads)
    ]
    for thread in mine:
        thread.start()
    for thread in mine:
        thread.join()
    queue.put(faults)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4, help="of each way of starting them")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--reads", type=int, default=1000, help="of each thread")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bitsback-readers-") as folder:
        path = make(Path(folder))
        with bitsback.open(path) as archive:
            images = list(archive)
            files = {name: archive.read(name) for name in archive.names if not name.endswith("in")}
            for name, data in files.items():
                if data != (Path(folder) / "in" / Path(name).name).read_bytes():
                    sys.exit(f"{name} does not come back as it was")
            archive._decoded.clear()
            faults: list[str] = []
            readers: list[Any] = []
            waiting = []
            for way in ("fork", "spawn"):
                context = multiprocessing.get_context(way)
                queue = context.Queue()
                for seed in range(options.processes):
                    arguments = (archive, (images, files), options.threads, options.reads, len(readers) + seed, queue)
                    readers.append(context.Process(target=process, args=arguments))
                    readers[-1].start()
                    waiting.append(queue)
            # and in this process, meanwhile
            for k in range(2):
                faults += read(archive, (images, files), options.reads, 7 + k)
            for queue in waiting:
                faults += queue.get(timeout=3000)
            for reader in readers:
                reader.join()
                if reader.exitcode:
                    faults.append(f"a process ended with {reader.exitcode}")
    count = (2 * options.processes * options.threads + 2) * options.reads
    for fault in sorted(set(faults))[:20]:
        print(f"{faults.count(fault):6} times {fault}")
    words = f"{count:,} reads by {len(readers)} processes of {options.threads} threads, and this one"
    print(f"{words}: {len(faults)} faults, {time.perf_counter() - began:.0f} s")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
