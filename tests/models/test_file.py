import json
import os
import pickle
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import BitsBackError, ChecksumError, LimitError, ModelError, UnsupportedVersionError
from bitsback.kinds.context.network import AdaptiveSpec, ContextNetwork, ContextSpec, Feature, Tap
from bitsback.models import Model
from bitsback.models.file import MAX_FILE, BernoulliSpec, ImageSpec, MixtureSpec, dump, parse, read
from bitsback.nets.layers import Conv, Dense, Flatten, NetSpec, Shuffle, Unflatten
from contexts import Kind
from helpers import tiny_model_file, with_config
from models.context_models import context_file, vae_file
from models.hostile import MAKERS, header_of, hostile, with_header


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
    for version in (0, 5, 10**9):
        with pytest.raises(UnsupportedVersionError, match=f"version {version}"):
            parse(with_config(tiny_model_file(), version=version))


RGB: Kind = (3, "adaptive", 0, 256)
BINARY: Kind = (1, None, 0, 2)
DRAWN: Kind = (3, "drawn", 0, 256)
MEMORIES: Kind = (3, "memories", 0, 256)


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


@pytest.mark.parametrize(("kind", "version"), [(DRAWN, 3), (MEMORIES, 4)])
def test_dump_and_parse_are_inverse_in_later_versions(kind: Kind, version: int) -> None:
    data = context_file(kind)
    config, tensors = parse(data)
    assert config.version == version
    assert dump(config, tensors) == data


def test_version_1_is_read_as_before() -> None:
    """As bitsback 0.1 wrote it, without the fields of version 2."""
    data = tiny_model_file()
    header = header_of(data)
    fields = json.loads(header["__metadata__"]["bitsback"])
    for name in ("context", "colour"):
        fields.pop(name, None)
    header["__metadata__"]["bitsback"] = json.dumps(fields)
    config, tensors = parse(with_header(data, header))
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
        (context_file(DRAWN), {"version": 2}),
        (context_file(MEMORIES), {"version": 3}),
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
        ('"adaptive":{', '"median":0,"adaptive":{'),
        ('"colour":[0,1,2]', '"colour":"012"'),
    ],
)
def test_unknown_parts_of_a_context_network_are_refused(before: str, after: str) -> None:
    data = context_file(RGB)
    header = header_of(data)
    text = header["__metadata__"]["bitsback"]
    assert before in text
    header["__metadata__"]["bitsback"] = text.replace(before, after, 1)
    with pytest.raises(ModelError, match="configuration is not valid"):
        parse(with_header(data, header))


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
    header = header_of(data)
    for before, after in (('"kind":"vae"', '"kind":"exec"'), ('"latents"', '"hooks":1,"latents"')):
        changed = json.loads(json.dumps(header))
        changed["__metadata__"]["bitsback"] = header["__metadata__"]["bitsback"].replace(before, after)
        with pytest.raises(ModelError):
            parse(with_header(data, changed))


def test_not_a_model_file() -> None:
    for data in (b"", b"\x00" * 7, b"\xff" * 100, b"{}", pickle.dumps({"weights": 1}), b"PK\x03\x04" + bytes(200)):
        with pytest.raises(ModelError):
            parse(data)


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
        header = header_of(data)
        header["encoder.0.bias"].update(change)
        with pytest.raises(ModelError, match=r"encoder\.0\.bias"):
            parse(with_header(data, header))


def test_overlaps_gaps_duplicates_and_tails_are_refused() -> None:
    data = tiny_model_file()
    header = header_of(data)
    twin = {**header, "encoder.9.bias": header["encoder.0.bias"]}
    with pytest.raises(ModelError, match="overlap"):
        parse(with_header(data, twin))
    del header["encoder.0.bias"]
    with pytest.raises(ModelError, match="gaps"):
        parse(with_header(data, header))
    with pytest.raises(ModelError, match="no tensor"):
        parse(with_header(data, header_of(data)) + b"\0")
    text = json.dumps(header_of(data))
    with pytest.raises(ModelError):
        parse(with_header(data, text[:-1] + ',"encoder.0.bias":{}}'))
    with pytest.raises(ModelError):
        parse(with_header(data, "[" * 100_000))


