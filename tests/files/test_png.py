import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from bitsback.files import parse, write
from bitsback.files.packed import varint
from bitsback.files.png import read as read_png
from bitsback.files.png import write as write_png

SHAPES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = (
    [(0, d) for d in (1, 2, 4, 8, 16)] + [(3, d) for d in (1, 2, 4, 8)] + [(c, d) for c in (2, 4, 6) for d in (8, 16)]
)


def noise(height, width, channels, depth, seed=0):
    dtype = np.uint16 if depth == 16 else np.uint8
    samples = np.random.default_rng(seed).integers(0, 1 << depth, (1, height, width, channels))
    return samples.astype(dtype)


def pillow_png(image, **options):
    file = io.BytesIO()
    image.save(file, "png", **options)
    return file.getvalue()


def seen_by_pillow(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.mode, image.size, image.tobytes(), image.info, image.getpalette()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pillow_sees_the_same_image(mode, check_file):
    rng = np.random.default_rng(1)
    base = Image.fromarray(rng.integers(0, 256, (13, 17, 4)).astype(np.uint8), "RGBA")
    image = (
        Image.fromarray(rng.integers(0, 65536, (13, 17)).astype(np.uint16)) if mode == "I;16" else base.convert(mode)
    )
    assert image.mode == mode
    data = pillow_png(image)
    picture = check_file(data, "a.png")
    assert seen_by_pillow(write(picture.recipe, picture.blob, picture.parts)) == seen_by_pillow(data)
    if mode not in ("1", "P"):
        pixels = np.asarray(image).reshape(picture.parts[0].shape)
        assert np.array_equal(picture.parts[0], pixels)


@pytest.mark.parametrize("colours", [2, 4, 16, 200])
def test_palettes_keep_their_order_and_transparency(colours, check_file):
    rng = np.random.default_rng(2)
    image = Image.fromarray(rng.integers(0, colours, (9, 11)).astype(np.uint8), "P")
    image.putpalette(rng.integers(0, 256, 3 * colours).astype(np.uint8).tobytes())
    data = pillow_png(image, transparency=bytes(range(colours)))
    picture = check_file(data, "a.png")
    again = write(picture.recipe, picture.blob, picture.parts)
    assert seen_by_pillow(again) == seen_by_pillow(data)
    seen = (
        np.asarray(image) if colours == 2 else np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    )  # two are like a page
    assert np.array_equal(picture.parts[0][0].squeeze(), seen)
    assert b"PLTE" in again and b"tRNS" in again


def test_metadata_is_kept(check_file):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "grün", zip=True)
    text.add_itxt("Title", "Ziffer")
    exif = Image.Exif()
    exif[0x010E] = "a digit"
    data = pillow_png(
        Image.new("L", (5, 4), 7), pnginfo=text, dpi=(300, 300), icc_profile=b"profile", exif=exif, gamma=0.45
    )
    picture = check_file(data, "a.png")
    assert seen_by_pillow(write(picture.recipe, picture.blob, picture.parts)) == seen_by_pillow(data)


def test_chunks_keep_their_bytes_and_places(make_png, check_file):
    before = [(b"gAMA", b"\0\0\xb1\x8f"), (b"tEXt", b"a\0before"), (b"prVt", b"\x00\xff")]
    after = [(b"tEXt", b"a\0after"), (b"tIME", b"1234567"), (b"zzZz", b"")]
    data = make_png(2, 1, 8, 0, b"\0\x05\x06", before=before, after=after, pieces=3)
    check_file(data, exact=True)
    picture = check_file(data, exact=False, pixels=True)
    again = write(picture.recipe, picture.blob, picture.parts)
    order = [again.index(body) for body in (b"before", b"\x00\xff", b"IDAT", b"after", b"1234567", b"zzZz", b"IEND")]
    assert order == sorted(order)
    assert len(again) == len(data) - 24  # three IDAT chunks became one


def test_bytes_after_the_end_are_kept(make_png, check_file):
    picture = check_file(make_png(2, 1, 8, 0, b"\0\x05\x06") + b"something else")
    assert write(picture.recipe, picture.blob, picture.parts).endswith(b"IEND\xaeB`\x82something else")


def test_similar_files_share_recipe_and_blob(make_png):
    one, two = (parse(make_png(3, 2, 8, 0, lines), pixels=True) for lines in (b"\0abc\1def", b"\2ghi\3jkl"))
    assert (one.recipe, one.blob) == (two.recipe, two.blob) == ({"format": "png", "depth": 8, "colour": 0}, b"")
    one, two = (parse(make_png(3, 2, 8, 0, lines)) for lines in (b"\1abc\1def", b"\1ghi\1jkl"))
    assert (one.recipe, one.blob) == (two.recipe, two.blob) and one.blob == b""
    assert one.recipe["images"] == [{"deflate": [6, 8, 0, 15, 0], "filter": 1}]


def test_sixteen_bit_colours_are_not_narrowed(make_png, check_file):
    image = noise(5, 3, 3, 16)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image[0])
    picture = check_file(make_png(3, 5, 16, 2, lines), "a.png")
    assert picture.parts[0].dtype == np.uint16 and np.array_equal(picture.parts[0], image)


