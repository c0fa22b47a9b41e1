import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bitsback.ans import Stack
from bitsback.codecs import BitsBack, Codec, TwoPart, Uniform
from bitsback.errors import BitsBackError, FormatError
from bitsback.kinds import chain
from bitsback.kinds.base import ImageSpec
from bitsback.models import Model
from bitsback.nets.layers import Conv, Dense, NetSpec, Unflatten
from helpers import drawn_images, in_order, tiny_model, tiny_model_file

ABOVE = [(), (4, 9)]
"""How many latents the levels above the first have."""


@settings(max_examples=15, deadline=None)
@given(
    levels=st.sampled_from([2, 256]),
    above=st.sampled_from([*ABOVE, (1, 2, 3, 4)]),
    n=st.integers(1, 90),
    seed=st.integers(0, 2**32 - 1),
    noise=st.booleans(),
)
def test_round_trip(levels: int, above: tuple[int, ...], n: int, seed: int, noise: bool) -> None:
    model = tiny_model(levels, above)
    images = drawn_images(model, n, seed)
    if noise:
        images = np.random.default_rng(seed).integers(0, levels, images.shape).astype(np.uint8)
    payload = model.encode(images)
    np.testing.assert_array_equal(model.decode(payload, n), images)


@pytest.mark.parametrize("above", ABOVE)
@pytest.mark.parametrize("levels", [2, 256])
def test_bits_back_is_a_bijection_on_any_stack(levels: int, above: tuple[int, ...]) -> None:
    """pop(push(x)) == x, and push(pop(stack)) == stack: also from a stack of random bits."""
    vae = tiny_model(levels, above).trained
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
    for levels, above in ((2, ()), (256, (4, 9))):
        images = drawn_images(tiny_model(levels), 70)
        ways = [*itertools.product(["int8", "float32"], [1, 2], [3, 100]), ("reference", 1, 100)]
        made = [
            tiny_model(levels, above, engines=[engine], threads=threads, batch=batch) for engine, threads, batch in ways
        ]
        payloads = [model.encode(images) for model in made]
        assert len(set(payloads)) == 1
        for model in made:
            np.testing.assert_array_equal(model.decode(payloads[0], 70), images)


@pytest.mark.parametrize("above", ABOVE)
def test_one_image_is_primed_and_needs_no_bits(above: tuple[int, ...]) -> None:
    model = tiny_model(256, above)
    payload = model.encode(drawn_images(model, 1))
    assert payload[1] == 0  # this schedule goes without saying


def test_groups_grow_with_the_chain() -> None:
    """Of a model whose images are worth little next to its latents, so that several have to be primed."""
    images = np.random.default_rng(0).integers(0, 256, (700, 1, 1, 1)).astype(np.uint8)
    payload = chain.encode(Poor(), images)
    steps = [payload[2 + 2 * i] for i in range(payload[1])]
    assert steps[0] == chain.PRIMED
    assert payload[3] > 3
    assert steps[1:] == sorted(steps[1:])
    assert 1 << steps[-1] <= Poor.group
    np.testing.assert_array_equal(chain.decode(Poor(), payload, 700), images)


class Poor:
    """Images of so many samples of 8 bits, and so many latents of 12."""

    latent_bits, group = 12, 64

    def __init__(self, samples: int = 1, latents: int = 3) -> None:
        self.shape, self.latents = (1, samples, 1), latents

    def codec(self, n: int) -> Codec[chain.Images]:
        z = Uniform(12, (n, self.latents))
        return BitsBack(z, lambda _: Uniform(8, (n, *self.shape)), lambda _: z)

    def primer(self, bits: int) -> Codec[chain.Images]:
        nothing = np.zeros((1, self.latents), np.uint16)
        return TwoPart(Uniform(bits, (1, self.latents)), lambda _: Uniform(8, (1, *self.shape)), lambda _: nothing)


