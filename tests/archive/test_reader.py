import concurrent.futures
import io
import multiprocessing
import operator
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archive.archives import (
    FakeModel,
    contents,
    contents_of,
    digits,
    file_item,
    flipped,
    folder_item,
    good,
    hardlink_item,
    image_item,
    library,
    mixed_items,
    noise,
    opened,
    pack,
    stream_item,
)
from bitsback.archive import Archive, Library, Limits, Settings, reader
from bitsback.archive.container import Kind
from bitsback.errors import BitsBackError, ChecksumError, FormatError, LimitError, ModelNotFoundError

SMALL = Settings(block=1 << 10)


@pytest.fixture(scope="module")
def packed(_no_kernels: None) -> bytes:
    return pack(mixed_items(), SMALL)[0]


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    return contents_of(mixed_items())


def images_of(items: list[Any]) -> list[np.ndarray]:
    parts = [part for item in items if item.picture for part in item.picture.parts]
    return [image[..., 0] if image.shape[-1] == 1 else image for part in parts for image in part]


def test_a_sequence_of_images(packed: bytes) -> None:
    images = images_of(mixed_items())
    with opened(packed) as archive:
        assert len(archive) == len(images) == 73
        assert all(np.array_equal(a, b) for a, b in zip(archive, images, strict=True))
        assert np.array_equal(archive[-1], images[-1]) and archive[46].shape == (3, 4, 3)
        assert [image.shape for image in archive[43:46]] == [(8, 8), (5, 5), (5, 5)][:3]
        with pytest.raises(IndexError):
            archive[73]
        member, part, number = archive.locate(52)
        assert (member.name, part, number) == ("c/many.npz", 1, 2)
        assert archive.names == [item.entry.name for item in mixed_items()]
        assert repr(archive) == f"<Archive of 14 members, 73 images, {len(packed)} bytes>"
        archive[0][:] = 7  # a copy
        assert np.array_equal(archive[0], images[0])


@pytest.mark.parametrize("threads", [1, 2])
def test_files_come_back(packed: bytes, expected: dict[str, bytes], threads: int) -> None:
    assert contents(opened(packed), threads=threads) == expected
    assert opened(packed).test(threads=threads) == []


def test_one_file(packed: bytes, expected: dict[str, bytes]) -> None:
    archive = opened(packed)
    assert all(archive.read(name) == data for name, data in expected.items())
    for name in ("nobody", "a", "c/link"):
        with pytest.raises(KeyError):
            archive.read(name)


def test_chosen_files_need_only_their_own_models(packed: bytes, expected: dict[str, bytes]) -> None:
    data, _ = pack(mixed_items(), Settings(embed=False))
    archive = opened(data, library=Library(shipped=False))
    text = archive.find("b/text.txt")
    assert contents(archive, members=[text]) == {"b/text.txt": expected["b/text.txt"]}
    with pytest.raises(ModelNotFoundError):
        archive.read("a/one.npy")
    found = contents(archive)
    assert isinstance(found["a/one.npy"], ModelNotFoundError) and found["c/other.npy"] == expected["c/other.npy"]


def test_a_model_comes_from_the_archive(packed: bytes, expected: dict[str, bytes]) -> None:
    archive = opened(packed, library=Library(shipped=False, load=FakeModel.from_bytes))
    assert contents(archive) == expected and archive.model(FakeModel().id).data == FakeModel().data
    with pytest.raises(ModelNotFoundError):
        archive.model("0" * 64)


def test_digests(packed: bytes) -> None:
    items = {item.entry.name: item for item in mixed_items()}
    for member, digest in opened(packed).digests():
        source = items[member.target] if member.target else items[member.name]
        assert digest == source.digest()


