"""A second decoder, written from docs/format.md alone, slowly and without bitsback, and held against the first."""

import json
import lzma
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xxhash

import adaptive_reader
from bitsback.archive import Archive, Library
from bitsback.archive.packing import DICTIONARY
from bitsback.archive.plan import Item, Planner

SPEC = Path(__file__).parents[2] / "docs" / "format.md"

Pack = Callable[..., tuple[bytes, SimpleNamespace]]


def u(data: bytes) -> int:
    return int.from_bytes(data, "little")


def checked(data: bytes, check: bytes) -> bytes:
    assert xxhash.xxh3_64_intdigest(data) == u(check)
    return data


def blocks(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    assert data[:8].hex() == "8f4242410d0a1a0a" and data[-8:].hex() == "8f424241656e640a"
    assert checked(data[:16], data[16:24])[8:16].hex() == "0101010000000000"
    index = u(checked(data[-24:-16], data[-16:-8]))
    at, offsets = 24, []
    while True:
        frame = data[at : at + 32]
        assert frame[:4].hex() == "b5424bf1" and frame[5:8] == b"\0\0\0"
        head_end = at + 32 + u(frame[8:12])
        end = head_end + u(frame[12:16])
        head = data[at + 32 : head_end]
        checked(frame[:24] + head, frame[24:32])
        payload = checked(data[head_end:end], frame[16:24])
        if frame[4] == 3:
            assert (at, end, head) == (index, len(data) - 24, b"")
            assert payload == b"".join(offset.to_bytes(8, "little") for offset in offsets)
            return
        yield frame[4], head, payload
        offsets.append(at)
        at = end


def varints(data: bytes) -> list[int]:
    out, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            out.append(value)
            value = shift = 0
    assert shift == 0
    return out


def split(data: bytes, count: int) -> tuple[list[int], bytes]:
    at = 0
    for _ in range(count):
        while data[at] > 127:
            at += 1
        at += 1
    return varints(data[:at]), data[at:]


def unpack(how: int, data: bytes, size: int) -> bytes:
    if how == 2:
        data = lzma.decompress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 23}])
    elif how:
        inflate = zlib.decompressobj(-15, zdict=DICTIONARY) if how == 3 else zlib.decompressobj(-15)
        data = inflate.decompress(data)
    assert len(data) == size
    return data


