"""What a page shows of an archive: lists of images, pictures of them, their facts. Nothing here knows of a server."""

from __future__ import annotations

import io
import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitsback.archive import Archive
from bitsback.archive.front import apply
from bitsback.archive.library import kind_name
from bitsback.data import peers
from bitsback.errors import BitsBackError, ImageError

MOST_LISTED = 1000
"""Images of which a list tells at once."""

MOST_MEASURED = 1 << 24
"""Samples of an image whose sizes in other formats are measured."""


class Shown(NamedTuple):
    """An image in a list."""

    number: int
    name: str
    height: int
    width: int


class Gallery:
    """The images of an archive, by number.

    Pictures are PNG files of 8 bits: two-valued and darker images, and those of 16 bits, are stretched to what can be
    seen; of more than four channels the first is shown. All of it may be asked for by several threads.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def __len__(self) -> int:
        return len(self.archive)

    @cached_property
    def _names(self) -> list[str]:
        """The file of each image."""
        return [_text(member.name) for member in self.archive.members for _ in range(member.images)]

    def list(self, start: int = 0, count: int = MOST_LISTED, search: str = "") -> tuple[int, list[Shown]]:
        """How many images there are whose file's name has ``search`` in it, whatever the case; and some of them."""
        wanted = search.lower()
        found = range(len(self)) if not wanted else [n for n, name in enumerate(self._names) if wanted in name.lower()]
        return len(found), [self._shown(number) for number in found[start : start + min(count, MOST_LISTED)]]

    def _shown(self, number: int) -> Shown:
        member, part, _ = self.archive.locate(number)
        about = member.parts[part]
        height, width = (0, 0) if about.coefficients else about.shape[:2]
        return Shown(number, _text(member.name), height, width)

    def picture(self, number: int, edge: int = 0) -> bytes:
        """A PNG file of an image; with ``edge``, made smaller to fit into so many pixels. Raises IndexError, and what
        reading raises."""
        image = Image.fromarray(visible(self.archive[number]))
        if edge and max(image.size) > edge:
            image.thumbnail((edge, edge))
        return _png(image)

    def facts(self, number: int) -> dict[str, Any]:
        """What there is to say of an image without decoding it. Raises IndexError."""
        member, part, place = self.archive.locate(number)
        about = member.parts[part]
        data, which = self.archive.block_of(number)
        block = data.head.blocks[which]
        how = kind_name(block.tag) if not block.model else self._model_name(block.model.hex())
        share = block.size if about.coefficients else block.size * math.prod(about.shape) / block.samples
        return {
            "number": number, "name": _text(member.name), "place": place, "of": member.images,
            "shape": None if about.coefficients else about.shape, "dtype": about.dtype,
            "file": None if member.pixels_only else member.size, "how": how, "share": round(share),
            "block": {"images": 1 if about.coefficients else block.count, "bytes": block.size},
            "bits": bool(block.model) and not about.coefficients,
        }  # fmt: skip

    def _model_name(self, identity: str) -> str:
        try:
            return self.archive.model(identity).name
        except BitsBackError:
            return f"sha256:{identity[:8]}"

    def sizes(self, number: int) -> dict[str, int]:
        """Bytes of an image alone, raw and in the formats of :data:`bitsback.data.peers.PEERS` that are there and take
        it. Raises ImageError if it is too large to try."""
        image = self.archive[number]
        if image.size > MOST_MEASURED:
            raise ImageError("this image is too large to try other formats on")
        found = {"raw": image.nbytes}
        for name in peers.PEERS:
            try:
                if peer := peers.find(name):
                    found[name] = len(peer.encode(image))
            except ImageError:
                continue
        return found

    def bits(self, number: int) -> bytes:
        """Where an image's bits went, as a PNG file: the more a pixel took, the brighter (as the root of it).

        Raises:
            ImageError: it was not coded by a model that can say so.
        """
        member, part, _ = self.archive.locate(number)
        data, which = self.archive.block_of(number)
        block = data.head.blocks[which]
        if not block.model or member.parts[part].coefficients:
            raise ImageError("only models say where bits go")
        model: Any = self.archive.model(block.model.hex())
        image = self.archive[number]
        (given,) = apply(block.front, [image.reshape(1, *image.shape[:2], -1)])
        samples, _ = model.bits(given)
        pixels = samples[0].sum(2)
        most = max(float(pixels.max()), 1e-9)
        return _png(Image.fromarray((255 * np.sqrt(pixels / most)).astype(np.uint8)))


def visible(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image as a screen can show it, (height, width) or (height, width, 2 to 4), uint8.

    >>> visible(np.array([[0, 1]], np.uint8)), visible(np.array([[100, 4100]], np.uint16))
    (array([[  0, 255]], dtype=uint8), array([[  0, 255]], dtype=uint8))
    """
    if image.ndim == 3 and not 2 <= image.shape[2] <= 4:
        image = image[..., 0]
    if image.dtype == np.uint8 and (image.ndim == 3 or image.max() > 1):
        return np.ascontiguousarray(image)
    low, high = int(image.min()), int(image.max())
    if image.dtype == np.uint8:
        low = 0
    scaled = (image.astype(np.float32) - low) * (255 / max(high - low, 1))
    shown: NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    return shown


def _text(name: str) -> str:
    """A name as it can be sent: bytes that are no text are replaced."""
    return name.encode("utf-8", "replace").decode()


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


__all__ = ["Gallery", "Shown", "visible"]
