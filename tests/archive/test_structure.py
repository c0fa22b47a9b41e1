"""Archives that no writer makes, put together chunk by chunk."""

import hashlib
import io
import time
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from archive.archives import FakeModel, contents, digits, file_item, folder_item, image_item, noise, opened, pack
from bitsback.archive import Library, Limits
from bitsback.archive.container import COPY, OPTIONAL, ContainerWriter, Header, Kind, System, check_sum
from bitsback.archive.directory import MAX_ROWS, Content, Directory, Row
from bitsback.archive.fields import column, fields, strings, varint, varints
from bitsback.archive.head import Block, Bytes, DataHead, Piece
from bitsback.archive.member import Entry, Type
from bitsback.archive.packing import Packing
from bitsback.archive.structure import Member, relinked
from bitsback.errors import ChecksumError, FormatError, LimitError, ModelError, UnsupportedVersionError
from bitsback.kinds.base import Lot

TEXT = b"some text"
TWO = [Content(4, 4), Content(5, 5)]
ROWS = [Row(Entry("a"), 0), Row(Entry("b"), 1)]


def digest(*files: bytes) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in files)).digest()


def section(data: bytes) -> Bytes:
    return Bytes(Packing.STORED, len(data), check_sum(data), len(data))


def data_head(data: bytes = TEXT, pieces: list[Piece] | None = None, **options: Any) -> DataHead:
    pieces = [Piece(0, 0, 0, 4), Piece(1, 0, 0, 5)] if pieces is None else pieces
    options.setdefault("digest", digest(data[:4], data[4:]))
    return DataHead(data=section(data), byte_pieces=pieces, **options)


Part = Directory | tuple[Directory, int] | tuple[DataHead, bytes] | tuple[Kind | int, bytes, bytes, int]


def build(*parts: Part, removed: list[int] | None = None) -> bytes:
    stream = io.BytesIO()
    writer = ContainerWriter(stream, Header(5, System.POSIX))
    for part in parts:
        if isinstance(part, Directory):
            writer.add(Kind.DIRECTORY, *part.encode(System.POSIX))
        elif isinstance(part[0], Directory):
            writer.add(Kind.DIRECTORY, *part[0].encode(System.POSIX), part[1])  # type: ignore[arg-type]
        elif isinstance(part[0], DataHead):
            writer.add(Kind.DATA, part[0].encode(), part[1])  # type: ignore[arg-type]
        else:
            writer.add(*part)  # type: ignore[arg-type]
    writer.finish(removed or [])
    return stream.getvalue()


def plain(*shapes: tuple[int, int, int]) -> Block:
    """A block of an image of each shape."""
    size = sum(height * width * channels for height, width, channels in shapes)
    return Block(0, 1, tuple(Lot(1, shape) for shape in shapes), size, 0)


DIRECTORY = Directory(0, 0, ROWS, TWO)


def test_the_sound_one() -> None:
    archive = opened(build(DIRECTORY, (data_head(), TEXT), (DIRECTORY, COPY)))
    assert contents(archive) == {"a": b"some", "b": b" text"} and archive.test() == []
    assert archive.structure.next_member == archive.structure.next_content == 2


