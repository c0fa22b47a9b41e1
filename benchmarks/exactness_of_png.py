"""How PNG files by different encoders come back: by parameters alone, by corrections, or kept as bytes.

    python benchmarks/exactness_of_png.py [--with 'NAME=COMMAND {in} {out}']... [--json FILE] PNG...

Every file is taken as it is, and encoded anew by each encoder that is there: zlib and Pillow; Python's packages (``pip
install zlib-ng deflate zopfli isal pyoxipng pypng``); commands (pngcrush, optipng, ImageMagick's convert), and those
that ``--with`` names. Each result must come back byte for byte. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import io
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import measure
import tables
from bitsback.files import parse, write

Encode = Callable[[bytes], bytes]


def with_stream(png: bytes, encode: Encode) -> bytes:
    """The same rows, deflated into a zlib stream by another encoder, in one IDAT."""
    at, before, body, after = 8, png[:8], b"", b""
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        chunk, at = png[at : at + 12 + length], at + 12 + length
        if kind == b"IDAT":
            body += chunk[8:-4]
        elif body:
            after += chunk
        else:
            before += chunk
    data = encode(zlib.decompress(body))
    crc = zlib.crc32(b"IDAT" + data)
    return before + struct.pack(">I4s", len(data), b"IDAT") + data + struct.pack(">I", crc) + after


def by_pillow(**options: Any) -> Encode:
    def encode(png: bytes) -> bytes:
        from PIL import Image

        file = io.BytesIO()
        with Image.open(io.BytesIO(png)) as image:
            image.save(file, "png", **options)
        return file.getvalue()

    return encode


def by_command(command: str) -> Encode:
    """``{in}`` and ``{out}`` stand for the names of files."""

    def encode(png: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            names = {"{in}": f"{folder}/in.png", "{out}": f"{folder}/out.png"}
            Path(names["{in}"]).write_bytes(png)
            words = [names.get(word, word) for word in shlex.split(command)]
            subprocess.run(words, check=True, capture_output=True)
            return Path(names["{out}"]).read_bytes()

    return encode


def by_pypng(png: bytes) -> bytes:
    module = import_module("png")
    width, height, rows, facts = module.Reader(bytes=png).read()
    kept = {key: facts[key] for key in ("greyscale", "alpha", "bitdepth", "palette", "planes") if key in facts}
    kept.pop("planes", None)
    if "palette" in kept:
        kept.pop("greyscale", None)
        kept.pop("alpha", None)
    file = io.BytesIO()
    module.Writer(width, height, **kept).write(file, rows)
    return file.getvalue()


COMMANDS = {
    "pngcrush": "pngcrush -q -force {in} {out}",
    "optipng -o2": "optipng -quiet -force -o2 -out {out} {in}",
    "ImageMagick": "convert {in} {out}",
    "ImageMagick -quality 95": "convert {in} -quality 95 {out}",
}


def encoders(commands: dict[str, str]) -> Iterator[tuple[str, Encode]]:
    """Name and function from a file to a file."""
    yield "as found", lambda png: png
    for name, command in (COMMANDS | commands).items():
        if shutil.which(command.split()[0]):
            yield name, by_command(command)
    if _module("png") is not None:
        yield "pypng", by_pypng
    for level in (1, 6, 9):
        yield f"Pillow {level}", by_pillow(compress_level=level)
    yield "Pillow optimize", by_pillow(optimize=True)
    for level in range(10):
        yield f"zlib {level}", lambda png, level=level: with_stream(png, lambda rows: zlib.compress(rows, level))
    found = {name: _module(name) for name in ("zlib_ng.zlib_ng", "deflate", "zopfli.zlib", "isal.isal_zlib", "oxipng")}
    if (ng := found["zlib_ng.zlib_ng"]) is not None:
        for level in range(1, 10):
            yield f"zlib-ng {level}", lambda png, level=level: with_stream(png, lambda rows: ng.compress(rows, level))
    if (lib := found["deflate"]) is not None:
        for level in range(1, 13):
            yield (
                f"libdeflate {level}",
                lambda png, level=level: with_stream(png, lambda rows: bytes(lib.zlib_compress(rows, level))),
            )
    if (zopfli := found["zopfli.zlib"]) is not None:
        yield "zopfli", lambda png: with_stream(png, lambda rows: zopfli.compress(rows, numiterations=5))
    if (isal := found["isal.isal_zlib"]) is not None:
        for level in range(4):
            yield f"ISA-L {level}", lambda png, level=level: with_stream(png, lambda rows: isal.compress(rows, level))
    if (oxipng := found["oxipng"]) is not None:
        for level in (0, 2, 4):
            yield f"oxipng {level}", lambda png, level=level: oxipng.optimize_from_memory(png, level=level)


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def row_of(name: str, encode: Encode, files: list[bytes]) -> dict[str, Any]:
    """What becomes of all files by an encoder."""
    counts: dict[str, int] = defaultdict(int)
    sizes, shares = [], []
    pixels = seconds_in = seconds_out = 0.0
    for file in files:
        try:
            png = encode(file)
        except Exception as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        start = time.process_time()
        picture = parse(png, "a.png")
        seconds_in += time.process_time() - start
        counts["files"] += 1
        if picture.raw is not None:
            counts["kept"] += 1
            continue
        if any("corrected" in image for image in picture.recipe["images"]):
            counts["corrected"] += 1
            sizes.append(picture.corrections)
            shares.append(picture.corrections / len(png))
        start = time.process_time()
        assert write(picture.recipe, picture.blob, picture.parts) == png
        seconds_out += time.process_time() - start
        pixels += sum(part.nbytes for part in picture.parts)
    return {
        "encoder": name,
        **{key: counts[key] for key in ("files", "corrected", "kept")},
        "bytes": median(sizes) if sizes else 0,
        "share": median(shares) if shares else 0.0,
        "in": seconds_in / (pixels / 1e6) if pixels else 0.0,
        "out": seconds_out / (pixels / 1e6) if pixels else 0.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--with", action="append", default=[], dest="commands", metavar="NAME=COMMAND")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("paths", nargs="+", metavar="PNG")
    given = parser.parse_args()
    files = [Path(path).read_bytes() for path in given.paths]
    commands = dict(command.split("=", 1) for command in given.commands)
    rows = []
    for name, encode in encoders(commands):
        rows.append(row_of(name, encode, files))
        print(rows[-1], flush=True)
    measured = {"machine": measure.machine(), "rows": [row for row in rows if row["files"]]}
    print(tables.encoders(measured))
    if given.json:
        measure.write(given.json, measured)


if __name__ == "__main__":
    main()
