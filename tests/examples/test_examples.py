"""The examples: they run, restore what they code at about its -ELBO, and stay short."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LATENTS = ["float_vae", "quantised_vae", "hierarchical_vae", "importance_sampling", "vq_vae", "hidden_markov"]
EXACT = ["pixelcnn", "integer_flow", "hidden_markov"]
"""Those that cost what -log2 p(x) says: without latents, or with the true posterior."""
OTHERS = ["diffusion", "multiset", "byte_lstm"]
NAMES = sorted({*LATENTS, *EXACT, *OTHERS})
WRAPPED = [name for name in NAMES if name != "multiset"]
"""Those that make a codec of a model, between two marks."""
MACHINES = ["quantised_vae", "integer_flow", "multiset"]
"""Whose messages every machine decodes."""
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "own-model.md"

RUNNER = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    print("==", name)
    sys.argv[1:] = ["--quick"]
    runpy.run_path(f"{sys.path[0]}/{name}.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """What each example prints. They run in one process: importing torch takes longer than most of them."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("the examples need torch: pip install 'bitsback[train]'")
    command = [sys.executable, "-W", "error", "-c", RUNNER, str(EXAMPLES), *NAMES]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    found = dict(part.split("\n", 1) for part in run.stdout.split("== ")[1:])
    assert sorted(found) == NAMES
    return found


def wrapping(name: str) -> int:
    """Lines with anything on them between the marks."""
    source = (EXAMPLES / f"{name}.py").read_text()
    (found,) = re.findall(r"^ *# --- the codec\n(.*?)^ *# ---\n", source, re.MULTILINE | re.DOTALL)
    return sum(bool(line.strip()) for line in found.splitlines())


def rates(text: str, key: str) -> list[float]:
    return [float(rate) for rate in re.findall(rf"^  {key} +([\d.]+) bits/dim", text, re.MULTILINE)]


@pytest.mark.parametrize("name", [*LATENTS, *EXACT])
def test_an_example_restores_its_data_at_about_the_elbo(name: str, printed: dict[str, str]) -> None:
    text = printed[name]
    elbo, coded = rates(text, "-ELBO"), rates(text, "coded")
    assert len(elbo) == len(coded) == len(re.findall("all .* and the initial bits restored", text)) >= 1
    assert coded == pytest.approx(elbo, rel=0.001 if name in EXACT else 0.1)  # one draw of the latents of 20 images
    assert ("one environment only" in text) == (name not in MACHINES)


def test_what_each_example_is_to_show(printed: dict[str, str]) -> None:
    one, several = rates(printed["importance_sampling"], "-ELBO")
    assert several < one
    back, two_part = rates(printed["vq_vae"], "coded")
    assert back < two_part
    single, four = rates(printed["diffusion"], "coded")
    assert four < single
    saved, order = re.search(r"saved +([\d.]+) .* is ([\d.]+)", printed["multiset"]).groups()
    assert float(saved) > float(order) / 2 > 1
    assert "1 call to encode an image, 256 to decode it" in printed["pixelcnn"]
    assert printed["byte_lstm"].count("restored") == 2


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapping_a_model_is_short(name: str) -> None:
    assert 5 < wrapping(name) < 40
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 115


def test_the_guide_counts_the_lines_right() -> None:
    told = dict(re.findall(r"^\| `(\w+)\.py` \|.*\| (\d+) \|.*\|$", GUIDE.read_text(), re.MULTILINE))
    assert told == {name: str(wrapping(name)) for name in WRAPPED}


def test_a_volume_in_zarr() -> None:
    for module in ("xarray", "distributed", "zarr"):
        pytest.importorskip(module)
    command = [sys.executable, str(EXAMPLES / "volume_in_zarr.py"), "--quick"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    ours, zstd = (int(size.replace(",", "")) for size in re.findall(r"([\d,]+) bytes of", run.stdout))
    assert ours < 0.85 * zstd and "read back: equal" in run.stdout
