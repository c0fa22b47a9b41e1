import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

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
from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec  # noqa: E402
from bitsback.training.context import SLICE, TrainableContext  # noqa: E402
from bitsback.training.layers import UNIT  # noqa: E402

FEATURES = tuple(Feature(tap) for tap in neighbours(0, [(0, -1), (-1, 0), (-1, 1), (-2, 4)]))
SPEC = ContextSpec((FEATURES, FEATURES), ((24, 16), (20,)), map=3)


def trainable(components: int = 3) -> TrainableContext:
    torch.manual_seed(0)
    net = TrainableContext(SPEC, 2, MixtureSpec(components) if components else BernoulliSpec())
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
    net = TrainableContext(spec, 1, MixtureSpec(1))
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(3.0)
    ContextNetwork(spec, 1, 3, companding(), net.export())


@pytest.mark.parametrize("components", [0, 1, 3])
@pytest.mark.parametrize("hidden", [(24, 16), (3,)])
def test_a_start_is_the_inverse_of_an_export(components: int, hidden: tuple[int, ...]) -> None:
    """To the last bit, though a last layer has a unit for each output."""
    spec = ContextSpec((FEATURES,), (hidden,))
    likelihood = MixtureSpec(components) if components else BernoulliSpec()
    for seed in range(10):
        torch.manual_seed(seed)
        nets = [TrainableContext(spec, 1, likelihood) for _ in range(2)]
        with torch.no_grad():
            for p in nets[0].parameters():
                p += 0.3 * torch.randn_like(p)
        exported = nets[0].export()
        nets[1].start_from(ContextNetwork(spec, 1, likelihood.parameters, companding(), exported))
        for one, other in zip(exported[0], nets[1].export()[0], strict=True):
            assert all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("weight", "bias", "shift"))


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


@pytest.mark.parametrize("regression", [False, True])
def test_the_start_is_plausible(regression: bool) -> None:
    """Samples at the reference, or else at the ends of the range, are cheap, and no sample is out of the question."""
    spec = ContextSpec(
        (FEATURES,), ((32,),), regression=RegressionSpec((Tap("value", 0, -1, 0),)) if regression else None
    )
    torch.manual_seed(0)
    net = TrainableContext(spec, 1, MixtureSpec(3))
    x = torch.arange(256.0)
    with torch.no_grad():
        out = net(0, torch.full((256, 4), 128 / UNIT))
        nats = net.nats(out, x, x * 16 if regression else None)
    bits = nats / np.log(2)
    if regression:
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
    x = torch.randint(0, 256 if components else 2, (n + 5, 2)).float()
    features, maps = torch.rand(n + 5, 4) * 7.9, (torch.rand(n + 5, 3) * 7.9).requires_grad_()
    picks, weights = np.random.default_rng(0).permutation(n + 5)[:n], np.random.default_rng(1).random(n, np.float32)
    middle = torch.full((n + 5, 2, 1), 2048.0)

    def gather(some: np.ndarray) -> tuple:
        return (features[some], features[some]), x[some], middle[some]

    total = net.total(1, gather, picks, weights, maps)
    inputs = torch.cat([features, maps], 1)[picks]
    expected = net.nats(net(1, inputs), x[picks, 1]) @ torch.from_numpy(weights)
    torch.testing.assert_close(total, expected)
    parameters = [maps, *net.networks[1].parameters()]
    for one, other in zip(
        torch.autograd.grad(3 * total, parameters), torch.autograd.grad(3 * expected, parameters), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))
    with torch.no_grad():
        torch.testing.assert_close(net.total(1, gather, picks, weights, maps), expected)
        unweighted = net.nats(net(1, inputs), x[picks, 1]).sum()
        torch.testing.assert_close(net.total(1, gather, picks, None, maps), unweighted)
