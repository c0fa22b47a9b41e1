"""The charts of the paper's measurements, from what :func:`bitsback.lab.paper.results` gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bitsback.report.figures import MUTED, NEW, OTHER, WIDE, Chart, apart, blank, plain

Results = dict[str, Any]

DASHED = (5, 4)


@dataclass(frozen=True)
class Line:
    """A curve and the words at its right end."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str = OTHER
    dashed: bool = False
    dots: bool = False


def charts(found: Results) -> dict[str, Chart]:
    """All charts, by the names of their files."""
    every = {}
    for one in found["measured"]:
        every[f"running-{one['name']}"] = _running(one, found["extent"]["window"])
    every["latents"] = _sweep(found, "latents", "bits a latent")
    every["pixels"] = _sweep(found, "pixels", "bits of the probabilities of pixels")
    for one in found["measured"]:
        every[f"start-{one['name']}"] = _start(one)
    return every


def _running(one: Results, window: int) -> Chart:
    """The moving average of the rate over the images, against -ELBO."""
    x, y = zip(*one["running"], strict=True)
    window = min(window, one["images"])
    ends = [x[0], x[-1]] if len(x) > 1 else [x[0] - 1, x[0]]
    lines = [
        Line(f"−ELBO {one['elbo']:.4f}", ends, [one["elbo"]] * 2, dashed=True),
        Line(f"rate {y[-1]:.4f}", x, y, NEW),
    ]
    spoken = f"The rate of the last {window:,} images moves between {min(y):.4f} and {max(y):.4f} bits a pixel"
    spoken += f", around −ELBO, {one['elbo']:.4f}"
    margin = 0.02 * one["elbo"]
    low, high = min(*y, one["elbo"]) - margin, max(*y, one["elbo"]) + margin
    return _lines(f"running-{one['name']}", spoken, lines, "images coded", "bits a pixel", (low, high),
                  x_format="{x:,.0f}")  # fmt: skip


def _sweep(found: Results, what: str, label: str) -> Chart:
    """How much the rate is above -ELBO, in percent, with coarser and finer ``what``."""
    colours = [MUTED, NEW]
    lines, words = [], []
    for one, colour in zip(found["measured"], colours, strict=False):
        x, y = [p["value"] for p in one[what]], [100 * p["over"] for p in one[what]]
        lines.append(Line(f"{one['name']} {y[-1]:+.1f} %".replace("-", "−"), x, y, colour, dots=True))
        words.append(f"{one['name']} from {y[0]:+.1f} % at {x[0]} to {y[-1]:+.1f} % at {x[-1]}")
    y_all = [value for line in lines for value in line.y]
    limits = min(-0.5, 1.3 * min(y_all)), 1.5 * max(*y_all, 1)
    return _lines(what, f"Above −ELBO by {label}: {'; '.join(words)}", lines, label, "above −ELBO", limits,
                  percent=True, ticks=lines[0].x)  # fmt: skip


def _start(one: Results) -> Chart:
    """Small sets: random initial bits, counted, against bitsback's own start."""
    x = [s["images"] for s in one["starts"]]
    lines = [
        Line("−ELBO", x, [s["elbo"] for s in one["starts"]], dashed=True),
        Line("random start", x, [s["random"] for s in one["starts"]], MUTED, dots=True),
        Line("bitsback’s start", x, [s["own"] for s in one["starts"]], NEW, dots=True),
    ]
    first = one["starts"][0]
    spoken = f"Sets of {x[0]}: {first['random']:.2f} bits a pixel with random initial bits, {first['own']:.2f} with "
    spoken += f"bitsback’s start, −ELBO {first['elbo']:.2f}; of {x[-1]:,} they are alike"
    high = 1.05 * max(max(line.y) for line in lines)
    return _lines(f"start-{one['name']}", spoken, lines, "images in the set", "bits a pixel", (0, high), log=True,
                  ticks=x)  # fmt: skip


def _lines(
    name: str,
    spoken: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    limits: tuple[float, float],
    *,
    log: bool = False,
    percent: bool = False,
    ticks: Sequence[float] = (),
    x_format: str = "{x:g}",
) -> Chart:
    """Curves with their names at the right. ``percent``: y is in percent, on a logarithmic scale but near 0."""

    def draw(width: int) -> Any:
        wide = width == WIDE
        height, side, size = (360, 150, 14) if wide else (300, 108, 12)
        left, bottom, top = 62 if wide else 50, 48, 30
        figure = blank(width, height)
        inner = height - bottom - top
        axes = figure.add_axes((left / width, bottom / height, 1 - (left + side) / width, inner / height))
        plain(axes, size)
        if log:
            axes.set_xscale("log")
        if percent:
            axes.set_yscale("symlog", linthresh=0.5, linscale=0.6)
            axes.set_yticks([t for t in (0, 0.5, 1, 2, 5, 10, 20, 50, 100) if limits[0] <= t <= limits[1]])
            axes.yaxis.set_major_formatter("{x:g} %")
        else:
            axes.locator_params(axis="y", nbins=6)
        axes.minorticks_off()
        axes.set_ylim(*limits)
        for line in lines:
            style: dict[str, Any] = {"dashes": DASHED} if line.dashed else {}
            style |= {"marker": "o", "markersize": 5} if line.dots else {}
            axes.plot(line.x, line.y, color=line.colour, linewidth=2.2 if line.colour == NEW else 1.6, **style)
        if len(ticks):
            axes.set_xticks(list(ticks))
        elif not log:
            axes.locator_params(axis="x", nbins=6 if wide else 4)
        axes.xaxis.set_major_formatter("{x:,.0f}" if log else x_format)
        axes.set_xlabel(x_label, color=MUTED, fontsize=size, labelpad=8)
        figure.text(0, 1 - 4 / height, y_label, color=MUTED, fontsize=size, va="top")
        ends = [(float(axes.transData.transform((line.x[-1], line.y[-1]))[1]), line) for line in lines]
        ends.sort(key=lambda one: one[0])
        for at, (_, line) in zip(apart([y for y, _ in ends], size + 4), ends, strict=True):
            weight = "bold" if line.colour == NEW else "normal"
            colour = MUTED if line.colour == OTHER else line.colour
            figure.text(1 - (side - 8) / width, at / height, line.label, color=colour, fontsize=size, va="center",
                        fontweight=weight)  # fmt: skip
        return figure

    return Chart(name, spoken, draw)
