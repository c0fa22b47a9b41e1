import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from bitsback.files import innermost, parse, shown, values, write
from bitsback_decoder import places as second_decoder
from files.jpeg.test_lossless import file as lossless_jpeg

RNG = np.random.default_rng(0)


def tiff(image, **options):
    file = io.BytesIO()
    image.save(file, "tiff", **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16", "I;16B"])
def test_files_of_pillow_come_back_byte_for_byte(mode, check_file):
    rng = np.random.default_rng(0)
    if mode.startswith("I"):
        image = Image.fromarray(rng.integers(0, 65536, (7, 11)).astype(">u2" if mode == "I;16B" else "<u2"))
    else:
        image = Image.fromarray(rng.integers(0, 256, (7, 11, 4)).astype(np.uint8), "RGBA").convert(mode)
    picture = check_file(tiff(image), "a.tif", exact=True)
    assert np.array_equal(picture.parts[0][0].squeeze(), np.asarray(image))


def test_tags_and_profile_are_kept(check_file):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[305] = "a digit", "by hand"
    data = tiff(Image.new("L", (5, 4), 7), tiffinfo=tags, icc_profile=b"profile", dpi=(300, 300))
    picture = check_file(data, "a.tiff", exact=True)
    assert all(word in picture.blob for word in (b"a digit", b"by hand", b"profile"))


def test_many_strips(check_file):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 40)).astype(np.uint8))
    data = tiff(image, tiffinfo={278: 8})
    assert np.array_equal(check_file(data, exact=True).parts[0][0, :, :, 0], np.asarray(image))


COMPRESSIONS = ["tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "I;16"])
def test_compressed_files_come_back_byte_for_byte(mode, compression, check_file):
    rng = np.random.default_rng(0)
    image = Image.fromarray((rng.integers(0, 9, (90, 71, 4)) * 20).astype(np.uint8), "RGBA")
    image = Image.fromarray(rng.integers(0, 700, (90, 71)).astype("<u2")) if mode == "I;16" else image.convert(mode)
    picture = check_file(tiff(image, compression=compression, tiffinfo={278: 16}), "a.tif", exact=True)
    assert np.array_equal(picture.parts[0][0].squeeze(), np.asarray(image))


@pytest.mark.parametrize("compression", COMPRESSIONS[:2])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_differences(mode, compression, check_file):
    ramp = np.add.outer(np.arange(40), 3 * np.arange(50))
    image = Image.fromarray(ramp.astype("<u2") * 99) if mode == "I;16" else Image.fromarray(ramp.astype(np.uint8))
    image = image if mode == "I;16" else image.convert(mode)
    picture = check_file(tiff(image, compression=compression, tiffinfo={317: 2}), exact=True)
    assert picture.recipe["arrays"][0]["layout"]["differences"]
    assert np.array_equal(picture.parts[0][0].squeeze(), np.asarray(image))


def test_pages_of_one_form_are_one_array(check_file):
    rng = np.random.default_rng(0)
    pages = [Image.fromarray(rng.integers(0, 256, (20, 30)).astype(np.uint8)) for _ in range(4)]
    pages.insert(2, Image.new("RGB", (5, 6), (1, 2, 3)))
    for compression in (None, "tiff_lzw"):
        data = tiff(pages[0], save_all=True, append_images=pages[1:], compression=compression)
        picture = check_file(data, exact=True)
        assert [part.shape for part in picture.parts] == [(2, 20, 30, 1), (1, 6, 5, 3), (2, 20, 30, 1)]
        assert np.array_equal(picture.parts[2][1, :, :, 0], np.asarray(pages[4]))


def made(pages, order="<", big=False):
    """A TIFF of pages, each the values of its tags by number, and the strips or tiles that tags 273 or 324 point at."""
    letter = "Q" if big else "I"
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42))
    out += struct.pack(order + "HH", 8, 0) if big else b""
    link = len(out)
    out += bytes(struct.calcsize(letter))
    for tags, pieces in pages:
        offsets = []
        for piece in pieces:
            out += b"gap"
            offsets.append(len(out))
            out += piece
        where = 324 if 322 in tags else 273
        tags = tags | {where: offsets, where + 1 if 322 in tags else 279: [len(piece) for piece in pieces]}
        entries = b""
        for tag, several in sorted(tags.items()):
            data = struct.pack(f"{order}{len(several)}{letter}", *several)
            if len(several) > 1:
                entry = struct.pack(order + letter, len(out))
                out += data
            else:
                entry = data
            entries += struct.pack(f"{order}HH{letter}", tag, 16 if big else 4, len(several)) + entry
        struct.pack_into(order + letter, out, link, len(out))
        out += struct.pack(order + ("Q" if big else "H"), len(tags)) + entries
        link = len(out)
        out += bytes(struct.calcsize(letter))
    return bytes(out)


