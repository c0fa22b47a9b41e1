"""JPEG files: an archive of them, next to JPEG XL's transcoding and Lepton, file by file.

    python benchmarks/jpeg.py FILES ... [--json results.json]        files of one folder: a row; and one for all
    python benchmarks/jpeg.py --make FOLDER FILES ...                other versions of photos: folders by encoder,
                                                                     quality and sampling

JPEG XL is ``imagecodecs.jpegxl_encode_jpeg`` (the extra ``bench``), Lepton is ``lepton_jpeg_python`` if that is
installed. A file that a peer refuses counts with its own size. Seconds are of the processor, in this one process, with
one thread; ``in`` is taking files apart, putting them together to see that they come back, and coding; ``out`` decoding
and putting together.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bitsback.archive import Library, Settings, write_archive
from bitsback.archive.intake import data_item
from bitsback.files import parse, write
from bitsback.kinds import WITHOUT_WEIGHTS

CODER = WITHOUT_WEIGHTS[5]


def timed(function: Callable[[Any], Any], items: list[Any]) -> tuple[list[Any], float]:
    began = time.process_time()
    return [function(item) for item in items], time.process_time() - began


def peer(files: list[bytes], encode: Callable[[bytes], bytes], decode: Callable[[bytes], bytes]) -> dict[str, Any]:
    refused = 0

    def one(data: bytes) -> bytes | None:
        nonlocal refused
        try:
            return encode(data)
        except Exception:
            refused += 1
            return None

    coded, seconds = timed(one, files)
    found, back = timed(lambda data: decode(data) if data is not None else None, coded)
    assert all(again in (None, data) for again, data in zip(found, files, strict=True))
    size = sum(len(data) if packed is None else len(packed) for data, packed in zip(files, coded, strict=True))
    return {"bytes": size, "refused": refused, "in": seconds, "out": back}


def ours(files: list[bytes], names: list[str]) -> dict[str, Any]:
    stream = io.BytesIO()
    items = [data_item(data, f"{number}/{name}") for number, (name, data) in enumerate(zip(names, files, strict=True))]
    report = write_archive(stream, items, Library(), Settings(threads=1))
    pictures, apart = timed(lambda pair: parse(*pair), list(zip(files, names, strict=True)))
    some = [picture for picture in pictures if picture.coefficients]
    payloads, coding = timed(lambda picture: CODER.encode(picture.parts[0]), some)
    pairs = list(zip(payloads, some, strict=True))
    arrays, decoding = timed(lambda pair: CODER.decode(pair[0], len(pair[1].parts[0]), (8, 8, 1), np.uint16), pairs)
    whole = list(zip(some, arrays, strict=True))
    again, together = timed(lambda pair: write(pair[0].recipe, pair[0].blob, [pair[1]]), whole)
    assert again == [data for data, picture in zip(files, pictures, strict=True) if picture.coefficients]
    kept = [kept.note for kept in report.members if kept.how != "jpeg"]
    return {
        "bytes": len(stream.getvalue()), "refused": len(kept), "in": apart + coding, "out": decoding + together,
        "one by one": sum(map(len, payloads)), "why": sorted(set(kept)),
    }  # fmt: skip


def made(folder: Path, names: list[str]) -> None:
    """Versions of photos at half their size, which leaves no traces of their own JPEG: each of them in one folder, so
    that no two rows of the table are of the same pictures unless there are too few."""
    samplings = ("4:4:4", "4:2:2", "4:2:0")
    rows = [(encoder, quality, sampling) for encoder in ("libjpeg-turbo", "progressive")
            for quality in (75, 80, 85, 90, 95, 98) for sampling in samplings]  # fmt: skip
    for number, name in enumerate(names):
        picture = Image.open(name).convert("RGB")
        half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX)
        for turn in range(3):
            encoder, quality, sampling = rows[(3 * number + turn) % len(rows)]
            place = folder / f"{encoder} q{quality} {sampling.replace(':', '')}" / f"{Path(name).stem}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            half.save(place, "JPEG", quality=quality, subsampling=sampling, progressive=encoder == "progressive")


def measured(names: list[str]) -> dict[str, Any]:
    """A row of the table."""
    files = [Path(name).read_bytes() for name in names]
    total = sum(map(len, files))
    imagecodecs = importlib.import_module("imagecodecs")
    rows = {"bitsback": ours(files, [Path(name).name for name in names])}
    rows["JPEG XL"] = peer(files, imagecodecs.jpegxl_encode_jpeg, imagecodecs.jpegxl_decode_jpeg)
    try:
        lepton = importlib.import_module("lepton_jpeg_python")
        rows["Lepton"] = peer(files, lepton.compress_bytes, lepton.decompress_bytes)
    except ModuleNotFoundError:
        print("Lepton is not installed")
    print(f"{Path(names[0]).parent.name}: {len(files)} files, {total:,} bytes")
    for name, row in rows.items():
        speeds = f"{total / row['in'] / 1e6:6.2f} {total / row['out'] / 1e6:6.2f} MB/s"
        print(
            f"{name:<9} {row['bytes']:>12,} {row['bytes'] / total:.4f} {speeds}  {row['refused']} refused", flush=True
        )
    return {"files": len(files), "bytes": total, "codecs": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--make", type=Path)
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    if options.make:
        made(options.make, options.files)
        return
    CODER.prove()
    folders: dict[str, list[str]] = {}
    for name in sorted(options.files):
        folders.setdefault(Path(name).parent.name, []).append(name)
    first = parse(Path(options.files[0]).read_bytes(), "a.jpg")
    write(first.recipe, first.blob, first.parts)
    found = {folder: measured(names) for folder, names in folders.items()}
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
