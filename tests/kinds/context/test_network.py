from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitsback.errors import ModelError
from bitsback.kinds.context.network import (
    MARGIN,
    MAX_MAP,
    MAX_TAPS,
    MAX_WIDTH,
    SKEW,
    TABLE_SIZE,
    ContextNetwork,
    ContextSpec,
    Feature,
    Memory,
    RegressionSpec,
    Tap,
    companding,
    neighbours,
    rounded_bias,
)
from bitsback.nets.layers import MAX_SHIFT, Dense, Weights
from contexts import context_spec, tiny_context

WEST = Tap("value", 0, 0, -1)
REGRESSION = RegressionSpec((WEST,))


def one(tap: Tap, channel: int = 0, channels: int = 1, reference: str | None = "regression") -> ContextSpec:
    """A specification whose only remarkable feature is one tap of one channel."""
    features = [(Feature(WEST),)] * channels
    features[channel] = (Feature(WEST), Feature(WEST, tap))
    regression = REGRESSION if reference == "regression" else None
    return ContextSpec(tuple(features), ((4,),) * channels, regression=regression, median=reference == "median")


@given(
    plane=st.sampled_from(["value", "error"]),
    index=st.integers(-1, 3),
    dy=st.integers(-6, 2),
    dx=st.integers(-8, 20),
    channel=st.integers(0, 2),
    width=st.integers(1, 12),
)
def test_a_tap_of_neighbours_is_accepted_if_and_only_if_it_is_known_and_in_reach(
    plane: str, index: int, dy: int, dx: int, channel: int, width: int
) -> None:
    """Known: coded at an earlier step, or at the pixel itself as an earlier channel."""
    spec = one(Tap(plane, index, dy, dx), channel, 3)  # type: ignore[arg-type]
    in_reach = 0 <= index < 3 and -MARGIN <= dy <= 0 and -MARGIN <= dx <= MARGIN
    known = SKEW * dy + dx < 0 or (dy == dx == 0 and index < channel)
    if in_reach and known:
        spec.check(3)
        # Also at the right edge, where what lies outside is the last sample of its row
        assert all(min(x + dx, width - 1) + SKEW * dy < x or dy == dx == 0 for x in range(width))
    else:
        with pytest.raises(ModelError, match=f"channel {channel} reads"):
            spec.check(3)


