"""The package against a reader that was written from docs/format.md alone, decoder/, on many archives."""

import gzip
import hashlib
import io
import json
import re
import struct
import zlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from PIL import Image

from archive import damages
from archive.archives import (
    NOW,
    digits,
    file_item,
    folder_item,
    hardlink_item,
    image_item,
    mixed_items,
    noise,
    stream_item,
    symlink_item,
)
from archive.test_directory import posix_names, times, windows_names
from bitsback.archive import Archive, Library, Settings, container, front, item, plan, write_archive, writer
from bitsback.archive.container import File, Kind, System, check_sum
from bitsback.archive.directory import Content, Directory, Row, name_bytes
from bitsback.archive.edit import append, rebuild
from bitsback.archive.head import Block, Bytes, DataHead, Piece
from bitsback.archive.item import Item
from bitsback.archive.limits import DEFAULT_LIMITS
from bitsback.archive.packing import DICTIONARY, Packing
from bitsback.archive.recovery import salvage
from bitsback.errors import BitsBackError
from bitsback.files import parse
from bitsback.files.png_rows import Header, filtered, plain_rows
from bitsback.kinds.lots import lots_of
from bitsback.models import Model
from bitsback_decoder import archive as plain_reader
from contexts import picture
from helpers import drawn_images, tiny_model_file
from models.context_models import context_file, vae_file
from strange import strange_png

KERNELS = True

SPEC = Path(__file__).parents[2] / "docs" / "format.md"
WORDS = bytes.fromhex("".join(re.findall(r"^    ([0-9a-f]{2,96})$", SPEC.read_text(encoding="utf-8"), re.MULTILINE)))
"""The preset dictionary, as the text has it."""


def bare() -> Library:
    return Library(shipped=False)


def packed(items: list[Item], settings: Settings | None = None, library: Library | None = None) -> bytes:
    stream = io.BytesIO()
    write_archive(stream, items, library or bare(), settings or Settings(block=1 << 10))
    return stream.getvalue()


def assert_same(data: bytes, models: Any = (), library: Library | None = None) -> dict[bytes, plain_reader.Found]:
    """Both readers find the same members, with the same contents."""
    with Archive(data, library=library or bare()) as archive:
        system, found = plain_reader.read(data, WORDS, models)
        assert system == archive.structure.system
        assert list(found) == [name_bytes(member.name, archive.structure.system) for member in archive.members]
        digests = {member.name: digest for member, digest in archive.digests()}
        for member, other in zip(archive.members, found.values(), strict=True):
            assert (other.type, other.target) == (member.type, name_bytes(member.target, archive.structure.system))
            assert (other.member.mtime_ns, other.member.mode) == (member.mtime_ns, member.mode)
            if member.content is None:
                assert other.content is None
                continue
            assert other.content and other.content.size == member.size and other.content.recipe == member.recipe
            assert other.file is None if member.pixels_only else other.file == archive.read(member.name)
            assert plain_reader.digest_of(other.content, other.blob, other.arrays, other.file) == digests[member.name]
            assert [array.shape for array in other.arrays] == [(part.count, *part.shape) for part in member.parts]
        assert archive.test() == []
    return found


def test_the_dictionary_in_the_text_is_the_one_in_the_program() -> None:
    assert WORDS == DICTIONARY


def test_members_of_all_types() -> None:
    found = assert_same(packed(mixed_items()))
    assert len(found) == 14 and {other.type for other in found.values()} == {0, 1, 2, 3}


def test_many_batches_chunks_copies_and_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_MEMBERS", 4)
    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 1 << 10)
    monkeypatch.setattr(plan, "CHUNK_BYTES", 1 << 10)
    items = [*mixed_items(), stream_item("stream", [noise(2500)]), image_item("z.npy", digits(3, seed=11), exact=False)]
    assert_same(packed(items, Settings(block=1 << 10, hashes=True)))


def test_nothing() -> None:
    assert assert_same(packed([])) == {}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["smooth", "noisy", "two"])
def test_images_of_all_types(dtype: type, channels: int, kind: str) -> None:
    rng = np.random.default_rng(channels)
    ramp = np.add.outer(np.arange(12), np.arange(19)) * (1000 if dtype == np.uint16 else 7)
    shades = rng.integers(0, 5, (3, 12, 19, channels)) + ramp[None, :, :, None]
    images = {"smooth": shades, "noisy": rng.integers(0, 1 << 16, shades.shape), "two": (shades % 2) * 7 + 3}[kind]
    found = assert_same(packed([image_item("a.npy", images.astype(dtype))]))
    assert np.array_equal(found[b"a.npy"].arrays[0], images.astype(dtype))


