"""Coefficients to bytes and back, and by the second decoder."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import BitsBackError, CodecError, FormatError
from bitsback.kinds.jpeg import CODER, fitted, known, payload
from bitsback.kinds.jpeg.layout import MAX_SIDE, Component, Layout
from bitsback.kinds.jpeg.start import shipped
from bitsback_decoder import jpeg as jpeg_reader

Blocks = np.ndarray


def table(step: int) -> tuple[int, ...]:
    return tuple(min(1 + step * (k // 8 + k % 8), 65535) for k in range(64))


def coefficients(layouts: list[Layout], seed: int = 0, scale: float = 200.0) -> Blocks:
    """Blocks like those of photos: (n, 8, 8, 1)."""
    rng = np.random.default_rng(seed)
    k = np.arange(64)
    steep = 1 + (k // 8 + k % 8) ** 1.5
    pieces = []
    for one in layouts:
        levels = rng.laplace(0, scale / steep, (one.size, 64)).clip(-32768, 32767)
        pieces += [one.blocks(), levels.astype(np.int16).view(np.uint16)]
    return np.concatenate(pieces).reshape(-1, 8, 8, 1)


def colour(width: int, height: int, across: int = 1, down: int = 1, step: int = 2) -> Layout:
    luma = Component(width * across, height * down, across, down, table(step))
    return Layout((luma, *(Component(width, height, 1, 1, table(step + 1)) for _ in range(2))))


def grey(width: int, height: int) -> Layout:
    return Layout((Component(width, height, 1, 1, table(3)),))


def assert_coded(blocks: Blocks) -> bytes:
    data = CODER.encode(blocks)
    assert CODER.encode(blocks, threads=3) == data
    for threads in (1, 3):
        found = CODER.decode(data, len(blocks), (8, 8, 1), np.uint16, threads)
        np.testing.assert_array_equal(found, blocks)
    return data


SORTS = {
    "grey": [grey(3, 2)],
    "444": [colour(3, 2)],
    "420": [colour(2, 2, 2, 2)],
    "422": [colour(2, 2, 2, 1)],
    "440": [colour(2, 2, 1, 2)],
    "411": [colour(1, 2, 4, 1)],
    "cmyk": [Layout(tuple(Component(2, 2, 1, 1, table(i)) for i in range(4)))],
    "several": [grey(2, 1), colour(1, 1, 2, 2), colour(1, 1, 2, 2), grey(2, 1), colour(2, 1)],
    "sizes told": [Layout((Component(3, 2, 2, 2, table(2)), Component(2, 1, 1, 1, table(0))))],
    "all differ": [Layout(tuple(Component(i, 3 - i // 2, i, 3 - i // 2, table(i)) for i in range(1, 4)))],
    "fewer before": [Layout((grey(2, 2).components[0], grey(1, 1).components[0], grey(3, 3).components[0]))],
    "chroma first": [Layout((Component(1, 1, 1, 1, table(1)), Component(2, 2, 2, 2, table(1))))],
}


@pytest.mark.parametrize("sort", SORTS)
def test_both_decoders_agree(sort: str) -> None:
    blocks = coefficients(SORTS[sort])
    data = assert_coded(blocks)
    np.testing.assert_array_equal(jpeg_reader.decoded(data, len(blocks)), blocks)


@pytest.mark.parametrize("scale", [0, 1, 50, 3000, 1e6])
def test_small_and_large_coefficients(scale: float) -> None:
    blocks = coefficients([colour(2, 1, 2, 1)], scale=scale)
    data = assert_coded(blocks)
    np.testing.assert_array_equal(jpeg_reader.decoded(data, len(blocks)), blocks)


def test_extreme_values() -> None:
    blocks = coefficients([grey(4, 2)])
    blocks[2:4], blocks[4:6], blocks[6:] = 0x8000, 0x7FFF, 0xFFFF
    data = assert_coded(blocks)
    np.testing.assert_array_equal(jpeg_reader.decoded(data, len(blocks)), blocks)


def test_images_are_cut_where_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "STRETCH", 40)
    for layout in (colour(5, 6, 2, 2), grey(10, 11), SORTS["sizes told"][0]):
        assert_coded(coefficients([grey(3, 3), layout, grey(2, 2), grey(2, 2)]))
    assert [len(parts) for parts in payload.stretches([grey(3, 3), grey(10, 11), grey(2, 2), grey(2, 2)])] == [
        1, 1, 1, 1, 2
    ]  # fmt: skip


def test_rows_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "BAND", 7)
    assert_coded(coefficients([colour(3, 4), grey(9, 2), colour(2, 2, 2, 2)]))


def test_what_was_learned_goes_on() -> None:
    one = coefficients([colour(4, 4)], 1)
    twice = np.concatenate([one, one])
    assert len(CODER.encode(twice)) < 1.95 * len(CODER.encode(one))


def blurred(layout: Layout) -> Blocks:
    """Coefficients of a picture of noise that is smooth in one direction, which no start expects."""
    rng = np.random.default_rng(3)
    pieces = [layout.blocks()]
    k = np.arange(8)
    cosines = np.cos((2 * np.arange(8)[:, None] + 1) * k * np.pi / 16) * np.where(k == 0, 8**-0.5, 0.5)
    for one in layout.components:
        noise = rng.normal(0, 400, (8 * one.height, 8 * one.width + 64)).cumsum(1)
        picture = noise[:, 64:] - noise[:, :-64]
        tiles = picture.reshape(one.height, 8, one.width, 8).transpose(0, 2, 1, 3) / 8
        levels = (cosines.T @ tiles @ cosines).reshape(-1, 64) / np.array(one.table)
        pieces.append(np.round(levels).clip(-2000, 2000).astype(np.int16).view(np.uint16))
    return np.concatenate(pieces).reshape(-1, 8, 8, 1)


def test_weights_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told for the first component and a second one; what they gain on photos is benchmarks' to say."""
    blocks = blurred(colour(5, 4, 2, 1))
    monkeypatch.setattr(fitted, "FEWEST", 20)
    monkeypatch.setattr(fitted, "WORTH", 2.0)
    told = fitted.told(shipped().trained, *payload.taken_apart(blocks.reshape(-1, 64)))
    assert np.any(fitted.with_told(shipped().trained, told).predict != shipped().trained.predict, (1, 2))[:2].all()
    data = assert_coded(blocks)
    np.testing.assert_array_equal(jpeg_reader.decoded(data, len(blocks)), blocks)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_numbers_of_weights_come_back(data: st.DataObject) -> None:
    trained = shipped().trained
    due = np.zeros((3, 64, 40), np.int64)
    bits = []
    for cls in range(3):
        several = data.draw(st.dictionaries(st.integers(0, 63), st.integers(0, 40), max_size=3))
        bits.append(str(int(bool(several))))
        for k in range(64) if several else ():
            bits.append(str(int(k in several)))
            if k in several:
                numbers = np.zeros(40, np.int64)
                numbers[: several[k]] = data.draw(st.integers(-8, 8))
                bits.append(fitted._golomb(numbers))
                due[cls, k] = numbers * fitted.steps_of(k)
    packed = fitted._bytes("".join(bits))
    found = fitted.with_told(trained, packed)
    np.testing.assert_array_equal(found.predict, trained.predict + due)
    np.testing.assert_array_equal(jpeg_reader.weights_of_own(packed), due)


