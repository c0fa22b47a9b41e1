"""What the scripts of the lab share: digits, the style of the figures, and writing results into their pages.

A page NAME.md has a script NAME.py beside it. The script draws the page's figures, NAME.svg or NAME-*.svg, and rewrites
what stands between ``<!-- results -->`` and ``<!-- /results -->`` in the page.
"""

import argparse
import io
import platform
import sys
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

import bitsback

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "examples"))

from draw_digits import draw  # noqa: E402

# The colour-blind-safe palette of Okabe and Ito, the light yellow left out
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK = COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#222222"
)  # fmt: skip
WIDTH = 7.0
"""Of a figure, in inches: at 640 pixels wide its 10 point letters are as high as those of 9 points on paper."""

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


def arguments() -> bool:
    """Read the command line; return whether ``--quick`` was asked for: a tiny run which writes nothing to the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tiny run, which writes nothing to the page")
    return parser.parse_args().quick


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


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown: the first column to the left, the others to the right."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def machine() -> str:
    """Processor, versions and date in a line."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = found[0] if found else name
    packages = {m.split(".")[0] for m in sys.modules} & {"numpy", "torch", "constriction"}
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in sorted(packages))
    return (
        f"{name}, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"bitsback {bitsback.__version__}, {versions}; {datetime.now(UTC):%Y-%m-%d}."
    )


def write(name: str, results: str, figures: dict[str, plt.Figure], quick: bool) -> None:
    """Write ``results``, Markdown, and the machine between the marks of NAME.md; save figures beside it as KEY.svg.

    If ``quick``, into a temporary folder that goes away again.
    """
    results = f"{results.strip()}\n\n{machine()}"
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            for key, figure in figures.items():
                _save(figure, Path(folder) / f"{key}.svg")
        print(results)
        return
    path = HERE / f"{name}.md"
    start, end = "<!-- results -->", "<!-- /results -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{path.name} has no marks {start} and {end}")
    for key, figure in figures.items():
        _save(figure, HERE / f"{key}.svg")
    path.write_text(f"{before}{start}\n{results}\n{end}{after}", encoding="utf-8")


def _save(figure: plt.Figure, path: Path) -> None:
    """Save as SVG, without a date and without blanks at the ends of lines: the same figure is the same file."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
    if len(text) > 200_000:
        raise SystemExit(f"{path.name} would take {len(text):,} bytes")
    path.write_text(text, encoding="utf-8")
