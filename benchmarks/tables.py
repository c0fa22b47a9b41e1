"""The tables of the README and the docs, from ``benchmarks/results`` and the cards of the shipped models.

Nothing in them is typed by hand. ``python docs/make.py`` puts them into their pages.
"""

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from bitsback.models.search import ZOO
from bitsback.report.machine import line
from bitsback.report.markdown import table
from bitsback.report.words import size

RESULTS = Path(__file__).parent / "results"
KINDS = ("8-bit", "binarised")


def best(kind: dict[str, Any], prefix: str, layouts: tuple[str, ...]) -> str:
    """Bits per dimension of the best row whose name and layout fit."""
    rates = [row["bits_per_dim"] for row in kind["rows"] if row["name"].startswith(prefix) and row["layout"] in layouts]
    return f"{min(rates):.3f}" if rates else "-"


def results(digits: dict[str, Any]) -> str:
    """bits/dim of bitsback and the others, one file an image and all in one."""
    kinds = [digits["kinds"][kind] for kind in KINDS]
    images = kinds[0]["images"]
    rows = [["**bitsback**, one archive", *(f"**{best(kind, 'bitsback', ('archive',))}**" for kind in kinds)]]
    for label, prefix, layouts in (
        ("PNG, one file an image", "PNG", ("each",)),
        ("WebP lossless, one file an image", "WebP", ("each",)),
        ("JPEG XL, one file an image", "JPEG XL", ("each",)),
        ("xz, all raw images in one file", "xz", ("stream",)),
        ("JPEG XL, all images stacked into one, best effort", "JPEG XL", ("tall", "mosaic")),
    ):
        rows.append([label, *(best(kind, prefix, layouts) for kind in kinds)])
    title = f"MNIST test set, {images:,} images, bits a pixel"
    return table([title, "8-bit", "binarised"], rows) + (
        "\n\nWhole files, headers included; the models ship with the package."
        + (
            " JPEG XL at effort 10 was measured in an earlier run."
            if any("measured" in r for r in kinds[0]["rows"])
            else ""
        )
    )


PUBLISHED = (
    ("BB-ANS, one level of latents ([1901.04866](https://arxiv.org/abs/1901.04866))", "1.41", "0.19", "PyTorch"),
    ("Bit-Swap, eight levels ([1905.06845](https://arxiv.org/abs/1905.06845))", "1.29", "", "PyTorch on a GPU"),
)
"""MNIST's test set in papers on bits back: the method, bits a pixel of 8 bits and binarised, what runs it."""


def published(digits: dict[str, Any]) -> str:
    """What others published of MNIST's test set, what comes out here, and what it takes to decode either."""
    rows = [[*row, f"{engine}, and the floats that encoded"] for *row, engine in PUBLISHED]
    here = [f"**{best(digits['kinds'][kind], 'bitsback', ('archive',))}**" for kind in KINDS]
    means = "bitsback, on any machine"
    rows.append(["`digits`, a context network without latents", here[0], "", means])
    rows.append(["`digits-binary`, one level under a context network", "", here[1], means])
    return table(["MNIST test set, bits a pixel", *KINDS, "to decode"], rows)


def benchmarks(digits: dict[str, Any], peer: dict[str, Any]) -> str:
    """Distance from the ELBO, memory, and speeds against constriction."""
    rows = []
    for name in KINDS:
        kind = digits["kinds"][name]
        elbo = kind["elbo"]
        rows.append(
            [
                name,
                f"{elbo['all']['bytes']:,}",
                f"{elbo['all']['bytes'] * 8 / (kind['images'] * 784):.4f}",
                f"{elbo['elbo_bits_per_dim']:.4f}",
                f"{elbo['all']['gap_percent']:+.2f} %",
                f"{elbo['first_100']['bytes']:,} / {elbo['first_100']['elbo_bytes']:,.0f}",
                f"{elbo['first']['bytes']:,}",
            ]
        )
    head = ["MNIST test set", "bytes", "bits/dim", "-ELBO", "gap", "100 digits / -ELBO, bytes", "1 digit, bytes"]
    parts = [table(head, rows)]
    rows = []
    for name in KINDS:
        kind = peer["kinds"][name]
        rows.append(
            [f"{name}: bitsback", f"{kind['bitsback']['encode']:.1f}", f"{kind['bitsback']['decode']:.1f}", "", ""]
        )
        for way, row in kind["constriction"].items():
            rows.append(
                [
                    f"{name}: constriction, {way}",
                    f"{row['encode']:.2f}",
                    f"{row['decode']:.2f}",
                    f"{row['encode_ratio']:.1f}",
                    f"{row['decode_ratio']:.1f}",
                ]
            )
    head = [
        "models without a context network, MB a CPU second",
        "encode",
        "decode",
        "bitsback is faster by, encode",
        "decode",
    ]
    parts.append(table(head, rows))
    parts.append(line(digits["machine"]))
    return "\n\n".join(parts)


