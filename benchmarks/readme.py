"""Write the tables of the README from ``benchmarks/results``: nothing in them is typed by hand.

python benchmarks/readme.py
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
KINDS = ("8-bit", "binarised")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def best(kind: dict[str, Any], prefix: str, layouts: tuple[str, ...]) -> str:
    """Bits per dimension of the best row whose name and layout fit."""
    rates = [row["bits_per_dim"] for row in kind["rows"] if row["name"].startswith(prefix) and row["layout"] in layouts]
    return f"{min(rates):.3f}" if rates else "-"


def results(digits: dict[str, Any]) -> str:
    """bits/dim of bitsback and the others, one file an image and all in one."""
    kinds = [digits["kinds"][kind] for kind in KINDS]
    images = kinds[0]["images"]
    rows = [["**bitsback 0.1**, one archive", *(f"**{best(kind, 'bitsback', ('archive',))}**" for kind in kinds)]]
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
        "\n\nWhole files, headers included; the model (0.9 MB) ships with the package. To be plain: JPEG XL at its"
        "\nhighest effort, over all 8-bit digits stacked into one image, is still smaller, at the price of having to"
        "\ndecode them all together; models that also see local context come next."
    )


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
    head = ["same model, MB a CPU second", "encode", "decode", "bitsback is faster by, encode", "decode"]
    parts.append(table(head, rows))
    machine = digits["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts.append(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['machine']}, "
        f"Python {machine['python']}, {versions}; {machine['date'][:10]}."
    )
    return "\n\n".join(parts)


def fill(text: str, mark: str, content: str) -> str:
    """Replace what stands between ``<!-- mark -->`` and ``<!-- /mark -->``."""
    before, rest = text.split(f"<!-- {mark} -->\n")
    _, after = rest.split(f"<!-- /{mark} -->")
    return f"{before}<!-- {mark} -->\n{content}\n<!-- /{mark} -->{after}"


def main() -> None:
    """Fill both places."""
    digits, peer = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("digits", "constriction_peer"))
    page = ROOT / "README.md"
    text = fill(page.read_text(), "results", results(digits))
    page.write_text(fill(text, "benchmarks", benchmarks(digits, peer)))


if __name__ == "__main__":
    main()
