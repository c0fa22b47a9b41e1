"""The numeric tables of the format: loaded when first needed, checked against their pinned hashes, never recomputed.

Made once by ``make_tables.py`` with high-precision arithmetic and shipped as little-endian integers. A changed table
would be another format, so a file that does not match its hash is refused.

Every *sigmoid* table (``logistic``, ``normal``) holds ``round(2**32 * F(i/64 - 16))``, at most ``2**32 - 1``, for
i = 0..2048, where F is the standard cumulative distribution function; :func:`sigmoid` reads between the entries.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from bitsback.errors import FormatError
from bitsback.kernels import helper
from bitsback.kernels.vectors import INTS, LONGS

HASHES = {
    "logistic": "015b75d63b4c2e9e3e0dbe39bf6a7c70cd9bdf846d8c85218553aadf2088be25",
    "normal": "3dfa114c03666e19b8dcf998c13641d3794a0034028274f9f94a86852e2a6d00",
    "quantiles": "714befdeef7efed169c86f759a4e08997ec6700a5457b37fb9456e3f35e22077",
    "inverse_scales": "2b2e85376453d7dc1b7eb6207248fcb8aad9ec791bca6f8eb67ac6092815fab3",
    "inverse_ratios": "ba9edf541d53e09367b9832996f93457908affb221cc6ad41ccc6d4c34f24f4f",
    "exponentials": "b8727651a644ca07f63d8667fe0e7ba40ce3ea9b3f85799974f4bb9b25349c0b",
    "beta_binomial": "08a4d17779c8ceea78d06ca7bcf708097e2ffde147f17701b7562768163e5879",
}

FRACTION = 20
"""Bits of the fraction in a fixed-point position in a sigmoid table."""

STEPS = 64
"""Entries of a sigmoid table in one standard unit."""

ORIGIN = 16 * STEPS << FRACTION
"""Position of the argument 0."""

LOW_WORD = (1 << 32) - 1
"""A mask."""

_LAST = (32 * STEPS << FRACTION) - 1


@helper
def sigmoid(table, position):  # type: ignore[no-untyped-def]
    """Return the table's value (0 to ``2**32 - 1``) at a fixed-point position (an integer), linearly between entries.

    Position ``ORIGIN + (u * STEPS << FRACTION)`` stands for the argument u, held within -16 and 16. Monotone: the
    entries are, and so is a line between two of them, rounded down.
    """
    position = min(max(position, 0), _LAST)
    i = position >> FRACTION
    return table[i] + (((table[i + 1] - table[i]) * (position & ((1 << FRACTION) - 1))) >> FRACTION)


def sigmoids(table: Any, positions: Any) -> Any:
    """:func:`sigmoid` for vectorised functions: of positions that are reals, as integers of 64 bits, below 2^32."""
    position = positions.held(0.0, float(_LAST)).to(INTS)
    # An entry and the next one at once, the low word first. Masks let the compiler see that 32 bits meet 32
    both = table.gather(position >> FRACTION, LONGS)
    low = both & LOW_WORD
    rise = ((both.shifted(32) - low) & LOW_WORD) * (position & ((1 << FRACTION) - 1)).to(LONGS)
    return (low + rise.shifted(FRACTION)) & LOW_WORD


@cache
def load(name: str) -> npt.NDArray[np.generic]:
    """Return the table ``name``, checked.

    The dtypes are: ``logistic``, ``normal`` uint32[2049]; ``quantiles`` int32[8193]; ``inverse_scales`` int64[112];
    ``inverse_ratios`` int64[224]; ``exponentials`` int64[256]; ``beta_binomial`` uint32[528, 256]. The array is shared:
    do not write to it.

    Raises:
        FormatError: the file is not the one that this version was made with.
    """
    data = resources.files(__package__).joinpath("tables", f"{name}.bin").read_bytes()
    if hashlib.sha256(data).hexdigest() != HASHES[name]:
        raise FormatError(f"the table {name}.bin of this installation is damaged: its hash is wrong")
    dtype, shape = FORMS[name]
    return np.frombuffer(data, dtype).astype(np.dtype(dtype).newbyteorder("=")).reshape(shape)


FORMS: dict[str, tuple[str, tuple[int, ...]]] = {
    "logistic": ("<u4", (2049,)),
    "normal": ("<u4", (2049,)),
    "quantiles": ("<i4", (8193,)),
    "inverse_scales": ("<i8", (112,)),
    "inverse_ratios": ("<i8", (224,)),
    "exponentials": ("<i8", (256,)),
    "beta_binomial": ("<u4", (528, 256)),
}
