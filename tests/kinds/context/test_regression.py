"""The regression's kernels against integers without bounds (decoder/), at their limits."""

from functools import cache

import numpy as np
import pytest

from bitsback.kernels import kernel
from bitsback.kernels.vectors import LANES
from bitsback.kinds.context.network import SKEW
from bitsback.kinds.context.regression import factorise, innovate, memory, predict, recall, remember, weigh
from bitsback_decoder import context as plain_context
from bitsback_decoder.context import REACHED, Regression, decayed


@kernel
def run(moments, f, lower, diagonal, predictions, innovations):  # type: ignore[no-untyped-def]
    factorise(moments, lower, diagonal, f.shape[0])
    for i in range(f.shape[0]):
        predict(lower, innovations, i, predictions[i : i + 1])
        innovate(f, i, predictions[i : i + 1], innovations)


@kernel
def look(moments, size, rows, columns, t, begin, lanes, n_images, width, ridge):  # type: ignore[no-untyped-def]
    recall(moments, size, rows, columns, t, begin, lanes, n_images, width, ridge)


@kernel
def add(f, weights, lanes, rows, columns, t, begin, n_images, width):  # type: ignore[no-untyped-def]
    remember(f, weights, lanes, rows, columns, t, begin, n_images, width)


@kernel
def weigh_all(innovations, first, weights):  # type: ignore[no-untyped-def]
    weigh(innovations, first, innovations.shape[0], weights)


def given_back(moments: np.ndarray, f: np.ndarray) -> tuple[np.ndarray, ...]:
    """L (N, N, lanes), D, p and g (N, lanes) of the kernels for moments (N, N, lanes) and regressors (N, lanes)."""
    size, lanes = f.shape
    triangle = np.tril_indices(size)
    lower, diagonal = np.zeros((len(triangle[0]), lanes)), np.ones((size, lanes))
    predictions, innovations = np.zeros((size, lanes)), np.zeros((size, lanes))
    run(moments[triangle].astype(np.float64), f.astype(np.int32), lower, diagonal, predictions, innovations)
    square = np.zeros((size, size, lanes))
    square[triangle] = lower
    return square, diagonal, predictions, innovations


def check(moments: np.ndarray, f: np.ndarray) -> None:
    lower, diagonal, predictions, innovations = given_back(moments, f)
    plain = Regression(moments.transpose(2, 0, 1).astype(np.int64))
    expected = []
    for values in f.astype(np.int64):
        expected.append(plain.predict())
        plain.give(values)
    np.testing.assert_array_equal(lower.transpose(2, 0, 1), plain.lower)
    np.testing.assert_array_equal(diagonal.T, plain.diagonal)
    np.testing.assert_array_equal(predictions, expected)
    np.testing.assert_array_equal(innovations.T, plain.g)


@cache
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def gram(size: int, rank: int, top: int, ridge: int) -> np.ndarray:
    """Moments as they come about: sums of squares, (N, N, lanes)."""
    f = rng().integers(-255, 256, (rank, size, LANES))
    a = np.einsum("ril,rjl->ijl", f, f)
    return a * top // a.max() + ridge * np.eye(size, dtype=np.int64)[:, :, None]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 13, 28, 31, 32])
@pytest.mark.parametrize("rank", [1, 4, 40])
def test_sound_moments(size: int, rank: int) -> None:
    """Also singular ones but for the ridge, up to the most that an image can make of them."""
    f = rng().integers(-255, 256, (size, LANES))
    for top, ridge in ((1 << 30, 1), (1 << 30, 1 << 24), (1 << 20, 2000), (300, 1)):
        check(gram(size, rank, top, ridge), f)


@pytest.mark.parametrize("size", [2, 5, 31, 32])
def test_any_moments_at_all(size: int) -> None:
    """No image leads to these, but arithmetic that is exact here is exact everywhere: all clips are reached."""
    REACHED.clear()
    for low in (-(2**31), -1000, 0):
        moments = rng().integers(low, 2**31, (size, size, LANES))
        moments[rng().random(moments.shape) < 0.3] = 2**31 - 1
        check(moments, rng().choice([-255, 0, 255], (size, LANES)))
    assert {"u", "L", "D"} <= REACHED
    assert size == 2 or {"p", "g"} <= REACHED


def test_the_largest_sums() -> None:
    """Every term at its bound, and all of one sign: 31 * 2^30 * 2^18, just below 2^53."""
    size = 32
    moments = np.full((size, size, LANES), 2**31 - 1)
    moments[np.arange(size), np.arange(size)] = 1
    f = np.full((size, LANES), 255)
    check(moments, f)
    lower, *_ = given_back(moments, f)
    assert np.all(np.abs(lower[-1, :-1]) == 2**18)


