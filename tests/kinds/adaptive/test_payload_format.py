"""The package against a decoder of adaptive payloads that was written from docs/format.md alone."""

import numpy as np
import pytest

from bitsback.kinds.adaptive import bands, regressed
from bitsback.kinds.adaptive import payload as coding
from bitsback.kinds.adaptive.payload import encode, encode_as
from bitsback.kinds.lots import lots_of
from bitsback_decoder import adaptive
from bitsback_decoder.adaptive import Bands, decoded, decoded_lots


def picture(n, channels, dtype, shape=(11, 17)):
    rng = np.random.default_rng(channels)
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = (
        90
        + 60 * np.sin(y / 3 + x / 5)[None, :, :, None]
        + 9 * np.arange(channels)
        + rng.normal(0, 4, (n, *shape, channels))
    )
    waves[:, :2] = 250 * (x[:2, :, None] % 2)
    return (waves * (1 if dtype == np.uint8 else 255)).clip(0, np.iinfo(dtype).max).astype(dtype)


def agrees(payload, images):
    n, height, width, channels = images.shape
    again = decoded(payload, n, height, width, channels, images.itemsize)
    assert np.array_equal(again, images)
    assert np.array_equal(coding.decode(payload, n, images.shape[1:], images.dtype), images)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("tag", "channels"), [(0x40, 1), (0x40, 2), (0x40, 4), (0x41, 3), (0x42, 4), (0x43, 5)])
def test_smooth_payloads(tag, channels, dtype):
    images = picture(2, channels, dtype)
    agrees(encode_as(images, tag), images)


@pytest.mark.parametrize(("tag", "channels"), [(0x44, 2), (0x44, 4), (0x45, 4), (0x46, 4), (0x47, 4)])
def test_transparent_pixels_are_not_coded(tag, channels):
    images = picture(2, channels, np.uint8)
    images[:, 3:, 4:9] = 0
    images[..., -1] *= images[..., -1] > 70
    images *= images[..., -1:] > 0
    agrees(encode_as(images, tag), images)


@pytest.mark.parametrize(
    ("tag", "channels", "dtype"),
    [
        (0x50, 1, "u2"),
        (0x53, 4, "u1"),
        (0x58, 1, "u1"),
        (0x5A, 3, "u2"),
        (0x60, 2, "u1"),
        (0x65, 4, "u1"),
        (0x70, 4, "u1"),
    ],
)
def test_regressed_payloads(tag, channels, dtype):
    images = picture(3, channels, np.dtype(dtype), (5, 9))
    images[..., -1] *= images[..., -1] > np.median(images[..., -1])
    images *= (images[..., -1:] > 0) | (tag % 8 < 4)
    agrees(encode_as(images, tag), images)


@pytest.mark.parametrize(
    ("tag", "channels", "dtype", "shape"),
    [
        (0x90, 1, "u2", (11, 17)),
        (0x90, 1, "u1", (19, 7)),
        (0x93, 4, "u1", (9, 13)),
        (0x92, 3, "u2", (10, 9)),
        (0x99, 3, "u1", (10, 9)),
        (0xA0, 2, "u1", (7, 9)),
        (0xA5, 4, "u1", (9, 10)),
    ],
)
def test_blended_payloads(tag, channels, dtype, shape):
    images = picture(3, channels, np.dtype(dtype), shape)
    images[..., -1] *= images[..., -1] > np.median(images[..., -1])
    images *= (images[..., -1:] > 0) | (tag % 8 < 4)
    agrees(encode_as(images, tag), images)


def test_blended_payloads_have_bands(monkeypatch):
    images = picture(2, 3, np.uint8, (11, 9))
    whole = encode_as(images, 0x91)
    monkeypatch.setattr(bands, "BAND", 150)
    monkeypatch.setattr(adaptive, "BAND", 150)
    cut = encode_as(images, 0x91)
    assert len(cut) > len(whole)
    agrees(cut, images)


def test_blended_payloads_know_which_values_were_there():
    images = picture(1, 3, np.uint8, (24, 30)) // 32 * 32
    images[..., 2] = images[..., 0] ^ images[..., 1]
    agrees(encode_as(images, 0x90), images)


def test_regressed_payloads_of_what_moved(monkeypatch):
    monkeypatch.setattr(regressed, "shifts", lambda _: [(-5, 11), (3, -2)])
    images = picture(3, 3, np.uint8, (9, 11))
    for tag in (0x69, 0xA9):
        payload = encode_as(images, tag)
        assert payload[3:7] == bytes([9, 22, 6, 3])
        agrees(payload, images)


def test_regressed_payloads_have_strips():
    images = picture(2, 1, np.uint8, (67, 5))
    agrees(encode_as(images, 0x58), images)


