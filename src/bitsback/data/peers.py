"""The codecs that people would use otherwise: PNG, WebP and JPEG XL, one file an image, without loss.

An image is (height, width) or (height, width, channels), uint8 or uint16; of bool, where there are two values only:
PNG and JPEG XL then store one bit a sample.

>>> import numpy as np
>>> stripes = np.tile(np.arange(64, dtype=np.uint8) // 8, (64, 1))
>>> png = find("PNG")
>>> same(png.decode(png.encode(stripes)), stripes)
True
>>> file_sizes([stripes, stripes[:32]], ["PNG"])["PNG"] < stripes.size // 4
True
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bitsback.data.load import in_order
from bitsback.errors import ImageError

Image = NDArray[Any]

JPEG_XL = "JPEG XL"
EFFORT = 7
"""JPEG XL's own default."""

PEERS = ("PNG", "WebP", f"{JPEG_XL} 9")
"""The best that each format offers."""


TRANSCODERS = {
    JPEG_XL: ("imagecodecs", "jpegxl_encode_jpeg", "jpegxl_decode_jpeg"),
    "Lepton": ("lepton_jpeg_python", "compress_bytes", "decompress_bytes"),
}
"""What makes JPEG files smaller, byte for byte: where from, and its functions."""


@dataclass(frozen=True)
class Transcoder:
    """One of :data:`TRANSCODERS`."""

    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]

    def encode(self, data: bytes) -> bytes | None:
        """A JPEG file made smaller; None if this one is refused."""
        try:
            return bytes(self.compress(data))
        except Exception:  # each has errors of its own
            return None

    def decode(self, data: bytes) -> bytes:
        """The inverse."""
        return bytes(self.decompress(data))


def transcoder(name: str) -> Transcoder | None:
    """One of :data:`TRANSCODERS` by its name. None: not installed."""
    module, encoder, decoder = TRANSCODERS[name]
    try:
        package = import_module(module)
    except ModuleNotFoundError:
        return None
    return Transcoder(getattr(package, encoder), getattr(package, decoder))


@dataclass(frozen=True)
class Peer:
    """An image format. ``decode`` gives (height, width, channels) back, as the file has them: see :func:`same`."""

    name: str
    compress: Callable[[Image], bytes]
    decompress: Callable[[bytes], Image]

    def encode(self, image: Image) -> bytes:
        """The bytes of a file that holds the image. ImageError if the format does not take such images."""
        try:
            return self.compress(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            raise ImageError(f"{self.name} does not take {image.dtype} {image.shape}: {error}") from None

    def decode(self, data: bytes) -> Image:
        """The inverse of :meth:`encode`."""
        pixels = self.decompress(data)
        return pixels[..., None] if pixels.ndim == 2 else pixels


def find(name: str) -> Peer | None:
    """ "PNG", "WebP", "JPEG XL" or "JPEG XL 1" to "JPEG XL 9", by its effort. None: unknown, or not installed."""
    Pillow.init()  # here, for no thread of many is to import anything first
    if name == "PNG":
        return Peer(name, _png, _unpillow)
    if name == "WebP":
        return Peer(name, _webp, _unpillow)
    kind, _, effort = name.rpartition(" ")
    if name == JPEG_XL:
        kind, effort = JPEG_XL, str(EFFORT)
    if kind != JPEG_XL or effort not in set("123456789"):
        return None
    try:
        from imagecodecs import jpegxl_decode, jpegxl_encode
    except ImportError:
        return None
    return Peer(name, partial(_jpegxl, jpegxl_encode, int(effort)), jpegxl_decode)


def same(decoded: Image, image: Image) -> bool:
    """Whether a decoded file is the image.

    WebP has no grey, three equal channels come back instead; and it drops an alpha channel that is opaque everywhere.
    """
    if image.ndim == 2:
        image = image[..., None]
    if decoded.shape[2] == 3 and image.shape[2] == 1:
        image = np.repeat(image, 3, 2)
    if decoded.shape[2] == 3 and image.shape[2] == 4 and (image[..., 3] == 255).all():
        image = image[..., :3]
    return bool(np.array_equal(decoded, image))


def file_sizes(
    images: Sequence[Image],
    codecs: Sequence[str] = PEERS,
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, int | None]:
    """Bytes of all images together, one file each, by the name of the codec.

    None for a codec that is not installed, or does not take all of the images or give them back. Images of one channel
    whose samples are all 0 and 1 are stored with one bit a sample where the format can.

    Args:
        images: (height, width, channels) each, or (height, width).
        codecs: names, as for :func:`find`.
        progress: is told how many of how many files are done.
    """
    if all(_two_valued(image) for image in images):
        images = [image.astype(bool) for image in images]
    sizes: dict[str, int | None] = {}
    for number, name in enumerate(codecs):
        peer = find(name)
        sizes[name] = None
        if peer is not None:
            try:
                with closing(in_order(partial(_size, peer), images, threads)) as found:
                    total = 0
                    for done, size in enumerate(found):
                        total += size
                        progress(number * len(images) + done, len(codecs) * len(images))
                    sizes[name] = total
            except ImageError:
                pass
        progress((number + 1) * len(images), len(codecs) * len(images))
    return sizes


def _size(peer: Peer, image: Image) -> int:
    data = peer.encode(image)
    if not same(peer.decode(data), image):
        raise ImageError(f"{peer.name} does not give the image back")
    return len(data)


def _two_valued(image: Image) -> bool:
    return (image.ndim == 2 or image.shape[2] == 1) and image.size > 0 and bool(image.max() <= 1)


def _png(image: Image) -> bytes:
    if image.dtype == np.uint16 and image.ndim == 3:
        raise TypeError("Pillow has no 16-bit colour")
    return _pillow(image, format="PNG", optimize=True)


def _webp(image: Image) -> bytes:
    if image.dtype == np.uint16 or (image.ndim == 3 and image.shape[2] == 2):
        raise TypeError("WebP has 8-bit RGB and RGBA")
    shown = image.astype(np.uint8) if image.dtype == bool else image
    return _pillow(shown, format="WEBP", lossless=True, quality=100, method=4, exact=True)


def _jpegxl(compress: Callable[..., bytes | bytearray], effort: int, image: Image) -> bytes:
    if image.dtype == bool:
        return bytes(compress(image.astype(np.uint8), lossless=True, effort=effort, bitspersample=1, numthreads=1))
    return bytes(compress(image, lossless=True, effort=effort, numthreads=1))


def _pillow(image: Image, **how: Any) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(image).save(stream, **how)
    return stream.getvalue()


def _unpillow(data: bytes) -> Image:
    with Pillow.open(io.BytesIO(data)) as image:
        return np.asarray(image)
