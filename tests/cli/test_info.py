import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_totals(run: Run, archive: Path) -> None:
    text = run("info", archive).out.decode()
    assert "format    bba 2.0" in text
    assert "5 images in 6 files, 1 folder" in text
    assert "4,500 samples" in text
    assert "1 block of 4,500 samples" in text


def test_verbose_lists_the_chunks_and_blocks(run: Run, archive: Path) -> None:
    lines = run("info", "-v", archive).out.decode().splitlines()
    assert "5 images 30x30x1 uint8, adaptive" in lines[-1]
    assert "packed" in lines[-2]
    assert "directory" in lines[-3]


def test_json(run: Run, archive: Path, folder: Path) -> None:
    facts = json.loads(run("info", "--json", archive).out)
    assert facts["size"] == archive.stat().st_size
    assert facts["samples"] == 4500 and facts["models"] == [] and facts["runs"] == 1
    assert sum(chunk["size"] for chunk in facts["chunks"]) < facts["size"]
    assert run("add", archive, "in/text.txt", "--model", "none").code == 0
    assert json.loads(run("info", "--json", archive).out)["runs"] == 2
