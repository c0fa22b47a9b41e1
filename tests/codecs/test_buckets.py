from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.codecs import PosteriorBuckets, Uniform, bucket_centres, tables
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError

NORMAL = NormalDist()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_data_and_stack_are_restored(bits, lanes, seed):
    rng = np.random.default_rng(seed)
    codec = PosteriorBuckets(rng.integers(0, 256, (6, 7)), rng.integers(0, 64, (6, 7)), bits)
    check_codec(codec, rng.integers(0, 1 << bits, (6, 7)), lanes, seed)


def test_it_is_a_family(check_family):
    delta, rho = np.array([0, 0, 128, 128, 255, 255, 100]), np.array([0, 63, 0, 63, 0, 63, 20])
    for bits in (1, 6, 12):
        check_family(PosteriorBuckets(delta, rho, bits))


def test_the_prior_as_posterior_is_uniform():
    codec = PosteriorBuckets(np.full(1024, 128), np.zeros(1024, int), 10)
    bits = codec.bits(np.arange(1024))
    assert bits == pytest.approx(Uniform(10, (1024,)).bits(np.arange(1024)), abs=1e-2)
    assert bits.mean() == pytest.approx(10, abs=1e-5)


def test_code_lengths_are_those_of_the_exact_gaussians():
    rng = np.random.default_rng(3)
    excess = entropy = 0.0
    for bits in (6, 10, 12):
        n = 1 << bits
        edges = [NORMAL.inv_cdf(k / n) for k in range(1, n)]
        for delta, rho in zip(rng.integers(48, 208, 12), rng.integers(0, 48, 12), strict=True):
            exact = NormalDist((int(delta) - 128) / 32, 2 ** (-int(rho) / 8))
            pmf = np.maximum(np.diff([0.0, *map(exact.cdf, edges), 1.0]), 1e-300)
            lengths = PosteriorBuckets(np.full(n, delta), np.full(n, rho), bits).bits(np.arange(n))
            entropy -= float(pmf @ np.log2(pmf))
            excess += float(pmf @ (lengths + np.log2(pmf)))
    assert 0 <= excess < 0.001 * entropy


def test_bucket_centres_are_the_medians():
    for bits in (1, 4, 12):
        n = 1 << bits
        exact = [128 + 32 * NORMAL.inv_cdf((k + 0.5) / n) for k in range(n)]
        assert bucket_centres(bits).tolist() == [min(max(int(np.floor(c + 0.5)), 0), 255) for c in exact]
    assert bucket_centres(8).dtype == np.uint8


def test_intervals_follow_the_documented_arithmetic():
    normal, quantiles, ratios = (tables.load(name).tolist() for name in ("normal", "quantiles", "inverse_ratios"))
    rng = np.random.default_rng(0)
    for bits in (1, 5, 12):
        n = 1 << bits
        delta, rho, x = rng.integers(0, 256, 50), rng.integers(0, 64, 50), rng.integers(0, n, 50)

        def start(k, d, r, n=n, bits=bits):
            if k in (0, n):
                return 2**24 if k else 0
            t = 2**30 + (quantiles[k << (13 - bits)] - (d - 128) * 2**15) * ratios[r] // 2**14
            i, f = divmod(min(max(t, 0), 2**31 - 1), 2**20)
            return (normal[i] + (normal[i + 1] - normal[i]) * f // 2**20) * (2**24 - n) // 2**32 + k

        starts, freqs = PosteriorBuckets(delta, rho, bits).intervals(x)
        for j, (d, r, k) in enumerate(zip(delta.tolist(), rho.tolist(), x.tolist(), strict=True)):
            assert (starts[j], starts[j] + freqs[j]) == (start(k, d, r), start(k + 1, d, r))


def test_modes_are_the_buckets_of_the_means():
    delta = np.arange(256).reshape(8, 32)
    for bits in (1, 7, 12):
        exact = [int(NORMAL.cdf((d - 128) / 32) * 2**bits) for d in range(256)]
        modes = PosteriorBuckets(delta, np.zeros_like(delta), bits).modes()
        assert modes.dtype == np.uint16 and modes.reshape(-1).tolist() == exact


def test_bad_parameters():
    for delta, rho, bits in (
        ([256], [0], 8),
        ([0], [64], 8),
        ([-1], [0], 8),
        ([0, 1], [0, 0, 0], 8),
        ([0], [0], 0),
        ([0], [0], 13),
    ):
        with pytest.raises(CodecError):
            PosteriorBuckets(np.array(delta), np.array(rho), bits)
    with pytest.raises(CodecError):
        bucket_centres(13)


def test_golden(digest):
    assert digest(PosteriorBuckets(np.arange(60, 200, 5), np.arange(28) * 2, 10)) == "eade0afc8fb8265fa4339bb5145b1e84"
