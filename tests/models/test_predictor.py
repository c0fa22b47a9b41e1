import hashlib
import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bitsback.errors import CodecError, FormatError, TruncatedError
from bitsback.models import predictor
from bitsback.models.predictor import decode, encode

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
}


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
    payload = bytes([tag]) + predictor._compress(predictor._serialise(images, tag), tag)
    return decode(payload, len(images), images.shape[1:], images.dtype)


shapes = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 5))
any_images = st.sampled_from([np.uint8, np.uint16]).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


@settings(deadline=None)
@given(any_images)
def test_any_images(images):
    restored(images)


@settings(deadline=None)
@given(any_images, st.sampled_from(sorted(TAGS.values())))
def test_every_variant_on_any_images(images, tag):
    if tag & 3 and images.shape[3] < 3:
        images = np.concatenate([images] * 3, axis=3)
    if tag & predictor._TWO_VALUES:
        images = np.where(images > images.min(), images.max(), images.min())
    assert np.array_equal(with_tag(images, tag), images)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_extreme_samples_wrap_around(dtype):
    top = np.iinfo(dtype).max
    values = np.array([0, 1, top // 2, top // 2 + 1, top - 1, top], dtype)
    images = np.random.default_rng(0).choice(values, (2, 20, 20, 4))
    for tag in set(TAGS.values()) - {TAGS["two values"]}:
        assert np.array_equal(with_tag(images, tag), images)


def test_the_prediction_is_the_median():
    plane = np.array([[[10, 12], [20, 25]]], np.uint8)
    # 10 - 0; 12 - left 10; 20 - above 10; left 20, above 12, 20 + 12 - 10 = 22: 25 - 20
    assert predictor._median_residuals(plane).tolist() == [[[10, 2], [10, 5]]]
    steep = np.array([[[10, 200], [20, 0]]], np.uint8)
    # left 20, above 200, 20 + 200 - 10 = 210: 0 - 200 modulo 256
    assert predictor._median_residuals(steep).tolist() == [[[10, 190], [10, 56]]]


def test_zigzag():
    residuals = np.array([0, 255, 1, 254, 127, 128], np.uint8)
    assert predictor._zigzag(residuals).tolist() == [0, 1, 2, 3, 254, 255]
    assert predictor._zigzag(np.array([65535, 32768], np.uint16)).tolist() == [1, 65535]


@pytest.mark.parametrize("transform", [1, 2])
def test_grey_has_no_colour(transform):
    planes = predictor._transformed(np.array([[[[77]]], [[[77]]], [[[77]]]], np.uint8), transform)
    assert planes.ravel().tolist() == [77, 128, 128]


def test_the_right_variant_is_chosen():
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 9, (1, 200, 300, 1)) + rng.normal(0, 1, (1, 200, 300, 3))
    colour = np.clip(photo(1, 200, 300, 3) + grain, 0, 255).astype(np.uint8)
    noise = rng.integers(0, 256, (9, 28, 28, 1)).astype(np.uint8)
    assert restored(colour[..., :1])[0] == TAGS["median, deflate"]
    assert restored(colour[..., :1] * np.uint16(3))[0] & 0xF == predictor._MEDIAN
    assert restored(colour)[0] in (TAGS["subtract green"], TAGS["YCoCg-R"])
    assert restored(noise)[0] == TAGS["stored"]
    assert restored(np.where(noise > 127, 255, 0).astype(np.uint8))[0] == TAGS["two values"]
    assert restored(np.tile(noise, (9, 1, 1, 1)))[0] & 0x30 == predictor._LZMA


def test_photos_shrink():
    images = photo(1, 256, 384, 3)
    assert len(restored(images)) < 0.9 * len(lzma.compress(images.tobytes()))


def test_choice_from_a_sample_of_many_images():
    assert restored(photo(700, 28, 28, 1))[0] & predictor._MEDIAN


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
    except FormatError as error:
        assert "\n" not in str(error)
    else:
        assert images.shape == (count, *shape) and images.dtype == dtype


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_damaged_payloads(tag):
    images = photo(2, 8, 9, 3)
    if tag == TAGS["two values"]:
        images = (images > 100).astype(np.uint8)
    payload = bytes([tag]) + predictor._compress(predictor._serialise(images, tag), tag)
    for size in range(len(payload)):
        with pytest.raises(FormatError):
            decode(payload[:size], 2, (8, 9, 3), np.uint8)
    for at in range(len(payload)):
        damaged(payload[:at] + bytes([payload[at] ^ 0x41]) + payload[at + 1 :], 2, (8, 9, 3), np.uint8)
    with pytest.raises(FormatError):
        decode(payload + b"x", 2, (8, 9, 3), np.uint8)
    for count, shape, dtype in ((3, (8, 9, 3), np.uint8), (2, (8, 9, 2), np.uint8), (2, (8, 9, 3), np.uint16)):
        with pytest.raises(FormatError):
            decode(payload, count, shape, dtype)


def test_unknown_variants_and_types():
    with pytest.raises(TruncatedError, match="empty"):
        decode(b"", 1, (2, 2, 3), np.uint8)
    for tag in (0x03, 0x07, 0x01, 0x30, 0x40, 0x80, 0xFF, 0x0C, 0x19):
        with pytest.raises(FormatError, match=f"no variant {tag}"):
            decode(bytes([tag]) + bytes(12), 1, (2, 2, 3), np.uint8)
    with pytest.raises(FormatError, match="no variant 5"):
        decode(b"\5\0\0\0\0", 1, (2, 2, 1), np.uint8)
    for shape, dtype in (((2, 2, 3), np.int8), ((2, -2, 3), np.uint8)):
        with pytest.raises(FormatError, match="no images of type"):
            decode(b"\0", 1, shape, dtype)


def test_a_bomb_is_bounded():
    for tag in (0x10, 0x20):
        bomb = bytes([tag]) + predictor._compress(bytes(5_000_000), tag)
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
        samples = predictor._serialise(array, tag)
        assert hashlib.sha256(samples).hexdigest().startswith(start)
        assert np.array_equal(decode(bytes([tag]) + samples, 1, (16, 16, 3), array.dtype), array)
    two_values = bytes.fromhex("18 01 0002 0507 a0 00")  # tag, an LZMA2 chunk of 3 plain bytes: 5, 7, bits 101, end
    assert decode(two_values, 1, (1, 3, 1), np.uint8).ravel().tolist() == [7, 5, 7]
