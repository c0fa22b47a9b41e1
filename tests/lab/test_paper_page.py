import re
from typing import Any

import pytest

from bitsback.lab import paper, paper_page
from bitsback.lab.paper import Measured, Point, Start
from bitsback.report import machine

pytest.importorskip("matplotlib")


def measured(name: str, elbo: float) -> Measured:
    """A measurement that might have been."""
    return Measured(
        name=name,
        images=10_000,
        training={"epochs": 3},
        elbo=elbo,
        rate=elbo * 1.0021,
        whole=elbo * 1.003,
        initial=448,
        seconds={"training": 712.3, "encoding": 11.0, "decoding": 12.4},
        peers={"bz2": 0.254, "gzip": 0.331, "PNG": 1.371, "WebP": 0.949},
        misread={"PNG": 0.7788, "WebP": 0.4423} if name == "binarised" else {},
        running=[(2000 + 20 * k, elbo * (1 + 0.01 * (k % 7 - 3))) for k in range(400)],
        swept=1000,
        latents=[Point(b, elbo * (1 + 0.5**b), 0.5**b) for b in (2, 6, 12)],
        pixels=[Point(p, elbo * 1.01, 0.01) for p in (10, 16, 24)],
        starts=[Start(n, 1, elbo, elbo + 0.6 / n, elbo + 0.1 / n) for n in (1, 10, 1000)],
    )


@pytest.fixture
def found() -> dict[str, Any]:
    import json

    extent = paper.Extent(paper.EPOCHS)
    both = [measured("binarised", 0.19), measured("full", 1.39)]
    return json.loads(json.dumps(paper.results(both, extent, 0)))


def test_the_table_has_the_paper_beside_what_was_measured(found: dict[str, Any]) -> None:
    rows = paper_page.table(found)
    assert len({len(row) for row in rows}) == 1
    assert rows[1] == ("binarised, the paper", "1", "0.19", "0.19", "0.25", "0.33", "0.78", "0.44")
    assert rows[4][:4] == ("**full, here**", "8", "1.3900", "1.3929")


def test_a_codec_that_is_missing(found: dict[str, Any]) -> None:
    del found["measured"][0]["peers"]["WebP"]
    assert paper_page.table(found)[2][-1] == "-"


def test_parts_are_tables_without_timings(found: dict[str, Any]) -> None:
    parts = paper_page.parts(found)
    assert list(parts) == ["results", "latents", "pixels", "starts", "mistake"]
    assert "| binarised, 1,000 images | +25.00 % | +1.56 % | +0.02 % |" in parts["latents"]
    assert not any("712" in text for text in parts.values())


def test_how_long_it_took_and_where(found: dict[str, Any]) -> None:
    text = paper_page.about(found)
    assert "binarised, 712 s of training, 11 of coding and 12 of decoding; full, 712 s" in text
    assert text.endswith(machine.line(found["about"]))


def test_files(found: dict[str, Any]) -> None:
    files = paper_page.files(found)
    charts = [name for name in files if name.endswith(".svg")]
    assert sorted(charts) == sorted(
        f"{name}.svg"
        for name in ("running-binarised", "running-full", "latents", "pixels", "start-binarised", "start-full")
    )
    for name in charts:
        text = files[name].decode()
        assert text.startswith("<?xml") and len(text) < 200_000 and "var(--" not in text
    assert files == paper_page.files(found)  # nothing is left to chance
    assert "| full, here" not in files["paper.html"].decode() and "| **full, here** |" in files["table.md"].decode()


def test_the_page_needs_nothing_else(found: dict[str, Any]) -> None:
    page = paper_page.html(found)
    assert page.startswith("<!DOCTYPE html>") and len(page) < 500_000
    assert "http:" not in page and "https:" not in page and "<script" not in page
    assert page.count("<svg") == 12 and page.count("<table>") == 6
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert "0.78" in page and "issue 3109" in page
