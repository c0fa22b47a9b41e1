import errno
import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bitsback.archive import Archive, Library
from bitsback.archive.container import ContainerWriter, Kind, check_sum
from bitsback.archive.limits import Limits
from bitsback.archive.members import ByteSection, ChunkHead, ImageSection, Piece, Record, RouteCode
from bitsback.archive.packing import Packing
from bitsback.archive.plan import Item, Planner
from bitsback.errors import (
    BitsBackError,
    ChecksumError,
    FormatError,
    LimitError,
    ModelNotFoundError,
    UnsafePathError,
    UnsupportedVersionError,
)

Items = Callable[[], list[Item]]
Pack = Callable[..., tuple[bytes, SimpleNamespace]]


def expected(items: list[Item]) -> list[np.ndarray]:
    return [image[..., 0] for item in items for part in item.picture.parts for image in part]


def contents(items: list[Item]) -> dict[str, bytes]:
    from bitsback.files import write

    return {
        item.name: write(item.picture.recipe, item.picture.blob, item.picture.parts)
        if item.picture.parts
        else item.blob
        for item in items
    }


def files(archive: Archive, **options: int) -> dict[str, bytes | BitsBackError]:
    return {member.name: data for member, data in archive.files(**options)}


def test_a_sequence_of_images(small_archive: bytes, mixed_items: Items, library: Library) -> None:
    images = expected(mixed_items())
    with Archive(small_archive, library=library) as archive:
        assert len(archive) == len(images) == 20
        assert all(np.array_equal(a, b) for a, b in zip(archive, images, strict=True))
        assert np.array_equal(archive[-1], images[-1])
        assert [image.shape for image in archive[13:16]] == [(8, 8), (5, 5), (5, 5)]
        with pytest.raises(IndexError):
            archive[20]
        member, part, number = archive.locate(9)
        assert (member.name, part, number) == ("a/array.npy", 0, 9)
        assert archive.names == [item.name for item in mixed_items()]
        assert repr(archive) == f"<Archive of 7 files, 20 images, {len(small_archive)} bytes>"
        archive[0][:] = 7
        assert np.array_equal(archive[0], images[0])


def test_colour_images_keep_their_channels(pack_items: Pack) -> None:
    from bitsback.files import from_array

    colour = np.random.default_rng(0).integers(0, 9, (6, 5, 7, 3), np.uint8)
    data, _ = pack_items([Item(0, "c.npy", 10**6, None, None, from_array(colour), lambda: b"")])
    archive = Archive(data)
    assert np.array_equal(np.stack(list(archive)), colour)


@pytest.mark.parametrize("threads", [1, 2])
def test_files_come_back(small_archive: bytes, mixed_items: Items, library: Library, threads: int) -> None:
    assert files(Archive(small_archive, library=library), threads=threads) == contents(mixed_items())


def test_members_tell_without_decoding(small_archive: bytes) -> None:
    archive = Archive(small_archive, library=Library(shipped=False))
    first, text = archive.members[0], archive.members[2]
    assert (first.parts[0].count, first.parts[0].shape, first.parts[0].dtype) == (10, (8, 8, 1), "uint8")
    assert first.routes == ("model",) and len(first.models) == 1 and first.nbytes == 640 + first.blob
    assert (text.routes, text.size, text.recipe, text.images) == (("packed",), 660, None, 0)
    assert archive.members[3].size == 0


def test_chosen_files_need_only_their_own_chunks(small_archive: bytes, mixed_items: Items) -> None:
    archive = Archive(small_archive, library=Library(shipped=False))
    assert archive.read("b/text.txt") == contents(mixed_items())["b/text.txt"]
    assert archive.read("b/empty") == b""
    with pytest.raises(ModelNotFoundError):
        archive.read("a/one.npy")
    with pytest.raises(KeyError):
        archive.read("nobody")