def test_open_files_stay_open(packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.bba"
    path.write_bytes(packed)
    for source in (path, str(path), io.BytesIO(packed), packed):
        with Archive(source, library=library()) as archive:
            assert archive.test() == []
    with path.open("rb") as stream:
        Archive(stream, library=library()).close()
        assert not stream.closed and Archive(stream, library=library()).test() == []


# Damage. Everything is found, and nothing that is wrong is handed out.


def test_every_damaged_byte_is_found() -> None:
    """Opening says so, or what can be had is right, and testing says what is wrong."""
    items = [
        image_item("a.npy", digits(20)),
        file_item("b", b"text " * 9),
        folder_item("c"),
        image_item("d.npy", digits(2, 5)),
    ]
    expected = contents_of(items)
    data, _ = pack(items, SMALL)
    for place in range(len(data)):
        damaged = flipped(data, place, 1 << place % 8)
        try:
            archive = opened(damaged)
        except BitsBackError:
            continue
        problems = archive.test(threads=1)
        assert problems and not any("\n" in problem for problem in problems)
        assert good(archive).items() <= expected.items()


def test_truncation_is_found(packed: bytes) -> None:
    for size in range(0, len(packed), 3):
        with pytest.raises(FormatError):
            opened(packed[:size])


def test_any_damaged_byte_costs_only_its_block(packed: bytes, expected: dict[str, bytes]) -> None:
    for place in range(0, len(packed), 23):
        archive = opened(flipped(packed, place), damaged=True)
        found = good(archive)
        assert found.items() <= expected.items()
        assert found == expected or archive.problems
        for data in archive.structure.chunks:
            if data.chunk.payload_offset + data.starts[0] <= place < data.chunk.end:
                lost = {member.name for member in archive.members if member.images and member.name not in found}
                assert len(lost) <= 4


def test_errors_name_the_place_and_the_files(packed: bytes) -> None:
    for chunk in opened(packed).structure.all_chunks:
        if chunk.kind != Kind.DIRECTORY:
            problems = opened(flipped(packed, chunk.payload_offset)).test(threads=1)
            assert f"chunk at byte {chunk.offset}: the payload is damaged" in problems
            assert chunk.kind == Kind.MODEL or any(f"byte {chunk.offset}, '" in problem for problem in problems)


def test_all_damage_is_listed(packed: bytes) -> None:
    (data,) = (one for one in opened(packed).structure.chunks if len(one.head.blocks) > 5)
    damaged = packed
    for start in data.starts[:-1:2]:
        damaged = flipped(damaged, data.chunk.payload_offset + start + 2)
    problems = opened(damaged, library=Library([FakeModel()], shipped=False)).test()
    named = {problem.split("'")[1] for problem in problems if problem.startswith("'")}
    assert {"a/array.npy", "d.npy"} <= named


def test_a_second_copy_will_do(packed: bytes, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsback.archive import plan

    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 1 << 10)
    data, _ = pack(mixed_items(), SMALL)
    alone = {"library": Library(shipped=False, load=FakeModel.from_bytes)}
    chunks = [chunk for chunk in opened(data).structure.all_chunks if chunk.kind in (Kind.DIRECTORY, Kind.MODEL)]
    assert [(chunk.kind, chunk.is_copy) for chunk in chunks] == [(3, False), (2, False), (2, True), (3, True)]
    for chunk in chunks:
        for options in ({}, {"damaged": True}):
            archive = opened(flipped(data, chunk.payload_offset + 3), **alone, **options)
            assert contents(archive) == expected
            assert f"chunk at byte {chunk.offset}: the payload is damaged" in archive.test()
    both = flipped(flipped(data, chunks[1].payload_offset), chunks[2].payload_offset)
    with pytest.raises(FormatError, match="the payload is damaged"):
        opened(both)
    models = flipped(flipped(data, chunks[0].payload_offset), chunks[3].payload_offset)
    archive = opened(models, library=Library(shipped=False, load=FakeModel.from_bytes))
    for _ in range(2):  # it does not get better by trying again
        with pytest.raises(FormatError, match="an embedded model: the payload is damaged"):
            archive.read("a/one.npy")
    with pytest.raises(FormatError, match="an embedded model"):
        archive.model(FakeModel().id)
    assert good(archive).keys() == {m.name for m in archive.members if m.content is not None and not m.models}
    assert contents(opened(models)) == expected  # the model is on the shelf


# Memory.


def test_memory_is_bounded(packed: bytes) -> None:
    archive = opened(packed, limits=Limits(memory=3000))
    found = contents(archive)
    assert isinstance(found["a/array.npy"], LimitError)
    assert found["b/empty"] == b""
    with pytest.raises(LimitError, match="pixels"):
        opened(packed, limits=Limits(pixels=60))


def test_large_files_are_streamed_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsback.archive import plan

    monkeypatch.setattr(plan, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(reader, "WHOLE", 1500)
    large = noise(2700)
    items = [
        first := file_item("a", b"text" * 50, linked=True),
        stream_item("large", [large], linked=True),
        hardlink_item("twin", stream_item("large", [large])),
        hardlink_item("b", first),
    ]
    data, report = pack(items)
    archive = opened(data)
    assert contents(archive) == {"a": b"text" * 50, "b": b"text" * 50, "large": large, "twin": large}
    assert archive.read("twin") == large and archive.test() == []
    assert {member.name: digest for member, digest in archive.digests()} == {
        kept.name: kept.digest for kept in report.members
    }
    taken = [next(iter(data)) for member, data in archive.contents() if member.name == "large"]  # type: ignore[arg-type]
    assert len(taken[0]) < len(large)  # it comes piece by piece
    last = max(archive.structure.places[1], key=lambda place: place.chunk).chunk
    archive.structure.chunks[last].head = __import__("dataclasses").replace(
        archive.structure.chunks[last].head, digest=bytes(32)
    )
    found = contents(archive)
    assert isinstance(found["large"], ChecksumError) and "as they were" in str(found["large"])


def test_blocks_are_kept_a_while(packed: bytes) -> None:
    class Counting(FakeModel):
        count = 0

        def decode(self, *arguments: Any) -> np.ndarray:
            Counting.count += 1
            return super().decode(*arguments)

    archive = opened(packed, library=Library([Counting()], shipped=False))
    for _ in range(3):
        archive.read("a/array.npy")
        assert Counting.count == 3
        archive[3]


# One archive, many readers.


def read_some(archive: Archive, expected: dict[str, bytes], seed: int) -> int:
    """Files and images in an order of one's own; how many were right."""
    random = np.random.default_rng(seed)
    right = 0
    for _ in range(25):
        name = random.choice(sorted(expected))
        right += archive.read(name) == expected[name]
        number = int(random.integers(40))
        right += bool(np.array_equal(archive[number], digits(40)[number, ..., 0]))
    return right


def test_threads_share_an_archive(packed: bytes, expected: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "a.bba").write_bytes(packed)
    for source in (tmp_path / "a.bba", io.BytesIO(packed)):
        with Archive(source, library=library()) as archive, concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda seed: read_some(archive, expected, seed), range(8))) == [50] * 8


