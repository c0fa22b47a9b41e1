"""The report of a training run: one HTML page that needs nothing but itself, and the same figures as plain text."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import Any

from bitsback.report import figures
from bitsback.report.figures import Bar, Level
from bitsback.report.page import chart, document, facts, key, section, sheet
from bitsback.report.views import DRAWN_EDGE, edges, extremes, how_many, maps, middle, scores, spread
from bitsback.report.words import count, fit, rate, size
from bitsback.training.outcome import addition, against, best, headline, in_all, text_table
from bitsback.training.result import Result

COUNTS = (1_000, 10_000, 100_000)
"""For how many images totals are shown."""

NOTES = 40
"""Notes that are shown at once; the others unfold."""


# The page ----------------------------------------------------------------------------------------------------------


def html(result: Result) -> str:
    """The report as one HTML page, at most about 3 MB, without scripts; nothing in it is fetched from elsewhere.

    It takes some seconds: the model draws images, and codes held-out ones. Without matplotlib it has no charts.
    """
    found = scores(result.model, result.held_out, result.names, "held-out image")
    parts = [
        _saves(result),
        _learned(result),
        _drawn(result),
        extremes(found),
        maps(found),
        _facts(result),
        _notes(result),
        _use(result),
    ]
    name, card = result.model.name, result.card
    when = f' · <span class="date">{escape(str(date))}</span>' if (date := _of(card, "training", "date")) else ""
    version = escape(str(_of(card, "training", "bitsback") or ""))
    head = f"""<p class="what">bitsback training report · {escape(name)}{when}</p>
<h1>{_title(result)}</h1>
<p>{escape(addition(result))}</p>
{_key(result)}"""
    foot = f"<p>Written by bitsback {version}. This page needs nothing but this file.</p>"
    return document(f"{name}: what training made of your images", head, "".join(parts), foot)


def _title(result: Result) -> str:
    """The headline, with no line break inside a name or before a sign."""
    text, other = headline(result), best(result.table)
    if other is not None and other.kind == "codec":
        text = text.replace(other.name, other.name.replace(" ", "\xa0"))
    return escape(text.replace(" %", "\xa0%"))


def _key(result: Result) -> str:
    new, other = result.table[0], best(result.table)
    images = len(result.held_out)
    cells = [(f"{new.bytes / images:,.0f}", "bytes an image")]
    if other is not None:
        paid = "never" if result.break_even is None else f"{result.break_even:,}"
        cells += [(f"{other.bytes / images:,.0f}", f"bytes an image with {escape(fit(other.name, 40))}")]
        cells += [(paid, "images until the model’s file is paid for")]
    cells += [(size(len(result.model.data)), "model file")]
    return key(cells)


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
    return section(
        "saves",
        "What it saves",
        f"""<p>Before training began, {count(aside, "image")} of yours were held out: the model never saw them, nor
near-copies of them where these stand out from the rest.{part} So this is what to expect of images that are still to
come.</p>
<figure>{chart(lambda: figures.bars(bars))}
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
        return section("learned", title, "<p>Training ended before the first check.</p>\n")
    others = sorted((row for row in result.table if row.kind != "new"), key=lambda row: row.bits_per_dim)
    levels = [Level(fit(row.name, 40), row.bits_per_dim) for row in others]
    beyond: list[Level] = []

    def curves() -> str:
        minutes = [point.seconds / 60 for point in log]
        train, held_out = [p.train for p in log], [p.held_out for p in log]
        drawn, outside = figures.curves(minutes, train, held_out, levels)
        beyond.extend(outside)
        return drawn

    curve = chart(curves)
    lowest = min(log, key=lambda point: point.held_out)
    last = log[-1]
    left = "; ".join(f"{escape(one.name)} {rate(one.value)}" for one in beyond)
    aside = f" Beyond the chart: {left}." if left else ""
    if lowest.held_out - lowest.train > 0.03 * lowest.held_out:
        verdict = "well above the grey one, of the images it trained on, which it knows better than others like them: "
        verdict += "more images would help more than more time"
    else:
        verdict = "close to the grey one, of the images it trained on: what it learned holds for new ones too"
    return section(
        "learned",
        title,
        f"""<p>The fewer bits, the better the model foresees each sample. The curve to look at is that of the held-out
images, which fell to {lowest.held_out:.4f} bits/dim after {lowest.seconds / 60:.1f} of {last.seconds / 60:.1f} minutes.
It lies {verdict}. If it still falls at the right edge, a longer run (<code>--minutes</code>) will gain more.</p>
<figure>{curve}<figcaption>Bits/dim, the average over all samples; lower is better. Dashed: the others, on the same
held-out images.{aside}</figcaption></figure>
""",
    )


