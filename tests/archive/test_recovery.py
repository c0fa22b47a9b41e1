"""Whatever happens to a file: what can be had is right, and what is whole can be had."""

import contextlib
import io
import struct
import time
from random import Random

import pytest

from archive import damages
from archive.archives import (
    NOW,
    contents_of,
    digits,
    file_item,
    flipped,
    folder_item,
    good,
    hardlink_item,
    image_item,
    library,
    noise,
    opened,
    pack,
    stream_item,
)
from bitsback.archive import Settings, item, plan, writer
from bitsback.archive.container import (
    FOOTER_SIZE,
    FRAME_SIZE,
    HEADER_SIZE,
    SYNC,
    ContainerReader,
    ContainerWriter,
    End,
    File,
    Header,
    Kind,
    check_sum,
)
from bitsback.archive.item import Item
from bitsback.archive.limits import DEFAULT_LIMITS
from bitsback.archive.recovery import Salvaged, salvage
from bitsback.archive.report import Report
from bitsback.archive.writer import Continued, Writer
from bitsback.errors import BitsBackError, LimitError, UnsupportedVersionError

SMALL = Settings(block=1 << 10)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many chunks, of few bytes; batches of five members. Nothing is packed, so that what is inside can be seen."""
    monkeypatch.setattr(item, "worth_packing", lambda data: False)
    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 1 << 10)
    monkeypatch.setattr(plan, "CHUNK_BYTES", 1 << 16)
    monkeypatch.setattr(plan, "MAX_MEMBERS", 5)


def grown(data: bytes, items: list[Item]) -> bytes:
    """An archive with members added."""
    archive = opened(data)
    stream = io.BytesIO(data)
    stream.seek(len(data))
    structure = archive.structure
    assert structure.header and structure.end
    names = {member.name: member.ordinal for member in archive.members}
    continued = Continued(structure.header, structure.end, structure.next_member, structure.next_content, names)
    Writer(stream, library(), SMALL, Report(), continued=continued).write(items)
    return stream.getvalue()


def folder(seed: int, count: int = 12) -> list[Item]:
    """A folder as it is at a time: the same names and sizes, other contents and times but for the first few."""
    items = [folder_item("f")]
    for number in range(count):
        of = seed if number > 5 else 0
        items.append(image_item(f"f/{number:02}.npy", digits(18, seed=100 * of + number)))
        items.append(file_item(f"f/{number:02}.txt", noise(300, seed=100 * of + number), NOW + of))
    return items


def salvaged(data: bytes) -> Salvaged:
    return salvage(File(data), DEFAULT_LIMITS)


def offsets(found: Salvaged) -> list[int]:
    return [chunk.offset for chunk in found.chunks]


def test_a_sound_archive_is_read_the_same() -> None:
    data = grown(pack(folder(1))[0], folder(2, 3))
    archive, damaged = opened(data), opened(data, damaged=True)
    assert damaged.problems == [] and not damaged.structure.incomplete
    assert damaged.members == archive.members and good(damaged) == good(archive)


# One archive, damaged.


def whole_files(data: bytes, spoilt: set[int]) -> set[str]:
    """Files whose blocks are whole, and a copy of whose directory and model is, where these bytes are spoilt."""
    archive = opened(data)
    structure = archive.structure

    def sound(begin: int, end: int) -> bool:
        return spoilt.isdisjoint(range(begin, end))

    def one_sound(kind: Kind, head: bytes) -> bool:
        return any(sound(c.offset, c.end) for c in structure.each(kind) if c.head == head)

    names = set()
    for member in archive.members:
        fine = any(
            one_sound(Kind.DIRECTORY, c.head)
            for c in structure.each(Kind.DIRECTORY)
            if member.ordinal in range(c.head[1], c.head[1] + c.head[3])
        )
        for place in structure.places.get(member.content if member.content is not None else -1, ()):
            one = structure.chunks[place.chunk]
            fine = fine and sound(one.chunk.offset, one.chunk.payload_offset)
            if place.piece.part:
                for block in structure.blocks(place):
                    which = next(i for i, other in enumerate(one.head.blocks) if other is block)
                    begin = one.chunk.payload_offset + one.starts[which]
                    fine = fine and sound(begin, begin + block.size)
            else:
                fine = fine and sound(one.chunk.payload_offset, one.chunk.payload_offset + one.starts[0])
        if fine and member.content is not None:
            names.add(member.name)
    return names


@pytest.mark.parametrize("seed", range(6))
def test_what_is_whole_can_be_had_and_nothing_else(seed: int) -> None:
    """Bits, runs of bytes, and sectors: of small ones, as the archive is small."""
    items = folder(1, 8)
    data = pack(items, SMALL)[0]
    expected = contents_of(folder(1, 8))
    random = Random(seed)
    for _ in range(25):
        damaged = bytearray(data)
        spoilt: set[int] = set()
        for _ in range(random.choice([1, 1, 2, 5])):
            size = random.choice([1, 40, 512])
            at = random.randrange(len(data))
            for place in range(at, min(at + size, len(data))):
                damaged[place] ^= random.randrange(1, 256)
                spoilt.add(place)
        archive = opened(bytes(damaged), damaged=True)
        found = good(archive)
        assert found.items() <= expected.items()
        assert found.keys() >= whole_files(data, spoilt)
        assert archive.problems


def test_every_cut_leaves_what_stands_before_it() -> None:
    data = pack(folder(1, 6), SMALL)[0]
    expected = contents_of(folder(1, 6))
    for size in range(HEADER_SIZE, len(data), 197):
        archive = opened(data[:size], damaged=True)
        found = good(archive)
        assert found.items() <= expected.items() and found.keys() >= whole_files(data, set(range(size, len(data))))
        assert any("the end is missing" in problem for problem in archive.problems)


@pytest.mark.parametrize("removed", [1, 30, 512, 3000])
def test_bytes_that_are_gone_move_the_others(removed: int) -> None:
    """Also within a payload, whose chunk then ends too late."""
    data = pack(folder(1, 6), SMALL)[0]
    expected = contents_of(folder(1, 6))
    for at in range(0, len(data) - removed, 211):
        archive = opened(data[:at] + data[at + removed :], damaged=True)
        found = good(archive)
        assert found.items() <= expected.items() and archive.problems
        if at >= HEADER_SIZE or removed < HEADER_SIZE + FRAME_SIZE:
            assert found.keys() >= whole_files(data, set(range(at, at + removed)))


def test_bytes_put_in_move_the_others() -> None:
    data = pack(folder(1, 6), SMALL)[0]
    expected = contents_of(folder(1, 6))
    for at in range(HEADER_SIZE, len(data), 211):
        found = good(opened(data[:at] + bytes(1000) + data[at:], damaged=True))
        assert found.items() <= expected.items() and found.keys() >= whole_files(data, {at})


def test_the_beginning_may_be_gone() -> None:
    """Header and all: what stands before its place tells whose the rest is."""
    data = pack(folder(1, 6), SMALL)[0]
    expected = contents_of(folder(1, 6))
    for size in range(1, len(data) - 400, 173):
        found = good(opened(data[size:], damaged=True))
        assert found.items() <= expected.items() and found.keys() >= whole_files(data, set(range(size)))


def test_a_block_of_a_damaged_chunk_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 1 << 20)
    data = pack([image_item(f"{n}", digits(16, seed=n)) for n in range(4)], SMALL)[0]
    (one,) = opened(data).structure.chunks
    for which in range(4):
        place = one.chunk.payload_offset + one.starts[which] + 9
        archive = opened(flipped(data, place), damaged=True)
        assert f"chunk at byte {one.chunk.offset}: the payload is damaged" in archive.problems
        assert len(good(archive)) == 3
    cut = opened(data[: one.chunk.payload_offset + one.starts[2] + 5], damaged=True)
    assert sorted(good(cut)) == ["0", "1"]


def test_problems_are_said() -> None:
    data = pack(folder(1, 4), SMALL)[0]
    chunk = opened(data).structure.chunks[2].chunk
    assert opened(flipped(data, 9), damaged=True).problems == ["header: the header is damaged"]
    assert opened(flipped(data, chunk.offset + 9), damaged=True).problems[0] == (
        f"bytes {chunk.offset} to {chunk.end} are damaged, or belong to no chunk"
    )
    assert opened(flipped(data, len(data) - 40), damaged=True).problems == [
        f"chunk at byte {ContainerReader(data).end.index}: the payload is damaged"
    ]
    assert opened(flipped(data, len(data) - 4), damaged=True).problems == [
        f"the end is missing or damaged, from byte {len(data) - FOOTER_SIZE} on"
    ]
    assert opened(b"", damaged=True).members == []


def test_unknown_chunks_are_named_and_stepped_over() -> None:
    stream = io.BytesIO()
    writer = ContainerWriter(stream, Header(7))
    writer.add(77, b"", SYNC * 9)  # type: ignore[arg-type]
    writer.finish()
    assert salvaged(stream.getvalue()).problems == ["chunk at byte 32: kind 77 is unknown to this version"]
    with pytest.raises(UnsupportedVersionError):
        salvaged(Header(7, version=(9, 0)).encode() + stream.getvalue()[HEADER_SIZE:])


# Archives inside archives.


def nested(inner: bytes, seed: int = 2) -> tuple[bytes, dict[str, bytes]]:
    """A folder as it is later, and an archive of what it was before somewhere in it."""
    items = folder(seed)
    items.insert(20, file_item("f/0backup.bba", inner))
    expected = contents_of(items)
    return pack(items, SMALL)[0], expected


def worse(data: bytes, random: Random, frames: list[int]) -> bytes:
    """Damaged in one way or another."""
    at = random.randrange(len(data))
    kind = random.choice(["flip", "zero", "cut", "out", "front", "frames"])
    if kind == "flip":
        return flipped(data, at, random.randrange(1, 256))
    if kind == "zero":
        size = min(random.choice([40, 512, 4096]), len(data) - at)
        return data[:at] + bytes(size) + data[at + size :]
    if kind == "cut":
        return data[: max(at, 200)]
    if kind == "out":
        return data[:at] + data[at + min(random.choice([3, 512, 4096]), len(data) - 200) :]
    if kind == "front":
        return bytes(at // 2) + data[at // 2 :]
    spoilt = bytearray(data)  # most frames of the archive itself
    for offset in frames:
        if offset < len(spoilt) and random.random() < 0.7:
            spoilt[offset] ^= 1
    return bytes(spoilt)


@pytest.mark.parametrize("inner", ["older", "same", "longer", "grown", "other future", "two"])
def test_an_archive_inside_is_never_taken_for_the_one_around_it(inner: str) -> None:
    """Be it an older one of the same folder, whose first batches are the same, or one that has more batches."""
    old = pack(folder(1), SMALL)[0]
    before: dict[str, bytes] = {}
    if inner in ("grown", "other future"):  # the one around it begins with the one inside
        backup = file_item("f/0backup.bba", old if inner == "grown" else grown(old, folder(3, 8)))
        items = [*folder(2, 8), backup, *folder(2)[17:]]
        before = contents_of(folder(1))
        data, expected = grown(old, items), before | contents_of([*folder(2, 8), backup, *folder(2)[17:]])
    else:
        inside = {
            "older": old,
            "same": pack(folder(2), SMALL)[0],
            "longer": pack(folder(1, 30), SMALL)[0],
            "two": old + nested(old, 3)[0],
        }[inner]
        data, expected = nested(inside)
    random = Random(1)
    frames = [chunk.offset for chunk in opened(data).structure.all_chunks]
    right = 0
    for _ in range(40):
        damaged = data
        for _ in range(random.choice([1, 1, 2, 3])):
            damaged = worse(damaged, random, frames) if len(damaged) > 500 else damaged
        for name, content in good(opened(damaged, damaged=True)).items():
            # where all is lost that says that a file was superseded, what it was before is what there is
            assert content in (expected[name], before.get(name))
            right += 1
    assert right > 150


def test_runs_are_different_where_anything_that_is_known_differs() -> None:
    one, two = pack(folder(1), SMALL)[0], nested(pack(folder(1), SMALL)[0], 1)[0]
    assert ContainerReader(one).header.id != ContainerReader(two).header.id
    assert grown(one, folder(2, 3))[:HEADER_SIZE] == one[:HEADER_SIZE]
    futures = {ContainerReader(grown(one, folder(seed, 9))).end.runs for seed in (2, 3)}
    assert len(futures) == 2


@pytest.fixture
def as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not pack by itself is stored, even if parts of it repeat."""
    monkeypatch.setattr(writer, "_REPEATED", 1)


