import hashlib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs.testing import check_codec, random_stack
from bitsback.errors import CodecError, EmptyStackError
from bitsback.kinds.context.codec import ContextCodec
from bitsback.kinds.context.network import MARGIN, ContextNetwork, Tap, plane
from bitsback_decoder.context import REACHED, PlainContext
from bitsback_decoder.stack import PlainStack
from contexts import CONTENTS, KINDS, Kind, Noise, Reference, picture, stack_of_pictures, tiny_context

CASES = [
    pytest.param(channels, reference, maps, levels, id=f"{channels}-{reference}-{maps}-{levels}")
    for channels in (1, 3)
    for reference in ("regression", "median", "drawn", "memories", None)
    for maps in (0, 3)
    for levels in ((256,) if reference not in (None, "memories") else (256, 2))
]
SHAPES = [(1, 1, 1), (2, 1, 7), (1, 7, 1), (17, 2, 3), (2, 5, 4), (1, 17, 9)]


def codec_of(
    network: ContextNetwork, shape: tuple[int, int, int, int], levels: int, seed: int = 0
) -> tuple[ContextCodec, list[list[list[int]]] | None]:
    """A codec, with a feature map of noise that lies in an order of its own if the network takes one; and that map as
    lists [image][channel][pixel], in the images' order."""
    n, height, width, _ = shape
    maps, area = network.spec.map, height * width
    if not maps:
        return ContextCodec(network, shape, levels), None
    features = Noise(seed).array(0, 255, (n, maps, area))
    order = np.random.default_rng(seed).permutation(area)
    return ContextCodec(network, shape, levels, features, order), features[:, :, order].tolist()


def plain_of(network: ContextNetwork, levels: int) -> PlainContext:
    """The codec of bitsback_decoder, from what a model file holds."""
    tensors = {name: tensor.ravel().tolist() for name, tensor in network.tensors().items()}
    spec = msgspec.json.decode(msgspec.json.encode(network.spec))
    return PlainContext(spec, tensors.__getitem__, network.channels, levels)


def intervals_of(plain: PlainContext, x: np.ndarray, feature_map: list[list[list[int]]] | None) -> list[list[int]]:
    """[start, freq] of all samples, in coding order."""
    intervals = []

    def known(c, pixel, distribution):  # type: ignore[no-untyped-def]
        value = int(x[*pixel, c])
        start, stop = (distribution[2](v) for v in (value, value + 1))
        intervals.append([start, stop - start])
        return value

    plain.code(*x.shape[:3], feature_map, known)
    return intervals


@pytest.mark.parametrize(("channels", "reference", "maps", "levels"), CASES)
def test_a_codec_written_from_the_text_has_the_same_intervals(
    channels: int, reference: Reference, maps: int, levels: int
) -> None:
    network = tiny_context(channels, reference, maps, levels, ridge=1)
    plain = plain_of(network, levels)
    REACHED.clear()
    for i, shape in enumerate(SHAPES):
        for content in (CONTENTS[(i + channels) % 5], CONTENTS[(i + maps + 2) % 5], "stripes"):
            x = picture(content, (*shape, channels), levels, i)
            codec, feature_map = codec_of(network, x.shape, levels, i)
            intervals = intervals_of(plain, x, feature_map)
            assert np.stack(codec.intervals(x), 1).tolist() == intervals, (shape, content)
    everything = {"hidden", "logit"} if levels == 2 else {"hidden", "scale", "weight"}
    if reference == "regression":
        everything |= {"reference", "feature", "L", "D", "p", "g"} | ({"u"} if channels == 3 else set())
    assert everything <= REACHED


