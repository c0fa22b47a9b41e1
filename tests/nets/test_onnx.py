"""Models written by hand against those that the onnx package reads and writes."""

import numpy as np
import pytest

from bitsback.nets import onnx as mine
from bitsback.nets.graph import float_graph, int8_graph
from nets.networks import SPECS, random_network

theirs = pytest.importorskip("onnx")


@pytest.mark.parametrize("kind", ["float32", "uint8", "int8", "int32", "int64"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 300)])
def test_tensors(kind: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind) - np.array(3).astype(kind)
    found = theirs.TensorProto.FromString(mine.tensor("c", values))
    assert found.name == "c"
    read = theirs.numpy_helper.to_array(found)
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


def test_nodes_and_values_are_those_of_the_package() -> None:
    attributes = {"axis": 1, "to": -1, "mode": "CRD", "pads": [0, 1, 300, -1]}
    written = mine.node("Conv", ["a", "b"], "v", "n", **attributes)
    expected = theirs.helper.make_node("Conv", ["a", "b"], ["v"], name="n", **attributes)
    assert theirs.NodeProto.FromString(written) == expected
    written = mine.value("x", mine.UINT8, ["n", 28, 1])
    expected = theirs.helper.make_tensor_value_info("x", theirs.TensorProto.UINT8, ["n", 28, 1])
    assert theirs.ValueInfoProto.FromString(written) == expected


@pytest.mark.parametrize("graph", [float_graph, int8_graph])
@pytest.mark.parametrize("name", SPECS)
def test_models_are_sound(graph, name: str) -> None:  # type: ignore[no-untyped-def]
    model = theirs.ModelProto.FromString(graph(random_network(SPECS[name])))
    theirs.checker.check_model(model, full_check=True)
    own = [("com.microsoft", 1)] if name == "residual" and graph is int8_graph else []
    assert (model.ir_version, [(one.domain, one.version) for one in model.opset_import]) == (8, [("", 17), *own])