def test_lanes_do_not_mix() -> None:
    moments, f = gram(9, 4, 1 << 28, 10), rng().integers(-255, 256, (9, LANES))
    together = given_back(moments, f)
    for lane in range(LANES):
        others = np.arange(LANES) != lane
        alone = given_back(np.where(others, 1, moments), np.where(others, 0, f))
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[..., lane], all_of_them[..., lane])


def test_quotients_next_to_integers() -> None:
    """L of one column for entries at and beside multiples of the pivot, where a reciprocal could go astray."""
    size = 32
    for pivot in (1, 3, 7, 2**12 - 1, 2**20 + 1, 2**30 - 1, 2**31 - 1):
        moments = np.zeros((size, size, LANES), np.int64)
        multiples = rng().integers(-(2**18), 2**18, (size, LANES)) * pivot // 2**14 + rng().integers(
            -1, 2, (size, LANES)
        )
        moments[:, 0] = multiples
        moments[np.arange(size), np.arange(size)] = pivot
        check(moments, rng().integers(-255, 256, (size, LANES)))


def test_weights_are_those_of_the_text() -> None:
    innovations = rng().integers(-(2**20), 2**20, (7, LANES)).astype(np.float64)
    innovations[:, :3] = [0, 1, -1]
    errors = np.abs(innovations[4:]).sum(0).astype(int)
    weights = np.zeros(LANES, np.int32)
    weigh_all(innovations, 4, weights)
    assert weights.tolist() == [2**18 // (2**10 + 3 * e) for e in errors.tolist()]


SHAPES = [(1, 1, 1), (1, 5, 3), (1, 40, 30), (3, 4, 9), (11, 3, 2), (20, 2, 6)]


@pytest.mark.parametrize(("n_images", "height", "width"), SHAPES)
def test_memory_is_that_of_the_text(n_images: int, height: int, width: int) -> None:
    """H and V in dictionaries, through images of noise, in blocks of all sizes."""
    size, ridge = 2, 77
    entries = [(i, j) for i in range(size) for j in range(i + 1)]
    rows, columns = memory(len(entries), n_images, height, width)
    h, v = ({(k, image): [0] * 3 for k in range(length) for image in range(n_images)} for length in (height, width))
    for t in range(width + SKEW * (height - 1)):
        step = [(y, i) for y in range(height) if 0 <= t - SKEW * y < width for i in range(n_images)]
        for first in range(0, len(step), LANES):
            block = step[first : first + LANES]
            begin = block[0][0] * n_images + block[0][1]
            moments = np.zeros((len(entries), LANES))
            look(moments, size, rows, columns, t, begin, len(block), n_images, width, ridge)
            f = rng().integers(-255, 256, (size, LANES)).astype(np.int32)
            weights = rng().integers(0, 257, LANES).astype(np.int32)
            add(f, weights, len(block), rows, columns, t, begin, n_images, width)
            for lane, (y, image) in enumerate(block):
                x = t - SKEW * y
                row, column, ahead = h[y, image], v[x, image], v[min(x + 3, width - 1), image]
                for e, (i, j) in enumerate(entries):
                    assert moments[e, lane] == row[e] + ahead[e] + ridge * (i == j)
                for e, (i, j) in enumerate(entries):
                    row[e] = decayed(row[e], int(weights[lane] * f[i, lane] * f[j, lane]), 4, 5)
                    column[e] = decayed(column[e], row[e], 3, 4)


def test_memory_settles_within_int32() -> None:
    """Sums of the largest moments at the largest weight, with either sign, until they move no more."""
    weights = np.full(LANES, 256, np.int32)
    f = np.repeat(np.array([[255], [-255], [1]], np.int32), LANES, 1)
    pairs = [(i, j) for i in range(3) for j in range(i + 1)]
    rows, columns = memory(len(pairs), 1, 1, 1)
    h, v = [0] * len(pairs), [0] * len(pairs)
    for _ in range(600):
        add(f, weights, 1, rows, columns, 0, 0, 1, 1)
        for n, (i, j) in enumerate(pairs):
            h[n] = decayed(h[n], 256 * int(f[i, 0] * f[j, 0]), 4, 5)
            v[n] = decayed(v[n], h[n], 3, 4)
        assert (rows[:, 0].tolist(), columns[0, :, 0].tolist()) == (h, v)
    assert not rows[:, 1:].any() and not columns[0, :, 1:].any() and not columns[1:].any()
    assert 2**29 < max(v) < 2**30
    assert max(v) + max(h) + (1 << 24) < 2**31
    assert min(v) < -(2**29)


def test_the_spread_of_a_power_of_two_is_its_exponent() -> None:
    assert [plain_context.spread(d) for d in (1, 2, 3, 2**16, 2**30)] == [-2048, -1920, -1856, 0, 1792]
