"""What decoding takes, whatever the payload says."""

from __future__ import annotations

PACE = 1 << 20
"""Samples that one core decodes in a tenth of a second, about."""

MODEL = 4 << 20
"""Bytes of what is learned, and more."""

WIDEST = 6 << 20
"""Bytes of the last rows of a component with rows of 2^14 blocks, and more."""


def decoding(samples: int, payload: int, threads: int) -> int:
    """Bytes for so many coefficients from a payload of so many bytes, the coefficients included."""
    rows = min(WIDEST, 4096 * 3 + 25 * samples)
    return 4 * samples + 3 * payload + threads * (MODEL + 4 * rows) + (8 << 20)
