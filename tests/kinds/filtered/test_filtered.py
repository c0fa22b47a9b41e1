"""The filtered kind: every way, what it chooses, what it estimates, and damage."""

import lzma
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import CodecError, FormatError
from bitsback.kinds.base import Images
from bitsback.kinds.filtered import CODER, payload
from bitsback.kinds.lots import lots_of
from bitsback_decoder import archive as plain_reader

KERNELS = True

WAYS = [kind | order for order in (0, payload.PLANES) for kind in range(5)]

sizes = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3)


def random(whole: tuple[int, ...], dtype: type, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, whole).astype(dtype)


def decoded(data: bytes, lots: Sequence[Images]) -> list[Images]:
    return payload.decode(data, lots_of(lots), lots[0].dtype)


@settings(deadline=None)
@given(sizes, st.integers(1, 4), st.sampled_from([np.uint8, np.uint16]), st.sampled_from(WAYS))
def test_every_way_and_its_inverse(sizes: list[tuple[int, int, int]], channels: int, dtype: type, how: int) -> None:
    lots = [random((*size, channels), dtype, seed) for seed, size in enumerate(sizes)]
    data = payload._encoded(lots, how, (3, 0, 0))
    found = decoded(data, lots)
    assert all(map(np.array_equal, found, lots)) and all(images.flags.writeable for images in found)
    shapes = [(height, width, n) for n, height, width in sizes]
    images = plain_reader.filtered(data, shapes, channels, np.dtype(dtype).itemsize)
    assert all(np.array_equal(one, other) for one, other in zip(images, (i for lot in lots for i in lot), strict=True))


def test_it_finds_the_filter() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 40, 300, 1), np.uint8)
    cases = {
        payload.LEFT: np.cumsum(noise % 3, axis=2),
        payload.ABOVE: np.cumsum(noise % 3, axis=1),
        payload.BEFORE: np.cumsum(np.concatenate([noise, *[noise % 3] * 5]), axis=0),
    }
    for kind, images in cases.items():
        data = CODER.encode(images.astype(np.uint8))
        assert data[0] == kind
        assert np.array_equal(CODER.decode(data, len(images), images.shape[1:]), images.astype(np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_it_comes_close_to_the_best_of_all_ways(dtype: type) -> None:
    y, x, c = np.indices((60, 70, 4))
    waves = 40 * np.sin(x / 9) + 50 * np.sin(y / 7 + c) + 3 * np.sin(x * y)
    images = ((100 + waves) * (1 + np.iinfo(dtype).max // 256)).astype(dtype)[None]
    sizes = {
        (how, shape): len(payload._encoded([images], how, shape))
        for how in WAYS
        for shape in payload._shapes(images, how)
    }
    assert len(CODER.encode(images)) <= 1.02 * min(sizes.values())
    assert min(sizes, key=lambda way: sizes[way])[0] & 7 != payload.NONE


def test_what_repeats_in_another_shape_costs_once() -> None:
    tile = random((1, 40, 40, 3), np.uint8)
    wide = np.concatenate([tile, random((1, 40, 8, 3), np.uint8, 1)], axis=2)
    one, both = CODER.encode(tile), CODER.encode_lots([tile, wide, tile[:, :30]])
    assert len(both) < len(one) + 40 * 8 * 3 + 700
    assert both == CODER.encode_lots([tile, wide, tile[:, :30]], threads=3)


@pytest.mark.parametrize("repeating", [False, True])
def test_an_estimate_is_not_far_off(repeating: bool) -> None:
    images = random((6, 90, 120, 3), np.uint8) // 4
    if repeating:
        images[1:] = images[0]
        images[3, 20:30] = 0
    real = len(CODER.encode(images))
    assert 0.9 * real < CODER.estimate([images]) < 1.4 * real
    assert payload._repeats([images]) == repeating


def patterns() -> dict[str, Images]:
    n, y, x = np.indices((4, 160, 200))
    return {
        "planes of words": np.round(4000 / (1 + (x + 3 * n) / 1000) + y / 2).astype(np.uint16),
        "ramps of colours": np.stack([x, y, (x + y + 20 * n) % 256], axis=-1).astype(np.uint8),
        "halftones": (255 * (((x + n) % 4 * 64 + y % 4 * 16) < x)).astype(np.uint8),
        "checks": (255 * ((x // 8 + y // 8 + n) % 2)).astype(np.uint8),
    }


@pytest.mark.parametrize("name", patterns())
def test_patterns_have_a_longer_look(name: str) -> None:
    images = patterns()[name].reshape(4, 160, 200, -1)
    sizes = {
        how: len(payload._encoded([images], how, shape)) for how in WAYS for shape in payload._shapes(images, how)[:1]
    }
    real = len(CODER.encode(images))
    assert real <= 1.1 * min(sizes.values())
    assert 0.9 * real < CODER.estimate([images], closely=True) < 1.4 * real
    assert CODER.estimate([images]) < 3 * real + 100


def test_payloads_that_hold_something_else() -> None:
    images = random((2, 5, 6, 3), np.uint16)
    data = CODER.encode(images)
    ways = [bytes([how]) + data[1:] for how in (5, 7, 16, 255)]
    for bad in (b"", data[:-1], data + b"x", data[:1], data[:1] + b"noise", *ways):
        with pytest.raises(FormatError):
            CODER.decode(bad, 2, (5, 6, 3), np.uint16)
    for shape in ((5, 6, 2), (5, 6, 4)):
        with pytest.raises(FormatError):
            CODER.decode(data, 2, shape, np.uint16)
    with pytest.raises(FormatError):
        CODER.decode(data, 2, (5, 6, 3), np.uint32)
    for wrong in (np.zeros((1, 2, 2, 1), np.int8), np.zeros((2, 2, 1), np.uint8)):
        with pytest.raises(CodecError):
            CODER.encode(wrong)


def test_a_bomb_is_not_unpacked() -> None:
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
    bomb = b"\0" + lzma.compress(bytes(1 << 26), lzma.FORMAT_RAW, filters=chain)
    with pytest.raises(FormatError, match="does not hold the 300 bytes"):
        CODER.decode(bomb, 1, (10, 10, 3))
