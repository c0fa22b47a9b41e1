import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.archive.container import (
    END_MAGIC,
    FOOTER_SIZE,
    FRAME_SIZE,
    HEADER_SIZE,
    MAGIC,
    OPTIONAL,
    ContainerReader,
    ContainerWriter,
    Kind,
    check_sum,
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

BLOCKS = [(Kind.CHUNK, b"head one", b"payload"), (Kind.MODEL, b"", b"m" * 50), (Kind.CHUNK, b"h" * 40, b"")]


def build(blocks: list[tuple[int, bytes, bytes]] = BLOCKS, flags: int = 0) -> bytes:
    stream = io.BytesIO()
    writer = ContainerWriter(stream)
    for kind, head, payload in blocks:
        writer.add(kind, head, payload, flags)  # type: ignore[arg-type]
    assert writer.finish() == len(stream.getvalue())
    return stream.getvalue()


def load(data: bytes, *, damaged: bool = False) -> list[tuple[int, bytes, bytes]]:
    reader = ContainerReader(io.BytesIO(data), damaged=damaged)
    return [(block.kind, block.head, reader.payload(block)) for block in reader.blocks]


def header(major: int = 1, minor: int = 0, required: int = 0, optional: int = 0, reserved: int = 0) -> bytes:
    data = struct.pack("<8sBBHHH", MAGIC, major, minor, required, optional, reserved)
    return data + struct.pack("<Q", check_sum(data))


def test_bytes_are_pinned() -> None:
    data = build([(Kind.CHUNK, b"h", b"p")])
    assert (
        data.hex()
        == (
            "8f4242410d0a1a0a0101010000000000"  # magic, version, features
            + struct.pack("<Q", check_sum(data[:16])).hex()
            + "b5424bf101000000"  # sync, kind, flags
            + "0100000001000000"  # sizes
            + struct.pack("<Q", check_sum(b"p")).hex()
            + struct.pack("<Q", check_sum(data[24:48] + b"h")).hex()
            + "6870"
            + "b5424bf103000000"
            + "0000000008000000"
            + struct.pack("<Q", check_sum(data[-32:-24])).hex()
            + struct.pack("<Q", check_sum(data[58:82])).hex()
            + "1800000000000000"  # the only block is at byte 24
            + "3a00000000000000"  # the index is at byte 58
            + struct.pack("<Q", check_sum(data[-24:-16])).hex()
            + END_MAGIC.hex()
        )
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([Kind.CHUNK, Kind.MODEL]), st.binary(max_size=30), st.binary(max_size=90))))
def test_round_trip(blocks: list[tuple[int, bytes, bytes]]) -> None:
    data = build(blocks)
    assert load(data) == blocks
    assert load(data, damaged=True) == blocks


def test_every_bit_is_covered() -> None:
    data = build()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            load(bytes(damaged))


def test_every_truncation_is_found() -> None:
    data = build()
    for size in range(len(data)):
        with pytest.raises(FormatError):
            load(data[:size])


@pytest.mark.parametrize("extra", [b"\0", b"more", build()])
def test_something_appended_is_found(extra: bytes) -> None:
    with pytest.raises(FormatError):
        load(build() + extra)


def test_text_mode_transfer_is_named() -> None:
    with pytest.raises(FormatError, match="text mode"):
        load(build().replace(b"\r\n", b"\n"))


@pytest.mark.parametrize("data", [b"", b"PK\3\4" + bytes(200), b"\x89PNG\r\n\x1a\n" + bytes(200)])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="not a bitsback archive"):
        load(data)


def test_a_newer_major_version_is_refused_as_such() -> None:
    with pytest.raises(UnsupportedVersionError, match=r"format 7\.0"):
        load(header(major=7, minor=0) + build()[HEADER_SIZE:])


def test_a_required_feature_is_refused_and_an_optional_one_ignored() -> None:
    with pytest.raises(UnsupportedVersionError, match="0x0100"):
        load(header(required=256) + build()[HEADER_SIZE:])
    assert load(header(optional=256, minor=9) + build()[HEADER_SIZE:]) == BLOCKS


def test_reserved_header_field() -> None:
    with pytest.raises(FormatError):
        load(header(reserved=1) + build()[HEADER_SIZE:])


def test_unknown_kinds() -> None:
    strange = [(77, b"x", b"y")]
    with pytest.raises(UnsupportedVersionError, match="kind 77"):
        load(build(strange))
    assert load(build(strange, flags=OPTIONAL)) == strange


def test_unknown_block_flags_are_refused() -> None:
    with pytest.raises(UnsupportedVersionError):
        load(build(flags=2))


def test_a_huge_head_is_refused_before_it_is_read() -> None:
    with pytest.raises(LimitError):
        ContainerReader(io.BytesIO(build()), Limits(head=39))


def test_damaged_archives_give_their_whole_blocks() -> None:
    data = bytearray(build())
    data[HEADER_SIZE + 5] ^= 1  # frame of the first block
    reader = ContainerReader(io.BytesIO(bytes(data)), damaged=True)
    assert [block.head for block in reader.blocks] == [head for _, head, _ in BLOCKS[1:]]
    assert len(reader.problems) == 1
    with pytest.raises(ChecksumError):
        load(bytes(data))


def test_cut_archives_give_their_whole_blocks() -> None:
    data = build()
    first = HEADER_SIZE + FRAME_SIZE + len(BLOCKS[0][1]) + len(BLOCKS[0][2])
    assert load(data[:first], damaged=True) == BLOCKS[:1]
    assert load(data[: first + 60], damaged=True) == BLOCKS[:1]
    assert load(data[:-FOOTER_SIZE], damaged=True) == BLOCKS
    assert ContainerReader(io.BytesIO(data[:-1]), damaged=True).problems == ["the end is missing or damaged"]


def test_salvage_survives_a_lost_header_and_rubbish_between() -> None:
    data = build()
    reader = ContainerReader(io.BytesIO(b"?" * HEADER_SIZE + b"junk" + data[HEADER_SIZE:]), damaged=True)
    assert len(reader.blocks) == len(BLOCKS)
    assert len(reader.problems) == 2


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_after_a_good_header_give_only_known_errors(noise: bytes) -> None:
    for data in (noise, header() + noise, header() + noise + build()[-FOOTER_SIZE:]):
        with pytest.raises(BitsBackError):
            load(data)
        load_or_error = ContainerReader(io.BytesIO(data), damaged=True)
        assert load_or_error.problems


def test_a_payload_that_ends_early_while_reading() -> None:
    class Shrinking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(size)[: -1 if size == len(BLOCKS[1][2]) else None]

    reader = ContainerReader(Shrinking(build()))
    with pytest.raises(TruncatedError):
        reader.payload(reader.blocks[1])