@pytest.mark.parametrize("plane", ["reference", "spread", "zero", "row", "column"])
@pytest.mark.parametrize(("index", "dy", "dx"), [(0, 0, 0), (1, 0, 0), (2, 0, 0), (-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_taps_of_the_pixel_itself(plane: str, index: int, dy: int, dx: int) -> None:
    spec = one(Tap(plane, index, dy, dx), 1, 3)  # type: ignore[arg-type]
    if dy == dx == 0 and 0 <= index <= (1 if plane in ("reference", "spread") else 0):
        spec.check(3)
    else:
        with pytest.raises(ModelError):
            spec.check(3)


OWN = Tap("value", 0)


@pytest.mark.parametrize(
    ("memories", "message"),
    [
        ([Memory(0, (WEST,))] * 33, "at most 32 memories"),
        ([Memory(3, (WEST,))], "channel or key"),
        ([Memory(-1, (WEST,))], "channel or key"),
        ([Memory(0, ())], "channel or key"),
        ([Memory(0, (WEST,) * 49)], "channel or key"),
        ([Memory(0, (Tap("zero"),))], "made of values"),
        ([Memory(1, (Tap("error"),))], "made of values"),
        ([Memory(0, (OWN,))], "not known there"),
        ([Memory(1, (WEST, Tap("value", 1)))], "not known there"),
        ([Memory(2, (Tap("value", 0, 0, 1),))], "not known there"),
        ([Memory(2, (Tap("value", 0, -MARGIN - 1, 0),))], "not known there"),
    ],
)
def test_memories_that_cannot_be(memories: list[Memory], message: str) -> None:
    spec = msgspec.structs.replace(one(WEST, 0, 3), memories=tuple(memories))
    with pytest.raises(ModelError, match=message):
        spec.check(3)


@pytest.mark.parametrize("plane", ["memory", "trust"])
def test_a_memory_is_read_at_the_pixel_when_its_channel_is_due(plane: Literal["memory", "trust"]) -> None:
    memories = (Memory(0, (WEST,)), Memory(1, (WEST, OWN)), Memory(2, (OWN, Tap("value", 1))))
    for channel in range(3):
        for index in range(-1, 4):
            for dx in (0, -1):
                spec = msgspec.structs.replace(one(Tap(plane, index, 0, dx), channel, 3), memories=memories)
                if dx == 0 and 0 <= index <= channel:
                    spec.check(3)
                else:
                    with pytest.raises(ModelError, match="not known there"):
                        spec.check(3)


def test_planes_that_a_model_does_not_have() -> None:
    taps = {"reference": Tap("reference"), "error": Tap("error", 0, 0, -1), "spread": Tap("spread")}
    for name, tap in taps.items():
        one(tap, reference="regression").check(1)
        for reference in ("median", None):
            if reference and name != "spread":
                one(tap, reference=reference).check(1)
            else:
                with pytest.raises(ModelError, match="not known there"):
                    one(tap, reference=reference).check(1)


GOOD = ContextSpec(((Feature(WEST),),), ((4,),))


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ()},
        {"features": ((Feature(WEST),),) * 2},
        {"features": ((),)},
        {"features": ((Feature(WEST),) * (MAX_WIDTH + 1),)},
        {"hidden": ()},
        {"hidden": ((4,),) * 2},
        {"hidden": ((),)},
        {"hidden": ((4,) * 5,)},
        {"hidden": ((4, 0),)},
        {"hidden": ((-4,),)},
        {"hidden": ((MAX_WIDTH + 1,),)},
        {"hidden": ((4, MAX_WIDTH + 1),)},
        {"border": -1},
        {"border": 256},
        {"map": -1},
        {"map": MAX_MAP + 1},
        {"regression": REGRESSION, "median": True},
        {"regression": RegressionSpec(())},
        {"regression": RegressionSpec((WEST,) * (MAX_TAPS + 1))},
        {"regression": RegressionSpec((WEST,), 0)},
        {"regression": RegressionSpec((WEST,), (1 << 24) + 1)},
        {"regression": RegressionSpec((Tap("value", 0, 0, 0),))},
        {"regression": RegressionSpec((Tap("value", 0, 0, 1),))},
        {"regression": RegressionSpec((Tap("value", 1, 0, -1),))},
        {"regression": RegressionSpec((Tap("error", 0, 0, -1),))},
        {"regression": RegressionSpec((Tap("zero"),))},
    ],
)
def test_what_is_beyond_the_limits_is_refused_in_one_line(changes: dict) -> None:
    GOOD.check(1)
    with pytest.raises(ModelError) as caught:
        msgspec.structs.replace(GOOD, **changes).check(1)
    assert "\n" not in str(caught.value)


def test_the_limits_themselves_are_allowed() -> None:
    ContextSpec(
        ((Feature(WEST),) * MAX_WIDTH,),
        ((1, MAX_WIDTH, 1, 1),),
        255,
        MAX_MAP,
        RegressionSpec((WEST,) * MAX_TAPS, 1 << 24),
    ).check(1)


def test_regressors_may_be_of_any_channel() -> None:
    """All channels of a neighbour are known, whatever channel is being predicted."""
    regression = RegressionSpec(tuple(Tap("value", c, 0, -1) for c in range(3)))
    ContextSpec(((Feature(WEST),),) * 3, ((4,),) * 3, regression=regression).check(3)


