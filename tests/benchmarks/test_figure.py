import json
from importlib import import_module
from pathlib import Path

import pytest

NAMES = {
    "bitsback": "bitsback normal",
    "bitsback --effort max": "bitsback max",
    "JPEG XL, effort 9": "JPEG XL e9",
    "WebP lossless, method 6": "WebP m6",
    "JPEG 2000 lossless": "JPEG 2000",
    "PNG, optimised": "PNG",
}


def results(**changed: float) -> dict:
    rows = []
    for number, name in enumerate(NAMES, 1):
        layout = "archive" if name.startswith("bitsback") else "each"
        figures = {"bits_per_dim": 2 + number / 10, "encode": number, "decode": 3 * number}
        rows.append({"name": name, "layout": layout} | figures)
    left_out = [{"name": "xz", "layout": "stream"}, {"name": "bitsback", "layout": "each"}]
    return {"kodak": {"images": 24, "rows": [rows[0] | changed, *rows[1:], *left_out]}}


def test_every_codec_of_images_has_a_point() -> None:
    points = import_module("figure").points(results())
    assert [point.name for point in points] == list(NAMES.values())
    assert [point.family for point in points[:4]] == ["bitsback", "bitsback", "JPEG XL", "WebP"]


def test_the_figure_knows_its_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = import_module("figure")
    path = tmp_path / "front.svg"
    assert not figure.is_of(results(), path)
    figure.draw(results(), path)
    assert figure.is_of(results(), path)
    assert not figure.is_of(results(decode=3.5), path)
    first = path.read_bytes()
    figure.draw(results(), path)
    assert path.read_bytes() == first


def test_the_figure_of_the_readme_shows_what_was_measured() -> None:
    figure, folder = import_module("figure"), import_module("measure").RESULTS
    assert figure.is_of(json.loads((folder / "front.json").read_text()), folder / "front.svg")
