"""What pages show: charts as SVG, images and heat maps as ``data:`` URIs.

Charts take their colours from the page: each stands for a variable of its style sheet, so that one drawing serves a
light and a dark page. Text stays text.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.report.words import rate

Image = NDArray[np.uint8]

INK, MUTED, GRID, NEW, OTHER = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", NEW: "--new", OTHER: "--other"}
_LIGHT = {INK: "#1b1f24", MUTED: "#5b6472", GRID: "#dcdfd9", NEW: "#0b7a68", OTHER: "#8f9aa8"}

WIDE, NARROW = 860, 350
"""Widths of a chart in CSS pixels, on a desk and in a hand."""

RAMP = ((10, 10, 38), (74, 22, 108), (178, 44, 92), (241, 116, 56), (255, 236, 160))
"""Colours of the heat maps, from little to much; ever lighter."""

REACH = 1.5
"""How far above the curves a line may be, as a ratio, for them to be drawn into one chart."""

SHRUNK = 320
"""Pixels an edge that an image is shown with, at most."""


@dataclass(frozen=True)
class Bar:
    name: str
    value: float
    label: str
    new: bool


@dataclass(frozen=True)
class Level:
    """A horizontal line of the curves' chart."""

    name: str
    value: float


def bars(rows: Sequence[Bar]) -> str:
    """Horizontal bars, names above them and labels behind: SVG, for wide and narrow pages."""

    def draw(width: int) -> str:
        step = 44
        figure = blank(width, step * len(rows) + 4)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(step * len(rows) + 4, 0)
        room = width - 12 - 10 * max(len(row.label) for row in rows)
        longest = max(row.value for row in rows) or 1
        for number, row in enumerate(rows):
            top, long = step * number, max(room * row.value / longest, 1)
            weight = "bold" if row.new else "normal"
            axes.text(0, top + 15, row.name, color=INK, fontsize=14, fontweight=weight)
            axes.barh(top + 30, long, 18, color=NEW if row.new else OTHER)
            axes.text(long + 7, top + 35, row.label, color=INK, fontsize=14, fontweight=weight)
        return _svg(figure, f"bars-{width}")

    return _both(draw, "Bars: " + "; ".join(f"{row.name} {row.label}" for row in rows))


def curves(
    minutes: Sequence[float], train: Sequence[float], held_out: Sequence[float], levels: Sequence[Level]
) -> tuple[str, list[Level]]:
    """Bits/dim against minutes, with a line for each of ``levels``, the lowest first; and those beyond the chart."""
    settled = len(minutes) // 10  # the first checks are far off
    values = [*train[settled:], *held_out[settled:]]
    # The nearest lines are what one looks for, unless they are so far that the curves would be flat
    values += [one.value for one in levels[:2] if one.value < REACH * max(values)]
    low, high = min(values), max(values)
    reach = max(high - low, 0.02 * high)
    inside = [one for one in levels if low - reach / 2 <= one.value <= high + reach / 2]
    low, high = min([low, *(one.value for one in inside)]), max([high, *(one.value for one in inside)])
    margin = max(0.06 * (high - low), 1e-3 * high, 1e-4)
    low, high = max(low - margin, 0.0), high + margin

    def draw(width: int) -> str:
        wide = width == WIDE
        height, side, size = (400, 170, 14) if wide else (330, 112, 12)
        left, bottom, top = 52 if wide else 40, 46, 12
        figure = blank(width, height)
        box = (left / width, bottom / height, 1 - (left + side) / width, 1 - (bottom + top) / height)
        axes = figure.add_axes(box)
        plain(axes, size)
        axes.set_ylim(low, high)
        axes.set_xlim(0, max(max(minutes), 1e-6))
        axes.locator_params(axis="x", nbins=8 if wide else 4)
        axes.locator_params(axis="y", nbins=7 if wide else 5)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("minutes of training", color=MUTED, fontsize=size, labelpad=8)
        for one in inside:
            axes.axhline(one.value, color=OTHER, linewidth=1.5, dashes=(5, 4))
        dots = {"marker": "o", "markersize": 5} if len(minutes) < 3 else {}
        axes.plot(minutes, train, color=MUTED, linewidth=1.5, **dots)
        axes.plot(minutes, held_out, color=NEW, linewidth=2.5, **dots)
        names = [_short(one.name.partition(" (")[0], 15 if wide else 14) for one in inside]
        labels = [(one.value, name, MUTED, "normal") for one, name in zip(inside, names, strict=True)]
        labels += [(train[-1], "in training", MUTED, "normal"), (held_out[-1], "held out", NEW, "bold")]
        labels.sort()
        heights = [(value - low) / (high - low) * (height - bottom - top) for value, *_ in labels]
        for at, (value, name, colour, weight) in zip(apart(heights, size + 5), labels, strict=True):
            text = f"{name} {rate(value)}" if wide else name
            y = (bottom + at) / height
            figure.text(1 - (side - 8) / width, y, text, color=colour, fontsize=size, va="center", fontweight=weight)
        return _svg(figure, f"curves-{width}")

    last = f"held out {rate(held_out[-1])}, in training {rate(train[-1])}"
    lines = "".join(f", {one.name} {rate(one.value)}" for one in inside)
    spoken = f"Bits/dim over {max(minutes):.1f} minutes of training; at the end: {last}{lines}"
    return _both(draw, spoken), [one for one in levels if one not in inside]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Rising ``places``, moved as little as it takes to have them ``gap`` apart.

    >>> apart([0.0, 1.0, 9.0], 4.0)
    [-1.5, 2.5, 9.0]
    """
    groups: list[tuple[float, int]] = []  # centre, members
    for place in places:
        centre, count = float(place), 1
        while groups and centre - groups[-1][0] < gap * (count + groups[-1][1]) / 2:
            before, members = groups.pop()
            centre, count = (centre * count + before * members) / (count + members), count + members
        groups.append((centre, count))
    return [centre + gap * (k - (count - 1) / 2) for centre, count in groups for k in range(count)]


def blank(width: int, height: int) -> Any:
    """An empty matplotlib figure of so many pixels of the page."""
    from matplotlib.figure import Figure

    # 72 dots an inch: a unit of the drawing is a pixel of the page, and so is a point of text
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    figure.patch.set_alpha(0)
    return figure


def plain(axes: Any, size: int) -> None:
    """Axes as all charts have them: horizontal lines only, quiet figures of ``size`` - 1 pixels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=MUTED, labelsize=size - 1, length=0, pad=6)
    axes.grid(axis="y", color=GRID, linewidth=1)
    axes.set_axisbelow(True)


