"""The report of a training run: one HTML page that needs nothing but itself, and the same figures as plain text."""

from __future__ import annotations

import math
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.models import Model
from bitsback.models.inspect import draw, latent_bits, sample_bits
from bitsback.training import figures
from bitsback.training.figures import Bar, Image, Level, rate
from bitsback.training.outcome import addition, against, best, count, fit, headline, in_all, size, text_table
from bitsback.training.result import Result

COUNTS = (1_000, 10_000, 100_000)
"""For how many images totals are shown."""

SCORED_SAMPLES = 3 << 20
"""Samples of held-out images that are looked at one by one, about."""

DRAWN_EDGE, DRAWN_PIXELS = 128, 1 << 17
"""What is drawn from the model, at most: pixels an edge, and in all."""

SCORED_EDGE, MAPPED_EDGE = 1024, 512
"""Pixels an edge of what is looked at, and of what has a heat map, at most; of a larger image, the middle."""

EXTREMES, MAPS, SHEET = 6, 4, 16
"""Images shown: easiest and hardest, with a heat map, in a sheet; at most."""

COARSE = 100
"""Pixels an edge up to which images are enlarged without smoothing."""

NOTES = 40
"""Notes that are shown at once; the others unfold."""

GROUP = 1 << 16
"""Pixels of images that are coded side by side."""


# The page ----------------------------------------------------------------------------------------------------------


