import dataclasses
import doctest
import itertools
import re
import shutil
import subprocess
import sys
from html import escape
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bitsback.models import Model
from bitsback.training import report
from bitsback.training.report import text_table
from bitsback.training.result import Point, Result, Row
from helpers import Reader, tiny_model
from models.context_models import context_file

HOSTILE = "<script>alert('x')</script>\"&.png"
SECTIONS = ["saves", "learned", "drawn", "extremes", "maps", "model", "notes", "use"]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)

Kind = tuple[int, str | None, int, int]
RGB: Kind = (3, "regression", 0, 256)


def made(model: Model, images: list[np.ndarray], **changes: object) -> Result:
    """A run that might have been."""
    samples = sum(image.size for image in images)
    rows = [("mine", 3, "new"), ("bitsback without it (model photos)", 4, "shipped"), ("JPEG XL 9", 5, "codec")]
    rows += [("WebP", 6, "codec"), ("PNG", 9, "codec")]
    card = {
        "name": model.name,
        "images": "500 images: 8-bit RGB, 16x24",
        "data": {"images": 450, "held_out": 50, "measured": len(images)},
        "training": {
            "architecture": "regression", "steps": 9000, "done": 4500, "best": 4000, "minutes": 17.9, "seed": 7,
            "batch": 4096, "device": "cpu",
            "ended": "it was stopped", "init": {"name": "photos", "sha256": "ab" * 32}, "processes": 1,
            "torch": "2.9.1", "python": "3.12.1", "bitsback": "0.3.0", "date": "2026-11-30",
        },
        "macs": {"context, a pixel": 36_000},
    }  # fmt: skip
    result = Result(
        model=model,
        card=card,
        table=[Row(name, eighths * samples // 8, float(eighths), kind) for name, eighths, kind in rows],
        break_even=340,
        held_out=images,
        names=[HOSTILE, *(f"scans/{k}.png" for k in range(1, len(images)))],
        log=[Point(100 * k, 60.0 * k, 3 + 4 * 0.5**k, 3.1 + 4 * 0.5**k) for k in range(12)],
        notes=[f"skipped {HOSTILE}: truncated", "it was stopped"],
    )
    return dataclasses.replace(result, **changes)  # type: ignore[arg-type]


def context(kind: Kind = RGB) -> Model:
    return Model.from_bytes(context_file(kind))


@pytest.fixture(scope="module")
def result() -> Result:
    model = context()
    return made(model, list(model.draw(20, (16, 24, 3))))


@pytest.fixture(scope="module")
def page(result: Result) -> str:
    pytest.importorskip("matplotlib")
    return report.html(result)


def test_examples() -> None:
    assert doctest.testmod(report).failed == 0


def test_it_is_well_formed(page: str) -> None:
    reader = Reader(page)
    ids = [value for _, found in reader.tags if (value := found.get("id")) is not None]
    assert len(ids) == len(set(ids))
    assert set(reader.of("section", "aria-labelledby")) <= set(ids)
    headings = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(headings))


def test_nothing_is_fetched(page: str) -> None:
    assert "http:" not in page and "https:" not in page and "//" not in re.sub(r"base64,[\w+/=]*", "", page)
    reader = Reader(page)
    for _, found in reader.tags:
        for attribute in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
            assert (found.get(attribute) or "#").startswith(("data:", "#"))
        assert not any(name.startswith("on") for name in found)
    assert {"script", "iframe", "object", "embed", "form"}.isdisjoint(tag for tag, _ in reader.tags)
    assert "url(" not in re.sub(r"url\(#", "", page) and "@import" not in page


def test_all_sections_are_there(page: str) -> None:
    assert Reader(page).of("section", "aria-labelledby") == SECTIONS
    assert len(page) < 3_000_000


def test_what_it_says(page: str, result: Result) -> None:
    text = Reader(page).text.replace("\xa0", " ")
    assert (
        "25 % less than with bitsback without it (model photos); the model has paid for itself after 340 images" in text
    )
    assert "Measured on 20 images that training never saw." in text
    for row in result.table:
        assert row.name in text and f"{row.bytes / 20:,.1f}" in text and f"{row.bits_per_dim:.4f}" in text
    assert all(f"{count:,}" in text for count in (1_000, 10_000, 100_000))
    assert "+67 %" in text and "+200 %" in text
    facts = [
        "4,500 of 9,000 steps",
        "17.9 minutes",
        "seed 7",
        "torch 2.9.1",
        "2026-11-30",
        result.model.id,
        "it was st",
    ]
    facts += ["450 to learn from, 50 held out, 20 of those", "counts from a regression", "started from photos"]
    assert all(fact in text for fact in facts)
    assert "compress FOLDER --model tiny-context-3.bbm --embed-model" in text
    assert "models --add tiny-context-3.bbm" in text


def test_every_image_is_described(page: str) -> None:
    reader = Reader(page)
    alts = reader.of("img", "alt")
    assert all(alts) and len(alts) == len(reader.of("img", "src"))
    drawn = [alt for alt in alts if alt.startswith("Drawn image")]
    assert len(drawn) == len([alt for alt in alts if alt.startswith("Held-out image")]) == 16
    assert len([alt for alt in alts if alt.startswith("Heat map")]) == 4
    assert len([alt for alt in alts if alt.endswith("bits/dim")]) == 12


def test_hostile_names(result: Result) -> None:
    named = Model.from_bytes(result.model.data)
    named.config = msgspec.structs.replace(named.config, name="x<img src=q onerror=alert(1)>'$(rm -rf ~)")
    table = [dataclasses.replace(row, name=f"{HOSTILE}{row.kind}") for row in result.table]
    card = {**result.card, "training": {**result.card["training"], "architecture": HOSTILE}, "images": HOSTILE}
    text = report.html(made(named, result.held_out, table=table, card=card, names=[HOSTILE] * 20))
    reader = Reader(text)
    assert "script" not in {tag for tag, _ in reader.tags} and "<script" not in text
    assert all(value.startswith("data:") for value in reader.of("img", "src"))
    assert escape("--model 'x<img src=q onerror=alert(1)>'\"'\"'$(rm -rf ~).bbm'") in text
    assert HOSTILE[:20] in reader.text


def test_easiest_and_hardest(result: Result) -> None:
    images = [np.full((16, 24, 3), 128, np.uint8), *result.held_out[:10]]
    images += [np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)]
    names = ["flat", *(f"drawn {k}" for k in range(10)), "noise"]
    model = context((3, "median", 0, 256))
    text = Reader(report.html(made(model, images, names=names))).text
    bits = model.elbo_bits(np.stack(images)) / images[0].size
    order = np.argsort(bits)
    found = re.findall(r"([\d.]+) bits/dim(flat|noise|drawn \d)", text)
    assert [name for _, name in found[:6]] == [names[k] for k in order[:6]]
    assert [name for _, name in found[6:]] == [names[k] for k in order[::-1][:6]]
    assert [float(rate) for rate, _ in found[:6]] == pytest.approx(bits[order[:6]], abs=0.005)