@pytest.mark.parametrize("name", MAKERS)
def test_hostile_files_are_refused_in_one_short_line(name: str) -> None:
    data = hostile(name)
    tracemalloc.start()
    began = time.perf_counter()
    try:
        with pytest.raises(BitsBackError) as caught:
            parse(data)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - began < 5
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pickle", "a pickle"),
        ("old pickle", "a pickle"),
        ("zip", "a zip file"),
        ("page", "an HTML page"),
        ("archive", "an archive"),
        ("pointer", "Git LFS"),
        ("empty", "is empty"),
        ("a huge header", "cut short, or too large"),
        ("version 9", "of version 9; this bitsback reads versions 1, 2, 3, 4$"),
        ("flipped in a weight", "is damaged"),
    ],
)
def test_what_was_mixed_up_is_said(name: str, words: str) -> None:
    with pytest.raises(BitsBackError, match=words):
        parse(hostile(name))


@pytest.mark.parametrize("data", [tiny_model_file(2), context_file(BINARY), vae_file(256)])
def test_a_flip_of_any_byte_is_noticed(data: bytes) -> None:
    rng = np.random.default_rng(0)
    damaged = bytearray(data)
    for position in range(len(data)):
        before = damaged[position]
        damaged[position] ^= int(rng.integers(1, 256))
        with pytest.raises(BitsBackError):
            parse(bytes(damaged))
        damaged[position] = before
    assert dump(*parse(bytes(damaged))) == data


def test_the_check_covers_the_file_with_itself_as_zeros() -> None:
    data = tiny_model_file()
    digits = header_of(data)["__metadata__"]["check"].encode()
    assert data.count(digits) == 1
    assert xxhash.xxh3_64(data.replace(digits, b"0" * 16)).hexdigest().encode() == digits


def test_a_file_without_a_check_is_read_as_before() -> None:
    """Those of versions before 0.3 have none; what ships is among them, and its identity must not change."""
    data = tiny_model_file()
    old = with_header(data, header_of(data))
    assert b"check" not in old
    config, tensors = parse(old)
    assert dump(config, tensors) == data


def test_a_file_is_laid_out_as_the_safetensors_library_does() -> None:
    for data in (tiny_model_file(), vae_file(2)):
        config, tensors = parse(data)
        found = safetensors.numpy.load(data)
        assert found.keys() == tensors.keys()
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(found[name], tensor, strict=True)
        text = header_of(data)["__metadata__"]["bitsback"]
        theirs = safetensors.numpy.save(tensors, {"bitsback": text})
        assert list(header_of(theirs).items())[1:] == list(header_of(data).items())[1:]
        assert parse(theirs)[0] == config


def test_metadata_of_other_kinds_is_refused() -> None:
    """Else a flipped byte in the check's key would make a file without a check."""
    header = header_of(tiny_model_file())
    header["__metadata__"]["chfck"] = "0"
    with pytest.raises(ModelError, match="metadata"):
        parse(with_header(tiny_model_file(), header))


@pytest.mark.parametrize("check", ["", "0" * 16, "0" * 15, "\u00b2" * 16, 5, None, ["0"]])
def test_checks_of_another_form_are_refused(check: Any) -> None:
    data = tiny_model_file()
    header = header_of(data)
    header["__metadata__"]["check"] = check
    text = json.dumps(header)
    if check is None:
        parse(with_header(data, text))
    else:
        with pytest.raises(ChecksumError):
            parse(with_header(data, text))


def test_flips_in_a_file_without_a_check_are_refused_or_another_model() -> None:
    data = with_header(tiny_model_file(2), header_of(tiny_model_file(2)))
    identity = Model.from_bytes(data).id
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(data), 1000):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.integers(8)
        try:
            model = Model.from_bytes(bytes(damaged))
        except BitsBackError:
            continue
        assert model.id != identity


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["I8", "U8", "conv"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)


