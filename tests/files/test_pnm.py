import io

import numpy as np
import pytest
from PIL import Image


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
        (b"P2 3 1 9 1 2 3 4", [1, 2, 3]),
    ],
)
def test_plain_files_in_any_lines(text, pixels, check_file):
    assert check_file(text, exact=True).parts[0].ravel().tolist() == pixels


@pytest.mark.parametrize("maximum", [255, 999])
def test_arbitrary_maps(maximum, check_file):
    """PAM, of four channels."""
    x = np.random.default_rng(0).integers(0, maximum + 1, (5, 7, 4)).astype(">u2" if maximum > 255 else "u1")
    head = b"P7\nWIDTH 7\nHEIGHT 5\n# so\nDEPTH 4\nMAXVAL %d\nTUPLTYPE RGB_ALPHA\nENDHDR\n" % maximum
    assert np.array_equal(check_file(head + x.tobytes(), "a.pam", exact=True).parts[0][0], x)


@pytest.mark.parametrize(("kind", "channels"), [(b"PF", 3), (b"Pf", 1)])
def test_maps_of_floats(kind, channels, check_file):
    x = np.linspace(0, 1, 20 * 30 * channels).astype("<f4").tobytes()
    assert check_file(kind + b"\n30 20\n-1.0\n" + x, "a.pfm", exact=True).recipe["format"] == "words"


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
        (b"P2 3 1 9 1 2     ", "wrong number"),
        (b"P7\nWIDTH 3\nHEIGHT 1\nENDHDR\n", "damaged PAM"),
        (b"P7\nWIDTH 3\nHEIGHT 1\nDEPTH 9\nMAXVAL 1\nENDHDR\n", "9 channels"),
        (b"PF\n3 x", "damaged PFM"),
        (b"P2 3 1 9 1 # 2\n 2 3", "other than numbers"),
    ],
)
def test_damaged_files_are_kept(data, reason, kept):
    kept(data, reason, "a.pnm")
    kept(data, "", "a.txt")
