"""The serializer of zarr 3, and version 2 through numcodecs: what is written is what is read."""

import json
from typing import Any

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

from zarr.storage import MemoryStore  # noqa: E402

from bitsback.integrations.numcodecs import BitsBack  # noqa: E402
from bitsback.integrations.zarr import Serializer  # noqa: E402

VOLUME = (np.add.outer(np.arange(9), np.add.outer(np.arange(20), np.arange(21))) * 7 % 251).astype(np.uint8)
DTYPES = ["u1", "<u2", ">u2", "<i4", "<f4", "?", "c8", "M8[ns]"]


@pytest.mark.filterwarnings("ignore:.*not have a Zarr V3 specification")
@pytest.mark.parametrize(
    ("dtype", "shards"), [(dtype, (8, 16, 16)) for dtype in DTYPES] + [("u1", None), (">u2", None), ("M8[ns]", None)]
)
def test_volumes(dtype: str, shards: Any) -> None:
    volume = VOLUME.astype(dtype)
    store = MemoryStore()
    zarr.create_array(
        store, data=volume, chunks=(4, 8, 16), shards=shards, serializer=Serializer(model="none"), compressors=None
    )
    array = zarr.open_array(store, mode="r+")
    np.testing.assert_array_equal(array[:], volume)
    np.testing.assert_array_equal(array[3:7, ::3, 5], volume[3:7, ::3, 5])
    ones = np.ones((4, 21), "i8").astype(dtype)
    array[2, 5:9] = ones
    assert (zarr.open_array(store)[2, 5:9] == ones).all()


def test_chunks_of_the_fill_value_are_not_stored() -> None:
    store = MemoryStore()
    zarr.create_array(store, data=np.zeros((8, 8), np.uint8), chunks=(4, 4), serializer=Serializer(), compressors=None)
    assert not [key for key in store._store_dict if key.startswith("c/")]


def test_what_stands_in_zarr_json() -> None:
    store = MemoryStore()
    zarr.create_array(store, shape=(4,), chunks=(4,), dtype="u1", serializer=Serializer("none"), compressors=None)
    codecs = json.loads(store._store_dict["zarr.json"].to_bytes())["codecs"]
    assert codecs == [{"name": "bitsback", "configuration": {"model": "none", "effort": "normal"}}]


def test_types_that_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers"):
        zarr.create_array(MemoryStore(), shape=(4,), chunks=(4,), dtype="U3", serializer=Serializer(), compressors=None)
    with pytest.raises(ValueError, match="effort"):
        Serializer(effort="most")  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["C", "F"])
def test_version_2(order: str) -> None:
    store = MemoryStore()
    array = zarr.create_array(
        store, data=VOLUME, chunks=(4, 8, 16), zarr_format=2, order=order, compressors=BitsBack(model="none")
    )
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[:], VOLUME)
    assert array.order == order
