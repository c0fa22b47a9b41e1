import errno
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from archive.archives import (
    FakeModel,
    contents,
    contents_of,
    digits,
    file_item,
    folder_item,
    hardlink_item,
    image_item,
    library,
    mixed_items,
    noise,
    opened,
    pack,
    stream_item,
    symlink_item,
)
from bitsback.archive import Library, Settings, coding, directory, plan, writer
from bitsback.archive.container import COPY, ContainerReader, Kind
from bitsback.archive.item import Item
from bitsback.archive.member import Type
from bitsback.archive.report import ModelUse
from bitsback.errors import BitsBackError, InputError

SMALL = Settings(block=1 << 10)
"""Blocks of 16 of the images of :func:`digits`."""


def chunks_of(data: bytes) -> list[tuple[int, int]]:
    return [(chunk.kind, chunk.flags) for chunk in ContainerReader(data).chunks]


def test_every_member_comes_back() -> None:
    items = mixed_items()
    expected = contents_of(items)
    data, report = pack(items, SMALL)
    archive = opened(data)
    assert [member.entry for member in archive.members] == [item.entry for item in items]
    assert contents(archive) == expected
    assert archive.test() == [] == report.warnings == report.skipped
    assert all(member.exact for member in archive.members if member.name != "c/many.npz")


def test_the_report_says_what_was_done() -> None:
    data, report = pack(mixed_items(), SMALL)
    kept = {one.name: one for one in report.members}
    assert (report.bytes_out, report.bytes_in) == (len(data), sum(item.entry.size for item in mixed_items()))
    assert report.images == 40 + 1 + 3 + 2 + 2 + 5 + 20
    assert report.samples == (40 + 1 + 3 + 2 + 20) * 64 + 2 * 25 + 2 * 36 + 3 * 36
    assert report.bits_per_dim == pytest.approx(8 * (len(data) - report.other_bytes) / report.samples)
    assert report.ratio == pytest.approx(report.bytes_in / len(data))
    assert kept["a/array.npy"].how == "fake-256"
    assert kept["a/array.npy"].reason.startswith("smallest, before filtered (+")
    assert kept["c/other.npy"].how in ("plain", "filtered")
    assert kept["c/other.npy"].reason.startswith("no model takes such images; smallest, before ")
    assert (kept["b/text.txt"].how, kept["c/same.txt"].how, kept["c/noise"].how) == ("packed", "again", "stored")
    assert kept["a"].how == kept["c/link"].how == kept["b/twin.txt"].how == ""
    assert report.models == [ModelUse(FakeModel().id, "fake-256", len(FakeModel().data))]


def test_bytes_depend_on_the_files_alone() -> None:
    assert len({pack(mixed_items(), replace(SMALL, threads=threads))[0] for threads in (1, 2, 5)}) == 1
    assert pack(mixed_items(), replace(SMALL, verify=True))[0] == pack(mixed_items(), SMALL)[0]


def test_blocks_are_as_large_as_they_are_asked_for() -> None:
    counts = {}
    for block in (0, 1, 1 << 11):
        data, _ = pack([image_item("a.npy", digits(320))], Settings(block=block))
        counts[block] = [one.count for chunk in opened(data).structure.chunks for one in chunk.head.blocks]
    assert counts == {0: [320], 1: [16] * 20, 1 << 11: [32] * 10}