def tags(width, height, bits=8, channels=1, **more):
    names = {"compression": 259, "rows": 278, "planes": 284, "tile_width": 322, "tile_height": 323, "sign": 339}
    found = {256: [width], 257: [height], 258: [bits] * channels, 277: [channels]}
    return found | {names[name]: [value] for name, value in more.items()}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_byte_orders_signs_and_sizes(order, big, check_file):
    x = np.random.default_rng(0).integers(-9000, 9000, (6, 5)).astype(order + "i2")
    page = tags(5, 6, 16, sign=2, rows=2), [x[at : at + 2].tobytes() for at in (0, 2, 4)]
    picture = check_file(made([page], order, big), exact=True)
    assert np.array_equal(picture.parts[0][0, :, :, 0].astype(int) - 32768, x)


def test_strips_in_any_order(check_file):
    x = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    data = bytearray(made([(tags(50, 40, rows=20), [x[20:].tobytes(), x[:20].tobytes()])]))
    at = data.index(struct.pack("<II", 11, 11 + 1000 + 3))
    data[at : at + 8] = struct.pack("<II", 11 + 1000 + 3, 11)
    assert np.array_equal(check_file(bytes(data), exact=True).parts[0][0, :, :, 0], x)


def test_planes_and_many_channels(check_file):
    x = np.random.default_rng(0).integers(0, 256, (6, 12, 20)).astype(np.uint8)
    planes = made([(tags(20, 12, channels=6, planes=2), [plane.tobytes() for plane in x])])
    chunky = made([(tags(20, 12, channels=6), [x.transpose(1, 2, 0).tobytes()])])
    for data in (planes, chunky):
        assert np.array_equal(check_file(data, exact=True).parts[0][..., 0], x)


@pytest.mark.parametrize("compression", [1, 8])
def test_tiles(compression, check_file):
    x = np.random.default_rng(0).integers(0, 5, (32, 48, 3)).astype(np.uint8)
    tiles = [x[r : r + 16, c : c + 16] for r in (0, 16) for c in (0, 16, 32)]
    coded = [zlib.compress(tile.tobytes()) if compression == 8 else tile.tobytes() for tile in tiles]
    page = tags(41, 29, channels=3, compression=compression, tile_width=16, tile_height=16)
    picture = check_file(made([(page, coded)]), exact=True)
    assert np.array_equal(picture.parts[0], np.stack(tiles))


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("tiled", [False, True])
def test_pages_of_many_channels(dtype, compression, tiled, check_file):
    """Every channel of every page, or of every tile, is an image, as pages and tiles of many bands are."""
    x = np.random.default_rng(0).integers(0, 200, (2, 32, 48, 6)).astype(dtype)
    if tiled:
        pieces = [[one[r : r + 16, c : c + 16] for r in (0, 16) for c in (0, 16, 32)] for one in x]
    else:
        pieces = [[one] for one in x]
    code = zlib.compress if compression == 8 else bytes
    size = {"tile_width": 16, "tile_height": 16} if tiled else {}
    about = tags(48, 32, 8 * x.itemsize, 6, compression=compression, **size)
    data = made([(about, [code(piece.tobytes()) for piece in one]) for one in pieces])
    picture = check_file(data, exact=True)
    found = [image[..., 0] for part in picture.parts for image in part]
    wanted = [piece[..., channel] for one in pieces for piece in one for channel in range(6)]
    assert len(found) == len(wanted) and all(map(np.array_equal, found, wanted))


def test_pages_that_cannot_be_are_bytes_between_those_that_can(check_file):
    x = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    odd = tags(5, 5, 24), [bytes(75)]
    data = made([odd, (tags(50, 40), [x.tobytes()]), (tags(50, 40, compression=99), [b"?" * 30])])
    assert [part.shape for part in check_file(data, exact=True).parts] == [(1, 40, 50, 1)]


FAX = [("group4", None), ("group3", None), ("group3", 1), ("group3", 4), ("group3", 5), ("tiff_ccitt", None)]


