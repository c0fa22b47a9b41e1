import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_totals(run: Run, archive: Path) -> None:
    text = run("info", archive).out.decode()
    assert "format    bba 1.1" in text
    assert "5 images in 6 files" in text
    assert "4,500 samples" in text


def test_verbose_lists_the_blocks(run: Run, archive: Path) -> None:
    lines = run("info", "-v", archive).out.decode().splitlines()
    assert "5 images 30x30x1 uint8, predictor" in lines[-2]
    assert "250 bytes" in lines[-1]


def test_json(run: Run, archive: Path) -> None:
    facts = json.loads(run("info", "--json", archive).out)
    assert facts["size"] == archive.stat().st_size
    assert facts["samples"] == 4500 and facts["models"] == []
    assert sum(block["size"] for block in facts["blocks"]) < facts["size"]
