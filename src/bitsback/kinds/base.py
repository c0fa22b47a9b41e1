"""What a kind of model can do. The rooms above ask this face, never a kind's name.

A *kind* is a way to code images, with a folder of its own in :mod:`bitsback.kinds`. What codes is a :class:`Coder`: a
kind together with its weights, if it has any. A coder is known by two things that an archive stores: the ``tag`` of
its kind, which stands for one payload format for ever, and the ``id`` of its weights.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

Images = NDArray[Any]
"""(n, height, width, channels), uint8 or uint16, C-contiguous."""

Shape = tuple[int, int, int]
"""Height, width, channels of an image."""


class Coder(Protocol):
    """A kind with its weights: images in, payload out, and back. One object may serve several threads."""

    @property
    def tag(self) -> int:
        """The payload format, 0 to 255: what an archive calls the kind."""

    @property
    def id(self) -> str:
        """SHA-256 of the model file, hex; empty for a kind without weights."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def learns(self) -> bool:
        """Whether it learns from the images as it codes them, so that a small sample does it no justice."""

    @property
    def pace(self) -> int:
        """About how many samples one core decodes in a tenth of a second. A constant: block sizes depend on it."""

    def accepts(self, shape: Shape, dtype: DTypeLike, levels: int | None = None) -> bool:
        """Whether images of this shape and type, whose samples take so many values (None: any), can be coded."""

    def encode(self, images: Images, threads: int = 1) -> bytes:
        """Code at least one image into a payload, which does not depend on ``threads``.

        Raises:
            CodecError: the images are not of this coder's kind.
        """

    def decode(self, payload: bytes, count: int, shape: Shape, dtype: DTypeLike = np.uint8, threads: int = 1) -> Images:
        """The inverse of :meth:`encode`: ``count`` images of ``shape`` and ``dtype``.

        Raises:
            FormatError, EmptyStackError: the payload is damaged. Every bit of it must have been used.
        """

    def memory(self, count: int, shape: Shape, dtype: DTypeLike, payload: int) -> int:
        """Bytes that decoding so many images from a payload of so many bytes takes at most, the images included.

        Known before anything is allocated; it must hold for hostile payloads too.
        """

    def prove(self) -> None:
        """Code the kind's known input and compare with its known answer: once for a set of kernels and a machine.

        Raises:
            InexactEngineError: this machine, or a stale kernel, computes something else. Nothing was written.
        """
