import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.nets import reference  # noqa: E402
from bitsback.nets.layers import (  # noqa: E402
    MAX_ACCUMULATOR,
    Conv,
    Dense,
    Flatten,
    NetSpec,
    Network,
    Shuffle,
    Skip,
    Unflatten,
    Weights,
)
from bitsback.training.layers import UNIT, QuantLayer, QuantNetwork, ReturningClip  # noqa: E402
from nets.networks import SPECS, random_network  # noqa: E402

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


@pytest.mark.parametrize("quantise", [False, True])
def test_images_of_several_sizes_at_once(quantise: bool) -> None:
    torch.manual_seed(0)
    spec = NetSpec((3, 9, 9), (Conv(3, 8, 1, wide=True), Conv(8, 6, 3), Conv(6, 8, 1), Skip(), Conv(8, 8, 5)))
    net = QuantNetwork(spec, centred=True, inner=True)
    net.quantise(quantise)
    grids = [(2, 5, 4), (2, 1, 1), (2, 1, 7), (2, 8, 8)]
    images = [torch.randint(0, 256, (n, 3, height, width)) / UNIT for n, height, width in grids]
    rows = torch.cat([one.permute(0, 2, 3, 1).flatten(0, 2) for one in images])
    expected = torch.cat([net(one).permute(0, 2, 3, 1).flatten(0, 2) for one in images])
    torch.testing.assert_close(net(rows, grids), expected, rtol=0, atol=0 if quantise else 1e-5)


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


def assert_same(one: Network, other: Network) -> None:
    """To the last bit of every number."""
    assert one.weights.keys() == other.weights.keys()
    for index, weights in one.weights.items():
        for part in Weights.__struct_fields__:
            a, b = getattr(weights, part), getattr(other.weights[index], part)
            assert a.dtype == b.dtype and np.array_equal(a, b), (index, part)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_a_start_is_the_inverse_of_an_export(spec: NetSpec, centred: bool, shared: bool) -> None:
    """Even where weights and accumulators go to their bounds."""
    share = 2.0 ** torch.arange(spec.input[0]).remainder(3).neg() if shared else None
    for seed in range(4):
        given = random_network(spec, seed)
        torch.manual_seed(seed)
        net = QuantNetwork(spec, centred=centred, share=share)
        random = net.export()
        net.start_from(given)
        exported = net.export()
        for index, weights in exported.weights.items():  # the same, but for factors of two
            factor = np.exp2(given.weights[index].shift.astype(float) - weights.shift)
            assert factor.min() >= 1
            assert np.array_equal(weights.bias * factor, given.weights[index].bias)
            assert np.array_equal((weights.weight.T * factor).T, given.weights[index].weight)
        for one in (exported, random):
            net.start_from(one)
            assert_same(net.export(), one)


def test_wide_weights_are_as_fine_as_what_comes_out() -> None:
    """Digits that the rounding of an output hides are left out, and with them a part of the model file."""
    torch.manual_seed(0)
    inputs = np.random.default_rng(0).integers(0, 256, (500, 100)).astype(float)
    for size in (0.01, 0.1, 1.0):
        layer = QuantLayer(Dense(100, 40, wide=True))
        with torch.no_grad():
            layer.weight.mul_(size)
        weights = layer.export()
        off = inputs @ (weights.weight / np.exp2(weights.shift)[:, None] - layer.weight.detach().numpy()).T
        assert 0.1 < (off - off.mean(0)).std() < 1
        layer.start_from(weights)
        again = layer.export()
        assert np.array_equal(again.weight, weights.weight) and np.array_equal(again.shift, weights.shift)


def test_what_is_exported_has_one_form() -> None:
    """A weight that rounds to half of the bound, or an output without any, could stand at several scales."""
    layer = QuantLayer(Dense(2, 3))
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[32.2, -8.1], [0.0, 0.0], [2.0, 6.0]]) / 64
        layer.bias[:] = torch.tensor([0.0, 0.25, 0.0])
    weights = layer.export()
    assert weights.weight.tolist() == [[4, -1], [0, 0], [1, 3]] and weights.bias.tolist() == [0, 8, 0]
    assert weights.shift.tolist() == [3, 0, 5]
    layer.start_from(weights)
    assert layer.export().weight.tolist() == weights.weight.tolist()


def test_the_clip_leads_back_into_its_range() -> None:
    x = torch.tensor([-1.0, 0.5, 9.0, -1.0, 9.0], requires_grad=True)
    y = ReturningClip.apply(x, 8.0)
    assert y.tolist() == [0.0, 0.5, 8.0, 0.0, 8.0]
    y.backward(torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0]))
    # Descent moves against the gradient: outwards it is stopped, inwards it passes
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, -1.0, 0.0]


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("bias", [-3.0, 12.0])
def test_what_a_block_adds_comes_back_into_its_range(inner: bool, bias: float) -> None:
    spec = NetSpec((4, 3, 3), (Conv(4, 6, 1), Conv(6, 4, 3), Skip(), Conv(4, 2, 1)))
    net = QuantNetwork(spec, inner=inner)
    added = net.weighted()[1]
    with torch.no_grad():
        added.weight.zero_()
        added.bias[:] = bias
    y = torch.full((1, 6, 3, 3), 4.0)
    out = added(y)
    (out if bias < 0 else -out).sum().backward()  # descent makes it less, where it is too little already
    assert added.bias.grad is not None and not added.bias.grad.any()
    (-added(y) if bias < 0 else added(y)).sum().backward()
    assert (added.bias.grad * np.sign(bias) > 0).all()


def test_steps_are_smaller_where_there_are_many_inputs() -> None:
    """What a step of Adam moves an output by is bounded, whatever the number of inputs."""
    moved = []
    for inputs in (8, 128, 512):
        net = QuantNetwork(
            NetSpec((inputs, 3, 3), (Conv(inputs, 8, 1), Conv(8, inputs, 1), Conv(inputs, 8, 3))), inner=True
        )
        last = net.weighted()[2]
        start = last.relative().detach().clone()
        optimizer = torch.optim.Adam([last.weight], 1e-2)
        last.relative().sum().backward()
        optimizer.step()
        moved.append(float((start - last.relative()).detach()[0].sum()))
    assert moved[0] > 0.05 and max(moved) < 2 * min(moved)
