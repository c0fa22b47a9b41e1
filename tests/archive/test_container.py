import io
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.archives import flipped
from bitsback.archive.container import (
    COPY,
    DRAFT,
    EARLIER,
    ENCRYPTED,
    END_MAGIC,
    FOOTER_SIZE,
    FRAME_SIZE,
    HEADER_SIZE,
    MAGIC,
    OPTIONAL,
    SYNC,
    ContainerReader,
    ContainerWriter,
    End,
    File,
    Finder,
    Header,
    Index,
    Kind,
    System,
    _footers,
    check_sum,
    read_payload,
)
from bitsback.archive.limits import Limits
from bitsback.errors import (
    BitsBackError,
    ChecksumError,
    FormatError,
    LimitError,
    TruncatedError,
    UnsupportedVersionError,
)

Chunks = list[tuple[int, bytes, bytes, int]]

CHUNKS: Chunks = [
    (Kind.DIRECTORY, b"head one", b"payload", 0),
    (Kind.MODEL, b"", b"m" * 50, OPTIONAL),
    (Kind.DATA, b"h" * 40, b"", 0),
    (Kind.DIRECTORY, b"head one", b"payload", COPY),
]


def run(
    stream: io.BytesIO, chunks: Chunks, end: End | None = None, run_id: int = 7, removed: list[int] | None = None
) -> None:
    writer = ContainerWriter(stream, Header(run_id, System.POSIX), end)
    for kind, head, payload, flags in chunks:
        writer.add(kind, head, payload, flags)  # type: ignore[arg-type]
    assert writer.finish(removed or []) == len(stream.getvalue())


def build(*runs: Chunks) -> bytes:
    stream = io.BytesIO()
    for number, chunks in enumerate(runs or [CHUNKS]):
        run(
            stream,
            chunks,
            ContainerReader(stream.getvalue()).end if number else None,
            7 + number,
            [number] * (number > 0),
        )
    return stream.getvalue()


def load(data: bytes) -> Chunks:
    reader = ContainerReader(data)
    return [(chunk.kind, chunk.head, reader.payload(chunk), chunk.flags) for chunk in reader.chunks]


def header(
    major: int = 2, minor: int = 0, required: int = DRAFT, optional: int = 0, system: int = 0, rest: int = 0
) -> bytes:
    data = struct.pack("<8sBBHHBBQ", MAGIC, major, minor, required, optional, system, rest, 7)
    return data + struct.pack("<Q", check_sum(data))


def framed(
    kind: int, payload: bytes, offset: int, number: int, flags: int = 0, head: bytes = b"", run_id: int = 7
) -> bytes:
    frame = struct.pack(
        "<4sBBHQIIQQQ", SYNC, kind, flags, 0, run_id, number, len(head), offset, len(payload), check_sum(payload)
    )
    return frame + struct.pack("<Q", check_sum(frame + head)) + head + payload


def footer(index: int, run_id: int = 7) -> bytes:
    data = struct.pack("<QQ", index, run_id)
    return data + struct.pack("<Q", check_sum(data)) + END_MAGIC


def hand_made(index: Index, *, flags: int = 0, head: bytes = b"", number: int | None = None) -> bytes:
    """A file without chunks, and an index."""
    chunk = framed(Kind.INDEX, index.encode(), HEADER_SIZE, len(index.sizes) if number is None else number, flags, head)
    return header() + chunk + footer(HEADER_SIZE)


def test_bytes_are_pinned() -> None:
    data = build([(Kind.DATA, b"h", b"p", 0)])
    frame, index = data[32:88], data[90:146]
    assert (HEADER_SIZE, FRAME_SIZE, FOOTER_SIZE) == (32, 56, 32)
    assert (
        data.hex()
        == (
            "8f4242410d0a1a0a0200010000000000"  # magic, version, features, POSIX
            + "0700000000000000"  # the run
            + struct.pack("<Q", check_sum(data[:24])).hex()
            + "b5424bf201000000"  # sync, kind, flags
            + "0700000000000000"
            + "0000000001000000"  # number, size of the head
            + "2000000000000000"  # its place
            + "0100000000000000"
            + struct.pack("<Q", check_sum(b"p")).hex()
            + struct.pack("<Q", check_sum(frame[:48] + b"h")).hex()
            + "6870"
            + "b5424bf204000000"
            + "0700000000000000"
            + "0100000000000000"
            + "5a00000000000000"
            + "0600000000000000"
            + struct.pack("<Q", check_sum(data[146:152])).hex()
            + struct.pack("<Q", check_sum(index[:48])).hex()
            + "010000013a00"  # features, no index before, from chunk 0 on, one chunk, of 58 bytes, none removed
            + "5a00000000000000"
            + "0700000000000000"
            + struct.pack("<Q", check_sum(data[-32:-16])).hex()
            + END_MAGIC.hex()
        )
    )


