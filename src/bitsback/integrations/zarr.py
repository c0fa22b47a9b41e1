"""A serializer of zarr version 3: chunks as archives of an array each.

zarr finds it by its entry point, so that arrays open wherever bitsback is installed:

    zarr.create_array(store, data=volume, chunks=(64, 512, 512), serializer=Serializer(), compressors=None)
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer

from bitsback.api import compress, decompress
from bitsback.archive.choice import EFFORTS, Effort

NAME = "bitsback"


@dataclass(frozen=True)
class Serializer(ArrayBytesCodec):
    """Chunks as archives, in shards or without; nothing should compress them again (``compressors=None``).

    A chunk is best a stack of images or a slab of a volume of hundreds of kilobytes or more: each is compressed by
    itself. Edge chunks come padded, and chunks of nothing but the fill value are not stored at all: that is zarr's.

    Args:
        model: as for :func:`bitsback.compress`: "auto", "none", or the name of a model that whoever reads has, too.
        effort: "fast", "normal" or "max".
    """

    is_fixed_size = False

    model: str = "auto"
    effort: Effort = "normal"

    def __post_init__(self) -> None:
        if self.effort not in EFFORTS:
            raise ValueError(f"effort is one of {', '.join(EFFORTS)}, not {self.effort!r}")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Serializer:
        """From zarr.json: the name, and a configuration of ``model`` and ``effort``."""
        return cls(**(data.get("configuration") or {}))

    def to_dict(self) -> dict[str, Any]:
        """For zarr.json."""
        return {"name": NAME, "configuration": {"model": self.model, "effort": self.effort}}

    def validate(self, *, shape: Any, dtype: Any, chunk_grid: Any) -> None:
        """Refuse, with ValueError, all types but numbers, truth values and times."""
        native = dtype.to_native_dtype() if hasattr(dtype, "to_native_dtype") else np.dtype(dtype)
        if native.kind not in "biufcmM":
            raise ValueError(f"bitsback takes arrays of numbers, not of {native}")

    def _encode_sync(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        array = np.ascontiguousarray(chunk_array.as_numpy_array())
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)  # zarr's types have no order of their own
        data = compress(array, model=self.model, effort=self.effort, threads=1)
        return chunk_spec.prototype.buffer.from_bytes(data)

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype = chunk_spec.dtype.to_native_dtype()
        array = decompress(chunk_bytes.to_bytes(), threads=1)
        if array.nbytes != int(np.prod(chunk_spec.shape)) * dtype.itemsize:
            raise ValueError(f"a chunk holds {array.shape} of {array.dtype}, not {chunk_spec.shape} of {dtype}")
        array = array.view(dtype.newbyteorder("<")).astype(dtype, copy=False)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(array.reshape(chunk_spec.shape))

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._encode_sync, chunk_array, chunk_spec)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Not known before."""
        raise NotImplementedError
