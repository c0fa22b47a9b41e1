"""Work done by several threads, handed back in order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def thread_count(threads: int = 0) -> int:
    """``threads``, or the number of cores that this process may use when it is 0."""
    if threads < 0:
        raise ValueError(f"the number of threads cannot be {threads}")
    if threads:
        return threads
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def ordered_map(
    function: Callable[[A, int], B],
    items: Iterable[A],
    threads: int = 1,
    share: Callable[[A], int] = lambda item: 1,
) -> Generator[B, None, None]:
    """``function(item, threads that it may use)`` of every item, in order; up to ``threads`` calls at a time, and no
    more than one result waiting for each.

    ``share`` says how many threads an item is worth. Large ones have to wait for each other, which also bounds the
    memory; a lone one gets all threads. An error, or a consumer that stops, ends it: what has not begun is dropped.
    Where the system does not allow as many threads, there are fewer; the calling one will do.

    >>> list(ordered_map(lambda number, threads: number * number, range(5), threads=2))
    [0, 1, 4, 9, 16]
    """
    upcoming = iter(items)
    if threads == 1:
        yield from (function(item, 1) for item in upcoming)
        return
    ahead = deque(islice(upcoming, 2))
    alone = len(ahead) == 1
    pool = ThreadPoolExecutor(threads, thread_name_prefix="bitsback")
    waiting: deque[tuple[Future[B], int]] = deque()
    taken = 0

    def begin(item: A, size: int) -> Future[B]:
        try:
            return pool.submit(function, item, size)
        except RuntimeError as error:
            if "can't start new thread" not in str(error):
                raise
        here: Future[B] = Future()
        try:
            here.set_result(function(item, size))
        except Exception as error:
            here.set_exception(error)
        return here

    def oldest() -> B:
        nonlocal taken
        future, size = waiting.popleft()
        result = future.result()
        taken -= size
        return result

    try:
        for item in chain(_emptied(ahead), upcoming):
            size = threads if alone else share(item)
            while waiting and taken + size > threads + 1:
                yield oldest()
            waiting.append((begin(item, size), size))
            taken += size
            del item  # or it would stay in memory while the next one is made
        while waiting:
            yield oldest()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _emptied(ahead: deque[A]) -> Iterator[A]:
    while ahead:
        yield ahead.popleft()
