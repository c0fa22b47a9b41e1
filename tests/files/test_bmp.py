import io
import struct

import numpy as np
import pytest
from PIL import Image


def bmp(image):
    file = io.BytesIO()
    image.save(file, "bmp")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("width", [5, 8])
def test_files_of_pillow_come_back_byte_for_byte(mode, width, check_file):
    base = np.random.default_rng(0).integers(0, 256, (7, width, 4)).astype(np.uint8)
    image = Image.fromarray(base, "RGBA").convert(mode)
    picture = check_file(bmp(image), "a.bmp", exact=True)
    assert np.array_equal(picture.parts[0][0].squeeze(), np.asarray(image))


def test_four_bits_and_top_down(check_file):
    header = struct.pack("<IiiHHIIiiII", 40, 3, -2, 1, 4, 0, 0, 0, 0, 16, 0)
    data = b"BM" + struct.pack("<IHHI", 126, 0, 0, 118) + header + bytes(64) + b"\x12\x30\0\0\x45\x60\0\0"
    picture = check_file(data, exact=True)
    assert picture.parts[0][0, :, :, 0].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_the_old_header(check_file):
    data = b"BM" + struct.pack("<IHHI", 34, 0, 0, 26) + struct.pack("<IHHHH", 12, 1, 2, 1, 24) + b"abc\0def\0"
    picture = check_file(data, exact=True)
    assert picture.parts[0].tobytes() == b"fedcba"


def test_damaged_and_unusual_files_are_kept(kept):
    good = bmp(Image.new("RGB", (3, 2), (1, 2, 3)))
    kept(good[:20], "ends within the BMP header", "a.bmp")
    kept(good[:-1], "before its pixels do", "a.bmp")
    kept(good[:14] + b"\xff" + good[15:], "unknown BMP header", "a.bmp")
    kept(good[:28] + b"\x11" + good[29:], "17 bits", "a.bmp")
    kept(good[:30] + b"\1" + good[31:], "compression 1", "a.bmp")
    kept(good[:10] + b"\1" + good[11:], "damaged BMP header", "a.bmp")


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_rows_may_end_in_anything(mode, check_file):
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (7, 13, 3)).astype(np.uint8)).convert(mode)
    good = bmp(image)
    zeros = check_file(good, exact=True)
    row = {"1": 4, "L": 16, "RGB": 40}[mode]
    noisy = bytearray(good)
    for end in range(len(good), len(good) - 7 * row, -row):
        noisy[end - 1] ^= 0x05  # in mode 1, bits of the last byte, too
    noisy[-1] ^= 0x11
    picture = check_file(bytes(noisy), exact=True)
    assert np.array_equal(picture.parts[0], zeros.parts[0]) and len(picture.blob) > len(zeros.blob)
