"""Fresh processes, many, that compress and decompress: none fails, and all give the same bytes.

    python benchmarks/faults/fresh.py [--decompress 300] [--compress 100] [--threads 2 4 16] [--python PYTHON ...]
                                      [--cold 10]

Each process imports, loads kernels and starts threads anew, so what goes wrong once in a hundred starts goes wrong
here: imports that race each other, kernels that are loaded while others store them, what is taken down at the end.
``--cold`` rounds begin with an empty cache of kernels that several processes share.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from trials import collection, differences, ended, look, same_pixels, start, summary

AT_ONCE = 4
"""Processes side by side."""

COMPRESS, DECOMPRESS = ["compress", "in"], ["decompress", "whole.bba", "-p"]


class Trial:
    """One interpreter, in a folder of its own."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python = folder, python
        self.faults: list[str] = []
        collection(folder / "in")
        self._all([[*COMPRESS, "-o", "whole.bba"]], 1)
        self._all([[*DECOMPRESS, "-C", "first"]], 1)
        self._size = (folder / "whole.bba").stat().st_size
        self._truth = look(folder / "first")
        if not same_pixels(folder / "in", folder / "first" / "in"):
            self.faults.append("decompress gave other pixels")

    def decompress(self, count: int, threads: int) -> None:
        """In ``count`` processes."""
        self._batches(DECOMPRESS, "-C", count, threads)

    def compress(self, count: int, threads: int) -> None:
        """In ``count`` processes."""
        self._batches(COMPRESS, "-o", count, threads)

    def cold(self, rounds: int) -> None:
        """Several processes that share an empty cache."""
        for _ in range(rounds):
            shutil.rmtree(self.folder / "cache", ignore_errors=True)
            commands = [[*(COMPRESS, DECOMPRESS)[n % 2], ("-o", "-C")[n % 2], f"out-{n}"] for n in range(AT_ONCE)]
            self._all(commands, 2)

    def _batches(self, command: list[str], option: str, count: int, threads: int) -> None:
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count))
            self._all([[*command, option, f"out-{n}"] for n in numbers], threads)

    def _all(self, commands: list[list[str]], threads: int) -> None:
        """Run commands side by side, note what went wrong, and remove what they made."""
        options = {"at": self.folder, "python": self.python, "threads": threads}
        cache = {"BITSBACK_CACHE_DIR": str(self.folder / "cache")}
        processes = [start(*one, "-T", threads, **options, **cache) for one in commands]  # type: ignore[arg-type]
        for one, process in zip(commands, processes, strict=True):
            done, out = ended(process), self.folder / one[-1]
            if done.code:
                self.faults.append(f"{one} with {threads} threads ended with {done.code}: {done.said[-2000:]}")
            elif out.is_dir() and one[-1] != "first":
                if wrong := differences(self._truth, look(out)):
                    self.faults.append(f"{one} with {threads} threads gave other files: {wrong}")
                shutil.rmtree(out)
            elif out.is_file() and one[-1] != "whole.bba":
                if out.stat().st_size != self._size:
                    self.faults.append(f"{one} with {threads} threads gave another archive")
                out.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decompress", type=int, default=300, help="processes for each interpreter")
    parser.add_argument("--compress", type=int, default=100, help="processes for each interpreter")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 4, 16], help="the processes are shared out")
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="interpreters that have bitsback")
    parser.add_argument("--cold", type=int, default=10, help="rounds with an empty cache")
    options = parser.parse_args()
    faults: list[str] = []
    for python in options.python:
        with tempfile.TemporaryDirectory(prefix="bitsback-fresh-") as folder:
            trial = Trial(Path(folder), python)
            share = len(options.threads)
            for number, threads in enumerate(options.threads):
                trial.decompress((options.decompress + number) // share, threads)
                trial.compress((options.compress + number) // share, threads)
                print(f"{python}, {threads} threads: {len(trial.faults)} faults so far", flush=True)
            trial.cold(options.cold)
            print(f"{python}, {options.cold} cold rounds: {len(trial.faults)} faults so far", flush=True)
            faults += trial.faults
    summary(faults)


if __name__ == "__main__":
    main()