@pytest.mark.parametrize("shape", [(1, 1, 140, 1), (2, 140, 1, 1)])
def test_far_from_the_edges(shape: tuple[int, int, int, int]) -> None:
    """Where the planes of rows and columns hold their largest value."""
    network = tiny_context(1, "median")
    x = picture("noise", shape)
    expected = intervals_of(plain_of(network, 256), x, None)
    assert np.stack(ContextCodec(network, shape).intervals(x), 1).tolist() == expected


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize(("channels", "reference", "maps", "levels"), CASES[::3])
def test_a_decoder_written_from_the_text_restores_images_and_stack(
    channels: int, reference: Reference, maps: int, levels: int, lanes: int
) -> None:
    network = tiny_context(channels, reference, maps, levels)
    x = picture("smooth", (3, 5, 4, channels), levels)
    codec, feature_map = codec_of(network, x.shape, levels)
    stack = Stack(lanes)
    codec.push(stack, x)
    slow = PlainStack.read(stack.pack(), lanes)
    count = iter(range(x.size))
    decoded = plain_of(network, levels).code(
        3, 5, 4, feature_map, lambda c, pixel, distribution: slow.pop_one(next(count), distribution)
    )
    assert all(x[*pixel, c] == value for (c, *pixel), value in decoded.items())
    assert len(decoded) == x.size
    assert slow.is_new


@pytest.mark.parametrize("reference", ["regression", "median"])
def test_the_survey_shows_what_taps_read(reference: Reference) -> None:
    """What a network is trained on is what it will see."""
    network = tiny_context(3, reference)
    x = picture("smooth", (2, 7, 9, 3))
    planes = ContextCodec(network, x.shape).survey(x)
    plain = plain_of(network, 256)
    plain.code(2, 7, 9, None, lambda c, pixel, _: int(x[*pixel, c]))
    taps = [Tap("value", c, dy, dx) for c in range(3) for dy in (0, -1, -4) for dx in (0, -4, 2)]
    taps += [Tap(name, c) for c in range(3) for name in ("reference", "error")]
    taps += [Tap("error", 1, -1, 3), Tap("error", 2, 0, -1), Tap("zero"), Tap("row"), Tap("column")]
    taps += [Tap("spread", c) for c in range(3)] if reference == "regression" else []
    for tap in taps:
        seen = [
            [plain.tap([tap.plane, tap.index, tap.dy, tap.dx], (i, y, column)) for column in range(9)]
            for i in range(2)
            for y in range(7)
        ]
        rows, columns = (slice(MARGIN + d, MARGIN + d + size) for d, size in ((tap.dy, 7), (tap.dx, 9)))
        np.testing.assert_array_equal(planes[plane(tap, 3)][:, rows, columns].reshape(14, 9), seen, str(tap))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([kind.values for kind in CASES]),
    n=st.integers(1, 20),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    lanes=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    content=st.sampled_from(CONTENTS),
)
def test_bijection(kind: Kind, n: int, height: int, width: int, lanes: int, seed: int, content: str) -> None:
    """Also for what random bits stand for under the model."""
    channels, reference, maps, levels = kind
    network = tiny_context(channels, reference, maps, levels)
    x = picture(content, (n, height, width, channels), levels, seed)
    codec, _ = codec_of(network, x.shape, levels, seed)
    check_codec(codec, x, lanes, seed)


def test_bijection_on_a_larger_image() -> None:
    """Many steps, so that the regression's memory settles, and blocks of every size."""
    for content in CONTENTS:
        x = picture(content, (1, 70, 150, 3))
        check_codec(ContextCodec(tiny_context(3, "regression", ridge=1), x.shape), x)


