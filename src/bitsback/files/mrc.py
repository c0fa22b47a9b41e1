"""MRC and CCP4 maps: stacks and volumes of electron microscopy. (Cheng and others, "MRC2014", 2015.)"""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files.numbers import read_numbers
from bitsback.files.picture import Buffer, Content

_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2"}
_HEADER = 1024


def read(data: Buffer) -> Content:
    """Take an MRC file apart. Raises ImageError if it is damaged or of another type."""
    if len(data) < _HEADER:
        raise ImageError("the file ends within the MRC header")
    order = ">" if data[212] == 0x11 else "<"
    *sizes, mode = struct.unpack_from(order + "4i", data)
    (extended,) = struct.unpack_from(order + "i", data, 92)
    if mode not in _TYPES or extended < 0:
        raise ImageError(f"an MRC map of mode {mode}")
    return read_numbers("mrc", data, _HEADER + extended, sizes[::-1], _TYPES[mode], order == ">")
