"""Where and when something was measured: what figures mean little, and timings nothing, without."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """This machine and this moment, fit for JSON: processor, cores, load, system, and versions of these packages."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "load_average": load,
        "python": platform.python_version(),
        "versions": found,
    }


def line(about: Mapping[str, Any]) -> str:
    """What :func:`machine` says, in one line.

    >>> found = {"date": "2026-01-02T03:04:05+00:00", "cpu": "A", "cores": 2, "machine": "x", "system": "B"}
    >>> line(found | {"python": "3", "versions": {"numpy": "2"}})
    'A, 2 cores, B x, Python 3, numpy 2; 2026-01-02.'
    """
    versions = "".join(f", {name} {number}" for name, number in about["versions"].items())
    computer = f"{about['cpu']}, {about['cores']} cores, {about['system']} {about['machine']}"
    return f"{computer}, Python {about['python']}{versions}; {about['date'][:10]}."


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for entry in info.read_text().splitlines():
            key, _, value = entry.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
