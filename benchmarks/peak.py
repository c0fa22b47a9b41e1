"""Run ``bitsback`` as from a shell, and write what it took.

    python benchmarks/peak.py FILE compress photos/ -o photos.bba

FILE gets two numbers: CPU seconds, and MiB of memory at the peak.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak() -> float:
    """The most memory that this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux hands down the ru_maxrss of the process that started this one; VmHWM is its own
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def main() -> None:
    """See the top of the file."""
    from bitsback.cli import main as bitsback

    try:
        bitsback(sys.argv[2:])
    finally:
        used = resource.getrusage(resource.RUSAGE_SELF)
        Path(sys.argv[1]).write_text(f"{used.ru_utime + used.ru_stime} {peak()}")


if __name__ == "__main__":
    main()