SETS = {
    "kodak": "{:,} Kodak photos, 768x512 RGB",
    "thumbnails": "{:,} thumbnails, 32x32 RGB",
    "digits": "{:,} digits of MNIST's test set, 28x28",
    "volume": "{:,} slices of an MR volume, 384x274, 16 bits",
    "depths": "{:,} depth maps, 480x640, 16 bits",
}
LAYOUTS = {
    "archive": "one archive",
    "each": "one file an image",
    "mosaic": "all in one image",
    "stream": "raw bytes, one file",
}


def ours(row: dict[str, Any]) -> bool:
    """Whether it is a row of bitsback."""
    return bool(row["name"].startswith("bitsback"))


def option(row: dict[str, Any]) -> str:
    """What was said to bitsback."""
    return f"`{row['name'].removeprefix('bitsback').strip() or '--effort normal'}`"


def front(measured: dict[str, Any]) -> str:
    """Size against speed: a table for each set, and where another codec is better."""
    parts = []
    for name, title in SETS.items():
        if name not in measured:
            continue
        rows = []
        for row in sorted(measured[name]["rows"], key=lambda row: row["bits_per_dim"]):
            label = f"**bitsback** {option(row)}" if ours(row) else row["name"]
            rate, bold = f"{row['bits_per_dim']:.3f}", "**" if ours(row) else ""
            speeds = speed(row["encode"]), speed(row["decode"])
            layout = "one archive an image" if ours(row) and row["layout"] == "each" else LAYOUTS[row["layout"]]
            rows.append([label, layout, f"{row['bytes']:,}", f"{bold}{rate}{bold}", *speeds])
        head = [title.format(measured[name]["images"]), "", "bytes", "bits/dim", "MB a CPU second in", "out"]
        parts += [table(head, rows), judged(measured[name]["rows"])]
    return "\n\n".join([*parts, line(next(iter(measured.values()))["machine"])])


def judged(rows: list[dict[str, Any]]) -> str:
    """Which other codecs are smaller than a row of bitsback, and faster: both ways, or one way."""
    told = []
    for words, faster in (
        ("and faster both ways", ("encode", "decode")),
        ("and faster to decode, but slower to encode", ("decode",)),
        ("and faster to encode, but slower to decode", ("encode",)),
    ):
        for mine in filter(ours, rows):
            if names := sorted({row["name"] for row in better(mine, rows, faster)}):
                told.append(f"Smaller than {option(mine)} {words}: {'; '.join(names)}.")
    if not any("both ways" in one for one in told):
        told.insert(0, "No other codec is smaller than a row of ours and faster both ways.")
    return " ".join(told)


def better(mine: dict[str, Any], rows: list[dict[str, Any]], faster: tuple[str, ...]) -> list[dict[str, Any]]:
    """Other codecs that are smaller than a row of bitsback, and faster in these ways and no other."""
    found = [row for row in rows if not ours(row) and row["bits_per_dim"] < mine["bits_per_dim"]]
    return [row for row in found if all((row[way] > mine[way]) == (way in faster) for way in ("encode", "decode"))]


