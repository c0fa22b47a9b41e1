"""What is lost when Paeth's prediction is subtracted, compiled: each sample needs those before it."""

from __future__ import annotations

from bitsback.kernels import kernel


@kernel
def undo(images):  # type: ignore[no-untyped-def]
    """Turn differences (n, H, W, C), uint8 or uint16, into samples, in place; storing them is the modulo."""
    count, height, width, channels = images.shape
    for i in range(count):
        for y in range(height):
            for x in range(width):
                for c in range(channels):
                    left = images[i, y, x - 1, c] if x > 0 else 0
                    above = images[i, y - 1, x, c] if y > 0 else 0
                    corner = images[i, y - 1, x - 1, c] if x > 0 and y > 0 else 0
                    to_left, to_above = abs(above - corner), abs(left - corner)
                    to_corner = abs(left + above - 2 * corner)
                    if to_left <= to_above and to_left <= to_corner:
                        images[i, y, x, c] += left
                    elif to_above <= to_corner:
                        images[i, y, x, c] += above
                    else:
                        images[i, y, x, c] += corner