@pytest.mark.parametrize(("colour", "depth"), KINDS)
@pytest.mark.parametrize("interlace", [0, 1])
def test_every_kind_and_small_size(colour, depth, interlace, check_file):
    for height in (1, 2, 5, 9):
        for width in (1, 3, 4, 8, 11):
            image = noise(height, width, SHAPES[colour], depth, height * width)
            recipe = {"format": "png", "depth": depth, "colour": colour}
            if interlace:
                recipe["interlace"] = 1
            blob, shown = b"", image
            if colour == 3:
                palette = np.random.default_rng(5).permutation(3 << depth).astype(np.uint8)
                recipe["chunks"], blob = "PLTE IDAT", varint(3 << depth) + palette.tobytes()
                shown = palette.reshape(-1, 3)[image[..., 0]] if depth > 1 else image
            data = write(recipe, blob, [image])
            check_file(data, exact=True)
            picture = check_file(data, exact=False, pixels=True)
            assert picture.recipe == recipe | ({"palette": 1} if colour == 3 and depth > 1 else {})
            assert np.array_equal(picture.parts[0], shown)
            with Image.open(io.BytesIO(data)) as opened:  # the judge: it knows all of this but 16-bit colours
                assert bool(opened.info.get("interlace")) == bool(interlace)
                pixels = np.asarray(opened).astype(np.int64)
            if depth == 16 and colour != 0:  # it gives the high bytes, and grey with alpha as RGBA
                pixels = pixels[..., [0, 3]] if colour == 4 else pixels
                assert np.array_equal(pixels, image[0] >> 8)
            elif colour in (0, 3) and depth < 8:
                scale = 1 if colour == 3 or depth == 1 else 255 // ((1 << depth) - 1)
                assert np.array_equal(pixels, image[0, :, :, 0] * scale)
            else:
                assert np.array_equal(pixels, image[0].reshape(pixels.shape))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from(KINDS), st.booleans(), st.integers(0, 99))
def test_write_then_read(height, width, kind, interlace, seed):
    colour, depth = kind
    image = noise(height, width, SHAPES[colour], depth, seed)
    recipe = {"format": "png", "depth": depth, "colour": colour} | ({"interlace": 1} if interlace else {})
    content = read_png(write_png(recipe, b"", [image]), pixels=True)
    assert content.recipe == recipe and np.array_equal(content.parts[0], image)


@pytest.mark.parametrize("kind", range(5))
def test_every_filter_is_undone(kind, make_png):
    lines = bytes([kind, 10, 250, 7, 9, 3, 1]) + bytes([kind, 200, 100, 50, 255, 255, 4])
    data = make_png(2, 2, 8, 2, lines)
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(parse(data).parts[0][0], np.asarray(opened))


def damaged(make_png):
    good = make_png(2, 2, 8, 0, b"\0ab\0cd")
    flipped = bytearray(good)
    flipped[45] ^= 1
    return {
        "wrong checksum in the PNG chunk IDAT": bytes(flipped),
        "ends before its IEND": good[:-12],
        "ends within its chunk IDAT": good[: good.index(b"IDAT") + 12],
        "unknown filter": make_png(2, 2, 8, 0, b"\5ab\0cd"),
        "more or fewer pixels": make_png(2, 2, 8, 0, b"\0ab\0cde"),
        "impossible PNG header": make_png(2, 2, 3, 0, b"\0a\0b"),
        "unknown and critical": make_png(2, 2, 8, 0, b"\0ab\0cd", before=[(b"CRIT", b"")]),
        "chunks among its pixels": make_png(2, 2, 8, 0, b"\0ab\0cd", after=[(b"tEXt", b"a\0b"), (b"IDAT", b"")]),
        "does not begin with its header": good[:8] + good[33:],
        "has no pixels": good[:33] + good[-12:],
        "promises more pixels than it can hold": make_png(16000, 16000, 8, 0, b"\0ab"),
        "too large": make_png(60000, 60000, 8, 2, b"\0ab"),
        "damaged PNG pixels": bad_deflate(make_png),
    }


def bad_deflate(make_png):
    data = make_png(1, 1, 8, 0, b"\0a")
    at = data.index(b"IDAT")
    body = b"not deflate"
    chunk = struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    return data[: at - 4] + chunk + data[-12:]


def test_damaged_files_are_kept_with_a_reason(make_png, kept):
    for reason, data in damaged(make_png).items():
        kept(data, reason, "x.png", pixels=True)
        picture = parse(data, "x.png")  # what is odd but can be told is taken apart
        assert (picture.raw == data and picture.note) or write(picture.recipe, picture.blob, picture.parts) == data


def test_a_bomb_allocates_nothing(make_png, kept):
    lines = bytes(20_000_001)
    kept(make_png(100, 100, 8, 0, lines), "more or fewer pixels", "x.png", pixels=True)
    kept(make_png(100, 100, 8, 0, lines), "too large", "x.png")
