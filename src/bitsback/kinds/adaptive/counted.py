"""Bytes by how often they occurred so far: for noise, of which nothing around a pixel tells anything.

A byte is coded as eight answers, its bits from the highest on, each with the probability that answers had so far after
the same higher bits, in a place of the same number in its *period*: the bytes of a pixel, so that each channel is
counted apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Decoder, Encoder
from bitsback.kernels import helper, kernel
from bitsback.kinds.adaptive import bands
from bitsback.kinds.adaptive.answers import UNKNOWN, coded, learned

MOST_PLACES = 16
"""Of a longer period all bytes are counted together."""

PRECISION, _BITS = 16, 8
_SEEN = 1023


class Job(NamedTuple):
    """Bytes, and what was counted."""

    data: NDArray[np.uint8]
    slots: NDArray[np.uint32]
    """(places, 256)"""


@kernel
def _encode(starts, freqs, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Encoder(starts, freqs), 0)


@kernel
def _decode(heads, tail, length, first, last, job):  # type: ignore[no-untyped-def]
    return _code(job, first, last, Decoder(heads, tail), length)


@helper
def _code(job, first, last, coder, length):  # type: ignore[no-untyped-def]
    """Code bytes ``first .. last - 1``. Returns the length of the stack, or how many answers there were."""
    for at in range(first, last):
        slots, value = job.slots[at % job.slots.shape[0]], job.data[at]
        node = np.int64(1)
        for bit in range(_BITS):
            slot = slots[node]
            p = min(max(slot >> 16, 1), 65535)
            answer = np.int64((value >> (7 - bit)) & 1)
            answer, length = coded(coder, answer, p, PRECISION, length)
            if length < 0:
                return -1
            slots[node] = learned(slot, answer, _SEEN)
            node = 2 * node + answer
        job.data[at] = node - 256
    return length


def encode(data: bytes, period: int) -> bytes:
    """Code bytes that have a period of so many."""
    return bands.encode(_encode, _job(np.frombuffer(data, np.uint8).copy(), period), len(data), 1, _BITS, PRECISION)


def decode(body: memoryview, size: int, period: int) -> bytes:
    """The inverse: exactly so many bytes, or FormatError."""
    job = _job(np.zeros(size, np.uint8), period)
    bands.decode(_decode, job, size, 1, body)
    return job.data.tobytes()


def _job(data: NDArray[np.uint8], period: int) -> Job:
    places = period if period <= MOST_PLACES else 1
    return Job(data, np.full((places, 256), UNKNOWN, np.uint32))
