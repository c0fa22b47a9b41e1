import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.errors import BitsBackError, CodecError, FormatError, ModelError
from bitsback.kinds.noise import noise
from bitsback.kinds.phases import tiles
from bitsback.kinds.phases.codec import PhasesCodec
from bitsback.models import Model, file
from bitsback.models.file import dump, parse
from contexts import CONTENTS, picture
from phases import phases_file

KINDS = [(1, 256), (3, 256), (4, 256), (1, 2), (2, 2)]


def model(channels: int, levels: int, **options: object) -> Model:
    return Model.from_bytes(phases_file(channels, levels), **options)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    content=st.sampled_from(CONTENTS),
    n=st.integers(1, 4),
    height=st.integers(1, 21),
    width=st.integers(1, 21),
)
def test_images_come_back(kind: tuple[int, int], content: str, n: int, height: int, width: int) -> None:
    images = picture(content, (n, height, width, kind[0]), kind[1])
    one = model(*kind)
    payload = one.encode(images)
    assert np.array_equal(one.decode(payload, n, images.shape[1:]), images)


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(KINDS), height=st.integers(1, 9), width=st.integers(1, 9))
def test_so_do_stacks(kind: tuple[int, int], height: int, width: int) -> None:
    """What random bits are decoded to is coded to these bits."""
    codec = PhasesCodec(model(*kind).trained.ready, (2, height, width, kind[0]))
    stack = noise(np.random.default_rng(0), 24 * 2 * height * width * kind[0])
    before = stack.copy()
    codec.push(stack, codec.pop(stack))
    assert stack == before


@pytest.mark.parametrize("content", CONTENTS)
def test_any_number_of_lanes(content: str) -> None:
    images = picture(content, (2, 9, 14, 3))
    for lanes in (1, 2, 8, 100):
        stack, codec = Stack(lanes), PhasesCodec(model(3, 256).trained.ready, images.shape)
        codec.push(stack, images)
        assert np.array_equal(codec.pop(stack), images) and stack.is_initial()


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_of_computing_gives_the_same(kind: tuple[int, int]) -> None:
    images = picture("smooth", (7, 19, 13, kind[0]), kind[1])
    payload = model(*kind).encode(images)
    for engine in ("int8", "float32", "reference"):
        for threads, batch in ((1, 4096), (2, 3), (1, 1)):
            one = model(*kind, engines=[engine], threads=threads, batch=batch)
            assert one.encode(images, threads=threads) == payload
            assert np.array_equal(one.decode(payload, 7, images.shape[1:], threads=threads), images)


