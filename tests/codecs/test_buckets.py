from bisect import bisect_right
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.codecs import PosteriorBuckets, Uniform, bucket_centres, bucket_codes, tables
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError

NORMAL = NormalDist()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 16), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_data_and_stack_are_restored(bits, lanes, seed):
    rng = np.random.default_rng(seed)
    means = rng.integers(-(1 << 14), (1 << 14) + 1, (6, 7)) >> rng.integers(0, 15)
    codec = PosteriorBuckets(means, rng.integers(0, 224, (6, 7)), bits)
    check_codec(codec, rng.integers(0, 1 << bits, (6, 7)), lanes, seed)


def test_it_is_a_family(check_family):
    mean, scale = np.array([-16384, 16384, 0, 0, 4096, -4096, 100]), np.array([0, 223, 0, 223, 0, 223, 20])
    for bits in (1, 6, 13, 16):
        check_family(PosteriorBuckets(mean, scale, bits))


def test_the_prior_as_posterior_is_uniform():
    codec = PosteriorBuckets(np.zeros(1024, int), 191, 10)
    bits = codec.bits(np.arange(1024))
    assert bits == pytest.approx(Uniform(10, (1024,)).bits(np.arange(1024)), abs=1e-2)
    assert bits.mean() == pytest.approx(10, abs=1e-5)


def test_code_lengths_are_those_of_the_exact_gaussians():
    rng = np.random.default_rng(3)
    excess = entropy = 0.0
    for bits in (6, 10, 12):
        n = 1 << bits
        edges = [NORMAL.inv_cdf(k / n) for k in range(1, n)]
        for mean, scale in zip(rng.integers(-2600, 2600, 12), rng.integers(95, 224, 12), strict=True):
            exact = NormalDist(int(mean) / 1024, 2 ** ((int(scale) - 191) / 16))
            pmf = np.maximum(np.diff([0.0, *map(exact.cdf, edges), 1.0]), 1e-300)
            lengths = PosteriorBuckets(np.full(n, mean), scale, bits).bits(np.arange(n))
            entropy -= float(pmf @ np.log2(pmf))
            excess += float(pmf @ (lengths + np.log2(pmf)))
    assert 0 <= excess < 0.001 * entropy


@pytest.mark.parametrize("std", [3.7, 1.3, 1.0, 0.3, 0.02, 0.01, 0.005, 0.003])
def test_grids_cost_less_than_a_hundredth_of_a_bit(std):
    """What N(m, std) takes under its codec, more than under itself, for 2^16 buckets."""
    edges = np.array([NORMAL.inv_cdf(k / 4096) for k in range(1, 4096)])
    if std < 0.1:  # the middle, where buckets are narrowest; sums over all would take seconds
        edges = edges[:0]
    rng = np.random.default_rng(0)
    extra = []
    for mean in rng.normal(0, max(1 - std**2, 0) ** 0.5, 20).clip(-2.5, 2.5).tolist():
        codec = PosteriorBuckets.from_floats([mean], [std], 16)
        m, s = codec.mean[0] / 1024, 2 ** ((codec.scale[0] - 191.0) / 16)
        extra.append((np.log(s / std) + (std**2 + (m - mean) ** 2) / (2 * s**2) - 0.5) / np.log(2))
    assert 0 <= np.mean(extra) < 0.01
    if len(edges):
        pmf = np.diff([0.0, *map(NormalDist(0.2, std).cdf, edges), 1.0]).clip(1e-300)
        lengths = PosteriorBuckets.from_floats(np.full(4096, 0.2), std, 12).bits(np.arange(4096))
        assert -1e-9 < pmf @ (lengths + np.log2(pmf)) < 0.01