def test_frames_that_are_not_in_order_are_coded_in_order() -> None:
    """Each in the light of the one before; they come back in the order of their files."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (6, 128, 128, 1), np.uint8)
    frames[:] = frames[:1]
    for number in range(1, 6):
        frames[number:, 20 * number : 20 * number + 16] = rng.integers(0, 256, (16, 128, 1))
    items = [image_item(f"{place}.npy", frames[number][None]) for place, number in enumerate((3, 0, 5, 2, 4, 1))]
    data, _ = pack(items, Settings())
    archive = opened(data)
    pieces = [piece.content for chunk in archive.structure.chunks for piece in chunk.head.image_pieces]
    assert pieces in ([1, 5, 3, 0, 4, 2], [2, 4, 0, 3, 5, 1])
    assert contents(archive) == contents_of(items) and archive.test() == []


def test_drawings_out_of_order_go_whichever_way_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a sheet one thing after the other is added; of both ways through all sheets, the smaller is kept."""
    rng = np.random.default_rng(0)
    sheets = np.zeros((8, 128, 128, 1), np.uint8)
    for number in range(8):
        sheets[number:, 14 * number : 14 * number + 6, 8:72] = rng.integers(0, 200, (6, 64, 1))
    tried: list[tuple[list[int], int]] = []

    def spy(lots: Any, *rest: Any) -> coding.CodedBlock:
        coded = coding.encode_block(lots, *rest)
        tried.append(([int(np.flatnonzero((sheets == one).all((1, 2, 3)))[0]) for one in lots[0]], len(coded.payload)))
        return coded

    monkeypatch.setattr(writer, "encode_block", spy)
    items = [image_item(f"{place}.npy", sheets[number][None]) for place, number in enumerate((3, 0, 5, 7, 2, 6, 4, 1))]
    data, _ = pack(items, Settings())
    assert sorted(order for order, _ in tried) == [list(range(8)), list(range(8))[::-1]]
    ((_, _, block),) = [(chunk, which, one) for chunk in opened(data).structure.chunks
                        for which, one in enumerate(chunk.head.blocks)]  # fmt: skip
    assert block.size == min(size for _, size in tried)
    assert contents(opened(data)) == contents_of(items)


def test_pieces_are_not_cut_where_blocks_are() -> None:
    data, _ = pack([image_item("a.npy", digits(320))], SMALL)
    (chunk,) = opened(data).structure.chunks
    assert len(chunk.head.blocks) == 20 and len(chunk.head.image_pieces) == 1


def test_equal_contents_are_stored_once() -> None:
    text = noise(5000)
    once, _ = pack([file_item("a", text)])
    items = [file_item(name, text) for name in "abcdefgh"]
    expected = contents_of(items)
    many, report = pack(items)
    assert len(many) - len(once) < 40
    assert [one.how for one in report.members] == ["stored"] + ["again"] * 7
    assert contents(opened(many)) == expected
    images = [image_item(name, digits(40)) for name in ("a.npy", "b.npy")]
    assert len(pack(images)[0]) - len(pack(images[:1])[0]) < 40


def test_equal_contents_in_other_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_MEMBERS", 2)
    first = file_item("a", noise(5000), linked=True)
    items = [first, folder_item("b"), file_item("c", noise(5000)), hardlink_item("d", first)]
    expected = contents_of(items)
    data, report = pack(items)
    assert len(data) < 6000 and contents(opened(data)) == expected
    assert len({one.digest for one in report.members if one.name != "b"}) == 1


def test_batches_have_directories_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_MEMBERS", 3)
    items = mixed_items()
    data, _ = pack(items, SMALL)
    archive = opened(data)
    assert len([flags for kind, flags in chunks_of(data) if kind == Kind.DIRECTORY and not flags]) == 5
    assert contents(archive) == contents_of(mixed_items())
    assert [member.ordinal for member in archive.members] == list(range(len(items)))


def test_what_several_chunks_need_is_written_twice_and_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 1 << 10)
    data, _ = pack([image_item("a.npy", digits(40))], SMALL)
    assert chunks_of(data) == [
        (Kind.MODEL, 0), (Kind.DIRECTORY, 0), (Kind.DATA, 0), (Kind.DATA, 0), (Kind.DIRECTORY, COPY), (Kind.MODEL, COPY)
    ]  # fmt: skip
    data, _ = pack([file_item("a", b"text")])
    assert chunks_of(data) == [(Kind.DIRECTORY, 0), (Kind.DATA, 0)]


def test_nothing() -> None:
    data, report = pack([])
    assert report.bits_per_dim is None and report.ratio == 0
    archive = opened(data)
    assert archive.test() == [] == archive.members and len(archive) == 0
    data, _ = pack([file_item("a", b""), folder_item("b"), symlink_item("c", "a")])
    assert chunks_of(data) == [(Kind.DIRECTORY, 0)]
    assert contents(opened(data)) == {"a": b""}


