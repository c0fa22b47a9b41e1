"""Model files to be refused: damaged, mixed up with others, or made by somebody who means harm."""

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import xxhash

from helpers import tiny_model_file


def header_of(data: bytes) -> dict[str, Any]:
    (size,) = struct.unpack_from("<Q", data)
    header: dict[str, Any] = json.loads(data[8 : 8 + size])
    return header


def with_header(data: bytes, header: dict[str, Any] | str, *, sealed: bool = False) -> bytes:
    """The file with another header: without a check, or with one that is right."""
    (size,) = struct.unpack_from("<Q", data)
    if isinstance(header, dict):
        metadata = {k: v for k, v in header["__metadata__"].items() if k != "check"}
        header = json.dumps({**header, "__metadata__": metadata | ({"check": "0" * 16} if sealed else {})})
    text = header.encode()
    result = struct.pack("<Q", len(text)) + text + data[8 + size :]
    digits = xxhash.xxh3_64(result).hexdigest()
    return result.replace(b'"check": "' + b"0" * 16, f'"check": "{digits}'.encode()) if sealed else result


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
    "cut in the header": lambda data: data[:100],
    "longer": lambda data: data + b"\0",
    "flipped in the size": lambda data: _flipped(data, 0),
    "flipped in the configuration": lambda data: _flipped(data, data.index(b"latent_bits")),
    "flipped in a weight": lambda data: _flipped(data, len(data) - 9),
    "flipped in the check": lambda data: _flipped(data, data.index(b'"check":"') + 12),
    "version 9": _text('"version":1', '"version":9'),
    "version true": _text('"version":1', '"version":true'),
    "version of text": _text('"version":1', '"version":"1\\n' + "1" * 5000 + '"'),
    "no version": _text('"version":1,', ""),
    "a huge header": lambda data: struct.pack("<Q", 1 << 60) + data[8:],
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
    "another encoding": lambda data: struct.pack("<Q", 40) + '{"__metadata__":{}}'.encode("utf-16")[:40] + bytes(9),
    "pickle": lambda data: pickle.dumps({"weight": [0.5]}),
    "old pickle": lambda data: pickle.dumps({"weight": [0.5]}, 2),
    "zip": lambda data: _zip(),
    "page": lambda data: b"<!DOCTYPE html>\n<html><title>404</title></html>\n",
    "archive": lambda data: b"\x8fBBA\r\n\x1a\n" + bytes(40),
    "pointer": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    "zeros": lambda data: bytes(5000),
    "a list": lambda data: struct.pack("<Q", 2) + b"[]",
    "no metadata": lambda data: struct.pack("<Q", 2) + b"{}",
}


def hostile(name: str) -> bytes:
    return MAKERS[name](tiny_model_file())
