import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.archive.limits import Limits
from bitsback.archive.members import (
    ByteSection,
    ChunkHead,
    ImageSection,
    Piece,
    Record,
    RouteCode,
    decode_head,
    default_pieces,
)
from bitsback.archive.packing import Packing
from bitsback.errors import BitsBackError, FormatError, LimitError, UnsupportedVersionError

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
U64 = st.integers(0, 2**64 - 1)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    rows = draw(st.integers(1, 6))
    ordinals = sorted(draw(st.sets(st.integers(0, 5000), min_size=rows, max_size=rows)))
    times = draw(st.booleans())
    modes = draw(st.booleans())
    out = []
    for ordinal in ordinals:
        recipe = draw(st.sampled_from([None, "{}", '{"format":"png"}']))
        size = draw(st.integers(0, 10**6))
        counts = () if recipe is None else tuple(draw(st.lists(st.integers(1, 300), max_size=3)))
        out.append(
            Record(
                ordinal,
                draw(NAMES),
                size,
                draw(st.integers(-(2**62), 2**62)) if times else None,
                draw(st.integers(0, 0o7777)) if modes else None,
                recipe,
                counts,
                size if recipe is None else draw(st.sampled_from([0, 30])),
            )
        )
    return out


@st.composite
def heads(draw: st.DrawFn) -> ChunkHead:
    rows = draw(records())
    pieces = draw(st.sampled_from([default_pieces(rows), [Piece(9999, 0, 5, 7), Piece(9999, 2, 3, 4)]]))
    images = sum(piece.length for piece in pieces if piece.part)
    size = sum(piece.length for piece in pieces if not piece.part)
    route = draw(st.sampled_from(RouteCode))
    section = ImageSection(
        route,
        draw(st.sampled_from([1, 2])),
        (draw(st.integers(1, 99)), draw(st.integers(1, 99)), draw(st.integers(1, 4))),
        images,
        draw(U64),
        draw(st.integers(0, 2**32)),
        draw(st.none() | st.tuples(st.integers(0, 255), st.integers(0, 255))),
        bytes(range(32)) if route == RouteCode.MODEL else None,
    )
    data = ByteSection(draw(st.sampled_from(Packing)), size, draw(U64))
    return ChunkHead(section if images else None, data if size else None, rows, pieces)


@settings(deadline=None)
@given(heads())
def test_round_trip(head: ChunkHead) -> None:
    assert decode_head(head.encode(), Limits()) == head


@settings(deadline=None)
@given(heads(), st.integers(0, 10**6), st.integers(1, 255))
def test_damage_gives_only_known_errors(head: ChunkHead, place: int, change: int) -> None:
    data = bytearray(head.encode())
    data[place % len(data)] ^= change
    try:
        decode_head(bytes(data))
    except BitsBackError as error:
        assert "\n" not in str(error)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_noise_gives_only_known_errors(noise: bytes) -> None:
    for data in (b"\0" + noise, noise):
        try:
            decode_head(data)
        except BitsBackError as error:
            assert str(error)


def test_ten_thousand_similar_files_cost_a_few_bytes_each() -> None:
    rows = [
        Record(n, f"digits/digit_{n:05}.png", 256, 1_700_000_000_000_000_000 + n * 1_000_000, 0o644, "{}", (1,))
        for n in range(10_000)
    ]
    section = ImageSection(RouteCode.MODEL, 1, (28, 28, 1), 10_000, 5, 5, None, bytes(32))
    head = ChunkHead(section, None, rows)
    assert len(head.encode()) < 20_000
    assert decode_head(head.encode()).records == rows


def test_a_chunk_of_one_array_is_small() -> None:
    row = Record(
        0, "train-images.npy", 47_040_128, 1_700_000_000_123_456_789, 0o644, '{"format":"npy"}', (60_000,), 128
    )
    section = ImageSection(RouteCode.MODEL, 1, (28, 28, 1), 5000, 2**63, 1 << 20, None, bytes(range(32)))
    head = ChunkHead(
        section, ByteSection(Packing.DEFLATE, 128, 2**63), [row], [Piece(0, 0, 0, 128), Piece(0, 1, 0, 5000)]
    )
    assert len(head.encode()) < 150


def plain(*fields: tuple[int, bytes]) -> bytes:
    return b"\0" + b"".join(bytes([tag, len(data)]) + data for tag, data in fields)


def images(height: int = 2, width: int = 2, channels: int = 1, count: int = 1, kind: int = 1) -> bytes:
    return bytes([0, kind, height, width, channels, count, 4]) + bytes(9)


def test_unknown_fields() -> None:
    assert decode_head(plain((17, b"name"), (200, b"?"))).records[0].name == "name"
    with pytest.raises(UnsupportedVersionError, match="field 99"):
        decode_head(plain((17, b"name"), (99, b"?")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        plain((17, b"b"), (17, b"a")),
        plain((18, b""), (17, b"a")),
        plain((17, b"\xff")),
        plain((17, b"a\0b"), (20, b"\1\2\3")),
        plain((16, b"\1\1"), (17, b"a")),
        plain((17, b"a"), (20, b"\5"), (25, b"\4")),
        plain((17, b"a"), (21, b"{}"), (22, b"\2")),
        plain((1, images())),
        plain((1, images()), (32, b"\0\1\0\2")),
        plain((1, images()), (32, b"\0\1\0")),
        plain((1, images(height=0)), (32, b"\0\1\0\1")),
        plain((1, images(kind=3)), (32, b"\0\1\0\1")),
        plain((1, images() + b"\0"), (32, b"\0\1\0\1")),
        plain((2, b"\0\3" + bytes(8))),
        plain((17, b"a"), (21, b"{}"), (24, b"\0"), (25, b"\0")),
        plain((17, b"a"), (20, b"\xff" * 10 + b"\1")),
    ],
)
def test_malformed_heads(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_head(data)


def test_limits_hold_before_anything_is_made() -> None:
    huge = b"\xff\xff\xff\xff\x0f"
    with pytest.raises(LimitError, match="pixels"):
        decode_head(plain((1, b"\0\1" + huge + huge + b"\1\1\4" + bytes(9))))
    with pytest.raises(LimitError, match="chunk decodes"):
        decode_head(plain((1, b"\0\1\x20\x20\1" + huge + b"\4" + bytes(9))))
    with pytest.raises(LimitError, match="unpacks"):
        decode_head(b"\1" + b"\xff\xff\xff\xff\x7f" + b"x")
    with pytest.raises(LimitError, match="files in one chunk"):
        decode_head(plain((17, b"a\0b\0c")), Limits(members=2))
    with pytest.raises(LimitError, match="file number"):
        decode_head(plain((16, b"\x63"), (17, b"a")), Limits(members=99))
    with pytest.raises(LimitError, match="chunk unpacks"):
        decode_head(plain((2, b"\0\xff\xff\xff\xff\x7f" + bytes(8))))


def test_times_of_all_or_none() -> None:
    with pytest.raises(ValueError, match="times"):
        ChunkHead(records=[Record(0, "a", 0, 5, 6), Record(1, "b", 0)]).encode()
