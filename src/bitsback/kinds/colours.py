"""Which colours images have, and where each pixel's is among these: for rooms above."""

from bitsback.kinds.adaptive.colours import Found, count, keys, paint

__all__ = ["Found", "count", "keys", "paint"]
