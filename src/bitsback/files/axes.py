"""Which axes of an array are those of images."""

from __future__ import annotations

import math

from bitsback.errors import ImageError
from bitsback.files.raster import Shape

MAX_AXES = 8


def as_images(axes: list[int]) -> tuple[Shape, str]:
    """The images (n, H, W, C) in an array, and the order in which the array has these axes.

    >>> as_images([10000, 28, 28])
    ((10000, 28, 28, 1), 'nhwc')
    >>> as_images([64, 3, 32, 32])
    ((64, 32, 32, 3), 'nchw')
    """
    if not 2 <= len(axes) <= MAX_AXES:
        raise ImageError(f"an array of {len(axes)} axes")
    if len(axes) == 3 and axes[2] in (3, 4):
        return (1, axes[0], axes[1], axes[2]), "nhwc"
    if len(axes) >= 4 and 1 <= axes[-1] <= 4:
        return (math.prod(axes[:-3]), axes[-3], axes[-2], axes[-1]), "nhwc"
    if len(axes) == 4 and 1 <= axes[1] <= 4:
        return (axes[0], axes[2], axes[3], axes[1]), "nchw"
    return (math.prod(axes[:-2]), axes[-2], axes[-1], 1), "nhwc"
