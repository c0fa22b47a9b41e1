import io
import struct

import numpy as np
import pytest
from PIL import Image

from bitsback_decoder import places as second_decoder


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


def runs(depth, width, height, data):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, 1 if depth == 8 else 2, len(data), 0, 0, 0, 0)
    palette = b"".join(bytes([k, k, k, 0]) for k in range(1 << depth))
    start = 54 + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


FREE = b"\3\7\0\3\1\2\3\0\0\0\0\2\1\1\2\5\0\1"
"""A run, three as they are, the end of a row; one to the right and one up; a run; the end."""


@pytest.mark.parametrize(
    ("depth", "data", "rows", "how"),
    [
        (8, FREE, [[0, 5, 5, 0, 0, 0], [0] * 6, [7, 7, 7, 1, 2, 3]], [0, 0]),
        (8, b"\3\7\3\1\2\0\0\0\6\2\2\0\0\0\0\1", [[2] * 6, [7] * 3 + [1] * 3], [1, 0]),
        (4, b"\5\x12\1\x30\0\0\0\5\x12\x34\x50\0\0\0\0\1", [[1, 2, 3, 4, 5, 0], [1, 2, 1, 2, 1, 3]], [0, 0]),
        (4, b"\1\x33\1\x44\0\1", [[3, 4, 0, 0, 0, 0]], [0, 1]),
        (4, b"\1\x34\1\x45\4\x55\0\0\0\1", [[3, 4, 5, 5, 5, 5]], [0, 2]),
        (4, b"\6\x33\2\0\0\0", [[3, 3, 3, 3, 3, 3]], [0, 0]),  # without an end
    ],
)
def test_runs(depth, data, rows, how, check_file):
    data = runs(depth, 6, len(rows), data) + b"more" * data.endswith(b"\0\1")
    picture = check_file(data, "a.bmp", exact=True)
    assert picture.parts[0][0, :, :, 0].tolist() == rows
    (one,) = picture.recipe["arrays"]
    assert one["coded"] == [[1, how]]
    assert second_decoder.file_of([one], picture.blob, picture.parts) == data


def test_a_blank_page(check_file):
    row = b"\xff\0" * 7 + b"\xd7\0\0\0"
    picture = check_file(runs(8, 2000, 1000, row * 1000 + b"\0\1"), "a.bmp", exact=True)
    assert picture.parts[0].shape == (1, 1000, 2000, 1) and len(picture.blob) < 1200


def test_damaged_runs_are_kept(kept):
    for data in (b"\7\1\4\2", b"\0\0\0\0\1\1", b"\0\2\x09\0\1\1", b"\0\5\1\2", b"\0\3\1\2\3\4\0\1"):
        kept(runs(8, 6, 1, data), "runs of pixels", "a.bmp")
    kept(runs(8, 60000, 30000, b"\0\1"), "more than it can hold", "a.bmp")