def photos(measured: dict[str, Any]) -> str:
    """bits/dim and speeds on photos and thumbnails, in short."""
    sets = [measured[name]["rows"] for name in ("kodak", "thumbnails")]

    def row(label: str, names: str, layout: str) -> list[str]:
        """The smallest of the rows whose name and layout fit, for each set; speeds on the photos."""
        fitting = [[r for r in rows if fnmatch(r["name"], names) and r["layout"] == layout] for rows in sets]
        smallest = [min(rows, key=lambda r: r["bits_per_dim"]) if rows else None for rows in fitting]
        bold = "**" if label.startswith("**") else ""
        rates = [f"{bold}{r['bits_per_dim']:.3f}{bold}" if r else "-" for r in smallest]
        kodak = smallest[0]
        return [label, *rates, *([speed(kodak["encode"]), speed(kodak["decode"])] if kodak else ["-", "-"])]

    rows = [
        row("**bitsback**, one archive", "bitsback", "archive"),
        row("bitsback, an archive for each photo", "bitsback", "each"),
        row("bitsback `--effort fast`, one archive", "bitsback --effort fast", "archive"),
        row("bitsback `--effort max`, one archive", "bitsback --effort max", "archive"),
        row("bitsback `--model none`, one archive", "bitsback --model none", "archive"),
        row("JPEG XL, effort 9, one file an image", "JPEG XL, effort 9", "each"),
        row("JPEG XL, effort 7, one file an image", "JPEG XL, effort 7", "each"),
        row("JPEG XL, its best effort, all in one image", "JPEG XL*", "mosaic"),
        row("FLIF, one file an image", "FLIF", "each"),
        row("WebP lossless, one file an image", "WebP*", "each"),
        row("PNG, one file an image", "PNG*", "each"),
    ]
    counts = [measured[name]["images"] for name in ("kodak", "thumbnails")]
    head = ["bits a sample", f"Kodak, {counts[0]} photos", f"{counts[1]:,} thumbnails, 32x32"]
    shown = table([*head, "photos: MB a CPU second in", "out"], [row for row in rows if set(row[1:]) != {"-"}])
    told = judged(sets[0])
    return f"{shown}\n\nOn the photos, {told[0].lower()}{told[1:]}\n\n{line(measured['kodak']['machine'])}"


def command(measured: dict[str, Any]) -> str:
    """What the command takes on photos."""
    rates = {
        (done["job"], done.get("verify")): speed(done["raw_bytes"] / 1e6 / done["cpu"])
        for done in measured["command"]
        if done["effort"] == "normal"
    }
    peak = measured["peak_mib"]
    return (
        f"The command itself, from PNG files and back to them: {rates['compress', True]} MB a CPU second in with "
        f"verification, {rates['compress', False]} without, {rates['decompress', None]} out. A photo of "
        f"{peak['megapixels']:.0f} megapixels takes {peak['photo']['compress']:,.0f} MiB of memory to compress, "
        f"{peak['photo']['decompress']:,.0f} to decompress."
    )


def speed(rate: float) -> str:
    """Two digits, or all there are."""
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}"


def training(measured: dict[str, Any]) -> str:
    """What ``bitsback train`` made of three collections."""
    words = {
        "digits": "MNIST digits, 28x28 grey",
        "thumbnails": "thumbnails, 32x32 RGB",
        "plots": "drawn plots, 64x64 RGB",
    }
    rows = []
    for name, found in measured["collections"].items():
        codecs, best = found["codecs_bytes_per_image"], found["best_codec"]
        rows.append(
            [
                words[name],
                f"{found['bytes_per_image']:,.0f}",
                f"{found['bytes']['shipped'] / found['images']:,.0f}",
                *(f"{codecs[codec]:,.0f}" if codec in codecs else "-" for codec in ("PNG", "WebP", "JPEG XL 9")),
                f"{found['model_bytes'] / 1000:,.0f} kB",
                f"{-found['saved']:+.0%} ({best})",
                f"{found['minutes']:.0f}",
            ]
        )
    head = [
        "bytes an image, not trained on", "**own model**", "none of one's own", "PNG", "WebP", "JPEG XL 9", "model",
        "10,000 images and the model, against the best", "minutes",
    ]  # fmt: skip
    one = next(iter(measured["collections"].values()))
    told = (
        "Archives of files, names and all, against one file an image. Each model was trained from nothing; "
        "`none of one's own` is what `compress` does with what ships: for the plots the predictor, which learns from "
        "the whole archive; two of the shipped models learned from the same training sets."
    )
    version = one["machine"]["versions"]["bitsback"]
    for name, found in measured["collections"].items():
        if (earlier := found["machine"]["versions"]["bitsback"]) != version:
            told += f" The row of the {words[name].partition(',')[0]} is of bitsback {earlier}."
    return table(head, rows) + f"\n\n{told}\n\n{line(one['machine'])}"


