"""Model files to be refused: damaged, mixed up with others, or made by somebody who means harm."""

import hashlib
import json
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

from bitsback.models.file import unpack
from helpers import tiny_model_file

HEAD = struct.Struct("<8sBBI32s")


def sealed(content: bytes, packed: bytes | None = None, size: int | None = None, packing: int = 1) -> bytes:
    """A model file that holds these safetensors, or whatever they are, under a right SHA-256."""
    size, digest = len(content) if size is None else size, hashlib.sha256(content).digest()
    head = HEAD.pack(b"\x8fBBM\r\n\x1a\n", 2, 0 if packed is None else packing, size, digest)
    return head + (content if packed is None else packed)


def header_of(data: bytes) -> dict[str, Any]:
    content = unpack(data)
    (size,) = struct.unpack_from("<Q", content)
    header: dict[str, Any] = json.loads(content[8 : 8 + size])
    return header


def with_header(data: bytes, header: dict[str, Any] | str) -> bytes:
    """The file with another header."""
    content = unpack(data)
    (size,) = struct.unpack_from("<Q", content)
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return sealed(struct.pack("<Q", len(text)) + text + content[8 + size :])


def deflated(data: bytes) -> bytes:
    return zlib.compress(data, 1)[2:-4]


def lzma2(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}])


def with_text(data: bytes, before: str, after: str) -> bytes:
    """The file with another configuration, as JSON text."""
    header = header_of(data)
    text = header["__metadata__"]["bitsback"]
    assert before in text
    header["__metadata__"]["bitsback"] = text.replace(before, after, 1)
    return with_header(data, header)


def _tensor(**change: Any) -> Callable[[bytes], bytes]:
    """One tensor's entry changed."""

    def make(data: bytes) -> bytes:
        header = header_of(data)
        header["encoder.0.bias"].update(change)
        return with_header(data, header)

    return make


def _text(before: str, after: str) -> Callable[[bytes], bytes]:
    return lambda data: with_text(data, before, after)


def _zip() -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({"weight": [0.5]}))
    return stream.getvalue()


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 4
    return bytes(changed)


def _doubled(data: bytes) -> bytes:
    """A tensor's name twice: which one is meant?"""
    return with_header(data, json.dumps(header_of(data))[:-1] + ',"encoder.0.bias":{}}')


def _extra(data: bytes) -> bytes:
    header = header_of(data)
    header["encoder.77.bias"] = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    return with_header(data, header)


_NAME = '"name":"tiny-256"'

MAKERS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "five bytes": lambda data: data[:5],
    "cut short": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "its safetensors alone": lambda data: unpack(data),
    "flipped in the configuration": lambda data: _flipped(sealed(unpack(data)), HEAD.size + 300),
    "flipped in a weight": lambda data: _flipped(sealed(unpack(data)), -9),
    "flipped when packed": lambda data: _flipped(data, -9),
    "flipped in the identity": lambda data: _flipped(data, 20),
    "flipped in the size": lambda data: _flipped(data, 10),
    "version 9": lambda data: data[:8] + b"\x09" + data[9:],
    "packing 9": lambda data: data[:9] + b"\x09" + data[10:],
    "another size": lambda data: sealed(unpack(data), size=len(unpack(data)) + 1),
    "a huge size": lambda data: sealed(unpack(data), size=(1 << 32) - 1),
    "a bomb": lambda data: sealed(b"", lzma2(bytes(100 << 20)), 20 << 20),
    "another bomb": lambda data: sealed(b"", deflated(bytes(100 << 20)), 20 << 20, packing=2),
    "half of what is packed": lambda data: sealed(unpack(data), deflated(unpack(data))[:-100], packing=2),
    "packed in the other way": lambda data: sealed(unpack(data), deflated(unpack(data))),
    "more than is packed": lambda data: sealed(unpack(data), lzma2(unpack(data)) + b"\0"),
    "less than is packed": lambda data: sealed(unpack(data), lzma2(unpack(data))[:-1]),
    "packed otherwise": lambda data: sealed(unpack(data), lzma.compress(unpack(data))),
    "a huge header": lambda data: sealed(struct.pack("<Q", 1 << 60) + unpack(data)[8:]),
    "five bytes inside": lambda data: sealed(unpack(data)[:5]),
    "nothing inside": lambda data: sealed(b""),
    "cut short inside": lambda data: sealed(unpack(data)[:-1]),
    "cut in the header": lambda data: sealed(unpack(data)[:100]),
    "longer inside": lambda data: sealed(unpack(data) + b"\0"),
    "a huge layer": _text('"outputs":48', '"outputs":1099511627776'),
    "huge numbers": _text('"outputs":48', '"outputs":' + "9" * 4000),
    "a negative layer": _text('"outputs":48', '"outputs":-48'),
    "a huge tensor": _tensor(shape=[1 << 40, 1 << 40]),
    "a tensor of many axes": _tensor(shape=[9] * 100_000),
    "a tensor behind the end": _tensor(data_offsets=[0, 1 << 50]),
    "a tensor backwards": _tensor(data_offsets=[4, 0]),
    "floats": _tensor(dtype="F32"),
    "objects": _tensor(dtype="O"),
    "not a number": _tensor(shape=[float("nan")]),
    "more on a tensor": _tensor(callback="os.system"),
    "another tensor": _extra,
    "a tensor twice": _doubled,
    "another kind": _text('"kind":"vae"', '"kind":"exec\\n' + "x" * 5000 + '"'),
    "another layer": _text('"op":"conv"', '"op":"eval"'),
    "another field": _text('"latents"', '"hook\\u001b[2J\\n' + "x" * 5000 + '":1,"latents"'),
    "a field twice": _text('"latents":6', '"latents":9999,"latents":6'),
    "half a character": _text(_NAME, '"name":"\\ud800"'),
    "a name that clears the screen": _text(_NAME, '"name":"\\u001b[2J"'),
    "a name of many lines": _text(_NAME, '"name":"a\\nb"'),
    "a name without end": _text(_NAME, f'"name":"{"x" * 5000}"'),
    "deep nesting": lambda data: with_header(data, "[" * 200_000),
    "deep nesting inside": _text(_NAME, '"name":' + "[" * 200_000),
    "another encoding": lambda data: sealed(
        struct.pack("<Q", 40) + '{"__metadata__":{}}'.encode("utf-16")[:40] + bytes(9)
    ),
    "pickle": lambda data: pickle.dumps({"weight": [0.5]}),
    "old pickle": lambda data: pickle.dumps({"weight": [0.5]}, 2),
    "zip": lambda data: _zip(),
    "page": lambda data: b"<!DOCTYPE html>\n<html><title>404</title></html>\n",
    "archive": lambda data: b"\x8fBBA\r\n\x1a\n" + bytes(40),
    "pointer": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    "zeros": lambda data: bytes(5000),
    "a list": lambda data: sealed(struct.pack("<Q", 2) + b"[]"),
    "no metadata": lambda data: sealed(struct.pack("<Q", 2) + b"{}"),
}


def hostile(name: str) -> bytes:
    return MAKERS[name](tiny_model_file())