WRONG: dict[str, tuple[bytes, str]] = {
    "a payload longer than its parts": (build(DIRECTORY, (data_head(), TEXT + b"x")), "not as long as its parts"),
    "a content without data": (build(DIRECTORY), "'a': a piece of it is missing"),
    "half a content": (build(DIRECTORY, (data_head(b"some", [Piece(0, 0, 0, 4)]), b"some")), "'b': a piece"),
    "a gap": (build(DIRECTORY, (data_head(pieces=[Piece(0, 0, 0, 4), Piece(1, 0, 1, 5)]), TEXT)), "'b': a piece"),
    "an overlap": (
        build(DIRECTORY, (data_head(TEXT * 2, [Piece(0, 0, 0, 4), Piece(1, 0, 0, 5)] * 2), TEXT * 2)),
        "'a': a piece",
    ),
    "an array that is not there": (
        build(
            Directory(0, 0, ROWS[:1], [Content(4, 4)]),
            (DataHead([plain((1, 1, 1))], [Piece(0, 1, 0, 1)]), b"x"),
        ),
        "'a': a piece",
    ),
    "arrays of two shapes": (
        build(
            Directory(0, 0, ROWS[:1], [Content(4, 0, "{}", (2,))]),
            (
                DataHead(
                    [plain((1, 1, 1)), plain((1, 2, 1))], [Piece(0, 1, 0, 2)]
                ),
                b"xyz",
            ),
        ),
        "'a': a piece",
    ),
    "an array of two shapes in a block": (
        build(
            Directory(0, 0, ROWS[:1], [Content(4, 0, "{}", (2,))]),
            (DataHead([plain((1, 1, 1), (1, 2, 1))], [Piece(0, 1, 0, 2)]), b"xyz"),
        ),
        "'a': a piece",
    ),
    "data of nothing": (
        build(DIRECTORY, (data_head(), TEXT), (data_head(b"1", [Piece(9, 0, 0, 1)]), b"1")), "no directory"
    ),
    "members that are not numbered on": (
        build(DIRECTORY, (data_head(), TEXT), Directory(3, 2, [Row(Entry("c", Type.FOLDER))])), "do not follow"
    ),
    "contents that are not numbered on": (
        build(DIRECTORY, (data_head(), TEXT), Directory(2, 3, [Row(Entry("c", Type.FOLDER))])), "do not follow"
    ),
    "members that do not begin": (build(Directory(1, 0, [Row(Entry("c", Type.FOLDER))])), "do not follow"),
    "a copy that is none": (
        build(DIRECTORY, (data_head(), TEXT), (replace(DIRECTORY, rows=[ROWS[0], Row(Entry("c"), 1)]), COPY)),
        "not the copy of the chunk at byte 32",
    ),
    "two of one name": (
        build(replace(DIRECTORY, rows=[ROWS[0], Row(Entry("a"), 1)]), (data_head(), TEXT)), "two members"
    ),
    "void, and not ending there": (
        build(DIRECTORY, (data_head(void=[7]), TEXT)), "voids what does not end in it"
    ),
    "a recipe that is no object": (build(Directory(0, 0, ROWS[:1], [Content(0, 0, "[]")])), "JSON object"),
    "a recipe that is no JSON": (build(Directory(0, 0, ROWS[:1], [Content(0, 0, "{")])), "JSON object"),
    "a recipe that goes deep": (build(Directory(0, 0, ROWS[:1], [Content(0, 0, "[" * 100_000)])), "JSON object"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_archives_that_no_writer_makes(what: str) -> None:
    data, message = WRONG[what]
    with pytest.raises(FormatError, match=message):
        opened(data)
    damaged = opened(data, damaged=True) if "do not follow" not in message and "recipe" not in what else None
    assert damaged is None or all(
        file in (b"some", b" text") for file in contents(damaged).values() if isinstance(file, bytes)
    )


def test_chunks_that_may_be_ignored_are() -> None:
    later = (77, b"head", b"payload", OPTIONAL)
    assert opened(build(later, DIRECTORY, later, (data_head(), TEXT))).test() == []
    with pytest.raises(UnsupportedVersionError):
        opened(build((77, b"", b"", 0), DIRECTORY, (data_head(), TEXT)))


def test_what_is_removed_needs_no_data() -> None:
    first = (data_head(b"some", [Piece(0, 0, 0, 4)], digest=digest(b"some")), b"some")
    archive = opened(build(DIRECTORY, first, removed=[1]))
    assert archive.names == ["a"] and archive.test() == [] and archive.structure.next_member == 2


def test_what_is_void_does_not_count() -> None:
    archive = opened(build(DIRECTORY, (data_head(void=[1]), TEXT)))
    assert archive.names == ["a"] and archive.test() == []


def test_the_digest_of_a_chunk_is_checked() -> None:
    data = build(DIRECTORY, (data_head(digest=digest(b"some", b"other")), TEXT))
    assert opened(data).read("a") == b"some"  # nobody can tell what is wrong before all are there
    found = contents(opened(data))
    assert all(isinstance(error, ChecksumError) and "as they were" in str(error) for error in found.values())
    assert len(opened(data).test()) == 2
    assert len(opened(build(DIRECTORY, (data_head(digest=b""), TEXT))).test()) == 2


def test_hashes_and_sizes_are_checked() -> None:
    hashed = [
        structs.replace(TWO[0], sha256=hashlib.sha256(b"some").digest()),
        structs.replace(TWO[1], sha256=bytes(32)),
    ]
    found = contents(opened(build(Directory(0, 0, ROWS, hashed), (data_head(), TEXT))))
    assert found["a"] == b"some" and isinstance(found["b"], ChecksumError)
    data, _ = pack([image_item("a.npy", digits(1))])
    archive = opened(data)
    (content,) = archive.structure.contents.values()
    archive.structure.contents[0] = structs.replace(content, size=content.size + 1)
    (error,) = contents(archive).values()
    assert isinstance(error, ChecksumError) and "instead of" in str(error)


def test_an_embedded_model_that_is_another() -> None:
    model, images = FakeModel(), digits(3)
    payload = model.encode(images)
    block = Block(77, 1, (Lot(3, (8, 8, 1)),), len(payload), check_sum(images.tobytes()), (), bytes.fromhex(model.id))
    directory = Directory(0, 0, ROWS[:1], [Content(9, 0, "{}", (3,))])
    head = DataHead([block], [Piece(0, 1, 0, 3)], digest=digest(b""))
    for identity, file in (
        (bytes.fromhex(model.id), FakeModel((5, 5, 1)).data),
        (bytes.fromhex(model.id), b"no"),
        (b"short", model.data),
    ):
        data = build((Kind.MODEL, identity, file, 0), directory, (head, payload))
        archive = opened(data, library=Library(shipped=False, load=FakeModel.from_bytes))
        with pytest.raises(ModelError):
            archive[0]
        assert any("chunk at byte 32" in problem for problem in archive.test())
        assert np.array_equal(opened(data)[0], images[0, ..., 0])  # it is on the shelf


# What few bytes announce.


def directory_of(count: int, first: int) -> tuple[Kind, bytes, bytes, int]:
    """Files without name and content, as many as a directory may have, in a few bytes."""
    body = fields({2: bytes(count), 6: varint(1), 16: column([0])})
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = bytes([Packing.DEFLATE]) + varints([first, first, count, count, len(body)])
    return Kind.DIRECTORY, head, deflate.compress(body) + deflate.flush(), 0


def many_pieces(count: int, content: int) -> tuple[DataHead, bytes]:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(bytes(count)) + deflate.flush()
    pieces = [Piece(content, 0, 0, 1)] * count
    return DataHead(data=Bytes(Packing.DEFLATE, count, 0, len(packed)), byte_pieces=pieces), packed


def many_names(members: int, arrays: int) -> tuple[Directory, tuple[DataHead, bytes]]:
    """Names of one content, which has many arrays of a pixel."""
    rows = [Row(Entry(f"{n:x}"), 0) for n in range(members)]
    block = Block(0, 1, (Lot(arrays, (1, 1, 1)),), 0, 0)
    pieces = [Piece(0, part, 0, 1) for part in range(1, arrays + 1)]
    return Directory(0, 0, rows, [Content(0, 0, "{}", (1,) * arrays)]), (DataHead([block], pieces), b"")


@pytest.mark.parametrize(
    "data",
    [
        build(*many_names(2000, 1000)),
        build(*(directory_of(MAX_ROWS, n * MAX_ROWS) for n in range(20))),
        build(*(many_pieces(40_000, n) for n in range(20))),
        build(*[(DataHead([Block(0, 1, (Lot(1, (1, 1, 1)),), 0, 0)] * 30_000, [Piece(0, 1, 0, 30_000)]), b"")] * 20),
    ],
    ids=["names", "members", "pieces", "blocks"],
)
def test_a_small_file_does_not_describe_much(data: bytes) -> None:
    assert len(data) < 100_000
    began = time.process_time()
    for damaged in (False, True):
        with pytest.raises(LimitError, match="more things than a file of"):
            opened(data, damaged=damaged)
    assert time.process_time() - began < 4


def test_many_contents_share_a_recipe_that_is_read_once() -> None:
    recipe = '{"format":"npy","x":[' + "0," * 100_000 + "0]}"
    rows = [Row(Entry(f"{n}"), n) for n in range(1000)]
    data = build(Directory(0, 0, rows, [Content(0, 0, recipe)] * 1000))
    began = time.process_time()
    archive = opened(data)
    assert time.process_time() - began < 1 and len(archive.members) == 1000


def test_limits() -> None:
    data = build(DIRECTORY, (data_head(), TEXT))
    for limits in (Limits(members=1), Limits(section=8), Limits(table=9), Limits(head=30)):
        with pytest.raises(LimitError):
            opened(data, limits=limits)
    found = contents(opened(data, limits=Limits(memory=8)))
    assert all(isinstance(error, LimitError) for error in found.values())


# Hard links.


def member(ordinal: int, name: str, content: int, target: str = "") -> Member:
    return Member(ordinal, Entry(name, Type.HARDLINK if target else Type.FILE, target=target), content)


def test_hard_links_whose_file_is_gone_are_files() -> None:
    found = relinked(
        [
            member(0, "a", 0),
            member(1, "b", 0, "a"),
            member(2, "c", 1, "a"),  # the old a, which was superseded
            member(3, "d", 1, "a"),
            member(4, "e", 2, "gone"),
            member(5, "f", 1, "gone"),
        ]
    )
    assert [(one.name, one.type, one.target) for one in found] == [
        ("a", Type.FILE, ""),
        ("b", Type.HARDLINK, "a"),
        ("c", Type.FILE, ""),
        ("d", Type.HARDLINK, "c"),
        ("e", Type.FILE, ""),
        ("f", Type.FILE, ""),
    ]


def test_members_tell_without_decoding() -> None:
    data, _ = pack([image_item("a.npy", digits(3)), file_item("t", noise(300)), folder_item("f")])
    first, text, folder = opened(data).members
    assert (first.parts[0].count, first.parts[0].shape, first.parts[0].dtype) == (3, (8, 8, 1), "uint8")
    assert first.images == 3 and first.nbytes == first.blob + 192 and first.exact
    assert (text.how, text.recipe, text.images, text.size) == (("stored",), None, 0, 300)
    assert (folder.how, folder.content, folder.size) == ((), None, 0)


def test_chunks_are_named_by_their_files() -> None:
    archive = opened(build(DIRECTORY, (data_head(), TEXT), (DataHead(), b"")))
    assert [archive.structure.span(chunk) for chunk in archive.structure.chunks] == ["'a' to 'b' (2 files)", "no file"]
    data, _ = pack([file_item("x", b"text")])
    archive = opened(data)
    assert archive.structure.span(archive.structure.chunks[0]) == "'x'"


def test_names_are_read_by_the_rules_of_the_system_that_wrote_them() -> None:
    body = fields({1: varint(1), 2: strings([b"\xff"])})
    chunk = (Kind.DIRECTORY, b"\0" + varints([0, 0, 1, 0, len(body)]), body, 0)
    for system, name in ((System.POSIX, "\udcff"), (System.WINDOWS, None)):
        stream = io.BytesIO()
        writer = ContainerWriter(stream, Header(5, system))
        writer.add(*chunk)
        writer.finish()
        if name:
            assert opened(stream.getvalue()).names == [name]
        else:
            with pytest.raises(FormatError, match="a name is not valid"):
                opened(stream.getvalue())