@pytest.mark.parametrize("divisor", [1, 64, 128])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_mixing_payloads(divisor, dtype):
    images = picture(2, 1, np.uint8).astype(dtype) // divisor
    agrees(encode_as(images, 0x80), images)


def drawings(channels):
    """Lots of three shapes, of few colours, which repeat: images that move by a pixel, and little ones."""
    rng = np.random.default_rng(5)
    tiles = rng.integers(0, 3, (5, 8, 4, channels), np.uint8)
    still = tiles[rng.integers(0, 5, (2, 3))].transpose(0, 2, 1, 3, 4).reshape(1, 16, 12, channels)
    return [np.concatenate([still, still, np.roll(still, 1, axis=1)]), tiles[:2], still[:, :5], tiles[2:4]]


@pytest.mark.parametrize(("tag", "dtype"), [(0x70, np.uint8), (0x79, np.uint16), (0x74, np.uint8)])
def test_pixels_that_were_there_before(tag, dtype):
    rng = np.random.default_rng(6)
    tiles = rng.integers(0, np.iinfo(dtype).max, (3, 4, 4, 4), dtype)
    images = tiles[rng.integers(0, 3, (2, 17, 3))].transpose(0, 1, 3, 2, 4, 5).reshape(2, 68, 12, 4)
    images[:, 5::9, 3] += 1
    images[..., 3] *= images[..., 3] > 90
    images *= images[..., 3:] > 0
    payload = encode_as(images, tag)
    assert len(payload) < images.nbytes // 5
    agrees(payload, images)


def test_lots_of_drawings():
    for lots, tag in (
        (drawings(1), 0x80),
        ([d // 2 for d in drawings(1)], 0x80),
        (drawings(3), 0xC0),
        ([d * np.uint16(257) for d in drawings(2)], 0xC0),
    ):
        payload = coding.encode_lots(lots)
        assert payload[0] == tag
        lots_agree(payload, lots)


def test_lots_of_shapes():
    lots = [picture(1, 2, np.uint8, (6, 7)), picture(2, 2, np.uint8, (7, 6)), picture(1, 2, np.uint8, (6, 7))]
    payload = coding.encode_lots(lots)
    assert payload[0] == 0xC3
    lots_agree(payload, lots)


def lots_agree(payload, lots):
    shapes = lots_of(lots)
    again = decoded_lots(payload, [(n, *shape[:2]) for n, shape in shapes], lots[0].shape[3], lots[0].itemsize)
    assert all(map(np.array_equal, again, [image for images in lots for image in images]))
    assert all(map(np.array_equal, coding.decode_lots(payload, shapes, lots[0].dtype), lots))


def test_long_images_have_bands():
    images = np.zeros((1, 3, 2**18 + 1, 1), np.uint8)
    images[0, :, -9:] = 7
    payload = encode_as(images, 0x80)
    assert list(bands._bands(3, 2**18 + 1)) == [(0, 1), (1, 2), (2, 3)]
    stack = Bands(list(payload[2:]), 2**18 + 1)
    for _ in range(3):
        stack.begin_row()
        stack.head, stack.tail = 2**32, []
    assert not stack.data


@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint16), (9, np.uint16)])
def test_counted_payloads(channels, dtype):
    images = picture(2, channels, dtype, (5, 9))
    agrees(encode_as(images, 0x30), images)


def test_variants_of_variants():
    colours = picture(1, 3, np.uint8, (12, 12)) // 64 * 60
    for images in (colours, colours.astype(np.uint16) * 257):
        inner, table = np.unique(images.reshape(-1, 3), axis=0, return_inverse=True)[::-1]
        said = encode_as(table[None, None].astype(images.dtype), 0)
        head = bytes([0xC0, len(table), len(said) & 127 | 128, len(said) >> 7])
        agrees(head + said + encode_as(inner.reshape(1, 12, 12, 1).astype(np.uint8), 0x80), images)
    levels = picture(1, 4, np.uint8) // 32
    table = np.arange(8, dtype=np.uint8) * 32
    head = bytes([0xC1, 8, 9]) + encode_as(table[None, None, :, None], 0)
    agrees(head + encode_as(levels, 0x42), table[levels])
    pair = picture(2, 1, np.uint8)
    pair[1] //= 64
    parts = [encode_as(pair[:1], 0x40), encode_as(pair[1:], 0x80)]
    agrees(b"\xc2" + b"".join(bands.varint(len(part)) + part for part in parts), pair)


def test_what_the_encoder_chooses_is_in_the_text():
    deep = picture(1, 3, np.uint16, (30, 40))
    agrees(encode(deep), deep)