@pytest.mark.parametrize(("samples", "sign"), [(60, 0), (50, 255)])
def test_a_usual_schedule_is_what_it_says(samples: int, sign: int) -> None:
    """A chain without runs is the one with those that it stands for: with latents of a little more bits than an image
    costs, each group is there twice."""
    model = Poor(samples, 35)
    images = np.random.default_rng(0).integers(0, 256, (200, *model.shape)).astype(np.uint8)
    for count in (1, 2, 9, 70, 200):
        payload = chain.encode(model, images[:count])
        assert payload[1] == (sign if count > 2 else 0)
        runs = chain._usual(count, 6, chain.UNSAID[payload[1]])
        said = bytes([payload[0], len(runs) // 2]) + runs + payload[2:]
        for one in (payload, said):
            np.testing.assert_array_equal(chain.decode(model, one, count), images[:count])


@settings(max_examples=15, deadline=None)
@given(levels=st.sampled_from([2, 256]), n=st.integers(1, 120), seed=st.integers(0, 99), same=st.integers(0, 40))
def test_sorted_images_come_back(levels: int, n: int, seed: int, same: int) -> None:
    model = tiny_model(levels)
    images = drawn_images(model, n, seed)
    images[:same] = images[0]
    images = in_order(images)
    payload = model.encode(images)
    assert (payload[0] >= 128) == (n >= chain.FEWEST_SORTED)
    np.testing.assert_array_equal(model.decode(payload, n), images)


def test_their_order_costs_nothing() -> None:
    model = tiny_model(256)
    images = drawn_images(model, 700)
    saved = 8 * (len(model.encode(images)) - len(model.encode(in_order(images))))
    assert saved > 0.93 * sum(np.log2(np.arange(1, 701)))


def test_lanes_follow_the_amount_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "MANY_SAMPLES", 1 << 14)
    model = tiny_model()
    for n, lanes in ((10, 1), (-(-chain.MANY_SAMPLES // 96), chain.LANES)):
        payload = model.encode(drawn_images(model, n))
        assert payload[1] in chain.UNSAID and Stack.unpack(payload[2:], lanes).lanes == lanes
        np.testing.assert_array_equal(model.decode(payload, n), drawn_images(model, n))


@pytest.mark.parametrize(
    ("edge", "channels", "group"),
    [(28, 13, 64), (28, 1337, 4), (224, 2, 2), (1000, 1, 1)],
)
def test_large_images_are_not_coded_side_by_side(edge: int, channels: int, group: int) -> None:
    config = tiny_model().config
    layers = (Dense(1, edge * edge), Unflatten(1, edge, edge), Conv(1, channels, 1), Conv(channels, 1, 1))
    image, decoder = ImageSpec(edge, edge, 1, 256), NetSpec((1,), layers)
    assert structs.replace(config, image=image, decoder=decoder).group == group


@pytest.mark.parametrize("above", ABOVE)
def test_damage_raises_nothing_but_our_errors(above: tuple[int, ...]) -> None:
    """Nearly all damage leaves the stack in a wrong state; what slips through is for the archive's checksum."""
    model = tiny_model(256, above)
    images = drawn_images(model, 12)
    payload = model.encode(images)
    rng = np.random.default_rng(0)
    positions = [*range(16), *rng.integers(16, len(payload), 40)]
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
    for length in range(0, len(payload), 13):
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
        b"\x00\x00",  # a primer without bits
        b"\x09\x00",  # a primer finer than the model
        b"\x04\x01\x07\x01",  # a step beyond the largest group
        b"\x04\x01\x00\x00",  # a run of nothing
        b"\x04\x01\x03\x02",  # more images than there are
        b"\x04\x03\x00\x00",  # runs that are not there
    ],
)
def test_bad_headers(head: bytes) -> None:
    with pytest.raises(FormatError):
        tiny_model().decode(head + Stack().to_bytes(), 12)


@pytest.mark.parametrize("above", ABOVE)
def test_elbo_is_what_a_long_chain_costs(above: tuple[int, ...]) -> None:
    model = Model.from_bytes(tiny_model_file(256, seed=3, above=above))
    images = drawn_images(model, 600)
    elbo = model.elbo_bits(images)
    assert elbo.shape == (600,)
    assert len(model.encode(images)) * 8 == pytest.approx(elbo.sum(), rel=0.01)