def page(width=131, height=40):
    """Black and white: runs, blank rows, rows like the one above, shifted ones."""
    rng = np.random.default_rng(0)
    rows = (rng.random((height, width)) < 0.05).cumsum(axis=1) % 2
    rows[1 : height // 10], rows[height // 2], rows[-3:-1] = rows[0], 1, np.roll(rows[-4], 2)
    return rows.astype(bool)


@pytest.mark.parametrize(("compression", "options"), FAX)
def test_fax(compression, options, check_file):
    for rows in (page(), page(6001, 8)):
        data = tiff(
            Image.fromarray(rows), compression=compression, tiffinfo={278: 16} | ({292: options} if options else {})
        )
        picture = check_file(data, "a.tif", exact=True)
        assert np.array_equal(picture.parts[0][0, :, :, 0], rows)


def test_reversed_bits(check_file):
    rows = page()
    data = tiff(Image.fromarray(rows), compression="group4", tiffinfo={278: 99, 266: 1})
    with Image.open(io.BytesIO(data)) as image:
        (start,), (size,) = image.tag_v2[273], image.tag_v2[279]
    swapped = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data[start : start + size])
    tag = tags(131, 40, 1, compression=4) | {266: [2]}
    assert np.array_equal(check_file(made([(tag, [swapped])]), exact=True).parts[0][0, :, :, 0], rows)
    tag = tags(131, 40, 1) | {266: [2]}
    packed = np.packbits(rows, axis=1, bitorder="little").tobytes()
    assert np.array_equal(check_file(made([(tag, [packed])]), exact=True).parts[0][0, :, :, 0], rows)


