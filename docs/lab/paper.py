"""Does the paper come out again? Its page is made of what `bitsback lab paper` has measured.

bitsback lab paper --data mnist/ -o paper/
python docs/lab/paper.py --from paper/            (--quick: a tiny run on drawn digits, which writes nothing)
"""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import matplotlib
from page import digits, write

from bitsback.data import mnist
from bitsback.lab import paper, paper_charts, paper_page

TOLERANCE = 0.03
"""By which share figures may differ elsewhere: networks learn in floating point, and PNG and WebP have versions."""


def tiny():
    """All measurements, with drawn digits instead of MNIST's, and few of everything."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, count, seed in ((mnist.TRAIN, 400, 1), (mnist.TEST, 40, 2)):
            images = digits(count, seed, levels=256)
            head = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in images.shape)
            (folder / name).write_bytes(head + images.tobytes())
        measured = paper.reproduce(folder, folder, paper.QUICK)
    return {**paper.results(measured, paper.QUICK, 0), "measured": [asdict(one) for one in measured]}


def main(arguments):
    if arguments == ["--quick"]:
        found, mode = tiny(), "quick"
    elif len(arguments) == 2 and arguments[0] == "--from":
        found, mode = json.loads((Path(arguments[1]) / "results.json").read_text()), "write"
    else:
        raise SystemExit(__doc__)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # these charts have a style of their own
        figures = {f"paper-{name}": chart.svg() for name, chart in paper_charts.charts(found).items()}
    write("paper", paper_page.parts(found), figures, mode, TOLERANCE, paper_page.about(found))


if __name__ == "__main__":
    main(sys.argv[1:])
