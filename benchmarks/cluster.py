"""Compressing on the workers of a Dask cluster: what a second one gains, what losses do, what images cost.

    python benchmarks/cluster.py --out benchmarks/results/cluster.json

The scheduler and the workers are processes of this machine, with a thread each; digits of the MNIST sets are coded by
the model "digits". For each number of digits, with one worker and with two: seconds, and CPU seconds of this process
and of each worker, and what other processes took of the machine meanwhile. On a busy machine only the CPU seconds mean
anything: it cannot be done in less than this process and the worker with most to do take. Then, with as many digits as
``--faults`` says: a worker is killed in the middle; and the scheduler with all workers, started again. Every archive is
compared with the one that is made here. What ``--out`` has of other numbers of digits is kept.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import bitsback
import measure
from bitsback.data import mnist
from bitsback.integrations.dask import connect

SIZES = (1000, 10_000, 70_000)


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, module: str, *arguments: str) -> None:
        """One more process; it has a thread, and its kernels are those of all."""
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.running.append(subprocess.Popen(command, cwd=self.folder, **quiet))

    def up(self, workers: int) -> None:
        """All of it; the scheduler answers then."""
        self.start("dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                break
            time.sleep(0.5)
        for _ in range(workers):
            self.worker()

    def worker(self) -> None:
        """One more."""
        address = f"tcp://127.0.0.1:{self.port}"
        self.start("dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")

    def down(self, which: slice = slice(None)) -> None:
        """Kill some, or all: at once, without a word."""
        for process in self.running[which]:
            process.kill()
            process.wait()
        del self.running[which]


@contextmanager
def cluster(workers: int) -> Iterator[Cluster]:
    """One that lasts as long as the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        made = Cluster(Path(folder), port)
        made.up(workers)
        try:
            yield made
        finally:
            made.down()


def busy() -> float:
    """CPU seconds that all processes of this machine have taken."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def compressed(images: Any, there: Cluster, workers: int, after: Callable[[], None] | None = None) -> dict[str, Any]:
    """An archive made there, and what it took. ``after`` is done in the middle."""
    with connect(f"127.0.0.1:{there.port}") as client:
        client.wait_for_workers(workers)
        bitsback.compress(images[:200], model="digits", block=1 << 15, executor=client)  # all is compiled and loaded
        theirs, all_of_it = client.run(time.process_time), busy()
        out, began, own = io.BytesIO(), time.perf_counter(), time.process_time()
        fault = threading.Thread(target=after) if after else None
        if fault:
            fault.start()
        report = bitsback.compress(images, out, model="digits", executor=client)
        seconds, own, all_of_it = time.perf_counter() - began, time.process_time() - own, busy() - all_of_it
        if fault:
            fault.join()
        with suppress(Exception):
            theirs = {worker: cpu - theirs.get(worker, 0.0) for worker, cpu in client.run(time.process_time).items()}
    took = [round(cpu, 2) for cpu in theirs.values()]
    others = round(max(0.0, all_of_it - own - sum(took)), 2)
    figures = {"seconds": round(seconds, 2), "own": round(own, 2), "workers": took, "others": others}
    return {"archive": out.getvalue(), **figures, "warned": report.warnings}


def main() -> None:
    """See the top of the file."""
    parser = measure.arguments("Compressing on the workers of a Dask cluster.", "cluster.json")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), help="numbers of digits")
    parser.add_argument("--faults", type=int, default=10_000, help="digits of the runs in which something is killed")
    options = parser.parse_args()
    known = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    kept = [row for row in known if row["digits"] not in {*options.sizes, options.faults}]
    sets = [mnist.load(options.data / "mnist", name)[..., 0] for name in (mnist.TEST, mnist.TRAIN)]
    digits = np.concatenate(sets)
    rows, faults, local = [], [], {}
    for count in sorted({*options.sizes, options.faults}):
        began = time.process_time()
        local[count] = bitsback.compress(digits[:count], model="digits", threads=1)
        rows.append({"digits": count, "bytes": len(local[count]), "here": round(time.process_time() - began, 2)})
    for workers in (1, 2):
        with cluster(workers) as there:
            for row in rows:
                done = compressed(digits[: row["digits"]], there, workers)
                assert done.pop("archive") == local[row["digits"]]
                row[f"workers{workers}"] = done
                print(row, flush=True)
    rows = sorted(kept + rows, key=lambda row: int(row["digits"]))
    measure.write(options.out, {"machine": measure.machine(), "rows": rows, "faults": []})
    half = next(row for row in rows if row["digits"] == options.faults)["workers2"]["seconds"] / 3

    def kill_one(there: Cluster) -> None:
        time.sleep(half)
        there.down(slice(-1, None))

    def restart(there: Cluster) -> None:
        time.sleep(half)
        there.down()
        there.up(2)

    for name, fault in {"a worker is killed": kill_one, "all are killed, and started again": restart}.items():
        with cluster(2) as there:
            done = compressed(digits[: options.faults], there, 2, lambda there=there, fault=fault: fault(there))
            faults.append({"fault": name, "same": done.pop("archive") == local[options.faults], **done})
            print(faults[-1], flush=True)
    measure.write(options.out, {"machine": measure.machine(), "rows": rows, "faults": faults})


if __name__ == "__main__":
    main()
