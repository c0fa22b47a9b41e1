import msgspec
import numpy as np
import pytest

from bitsback.errors import ModelError
from bitsback.nets.layers import Conv, Dense, Flatten, NetSpec, Network, Shuffle, Unflatten, Weights
from nets.networks import CONVOLUTIONAL, DENSE, SPECS, random_network


def test_shapes_follow_the_layers() -> None:
    assert CONVOLUTIONAL.shapes() == [(3, 9, 11), (8, 5, 6), (16, 5, 6), (4, 10, 12), (6, 10, 12), (5, 4, 4)]
    assert DENSE.shapes() == [(30,), (70,), (48,), (3, 4, 4), (8, 4, 4), (2, 8, 8), (128,)]
    assert DENSE.output == (128,)


def test_macs_count_every_product() -> None:
    spec = NetSpec((2, 4, 4), (Conv(2, 3, 3), Flatten(), Dense(48, 5)))
    assert spec.macs() == 16 * 3 * 2 * 9 + 48 * 5


@pytest.mark.parametrize(
    "spec",
    [
        NetSpec((3, 8, 8), (Conv(2, 4, 3),)),
        NetSpec((3, 8, 8), (Conv(3, 4, 4),)),
        NetSpec((3, 8, 8), (Dense(192, 4),)),
        NetSpec((3, 8, 8), (Shuffle(2),)),
        NetSpec((12,), (Unflatten(3, 2, 1),)),
        NetSpec((0,), (Dense(0, 4),)),
        NetSpec((4,), ()),
        NetSpec((4,), (Dense(4, 1 << 30),)),
    ],
)
def test_inconsistent_lists_are_refused(spec: NetSpec) -> None:
    with pytest.raises(ModelError):
        spec.shapes()


def test_json_round_trip_and_unknown_fields() -> None:
    data = msgspec.json.encode(CONVOLUTIONAL)
    assert msgspec.json.decode(data, type=NetSpec) == CONVOLUTIONAL
    for bad in (data.replace(b'"stride"', b'"strides"'), data.replace(b'"conv"', b'"exec"')):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(bad, type=NetSpec)


@pytest.mark.parametrize("name", SPECS)
def test_tensors_round_trip(name: str) -> None:
    network = random_network(SPECS[name])
    again = Network.from_tensors(network.spec, network.tensors("n"), "n")
    assert again.weights.keys() == network.weights.keys()
    for index, weights in network.weights.items():
        for part in Weights.__struct_fields__:
            np.testing.assert_array_equal(getattr(again.weights[index], part), getattr(weights, part))


def _one_layer(weight: int = 1, bias: int = 0, shift: int = 0, fan_in: int = 4, wide: bool = False) -> Network:
    spec = NetSpec((fan_in,), (Dense(fan_in, 2, wide),))
    w = np.full((2, fan_in), weight, np.int16 if wide else np.int8)
    return Network(spec, {0: Weights(w, np.full(2, bias, np.int32), np.full(2, shift, np.uint8))})


def test_the_bounds_of_the_contract() -> None:
    _one_layer(weight=64)
    _one_layer(weight=-64)
    _one_layer(weight=4095, wide=True)
    _one_layer(bias=2**24 - 4 * 255 - 1)
    for bad in (
        {"weight": 65},
        {"weight": -4096, "wide": True},
        {"weight": 4095, "wide": True, "fan_in": 17},
        {"weight": -65},
        {"shift": 24},
        {"bias": 2**24 - 4 * 255},
        {"bias": -(2**24)},
        {"weight": 64, "fan_in": 1029},
    ):
        with pytest.raises(ModelError):
            _one_layer(**bad)


def test_wrong_tensors_are_refused() -> None:
    network = random_network(DENSE)
    tensors = network.tensors("n")
    for change in (
        {"n.0.weight": None},
        {"n.0.weight": tensors["n.0.weight"][:, :-1]},
        {"n.0.weight": tensors["n.0.weight"].astype(np.int32)},
        {"n.1.bias": tensors["n.1.bias"].astype(np.float32)},
        {"n.1.shift": tensors["n.1.shift"][:-1]},
    ):
        changed = {key: value for key, value in {**tensors, **change}.items() if value is not None}
        with pytest.raises(ModelError):
            Network.from_tensors(network.spec, changed, "n")
    with pytest.raises(ModelError):
        Network(network.spec, {**network.weights, 2: network.weights[0]})
