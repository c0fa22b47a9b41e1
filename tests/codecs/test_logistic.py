import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.codecs import Logistic, LogisticMixture, NetworkMixture, quarter, tables
from bitsback.codecs.testing import check_codec
from bitsback.errors import CodecError

INT32 = np.iinfo(np.int32)


def random_mixture(rng, n, components, scales=(0, 64), symbols=256):
    mean = rng.integers(-800, 16 * symbols + 800, (n, components))
    mean[rng.random(mean.shape) < 0.05] = rng.choice([INT32.min, INT32.max])
    return LogisticMixture(mean, rng.integers(*scales, mean.shape), rng.integers(0, 256, mean.shape, np.uint8), symbols)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.sampled_from([2, 3, 200, 256, 1000, 65536]), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_data_and_stack_are_restored(components, symbols, lanes, seed):
    rng = np.random.default_rng(seed)
    codec = random_mixture(rng, 50, components, symbols=symbols)
    check_codec(codec, rng.integers(0, symbols, 50), lanes, seed)


@pytest.mark.parametrize(("components", "symbols"), [(1, 2), (1, 256), (3, 256), (64, 100), (2, 65536)])
def test_it_is_a_family(check_family, components, symbols):
    check_family(random_mixture(np.random.default_rng(components), 60, components, symbols=symbols))


