"""What the trials of faults share: things to store, the command in a process of its own, and folders compared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from archive import damages
from archive.trees import Thing, deep, look, room


def collection(folder: Path, seed: int = 0) -> Path:
    """Make a folder with a drawing, a photo, a palette image, digits and a text; return it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:45, 0:60]
    drawing = np.full((45, 60, 3), 255, np.uint8)
    drawing[(x // 9 + y // 7) % 5 == 0] = 20, 60, 200
    drawing[((x - 30) ** 2 + (y - 22) ** 2) // 40 == 5] = 0
    photo = 120 + 60 * np.sin(y / 23)[..., None] + 40 * np.cos(x / 17)[..., None] + 9 * np.arange(3)
    photo = np.clip(photo + random.normal(0, 3, photo.shape), 0, 255).astype(np.uint8)
    Image.fromarray(drawing).save(folder / "drawing.png")
    Image.fromarray(photo).save(folder / "photo.png")
    Image.fromarray(drawing[::-1]).convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "palette.png")
    Image.fromarray(photo[:, :, 0]).save(folder / "grey.tiff")
    (folder / "notes.txt").write_text(f"collection {seed}\n" + "line after line\n" * 50)
    return folder


class Done(NamedTuple):
    """How a command ended: its exit status, negative if by a signal, and all that it said."""

    code: int
    said: str


def start(
    *arguments: object, at: Path | None = None, python: str = sys.executable, threads: int = 1, **environment: str
) -> subprocess.Popen[str]:
    """Start ``bitsback ...`` in a fresh process, in the folder ``at``; it tells where it was if a signal ends it."""
    return subprocess.Popen(
        [python, "-X", "faulthandler", "-m", "bitsback", *map(str, arguments)],
        cwd=at,
        env=os.environ | {"BITSBACK_THREADS": str(threads)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for the end of a process, but no more than ten minutes."""
    said, _ = process.communicate(timeout=600)
    return Done(process.returncode, said.strip())


def bitsback(*arguments: object, at: Path | None = None, threads: int = 1, **environment: str) -> Done:
    """The command, from beginning to end."""
    return ended(start(*arguments, at=at, threads=threads, **environment))


def same_pixels(one: Path, other: Path) -> bool:
    """Whether two folders hold the same names, images of the same pixels, and other files of the same bytes."""
    names = [sorted(path.name for path in folder.iterdir()) for folder in (one, other)]
    return names[0] == names[1] and all(np.array_equal(_seen(one / name), _seen(other / name)) for name in names[0])


def _seen(path: Path) -> NDArray[Any]:
    if path.suffix in (".png", ".tiff"):
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    return np.frombuffer(path.read_bytes(), np.uint8)


def differences(one: dict[bytes, Thing], other: dict[bytes, Thing]) -> list[bytes]:
    """The paths where two folders are not the same, by what :func:`look` saw."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def summary(faults: Sequence[object]) -> None:
    """Say how many faults were found, and end with 1 if there was one."""
    for fault in faults[:20]:
        print("FAULT", fault)
    print(f"{len(faults)} faults")
    sys.exit(bool(faults))


__all__ = ["bitsback", "collection", "damages", "deep", "differences", "ended"]
__all__ += ["look", "room", "same_pixels", "start", "summary"]
