import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]


def test_version_and_help(run: Run) -> None:
    assert run("--version").out == b"bitsback 0.4.0\n"
    assert run("-V").code == 0
    for command in ("compress", "decompress", "list", "test", "info", "models", "train", "bench"):
        assert command.encode() in run("-h").out
        done = run(command, "--help")
        assert done.code == 0 and done.out.startswith(b"Usage: bitsback " + command.encode())


def test_version_starts_quickly() -> None:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from bitsback.cli import main; main(['-V'])"], check=True, capture_output=True
    )
    assert time.perf_counter() - began < 2  # 0.1 s on an idle machine


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("compress",),
        ("compress", "a", "b"),
        ("compress", "-", "b"),
        ("compress", "a", "--nonsense"),
        ("compress", "a", "-T", "-1"),
        ("compress", "a", "-M", "lots"),
        ("compress", "a", "--effort", "some"),
        ("compress", "a", "--rm", "--no-verify"),
        ("compress", "a", "--rm", "-o", "-"),
        ("compress", "a", "--json", "-o", "-"),
        ("decompress",),
        ("decompress", "a", "-o", "b", "-C", "c"),
        ("decompress", "a", "--rm", "member"),
        ("test",),
    ],
)
def test_wrong_usage_is_one_line_and_2(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.code, done.out, len(done.err)) == (2, b"", 1)
    assert done.err[0].startswith("bitsback: ")


def test_quiet_twice_silences_errors(run: Run) -> None:
    assert run("test", "nowhere").err == ["bitsback: nowhere: no such file or directory"]
    assert len(run("test", "nowhere", "-q").err) == 1
    done = run("test", "nowhere", "-qq")
    assert (done.code, done.err) == (1, [])


def test_an_unforeseen_error_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsback.cli import source

    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("what?\nreally")

    monkeypatch.setattr(source.Path, "open", broken)
    done = run("info", "a.bba")
    assert done.code == 1
    assert done.err == ["bitsback: internal error, please report it: ZeroDivisionError: what?\\nreally"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_nothing_behind(tmp_path: Path, spawn: Any, number: int, code: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6000, 64, 64), np.uint8)
    np.save(tmp_path / "a.npy", noise.cumsum(axis=1, dtype=np.uint8))
    (tmp_path / "a.bba").write_bytes(b"old")
    process = spawn("compress", "a.npy", "-o", "a.bba", "--force", "--model", "none", "-T", "2")
    for _ in range(12000):
        if list(tmp_path.glob(".*.part")):
            break
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err == b"bitsback: stopped; nothing half-written was left\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bba", "a.npy"]
    assert (tmp_path / "a.bba").read_bytes() == b"old"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
def test_a_signal_asks_how_far_it_is(tmp_path: Path, spawn: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3000, 64, 64), np.uint8)
    np.save(tmp_path / "a.npy", noise.cumsum(axis=1, dtype=np.uint8))
    process = spawn("compress", "a.npy", "--model", "none", "-T", "2")
    for _ in range(12000):
        if list(tmp_path.glob(".*.part")):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0
    lines = err.decode().splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"compressing: [\d.]+ k?M?B of 12\.3 MB, \d+ %", lines[0])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output(folder: Path, archive: Path, spawn: Any) -> None:
    with Path("/dev/full").open("wb") as full:
        for command in (
            ["compress", folder, "-o", "-"],
            ["list", archive],
            ["decompress", archive, "in/0.npy", "-o", "-"],
        ):
            process = spawn(*command, stdout=full)
            _, err = process.communicate(timeout=60)
            assert process.returncode == 1
            assert err == b"bitsback: no space left on device\n"


def test_a_closed_pipe_is_silent(archive: Path, spawn: Any) -> None:
    process = spawn("list", archive)
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == b""
    process.stderr.close()