def test_little_costs_little() -> None:
    data, _ = pack([file_item("a.txt", b"some text")])
    assert len(data) < 345
    data, _ = pack([image_item("digit-00001.npy", digits(1))], Settings(embed=False))
    chunk = opened(data).structure.chunks[0].chunk
    assert len(data) - chunk.payload_size < 430


# Files that are better kept as they are.


def test_files_that_are_smaller_than_their_images_are_kept() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 5, 5, 1), np.uint8)
    items = [image_item(name, images, again=True) for name in ("a.npy", "b.npy")]
    for item in items:
        data = b"a smaller file" + item.entry.name.encode()
        item.entry, item.reload = structs.replace(item.entry, size=len(data)), (lambda data=data: data)
        item.sha256 = hashlib.sha256(data).digest()
    expected = {item.entry.name: item.own_bytes() for item in items}
    data, report = pack(items)
    assert contents(opened(data)) == expected
    assert {one.how for one in report.members} == {"packed"} and report.images == 0
    assert all("files themselves are smaller" in one.reason for one in report.members)


@pytest.mark.parametrize("told", [b"a head and nothing" * 500, noise(9000)])
def test_what_stands_beside_images_counts_as_it_is_packed(told: bytes) -> None:
    """Of a file of 4,000 bytes, packed by another, 9,000 are told beside its images: it depends on what they are."""
    item = image_item("a.npy", digits(4), again=True, blob=told)
    item.entry, item.reload = structs.replace(item.entry, size=4000), lambda: noise(4000)
    item.sha256 = hashlib.sha256(noise(4000)).digest()
    _, report = pack([item])
    assert report.images == (4 if told.startswith(b"a head") else 0)


def test_files_that_do_not_pack_are_packed_together_where_they_are_alike() -> None:
    same = noise(9000)
    items = [file_item(name, noise(500, ord(name)) + same) for name in "abc"]
    data, report = pack(items)
    assert contents(opened(data)) == contents_of(items)
    assert len(data) < 13000 and {one.how for one in report.members} == {"packed"}
    apart = [file_item("a", same), file_item("b", noise(9000, 1))]
    assert {one.how for one in pack(apart)[1].members} == {"stored"}


def test_files_that_have_gone_meanwhile_are_kept_as_their_images() -> None:
    """One of two can still be read: neither is given up, and nothing is half one thing and half the other."""
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 1), np.uint8)
    items = [image_item("a.npy", images[:1], again=True), image_item("b.npy", images[1:], again=True)]
    expected = contents_of(items)
    for item in items:
        item.entry = structs.replace(item.entry, size=len(expected[item.entry.name]))
    kept = items[0].facts().blob // 2 + 25 + 24  # what it takes as images
    items[0].entry = structs.replace(items[0].entry, size=kept - 60)

    def gone() -> bytes:
        raise InputError("b.npy", "gone")

    items[1].reload = gone
    items[1].entry = structs.replace(items[1].entry, size=kept - 60)
    items[0].picture, items[1].picture = (replace(item.picture, exact=False) for item in items)  # type: ignore[type-var]
    data, report = pack(items)
    assert contents(opened(data)) == expected
    assert [one.images for one in report.members] == [1, 1]


# Models.


def test_a_model_is_embedded_only_if_it_pays_and_may_be() -> None:
    few, many = [image_item("a.npy", digits(1))], [image_item("a.npy", digits(40))]
    model = FakeModel()
    data, report = pack(many)
    assert report.models == [ModelUse(model.id, model.name, len(model.data))]
    alone = Library(shipped=False, load=FakeModel.from_bytes)
    assert contents(opened(data, library=alone)) == contents_of([image_item("a.npy", digits(40))])
    _, report = pack(many, Settings(embed=False))
    assert report.models == [ModelUse(model.id, model.name, 0)]
    large = FakeModel()
    large.data += bytes(9000)
    _, report = pack(many, library=Library([large], shipped=False))
    assert report.models == [] and report.members[0].reason == "the model saves less than it takes in the archive"
    _, report = pack(few, library=Library([FakeModel()], shipped=False, forced=True))
    assert report.models[0].embedded and report.members[0].reason == "asked for"


