"""Work done by several threads, handed back in order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
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


def ordered_map(function: Callable[[A], B], items: Iterable[A], threads: int = 1) -> Generator[B, None, None]:
    """``map``, with up to ``threads`` calls at a time and no more than one result waiting for each.

    An error, or a consumer that stops, ends it: what has not begun is dropped.

    >>> list(ordered_map(str, range(5), threads=2))
    ['0', '1', '2', '3', '4']
    """
    if threads == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="bitsback")
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