def assert_found(data: bytes, place: int, change: int, library: Library) -> None:
    damaged = bytearray(data)
    damaged[place] ^= change
    with pytest.raises(FormatError) as caught:
        Archive(bytes(damaged), library=library).test(threads=1)
    assert "\n" not in str(caught.value)


def test_every_damaged_byte_is_found(small_archive: bytes, library: Library) -> None:
    Archive(small_archive, library=library).test(threads=1)
    for place in range(len(small_archive)):
        assert_found(small_archive, place, 1 + place * 37 % 255, library)


def test_every_damaged_bit_is_found(make: SimpleNamespace, pack_items: Pack, library: Library) -> None:
    data, _ = pack_items([make.image_item(0, "one", make.digits(3)), make.file_item(1, "two", b"text")])
    for bit in range(8 * len(data)):
        assert_found(data, bit // 8, 1 << bit % 8, library)


def test_every_truncation_is_found(small_archive: bytes, library: Library) -> None:
    for size in range(len(small_archive)):
        with pytest.raises(FormatError):
            Archive(small_archive[:size], library=library).test(threads=1)


def test_a_cut_archive_gives_what_is_whole(small_archive: bytes, mixed_items: Items, library: Library) -> None:
    whole = contents(mixed_items())
    best = 0
    for size in range(24, len(small_archive), 7):
        archive = Archive(small_archive[:size], library=library, damaged=True)
        found = {name: data for name, data in files(archive, threads=1).items() if isinstance(data, bytes)}
        assert found.items() <= whole.items()
        assert archive.problems
        assert len(found) >= best
        best = len(found)
    assert best == len(whole)


def test_any_damaged_byte_costs_only_its_chunk(small_archive: bytes, mixed_items: Items, library: Library) -> None:
    whole = contents(mixed_items())
    for place in range(0, len(small_archive), 5):
        damaged = bytearray(small_archive)
        damaged[place] ^= 0x55
        archive = Archive(bytes(damaged), library=library, damaged=True)
        found = files(archive, threads=1)
        good = {name: data for name, data in found.items() if isinstance(data, bytes)}
        assert good.items() <= whole.items()
        assert len(good) >= 3
        assert len(good) == len(whole) or archive.problems or any(not isinstance(d, bytes) for d in found.values())


def test_an_unharmed_archive_reads_the_same_in_damaged_mode(small_archive: bytes, library: Library) -> None:
    archive = Archive(small_archive, library=library, damaged=True)
    assert archive.problems == []
    assert files(archive) == files(Archive(small_archive, library=library))


def test_errors_name_block_and_files(small_archive: bytes, library: Library) -> None:
    archive = Archive(small_archive, library=library)
    for chunk in archive.chunks:
        damaged = bytearray(small_archive)
        damaged[chunk.block.payload_offset] ^= 1
        where = rf"^block at byte {chunk.block.offset}, '.*: the payload is damaged$"
        with pytest.raises(ChecksumError, match=where):
            Archive(bytes(damaged), library=library).test()


def test_memory_limit(small_archive: bytes, mixed_items: Items, library: Library) -> None:
    with pytest.raises(LimitError, match=r"'a/array\.npy': needs \d+ bytes"):
        Archive(small_archive, library=library, limits=Limits(memory=700)).test()
    archive = Archive(small_archive, library=library, limits=Limits(memory=700), damaged=True)
    found = files(archive)
    assert isinstance(found["a/array.npy"], BitsBackError)
    assert found["b/empty"] == b""
    with pytest.raises(LimitError, match="pixels"):
        Archive(small_archive, limits=Limits(pixels=60))
    with pytest.raises(LimitError, match="files"):
        Archive(small_archive, limits=Limits(members=3))


def test_a_path_or_an_open_file(small_archive: bytes, tmp_path: Path, library: Library) -> None:
    path = tmp_path / "a.bba"
    path.write_bytes(small_archive)
    for source in (path, str(path), io.BytesIO(small_archive)):
        with Archive(source, library=library) as archive:
            archive.test()
    stream = io.BytesIO(small_archive)
    Archive(stream).close()
    assert not stream.closed


# Archives that no writer makes.


def build(*heads: tuple[ChunkHead, bytes], others: tuple[tuple[Kind, bytes, bytes], ...] = ()) -> bytes:
    stream = io.BytesIO()
    writer = ContainerWriter(stream)
    for kind, head, payload in others:
        writer.add(kind, head, payload, 1)
    for chunk_head, payload in heads:
        writer.add(Kind.CHUNK, chunk_head.encode(), payload)
    writer.finish()
    return stream.getvalue()


def text(ordinal: int, name: str, data: bytes = b"abc") -> tuple[ChunkHead, bytes]:
    section = ByteSection(Packing.STORED, len(data), check_sum(data))
    return ChunkHead(data=section, records=[Record(ordinal, name, len(data), blob=len(data))]), data


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "", "a\\b", "c:x", "nul", "a\nb", "x.", "a//b"])
def test_unsafe_names_fail_the_test(name: str) -> None:
    with pytest.raises(UnsafePathError):
        Archive(build(text(0, name))).test()


