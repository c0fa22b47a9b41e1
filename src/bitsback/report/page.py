"""A page: one HTML file that needs nothing but itself, without scripts, readable in a hand and on a desk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files

from bitsback.report import figures
from bitsback.report.figures import Image

COARSE = 100
"""Pixels an edge up to which images are enlarged without smoothing."""


def document(title: str, head: str, sections: str, foot: str) -> str:
    """The page. ``title`` is text; ``head``, ``sections`` and ``foot`` are HTML: what stands above, in and below it."""
    style = files("bitsback.report").joinpath("page.css").read_text("utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
{head}
</header>
<main>
{sections}</main>
<footer>{foot}</footer>
</body>
</html>
"""


def section(name: str, title: str, body: str) -> str:
    """A part of the page with a heading; ``name`` is its id, the others are HTML."""
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{body}</section>\n'


def key(cells: Sequence[tuple[str, str]]) -> str:
    """The most important figures, each with what it is, both HTML."""
    return f'<dl class="key">{"".join(f"<div><dt>{what}</dt><dd>{value}</dd></div>" for value, what in cells)}</dl>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and what they stand for, all text; rows without text are left out."""
    body = "".join(f'<tr><th scope="row">{what}</th><td>{escape(text)}</td></tr>\n' for what, text in rows if text)
    return f'<table class="facts"><tbody>\n{body}</tbody></table>\n'


def chart(make: Callable[[], str]) -> str:
    """What ``make`` draws; without matplotlib a sentence."""
    try:
        return make()
    except ImportError:
        return "<p>There is no chart: matplotlib is not installed.</p>"


def tag(found: tuple[str, int, int], alt: str) -> str:
    """An ``img`` element; ``alt`` is HTML. The pixels of a small image are shown as squares."""
    uri, width, height = found
    kind = " class=coarse" if max(width, height) <= COARSE else ""
    return f'<img src="{uri}" alt="{alt}" width="{width}" height="{height}"{kind}>'


def img(image: Image, levels: int, alt: str) -> str:
    """An image of a model with so many levels as an ``img`` element."""
    return tag(figures.shown(image, levels), alt)


def sheet(images: Sequence[Image], levels: int, alt: str) -> str:
    """Images side by side, ``alt`` and their number as alternative texts."""
    items = "".join(img(image, levels, f"{alt} {number}") for number, image in enumerate(images, 1))
    return f'<div class="sheet">{items}</div>'


def strips(rows: Sequence[Sequence[Image]], levels: int, heads: Sequence[str] = (), names: Sequence[str] = ()) -> str:
    """Rows of images, all of one length. ``heads`` stand above the columns, ``names`` above the rows, both text."""
    body = "".join(f"<div class=head>{escape(head)}</div>" for head in heads)
    for number, row in enumerate(rows):
        name = names[number] if names else f"row {number + 1}"
        body += f'<div class="name">{escape(name)}</div>' if names else ""
        body += "".join(img(image, levels, f"{escape(name)}, image {k}") for k, image in enumerate(row, 1))
    columns = max(map(len, rows), default=1)
    return f'<div class="strips" style="--columns: {columns}">{body}</div>'
