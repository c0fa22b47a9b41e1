import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.codecs import LogisticMixture, quarter  # noqa: E402
from bitsback.kinds.context.codec import logit_probabilities  # noqa: E402
from bitsback.kinds.context.network import ContextSpec, Feature, RegressionSpec, Tap  # noqa: E402
from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec  # noqa: E402
from bitsback.training.objectives import mixture_formula, mixture_nats, objective  # noqa: E402

LIKELIHOODS = [BernoulliSpec(), MixtureSpec(1), MixtureSpec(4)]


def random_out(n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, n)
    x[: n // 3] = rng.choice([0, 255], n // 3)
    mean = rng.integers(-2200, 2200, (n, 3))
    return np.concatenate([mean, rng.integers(0, 64, (n, 3)), rng.integers(-128, 128, (n, 3))], 1), x


def test_mixture_objective_is_the_code_length() -> None:
    out, x = random_out()
    reference = np.random.default_rng(1).integers(0, 4080, len(x))
    nats = mixture_nats(*(torch.from_numpy(a).float() for a in (out, x, reference)))
    mean = (reference[:, None] + out[:, :3]).astype(np.int32)
    exact = LogisticMixture(mean, out[:, 3:6].astype(np.uint8), (out[:, 6:] + 128).astype(np.uint8))
    bits = exact.bits(x.astype(np.uint8))
    likely = bits < 12  # below, every level keeps its 2^-24
    assert likely.mean() > 0.5
    np.testing.assert_allclose(nats.numpy()[likely] / np.log(2), bits[likely], atol=0.01)


def test_the_gradient_of_the_formula_is_right() -> None:
    out, x = (torch.from_numpy(a[:40]).double() for a in random_out())
    reference = torch.rand(40, 1).double() * 4080
    out[:, 3:6].clamp_(1, 62)  # at the ends of the ranges the gradient leads back, by design
    out[:, 6:].clamp_(-127, 126)
    out.requires_grad_()
    assert torch.autograd.gradcheck(lambda o: mixture_formula(o, x, reference, 0), out)


@pytest.mark.parametrize("lowest", [0, -30])
@pytest.mark.parametrize("reference", [None, 1, 3])
def test_the_kernel_is_the_formula(reference: int | None, lowest: int) -> None:
    out, x = (torch.from_numpy(a).float() for a in random_out())
    out[:, 3:] *= 1.3  # beyond the clips, too
    out[:, 4] -= 10
    torch.manual_seed(0)
    given = None if reference is None else torch.rand(len(x), reference) * 4080
    results = []
    for dtype in (torch.float32, torch.float64):  # the kernel takes float32 alone
        leaf = out.to(dtype).clone().requires_grad_()
        nats = mixture_nats(leaf, x.to(dtype), None if given is None else given.to(dtype), lowest)
        nats.sum().backward()
        results.append((nats.double(), leaf.grad.double()))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("column", range(9))
def test_what_is_no_number_has_no_price(column: int) -> None:
    """Or else a training that diverged would go on."""
    out, x = (torch.from_numpy(a[:20]).float() for a in random_out())
    out[7, column] = torch.nan
    nats = mixture_nats(out, x)
    assert nats[7].isnan() and nats.isnan().sum() == 1


def test_bernoulli_objective() -> None:
    u = torch.arange(-140.0, 140.0)
    logit = u.clamp(-128, 127) * 5 / 64
    for x in (0, 1):
        expected = torch.nn.functional.softplus(-logit if x else logit)
        torch.testing.assert_close(objective(BernoulliSpec()).nats(u[:, None], torch.full_like(u, x)), expected)


def test_bytes_of_two_valued_samples_are_what_the_codec_takes() -> None:
    u, family = torch.arange(256.0), objective(BernoulliSpec())
    for x in (0, 1):
        bits = family.nats(family.of_bytes(u[:, None]), torch.full_like(u, x)).numpy() / np.log(2)
        p = logit_probabilities() / 2**24
        np.testing.assert_allclose(bits, -np.log2(p if x else 1 - p), rtol=2e-3, atol=1e-6)


def test_bytes_of_mixtures_are_what_the_codec_takes() -> None:
    rng = np.random.default_rng(0)
    u = rng.integers(0, 256, (2000, 9))
    u[:, 3:6] -= u[:, 3:6] % 4  # the integer model has a table of 64 scales
    x = rng.integers(0, 256, 2000).astype(np.uint8)
    family = objective(MixtureSpec(3))
    bits = family.nats(family.of_bytes(torch.from_numpy(u).float()), torch.from_numpy(x).float()).numpy() / np.log(2)
    mean, scale, weight = np.split(u.astype(np.int32), 3, 1)
    exact = LogisticMixture(mean * 18 - 256, quarter(scale), weight).bits(x)
    likely = exact < 12  # below, every level keeps its 2^-24
    assert likely.mean() > 0.5
    np.testing.assert_allclose(bits[likely], exact[likely], atol=0.01)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=str)
@pytest.mark.parametrize("regression", [False, True])
def test_sizes_and_starts(likelihood: BernoulliSpec | MixtureSpec, regression: bool) -> None:
    """A start is worth its network's while: no sample is out of the question, from bytes or with a reference."""
    taps = RegressionSpec((Tap("value", 0, -1, 0),)) if regression else None
    spec = ContextSpec(((Feature(Tap("value", 0, 0, -1)),),), ((4,),), regression=taps)
    family = objective(likelihood)
    x = torch.arange(float(likelihood.levels))
    for start in (family.start(spec), family.of_bytes(family.start_bytes()[None])[0]):
        assert start.shape == family.units(spec).shape == (likelihood.parameters,)
        bits = family.nats(start.expand(len(x), -1), x) / np.log(2)
        assert bits.shape == x.shape and bits[likelihood.levels // 2] < 14
