import hashlib
import lzma
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bitsback.errors import BitsBackError, CodecError, FormatError, TruncatedError
from bitsback.kinds.adaptive import bands, colours, serial
from bitsback.kinds.adaptive import payload as coding
from bitsback.kinds.adaptive.payload import decode, encode, encode_as
from bitsback.kinds.lots import lots_of

TAGS = {
    "stored": 0x00,
    "plain, LZMA": 0x10,
    "plain, deflate": 0x20,
    "median": 0x04,
    "median, LZMA": 0x14,
    "median, deflate": 0x24,
    "subtract green": 0x25,
    "YCoCg-R": 0x26,
    "two values": 0x18,
    "counted": 0x30,
}
ADAPTIVE = {
    "smooth": 0x40,
    "smooth, subtract green": 0x41,
    "smooth, YCoCg-R": 0x42,
    "smooth, subtract red": 0x43,
    "smooth, clear": 0x44,
    "smooth, clear, subtract green": 0x45,
    "regressed": 0x50,
    "regressed, YCoCg-R": 0x52,
    "regressed, clear": 0x54,
    "regressed, a reference": 0x58,
    "regressed, two, subtract green": 0x61,
    "regressed, moved": 0x68,
    "repeats": 0x70,
    "repeats, clear, a reference": 0x7C,
    "mixing": 0x80,
    "blended": 0x90,
    "blended, YCoCg-R": 0x92,
    "blended, clear, a reference": 0x9C,
    "blended, two": 0xA0,
    "blended, moved": 0xA8,
}
CLEAR = {0x44, 0x45, 0x54, 0x7C, 0x9C}


def photo(count, height, width, channels, dtype=np.uint8, seed=0):
    """Smooth colours and a little noise."""
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    y, x = np.mgrid[0:height, 0:width]
    base = np.sin(y / 9)[..., None] + np.cos(x / 7)[..., None] + np.arange(channels) / 9
    noisy = base + rng.normal(0, 0.02, (count, height, width, channels))
    return np.clip((noisy + 2) / 5 * top, 0, top).astype(dtype)


def restored(images):
    payload = encode(images)
    again = decode(payload, len(images), images.shape[1:], images.dtype)
    assert again.dtype == images.dtype and again.flags.c_contiguous and np.array_equal(again, images)
    assert len(payload) <= images.nbytes + 1
    return payload


def with_tag(images, tag):
    return decode(encode_as(images, tag), len(images), images.shape[1:], images.dtype)


shapes = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 5))
any_images = st.sampled_from([np.uint8, np.uint16]).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


@settings(deadline=None)
@given(any_images)
def test_any_images(images):
    restored(images)


