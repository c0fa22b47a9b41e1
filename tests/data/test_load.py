import threading
import time
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bitsback.data.collection import Collection
from bitsback.data.load import in_order, load, spread
from bitsback.data.types import ImageType
from data.pictures import noise, save


@given(st.integers(0, 100), st.integers(1, 4))
def test_results_come_in_order(count: int, threads: int) -> None:
    assert list(in_order(lambda x: x * x, range(count), threads)) == [x * x for x in range(count)]


def test_threads_are_hardly_ahead_and_end_when_nobody_asks() -> None:
    before, taken = threading.active_count(), 0

    def numbers():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = in_order(lambda x: x, numbers(), 2)
    assert next(results) == 1
    assert taken < 100
    results.close()
    for _ in range(500):
        if threading.active_count() <= before:
            return
        time.sleep(0.01)
    raise AssertionError("threads are left over")


def test_load(tmp_path: Path) -> None:
    save(tmp_path, a=noise(6, 5), b=noise(4, 4, 3), c=noise(3, 3))
    (tmp_path / "d.png").write_bytes(b"nothing")
    c = Collection.open([tmp_path])
    told: list[tuple[int, int]] = []
    images, numbers, skipped = load(c, [2, 3, 1, 0], ImageType(1), lambda done, total: told.append((done, total)))
    assert numbers.tolist() == [2, 0] and numbers.dtype == np.int64
    assert [image.shape for image in images] == [(3, 3, 1), (6, 5, 1)]
    assert all(image.flags.writeable and image.flags.c_contiguous for image in images)
    folder = tmp_path.name
    assert [(s.name, s.reason) for s in skipped] == [
        (f"{folder}/d.png", "not an image"),
        (f"{folder}/b.png", "8-bit RGB, not 8-bit grey"),
    ]
    assert told == [(k, 4) for k in range(1, 5)]


def test_loading_stops_where_memory_would() -> None:
    c = Collection.of_array(noise(50, 4, 4))
    assert len(load(c, range(50), ImageType(1), samples=5 * 16 + 3).images) == 5
    assert len(load(c, range(50), ImageType(1), samples=1).images) == 1


@given(st.integers(0, 300), st.integers(1, 300), st.integers(0, 3))
def test_a_sample_is_spread(total: int, count: int, seed: int) -> None:
    found = spread(total, count, seed)
    assert len(found) == min(total, count)
    assert (np.diff(found) > 0).all()
    if 0 < count <= total:
        part = total / count
        assert all(abs(n - (k + 0.5) * part) < part + 1 for k, n in enumerate(found.tolist()))