def run_child(archive: Archive, expected: dict[str, bytes], seed: int, results: Any) -> None:
    results.put(read_some(archive, expected, seed))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_processes_share_an_archive(packed: bytes, expected: dict[str, bytes], tmp_path: Path) -> None:
    """Also while a thread holds the lock and has the file in its hands."""
    (tmp_path / "a.bba").write_bytes(packed)
    with Archive(tmp_path / "a.bba", library=library()) as archive:
        archive.read("d.npy")
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with archive._lock:
                held.set()
                done.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(60)
        try:
            context = multiprocessing.get_context("fork")
            results = context.SimpleQueue()
            processes = [context.Process(target=run_child, args=(archive, expected, n, results)) for n in range(4)]
            for process in processes:
                process.start()
            assert [results.get() for _ in processes] == [50] * 4
            for process in processes:
                process.join(60)
        finally:
            done.set()
            thread.join()
        assert read_some(archive, expected, 9) == 50


def test_an_archive_can_be_pickled(packed: bytes, expected: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "a.bba").write_bytes(packed)
    for source in (tmp_path / "a.bba", packed):
        with Archive(source, library=library(), limits=Limits(pixels=100)) as archive:
            pickled = pickle.dumps(archive)
        with pickle.loads(pickled) as again:
            assert read_some(again, expected, 1) == 50 and again.limits == Limits(pixels=100)
    damaged = pickle.loads(pickle.dumps(opened(packed[:-9], damaged=True)))
    assert damaged.damaged and read_some(damaged, expected, 2) == 50
    with pytest.raises(TypeError, match="opened from a path or from bytes"):
        pickle.dumps(Archive(io.BytesIO(packed), library=library()))


def test_a_process_that_was_spawned_reads_the_same_archive(tmp_path: Path) -> None:
    items = [image_item("a.npy", digits(9)), file_item("b", noise(99))]
    expected = contents_of(items)
    (tmp_path / "a.bba").write_bytes(pack(items, library=Library(shipped=False))[0])
    spawn = multiprocessing.get_context("spawn")
    with (
        Archive(tmp_path / "a.bba", library=Library(shipped=False)) as archive,
        concurrent.futures.ProcessPoolExecutor(1, spawn) as pool,
    ):
        found = {name: pool.submit(operator.methodcaller("read", name), archive) for name in expected}
        assert {name: future.result(60) for name, future in found.items()} == expected
