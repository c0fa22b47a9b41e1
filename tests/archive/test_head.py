import time
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.archive.fields import column, fields, steps, varint, varints
from bitsback.archive.front import Form, Front, Levels
from bitsback.archive.head import MAX_BLOCKS, MAX_PIECES, Block, Bytes, DataHead, Piece, decode_head, joined
from bitsback.archive.limits import Limits
from bitsback.archive.packing import Packing
from bitsback.errors import BitsBackError, FormatError, LimitError, UnsupportedVersionError
from bitsback.kinds.base import Lot

MODEL = bytes(range(32))

checks = st.integers(0, (1 << 64) - 1)
lengths = st.lists(st.integers(1, 1 << 20), min_size=1, max_size=5)


@st.composite
def fronts(draw: st.DrawFn, form: Form) -> Front:
    """None, or one step."""
    table = st.sets(st.integers(0, (1 << 8 * form.sample_bytes) - 1), min_size=1, max_size=9)
    count = draw(st.sampled_from([0, 1, form.channels]))
    tables = tuple(tuple(sorted(draw(table))) for _ in range(count))
    return (Levels(tables),) if tables else ()


@st.composite
def heads(draw: st.DrawFn) -> DataHead:
    blocks = []
    for count in draw(st.lists(st.integers(1, 99), max_size=4)):
        sample_bytes, channels = draw(st.sampled_from([1, 2])), draw(st.integers(1, 9))
        lots = [Lot(count, (draw(st.integers(1, 300)), draw(st.integers(1, 300)), channels))]
        lots += draw(st.lists(st.builds(Lot, st.integers(1, 9), st.just((3, 4, channels))), max_size=3))
        model = draw(st.sampled_from([b"", MODEL, bytes(32)]))
        before = draw(fronts(Form(channels, sample_bytes)))
        blocks.append(
            Block(draw(st.integers(0, 255)), sample_bytes, tuple(lots), draw(checks), draw(checks), before, model)
        )
    images = [
        Piece(draw(st.integers(0, 1 << 40)), draw(st.integers(1, 9)), draw(st.integers(0, 1 << 40)), block.count)
        for block in blocks
    ]
    section, pieces = None, []
    if draw(st.booleans()):
        pieces = [Piece(draw(st.integers(0, 9)), 0, draw(st.integers(0, 9)), length) for length in draw(lengths)]
        size = sum(piece.length for piece in pieces)
        section = Bytes(draw(st.sampled_from(Packing)), size, draw(checks), draw(st.integers(0, 1 << 40)))
    digest = draw(st.sampled_from([b"", MODEL]))
    void = sorted(draw(st.sets(st.integers(0, 1 << 40), max_size=3)))
    return DataHead(tuple(blocks), tuple(images), section, tuple(pieces), digest, tuple(void))


@settings(deadline=None, max_examples=60)
@given(heads())
def test_round_trip(head: DataHead) -> None:
    assert decode_head(head.encode()) == head


@given(st.lists(st.builds(Piece, st.integers(0, 2), st.integers(0, 1), st.integers(0, 4), st.integers(1, 2))))
def test_joined_pieces_say_the_same(pieces: list[Piece]) -> None:
    def spelt(pieces: list[Piece]) -> list[tuple[int, int, int]]:
        return [
            (piece.content, piece.part, at) for piece in pieces for at in range(piece.start, piece.start + piece.length)
        ]

    found = joined(pieces)
    assert spelt(found) == spelt(pieces) and len(found) <= len(pieces) and joined(found) == found


def test_blocks_that_are_alike_cost_little_but_their_checks() -> None:
    blocks = [Block(1, 1, (Lot(20, (28, 28, 1)),), 2000 + n, n**9 % (1 << 64), (), MODEL) for n in range(200)]
    head = DataHead(blocks, [Piece(0, 1, 0, 4000)])
    assert len(head.encode()) < 200 * 13 + 60


# Heads that no writer makes. One block of three images, and five bytes.

