import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bitsback.archive import Archive, Library, Limits, write_archive
from bitsback.archive.container import Kind
from bitsback.archive.plan import Item, Planner
from bitsback.archive.writer import ModelUse, items_of
from bitsback.errors import FormatError, LimitError, ModelError, ModelNotFoundError
from bitsback.files import Skipped, Source, find

Pack = Callable[..., tuple[bytes, SimpleNamespace]]
Items = Callable[[], list[Item]]


def test_the_report_says_what_was_done(mixed_items: Items, pack_items: Pack) -> None:
    data, report = pack_items(mixed_items(), Planner(chunk_samples=4 * 64))
    assert report.bytes_out == len(data)
    assert report.bytes_in == sum(item.size for item in mixed_items())
    assert report.images == 20
    assert report.samples == 18 * 64 + 2 * 25
    assert 0 < report.image_bytes < report.bytes_out
    assert report.bits_per_dim == pytest.approx(8 * report.image_bytes / report.samples)
    assert report.ratio == pytest.approx(report.bytes_in / len(data))
    assert report.warnings == [] and report.skipped == []
    routes = {entry.name: entry.route for entry in report.entries}
    assert routes["a/array.npy"] == "model fake-256"
    assert routes["b/text.txt"] == "packed"
    assert all(entry.reason for entry in report.entries)
    assert [entry.images for entry in report.entries] == [10, 1, 0, 0, 3, 2, 4]


def test_bytes_depend_on_the_files_alone(mixed_items: Items, pack_items: Pack) -> None:
    archives = {pack_items(mixed_items(), Planner(chunk_samples=256), threads=threads)[0] for threads in (1, 2, 5)}
    assert len(archives) == 1


def test_one_image_costs_little_more_than_its_payload(make: SimpleNamespace, pack_items: Pack) -> None:
    data, _ = pack_items([make.image_item(0, "digit-00001.npy", make.digits(1), size=10**6)])
    archive = Archive(data)
    assert len(data) - archive.chunks[0].block.payload_size < 280


def test_an_empty_archive(pack_items: Pack, library: Library) -> None:
    data, report = pack_items([])
    assert report.bits_per_dim is None
    archive = Archive(data, library=library)
    archive.test()
    assert len(archive) == 0 and archive.members == []


def test_a_file_that_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    skipped: list[Skipped] = []
    (tmp_path / "b").write_bytes(b"b")
    gone = Source(tmp_path / "a", "a", 0, 0o644, 3)
    there = Source(tmp_path / "b", "b", 0, 0o644, 1)
    assert [(item.ordinal, item.name) for item in items_of([gone, there], skipped)] == [(0, "b")]
    assert [entry.name for entry in skipped] == ["a"]


def test_a_file_whose_name_is_taken_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    skipped: list[Skipped] = []
    sources = [Source(tmp_path / "x", name, 0, 0o644, 1) for name in ("a/b", "A", "a/B", "c")]
    assert [item.name for item in items_of(sources, skipped)] == ["a/b", "c"]
    assert [one.name for one in skipped] == ["A", "a/B"]


def test_progress_counts_the_input(mixed_items: Items, pack_items: Pack) -> None:
    steps: list[int] = []
    _, report = pack_items(mixed_items(), progress=steps.append)
    assert len(steps) > len(report.entries)
    assert sum(steps) == pytest.approx(report.bytes_in, rel=0.01)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_comes_through(mixed_items: Items, library: Library, number: int) -> None:
    class Failing(io.BytesIO):
        def write(self, data: object) -> int:
            if self.tell() > 100:
                raise OSError(number, os.strerror(number))
            return super().write(data)  # type: ignore[arg-type]

    for threads in (1, 3):
        with pytest.raises(OSError, match=os.strerror(number)):
            write_archive(Failing(), mixed_items(), library, threads=threads)


def test_an_embedded_model_is_all_that_is_needed(
    mixed_items: Items, pack_items: Pack, make: SimpleNamespace, model: SimpleNamespace
) -> None:
    data, report = pack_items(mixed_items(), Planner(chunk_samples=256), embed_models=True)
    assert report.models == [ModelUse(model.id, model.name, len(model.data))]
    alone = Library(shipped=False, load=make.model.from_bytes)
    archive = Archive(data, library=alone)
    archive.test()
    assert [block.head for block in archive.blocks if block.kind == Kind.MODEL] == [bytes.fromhex(model.id)]
    assert archive.model(model.id).data == model.data
    with pytest.raises(ModelNotFoundError):
        archive.model("0" * 64)
    other = data.replace(model.data, b"(" + model.data[1:].replace(b"256", b"255"))
    assert other != data
    with pytest.raises(FormatError):
        Archive(other, library=Library(shipped=False, load=make.model.from_bytes)).test()
    with pytest.raises(ModelError, match="calls itself"):
        Library(shipped=False, load=make.model.from_bytes).add_file("0" * 64, model.data)


def test_a_large_embedded_model_is_not_read(mixed_items: Items, pack_items: Pack, model: SimpleNamespace) -> None:
    data, _ = pack_items(mixed_items(), Planner(chunk_samples=256), embed_models=True)
    limits = Limits(model=len(model.data) - 1)
    for damaged in (False, True):
        with pytest.raises(LimitError, match="beyond the limit"):
            Archive(data, library=Library(shipped=False), limits=limits, damaged=damaged).test()


def test_models_that_are_needed_are_reported(mixed_items: Items, pack_items: Pack, model: SimpleNamespace) -> None:
    _, report = pack_items(mixed_items(), Planner(chunk_samples=256))
    assert report.models == [ModelUse(model.id, model.name, 0)]


def test_warnings_are_not_repeated(make: SimpleNamespace, pack_items: Pack) -> None:
    library = Library([make.model(wrong=True)], shipped=False)
    items = [make.image_item(0, "a", make.digits(60))]
    _, report = pack_items(items, Planner(chunk_samples=640), library=library)
    assert len(report.warnings) == 1


def test_files_from_a_folder(tmp_path: Path, pack_items: Pack, make: SimpleNamespace, library: Library) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(5):
        np.save(folder / f"{number}.npy", make.digits(1, seed=number)[0, ..., 0])
    (folder / "note.txt").write_text("note")
    sources, _ = find([folder])
    data, report = pack_items(items_of(sources, []))
    archive = Archive(data, library=library)
    for source, member in zip(sources, archive.members, strict=True):
        assert archive.read(source.name) == source.path.read_bytes()
        assert (member.mtime_ns, member.mode, member.size) == (source.mtime_ns, source.mode, source.size)
    assert all(entry.exact for entry in report.entries)
