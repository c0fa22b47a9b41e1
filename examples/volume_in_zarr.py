"""A volume in zarr by way of xarray and Dask: workers compress its chunks, and one slice is read without the others.

    pip install "bitsback[zarr,dask]" xarray
    python examples/volume_in_zarr.py        (--quick: a smaller volume)

Each chunk is a slab of slices, and an archive. Tasks are pure, so a worker that is lost costs only what it had in hand.
"""

import argparse
import tempfile
from pathlib import Path

import dask.array
import numpy as np
import xarray as xr
from distributed import Client
from zarr.codecs import ZstdCodec

from bitsback.integrations.zarr import Serializer

SLAB = 8


def volume(slices, edge):
    """Ellipsoids in noise, uint16 (slices, edge, edge), as a scanner might see them."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (slices, edge, edge)), indexing="ij", sparse=True)
    rng = np.random.default_rng(0)
    body = 600.0 * (x**2 / 0.8 + y**2 / 0.6 + z**2 < 1)
    for _ in range(12):
        a, b, c = rng.uniform(-0.5, 0.5, 3)
        body = body + rng.uniform(-200, 300) * ((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < rng.uniform(0.01, 0.06))
    return np.clip(body + 100 + 12 * rng.standard_normal((slices, edge, edge)), 0, 4095).astype(np.uint16)


def size(store):
    """Bytes of a store."""
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    slices, edge = (16, 48) if quick else (64, 192)
    scan = volume(slices, edge)
    lazy = dask.array.from_array(scan, chunks=(SLAB, edge, edge))
    data = xr.Dataset({"scan": (("z", "y", "x"), lazy)}, coords={"z": np.arange(slices) * 0.5})
    with tempfile.TemporaryDirectory() as folder, Client(n_workers=2, threads_per_worker=1, processes=not quick):
        for name, how in {
            "bitsback": {"serializer": Serializer(), "compressors": None},
            "zstd": {"compressors": ZstdCodec(level=19)},
        }.items():
            store = Path(folder, f"{name}.zarr")
            data.to_zarr(
                store, zarr_format=3, consolidated=False, encoding={"scan": how | {"chunks": (SLAB, edge, edge)}}
            )
            print(f"{name:9} {size(store):>10,} bytes of {scan.nbytes:,}")
        again = xr.open_zarr(Path(folder, "bitsback.zarr"), consolidated=False)
        assert (again["scan"].sel(z=3.0).values == scan[6]).all()  # decodes one slab of eight slices
        assert (again["scan"].values == scan).all()
        print("read back: equal")


if __name__ == "__main__":
    main()