def test_names_that_differ_by_case_only_fail_the_test() -> None:
    with pytest.raises(UnsafePathError):
        Archive(build(text(0, "a"), text(1, "A"))).test()
    with pytest.raises(UnsafePathError):
        Archive(build(text(0, "a"), text(1, "a"))).test()


@pytest.mark.parametrize(
    "heads",
    [
        [text(1, "a")],
        [text(0, "a"), text(0, "b")],
        [text(0, "a"), (ChunkHead(None, ByteSection(Packing.STORED, 3, 0), [], [Piece(5, 0, 0, 3)]), b"abc")],
        [text(0, "a"), (ChunkHead(None, ByteSection(Packing.STORED, 3, 0), [], [Piece(0, 0, 3, 3)]), b"abc")],
        [
            (
                ChunkHead(None, ByteSection(Packing.STORED, 3, 0), [Record(0, "a", 4, blob=4)], [Piece(0, 0, 1, 3)]),
                b"abc",
            )
        ],
    ],
)
def test_pieces_must_make_up_the_files(heads: list[tuple[ChunkHead, bytes]]) -> None:
    data = build(*heads)
    with pytest.raises(FormatError):
        Archive(data)
    Archive(data, damaged=True)


def test_pieces_of_one_array_must_be_of_one_kind() -> None:
    def piece(shape: tuple[int, int, int], start: int, records: list[Record]) -> tuple[ChunkHead, bytes]:
        size = shape[0] * shape[1]
        section = ImageSection(RouteCode.PLAIN, 1, shape, 1, check_sum(bytes(size)), size)
        return ChunkHead(section, None, records, [Piece(0, 1, start, 1)]), bytes(size)

    record = Record(0, "a", 99, recipe="{}", counts=(2,))
    with pytest.raises(FormatError):
        Archive(build(piece((2, 3, 1), 0, [record]), piece((3, 2, 1), 1, [])))
    Archive(build(piece((2, 3, 1), 0, [record]), piece((2, 3, 1), 1, [])))


@pytest.mark.parametrize("recipe", ["[]", "{", "nothing", "[" * 100_000, '{"format":"strange"}', "{}"])
def test_recipes_that_cannot_be_followed(recipe: str) -> None:
    section = ImageSection(RouteCode.PLAIN, 1, (2, 2, 1), 1, check_sum(bytes(4)), 4)
    data = build((ChunkHead(section, None, [Record(0, "a", 9, recipe=recipe, counts=(1,))]), bytes(4)))
    with pytest.raises(FormatError, match="'a'"):
        Archive(data).test()