BLOCK = bytes([0, 1]) + varints([0, 0, 1, 12, 1, 2, 2, 3]) + bytes(8)
SECTION = bytes([0]) + varints([5, 5]) + bytes(8)


def pieces(*rows: tuple[int, int, int, int]) -> bytes:
    contents, *others = zip(*rows, strict=True)
    columns = [steps(contents), *map(column, others)]
    return varint(len(rows)) + b"".join(varint(len(data)) + data for data in columns)


SOUND = {2: BLOCK, 3: pieces((0, 1, 0, 3)), 4: SECTION, 5: pieces((0, 0, 0, 5))}


def encoded(values: dict[int, bytes], digest: bytes = b"") -> bytes:
    return bytes([len(digest)]) + digest + b"\0" + fields(values)


def test_the_sound_one() -> None:
    head = decode_head(encoded(SOUND))
    assert head == DataHead(
        (Block(0, 1, (Lot(3, (2, 2, 1)),), 12, 0),),
        (Piece(0, 1, 0, 3),),
        Bytes(Packing.STORED, 5, 0, 5),
        (Piece(0, 0, 0, 5),),
    )
    (block,) = head.blocks
    assert (block.samples, block.count, block.nbytes, block.dtype, block.coded.dtype) == (12, 3, 12, "uint8", "uint8")
    deep = Block(0, 2, (Lot(1, (1, 1, 1)), Lot(2, (3, 1, 1))), 1, 0, (Levels(((7, 65535),)),))
    assert (deep.samples, deep.count, deep.nbytes, deep.dtype, deep.coded) == (7, 3, 14, "uint16", Form(1, 1, 2))


def block(
    *lots: tuple[int, int, int], channels: int = 1, model: int = 0, front: int = 0, sample_bytes: int = 1,
    rest: bytes = bytes(8),
) -> bytes:  # fmt: skip
    numbers = [number for lot in lots for number in lot]
    return bytes([0, sample_bytes]) + varints([model, front, channels, 12, len(lots), *numbers]) + rest


THREE = (2, 2, 3)
LEVELS = bytes([1, 1, 1, 2]) + varints([1, 299 - 2])
"""A front of two levels, 1 and 299."""


WRONG: dict[str, tuple[dict[int, Any], type[BitsBackError]]] = {
    "more images than pieces": ({2: block((2, 2, 4))}, FormatError),
    "no images": ({2: block((2, 2, 0))}, FormatError),
    "no rows": ({2: block((0, 2, 3))}, FormatError),
    "no lots": ({2: block()}, FormatError),
    "an empty lot": ({2: block(THREE, (1, 1, 0))}, FormatError),
    "no channels": ({2: block(THREE, channels=0)}, FormatError),
    "more lots than there are": ({2: bytes([0, 1]) + varints([0, 0, 1, 12, 99, 2, 2, 3]) + bytes(8)}, FormatError),
    "a model that is not there": ({2: block(THREE, model=1)}, FormatError),
    "a front that is not there": ({2: block(THREE, front=1)}, FormatError),
    "samples of three bytes": ({2: block(THREE, sample_bytes=3)}, UnsupportedVersionError),
    "a level that does not fit": ({2: block(THREE, front=1), 7: LEVELS}, FormatError),
    "tables that do not fit": ({2: block(THREE, front=1), 7: bytes([1, 1, 2, 1, 0, 1, 0])}, FormatError),
    "a table without levels": ({7: bytes([1, 1, 1, 0])}, FormatError),
    "a front without steps": ({7: bytes([0])}, FormatError),
    "many steps": ({7: bytes([9]) + 9 * bytes([1, 1, 1, 0])}, FormatError),
    "an unknown step": ({7: bytes([1, 99])}, UnsupportedVersionError),
    "half a check": ({2: block(THREE, rest=bytes(4))}, FormatError),
    "many pixels": ({2: block((1 << 20, 1 << 20, 3))}, LimitError),
    "many samples": ({2: block((1 << 10, 1 << 10, 3), channels=1 << 40)}, LimitError),
    "half a model": ({1: bytes(31)}, FormatError),
    "a piece of bytes among images": ({3: pieces((0, 0, 0, 3))}, FormatError),
    "a piece of images among bytes": ({5: pieces((0, 1, 0, 5))}, FormatError),
    "pieces without images": ({2: None}, FormatError),
    "pieces without bytes": ({4: None}, FormatError),
    "bytes without pieces": ({5: None}, FormatError),
    "an empty piece": ({5: pieces((0, 0, 0, 5), (0, 0, 5, 0))}, FormatError),
    "no piece": ({5: bytes([0, 0, 0, 0, 0])}, FormatError),
    "a content below zero": ({5: pieces((-1, 0, 0, 5))}, FormatError),
    "bytes behind the pieces": ({5: pieces((0, 0, 0, 5)) + b"x"}, FormatError),
    "bytes behind the section": ({4: SECTION + b"x"}, FormatError),
    "an empty section": ({4: bytes([0]) + varints([0, 0]) + bytes(8), 5: None}, FormatError),
    "an unknown packing": ({4: b"\x09" + SECTION[1:]}, UnsupportedVersionError),
    "many bytes": ({4: bytes([0]) + varints([1 << 40, 5]) + bytes(8)}, LimitError),
    "many pieces": ({5: varint(MAX_PIECES + 1) + bytes([1, 0, 1, 0, 1, 0, 1, 1])}, LimitError),
    "an unknown field": ({8: b""}, UnsupportedVersionError),
}


