"""Arrays in zarr: bytes beside what zarr has for them, read back through Dask with two workers, one of them killed.

    pip install "bitsback[dask,zarr]" xarray
    python benchmarks/chunks.py --out benchmarks/results/chunks.json

Digits (2,000 x 28 x 28), photos (n x 512 x 768 x 3, the Kodak set over and over with ``--photos`` over 24, cut to size)
and a volume of 16 bits (``collections/mri16.tar``), each in shards. Bytes are those of the store. Every array is read
back by this process and compared; the digits are then written once more by two workers of Dask, one of which is killed.
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
from bitsback.integrations.dask import connect
from bitsback.integrations.zarr import Serializer
from cluster import cluster


def photos(folder: Path, count: int) -> Any:
    """Photos that lie, 512 x 768."""
    found = []
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as image:
            pixels = np.asarray(image)
        found.append(pixels if pixels.shape[0] < pixels.shape[1] else pixels.transpose(1, 0, 2))
    return np.stack([found[k % len(found)] for k in range(count)])


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
    from imagecodecs import jpegxl_decode, jpegxl_encode

    total = 0
    for image in array:
        data = jpegxl_encode(image, lossless=True, effort=7, numthreads=1)
        assert np.array_equal(jpegxl_decode(data), image)
        total += len(data)
    return total


def killed(array: Any, folder: Path) -> dict[str, Any]:
    """Digits written by two workers, one of which is killed in the middle."""
    target = zarr.create_array(str(folder), shape=array.shape, dtype=array.dtype, chunks=(100, *array.shape[1:]),
                               serializer=Serializer(), compressors=None)  # fmt: skip
    with cluster(2) as there, connect(f"127.0.0.1:{there.port}") as client:
        client.wait_for_workers(2)
        stored = dask.array.from_array(array, chunks=(100, *array.shape[1:])).to_zarr(target, compute=False)
        future = client.compute(stored, retries=2)
        time.sleep(1)
        there.down(slice(-1, None))
        future.result(timeout=300)
        same = bool((dask.array.from_zarr(str(folder)).compute(scheduler=client.get) == array).all())
    return {"same": same, "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())}


def main() -> None:
    """See the top of the file."""
    parser = measure.arguments("Arrays in zarr.", "chunks.json")
    parser.add_argument("--photos", type=int, default=64, help="how many of them")
    parser.add_argument("--effort", default="normal", help="of bitsback, on photos")
    options = parser.parse_args()
    mri = volume(options.data / "collections" / "mri16.tar")
    digits = measure.digits(options.data, "8-bit", 2000)
    arrays = {
        "digits": (digits, (500, 28, 28), (1000, 28, 28), "normal"),
        "volume": (mri, (16, *mri.shape[1:]), (-(-len(mri) // 32) * 32, *mri.shape[1:]), "normal"),
        "photos": (photos(options.data / "kodak", options.photos), (4, 512, 768, 3), (8, 512, 768, 3), options.effort),
    }
    rows: list[dict[str, Any]] = []
    faults: dict[str, Any] = {}
    for name, (array, chunks, shards, effort) in arrays.items():
        codecs: dict[str, dict[str, Any]] = {
            "zstd": {"compressors": ZstdCodec(level=19)},
            "blosc": {"compressors": Blosc(cname="zstd", clevel=9, shuffle=1 if array.itemsize > 1 else 0)},
            "bitsback": {"serializer": Serializer(effort=effort), "compressors": None},
        }
        row: dict[str, Any] = {"array": name, "shape": array.shape, "raw": array.nbytes, "effort": effort}
        for codec, how in codecs.items():
            with TemporaryDirectory() as folder:
                row[codec] = stored(array, chunks, shards, Path(folder), **how)
        row["jpegxl"] = jpeg_xl(array)
        rows.append(row)
        print(row, flush=True)
        if name == "digits":
            with TemporaryDirectory() as folder:
                faults = killed(array, Path(folder))
                print(faults, flush=True)
        measure.write(
            options.out, {"machine": measure.machine(), "zarr": zarr.__version__, "rows": rows, "killed": faults}
        )


if __name__ == "__main__":
    main()