@dataclass(frozen=True)
class Chart:
    """A drawing for a page, or for a file of its own.

    Args:
        name: of its ids, its own in a page.
        spoken: what it shows, in words.
        draw: from a width in pixels, ``WIDE`` or ``NARROW``, to a matplotlib figure in the colours of this module.
    """

    name: str
    spoken: str
    draw: Callable[[int], Any]

    def html(self) -> str:
        """For wide and narrow pages, light and dark."""
        return _both(lambda width: _svg(self.draw(width), f"{self.name}-{width}"), self.spoken)

    def svg(self) -> bytes:
        """As a file, wide, on white."""
        figure = self.draw(WIDE)
        figure.patch.set_alpha(1)
        text = _saved(figure, self.name)
        for colour, shown in _LIGHT.items():
            text = text.replace(colour, shown)
        text = text.replace("<svg ", '<svg font-family="system-ui, sans-serif" ', 1)
        return (text.strip() + "\n").encode()


def _saved(figure: Any, name: str) -> str:
    """What matplotlib makes of the figure, without a date: an SVG file. Its text stays text."""
    import matplotlib

    for axes in figure.axes:
        axes.patch.set_alpha(0)
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", stream.getvalue(), flags=re.DOTALL)
    text = re.sub(r"""font-family: [^;"]*;? ?""", "", text)
    return re.sub(r"(font: (?:bold |[0-9]+ )?[0-9.]+px) [^;\"]*", r"\1 sans-serif", text)


def _svg(figure: Any, name: str) -> str:
    """The figure as an ``svg`` element for HTML, its ids its own."""
    text = _saved(figure, name)
    text = text[text.index("<svg") :]
    text = re.sub(r'^<svg[^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text, count=1)
    text = text.replace("xlink:href", "href")
    text = re.sub(r' id="([^"]*)"', rf' id="{name}-\1"', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text.strip()


def _both(draw: Any, spoken: str) -> str:
    from html import escape

    wide, narrow = (f'<div class="{name}">{draw(width)}</div>' for name, width in (("wide", WIDE), ("narrow", NARROW)))
    return f'<div role="img" aria-label="{escape(spoken)}">{wide}{narrow}</div>'


def shown(image: Image, levels: int) -> tuple[str, int, int]:
    """An image as a ``data:`` URI, and its width and height there.

    It is as it is, unless it has more than ``SHRUNK`` pixels an edge: then it is smaller, and for looking at only.
    """
    from PIL import Image as Pillow

    samples = image * np.uint8(255) if levels == 2 else image
    picture = Pillow.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    whole = max(picture.size) <= SHRUNK
    if not whole:
        picture.thumbnail((SHRUNK, SHRUNK))
    return _uri(picture, whole)


def heat(bits: NDArray[np.float64], top: float) -> tuple[str, int, int]:
    """A heat map of bits a pixel, (height, width): black at 0, lightest from ``top`` on; else as :func:`shown`."""
    from PIL import Image as Pillow

    height, width = bits.shape
    whole = max(height, width) <= SHRUNK
    if not whole:
        scale = SHRUNK / max(height, width)
        edges = max(1, round(width * scale)), max(1, round(height * scale))
        bits = np.asarray(Pillow.fromarray(bits.astype(np.float32)).resize(edges, Pillow.Resampling.BOX), np.float64)
    stops = np.linspace(0, top, len(RAMP))
    colours = np.stack([np.interp(bits, stops, channel) for channel in np.array(RAMP).T], -1)
    return _uri(Pillow.fromarray(colours.round().astype(np.uint8)), whole)


def _uri(picture: Any, whole: bool) -> tuple[str, int, int]:
    stream = io.BytesIO()
    if whole:
        picture.save(stream, "PNG", optimize=True)
    else:
        picture.save(stream, "WEBP", quality=82)
    data = base64.b64encode(stream.getvalue()).decode()
    return f"data:image/{'png' if whole else 'webp'};base64,{data}", *picture.size
