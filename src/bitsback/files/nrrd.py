"""NRRD with its numbers in the same file, as they are (``encoding: raw``).

(Gordon Kindlmann, "Definition of NRRD file format", https://teem.sourceforge.net/nrrd/format.html.)
"""

from __future__ import annotations

from bitsback.errors import ImageError
from bitsback.files.numbers import read_numbers
from bitsback.files.picture import Buffer, Content

_HEADER = 1 << 16
_NAMES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, int64, int64_t, signed long long",
    "u8": "ulonglong, unsigned long long, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPES = {name: of_type for of_type, names in _NAMES.items() for name in names.split(", ")}


def read(data: Buffer) -> Content:
    """Take an NRRD file apart. Raises ImageError if it is damaged or its numbers are coded or elsewhere."""
    head = bytes(data[:_HEADER])
    end = min((at + len(gap) for gap in (b"\n\n", b"\r\n\r\n") if (at := head.find(gap)) >= 0), default=0)
    if not end:
        raise ImageError("an NRRD header without an end")
    lines = head[:end].decode("latin-1").splitlines()[1:]
    fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#"))
    if "data file" in fields or "datafile" in fields:
        raise ImageError("an NRRD header whose numbers are elsewhere")
    of_type = _TYPES.get(fields.get("type", "").strip(), "")
    if fields.get("encoding", "").strip() != "raw" or not of_type:
        raise ImageError(f"NRRD numbers of type {fields.get('type')}, {fields.get('encoding')}")
    if any(fields.get(name, "0").strip() != "0" for name in ("line skip", "lineskip", "byte skip", "byteskip")):
        raise ImageError("an NRRD header that skips some of the file")
    axes = [int(size) for size in fields.get("sizes", "").split()][::-1]
    return read_numbers("nrrd", data, end, axes, of_type, fields.get("endian", "").strip() == "big")
