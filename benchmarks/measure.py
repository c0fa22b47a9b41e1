"""What the benchmarks share: the digits, the clock, and a description of the machine."""

from __future__ import annotations

import json
import os
import resource
import statistics
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitsback.data import mnist
from bitsback.errors import ImageError
from bitsback.report import machine as about
from bitsback.report.machine import line
from bitsback.report.markdown import table

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("BITSBACK_DATA", Path(__file__).parents[2] / "shared" / "data"))
"""The folder of the sets, by default."""
PACKAGES = ("bitsback", "numpy", "llvmlite", "onnxruntime", "pillow", "imagecodecs", "pyoxipng", "constriction")
MODELS = {"8-bit": "digits", "binarised": "digits-binary"}

T = TypeVar("T")
Images = NDArray[np.uint8]


def arguments(description: str, results: str) -> ArgumentParser:
    """A parser with the options of every benchmark on digits."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds mnist/ (or $BITSBACK_DATA)")
    parser.add_argument("--kinds", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--repeats", type=int, default=3, help="timings are medians of so many runs (default: 3)")
    parser.add_argument("--out", type=Path, default=RESULTS / results, help="JSON file to write")
    return parser


def digits(folder: Path, kind: str, count: int | None = None) -> Images:
    """The first ``count`` digits of the MNIST test set, uint8 (n, 28, 28), "8-bit" or "binarised" (0 and 1).

    Binarised at random, once, in canonical order: pixel x is 1 with probability x / 255.
    """
    try:
        x = mnist.load(folder / "mnist", mnist.TEST)[..., 0]
    except ImageError as error:
        raise SystemExit(f"{error}; say --data FOLDER or set BITSBACK_DATA") from None
    return (mnist.binarised(x) if kind == "binarised" else x)[:count]


def cpu(run: Callable[[], T], repeats: int = 3, budget: float = 30.0) -> tuple[T, float]:
    """What ``run`` returns, and the median of its CPU seconds, those of all threads, and of processes it waited for.

    It is not repeated once the runs have taken ``budget`` seconds.
    """
    seconds: list[float] = []
    while not seconds or (len(seconds) < repeats and sum(seconds) < budget):
        start = _used()
        result = run()
        seconds.append(_used() - start)
    return result, statistics.median(seconds)


def _used() -> float:
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + others.ru_utime + others.ru_stime


def least(run: Callable[[], object], repeats: int) -> float:
    """The least CPU seconds of several runs, all threads of this process together."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def machine() -> dict[str, Any]:
    """Where and when this is measured."""
    return about.machine(PACKAGES)


def write(path: Path, results: dict[str, Any]) -> None:
    """Write results as JSON, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


__all__ = [
    "DATA", "MODELS", "PACKAGES", "RESULTS", "arguments", "cpu", "digits", "least", "line", "machine", "table", "write",
]  # fmt: skip
