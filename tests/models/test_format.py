"""The package against the decoder of model payloads in decoder/."""

import hashlib
import struct

import pytest

from bitsback.kinds.context import tiles
from bitsback.kinds.phases import tiles as phases_tiles
from bitsback.models import Model
from bitsback_decoder.model import SlowModel
from bitsback_decoder.stack import PlainStack
from bitsback_decoder.tables import unpacked
from contexts import picture
from helpers import drawn_images, in_order, tiny_model_file
from models.context_models import context_file, vae_file
from phases import phases_file


@pytest.mark.parametrize("name", [2, 256, "digits-binary"])
def test_the_self_tests_of_a_model_file_can_be_repeated_from_the_text(name):
    data = Model.load(name).data if isinstance(name, str) else tiny_model_file(name)
    model = SlowModel(data)
    assert {key: model.self_test(key) for key in ("encoder", "decoder")} == model.config["self_test"]


def known_bits(count):
    noise = hashlib.shake_128(b"bitsback").digest(4 * (count // 32 + 1))
    return PlainStack([2**33], unpacked("I", noise))


def known_answer(images, stack):
    """SHA-256 of flat images and a stack of one lane."""
    content = (
        b"".join(map(bytes, images))
        + struct.pack("<Q", *stack.heads)
        + struct.pack(f"<{len(stack.tail)}I", *stack.tail)
    )
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("kind", [(3, "regression", 0, 256), (3, "memories", 0, 256), (1, None, 0, 2)])
def test_known_answers_of_decoding_can_be_repeated_from_the_text(kind):
    model = SlowModel(context_file(kind, colour=(2, 0, 1)) if kind[0] == 3 else context_file(kind))
    stack = known_bits(24 * 4 * 11 * 13 * kind[0])
    assert known_answer(model.pop_in_context(stack, 4, 11, 13), stack) == model.config["answers"]["decoding"]


@pytest.mark.parametrize(
    ("data", "latents"),
    [
        (tiny_model_file(2), 6 * 8),
        (tiny_model_file(256, above=(4, 9)), (6 + 4) * 24 + 9 * 8),
        (vae_file(256), 6 * 8),
    ],
)
def test_so_can_those_of_models_with_latents(data, latents):
    model = SlowModel(data)
    stack = known_bits(4 * (24 * 8 * 12 + latents))
    z = model.pop_latents(stack, 4, model.bits, False)
    images = model.pop_images(stack, z, model.bits)
    stack.push([latent for x in images for latent in model.posterior(x)], [k for part in z for k in part])
    assert known_answer(images, stack) == model.config["answers"]["decoding"]


@pytest.mark.parametrize(
    ("levels", "bits", "n", "group", "above", "channels"),
    [
        (2, 8, 40, 64, (), 1),
        (256, 8, 9, 64, (3, 9), 1),
        (2, 8, 12, 4, (1, 2, 3, 4), 3),
        (256, 12, 5, 64, (), 4),
        (2, 1, 1, 64, (), 1),
    ],
)
def test_a_decoder_written_from_the_text_restores_images_and_stack(
    monkeypatch, levels, bits, n, group, above, channels
):
    """Groups of at most 4 leave images to the schedule's end."""
    monkeypatch.setattr("bitsback.kinds.vae.config.MAX_GROUP", group)
    data = tiny_model_file(levels, bits=bits, above=above, channels=channels)
    model = SlowModel(data)
    assert model.group() == 64
    monkeypatch.setattr(model, "group", lambda: group)
    images = drawn_images(Model.from_bytes(data), n)
    images[..., 1:] ^= 1  # channels differ, should they be mixed up
    payload = Model.from_bytes(data).encode(images)
    decoded, stack = model.decode(payload, n)
    assert decoded == images.reshape(n, -1).tolist()
    assert stack.is_new


def test_so_it_does_where_order_does_not_count():
    data = tiny_model_file(2)
    images = in_order(drawn_images(Model.from_bytes(data), 40))
    images[7:10] = images[7]  # some are the same
    payload = Model.from_bytes(data).encode(images)
    decoded, stack = SlowModel(data).decode(payload, 40)
    assert payload[0] > 128 and decoded == images.reshape(40, -1).tolist() and stack.is_new


def test_the_largest_group_is_that_of_the_text():
    for data in (tiny_model_file(2), vae_file(256), Model.load("digits-binary").data):
        assert SlowModel(data).group() == Model.from_bytes(data).config.group


@pytest.mark.parametrize(("levels", "shuffle", "channels"), [(2, True, 1), (256, False, 1), (256, True, 3)])
def test_so_does_one_of_models_with_latents_and_a_context_network(levels, shuffle, channels):
    data = vae_file(levels, shuffle, channels)
    images = drawn_images(Model.from_bytes(data), 9)
    images[..., 1:] ^= 1
    payload = Model.from_bytes(data).encode(images)
    model = SlowModel(data)
    assert {key: model.self_test(key) for key in ("encoder", "decoder")} == model.config["self_test"]
    decoded, stack = model.decode(payload, 9)
    assert decoded == images.reshape(9, -1).tolist()
    assert stack.is_new


@pytest.mark.parametrize(
    ("kind", "colour", "shape", "edge", "together", "lanes"),
    [
        ((3, "regression", 0, 256), (1, 2, 0), (1, 9, 12, 3), 1024, 2**17, 1),
        ((3, "regression", 0, 256), (2, 0, 1), (2, 17, 7, 3), 16, 2**17, 1),
        ((3, "median", 0, 256), (0, 1, 2), (1, 19, 33, 3), 16, 2**17, 8),
        ((1, "regression", 0, 256), (0,), (7, 5, 6, 1), 1024, 900, 1),
        ((1, None, 0, 2), (0,), (5, 16, 3, 1), 16, 2000, 8),
        ((1, None, 0, 256), (0,), (3, 1, 20, 1), 1024, 1, 1),
    ],
)
def test_so_does_one_of_models_without_latents(monkeypatch, kind, colour, shape, edge, together, lanes):
    """Whole images and tiles, in groups or alone."""
    many = 1 if lanes == 8 else 2**17
    monkeypatch.setattr(tiles, "EDGE", edge)
    monkeypatch.setattr(tiles, "GROUP", together)
    monkeypatch.setattr(tiles, "MANY_SAMPLES", many)
    data = context_file.__wrapped__(kind, colour=colour)  # its known answers are those of such pieces
    images = picture("smooth", shape, kind[3])
    images[..., 0] ^= 1  # channels differ, should they be mixed up
    payload = Model.from_bytes(data).encode(images)
    decoded, stacks = SlowModel(data).decode_pieces(payload, *shape[:3], edge, together, many)
    assert decoded == images.tolist()
    assert all(stack.is_new and len(stack.heads) == lanes for stack in stacks)


@pytest.mark.parametrize(
    ("channels", "levels", "options", "shape", "edge", "together", "many"),
    [
        (3, 256, {}, (2, 7, 10, 3), 256, 2**16, 2**16),
        (1, 256, {"reach": (3,), "hidden": 0}, (3, 1, 9, 1), 256, 18, 2**16),
        (2, 2, {"period": 0}, (3, 9, 5, 2), 256, 100, 1),
        (1, 2, {"reach": (1,), "edges": False}, (1, 19, 35, 1), 16, 2**16, 2**16),
        (3, 256, {"latents": 2}, (5, 10, 13, 3), 256, 300, 2**16),
        (1, 2, {"latents": 60}, (3, 10, 13, 1), 256, 2**16, 1),
        (1, 2, {"latents": 120}, (3, 10, 13, 1), 256, 2**16, 2**16),
    ],
)
def test_so_does_one_of_models_in_phases(monkeypatch, channels, levels, options, shape, edge, together, many):
    data = phases_file(channels, levels, **options)
    images = picture("smooth", shape, levels)
    images[..., 0] ^= 1
    one = Model.from_bytes(data)
    one.prove()
    monkeypatch.setattr(phases_tiles, "EDGE", edge)
    monkeypatch.setattr(phases_tiles, "GROUP", together)
    monkeypatch.setattr(phases_tiles, "MANY_SAMPLES", many)
    slow = SlowModel(data)
    trunks = enumerate(slow.config["phases"]["trunks"])
    hashes = [slow.self_test(f"trunk.{i}", spec) for i, spec in trunks]
    latents = slow.config.get("latents") or {}
    hashes += [slow.self_test(name, latents[name]) for name in ("encoder", "decoder") if latents]
    assert hashes == slow.config["self_test"]
    decoded, stacks = slow.decode_phases(one.encode(images), *shape[:3], edge, together, many)
    assert decoded == images.tolist()
    assert all(stack.is_new for stack in stacks)


def test_known_answers_of_models_in_phases_can_be_repeated_from_the_text():
    model = SlowModel(phases_file(3))
    stack = known_bits(24 * 4 * 11 * 13 * 3)
    assert known_answer(model.pop_in_phases(stack, 4, 11, 13), stack) == model.config["answers"]["decoding"]