TRAINED = {
    "binarised": "binarised digits of MNIST, 28x28",
    "8-bit": "digits of MNIST, 28x28 grey",
    "glyphs": "glyphs of three families of fonts, 28x28 grey",
    "strokes": "invented characters in twenty hands, two values, 28x28",
    "thumbnails": "thumbnails, 32x32 RGB",
    "icons": "drawn icons, 32x32 RGBA",
}
"""What the sets of kinds.py are."""


def kinds(measured: dict[str, Any]) -> str:
    """What each kind of model makes of a set after equal time, a table for each set."""
    told = []
    for name, found in measured["sets"].items():
        totals = [row["bits_per_dim"] * found["samples"] * 10_000 / 8 + row["model_bytes"] for row in found["rows"]]
        rows, least = [], min(row["bits_per_dim"] for row in found["rows"])
        for row, total in zip(found["rows"], totals, strict=True):
            rate, other, kept = f"{row['bits_per_dim']:.4f}", "-", f"{total / 1000:,.0f} kB"
            if "own" in row:
                other = f"{row['swapped'] / row['own'] - 1:+.1%}"
            rows.append(
                [
                    "context, " + row["name"] if row["name"] in NETWORKS else row["name"],
                    f"**{rate}**" if row["bits_per_dim"] == least else rate,
                    f"{row['latents'] / row['own']:.1%}" if "own" in row else "-",
                    other,
                    speed(row["decoded_mb"]),
                    f"{row['model_bytes'] / 1000:,.0f} kB",
                    f"**{kept}**" if total == min(totals) else kept,
                    f"{row['steps']:,}",
                ]
            )
        head = [TRAINED[name], "bits/dim", "of which latents", "with another's", "MB/s out", "model"]
        head += ["10,000 images and it", "steps"]
        told.append(table(head, rows))
    machine = line(measured["sets"]["binarised"]["machine"])
    return "\n\n".join([*told, machine])


NETWORKS = ("plain", "drawn", "median", "regression")
"""Candidates without latents that decode sample by sample."""


def rates(measured: dict[str, Any]) -> str:
    """What each shipped model makes of what it was made for, and of what it was not."""
    rows = [row for row in measured["rows"] if row["rates"]]
    names = list(dict.fromkeys(name for row in rows for name in row["rates"]))
    lines = []
    for name in names:
        found = {row["name"]: row["rates"][name] for row in rows if name in row["rates"]}
        least = min(found.values())
        shown = [
            f"`{model}` {'**' * (rate == least)}{rate:.3f}{'**' * (rate == least)}" for model, rate in found.items()
        ]
        lines.append([name, ", ".join(shown)])
    return table(["bits/dim of", "models that take such images"], lines) + f"\n\n{line(measured['machine'])}"


def graphics(measured: dict[str, Any]) -> str:
    """What the predictor makes of drawings and the like, kind by kind."""
    rows = []
    for row in measured["rows"]:
        ours, png = row["bitsback"]["archive"], row["png"]
        others = [f"{row[key]:,}" if row.get(key) else "-" for key in ("png", "webp", "jpeg_xl")]
        rows.append([row["kind"], str(row["images"]), f"**{ours:,}**", *others, f"{ours / png - 1:+.1%}"])
    head = ["bytes", "images", "**bitsback**", "PNG, optimised", "WebP", "JPEG XL", "against PNG"]
    return table(head, rows) + f"\n\n{line(measured['machine'])}"


def growth(measured: dict[str, Any]) -> str:
    """What archives cost as they grow."""
    commands = ("compress", "decompress", "list", "get")
    rows = []
    for name, words in (("digits", "{:,} digits, PNG files"), ("photo", "a photo of {:,} megapixels")):
        for count, found in measured[name].items():
            seconds = [f"{found[command]['seconds']:,.1f}" for command in commands]
            memory = [f"{found[command]['peak']:,.0f}" for command in ("compress", "decompress", "get")]
            rows.append([words.format(int(count)), f"{found['bytes']:,}", *seconds, *memory])
    head = ["", "bytes", *(f"{command}, CPU s" for command in commands), "compress, MiB", "decompress, MiB", "get, MiB"]
    return table(head, rows) + f"\n\n{line(measured['machine'])}"


