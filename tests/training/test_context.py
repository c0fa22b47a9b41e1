import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.codecs import LogisticMixture  # noqa: E402
from bitsback.kinds.context.network import (  # noqa: E402
    MAX_OUTPUT,
    ContextNetwork,
    ContextSpec,
    Feature,
    RegressionSpec,
    Tap,
    companding,
    neighbours,
    rounded_bias,
)
from bitsback.training.context import SLICE, Samples, TrainableContext, bernoulli_nats, mixture_nats  # noqa: E402
from bitsback.training.layers import UNIT  # noqa: E402
from bitsback.training.vae import mixture_nats as generic_mixture_nats  # noqa: E402

FEATURES = tuple(Feature(tap) for tap in neighbours(0, [(0, -1), (-1, 0), (-1, 1), (-2, 4)]))
SPEC = ContextSpec((FEATURES, FEATURES), ((24, 16), (20,)), map=3)


def trainable(components: int = 3) -> TrainableContext:
    torch.manual_seed(0)
    parameters, likelihood = (3 * components, "logistic_mixture") if components else (1, "bernoulli")
    net = TrainableContext(SPEC, 2, parameters, likelihood, max(components, 1))
    with torch.no_grad():
        for p in net.parameters():
            p += 0.3 * torch.randn_like(p)
    return net


@pytest.mark.parametrize("components", [0, 1, 3])
@pytest.mark.parametrize("channel", [0, 1])
def test_quantised_forward_is_the_integer_network(components: int, channel: int) -> None:
    net = trainable(components)
    net.quantise(True)
    x = np.random.default_rng(0).integers(0, 256, (2000, 7))
    with torch.no_grad():
        out = net(channel, torch.from_numpy(x).float() / UNIT).numpy()
    exported = ContextNetwork(SPEC, 2, max(3 * components, 1), companding(), net.export())  # checks the bounds
    layers = exported.weights[channel]
    for index, w in enumerate(layers):
        low, high = (-MAX_OUTPUT, MAX_OUTPUT) if index == len(layers) - 1 else (0, 255)
        x = ((x @ w.weight.astype(np.int64).T + rounded_bias(w)) >> w.shift.astype(np.int64)).clip(low, high)
    assert np.abs(x).max() > 20
    assert len(np.unique(x)) > 20
    np.testing.assert_array_equal(out, x)


def test_export_keeps_the_bound_with_the_rounding_half() -> None:
    """Large equal weights in a wide network: the network's own check refuses an accumulator that could overflow."""
    features = FEATURES * 100
    spec = ContextSpec((features,), ((4,),))
    net = TrainableContext(spec, 1, 3, "logistic_mixture")
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(3.0)
    ContextNetwork(spec, 1, 3, companding(), net.export())


def test_without_quantisation_it_is_close() -> None:
    net = trainable()
    x = torch.rand(500, 7) * 7.9
    smooth = net(0, x)
    net.quantise(True)
    assert 0 < (net(0, x) - smooth).abs().mean() < 8


@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("components", [0, 3])
def test_gradients_reach_every_parameter(components: int, quantise: bool) -> None:
    net = trainable(components)
    net.quantise(quantise)
    x = torch.randint(0, 256 if components else 2, (200,)).float()
    sum(net.nats(net(channel, torch.rand(200, 7) * 7.9), x).sum() for channel in (0, 1)).backward()
    for name, p in net.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


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


def test_mixture_gradient_is_the_generic_one() -> None:
    out, x = (torch.from_numpy(a).double() for a in random_out())
    out.requires_grad_()
    mixture_nats(out, x).sum().backward()
    # The same distribution as TrainableVAE's, whose units differ
    other = out.detach().clone().requires_grad_()
    mean, scale, weight = other.split(3, 1)
    generic = torch.cat([(mean + 2048 + 256) / (18 * UNIT), scale * 4 / UNIT, weight / UNIT + 4], 1)
    generic_mixture_nats(generic.T[None, :, :, None], x[None, None, :, None], 3).sum().backward()
    assert out.grad is not None
    torch.testing.assert_close(out.grad, other.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("with_reference", [False, True])
def test_the_fused_kernel_is_the_generic_code(with_reference: bool) -> None:
    out, x = (torch.from_numpy(a).float() for a in random_out())
    out[:, 3:] *= 1.3  # beyond the clips, too
    out[:, 4] -= 10
    reference = torch.rand(len(x)) * 4080 if with_reference else None
    results = []
    for dtype in (torch.float32, torch.float64):  # the kernel takes float32 alone
        leaf = out.to(dtype).clone().requires_grad_()
        nats = mixture_nats(leaf, x.to(dtype), None if reference is None else reference.to(dtype))
        nats.sum().backward()
        results.append((nats.double(), leaf.grad.double()))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_bernoulli_objective() -> None:
    u = torch.arange(-140.0, 140.0)
    logit = u.clamp(-128, 127) * 5 / 64
    for x in (0, 1):
        expected = torch.nn.functional.softplus(-logit if x else logit)
        torch.testing.assert_close(bernoulli_nats(u, torch.full_like(u, x)), expected)


@pytest.mark.parametrize("regression", [False, True])
def test_the_start_is_plausible(adaptive: bool) -> None:
    """Samples at the reference, or else at the ends of the range, are cheap, and no sample is out of the question."""
    spec = ContextSpec(
        (FEATURES,), ((32,),), regression=RegressionSpec((Tap("value", 0, -1, 0),)) if adaptive else None
    )
    torch.manual_seed(0)
    net = TrainableContext(spec, 1, 9, "logistic_mixture", 3)
    x = torch.arange(256.0)
    with torch.no_grad():
        out = net(0, torch.full((256, 4), 128 / UNIT))
        nats = net.nats(out, x, x * 16 if adaptive else None)
    bits = nats / np.log(2)
    if adaptive:
        assert bits.max() < 4
    else:
        assert bits[[0, 255]].max() < 2
        assert bits.mean() < 10.5
        assert bits.max() < 12


@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("components", [0, 3])
def test_the_total_is_the_sum_with_its_gradient(components: int, quantise: bool) -> None:
    net = trainable(components)
    net.quantise(quantise)
    n = SLICE + 100
    x = torch.randint(0, 256 if components else 2, (n,)).float()
    inputs, maps, weight = torch.rand(n + 5, 4) * 7.9, (torch.rand(n + 5, 3) * 7.9).requires_grad_(), torch.rand(n)
    index = torch.randperm(n + 5)[:n]
    total = net.total(1, Samples(index, x, lambda i: inputs[i], weight), maps)
    expected = net.nats(net(1, torch.cat([inputs, maps], 1)[index]), x) @ weight
    torch.testing.assert_close(total, expected)
    parameters = [maps, *net.networks[1].parameters()]
    for one, other in zip(
        torch.autograd.grad(3 * total, parameters), torch.autograd.grad(3 * expected, parameters), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))
    with torch.no_grad():
        torch.testing.assert_close(net.total(1, Samples(index, x, lambda i: inputs[i], weight), maps), expected)