def test_what_a_forced_model_does_not_take() -> None:
    _, report = pack([image_item("a.npy", digits(9, 5))], library=Library([FakeModel()], shipped=False, forced=True))
    words = report.members[0].reason.split("; ")
    assert words[0] == "the model fake-256 does not take images of 5x5x1 uint8 samples"


def test_a_wrong_model_is_passed_over_with_one_warning() -> None:
    wrong = Library([FakeModel(wrong=True)], shipped=False)
    data, report = pack([image_item("a.npy", digits(60))], Settings(block=1 << 10, verify=True), library=wrong)
    assert len(report.warnings) == 1
    assert contents(opened(data)) == contents_of([image_item("a.npy", digits(60))])


def test_a_model_that_is_not_ready_is_passed_over() -> None:
    class Broken(FakeModel):
        def prepare(self) -> None:
            raise BitsBackError("computes something else here")

    data, report = pack([image_item("a.npy", digits(60))], library=Library([Broken()], shipped=False))
    assert report.warnings == ["fake-256 was not used: computes something else here"]
    assert contents(opened(data)) == contents_of([image_item("a.npy", digits(60))])


def test_a_large_block_is_coded_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "GRAIN", 64)
    asked: set[int] = set()

    class Counting(FakeModel):
        def encode(self, images: np.ndarray, threads: int = 1) -> bytes:
            asked.add(threads)
            return super().encode(images)

        def decode(self, *arguments: Any) -> np.ndarray:
            asked.add(arguments[4])
            return super().decode(*arguments[:4])

    for threads in (1, 3):
        data, _ = pack(
            [image_item("a.npy", digits(200))],
            Settings(threads=threads),
            library=Library([Counting()], shipped=False, load=FakeModel.from_bytes),
        )
        assert (
            opened(data, library=Library([Counting()], shipped=False, load=FakeModel.from_bytes)).test(threads=threads)
            == []
        )
        assert asked == {threads}
        asked.clear()


# Hashes.


def test_hashes_are_stored_for_what_comes_back_byte_for_byte() -> None:
    items = [file_item("a", b"text"), image_item("b.npy", digits(2)), image_item("c.npy", digits(3), exact=False)]
    items.append(stream_item("d", [noise(99)]))
    data, _ = pack(items, Settings(hashes=True))
    archive = opened(data)
    assert [bool(member.sha256) for member in archive.members] == [True, True, False, False]
    assert archive.members[0].sha256 == items[0].sha256.hex()
    assert archive.test() == [] and [member.exact for member in archive.members] == [True, True, False, True]


# What cannot be stored.


