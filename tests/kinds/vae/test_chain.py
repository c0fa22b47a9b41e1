import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.errors import BitsBackError, FormatError, LimitError
from bitsback.kinds.vae import chain
from bitsback.models import Model
from bitsback.nets.layers import MAX_VALUES
from helpers import drawn_images, tiny_model, tiny_model_file


@settings(max_examples=20, deadline=None)
@given(levels=st.sampled_from([2, 256]), n=st.integers(1, 90), seed=st.integers(0, 2**32 - 1), noise=st.booleans())
def test_round_trip(levels: int, n: int, seed: int, noise: bool) -> None:
    model = tiny_model(levels)
    images = drawn_images(model, n, seed)
    if noise:
        images = np.random.default_rng(seed).integers(0, levels, images.shape).astype(np.uint8)
    payload = model.encode(images)
    np.testing.assert_array_equal(model.decode(payload, n), images)


@pytest.mark.parametrize("levels", [2, 256])
def test_bits_back_is_a_bijection_on_any_stack(levels: int) -> None:
    """pop(push(x)) == x, and push(pop(stack)) == stack: also from a stack of random bits."""
    vae = tiny_model(levels).vae
    words = np.random.default_rng(0).integers(0, 2**32, 3000, np.uint32)
    stack = Stack.from_bytes(np.array([1 << 40], "<u8").tobytes() + words.astype("<u4").tobytes())
    before = stack.to_bytes()
    codec = vae.codec(3)
    drawn = codec.pop(stack)
    assert stack.to_bytes() != before
    codec.push(stack, drawn)
    assert stack.to_bytes() == before
    images = drawn_images(tiny_model(levels), 3)
    codec.push(stack, images)
    np.testing.assert_array_equal(codec.pop(stack), images)
    assert stack.to_bytes() == before


def test_engines_and_threads_give_the_same_bytes() -> None:
    for levels in (2, 256):
        images = drawn_images(tiny_model(levels), 70)
        payloads = {
            (engine, threads): tiny_model(levels, engines=[engine], threads=threads).encode(images)
            for engine, threads in itertools.product(["int8", "float32", "reference"], [1, 2])
        }
        assert len(set(payloads.values())) == 1
        payload = payloads["int8", 1]
        for engine in ("float32", "reference"):
            decoded = tiny_model(levels, engines=[engine]).decode(payload, 70)
            np.testing.assert_array_equal(decoded, images)


def test_one_image_is_primed_and_needs_no_bits() -> None:
    model = tiny_model()
    payload = model.encode(drawn_images(model, 1))
    assert payload[3] == 1
    assert payload[4:6] == bytes([chain.PRIMED, 1])


def test_groups_grow_with_the_chain() -> None:
    model = tiny_model()
    payload = model.encode(drawn_images(model, 700))
    steps = [payload[4 + 2 * i] for i in range(payload[3])]
    assert steps[0] == chain.PRIMED
    assert steps[1:] == sorted(steps[1:])
    assert steps[-1] <= chain.GROUP_LOG2


def test_lanes_follow_the_amount_of_data() -> None:
    model = tiny_model()
    few, many = (model.encode(drawn_images(model, n)) for n in (10, -(-chain.MANY_SAMPLES // 96)))
    assert (few[0], many[0]) == (0, chain.LANES_LOG2)


def test_damage_raises_nothing_but_our_errors() -> None:
    """Nearly all damage leaves the stack in a wrong state; what slips through is for the archive's checksum."""
    model = tiny_model()
    images = drawn_images(model, 12)
    payload = model.encode(images)
    rng = np.random.default_rng(0)
    positions = [*range(16), *rng.integers(16, len(payload), 60)]
    noticed = 0
    for position in positions:
        damaged = bytearray(payload)
        damaged[position] ^= 1 << rng.integers(8)
        try:
            decoded = model.decode(bytes(damaged), 12)
        except BitsBackError:
            noticed += 1
        else:
            assert decoded.shape == images.shape
    assert noticed > 0.9 * len(positions)
    for length in range(0, len(payload), 7):
        with pytest.raises(BitsBackError):
            model.decode(payload[:length], 12)


def test_a_payload_of_another_length_or_count_is_refused() -> None:
    model = tiny_model()
    payload = model.encode(drawn_images(model, 12))
    for count in (1, 2, 11, 13):
        with pytest.raises(BitsBackError):
            model.decode(payload, count)
    with pytest.raises(BitsBackError):
        model.decode(payload + b"\0\0\0\0", 12)


@pytest.mark.parametrize(
    "head",
    [
        b"\x09\x06\x04\x00",  # lanes beyond the limit
        b"\x00\x0d\x04\x00",  # groups beyond the limit
        b"\x00\x06\x00\x00",  # a primer without bits
        b"\x00\x06\x09\x00",  # a primer finer than the model
        b"\x00\x06\x04\x01\x07\x01",  # a step beyond the largest group
        b"\x00\x06\x04\x01\x00\x00",  # a run of nothing
        b"\x00\x06\x04\x01\x06\x01",  # more images than the chunk holds
    ],
)
def test_bad_headers(head: bytes) -> None:
    with pytest.raises(FormatError):
        tiny_model().decode(head + Stack().to_bytes(), 12)


def test_groups_beyond_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is announced is refused before it is allocated; what is written never comes near."""
    model = tiny_model()
    images = drawn_images(model, 12)
    payload = model.encode(images)
    assert chain.MAX_GROUP_VALUES >= (1 << chain.GROUP_LOG2) * MAX_VALUES
    monkeypatch.setattr(chain, "MAX_GROUP_VALUES", 11 * model.config.values)
    np.testing.assert_array_equal(model.decode(payload, 12), images)
    with pytest.raises(LimitError):
        model.decode(b"\x00\x0c\x04\x00" + Stack().to_bytes(), 12)


def test_elbo_is_what_a_long_chain_costs() -> None:
    model = Model.from_bytes(tiny_model_file(256, seed=3))
    images = drawn_images(model, 600)
    elbo = model.elbo_bits(images)
    assert elbo.shape == (600,)
    assert len(model.encode(images)) * 8 == pytest.approx(elbo.sum(), rel=0.01)
