"""The lab's scripts run, in a small size, and leave the docs alone; its pages hold results and figures."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).parents[2] / "docs" / "lab"
SCRIPTS = sorted(path for path in LAB.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))
RESULTS = re.compile(r"<!-- results -->\n(.*?)\n<!-- /results -->", re.DOTALL)


def page_of(script: Path) -> Path:
    """A page's name may have hyphens; a script's has underscores, to be importable."""
    return script.with_name(script.stem.replace("_", "-") + ".md")


def contents() -> dict[Path, bytes]:
    """Every file below docs and what is in it; what Python leaves behind does not count."""
    files = (path for path in LAB.parent.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path: path.read_bytes() for path in files}


def test_there_are_scripts() -> None:
    assert {"vae", "intractable", "posterior", "autoencoder"} <= {script.stem for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_quick_run_prints_results_and_writes_nothing(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    pytest.importorskip("matplotlib", reason="the lab's scripts draw with matplotlib: pip install 'bitsback[train]'")
    if "small_vae" in source or "import torch" in source:
        pytest.importorskip("torch", reason="this page's model is trained with torch: pip install 'bitsback[train]'")
    if "constriction" in source:
        pytest.importorskip(
            "constriction", reason="this page compares with constriction: pip install 'bitsback[bench]'"
        )
    before = contents()
    run = subprocess.run(
        [sys.executable, "-W", "error", script, "--quick"], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert "| --- |" in run.stdout and "Python 3." in run.stdout
    assert contents() == before


@pytest.mark.parametrize("page", [page_of(script) for script in SCRIPTS], ids=lambda path: path.stem)
def test_a_page_has_results_and_figures(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    (results,) = RESULTS.findall(text)
    assert "| --- |" in results, "the page has no table: run its script"
    assert re.search(r"Python 3\.\d+\.\d+, bitsback \d.*; 20\d\d-\d\d-\d\d\.$", results), "no machine and date"
    figures = re.findall(r"!\[[^]]*\]\(([^)]+\.svg)\)", text)
    assert figures
    for name in figures:
        drawn = (LAB / name).read_text(encoding="utf-8")
        assert drawn.startswith("<?xml") and "</svg>" in drawn
        assert len(drawn) < 200_000
    # Every figure of the page's is shown
    own = {path.name for path in LAB.glob(f"{page.stem}*.svg")}
    assert own <= set(re.findall(r"\(([^)]+\.svg)\)", text))
