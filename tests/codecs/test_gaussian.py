from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.codecs import Gaussian, tables
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError

NORMAL = NormalDist()


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 1 << 16), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_data_and_stack_are_restored(symbols, lanes, seed):
    rng = np.random.default_rng(seed)
    codec = Gaussian(rng.integers(-500, 16 * symbols + 500, (6, 7)), rng.integers(0, 64, (6, 7)), symbols)
    check_codec(codec, rng.integers(0, symbols, (6, 7)), lanes, seed)


def test_it_is_a_family(check_family):
    mean = np.array([-(2**31), -300, 0, 8, 2040, 4000, 2**31 - 1])
    for symbols in (2, 256, 257, 1 << 16):
        check_family(Gaussian(mean, np.array([0, 63, 0, 20, 40, 63, 63]), symbols))
        check_family(Gaussian(mean, np.array([63, 0, 63, 0, 1, 2, 0]), symbols))


def test_code_lengths_are_those_of_the_exact_gaussians():
    rng = np.random.default_rng(3)
    excess = entropy = 0.0
    for mean, scale in zip(rng.integers(0, 4096, 40), rng.integers(10, 58, 40), strict=True):
        exact = NormalDist(int(mean) / 16, 2 ** ((int(scale) - 16) / 6))
        pmf = np.maximum(np.diff([0.0, *(exact.cdf(v - 0.5) for v in range(1, 256)), 1.0]), 1e-300)
        lengths = Gaussian(np.full(256, mean), np.full(256, scale)).bits(np.arange(256))
        entropy -= float(pmf @ np.log2(pmf))
        excess += float(pmf @ (lengths + np.log2(pmf)))
    assert 0 <= excess < 0.001 * entropy


def test_intervals_follow_the_documented_arithmetic():
    normal, inverses = (tables.load(name).tolist() for name in ("normal", "inverse_scales"))
    rng = np.random.default_rng(0)
    for n in (2, 256, 1 << 16):
        mean, scale = rng.integers(-100, 16 * n, 50), rng.integers(0, 64, 50)
        x = np.clip(mean // 16 + rng.integers(-3, 4, 50), 0, n - 1)

        def start(v, m, s, n=n):
            if v in (0, n):
                return 2**24 if v else 0
            t = 2**30 + (16 * v - 8 - m) * inverses[s]
            i, f = divmod(min(max(t, 0), 2**31 - 1), 2**20)
            return (normal[i] + (normal[i + 1] - normal[i]) * f // 2**20) * (2**24 - n) // 2**32 + v

        starts, freqs = Gaussian(mean, scale, n).intervals(x)
        for j, (m, s, v) in enumerate(zip(mean.tolist(), scale.tolist(), x.tolist(), strict=True)):
            assert (starts[j], starts[j] + freqs[j]) == (start(v, m, s), start(v + 1, m, s))


def test_the_search_finds_far_symbols_of_a_wrong_prediction():
    check_codec(Gaussian(np.full(256, 16 * 128), np.full(256, 8)), np.arange(256))


def test_shapes_and_dtypes():
    assert Gaussian(np.zeros((2, 3), int), np.zeros((2, 3), int)).shape == (2, 3)
    assert Gaussian([0], [0]).dtype is np.uint8 and Gaussian([0], [0], 257).dtype is np.uint16


@pytest.mark.parametrize(
    ("mean", "scale", "symbols"),
    [
        ([0], [112], 256),
        ([0], [-1], 256),
        ([2**31], [0], 256),
        ([0.5], [0], 256),
        ([0, 0], [0, 0, 0], 256),
        ([0], [0], 1),
    ],
)
def test_bad_parameters(mean, scale, symbols):
    with pytest.raises(CodecError):
        Gaussian(np.array(mean), np.array(scale), symbols)
    with pytest.raises(CodecError, match="2 to 65536 levels"):
        Gaussian([0], [0], 65537)


def test_golden(digest):
    i = np.arange(60)
    assert digest(Gaussian(i * 70 - 60, (i * 5) % 64)) == "b3c6d62f27332c61a05dd21bb664c9eb"
    assert digest(Gaussian(i * 17000, (i * 7) % 64, 1 << 16)) == "48f4b8d12f4d4b140b9c97ce400903ef"