@pytest.mark.usefixtures("as_they_are")
def test_an_archive_inside_is_said_to_be_there() -> None:
    inner = pack(folder(1), SMALL)[0]
    data, _ = nested(inner)
    at = data.index(inner)
    alone = bytes(at) + inner
    archive = opened(alone, damaged=True)
    assert archive.members == []
    assert f"only parts of what was stored in it: another archive begins at byte {at}" in archive.problems[-2]


@pytest.mark.usefixtures("as_they_are")
def test_a_copy_of_a_chunk_inside_an_archive_inside_will_do() -> None:
    """An older archive of the same run that the one around it began with: its chunks are the same."""
    old = pack(folder(1), SMALL)[0]
    data = grown(old, [file_item("backup", old)])
    spoilt = flipped(data, len(old) + 9)  # the frame of the directory that names the copy
    chunk = opened(old).structure.chunks[1].chunk
    spoilt = flipped(flipped(spoilt, chunk.offset), data.rindex(old) - 30)
    found = good(opened(spoilt, damaged=True))
    assert found.items() <= (contents_of(folder(1)) | {"backup": old}).items()
    assert found.keys() >= contents_of(folder(1)).keys()


def test_damage_to_many_appended_runs() -> None:
    data = pack(folder(1, 2), SMALL)[0]
    expected = contents_of(folder(1, 2))
    for number in range(40):
        item = file_item(f"added {number}", noise(200, number))
        expected |= contents_of([item])
        data = grown(data, [item])
    for at, change in ((40, data[43:]), (40, bytes(50) + data[40:])):
        found = good(opened(data[:at] + change, damaged=True))
        assert found.items() <= expected.items() and len(found) >= 40
    assert len(good(opened(data[45:], damaged=True))) >= 40
    runs = ContainerReader(data).end.runs
    assert len(runs) == 32 and opened(data).test() == []


