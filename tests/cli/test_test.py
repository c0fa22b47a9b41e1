import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_sound_archives(run: Run, archive: Path) -> None:
    done = run("test", archive, archive)
    assert (done.code, done.out) == (0, b"")
    assert done.err == [f"{archive}: ok, 5 images in 6 files"] * 2


def test_the_worst_decides_and_each_is_named(run: Run, archive: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.bba"
    data = bytearray(archive.read_bytes())
    data[200] ^= 16
    bad.write_bytes(data)
    done = run("test", bad, archive, "nowhere", "--json")
    assert done.code == 1 and len(done.err) == 3
    assert [json.loads(line)["ok"] for line in done.out.splitlines()] == [False, True, False]


def test_every_byte_counts(run: Run, archive: Path, tmp_path: Path) -> None:
    data = archive.read_bytes()
    bad = tmp_path / "bad.bba"
    for place in range(0, len(data), 41):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        bad.write_bytes(damaged)
        done = run("test", bad, "-T", "1")
        assert done.code == 1 and len(done.err) == 1, place
