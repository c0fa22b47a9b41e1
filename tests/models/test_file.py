import hashlib
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
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bitsback.errors import BitsBackError, LimitError, ModelError
from bitsback.kinds.base import ImageSpec
from bitsback.kinds.context.config import ContextConfig
from bitsback.kinds.context.network import ContextSpec, Feature, RegressionSpec, Tap
from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec
from bitsback.kinds.vae.config import SelfTest, VAEConfig
from bitsback.models import Model
from bitsback.models.file import HEAD_SIZE, MAX_FILE, claimed, dump, parse, read, unpack
from bitsback.nets.layers import Conv, Dense, Flatten, NetSpec, Shuffle, Unflatten
from contexts import Kind
from helpers import tiny_model_file, with_config
from models.context_models import context_file, vae_file
from models.hostile import MAKERS, deflated, header_of, hostile, lzma2, sealed, with_header

TAP = Tap("value", 0, 0, -1)
SIMPLE = ContextSpec(((Feature(TAP),),), ((4,),))

RGB: Kind = (3, "regression", 0, 256)
BINARY: Kind = (1, None, 0, 2)
DRAWN: Kind = (3, "drawn", 0, 256)
MEMORIES: Kind = (3, "memories", 0, 256)

FILES = {
    "vae 2": tiny_model_file(2),
    "vae 256": tiny_model_file(256),
    "vae with context 2": vae_file(2),
    "vae with context 256": vae_file(256),
    "context RGB": context_file(RGB),
    "context binary": context_file(BINARY, 8, 12),
    "context drawn": context_file(DRAWN),
    "context memories": context_file(MEMORIES),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_dump_and_parse_are_inverse(data: bytes) -> None:
    identity, config, tensors = parse(data)
    assert dump(config, tensors) == data
    assert config.check_tensors(tensors) == tensors.keys()
    assert identity == hashlib.sha256(unpack(data)).hexdigest() == claimed(data[:HEAD_SIZE])


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_what_it_is_does_not_depend_on_how_it_is_packed(data: bytes) -> None:
    content = unpack(data)
    assert len(data) < len(content)
    for again in (sealed(content), sealed(content, lzma2(content)), sealed(content, deflated(content), packing=2)):
        assert again != data
        assert parse(again)[:2] == parse(data)[:2]
        assert Model.from_bytes(again).id == Model.from_bytes(data).id


def test_the_packing_is_the_smallest_or_about_as_small_and_fast() -> None:
    _, config, tensors = parse(tiny_model_file())
    noise = np.frombuffer(np.random.default_rng(0).bytes(100_000), np.uint8)
    for extra, packing in ((noise, 2), (noise & 127, 2), (noise & 15, 1), (np.tile(noise[:99], 300), 1)):
        data = dump(config, {**tensors, "extra": extra})
        assert data[9] == packing
        content = unpack(data)
        assert len(data) <= HEAD_SIZE + 1.02 * len(lzma2(content))


LEVELS = Model.from_bytes(tiny_model_file(above=(4, 9))).config.above

FIT = {
    "plain": (
        tiny_model_file(),
        [
            {"image": ImageSpec(8, 13, 1, 256)},
            {"image": ImageSpec(8, 12, 1, 2)},
            {"image": ImageSpec(8, 12, 3, 256)},
            {"image": ImageSpec(0, 12, 1, 256)},
            {"latents": 7},
            {"latents": 0},
            {"latent_bits": 13},
            {"latent_bits": 0},
            {"likelihood": BernoulliSpec()},
            {"likelihood": MixtureSpec(3)},
            {"likelihood": MixtureSpec(0)},
            {"self_test": SelfTest()},
            {"colour": (0, 1)},
            {"name": ""},
            {"name": "x" * 101},
            {"name": "a\nb"},
        ],
    ),
    "levels": (
        tiny_model_file(above=(4, 9)),
        [
            {"latents": 7},
            {"above": (LEVELS[1],)},
            {"above": LEVELS[:1]},  # whose tensors are not all
            {"above": ()},
            {"above": LEVELS * 3},
            {"above": (LEVELS[0], structs.replace(LEVELS[1], self_test=SelfTest("0", "")))},
            {"above": (LEVELS[0], structs.replace(LEVELS[1], latents=8))},
            {"above": (LEVELS[0], structs.replace(LEVELS[1], encoder=LEVELS[0].encoder))},
            {"above": (LEVELS[0], structs.replace(LEVELS[1], decoder=LEVELS[0].decoder))},
        ],
    ),
    "vae": (
        vae_file(),
        [
            {"context": None},
            {"latents": 0},
            {"self_test": SelfTest("0", "")},
            {"image": ImageSpec(0, 0, 1, 256)},
            {"context": SIMPLE},  # whose map is not the decoder's
        ],
    ),
    "RGB": (
        context_file(RGB),
        [
            {"context": SIMPLE},
            {"colour": (0,)},
            {"colour": (0, 1)},
            {"colour": (0, 1, 1)},
            {"colour": (1, 2, 3)},
            {"colour": (-1, 0, 1)},
            {"likelihood": BernoulliSpec()},
            {"likelihood": MixtureSpec(0)},
            {"likelihood": MixtureSpec(17)},
            {"image": ImageSpec(0, 0, 4, 256)},
            {"image": ImageSpec(0, 0, 3, 2)},
            {"image": ImageSpec(4097, 0, 3, 256)},
            {"image": ImageSpec(0, -1, 3, 256)},
        ],
    ),
    "binary": (
        context_file(BINARY),
        [
            {"image": ImageSpec(0, 0, 0, 2), "colour": ()},
            {"context": msgspec.structs.replace(SIMPLE, median=True)},
            {"context": msgspec.structs.replace(SIMPLE, regression=RegressionSpec((TAP,)))},
            {"context": msgspec.structs.replace(SIMPLE, map=1)},
            {"context": msgspec.structs.replace(SIMPLE, border=2)},
            {"context": msgspec.structs.replace(SIMPLE, sharp=True)},
        ],
    ),
    "drawn": (context_file(DRAWN), [{"likelihood": MixtureSpec(3)}]),
}


@pytest.mark.parametrize(("data", "changes"), [(data, one) for data, changes in FIT.values() for one in changes])
def test_parts_that_do_not_fit_are_refused_in_one_line(data: bytes, changes: dict) -> None:
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
        ('"regression":{', '"median":0,"regression":{'),
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
    _, config, tensors = parse(context_file(BINARY))
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
        parse(sealed(unpack(data) + b"\0"))
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
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
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
        ("its safetensors alone", "does not begin as one does"),
        ("a huge header", "cut short, or too large"),
        ("version 9", "of version 9; this bitsback reads version 2$"),
        ("packing 9", "packed in a way 9"),
        ("flipped in a weight", "is damaged"),
        ("flipped when packed", "is damaged"),
        ("a bomb", "is damaged"),
        ("a huge size", "beyond the limit"),
    ],
)
def test_what_was_mixed_up_is_said(name: str, words: str) -> None:
    with pytest.raises(BitsBackError, match=words):
        parse(hostile(name))


