import hashlib

import numpy as np
import pytest

from bitsback.ans import Stack
from bitsback.codecs import Family
from bitsback.codecs.testing import random_stack
from bitsback.errors import CodecError, EmptyStackError


@pytest.fixture
def check_family():
    """A check of what every family promises, given a codec of one-dimensional shape."""

    def check(codec: Family) -> None:
        def of_all(v):
            return codec.intervals(np.full(codec.shape, v))

        # The intervals of the symbols follow one another from 0 to 2**precision, none empty.
        values = range(codec.size) if codec.size <= 300 else [*range(40), *range(codec.size - 40, codec.size)]
        end = np.zeros(codec.shape, np.int64)
        for v in values:
            starts, freqs = (a.astype(np.int64) for a in of_all(v))
            assert freqs.min() >= 1
            if v and v - 1 in values:
                assert np.array_equal(starts, end)
            else:
                assert v or not starts.any()
            end = starts + freqs
        assert np.all(end == 1 << codec.precision)

        # Symbols outside are refused, and so are other shapes and floats.
        stack = random_stack(4 * codec.shape[0] + 64, lanes=3)
        before = stack.copy()
        for bad in (
            np.full(codec.shape, codec.size),
            np.full(codec.shape, -1),
            np.zeros((2, 2), int),
            np.zeros(codec.shape),
        ):
            with pytest.raises(CodecError):
                codec.push(stack, bad)
        assert stack == before

        # What comes out has the promised type, and too short a stack is left as it was.
        symbols = codec.pop(stack)
        assert symbols.dtype == codec.dtype and symbols.shape == codec.shape
        assert codec.bits(symbols).shape == codec.shape
        if codec.size > 1:  # the first lane has enough for a symbol, the second has nothing
            heads = [2**64 - 1, 2**32]
            short = Stack.unpack(b"".join(head.to_bytes(8, "little") for head in heads), lanes=2)
            with pytest.raises(EmptyStackError):
                codec.pop(short)
            assert short.heads.tolist() == heads and len(short) == 0

    return check


@pytest.fixture
def digest():
    """A hash of the stack that coding fixed symbols leaves: to pin what a codec writes."""

    def digest(codec: Family) -> str:
        count = int(np.prod(codec.shape))
        symbols = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
        stack = Stack(lanes=2)
        codec.push(stack, (symbols % np.uint64(codec.size)).reshape(codec.shape))
        return hashlib.sha256(stack.pack()).hexdigest()[:32]

    return digest
