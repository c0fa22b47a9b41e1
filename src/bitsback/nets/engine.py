"""Engines that evaluate integer networks, and the self-test that admits them.

A model file carries, for each of its networks, the SHA-256 of the outputs on a fixed input. An engine is used only
after it has reproduced that hash on this machine; one that fails is passed over, and the next one is tried:

    int8        onnxruntime, QLinearConv on uint8 and int8           fast
    float32     onnxruntime, float32 holding integers                portable
    reference   NumPy int64                                          slow; the judge
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import InexactEngineError, ModelError
from bitsback.nets import cost, reference
from bitsback.nets.layers import NetSpec, Network, Shuffle

log = logging.getLogger(__name__)

Runner = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""uint8 (batch, *input) to uint8 (batch, *output)."""

ENGINES = ("int8", "float32", "reference")

SELF_TEST_BATCH = 5


def self_test_input(spec: NetSpec) -> NDArray[np.uint8]:
    """A fixed input (5, *input): noise over the full range, sparse noise, zeros, full scale, and stripes.

    The noise is the high byte of a 32-bit linear congruential generator (Numerical Recipes' constants), so that the
    input is defined by this line of integer arithmetic and by no library.
    """
    size = int(np.prod(spec.input))
    values = np.empty(2 * size, np.uint8)
    state = 1
    for i in range(2 * size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = state >> 24
    dense, sparse = values.reshape(2, size)
    stripes = np.where(np.arange(size) % 2 == 0, 255, 0).astype(np.uint8)
    x = np.zeros((SELF_TEST_BATCH, size), np.uint8)
    x[0], x[1], x[3], x[4] = dense, np.where(sparse > 200, sparse, 0), 255, stripes
    return x.reshape(SELF_TEST_BATCH, *spec.input)


def output_hash(outputs: NDArray[np.uint8]) -> str:
    """SHA-256, in hex, of the outputs in C order."""
    return hashlib.sha256(np.ascontiguousarray(outputs).tobytes()).hexdigest()


def self_test_hash(network: Network) -> str:
    """The hash that belongs into a model file, by the reference; a final shuffle is left out."""
    plain = without_shuffle(network)
    run = in_batches(lambda x: reference.run(plain, x), cost.batch(network.spec))
    return output_hash(run(self_test_input(network.spec)))


def build(network: Network, engine: str, threads: int = 1, free: bool = False) -> Runner:
    """One engine, untested. ``free``: see :func:`choose`. Raises ModelError for an unknown name."""
    if engine == "reference":
        return lambda x: (
            _channels_last(reference.run(network, _channels_first(x))) if free else reference.run(network, x)
        )
    if engine not in ENGINES:
        raise ModelError(f"unknown engine {engine!r}; there are {', '.join(ENGINES)}")
    import onnxruntime

    from bitsback.nets import graph

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread pool would burn a core while the coder works.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    data = (graph.int8_graph if engine == "int8" else graph.float_graph)(network, free)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    output = [session.get_outputs()[0].name]

    def run(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        result: NDArray[np.uint8] = session.run(output, {"x": x})[0]
        return result

    return run


def runner(network: Network, engines: Sequence[str] = ENGINES, threads: int = 1) -> Runner:
    """The whole of ``network`` on the first of ``engines`` that agrees with the reference on the self-test's input.

    For networks of one's own, used outside a model file; :func:`choose` is for those that come with a hash.

    Raises InexactEngineError when none agrees.

    >>> from bitsback.nets.layers import Dense, Weights
    >>> weights = Weights(np.array([[2, -1]], np.int8), np.array([100], np.int32), np.array([1], np.uint8))
    >>> run = runner(Network(NetSpec((2,), (Dense(2, 1),)), {0: weights}))
    >>> run(np.array([[10, 5], [0, 255]], np.uint8))  # (2 * 10 - 5 + 100) / 2 to even, and what is below 0
    array([[58],
           [ 0]], dtype=uint8)
    """
    (run,) = choose([(network, self_test_hash(network))], engines, threads)
    if without_shuffle(network) is network:
        return run
    order, shape = reading_order(network.spec), network.spec.output
    return lambda x: run(x).reshape(len(x), shape[0], -1)[:, :, order].reshape(len(x), *shape)


def without_shuffle(network: Network) -> Network:
    """The network without its final shuffle, if it has one: that computes nothing, so a reader may follow
    :func:`reading_order` instead, which is faster."""
    layers = network.spec.layers
    if not isinstance(layers[-1], Shuffle) or len(layers) == 1:
        return network
    return Network(NetSpec(network.spec.input, layers[:-1]), network.weights)


def reading_order(spec: NetSpec) -> NDArray[np.int64]:
    """Where the final shuffle of a network takes each position from, int64 (height * width,).

    Channel c, position p (flattened) of the full network's output for one example is ``y.reshape(channels, -1)[c,
    order[p]]``, where y is the output of :func:`without_shuffle` and channels are those of the full network.
    """
    _, height, width = spec.output
    last = spec.layers[-1]
    f = last.factor if isinstance(last, Shuffle) and len(spec.layers) > 1 else 1
    rows, columns = np.divmod(np.arange(height * width), width)
    block = (rows % f) * f + columns % f
    order: NDArray[np.int64] = block * (height * width // f**2) + (rows // f) * (width // f) + columns // f
    return order


def in_batches(run: Runner, batch: int) -> Runner:
    """``run``, called with at most ``batch`` examples at a time. The result is the same; the memory is less."""

    def split(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if len(x) <= batch:
            return run(x)
        return np.concatenate([run(x[i : i + batch]) for i in range(0, len(x), batch)])

    return split


def choose(
    networks: Sequence[tuple[Network, str]], engines: Sequence[str] = ENGINES, threads: int = 1, free: bool = False
) -> list[Runner]:
    """Runners of ``networks``, given with their self-test hashes: the first engine that reproduces every hash.

    A runner computes its network without a final shuffle; see :func:`reading_order`. ``free`` runners, of convolutional
    networks, take images of any height and width: uint8 (batch, height, width, channels), and give such.

    Raises InexactEngineError when none does, naming what was tried.
    """
    networks = [(without_shuffle(network), expected) for network, expected in networks]
    refused = []
    for engine in engines:
        try:
            runs = [build(network, engine, threads, free) for network, _ in networks]
            exact = all(
                _tested(run, network.spec, free) == expected
                for run, (network, expected) in zip(runs, networks, strict=True)
            )
        except ModelError:
            raise
        except Exception as error:  # an engine may fail in any way of its own; the next one is there for that
            refused.append(f"the {engine} engine could not run the model: {error}")
            continue
        if exact:
            for reason in refused:
                log.warning(reason)
            return runs
        refused.append(f"the {engine} engine is not exact on this machine and was refused")
    raise InexactEngineError(f"no engine computes this model exactly on this machine (tried {', '.join(engines)})")


def _tested(run: Runner, spec: NetSpec, free: bool) -> str:
    """The hash of what a runner makes of the self-test's input."""
    given = self_test_input(spec)
    outputs = in_batches(run, cost.batch(spec))(_channels_last(given) if free else given)
    return output_hash(_channels_first(outputs) if free else outputs)


def _channels_last(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _channels_first(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
