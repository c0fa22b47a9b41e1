"""Sizes and speeds on the MNIST test set: bitsback against what people use.

    python benchmarks/digits.py [--slow] [--data FOLDER]

Without ``--slow`` what was measured of the slowest codecs before stays, with its date.

For the 10,000 digits, 8-bit and binarised: bytes of the whole file or files, bits per dimension, and MB of raw bytes
(one a pixel) a CPU second, all threads together. Layouts are those of peers.py; "packed" are eight binary pixels to a
byte. bitsback's is an archive made of the array (n, 28, 28). Everything is decoded and compared. Then, for bitsback:
the distance from the model's own negative ELBO for all digits, for the first hundred and for the first one, and the
peak memory of a process that codes or decodes all of them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import measure
import peers
from measure import Images
from peak import peak
from peers import Codec, Row

SUBSET = 1000
"""The slowest codecs, one file a digit, are measured on so many digits."""


@dataclass
class Contender:
    """A codec, and what of the digits it is given (peers.py)."""

    codec: Codec
    layout: str
    slow: bool = False
    count: int | None = None


# The codecs -----------------------------------------------------------------------------------------------------------


def shown(codec: Codec) -> Codec:
    """For binary images that are not said to be binary: they are made of 0 and 255."""
    return Codec(
        codec.name, lambda image: codec.encode(image * np.uint8(255)), lambda data: np.asarray(codec.decode(data)) >> 7
    )


def packed(codec: Codec) -> Codec:
    """A byte compressor on eight binary pixels to a byte."""
    return Codec(
        f"{codec.name}, packed",
        lambda data: codec.encode(np.packbits(data)),
        lambda data: np.unpackbits(codec.decode(data)),
    )


def contenders(binary: bool) -> list[Contender]:
    """All of them but bitsback."""
    png, webp = peers.png(binary), peers.webp(4, 75, grey=True)
    found = [
        Contender(png, "each"),
        Contender(shown(webp) if binary else webp, "each"),
        Contender(peers.jpegxl(7), "each"),
        Contender(peers.jpegxl(10), "each", slow=True, count=SUBSET),
    ]
    streams = [
        peers.stream("gzip -9", lambda data: gzip.compress(data, 9, mtime=0), gzip.decompress),
        peers.stream("bz2 -9", bz2.compress, bz2.decompress),
        peers.xz(),
    ]
    found += [Contender(codec, "stream") for codec in (*streams, *(map(packed, streams) if binary else ()))]
    for layout in ("tall", "mosaic"):
        found.append(Contender(png, layout))
        found.append(Contender(peers.jpegxl(7), layout))
        found.append(Contender(peers.jpegxl(10), layout, slow=True))
    return found


def measured(contender: Contender, x: Images, repeats: int) -> Row:
    """Its row, of all digits or so many."""
    return peers.measured(contender.codec, contender.layout, list(x[: contender.count]), repeats)


# bitsback -------------------------------------------------------------------------------------------------------------


def bitsback_row(x: Images, repeats: int, verify: bool) -> Row:
    """An archive made of the array, on one thread; with ``verify`` it is decoded before it counts as made."""
    import bitsback

    bitsback.decompress(bitsback.compress(x[:100], threads=1), threads=1)  # compile and load
    (coded, route), encoding = measure.cpu(lambda: archive(x, threads=1, verify=verify), repeats, 120)
    decoded, decoding = measure.cpu(lambda: bitsback.decompress(coded, threads=1), repeats, 120)
    if not np.array_equal(decoded, x):
        raise SystemExit("bitsback did not give the same images")
    found = peers.row("bitsback, verified" if verify else "bitsback", "archive", x, len(coded), encoding, decoding)
    found.note = route
    return found


def archive(x: Images, **how: Any) -> tuple[bytes, str]:
    """An archive made of the array, and the coder that was taken."""
    import bitsback

    stream = io.BytesIO()
    report = bitsback.compress(x, stream, **how)
    return stream.getvalue(), ", ".join(sorted({kept.how for kept in report.members}))


def elbo_gaps(x: Images, kind: str, samples: int) -> dict[str, Any]:
    """Whole archives of all digits, the first hundred and the first one, against the negative ELBO in bytes."""
    import bitsback

    model = bitsback.Model.load(measure.MODELS[kind])
    elbo = sum(model.elbo_bits(x[..., None], seed) for seed in range(samples)) / samples / 8
    found: dict[str, Any] = {"model": model.id, "elbo_bits_per_dim": float(elbo.sum()) * 8 / x.size}
    for name, count in {"all": len(x), "first_100": 100, "first": 1}.items():
        coded, route = archive(x[:count])
        size, bound = len(coded), float(elbo[:count].sum())
        gap = {"gap_percent": 100 * (size / bound - 1), "excess_bytes": size - bound}
        found[name] = {"images": len(x[:count]), "route": route, "bytes": size, "elbo_bytes": bound, **gap}
    return found


def peak_memory(kind: str, data: Path) -> dict[str, float]:
    """Peak resident memory in MiB of processes of their own that compress, and decompress, all digits."""
    path = measure.RESULTS / f"memory-{kind}.bba.part"
    path.parent.mkdir(exist_ok=True)
    found = {}
    try:
        for job in ("compress", "decompress"):
            command = [sys.executable, __file__, "--data", str(data), "--kinds", kind, "--memory", job, str(path)]
            found[job] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    finally:
        path.unlink(missing_ok=True)
    return found


def memory_job(kind: str, data: Path, job: str, path: Path) -> None:
    """What such a process does: the job by the library's defaults, then its peak on standard output."""
    import bitsback

    if job == "compress":
        bitsback.compress(measure.digits(data, kind), path, force=True)
    else:
        bitsback.decompress(path)
    print(peak())