def decode(data: bytes, model: Any) -> dict[str, tuple[dict[str, Any], bytes, list[np.ndarray]]]:
    """Name -> facts, blob, arrays."""
    records: dict[int, dict[str, Any]] = {}
    found: dict[tuple[int, int], list[Any]] = {}
    for kind, head, payload in blocks(data):
        assert kind == 1
        if head[0]:
            (size,), rest = split(head[1:], 1)
            body = unpack(head[0], rest, size)
        else:
            body = head[1:]
        fields: dict[int, bytes] = {}
        while body:
            (length,), rest = split(body[1:], 1)
            fields[body[0]] = rest[:length]
            body = rest[length:]
        assert list(fields) == sorted(fields)
        images = np.zeros((0,))
        if 1 in fields:
            route, size = fields[1][:2]
            (height, width, channels, n, length), rest = split(fields[1][2:], 5)
            shape = (n, height, width, channels)
            section, payload = payload[:length], payload[length:]
            levels = varints(rest[9:] if route != 1 else rest[9:-32])
            assert len(levels) == rest[8]
            coded = 1 if levels else size
            if route == 0:
                images = np.frombuffer(section, f"<u{coded}").reshape(shape)
            elif route == 1:
                assert rest[-32:].hex() == model.id
                images = model.decode(section, n, shape[1:])
            else:
                images = adaptive_reader.decoded(section, *shape, coded)
            if levels:
                images = np.where(images == 0, *levels)
            images = images.astype(f"<u{size}")
            checked(images.tobytes(), rest[:8])
        plain = b""
        if 2 in fields:
            (size,), check = split(fields[2][1:], 1)
            plain = checked(unpack(fields[2][0], payload, size), check)
        rows: list[dict[str, Any]] = []
        if 17 in fields:
            names = fields[17].decode().split("\0")

            def column(tag: int, default: int, rows: int = len(names), fields: dict[int, bytes] = fields) -> list[int]:
                values = varints(fields[tag]) if tag in fields else [default]
                return values * rows if len(values) == 1 else values

            def steps(tag: int, rows: int = len(names), fields: dict[int, bytes] = fields) -> list[int]:
                values = varints(fields.get(tag, b""))
                return values + [0] * (rows - len(values))

            ordinals = [sum(steps(16)[: row + 1]) + row for row in range(len(names))]
            zigzag = [s // 2 if s % 2 == 0 else -(s + 1) // 2 for s in steps(18)]
            recipes = [None, *map(json.loads, fields[21].decode().split("\0"))] if 21 in fields else [None]
            numbers = column(22, int(21 in fields))
            arrays = column(23, 1) if 23 in fields else [int(bool(number)) for number in numbers]
            counts = iter(column(24, 1, sum(arrays)))
            blobs = column(25, 0)
            for row, name in enumerate(names):
                rows.append(
                    {
                        "ordinal": ordinals[row],
                        "name": name,
                        "mtime": sum(zigzag[: row + 1]) if 18 in fields else None,
                        "mode": column(19, 0)[row] if 19 in fields else None,
                        "size": column(20, 0)[row],
                        "recipe": recipes[numbers[row]],
                        "counts": [next(counts) for _ in range(arrays[row])],
                        "blob": blobs[row],
                    }
                )
                records[ordinals[row]] = rows[-1]
        if 32 in fields:
            values = varints(fields[32])
            pieces = [tuple(values[i : i + 4]) for i in range(0, len(values), 4)]
        else:
            pieces = []
            for row_ in rows:
                pieces += [(row_["ordinal"], 0, 0, row_["blob"])] if row_["blob"] else []
                pieces += [(row_["ordinal"], part, 0, count) for part, count in enumerate(row_["counts"], 1)]
        for ordinal, part, start, count in pieces:
            runs = found.setdefault((ordinal, part), [])
            assert start == sum(map(len, runs))
            if part:
                runs.append(images[:count])
                images = images[count:]
            else:
                runs.append(plain[:count])
                plain = plain[count:]
        assert len(images) == len(plain) == 0
    assert sorted(records) == list(range(len(records)))
    out = {}
    for ordinal, record in sorted(records.items()):
        blob = b"".join(found.get((ordinal, 0), []))
        parts = [np.concatenate(found[ordinal, part]) for part in range(1, len(record["counts"]) + 1)]
        assert len(blob) == record["blob"] and [len(part) for part in parts] == record["counts"]
        out[record["name"]] = (record, blob, parts)
    return out


def assert_same(items: list[Item], data: bytes, model: Any) -> None:
    found = decode(data, model)
    assert list(found) == [item.name for item in items]
    for item in items:
        record, blob, parts = found[item.name]
        assert (record["size"], record["mtime"], record["mode"]) == (item.size, item.mtime_ns, item.mode)
        assert record["recipe"] == (item.picture.recipe if item.picture.parts else None)
        assert blob == bytes(item.blob)
        assert len(parts) == len(item.picture.parts)
        for part, original in zip(parts, item.picture.parts, strict=True):
            assert part.dtype == original.dtype and np.array_equal(part, original)


@pytest.mark.parametrize("chunk", [4 * 64, 1 << 20])
def test_mixed_files(mixed_items: Callable[[], list[Item]], pack_items: Pack, model: Any, chunk: int) -> None:
    data, _ = pack_items(mixed_items(), Planner(chunk_samples=chunk))
    assert_same(mixed_items(), data, model)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["smooth", "noisy", "two"])
def test_predictor_payloads(make: SimpleNamespace, pack_items: Pack, dtype: type, channels: int, kind: str) -> None:
    from bitsback.files import from_array

    rng = np.random.default_rng(channels)
    ramp = np.add.outer(np.arange(12), np.arange(19)) * (1000 if dtype == np.uint16 else 7)
    shades = rng.integers(0, 5, (6, 12, 19, channels)) + ramp[None, :, :, None]
    images = {
        "smooth": shades,
        "noisy": rng.integers(0, 1 << 16, shades.shape),
        "two": (shades % 2) * 7 + 3,
    }[kind].astype(dtype)
    item = Item(0, "a.npy", 10**6, None, None, from_array(images), lambda: b"")
    data, _ = pack_items([item])
    assert_same([item], data, None)


def test_many_names_and_times(make: SimpleNamespace, pack_items: Pack, model: Any) -> None:
    items = [make.image_item(n, f"ordner/größe {n:03}.npy", make.digits(1, seed=n)) for n in range(40)]
    for item in items:
        item.mtime_ns = 10**18 + item.ordinal**3 * (-1) ** item.ordinal
        assert unicodedata.is_normalized("NFC", item.name)
    assert_same(items, pack_items(items)[0], model)


def test_the_dictionary_in_the_text_is_the_one_in_the_program() -> None:
    text = SPEC.read_text()
    assert bytes.fromhex("".join(re.findall(r"^    ([0-9a-f]{2,96})$", text, re.MULTILINE))) == DICTIONARY


def test_an_archive_without_records_is_read_the_same(pack_items: Pack, library: Library) -> None:
    data, _ = pack_items([])
    assert decode(data, None) == {} and Archive(data, library=library).members == []