@pytest.mark.parametrize("kind", [(1, None, 0, 2), (2, "median", 0, 256), (1, "median", 0, 256)])
def test_other_kinds_of_images(kind: Kind) -> None:
    model = context(kind)
    images = [*model.draw(3, (9, 7, kind[0])), *model.draw(2, (5, 30, kind[0])), *model.draw(1, (1, 1, kind[0]))]
    assert Reader(report.html(made(model, images))).of("section", "aria-labelledby") == SECTIONS


def test_a_model_with_latents() -> None:
    model = tiny_model(256)
    text = Reader(report.html(made(model, list(model.draw(9))))).text
    assert "What the latents cost is not in the maps." in text


def test_large_images_are_cut_and_shrunk() -> None:
    model = context((1, None, 0, 2))
    images = [np.tile(np.array([[0], [1]], np.uint8), (700, 1030, 1)), np.zeros((900, 8, 1), np.uint8)]
    text = report.html(made(model, images))
    assert "pieces of" in text and "the middle is shown" in text and "the middle was looked at" in text
    assert "data:image/webp" in text and len(text) < 1_000_000


def test_one_image_and_no_log() -> None:
    model = context()
    images = list(model.draw(1, (16, 24, 3)))
    text = report.html(made(model, images, log=[], notes=[]))
    assert Reader(text).of("section", "aria-labelledby") == ["saves", "learned", "drawn", "maps", "model", "use"]
    assert "Training ended before the first check" in text
    nan = [Point(0, 0.0, float("nan"), 4.0)]
    assert "Training ended before the first check" in report.html(made(model, images, log=nan))


def test_a_model_that_does_not_pay_and_a_bare_card(result: Result) -> None:
    rows = [dataclasses.replace(result.table[0], bytes=10**6), *result.table[1:]]
    text = Reader(report.html(made(result.model, result.held_out, table=rows, break_even=None, card={}))).text
    assert "this model does not pay" in text and "more than with bitsback" in text and "never" in text


def test_many_notes(result: Result) -> None:
    text = report.html(made(result.model, result.held_out, notes=[f"skipped {k}.png" for k in range(100)]))
    assert "<summary>60 more</summary>" in text and "skipped 99.png" in text


def test_without_matplotlib(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    text = report.html(result)
    assert text.count("matplotlib is not installed") == 2 and "<svg" not in text
    assert Reader(text).of("section", "aria-labelledby") == SECTIONS


def test_the_same_figures_as_in_the_terminal(page: str, result: Result) -> None:
    text = Reader(page).text
    for cell in re.findall(r"[\d.,+]+ (?:%|[kMG]?B)|\d[\d.,]*\.\d", text_table(result)):
        assert cell in text


@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1280, 400])
def test_in_a_browser(page: str, tmp_path: Path, width: int) -> None:
    # The page in a frame of that width; what is too wide, or has not been drawn, ends up in the title
    probe = """
        const page = frame.contentDocument, wide = [];
        for (const one of page.querySelectorAll('body *'))
            if (!one.closest('.scroll, pre, svg') && one.getBoundingClientRect().right > WIDTH + 1)
                wide.push(one.tagName);
        const broken = [...page.images].filter(image => !image.complete || !image.naturalWidth);
        const charts = [...page.querySelectorAll('svg')].filter(svg => svg.getBoundingClientRect().width);
        document.title = ['width', page.documentElement.scrollWidth, 'too wide', wide, 'broken', broken.length,
                          'charts', charts.length, 'sections', page.querySelectorAll('section').length].join(' ');
    """
    framed = tmp_path / "framed.html"
    frame = f'<iframe id="frame" srcdoc="{escape(page)}" width="{width}" height="9000" style="border: 0"></iframe>'
    script = f"const WIDTH = {width}; window.onload = () => {{{probe}}}"
    framed.write_text(f"<title></title><style>body {{ margin: 0 }}</style>{frame}<script>{script}</script>", "utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'user'}", "--window-size=1280,9000"]
    done = subprocess.run([*command, "--dump-dom", framed.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    title = re.search("<title>(.*?)</title>", done.stdout[: done.stdout.index("<iframe")])
    assert title is not None
    assert title[1].split() == f"width {width} too wide broken 0 charts 2 sections 8".split()
    assert "CONSOLE" not in done.stderr
