import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from bitsback.threads import ordered_map, thread_count


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads: int) -> None:
    def slow_first(n: int, threads: int) -> int:
        time.sleep(0.02 if n == 0 else 0)
        return n * n

    assert list(ordered_map(slow_first, range(20), threads)) == [n * n for n in range(20)]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_through_in_its_place(threads: int) -> None:
    work = ordered_map(lambda n, threads: 6 // n, [3, 2, 0, 1], threads)
    assert [next(work), next(work)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(work)


def test_input_is_taken_only_as_it_is_needed() -> None:
    taken: list[int] = []

    def items() -> "list[int]":
        for n in range(100):
            taken.append(n)
            yield n

    work = ordered_map(lambda n, threads: str(n), items(), threads=2)
    next(work)
    assert len(taken) <= 4
    work.close()


def test_it_runs_side_by_side() -> None:
    barrier = threading.Barrier(2, timeout=10)
    assert len(list(ordered_map(lambda n, threads: barrier.wait(), range(2), threads=2))) == 2


def test_thread_count() -> None:
    assert thread_count(3) == 3
    assert thread_count() >= 1
    with pytest.raises(ValueError, match="-1"):
        thread_count(-1)


def test_large_items_wait_for_each_other() -> None:
    """No two that take all threads ever run at once; a small one beside them may."""
    running, most, lock = 0, 0, threading.Lock()

    def work(size: int, threads: int) -> int:
        nonlocal running, most
        assert threads == size
        with lock:
            running += size
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= size
        return size

    sizes = [4, 4, 1, 1, 1, 1, 4, 2, 2, 1, 4]
    assert list(ordered_map(work, sizes, 4, lambda size: size)) == sizes
    assert 4 <= most <= 5


def test_what_is_done_is_let_go() -> None:
    """While an item is being made, those before it are in the hands of the workers alone."""

    class Item:
        pass

    alive: list[weakref.ref[Item]] = []

    def items() -> Iterator[Item]:
        for _ in range(8):
            assert sum(one() is not None for one in alive) <= 3
            item = Item()
            alive.append(weakref.ref(item))
            yield item
            del item

    assert list(ordered_map(lambda item, threads: 1, items(), 2)) == [1] * 8


@pytest.mark.parametrize(("count", "threads", "given"), [(1, 1, [1]), (1, 4, [4]), (2, 4, [1, 1]), (0, 4, [])])
def test_a_lone_item_gets_all_threads(count: int, threads: int, given: list[int]) -> None:
    assert list(ordered_map(lambda item, threads: threads, range(count), threads)) == given


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_fewer_threads_than_were_asked_for(allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def limited(thread: threading.Thread) -> None:
        if len(started) >= allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)

    def work(n: int, threads: int) -> int:
        time.sleep(0.001)
        return 6 // n

    assert list(ordered_map(work, [1, 2, 3, 6] * 5, 4)) == [6, 3, 2, 1] * 5
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(work, [1, 0, 2, 3], 4))
