import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.nets import reference  # noqa: E402
from bitsback.nets.layers import MAX_ACCUMULATOR, Conv, Dense, Flatten, NetSpec, Shuffle, Unflatten  # noqa: E402
from bitsback.training.layers import UNIT, QuantLayer, QuantNetwork, ReturningClip  # noqa: E402

SPEC = NetSpec(
    (1, 8, 12),
    (Conv(1, 8, 3, 2), Shuffle(2), Flatten(), Dense(192, 20), Dense(20, 24), Unflatten(2, 3, 4), Conv(2, 3, 3)),
)


def network(seed: int = 0) -> QuantNetwork:
    torch.manual_seed(seed)
    net = QuantNetwork(SPEC)
    with torch.no_grad():
        for module in net.layers.values():
            module.bias += torch.randn_like(module.bias)
    return net


def test_quantised_forward_is_the_integer_network() -> None:
    net = network()
    net.quantise(True)
    x = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 12), np.uint8)
    with torch.no_grad():
        y = net(torch.from_numpy(x).float() / UNIT) * UNIT
    expected = reference.run(net.export(), x)
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(y.numpy(), expected)


def test_without_quantisation_it_is_close() -> None:
    net = network()
    x = torch.rand(6, 1, 8, 12) * 7.9
    smooth = net(x)
    net.quantise(True)
    assert (net(x) - smooth).abs().mean() < 0.1
    assert not torch.equal(net(x), smooth)


@pytest.mark.parametrize("quantise", [False, True])
def test_gradients_reach_every_parameter(quantise: bool) -> None:
    net = network()
    net.quantise(quantise)
    net(torch.rand(6, 1, 8, 12) * 7.9).square().sum().backward()
    for name, p in net.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


def test_export_keeps_the_accumulator_bound() -> None:
    """Many equal weights: the largest scale that fits the weights would overflow the accumulator."""
    layer = QuantLayer(Dense(4000, 3))
    with torch.no_grad():
        layer.weight.fill_(0.9)
        layer.bias[:] = torch.tensor([0.0, 100.0, -100.0])
    weights = layer.export()
    worst = np.abs(weights.weight.astype(np.int64)).sum(1) * 255 + np.abs(weights.bias.astype(np.int64))
    assert worst.max() < MAX_ACCUMULATOR
    np.testing.assert_allclose(weights.weight / np.exp2(weights.shift)[:, None], 0.9, atol=0.1)


def test_the_clip_leads_back_into_its_range() -> None:
    x = torch.tensor([-1.0, 0.5, 9.0, -1.0, 9.0], requires_grad=True)
    y = ReturningClip.apply(x, 8.0)
    assert y.tolist() == [0.0, 0.5, 8.0, 0.0, 8.0]
    y.backward(torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0]))
    # Descent moves against the gradient: outwards it is stopped, inwards it passes
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, -1.0, 0.0]
