import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import bitsback

pytest.importorskip("imagecodecs", reason="the extra [bench] is not installed")

MACHINE = {"cpu": "A", "cores": 2, "system": "B", "machine": "C", "python": "3", "versions": {}, "date": "2026-11-22"}


def photos(count: int = 3, height: int = 24, width: int = 20) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(np.cumsum(rng.integers(-3, 4, (count, height, width, 3)), axis=2).astype(np.uint8))


def row(name: str, bits: float, encode: float, decode: float, layout: str = "each") -> dict:
    about = {"name": name, "layout": layout, "images": 24, "bytes": 1000, "note": ""}
    return about | {"bits_per_dim": bits, "encode": encode, "decode": decode}


def ours(bits: float, encode: float, decode: float, how: str = "") -> dict:
    return row(f"bitsback{how}", bits, encode, decode, "archive")


def test_our_rows_are_whole_archives() -> None:
    front = import_module("front")
    for images in (photos(), [*photos(2), *photos(1, 16, 30)]):
        data, coders = front.encode(images, model="none")
        with bitsback.open(data) as archive:
            assert len(archive) == 3
        found = front.our_row("bitsback", images, model="none")
        assert (found.layout, found.bytes, found.note) == ("archive", len(data), coders)
        singles = front.our_row("bitsback", images, "each", model="none")
        assert singles.bytes == sum(len(front.encode([image], model="none")[0]) for image in images)


def test_photos_of_several_shapes_have_no_mosaic_but_archives_of_their_own() -> None:
    front = import_module("front")
    one = list(front.rows(photos(2, 16, 16)))
    assert {found.layout for found in one} == {"archive", "each", "mosaic", "stream"}
    several = list(front.rows([*photos(1, 16, 16), *photos(1, 16, 20)]))
    assert {(found.name, found.layout) for found in several if found.layout != "each"} == {
        ("bitsback", "archive"),
        ("bitsback --effort fast", "archive"),
        ("bitsback --effort max", "archive"),
        ("xz -9e", "stream"),
    } | ({("bitsback --model none", "archive")} if several[0].note != "adaptive" else set())
    assert ("bitsback", "each") in {(found.name, found.layout) for found in several}


def test_a_set_that_is_not_measured_keeps_its_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    front = import_module("front")
    kept = {"machine": MACHINE, "images": 24, "raw_bytes": 3, "rows": [ours(2.0, 1, 1), row("PNG", 4, 5, 6)]}
    out = tmp_path / "front.json"
    out.write_text(json.dumps({"kodak": kept}))
    monkeypatch.setitem(front.SETS, "volume", lambda folder, count: photos(2, 16, 16))
    monkeypatch.setattr(sys, "argv", ["front.py", "volume", "--out", str(out)])
    front.main()
    results = json.loads(out.read_text())
    assert list(results) == ["kodak", "volume"] and results["kodak"] == kept
    assert results["volume"]["images"] == 2
    assert import_module("figure").is_of(results, tmp_path / "front.svg")


def test_who_is_smaller_and_faster_is_told() -> None:
    tables = import_module("tables")
    mine, fast = ours(2.4, 1, 2), ours(2.9, 5, 5, " --effort fast")
    assert tables.judged([mine, fast, row("A", 2.5, 4, 9), row("B", 3.0, 90, 90)]) == (
        "No other codec is smaller than a row of ours and faster both ways. "
        "Smaller than `--effort fast` and faster to decode, but slower to encode: A."
    )
    assert tables.judged([mine, fast, row("A", 2.8, 6, 9), row("A", 2.7, 7, 9), row("C", 2.3, 2, 1)]) == (
        "Smaller than `--effort fast` and faster both ways: A. "
        "Smaller than `--effort normal` and faster to encode, but slower to decode: C."
    )


def test_the_tables_are_made_of_the_results() -> None:
    tables = import_module("tables")
    kodak = [
        ours(2.7, 1.5, 2.0),
        row("bitsback", 2.71, 1.0, 1.0),
        ours(2.6, 0.15, 2.0, " --effort max"),
        row("JPEG XL, effort 9", 2.9, 0.4, 12.34),
    ]
    thumbnails = [ours(3.8, 1, 1), ours(4.0, 1, 1, " --model none"), row("JPEG XL, effort 7", 4.1, 1, 1, "mosaic")]
    results = {
        "kodak": {"rows": kodak, "images": 24, "machine": MACHINE},
        "thumbnails": {"rows": thumbnails, "images": 2000, "machine": MACHINE},
    }
    text = tables.photos(results)
    assert "| **bitsback**, one archive | **2.700** | **3.800** | 1.5 | 2.0 |" in text
    assert "| bitsback, an archive for each photo | 2.710 | - | 1.0 | 1.0 |" in text
    assert "| bitsback `--model none`, one archive | - | 4.000 | - | - |" in text
    assert "| JPEG XL, effort 9, one file an image | 2.900 | - | 0.40 | 12 |" in text
    assert "| JPEG XL, its best effort, all in one image | - | 4.100 | - | - |" in text
    assert "WebP" not in text
    text = tables.front(results)
    assert "| **bitsback** `--effort normal` | one archive | 1,000 | **2.700** | 1.5 | 2.0 |" in text
    assert text.index("`--effort max`") < text.index("`--effort normal`")
