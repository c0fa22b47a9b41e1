import hashlib
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitsback.archive.erasure import Erasures, parity, span
from bitsback_decoder.parity import factor, times

Words = NDArray[np.uint16]


def encode(data: Words, rows: int) -> Words:
    size = span(rows)
    return parity((data[at : at + size] for at in range(0, len(data), size)), rows, data.shape[1])


def words(rows: int, width: int, seed: int = 0) -> Words:
    return np.random.default_rng(seed).integers(0, 1 << 16, (rows, width), np.uint16)


def difference(data: Words, stored: Words, known: NDArray[np.bool_], lost: list[int]) -> Words:
    left = data.copy()
    left[lost] = 0
    result = encode(left, len(known)) ^ stored
    result[~np.repeat(known, data.shape[1] // known.shape[1], axis=1)] = 0
    return result


# from reed_solomon_leopard.encode, version 0.2.1 (the crate reed-solomon-simd), for the words of `ramp`; there the low
# bytes of 32 words stand before their high bytes
LEOPARD = {
    (1, 1, 32): "94f3a8d89b6d61e9deff62abae181de2",
    (7, 3, 32): "55356c69551a23a7b792864e70053523",
    (100, 17, 64): "8c2a657502c797e39b57510d5a1e2825",
    (1000, 65, 64): "220c469a67ecb16b2f4c90a97e151f3b",
    (5000, 300, 32): "87d53f684c48f7d300797cac2ed32090",
    (30000, 1500, 32): "629d975ae13bc0595f07044308fa8ebc",
}


@pytest.mark.parametrize(("rows", "kept", "width"), LEOPARD)
def test_another_leopard_gives_the_same(rows: int, kept: int, width: int) -> None:
    ramp = (np.arange(rows * width, dtype=np.int64) * 40503 + 12345) % 65521
    found = encode(ramp.astype(np.uint16).reshape(rows, width), kept)[:kept]
    assert hashlib.sha256(found.astype("<u2").tobytes()).hexdigest()[:32] == LEOPARD[rows, kept, width]


@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_parity_is_the_matrix_that_the_text_names(rows: int, kept: int, seed: int) -> None:
    data = words(rows, 1, seed)
    k = span(kept).bit_length() - 1
    for row, found in enumerate(encode(data, kept)[:, 0].tolist()):
        expected = 0
        for number, word in enumerate(data[:, 0].tolist()):
            expected ^= times(word, factor(k, row, number))
        assert found == expected


def test_whatever_is_lost_comes_back() -> None:
    data = words(6, 4)
    stored = encode(data, 3)
    for count in range(1, 4):
        for lost in combinations(range(6), count):
            for kept in combinations(range(3), count):
                known = np.isin(np.arange(span(3)), kept)[:, None]
                erasures = Erasures(known, np.array(lost))
                assert np.array_equal(erasures.solve(difference(data, stored, known, list(lost))), data[list(lost)])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_cells_may_be_known_in_different_rows(draw: st.DataObject) -> None:
    kept = draw.draw(st.integers(1, 70))
    rows = draw.draw(st.integers(1, 300))
    cells = draw.draw(st.sampled_from([1, 2, 5]))
    random = np.random.default_rng(draw.draw(st.integers(0, 2**32)))
    data = words(rows, cells * 60, 1)
    known = random.random((span(kept), cells)) < draw.draw(st.sampled_from([0.3, 0.8, 1]))
    known[kept:] = False
    most = min(int(known.sum(0).min()), rows)
    if not most:
        return
    lost = np.sort(random.choice(rows, draw.draw(st.integers(1, most)), replace=False))
    found = Erasures(known, lost).solve(difference(data, encode(data, kept), known, lost.tolist()))
    assert np.array_equal(found, data[lost])


def test_more_than_parity_can_bring_back_is_refused() -> None:
    known = np.ones((4, 2), np.bool_)
    known[3, 1] = False
    Erasures(known, np.arange(3))
    with pytest.raises(ValueError, match="4 rows are lost"):
        Erasures(known, np.arange(4))