def folders(measured: dict[str, Any]) -> str:
    """Folders as people have them, beside the best of what else one would take."""
    rows = []
    for row in measured["rows"]:
        ours, other = row["bitsback"], row["other"]
        sizes = [f"**{size:,}**" if size == min(ours, other) else f"{size:,}" for size in (ours, other)]
        rows.append([row["folder"], str(row["files"]), *sizes, row["by"]])
    head = [["folder", "files", "bitsback", "best other", ""], ["---", "---:", "---:", "---:", "---"]]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in [*head, *rows])


def untuned(measured: dict[str, Any]) -> str:
    """More folders, as folders.py gives them."""
    rows = []
    for row in measured["rows"]:
        whole, by = row["bitsback, byte for byte"], row["by"].replace("JPEG XL", "JPEG XL, effort 9", 1)
        ratio = f"{row['bitsback'] / row['best']:.2f}"
        rows.append([row["folder"], f"{row['bitsback']:,}", f"{row['best']:,}", by, ratio, f"{whole:,}"])
    head = ["folder", "bitsback, `--pixels`", "best other", "", "", "byte for byte"]
    return table(head, rows) + f"\n\n{line(measured['machine'])}"


def access(measured: dict[str, Any]) -> str:
    """Bytes, and what one image takes, by the size of blocks."""
    rows = [
        [
            row["folder"],
            f"{row['block'] >> 10} Ki" if row["block"] else "**by default**",
            str(row["images"]),
            f"{row['bytes']:,}",
            f"{row['seconds']:.2f}",
        ]
        for row in measured["rows"]
    ]
    head = ["folder", "samples of a block", "images in it", "bytes", "CPU s for one image"]
    return f"{table(head, rows)}\n\n{line(measured['machine'])}"


def cluster(measured: dict[str, Any]) -> str:
    """What images cost on the workers of a cluster, and what became of the same when some were lost."""
    rows = []
    for row in measured["rows"]:
        one, two = row["workers1"], row["workers2"]
        busy = [f"{max(found['workers']):.1f}" for found in (one, two)]
        ratio = (two["own"] + max(two["workers"])) / (one["own"] + max(one["workers"]))
        mine, each = f"{two['own']:.1f}", f"{1000 * two['own'] / row['digits']:.2f}"
        wall = f"{two['seconds'] / one['seconds']:.2f}" if all(map(_alone, (one, two))) else "-"
        rows.append(
            [f"{row['digits']:,}", f"{row['bytes']:,}", f"{row['here']:.1f}", *busy, mine, each, f"{ratio:.2f}", wall]
        )
    head = ["digits", "bytes", "without workers", "the worker, of one", "the busier of two", "who asks"]
    head += ["a thousand digits", "two against one", "in wall-clock time"]
    faults = [f"{one['fault']}: {'the same bytes' if one['same'] else 'OTHER BYTES'}" for one in measured["faults"]]
    return "\n\n".join([table(head, rows), f"{'; '.join(faults)}.".capitalize(), line(measured["machine"])])


def _alone(measured: dict[str, Any]) -> bool:
    """Whether other processes took less than a tenth of a core meanwhile, so that the clock on the wall tells."""
    return float(measured.get("others", measured["seconds"])) < measured["seconds"] / 10


def ranges(measured: dict[str, Any]) -> str:
    """What is fetched of an archive over HTTP."""
    rows = [[what, f"{found['bytes']:,}", str(found["requests"])] for what, found in measured["fetched"].items()]
    head = [f"{measured['images']:,} digits, {measured['archive']:,} bytes", "bytes fetched", "requests"]
    return f"{table(head, rows)}\n\n{line(measured['machine'])}"


