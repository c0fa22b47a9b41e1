"""Answers of yes or no: coded with a probability, and counted in slots."""

from __future__ import annotations

import numpy as np

from bitsback.ans import Decoder, peek, take
from bitsback.kernels import helper

UNKNOWN = 1 << 31
"""A slot before the first answer. A slot is a probability of yes in its high 22 bits, and the answers seen in the low
10."""


@helper
def coded(coder, answer, p, precision, length):  # type: ignore[no-untyped-def]
    """Code an answer, of probability p in 2^-precision: return it, and the length of the stack or -1, or how many
    symbols there were."""
    if isinstance(coder, Decoder):
        answer = np.int64(peek(coder.heads[0], precision) < p)
        start, stop = (0, p) if answer else (p, 1 << precision)
        length = take(coder.heads, coder.tail, length, 0, start, stop, precision)
    else:
        start, stop = (0, p) if answer else (p, 1 << precision)
        coder.starts[length], coder.freqs[length] = start, stop - start
        length += 1
    return answer, length


@helper
def learned(slot, answer, most):  # type: ignore[no-untyped-def]
    """A slot after an answer: the mean of all that were given there, or where these were ``most``, of about so many."""
    chance, seen = slot >> 10, slot & 1023
    chance += ((answer * 4194303 - chance) * (131072 // (2 * seen + 3))) >> 16
    return (chance << 10) | min(seen + 1, most)
