"""JPEG files as they are found, and damaged ones: all come back; how many are rebuilt, and why others are kept.

    python benchmarks/faults/jpeg_files.py FILES ... [--mutated 5000] [--coded 300000] [--json results.json]

Every file is taken apart and put together again; those of at most ``--coded`` bytes go through the coder, too. Then
small ones are mutated (bits, bytes, pieces) or cut off, at random places from a fixed seed.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bitsback.files import parse, write
from bitsback.kinds import WITHOUT_WEIGHTS

CODER = WITHOUT_WEIGHTS[5]


def outcome(data: bytes, name: str, coded: int) -> str:
    """What became of a file. AssertionError if it would not come back."""
    picture = parse(data, name)
    if not picture.coefficients:
        assert picture.raw == data, name
        return picture.note or "another format"
    parts = picture.parts
    if len(data) <= coded:
        parts = [CODER.decode(CODER.encode(part), len(part), (8, 8, 1), np.uint16) for part in parts]
    assert write(picture.recipe, picture.blob, parts) == data, name
    return "rebuilt, with oddities" if "odd" in picture.recipe else "rebuilt"


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One of four kinds of damage."""
    out, kind = bytearray(data), rng.randrange(4)
    if kind == 3:
        return data[: rng.randrange(4, max(5, len(data)))]
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(3, len(out))
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.randrange(256)
        else:
            out[at : at + rng.randrange(20)] = rng.randbytes(rng.randrange(20))
    return bytes(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--mutated", type=int, default=5000)
    parser.add_argument("--coded", type=int, default=300_000)
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    whole: Counter[str] = Counter()
    small: list[bytes] = []
    size, slowest = 0, 0.0
    for name in options.files:
        data = Path(name).read_bytes()
        if not data.startswith(b"\xff\xd8\xff"):
            continue
        whole[outcome(data, name, options.coded)] += 1
        size += len(data)
        small += [data] if 600 < len(data) < 40_000 else []
    print(f"{whole.total():,} files, {size:,} bytes: {dict(whole.most_common())}", flush=True)
    rng, mutated = random.Random(7), Counter[str]()
    for _ in range(options.mutated):
        began = time.process_time()
        mutated[outcome(damaged(rng.choice(small), rng), "damaged.jpg", options.coded)] += 1
        slowest = max(slowest, time.process_time() - began)
    print(f"{mutated.total():,} damaged, of {len(small):,}: {dict(mutated.most_common())}; the slowest {slowest:.2f} s")
    if options.json:
        found: dict[str, Any] = {"files": whole.total(), "bytes": size, "whole": dict(whole.most_common())}
        found |= {"sources": len(small), "damaged": dict(mutated.most_common()), "slowest": slowest}
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