def test_images_of_many_shapes_and_few_levels() -> None:
    rng = np.random.default_rng(4)
    sizes = [(9, 12), (5, 20), (9, 12), (30, 7), (5, 20)]
    some = [rng.integers(0, 12, (1 + n % 2, *size, 3)).astype(np.uint8) * 20 for n, size in enumerate(sizes)]
    deep = [rng.integers(0, 100, (1, *size, 1)).astype(np.uint16) * 611 for size in sizes]
    arrays = {f"{n}.npy": array for n, array in enumerate([*some, *deep])}
    data = packed([image_item(name, array) for name, array in arrays.items()], Settings(block=1 << 12))
    found = assert_same(data)
    assert all(np.array_equal(found[name.encode()].arrays[0], array) for name, array in arrays.items())
    with Archive(data, library=bare()) as archive:
        blocks = [block for chunk in archive.structure.chunks for block in chunk.head.blocks]
    assert any(len(block.lots) > 2 for block in blocks)
    assert {(block.dtype, block.coded.dtype) for block in blocks if block.front} >= {("uint16", "uint8")}


def test_colours_that_had_half_the_columns() -> None:
    rng = np.random.default_rng(4)
    y, x = np.indices((40, 60))
    green = (90 + 40 * np.sin(x / 9 + y / 7) + rng.integers(0, 9, (2, 40, 60))).astype(np.uint8)
    colours = [
        (20 * np.sin(y / 5 + x // 2 / 8)).astype(np.int64)[None],
        (15 * np.cos(y // 3 + x // 2)).astype(np.int64)[None],
    ]
    image = np.stack([green + colours[0], green, green + colours[1]], axis=3).astype(np.uint8)
    data = packed([image_item("a.npy", image)])
    found = assert_same(data)
    assert np.array_equal(found[b"a.npy"].arrays[0], image)
    with Archive(data, library=bare()) as archive:
        (block,) = {block.front for chunk in archive.structure.chunks for block in chunk.head.blocks}
    assert [str(step) for step in block] == ["red and blue less green", "channels apart"]


def file_of(name: str, data: bytes, *, pixels: bool = False) -> Item:
    item = file_item(name, data)
    item.picture = parse(data, name, pixels)
    assert item.picture.parts
    return item


def npy(array: np.ndarray, fortran: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asfortranarray(array) if fortran else array)
    return file.getvalue()


def test_recipes() -> None:
    """Rasters of all layouts, plain text, words of all kinds."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 9, (9, 13)).astype(np.uint8)
    files = {}
    for suffix, image in {
        "bmp": Image.fromarray(np.stack([grey, grey + 1, grey * 3], -1)),
        "pgm": Image.fromarray(grey),
        "ppm": Image.fromarray(np.stack([grey, grey, grey], -1)),
        "pbm": Image.fromarray(grey > 4),
        "tif": Image.fromarray(grey.astype(np.uint16) * 300),
    }.items():
        file = io.BytesIO()
        image.save(file, {"pgm": "ppm", "pbm": "ppm", "tif": "tiff"}.get(suffix, suffix))
        files[f"a.{suffix}"] = file.getvalue()
    files["plain.pgm"] = b"P2 3 2 9\n" + b"1 2 3\n4 5 6\n"
    files["fortran.npy"] = npy(rng.integers(0, 9, (2, 5, 6)).astype(">u2"), fortran=True)
    few = rng.integers(0, 50, (2, 25, 26))
    for dtype in ("<i4", ">i8", "<u4", "<f4", ">f8", "i1"):
        files[f"{dtype[1:]}.npy"] = npy((few * 1000.5 if "f" in dtype else few - 20).astype(dtype))
    files["wide.npy"] = npy(rng.integers(0, 1 << 27, (2, 29, 28)).astype("<i4"))
    found = assert_same(packed([file_of(name, data) for name, data in files.items()]))
    for name, data in files.items():
        assert found[name.encode()].file == data


def deflated_files() -> dict[str, bytes]:
    """PNG files of all kinds, animated, cut in pieces and with wrong checksums; gzip and npz files."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(9), np.arange(13)) * 5 + rng.integers(0, 3, (9, 13))
    grey = ramp.astype(np.uint8)
    colours = np.stack([grey, grey // 2, 255 - grey], -1)
    files = {}

    def save(name: str, array: Any, **options: Any) -> None:
        file = io.BytesIO()
        Image.fromarray(array).save(file, "png", **options)
        files[name] = file.getvalue()

    for level in (0, 1, 6, 9):
        save(f"{level}.png", colours, compress_level=level)
    save("grey.png", grey)
    save("deep.png", (ramp * 500).astype(np.uint16))
    save("two.png", grey > 40)
    save("text.png", colours, dpi=(72, 72), icc_profile=b"a profile")
    frames = [Image.fromarray(np.roll(colours, n, 1)) for n in range(3)]
    save("moving.png", colours, save_all=True, append_images=frames)
    for interlace in (0, 1):
        for colour, depth in ((0, 2), (3, 4), (6, 8), (2, 16)):
            files[f"{interlace}{colour}{depth}.png"] = drawn_png(depth, colour, interlace)
    files["strange.png"] = strange_png(np.repeat(np.repeat(grey // 40, 4, 0), 4, 1), 0.1)
    files["behind.png"] = files["6.png"] + b"more"
    files["wrong.png"] = files["6.png"][:-13] + b"1" + files["6.png"][-12:]
    for name, options in (("a.npz", {}), ("b.npz", {"labels": np.arange(9), "more": (ramp * 3.5)[None]})):
        file = io.BytesIO()
        np.savez_compressed(file, images=np.repeat(grey[None], 9, 0), **options)
        files[name] = file.getvalue()
    file = io.BytesIO()
    np.savez(file, images=np.repeat(grey[None], 9, 0))
    files["stored.npz"] = file.getvalue()
    inner = npy(np.repeat(grey[None], 9, 0))
    files["a.npy.gz"] = gzip.compress(inner)
    files["two.npy.gz"] = gzip.compress(inner[:300], 1) + gzip.compress(inner[300:], 9) + b"more"
    files["wrong.npy.gz"] = files["a.npy.gz"][:-2] + b"12"
    return files


def drawn_png(depth: int, colour: int, interlace: int) -> bytes:
    """Noise, each row with any filter, in pieces of 50 bytes and with a palette where there is one."""
    rng = np.random.default_rng(depth)
    header = Header(11, 7, depth, colour, interlace)
    image = rng.integers(0, 1 << depth, (7, 11, header.channels)).astype(header.dtype)
    rows = plain_rows(image, header)
    lines = filtered(rows, header, rng.integers(0, 5, sum(map(len, rows))).astype(np.uint8))
    body = zlib.compress(lines, 9)
    chunks = [(b"IHDR", header.write()), *([(b"PLTE", bytes(48))] if colour == 3 else [])]
    chunks += [(b"IDAT", body[at : at + 50]) for at in range(0, len(body), 50)]
    whole = ((len(data), kind, data, zlib.crc32(kind + data)) for kind, data in [*chunks, (b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(f">I4s{size}sI", size, *rest) for size, *rest in whole)


def test_deflated_files() -> None:
    files = deflated_files()
    found = assert_same(packed([file_of(name, data) for name, data in files.items()]))
    assert all(found[name.encode()].file == data for name, data in files.items())
    keys = {name: json.dumps(found[name.encode()].content.recipe) for name in files}
    for name, key in {"strange": "corrected", "moving": "fdAT", "110": "interlace", "0610": "cut"}.items():
        assert any(key in text for found_, text in keys.items()), name
    found = assert_same(packed([file_of(name, data, pixels=True) for name, data in files.items() if PLAIN.match(name)]))
    assert {name for name, one in found.items() if one.file is not None} == {b"stored.npz"}


@pytest.mark.parametrize("step", [front.Colours(False, 2), front.Colours(True, 1), front.Colours(False, 1, True)])
def test_palettes_and_tables_of_colours(step: front.Colours, monkeypatch: pytest.MonkeyPatch) -> None:
    """PNG files whose palettes are in several orders, and images of few colours without one, by a table's places."""
    rng, files = np.random.default_rng(0), {}
    for number in range(6):
        table = rng.integers(0, 256, (90, 3)).astype(np.uint8)
        image = Image.fromarray(rng.integers(number, 70, (12, 15)).astype(np.uint8), "P")
        image.putpalette((table[np.argsort(table.sum(axis=1))] if number % 2 else table).tobytes())
        out = io.BytesIO()
        image.save(out, "PNG", **({"transparency": bytes(range(40))} if number > 3 else {}))
        files[f"{number}.png"] = out.getvalue()
    monkeypatch.setattr(front, "few_colours", lambda part: part.shape[3] > 1)
    monkeypatch.setattr(item, "few_colours", lambda part: part.shape[3] > 1)
    monkeypatch.setattr(front, "candidates", lambda lots, levels, few, decoded: [(step,)] if few else [()])
    monkeypatch.setattr(writer.Writer, "_keep_smaller", lambda _writer, _batch, _groups, coded: coded)
    found = assert_same(packed([file_of(name, data) for name, data in files.items()], Settings(block=1 << 14)))
    assert all(found[name.encode()].file == data for name, data in files.items())
    assert all(one.content.recipe["palette"] for one in found.values())


PLAIN = re.compile(r"(?!moving|wrong|strange|two.npy|behind)")
"""Files of which pixels and metadata are all that there is."""


def test_runs_that_were_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK_BYTES", 1000)
    path = tmp_path / "a.bba"
    first = file_item("a", b"text", linked=True)
    path.write_bytes(packed([first, hardlink_item("b", first), hardlink_item("c", first), *mixed_items()[6:]]))
    changing = stream_item("changing", [noise(1800)], 2500)
    for items in (
        [file_item("a", b"new"), image_item("d.npy", digits(2, seed=5)), changing],
        [folder_item("x"), symlink_item("c/link", "elsewhere")],
        *([file_item("again", b"%d" % n)] for n in range(40)),
    ):
        append(path, items, bare(), Settings())
    found = assert_same(path.read_bytes())
    assert found[b"a"].file == b"new" and found[b"again"].file == b"39" and b"changing" not in found
    assert (found[b"b"].type, found[b"c"].type, found[b"c"].target, found[b"c"].file) == (0, 3, b"b", b"text")
    data = path.read_bytes()
    assert assert_same_but_for_the_tail(data + b"cut short") == list(found)


def assert_same_but_for_the_tail(data: bytes) -> list[bytes]:
    _, found = plain_reader.read(data, WORDS)
    assert [name.decode() for name in found] == Archive(data, library=bare()).names
    return list(found)


@pytest.mark.parametrize("seed", range(4))
def test_archives_put_together_anew(seed: int) -> None:
    random = Random(seed)
    one, two = (
        Archive(packed(mixed_items()), library=bare()),
        Archive(packed([file_item("z", b"1", None, None)]), library=bare()),
    )
    stream = io.BytesIO()
    chosen = random.sample(one.members, 8)
    rebuild([(one, chosen), (two, two.members)], stream)
    assert len(assert_same(stream.getvalue())) == 9


def coded(model: Model, images: np.ndarray, embed: bool) -> bytes:
    """An archive of one array that a model codes: its weights are random, so no writer would use it."""
    one = image_item("a.npy", images)
    payload, blob = model.encode(images), one.blob
    block = Block(
        model.tag,
        1,
        lots_of([images]),
        len(payload),
        check_sum(images.tobytes()),
        (),
        bytes.fromhex(model.id),
    )
    pieces = (
        [Piece(0, 1, 0, len(images))],
        Bytes(Packing.STORED, len(blob), check_sum(blob), len(blob)),
        [Piece(0, 0, 0, len(blob))],
    )
    head = DataHead([block], *pieces, digest=hashlib.sha256(one.digest()).digest())
    content = Content(one.entry.size, len(blob), one.recipe, one.counts)
    stream = io.BytesIO()
    writer = container.ContainerWriter(stream, container.Header(1, System.POSIX))
    if embed:
        writer.add(Kind.MODEL, bytes.fromhex(model.id), model.data)
    writer.add(
        Kind.DIRECTORY, *Directory(0, 0, [Row(structs.replace(one.entry, size=0), 0)], [content]).encode(System.POSIX)
    )
    writer.add(Kind.DATA, head.encode(), blob + payload)
    writer.finish()
    return stream.getvalue()


@pytest.mark.parametrize("embed", [True, False])
@pytest.mark.parametrize("kind", ["context", "context of two levels", "vae", "vae and context"])
def test_models(kind: str, embed: bool) -> None:
    data = {
        "context": lambda: context_file((3, "regression", 0, 256), colour=(2, 0, 1)),
        "context of two levels": lambda: context_file((1, None, 0, 2)),
        "vae": lambda: tiny_model_file(256),
        "vae and context": lambda: vae_file(256),
    }[kind]()
    model = Model.from_bytes(data)
    shape = {"context": (2, 9, 7, 3), "context of two levels": (5, 9, 7, 1)}.get(kind)
    images = picture("smooth", shape, model.levels) if shape else drawn_images(model, 9)
    archive = coded(model, images, embed)
    found = assert_same(archive, () if embed else [data], Library([] if embed else [model], shipped=False))
    assert np.array_equal(found[b"a.npy"].arrays[0], images)
    assert Archive(archive, library=bare()).members[0].models == (model.id,)


def test_a_model_of_two_levels_codes_images_of_any_two(tmp_path: Path) -> None:
    data = tiny_model_file(2)
    model = Model.from_bytes(data)
    images = drawn_images(model, 9) * 200 + 7
    archive = packed([image_item("a.npy", images)], None, Library([model], shipped=False, forced=True))
    found = assert_same(archive, [], bare())
    assert np.array_equal(found[b"a.npy"].arrays[0], images)
    assert Archive(archive, library=bare()).members[0].models == (model.id,)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(posix_names, times, st.integers(0, 0o7777)), max_size=12))
def test_any_names_and_times(entries: list[tuple[str, int | None, int]]) -> None:
    items = [folder_item(name, mtime_ns, mode) for name, mtime_ns, mode in entries]
    items += [symlink_item(f"{n}", name) for n, (name, _, _) in enumerate(entries)]
    assert_same(packed(items))


@settings(deadline=None, max_examples=20)
@given(st.sets(windows_names, max_size=6))
def test_archives_of_windows(names: set[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "HERE", System.WINDOWS)
        assert_same(packed([file_item(name, name.encode("utf-8", "surrogatepass"), NOW) for name in sorted(names)]))


# What is left of damaged ones.


def damaged_archives(seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[bytes, Random]:
    """An archive of two runs, with older ones of the same inside."""
    monkeypatch.setattr(item, "worth_packing", lambda data: False)
    monkeypatch.setattr(plan, "MAX_MEMBERS", 4)
    monkeypatch.setattr(plan, "CHUNK_BYTES", 1 << 15)
    random = Random(seed)
    files = [file_item(f"{n}", noise(300, n)) for n in range(9)]
    old = packed(files)
    path = tmp_path / "a.bba"
    path.write_bytes(packed([*files[:5], file_item("backup", old), *files[5:]]))
    append(path, [file_item("0", b"new"), file_item("other", path.read_bytes()), *(files[6:])], bare(), Settings())
    return path.read_bytes(), random


@pytest.mark.parametrize("seed", range(3))
def test_both_take_the_same_of_what_is_damaged(seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data, random = damaged_archives(seed, monkeypatch, tmp_path)
    same = 0
    for _ in range(60):
        damaged = data
        for _ in range(random.choice([1, 2, 4])):
            at, size = random.randrange(len(damaged)), random.choice([1, 70, 600, 5000])
            damaged = random.choice([
                damages.flip(damaged, random, 3),
                damaged[:at] + bytes(min(size, len(damaged) - at)) + damaged[at + size :],
                damaged[:at] + damaged[at + size :],
                damaged[:at] + random.randbytes(size) + damaged[at:],
                damaged[: max(at, 100)],
            ]) or data  # fmt: skip
        try:
            expected = [(chunk.offset, chunk.number) for chunk in plain_reader.recover(damaged)]
        except AssertionError:  # a flag or a reserved field
            continue
        assert [(chunk.offset, chunk.number) for chunk in salvage(File(damaged), DEFAULT_LIMITS).chunks] == expected
        same += bool(expected)
    assert same > 50


def test_ends_are_judged_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, random = damaged_archives(0, monkeypatch, tmp_path)
    for _ in range(60):
        damaged = data[: random.randrange(100, len(data))]
        try:
            size = container.ContainerReader(damaged).end.size
        except BitsBackError:
            with pytest.raises(AssertionError):
                plain_reader.chunks_of(damaged)
        else:
            assert plain_reader.last_footer(damaged) == size