kinds = st.sampled_from([Kind.DATA, Kind.MODEL, Kind.DIRECTORY, Kind.PARITY])
chunk_lists = st.lists(st.tuples(kinds, st.binary(max_size=30), st.binary(max_size=90), st.sampled_from([0, OPTIONAL])))


@settings(deadline=None, max_examples=50)
@given(st.lists(chunk_lists, min_size=1, max_size=4))
def test_round_trip(runs: list[Chunks]) -> None:
    data = build(*runs)
    assert load(data) == [chunk for chunks in runs for chunk in chunks]
    reader = ContainerReader(data)
    assert [chunk.offset for chunk in reader.chunks] == [chunk.place for chunk in reader.chunks]
    assert reader.removed == set(range(1, len(runs)))
    assert reader.tail == 0 and reader.end.runs == tuple(range(7, 7 + len(runs)))


def test_a_file_is_read_as_its_bytes_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(build())
    with (tmp_path / "a").open("rb") as real:
        for file in (real, io.BytesIO(build()), memoryview(build())):
            reader = ContainerReader(file)  # type: ignore[arg-type]
            assert [reader.payload(chunk) for chunk in reader.chunks] == [payload for _, _, payload, _ in CHUNKS]
            assert real.tell() == 0  # it reads by position


def test_every_bit_is_covered() -> None:
    data = build(CHUNKS, CHUNKS[:1])
    for bit in range(8 * len(data)):
        damaged = flipped(data, bit // 8, 1 << bit % 8)
        try:
            found = load(damaged)
        except FormatError:
            continue
        assert found == CHUNKS and ContainerReader(damaged).tail  # it is what it was before the second run


def test_every_truncation_is_found() -> None:
    first, data = build(), build(CHUNKS, CHUNKS[:1])
    for size in range(len(data)):
        if size >= len(first):
            assert load(data[:size]) == CHUNKS and ContainerReader(data[:size]).tail == size - len(first)
        else:
            with pytest.raises(FormatError):
                load(data[:size])


@pytest.mark.parametrize("extra", [b"\0", b"more", bytes(3000), END_MAGIC * 9, SYNC * 9, build()])
def test_what_follows_the_end_is_no_part_of_it(extra: bytes) -> None:
    reader = ContainerReader(build() + extra)
    assert reader.tail == len(extra) and len(reader.chunks) == len(CHUNKS)


def test_a_finished_run_whose_footer_is_damaged_is_damage() -> None:
    """It is not for the reader to say that what was added last does not count, nor for an append to write over it."""
    first, data = build(), build(CHUNKS, CHUNKS)
    for place in range(len(data) - FOOTER_SIZE, len(data)):
        with pytest.raises(ChecksumError, match="the end is damaged"):
            load(flipped(data, place))
    with pytest.raises(ChecksumError):
        load(flipped(flipped(data, len(data) - 1), len(first) + 9))
    assert load(data[:-1]) == CHUNKS  # cut short
    for place in range(len(data) - FOOTER_SIZE - FRAME_SIZE, len(data) - FOOTER_SIZE):  # the index
        with pytest.raises(FormatError):
            load(flipped(data, place))


def test_the_end_of_an_archive_that_was_being_stored_is_not_the_end() -> None:
    inner = build(CHUNKS, CHUNKS, CHUNKS)
    data = build(CHUNKS, [(Kind.DATA, b"", inner, 0)])
    cut = data.index(inner) + len(inner)
    assert data[:cut].endswith(END_MAGIC)
    reader = ContainerReader(data[:cut])
    assert len(reader.chunks) == len(CHUNKS) and reader.tail == cut - len(build())


def test_many_runs() -> None:
    runs = [[(Kind.DATA, b"%d" % number, b"", 0)] for number in range(EARLIER + 9)]
    data = build(*runs)
    reader = ContainerReader(data)
    assert [chunk.head for chunk in reader.chunks] == [chunk[0][1] for chunk in runs]
    assert reader.end.runs == tuple(range(7 + 9, 7 + 9 + EARLIER))
    sizes = [len(build(*runs[:count])) for count in (EARLIER + 7, EARLIER + 8, EARLIER + 9)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]  # an index does not grow with the runs before it


def test_other_files_are_refused() -> None:
    for data in (b"", b"PK\3\4" + bytes(200), b"\x89PNG\r\n\x1a\n" + bytes(200)):
        with pytest.raises(FormatError, match="not a bitsback archive"):
            load(data)
    with pytest.raises(FormatError, match="text mode"):
        load(build().replace(b"\r\n", b"\n"))
    with pytest.raises(TruncatedError):
        load(build()[:20])


def test_versions_and_features() -> None:
    rest = build()[HEADER_SIZE:]
    with pytest.raises(UnsupportedVersionError, match=r"format 7\.0"):
        load(header(major=7) + rest)
    with pytest.raises(UnsupportedVersionError, match=r"0\.x"):
        load(bytes.fromhex("8f4242410d0a1a0a0101010000000000") + bytes(99))
    for required in (ENCRYPTED, 256):
        with pytest.raises(UnsupportedVersionError, match=f"{required:#06x}"):
            load(header(required=required | DRAFT) + rest)
    assert load(header(optional=256, minor=9) + rest) == load(header(required=0) + rest) == CHUNKS
    for bad in (header(system=2), header(rest=1)):
        with pytest.raises(FormatError):
            load(bad + rest)
    with pytest.raises(UnsupportedVersionError, match="features"):
        load(hand_made(Index(required=ENCRYPTED)))


def test_unknown_kinds() -> None:
    strange: Chunks = [(77, b"x", b"y", 0)]
    with pytest.raises(UnsupportedVersionError, match="kind 77"):
        load(build(strange))
    strange = [(77, b"x", b"y", OPTIONAL)]
    assert load(build(strange)) == strange


@pytest.mark.parametrize(
    ("kind", "flags", "error"),
    [(Kind.DATA, 4, UnsupportedVersionError), (Kind.DATA, COPY, FormatError), (Kind.PARITY, COPY, FormatError)],
)
def test_flags(kind: Kind, flags: int, error: type[BitsBackError]) -> None:
    with pytest.raises(error):
        load(build([(kind, b"", b"", flags)]))


@pytest.mark.parametrize(
    "data",
    [
        hand_made(Index(), flags=OPTIONAL),
        hand_made(Index(), head=b"x"),
        hand_made(Index(), number=1),
        hand_made(Index(first=1), number=1),
        hand_made(Index(sizes=[5])),
        hand_made(Index(previous=HEADER_SIZE)),
        hand_made(Index(previous=1, runs=[7])),
        hand_made(Index(runs=[7])),
        header() + framed(Kind.DATA, Index().encode(), HEADER_SIZE, 0) + footer(HEADER_SIZE),
        header() + framed(Kind.INDEX, Index().encode(), HEADER_SIZE, 0) + footer(HEADER_SIZE, 8),
        header() + framed(Kind.INDEX, Index().encode(), HEADER_SIZE, 0, run_id=8) + footer(HEADER_SIZE, 8),
        header() + framed(Kind.INDEX, Index().encode(), HEADER_SIZE, 0) + bytes(8) + footer(HEADER_SIZE),
        header() + framed(Kind.INDEX, Index().encode() + bytes(7), HEADER_SIZE, 0) + footer(HEADER_SIZE),
        header() + framed(Kind.INDEX, Index(runs=[1] * (EARLIER + 1)).encode(), HEADER_SIZE, 0) + footer(HEADER_SIZE),
        header() + framed(Kind.INDEX, bytes([1, 0, 0, 200, 1]), HEADER_SIZE, 0) + footer(HEADER_SIZE),
        header() + footer(HEADER_SIZE),
    ],
)
def test_indexes_that_no_writer_makes(data: bytes) -> None:
    with pytest.raises(FormatError):
        load(data)


def test_a_sound_index_made_by_hand() -> None:
    assert load(hand_made(Index())) == []


def test_chunks_of_other_archives_or_places_are_refused() -> None:
    data = build([(Kind.DATA, b"h", b"p", 0)])
    for chunk in (
        framed(Kind.DATA, b"p", HEADER_SIZE, 0, head=b"h", run_id=8),
        framed(Kind.DATA, b"p", HEADER_SIZE + 1, 0, head=b"h"),
        framed(Kind.DATA, b"p", HEADER_SIZE, 1, head=b"h"),
        framed(Kind.INDEX, b"pp", HEADER_SIZE, 0),
        framed(Kind.DATA, b"", HEADER_SIZE, 0, head=b"h") + b"p",
    ):
        assert len(chunk) == FRAME_SIZE + 2
        with pytest.raises(FormatError):
            load(data[:HEADER_SIZE] + chunk + data[HEADER_SIZE + len(chunk) :])
    assert load(data[:HEADER_SIZE] + framed(Kind.DATA, b"p", HEADER_SIZE, 0, head=b"h") + data[HEADER_SIZE + 58 :])


def test_large_heads_and_indexes_are_refused_before_they_are_read() -> None:
    with pytest.raises(LimitError, match="head of 40 bytes"):
        ContainerReader(build(), Limits(head=39))
    with pytest.raises(LimitError, match="index"):
        ContainerReader(build(), Limits(table=8))


def test_many_ends_that_are_none_take_no_time() -> None:
    with pytest.raises(TruncatedError):
        load(header() + END_MAGIC * (1 << 16))
    ends = b"".join(footer(at) for at in range(1 << 12)) + b"x"
    assert ContainerReader(build() + ends).tail == len(ends)


def test_many_frames_that_are_none_take_no_time() -> None:
    hostile = File((SYNC + b"\1\0\0\0") * 80_000)
    with pytest.raises(LimitError, match="looks like chunks"):
        Finder(hostile, Limits()).find(0)


def test_indexes_that_overlap_take_no_time() -> None:
    """Many ends, each with an index of its own that holds all those before it, and says nothing sensible."""
    count, size = 300, FRAME_SIZE
    rest = b"".join(framed(Kind.DATA, b"", 0, 0) for _ in range(count))
    body, tail = bytearray(rest), b""
    for number in range(count):
        at = (count - 1 - number) * size
        payload = bytes(body[at + size :]) + tail
        body[at : at + size] = framed(Kind.INDEX, payload, HEADER_SIZE + at, 0)[:size]
        tail += footer(HEADER_SIZE + at)
    with pytest.raises((FormatError, LimitError)):
        load(header() + bytes(body) + tail)
    assert load(build() + bytes(body) + tail[:-1]) == CHUNKS


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_after_a_good_header_give_only_known_errors(noise: bytes) -> None:
    for data in (noise, header() + noise, header() + noise + build()[-FOOTER_SIZE:]):
        with pytest.raises(BitsBackError):
            load(data)


def test_a_file_that_shrinks_while_it_is_read() -> None:
    class Shrinking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return b"" if size == len(CHUNKS[1][2]) else super().read(size)

    reader = ContainerReader(Shrinking(build()))
    with pytest.raises(TruncatedError):
        reader.payload(reader.chunks[1])


def test_files_read_by_position_and_check_without_being_held(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(data)
    with (tmp_path / "a").open("rb") as real:
        for file in (File(real), File(data), File(io.BytesIO(data))):
            assert file.read(300, 5) == data[300:305]
            assert file.check_sum(3, len(data) - 3) == check_sum(data[3:])
            with pytest.raises(TruncatedError):
                file.read(len(data) - 2, 3)
            with pytest.raises(TruncatedError):
                file.check_sum(len(data) - 2, 3)


@pytest.mark.parametrize("gap", [0, 1, (1 << 20) - 64, (1 << 20) - 1, 1 << 20, (2 << 20) - 63])
def test_finding_chunks_and_ends(gap: int) -> None:
    """On both sides of where one window ends and the next begins; also in places that are not their own."""
    one = framed(Kind.DATA, b"payload", 7, 0, head=b"head")
    data = SYNC + one + SYNC + bytes(gap) + one[:-1] + one + footer(5) + bytes(gap) + footer(6)
    file, at, found = File(data), 0, []
    finder = Finder(file, Limits())
    while (chunk := finder.find(at)) is not None:
        found.append(chunk.offset)
        at = chunk.offset + 1
    second = 4 + len(one) + 4 + gap
    assert found == [4, second, second + len(one) - 1]
    stops = [second + 2 * len(one) - 1 + FOOTER_SIZE, len(data)]
    assert [stop for stop, _, _ in _footers(file)] == stops[::-1]
    assert [index for _, index, _ in _footers(file)] == [6, 5]


def test_what_is_added_counts_only_when_its_data_are_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    with (tmp_path / "a").open("wb") as file:
        writer = ContainerWriter(file, Header(1))
        writer.add(Kind.DATA, b"", b"x" * 99)
        size = writer.finish(durable=True)
    assert synced == [size - FOOTER_SIZE]


def test_damaged_payloads_are_found_when_they_are_read() -> None:
    data = flipped(build(), HEADER_SIZE + FRAME_SIZE + 9)
    reader = ContainerReader(data)
    with pytest.raises(ChecksumError, match="the payload is damaged"):
        read_payload(reader.file, reader.chunks[0])