@given(data=st.data(), file=st.sampled_from([tiny_model_file(), context_file(RGB), vae_file(2)]), value=JSON)
@settings(max_examples=400, deadline=None)
def test_any_value_anywhere_is_refused_in_one_line_or_harmless(data: st.DataObject, file: bytes, value: Any) -> None:
    header = header_of(file)
    inside = data.draw(st.booleans())
    tree = json.loads(header["__metadata__"]["bitsback"]) if inside else header
    node, key = tree, data.draw(st.sampled_from(list(tree)))
    while isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
        node = node[key]
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
    node[key] = value
    if inside:
        header["__metadata__"]["bitsback"] = json.dumps(tree)
    try:
        sealed = isinstance(header["__metadata__"], dict) and data.draw(st.booleans())
        changed = with_header(file, header, sealed=True) if sealed else with_header(file, json.dumps(header))
        config, _ = parse(changed)
    except BitsBackError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
    else:
        assert config.name


@given(st.binary(max_size=300), st.booleans())
def test_noise_is_refused(noise: bytes, framed: bool) -> None:
    with pytest.raises(BitsBackError):
        parse(struct.pack("<Q", len(noise)) + noise if framed else noise)


def _context(**changes: Any) -> bytes:
    """A model without latents with another context network; its tensors are missing."""
    config, _ = parse(context_file(BINARY))
    assert config.context is not None
    return dump(msgspec.structs.replace(config, context=msgspec.structs.replace(config.context, **changes)), {})


def test_what_a_model_may_cost_is_bounded() -> None:
    with pytest.raises(ModelError, match="computation"):
        parse(_context(hidden=((512, 512),)))
    with pytest.raises(ModelError, match="lacks the tensor"):
        parse(_context(hidden=((256, 256),)))
    config, _ = parse(tiny_model_file(2))
    assert config.decoder is not None
    wide = NetSpec((6,), (Dense(6, 8 * 8 * 12), Unflatten(8, 8, 12), Conv(8, 4000, 3), Conv(4000, 1, 3)))
    with pytest.raises(ModelError, match="computation"):
        parse(dump(msgspec.structs.replace(config, decoder=wide), {}))
    large = NetSpec((6,), (Dense(6, 1 << 21), Dense(1 << 21, 96), Unflatten(1, 8, 12)))
    with pytest.raises(ModelError, match="beyond the limits"):
        parse(dump(msgspec.structs.replace(config, decoder=large), {}))
    growing = NetSpec((6,), (Dense(6, 1 << 19), Unflatten(1 << 19, 1, 1), *[Shuffle(8)] * 4))
    with pytest.raises(ModelError):
        parse(dump(msgspec.structs.replace(config, decoder=growing), {}))


def test_an_encoder_for_huge_images_is_refused() -> None:
    config, _ = parse(tiny_model_file(2))
    encoder = NetSpec((1, 4096, 4096), (Conv(1, 4, 15, 4), Conv(4, 4, 15, 4), Flatten()))
    with pytest.raises(ModelError, match="beyond the limits"):
        parse(dump(msgspec.structs.replace(config, image=ImageSpec(4096, 4096, 1, 2), encoder=encoder), {}))


def test_the_most_values_of_a_layer() -> None:
    config, _ = parse(tiny_model_file())
    assert config.values == 8 * 12 * 6
    assert parse(context_file(RGB))[0].values == 1


def test_reading_stops_where_it_must(tmp_path: Path) -> None:
    (tmp_path / "folder.bbm").mkdir()
    with pytest.raises(ModelError, match="not a regular file"):
        read(tmp_path / "folder.bbm")
    with (tmp_path / "huge.bbm").open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(LimitError, match=str(MAX_FILE)):
        read(tmp_path / "huge.bbm")
    with pytest.raises(LimitError):
        parse(bytes(MAX_FILE + 1))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.bbm")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bbm")
    with pytest.raises(ModelError, match="not a regular file"):
        read(tmp_path / "pipe.bbm")