def test_what_cannot_be_stored_is_said() -> None:
    there = file_item("a", b"1")
    items = [
        there,
        file_item("a", b"2"),
        folder_item("a"),
        file_item("\0", b"3"),
        *(file_item(name, b"x") for name in ("", "/", "/x", "x/", "x//y", ".", "../x", "x/./y")),
        symlink_item("link", "x\0y"),
        hardlink_item("twin", there),
        file_item("b", b"4"),
    ]
    data, report = pack(items)
    assert contents(opened(data)) == {"a": b"1", "b": b"4"}
    assert [one.name for one in report.skipped[:3]] == ["a", "a", "\0"] and len(report.skipped) == 13
    assert {one.reason for one in report.skipped[:2]} == {"the name is there already"}
    assert {one.reason for one in report.skipped[3:11]} == {"the name is no relative path"}
    assert report.skipped[-1].reason == "a hard link to 'a', which is not stored"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_comes_through(number: int) -> None:
    class Failing(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() > 100:
                raise OSError(number, os.strerror(number))
            return super().write(data)

    for threads in (1, 3):
        with pytest.raises(OSError, match=os.strerror(number)):
            writer.write_archive(Failing(), mixed_items(), library(), Settings(threads=threads))


def test_a_pipe_will_do() -> None:
    class Pipe(io.RawIOBase):
        data = b""

        def write(self, data: Any) -> int:
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    writer.write_archive(pipe, mixed_items(), library(), SMALL)  # type: ignore[arg-type]
    assert pipe.data == pack(mixed_items(), SMALL)[0]


def test_progress_counts_the_input() -> None:
    steps: list[int] = []
    _, report = pack([item for item in mixed_items() if item.holds], SMALL, progress=steps.append)
    assert len(steps) > len(report.members)
    assert sum(steps) == pytest.approx(report.bytes_in, rel=0.1)


# Files that are streamed.


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(plan, "MAX_MEMBERS", 4)


@pytest.mark.usefixtures("small_pieces")
def test_streamed_files() -> None:
    pieces = [noise(2500), b"text" * 300, b""]
    items = [
        file_item("a", b"text"),
        stream_item("b", pieces),
        file_item("c", b"x"),
    ]
    data, report = pack(items)
    archive = opened(data)
    assert contents(archive) == {"a": b"text", "b": b"".join(pieces), "c": b"x"}
    assert len(archive.structure.chunks) > 3 and archive.test() == []
    assert report.members[1].digest == hashlib.sha256(b"".join(pieces)).digest()


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("announced", [2400, 2600, 3500, 5000, 999, 1000, 1])
@pytest.mark.parametrize("fails", [False, True])
def test_a_file_that_changes_while_it_is_streamed_is_void(announced: int, fails: bool) -> None:
    """It grew or shrank, or could not be read to its end. Its links do not count either, in whatever batch."""
    changing = stream_item("changing", [noise(2500)], announced, linked=True)
    if fails:

        def failing(step: int) -> Iterator[bytes]:
            yield noise(step)
            raise OSError(errno.EIO, "broken")

        changing.stream = failing
    items = [
        file_item("a", b"text"),
        changing,
        hardlink_item("twin", changing),
        *(folder_item(f"{n}") for n in range(4)),
        hardlink_item("later", changing),
        file_item("z", noise(700)),
    ]
    data, report = pack(items)
    archive = opened(data)
    assert contents(archive) == {"a": b"text", "z": noise(700)}
    assert {one.name for one in report.skipped} == {"changing", "twin", "later"}
    assert [kept.name for kept in report.members] == archive.names
    assert archive.test() == []
    without_index = opened(data[:-40], damaged=True)
    assert {member.name for member in without_index.members} == set(archive.names)


def test_a_void_file_of_any_size_takes_no_room() -> None:
    data, report = pack([stream_item("a", [noise(99)], 9 << 20)])
    assert report.skipped and len(data) < 20_000


# What a run is called.


def run_of(data: bytes) -> int:
    return ContainerReader(data).header.id


def test_runs_are_called_by_what_they_are_going_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first batch in full, and by what is listed of the others."""
    monkeypatch.setattr(plan, "MAX_MEMBERS", 2)
    items = [file_item(name, name.encode()) for name in "abcd"]
    runs = [
        run_of(data)
        for data in (
            pack(items)[0],
            pack(items[:3])[0],
            pack([*items[:3], file_item("d", b"d", 5)])[0],
            pack([*items[:3], file_item("d", b"dd")])[0],
            pack([file_item("a", b"x"), *items[1:]])[0],
            pack(iter(items))[0],
            pack(iter(items), listing=[folder_item("x").entry])[0],
        )
    ]
    assert len(set(runs)) == len(runs)
    assert run_of(pack(iter(items), listing=[item.entry for item in items])[0]) == runs[0]


def test_many_arrays_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch has no more than a reader takes."""
    monkeypatch.setattr(plan, "MAX_ROWS", 5)
    monkeypatch.setattr(directory, "MAX_ROWS", 5)
    items = [image_item(f"{n}.npz", digits(2, seed=n), digits(3, 6, seed=n), digits(1, 5, seed=n)) for n in range(4)]
    data, _ = pack(items)
    assert contents(opened(data)) == contents_of(items)


def test_links_of_all_types() -> None:
    first = file_item("a", b"text", linked=True)
    items: list[Item] = [first, hardlink_item("b", first), hardlink_item("c", first), symlink_item("d", "../x")]
    data, report = pack(items)
    members = opened(data).members
    assert [member.type for member in members] == [Type.FILE, Type.HARDLINK, Type.HARDLINK, Type.SYMLINK]
    assert [member.target for member in members] == ["", "a", "a", "../x"]
    assert len({kept.digest for kept in report.members[:3]}) == 1