@pytest.mark.parametrize(("channels", "reference", "maps", "levels"), [(3, "regression", 0, 256), (1, None, 3, 2)])
def test_tensors_and_back(channels: int, reference: str | None, maps: int, levels: int) -> None:
    network = tiny_context(channels, reference, maps, levels)  # type: ignore[arg-type]
    tensors = network.tensors()
    assert sorted(tensors) == sorted(
        ["context.table"]
        + [
            f"context.{c}.{layer}.{part}"
            for c in range(channels)
            for layer in range(len(network.spec.hidden[c]) + 1)
            for part in ("weight", "bias", "shift")
        ]
    )
    again = ContextNetwork.from_tensors(network.spec, channels, network.parameters, tensors)
    assert again.spec == network.spec
    assert again.tensors().keys() == tensors.keys()
    for name, tensor in again.tensors().items():
        np.testing.assert_array_equal(tensor, tensors[name])
    for name in tensors:
        with pytest.raises(ModelError, match=f"lacks the tensor '{name}'"):
            ContextNetwork.from_tensors(
                network.spec, channels, network.parameters, {k: v for k, v in tensors.items() if k != name}
            )


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("context.table", lambda t: t.astype(np.int16), "companding table"),
        ("context.table", lambda t: t[:-1], "companding table"),
        ("context.1.0.weight", lambda t: t.astype(np.int8), "network 1, layer 0"),
        ("context.1.0.weight", lambda t: t[:, :-1], "network 1, layer 0"),
        ("context.0.2.weight", lambda t: t[:-1], "network 0, layer 2"),
        ("context.0.1.bias", lambda t: t.astype(np.int64), "network 0, layer 1"),
        ("context.0.1.bias", lambda t: t[:-1], "network 0, layer 1"),
        ("context.0.1.shift", lambda t: t.astype(np.int32), "network 0, layer 1"),
        ("context.0.1.shift", lambda t: t * 0 + np.uint8(MAX_SHIFT + 1), "shift of 24"),
        ("context.0.1.weight", lambda t: t * 0 + np.int16(4096), "beyond 4095"),
        ("context.0.1.weight", lambda t: t * 0 + np.int16(-(2**15)), "beyond 4095"),
        ("context.0.1.bias", lambda t: t * 0 + np.int32(1 << 24), "accumulator"),
        ("context.0.1.bias", lambda t: t * 0 + np.int32(-(2**31)), "accumulator"),
    ],
)
def test_unsound_tensors_are_refused(name: str, change: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    network = tiny_context(3, "regression")
    tensors = network.tensors()
    with pytest.raises(ModelError, match=message) as caught:
        ContextNetwork.from_tensors(network.spec, 3, network.parameters, {**tensors, name: change(tensors[name])})
    assert "\n" not in str(caught.value)


def single(weight: int, bias: int, shift: int) -> ContextNetwork:
    """Two layers with one weight each, the first one given."""
    layers = [
        Weights(np.array([[w]], np.int16), np.array([b], np.int32), np.array([s], np.uint8))
        for w, b, s in ((weight, bias, shift), (1, 0, 0))
    ]
    return ContextNetwork(ContextSpec(((Feature(WEST),),), ((1,),)), 1, 1, companding(), [layers])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_accumulators_bound_counts_the_half_that_rounds(sign: int) -> None:
    """bias + 2^(shift - 1) + 255 |weight| is what float32 has to hold exactly, at both ends."""
    weight, shift = 4000, 20
    room = (1 << 24) - 1 - 255 * weight
    bias = room - (1 << 19) if sign > 0 else -room
    assert int(rounded_bias(single(weight, bias, shift).weights[0][0])[0]) in (room, -room + (1 << 19))
    with pytest.raises(ModelError, match="accumulator could reach"):
        single(weight, bias + sign, shift)


def test_rounding_up_by_half() -> None:
    bias = rounded_bias(
        Weights(np.zeros((4, 1), np.int16), np.array([5, 5, -5, -(2**23)], np.int32), np.array([0, 1, 3, 23], np.uint8))
    )
    assert bias.tolist() == [5, 6, -1, -(2**22)]
    assert bias.dtype == np.int64


def test_layers_and_their_work() -> None:
    spec = context_spec(2, "median", maps=5)
    inputs = len(spec.features[1]) + 5
    assert spec.layers(1, 6) == (Dense(inputs, 10, True), Dense(10, 6, True))
    first = len(spec.features[0]) + 5
    assert spec.macs(6) == first * 12 + 12 * 9 + 9 * 6 + inputs * 10 + 10 * 6


def test_the_usual_companding() -> None:
    table = companding().astype(int)
    assert table.shape == (TABLE_SIZE,)
    assert table[TABLE_SIZE // 2] == 128
    assert np.all(np.diff(table) >= 0)
    assert (table[0], table[-1]) == (1, 255)
    np.testing.assert_array_equal(table[1:] + table[:0:-1], 256)  # odd around a difference of 0


def test_neighbours() -> None:
    assert neighbours(2, [(0, -1), (-1, 4)], "error") == [Tap("error", 2, 0, -1), Tap("error", 2, -1, 4)]
