"""The paper's measurements in words: tables, and one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from bitsback.lab.paper_charts import Results, charts
from bitsback.report import markdown
from bitsback.report.machine import line
from bitsback.report.page import document, key, section

CODECS = ("bz2", "gzip", "PNG", "WebP")
COLUMNS = ("raw", "−ELBO", "BB-ANS", *CODECS)

Row = Sequence[str]


def table(found: Results) -> list[Row]:
    """The paper's table: for each network what the paper states, and what was measured here."""
    rows: list[Row] = [("bits a pixel, MNIST test set", *COLUMNS)]
    for one in found["measured"]:
        stated, raw = found["stated"][one["name"]], _raw(one)
        rows.append((f"{one['name']}, the paper", raw, *(f"{stated[c]:.2f}" for c in ("ELBO", "BB-ANS", *CODECS))))
        here = [one["elbo"], one["rate"], *(one["peers"].get(c) for c in CODECS)]
        digits = [4, 4, 3, 3, 3, 3]
        cells = ["-" if v is None else f"{v:.{d}f}" for v, d in zip(here, digits, strict=True)]
        rows.append((f"**{one['name']}, here**", raw, *cells))
    return rows


def messages(found: Results) -> list[Row]:
    """What the chains came to."""
    rows: list[Row] = [("", "above −ELBO", "initial bits", "message, bytes", "bits a pixel, all counted")]
    for one in found["measured"]:
        size = round(one["whole"] * one["images"] * 784 / 8)
        over = _over(one["rate"], one["elbo"])
        rows.append((one["name"], over, f"{one['initial']}", f"{size:,}", f"{one['whole']:.4f}"))
    return rows


def sweep(found: Results, what: str, label: str) -> list[Row]:
    """A sweep: a column for each value."""
    values = [point["value"] for point in found["measured"][0][what]]
    rows: list[Row] = [(f"above −ELBO, by {label}", *(str(value) for value in values))]
    for one in found["measured"]:
        rows.append((f"{one['name']}, {one['swept']:,} images", *(_percent(p["over"]) for p in one[what])))
    return rows


def starts(found: Results) -> list[Row]:
    """Small sets, in bytes an image and everything counted."""
    sizes = [one["images"] for one in found["measured"][0]["starts"]]
    rows: list[Row] = [("bytes an image, sets of", *(f"{size:,}" for size in sizes))]
    for one in found["measured"]:
        for name, what in (("−ELBO", "elbo"), ("random initial bits, counted", "random"), ("bitsback’s start", "own")):
            rows.append((f"{one['name']}: {name}", *(f"{98 * s[what]:,.1f}" for s in one["starts"])))
    return rows


def mistake(found: Results) -> list[Row]:
    """PNG and WebP of binarised digits: as the paper states them, read rightly, and read as by Pillow 5.1."""
    one = next(one for one in found["measured"] if one["misread"])
    rows: list[Row] = [("bits a pixel, binarised", "PNG", "WebP")]
    for name, values in (
        ("the paper", found["stated"][one["name"]]),
        ("here, of the images as Pillow 5.1 misread them", one["misread"]),
        ("here, of the images", one["peers"]),
    ):
        rows.append((name, *(f"{values[c]:.2f}" for c in ("PNG", "WebP"))))
    return rows


def parts(found: Results) -> dict[str, str]:
    """All tables in Markdown, by the names of the marks that they stand between in the lab's page."""
    return {
        "results": f"{_markdown(table(found))}\n\n{_markdown(messages(found))}",
        "latents": _markdown(sweep(found, "latents", "bits a latent")),
        "pixels": _markdown(sweep(found, "pixels", "bits of the probabilities of pixels")),
        "starts": _markdown(starts(found)),
        "mistake": _markdown(mistake(found)),
    }


def about(found: Results) -> str:
    """How long it took, and where."""
    spent = []
    for one in found["measured"]:
        training, coding, decoding = (f"{one['seconds'][what]:,.0f}" for what in ("training", "encoding", "decoding"))
        spent.append(f"{one['name']}, {training} s of training, {coding} of coding and {decoding} of decoding")
    return f"It took: {'; '.join(spent)}. {line(found['about'])}"


