"""What was learned from many files, once: where every stretch starts. Made by ``recipes/jpeg.py``.

``start.bin`` is a raw LZMA2 stream of the arrays of :class:`.tables.Trained`, then those of :class:`.tables.Model`.
"""

from __future__ import annotations

import hashlib
import lzma
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import FormatError
from bitsback.kinds.jpeg import tables as t
from bitsback.kinds.jpeg.tables import Model, Trained, Weights

SHA256 = "9f9f026437c3788f2081a898c0d8b183bc79bd43867bd6d04c28d1764bc0e545"

MOST = 65504
"""The largest chance that is in a slot."""

STEPS = 24
"""Logits are stored in so many 256ths."""

_CHAIN = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 23, "lc": 0, "lp": 0, "pb": 0}]

_FORMS: tuple[tuple[str, int], ...] = (
    ("<i2", t.CLASSES * 64 * 40), ("<i2", t.CLASSES * 64 * 40), ("<i2", t.CLASSES * 64),
    ("i1", t.SLOTS), ("<i2", t.SETS * t.LANES), ("i1", t.SINGLE),
)  # fmt: skip


class Start(NamedTuple):
    """Where stretches start. The arrays are shared: do not write to them."""

    trained: Trained
    """What does not change any more ..."""
    weights: tuple[Weights, ...]
    """... and how kernels take it, by class."""
    model: Model

    def fresh(self) -> Model:
        """What is learned, as it is before anything was, of arrays of its own."""
        return Model(self.model.slots.copy(), self.model.weights.copy(), self.model.single.copy())

    @classmethod
    def of(cls, trained: Trained, model: Model) -> Start:
        return cls(trained, tuple(t.laid(trained, number) for number in range(t.CLASSES)), model)


@cache
def shipped() -> Start:
    """That of this package."""
    return _made(shipped_arrays())


@cache
def shipped_arrays() -> tuple[NDArray[np.int64], ...]:
    """What its file holds: see :data:`_FORMS`. Shared: do not write to them."""
    data = resources.files(__package__).joinpath("start.bin").read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise FormatError("the file start.bin of this installation is damaged: its hash is wrong")
    return _arrays(data)


def differing(slots: NDArray[np.int8], weights: NDArray[np.int16], single: NDArray[np.int8]) -> Start:
    """A start that differs from that of this package: by so many steps of logits, and 16384ths of weights."""
    own = shipped_arrays()
    logits = (np.clip(own[place] + one, -128, 127) for place, one in ((3, slots), (5, single)))
    return _made((*own[:3], next(logits), np.clip(own[4] + weights, -32768, 32767), next(logits)))


def difference(model: Model) -> tuple[NDArray[np.int8], NDArray[np.int16], NDArray[np.int8]]:
    """The inverse, as near as it can be: what does not differ by half a step does not differ."""
    own = shipped().model
    slots, single = (
        (_logits(one).astype(np.int64) - _logits(other)).clip(-128, 127).astype(np.int8)
        for one, other in ((model.slots, own.slots), (model.single, own.single))
    )
    weights = (model.weights.astype(np.int64) - own.weights).clip(-32768, 32767).astype(np.int16)
    return slots, weights, single


def unpack(data: bytes) -> Start:
    """What :func:`pack` was given, as far as it is kept. Raises FormatError if it is not that."""
    return _made(_arrays(data))


def _arrays(data: bytes) -> tuple[NDArray[np.int64], ...]:
    raw = _unpacked(data)
    arrays: list[NDArray[np.int64]] = []
    at = 0
    for form, count in _FORMS:
        arrays.append(np.frombuffer(raw, form, count, at).astype(np.int64))
        at += count * np.dtype(form).itemsize
    return tuple(arrays)


def _made(arrays: tuple[NDArray[np.int64], ...]) -> Start:
    predict, expect, least, slots, weights, single = arrays
    trained = Trained(
        predict.reshape(t.CLASSES, 64, 40).astype(np.int16), expect.reshape(t.CLASSES, 64, 40).astype(np.int16),
        least.reshape(t.CLASSES, 64).astype(np.int32),
    )  # fmt: skip
    return Start.of(trained, Model(_chances(slots), weights.astype(np.int16), _chances(single)))


def _unpacked(data: bytes) -> bytes:
    size = sum(count * np.dtype(form).itemsize for form, count in _FORMS)
    try:
        raw = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_CHAIN).decompress(data, size + 1)
    except lzma.LZMAError as error:
        raise FormatError(f"what a model starts from is damaged ({error})") from None
    if len(raw) != size:
        raise FormatError("what a model starts from is of another size")
    return raw


def _chances(logits: NDArray[np.int64]) -> NDArray[np.uint16]:
    places = np.clip(STEPS * logits + t.TOP, 0, 2 * t.TOP - 1) >> t.COARSE
    found: NDArray[np.uint16] = np.minimum(t.tables().squash[places], MOST).astype(np.uint16)
    return found


def pack(trained: Trained, model: Model) -> bytes:
    """The file for what was learned."""
    pieces = (*trained, _logits(model.slots), model.weights, _logits(model.single))
    raw = b"".join(np.ascontiguousarray(one, form).tobytes() for one, (form, _) in zip(pieces, _FORMS, strict=True))
    return lzma.compress(raw, lzma.FORMAT_RAW, filters=[_CHAIN[0] | {"preset": 9}])


def _logits(chances: NDArray[np.uint16]) -> NDArray[np.int8]:
    places = np.searchsorted(t.tables().squash, chances) << t.COARSE
    return np.clip(np.round((places - t.TOP) / STEPS), -128, 127).astype(np.int8)
