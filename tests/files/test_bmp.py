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
    kept(good[:28] + b"\x10" + good[29:], "16 bits", "a.bmp")
    kept(good[:30] + b"\1" + good[31:], "compression 1", "a.bmp")
    kept(good[:10] + b"\1" + good[11:], "damaged BMP header", "a.bmp")
    kept(good[:-1] + b"x", "padded with something other than zeros", "a.bmp")