@pytest.mark.parametrize("what", WRONG)
def test_heads_that_no_writer_makes(what: str) -> None:
    changes, error = WRONG[what]
    with pytest.raises(error):
        decode_head(encoded({tag: value for tag, value in (SOUND | changes).items() if value is not None}))


@pytest.mark.parametrize("head", [b"", b"\x05abcde\0", b"\x20abc", b"\0", b"\0\x09\x05", b"\0\1\x99\x99\x99\x09xx"])
def test_heads_cut_or_without_sense(head: bytes) -> None:
    with pytest.raises(BitsBackError):
        decode_head(head)


def deflated(body: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    return b"\0" + bytes([Packing.DEFLATE]) + varint(len(body)) + deflate.compress(body) + deflate.flush()


def test_few_bytes_do_not_become_many_things() -> None:
    with pytest.raises(LimitError, match="unpacks to"):
        decode_head(deflated(bytes(5 << 20)))
    most = 3 << 20
    for bomb in (
        {2: BLOCK * (MAX_BLOCKS + 1)},
        {7: bytes([1, 1, 1, 1, 0]) * (MAX_BLOCKS + 1)},
        {2: bytes([0, 1]) + varints([0, 0, 1, 12, most // 4]) + bytes([1]) * (3 * most // 4) + bytes(8)},
        SOUND | {5: varint(MAX_PIECES) + 4 * (varint(most // 4) + bytes(most // 4))},
        {6: bytes(most)},
        {2: BLOCK, 3: varint(MAX_PIECES) + bytes([1, 0, 1, 1, 1, 0, 1, 1])},
    ):
        began = time.process_time()
        with pytest.raises(BitsBackError):
            decode_head(deflated(fields(bomb)))
        assert time.process_time() - began < 4


def test_limits() -> None:
    for limits in (Limits(pixels=3), Limits(chunk=11), Limits(section=4)):
        with pytest.raises(LimitError):
            decode_head(encoded(SOUND), limits)


@settings(deadline=None)
@given(st.dictionaries(st.integers(1, 8), st.binary(max_size=30), max_size=6))
def test_any_fields_give_a_head_or_a_known_error(values: dict[int, bytes]) -> None:
    try:
        head = decode_head(encoded(values))
    except BitsBackError:
        return
    assert decode_head(head.encode()) == head
