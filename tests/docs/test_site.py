"""The site builds without a warning, whole, and fetches nothing from elsewhere."""

import importlib.util
import re
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the site needs the extra docs")


def test_nothing_comes_from_other_hosts(site: Path) -> None:
    """Scripts, styles, fonts and images are the site's own; links may lead elsewhere."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\bsrc=[\"']?([^\"'\s>]+)", text)
        loaded += re.findall(
            r"<link[^>]*\brel=[\"']?(?:stylesheet|preload|icon|preconnect)[^>]*\bhref=[\"']?([^\"'\s>]+)", text
        )
        assert loaded
        assert not [url for url in loaded if re.match(r"(https?:)?//", url)], page


def test_the_first_page_leads_everywhere_in_two_clicks(site: Path) -> None:
    """A newcomer's three ways, and the lab: links in the page's own text."""
    text = (site / "index.html").read_text()
    article = text[text.index("<article") : text.index("</article>")]
    for place in ("guides/compress/", "guides/train/", "guides/codecs/", "lab/", "models/", "benchmarks/"):
        assert re.search(rf"href=[\"']?{place}", article), place


def test_every_command_and_public_codec_has_its_place(site: Path) -> None:
    from bitsback import codecs
    from bitsback.cli.app import app

    commands = (site / "reference/command/index.html").read_text()
    for name in app.list_commands(click.Context(app)):
        assert f"bitsback {name}" in commands
    reference = (site / "reference/codecs/index.html").read_text()
    for name in dir(codecs):
        value = getattr(codecs, name)
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("bitsback.codecs"):
            assert f"bitsback.codecs.{name}" in reference or f"{value.__module__}.{name}" in reference, name


def test_docstrings_leave_no_markup_of_their_own(site: Path) -> None:
    for page in sorted((site / "reference").rglob("*.html")):
        text = page.read_text()
        assert ":class:" not in text
        assert ":func:" not in text
        assert "&gt;&gt;&gt;</p>" not in text, page


def test_the_labs_pages_lead_to_their_scripts_and_show_mathematics(site: Path) -> None:
    for script in (ROOT / "docs/lab").glob("*.py"):
        shown = (site / f"lab/scripts/{script.stem}/index.html").read_text()
        assert "import" in shown
        page = site / f"lab/{script.stem.replace('_', '-')}/index.html"
        if page.exists():
            assert re.search(rf"href=[\"']?../scripts/{script.stem}/", page.read_text()), script.name
    notation = (site / "lab/notation/index.html").read_text()
    assert notation.count("<math") > 20 and "xmathx" not in notation and "$$" not in notation
