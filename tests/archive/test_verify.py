from dataclasses import replace

import pytest
from msgspec import structs

from archive.archives import (
    FakeModel,
    digits,
    file_item,
    flipped,
    image_item,
    mixed_items,
    opened,
    pack,
    stream_item,
)
from bitsback.archive import Library, Settings, plan
from bitsback.archive.member import Type
from bitsback.archive.verify import verify
from bitsback.errors import BitsBackError, ChecksumError, ModelNotFoundError


def test_what_was_written_is_what_went_in() -> None:
    data, report = pack(mixed_items(), Settings(block=1 << 10))
    verify(opened(data), report)
    verify(opened(data), report, threads=2)


def test_streams_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK_BYTES", 1000)
    items = [stream_item("a", [b"some " * 999]), stream_item("b", [b"text"], 2000), file_item("c", b"x")]
    data, report = pack(items)
    verify(opened(data), report)
    assert [kept.name for kept in report.members] == ["a", "c"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"type": Type.FOLDER},
        {"mtime_ns": 1},
        {"mtime_ns": None},
        {"mode": 0o600},
        {"size": 7},
        {"target": "x"},
    ],
)
def test_everything_that_an_entry_says_is_compared(change: dict[str, object]) -> None:
    data, report = pack(mixed_items())
    report.members[3].entry = structs.replace(report.members[3].entry, **change)
    with pytest.raises(ChecksumError, match="reads back"):
        verify(opened(data), report)


def test_members_too_many_or_too_few() -> None:
    data, report = pack(mixed_items())
    for members in (report.members[1:], [*report.members, report.members[0]]):
        with pytest.raises(ChecksumError, match="14 members instead of 1"):
            verify(opened(data), replace(report, members=members))
    verify(opened(data), replace(report, members=report.members[3:]), 3)
    with pytest.raises(ChecksumError):
        verify(opened(data + b"x"), report)


def test_contents_are_compared() -> None:
    data, report = pack(mixed_items())
    report.members[1].digest = bytes(32)
    with pytest.raises(ChecksumError, match=r"'a/array\.npy': does not come back as it was read"):
        verify(opened(data), report)
    report.members[1].digest = b""
    with pytest.raises(ChecksumError, match="its content does not read back"):
        verify(opened(data), report)


def test_a_model_that_decodes_to_something_else() -> None:
    items = [image_item("a.npy", digits(40))]
    wrong = Library([FakeModel(wrong=True)], shipped=False, forced=True, load=FakeModel.from_bytes)
    data, report = pack(items, library=wrong)
    with pytest.raises(ChecksumError, match="other pixels"):
        verify(opened(data, library=wrong), report)
    data, report = pack(items, Settings(embed=False))
    with pytest.raises(ModelNotFoundError):
        verify(opened(data, library=Library(shipped=False)), report)


def test_what_is_damaged_while_it_is_written_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is, second copies and models that are on the shelf too included."""
    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 1 << 10)
    data, report = pack([file_item("a", b"text" * 99), image_item("b.npy", digits(40))], Settings(block=1 << 10))
    assert len([chunk for chunk in opened(data).structure.all_chunks if chunk.is_copy]) == 2
    for place in range(0, len(data), 3):
        with pytest.raises(BitsBackError):
            verify(opened(flipped(data, place)), report)