def _drawn(result: Result) -> str:
    model = result.model
    (height, width, channels), _ = Counter(image.shape for image in result.held_out).most_common(1)[0]
    shown = edges(model, (height, width), DRAWN_EDGE)
    many = how_many(shown)
    drawn = list(model.draw(many, (*shown, channels)))
    fitting = [image for image in result.held_out if all(map(int.__ge__, image.shape[:2], shown))]
    real = [middle(image, shown) for image in spread(fitting, many)]
    words = f"Both sides show pieces of {shown[1]}x{shown[0]} pixels. " if shown != (height, width) else ""
    return section(
        "drawn",
        "What the model imagines",
        f"""<p>Random bits, decoded as if they were an archive, give images that the model finds likely: a look at
what it has learned. {words}Where they share colours, lines and grain with the real ones, the model has understood
these. It goes from sample to sample and sees what is near, so do not expect whole objects.</p>
<div class="beside">
<div><h3>Drawn from the model</h3>{sheet(drawn, model.levels, "Drawn image")}</div>
<div><h3>Real ones, held out</h3>{sheet(real, model.levels, "Held-out image")}</div>
</div>
""",
    )


_ARCHITECTURES = {
    "regression": "counts from a regression that learns from the image itself, made for photos and scans",
    "drawn": "counts from the colours around and from memories, made for drawings and screenshots",
    "median": "counts from the median of the neighbours, made for drawings and screenshots",
    "plain": "looks at the values around a pixel as they are, made for small grey or two-valued images",
}


def _facts(result: Result) -> str:
    card, model = result.card, result.model
    data, training = _of(card, "data") or {}, _of(card, "training") or {}
    architecture = str(training.get("architecture") or "")
    if architecture in _ARCHITECTURES:
        architecture += f": {_ARCHITECTURES[architecture]}"
    rows = [("name", model.name), ("images", f"{_of(card, 'images') or ''}"), ("architecture", architecture)]
    rows += list(model.config.lines())
    rows += [("file", f"{len(model.data):,} bytes, SHA-256 {model.id}")]
    parts = [("images", "to learn from"), ("held_out", "held out"), ("measured", "of those measured at the end")]
    rows += [("data", ", ".join(f"{data[key]:,} {what}" for key, what in parts if isinstance(data.get(key), int)))]
    return section("model", "The model", facts([*rows, *_trained(training)]))


def _trained(training: dict[str, Any]) -> list[tuple[str, str]]:
    """What a card says of the training."""
    steps = f"{training['done']:,} of {training['steps']:,} steps" if {"done", "steps"} <= training.keys() else ""
    spent = f"in {training['minutes']} minutes" if "minutes" in training else ""
    best = f"the best after {training['best']:,}" if isinstance(training.get("best"), int) else ""
    init, ended = training.get("init"), training.get("ended")
    start = (
        f"started from {init.get('name')} (SHA-256 {str(init.get('sha256'))[:12]}…)" if isinstance(init, dict) else ""
    )
    options = [("seed", "seed"), ("batch", "batch"), ("learning rate", "learning_rate")]
    processes = training.get("processes")
    versions = [("bitsback", "bitsback"), ("torch", "torch"), ("Python", "python")]
    return [
        ("training", _joined(f"{steps} {spent}".strip(), best, start, f"ended: {ended}" if ended else "")),
        ("settings", _joined(*(f"{what} {training[key]}" for what, key in options if key in training))),
        ("device", _joined(training.get("device"), f"{processes} processes" if (processes or 1) != 1 else "")),
        ("versions", _joined(*(f"{what} {training[key]}" for what, key in versions if key in training))),
        ("date", str(training.get("date") or "")),
    ]


def _notes(result: Result) -> str:
    if not result.notes:
        return ""

    def items(notes: Iterable[str]) -> str:
        return f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>\n'

    body = items(result.notes[:NOTES])
    if len(result.notes) > NOTES:
        rest = result.notes[NOTES : 50 * NOTES]
        body += f"<details><summary>{len(result.notes) - NOTES:,} more</summary>{items(rest)}</details>\n"
    return section("notes", "Notes from the run", body)


def _use(result: Result) -> str:
    path = escape(shlex.quote(f"{result.model.name}.bbm"))
    return section(
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


def _of(card: dict[str, Any], *keys: str) -> Any:
    """What the card holds at the end of the keys; None if it does not."""
    found: Any = card
    for name in keys:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _joined(*texts: object) -> str:
    return ", ".join(str(text) for text in texts if text)


__all__ = ["headline", "html", "text_table"]
