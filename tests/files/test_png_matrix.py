"""Every kind of PNG there is, made here by hand, taken apart, archived, and compared by a parser of this file's own."""

import itertools
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import bitsback
from bitsback.files import parse, write

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
KINDS += [(4, 8), (4, 16), (6, 8), (6, 16)]
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
SIGNATURE = b"\x89PNG\r\n\x1a\n"


# A writer and a reader, independent of the package ------------------------------------------------------------------


def chunk(kind, body=b""):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def rows_of(samples, depth):
    """(H, W, C) -> the bytes of each row."""
    for row in samples:
        bits = "".join(f"{value:0{depth}b}" for value in row.ravel().tolist())
        yield int(bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big")


def passes_of(height, width, interlace):
    grids = PASSES if interlace else [(0, 0, 1, 1)]
    for x, y, dx, dy in grids:
        if x < width and y < height:
            yield slice(y, None, dy), slice(x, None, dx)


def make(samples, colour, depth, interlace, before=b"", after=b""):
    height, width, _ = samples.shape
    lines = b""
    for rows, columns in passes_of(height, width, interlace):
        lines += b"".join(b"\0" + row for row in rows_of(samples[rows, columns], depth))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    data = chunk(b"IDAT", zlib.compress(lines))
    return SIGNATURE + chunk(b"IHDR", header) + before + data + after + chunk(b"IEND")


def seen(png):
    """(header, samples, chunks but the pixels, in order, with a mark where the pixels are)."""
    assert png[:8] == SIGNATURE
    at, others, deflated = 8, [], b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        assert struct.pack(">I", zlib.crc32(kind + body)) == png[at + 8 + length : at + 12 + length]
        deflated += body if kind == b"IDAT" else b""
        if kind != b"IDAT" or others[-1] != (b"IDAT", b""):
            others.append((kind, b"" if kind == b"IDAT" else body))
        at += 12 + length
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", others[0][1])
    return others, samples_of(zlib.decompress(deflated), height, width, depth, colour, interlace)


def samples_of(lines, height, width, depth, colour, interlace):
    channels = CHANNELS[colour]
    out = np.zeros((height, width, channels), np.int64)
    for rows, columns in passes_of(height, width, interlace):
        view = out[rows, columns]
        size, step = (view.shape[1] * channels * depth + 7) // 8, max(1, channels * depth // 8)
        above = bytearray(size)
        for y in range(len(view)):
            kind, line, lines = lines[0], bytearray(lines[1 : 1 + size]), lines[1 + size :]
            for x in range(size):
                a, b, c = (line[x - step], above[x], above[x - step]) if x >= step else (0, above[x], 0)
                paeth = min((a, b, c), key=lambda v, p=a + b - c: abs(p - v))
                line[x] = (line[x] + (0, a, b, (a + b) // 2, paeth)[kind]) % 256
            bits = np.unpackbits(np.frombuffer(bytes(line), np.uint8))[: view.shape[1] * channels * depth]
            view[y] = (bits.reshape(-1, depth) @ (1 << np.arange(depth)[::-1])).reshape(-1, channels)
            above = line
    assert not lines
    return out


# What there is to keep ----------------------------------------------------------------------------------------------


def palette(depth):
    colours = np.random.default_rng(depth).permutation(256)[: 1 << min(depth, 8)]  # not in any order
    return chunk(b"PLTE", bytes(v for c in colours.tolist() for v in (c, 255 - c, c // 2)))


def transparency(colour, depth):
    bodies = {0: struct.pack(">H", 1), 2: struct.pack(">HHH", 1, 2, 3), 3: bytes(range(1 << min(depth, 8)))[::-1]}
    return chunk(b"tRNS", bodies[colour]) if colour in bodies else b""


METADATA = {
    "gamma": chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"cHRM", bytes(range(32))),
    "profile": chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(bytes(1000) + b"profile")),
    "sRGB": chunk(b"sRGB", b"\1") + chunk(b"sBIT", b"\5"),
    "time": chunk(b"tIME", struct.pack(">HBBBBB", 2026, 11, 22, 1, 2, 3)) + chunk(b"pHYs", bytes(9)),
    "text": chunk(b"tEXt", b"Title\0caf\xe9") + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"long " * 99)),
    "unicode": chunk(b"iTXt", b"Author\0\0\0de\0Verfasser\0" + "größe".encode()),
    "exif": chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "private": chunk(b"prVt", bytes(range(256))) + chunk(b"vpAg", b""),
}


def picture(height, width, colour, depth, seed=0):
    """Some structure, all values, both ends."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    smooth = (x + y)[..., None] * (1 << depth) // (height + width) + rng.integers(
        0, 3, (height, width, CHANNELS[colour])
    )
    noisy = rng.integers(0, 1 << depth, smooth.shape)
    return np.where(rng.random(smooth.shape) < 0.1, noisy, smooth).clip(0, (1 << depth) - 1)


def shown_by(png, samples, colour, depth):
    """The samples, or the colours of a palette of more than two."""
    if colour != 3 or depth == 1:
        return samples
    bodies = dict(seen(png)[0])
    table = [bodies[b"PLTE"][at : at + 3] for at in range(0, len(bodies[b"PLTE"]), 3)]
    if b"tRNS" in bodies:
        table = [one + bytes([alpha]) for one, alpha in zip(table, bodies[b"tRNS"], strict=True)]
    return np.array([[list(table[index]) for index in row] for row in samples[..., 0].tolist()])


def check(png, samples, colour, depth):
    """Taken apart as an image of its own depth, and written as it was, or with all that it holds."""
    held, shown = parse(png, "x.png"), shown_by(png, samples, colour, depth)
    assert not held.note and np.array_equal(held.parts[0][0], shown)
    assert write(held.recipe, held.blob, held.parts) == png
    held = parse(png, "x.png", pixels=True)
    assert not held.note and held.raw is None
    assert held.parts[0].dtype == (np.uint16 if depth == 16 else np.uint8)
    assert np.array_equal(held.parts[0][0], shown)
    again = write(held.recipe, held.blob, held.parts)
    others, pixels = seen(again)
    assert others == seen(png)[0] and np.array_equal(pixels, samples)


def archived(folder, files):
    """Through an archive on disk: the same content in every file."""
    source, target = folder / "in", folder / "out"
    source.mkdir()
    for name, png in files.items():
        (source / name).write_bytes(png)
    archive = folder / "all.bba"
    report = bitsback.compress(sorted(source.iterdir()), archive)
    bitsback.decompress(archive, target)
    for name, png in files.items():
        again = next(Path(target).rglob(name)).read_bytes()
        (others, pixels), (others_again, pixels_again) = seen(png), seen(again)
        assert others == others_again and np.array_equal(pixels, pixels_again), name
    return report


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("colour", "depth"), KINDS)
def test_every_kind_size_and_extra(colour, depth, interlace, tmp_path):
    extras = itertools.cycle(METADATA.values())
    files = {}
    for number, (height, width) in enumerate([(1, 1), (1, 9), (5, 3), (8, 8), (9, 17), (33, 29)]):
        samples = picture(height, width, colour, depth, number)
        plte = palette(depth) if colour == 3 or (colour in (2, 6) and number % 2) else b""
        trns = transparency(colour, depth) if number % 3 == 0 else b""
        png = make(samples, colour, depth, interlace, next(extras) + plte + trns, next(extras))
        check(png, samples, colour, depth)
        files[f"{number}.png"] = png
    archived(tmp_path, files)


@pytest.mark.parametrize("interlace", [0, 1])
def test_sizes_about_the_passes_of_adam7(interlace, tmp_path):
    files = {}
    for height, width in itertools.product((1, 2, 4, 5, 9), repeat=2):
        samples = picture(height, width, 2, 8, height * width)
        files[f"{height}x{width}.png"] = make(samples, 2, 8, interlace)
        check(files[f"{height}x{width}.png"], samples, 2, 8)
    archived(tmp_path, files)


LONG = [(3, 5000, 0, 1), (5000, 3, 3, 4), (5000, 3, 0, 16), (3, 5000, 6, 8), (5000, 3, 2, 16)]


@pytest.mark.parametrize(("height", "width", "colour", "depth"), LONG)
def test_long_images(height, width, colour, depth, tmp_path):
    extra = palette(depth) if colour == 3 else b""
    samples = picture(height, width, colour, depth)
    files = {f"{interlace}.png": make(samples, colour, depth, interlace, extra) for interlace in (0, 1)}
    check(files["1.png"], samples, colour, depth)
    archived(tmp_path, files)


@pytest.mark.parametrize("colour", [2, 6])
def test_sixteen_bit_colours_are_coded_as_images(colour, tmp_path):
    samples = picture(120, 160, colour, 16)
    report = archived(tmp_path, {"deep.png": make(samples, colour, 16, 0, METADATA["profile"])})
    assert [kept.how for kept in report.members] in (["adaptive"], ["filtered"])


def test_other_compressed_formats_are_kept_as_bytes(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)

    image = Image.fromarray(picture(20, 30, 2, 8).astype(np.uint8))
    for name in ("a.webp", "b.webp"):
        image.save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        assert parse(data, name).raw == data
        archive = tmp_path / f"{name}.bba"
        bitsback.compress([name], archive)
        bitsback.decompress(archive, tmp_path / "out")
        assert (tmp_path / "out" / name).read_bytes() == data
