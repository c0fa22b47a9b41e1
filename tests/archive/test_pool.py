import threading
import time

import pytest

from bitsback.archive import pool


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads: int) -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.02 if n == 0 else 0)
        return n * n

    assert list(pool.ordered_map(slow_first, range(20), threads)) == [n * n for n in range(20)]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_through_in_its_place(threads: int) -> None:
    work = pool.ordered_map(lambda n: 6 // n, [3, 2, 0, 1], threads)
    assert [next(work), next(work)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(work)


def test_input_is_taken_only_as_it_is_needed() -> None:
    taken: list[int] = []

    def items() -> "list[int]":
        for n in range(100):
            taken.append(n)
            yield n

    work = pool.ordered_map(str, items(), threads=2)
    next(work)
    assert len(taken) <= 4
    work.close()


def test_it_runs_side_by_side() -> None:
    barrier = threading.Barrier(2, timeout=10)
    assert len(list(pool.ordered_map(lambda _: barrier.wait(), range(2), threads=2))) == 2


def test_thread_count() -> None:
    assert pool.thread_count(3) == 3
    assert pool.thread_count() >= 1
    with pytest.raises(ValueError, match="-1"):
        pool.thread_count(-1)
