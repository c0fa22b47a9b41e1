"""Recipes of samples at places, followed by what stands in docs/format.md alone."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

from bitsback.files import parse
from bitsback.files.qoi_pixels import encode
from bitsback_decoder import archive as plain_reader
from files.test_places import BASELINE, BIG, RLE, VOLUME, dicom, encapsulated, jpegs, lossless_frames, rle, single_bits
from files.test_simple import IMAGES, saved
from files.test_tar import FILES, PGM, packed
from files.test_tiff import FAX, differing, jpeg_tiff, old_lzw, page
from files.test_zips import zipped


@pytest.mark.parametrize("pack", [packed, zipped])
def test_files_in_files(pack):
    data = pack(FILES | {"inner.zip": zipped({"a.txt": b"words", "b.pgm": PGM})})
    picture = parse(data, "a")
    recipe = json.loads(json.dumps(picture.recipe))
    assert len(picture.parts) == 5
    assert plain_reader.file_of(recipe, picture.blob, picture.parts) == data


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_dicom(dtype):
    x = (VOLUME.astype(np.int64) + 90).astype(dtype)
    for data in (
        encapsulated(RLE, *map(rle, x), bits=8 * x.itemsize, signed=0),
        encapsulated(BASELINE, *jpegs()[:2], bits=8),
        dicom(pixels=(x.astype(np.int64) * 70_001).astype("<u4").tobytes(), bits=32),
        dicom(BIG, bytes(range(225)) * 8, 0, 8),
        single_bits(30)[0],
        lossless_frames((VOLUME + 90).astype(np.uint16)),
    ):
        picture = parse(data, "a.dcm")
        assert plain_reader.file_of(json.loads(json.dumps(picture.recipe)), picture.blob, picture.parts) == data


def tiff(image, **options):
    file = io.BytesIO()
    image.save(file, "tiff", **options)
    return file.getvalue()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["1", "RGB", "I;16B"])
def test_tiff(mode, compression):
    rng = np.random.default_rng(0)
    image = Image.fromarray((rng.integers(0, 9, (23, 21, 4)) * 20).astype(np.uint8), "RGBA")
    image = Image.fromarray(rng.integers(0, 700, (23, 21)).astype(">u2")) if mode == "I;16B" else image.convert(mode)
    tags = {278: 8} | ({317: 2} if mode != "1" and compression in ("tiff_lzw", "tiff_adobe_deflate") else {})
    data = tiff(image, compression=compression, tiffinfo=tags, save_all=True, append_images=[image])
    picture = parse(data, "a.tif")
    assert plain_reader.file_of(json.loads(json.dumps(picture.recipe)), picture.blob, picture.parts) == data


@pytest.mark.parametrize(("compression", "options"), FAX)
def test_fax(compression, options):
    info = {278: 16} | ({292: options} if options else {})
    data = tiff(Image.fromarray(page()), compression=compression, tiffinfo=info)
    picture = parse(data, "a.tif")
    assert picture.parts
    assert plain_reader.file_of(json.loads(json.dumps(picture.recipe)), picture.blob, picture.parts) == data


def test_numbers_and_jpeg_in_tiff():
    x = (np.add.outer(np.arange(16), np.arange(40)) * 999.5).astype("f4")
    file = io.BytesIO()
    pytest.importorskip("tifffile").imwrite(file, x, compression="zlib", predictor=3, rowsperstrip=5)
    for data in (file.getvalue(), jpeg_tiff("RGB"), old_lzw()[0], differing(x.astype(">i4")[..., None])):
        picture = parse(data, "a.tif")
        assert picture.parts
        assert plain_reader.file_of(json.loads(json.dumps(picture.recipe)), picture.blob, picture.parts) == data


SIMPLE = [saved("tga", IMAGES[name], compression="tga_rle") for name in IMAGES]
SIMPLE += [
    saved("pcx", IMAGES["rgb"]),
    saved("pcx", IMAGES["grey"]),
    b"P3 2 2 255\n1  2 3\n4 5 6 7 8 9\n10\n11 12 end"[:-4],
]
SIMPLE += [b"P1 4 2\n0110\n1001\n"]
_PIXELS = np.random.default_rng(0).choice([0, 0, 1, 254, 9, 40], (9, 30, 4)).cumsum(axis=1).astype(np.uint8)
for _pixels in (_PIXELS, _PIXELS[..., :3].copy()):
    _head = b"qoif" + struct.pack(">IIBB", 30, 9, _pixels.shape[2], 0)
    SIMPLE.append(_head + encode(_pixels.tobytes(), _pixels.shape[2]) + bytes(7) + b"\1")


@pytest.mark.parametrize("number", range(len(SIMPLE)))
def test_simple_formats(number):
    picture = parse(SIMPLE[number])
    assert picture.parts
    recipe = json.loads(json.dumps(picture.recipe))
    assert plain_reader.file_of(recipe, picture.blob, picture.parts) == SIMPLE[number]


def test_rows_that_end_in_anything():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype(np.uint8)).save(file, "bmp")
    data = file.getvalue()[:-1] + b"x"
    picture = parse(data, "a.bmp")
    assert plain_reader.file_of(picture.recipe, picture.blob, picture.parts) == data


@pytest.mark.parametrize("kind", ["bmp", "tiff", "pbm"])
def test_rows_that_end_in_ones(kind):
    """Bits and, of a BMP file, bytes; 13 columns."""
    file = io.BytesIO()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 2, (7, 13)).astype(bool))
    image.save(file, "ppm" if kind == "pbm" else kind)
    data = np.frombuffer(file.getvalue(), np.uint8).copy()
    at = {"bmp": 62, "tiff": data.size - 14, "pbm": data.size - 14}[kind]
    size, used = (4, 0x0007FFFF) if kind == "bmp" else (2, 0x0007)
    rows = data[at : at + 7 * size].reshape(7, size)
    rows |= np.frombuffer(used.to_bytes(size, "big"), np.uint8)
    picture = parse(data.tobytes(), f"a.{kind}")
    recipe = json.loads(json.dumps(picture.recipe))
    assert (recipe["arrays"][0] if kind == "tiff" else recipe)["beside"] == 2
    assert plain_reader.file_of(recipe, picture.blob, picture.parts) == data.tobytes()


@pytest.mark.parametrize("mode", ["1", "L"])
def test_gif(mode):
    file = io.BytesIO()
    image = Image.fromarray((np.random.default_rng(0).integers(0, 9, (60, 71)) * 20).astype(np.uint8)).convert(mode)
    image.save(file, "gif", save_all=True, append_images=[image.rotate(90), image])
    picture = parse(file.getvalue(), "a.gif")
    recipe = json.loads(json.dumps(picture.recipe))
    assert plain_reader.file_of(recipe, picture.blob, picture.parts) == file.getvalue()
