"""The samples as they are, for images that nothing makes smaller. No weights, nothing to compile."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from bitsback.errors import FormatError
from bitsback.kinds.base import Images, Shape


class Plain:
    """The coder: C order, little-endian."""

    tag, id, name, learns, starts, pace = 0, "", "plain", False, False, 1 << 24

    def accepts(self, shape: Shape, dtype: DTypeLike, levels: int | None = None) -> bool:
        return True

    def encode(self, images: Images, threads: int = 1) -> bytes:
        return little_endian(images)

    def decode(self, payload: bytes, count: int, shape: Shape, dtype: DTypeLike = np.uint8, threads: int = 1) -> Images:
        native = np.dtype(dtype)
        if len(payload) != count * shape[0] * shape[1] * shape[2] * native.itemsize:
            raise FormatError("plain samples do not fill their images")
        return np.frombuffer(payload, native.newbyteorder("<")).reshape(count, *shape).astype(native)

    def memory(self, count: int, shape: Shape, dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        return count * shape[0] * shape[1] * shape[2] * np.dtype(dtype).itemsize

    def prepare(self) -> None:
        """Nothing is loaded."""

    def prove(self) -> None:
        """Nothing is computed."""


def little_endian(images: Images) -> bytes:
    """The samples in C order, little-endian: what checks are taken over.

    >>> little_endian(np.array([[[[258]]]], np.uint16))
    b'\\x02\\x01'
    """
    return np.ascontiguousarray(images, images.dtype.newbyteorder("<")).tobytes()


CODER = Plain()
