"""The codecs that people use instead, each on one thread, and what they make of images.

A codec gets one array at a time, and a *layout* says of what:

    each      every image is a file of its own, and their sizes are added up
    tall      all images on top of one another, in one image
    mosaic    all images side by side, in one image as near to a square as their number allows
    stream    the raw bytes of all images, one after another
"""

from __future__ import annotations

import io
import lzma
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np

import measure
from sets import Array


class Codec(NamedTuple):
    """How an array becomes bytes, and the array again."""

    name: str
    encode: Callable[[Array], bytes]
    decode: Callable[[bytes], Any]


@dataclass
class Row:
    """What a codec made of a set. Speeds in MB of raw samples a CPU second."""

    name: str
    layout: str
    images: int
    bytes: int
    bits_per_dim: float
    encode: float
    decode: float
    note: str = ""


def jpegxl(effort: int) -> Codec:
    """JPEG XL."""
    return Codec(
        f"JPEG XL, effort {effort}",
        lambda image: bytes(imagecodecs.jpegxl_encode(image, lossless=True, effort=effort, numthreads=1)),
        lambda data: imagecodecs.jpegxl_decode(data, numthreads=1),
    )


def webp(method: int, level: int, grey: bool = False) -> Codec:
    """WebP, which knows colour only: grey is given three times."""

    def encode(image: Array) -> bytes:
        colour = np.repeat(image[..., None], 3, 2) if grey else image
        return bytes(imagecodecs.webp_encode(colour, level=level, lossless=True, method=method, numthreads=1))

    def decode(data: bytes) -> Array:
        image: Array = imagecodecs.webp_decode(data)
        return image[..., 0] if grey else image

    return Codec(f"WebP lossless, method {method}", encode, decode)


def png(binary: bool = False) -> Codec:
    """PNG by Pillow, optimised; of binary images, of 0 and 1, a pixel is a bit."""
    from PIL import Image

    def encode(image: Array) -> bytes:
        picture = Image.fromarray(image)
        if binary:
            picture = Image.frombytes("1", image.shape[::-1], np.packbits(image, axis=1).tobytes())
        stream = io.BytesIO()
        picture.save(stream, format="PNG", optimize=True)
        return stream.getvalue()

    def decode(data: bytes) -> Array:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture)

    return Codec("PNG, optimised", encode, decode)


def jpegls() -> Codec:
    """JPEG-LS; green is subtracted from red and blue before, which makes photos a third smaller."""

    def turned(image: Array, sign: int) -> Array:
        if image.ndim == 2:
            return image
        green = image[..., 1:2] * np.array([1, 0, 1], image.dtype)
        return image + green if sign > 0 else image - green

    return Codec(
        "JPEG-LS",
        lambda image: bytes(imagecodecs.jpegls_encode(turned(image, -1))),
        lambda data: turned(imagecodecs.jpegls_decode(data), 1),
    )


def jpeg2000() -> Codec:
    """JPEG 2000 by the reversible wavelet."""
    return Codec(
        "JPEG 2000 lossless",
        lambda image: bytes(imagecodecs.jpeg2k_encode(image, level=0, reversible=True, numthreads=1)),
        lambda data: imagecodecs.jpeg2k_decode(data, numthreads=1),
    )


def flif(grey: bool = False) -> Codec:
    """FLIF by its command, at its own settings: a process for every image, from and to PNM, counted whole."""
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def run(way: str, data: bytes, before: str, after: str) -> bytes:
        with tempfile.TemporaryDirectory() as name:
            source, target = Path(name) / f"a{before}", Path(name) / f"b{after}"
            source.write_bytes(data)
            subprocess.run(["flif", way, source, target], check=True, close_fds=False, **quiet)
            return target.read_bytes()

    def encode(image: Array) -> bytes:
        ending, magic = (".pgm", b"P5") if grey else (".ppm", b"P6")
        height, width = image.shape[:2]
        largest = np.iinfo(image.dtype).max
        samples = image.astype(image.dtype.newbyteorder(">")).tobytes()
        return run("-e", b"%s\n%d %d\n%d\n%s" % (magic, width, height, largest, samples), ending, ".flif")

    def decode(data: bytes) -> Array:
        magic, sizes, largest, samples = run("-d", data, ".flif", ".pnm").split(b"\n", 3)
        width, height = map(int, sizes.split())
        array = np.frombuffer(samples, ">u2" if int(largest) > 255 else np.uint8).reshape(height, width, -1)
        if grey:
            return array[..., 0]
        return np.repeat(array, 3, 2) if magic == b"P5" else array  # of colours that are all grey, it keeps one

    return Codec("FLIF", encode, decode)


def stream(name: str, compress: Callable[[bytes], bytes], decompress: Callable[[bytes], bytes]) -> Codec:
    """A compressor of bytes."""
    return Codec(name, lambda data: compress(data.tobytes()), lambda data: np.frombuffer(decompress(data), np.uint8))


def xz() -> Codec:
    """xz at its best."""
    return stream("xz -9e", lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME), lzma.decompress)


def of_images(image: Array) -> list[Codec]:
    """Those that take such an image, FLIF where its command is at hand."""
    found = [jpegxl(effort) for effort in (1, 3, 5, 7, 9)]
    if image.dtype == np.uint8:
        found += [webp(method, level, grey=image.ndim == 2) for method, level in ((0, 0), (4, 75), (6, 99))]
    found += [png(), jpegls(), jpeg2000()]
    return [*found, flif(image.ndim == 2)] if shutil.which("flif") else found


def arranged(images: Sequence[Array], layout: str) -> list[Array]:
    """What a codec is called with, in turn."""
    if layout == "each":
        return list(images)
    if layout == "stream":
        return [np.concatenate([image.reshape(-1).view(np.uint8) for image in images])]
    n, (height, width, *channels) = len(images), images[0].shape
    columns = 1 if layout == "tall" else max(k for k in range(1, int(n**0.5) + 1) if n % k == 0)
    tiles = np.stack(images).reshape(n // columns, columns, height, width, *channels).swapaxes(1, 2)
    return [np.ascontiguousarray(tiles).reshape(n // columns * height, columns * width, *channels)]


def measured(codec: Codec, layout: str, images: Sequence[Array], repeats: int = 1) -> Row:
    """Run it, compare, and count."""
    given = arranged(images, layout)
    coded, encoding = measure.cpu(lambda: [codec.encode(part) for part in given], repeats)
    decoded, decoding = measure.cpu(lambda: [codec.decode(data) for data in coded], repeats)
    compare(codec.name, given, decoded)
    return row(codec.name, layout, images, sum(map(len, coded)), encoding, decoding)


def compare(name: str, images: Sequence[Any], again: Sequence[Any]) -> None:
    """Stop the run unless the images are the same."""
    if len(images) != len(again) or not all(map(np.array_equal, images, again)):
        raise SystemExit(f"{name} did not give the same images")


def row(name: str, layout: str, images: Sequence[Array], size: int, encoding: float, decoding: float) -> Row:
    """Bytes and CPU seconds as rates."""
    samples, raw = sum(image.size for image in images), sum(image.nbytes for image in images)
    return Row(name, layout, len(images), size, 8 * size / samples, raw / 1e6 / encoding, raw / 1e6 / decoding)