def test_pixels_are_checked() -> None:
    section = ImageSection(RouteCode.PLAIN, 1, (2, 2, 1), 1, 12345, 4)
    data = build((ChunkHead(section, None, [Record(0, "a", 9, recipe="{}", counts=(1,))]), bytes(4)))
    with pytest.raises(ChecksumError, match="other pixels"):
        Archive(data).test()
    bad = ChunkHead(None, ByteSection(Packing.STORED, 3, 1), [Record(0, "a", 3, blob=3)])
    with pytest.raises(ChecksumError, match="other bytes"):
        Archive(build((bad, b"abc"))).test()


def test_model_blocks_are_what_they_are_called() -> None:
    with pytest.raises(FormatError, match="identity"):
        Archive(build(others=((Kind.MODEL, b"short", b""),)))
    with pytest.raises(FormatError, match="model is not the one"):
        Archive(build(others=((Kind.MODEL, bytes(32), b"something"),))).test()


def test_optional_blocks_of_an_unknown_kind_are_stepped_over_but_checked() -> None:
    data = build(text(0, "a"), others=((77, b"head", b"future"),))  # type: ignore[arg-type]
    archive = Archive(data)
    archive.test()
    assert archive.read("a") == b"abc"
    damaged = bytearray(data)
    damaged[archive.blocks[0].payload_offset] ^= 1
    with pytest.raises(ChecksumError):
        Archive(bytes(damaged)).test()


def test_newer_fields_are_refused_even_in_damaged_mode() -> None:
    stream = io.BytesIO()
    writer = ContainerWriter(stream)
    writer.add(Kind.CHUNK, b"\0" + struct.pack("BB", 99, 0), b"")
    writer.finish()
    for damaged in (False, True):
        with pytest.raises(UnsupportedVersionError, match="field 99"):
            Archive(stream.getvalue(), damaged=damaged)


def test_many_chunks_of_images_in_turn(make: SimpleNamespace, pack_items: Pack, library: Library) -> None:
    items = [make.image_item(n, f"{n}", make.digits(1, 6 + n % 3, seed=n)) for n in range(12)]
    data, _ = pack_items(items, Planner(chunk_samples=128))
    archive = Archive(data, library=library)
    assert [image.shape[0] for image in archive] == [6, 7, 8] * 4


def test_forged_archives_give_only_known_errors(small_archive: bytes, library: Library) -> None:
    """Damage with the checks made right again: what an attacker would send."""
    blocks = Archive(small_archive).chunks
    heads = [chunk.block.head for chunk in blocks]
    payloads = [small_archive[chunk.block.payload_offset : chunk.block.end] for chunk in blocks]
    rng = np.random.default_rng(0)
    for _ in range(400):
        stream = io.BytesIO()
        writer = ContainerWriter(stream)
        victim = int(rng.integers(2 * len(blocks)))
        for number, (head, payload) in enumerate(zip(heads, payloads, strict=True)):
            parts = [bytearray(head), bytearray(payload)]
            if number == victim // 2 and parts[victim % 2]:
                part = parts[victim % 2]
                for _ in range(int(rng.integers(1, 4))):
                    part[int(rng.integers(len(part)))] = int(rng.integers(256))
            writer.add(Kind.CHUNK, bytes(parts[0]), bytes(parts[1]))
        writer.finish()
        for damaged in (False, True):
            try:
                archive = Archive(stream.getvalue(), library=library, damaged=damaged, limits=Limits(memory=1 << 24))
                for _, data in archive.files(threads=1):
                    assert isinstance(data, bytes | BitsBackError)
                archive.test(threads=1)
            except BitsBackError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_failing_disk_comes_through(small_archive: bytes, library: Library, threads: int) -> None:
    class Failing(io.BytesIO):
        broken = False

        def read(self, size: int | None = -1) -> bytes:
            if self.broken:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size)

    stream = Failing(small_archive)
    archive = Archive(stream, library=library)
    stream.broken = True
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        archive.test(threads=threads)
