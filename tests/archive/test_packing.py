import hashlib
import lzma
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.archive.packing import DICTIONARY, Packing, pack, unpack
from bitsback.errors import FormatError


@settings(deadline=None)
@given(st.binary(max_size=2000) | st.builds(lambda b, n: b * n, st.binary(max_size=9), st.integers(0, 900)))
def test_round_trip(data: bytes) -> None:
    how, packed = pack(data)
    assert unpack(how, packed, len(data)) == data
    assert len(packed) <= len(data)


def test_lzma_is_used_where_it_is_smaller() -> None:
    data = b"".join(b"%d," % (n * n) for n in range(5000))
    how, packed = pack(data)
    assert how == Packing.LZMA2
    assert unpack(how, packed, len(data)) == data


PINNED = (972, "f61d4d6b5848e3e65e556a9aed7832e33ed5f6decaa26c896a876c9a36e9031c")


def primed(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=DICTIONARY)
    return deflate.compress(data) + deflate.flush()


def test_the_dictionary_is_pinned_and_pays() -> None:
    assert (len(DICTIONARY), hashlib.sha256(DICTIONARY).hexdigest()) == PINNED
    data = b'a.png\0b.png{"colour":0,"depth":1,"format":"png"}'
    how, packed = pack(data)
    assert how == Packing.PRIMED and len(packed) < 30
    assert unpack(how, packed, len(data)) == data


@pytest.mark.parametrize("how", list(Packing))
def test_a_wrong_size_is_an_error(how: Packing) -> None:
    data = bytes(100000)
    packed = {
        Packing.STORED: data,
        Packing.DEFLATE: zlib.compress(data, 9)[2:-4],
        Packing.LZMA2: lzma.compress(
            data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 23}]
        ),
        Packing.PRIMED: primed(data),
    }[how]
    assert unpack(how, packed, len(data)) == data
    for size in (0, 10, len(data) - 1, len(data) + 1):
        with pytest.raises(FormatError):
            unpack(how, packed, size)
    for damaged in (packed[:-1], packed + b"\0", b"\xff" + packed[: 50 if how else 0]):
        with pytest.raises(FormatError):
            unpack(how, damaged, len(data))


def test_unknown_packing() -> None:
    with pytest.raises(FormatError):
        unpack(9, b"", 0)
