from types import SimpleNamespace

import numpy as np
import pytest

from bitsback.archive import plan
from bitsback.archive.plan import Item, Plan, Planner
from bitsback.errors import ImageError


def images_of(plans: list[Plan]) -> list[int]:
    return [sum(run.length for run in one.runs if run.part) for one in plans if one.key.shape]


def test_an_array_is_cut_evenly(make: SimpleNamespace) -> None:
    plans = list(Planner(chunk_samples=64 * 10).plans([make.image_item(0, "a", make.digits(45))]))
    assert images_of(plans) == [11, 11, 11, 12]
    assert [len(one.homes) for one in plans] == [1, 0, 0, 0]
    assert not any(one.whole for one in plans)
    covered = [(run.start, run.length) for one in plans for run in one.runs if run.part]
    assert covered == [(0, 11), (11, 11), (22, 11), (33, 12)]


def test_files_of_one_shape_come_together_and_are_balanced(make: SimpleNamespace) -> None:
    items = [make.image_item(n, f"{n}", make.digits(1, seed=n)) for n in range(15)]
    plans = list(Planner(chunk_samples=64 * 10).plans(items))
    assert images_of(plans) == [7, 8]
    assert all(one.whole for one in plans)
    assert [item.ordinal for one in plans for item in one.homes] == list(range(15))


def test_groups_by_shape_type_and_levels(make: SimpleNamespace) -> None:
    grey, small = make.digits(2), make.digits(2, 5)
    items = [
        make.image_item(0, "a", grey),
        make.image_item(1, "b", small),
        make.image_item(2, "c", grey.astype(np.uint16)),
        make.image_item(3, "d", (grey > 99).astype(np.uint8)),
        make.image_item(4, "e", grey),
        make.file_item(5, "f", b"text " * 100),
        make.file_item(6, "g", np.random.default_rng(0).bytes(500)),
    ]
    plans = list(Planner().plans(items))
    assert [[item.name for item in one.homes] for one in plans] == [["a", "e"], ["b"], ["c"], ["d"], ["f"], ["g"]]
    assert [one.key.levels for one in plans] == [None, None, None, (0, 1), None, None]
    assert [one.key.packable for one in plans[-2:]] == [True, False]


@pytest.mark.parametrize("first", ["grey", "two", "none"])
def test_a_blank_page_joins_its_like(make: SimpleNamespace, first: str) -> None:
    blank = np.zeros((1, 8, 8, 1), np.uint8)
    other = {"grey": make.digits(1), "two": (make.digits(1) > 99).astype(np.uint8) * 200, "none": blank}[first]
    plans = list(Planner().plans([make.image_item(0, "a", other), make.image_item(1, "b", blank)]))
    assert images_of(plans) == [2]
    assert plans[0].key.levels == {"grey": None, "two": (0, 200), "none": (0, 255)}[first]


def test_files_kept_as_bytes_are_cut_only_if_they_are_large(make: SimpleNamespace) -> None:
    sizes = [30, 80, 250, 40, 0]
    items = [make.file_item(n, f"{n}", b"x" * size) for n, size in enumerate(sizes)]
    plans = list(Planner(chunk_bytes=100).plans(items))
    runs = [[(run.item.ordinal, run.start, run.length) for run in one.runs] for one in plans]
    assert runs == [[(0, 0, 30), (1, 0, 80)], [(2, 0, 100)], [(2, 100, 100)], [(2, 200, 50), (3, 0, 40)]]
    assert [item.ordinal for item in plans[-1].homes] == [3, 4]


def test_a_file_too_small_for_a_chunk_of_its_own_is_kept_as_bytes(make: SimpleNamespace) -> None:
    def tiny(ordinal: int) -> Item:
        return make.image_item(ordinal, "tiny", make.digits(1, 6), size=60)

    assert [one.key.shape for one in Planner().plans([tiny(0)])] == [(6, 6, 1)]
    items = [make.image_item(0, "a", make.digits(3)), tiny(1)]
    plans = list(Planner().plans(items))
    assert [one.key.shape for one in plans] == [(8, 8, 1), None]
    assert items[1].blob == b"the file".ljust(60)

    def gone() -> bytes:
        raise ImageError("it is gone")

    items = [make.image_item(0, "a", make.digits(3)), tiny(1)]
    items[1].reload = gone
    assert [one.key.shape for one in Planner().plans(items)] == [(8, 8, 1), (6, 6, 1)]


def test_files_of_a_chunk_are_in_order_however_they_came_to_be_in_it(make: SimpleNamespace) -> None:
    """A file that is given up as an image, once all are seen, belongs before the bytes of later files."""
    items = [
        make.image_item(0, "a", make.digits(3)),
        make.image_item(1, "tiny", make.digits(1, 6), size=60),
        make.file_item(2, "b", b"text"),
        make.file_item(3, "c", b"more text"),
    ]
    plans = list(Planner().plans(items))
    assert [[item.ordinal for item in one.homes] for one in plans] == [[0], [1, 2, 3]]
    assert [run.item.ordinal for run in plans[1].runs] == [1, 2, 3]


@pytest.mark.parametrize(("limit", "value"), [("MAX_FILES", 4), ("MAX_HEAD", 400), ("MAX_BLOBS", 4 * 128)])
def test_a_chunk_is_full_of_files_too(
    make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(plan, limit, value)
    items = [make.image_item(n, f"{n:060}", make.digits(1)) for n in range(10)]
    counts = images_of(list(Planner().plans(items)))
    assert sum(counts) == 10 and max(counts) <= 4
    if limit != "MAX_BLOBS":
        plans = list(Planner().plans([make.file_item(n, f"{n:060}", b"") for n in range(10)]))
        assert max(len(one.homes) for one in plans) <= 5


def test_memory_is_bounded(make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_BUFFERED_SAMPLES", 1000)
    items = [make.image_item(n, f"{n}", make.digits(1, 5 + n)) for n in range(20)]
    held: list[int] = []
    seen = 0
    stream = iter(items)

    def counted() -> "list[Item]":
        nonlocal seen
        for item in stream:
            seen += item.picture.parts[0].size
            yield item

    done = 0
    for one in Planner().plans(counted()):
        done += sum(run.images().size for run in one.runs if run.part)
        held.append(seen - done)
    assert done == sum(item.picture.parts[0].size for item in items)
    assert max(held[:5]) <= 1000
