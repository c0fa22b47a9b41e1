"""JPEG files of all sorts, whole, cut and damaged: they all come back, by both readers of the format."""

import io
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from bitsback.errors import BitsBackError, FormatError
from bitsback.files import Picture, parse, write
from bitsback.kinds.jpeg import CODER
from bitsback.kinds.jpeg.layout import Component, Layout
from bitsback_decoder import jpeg as jpeg_reader


def scene(height: int, width: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [128 + 70 * np.sin(x / rng.uniform(3, 20) + y / rng.uniform(3, 20)) for _ in range(3)]
    noisy = np.stack(waves, 2) + rng.normal(0, 6, (height, width, 3)) + 60 * (x > y)[..., None]
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def jpeg(height: int = 37, width: int = 50, mode: str = "RGB", seed: int = 0, **options: Any) -> bytes:
    file = io.BytesIO()
    scene(height, width, seed).convert(mode).save(file, "jpeg", **options)
    return file.getvalue()


def assert_taken_apart(data: bytes, name: str = "a.jpg") -> Picture:
    """Both readers make the same file of what was taken apart."""
    picture = parse(data, name)
    assert picture.coefficients and picture.exact and picture.raw is None and not picture.images, picture.note
    (part,) = picture.parts
    assert part.dtype == np.uint16 and part.shape[1:] == (8, 8, 1)
    layout = Layout.of(part.reshape(-1, 64))
    assert (len(part) > layout.head + layout.size) == ("within" in picture.recipe)
    assert write(picture.recipe, picture.blob, picture.parts) == data
    assert jpeg_reader.file_of(picture.recipe, picture.blob, part) == data
    return picture


def assert_comes_back(data: bytes) -> Picture:
    picture = parse(data, "a.jpg")
    if picture.raw is None:
        assert write(picture.recipe, picture.blob, picture.parts) == data
    else:
        assert picture.raw == data and not picture.parts
    return picture


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
def test_qualities(mode: str, quality: int, progressive: bool) -> None:
    picture = assert_taken_apart(jpeg(mode=mode, quality=quality, progressive=progressive))
    assert picture.recipe == {"format": "jpeg"}


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (7, 9), (16, 17), (33, 15), (64, 3)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_samplings_and_odd_sizes(size: tuple[int, int], subsampling: str, progressive: bool) -> None:
    assert_taken_apart(jpeg(*size, subsampling=subsampling, progressive=progressive, optimize=True))


@pytest.mark.parametrize("factors", [(0x12, 0x11, 0x11), (0x41, 0x11, 0x11), (0x11, 0x22, 0x21), (0x14, 0x12, 0x11)])
def test_samplings_that_pillow_does_not_write(factors: tuple[int, int, int]) -> None:
    """The file is made from coefficients, by our own writer."""
    data = jpeg(50, 70, subsampling="4:4:4")
    picture = parse(data)
    blob = bytearray(picture.blob)
    at = blob.index(b"\xff\xc0")
    blob[at + 11 : at + 20 : 3] = bytes(factors)
    most = max(factor >> 4 for factor in factors), max(factor & 15 for factor in factors)
    mcus = -(-70 // (8 * most[0])), -(-50 // (8 * most[1]))
    tables = Layout.of(picture.parts[0].reshape(-1, 64)).components
    layout = Layout(
        tuple(
            Component(mcus[0] * (factor >> 4), mcus[1] * (factor & 15), factor >> 4, factor & 15, one.table)
            for factor, one in zip(factors, tables, strict=True)
        )
    )
    some = picture.parts[0].reshape(-1, 64)[4 + np.arange(layout.size) % 100]
    made = write(picture.recipe, bytes(blob), [np.concatenate([layout.blocks(), some]).reshape(-1, 8, 8, 1)])
    assert np.array_equal(assert_taken_apart(made).parts[0].reshape(-1, 64)[4:, :1], some[:, :1])


@pytest.mark.parametrize(
    "restart", [{"restart_marker_blocks": 1}, {"restart_marker_blocks": 5}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("progressive", [False, True])
def test_restart_markers(restart: dict[str, int], progressive: bool) -> None:
    picture = assert_taken_apart(jpeg(70, 90, progressive=progressive, **restart))
    assert picture.recipe == {"format": "jpeg"}


def test_metadata_profiles_and_what_follows_the_image() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a wave"
    data = jpeg(exif=exif, icc_profile=bytes(range(256)) * 300, comment=b"hello \xff\xd8\xff\xd9", dpi=(300, 300))
    assert_taken_apart(data)
    assert_taken_apart(data + data + b"\xff" * 7)
    assert_taken_apart(data[:-2])


def test_bytes_between_segments_are_kept() -> None:
    data = jpeg()
    for at in (20, len(data) - 2):
        assert_taken_apart(data[:at] + b"junk\xff\x00" + data[at:])
    assert_taken_apart(data[:2] + b"\xff\xff\xff" + data[2:])


def with_segment(data: bytes, body: bytes) -> bytes:
    """A JPEG file with such an APP1."""
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


def test_thumbnails_and_previews_are_taken_apart() -> None:
    outer = jpeg(40, 60)
    small, other = jpeg(16, 24, seed=1), padded(jpeg(24, 16, seed=2, progressive=True), 0)
    cut, strange = small[:-40], small.replace(b"\xff\xc0", b"\xff\xc3")
    for data, count in (
        (with_segment(outer, b"Exif\0\0" + small + b"rest"), 1),
        (with_segment(outer, b"Exif\0\0" + small + other + b"rest") + b"\xff" + small, 3),
        (with_segment(outer, b"Exif\0\0" + cut), 0),
        (with_segment(outer, b"Exif\0\0" + strange) + small, 1),
        (padded(outer, 0) + other + b"\xff\xd8\xff", 1),
        (outer + with_segment(other, b"Exif\0\0" + small), 1),
    ):
        picture = parse(data, "a.jpg")
        assert picture.raw is None and len(picture.recipe.get("within", [])) == count
        (part,) = picture.parts
        assert write(picture.recipe, picture.blob, picture.parts) == data
        assert jpeg_reader.file_of(picture.recipe, picture.blob, part) == data
        assert np.array_equal(CODER.decode(CODER.encode(part), len(part), (8, 8, 1), np.uint16), part)


@given(within=st.lists(st.lists(st.integers(-1, 3000), min_size=2, max_size=4), max_size=3))
@settings(max_examples=40, deadline=None)
def test_no_files_within_do_harm(within: list[list[int]]) -> None:
    picture = parse(with_segment(jpeg(16, 16), b"Exif\0\0" + jpeg(8, 8)), "a.jpg")
    with suppress(FormatError):
        write(picture.recipe | {"within": within}, picture.blob, picture.parts)


def test_a_height_that_is_told_at_the_end() -> None:
    data = jpeg(40, 30)
    at = data.index(b"\xff\xc0") + 5
    late = data[:at] + b"\0\0" + data[at + 2 : -2] + b"\xff\xdc\0\4" + data[at : at + 2] + data[-2:]
    picture = assert_taken_apart(late)
    assert np.array_equal(picture.parts[0], parse(data).parts[0])
    untold = data[:at] + b"\0\0" + data[at + 2 :]
    assert "does not say how high" in parse(untold, "a.jpg").note


def padded(data: bytes, pad: int) -> bytes:
    """A file of one scan whose last byte is filled up otherwise."""
    end = data.rindex(b"\xff\xd9")
    picture = parse(data)
    size = len(picture.blob)
    for bits in range(7, 0, -1):
        last = data[end - 1] & ~((1 << bits) - 1) | pad & ((1 << bits) - 1)
        found = data[: end - 1] + bytes([last]) + data[end:]
        again = parse(found)
        if again.recipe.get("odd") and len(again.blob) == size + again.recipe["odd"]:
            return found
    raise AssertionError


def test_other_padding() -> None:
    for seed in range(3):
        data = jpeg(mode="L", seed=seed)
        if data[data.rindex(b"\xff\xd9") - 1] & 1:
            assert assert_taken_apart(padded(data, 0)).recipe["odd"] == 7
            return
    raise AssertionError


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restart", [0, 3])
def test_cut_off_anywhere(progressive: bool, restart: int) -> None:
    data = jpeg(45, 40, progressive=progressive, restart_marker_blocks=restart)
    apart = 0
    for size in range(2, len(data), 17):
        picture = assert_comes_back(data[:size])
        if picture.parts:
            assert_taken_apart(data[:size])
            apart += 1
    assert apart > (len(data) - data.index(b"\xff\xda")) / 17 * 0.8


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b"\xff\xc0\x00\x11\x08", b"\xff\xc9\x00\x11\x08"), "arithmetic"),
        ((b"\xff\xc0\x00\x11\x08", b"\xff\xc3\x00\x11\x08"), "lossless"),
        ((b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"), "12 bits"),
        ((b"\xff\xc0\x00\x11\x08\x00\x25", b"\xff\xc0\x00\x11\x08\xff\xff"), "more than it can hold"),
        ((b"\xff\xc4", b"\xff\xe4"), "Huffman"),
        ((b"\xff\xda", b"\xff\xea"), "without an image"),
        ((b"\xff\xc0", b"\xff\xe0"), "before its size"),
    ],
)
def test_what_is_kept_as_it_is_and_why(change: tuple[bytes, bytes], reason: str) -> None:
    data = jpeg()
    assert change[0] in data
    picture = parse(data.replace(*change), "a.jpg")
    assert picture.raw == data.replace(*change) and reason in picture.note


FILES = [
    jpeg(24, 30, quality=60),
    jpeg(24, 30, quality=85, progressive=True),
    jpeg(24, 30, "L", quality=85, progressive=True, restart_marker_blocks=2),
    jpeg(16, 16, "CMYK", quality=50, restart_marker_blocks=1),
]


@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4), st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_files_come_back(data: bytes, changes: list[tuple[int, int]], more: st.DataObject) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[2 + place % (len(damaged) - 2)] = value
    begin = more.draw(st.integers(0, len(damaged)))
    cut = more.draw(st.integers(begin, min(len(damaged), begin + 40)))
    if begin > 3:
        del damaged[begin:cut]
    assert_comes_back(bytes(damaged))


@given(st.sampled_from(FILES), st.binary(max_size=40), st.integers(0, 400), st.integers(0, 50), st.data())
@settings(max_examples=200, deadline=None)
@example(FILES[1], b"\xff\xda\x00\x03", 0, 0, None)
def test_no_recipe_blob_or_blocks_do_harm(data: bytes, noise: bytes, at: int, odd: int, more: Any) -> None:
    """What an archive of a stranger may hold: an error, or some file."""
    picture = parse(data)
    blob = bytearray(picture.blob)
    blob[at : at + len(noise)] = noise
    blocks = picture.parts[0].copy()
    if more is not None and more.draw(st.booleans()):
        rng = np.random.default_rng(at)
        blocks.reshape(-1, 64)[5:] = rng.integers(0, 1 << rng.integers(1, 17), (len(blocks) - 5, 64))
    with suppress(FormatError):
        write({"format": "jpeg", "odd": min(odd, len(blob))}, bytes(blob), [blocks])
    for wrong in (blocks[:-1], blocks.astype(np.uint8), np.concatenate([blocks, blocks]), blocks.reshape(-1, 64, 1, 1)):
        with pytest.raises(FormatError):
            write(picture.recipe, picture.blob, [wrong])


def test_a_file_of_very_many_scans_ends_somewhere() -> None:
    """Each of them may go through all blocks, whatever it takes in the file."""
    data = jpeg(200, 200, "L", progressive=True)
    scan = data.rindex(b"\xff\xda")
    many = data[:-2] + data[scan:-2] * 400 + data[-2:]
    assert_comes_back(many)


def test_errors_are_our_own() -> None:
    assert issubclass(FormatError, BitsBackError)
