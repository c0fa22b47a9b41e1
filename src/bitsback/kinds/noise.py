"""Random bits to draw images from."""

from __future__ import annotations

import numpy as np

from bitsback.ans import Stack


def noise(rng: np.random.Generator, bits: int) -> Stack:
    """A stack of so many random bits."""
    head = rng.integers(1 << 32, (1 << 64) - 1, 1, np.uint64, endpoint=True)
    return Stack.from_bytes(head.astype("<u8").tobytes() + rng.bytes(4 * (bits // 32 + 1)))
