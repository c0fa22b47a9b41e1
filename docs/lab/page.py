"""What the scripts of the lab share: digits, the style of the figures, and writing results into their pages.

A page NAME.md has a script NAME.py beside it. The script draws the page's figures, NAME.svg or NAME-*.svg, rewrites
what stands between the marks ``<!-- results -->`` and ``<!-- /results -->`` in the page, and keeps it in
expected/NAME.json. docs/make.py runs the scripts, all or some, and CI compares: the page with what is kept, and what is
kept with what the script gives now.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

import drift
import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from bitsback.report.machine import line, machine
from bitsback.report.markdown import fill, table

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "examples"))

from draw_digits import draw  # noqa: E402

# The colour-blind-safe palette of Okabe and Ito, the light yellow left out
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK = COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#222222"
)  # fmt: skip
WIDTH = 7.0
"""Of a figure, in inches: at 640 pixels wide its 10 point letters are as high as those of 9 points on paper."""

PACKAGES = {"constriction", "pillow", "torch"}
"""Whose versions are named where they were used, besides our own and NumPy's."""

matplotlib.use("svg")
plt.rcParams.update(
    {
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.prop_cycle": plt.cycler(color=COLOURS),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 11,
        "figure.constrained_layout.use": True,
        "figure.facecolor": "white",
        "figure.figsize": (WIDTH, 3.6),
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
        "image.cmap": "gray_r",
        "image.interpolation": "nearest",
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "savefig.dpi": 200,
        "svg.fonttype": "path",
        "svg.hashsalt": "bitsback",
    }
)


def arguments() -> str:
    """Read the command line: "write", or "print" for the same without touching the page, or "quick" for a tiny run that
    does not touch it either."""
    parser = argparse.ArgumentParser()
    for mode, words in (("quick", "a tiny run"), ("print", "the whole run")):
        told = f"{words}, which prints its results and leaves the page alone"
        parser.add_argument(f"--{mode}", dest="mode", action="store_const", const=mode, default="write", help=told)
    return parser.parse_args().mode


def digits(count: int, seed: int, levels: int = 2) -> np.ndarray:
    """Drawn digits, 0 to 9 in turn: uint8 (count, 28, 28), samples 0 and 1, or 0 to 255 if ``levels`` is 256."""
    rng = np.random.default_rng(seed)
    grey = np.stack([draw(i % 10, rng) for i in range(count)])
    return grey if levels == 256 else (grey > 127).astype(np.uint8)


def tiles(images: np.ndarray, columns: int, gap: int = 2, empty: float = 0) -> np.ndarray:
    """Images (n, h, w) in rows of ``columns``, with a gap between them, as one array: figures stay small."""
    n, h, w = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap), empty, float)
    for i, image in enumerate(images):
        y, x = i // columns * (h + gap), i % columns * (w + gap)
        sheet[y : y + h, x : x + w] = image
    return sheet


def write(
    name: str,
    parts: str | dict[str, str],
    figures: dict[str, plt.Figure | bytes],
    mode: str,
    tolerance: float,
    about: str = "",
) -> None:
    """Put results into NAME.md and expected/NAME.json, and save figures beside the page as KEY.svg.

    In another mode than "write" nothing of the docs is touched: the parts are printed, and the figures go into a
    temporary folder that goes away again.

    Args:
        parts: Markdown, by the marks that it belongs between; or what belongs between those called "results".
        mode: what :func:`arguments` returned.
        tolerance: by which share a number may differ when the script is run elsewhere: 0 where all is integer
            arithmetic, some percent where a network is trained in floating point.
        about: where and when it was measured, if not here and now.
    """
    parts = {"results": parts} if isinstance(parts, str) else parts
    parts = {mark: text.strip() for mark, text in parts.items()}
    if mode != "write":
        with tempfile.TemporaryDirectory() as folder:
            for key, figure in figures.items():
                _save(figure, Path(folder) / f"{key}.svg")
        print("\n\n".join(f"<!-- {mark} -->\n{text}\n<!-- /{mark} -->" for mark, text in parts.items()))
        return
    used = {module.partition(".")[0] for module in sys.modules} & PACKAGES
    about = about or line(machine(sorted({"bitsback", "numpy", *used})))
    page = HERE / f"{name}.md"
    shown = parts | {"machine": about}
    page.write_text(fill(page.read_text("utf-8"), shown), "utf-8")
    for key, figure in figures.items():
        _save(figure, HERE / f"{key}.svg")
    drift.keep(name, tolerance=tolerance, page=shown)


def _save(figure: plt.Figure | bytes, path: Path) -> None:
    """Save as SVG, without a date and without blanks at the ends of lines: the same figure is the same file."""
    if isinstance(figure, bytes):
        path.write_bytes(figure)
        return
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
    if len(text) > 200_000:
        raise SystemExit(f"{path.name} would take {len(text):,} bytes")
    path.write_text(text, encoding="utf-8")


__all__ = ["COLOURS", "WIDTH", "arguments", "digits", "table", "tiles", "write"]
