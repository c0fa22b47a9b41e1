import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitsback.cli.train import _minutes, _Ticks

Run = Callable[..., Any]

needs_torch = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("torch") is None,
    reason="training needs torch: pip install 'bitsback[train]'",
)

QUICK = ("--steps", 60, "--size", "small", "--init", "none", "--kind", "context")
ALONE = ("--kind", "context")
"""One model, which nothing is raced against."""


def save_checks(folder: Path, count: int = 100) -> Path:
    """Chequered images in two colours as PNG files, and two that are none."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        pattern = np.add.outer(np.arange(20) // rng.integers(2, 6), np.arange(24) // rng.integers(2, 6)) % 2
        colours = rng.integers(0, 256, (2, 3), np.uint8)
        Image.fromarray(colours[pattern]).save(folder / f"{number:03d}.png")
    (folder / "broken.png").write_bytes((folder / "000.png").read_bytes()[:60])
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_the_time_left_is_by_what_steps_take_now() -> None:
    """Not by what they took before the machine was busy, or before a run was resumed."""
    ticks = _Ticks("one")
    assert ticks.add(1000, 10.0) == 0
    for k in range(1, 400):
        rate = ticks.add(1000 + k, 10.0 + k / 2)
    assert rate == pytest.approx(2)
    for k in range(400, 440):
        rate = ticks.add(1000 + k, 210 + 2.0 * (k - 400))
    assert rate == pytest.approx(0.5)
    assert [_minutes(t) for t in (7, 59.6, 3700)] == ["0:07", "1:00", "1:01:40"]


@needs_torch
def test_from_a_folder_to_an_archive(run: Run, tmp_path: Path) -> None:
    save_checks(tmp_path / "in")
    done = run("train", "in", "-o", "mine.bbm", *QUICK)
    assert done.code == 0
    assert "mine" in done.out.decode() and "WebP" in done.out.decode()
    assert any("in/broken.png" in line for line in done.err)
    card = json.loads((tmp_path / "mine.json").read_text())
    assert card["bytes"] == (tmp_path / "mine.bbm").stat().st_size
    page = (tmp_path / "mine.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "in/broken.png" in page
    assert not (tmp_path / "mine.bbm.run").exists()
    assert run("compress", "in", "-o", "in.bba", "--model", "mine.bbm", "--embed-model", "-q").code == 0
    (tmp_path / "mine.bbm").unlink()
    assert run("test", "in.bba", "-q").code == 0


@needs_torch
def test_a_killed_run_resumes_to_the_same_file(
    run: Run, spawn: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    save_checks(tmp_path / "in")
    slow = ("--steps", 120, *QUICK[2:])
    for folder in ("unbroken", "killed"):
        (tmp_path / folder).mkdir()
    assert run("train", "in", "-o", "unbroken/mine.bbm", *slow, "-q").code == 0
    process = spawn("train", "in", "-o", "killed/mine.bbm", *slow, "--no-progress")
    for line in process.stderr:
        if b", step 50," in line:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert not (tmp_path / "killed" / "mine.bbm").exists()
    done = run("train", "in", "-o", "killed/mine.bbm", *slow)
    assert done.code == 1 and "--resume goes on" in done.err[-1]
    assert run("train", "in", "-o", "killed/mine.bbm", *slow, "--resume", "-q").code == 0
    files = [tmp_path / folder / "mine.bbm" for folder in ("unbroken", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()


@needs_torch
def test_ctrl_c_writes_the_best_so_far(
    spawn: Callable[..., "subprocess.Popen[bytes]"], run: Run, tmp_path: Path
) -> None:
    save_checks(tmp_path / "in")
    process = spawn("train", "in", "-o", "mine.bbm", "--steps", 20000, *QUICK[2:], *ALONE, "--no-progress")
    for line in process.stderr:
        if b", step " in line:
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert b"kept for --resume" in err
    assert json.loads((tmp_path / "mine.json").read_text())["training"]["ended"] == "it was stopped"
    assert (tmp_path / "mine.bbm.run").is_dir()


@needs_torch
def test_two_processes_train_one_model(tmp_path: Path) -> None:
    save_checks(tmp_path / "in")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29731",
        "-m", "bitsback", "train", "in", "-o", "mine.bbm", *map(str, QUICK), *ALONE, "--no-progress",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr.decode()
    card = json.loads((tmp_path / "mine.json").read_text())
    assert card["training"]["processes"] == 2
    assert card["held_out_bits_per_dim"] < card["log"][0][3]
    assert done.stdout.count(b"10,000 images") == 1


def test_wrong_usage_is_told_in_a_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.bbm").write_bytes(b"precious")
    assert run("train", "in", "-o", "mine.txt").code == 2
    done = run("train", "in", "-o", "new.bbm", "--fast", "--kind", "context")
    assert done.code == 2 and "decode one sample after the other" in done.err[-1]
    done = run("train", "in", "-o", "mine.bbm")
    assert (done.code, len(done.err)) == (1, 1) and "already there" in done.err[0]
    assert (tmp_path / "mine.bbm").read_bytes() == b"precious"
    done = run("train", "in", "-o", "new.bbm", "--resume")
    assert (done.code, len(done.err)) == (1, 1) and "no run to resume" in done.err[0]


@needs_torch
def test_bad_data_is_told_in_a_line(run: Run, tmp_path: Path) -> None:
    save_checks(tmp_path / "few", 3)
    for inputs, words in (("few", "too little to learn from"), ("nowhere", "no such file")):
        done = run("train", inputs, "-o", "new.bbm", "-q")
        assert done.code == 1 and len(done.err) == 1 and words in done.err[0], done.err
        assert not (tmp_path / "new.bbm").exists()


def test_without_torch_the_extra_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("bitsback.training")]:
        monkeypatch.delitem(sys.modules, name)
    save_checks(tmp_path / "in", 2)
    done = run("train", "in", "-o", "new.bbm")
    assert done.code == 1 and done.err == ["bitsback: training needs torch: pip install 'bitsback[train]'"]