PINNED = dict(
    zip(
        KINDS,
        (
            "f24f6d5af117099c",
            "0ce0fe93f863ac9c",
            "c48e3f3bb5614806",
            "e430c38660be5a55",
            "9b94d5edd6f872da",
            "aa9d937b4c4e9614",
            "938e38839c6250ca",
            "fd43d8cc976ec919",
        ),
        strict=True,
    )
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_format_does_not_change(kind: Kind) -> None:
    """Bytes that every version must write, on every machine: such bytes are in people's archives."""
    assert hashlib.sha256(stack_of_pictures(kind).pack()).hexdigest()[:16] == PINNED[kind]


def test_memory_layout_of_the_arguments_changes_nothing() -> None:
    network = tiny_context(3, None, 3)
    x = picture("noise", (2, 6, 5, 3))
    features, order = Noise(1).array(0, 255, (2, 3, 30)), np.arange(30)[::-1].copy()
    expected = ContextCodec(network, x.shape, 256, features, order).intervals(x)
    frozen = x.copy()
    frozen.flags.writeable = False
    for same in (np.asfortranarray(x), frozen, np.repeat(x, 2, 2)[:, :, ::2]):
        found = ContextCodec(network, x.shape, 256, np.asfortranarray(features), np.repeat(order, 2)[::2]).intervals(
            same
        )
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("reference", ["regression", "memories"])
def test_bits_are_the_images_own(reference: Reference) -> None:
    """What is coded beside an image is nothing to it."""
    network = tiny_context(3, reference)
    x = np.concatenate([picture(content, (3, 9, 8, 3)) for content in ("noise", "flat", "smooth")])
    bits = ContextCodec(network, x.shape).bits(x)
    alone = [ContextCodec(network, (1, 9, 8, 3)).bits(image[None])[0] for image in x]
    np.testing.assert_allclose(bits, alone, rtol=1e-12)
    stack = random_stack()
    before = stack.bits()
    ContextCodec(network, x.shape).push(stack, x)
    assert stack.bits() - before == pytest.approx(bits.sum(), rel=1e-4)


def test_images_that_do_not_fit_are_refused() -> None:
    network = tiny_context(3, None, 3)
    x, features = picture("noise", (2, 4, 5, 3)), Noise().array(0, 255, (2, 3, 20))
    for shape in ((2, 4, 5, 1), (0, 4, 5, 3), (2, 0, 5, 3), (2, 4, 0, 3)):
        with pytest.raises(CodecError, match="does not take images"):
            ContextCodec(network, shape, 256, features)
    for bad in (None, features[:1], features[:, :2]):
        with pytest.raises(CodecError, match="feature map"):
            ContextCodec(network, x.shape, 256, bad)
    codec = ContextCodec(network, x.shape, 256, features)
    for images in (x[:1], x[..., :1], x.astype(np.uint16), x[0]):
        with pytest.raises(CodecError, match="must be uint8"):
            codec.push(Stack(), images)
    binary = ContextCodec(tiny_context(1, None, 0, 2), (1, 4, 5, 1), 2)
    stack = Stack()
    with pytest.raises(CodecError, match="0 and 1"):
        binary.push(stack, picture("noise", (1, 4, 5, 1)))
    assert stack.is_initial()


def test_an_empty_stack_is_an_error_and_stays_as_it_was() -> None:
    codec = ContextCodec(tiny_context(3, "regression"), (1, 12, 12, 3))
    for stack in (Stack(), Stack(8), random_stack(5), random_stack(3, lanes=4)):
        before = stack.copy()
        with pytest.raises(EmptyStackError):
            codec.pop(stack)
        assert stack == before


@pytest.mark.parametrize("kind", [(3, "regression", 0, 256), (3, "median", 0, 256), (1, None, 0, 2)])
def test_damaged_stacks_give_images_or_an_error(kind: Kind) -> None:
    network, levels = tiny_context(*kind, ridge=1), kind[3]
    x = picture("smooth", (2, 16, 15, kind[0]), levels)
    codec = ContextCodec(network, x.shape, levels)
    stack = Stack()
    codec.push(stack, x)
    data = stack.pack()
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[rng.integers(5, len(data))] ^= 1 << rng.integers(8)
        other = Stack.unpack(damaged.tobytes()[: rng.integers(2, len(data) // 4 + 1) * 4], 1)
        before = other.copy()
        try:
            images = codec.pop(other)
        except EmptyStackError:
            outcomes.add("empty")
            assert other == before
        else:
            outcomes.add("images")
            assert images.max() < levels
            codec.push(other, images)
            assert other == before
    assert "empty" in outcomes
