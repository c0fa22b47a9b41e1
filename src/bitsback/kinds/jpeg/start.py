"""What was learned from many files, once: where every stretch starts. Made by ``recipes/jpeg.py``.

``start.bin`` is a raw LZMA2 stream of the arrays of :class:`.tables.Trained`, then those of :class:`.tables.Model`.
"""

from __future__ import annotations

import hashlib
import lzma
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import FormatError
from bitsback.kinds.jpeg import tables as t
from bitsback.kinds.jpeg.tables import Model, Trained

SHA256 = "3bd899e4a8fdddc032116abf121b674f6dbf6e08b9671339e11b5b15772f90b7"

_CHAIN = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 23, "lc": 0, "lp": 0, "pb": 0}]

_FORMS: tuple[tuple[str, int], ...] = (
    ("<i2", t.CLASSES * 64 * 40), ("<i2", t.CLASSES * 64 * 40), ("<i2", t.CLASSES * 64),
    ("i1", t.SLOTS), ("<i4", t.SETS * t.LANES), ("i1", t.SINGLE),
)  # fmt: skip


def start() -> Model:
    """A model that has learned from many files, of arrays of its own."""
    known = _read()[1]
    return Model(known.slots.copy(), known.weights.copy(), known.single.copy())


def trained() -> Trained:
    """What does not change any more. The arrays are shared: do not write to them."""
    return _read()[0]


@cache
def _read() -> tuple[Trained, Model]:
    data = resources.files(__package__).joinpath("start.bin").read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise FormatError("the file start.bin of this installation is damaged: its hash is wrong")
    return unpack(data)


def unpack(data: bytes) -> tuple[Trained, Model]:
    """What :func:`pack` was given, as far as it is kept."""
    raw = lzma.decompress(data, lzma.FORMAT_RAW, filters=_CHAIN)
    arrays: list[NDArray[np.int64]] = []
    at = 0
    for form, count in _FORMS:
        arrays.append(np.frombuffer(raw, form, count, at).astype(np.int64))
        at += count * np.dtype(form).itemsize
    predict, expect, least, slots, weights, single = arrays
    return (
        Trained(predict.astype(np.int16), expect.astype(np.int16), least.reshape(t.CLASSES, 64).astype(np.int32)),
        Model(_chances(slots), weights.astype(np.int32), _chances(single)),
    )


def _chances(logits: NDArray[np.int64]) -> NDArray[np.int16]:
    """Chances, of logits in 24ths of what they are elsewhere."""
    squash = t.tables().squash.astype(np.int64)
    return (squash[np.clip(24 * logits + t.TOP, 0, 2 * t.TOP - 1)] - 32768).astype(np.int16)


def pack(trained: Trained, model: Model) -> bytes:
    """The file for what was learned."""
    pieces = (
        trained.predict,
        trained.expect,
        trained.least,
        _logits(model.slots),
        model.weights,
        _logits(model.single),
    )
    raw = b"".join(np.ascontiguousarray(one, form).tobytes() for one, (form, _) in zip(pieces, _FORMS, strict=True))
    return lzma.compress(raw, lzma.FORMAT_RAW, filters=[_CHAIN[0] | {"preset": 9}])


def _logits(chances: NDArray[np.int16]) -> NDArray[np.int8]:
    places = np.searchsorted(t.tables().squash, chances.astype(np.int64) + 32768)
    return np.clip(np.round((places - t.TOP) / 24), -128, 127).astype(np.int8)
