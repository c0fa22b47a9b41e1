"""Two-valued images."""

from __future__ import annotations

from bitsback.files.picture import Images


def levels(images: Images) -> tuple[int, int] | None:
    """The two values (low, high) that occur in an array of any shape, or None if there are more.

    A constant array gives its value twice; an empty one gives None.

    >>> import numpy as np
    >>> levels(np.array([0, 255, 255, 0], np.uint8))
    (0, 255)
    >>> levels(np.array([0, 1, 2], np.uint8)) is None
    True
    """
    if images.size == 0:
        return None
    flat = images.reshape(-1)
    for piece in (flat[:4096], flat):  # most images are ruled out by their beginning
        low, high = piece.min(), piece.max()
        if not ((piece == low) | (piece == high)).all():
            return None
    return int(low), int(high)