# Reports --------------------------------------------------------------------------------------------------------------


def report(kind: str, result: dict[str, Any]) -> str:
    """Markdown."""
    rows = []
    for r in sorted(result["rows"], key=lambda r: r["bits_per_dim"]):
        note = f" ({r['note']})" if r["note"] else ""
        if r["images"] != result["images"]:
            note += f" (first {r['images']:,})"
        speeds = f"{r['encode']:.2f}", f"{r['decode']:.2f}"
        rows.append([r["name"] + note, r["layout"], f"{r['bytes']:,}", f"{r['bits_per_dim']:.4f}", *speeds])
    elbo, peak = result["elbo"], result["peak_mib"]
    lines = [
        f"## MNIST test set, {kind}, {result['images']:,} digits\n",
        measure.table(["codec", "layout", "bytes", "bits/dim", "encode MB/s", "decode MB/s"], rows),
        f"\nThe model's own -ELBO: {elbo['elbo_bits_per_dim']:.4f} bits/dim. Whole archives against it:",
    ]
    for name in ("all", "first_100", "first"):
        e = elbo[name]
        lines.append(
            f"- {e['images']:,} digits: {e['bytes']:,} bytes, -ELBO {e['elbo_bytes']:,.1f}: {e['gap_percent']:+.2f} %, "
            f"{e['excess_bytes']:+,.0f} bytes ({e['route']})"
        )
    lines.append(f"\nPeak memory: compress {peak['compress']:.0f} MiB, decompress {peak['decompress']:.0f} MiB.")
    return "\n".join(lines)


def brief(speed: float) -> str:
    """Two or three digits."""
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.2g}"


