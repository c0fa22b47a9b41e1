"""Lossless JPEG of all sorts, as the second decoder writes it from the standard, and back."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import ImageError
from bitsback.files.jpeg import lossless
from bitsback_decoder.places import lossless_jpeg

DEEP = bytes([1] * 15 + [2]), bytes([3, 2, 4, 1, 5, 0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
"""A table with codes of all lengths."""


def before(shape, bits, predictor=1, interval=0, table=DEEP):
    """What goes before the data."""
    height, width, count = shape
    numbers = [(c, 0x10 * (c % 2)) for c in range(count)]
    segments = [(0xE0, b"a\xff\xc0b"), *((0xC4, bytes([number]) + table[0] + table[1]) for number in (0, 1))]
    segments += [(0xDD, struct.pack(">H", interval * width))] if interval else []
    components = b"".join(b"%c\x11\0" % c for c, _ in numbers)
    segments += [(0xC3, struct.pack(">BHHB", bits, height, width, count) + components)]
    segments += [(0xDA, bytes([count]) + b"".join(map(bytes, numbers)) + bytes([predictor, 0, 0]))]
    return b"\xff\xd8" + b"".join(struct.pack(">BBH", 255, kind, 2 + len(body)) + body for kind, body in segments)


def file(x, bits, fill=1, **more):
    """A file of the samples x (height, width, components)."""
    return lossless_jpeg(x.itemsize, [], x.tobytes(), fill, before(x.shape, bits, **more)) + b"\xff\xd9"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_both_ways(data):
    def draw(*values):
        return data.draw(st.sampled_from(values))

    shape = draw(1, 2, 7), draw(1, 2, 9), draw(1, 3, 4)
    bits, interval, fill = draw(2, 8, 12, 16), draw(0, 0, 1, 3), draw(0, 1)
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    x = rng.integers(0, 1 << bits, shape).astype("<u1" if bits <= 8 else "<u2")
    made = file(x, bits, fill, predictor=draw(*range(1, 8)), interval=interval)
    plain, how, head, used = lossless.decode(made, x.nbytes, x.itemsize)
    assert plain == x.tobytes() and used == len(made) - 2 and head == made[: len(head)]
    assert lossless.encode(plain, how, head, x.itemsize) == made[:-2]


def test_the_last_byte_may_be_filled_up_with_anything():
    x = np.arange(12, dtype="<u2").reshape(3, 4, 1)
    made = bytearray(file(x, 12, 0))
    made[-3] |= 1
    plain, how, head, used = lossless.decode(bytes(made), x.nbytes, 2)
    assert (plain, how, used) == (x.tobytes(), lossless.CUT, len(made) - 3)
    assert lossless.encode(plain, how, head, 2) == made[:used] == lossless_jpeg(2, [], plain, how, head)


def test_what_is_refused():
    x = np.arange(12, dtype="<u2").reshape(3, 4, 1)
    good = file(x, 12)
    for bad, limit, size in (
        (good, 23, 2),
        (good, 24, 1),
        (good[:-4], 24, 2),
        (good.replace(b"\xff\xc3", b"\xff\xc1"), 24, 2),
        (good[:40], 24, 2),
        (file(x, 12, predictor=1).replace(b"\xff\xc4", b"\xff\xe4"), 24, 2),
        (before((60000, 60000, 1), 8) + bytes(100), 1 << 40, 1),
        (before((3, 4, 1), 8, predictor=0) + bytes(100), 24, 1),
    ):
        with pytest.raises(ImageError):
            lossless.decode(bad, limit, size)
    short = np.array([[[0], [4095]]], "<u2")
    with pytest.raises(ValueError, match="no code"):
        lossless.encode(short.tobytes(), 1, before((1, 2, 1), 12, table=(bytes([1] + [0] * 15), b"\3")), 2)