def html(found: Results) -> str:
    """All of it as one page that needs nothing but itself."""
    cells = []
    for one in found["measured"]:
        cells += [(f"{one['elbo']:.4f}", f"−ELBO, {one['name']}, bits a pixel")]
        cells += [(f"{one['rate']:.4f}", f"BB-ANS, {one['name']}: {_over(one['rate'], one['elbo'])} against it")]
    head = f"""<p class="what">bitsback lab paper · {escape(found["about"]["date"][:10])}</p>
<h1>Bits back with ANS on MNIST, measured again</h1>
<p>Townsend, Bird &amp; Barber, “Practical lossless compression with latent variables using bits back coding”, ICLR
2019, arXiv 1901.04866. The networks are trained and run in floating point, as the paper’s: their messages can be
decoded in the environment that wrote them, and nowhere else for sure.</p>
{key(cells)}"""
    foot = f"<p>{escape(about(found))}</p>"
    return document("Bits back with ANS on MNIST", head, "".join(_sections(found)), foot)


def _sections(found: Results) -> Iterator[str]:
    """The parts of the page."""
    drawn, names = charts(found), [one["name"] for one in found["measured"]]
    count = found["measured"][0]["images"]
    window = min(found["extent"]["window"], count)

    def figure(name: str, words: str) -> str:
        return f"<figure>{drawn[name].html()}<figcaption>{words}</figcaption></figure>\n"

    yield section(
        "table",
        "The table",
        f"""<p>Rates in bits a pixel, over {count:,} images. bz2 and gzip take all images in one stream, binarised ones
with eight pixels to a byte; PNG and WebP take one file an image.</p>
{_html(table(found))}<p>Everything was decoded and compared, and the stack ended with the bits that it had begun
with.</p>
{_html(messages(found))}""",
    )
    running = [figure(f"running-{name}", f"{name.capitalize()}: mean of the last {window:,} images.") for name in names]
    yield section("running", "The rate along the way", "".join(running))
    yield section(
        "latents",
        "How fine must a latent be?",
        f"""<p>A latent is one of 2<sup>b</sup> buckets that are equally likely under the prior. More of them cost
nothing in the long run, as all but the information come back; fewer blur what the decoder network sees.</p>
{figure("latents", "Above −ELBO, in percent.")}{_html(sweep(found, "latents", "bits a latent"))}""",
    )
    yield section(
        "pixels",
        "How fine must a probability be?",
        f"""<p>Each of 256 levels gets an interval, however unlikely it is. With p bits these take 256/2<sup>p</sup> of
the whole: a tax on every pixel whose level is as good as certain.</p>
{figure("pixels", "Above −ELBO, in percent.")}{_html(sweep(found, "pixels", "bits of the probabilities of pixels"))}""",
    )
    small = [figure(f"start-{name}", f"{name.capitalize()}; the whole message counted.") for name in names]
    yield section(
        "starts",
        "What the first images cost",
        f"""<p>The first image borrows bits that are not there yet. Random ones have to be stored; bitsback codes the
first images in two parts instead, without bits back, until the stack can lend.</p>
{"".join(small)}{_html(starts(found))}""",
    )
    if any(one["misread"] for one in found["measured"]):
        yield section(
            "mistake",
            "Two figures that differ",
            f"""<p>PNG and WebP of the binarised digits are far from what the paper states. Pillow 5.1 misread arrays of
booleans (its issue 3109), and images misread like that give the paper’s figures.</p>
{_html(mistake(found))}""",
        )


def files(found: Results) -> dict[str, bytes]:
    """All files but the results themselves: the table, the charts, the page."""
    text = "\n\n".join([*parts(found).values(), about(found)]) + "\n"
    every = {"table.md": text.encode(), "paper.html": html(found).encode()}
    return every | {f"{name}.svg": chart.svg() for name, chart in charts(found).items()}


def _markdown(rows: Sequence[Row]) -> str:
    return markdown.table(rows[0], rows[1:])


def _html(rows: Sequence[Row]) -> str:
    """A table, Markdown's bold names as rows that stand out."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0][1:])
    body = ""
    for row in rows[1:]:
        new = row[0].startswith("**")
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        body += f'<tr{" class=new" if new else ""}><th scope="row">{escape(row[0].strip("*"))}</th>{cells}</tr>\n'
    label = escape(rows[0][0] or "Messages")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">\n<table>\n<thead>\n<tr>'
        f'<th scope="col" style="text-align: left">{escape(rows[0][0])}</th>{head}</tr>\n</thead>\n<tbody>\n{body}'
        "</tbody>\n</table>\n</div>\n"
    )


def _raw(one: dict[str, Any]) -> str:
    return "1" if one["name"] == "binarised" else "8"


def _over(rate: float, elbo: float) -> str:
    return _percent(rate / elbo - 1)


def _percent(share: float) -> str:
    """
    >>> _percent(0.0123), _percent(-0.001)
    ('+1.23 %', '−0.10 %')
    """
    return f"{100 * share:+.2f} %".replace("-", "−")
