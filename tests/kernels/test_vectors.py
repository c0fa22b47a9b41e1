import numpy as np
import pytest
from llvmlite import ir

from bitsback.kernels import kernel
from bitsback.kernels.values import LONG
from bitsback.kernels.vectors import DOUBLES, INTS, LANES, ROWS, SHORT, WIDTH, dense, vectorised


@kernel
def layer(weights, offset, pairs, wide, low, high, x, y, groups, stride):  # type: ignore[no-untyped-def]
    dense(weights, offset, pairs, wide, low, high, x, y, groups, stride)


@pytest.mark.parametrize("pairs", [1, 2, 7, 22])
@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("low", "high"), [(0, 255), (-4095, 4095)])
def test_a_layer_is_a_product_with_a_matrix(pairs: int, blocks: int, groups: int, low: int, high: int) -> None:
    rng = np.random.default_rng(pairs)
    wide, stride, offset = blocks * WIDTH, max(2 * pairs, blocks * WIDTH) + 3, 5
    x = rng.integers(0, 256, (2 * ROWS, stride)).astype(np.int16)
    matrix = rng.integers(-4095, 4096, (2 * pairs, wide)).astype(np.int16)
    bias, shift = rng.integers(-(2**20), 2**20, wide), rng.integers(0, 24, wide)
    packed = np.ascontiguousarray(matrix.reshape(pairs, 2, wide).swapaxes(1, 2)).view(np.int32)
    weights = np.concatenate([np.zeros(offset, np.int64), bias, shift, packed.ravel()]).astype(np.int32)
    y = np.full((2 * ROWS, stride), -1, np.int16)
    layer(weights, offset, pairs, wide, low, high, x, y, groups, stride)
    expected = ((x[:, : 2 * pairs].astype(np.int64) @ matrix + bias) >> shift).clip(low, high)
    rows = groups * ROWS
    np.testing.assert_array_equal(y[:rows, :wide], expected[:rows])
    assert np.all(y[rows:] == -1) and np.all(y[:, wide:] == -1)


def test_values_mean_what_they_look_like() -> None:
    """All operators, on numbers of either sign, with a plain number on either side."""

    @vectorised
    def try_all(v, x, n, reals, whole, single):  # type: ignore[no-untyped-def]
        a, b = (x.load(n * i * LANES, INTS) for i in range(2))
        results = [a + b, a - b, 3 - a, 2 * a * b, a >> 2, a & 12, (a > b).choose(a, b), a.held(-5, 5), a.at_least(b)]
        for i, result in enumerate(results):
            whole.store(n * i * LANES, result)
        c, d = a.to(DOUBLES), b.to(DOUBLES)
        quotients = [c / d, 1.0 / d, (c / d).floor(), c.plus_product(c, d), d.at_most(2.0), (c < d).choose(c, d), c * n]
        for i, result in enumerate(quotients):
            reals.store(n * i * LANES, result)
        for i, result in enumerate([n + 8, (n + 8) // 2, (n + 8) % 4, n - 3]):
            single.store(n * i, result)

    @kernel
    def run(x, n, reals, whole, single):  # type: ignore[no-untyped-def]
        try_all(x, n, reals, whole, single)

    rng = np.random.default_rng(0)
    x = rng.integers(-20, 20, (2, LANES)).astype(np.int32)
    x[x == 0] = 7
    reals, whole, single = np.zeros((7, LANES)), np.zeros((9, LANES), np.int32), np.zeros(4, np.int64)
    run(x, 1, reals, whole, single)
    a, b = x.astype(np.int64)
    expected = [a + b, a - b, 3 - a, 2 * a * b, a >> 2, a & 12, np.maximum(a, b), a.clip(-5, 5), np.maximum(a, b)]
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(reals, [a / b, 1 / b, a // b, a + a * b, np.minimum(b, 2), np.minimum(a, b), a])
    assert single.tolist() == [9, 4, 1, -2]


def test_vectors_of_sixteen_bits_and_what_is_returned() -> None:
    """Sums that do not wrap, high halves of products, shifts without a sign, sums of pairs; and values handed on."""
    shorts = ir.VectorType(SHORT, LANES)

    @vectorised
    def load(v, x, y):  # type: ignore[no-untyped-def]
        a, b = (one.load(v.number(0), shorts) for one in (x, y))
        return a, b, a.lane(1).to(LONG)

    @vectorised
    def store(v, a, b, out, sums):  # type: ignore[no-untyped-def]
        for i, result in enumerate((a.plus_held(b), a.high_product(b), a.shifted(3))):
            out.store(v.number(i * LANES), result)
        sums.store(v.number(0), v.sums_of_pairs(a, b))

    @kernel
    def run(x, y, out, sums):  # type: ignore[no-untyped-def]
        a, b, one = load(x, y)
        store(a, b, out, sums)
        return one + 1

    x = np.array([32767, -32768, -1, 5, 300, -300, 0, 12345], np.int16)
    y = np.array([1, -1, -1, -7, 400, 400, 9, 30000], np.int16)
    out, sums = np.zeros((3, LANES), np.int16), np.zeros(LANES // 2, np.int32)
    assert run(x, y, out, sums) == -32767
    a, b = x.astype(np.int64), y.astype(np.int64)
    shifted = (x.view(np.uint16) >> 3).view(np.int16)
    np.testing.assert_array_equal(out, [(a + b).clip(-32768, 32767), (a * b) >> 16, shifted])
    np.testing.assert_array_equal(sums, (a * b).reshape(-1, 2).sum(1))
