"""A second decoder of `.bba` archives: plain Python and NumPy, written from docs/format.md, and nothing of bitsback.

>>> system, members = read(archive_bytes)  # doctest: +SKIP
"""

from bitsback_decoder.archive import read, recover

__all__ = ["read", "recover"]
__version__ = "0.5.0"
