"""A codec of numcodecs: chunks of zarr version 2, kerchunk and the like as archives of an array each.

numcodecs finds it by its entry point: ``compressor=numcodecs.get_codec({"id": "bitsback"})``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ensure_contiguous_ndarray, ensure_ndarray_like, ndarray_copy

from bitsback.api import compress, decompress
from bitsback.archive.choice import Effort


class BitsBack(Codec):  # type: ignore[misc]
    """Arrays as archives; bytes as an array of them.

    A chunk is best a stack of images, (n, height, width) or (n, height, width, channels), of hundreds of kilobytes or
    more: each chunk is compressed by itself.

    Args:
        model: as for :func:`bitsback.compress`: "auto", "none", or the name of a model that whoever reads has, too.
        effort: "fast", "normal" or "max".

    >>> import numpy as np
    >>> codec = BitsBack(model="none")
    >>> codec.decode(codec.encode(np.arange(6, dtype=np.uint8).reshape(2, 3))).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """

    codec_id: ClassVar[str] = "bitsback"

    def __init__(self, model: str = "auto", effort: Effort = "normal") -> None:
        self.model, self.effort = model, effort

    def encode(self, buf: Any) -> bytes:
        """An archive of an array, its memory order included, or of the bytes of any other buffer. TypeError for
        objects."""
        array = ensure_ndarray_like(buf)
        if array.dtype.kind == "O":
            raise TypeError("bitsback takes arrays of numbers, not of objects")
        # What zarr hands on is memory: of an array in Fortran's order it reads the bytes in that order again
        in_memory = array.flags.c_contiguous or array.flags.f_contiguous
        whole = array if in_memory else np.ascontiguousarray(array)
        return compress(whole, model=self.model, effort=self.effort, threads=1)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The array, in the order that it had, written into ``out`` if that is given. TypeError if ``out`` holds
        objects."""
        if out is not None:
            ensure_contiguous_ndarray(out)
        return ndarray_copy(decompress(ensure_bytes(buf), threads=1), out)
