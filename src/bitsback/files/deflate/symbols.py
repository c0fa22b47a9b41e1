"""The numbers of RFC 1951: length and distance codes, fixed trees, and how tokens and blocks are held here.

A *token* is ``distance << 9 | length``: a literal has length 1 and distance 0 (which byte it is, the plain data say);
a match has lengths 3 to 258. :data:`LONGEST_AS_284` stands for a match of 258 bytes that was written as code 284 with
31 more, which is legal and unusual. A *block* is a row of integers, with the columns below.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TOKEN_BITS = 9
LENGTHS = (1 << TOKEN_BITS) - 1
"""The mask of a token's length."""
LONGEST = 258
LONGEST_AS_284 = 259
WINDOW = 1 << 15
"""The farthest that a match can point back."""

LITERALS = 286
"""Symbols for literals, the end of a block, and lengths; two more have codes in the fixed tree."""
DISTANCES = 30
END = 256

STORED, FIXED, DYNAMIC = range(3)

TYPE, FINAL, COUNT, BYTES, OPS, HLIT, HDIST, HCLEN, PAD, KNOWN, CODE = range(11)
"""Columns of a block: its type; whether it is the last; how many tokens and plain bytes it has; of a dynamic one, how
many items describe its codes, how many literal and distance codes and lengths of code-length codes the header
announces; of a stored one, the bits before its length, and whether its type was clear before its tokens were; the
first of 19 lengths of code-length codes, by symbol."""
BLOCK = CODE + 19
"""Columns of a block."""

ITEM_BITS = 8
"""An item of a description of codes is ``more << 8 | symbol``, ``more`` being the value of its extra bits."""

CODE_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int32)
"""In which order a header gives the lengths of code-length codes."""

LENGTH_EXTRA = np.array([0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0], np.int32)
"""Extra bits of the length codes 257 to 285, from 0."""
LENGTH_BASE = np.array([*(3 + np.concatenate([[0], np.cumsum(1 << LENGTH_EXTRA[:-2])])), 258], np.int32)
DISTANCE_EXTRA = np.array([max(0, n // 2 - 1) for n in range(30)], np.int32)
DISTANCE_BASE = np.array(1 + np.concatenate([[0], np.cumsum(1 << DISTANCE_EXTRA[:-1])]), np.int32)

LENGTH_CODE = np.zeros(260, np.int32)
"""The code, from 0, of every length of a token."""
for _code in range(28):
    LENGTH_CODE[LENGTH_BASE[_code] : LENGTH_BASE[_code] + (1 << LENGTH_EXTRA[_code])] = _code
LENGTH_CODE[LONGEST], LENGTH_CODE[LONGEST_AS_284] = 28, 27

DISTANCE_CODE = np.repeat(np.arange(30, dtype=np.uint8), 1 << DISTANCE_EXTRA)
"""The code of every distance, less one."""

FIXED_LENGTHS = np.array([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8 + [5] * 30, np.uint8)
"""Code lengths of the fixed trees: 288 of literals, 30 of distances."""


class Tables(NamedTuple):
    """The tables above, for kernels."""

    length_base: NDArray[np.int32]
    length_extra: NDArray[np.int32]
    length_code: NDArray[np.int32]
    distance_base: NDArray[np.int32]
    distance_extra: NDArray[np.int32]
    distance_code: NDArray[np.uint8]
    fixed: NDArray[np.uint8]
    order: NDArray[np.int32]


TABLES = Tables(
    LENGTH_BASE, LENGTH_EXTRA, LENGTH_CODE, DISTANCE_BASE, DISTANCE_EXTRA, DISTANCE_CODE, FIXED_LENGTHS, CODE_ORDER
)
