"""The known answers of the kind: the payload of blocks that a formula makes. See :mod:`bitsback.kinds.proof`."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from bitsback.kinds import proof
from bitsback.kinds.jpeg import payload
from bitsback.kinds.jpeg.layout import Component, Layout
from bitsback.kinds.jpeg.start import SHA256


@cache
def answer() -> bytes:
    """The payload."""
    return resources.files(__package__).joinpath("known.bin").read_bytes()


def blocks() -> NDArray[np.uint16]:
    """A small image in colour, sampled 2 x 2, and one of a single component: (n, 8, 8, 1)."""
    tables = [tuple(1 + (3 + slope) * (k // 8 + k % 8) for k in range(64)) for slope in range(2)]
    layouts = [
        Layout((Component(4, 4, 2, 2, tables[0]), *(Component(2, 2, 1, 1, tables[1]) for _ in range(2)))),
        Layout((Component(3, 2, 1, 1, tables[0]),)),
    ]
    return filled(layouts)


def filled(layouts: list[Layout]) -> NDArray[np.uint16]:
    """Blocks (n, 8, 8, 1) of these layouts, of coefficients by a formula in whole numbers."""
    pieces = []
    for one in layouts:
        n, k = np.indices((one.size, 64), np.int64)
        noise = (n * 7919 + k * 104729 + n * k * 1299709) >> 5 & 255
        steep = 1 + (k // 8 + k % 8) ** 2
        large = np.where(noise % 7 == 0, 900, 40 + 8 * (n % 5)) * (noise - 128) // (64 * steep)
        pieces += [one.blocks(), large.astype(np.int16).view(np.uint16)]
    return np.concatenate(pieces).reshape(-1, 8, 8, 1)


def prove_encoding() -> None:
    """Make sure that coding gives the known payload; InexactEngineError if not."""
    proof.once("the jpeg kind", f"jpeg encoding {_digest()}", lambda: payload.encode(blocks()) == answer())


def prove_decoding() -> None:
    """Make sure that the known payload gives its blocks; InexactEngineError if not."""

    def holds() -> bool:
        known = blocks()
        return np.array_equal(payload.decode(answer(), len(known)), known)

    proof.once("the jpeg kind", f"jpeg decoding {_digest()}", holds)


@cache
def _digest() -> str:
    return hashlib.sha256(SHA256.encode() + answer()).hexdigest()
