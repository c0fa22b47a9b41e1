import io

import numpy as np
import pytest
from PIL import Image

from bitsback.files import parse, write


@pytest.mark.parametrize(("mode", "suffix"), [("1", "pbm"), ("L", "pgm"), ("RGB", "ppm"), ("I;16", "pgm")])
def test_files_of_pillow_come_back_byte_for_byte(mode, suffix, check_file):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (7, 11, 3)).astype(np.uint8))
    image = (
        Image.fromarray(rng.integers(0, 65536, (7, 11)).astype(np.uint16)) if mode == "I;16" else image.convert(mode)
    )
    file = io.BytesIO()
    image.save(file, "ppm")
    picture = check_file(file.getvalue(), f"a.{suffix}", exact=True)
    pixels = np.asarray(image).reshape(picture.parts[0].shape)
    assert np.array_equal(picture.parts[0], 1 - pixels if mode == "1" else pixels)


def test_comments_maximum_and_trailing_bytes_are_kept(check_file):
    data = b"P5 # made by hand\n# 1 2 3\n 3 2\n#x\r\n100\nabcdef\n"
    picture = check_file(data, "a.pgm", exact=True)
    assert picture.parts[0].tobytes() == b"abcdef"
    assert picture.blob == data.replace(b"abcdef", b"")


def test_sixteen_bits_are_big_endian(check_file):
    picture = check_file(b"P5 2 1 256 \1\2\0\7", exact=True)
    assert picture.parts[0].dtype == np.uint16 and picture.parts[0].ravel().tolist() == [258, 7]


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        (b"P1 3 2\n101\n010", [1, 0, 1, 0, 1, 0]),
        (b"P2\n3 2\n# c\n300\n1 2   3\n\n4 300 6\n", [1, 2, 3, 4, 300, 6]),
        (b"P3 1 2 255 1 2 3 4 5 6", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_plain_files_keep_header_and_pixels(text, pixels, check_file):
    picture = check_file(text, pixels=True)
    assert picture.parts[0].ravel().tolist() == pixels
    assert parse(text).raw == text  # other spaces would come back
    again = write(picture.recipe, picture.blob, picture.parts)
    assert again.startswith(picture.blob) and text.startswith(picture.blob)


def test_a_neat_plain_file_is_exact(check_file):
    check_file(b"P2 3 2 9 1 2 3\n4 5 6\n", exact=True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"P5 3 2", "damaged Netpbm header"),
        (b"P5 3 2 0 abcdef", "the maximum value is 0"),
        (b"P5 3 2 255 abcde", "ends 1 bytes before"),
        (b"P5 999999999 999999999 255 abcde", "before its pixels do"),
        (b"P5 0 2 255 abcde", "no pixels"),
        (b"P2 3 1 9 1 ", "before its pixels do"),
        (b"P2 3 1 9 1 2 12", "value above the maximum"),
        (b"P2 3 1 9 1 2 3 4", "wrong number"),
        (b"P2 3 1 9 1 # 2\n 2 3", "other than numbers"),
    ],
)
def test_damaged_files_are_kept(data, reason, kept):
    kept(data, reason, "a.pnm")
    kept(data, "", "a.txt")