def start_of(v, mean, scale, weight, symbols):
    """Return where the interval of v begins, in Python's integers."""
    names = ("logistic", "inverse_scales", "exponentials")
    table, inverses, exponentials = (tables.load(name).tolist() for name in names)
    if v in (0, symbols):
        return 2**24 if v else 0
    e = [exponentials[w] for w in weight]
    ratio = (2**24 - symbols) * 2**24 // sum(e)
    masses = [value * ratio // 2**24 for value in e]
    masses[0] = 2**24 - symbols - sum(masses[1:])
    total = 0
    for mass, centre, s in zip(masses, mean, scale, strict=True):
        i, f = divmod(min(max(2**30 + (16 * v - 8 - centre) * inverses[s], 0), 2**31 - 1), 2**20)
        total += mass * (table[i] + (table[i + 1] - table[i]) * f // 2**20)
    return total // 2**32 + v


def check_intervals(codec, x):
    starts, freqs = codec.intervals(x)
    for j, v in enumerate(x.tolist()):
        parameters = codec.mean[j].tolist(), codec.scale[j].tolist(), codec.weight[j].tolist(), codec.size
        assert (starts[j], starts[j] + freqs[j]) == (start_of(v, *parameters), start_of(v + 1, *parameters))


@pytest.mark.parametrize("symbols", [2, 256, 65536])
def test_intervals_follow_the_documented_arithmetic(symbols):
    codec = random_mixture(np.random.default_rng(1), 60, 3, symbols=symbols)
    check_intervals(codec, np.random.default_rng(2).integers(0, symbols, 60))


@pytest.mark.parametrize("scale", [0, 1, 62, 63])
def test_far_means(scale):
    """Where float64 no longer holds a position exactly."""
    mean = [sign * (2**power + i) for power in (20, 21, 27, 28, 29, 30) for sign in (-1, 1) for i in (-9, -1, 0, 8)]
    mean = np.array(mean)[:, None] + np.arange(2)
    codec = LogisticMixture(mean, np.full(mean.shape, scale), np.tile([0, 255], (len(mean), 1)), 65536)
    for v in (0, 1, 40000, 65535):
        check_intervals(codec, np.full(len(mean), v))


def exact_pmf(mean, scale, weight, symbols=256):
    """Return float64[n, symbols]: the mixtures in floating point, differences taken in the thinner tail."""
    edges = np.concatenate([[-np.inf], np.arange(1, symbols) - 0.5, [np.inf]])
    u = (edges[:, None, None] - mean / 16) / 2 ** ((scale.astype(float) - 16) / 6)
    u, flip = np.stack([u[:-1], u[1:]]), np.where(u[:-1] + u[1:] > 0, -1.0, 1.0)
    with np.errstate(over="ignore"):
        cdf = 1 / (1 + np.exp(-u * flip))
    share = 2 ** ((weight.astype(float) - 128) / 16)
    share /= share.sum(axis=1, keepdims=True)
    return (np.abs(cdf[1] - cdf[0]) * share).sum(axis=2).T


@pytest.mark.parametrize("components", [1, 2, 3, 5])
@pytest.mark.parametrize("scales", [(14, 40), (40, 64)], ids=["sharp", "wide"])
def test_code_lengths_are_those_of_the_exact_mixtures(components, scales):
    rng = np.random.default_rng(components)
    n = 300
    mean = rng.integers(0, 4081, (n, 1)) + rng.integers(-320, 320, (n, components))
    scale, weight = rng.integers(*scales, (n, components)), rng.integers(60, 200, (n, components))
    pmf = exact_pmf(mean, scale, weight)
    every = [np.repeat(p, 256, axis=0) for p in (mean, scale, weight)]
    lengths = LogisticMixture(*every).bits(np.tile(np.arange(256), n)).reshape(n, 256)
    logs = np.log2(np.maximum(pmf, 1e-300))
    excess, entropy = np.sum(pmf * (lengths + logs)), -np.sum(pmf * logs)
    assert pmf.sum() == pytest.approx(n)
    assert 0 <= excess < 0.001 * entropy


def test_a_sure_background_costs_next_to_nothing():
    codec = LogisticMixture(np.full((9, 2), -200), np.full((9, 2), 10), np.full((9, 2), 128))
    assert 0 < codec.bits(np.zeros(9, int)).max() < 3e-5


def test_the_search_finds_far_symbols_of_a_wrong_prediction():
    codec = Logistic(np.full(256, 16 * 128), np.full(256, 8))
    check_codec(codec, np.arange(256))


def test_one_component_is_a_logistic():
    mean, scale = np.arange(-100, 4200, 37), np.arange(117) % 64
    x = np.arange(117) * 2
    mixture = LogisticMixture(mean[:, None], scale[:, None], np.full((117, 1), 250))
    assert np.array_equal(Logistic(mean, scale).bits(x), mixture.bits(x))


def test_shapes_and_dtypes():
    shape = (2, 3, 5, 4)
    codec = LogisticMixture(np.zeros(shape, np.int16), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    assert codec.shape == shape[:-1] and codec.dtype is np.uint8
    assert random_mixture(np.random.default_rng(0), 2, 1, symbols=257).dtype is np.uint16


@pytest.mark.parametrize(
    ("mean", "scale", "weight", "symbols"),
    [
        ([[0]], [[112]], [[0]], 256),
        ([[0]], [[0]], [[256]], 256),
        ([[2**31]], [[0]], [[0]], 256),
        ([[0.5]], [[0]], [[0]], 256),
        ([[0, 0]], [[0, 0, 0]], [[0]], 256),
        (0, 0, 0, 256),
        ([[0]], [[0]], [[0]], 1),
        ([[0]], [[0]], [[0]], 65537),
        ([[]], [[]], [[]], 256),
    ],
)
def test_bad_parameters(mean, scale, weight, symbols):
    with pytest.raises(CodecError):
        LogisticMixture(np.array(mean), np.array(scale), np.array(weight), symbols)


def test_golden(digest):
    i = np.arange(60).reshape(20, 3)
    assert digest(LogisticMixture(i * 70 - 60, (i * 5) % 64, (i * 37) % 256)) == "5caa512953263c43bfc0cfdb1ddb8f6f"


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_network_mixture_restores_data_and_stack(components, lanes, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (3, 3 * components, 4, 5), np.uint8)
    codec = NetworkMixture(codes, (3, 4, 5, 1), rng.permutation(20))
    check_codec(codec, rng.integers(0, 256, (3, 4, 5, 1)), lanes, seed)


def test_a_network_mixture_is_the_mixture_of_its_codes():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (5, 9, 6, 7), np.uint8)
    order = rng.permutation(42)
    x = rng.integers(0, 256, (5, 6, 7))
    mean, scale, weight = np.split(codes.reshape(5, 9, 42)[:, :, order].transpose(0, 2, 1).reshape(5, 6, 7, 9), 3, -1)
    same = LogisticMixture(mean.astype(np.int32) * 18 - 256, quarter(scale), weight)
    for mine, its in zip(NetworkMixture(codes, (5, 6, 7), order).intervals(x), same.intervals(x), strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize(
    ("codes", "shape"),
    [
        (np.zeros((2, 4, 5), np.uint8), (2, 5)),
        (np.zeros((2, 0, 5), np.uint8), (2, 5)),
        (np.zeros((2, 3, 5), np.int16), (2, 5)),
        (np.zeros((2, 3, 5), np.uint8), (2, 6)),
        (np.zeros((2, 3, 5), np.uint8), (3, 5)),
    ],
)
def test_codes_that_do_not_fit_are_refused(codes, shape):
    with pytest.raises(CodecError):
        NetworkMixture(codes, shape)
