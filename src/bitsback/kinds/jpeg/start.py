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

SHA256 = "f884627d536f067f2423bb709e08569841fbdc013f6137682eb3ac68592b8ce8"

_CHAIN = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 23, "lc": 0, "lp": 0, "pb": 0}]

SEEN = (0, 1, 2, 4, 8, 16, 24, 32)
"""How many answers slots begin with: fewer than they have seen, so that they are led by what they will see."""

_FORMS: tuple[tuple[str, int], ...] = (
    ("<i2", t.CLASSES * 64 * 40), ("<i2", t.CLASSES * 64 * 40), ("<i2", t.CLASSES * 64),
    ("u1", t.SLOTS), ("u1", t.SLOTS), ("<i4", t.SETS * t.LANES), ("<u2", t.FINES * t.BUCKETS),
    ("u1", t.SINGLE), ("u1", t.SINGLE),
)  # fmt: skip


def start() -> Model:
    """A model that has learned from many files, of arrays of its own."""
    return Model(*(array.copy() for array in _read()[1]))


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
    predict, expect, least, logits, seen, weights, refined, logits_2, seen_2 = arrays
    return (
        Trained(predict.astype(np.int16), expect.astype(np.int16), least.reshape(t.CLASSES, 64)),
        Model(
            _slots(logits, seen), weights.astype(np.int32), (refined << 4).astype(np.int32), _slots(logits_2, seen_2)
        ),
    )


def _slots(logits: NDArray[np.int64], seen: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Slots, of 256 logits and of how much they have seen."""
    chances = t.tables().squash[np.clip(24 * logits, 0, 2 * t.TOP - 1)].astype(np.int64)
    return ((chances << 6 << 9) | np.array(SEEN)[seen & 7]).astype(np.uint32)


def pack(trained: Trained, model: Model) -> bytes:
    """The file for what was learned."""
    pieces = [trained.predict, trained.expect, trained.least.astype(np.int16), *_parts(model.slots), model.weights]
    pieces += [(model.refined >> 4).astype(np.uint16), *_parts(model.single)]
    raw = b"".join(np.ascontiguousarray(one, form) .tobytes() for one, (form, _) in zip(pieces, _FORMS, strict=True))
    return lzma.compress(raw, lzma.FORMAT_RAW, filters=[_CHAIN[0] | {"preset": 9}])


def _parts(slots: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    chances, seen = slots.astype(np.int64) >> 15, slots.astype(np.int64) & 511
    logits = np.round(np.searchsorted(t.tables().squash, chances) / 24).clip(0, 255)
    level = np.searchsorted(SEEN, seen, "right") - 1
    return np.where(level > 0, logits, 128).astype(np.uint8), level.astype(np.uint8)