@pytest.mark.parametrize("lost", ["index", "directory"])
def test_what_was_superseded_or_void_stays_so(lost: str) -> None:
    """A member that was superseded does not come back with its old content where the new one is known."""
    changing = stream_item("changing", [noise(900)], 1200, linked=True)
    data = pack([file_item("a", b"old"), changing, hardlink_item("twin", changing), *folder(1, 4)], SMALL)[0]
    data = grown(data, [file_item("a", b"new"), folder_item("z")])
    expected = contents_of(folder(1, 4)) | {"a": b"new"}
    if lost == "index":
        for at in (ContainerReader(data).end.index, ContainerReader(pack([])[0]).end.index):
            data = flipped(data, at)
        assert good(opened(data, damaged=True)) == expected
    else:
        found = good(opened(flipped(data, opened(data).structure.all_chunks[0].offset), damaged=True))
        assert found.items() <= expected.items()


# Files made to be slow.


def frame(kind: int, payload_size: int, head: bytes = b"", number: int = 0) -> bytes:
    data = struct.pack("<4sBBHQIIQQQ", SYNC, kind, 0, 0, 1, number, len(head), 0, payload_size, 0)
    return data + struct.pack("<Q", check_sum(data + head)) + head


@pytest.mark.parametrize(
    "data",
    [
        SYNC * (1 << 15),
        frame(1, 1 << 19) * (1 << 13),
        frame(1, 0, bytes(1 << 16))[:FRAME_SIZE] * (1 << 12) + bytes(1 << 16),
        frame(4, 0) * (1 << 12),
    ],
    ids=["marks", "payloads that overlap", "heads that overlap", "indexes"],
)
def test_no_file_takes_long(data: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(LimitError):
        salvaged(data)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("seed", range(3))
def test_noise_gives_nothing(seed: int) -> None:
    random = Random(seed)
    data = bytearray(noise(20_000, seed))
    for _ in range(200):
        at = random.randrange(len(data) - 4)
        data[at : at + 4] = SYNC
    found = salvaged(bytes(data))
    assert found.chunks == [] and found.problems


def test_damage_of_all_sorts() -> None:
    data = pack(folder(1, 8), SMALL)[0]
    expected = contents_of(folder(1, 8))
    random = Random(5)
    for _ in range(40):
        for damaged in (
            damages.flip(data, random, 9),
            damages.overwrite(data, random, [random.randrange(damages.count(data))]),
        ):
            assert good(opened(damaged, damaged=True)).items() <= expected.items()


def test_an_index_of_another_future_proves_nothing() -> None:
    """Two archives that begin with one run: what belongs to the one is not taken for the other's."""
    old = pack(folder(1, 4), SMALL)[0]
    one, two = grown(old, folder(2, 9)), grown(old, folder(3, 9))
    for at in range(len(old), len(one), 1500):
        mixed = one[:at] + bytes(100) + two[at + 100 :]
        found = good(opened(mixed, damaged=True))
        either = [contents_of(folder(1, 4)) | contents_of(folder(seed, 9)) for seed in (2, 3)]
        assert all(any(each.get(name) == data for each in either) for name, data in found.items())


def test_numbers_of_another_archive_change_nothing() -> None:
    stream = io.BytesIO()
    writer = ContainerWriter(stream, Header(7), End(HEADER_SIZE, 5, 0, ()))
    writer.add(Kind.DATA, b"x", b"y")
    one = Header(7).encode() + stream.getvalue()
    assert offsets(salvaged(one)) == [HEADER_SIZE]
    with pytest.raises(BitsBackError):
        opened(one)
