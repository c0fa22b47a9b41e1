import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers import Reader, tiny_model, tiny_model_file

Run = Callable[..., Any]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.bbm"
    path.write_bytes(tiny_model_file(256))
    return path


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number, image in enumerate(tiny_model(256).draw(5)):
        Image.fromarray(image[..., 0]).save(folder / f"{number}.png")
    return folder


def test_a_page_and_its_figures(run: Run, tiny: Path, scans: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = run("lab", "model", tiny, scans, "-o", "look.html", "--figures", "figures")
    assert done.code == 0 and "5 images" in done.err[-1]
    reader = Reader((tmp_path / "look.html").read_text())
    assert "scans/3.png" in reader.text
    assert "latents.svg" in [path.name for path in (tmp_path / "figures").iterdir()]
    assert not list(tmp_path.rglob("*.part"))


def test_without_images(run: Run, tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = run("lab", "model", tiny, "-o", "look.html", "--samples", 2)
    assert done.code == 0
    assert len(Reader((tmp_path / "look.html").read_text()).of("img", "src")) == 2


def test_nothing_is_overwritten(run: Run, tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "look.html").write_text("mine")
    done = run("lab", "model", tiny, "-o", "look.html")
    assert done.code == 1 and "--force" in done.err[-1]
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "samples.png").write_text("mine")
    done = run("lab", "model", tiny, "-o", "other.html", "--figures", "figures", "--samples", 1)
    assert done.code == 1 and "figures/samples.png" in done.err[-1] and not (tmp_path / "other.html").exists()
    assert run("lab", "model", tiny, "-o", "look.html", "--samples", 1, "--force").code == 0
    assert (tmp_path / "look.html").read_text().startswith("<!DOCTYPE html>")


def test_what_is_left_out_is_named(run: Run, tiny: Path, scans: Path) -> None:
    pytest.importorskip("matplotlib")
    (scans / "notes.txt").write_text("not an image")
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(scans / "large.png")
    done = run("lab", "model", tiny, scans.name, "-o", "look.html")
    assert done.code == 3
    for name in ("notes.txt", "large.png"):
        assert any(line.endswith(f"scans/{name}: not 8x12 grey, 8 bits") for line in done.err)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("tiny.bbm", "-o", "look.txt"), 2, "must end in .html"),
        (("nothing", "-o", "look.html"), 1, "no model 'nothing'"),
        (("tiny.bbm", "missing", "-o", "look.html"), 1, "missing: no such file"),
        (("tiny.bbm", "tiny.bbm", "-o", "look.html"), 1, "tiny-256 takes 8x12 grey, 8 bits"),
        (("tiny.bbm", "-o", "look.html", "--samples", 0), 2, "--samples"),
    ],
)
def test_errors(run: Run, tiny: Path, tmp_path: Path, arguments: tuple[object, ...], code: int, said: str) -> None:
    pytest.importorskip("matplotlib")
    done = run("lab", "model", *arguments)
    assert done.code == code and said in done.err[-1]
    assert list(tmp_path.iterdir()) == [tiny]


def test_matplotlib_is_named_when_it_is_missing(run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("lab", "model", tiny, "-o", "look.html")
    assert done.code == 1 and done.err == ["bitsback: the lab needs matplotlib: pip install 'bitsback[lab]'"]


def test_torch_is_not_needed(run: Run, tiny: Path, scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run("lab", "model", tiny, scans, "-o", "look.html").code == 0


def test_help_names_both_commands(run: Run) -> None:
    text = run("lab", "--help").out.decode()
    assert "model" in text and "paper" in text
