import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.files import archive_of, chunks, flip, tree

Run = Callable[..., Any]


@pytest.fixture
def mix(run: Run, tmp_path: Path) -> Path:
    """Pictures, a text and noise, in chunks of their own."""
    folder = tmp_path / "mix"
    folder.mkdir()
    for number in range(4):
        np.save(folder / f"{number}.npy", np.full((40, 30), number, np.uint8))
    (folder / "noise").write_bytes(np.random.default_rng(0).bytes(3000))
    (folder / "text.txt").write_text("text " * 50)
    assert run("compress", "mix", "-q", "--model", "none").code == 0
    return tmp_path / "mix.bba"


def lost(err: list[str]) -> list[str]:
    return [line.split()[2].rstrip(":") for line in err if line.startswith("bitsback: lost ")]


def test_a_sound_archive_loses_nothing(run: Run, mix: Path, tmp_path: Path) -> None:
    done = run("recover", mix, "-C", "out")
    assert done.code == 0 and lost(done.err) == []
    assert tree(tmp_path / "out" / "mix") == tree(tmp_path / "mix")
    assert run("recover", mix, "-o", "new.bba").code == 0
    assert archive_of(tmp_path / "new.bba").names == archive_of(mix).names


def test_what_is_whole_is_saved_and_what_is_lost_is_named(run: Run, mix: Path, tmp_path: Path) -> None:
    flip(mix, chunks(mix, "DATA")[-1][0] + 7, mix.stat().st_size - 10)
    assert run("decompress", mix, "-C", "no").code == 1
    done = run("recover", mix, "-C", "out", "--json")
    assert done.code == 1 and lost(done.err) == ["mix/noise"]
    assert sum(line.startswith("bitsback: damaged: ") for line in done.err) >= 1
    facts = json.loads(done.out)
    assert [one["name"] for one in facts["failed"]] == ["mix/noise"] and facts["problems"]
    expected = tree(tmp_path / "mix")
    del expected["noise"]
    assert tree(tmp_path / "out" / "mix") == expected
    done = run("recover", mix, "-o", "new.bba", "--json")
    assert done.code == 1 and lost(done.err) == ["mix/noise"]
    assert [one["name"] for one in json.loads(done.out)["failed"]] == ["mix/noise"]
    assert run("test", "new.bba").code == 0
    assert run("decompress", "new.bba", "-C", "again").code == 0
    assert tree(tmp_path / "again" / "mix") == expected


def test_damage_that_costs_no_file_is_listed_and_0(run: Run, mix: Path, tmp_path: Path) -> None:
    """A second copy, an index or a footer alone: all files are there, and it is known that there were no more."""
    size = mix.stat().st_size
    sound = mix.read_bytes()
    first, second = chunks(mix, "DIRECTORY")
    for place in (first[0] + 3, second[0] + 3, second[1] + 60, size - 3, size - 30):
        mix.write_bytes(sound)
        flip(mix, place)
        done = run("recover", mix, "-C", f"out{place}")
        assert done.code == 0, (place, done.err)
        assert lost(done.err) == [] and any("damaged: " in line for line in done.err)
        assert tree(tmp_path / f"out{place}" / "mix") == tree(tmp_path / "mix")


def test_an_end_that_is_gone_may_have_held_more(run: Run, mix: Path, tmp_path: Path) -> None:
    data = mix.read_bytes()
    mix.write_bytes(data[: chunks(mix, "DATA")[-1][1]])
    done = run("recover", mix, "-C", "out")
    assert done.code == 1 and lost(done.err) == []
    assert "cannot be known" in done.err[-1]
    assert tree(tmp_path / "out" / "mix") == tree(tmp_path / "mix")


def test_names_that_are_gone_are_a_loss(run: Run, mix: Path, tmp_path: Path) -> None:
    first, second = chunks(mix, "DIRECTORY")
    flip(mix, first[0] + 3, second[0] + 3)
    done = run("recover", mix, "-C", "out")
    assert done.code == 1 and any("names of 6 files" in line for line in done.err)


def test_nothing_left(run: Run, mix: Path, tmp_path: Path) -> None:
    mix.write_bytes(mix.read_bytes()[:40])
    for where in (("-C", "out"), ("-o", "new.bba")):
        done = run("recover", mix, *where)
        assert done.code == 1
        assert any("nothing is left" in line for line in done.err)
    assert not (tmp_path / "new.bba").exists() and not (tmp_path / "out").exists()
    assert run("recover", "mix/text.txt", "-C", "out").code == 1
    assert run("recover", "nowhere", "-C", "out").err == ["bitsback: nowhere: no such file or directory"]


def test_parity_repairs(run: Run, mix: Path, tmp_path: Path) -> None:
    (tmp_path / "mix" / "noise").write_bytes(np.random.default_rng(1).bytes(300_000))
    assert run("compress", "mix", "-o", "safe.bba", "-q", "--model", "none", "--parity", "10%").code == 0
    safe = tmp_path / "safe.bba"
    sound = safe.read_bytes()
    assert len(sound) > 1.1 * 300_000
    safe.write_bytes(sound[:90_000] + bytes(8192) + sound[98_192:])
    assert run("test", safe).code == 1
    done = run("recover", safe, "-o", "new.bba", "--json")
    assert done.code == 0 and json.loads(done.out)["repaired_sectors"] == 3
    assert run("decompress", "new.bba", "-C", "out").code == 0
    assert tree(tmp_path / "out" / "mix") == tree(tmp_path / "mix")
