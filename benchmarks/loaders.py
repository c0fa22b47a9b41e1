"""Images a second from a torch DataLoader, shuffled, out of archives and out of what one would take otherwise.

    pip install torch webdataset datasets
    python benchmarks/loaders.py --out benchmarks/results/loaders.json

The first thumbnails of the training set (``thumbnails/train.npz``, 32 x 32 in colour) as PNG files in a folder, in a
tar file for WebDataset, in an Arrow table of Hugging Face's datasets, and in archives: by the models that are chosen,
by those made for speed, without models; and once more by the chosen ones, with a folder that keeps what is decoded.
Each is gone through once, after a first time that is not counted, by the same two workers (``persistent_workers``) in
batches of 64; all images must come. Wall-clock time suffers from whatever else the machine does; CPU seconds are those
of the workers and of this process.
"""

from __future__ import annotations

import io
import os
import resource
import time
from collections.abc import Iterable
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

import bitsback
import measure
from bitsback.integrations.torch import ArchiveDataset, BlockSampler

BATCH, WORKERS, SHUFFLED = 64, 2, 4096
LOADING = {"num_workers": WORKERS, "persistent_workers": True}
MADE = {"bitsback": {}, "bitsback --effort fast": {"effort": "fast"}, "bitsback --model none": {"model": "none"}}
KEPT = "bitsback, kept decoded"


class Files:
    """PNG files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        with Image.open(self.paths[index]) as image:
            return np.array(image)


def pixels(data: bytes) -> Any:
    """A PNG file's."""
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image)


def arrays(row: dict[str, Any]) -> dict[str, Any]:
    """Rows of Hugging Face's with arrays in them."""
    return {"image": [np.asarray(image) for image in row["image"]]}


def png_of(sample: dict[str, Any]) -> Any:
    """What WebDataset's samples hold."""
    return pixels(sample["png"])


def image_of(rows: list[dict[str, Any]]) -> Any:
    """A batch of Hugging Face's rows."""
    return torch.from_numpy(np.stack([row["image"] for row in rows]))


def from_tar(path: Path) -> Iterable[Any]:
    """WebDataset; shards are shared out among workers, so there are two."""
    import webdataset as wds

    pattern = str(path / "{0..1}.tar")
    shuffled = wds.WebDataset(pattern, shardshuffle=2, empty_check=False).shuffle(SHUFFLED).map(png_of)
    return DataLoader(shuffled, batch_size=BATCH, **LOADING)


def from_arrow(path: Path) -> Iterable[Any]:
    """Hugging Face's datasets, with their Image feature."""
    from datasets import load_from_disk

    table = load_from_disk(str(path)).with_transform(arrays)
    return DataLoader(table, batch_size=BATCH, shuffle=True, collate_fn=image_of, **LOADING)


def from_archive(path: Path) -> Iterable[Any]:
    """Ours."""
    dataset = ArchiveDataset(path)
    return DataLoader(dataset, batch_sampler=BlockSampler(dataset, BATCH, workers=WORKERS), **LOADING)


def from_kept(path: Path) -> Iterable[Any]:
    """Ours, decoded in the first epoch only."""
    dataset = ArchiveDataset(path, keep=path.with_name("kept"))
    return DataLoader(dataset, batch_sampler=BlockSampler(dataset, BATCH, workers=WORKERS), **LOADING)


def from_files(path: Path) -> Iterable[Any]:
    """PNG files."""
    return DataLoader(Files(path), batch_size=BATCH, shuffle=True, **LOADING)


def make(images: Any, folder: Path) -> dict[str, tuple[Path, Any]]:
    """All forms of the images: where they are, and what reads them."""
    import webdataset as wds
    from datasets import Dataset, Features
    from datasets import Image as Feature

    png = folder / "png"
    png.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(png / f"{number:06d}.png")
    files = sorted(png.iterdir())
    (folder / "tar").mkdir()
    for shard in (0, 1):
        with wds.TarWriter(str(folder / "tar" / f"{shard}.tar"), mtime=0) as tar:
            for path in files[shard::2]:
                tar.write({"__key__": path.stem, "png": path.read_bytes()})
    rows = {"image": [{"bytes": path.read_bytes(), "path": None} for path in files]}
    Dataset.from_dict(rows, features=Features({"image": Feature()})).save_to_disk(str(folder / "arrow"))
    made: dict[str, tuple[Path, Any]] = {
        "PNG files": (png, from_files),
        "WebDataset": (folder / "tar", from_tar),
        "Hugging Face": (folder / "arrow", from_arrow),
    }
    for name, how in MADE.items():
        path = folder / f"{name.replace(' ', '')}.bba"
        bitsback.compress(png, path, pixels=True, verify=False, **how)
        made[name] = (path, from_archive)
    made[KEPT] = (made["bitsback"][0], from_kept)
    return made


def size_of(path: Path) -> int:
    """Bytes of a file or of a folder's files."""
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) or path.stat().st_size


def used() -> float:
    """CPU seconds of this process and of its workers."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    theirs = (Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split() for worker in active_children())
    ticks = sum(int(fields[11]) + int(fields[12]) for fields in theirs)
    return mine.ru_utime + mine.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def row_of(name: str, path: Path, read: Any, expected: tuple[int, int]) -> dict[str, Any]:
    """How long one form takes."""
    loader = read(path)
    for _ in range(2):
        began, cpu, count, total = time.perf_counter(), used(), 0, 0
        for batch in loader:
            count, total = count + len(batch), total + int(batch.sum(dtype=torch.int64))
        seconds, cpu = time.perf_counter() - began, used() - cpu
        assert (count, total) == expected, name
    nbytes = size_of(path) + (size_of(path.with_name("kept")) if name == KEPT else 0)
    return {"name": name, "bytes": nbytes, "images": count, "seconds": round(seconds, 2), "cpu": round(cpu, 2)}


def main() -> None:
    """See the top of the file."""
    parser = measure.arguments("Images a second from a DataLoader.", "loaders.json")
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    with np.load(options.data / "thumbnails" / "train.npz") as file:
        images = file[file.files[0]][: options.images]
    rows = []
    with TemporaryDirectory() as folder:
        expected = len(images), int(images.sum(dtype=np.int64))
        for name, (path, read) in make(images, Path(folder)).items():
            rows.append(row_of(name, path, partial(read), expected))
            print(rows[-1], flush=True)
    measure.write(options.out, {"machine": measure.machine(), "workers": WORKERS, "batch": BATCH, "rows": rows})


if __name__ == "__main__":
    main()
