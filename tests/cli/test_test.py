import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cli.files import chunks, flip

Run = Callable[..., Any]


def test_sound_archives(run: Run, archive: Path) -> None:
    done = run("test", archive, archive)
    assert (done.code, done.out) == (0, b"")
    assert done.err == [f"{archive}: ok, 5 images in 6 files"] * 2
    assert run("test", "-", stdin=archive.read_bytes()).code == 0


def test_the_worst_decides_and_each_is_named(run: Run, archive: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.bba"
    bad.write_bytes(archive.read_bytes())
    flip(bad, chunks(bad, "DATA")[0][0] + 4)
    done = run("test", "bad.bba", archive, "nowhere", "--json")
    assert done.code == 1
    first, second, third = map(json.loads, done.out.splitlines())
    assert (first["ok"], second["ok"], third["ok"]) == (False, True, False)
    assert done.err[: len(first["problems"])] == [f"bitsback: {problem}" for problem in first["problems"]]
    assert done.err[-1] == "bitsback: nowhere: no such file or directory"


def several(run: Run, tmp_path: Path) -> Path:
    """Three files of noise, each in a chunk of its own."""
    rng = np.random.default_rng(0)
    for name in "abc":
        (tmp_path / name).write_bytes(rng.bytes(9 << 20))
    assert run("compress", "a", "b", "c", "-o", "a.bba", "-q", "--model", "none").code == 0
    return tmp_path / "a.bba"


def test_all_damage_is_named(run: Run, tmp_path: Path) -> None:
    """Two payloads: the archive opens, and both are told."""
    archive = several(run, tmp_path)
    found = chunks(archive, "DATA")
    flip(archive, found[0][0] + 100, found[-1][0] + 100)
    done = run("test", archive)
    assert done.code == 1
    assert {name for name in "abc" if any(f"'{name}'" in line for line in done.err)} >= {"a", "c"}
    assert not any("ok" in line for line in done.err)


def test_damage_that_keeps_an_archive_from_opening_is_named_with_the_rest(run: Run, tmp_path: Path) -> None:
    archive = several(run, tmp_path)
    found = chunks(archive, "DATA")
    flip(archive, found[0][0] - 9, found[-1][0] + 100)  # a head, and another one's payload
    done = run("test", archive)
    assert done.code == 1
    assert {name for name in "abc" if any(f"'{name}'" in line for line in done.err)} >= {"a", "c"}


def test_every_byte_counts(run: Run, archive: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.bba"
    for place in range(0, archive.stat().st_size, 41):
        bad.write_bytes(archive.read_bytes())
        flip(bad, place)
        done = run("test", bad, "-T", "1")
        assert done.code == 1 and done.err, place


def test_what_is_no_archive_is_one_line(run: Run, folder: Path) -> None:
    done = run("test", "in/text.txt")
    assert (done.code, done.err) == (1, ["bitsback: in/text.txt: not a bitsback archive"])
