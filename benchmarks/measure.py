"""What the benchmarks share: the digits, the clock, and a description of the machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitsback.data import mnist
from bitsback.errors import ImageError

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("bitsback", "numpy", "numba", "onnxruntime", "pillow", "imagecodecs", "pyoxipng", "constriction")
MODELS = {"8-bit": "digits", "binarised": "digits-binary"}

T = TypeVar("T")
Images = NDArray[np.uint8]


def arguments(description: str, results: str) -> ArgumentParser:
    """A parser with the options of every benchmark on digits."""
    parser = ArgumentParser(description=description)
    folder = os.environ.get("BITSBACK_DATA", Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(folder), help="folder that holds mnist/ (or $BITSBACK_DATA)")
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
    """What ``run`` returns, and the median of its CPU seconds, all threads of this process together.

    It is not repeated once the runs have taken ``budget`` seconds.
    """
    seconds: list[float] = []
    while not seconds or (len(seconds) < repeats and sum(seconds) < budget):
        start = time.process_time()
        result = run()
        seconds.append(time.process_time() - start)
    return result, statistics.median(seconds)


def machine() -> dict[str, Any]:
    """Processor, system, versions and date: what timings mean nothing without."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line.partition(":") for line in info.read_text().splitlines()]
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": name,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "load_average": load,
        "python": platform.python_version(),
        "versions": {package: found for package in PACKAGES if (found := _version(package))},
    }


def describe(about: dict[str, Any]) -> str:
    """The machine in a line."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    load = f", load {about['load_average'][0]}" if about["load_average"] else ""
    return f"{about['date'][:10]}, {about['cpu']} ({about['cores']} cores{load}), Python {about['python']}, {versions}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; all columns but the first are figures."""
    header = list(header)
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])


def write(path: Path, results: dict[str, Any]) -> None:
    """Write results as JSON, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
