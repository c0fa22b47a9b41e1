"""NIfTI-1 and NIfTI-2 in one file (``.nii``): medical volumes, their slices as images.

(https://nifti.nimh.nih.gov/nifti-1, header fields by their offsets; NIfTI-2, the same with wider fields.)
"""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files.numbers import read_numbers, slices
from bitsback.files.picture import Buffer, Content

_TYPES = {2: "u1", 256: "i1", 512: "u2", 4: "i2", 768: "u4", 8: "i4", 1280: "u8", 1024: "i8", 16: "f4", 64: "f8"}
_RGB = {128: 3, 2304: 4}


def read(data: Buffer) -> Content:
    """Take a NIfTI file apart. Raises ImageError if it is damaged or of another type."""
    try:
        order = next((order for order in "<>" if struct.unpack_from(order + "i", data)[0] in (348, 540)), "")
        if not order:
            raise ImageError("an unknown NIfTI header")
        if struct.unpack_from(order + "i", data)[0] == 348:
            rank, *sizes = struct.unpack_from(order + "8h", data, 40)
            (kind,) = struct.unpack_from(order + "h", data, 70)
            (offset,) = struct.unpack_from(order + "f", data, 108)
        else:
            (kind,) = struct.unpack_from(order + "h", data, 12)
            rank, *sizes = struct.unpack_from(order + "8q", data, 16)
            (offset,) = struct.unpack_from(order + "q", data, 168)
    except struct.error:
        raise ImageError("the file ends within the NIfTI header") from None
    if not 1 <= rank <= 7 or not 348 <= offset < len(data) or offset != int(offset):
        raise ImageError("a damaged NIfTI header")
    axes = sizes[:rank][::-1]
    if kind in _RGB:
        return read_numbers("nifti", data, int(offset), [*axes, _RGB[kind]], "u1")
    if kind not in _TYPES:
        raise ImageError(f"NIfTI numbers of type {kind}")
    return read_numbers("nifti", data, int(offset), slices(axes), _TYPES[kind], order == ">")