def loaders(measured: dict[str, Any]) -> str:
    """Images a second of a DataLoader."""
    rows = [
        [
            row["name"],
            f"{row['bytes']:,}",
            f"{row['images'] / row['cpu']:,.0f}",
            f"{row['images'] / row['seconds']:,.0f}",
        ]
        for row in measured["rows"]
    ]
    head = [f"{measured['rows'][0]['images']:,} thumbnails", "bytes", "images a CPU second", "images a second, then"]
    return f"{table(head, rows)}\n\n{line(measured['machine'])}"


def chunks(measured: dict[str, Any]) -> str:
    """Arrays in zarr by what codes their chunks."""
    rows = []
    for row in measured["rows"]:
        sizes = {"bitsback": row["bitsback"]["bytes"], "zstd": row["zstd"]["bytes"], "blosc": row["blosc"]["bytes"],
                 "JPEG XL": row["jpegxl"]}  # fmt: skip
        shown = [f"**{size:,}**" if size == min(sizes.values()) else f"{size:,}" for size in sizes.values()]
        rows.append([row["array"], " x ".join(map(str, row["shape"])), f"{row['raw']:,}", *shown])
    head = ["array", "shape", "raw", "bitsback", "zstd 19", "blosc (zstd 9)", "JPEG XL 7, image by image"]
    told = {row["array"]: "equal" if row["killed"]["same"] else "OTHERS" for row in measured["rows"] if "killed" in row}
    parts = [table(head, rows), line(measured["machine"])]
    if told:
        faults = ", ".join(f"{array} {came}" for array, came in told.items())
        parts.insert(
            1, f"Written by two workers of Dask, one of which was killed in the middle, and read back: {faults}."
        )
    return "\n\n".join(parts)


SAMPLINGS = ("444", "422", "420")


def jpeg(rows: dict[str, Any], files: dict[str, Any]) -> str:
    """JPEG files: sets of photos as they came, and versions by encoder, quality and sampling; and what was rebuilt."""
    head = ["of the files' bytes", "files", "**bitsback**", "JPEG XL", "Lepton", "against the smaller of these"]
    lines = _sets(rows)
    grid: dict[str, dict[str, str]] = {}
    for name, row in rows.items():
        if made := _made(name):
            ours, *_, against = _shares(row)
            grid.setdefault(made[0], {})[made[1]] = f"{ours} ({against})"
    versions = [[name, *(found.get(sampling, "-") for sampling in SAMPLINGS)] for name, found in sorted(grid.items())]
    whole, damaged = ({"rebuilt": 0, "kept": 0} for _ in range(2))
    for found, counts in ((files["whole"], whole), (files["damaged"], damaged)):
        for why, count in found.items():
            counts["rebuilt" if why.startswith("rebuilt") else "kept"] += count
    names = ["encoder, quality", *(":".join(sampling) for sampling in SAMPLINGS)]
    told = (
        f"Of {files['files']:,} JPEG files of test sets and cameras {whole['rebuilt']:,} are rebuilt from their "
        f"coefficients, and {whole['kept']:,} kept as they are: {_reasons(files['whole'])}. Of "
        f"{sum(damaged.values()):,} that were cut or damaged at random {damaged['rebuilt']:,} are rebuilt as far as "
        f"they go, and {damaged['kept']:,} kept. All come back, byte for byte."
    )
    return "\n\n".join([table(head, lines), table(names, versions), told])


def jpeg_sets(rows: dict[str, Any]) -> str:
    """JPEG files: sets of photos as they came."""
    return table(["JPEG files", "files", "**bitsback**", "JPEG XL", "Lepton"], [line[:-1] for line in _sets(rows)])


def _sets(rows: dict[str, Any]) -> list[list[str]]:
    return [[name, str(row["files"]), *_shares(row)] for name, row in rows.items() if not _made(name)]


def _made(name: str) -> tuple[str, str] | None:
    """Encoder and quality, and sampling, of a version."""
    start, _, sampling = name.rpartition(" ")
    return (start, sampling) if sampling in SAMPLINGS else None


def _shares(row: dict[str, Any]) -> list[str]:
    ours, xl, lepton = (row["codecs"][name]["bytes"] for name in ("bitsback", "JPEG XL", "Lepton"))
    total = row["bytes"]
    shares = [f"**{ours / total:.3f}**", f"{xl / total:.3f}", f"{lepton / total:.3f}"]
    return [*shares, f"{100 * (ours / min(xl, lepton) - 1):+.1f} %"]