def test_bucket_centres_are_the_medians():
    for bits in (1, 4, 12, 16):
        n = 1 << bits
        exact = np.array([NORMAL.inv_cdf((k + 0.5) / n) for k in range(n)])
        centres = bucket_centres(bits)
        assert centres.dtype == np.float64 and (np.ldexp(centres, 20) % 1 == 0).all() and (np.diff(centres) > 0).all()
        assert np.abs(centres - exact).max() < (1e-6 if bits < 13 else 3e-4)
        if bits < 13:
            assert bucket_codes(bits).tolist() == np.floor(128.5 + 32 * exact).clip(0, 255).tolist()
    assert bucket_codes(8).dtype == np.uint8


def test_intervals_follow_the_documented_arithmetic():
    normal, quantiles, ratios = (tables.load(name).tolist() for name in ("normal", "quantiles", "inverse_ratios"))
    rng = np.random.default_rng(0)
    for bits in (1, 5, 12, 14, 16):
        n = 1 << bits
        means, scales, x = rng.integers(-4096, 4096, 50), rng.integers(0, 224, 50), rng.integers(0, n, 50)

        def edge(k, bits=bits):
            if bits <= 13:
                return quantiles[k << (13 - bits)]
            wanted = k << (32 - bits)
            i = bisect_right(normal, wanted) - 1
            return ((i << 20) + -((normal[i] - wanted) * 2**20 // (normal[i + 1] - normal[i])) - 2**30) // 64

        def start(k, m, s, n=n, edge=edge):
            if k in (0, n):
                return 2**24 if k else 0
            t = 2**30 + (edge(k) - m * 2**10) * ratios[s] // 2**14
            i, f = divmod(min(max(t, 0), 2**31 - 1), 2**20)
            return (normal[i] + (normal[i + 1] - normal[i]) * f // 2**20) * (2**24 - n) // 2**32 + k

        starts, freqs = PosteriorBuckets(means, scales, bits).intervals(x)
        for j, (m, s, k) in enumerate(zip(means.tolist(), scales.tolist(), x.tolist(), strict=True)):
            assert (starts[j], starts[j] + freqs[j]) == (start(k, m, s), start(k + 1, m, s))


def test_modes_are_the_buckets_of_the_means():
    means = np.arange(-4096, 4096, 32).reshape(8, 32)
    for bits in (1, 7, 12):
        exact = [int(NORMAL.cdf(m / 1024) * 2**bits) for m in range(-4096, 4096, 32)]
        modes = PosteriorBuckets(means, np.zeros_like(means), bits).modes()
        assert modes.dtype == np.uint16 and modes.reshape(-1).tolist() == exact
    assert PosteriorBuckets([-16384, 16384], 0, 16).modes().tolist() == [0, 65535]


def test_codes_are_points_of_the_grids():
    delta, rho = np.arange(256), np.arange(256) % 64
    codec = PosteriorBuckets.from_codes(delta, rho, 8)
    exact = PosteriorBuckets.from_floats((delta - 128) / 32, 2.0 ** (-rho / 8), 8)
    assert np.array_equal(codec.mean, exact.mean) and np.array_equal(codec.scale, exact.scale)
    for bad in (([256], [0]), ([-1], [0]), ([0], [64]), ([0, 1], [0, 0, 0])):
        with pytest.raises(CodecError):
            PosteriorBuckets.from_codes(*bad, 8)


def test_bad_parameters():
    for mean, scale, bits in (
        ([16385], [0], 8),
        ([-16385], [0], 8),
        ([0], [224], 8),
        ([0], [-1], 8),
        ([0, 1], [0, 0, 0], 8),
        ([0], [0], 0),
        ([0], [0], 17),
    ):
        with pytest.raises(CodecError):
            PosteriorBuckets(np.array(mean), np.array(scale), bits)
    for medians in (bucket_centres, bucket_codes):
        with pytest.raises(CodecError):
            medians(17)


def test_golden(digest):
    assert (
        digest(PosteriorBuckets.from_codes(np.arange(60, 200, 5), np.arange(28) * 2, 10))
        == "eade0afc8fb8265fa4339bb5145b1e84"
    )
