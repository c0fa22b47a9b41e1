"""A folder with everything that a folder may hold: compressed, tested, and decompressed, it is no different.

    python benchmarks/faults/tree.py

Names that other systems cannot have, names that are no UTF-8, twins by case and by normal form, empty folders and
private ones, 1,500 folders within each other, symbolic and hard links, times of 1901 to 2446, every mode. Compared are
types, modes, times to the nanosecond, the texts of links, which names are links to the same file, and contents; and
``rsync``, where it is there, has to find nothing to do, as far as its paths go.
"""

from __future__ import annotations

import os
import subprocess
import unicodedata
from contextlib import chdir
from pathlib import Path

from trials import bitsback, deep, differences, look, room, summary

NAMES = (
    "a:b.txt", "run 12:30", "back\\slash.txt", "q?.txt", "star*.txt", "<lt>.txt", "pipe|.txt", '"quote".txt', "trail.",
    "trail ", "CON", "nul.txt", "com1", "tab\there", "new\nline", " lead", "ünïcode.txt", "日本.txt", "-dash", "~tilde",
    ".hidden", "a" * 255, "%41", "\x7fdel", "\x01ctl",
)  # fmt: skip
SECONDS = (-2_177_452_800, -31_536_000, -1, 0, 1_700_000_000, 13_569_465_600, 15_032_385_535)
"""Of 1901, 1969 (twice), 1970, 2023, 2400 and 2446."""


def tree(top: Path) -> None:
    """Make it. Times of folders come last."""
    top.mkdir()
    for number, name in enumerate(NAMES):
        (top / name).write_text(f"content {number}")
    for number in range(4):
        Path(os.fsdecode(bytes(top) + b"/bytes-\xff\xfe%d" % number)).write_text("not UTF-8")
    twins = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    for name in ("twins", "empty", "private", "links", "times", "modes"):
        (top / name).mkdir()
    for name in ("A", "a", "Readme", "README", "readme", *twins):
        (top / "twins" / name).write_text(name)
    (top / "private" / "secret").write_text("secret")
    (top / "private").chmod(0o700)
    deep(top, 1500, "deep", _bottom)
    targets = ("../q?.txt", "/etc/passwd", "../../outside", "nowhere", "../twins", os.fsdecode(b"\xff"))
    for number, target in enumerate(targets):
        (top / "links" / str(number)).symlink_to(target)
    for name in ("links/same", "private/same"):
        (top / name).hardlink_to(top / "star*.txt")
    for mode in range(0o10000):
        path = top / "modes" / f"{mode:04o}"
        path.write_text("m")
        path.chmod(mode)
    for mode in (0o2777, 0o1777, 0o000, 0o555):
        (top / "modes" / f"folder-{mode:o}").mkdir()
        (top / "modes" / f"folder-{mode:o}").chmod(mode)
    for second in SECONDS:
        for kind in ("file", "folder"):
            path = top / "times" / f"{kind} {second}"
            path.write_text("t") if kind == "file" else path.mkdir()
            os.utime(path, ns=(0, second * 10**9 + 123_456_789))


def _bottom(descriptor: int, level: int) -> None:
    if level % 500 == 499:
        with open(os.open(b"note", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor), "w") as file:  # noqa: PTH123
            file.write(f"level {level}")


def rsync(one: Path, other: Path) -> list[str]:
    """What rsync would do to make one the other."""
    options = ["-nrclptHi", "--delete", "--modify-window=-1", "--exclude=deep"]
    try:
        done = subprocess.run(["rsync", *options, f"{one}/", f"{other}/"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return [os.fsdecode(line) for line in (done.stdout + done.stderr).splitlines()]


def main() -> None:
    faults: list[object] = []
    with room() as place:
        tree(place / "tree")
        before = look(place / "tree")
        for command in (
            ["compress", "tree", "-o", "a.bba"],
            ["test", "a.bba"],
            ["decompress", "a.bba", "-C", "out", "-p"],
        ):
            done = bitsback(*command, at=place)
            print(f"{command[0]}: {done.code}, {done.said[-300:]}", flush=True)
            if done.code or "warning" in done.said:
                faults.append(f"{command[0]} ended with {done.code}: {done.said[:1000]}")
        after = look(place / "out/tree") if (place / "out/tree").is_dir() else {}
        faults += differences(before, after)
        with chdir(place):
            faults += rsync(Path("tree"), Path("out/tree"))
        print(f"{len(before)} members, {(place / 'a.bba').stat().st_size:,} bytes")
    summary(faults)


if __name__ == "__main__":
    main()