@pytest.mark.parametrize("data", [tiny_model_file(2), context_file(BINARY), sealed(unpack(vae_file(256)))])
def test_a_flip_of_any_byte_is_noticed(data: bytes) -> None:
    rng = np.random.default_rng(0)
    damaged = bytearray(data)
    for position in range(len(data)):
        before = damaged[position]
        damaged[position] ^= int(rng.integers(1, 256))
        with pytest.raises(BitsBackError):
            parse(bytes(damaged))
        damaged[position] = before
    parse(bytes(damaged))


def test_a_file_is_laid_out_as_the_safetensors_library_does() -> None:
    for data in (tiny_model_file(), vae_file(2)):
        _, _, tensors = parse(data)
        found = safetensors.numpy.load(unpack(data))
        assert found.keys() == tensors.keys()
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(found[name], tensor, strict=True)
        text = header_of(data)["__metadata__"]["bitsback"]
        theirs = safetensors.numpy.save(tensors, {"bitsback": text})
        assert theirs == unpack(data)


def test_metadata_of_other_kinds_is_refused() -> None:
    header = header_of(tiny_model_file())
    header["__metadata__"]["author"] = "0"
    with pytest.raises(ModelError, match="metadata"):
        parse(with_header(tiny_model_file(), header))


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
        _, config, _ = parse(with_header(file, header))
    except BitsBackError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
    else:
        assert config.name


@given(st.binary(max_size=300), st.booleans())
def test_noise_is_refused(noise: bytes, framed: bool) -> None:
    with pytest.raises(BitsBackError):
        parse(sealed(struct.pack("<Q", len(noise)) + noise) if framed else noise)


def _context(**changes: Any) -> bytes:
    """A model without latents with another context network; its tensors are missing."""
    _, config, _ = parse(context_file(BINARY))
    assert isinstance(config, ContextConfig)
    return dump(msgspec.structs.replace(config, context=msgspec.structs.replace(config.context, **changes)), {})


def test_what_a_model_may_cost_is_bounded() -> None:
    with pytest.raises(ModelError, match="computation"):
        parse(_context(hidden=((512, 512),)))
    with pytest.raises(ModelError, match="lacks the tensor"):
        parse(_context(hidden=((256, 256),)))
    _, config, _ = parse(tiny_model_file(2))
    assert isinstance(config, VAEConfig)
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
    _, config, _ = parse(tiny_model_file(2))
    encoder = NetSpec((1, 4096, 4096), (Conv(1, 4, 15, 4), Conv(4, 4, 15, 4), Flatten()))
    with pytest.raises(ModelError, match="beyond the limits"):
        parse(dump(msgspec.structs.replace(config, image=ImageSpec(4096, 4096, 1, 2), encoder=encoder), {}))


def test_the_most_values_of_a_layer() -> None:
    _, config, _ = parse(tiny_model_file())
    assert isinstance(config, VAEConfig) and config.values == 8 * 12 * 6


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
