import json
import pickle
import struct

import msgspec
import numpy as np
import pytest

from bitsback.errors import BitsBackError, ModelError, UnsupportedVersionError
from bitsback.models import Model
from bitsback.models.file import BernoulliSpec, ImageSpec, MixtureSpec, dump, parse
from bitsback.nets.context import AdaptiveSpec, ContextNetwork, ContextSpec, Feature, Tap
from contexts import Kind
from helpers import tiny_model_file, with_config
from models.context_models import context_file, vae_file


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
    for version in (0, 3):
        with pytest.raises(UnsupportedVersionError, match=f"version {version}"):
            parse(with_config(tiny_model_file(), version=version))


RGB: Kind = (3, "adaptive", 0, 256)
BINARY: Kind = (1, None, 0, 2)


@pytest.mark.parametrize("data", [context_file(RGB), context_file(BINARY, 8, 12), vae_file(256), vae_file(2)])
def test_dump_and_parse_are_inverse_in_version_2(data: bytes) -> None:
    config, tensors = parse(data)
    assert config.version == 2
    assert config.context is not None
    assert dump(config, tensors) == data
    names = set(tensors)
    assert {name for name in names if name.startswith("context.")} == set(
        ContextNetwork.from_tensors(config.context, config.image.channels, config.parameters, tensors).tensors()
    )


def test_version_1_is_read_as_before() -> None:
    """As bitsback 0.1 wrote it, without the fields of version 2."""
    data = tiny_model_file()
    header = _header(data)
    fields = json.loads(header["__metadata__"]["bitsback"])
    for name in ("context", "colour"):
        fields.pop(name, None)
    header["__metadata__"]["bitsback"] = json.dumps(fields)
    config, tensors = parse(_with_header(data, header))
    assert config == parse(data)[0]
    assert (config.version, config.context, config.colour) == (1, None, (0,))
    assert tensors.keys() == parse(data)[1].keys()


TAP = Tap("value", 0, 0, -1)
SIMPLE = ContextSpec(((Feature(TAP),),), ((4,),))


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (tiny_model_file(), {"colour": (1,)}),
        (tiny_model_file(), {"context": SIMPLE}),
        (tiny_model_file(), {"kind": "context"}),
        (tiny_model_file(), {"version": 2, "kind": "context"}),
        (tiny_model_file(), {"version": 2, "context": SIMPLE}),  # whose decoder gives no feature map
        (vae_file(), {"version": 1}),
        (vae_file(), {"context": None}),
        (vae_file(), {"kind": "context"}),
        (vae_file(), {"encoder": None}),
        (vae_file(), {"decoder": None}),
        (vae_file(), {"latents": 0}),
        (vae_file(), {"self_test": {}}),
        (vae_file(), {"image": ImageSpec(0, 0, 1, 256)}),
        (context_file(RGB), {"version": 1}),
        (context_file(RGB), {"kind": "vae"}),
        (context_file(RGB), {"context": None}),
        (context_file(RGB), {"context": SIMPLE}),
        (context_file(RGB), {"colour": (0,)}),
        (context_file(RGB), {"colour": (0, 1)}),
        (context_file(RGB), {"colour": (0, 1, 1)}),
        (context_file(RGB), {"colour": (1, 2, 3)}),
        (context_file(RGB), {"colour": (-1, 0, 1)}),
        (context_file(RGB), {"latents": 6}),
        (context_file(RGB), {"latent_bits": 6}),
        (context_file(RGB), {"encoder": parse(vae_file())[0].encoder}),
        (context_file(RGB), {"decoder": parse(vae_file())[0].decoder}),
        (context_file(RGB), {"self_test": {"encoder": "", "decoder": ""}}),
        (context_file(RGB), {"likelihood": BernoulliSpec()}),
        (context_file(RGB), {"likelihood": MixtureSpec(0)}),
        (context_file(RGB), {"likelihood": MixtureSpec(17)}),
        (context_file(RGB), {"image": ImageSpec(0, 0, 4, 256)}),
        (context_file(RGB), {"image": ImageSpec(0, 0, 3, 2)}),
        (context_file(RGB), {"image": ImageSpec(4097, 0, 3, 256)}),
        (context_file(RGB), {"image": ImageSpec(0, -1, 3, 256)}),
        (context_file(BINARY), {"image": ImageSpec(0, 0, 0, 2), "colour": ()}),
        (context_file(BINARY), {"context": msgspec.structs.replace(SIMPLE, median=True)}),
        (context_file(BINARY), {"context": msgspec.structs.replace(SIMPLE, adaptive=AdaptiveSpec((TAP,)))}),
        (context_file(BINARY), {"context": msgspec.structs.replace(SIMPLE, map=1)}),
        (context_file(BINARY), {"context": msgspec.structs.replace(SIMPLE, border=2)}),
    ],
)
def test_parts_of_version_2_that_do_not_fit_are_refused_in_one_line(data: bytes, changes: dict) -> None:
    with pytest.raises(ModelError) as caught:
        parse(with_config(data, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["value",0,0,-1]', '["valve",0,0,-1]'),
        ('["value",0,0,-1]', '["value",0,0,-1,0]'),
        ('["value",0,0,-1]', '["value",0,0,-1.5]'),
        ('["value",0,0,-1]', '["value",0,0,true]'),
        ('["value",0,0,-1]', "[]"),
        ('["value",0,0,-1]', "null"),
        ('"ridge"', '"bridge"'),
        ('"border"', '"boarder"'),
        ('"median":false', '"median":0'),
        ('"colour":[0,1,2]', '"colour":"012"'),
    ],
)
def test_unknown_parts_of_a_context_network_are_refused(before: str, after: str) -> None:
    data = context_file(RGB)
    header = _header(data)
    text = header["__metadata__"]["bitsback"]
    assert before in text
    header["__metadata__"]["bitsback"] = text.replace(before, after, 1)
    with pytest.raises(ModelError, match="configuration is not valid"):
        parse(_with_header(data, header))


def test_a_context_network_with_unsound_tensors_is_refused_when_used() -> None:
    config, tensors = parse(context_file(BINARY))
    images = np.zeros((1, 3, 3, 1), np.uint8)
    Model.from_bytes(dump(config, tensors)).encode(images)
    for name in tensors:
        less = {key: tensor for key, tensor in tensors.items() if key != name}
        with pytest.raises(ModelError, match=name):
            Model.from_bytes(dump(config, less)).encode(images)


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