@settings(deadline=None)
@given(any_images, st.sampled_from(sorted([*TAGS.values(), *ADAPTIVE.values()])))
def test_every_variant_on_any_images(images, tag):
    if tag & 3 and images.shape[3] < 3:
        images = np.concatenate([images] * 3, axis=3)
    if tag == coding.MIXING:
        images = np.tile(images[..., :1], (1, 4, 4, 1))
    if coding.REGRESSED <= tag < coding.MIXING:  # margins are small beside the images
        images = np.tile(images, (1, 5, 5, 1))
    if coding.BLENDED <= tag < coding.PALETTE:
        images = np.tile(images, (1, 6, 6, 1))[..., :4]
    if tag in CLEAR:
        images = np.concatenate([images] * 4, axis=3)[..., :4]
        images *= images[..., 3:] > 0
    if tag == TAGS["two values"]:
        images = np.where(images > images.min(), images.max(), images.min())
    assert np.array_equal(with_tag(images, tag), images)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_extreme_samples_wrap_around(dtype):
    top = np.iinfo(dtype).max
    values = np.array([0, 1, top // 2, top // 2 + 1, top - 1, top], dtype)
    images = np.random.default_rng(0).choice(values, (2, 20, 20, 4))
    for tag in {*TAGS.values(), *ADAPTIVE.values()} - {TAGS["two values"], ADAPTIVE["mixing"]} - CLEAR:
        assert np.array_equal(with_tag(images, tag), images)
    assert np.array_equal(with_tag(images[..., :1], ADAPTIVE["mixing"]), images[..., :1])


def test_the_prediction_is_the_median():
    plane = np.array([[[10, 12], [20, 25]]], np.uint8)
    # 10 - 0; 12 - left 10; 20 - above 10; left 20, above 12, 20 + 12 - 10 = 22: 25 - 20
    assert serial._median_residuals(plane).tolist() == [[[10, 2], [10, 5]]]
    steep = np.array([[[10, 200], [20, 0]]], np.uint8)
    # left 20, above 200, 20 + 200 - 10 = 210: 0 - 200 modulo 256
    assert serial._median_residuals(steep).tolist() == [[[10, 190], [10, 56]]]


def test_zigzag():
    residuals = np.array([0, 255, 1, 254, 127, 128], np.uint8)
    assert serial._zigzag(residuals).tolist() == [0, 1, 2, 3, 254, 255]
    assert serial._zigzag(np.array([65535, 32768], np.uint16)).tolist() == [1, 65535]


@pytest.mark.parametrize("transform", [1, 2])
def test_grey_has_no_colour(transform):
    planes = serial._transformed(np.array([[[[77]]], [[[77]]], [[[77]]]], np.uint8), transform)
    assert planes.ravel().tolist() == [77, 128, 128]


def drawing(height=90, width=120):
    """Flat shapes in four colours."""
    y, x = np.mgrid[0:height, 0:width]
    index = (np.hypot(y - 40, x - 50) < 30) + 2 * ((y // 9 + x // 16) % 2)
    return np.array([[0, 0, 0], [255, 0, 9], [3, 99, 255], [255, 255, 255]], np.uint8)[index][None]


def test_the_right_variant_is_chosen():
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 9, (1, 200, 300, 1)) + rng.normal(0, 1, (1, 200, 300, 3))
    colour = np.clip(photo(1, 200, 300, 3) + grain, 0, 255).astype(np.uint8)
    noise = rng.integers(0, 256, (9, 28, 28, 1)).astype(np.uint8)
    assert restored(colour[..., :1])[0] == ADAPTIVE["smooth"]
    assert restored(colour)[0] in (0x41, 0x42, 0x43)
    assert restored(colour[..., :1] * np.uint16(257))[0] == coding.LEVELS
    assert restored(drawing())[0] == coding.PALETTE
    assert restored(drawing()[..., :1] // 8)[0] == ADAPTIVE["mixing"]
    assert restored(noise)[0] == TAGS["stored"]
    assert restored(np.tile(noise, (9, 1, 1, 1)))[0] & 0x30 == serial.LZMA
    alpha = 255 * (np.hypot(*np.mgrid[-100:100, -150:150]) < 90).astype(np.uint8)[None, ..., None]
    assert restored(np.concatenate([colour * (alpha > 0), alpha], axis=3))[0] & 0xE4 == 0x44  # smooth or regressed
    assert restored(np.concatenate([colour, alpha], axis=3))[0] & 0xE4 == 0x40
    both = np.concatenate([colour, np.tile(drawing(100, 150), (1, 2, 2, 1))])
    assert restored(both)[0] == coding.APART
    assert len(restored(both)) < len(restored(both[:1])) + len(restored(both[1:])) + 9


@pytest.mark.parametrize("tag", ADAPTIVE.values(), ids=ADAPTIVE)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_and_images_go_on_with_what_was_learned(tag, dtype, monkeypatch):
    images = photo(3, 20, 30, 1 if tag == 0x80 else 4, dtype) // (1 if dtype == np.uint8 else 50)
    images *= images[..., -1:] > np.median(images[..., -1])
    whole = encode_as(images, tag)
    coding.prove()  # with bands as they are
    monkeypatch.setattr(bands, "BAND", 512)
    cut = encode_as(images, tag)
    assert len(whole) < len(cut) < len(whole) + 16 * 15
    if tag in (0x40, 0x80):
        assert len(whole) < sum(len(encode_as(image[None], tag)) for image in images)
    assert np.array_equal(decode(cut, 3, images.shape[1:], dtype), images)


def test_what_can_be_known_costs_nearly_nothing():
    for images in (np.full((1, 300, 300, 3), 77, np.uint8), np.full((1, 300, 300, 1), 40000, np.uint16)):
        assert len(encode(images)) < 40
        assert len(encode_as(images, 0x40)) < 250
    assert len(encode_as(np.zeros((1, 300, 300, 1), np.uint8), 0x80)) < 40


def test_noise_takes_what_it_must():
    rng = np.random.default_rng(0)
    few = rng.integers(0, 16, (3, 80, 80, 1)).astype(np.uint8)
    assert 0.5 * few.size < len(encode_as(few, 0x30)) < 0.504 * few.size
    channels = np.concatenate([few, 0 * few, 200 + few // 4], axis=3)  # each counted apart
    assert len(encode_as(channels, 0x30)) < 0.76 * few.size
    assert restored(few * 16 + 3)[0] == coding.LEVELS


def test_colours_along_a_curve_are_put_in_its_order():
    """As in maps of heat: neighbours in the image are neighbours in the table."""
    y, x = np.mgrid[0:90, 0:120]
    heat = (100 + 60 * np.sin(y / 30) + 80 * np.cos(x / 41)).round().astype(int)
    t = np.arange(256)
    curve = np.stack([128 + 120 * np.sin(t / 40), 128 + 120 * np.cos(t / 25), t], axis=1).astype(np.uint8)
    images = curve[heat.clip(0, 255)][None]
    assert len(restored(images)) < 1.3 * len(encode(heat.clip(0, 255).astype(np.uint8)[None, ..., None])) + 700


def test_smooth_images_beat_the_median_predictor():
    images = photo(1, 128, 128, 1, np.uint16)
    assert len(encode_as(images, 0x40)) < 0.93 * min(len(encode_as(images, 0x14)), len(encode_as(images, 0x24)))


def test_similar_images_see_each_other():
    rng = np.random.default_rng(1)
    still = rng.normal(120, 20, (1, 64, 64, 1))
    images = (still + rng.normal(0, 3, (4, 64, 64, 1))).clip(0, 255).astype(np.uint8)
    alone, one, two = (len(encode_as(images, tag)) for tag in (0x50, 0x58, 0x60))
    assert two < one < 0.9 * alone
    assert restored(images)[0] in (0x58, 0x60)
    other = rng.permutation(images.reshape(4, -1), axis=1).reshape(images.shape)
    assert len(encode_as(other, 0x58)) < 1.02 * len(encode_as(other, 0x50))


def test_content_that_moved_is_followed():
    grain = np.random.default_rng(1).normal(0, 240, (110, 170))
    for _ in range(3):
        grain = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1) + np.roll(grain, (1, 1), (0, 1))) / 4
    views = np.stack([grain[y : y + 80, x : x + 90] for y, x in ((0, 0), (9, 40), (3, 60), (20, 30))])
    noisy = 120 + views + np.random.default_rng(2).normal(0, 1.5, views.shape)
    images = noisy.clip(0, 255).astype(np.uint8)[..., None]
    payload = restored(images)
    assert payload[0] == 0x68 and len(payload) < 0.85 * len(encode_as(images, 0x50))


def test_the_order_of_colours_is_by_channel():
    pixels = np.array([[1, 2, 3], [1, 2, 2], [0, 9, 9], [1, 2, 3]], np.uint8)
    table, indices = colours.count(pixels)
    assert table.tolist() == [[0, 9, 9], [1, 2, 2], [1, 2, 3]] and indices.tolist() == [2, 1, 0, 2]
    wide = np.array([[1, 2, 3, 4, 5]] * 2 + [[1, 2, 3, 4, 4]], np.uint16)
    assert colours.keys(wide).shape == (3,)  # what NumPy 2.0 gives of rows is a column
    table, indices = colours.count(wide)
    assert table.tolist() == [[1, 2, 3, 4, 4], [1, 2, 3, 4, 5]] and indices.tolist() == [1, 1, 0]
    assert colours.count(np.arange(1 << 17, dtype=np.uint32).view(np.uint16).reshape(-1, 2)) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16]), st.integers(1, 9), st.integers(1, 40))
def test_colours_are_counted_some_at_a_time(seed, dtype, channels, slab):
    rng = np.random.default_rng(seed)
    table = np.unique(rng.integers(0, np.iinfo(dtype).max + 1, (rng.integers(1, 30), channels), dtype), axis=0)
    pixels = table[np.concatenate([np.arange(len(table)), rng.integers(0, len(table), 60)])]
    rng.shuffle(pixels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(colours, "SLAB", slab)
        found, places = colours.count(pixels)
        assert np.array_equal(found, table) and found.dtype == dtype and places.dtype == np.uint8
        assert np.array_equal(colours.paint(places.reshape(1, 1, -1, 1), found).reshape(pixels.shape), pixels)


def test_photos_shrink():
    images = photo(1, 256, 384, 3)
    assert len(restored(images)) < 0.9 * len(lzma.compress(images.tobytes()))


def test_choice_from_a_sample_of_many_images():
    assert restored(photo(700, 28, 28, 1))[0] == ADAPTIVE["regressed, a reference"]


@pytest.mark.parametrize("shape", [(0, 4, 5, 1), (3, 0, 5, 3), (3, 4, 5, 0)])
def test_no_samples(shape):
    assert restored(np.zeros(shape, np.uint8)) == b"\0"
    with pytest.raises(FormatError):
        decode(b"\0a", shape[0], shape[1:], np.uint8)


def test_views_and_read_only_images():
    images = photo(2, 20, 30, 3)
    images.flags.writeable = False
    restored(images)
    assert np.array_equal(decode(encode(images[:, ::-1, ::2]), 2, (20, 15, 3), np.uint8), images[:, ::-1, ::2])


def test_other_arrays_are_refused():
    for shape, dtype in (((2, 3, 4), "u1"), ((1, 2, 3, 4), "i2"), ((1, 2, 3, 4), "f8"), ((1, 2, 3, 4), ">u2")):
        with pytest.raises(CodecError, match="uint8 or uint16"):
            encode(np.zeros(shape, dtype))


def damaged(payload, count, shape, dtype):
    """Damage is an error of ours, or images of the right shape (the archive's checksum sees to the rest)."""
    try:
        images = decode(payload, count, shape, dtype)
    except BitsBackError as error:
        assert "\n" not in str(error)
    else:
        assert images.shape == (count, *shape) and images.dtype == dtype


DAMAGED = {name: (tag,) for name, tag in (TAGS | ADAPTIVE).items()} | {
    "palette": (coding.PALETTE, 0x80),
    "levels": (coding.LEVELS, 0x40),
    "apart": (coding.APART, 0x41, 0x10),
}


def made(way):
    """Images, and a payload of theirs whose tags are ``way``."""
    images = photo(2, 8, 9, 3)
    if way[0] == TAGS["two values"]:
        images = (images > 100).astype(np.uint8)
    if way[0] == ADAPTIVE["mixing"]:
        images = images[..., :1] // 32
    if way[0] in CLEAR:
        images = photo(2, 8, 9, 4)
        images *= images[..., 3:] > 130
    if way[0] == coding.APART:
        inner = [encode_as(image[None], tag) for image, tag in zip(images, way[1:], strict=True)]
        return images, bytes([way[0]]) + b"".join(bands.varint(len(one)) + one for one in inner)
    if len(way) == 1:
        return images, encode_as(images, way[0])
    images = images // 64 * 64
    table, indices = colours.count(images.reshape(-1, 3 if way[0] == coding.PALETTE else 1))
    indices = indices.reshape(2, 8, 9, -1)
    said = encode_as(table[None, None], 0)
    head = bytes([way[0]]) + bands.varint(len(table)) + bands.varint(len(said))
    return images, head + said + encode_as(indices, way[1])


@pytest.mark.parametrize("way", DAMAGED.values(), ids=DAMAGED)
def test_damaged_payloads(way):
    images, payload = made(way)
    shape = images.shape[1:]
    assert np.array_equal(decode(payload, 2, shape, np.uint8), images)
    for size in range(len(payload)):
        with pytest.raises(BitsBackError):
            decode(payload[:size], 2, shape, np.uint8)
    for at in range(len(payload)):
        for flip in (0x41, 0x80, 0x01):
            damaged(payload[:at] + bytes([payload[at] ^ flip]) + payload[at + 1 :], 2, shape, np.uint8)
    with pytest.raises(BitsBackError):
        decode(payload + b"x", 2, shape, np.uint8)
    if way[0] < 0x40 or way[0] == coding.APART:
        for count, other, dtype in ((3, shape, np.uint8), (2, (8, 9, 2), np.uint8), (2, shape, np.uint16)):
            with pytest.raises(BitsBackError):
                decode(payload, count, other, dtype)


def test_payloads_within_payloads_are_limited():
    images, palette = made(DAMAGED["palette"])
    apart = bytes([coding.APART, len(palette) & 127 | 128, len(palette) >> 7]) + palette
    for payload in (
        bytes([coding.PALETTE, 1, len(palette) & 127 | 128, len(palette) >> 7]) + palette,  # a palette's palette
        bytes([coding.LEVELS, 1, 2, 0, 7]) + palette,
        apart[:1] + bands.varint(len(apart)) + apart,
        apart,
    ):
        with pytest.raises(FormatError):
            decode(payload, 2, images.shape[1:], np.uint8)
    with pytest.raises(FormatError, match="announces 65537 colours"):
        decode(bytes([coding.PALETTE, 0x81, 0x80, 4, 2, 0, 7]), 300, (300, 3, 3), np.uint8)
    with pytest.raises(FormatError, match="beyond the palette"):
        decode(bytes([coding.LEVELS, 1, 2, 0, 7, 0, 1]), 1, (1, 1, 1), np.uint8)
    with pytest.raises(FormatError, match="samples up to 256"):
        decode(b"\x40\x80\x02" + bytes(8), 1, (1, 1, 1), np.uint8)
    with pytest.raises(FormatError, match="how many bits"):
        decode(b"\x80\x09\0" + bytes(8), 1, (4, 4, 1), np.uint8)


def test_damaged_lots():
    drawn = [np.tile(photo(1, 6, 5, 1) // 32, (2, 2, 1, 1)), photo(1, 6, 9, 1) // 32]
    for lots in (drawn, [np.tile(images, 2) * 80 for images in drawn], [photo(1, 6, 7, 2), photo(1, 7, 6, 2)]):
        payload, shapes = coding.encode_lots(lots), lots_of(lots)
        assert all(map(np.array_equal, coding.decode_lots(payload, shapes, np.uint8), lots))
        for bad in (payload[:-1], payload[:4], b"", payload + b"x", b"\xc1" + payload[1:], b"\x40" + payload[1:]):
            with pytest.raises(BitsBackError):
                coding.decode_lots(bad, shapes, np.uint8)
        for at in range(len(payload)):
            flipped = payload[:at] + bytes([payload[at] ^ 0x41]) + payload[at + 1 :]
            with suppress(BitsBackError):
                assert lots_of(coding.decode_lots(flipped, shapes, np.uint8)) == shapes


def test_images_of_a_drawing_see_each_other():
    """What moved, what stayed, and in lots of other shapes, too."""
    rng = np.random.default_rng(2)
    screen = rng.integers(0, 9, (1, 40, 60, 1)).astype(np.uint8)
    once = len(encode_as(screen, 0x80))
    scrolled = np.concatenate([screen, np.roll(screen, 3, axis=1), screen, screen])
    assert len(encode_as(scrolled, 0x80)) < 1.3 * once
    assert len(coding.encode_lots([screen, screen[:, 5:30, 10:50]])) < 1.2 * once


def test_unknown_variants_and_types():
    with pytest.raises(TruncatedError, match="empty"):
        decode(b"", 1, (2, 2, 3), np.uint8)
    for tag in (
        0x03,
        0x07,
        0x01,
        0x32,
        0x34,
        0x38,
        0x44,
        0x48,
        0x50,
        0x70,
        0x80,
        0x81,
        0x90,
        0xB0,
        0xC3,
        0xFF,
        0x0C,
        0x19,
    ):
        with pytest.raises(FormatError, match=f"unknown variant {tag}"):
            decode(bytes([tag]) + bytes(12), 1, (2, 2, 3), np.uint8)
    with pytest.raises(FormatError, match="unknown variant 5"):
        decode(b"\5\0\0\0\0", 1, (2, 2, 1), np.uint8)
    for shape, dtype in (((2, 2, 3), np.int8), ((2, -2, 3), np.uint8)):
        with pytest.raises(FormatError, match="no images of type"):
            decode(b"\0", 1, shape, dtype)


def test_a_bomb_is_bounded():
    for tag in (0x10, 0x20):
        bomb = bytes([tag]) + serial._compress(bytes(5_000_000), tag, 3)
        with pytest.raises(FormatError, match="does not hold the 12 bytes"):
            decode(bomb, 1, (2, 2, 3), np.uint8)


def test_payloads_are_pinned():
    """Old archives are read for ever: these are what the format's first version wrote."""
    y, x = np.mgrid[0:16, 0:16]
    images = np.stack([x * 9 + y, x * y, 255 - x - y * 3], axis=2).astype(np.uint8)[None]
    deep = images.astype(np.uint16) * 257
    for array, tag, start in (
        (images, 0x00, "62f6872ec2a27054"),
        (images, 0x04, "974594b009884cf6"),
        (images, 0x05, "15cd8694a74e5e2a"),
        (images, 0x06, "a5a58ffca7525ca3"),
        (deep, 0x00, "0bcf45e23eeffc1b"),
        (deep, 0x06, "5da2742e2e4d70cd"),
    ):
        samples = serial._serialise(array, tag)
        assert hashlib.sha256(samples).hexdigest().startswith(start)
        assert np.array_equal(decode(bytes([tag]) + samples, 1, (16, 16, 3), array.dtype), array)
    two_values = bytes.fromhex("18 01 0002 0507 a0 00")  # tag, an LZMA2 chunk of 3 plain bytes: 5, 7, bits 101, end
    assert decode(two_values, 1, (1, 3, 1), np.uint8).ravel().tolist() == [7, 5, 7]


def test_adaptive_payloads_are_pinned():
    """What is written for these images on every machine."""
    y, x = np.mgrid[0:40, 0:50]
    wavy = (100 + 30 * (y % 7) + x * y % 11)[None, :, :, None] + np.array([0, 9, 40, 3])
    for array, tag, start in (
        (wavy.astype(np.uint8), 0x40, "a5357df333f96ef0"),
        (wavy.astype(np.uint8)[..., :3], 0x41, "c69819037918e8a8"),
        (wavy.astype(np.uint16)[..., :3] * 99, 0x42, "7904bd53679fa206"),
        (wavy.astype(np.uint8)[..., :3], 0x43, "934d092f3eac7ba5"),
        (wavy.astype(np.uint8)[..., :3], 0x52, "30234f9d9f7bfb8e"),
        (np.concatenate([wavy, wavy + 3]).astype(np.uint16)[..., :1], 0x58, "e35cb7f716a48247"),
        (wavy.astype(np.uint8)[..., :3], 0x91, "75bdd7d06eec0eaa"),
        (np.concatenate([wavy, wavy + 3]).astype(np.uint16)[..., :1], 0x98, "21d58a411ecc629c"),
        ((wavy % 5).astype(np.uint8)[..., :1], 0x80, "1a8187a03fcb9609"),
        (wavy.astype(np.uint16)[..., :1], 0x80, "88ad680dd79621d9"),
    ):
        payload = encode_as(array, tag)
        assert hashlib.sha256(payload).hexdigest().startswith(start)
        assert np.array_equal(decode(payload, len(array), array.shape[1:], array.dtype), array)


def test_in_haste_least_squares_are_for_images_that_tell_of_one_another() -> None:
    y, x = np.mgrid[:64, :80]
    noise = np.random.default_rng(0).integers(0, 3, (2, 64, 80))
    waves = (100 + 40 * np.sin(x / 5 + y / 9) + 30 * np.sin(y * x / 90) + noise).astype(np.uint8)[..., None]
    same = np.concatenate([waves[:1], waves[:1] + noise[1][..., None].astype(np.uint8) // 2])
    for images, squares in ((waves[:1], False), (same, True)):
        quick, whole = coding.encode(images, "fast"), coding.encode(images)
        assert (coding.REGRESSED <= quick[0] < coding.MIXING) == squares
        assert len(whole) <= len(quick)
        for payload in (quick, whole):
            assert np.array_equal(coding.decode(payload, len(images), images.shape[1:], np.uint8), images)


def scenery(count: int = 1) -> np.ndarray:
    """Soft shapes in colour with edges and a little noise, (count, 96, 120, 3)."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:96, :120]
    light = 120 + 60 * np.sin(x / 17 + y / 31) + 40 * (np.hypot(y - 40, x - 60) < 25) + 9 * np.sin(x * y / 300)
    grain = rng.normal(0, 2.5, (count, 96, 120, 1)) + rng.normal(0, 1, (count, 96, 120, 3))
    return (light[..., None] * [1, 0.8, 0.6] + grain).clip(0, 255).astype(np.uint8)


def test_with_time_photos_are_blended() -> None:
    images = scenery()
    normal, most = coding.encode(images), coding.encode(images, "max")
    assert coding.BLENDED <= most[0] < coding.PALETTE and len(most) < len(normal)
    assert np.array_equal(coding.decode(most, 1, images.shape[1:], np.uint8), images)


def test_with_time_drawings_stay_what_they_are() -> None:
    for images in (drawing(), drawing()[..., :1] // 8):
        assert coding.encode(images, "max") == coding.encode(images)


def test_values_that_colours_leave_out_cost_nothing() -> None:
    """Of the colours that three channels make, as after JPEG, only some are there."""
    images = scenery()
    few = images.copy()
    few[..., 2] = (few[..., 0].astype(int) * 5 + few[..., 1] * 3 + few[..., 2] // 16 * 16).astype(np.uint8)
    shuffled = np.random.default_rng(0).permutation(few.reshape(-1, 3)).reshape(images.shape)
    for tag in (0x50, 0x90):
        assert len(encode_as(shuffled, tag)) < 0.97 * len(encode_as(shuffled, 0x40))
    assert len(encode_as(images, 0x91)) < len(encode_as(images, 0x51))


def test_bounds_of_what_is_blended() -> None:
    """What would take much memory beside the images is refused, whatever a payload says."""
    body = encode_as(scenery(), 0x90)[1:]
    for shape in ((96, 120, 5), (2, 2, 3), (40, 2049, 1), (40, 700, 3)):
        with pytest.raises(FormatError, match="unknown variant 144"):
            decode(b"\x90" + body, 1, shape, np.uint8)


@pytest.mark.parametrize("edge", [48, 64, 80])
def test_a_closer_look_leaves_the_best(edge: int) -> None:
    """Icons of one colour: of their places in a table of colours there are a quarter as many samples."""
    y, x = np.mgrid[:edge, :edge]
    rng = np.random.default_rng(edge)
    images = np.zeros((90_000 // edge**2, edge, edge, 4), np.uint8)
    for image in images:
        for across, down, radius in rng.uniform(edge / 8, edge / 3, (4, 3)):
            covered = np.clip(radius - np.hypot(y - down, x - across) + 0.5, 0, 1)
            image[..., 3] = np.maximum(image[..., 3], np.round(255 * covered))
    wide, places = (coding._Form(b"", images), next(f for f in coding._forms(images) if f.images.shape[3] == 1))
    guesses = ((1000, serial.LZMA, wide), (1100, serial.LZMA | serial.MEDIAN, wide), (5000, coding.MIXING, places))
    close = coding._closer([coding._Choice(float(size), tag, form, None) for size, tag, form in guesses], "normal")
    assert close and close[0].tag == coding.MIXING
    assert np.array_equal(decode(encode(images), len(images), images.shape[1:], np.uint8), images)