def html(result: Result) -> str:
    """The report as one HTML page, at most about 3 MB, without scripts; nothing in it is fetched from elsewhere.

    It takes some seconds: the model draws images, and codes held-out ones. Without matplotlib it has no charts.
    """
    looked, bits = _scores(result)
    parts = [
        _saves(result),
        _learned(result),
        _drawn(result),
        _extremes(result, looked, bits),
        _maps(result, looked, bits),
        _facts(result),
        _notes(result),
        _use(result),
    ]
    name, card = escape(result.model.name), result.card
    when = f' · <span class="date">{escape(str(date))}</span>' if (date := _of(card, "training", "date")) else ""
    version = escape(str(_of(card, "training", "bitsback") or ""))
    style = files("bitsback.training").joinpath("report.css").read_text("utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{name}: what training made of your images</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
<p class="what">bitsback training report · {name}{when}</p>
<h1>{_title(result)}</h1>
<p>{escape(addition(result))}</p>
{_key(result)}
</header>
<main>
{"".join(parts)}</main>
<footer><p>Written by bitsback {version}. This page needs nothing but this file.</p></footer>
</body>
</html>
"""


def _title(result: Result) -> str:
    """The headline, with no line break inside a name or before a sign."""
    text, codec = headline(result), best(result.table, "codec")
    if codec is not None:
        text = text.replace(codec.name, codec.name.replace(" ", "\xa0"))
    return escape(text.replace(" %", "\xa0%"))


def _section(name: str, title: str, body: str) -> str:
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{body}</section>\n'


def _key(result: Result) -> str:
    new, codec = result.table[0], best(result.table, "codec")
    images = len(result.held_out)
    cells = [(f"{new.bytes / images:,.0f}", "bytes an image")]
    if codec is not None:
        paid = "never" if result.break_even is None else f"{result.break_even:,}"
        cells += [(f"{codec.bytes / images:,.0f}", f"bytes an image with {escape(codec.name)}")]
        cells += [(paid, "images until the model’s file is paid for")]
    cells += [(size(len(result.model.data)), "model file")]
    return f'<dl class="key">{"".join(f"<div><dt>{what}</dt><dd>{value}</dd></div>" for value, what in cells)}</dl>'


def _saves(result: Result) -> str:
    images, rows = len(result.held_out), result.table
    aside = _of(result.card, "data", "held_out")
    aside = aside if isinstance(aside, int) and aside > images else images
    part = "" if aside == images else f" These are the figures of {images:,} of them."
    raw = "one bit" if result.model.levels == 2 else "8 bits"
    ranked = sorted(rows, key=lambda row: row.bytes)
    bars = [
        Bar(fit(row.name, 40), row.bytes / images, f"{row.bytes / images:,.0f}", row.kind == "new") for row in ranked
    ]
    return _section(
        "saves",
        "What it saves",
        f"""<p>Before training began, {count(aside, "image")} of yours were held out: the model never saw them, nor
near-copies of them where these stand out from the rest.{part} So this is what to expect of images that are still to
come.</p>
<figure>{_chart(lambda: figures.bars(bars))}
<figcaption>Bytes an image, on average; shorter is better.</figcaption></figure>
{_table(result)}
<p><b>Bits/dim</b> is the number of bits that one sample takes, a sample being one colour channel of one pixel; stored
as they are, samples take {raw} each. Models’ images are measured together, as an archive stores them; PNG, WebP and
JPEG XL keep one file an image. The file of a new model has to be kept, or to travel, with what it compressed, so its
{size(len(result.model.data))} count once in the columns on the right; models that were installed already count
nothing.</p>
""",
    )


def _table(result: Result) -> str:
    """All rows and figures; the least in each column stands out."""
    rows, images = result.table, len(result.held_out)
    columns = [[row.bytes / images for row in rows], [row.bits_per_dim for row in rows]]
    columns += [[in_all(result, row, n) for row in rows] for n in COUNTS]
    words = [[f"{value:,.1f}" for value in columns[0]], [f"{value:.4f}" for value in columns[1]]]
    words += [[size(value) for value in column] for column in columns[2:]]
    body = ""
    for k, row in enumerate(rows):
        cells = [
            f"<td{' class=least' if column[k] == min(column) else ''}>{text[k]}</td>"
            for column, text in zip(columns, words, strict=True)
        ]
        cells.insert(2, f"<td>{against(result, row).replace('-', '−') or '–'}</td>")
        name = f'<th scope="row">{escape(fit(row.name, 40))}</th>'
        body += f"<tr{' class=new' if row.kind == 'new' else ''}>{name}{''.join(cells)}</tr>\n"
    heads = ["bytes<br>an image", "bits/dim", "against<br>the new"]
    head = "".join(f'<th scope="col" rowspan="2">{what}</th>' for what in heads)
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="Sizes">
<table>
<thead>
<tr><td rowspan="2"></td>{head}
<th scope="colgroup" colspan="{len(COUNTS)}">so many images in all, with the model’s file</th></tr>
<tr>{"".join(f'<th scope="col">{n:,}</th>' for n in COUNTS)}</tr>
</thead>
<tbody>
{body}</tbody>
</table>
</div>"""


def _learned(result: Result) -> str:
    title = "How it learned"
    log = [point for point in result.log if math.isfinite(point.train) and math.isfinite(point.held_out)]
    if not log:
        return _section("learned", title, "<p>Training ended before the first check.</p>\n")
    others = sorted((row for row in result.table if row.kind != "new"), key=lambda row: row.bits_per_dim)
    levels = [Level(fit(row.name, 40), row.bits_per_dim) for row in others]
    beyond: list[Level] = []

    def curves() -> str:
        minutes = [point.seconds / 60 for point in log]
        train, held_out = [p.train for p in log], [p.held_out for p in log]
        chart, outside = figures.curves(minutes, train, held_out, levels)
        beyond.extend(outside)
        return chart

    chart = _chart(curves)
    lowest = min(log, key=lambda point: point.held_out)
    last = log[-1]
    left = "; ".join(f"{escape(one.name)} {rate(one.value)}" for one in beyond)
    aside = f" Beyond the chart: {left}." if left else ""
    if lowest.held_out - lowest.train > 0.03 * lowest.held_out:
        verdict = "well above the grey one, of the images it trained on, which it knows better than others like them: "
        verdict += "more images would help more than more time"
    else:
        verdict = "close to the grey one, of the images it trained on: what it learned holds for new ones too"
    return _section(
        "learned",
        title,
        f"""<p>The fewer bits, the better the model foresees each sample. The curve to look at is that of the held-out
images, which fell to {lowest.held_out:.4f} bits/dim after {lowest.seconds / 60:.1f} of {last.seconds / 60:.1f} minutes.
It lies {verdict}. If it still falls at the right edge, a longer run (<code>--minutes</code>) will gain more.</p>
<figure>{chart}<figcaption>Bits/dim, the average over all samples; lower is better. Dashed: the others, on the same
held-out images.{aside}</figcaption></figure>
""",
    )


def _drawn(result: Result) -> str:
    model = result.model
    (height, width, channels), _ = Counter(image.shape for image in result.held_out).most_common(1)[0]
    edges = _edges(model, (height, width), DRAWN_EDGE)
    many = max(2, min(SHEET, DRAWN_PIXELS // (edges[0] * edges[1])))
    drawn = list(draw(model, many, (*edges, channels)))
    fitting = [image for image in result.held_out if all(map(int.__ge__, image.shape[:2], edges))]
    real = [_middle(image, edges) for image in _spread(fitting, many)]
    cut = edges != (height, width)
    words = f"Both sides show pieces of {edges[1]}x{edges[0]} pixels. " if cut else ""
    return _section(
        "drawn",
        "What the model imagines",
        f"""<p>Random bits, decoded as if they were an archive, give images that the model finds likely: a look at
what it has learned. {words}Where they share colours, lines and grain with the real ones, the model has understood
these. It goes from sample to sample and sees what is near, so do not expect whole objects.</p>
<div class="beside">
<div><h3>Drawn from the model</h3>{_sheet(drawn, model.levels, "Drawn image")}</div>
<div><h3>Real ones, held out</h3>{_sheet(real, model.levels, "Held-out image")}</div>
</div>
""",
    )


def _extremes(result: Result, looked: Sequence[int], bits: NDArray[np.float64]) -> str:
    order = np.argsort(bits, kind="stable")
    cut = any(_edges(result.model, image.shape, SCORED_EDGE) != image.shape[:2] for image in result.held_out)
    many = min(EXTREMES, len(order) // 2)
    if not many:
        return ""

    def gallery(numbers: Iterable[int]) -> str:
        items = ""
        for k in numbers:
            image, name = result.held_out[looked[k]], escape(fit(result.names[looked[k]], 48))
            items += f"<li>{_img(image, result.model.levels, f'{name}, {rate(bits[k])} bits/dim')}"
            items += f"<strong>{rate(bits[k])} bits/dim</strong><span>{name}</span></li>\n"
        return f'<ul class="gallery">{items}</ul>'

    middle = " Of large images, the middle was looked at." if cut else ""
    spread = (
        f"from {rate(bits[order[0]])} to {rate(bits[order[-1]])} bits/dim, half of them above {rate(np.median(bits))}"
    )
    return _section(
        "extremes",
        "The easiest and the hardest",
        f"""<p>No two images take the same: these {count(len(bits), "held-out image")} range {spread}. The hardest are
often noisy or full of fine detail, and some do not belong in the collection at all.{middle}</p>
<h3>Easiest</h3>
{gallery(order[:many])}
<h3>Hardest</h3>
{gallery(order[::-1][:many])}
""",
    )


def _maps(result: Result, looked: Sequence[int], bits: NDArray[np.float64]) -> str:
    if not len(bits):
        return ""
    model = result.model
    order = np.argsort(bits, kind="stable")
    chosen = list(dict.fromkeys(order[round(q * (len(order) - 1))] for q in np.linspace(0.1, 0.9, MAPS)))
    whole = [result.held_out[looked[k]] for k in chosen]
    images = [_middle(image, _edges(model, image.shape, MAPPED_EDGE)) for image in whole]
    maps = [sample_bits(model, image[None])[0].sum(-1) for image in images]
    ticks = _ticks(float(np.quantile(np.concatenate([one.ravel() for one in maps]), 0.995)))
    pairs = ""
    for k, image, one in zip(chosen, images, maps, strict=True):
        name = escape(fit(result.names[looked[k]], 48))
        found = _img(image, model.levels, name) + _tag(figures.heat(one, ticks[-1]), f"Heat map of {name}")
        pairs += f'<figure><div class="pair">{found}</div>'
        pairs += f"<figcaption>{name}: {rate(one.mean())} bits a pixel</figcaption></figure>\n"
    ramp = ", ".join(f"rgb{colour}" for colour in figures.RAMP)
    marks = "".join(f'<span style="left: {100 * tick / ticks[-1]:.4g}%">{tick:.4g}</span>' for tick in ticks)
    more = (
        " Of large images, the middle is shown." if any(a is not b for a, b in zip(images, whole, strict=True)) else ""
    )
    latents = "" if model.config.kind == "context" else " What the latents cost is not in the maps."
    return _section(
        "maps",
        "Where the bits go",
        f"""<p>Dark pixels were foreseen and cost next to nothing; bright ones came as a surprise. Bits should go where
there is something to tell, along edges and into texture. All maps have one scale.{more}{latents}</p>
<div class="scale" role="img" aria-label="Colour scale, from 0, black, to {ticks[-1]:.4g} bits a pixel or more, yellow">
<div>bits a pixel</div><div class="ramp" style="background: linear-gradient(to right, {ramp})"></div>
<div class="ticks">{marks}</div></div>
<div class="pairs">
{pairs}</div>
""",
    )


def _ticks(top: float) -> list[float]:
    """Round numbers from 0 to ``top`` or a little beyond.

    >>> _ticks(23.0), _ticks(0.0)
    ([0.0, 5.0, 10.0, 15.0, 20.0, 25.0], [0.0, 0.01])
    """
    steps = [digit * 10.0**power for power in (-2, -1, 0, 1) for digit in (1, 2, 5)]
    step = next((step for step in steps if 5 * step >= top), 100.0)
    return [round(k * step, 2) for k in range(max(1, math.ceil(top / step)) + 1)]


_KINDS = {
    "adaptive": "counts from a predictor that learns from the image itself, made for photos and scans",
    "median": "counts from the median of the neighbours, made for drawings and screenshots",
    "plain": "looks at the values around a pixel as they are, made for small grey or two-valued images",
}


def _facts(result: Result) -> str:
    card, model = result.card, result.model
    config, kind = model.config, str(_of(card, "architecture") or "")
    context = config.context
    rows: list[tuple[str, str]] = [("name", model.name), ("images", f"{_of(card, 'images') or ''}")]
    if context is not None:
        hidden = "; ".join(dict.fromkeys("-".join(map(str, widths)) for widths in context.hidden))
        inputs = ", ".join(str(len(features)) for features in context.features)
        kind = f"{kind}: {_KINDS[kind]}" if kind in _KINDS else kind
        network = f"{inputs} inputs a channel, hidden layers of {hidden}"
        macs = next(iter((_of(card, "macs") or {}).values()), None)
        network += f", {macs:,} multiplications a pixel" if isinstance(macs, int) else ""
        rows += [("architecture", kind), ("network", network)]
    else:
        rows += [("architecture", kind)]
    rows += [("file", f"{len(model.data):,} bytes, SHA-256 {model.id}")]
    data, training = _of(card, "data") or {}, _of(card, "training") or {}
    parts = [("images", "to learn from"), ("held_out", "held out"), ("measured", "of those measured at the end")]
    rows += [("data", ", ".join(f"{data[key]:,} {what}" for key, what in parts if isinstance(data.get(key), int)))]
    steps = f"{training['done']:,} of {training['steps']:,} steps" if {"done", "steps"} <= training.keys() else ""
    spent = f"in {training['minutes']} minutes" if "minutes" in training else ""
    best = f"the best after {training['best']:,}" if isinstance(training.get("best"), int) else ""
    init, ended = training.get("init"), training.get("ended")
    start = (
        f"started from {init.get('name')} (SHA-256 {str(init.get('sha256'))[:12]}…)" if isinstance(init, dict) else ""
    )
    rows += [("training", _joined(f"{steps} {spent}".strip(), best, start, f"ended: {ended}" if ended else ""))]
    options = [("seed", "seed"), ("batch", "batch"), ("learning rate", "learning_rate")]
    rows += [("settings", _joined(*(f"{what} {training[key]}" for what, key in options if key in training)))]
    processes = training.get("processes")
    rows += [("device", _joined(training.get("device"), f"{processes} processes" if (processes or 1) != 1 else ""))]
    versions = [("bitsback", "bitsback"), ("torch", "torch"), ("Python", "python")]
    rows += [("versions", _joined(*(f"{what} {training[key]}" for what, key in versions if key in training)))]
    rows += [("date", str(training.get("date") or ""))]
    body = "".join(f'<tr><th scope="row">{what}</th><td>{escape(text)}</td></tr>\n' for what, text in rows if text)
    return _section(
        "model",
        "The model",
        f'<table class="facts"><tbody>\n{body}</tbody></table>\n',
    )


def _notes(result: Result) -> str:
    if not result.notes:
        return ""

    def items(notes: Iterable[str]) -> str:
        return f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>\n'

    body = items(result.notes[:NOTES])
    if len(result.notes) > NOTES:
        rest = result.notes[NOTES : 50 * NOTES]
        body += f"<details><summary>{len(result.notes) - NOTES:,} more</summary>{items(rest)}</details>\n"
    return _section("notes", "Notes from the run", body)


def _use(result: Result) -> str:
    path = escape(shlex.quote(f"{result.model.name}.bbm"))
    return _section(
        "use",
        "How to use it",
        f"""<p>Compress with it; an archive tells which model it needs, and is opened with the same file:</p>
<pre><code>bitsback compress FOLDER --model {path}
bitsback decompress FOLDER.bba --model {path}</code></pre>
<p>Put the model into the archive, {size(len(result.model.data))} more, and it opens wherever bitsback is:</p>
<pre><code>bitsback compress FOLDER --model {path} --embed-model</code></pre>
<p>Or install it: then it is found by itself, wherever it is the best for what you compress.</p>
<pre><code>bitsback models --add {path}</code></pre>
<p class="aside">Keep the model file as long as there are archives that need it.</p>
""",
    )


# Parts of the page ---------------------------------------------------------------------------------------------------


def _chart(make: Any) -> str:
    try:
        chart: str = make()
    except ImportError:
        return "<p>There is no chart: matplotlib is not installed.</p>"
    return chart


def _tag(found: tuple[str, int, int], alt: str) -> str:
    """An ``img`` element; ``alt`` is HTML. The pixels of a small image are shown as squares."""
    uri, width, height = found
    kind = " class=coarse" if max(width, height) <= COARSE else ""
    return f'<img src="{uri}" alt="{alt}" width="{width}" height="{height}"{kind}>'


def _img(image: Image, levels: int, alt: str) -> str:
    return _tag(figures.shown(image, levels), alt)


def _sheet(images: Sequence[Image], levels: int, alt: str) -> str:
    items = "".join(_img(image, levels, f"{alt} {number}") for number, image in enumerate(images, 1))
    return f'<div class="sheet">{items}</div>'


def _edges(model: Model, shape: tuple[int, ...], most: int) -> tuple[int, int]:
    """Height and width of what is cut out of an image, at most so many pixels each, if the model takes pieces."""
    height, width = (mine or min(axis, most) for mine, axis in zip(model.shape[:2], shape[:2], strict=True))
    return height, width


def _middle(image: Image, edges: tuple[int, int]) -> Image:
    """The middle of an image; the very same if that is all of it."""
    if image.shape[:2] == edges:
        return image
    y, x = ((axis - mine) // 2 for axis, mine in zip(image.shape[:2], edges, strict=True))
    return image[y : y + edges[0], x : x + edges[1]]


def _spread(images: Sequence[Image], count: int) -> list[Image]:
    count = min(count, len(images))
    return [images[k * len(images) // count] for k in range(count)]


def _scores(result: Result) -> tuple[list[int], NDArray[np.float64]]:
    """Numbers of held-out images, evenly spread, as many as there is time for; and the bits/dim of each."""
    model = result.model
    images = [_middle(image, _edges(model, image.shape, SCORED_EDGE)) for image in result.held_out]
    share = SCORED_SAMPLES / max(sum(image.size for image in images), 1)
    many = min(len(images), max(MAPS, int(len(images) * share)))
    looked = [k * len(images) // many for k in range(many)]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for place, k in enumerate(looked):
        shapes.setdefault(images[k].shape, []).append(place)
    jobs = []
    for (height, width, _), places in shapes.items():
        step = max(1, GROUP // (height * width))
        jobs += [places[k : k + step] for k in range(0, len(places), step)]

    def one(places: list[int]) -> NDArray[np.float64]:
        group = np.stack([images[looked[place]] for place in places])
        return (sample_bits(model, group).sum((1, 2, 3)) + latent_bits(model, group)) / group[0].size

    bits = np.empty(many, np.float64)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for places, found in zip(jobs, pool.map(one, jobs), strict=True):
            bits[places] = found
    return looked, bits


def _of(card: dict[str, Any], *keys: str) -> Any:
    """What the card holds at the end of the keys; None if it does not."""
    found: Any = card
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _joined(*texts: object) -> str:
    return ", ".join(str(text) for text in texts if text)


__all__ = ["headline", "html", "text_table"]
