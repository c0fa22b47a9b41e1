import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import idx

Run = Callable[..., Any]

needs = pytest.mark.skipif(
    not (find_spec("torch") and find_spec("matplotlib")), reason="it needs torch and matplotlib: 'bitsback[train]'"
)

FILES = {
    "binarised.json", "binarised.npz", "full.json", "full.npz", "latents.svg", "paper.html", "pixels.svg",
    "results.json", "running-binarised.svg", "running-full.svg", "start-binarised.svg", "start-full.svg", "table.md",
}  # fmt: skip


def drawn(folder: Path) -> Path:
    """Drawn crosses as if they were MNIST."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, count in (("train", 200), ("t10k", 40)):
        pixels = np.zeros((count, 28, 28), np.uint8)
        for one in pixels:
            y, x = rng.integers(8, 20, 2)
            one[y, 6:22] = one[6:22, x] = 255
            one[y + 1, 6:22] = rng.integers(0, 256, 16)
        idx(folder / f"{name}-images-idx3-ubyte.gz", pixels)
    return folder


@needs
def test_all_of_it_and_again(run: Run, tmp_path: Path) -> None:
    drawn(tmp_path / "data")
    done = run("lab", "paper", "--data", "data", "-o", "out", "--quick")
    assert done.code == 0 and b"**full, here**" in done.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert [one["name"] for one in results["measured"]] == ["binarised", "full"]
    assert results["about"]["versions"]["torch"] and results["about"]["date"]
    done = run("lab", "paper", "--data", "data", "-o", "out", "--quick")
    assert done.code == 1 and "--force" in done.err[-1]
    done = run("lab", "paper", "--data", "data", "-o", "out", "--quick", "--force", "--json")
    assert done.code == 0 and any("trained before" in line for line in done.err)
    assert not any("epoch" in line for line in done.err)
    again = json.loads(done.out)
    for one, other in zip(results["measured"], again["measured"], strict=True):
        assert one["rate"] == other["rate"] and one["elbo"] == other["elbo"]


@needs
def test_missing_data_is_said_before_anything_is_done(run: Run, tmp_path: Path) -> None:
    done = run("lab", "paper", "--data", "nowhere", "-o", "out", "--quick")
    assert done.code == 1 and len(done.err) == 1 and done.err[0].startswith("bitsback: nowhere: holds no")
    assert not (tmp_path / "out").exists()


def test_what_is_not_installed_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(tmp_path / "data")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("lab", "paper", "--data", "data", "-o", "out", "--quick")
    assert done.code == 1 and done.err == ["bitsback: the lab needs matplotlib: pip install 'bitsback[lab]'"]


def test_wrong_usage(run: Run) -> None:
    assert run("lab", "paper", "-o", "out").code == 2
    assert run("lab", "paper", "--data", ".", "-o", "out", "--epochs", "3").code == 2
    assert run("lab", "paper", "--data", ".", "-o", "out", "--epochs", "3", "0").code == 2
