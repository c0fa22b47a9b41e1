"""The codec of numcodecs, by the checks that its own codecs pass: any dtype, either order, ``out``, configuration."""

from typing import Any

import numpy as np
import pytest

numcodecs = pytest.importorskip("numcodecs")

from bitsback.integrations.numcodecs import BitsBack  # noqa: E402

ARRAYS = [
    np.arange(60, dtype=np.uint8).reshape(3, 4, 5),
    np.arange(60, dtype=">u2").reshape(3, 4, 5),
    np.linspace(0, 1, 30).reshape(5, 6).astype("f4"),
    np.asfortranarray(np.arange(60, dtype=np.int32).reshape(3, 4, 5)),
    np.array([True, False, True]),
    np.arange(9).view("M8[ns]"),
    np.zeros((0, 4), np.uint8),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.flags.f_contiguous}")
def test_memory_comes_back(array: np.ndarray[Any, Any]) -> None:
    codec = BitsBack(model="none")
    encoded = codec.encode(array)
    memory = array.tobytes(order="A")
    assert codec.decode(encoded).tobytes(order="A") == memory
    assert codec.decode(bytearray(encoded)).tobytes(order="A") == memory
    out = np.empty_like(array)
    codec.decode(encoded, out=out)
    assert out.tobytes(order="A") == memory
    again = codec.decode(encoded)
    assert again.shape == array.shape and again.dtype == array.dtype and (again == array).all()


def test_objects_are_refused() -> None:
    codec = BitsBack(model="none")
    with pytest.raises(TypeError):
        codec.encode(np.array(["foo", None], dtype=object))
    with pytest.raises(TypeError):
        codec.decode(codec.encode(np.arange(3)), out=np.empty(3, dtype=object))


def test_bytes_are_an_array_of_them() -> None:
    codec = BitsBack(model="none")
    assert bytes(codec.decode(codec.encode(b"abc" * 50))) == b"abc" * 50


def test_configuration() -> None:
    codec = BitsBack(model="none", effort="fast")
    assert codec.get_config() == {"id": "bitsback", "model": "none", "effort": "fast"}
    assert BitsBack.from_config({"model": "none", "effort": "fast"}) == codec
    assert eval(repr(codec)) == codec


def test_entry_point() -> None:
    assert type(numcodecs.get_codec({"id": "bitsback"})).__name__ == "BitsBack"
