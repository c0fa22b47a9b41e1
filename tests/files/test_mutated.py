"""Whatever happens to a PNG or gzip file, it is stored, and comes back as it was."""

import gzip
import io
import struct
import zlib

import numpy as np
from PIL import Image

from bitsback.files import parse, write
from strange import strange_png

RNG = np.random.default_rng(12)


def png(image: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", **options)
    return file.getvalue()


def seeds() -> dict[str, bytes]:
    """Small files of many kinds."""
    ramp = (np.add.outer(np.arange(20), np.arange(24)) * 5 + RNG.integers(0, 3, (20, 24))).astype(np.uint8)
    colours = np.stack([ramp, ramp // 2, 255 - ramp], -1)
    array = io.BytesIO()
    np.save(array, np.repeat(ramp[None], 9, 0))
    moved = [Image.fromarray(np.roll(colours, n, 1)) for n in (1, 2)]
    return {
        "grey.png": png(ramp),
        "colours.png": png(colours, compress_level=1),
        "deep.png": png(ramp.astype(np.uint16) * 200),
        "two.png": png(ramp > 50),
        "palette.png": png(np.asarray(Image.fromarray(colours).quantize(9))),
        "moving.png": png(colours, save_all=True, append_images=moved),
        "strange.png": strange_png(np.repeat(np.repeat(ramp // 40, 3, 0), 3, 1), 0.05),
        "a.npy.gz": gzip.compress(array.getvalue(), mtime=5),
        "two.npy.gz": gzip.compress(array.getvalue()[:999], 1) + gzip.compress(array.getvalue()[999:], 9),
    }


SEEDS = seeds()


def inside(data: bytes) -> tuple[int, int]:
    """Where the deflated bytes are."""
    return (data.index(b"IDAT") + 4, data.index(b"IEND") - 8) if data[0] == 0x89 else (10, len(data) - 8)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut out, put in, moved or repeated; in the file, or in what is deflated in it."""
    bad = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        first, last = inside(data) if rng.random() < 0.5 else (0, len(bad))
        at, size = int(rng.integers(first, max(first + 1, last))), int(rng.integers(1, 12))
        how = int(rng.integers(6))
        if how == 0:
            bad[at : at + 1] = bytes([int(rng.integers(256))])
        elif how == 1:
            del bad[at : at + size]
        elif how == 2:
            bad[at:at] = rng.bytes(size)
        elif how == 3:
            bad[at : at + size] = bad[at : at + size][::-1]
        elif how == 4:
            bad[at:at] = bad[: 8 * size]
        else:
            bad[at : at + 4] = struct.pack(">I", int(rng.integers(1 << 32)) >> int(rng.integers(32)))
    return bytes(bad)


def mended(data: bytes) -> bytes:
    """With right checksums of all chunks that can be told, so that the parser goes on."""
    bad, at = bytearray(data), 8
    while data[:1] == b"\x89" and at + 12 <= len(bad):
        size = int.from_bytes(bad[at : at + 4], "big")
        if at + 12 + size > len(bad):
            break
        bad[at + 8 + size : at + 12 + size] = struct.pack(">I", zlib.crc32(bad[at + 4 : at + 8 + size]))
        at += 12 + size
    return bytes(bad)


def test_each_comes_back_as_it_was() -> None:
    rng = np.random.default_rng(0)
    taken_apart = 0
    for name, seed in SEEDS.items():
        for number in range(50):
            data = mutated(seed, rng)
            if number % 2:
                data = mended(data)
            picture = parse(data, name)
            back = write(picture.recipe, picture.blob, picture.parts) if picture.raw is None else picture.raw
            assert back == data and picture.exact
            taken_apart += picture.raw is None
    assert taken_apart > 20