def _reasons(found: dict[str, int]) -> str:
    kept = [(why.removeprefix("a JPEG "), count) for why, count in found.items() if not why.startswith("rebuilt")]
    shown = [f"a {why} ({count})" for why, count in kept[:5]]
    return ", ".join([*shown, "and others"] if len(kept) > len(shown) else shown)


def encoders(measured: dict[str, Any]) -> str:
    """How PNG files come back, by who wrote them."""
    rows = []
    for row in measured["rows"]:
        alone = row["files"] - row["corrected"] - row["kept"]
        numbers = [str(number) if number else "" for number in (alone, row["corrected"], row["kept"])]
        share = [f"{row['bytes']:,.0f}", f"{row['share']:.2%}".replace("%", " %")] if row["corrected"] else ["", ""]
        rows.append([row["encoder"], str(row["files"]), *numbers, *share, f"{row['in']:.2f}", f"{row['out']:.2f}"])
    heads = [
        "files by",
        "files",
        "by parameters",
        "by corrections",
        "kept",
        "bytes of these",
        "of the file",
        "s/MB in",
        "out",
    ]
    return table(heads, rows) + f"\n\n{line(measured['machine'])}"


def cards(found: list[dict[str, Any]]) -> str:
    """The cards of the shipped models."""
    rows = []
    for card in found:
        training = card["training"]
        macs = ", ".join(f"{name} {count:,}" for name, count in card["macs"].items())
        steps = f"{training.get('done', training.get('steps', 0)):,} steps"
        length = f"{training['epochs']} epochs" if "epochs" in training else steps
        measured = "test_bits_per_dim" in card
        rate = card["test_bits_per_dim" if measured else "held_out_bits_per_dim"]
        rows.append(
            [
                f"`{card['name']}`",
                card["images"],
                card["data"]["name"],
                size(card["bytes"]),
                macs,
                f"{rate:.4f} ({'test set, -ELBO' if measured else 'held out'})",
                f"{length}, {training['minutes']:.0f} min, torch {training['torch']}, {training['date']}",
            ]
        )
    head = ["model", "images", "data", "file", "networks, MACs", "rate, bits/dim", "trained"]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


PAGES = {
    "README.md": ("folders", "jpeg-sets", "results", "photos", "command"),
    "docs/index.md": ("results",),
    "docs/benchmarks.md": (
        "benchmarks",
        "kinds",
        "front",
        "command",
        "graphics",
        "untuned",
        "access",
        "growth",
        "ranges",
        "cluster",
        "chunks",
        "loaders",
        "encoders",
        "jpeg",
    ),
    "docs/guides/train.md": ("training",),
    "docs/models.md": ("cards", "rates"),
    "docs/lab/paper.md": ("published",),
}
"""The marks of each page."""


def parts() -> dict[str, dict[str, str]]:
    """What belongs into the pages: for each of them the texts between its marks."""
    measured = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    shipped = [json.loads(path.read_text()) for path in sorted(ZOO.glob("*.json"))]
    shown = {
        "results": results(measured["digits"]),
        "published": published(measured["digits"]),
        "benchmarks": benchmarks(measured["digits"], measured["constriction_peer"]),
        "photos": photos(measured["front"]),
        "front": front(measured["front"]),
        "command": command(measured["photos"]),
        "training": training(measured["train"]),
        "graphics": graphics(measured["graphics"]),
        "untuned": untuned(measured["untuned"]),
        "access": access(measured["access"]),
        "growth": growth(measured["growth"]),
        "ranges": ranges(measured["ranges"]),
        "cluster": cluster(measured["cluster"]),
        "loaders": loaders(measured["loaders"]),
        "chunks": chunks(measured["chunks"]),
        "jpeg": jpeg(measured["jpeg"], measured["jpeg_files"]),
        "jpeg-sets": jpeg_sets(measured["jpeg"]),
        "cards": cards(shipped),
        "folders": folders(measured["folders"]),
        "kinds": kinds(measured["kinds"]),
        "rates": rates(measured["rates"]),
        "encoders": encoders(measured["exactness_of_png"]),
    }
    return {page: {mark: shown[mark] for mark in marks} for page, marks in PAGES.items()}