def test_impossible_weights_are_refused() -> None:
    trained = shipped().trained
    for bad in (b"\xff" * 9, b"\xff" * 2000, b"\xc0" + b"\xff" * 4000, b"\xdf\xff\x00\x00"):
        with pytest.raises(FormatError):
            fitted.with_told(trained, bad)


def test_what_is_no_coefficients_is_refused() -> None:
    good = coefficients([grey(2, 2)])
    for bad in (good[:-1], good[2:], np.concatenate([good, good[:1]]), np.zeros((3, 8, 8, 1), np.uint16)):
        with pytest.raises(CodecError):
            CODER.encode(bad)
    wide = good.copy()
    wide.reshape(-1, 64)[0, 1] = MAX_SIDE + 1
    with pytest.raises(CodecError):
        CODER.encode(wide)
    assert not CODER.accepts((8, 8, 3), np.uint16) and not CODER.accepts((8, 8, 1), np.uint8)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_payloads(data: st.DataObject) -> None:
    blocks = coefficients(SORTS[data.draw(st.sampled_from(["420", "several", "cmyk"]))])
    coded = bytearray(payload.encode(blocks))
    for _ in range(data.draw(st.integers(1, 3))):
        coded[data.draw(st.integers(0, len(coded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(coded)))
    for bad in (bytes(coded), bytes(coded[:cut])):
        try:
            found = payload.decode(bad, len(blocks))
        except BitsBackError:
            continue
        assert found.shape == blocks.shape


def test_the_known_answer_is_a_payload_like_others() -> None:
    blocks = known.blocks()
    np.testing.assert_array_equal(jpeg_reader.decoded(known.answer(), len(blocks)), blocks)
