"""Images of several shapes: of a coder that codes them together, and of one that does not."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from bitsback.errors import FormatError
from bitsback.kinds import lots, plain
from bitsback.kinds.base import Images, Lot
from bitsback.kinds.varint import varint

shapes = st.sampled_from([(1, 1), (2, 3), (3, 2), (5, 5)])


class Together(plain.Plain):
    """Codes all lots in one go, with their number in front."""

    def encode_lots(self, arrays: Sequence[Images], threads: int = 1) -> bytes:
        return bytes([len(arrays)]) + b"".join(plain.little_endian(images) for images in arrays)

    def decode_lots(
        self, payload: bytes, lots: Sequence[Lot], dtype: DTypeLike = np.uint8, threads: int = 1
    ) -> list[Images]:
        assert payload[0] == len(lots)
        out, at = [], 1
        for n, shape in lots:
            size = n * int(np.prod(shape)) * np.dtype(dtype).itemsize
            out.append(self.decode(payload[at : at + size], n, shape, dtype))
            at += size
        return out

    def memory_lots(self, lots: Sequence[Lot], dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        return 12345


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), shapes), min_size=1, max_size=6), st.sampled_from([np.uint8, np.uint16]))
@pytest.mark.parametrize("coder", [plain.CODER, Together()])
def test_lots_come_back(coder: plain.Plain, wanted: list[tuple[int, tuple[int, int]]], dtype: type) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 1 << 8, (n, height, width, 2)).astype(dtype) for n, (height, width) in wanted]
    payload = lots.encode(coder, arrays)
    decoded = lots.decode(coder, payload, lots.lots_of(arrays), dtype)
    assert all(map(np.array_equal, decoded, arrays)) and {images.dtype for images in decoded} == {np.dtype(dtype)}
    assert len(payload) <= sum(images.nbytes for images in arrays) + (2 * len(arrays) if len(arrays) > 1 else 0)


def test_each_shape_is_coded_apart() -> None:
    one, two, three = (
        np.full((n, size, 2, 1), value, np.uint8) for n, size, value in [(1, 3, 7), (2, 2, 8), (1, 3, 9)]
    )
    payload = lots.encode(plain.CODER, [one, two, three])
    assert payload == bytes([12, *6 * [7], *6 * [9], 8, *8 * [8]])
    sizes = [Lot(1, (3, 2, 1)), Lot(2, (2, 2, 1)), Lot(1, (3, 2, 1))]
    assert lots.lots_of([one, two, three]) == tuple(sizes)
    for bad in (payload[:-1], payload + b"x", payload[:5], b"", varint(1 << 40) + payload[1:]):
        with pytest.raises(FormatError):
            lots.decode(plain.CODER, bad, sizes)
    assert lots.memory(plain.CODER, sizes, np.uint8, len(payload)) == 20 + 12 + len(payload)
    assert lots.memory(plain.CODER, sizes[:1], np.uint8, 6) == 6
    assert lots.memory(Together(), sizes, np.uint8, 0) == 12345


def test_a_coder_takes_lots_if_it_takes_every_shape() -> None:
    class Square(plain.Plain):
        def accepts(self, shape: tuple[int, int, int], dtype: DTypeLike, levels: int | None = None) -> bool:
            return shape[0] == shape[1] and levels == 2

    assert lots.accepts(Square(), [(2, 2, 1), (3, 3, 1)], np.uint8, 2)
    assert not lots.accepts(Square(), [(2, 2, 1), (3, 4, 1)], np.uint8, 2)
