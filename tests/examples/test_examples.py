"""The examples that train and code with PyTorch: they run, restore their images, and stay short."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ["float_vae", "quantised_vae", "hierarchical_vae", "importance_sampling"]
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "own-model.md"


def wrapping(name: str) -> int:
    """Lines with anything on them between the marks."""
    source = (EXAMPLES / f"{name}.py").read_text()
    (found,) = re.findall(r"^# --- the codec\n(.*?)^# ---\n", source, re.MULTILINE | re.DOTALL)
    return sum(bool(line.strip()) for line in found.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_an_example_restores_its_images_at_about_the_elbo(name: str) -> None:
    pytest.importorskip("torch", reason="the examples need torch: pip install 'bitsback[train]'")
    run = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", "--quick"], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    elbo, coded = (
        [float(rate) for rate in re.findall(rf"^  {key} +([\d.]+) bits/dim", run.stdout, re.MULTILINE)]
        for key in ("-ELBO", "coded")
    )
    assert len(elbo) == len(coded) == run.stdout.count("all 20 images and the initial bits restored") >= 1
    assert coded == pytest.approx(elbo, rel=0.1)  # one draw of the latents of 20 images
    assert run.stdout.count("one environment only") == (len(elbo) if name != "quantised_vae" else 0)
    assert len(elbo) == (2 if name == "importance_sampling" else 1)
    assert elbo == sorted(elbo, reverse=True)  # more particles, fewer bits


@pytest.mark.parametrize("name", NAMES)
def test_wrapping_a_model_is_short(name: str) -> None:
    assert 5 < wrapping(name) < 40
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 110


def test_the_guide_counts_the_lines_right() -> None:
    told = dict(re.findall(r"^\| `(\w+)\.py` \|.*\| (\d+) \|.*\|$", GUIDE.read_text(), re.MULTILINE))
    assert told == {name: str(wrapping(name)) for name in NAMES}
