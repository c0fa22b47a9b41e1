"""Small general-purpose packing of byte strings, with the output bounded while it is being unpacked."""

import lzma
import zlib
from enum import IntEnum

import numpy as np

from bitsback.errors import FormatError, UnsupportedVersionError

DICTIONARY = (
    b'{"arrays":[{"at":[8,3271],"codec":"lzw","coded":[[1,[0,0]]],"page":10800,"step":10800}],"format":"tiff"}'
    b'{"format":"gzip","inner":{"format":"idx","head":16,"layout":{"bits":1,"align":4}},"members":[{"deflate":[9,8,0,15,0]}]}'
    b'{"format":"npz","members":[{"array":{"format":"npy","head":128,"layout":{}},"deflate":[6,8,0,15,0]}]}'
    b'{"format":"bmp","head":54,"layout":{"align":4,"flip":true,"swap":true}}'
    b'{"format":"pnm","head":13,"layout":{}}P6\n512 768\n255\nP5\n28 28\n255\n'
    b'{"format":"jpeg"}{"chunks":"PLTE IDAT","colour":3,"depth":4,"format":"png","palette":1}'
    b".tiff.bmp.npz.pgm.jpg.npy.png/images/train/test/array.npy"
    b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1, 28, 28), }" + 60 * b" " + b"\n"
    b'{"format":"npy","head":128,"layout":{}}'
    b'{"colour":0,"depth":1,"format":"png","images":[{"deflate":[6,8,1,15,0],"filter":"01234"}]}'
    b'{"colour":2,"depth":8,"format":"png","images":[{"deflate":[6,8,1,15,0],"filter":"01234","head":30938}]}'
)
"""Strings that small archives are made of: the preset dictionary of packing 3. Part of the format, never changed."""


def _filters(size: int = 1 << 23) -> list[dict[str, int]]:
    """What xz is told. Packing, it need not look back farther than there is anything, which spares it tables."""
    dictionary = min(max(4096, 1 << (size - 1).bit_length()), 1 << 23)
    return [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": dictionary, "lc": 3, "lp": 0, "pb": 0}]


class Packing(IntEnum):
    """How a byte string is stored."""

    STORED = 0
    DEFLATE = 1
    """Raw DEFLATE, no zlib wrapper."""
    LZMA2 = 2
    """A raw LZMA2 stream; dictionary 8 MiB."""
    PRIMED = 3
    """Raw DEFLATE with :data:`DICTIONARY` as its preset dictionary."""


PACKINGS = frozenset(Packing)


def pack(data: bytes) -> tuple[Packing, bytes]:
    """Store ``data`` in the smallest of the ways that suit its size; the earlier one wins a tie.

    >>> pack(b"ab")
    (<Packing.STORED: 0>, b'ab')
    >>> how, packed = pack(b"x" * 10000)
    >>> unpack(how, packed, 10000) == b"x" * 10000
    True
    """
    tries = [(Packing.STORED, data)]
    if len(data) < 1 << 22:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        tries.append((Packing.DEFLATE, deflate.compress(data) + deflate.flush()))
    if len(data) < 1 << 13:
        primed = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
        tries.append((Packing.PRIMED, primed.compress(data) + primed.flush()))
    if len(data) > 64:
        tries.append((Packing.LZMA2, lzma.compress(data, lzma.FORMAT_RAW, filters=_filters(len(data)))))
    return min(tries, key=lambda way: len(way[1]))


def unpack(how: int, data: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes again; never holds more than that, whatever ``data`` claims. FormatError on damage.

    The caller checks ``size`` against its limit first.
    """
    try:
        if how == Packing.STORED:
            out, rest, ended = data, b"", True
        elif how in (Packing.DEFLATE, Packing.PRIMED):
            inflate = zlib.decompressobj(-15, DICTIONARY) if how == Packing.PRIMED else zlib.decompressobj(-15)
            out = inflate.decompress(data, size + 1)
            rest, ended = inflate.unused_data, inflate.eof
        elif how == Packing.LZMA2:
            expand = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters())
            out = expand.decompress(data, size + 1)
            rest, ended = expand.unused_data if expand.eof else b"", expand.eof
        else:
            raise UnsupportedVersionError(f"packing {how} is unknown to this version")
    except (zlib.error, lzma.LZMAError) as error:
        raise FormatError(f"packed bytes are malformed: {error}") from None
    if len(out) != size or rest or not ended:
        raise FormatError("packed bytes do not unpack to their announced size")
    return out


def worth_packing(data: bytes) -> bool:
    """Whether a quick look at the beginning says that packing would gain at least 5 %, or that it is too short to tell.

    >>> worth_packing(b"text " * 1000), worth_packing((3**9999).to_bytes(1982, "little")), worth_packing(b"")
    (True, False, True)
    """
    sample = data[: 1 << 16]
    return len(sample) < 256 or len(zlib.compress(sample, 1)) < 0.95 * len(sample)


def repeated(data: bytes) -> float:
    """Which share of the strings of 8 bytes in ``data``, of which one in 64 is looked at, stood in it before.

    Files that do not pack may be like each other: packing them together is worth it then.

    >>> repeated(bytes(range(256)) * 8) > 0.8, repeated((3**9999).to_bytes(1982, "little")), repeated(b"")
    (True, 0.0, 0.0)
    """
    found = []
    for start in range(0, len(data) - 7, 1 << 20):
        part = data[start : start + (1 << 20) + 7]
        strings = np.ndarray((len(part) - 7,), "<u8", part, strides=(1,))
        mixed = strings * np.uint64(0x9E3779B97F4A7C15)
        found.append(mixed[mixed >> np.uint64(58) == 0])
    looked_at = np.concatenate(found) if found else np.empty(0, np.uint64)
    return 1 - len(np.unique(looked_at)) / len(looked_at) if len(looked_at) else 0.0