def test_pieces_do_not_depend_on_company(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images of a piece are the same alone, and tiles are images."""
    one = model(3, 256)
    images = picture("smooth", (5, 40, 24, 3))
    bits = one.bits(images).samples
    assert np.array_equal(bits[3:4], one.bits(images[3:4]).samples)
    monkeypatch.setattr(tiles, "EDGE", 16)
    tiled = one.bits(images).samples
    assert np.array_equal(tiled[:, 16:32, 16:], one.bits(np.ascontiguousarray(images[:, 16:32, 16:])).samples)
    assert np.array_equal(one.decode(one.encode(images, threads=2), 5, (40, 24, 3), threads=3), images)


@pytest.mark.parametrize("kind", [(1, 256), (3, 256), (2, 2)])
def test_bits_add_up(kind: tuple[int, int]) -> None:
    images = picture("smooth", (4, 9, 14, kind[0]), kind[1])
    bits, latents = model(*kind).bits(images)
    assert bits.shape == images.shape and bits.min() >= 0 and not latents.any()
    alone = [8 * len(model(*kind).encode(image[None])[1:]) for image in images]
    assert bits.sum((1, 2, 3)) == pytest.approx(np.array(alone) - 32, abs=33)  # a head holds up to 32 bits


def test_a_sample_is_charged_to_itself() -> None:
    images = np.repeat(picture("smooth", (1, 9, 14, 3)), 256, 0)
    images[:, 1, 0, 0] = np.arange(256)  # in the last step, and its first channel in the images is coded last
    bits = model(3, 256).bits(images).samples
    assert np.isclose(np.exp2(-bits[:, 1, 0, 0]).sum(), 1)
    bits[:, 1, 0, 0] = 0
    assert (bits == bits[0]).all()


def test_drawn_images_are_likely() -> None:
    one = model(3, 256)
    images = one.draw(12, (16, 15, 3))
    assert np.array_equal(images, one.draw(12, (16, 15, 3)))
    rng = np.random.default_rng(0)
    other = images[:, rng.permutation(16)][:, :, rng.permutation(15)]
    assert one.elbo_bits(images).sum() < 0.97 * one.elbo_bits(other).sum()
    with pytest.raises(CodecError, match="cannot be drawn"):
        one.draw(1, (4, tiles.EDGE + 1, 3))


def test_damaged_payloads_are_noticed() -> None:
    one = model(3, 256)
    images = picture("smooth", (3, 9, 14, 3))
    payload = one.encode(images)
    for bad in (payload[:-4], payload + bytes(4), payload[:-1], b"", bytes(len(payload))):
        with pytest.raises(BitsBackError):
            one.decode(bad, 3, (9, 14, 3))
    for place in range(8, len(payload), 40):
        flipped = bytearray(payload)
        flipped[place] ^= 1
        try:
            found = one.decode(bytes(flipped), 3, (9, 14, 3))
        except BitsBackError:
            continue
        pytest.fail(f"byte {place}: {found.shape}")


# Model files.


def altered(change: str) -> bytes:
    _, config, tensors = parse(phases_file(3, 256))
    name = {"trunk": "trunk.1.0.weight", "filter": "filter.0.2.weight", "head": "head.1.0.2.0.weight"}.get(change)
    if name:
        tensors[name] = np.full_like(tensors[name], 64 if change == "trunk" else np.iinfo(np.int16).max)
    if change == "missing":
        del tensors["head.0.0.bias"]
    if change == "missing filter":
        del tensors["filter.1.1.shift"]
    if change == "shape":
        tensors["filter.0.0.weight"] = tensors["filter.0.0.weight"][:, :-1].copy()
    if change == "table":
        tensors["table"] = tensors["table"][:-1].copy()
    return dump(config, tensors)


@pytest.mark.parametrize("change", ["filter", "head", "missing", "missing filter", "shape", "table"])
def test_unsound_weights_are_refused(change: str) -> None:
    with pytest.raises(ModelError):
        parse(altered(change))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"classes":2', b'"classes":9'),
        (b'"reach":[2,1,1]', b'"reach":[2,1]'),
        (b'"predicts":[2,2,2]', b'"predicts":[2,2]'),
        (b'"predicts":[2,2,2]', b'"predicts":[1,2,2]'),
        (b'"predicts":[2,2,2]', b'"predicts":[2,2,5]'),
        (b'"predicts":[2,2,2],', b""),
        (b'"period":8', b'"period":5'),
        (b'"edges":true', b'"edges":null'),
        (b'"hidden":[9]', b'"hidden":[0]'),
        (b'"colour":[2,1,0]', b'"colour":[2,1,1]'),
        (b'"stride":1', b'"stride":2'),
    ],
)
def test_unsound_configurations_are_refused(old: bytes, new: bytes) -> None:
    content = file.unpack(phases_file(3, 256))
    escaped, other = (part.replace(b'"', b'\\"') for part in (old, new))
    assert escaped in content
    changed = content.replace(escaped, other)
    packed = file._HEAD.pack(file.MAGIC, file.VERSION, file.STORED, len(changed), hashlib.sha256(changed).digest())
    with pytest.raises((ModelError, FormatError)):
        parse(packed + changed)
