"""Types of images: what a model can be for, and what an image is.

An image that a model is for is uint8; what it has besides its samples (a palette, more bits, two values only) decides
whether it is of that type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bitsback.data.sources import Item
from bitsback.errors import ImageError
from bitsback.files import levels

_BITS = {1: "two-valued ", 8: "8-bit ", 16: "16-bit "}
_COLOURS = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}
_PALETTE = "palette"


@dataclass(frozen=True)
class ImageType:
    """What a model can be for: 1 to 4 channels of 8 bits (``levels`` 256), or one channel of samples 0 and 1 (2).

    >>> print(ImageType(3), "|", ImageType(1, 2))
    8-bit RGB | two-valued grey
    """

    channels: int
    levels: Literal[2, 256] = 256

    def __str__(self) -> str:
        return _BITS[8 if self.levels == 256 else 1] + _COLOURS[self.channels]

    @classmethod
    def named(cls, words: str) -> ImageType | None:
        """The type with that name; None if no model can be for it.

        >>> ImageType.named("8-bit RGBA"), ImageType.named("16-bit grey")
        (ImageType(channels=4, levels=256), None)
        """
        known = [cls(1, 2), *map(cls, _COLOURS)]
        return next((one for one in known if str(one) == words), None)


def describe(item: Item) -> str:
    """The type of an image in words: those of an :class:`ImageType`, "16-bit RGB", "palette" and the like.

    An image of at most two values counts as two-valued if it has a file of its own, as ``compress`` then takes it so;
    and one of 16 bits that needs no more than 8 counts as one of 8.
    """
    image = narrowed(item.pixels)
    if image.dtype != np.uint8:
        return _BITS[16] + _COLOURS[image.shape[2]]
    if item.alone and levels(image):
        return _BITS[1] + _COLOURS[image.shape[2]]
    return _PALETTE if item.palette else _BITS[8] + _COLOURS[image.shape[2]]


def narrowed(image: NDArray[Any]) -> NDArray[Any]:
    """An image whose samples of 16 bits are all below 256 in 8 bits, as ``compress`` takes a set of such, and as a
    model for 8 bits does then; any other as it is.

    >>> [narrowed(np.array([[[top]]], np.uint16)).dtype.name for top in (255, 256)]
    ['uint8', 'uint16']
    """
    return image.astype(np.uint8) if image.dtype == np.uint16 and int(image.max(initial=0)) < 256 else image


def as_wide(words: str) -> str:
    """The type in words that an image of 16 bits that needs 8 is of beside others that need more.

    >>> as_wide("8-bit RGB"), as_wide("two-valued grey")
    ('16-bit RGB', '16-bit grey')
    """
    return _BITS[16] + next((words.removeprefix(one) for one in _BITS.values() if words.startswith(one)), words)


def as_two_valued(words: str) -> str:
    """The type in words that an 8-bit image is of when its two values are all that its array has.

    >>> as_two_valued("8-bit grey"), as_two_valued("16-bit grey")
    ('two-valued grey', '16-bit grey')
    """
    return _BITS[1] + words.removeprefix(_BITS[8]) if words.startswith(_BITS[8]) else words


def matches(image: NDArray[Any], wanted: ImageType) -> bool:
    """Whether a model for ``wanted`` can take an image (height, width, channels) by itself."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != wanted.channels:
        return False
    return wanted.levels == 256 or levels(image) is not None


def prepare(item: Item, wanted: ImageType) -> NDArray[np.uint8]:
    """The image as ``compress`` would offer it to a model for ``wanted``: of two values, the higher one becomes 1.

    Raises ImageError with the reason if it would not, because it is of another type.
    """
    image = narrowed(item.pixels)
    pair = levels(image) if image.dtype == np.uint8 else None
    blank = pair is not None and pair[0] == pair[1]  # at home among both types of images
    other = pair is not None and not blank and item.alone if wanted.levels == 256 else pair is None
    if other or not matches(image, wanted) or (item.palette and pair is None):
        raise ImageError(f"{describe(item)}, not {wanted}")
    if wanted.levels == 256:
        return np.require(image, requirements=["C", "W"])
    return np.asarray(image > 0 if blank or pair is None else image == pair[1], np.uint8)
