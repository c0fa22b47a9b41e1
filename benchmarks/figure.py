"""The figure of size against speed on the Kodak photos, from what front.py has measured.

It carries a hash of the figures that it shows, so that ``docs/make.py --check`` can tell whether it is still theirs:
the drawing itself is other bytes with every version of matplotlib.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

WORDS = {"encode": "encoding", "decode": "decoding"}
GREY = "#555555"
COLOURS = {"bitsback": "#d55e00", "JPEG XL": "#0072b2", "WebP": "#007a5a"}
"""Of Okabe and Ito, which the colour-blind tell apart, the third a little darker."""

AROUND = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)]
"""Where a name may stand: right or left of its point, above or below it, and between these; the first is the best."""

AWAY = 9
"""Pixels from the point."""


class Point(NamedTuple):
    """What is drawn of a codec."""

    name: str
    bits_per_dim: float
    encode: float
    decode: float

    @property
    def family(self) -> str:
        """What is drawn alike, and joined by a line."""
        return next((name for name in COLOURS if self.name.startswith(name)), self.name)


def points(results: dict[str, Any]) -> list[Point]:
    """Of our archives, and of the files of others."""
    found = []
    for row in results["kodak"]["rows"]:
        if row["layout"] == ("archive" if row["name"].startswith("bitsback") else "each"):
            found.append(Point(_short(row["name"]), row["bits_per_dim"], row["encode"], row["decode"]))
    return found


def _short(name: str) -> str:
    if name == "bitsback":
        return "bitsback normal"
    for long, short in ((", effort ", " e"), (" lossless, method ", " m"), (" --effort", ""), (" lossless", "")):
        name = name.replace(long, short)
    return name.removesuffix(", optimised")


def digest(results: dict[str, Any]) -> str:
    """Of the figures shown."""
    return hashlib.sha256(json.dumps(points(results)).encode()).hexdigest()


def is_of(results: dict[str, Any], path: Path) -> bool:
    """Whether the figure shows these figures."""
    return path.exists() and digest(results) in path.read_text("utf-8")


def draw(results: dict[str, Any], path: Path) -> None:
    """Two panels: bits per dimension against the speed to encode, and to decode."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "bitsback", "svg.fonttype": "path", "font.family": "sans-serif"})
    from matplotlib import pyplot as plt

    shown = points(results)
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 5), sharey=True, layout="constrained")
    for axis, way in zip(axes, WORDS, strict=True):
        _panel(axis, shown, way)
    axes[0].set_ylabel("bits a sample")
    count = results["kodak"]["images"]
    figure.suptitle(f"{count} Kodak photos: size against speed, on one core. Further down and to the right is better",
                    fontsize=10)  # fmt: skip
    figure.canvas.draw()
    for axis, way in zip(axes, WORDS, strict=True):
        _names(axis, shown, way)
    figure.savefig(path, facecolor="white", metadata={"Date": None, "Identifier": digest(results)})
    plt.close(figure)


def _panel(axis: Any, shown: Sequence[Point], way: str) -> None:
    for family in _families(shown):
        colour, mine = COLOURS.get(family[0].family, GREY), family[0].family == "bitsback"
        axis.plot([getattr(p, way) for p in family], [p.bits_per_dim for p in family], color=colour,
                  linewidth=2 if mine else 0.8, marker="D" if mine else "o", markersize=8 if mine else 5)  # fmt: skip
    axis.set_xscale("log")
    axis.margins(0.14, 0.07)
    axis.set_xlabel(f"{WORDS[way]}, MB a CPU second")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.grid(color="#e6e6e6", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.annotate("better", (0.98, 0.03), (0.88, 0.12), xycoords="axes fraction", ha="center", color=GREY,
                  arrowprops={"arrowstyle": "->", "color": GREY})  # fmt: skip


def _families(shown: Sequence[Point]) -> list[list[Point]]:
    """What is joined by a line, each from its smallest to its largest."""
    names = dict.fromkeys(point.family for point in shown)
    return [sorted((p for p in shown if p.family == name), key=lambda p: p.bits_per_dim) for name in names]


def _names(axis: Any, shown: Sequence[Point], way: str) -> None:
    """A name beside each point, ours first."""
    places = {point: axis.transData.transform((getattr(point, way), point.bits_per_dim)) for point in shown}
    taken = [_around(x, y, 5) for x, y in places.values()]
    for family in _families(shown):
        for (x, y), (to_x, to_y) in pairwise(places[point] for point in family):
            taken += [_around(x + t * (to_x - x), y + t * (to_y - y), 1.5) for t in np.linspace(0, 1, 40)]
    for point in sorted(shown, key=lambda point: point.family != "bitsback"):
        mine = point.family == "bitsback"
        style = {"fontsize": 10, "fontweight": "bold"} if mine else {"fontsize": 8.5}
        text = axis.annotate(point.name, (getattr(point, way), point.bits_per_dim), (0, 0), va="bottom",
                             textcoords="offset points", color=COLOURS.get(point.family, GREY), **style)  # fmt: skip
        box = _free(text.get_window_extent(), places[point], taken, axis.get_window_extent())
        points_per_pixel = 72 / axis.figure.dpi
        text.set_position((box.min - places[point]) * points_per_pixel)
        taken.append(box)


def _free(text: Any, place: Any, taken: Sequence[Any], frame: Any) -> Any:
    """Where a text of such a size, around a place, hides least of what is taken and is within the frame."""
    from matplotlib.transforms import Bbox

    def moved(right: int, up: int) -> Any:
        left = place[0] + right * AWAY - text.width * (1 - right) / 2
        low = place[1] + up * AWAY - text.height * (1 - up) / 2
        return Bbox.from_bounds(left, low, text.width, text.height)

    def hidden(box: Any) -> float:
        outside = _area(box) - _area(Bbox.intersection(box, frame))
        return 2 * outside + sum(_area(Bbox.intersection(box, other)) for other in taken)

    return min((moved(*where) for where in AROUND), key=hidden)


def _around(x: float, y: float, far: float) -> Any:
    from matplotlib.transforms import Bbox

    return Bbox([[x - far, y - far], [x + far, y + far]])


def _area(box: Any) -> float:
    return 0.0 if box is None else float(box.width * box.height)
