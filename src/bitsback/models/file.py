"""The model file: packed safetensors, whose metadata holds the configuration as JSON.

What a model *is* stands in the safetensors alone, so its identity is their SHA-256, however they are packed. Before
them comes a head of 46 bytes:

======  ========  ==================================================================================
offset  type
======  ========  ==================================================================================
0       8 bytes   :data:`MAGIC`
8       u8        version: 2
9       u8        packing of the rest: 0 as it is, 1 LZMA2 with a dictionary of 1 MiB, 2 DEFLATE
10      u32       size of the safetensors
14      32 bytes  their SHA-256
======  ========  ==================================================================================

A model file may come from a stranger. Opening one runs no code: the kinds of model and of layer are a closed list,
every field is known, what running the model costs is bounded, no more is unpacked than was announced, and all numbers
are checked before one of them is used. The SHA-256 tells a damaged file from a sound one.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import stat
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ChecksumError, LimitError, ModelError, UnsupportedVersionError
from bitsback.kinds import AnyConfig
from bitsback.kinds.base import Tensors

MAGIC = b"\x8fBBM\r\n\x1a\n"
VERSION = 2
STORED, LZMA, DEFLATE = 0, 1, 2

MAX_CONTENT = 32 << 20
MAX_FILE = MAX_CONTENT + 1024
MAX_HEADER = 1 << 20

METADATA_KEY = "bitsback"
SUFFIX = ".bbm"

_HEAD = struct.Struct("<8sBBI32s")
HEAD_SIZE = _HEAD.size
"""Bytes of a file from which :func:`claimed` tells its identity."""

_TYPES = {"I8": np.int8, "I16": np.int16, "U8": np.uint8, "I32": np.int32}
_DICTIONARY = 1 << 20


# Made here, once: msgspec puts a type's description together at its first use, which is not safe in two threads
_DECODER: msgspec.json.Decoder[AnyConfig] = msgspec.json.Decoder(AnyConfig)


def dump(config: AnyConfig, tensors: Tensors) -> bytes:
    """Serialise and pack; the same model always has the same identity."""
    whole = content(config, tensors)
    packing, packed = _packed(whole)
    return _HEAD.pack(MAGIC, VERSION, packing, len(whole), hashlib.sha256(whole).digest()) + packed


def _packed(content: bytes) -> tuple[int, bytes]:
    """How, and the result. DEFLATE is taken where it is about as small, as it is unpacked ten times as fast."""
    # Of every pair of bytes most 16-bit weights have one that is nearly always the same, hence lp
    chain = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": _DICTIONARY, "lc": 1, "lp": 1, "pb": 0}
    small = lzma.compress(content, lzma.FORMAT_RAW, filters=[chain])
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_FILTERED)
    fast = deflater.compress(content) + deflater.flush()
    return (DEFLATE, fast) if len(fast) < 1.02 * len(small) else (LZMA, small)


def content(config: AnyConfig, tensors: Tensors) -> bytes:
    """The safetensors that a model file packs."""
    # As the safetensors library does, but that one puts the keys of the metadata into a random order
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, tensors[name].dtype.kind == "u", name))
    text = msgspec.json.encode(config, order="deterministic").decode()
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: text}}
    body, kinds = bytearray(), {np.dtype(dtype): kind for kind, dtype in _TYPES.items()}
    for name in order:
        begin, tensor = len(body), tensors[name]
        body += tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": kinds[tensor.dtype], "shape": tensor.shape, "data_offsets": [begin, len(body)]}
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + body


def read(path: Path, most: int = MAX_FILE) -> bytes:
    """The bytes of a file of at most ``most``, without reading on for ever where it is no file, or a huge one.

    Raises:
        ModelError, LimitError: it is not a regular file, or too large. OSError.
    """
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise ModelError("not a regular file")
    if info.st_size > most:
        raise LimitError(f"{info.st_size} bytes are beyond the limit of {most}")
    with path.open("rb") as file:
        return file.read(most)


def claimed(head: bytes) -> str:
    """The identity, in hex, that a file with such first bytes claims to have; nothing if it is no model file."""
    if len(head) < HEAD_SIZE or not head.startswith(MAGIC):
        return ""
    return bytes(_HEAD.unpack_from(head)[4]).hex()


def parse(data: bytes) -> tuple[str, AnyConfig, dict[str, NDArray[Any]]]:
    """Check and take apart a model file: its identity, its configuration, and its tensors.

    Raises:
        ModelError: not a well-formed model file, or one that would be unsafe to run. ChecksumError: damaged.
        LimitError: too large. UnsupportedVersionError: a newer version.
    """
    content = unpack(data)
    size = struct.unpack_from("<Q", content)[0] if len(content) >= 8 else len(content)
    if size > min(MAX_HEADER, len(content) - 8):
        raise ModelError("the model's header is cut short, or too large")
    try:
        header = _DECODE(str(content[8 : 8 + size], "utf-8"))
        metadata = header.pop("__metadata__")
        text = metadata.pop(METADATA_KEY)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError("the model's header is not valid") from None
    if metadata:
        raise ModelError("the model has metadata of an unknown kind")
    tensors = _tensors(header, memoryview(content)[8 + size :])
    try:
        _DECODE(text)  # a key twice, and numbers without end, are for nobody to choose from
        config = _DECODER.decode(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"the model's configuration is not valid: {ascii(str(error))[1:-1]:.200}") from None
    config.check()
    if unknown := tensors.keys() - config.check_tensors(tensors):
        raise ModelError(f"the model's tensor {min(unknown)!a:.80} belongs to no network")
    return claimed(data), config, tensors


def unpack(data: bytes) -> bytes:
    """The safetensors in a model file, of which nothing but their SHA-256 has been looked at.

    Raises:
        As :func:`parse`.
    """
    if len(data) > MAX_FILE:
        raise LimitError(f"{len(data)} bytes are beyond the limit of {MAX_FILE}")
    if len(data) < HEAD_SIZE or not data.startswith(MAGIC):
        raise ModelError(f"not a model file: {_looks_like(data)}")
    _, version, packing, size, identity = _HEAD.unpack_from(data)
    if version != VERSION:
        raise UnsupportedVersionError(f"the model file is of version {version}; this bitsback reads version {VERSION}")
    if size > MAX_CONTENT:
        raise LimitError(f"a model of {size} bytes is beyond the limit of {MAX_CONTENT}")
    if packing not in (STORED, LZMA, DEFLATE):
        raise UnsupportedVersionError(f"the model file is packed in a way {packing} that this bitsback does not know")
    packed = memoryview(data)[HEAD_SIZE:]
    content = bytes(packed) if packing == STORED else _unpacked(packed, packing, size)
    if len(content) != size or hashlib.sha256(content).digest() != identity:
        raise ChecksumError("the model file is damaged: it does not hold what it announces")
    return content


def _unpacked(packed: memoryview, packing: int, size: int) -> bytes:
    """At most ``size`` bytes and one more; nothing if they are damaged."""
    chain = [{"id": lzma.FILTER_LZMA2, "dict_size": _DICTIONARY}]
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain) if packing == LZMA else zlib.decompressobj(-15)
    try:
        content = unpacker.decompress(packed, size + 1)
    except (lzma.LZMAError, zlib.error):
        return b""
    return content if unpacker.eof and not unpacker.unused_data else b""


def _tensors(header: dict[str, Any], body: memoryview) -> dict[str, NDArray[Any]]:
    """The tensors, which must cover the body without gaps or overlaps."""
    tensors: dict[str, NDArray[Any]] = {}
    spans = []
    for name, entry in header.items():
        try:
            kind, shape, (begin, end) = entry.pop("dtype"), entry.pop("shape"), entry.pop("data_offsets")
            dtype = np.dtype(_TYPES[kind])
            whole = len(shape) <= 4 and all(type(n) is int and n >= 0 for n in (*shape, begin, end))
            if entry or not whole or end > len(body) or end - begin != math.prod(shape) * dtype.itemsize:
                raise ValueError
            tensors[name] = np.frombuffer(body[begin:end], dtype.newbyteorder("<")).astype(dtype).reshape(shape)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ModelError(f"the model's tensor {name!a:.80} is not valid") from None
        spans.append((begin, end))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise ModelError("the model's tensors overlap or leave gaps")
        position = end
    if position != len(body):
        raise ModelError("the model file has bytes that belong to no tensor")
    return tensors


def _looks_like(data: bytes) -> str:
    """What a file is that is no model, in words: people mix up files, and browsers save pages of errors."""
    signs = {
        b"PK\x03\x04": "it is a zip file, such as a PyTorch checkpoint",
        b"\x80": "it is a pickle, such as an old PyTorch checkpoint",
        b"\x8fBBA": "it is an archive",
        b"\x89HDF": "it is an HDF5 file",
        b"<": "it is an HTML page",
        b"version https://git-lfs": "it is a pointer of Git LFS, not the file itself",
    }
    for sign, words in signs.items():
        if data[:64].lstrip().startswith(sign):
            return words
    return "it does not begin as one does" if data else "it is empty"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _small(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number is too large")
    return int(digits)


_DECODE = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_small).decode
"""JSON without huge integers, and with no key twice."""
