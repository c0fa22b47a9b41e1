import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import InexactEngineError, ModelError
from bitsback.nets import engine, reference
from bitsback.nets.layers import Conv, Dense, Flatten, NetSpec, Network, Shuffle
from nets.networks import SPECS, random_input, random_network

FAST = ("int8", "float32")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize("name", SPECS)
def test_engines_agree_with_the_reference(name: str, kind: str, threads: int) -> None:
    network = random_network(SPECS[name])
    x = random_input(network.spec, 7)
    expected = reference.run(network, x)
    assert len(np.unique(expected)) > 5
    run = engine.build(network, kind, threads)
    np.testing.assert_array_equal(run(x), expected)
    for split in (1, 3):
        parts = [run(x[i : i + split]) for i in range(0, 7, split)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)


@pytest.mark.parametrize("kind", engine.ENGINES)
@pytest.mark.parametrize(("height", "width"), [(7, 5), (1, 1), (2, 30)])
def test_free_ones_take_images_of_any_size(kind: str, height: int, width: int) -> None:
    network = random_network(SPECS["residual"])
    x = np.random.default_rng(height).integers(0, 256, (3, height, width, 4)).astype(np.uint8)
    (run,) = engine.choose([(network, engine.self_test_hash(network))], [kind], free=True)
    sized = Network(NetSpec((4, height, width), network.spec.layers), network.weights)
    expected = reference.run(sized, x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(run(x), expected)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 9),
    outputs=st.integers(1, 40),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    size=st.integers(1, 12),
    batch=st.integers(1, 5),
)
def test_any_network_is_exact(
    seed: int, channels: int, outputs: int, kernel: int, stride: int, size: int, batch: int
) -> None:
    conv = Conv(channels, outputs, kernel, stride)
    flat = int(np.prod(conv.output((channels, size, size))))
    spec = NetSpec((channels, size, size), (conv, Flatten(), Dense(min(flat, 900), 11)) if flat <= 900 else (conv,))
    network = random_network(spec, seed)
    x = random_input(spec, batch, seed)
    expected = reference.run(network, x)
    for kind in FAST:
        np.testing.assert_array_equal(engine.build(network, kind)(x), expected)


def test_self_test_input_is_pinned() -> None:
    x = engine.self_test_input(NetSpec((6,), (Dense(6, 1),)))
    assert x.dtype == np.uint8
    assert x.tolist() == [
        [60, 94, 129, 180, 12, 94],
        [0, 0, 0, 0, 0, 0],
        [0] * 6,
        [255] * 6,
        [255, 0] * 3,
    ]


def test_an_exact_engine_is_chosen_in_order() -> None:
    network = random_network(SPECS["dense"])
    (run,) = engine.choose([(network, engine.self_test_hash(network))])
    x = random_input(network.spec, 3)
    np.testing.assert_array_equal(run(x), reference.run(network, x))


def test_an_inexact_engine_is_refused(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """As a machine would do whose int8 kernels saturate: one output in thousands is off by one."""
    network = random_network(SPECS["convolutional"])
    expected = engine.self_test_hash(network)
    honest = engine.build

    def build(network, kind, threads=1, free=False):
        run = honest(network, kind, threads, free)

        def wrong(x):
            y = run(x).copy()
            y.reshape(-1)[17] ^= 1
            return y

        return wrong if kind == "int8" else run

    monkeypatch.setattr(engine, "build", build)
    (run,) = engine.choose([(network, expected)])
    assert "int8 engine is not exact" in caplog.text
    x = random_input(network.spec, 2)
    np.testing.assert_array_equal(run(x), reference.run(network, x))
    with pytest.raises(InexactEngineError, match="tried int8"):
        engine.choose([(network, expected)], ["int8"])


def test_a_crashing_engine_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(SPECS["dense"])
    honest = engine.build

    def build(network, kind, threads=1, free=False):
        if kind != "reference":
            raise RuntimeError("no such kernel")
        return honest(network, kind, threads, free)

    monkeypatch.setattr(engine, "build", build)
    (run,) = engine.choose([(network, engine.self_test_hash(network))])
    assert run(random_input(network.spec, 1)).shape == (1, 128)


def test_unknown_engine() -> None:
    with pytest.raises(ModelError, match="unknown engine"):
        engine.build(random_network(SPECS["dense"]), "abacus")


@pytest.mark.parametrize("factor", [None, 2, 4])
def test_the_reading_order_stands_for_a_final_shuffle(factor: int | None) -> None:
    spec = NetSpec((2, 3, 5), (Conv(2, 32, 3), *([Shuffle(factor)] if factor else [])))
    network = random_network(spec)
    x = random_input(spec, 4)
    full, short = (reference.run(net, x) for net in (network, engine.without_shuffle(network)))
    channels = spec.output[0]
    ordered = short.reshape(4, channels, -1)[:, :, engine.reading_order(spec)]
    np.testing.assert_array_equal(ordered.reshape(full.shape), full)


SHUFFLED = NetSpec((3, 4, 5), (Conv(3, 8, 3), Shuffle(2)))


@pytest.mark.parametrize("spec", [*SPECS.values(), SHUFFLED])
def test_a_runner_is_the_whole_network(spec: NetSpec) -> None:
    network = random_network(spec)
    x = random_input(spec, 5)
    for engines in (engine.ENGINES, ["float32"], ["reference"]):
        np.testing.assert_array_equal(engine.runner(network, engines)(x), reference.run(network, x))
    with pytest.raises(ModelError, match="unknown engine"):
        engine.runner(network, ["abacus"])
