"""Arrays in zarr: bytes beside what zarr has for them, read back through Dask with two workers, one of them killed.

    pip install "bitsback[dask,zarr]" xarray
    python benchmarks/chunks.py --out benchmarks/results/chunks.json

Digits (2,000 x 28 x 28), a volume of 16 bits (``collections/mri16.tar``), and pieces of photos (64 x 512 x 768 x 3) out
of the files of a folder that ``--photos`` names, each in shards. Bytes are those of the store. Every array is read back
by this process and compared; digits and photos are then written once more by two workers of Dask, one of which is
killed in the middle.
"""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask.array
import numpy as np
import zarr
from PIL import Image
from zarr.codecs import ZstdCodec
from zarr.codecs.numcodecs import Blosc

import measure
import peers
from bitsback.integrations.dask import connect
from bitsback.integrations.zarr import Serializer
from cluster import cluster


def photos(folder: Path, count: int) -> Any:
    """Pieces of 512 x 768 of the photos in a folder, one of each, then a second of each, and so on. They are halved
    first, which takes the traces of JPEG away."""
    pieces: list[tuple[int, str, Any]] = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            half = np.asarray(image.convert("RGB").reduce(2))
        across = [(y, x) for y in range(0, len(half) - 511, 512) for x in range(0, half.shape[1] - 767, 768)]
        pieces += [(number, path.name, half[y : y + 512, x : x + 768]) for number, (y, x) in enumerate(across)]
    if len(pieces) < count:
        raise SystemExit(f"{folder} has {len(pieces)} pieces of photos, not {count}")
    return np.stack([piece for _, _, piece in sorted(pieces, key=lambda one: one[:2])[:count]])


def volume(path: Path) -> Any:
    """Slices of 16 bits, those of the shape of the first."""
    with tarfile.open(path) as tar:
        names = sorted(member.name for member in tar if member.isfile())
        found = [np.asarray(Image.open(io.BytesIO(tar.extractfile(name).read()))) for name in names]  # type: ignore[union-attr]
    return np.stack([one for one in found if one.shape == found[0].shape]).astype(np.uint16)


def stored(array: Any, chunks: tuple[int, ...], shards: tuple[int, ...], folder: Path, **how: Any) -> dict[str, Any]:
    """What an array takes, and the CPU seconds there and back."""
    began = time.process_time()
    made = zarr.create_array(str(folder), shape=array.shape, dtype=array.dtype, chunks=chunks, shards=shards, **how)
    made[:] = array
    written = time.process_time()
    assert np.array_equal(zarr.open_array(str(folder))[:], array)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"bytes": size, "in": round(written - began, 1), "out": round(time.process_time() - written, 1)}


def jpeg_xl(array: Any) -> int | None:
    """Bytes of all images, each by itself in JPEG XL, as imagecodecs has it for zarr."""
    return peers.measured(peers.jpegxl(7), "each", list(array)).bytes


def killed(array: Any, slab: int, folder: Path, **how: Any) -> dict[str, Any]:
    """An array written by two workers, ``slab`` images a task; one worker is killed when the first task is done."""
    shape = (slab, *array.shape[1:])
    target = zarr.create_array(str(folder), shape=array.shape, dtype=array.dtype, chunks=shape, **how)
    with cluster(2) as there, connect(f"127.0.0.1:{there.port}") as client:
        client.wait_for_workers(2)
        stored = dask.array.from_array(array, chunks=shape).to_zarr(target, compute=False)
        future = client.compute(stored, retries=2)
        while not any(path.is_file() and path.name != "zarr.json" for path in folder.rglob("*")):
            time.sleep(0.1)
        there.down(slice(-1, None))
        future.result(timeout=1200)
        same = bool((dask.array.from_zarr(str(folder)).compute(scheduler=client.get) == array).all())
    return {"same": same, "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())}


def main() -> None:
    """See the top of the file."""
    parser = measure.arguments("Arrays in zarr.", "chunks.json")
    parser.add_argument("--photos", type=Path, help="a folder of large photos; without it, there are none")
    parser.add_argument("--count", type=int, default=64, help="pieces of them")
    parser.add_argument("--effort", default="normal", help="of bitsback, on photos")
    options = parser.parse_args()
    mri = volume(options.data / "collections" / "mri16.tar")
    digits = measure.digits(options.data, "8-bit", 2000)
    arrays = {
        "digits": (digits, (500, 28, 28), (1000, 28, 28), "normal"),
        "volume": (mri, (16, *mri.shape[1:]), (-(-len(mri) // 32) * 32, *mri.shape[1:]), "normal"),
    }
    if options.photos:
        pieces = photos(options.photos, options.count)
        arrays["photos"] = (pieces, (4, 512, 768, 3), (8, 512, 768, 3), options.effort)
    rows: list[dict[str, Any]] = []
    for name, (array, chunks, shards, effort) in arrays.items():
        ours = {"serializer": Serializer(effort=effort), "compressors": None}
        codecs: dict[str, dict[str, Any]] = {
            "zstd": {"compressors": ZstdCodec(level=19)},
            "blosc": {"compressors": Blosc(cname="zstd", clevel=9, shuffle=1 if array.itemsize > 1 else 0)},
            "bitsback": ours,
        }
        row: dict[str, Any] = {"array": name, "shape": array.shape, "raw": array.nbytes, "effort": effort}
        for codec, how in codecs.items():
            with TemporaryDirectory() as folder:
                row[codec] = stored(array, chunks, shards, Path(folder), **how)
        row["jpegxl"] = jpeg_xl(array)
        print(row, flush=True)
        if name != "volume":
            with TemporaryDirectory() as folder:
                row["killed"] = killed(array, chunks[0] // 4 if name == "digits" else chunks[0], Path(folder), **ours)
            print(row["killed"], flush=True)
        rows.append(row)
        measure.write(options.out, {"machine": measure.machine(), "zarr": zarr.__version__, "rows": rows})


if __name__ == "__main__":
    main()
