"""Archives damaged at random: no wrong file comes out, and no intact one is lost; and parity repairs what it promises.

    python benchmarks/faults/damage.py [--damages 1000] [--parity 200] [--seed 1]

The archive is of a folder that holds an older archive of itself, so that recovery meets chunks that look like its own.
Damages are bytes, sectors, cuts, fronts that are missing, and bytes put in. A file is intact if no byte is that its
blocks, the heads of their chunks, and one copy of the directory stand in. Where nothing was moved, each of those has to
come out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from random import Random

import numpy as np
from trials import damages, summary

import bitsback
from bitsback import api
from bitsback.archive.container import Kind
from bitsback.archive.protect import mended
from bitsback.archive.structure import Member
from bitsback.errors import BitsBackError

SECTOR = 512
BLOCK = 1 << 14

Span = tuple[int, int]
Files = dict[str, bytes]


def fill(folder: Path, seed: int) -> None:
    """Pictures, texts and noise, other ones for another seed."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    for i in range(30):
        picture = np.cumsum(random.integers(-3, 4, (40, 50)), 1).astype(np.uint8)
        (folder / f"img-{i:02d}.pgm").write_bytes(b"P5 50 40 255\n" + picture.tobytes())
    for i in range(6):
        (folder / f"doc-{i}.txt").write_text(f"{seed} text {i} " * int(random.integers(5, 200)))
    (folder / "noise.bin").write_bytes(random.bytes(30_000))


def nested(folder: Path, **options: float) -> tuple[bytes, Files]:
    """An archive that holds an older one of the same folder, and what is in it by name."""
    with chdir(folder):
        fill(Path("f"), 1)
        api.compress("f", "f/older.bba", block=BLOCK, threads=1)
        fill(Path("f"), 2)
        api.compress("f", "outer.bba", block=BLOCK, threads=1, **options)
        return Path("outer.bba").read_bytes(), {f"f/{path.name}": path.read_bytes() for path in Path("f").iterdir()}


def needed(archive: bitsback.Archive, member: Member) -> list[Span]:
    """The bytes that a member's content stands in, heads of chunks included."""
    found: list[Span] = []
    structure = archive.structure
    for place in structure.places.get(member.content, ()):
        chunk = structure.chunks[place.chunk]
        frame = chunk.chunk
        found.append((frame.offset, frame.payload_offset))
        if not place.piece.part:
            found.append((frame.payload_offset, frame.payload_offset + chunk.starts[0]))
            continue
        first, last = place.offset, place.offset + place.piece.length
        for number in range(len(chunk.head.blocks)):
            if chunk.firsts[number] < last and chunk.firsts[number + 1] > first:
                found.append(
                    (frame.payload_offset + chunk.starts[number], frame.payload_offset + chunk.starts[number + 1])
                )
    return found


def damaged(data: bytes, random: Random) -> tuple[bytes, str, list[Span]]:
    """The archive with a damage, what it is, and which bytes it hit; none are named if others were moved."""
    kind = random.choice(["bytes", "sectors", "cut", "front", "insert"])
    if kind == "cut":
        short = damages.cut(data, random)
        return short, kind, [(len(short), len(data))]
    if kind == "front":
        return data[random.randrange(len(data) // 2) :], kind, []
    if kind == "insert":
        return damages.insert(data, random), kind, []
    size = 1 if kind == "bytes" else SECTOR
    hit, changed = [], bytearray(data)
    for _ in range(random.choice([1, 2, 5, 20] if kind == "bytes" else [1, 2, 4])):
        at = random.randrange(len(data)) // size * size
        end = min(at + size, len(data))
        changed[at:end] = bytes([changed[at] ^ random.randrange(1, 256)]) if size == 1 else random.randbytes(end - at)
        hit.append((at, end))
    return bytes(changed), kind, hit


def contents(archive: bitsback.Archive) -> Iterator[tuple[str, bytes]]:
    """What comes out, by name."""
    for member, content in archive.contents(threads=1):
        if not isinstance(content, BitsBackError):
            try:
                yield member.name, b"".join(content)
            except BitsBackError:
                continue


def recover(count: int, seed: int) -> list[object]:
    """Damage the archive in so many ways; return what went wrong."""
    faults: list[object] = []
    with tempfile.TemporaryDirectory() as folder:
        data, truth = nested(Path(folder))
    whole = bitsback.open(data)
    needs = {member.name: needed(whole, member) for member in whole.members if member.content is not None}
    directories = [(chunk.offset, chunk.end) for chunk in whole.structure.each(Kind.DIRECTORY)]
    random, out, due, began = Random(seed), 0, 0, time.process_time()
    for number in range(count):
        bad, kind, hit = damaged(data, random)

        def intact(span: Span, hit: list[Span] = hit) -> bool:
            return all(end <= span[0] or begin >= span[1] for begin, end in hit)

        found: Files = {}
        try:
            with bitsback.open(bad, damaged=True) as archive:
                found = dict(contents(archive))
        except BitsBackError:
            pass
        faults += [(number, kind, hit[:3], "wrong", name) for name in found if truth.get(name) != found[name]]
        if hit and any(map(intact, directories)):
            safe = [name for name, spans in needs.items() if all(map(intact, spans))]
            due += len(safe)
            faults += [(number, kind, hit[:3], "lost", name) for name in safe if name not in found]
        out += len(found)
    seconds = time.process_time() - began
    print(f"{count} damages of {len(data):,} bytes: {out} files out, {due} intact ones due, {seconds:.0f} CPU s")
    return faults


def repair(count: int, seed: int) -> list[object]:
    """Damage up to 5 % of the sectors of an archive that parity protects, before and after something was added."""
    faults: list[object] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, truth = nested(folder, parity=0.05)
        with chdir(folder):
            fill(Path("g"), 3)
            api.add("outer.bba", "g", threads=1)
            grown = Path("outer.bba").read_bytes()
            more = truth | {f"g/{path.name}": path.read_bytes() for path in Path("g").iterdir()}
        random, began = Random(seed), time.process_time()
        for number in range(count):
            data, expected = ((first, truth), (grown, more))[number % 2]
            # what was added is protected for itself, so a damage of it alone may be 5 % of that
            sectors = int(0.05 * (damages.count(first) if number % 2 else damages.count(data)))
            if number % 2:
                sectors = min(sectors, int(0.05 * (damages.count(grown) - damages.count(first))))
            damage = damages.some(data, random, max(1, random.randint(1, max(1, sectors))))
            path = folder / "bad.bba"
            path.write_bytes(damage.data)
            with path.open("rb") as stream, mended(stream) as (whole, _):
                try:
                    with bitsback.open(whole, damaged=True) as archive:
                        found = dict(contents(archive))
                except BitsBackError as error:
                    found = {"": str(error).encode()}
            if found != expected:
                faults.append((number, damage.words, "not repaired", len(found), found.get("", b"").decode()))
        sizes = f"{len(first):,} and {len(grown):,} bytes"
        print(f"{count} damages of {sizes} with parity: {time.process_time() - began:.0f} CPU s")
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--damages", type=int, default=1000, help="of the archive that holds an older one")
    parser.add_argument("--parity", type=int, default=200, help="of archives with parity")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ["BITSBACK_THREADS"] = "1"
    summary([*recover(options.damages, options.seed), *repair(options.parity, options.seed)])


if __name__ == "__main__":
    main()
