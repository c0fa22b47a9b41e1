import json
import pickle
import struct

import numpy as np
import pytest

from bitsback.errors import BitsBackError, ModelError, UnsupportedVersionError
from bitsback.models import Model
from bitsback.models.file import BernoulliSpec, ImageSpec, MixtureSpec, dump, parse
from helpers import tiny_model_file, with_config


def _header(data: bytes) -> dict:
    (size,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + size])


def _with_header(data: bytes, header: dict | str) -> bytes:
    (size,) = struct.unpack_from("<Q", data)
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


@pytest.mark.parametrize("levels", [2, 256])
def test_dump_and_parse_are_inverse(levels: int) -> None:
    data = tiny_model_file(levels)
    assert dump(*parse(data)) == data


@pytest.mark.parametrize(
    "changes",
    [
        {"image": ImageSpec(8, 13, 1, 256)},
        {"image": ImageSpec(8, 12, 1, 2)},
        {"image": ImageSpec(8, 12, 3, 256)},
        {"image": ImageSpec(0, 12, 1, 256)},
        {"latents": 7},
        {"latent_bits": 13},
        {"latent_bits": 0},
        {"likelihood": BernoulliSpec()},
        {"likelihood": MixtureSpec(3)},
        {"likelihood": MixtureSpec(0)},
        {"self_test": {}},
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict) -> None:
    with pytest.raises(ModelError):
        parse(with_config(tiny_model_file(), **changes))


def test_another_version_is_refused_as_such() -> None:
    with pytest.raises(UnsupportedVersionError, match="version 2"):
        parse(with_config(tiny_model_file(), version=2))


def test_unknown_kinds_and_fields_are_refused() -> None:
    data = tiny_model_file()
    header = _header(data)
    for before, after in (('"kind":"vae"', '"kind":"exec"'), ('"latents"', '"hooks":1,"latents"')):
        changed = json.loads(json.dumps(header))
        changed["__metadata__"]["bitsback"] = header["__metadata__"]["bitsback"].replace(before, after)
        with pytest.raises(ModelError):
            parse(_with_header(data, changed))


def test_not_a_model_file() -> None:
    for data in (b"", b"\x00" * 7, b"\xff" * 100, b"{}", pickle.dumps({"weights": 1}), b"PK\x03\x04" + bytes(200)):
        with pytest.raises(ModelError):
            parse(data)
    with pytest.raises(ModelError, match="header does not fit"):
        parse(struct.pack("<Q", 1 << 60) + b"{}")


def test_tensor_tricks_are_refused() -> None:
    data = tiny_model_file()
    for change in (
        {"data_offsets": [0, 1 << 50]},
        {"data_offsets": [4, 0]},
        {"data_offsets": [-4, 0]},
        {"data_offsets": ["0", 4]},
        {"shape": [1 << 62, 1 << 62]},
        {"shape": [-1]},
        {"shape": [True]},
        {"dtype": "F32"},
        {"dtype": ["I8"]},
    ):
        header = _header(data)
        header["encoder.0.bias"].update(change)
        with pytest.raises(ModelError, match=r"encoder\.0\.bias"):
            parse(_with_header(data, header))


def test_overlaps_gaps_duplicates_and_tails_are_refused() -> None:
    data = tiny_model_file()
    header = _header(data)
    twin = {**header, "encoder.9.bias": header["encoder.0.bias"]}
    with pytest.raises(ModelError, match="overlap"):
        parse(_with_header(data, twin))
    del header["encoder.0.bias"]
    with pytest.raises(ModelError, match="gaps"):
        parse(_with_header(data, header))
    with pytest.raises(ModelError, match="no tensor"):
        parse(data + b"\0")
    text = json.dumps(_header(data))
    with pytest.raises(ModelError):
        parse(_with_header(data, text[:-1] + ',"encoder.0.bias":{}}'))
    with pytest.raises(ModelError):
        parse(_with_header(data, "[" * 100_000))


def test_every_flipped_byte_is_refused_or_another_model() -> None:
    data = tiny_model_file(2)
    identity = Model.from_bytes(data).id
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.integers(8)
        try:
            model = Model.from_bytes(bytes(damaged))
        except BitsBackError:
            continue
        assert model.id != identity
