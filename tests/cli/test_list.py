import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_a_line_for_each_file(run: Run, archive: Path) -> None:
    done = run("list", archive)
    assert (done.code, done.err) == (0, [])
    lines = done.out.decode().splitlines()
    assert lines[0].split() == ["1,028", "30x30", "predictor", "in/0.npy"]
    assert lines[5].split() == ["250", "-", "packed", "in/text.txt"]


def test_verbose_adds_mode_time_type_and_block(run: Run, archive: Path, folder: Path) -> None:
    (folder / "0.npy").chmod(0o604)
    first = run("list", archive, "-v").out.decode().split("\n")[0].split()
    assert len(first[0]) == 4 and first[3:5] == ["uint8", "24"]


def test_json_lines(run: Run, archive: Path, folder: Path) -> None:
    facts = [json.loads(line) for line in run("list", archive, "--json").out.splitlines()]
    assert [fact["name"] for fact in facts] == [*(f"in/{n}.npy" for n in range(5)), "in/text.txt"]
    assert facts[0]["parts"] == [{"shape": [1, 30, 30, 1], "dtype": "uint8"}]
    assert facts[0]["mtime_ns"] == (folder / "0.npy").stat().st_mtime_ns


def test_a_pipe_is_refused_with_the_reason(archive: Path, spawn: Any) -> None:
    import subprocess

    process = spawn("list", "-", stdin=subprocess.PIPE)
    out, err = process.communicate(archive.read_bytes(), timeout=60)
    assert process.returncode == 1 and out == b""
    assert b"a pipe" in err and err.count(b"\n") == 1


def test_a_redirected_file_is_fine(archive: Path, spawn: Any) -> None:
    with archive.open("rb") as file:
        process = spawn("list", "-", stdin=file)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and out.count(b"\n") == 6


def test_damage(run: Run, archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-3])
    done = run("list", archive)
    assert done.code == 1 and len(done.err) == 1 and "cut off" in done.err[0]
