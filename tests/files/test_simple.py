"""Formats of one simple image, written by Pillow: TGA, QOI, PCX, and icons."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from bitsback.files import formats, parse, qoi_pixels, tga, write
from bitsback.files.packbits import RULES, decode, encode, explain, heads

RNG = np.random.default_rng(5)
RAMP = np.repeat(np.add.outer(np.arange(30), np.arange(9)) * 5, RNG.integers(1, 9, 9), axis=1).astype(np.uint8)
COLOURS = np.stack([RAMP, RAMP // 2, 255 - RAMP, RAMP | 1], -1)


def saved(kind, image, **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


IMAGES = {
    "grey": Image.fromarray(RAMP),
    "indices": Image.fromarray(COLOURS[..., :3]).quantize(9),
    "rgb": Image.fromarray(COLOURS[..., :3]),
    "rgba": Image.fromarray(COLOURS),
}


@pytest.mark.parametrize("compression", [None, "tga_rle"])
@pytest.mark.parametrize("name", IMAGES)
def test_tga(name, compression, check_file):
    data = saved("tga", IMAGES[name], compression=compression)
    picture = check_file(data, "a.tga", exact=True)
    assert np.array_equal(picture.parts[0][0].squeeze(), np.asarray(IMAGES[name]))


def test_tga_of_sixteen_bits(check_file):
    pixels = RNG.integers(0, 1 << 15, (5, 7)).astype("<u2")
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 7, 5, 16, 0x20)
    picture = check_file(header + pixels.tobytes(), "a.tga", exact=True)
    assert np.array_equal(picture.parts[0][0, :, :, 0], pixels) and picture.recipe["format"] == "tga"


@pytest.mark.parametrize("name", ["rgb", "rgba"])
def test_qoi(name, check_file):
    steps = RNG.choice([0, 0, 1, -2, 9, 40], (20, 30, 4)).cumsum(axis=1).astype(np.uint8)
    steps[..., 3] = np.where(RNG.random((20, 30)) < 0.9, 255, 7)
    steps[3:6], steps[10] = 9, steps[8]
    pixels = steps if name == "rgba" else steps[..., :3].copy()
    data = b"qoif" + struct.pack(">IIBB", 30, 20, pixels.shape[2], 0)
    data += qoi_pixels.encode(pixels.tobytes(), pixels.shape[2]) + bytes(7) + b"\1"
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), pixels)
    assert np.array_equal(check_file(data, "a.qoi", exact=True).parts[0][0], pixels)


@pytest.mark.parametrize("name", ["grey", "indices", "rgb"])
def test_pcx(name, check_file):
    picture = check_file(saved("pcx", IMAGES[name]), "a.pcx", exact=True)
    width = RAMP.shape[1]
    assert np.array_equal(picture.parts[0][0, :, :width].squeeze(), np.asarray(IMAGES[name]))


def test_pcx_of_single_bits(check_file):
    picture = check_file(saved("pcx", IMAGES["grey"].convert("1")), "a.pcx", exact=True)
    assert np.array_equal(picture.parts[0][0, :, : RAMP.shape[1], 0], np.asarray(IMAGES["grey"].convert("1")))


@pytest.mark.parametrize("kind", ["png", "bmp"])
def test_icons(kind, check_file):
    image = Image.fromarray(np.kron(COLOURS[:16, :16], np.ones((2, 2, 1), np.uint8)))
    data = saved("ico", image, sizes=[(16, 16), (32, 32)], bitmap_format=kind)
    picture = check_file(data, "a.ico", exact=True)
    assert {part.shape[1] for part in picture.parts} == {16, 32}
    assert np.array_equal(picture.parts[-1][0], np.asarray(image))


@pytest.mark.parametrize("unit", [1, 3])
@pytest.mark.parametrize("rule", range(RULES))
def test_rules_of_runs(rule, unit):
    units = RNG.integers(0, 256, (3, unit)).astype(np.uint8)
    rows = units[np.repeat(RNG.integers(0, 3, (6, 60)), RNG.integers(1, 4, 60), axis=1)[:, :60]]
    rows[2] = units[0]
    plain = rows.tobytes()
    led = heads(plain, [60 * unit, rule], unit)
    data = encode(plain, led, unit)
    assert decode(data, len(plain), unit) == (plain, led, len(data))
    found = explain(plain, led, unit)
    assert found and heads(plain, found, unit) == led
    assert explain(plain, led[:-1], unit) == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.tga", saved("tga", IMAGES["rgb"], compression="tga_rle")),
        ("a.pcx", saved("pcx", IMAGES["rgb"])),
        ("a.ico", saved("ico", IMAGES["rgba"], sizes=[(16, 16)], bitmap_format="bmp")),
        (
            "a.qoi",
            b"qoif" + struct.pack(">IIBB", 5, 2, 3, 0) + qoi_pixels.encode(bytes(range(30)), 3) + bytes(7) + b"\1",
        ),
    ],
)
def test_damaged_files_come_back_as_they_are(name, data):
    rng = np.random.default_rng(1)
    for _ in range(60):
        bad = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            bad[rng.integers(min(len(bad), int(rng.choice([30, 9999]))))] = rng.integers(256)
        bad = bytes(bad[: int(rng.choice([len(bad), rng.integers(4, len(bad))]))])
        picture = parse(bad, name)
        again = picture.raw if picture.raw is not None else write(picture.recipe, picture.blob, picture.parts)
        assert again == bad


def test_what_promises_too_much(kept):
    kept(b"qoif" + struct.pack(">IIBB", 1 << 20, 1 << 20, 3, 0) + bytes(20), "", "a.png")
    kept(b"qoif" + struct.pack(">IIBB", 1 << 20, 1 << 20, 3, 0) + bytes(20), "promises more", "a.qoi")
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 60000, 60000, 24, 0)
    kept(header + bytes(99), "promises more", "a.tga")
    assert formats.recognise(header) == "tga" and tga.read


def test_words_are_no_tga():
    for text in (b"a text, and some more of it", bytes(40), b"\0\0\2" + b"x" * 40):
        assert formats.recognise(text) is None