def plot(results: dict[str, Any], path: Path) -> None:
    """A panel of bars for each kind: the best layout of each codec, bitsback in colour."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "bitsback", "svg.fonttype": "none", "font.family": "sans-serif"})
    from matplotlib import pyplot as plt

    kinds = results["kinds"]
    figure, axes = plt.subplots(1, len(kinds), figsize=(6.5 * len(kinds), 4), squeeze=False, layout="constrained")
    for axis, (kind, result) in zip(axes[0], kinds.items(), strict=True):
        best: dict[tuple[str, bool], Any] = {}
        for r in result["rows"]:
            key = r["name"].split(", packed")[0], r["layout"] == "each"
            if "verified" not in r["name"] and (key not in best or r["bits_per_dim"] < best[key]["bits_per_dim"]):
                best[key] = r
        rows = sorted(best.values(), key=lambda r: -r["bits_per_dim"])
        labels = {"each": "one file each", "stream": "one stream", "tall": "one image", "mosaic": "one image"}
        subsets = ["" if r["images"] == result["images"] else f", first {r['images']:,}" for r in rows]
        names = [
            f"{r['name']} ({labels.get(r['layout'], r['layout'])}{subset})"
            for r, subset in zip(rows, subsets, strict=True)
        ]
        colours = ["#c8553d" if r["name"] == "bitsback" else "#9aa5b1" for r in rows]
        bars = axis.barh(names, [r["bits_per_dim"] for r in rows], color=colours)
        axis.bar_label(bars, [f"{r['bits_per_dim']:.3f}   {brief(r['encode'])} / {brief(r['decode'])}" for r in rows],
                       padding=4, fontsize=8)  # fmt: skip
        axis.set_title(f"MNIST test set, {kind}\nbits/dim   encode / decode MB per CPU second", fontsize=9, loc="left")
        axis.set_xlim(0, 1.35 * max(r["bits_per_dim"] for r in rows))
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.tick_params(axis="y", length=0)
    for ending in (".svg", ".png"):
        metadata = {"Date": None} if ending == ".svg" else {}
        figure.savefig(path.with_suffix(ending), dpi=130, metadata=metadata)


def earlier(known: dict[str, Any], kind: str, images: int, slow: set[str]) -> list[dict[str, Any]]:
    """What is known of slow codecs from an earlier run on as many images, with its date."""
    before = known.get("kinds", {}).get(kind, {"images": 0})
    rows = before["rows"] if before["images"] == images else []
    return [{"measured": known["machine"]["date"], **row} for row in rows if row["name"] in slow]


def main() -> None:
    """Measure, print, write."""
    parser = measure.arguments("Sizes and speeds on the MNIST test set", "digits.json")
    parser.add_argument("--slow", action="store_true", help="JPEG XL at effort 10 too: some minutes more")
    parser.add_argument("--images", type=int, help="only so many digits, to try the script")
    parser.add_argument("--elbo-samples", type=int, default=1, help="latents drawn for the ELBO (default: 1)")
    parser.add_argument("--memory", nargs=2, metavar=("JOB", "FILE"), help="only the job of the memory measurement")
    options = parser.parse_args()
    if options.memory:
        memory_job(options.kinds[0], options.data, options.memory[0], Path(options.memory[1]))
        return
    about = measure.machine()
    print(f"{measure.line(about)}\n", flush=True)
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    results: dict[str, Any] = {"machine": about, "kinds": {}}
    for kind in options.kinds:
        x = measure.digits(options.data, kind, options.images)
        rows = [bitsback_row(x, options.repeats, verify) for verify in (False, True)]
        others = contenders(kind == "binarised")
        left_out = set() if options.slow else {one.codec.name for one in others if one.slow}
        for contender in others:
            if contender.codec.name not in left_out:
                rows.append(measured(contender, x, options.repeats))
                print(f"{rows[-1].name}, {rows[-1].layout}: {rows[-1].bits_per_dim:.4f}", file=sys.stderr, flush=True)
        result = {
            "images": len(x),
            "rows": [asdict(one) for one in rows] + earlier(known, kind, len(x), left_out),
            "elbo": elbo_gaps(x, kind, options.elbo_samples),
            "peak_mib": peak_memory(kind, options.data),
        }
        results["kinds"][kind] = result
        print(report(kind, result), end="\n\n", flush=True)
        measure.write(options.out, results)
    plot(results, options.out)
    print(f"written: {options.out} and its plots")


if __name__ == "__main__":
    main()