@pytest.mark.parametrize("bits", [3, 5, 6, 10, 12, 14])
def test_samples_of_any_bits(bits, check_file):
    x = np.random.default_rng(0).integers(0, 1 << bits, (7, 9))
    rows = ["".join(f"{value:0{bits}b}" for value in row) for row in x]
    packed = b"".join(int(row + "0" * (-len(row) % 8), 2).to_bytes(-(-len(row) // 8), "big") for row in rows)
    picture = check_file(made([(tags(9, 7, bits), [packed])]), exact=True)
    assert np.array_equal(picture.parts[0][0, :, :, 0], x)


@pytest.mark.parametrize(("bits", "predictor"), [(24, 1), (12, 2), (4, 2), (8, 2)])
def test_what_is_not_compressed(bits, predictor, check_file):
    """Numbers of three bytes; differences of samples that are not compressed, either."""
    x = np.add.outer(1000 * np.arange(9), 70 * np.arange(16)) & ((1 << bits) - 1)
    stored = np.diff(x, axis=1, prepend=0) & ((1 << bits) - 1) if predictor == 2 else x
    text = ["".join(f"{number:0{bits}b}" for number in row.tolist()) for row in stored]
    data = made(
        [(tags(16, 9, bits) | {278: [4], 317: [predictor]}, [packed("".join(text[k : k + 4])) for k in (0, 4, 8)])]
    )
    picture = check_file(data, "a.tif", exact=True)
    (found,) = values(picture.recipe, picture.blob, picture.parts)
    assert np.array_equal(found[0, :, :, 0], x)
    filled = picture.recipe.get("filled", 0)
    assert second_decoder.file_of(picture.recipe["arrays"], picture.blob, picture.parts, filled=filled) == data


def packed(text):
    return int(text, 2).to_bytes(len(text) // 8, "big")


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_what_tags_say_of_coded_strips_is_not_kept(order, big, check_file):
    """But where one is damaged, all is; tags with zeros of other pages stay zeros."""
    x = RNG.integers(0, 4, (7, 40, 16)).astype(np.uint8)
    strips = [[zlib.compress(page[k : k + 16]) for k in (0, 16, 32)] for page in x]
    pages = [(tags(16, 40, rows=16, compression=8), some) for some in strips]
    data = made([*pages, (tags(16, 40), [x[0].tobytes()]), *pages[:1]], order, big)
    picture = check_file(data, "a.tif", exact=True)
    assert picture.recipe["filled"]
    arrays = picture.recipe["arrays"]
    assert second_decoder.file_of(arrays, picture.blob, picture.parts, filled=1) == data
    spoilt = data.replace(strips[1][0], bytes(len(strips[1][0])))
    picture = check_file(spoilt, "a.tif", exact=True)
    assert "filled" not in picture.recipe and len(picture.parts) < 9


def test_pages_in_a_circle(check_file):
    x = RNG.integers(0, 256, (4, 6)).astype(np.uint8).tobytes()
    data = made([(tags(6, 4), [x]), (tags(6, 4), [x])])
    data = data[:-4] + data[4:8]  # the last page is followed by the first
    assert check_file(data, "a.tif", exact=True).parts[0].shape == (2, 4, 6, 1)


def test_tiles_in_the_tags_of_strips(check_file):
    tiles = [RNG.integers(0, 256, 256).astype(np.uint8).tobytes() for _ in range(4)]
    data = made([(tags(30, 20) | {332: [16], 333: [16]}, tiles)])
    for tag in (322, 323):
        data = data.replace(struct.pack("<HHI", tag + 10, 4, 1), struct.pack("<HHI", tag, 4, 1))
    assert check_file(data, "a.tif", exact=True).parts[0].shape == (4, 16, 16, 1)


@pytest.mark.parametrize(("across", "down"), [(2, 2), (2, 1), (1, 2)])
def test_subsampled_colours(across, down, check_file):
    units = RNG.integers(0, 256, (-(-9 // down), -(-13 // across), across * down + 2)).astype(np.uint8)
    data = made([(tags(13, 9, channels=3) | {262: [6], 530: [across, down]}, [units.tobytes()])])
    picture = check_file(data, "a.tif", exact=True)
    assert picture.parts[0].nbytes == units.nbytes


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u4"])
def test_numbers(dtype, order, check_file):
    x = (np.add.outer(np.arange(16), np.arange(40)) * 999.5).astype(order + dtype)
    sign = {"f": 3, "i": 2, "u": 1}[dtype[0]]
    raw = tags(40, 16, 8 * x.itemsize, sign=sign, rows=5), [x[at : at + 5].tobytes() for at in range(0, 16, 5)]
    deflated = raw[0] | {259: [8]}, [zlib.compress(piece) for piece in raw[1]]
    picture = check_file(made([raw, raw, deflated], order), exact=True)
    assert [one["words"]["bits"] for one in picture.recipe["arrays"]] == [8 * x.itemsize] * 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_predictor_of_floats(dtype, channels, check_file):
    tifffile = pytest.importorskip("tifffile")
    x = (np.add.outer(np.arange(16), np.arange(40))[..., None] * np.arange(1.5, 1.5 + channels)).astype(dtype)
    file = io.BytesIO()
    try:
        photo = "rgb" if channels == 3 else "minisblack"
        tifffile.imwrite(file, x.squeeze(), compression="zlib", predictor=3, rowsperstrip=5, photometric=photo)
    except ImportError as error:
        pytest.skip(str(error))
    one = check_file(file.getvalue(), "a.tif", exact=True).recipe["arrays"][0]
    assert one["planes"] == [40 * x.itemsize * channels, channels]


def jpeg_tiff(mode="RGB", **tiffinfo):
    ramp = np.add.outer(np.arange(40), 3 * np.arange(50)).astype(np.uint8)
    return tiff(Image.fromarray(ramp).convert(mode), compression="jpeg", tiffinfo={278: 16} | tiffinfo)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(mode, check_file):
    data = jpeg_tiff(mode)
    picture = check_file(data, "a.tif", exact=True)
    assert picture.coefficients == {0, 1, 2} and picture.recipe["arrays"][0]["front"] > 100
    shapes = [part.shape for part in picture.parts]
    strips = []
    for part in range(3):
        recipe, blob, which = innermost(picture.recipe, picture.blob, shapes, part)
        strips.append(shown(write(recipe, blob, [picture.parts[k] for k in which])))
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.concatenate(strips), np.asarray(image)) or mode == "CMYK"


def test_lossless_jpeg(check_file):
    """DNG takes neighbours in a mosaic for the components of a pixel."""
    x = np.random.default_rng(0).integers(0, 4096, (2, 8, 10)).astype("<u2")
    tiles = [lossless_jpeg(tile.reshape(8, 5, 2), 12, predictor=6) for tile in x]
    page = tags(20, 8, 16, compression=7, tile_width=10, tile_height=8), tiles
    assert np.array_equal(check_file(made([page]), "a.dng", exact=True).parts[0][..., 0], x)


@pytest.mark.parametrize("dtype", ["<i4", ">u4", "<f4", ">f8"])
def test_differences_of_wide_numbers(dtype, check_file):
    x = (np.random.default_rng(0).normal(size=(9, 8, 2)) * 1e6).astype(dtype)
    made_ = differing(x)
    picture = check_file(made_, "a.tif", exact=True)
    assert np.array_equal(values(picture.recipe, picture.blob, picture.parts)[0][0], x)


def differing(x):
    """A TIFF of words with predictor 2, deflated."""
    order = x.dtype.str[0]
    words = np.ascontiguousarray(x).view(f"{order}u{x.itemsize}").astype(f"u{x.itemsize}")
    stored = np.concatenate([words[:, :1], np.diff(words, axis=1)], axis=1).astype(f"{order}u{x.itemsize}")
    kind = {"u": 1, "i": 2, "f": 3}[x.dtype.kind]
    page = tags(x.shape[1], x.shape[0], 8 * x.itemsize, x.shape[2], compression=8, sign=kind) | {317: [2]}
    return made([(page, [zlib.compress(stored.tobytes())])], order)


def old_lzw():
    """A TIFF as before 1992, whose LZW is that of a GIF without its blocks; and its pixels."""
    x = (np.add.outer(np.arange(60), 3 * np.arange(70)) % 256).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(x).save(file, "gif", interlace=0)
    data = file.getvalue()
    at, strip = data.index(b"\x2c", 13 + 768) + 11, b""
    while data[at]:
        strip += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    return made([(tags(70, 60, compression=5), [strip])]), x


def test_old_lzw(check_file):
    data, x = old_lzw()
    picture = check_file(data, "a.tif", exact=True)
    assert picture.recipe["arrays"][0]["codec"] == "oldlzw" and np.array_equal(picture.parts[0][0, :, :, 0], x)


def test_previews_are_files_in_a_file(check_file):
    file = io.BytesIO()
    Image.new("L", (50, 40), 9).save(file, "jpeg")
    size = len(file.getvalue())
    for compression in ({}, {259: [6]}):
        data = made([({256: [50], 513: [11], 514: [size]} | compression, [file.getvalue()])])
        assert check_file(data, "a.tif", exact=True).coefficients == {0}


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_damaged_files_come_back_as_they_are(compression):
    image = Image.fromarray((np.add.outer(np.arange(30), np.arange(40)) % 7).astype(np.uint8))
    damage(tiff(image, compression=compression, tiffinfo={278: 8}), 100)


@pytest.mark.parametrize(("compression", "options"), FAX[:3])
def test_damaged_fax_comes_back_as_it_is(compression, options):
    more = {292: options} if options else {}
    damage(tiff(Image.fromarray(page()), compression=compression, tiffinfo={278: 16} | more), 60)


def test_damaged_jpeg_in_tiff_comes_back_as_it_is():
    damage(jpeg_tiff(), 30)


def damage(good, times):
    rng = np.random.default_rng(0)
    for _ in range(times):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        data = bytes(data[: rng.integers(4, 2 * len(data))])
        picture = parse(data, "a.tif")
        again = picture.raw if picture.raw is not None else write(picture.recipe, picture.blob, picture.parts)
        assert again == data


def test_other_files_are_kept(kept):
    good = tiff(Image.new("RGB", (30, 20), (1, 2, 3)))
    kept(made([(tags(4, 4, compression=6), [bytes(16)])]), "compression 6", "a.tif")
    kept(made([(tags(4, 4, 20), [bytes(40)])]), "20 bits", "a.tif")
    kept(made([(tags(4, 4, compression=4), [bytes(9)])]), "a TIFF with samples of 8 bits", "a.tif")
    kept(made([(tags(4, 4, 1, compression=4), [bytes(9)])]), "damaged fax data", "a.tif")
    kept(tiff(Image.new("F", (3, 2))), "few numbers", "a.tif")
    kept(good[:60], "ends within", "a.tif")
    kept(good[:-1], "before its pixels do", "a.tif")
    kept(b"II*\0\xff\xff\xff\xff", "ends within the TIFF tags", "a.tif")
    kept(b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "without size", "a.tif")
    kept(made([(tags(4, 4), [bytes(15)])]), "too short", "a.tif")
    kept(made([(tags(4, 4, rows=2), [bytes(16)])]), "do not fit its size", "a.tif")
    numbers = b"".join(struct.pack("<HHHIII", 1, 273, 4, 4000, 8, 26 + 18 * k) for k in range(900))
    kept(b"II*\0\x08\0\0\0" + numbers, "share many numbers", "a.tif")
